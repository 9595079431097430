"""Which entities are one: the same name of an unknown kind, and what was merged by hand."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any

from ..graph_stores.base import UNKNOWN_KIND, GraphEntity, GraphNode, entity_id, fold_name
from ..ledger.graph import Alias, folded_of, key_of, kind_in, kind_of
from ..scope import Owner

_LINKS = 64

Find = Callable[[Sequence[str]], Coroutine[Any, Any, Sequence[GraphEntity]]]
"""Gives the entities of the scope that have one of some folded names."""


class Names:
    """The entities of a scope that were met so far, and which of them are one.

    An entity of an unknown kind is the one of its name whose kind is known, where there is exactly one; otherwise it
    stays apart, as entities of two known kinds do.
    """

    def __init__(self, find: Find, aliases: Sequence[Alias]) -> None:
        self._find = find
        self._roots: dict[tuple[Owner, str], str] = {}
        for alias in aliases:
            place = (alias.scope.owner, alias.key)
            if alias.root is not None:
                self._roots[place] = alias.root
            else:
                self._roots.pop(place, None)
        self._linked: dict[str, set[str]] = {}
        for (_, key), root in self._roots.items():
            one, other = folded_of(key), folded_of(root)
            self._linked.setdefault(one, set()).add(other)
            self._linked.setdefault(other, set()).add(one)
        self._asked: set[str] = set()
        self._groups: dict[str, list[str]] = {}
        """By what they are: the ids of entities met, but for the new ones."""
        self._new: list[GraphEntity] = []
        self._shown: dict[str, GraphNode] = {}
        self.known: dict[str, GraphEntity] = {}
        """Every entity met, by id."""
        self._kinds: dict[str, dict[Owner, dict[str, str]]] = {}
        """By name and owner: the ids by kind, blank for the unknown."""

    @property
    def asked(self) -> int:
        """How many names were asked for."""
        return len(self._asked)

    async def meet(self, names: Iterable[str]) -> None:
        """Learn which entities have these folded names, and names that were merged with them."""
        wanted = set(names) - self._asked
        while wanted:
            self._asked |= wanted
            self.learn(await self._find(sorted(wanted)))
            wanted = {other for name in wanted for other in self._linked.get(name, ())} - self._asked

    def learn(self, entities: Iterable[GraphEntity]) -> None:
        """Note entities that were found."""
        for entity in entities:
            if entity.id not in self.known:
                self._new.append(entity)
                self._shown.clear()
            self.known[entity.id] = entity
            owners = self._kinds.setdefault(folded_of(entity.key), {})
            owners.setdefault(entity.owner, {})[kind_in(entity.key)] = entity.id

    def root(self, owner: Owner, key: str) -> str:
        """Return the id of what an entity is, once merges are followed."""
        for _ in range(_LINKS):
            key = self._typed(owner, key)
            further = self._roots.get((owner, key))
            if further is None or further == key:
                break
            key = further
        known = self._kinds.get(folded_of(key), {}).get(owner, {}).get(kind_in(key))
        return entity_id(owner, key) if known is None else known

    def stays(self, key: str) -> bool:
        """Return whether an entity is nothing else than itself, as its key tells."""
        return not self._roots and bool(kind_in(key))

    def known_key(self, root: str) -> str:
        """Return the key that merges name an entity by."""
        members = self.same([root])[root]
        entity = self.known.get(root) or self.known[min(members)]
        return self._typed(entity.owner, entity.key)

    def merged_keys(self, name: str) -> list[str]:
        """Return the keys of entities of a name that were merged into others by hand."""
        folded = fold_name(name)
        return sorted({key for _, key in self._roots if folded_of(key) == folded})

    def _typed(self, owner: Owner, key: str) -> str:
        if kind_in(key):
            return key
        folded = folded_of(key)
        known = [kind for kind in self._kinds.get(folded, {}).get(owner, ()) if kind]
        return key_of(folded, known[0]) if len(known) == 1 else key

    def same(self, roots: Iterable[str]) -> dict[str, list[str]]:
        """Return, for ids of what entities are, all entities met that are it."""
        # Names that may be one are met together, so what an entity is does not change later.
        for entity in self._new:
            self._groups.setdefault(self.root(entity.owner, entity.key), []).append(entity.id)
        self._new.clear()
        return {root: self._groups.get(root, []) for root in roots}

    def called(self, folded: str, kind: str | None = None) -> list[str]:
        """Return the ids of what a folded name stands for, by id."""
        owners = self._kinds.get(folded)
        if owners is None:
            return []
        return sorted(
            {
                self.root(owner, self.known[one].key)
                for owner, kinds in owners.items()
                for one in kinds.values()
                if kind is None or self._is(one, kind_of(kind))
            }
        )

    def _is(self, entity: str, kind: str) -> bool:
        known = self.known[entity]
        return kind_of(kind_in(self._typed(known.owner, known.key))) == kind

    def shown(self, root: str) -> GraphNode:
        """Return the name and kind that something is shown by: those of what others were merged into."""
        shown = self._shown.get(root)
        if shown is None:
            members = self.same([root])[root]
            best = self.known.get(root) or self.known[min(members)]
            kinds = [self.known[one].kind for one in (best.id, *members)]
            kind = next((kind for kind in kinds if kind != UNKNOWN_KIND), UNKNOWN_KIND)
            shown = self._shown[root] = GraphNode(best.key, best.name, kind)
        return shown
