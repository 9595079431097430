"""Reading and changing the graph: every edge is checked against the ledger, hop by hop, before anything rests on it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final

from ..clock import now_us, to_datetime, to_iso
from ..errors import ConfigurationError
from ..filters import Filter, compile_filter
from ..graph_parts import graph_ledger
from ..graph_stores import walk
from ..graph_stores.base import GraphEdge, GraphStore, Span, fold_name
from ..graph_stores.base import GraphEntity as StoredEntity
from ..graph_stores.support import edges_of
from ..ledger.base import Record
from ..ledger.graph import SPEAKER, SPEAKER_WORDS, Alias, folded_of, is_speaker, projected
from ..ranking.graph_view import words_of
from ..scope import Owner, ReadScope, Scope
from ..types import GraphEntity, GraphEntityPage, Relation, unchecked
from .core import Engine
from .graph_names import Names
from .index import graph_for_reading
from .start import ready
from .views import is_current, is_expired

log: Final = logging.getLogger("memkit")
_MOST: Final = 10_000
"""Edges, or entities, that are asked for at once."""
_NAMES: Final = 5_000
"""Names that are asked for at once: databases take only so many parameters."""
_FOREVER: Final = (1 << 62) - 1
_WORDS: Final = 64
_RUN: Final = 4
"""A name in a query has at most so many words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphRequest:
    """A checked read of the graph: where, and when (None: now)."""

    scope: ReadScope
    span: Span | None = None
    limit: int = 100


async def entity(engine: Engine, request: GraphRequest, name: str, kind: str | None) -> GraphEntity:
    """Return what is known of an entity now; an empty one for a name that no memory says."""
    reader = await open_reader(engine, request)
    found = await reader.find(name, kind) if reader is not None else []
    if reader is None or not found:
        return GraphEntity(name=name)
    shown = [one for one in await reader.entities(found) if one]
    return max(shown, key=lambda one: len(one.memory_ids)) if shown else GraphEntity(name=name)


async def entities(engine: Engine, request: GraphRequest, after: str | None) -> GraphEntityPage:
    """Return a page of entities that memories name now, after an id."""
    reader = await open_reader(engine, request)
    page: list[GraphEntity] = []
    while reader is not None:
        found = await reader.page(after)
        if not found:
            break
        for root, last in found:
            if len(page) == request.limit:
                return GraphEntityPage(results=page, next_cursor=after)
            after = last
            shown = (await reader.entities([root]))[0] if root is not None else None
            if shown:
                page.append(shown)
    return GraphEntityPage(results=page)


async def neighbours(
    engine: Engine, request: GraphRequest, name: str, kind: str | None, depth: int
) -> list[Relation]:
    """Return the relations that a walk from an entity meets: nearest first, then the latest."""
    reader = await open_reader(engine, request)
    roots = await reader.find(name, kind) if reader is not None else []
    if reader is None or not roots:
        return []
    await reader.prefetch(roots, depth)
    edges = await walk.adrive(walk.neighbours(roots, depth=depth, limit=_MOST), reader.edges)
    return reader.relations(edges, request.limit)


async def paths(
    engine: Engine, request: GraphRequest, a: tuple[str, str | None], b: tuple[str, str | None], max_hops: int
) -> list[list[str]]:
    """Return the ways between two entities as lists of names, shortest first, then by name."""
    reader = await open_reader(engine, request)
    starts = await reader.find(*a) if reader is not None else []
    ends = await reader.find(*b) if reader is not None else []
    if reader is None or not starts or not ends:
        return []
    walked = walk.paths(starts, ends, max_hops=max_hops, limit=_MOST)
    found = await walk.adrive(walked, reader.edges)
    named = [[reader.name(one) for one in way.entities] for way in found]
    return sorted(named, key=lambda way: (len(way), way))[: request.limit]


async def relations(engine: Engine, request: GraphRequest, filter: Filter | None) -> list[Relation]:
    """Return relations of a scope that pass a filter, the latest first; read from the ledger."""
    reader = await open_reader(engine, request, own=True)
    if reader is None:
        return []
    edges: list[GraphEdge] = []
    cursor: str | None = None
    while True:
        page = await engine.ask("graph", reader.store.export, request.scope, cursor=cursor)
        edges += await reader.said([record.memory_id for record in page.records], filter)
        if page.cursor is None:
            break
        cursor = page.cursor
    found = reader.relations(edges)
    found.sort(key=lambda one: (one.source, one.relation, one.target))
    found.sort(key=lambda one: one.valid_from or to_datetime(0), reverse=True)
    return found[: request.limit]


