"""Which entities are one: the same name of an unknown kind, and what was merged by hand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..graph_stores.base import GraphEntity, GraphNode, GraphStore, entity_id, fold_name
from ..ledger.graph import Alias, kind_of, node_of
from ..scope import Owner, ReadScope
from .core import Engine

_MOST = 10_000
_LINKS = 64


class Names:
    """The entities of a scope that were met so far, and which of them are one.

    An entity of an unknown kind is the one of its name whose kind is known, where there is exactly one; otherwise it
    stays apart, as entities of two known kinds do.
    """

    def __init__(self, engine: Engine, store: GraphStore, scope: ReadScope, aliases: Sequence[Alias]) -> None:
        self._engine, self._store, self._scope = engine, store, scope
        self._roots: dict[tuple[Owner, str], str] = {}
        for alias in aliases:
            place = (alias.scope.owner, alias.key)
            if alias.root is not None:
                self._roots[place] = alias.root
            else:
                self._roots.pop(place, None)
        self._linked: dict[str, set[str]] = {}
        for (_, key), root in self._roots.items():
            one, other = _folded(key), _folded(root)
            self._linked.setdefault(one, set()).add(other)
            self._linked.setdefault(other, set()).add(one)
        self._asked: set[str] = set()
        self._groups: dict[str, list[str]] | None = None
        """By what they are: the ids of all entities met."""
        self.known: dict[str, GraphEntity] = {}
        """Every entity met, by id."""
        self._kinds: dict[tuple[Owner, str], dict[str, str]] = {}
        """By owner and name: the ids by kind, `thing` for the unknown."""

    async def meet(self, names: Iterable[str]) -> None:
        """Learn which entities have these names, and names that were merged with them."""
        wanted = {fold_name(name) for name in names} - self._asked
        while wanted:
            self._asked |= wanted
            found = await self._engine.ask(
                self._store.name, self._store.find_entities, sorted(wanted), scope=self._scope, limit=_MOST
            )
            self.learn(found)
            wanted = {other for name in wanted for other in self._linked.get(name, ())} - self._asked

    def learn(self, entities: Iterable[GraphEntity]) -> None:
        """Note entities that were found."""
        for entity in entities:
            if entity.id not in self.known:
                self._groups = None
            self.known[entity.id] = entity
            kinds = self._kinds.setdefault((entity.owner, _folded(entity.key)), {})
            kinds[_kind(entity.key)] = entity.id

    def root(self, owner: Owner, key: str) -> str:
        """Return the id of what an entity is, once merges are followed."""
        for _ in range(_LINKS):
            key = self._typed(owner, key)
            further = self._roots.get((owner, key))
            if further is None or further == key:
                break
            key = further
        return entity_id(owner, key)

    def known_key(self, root: str) -> str:
        """Return the key that merges name an entity by."""
        members = self.same([root])[root]
        entity = self.known.get(root) or self.known[min(members)]
        return self._typed(entity.owner, entity.key)

    def merged_keys(self, name: str) -> list[str]:
        """Return the keys of entities of a name that were merged into others by hand."""
        folded = fold_name(name)
        return sorted({key for _, key in self._roots if _folded(key) == folded})

    def _typed(self, owner: Owner, key: str) -> str:
        if _kind(key):
            return key
        known = [kind for kind in self._kinds.get((owner, _folded(key)), ()) if kind]
        return node_of(_folded(key), known[0]).key if len(known) == 1 else key

    def same(self, roots: Iterable[str]) -> dict[str, list[str]]:
        """Return, for ids of what entities are, all entities met that are it."""
        if self._groups is None:
            groups: dict[str, list[str]] = {}
            for entity in self.known.values():
                groups.setdefault(self.root(entity.owner, entity.key), []).append(entity.id)
            self._groups = groups
        return {root: self._groups.get(root, []) for root in roots}

    def called(self, name: str, kind: str | None = None) -> list[str]:
        """Return the ids of what a name stands for, by id."""
        folded = fold_name(name)
        return sorted(
            {
                self.root(owner, self.known[one].key)
                for (owner, known), kinds in self._kinds.items()
                if known == folded
                for one in kinds.values()
                if kind is None or self._is(one, kind_of(kind))
            }
        )

    def _is(self, entity: str, kind: str) -> bool:
        known = self.known[entity]
        return kind_of(_kind(self._typed(known.owner, known.key))) == kind

    def shown(self, root: str, members: Sequence[str]) -> GraphNode:
        """Return the name and kind that something is shown by: those of what others were merged into."""
        best = self.known.get(root) or self.known[min(members)]
        kinds = [self.known[one].kind for one in (best.id, *members)]
        return GraphNode(best.key, best.name, next((kind for kind in kinds if kind != "thing"), "thing"))


def _folded(key: str) -> str:
    return key.partition("\n")[0]


def _kind(key: str) -> str:
    return key.partition("\n")[2]
