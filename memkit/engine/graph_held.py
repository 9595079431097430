"""Reading what is held in memory of one owner's graph: the same answers as of the ledger, without its queries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from ..filters import Filter
from ..graph_stores.base import GraphEdge, GraphStore
from ..graph_stores.base import GraphEntity as StoredEntity
from ..graph_stores.support import nearest_first
from ..ledger.graph import Alias
from ..ranking.graph_view import HeldEdge, OwnerGraph
from ..scope import ReadScope
from .core import Engine
from .graph import GraphRequest, Reader
from .graph_names import Names

_NAMES = 20_000
"""Names that are kept from search to search."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """What searches of one scope found out, as long as nothing changes."""

    names: Names
    placed: dict[tuple[str, int], GraphEdge]
    """Edges between what their ends are, by memory and position."""


class HeldReader(Reader):
    """Reads what is held of the one owner that a scope is about, for a search."""

    def __init__(
        self,
        engine: Engine,
        store: GraphStore,
        request: GraphRequest,
        aliases: Sequence[Alias],
        view: OwnerGraph,
    ) -> None:
        super().__init__(engine, store, request, aliases)
        self._view = view
        place = request.scope, tuple(aliases)
        kept = view.derived.get(place)
        if not isinstance(kept, _Kept) or kept.names.asked > _NAMES:
            kept = _Kept(names_of(view, request.scope, aliases), {})
            view.derived[place] = kept
        self.names, self._placed = kept.names, kept.placed

    async def _place(self, held: Iterable[HeldEdge]) -> list[GraphEdge]:
        """Return edges between what their ends are."""
        edges = {(one.edge.memory_id, one.edge.position): one.edge for one in held}
        fresh = [place for place in edges if place not in self._placed]
        if fresh:
            await self._meet(edges[place] for place in fresh)
            self._placed.update((place, self._between(edges[place])) for place in fresh)
        return [self._placed[place] for place in edges]

    async def said(self, memory_ids: Sequence[str], filter: Filter | None) -> list[GraphEdge]:
        """Return the edges that memories say."""
        assert filter is None, "a search filters memories, not edges"
        return await self._place(held for one in memory_ids for held in self._seen(self._view.said(one)))

    async def touching(self, words: Mapping[str, frozenset[str]]) -> list[tuple[GraphEdge, frozenset[str]]]:
        """Return the edges that touch some entities and share words with what is asked there, with all their words."""
        groups = self.names.same(words)
        found = {
            (held.edge.memory_id, held.edge.position): held
            for root, asked in words.items()
            for one in groups[root]
            for held in self._view.near(one)
            if not asked.isdisjoint(held.words) and self._sees(held.record)
        }
        self._records.update((held.record.id, held.record) for held in found.values())
        edges = await self._place(found.values())
        return [(edge, held.words) for edge, held in zip(edges, found.values(), strict=True)]

    async def near(self, roots: Sequence[str], limit: int) -> list[GraphEdge]:
        """Return the edges that touch some entities, the latest first, then by memory and position."""
        groups = self.names.same(roots).values()
        found = [
            held
            for group in groups
            for one in group
            for held in islice(self._seen(self._view.near(one)), limit)
        ]
        return sorted(await self._place(found), key=nearest_first)[:limit]

    def _seen(self, edges: Sequence[HeldEdge]) -> Iterator[HeldEdge]:
        return (held for held in edges if self._sees(held.record))


def names_of(view: OwnerGraph, scope: ReadScope, aliases: Sequence[Alias]) -> Names:
    """Return the names of what is held, as far as a scope may see it."""

    async def find(folded: Sequence[str]) -> Sequence[StoredEntity]:
        return [one for name in folded for one in view.called(name, scope)]

    return Names(find, [alias for alias in aliases if alias.covers(scope)])