async def relations_of(
    engine: Engine, scope: ReadScope, records: Sequence[Record], as_of: int | None = None
) -> list[Relation]:
    """Return what some records of a scope say, in their order."""
    span = None if as_of is None else Span.at(as_of)
    reader = await open_reader(engine, GraphRequest(scope=scope, span=span), own=True)
    if reader is None:
        return []
    reader.take(records)
    return reader.relations(await reader.said([record.id for record in records], None))


async def open_reader(
    engine: Engine, request: GraphRequest, *, own: bool = False, write: bool = False
) -> Reader | None:
    """Return who reads the graph, or the ledger's `own`; None while there is no ledger, unless it is to be written.

    Raises:
        ConfigurationError: No graph is kept.
    """
    _require_graph(engine)
    if not await ready(engine, write=write):
        return None
    ledger = graph_ledger(engine.ledger)
    store: GraphStore = ledger.graph
    warning = None
    if not own:
        store, warning = await graph_for_reading(engine)
        if warning is not None:
            log.warning("memkit: %s", warning)
    return Reader(engine, store, request, await engine.call(ledger.aliases, request.scope), warning)


def _require_graph(engine: Engine) -> None:
    """Return if a graph is kept.

    Raises:
        ConfigurationError: There is none.
    """
    if not engine.parts.graph.on:
        raise ConfigurationError(
            "This memory keeps no graph. Make it with one: `Memory(graph_store='sqlite')`; "
            "`memory.rebuild(graph_store='sqlite')` reads what is stored already."
        )


class Reader:
    """Reads a graph within one scope and time; gives nothing that the ledger does not say."""

    def __init__(
        self,
        engine: Engine,
        store: GraphStore,
        request: GraphRequest,
        aliases: Sequence[Alias],
        warning: str | None = None,
    ) -> None:
        self.warning = warning
        """Why the ledger is read in the place of an external graph."""
        self._engine, self.store = engine, store
        self.names = Names(self._called, [alias for alias in aliases if alias.covers(request.scope)])
        self._scope, self._span, self._now = request.scope, request.span, now_us()
        self._during = request.span or Span(self._now, _FOREVER)
        self._records: dict[str, Record | None] = {}
        """Records that were checked; None for one that must not be seen."""
        self._near: dict[str, list[GraphEdge]] = {}
        """Edges by the id of an end, as far as all of its edges were read."""
        self._owners: dict[tuple[str | None, str | None, str | None], Owner] = {}

    async def _called(self, folded: Sequence[str]) -> Sequence[StoredEntity]:
        found: list[StoredEntity] = []
        for start in range(0, len(folded), _NAMES):
            names, after = folded[start : start + _NAMES], None
            while True:
                page = await self._ask(
                    self.store.find_entities, names, scope=self._scope, limit=_MOST, after=after
                )
                found += page
                if len(page) < _MOST:
                    break
                after = page[-1].id
        return found

    async def find(self, name: str, kind: str | None = None) -> list[str]:
        """Return the ids of the entities that a name stands for."""
        folded = fold_name(SPEAKER if is_speaker(name) else name)
        await self.names.meet([folded])
        return self.names.called(folded, kind)

    def rid(self, edge: GraphEdge) -> int:
        """Return the place of the memory that says an edge which was found."""
        record = self._records[edge.memory_id]
        assert record is not None, "what may not be seen is not found"
        return record.rid

    async def named_in(self, text: str) -> list[str]:
        """Return the ids of the entities that a text names, but for the speaker."""
        words = [fold_name(word) for word in text.split()[:_WORDS]]
        words = [word.removesuffix("'s").removesuffix("\u2019s") for word in words]
        runs = (
            " ".join(words[start : start + length])
            for length in range(_RUN, 0, -1)
            for start in range(len(words) - length + 1)
        )
        # Runs that would be folded further are other runs of the same words.
        names = [name for name in dict.fromkeys(runs) if len(name) > 1 and name not in SPEAKER_WORDS]
        await self.names.meet(names)
        return list(dict.fromkeys(root for name in names for root in self.names.called(name)))

    async def page(self, after: str | None) -> list[tuple[str | None, str]]:
        """Return entities after an id: what each is, None for one that is part of another, and its id."""
        found = await self._ask(
            self.store.find_entities, None, scope=self._scope, during=self._during, limit=500, after=after
        )
        await self.names.meet(folded_of(one.key) for one in found)
        self.names.learn(found)
        roots = [self.names.root(one.owner, one.key) for one in found]
        members = self.names.same(roots)
        return [
            (root if one.id == min(members[root]) else None, one.id)
            for one, root in zip(found, roots, strict=True)
        ]

    async def entities(self, roots: Sequence[str]) -> list[GraphEntity]:
        """Return what is known of entities now."""
        groups = self.names.same(roots)
        named = {root: [self.names.known[one] for one in ids] for root, ids in groups.items()}
        await self._check({memory for found in named.values() for one in found for memory in one.memory_ids})
        edges = await self.edges(walk.Step(list(roots)))
        out: list[GraphEntity] = []
        for root in roots:
            shown = self.names.shown(root)
            others = {one.name for one in named[root]} - {shown.name}
            memories = {memory for one in named[root] for memory in one.memory_ids if self._records[memory]}
            touching = {
                (edge.source_id, edge.relation, edge.target_id)
                for edge in edges
                if root in (edge.source_id, edge.target_id)
            }
            out.append(
                GraphEntity(
                    name=shown.name,
                    kind=shown.kind,
                    aliases=sorted(others),
                    relations=len(touching),
                    memory_ids=sorted(memories),
                )
            )
        return out

    def most_named(self, roots: Sequence[str]) -> str:
        """Return the entity that most memories name, then the first by id."""
        groups = self.names.same(roots)
        counts = {root: sum(len(self.names.known[one].memory_ids) for one in groups[root]) for root in roots}
        return min(roots, key=lambda root: (-counts[root], root))

    def name(self, root: str) -> str:
        """Return the name that an entity is shown by."""
        return self.names.shown(root).name

    # Edges.

    async def prefetch(self, roots: Sequence[str], depth: int) -> None:
        """Read what a walk will need by one query, where it is not too much."""
        ids = [one for group in self.names.same(roots).values() for one in group]
        edges = await self._ask(
            self.store.neighbours, ids, scope=self._scope, depth=depth, during=self._during, limit=_MOST
        )
        if len(edges) < _MOST:
            away = dict.fromkeys(ids, 0)
            for edge in sorted(edges, key=lambda edge: edge.hop):
                for end in (edge.source_id, edge.target_id):
                    away.setdefault(end, edge.hop)
            await self._keep([one for one, hops in away.items() if hops < depth], edges)

    async def edges(self, step: walk.Step) -> list[GraphEdge]:
        """Return the edges of a step that may be seen, between what their ends are."""
        groups = self.names.same(step.entity_ids)
        ids = [one for group in groups.values() for one in group]
        unread = [one for one in ids if one not in self._near]
        if unread:
            found = await self._ask(
                self.store.neighbours, unread, scope=self._scope, during=self._during, limit=_FOREVER
            )
            await self._keep(unread, found)
        edges = {(edge.memory_id, edge.position): edge for one in ids for edge in self._near[one]}
        return [self._between(edge) for edge in edges.values()]

    async def _keep(self, read: Sequence[str], edges: Sequence[GraphEdge]) -> None:
        """Check edges against the ledger and keep them by their ends."""
        await self._check({edge.memory_id for edge in edges})
        seen = [edge for edge in edges if self._holds(edge)]
        await self._meet(seen)
        for one in read:
            self._near[one] = []
        for edge in seen:
            for end in {edge.source_id, edge.target_id}:
                if end in self._near:
                    self._near[end].append(edge)

    async def _meet(self, edges: Iterable[GraphEdge]) -> None:
        """Learn what the ends of edges are."""
        await self.names.meet({folded_of(end.key) for edge in edges for end in (edge.source, edge.target)})

    def _holds(self, edge: GraphEdge) -> bool:
        """Return whether the ledger says an edge now, and it may be seen."""
        record = self._records.get(edge.memory_id)
        if record is None:
            return False
        if self.store.in_ledger:
            return True
        said = projected(record).edges
        return edge.position < len(said) and (
            said[edge.position].source,
            said[edge.position].relation,
            said[edge.position].target,
        ) == (edge.source, edge.relation, edge.target)

    async def _check(self, memory_ids: Iterable[str]) -> None:
        """Read records that were not read yet, and note which may be seen."""
        unknown = sorted(set(memory_ids) - self._records.keys())
        if unknown:
            records = await self._engine.call(self._engine.ledger.records, unknown)
            self._records.update(dict.fromkeys(unknown))
            self.take(records)

    def take(self, records: Iterable[Record]) -> None:
        """Note which of some records may be seen."""
        for record in records:
            self._records[record.id] = record if self._sees(record) else None

    def _sees(self, record: Record) -> bool:
        if record.deleted or not self._scope.allows(record.user_id, record.agent_id, record.run_id):
            return False
        if self._span is None:
            return is_current(record, self._now, self._now)
        return not is_expired(record, self._now) and self._span.meets(
            record.valid_from, record.valid_until, None
        )

    def _between(self, edge: GraphEdge) -> GraphEdge:
        if self.names.stays(edge.source.key) and self.names.stays(edge.target.key):
            return edge
        owner = self._owner(edge)
        source, target = self.names.root(owner, edge.source.key), self.names.root(owner, edge.target.key)
        return replace(edge, source_id=source, target_id=target)

    def _owner(self, edge: GraphEdge) -> Owner:
        ids = edge.user_id, edge.agent_id, edge.run_id
        owner = self._owners.get(ids)
        if owner is None:
            owner = self._owners[ids] = Scope(user_id=ids[0], agent_id=ids[1], run_id=ids[2]).owner
        return owner

    async def touching(self, words: Mapping[str, frozenset[str]]) -> list[tuple[GraphEdge, frozenset[str]]]:
        """Return the edges that touch some entities and share words with what is asked there, with all their words."""
        found: list[tuple[GraphEdge, frozenset[str]]] = []
        for edge in await self.edges(walk.Step(list(words))):
            record = self._records.get(edge.memory_id)
            said = words_of("" if record is None else record.text, [edge.relation])[0]
            if any(not said.isdisjoint(words.get(end, ())) for end in (edge.source_id, edge.target_id)):
                found.append((edge, said))
        return found

    async def near(self, roots: Sequence[str], limit: int) -> list[GraphEdge]:
        """Return the edges that touch some entities, the latest first, then by memory and position."""
        return await walk.adrive(walk.neighbours(roots, depth=1, limit=limit), self.edges) if roots else []

    async def said(self, memory_ids: Sequence[str], filter: Filter | None) -> list[GraphEdge]:
        """Return the edges that memories say and that pass a filter, as the ledger has them."""
        await self._check(memory_ids)
        records = [record for one in memory_ids if (record := self._records[one]) is not None]
        edges = [edge for record in records for edge in edges_of(projected(record))]
        await self._meet(edges)
        placed = [self._between(edge) for edge in edges]
        if filter is None:
            return placed
        accepts = compile_filter(filter)
        return [edge for edge in placed if accepts(self._payload(edge))]

    def _payload(self, edge: GraphEdge) -> Mapping[str, Any]:
        """Return what a filter sees of an edge: its own fields, then the metadata of the memory."""
        record = self._records[edge.memory_id]
        source, target = self.names.shown(edge.source_id), self.names.shown(edge.target_id)
        own = {
            "source": source.name,
            "relation": edge.relation,
            "target": target.name,
            "source_kind": source.kind,
            "target_kind": target.kind,
        }
        return {
            "metadata": {**(record.metadata if record is not None else {}), **own},
            "valid_from": to_iso(edge.valid_from),
            "valid_until": None if edge.valid_until is None else to_iso(edge.valid_until),
        }

    def relations(self, edges: Sequence[GraphEdge], limit: int | None = None) -> list[Relation]:
        """Return edges as relations, one for all memories that say the same of overlapping times, in order."""
        groups: dict[tuple[Owner, str, str, str], list[GraphEdge]] = {}
        for edge in edges:
            groups.setdefault((self._owner(edge), edge.source_id, edge.relation, edge.target_id), []).append(
                edge
            )
        spells = (
            (source, relation, target, part)
            for (_, source, relation, target), group in groups.items()
            for part in _spells(group)
        )
        return [self._relation(*spell) for spell in islice(spells, limit)]

    def _relation(self, source: str, relation: str, target: str, edges: Sequence[GraphEdge]) -> Relation:
        one, other, until = self.names.shown(source), self.names.shown(target), _end(edges)
        return unchecked(
            Relation,
            {
                "source": one.name,
                "relation": relation,
                "target": other.name,
                "source_kind": one.kind,
                "target_kind": other.kind,
                "valid_from": to_datetime(edges[0].valid_from),
                "valid_until": None if until is None else to_datetime(until),
                "memory_ids": list(dict.fromkeys(edge.memory_id for edge in edges)),
            },
        )

    async def _ask(self, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return await self._engine.ask(self.store.name, method, *args, **kwargs)


def _spells(edges: Sequence[GraphEdge]) -> list[list[GraphEdge]]:
    """Return edges that say the same by the stretches of time in which one of them holds, the latest first."""
    if len(edges) == 1:
        return [list(edges)]
    parts: list[list[GraphEdge]] = []
    for edge in sorted(edges, key=lambda edge: (edge.valid_from, edge.memory_id, edge.position)):
        until = _end(parts[-1]) if parts else None
        if parts and (until is None or edge.valid_from <= until):
            parts[-1].append(edge)
        else:
            parts.append([edge])
    return parts[::-1]


def _end(edges: Sequence[GraphEdge]) -> int | None:
    """Return when the last of some edges ends; None where one is open."""
    ends = [edge.valid_until for edge in edges]
    return None if None in ends else max(end for end in ends if end is not None)
