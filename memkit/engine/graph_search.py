"""The graph in a search: what hangs together with the things that a question names, step by step along its words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from ..graph_parts import graph_ledger
from ..graph_stores.base import GraphEdge, Span
from ..graph_stores.support import owners_of
from ..ledger.base import Outlook, Record
from ..ledger.graph import GraphLedger
from ..ranking.text import tokens
from ..runtime import run_inline
from ..scope import ReadScope, whole_scope
from ..types import Relation
from .core import Engine
from .graph import GraphRequest, Reader, open_reader
from .graph_held import HeldReader
from .index import graph_for_reading

RELATIONS: Final = 25
"""Relations that a search returns at most."""
HELD: Final = 20_000
"""What owners of more memories say is not held in memory."""
_PAGE: Final = 1000
_STEPS: Final = 3
_BEAM: Final = 8
"""Edges that a step goes on along."""


@dataclass(slots=True)
class Around:
    """What the graph has to say of a search."""

    relations: list[Relation] = field(default_factory=list[Relation])
    connected: list[int] = field(default_factory=list[int])
    """Rids of memories along which the things that the question names lead on, nearest first."""
    warnings: list[str] = field(default_factory=list[str])


async def around(
    engine: Engine,
    outlook: Outlook,
    scope: ReadScope,
    as_of: int | None,
    text: str,
    records: Sequence[Record],
) -> Around:
    """Return what found memories say, in their order, then the relations of entities that the query names."""
    request = GraphRequest(scope=scope, span=None if as_of is None else Span.at(as_of))
    if outlook.embedder is not None and len(outlook.owners) == 1 and outlook.owners[0].memories <= HELD:
        found = await engine.rt.work(_held, engine, outlook, request, text, records)
        if found is not None:
            _, warning = await graph_for_reading(engine)
            found.warnings += [] if warning is None else [warning]
            return found
    reader = await open_reader(engine, request)
    if reader is None:
        return Around()
    return await _around(reader, text, records)


def _held(
    engine: Engine, outlook: Outlook, request: GraphRequest, text: str, records: Sequence[Record]
) -> Around | None:
    """Ask what is held in memory; None where nothing is."""
    ledger, (owner,), embedder = graph_ledger(engine.ledger), outlook.owners, outlook.embedder
    whole = _whole(request.scope)
    if whole is None:
        return None
    with engine.parts.caches.graph(
        owner.number, embedder, owner.event, lambda: _saying(engine, ledger, whole)
    ) as view:
        if view is None:
            return None
        if not view:
            return Around()
        reader = HeldReader(engine, ledger.graph, request, ledger.aliases(request.scope), view)
        return run_inline(_around(reader, text, records))


def _whole(scope: ReadScope) -> ReadScope | None:
    """Return the scope of all records of the one owner that a scope is about, or of everyone's; None for several."""
    if scope.everyone:
        return ReadScope(everyone=True)
    owners = owners_of(scope)
    return whole_scope(owners[0]) if owners is not None and len(owners) == 1 else None


def _saying(engine: Engine, ledger: GraphLedger, scope: ReadScope) -> Iterator[Sequence[Record]]:
    """Yield the live records of a scope that say anything."""
    cursor: str | None = None
    while True:
        page = ledger.graph.export(scope, limit=_PAGE, cursor=cursor)
        yield engine.ledger.records([record.memory_id for record in page.records])
        cursor = page.cursor
        if cursor is None:
            return


async def _around(reader: Reader, text: str, records: Sequence[Record]) -> Around:
    reader.take(records)
    edges = await reader.said([record.id for record in records], None)
    roots = await reader.named_in(text)
    near = await reader.near(roots, RELATIONS)
    known = {_place(edge) for edge in edges}
    edges += [edge for edge in near if _place(edge) not in known]
    connected = await _along(reader, roots, text)
    return Around(
        relations=reader.relations(edges, RELATIONS),
        connected=list(dict.fromkeys(reader.rid(edge) for edge in connected)),
        warnings=[] if reader.warning is None else [reader.warning],
    )


@dataclass(frozen=True, slots=True)
class _Way:
    """A way from a thing that the question names, and the words of the question that it follows."""

    end: str
    words: frozenset[str] = frozenset()
    edges: tuple[GraphEdge, ...] = ()


async def _along(reader: Reader, roots: Sequence[str], text: str) -> list[GraphEdge]:
    """Return the edges of ways from some entities, each step along a word of the question that none before followed.

    Those of the ways that follow most of its words come first.
    """
    words = frozenset(tokens(text))
    ways = [_Way(root, words.intersection(tokens(reader.name(root)))) for root in roots]
    found: list[_Way] = []
    for _ in range(_STEPS if words else 0):
        near: dict[str, list[tuple[GraphEdge, frozenset[str]]]] = {}
        for edge, said in await reader.touching(_left(ways, words)):
            for end in {edge.source_id, edge.target_id}:
                near.setdefault(end, []).append((edge, said & words))
        ways = sorted(
            (
                _Way(
                    edge.target_id if edge.source_id == way.end else edge.source_id,
                    way.words | said,
                    (*way.edges, edge),
                )
                for way in ways
                for edge, said in near.get(way.end, ())
                if not said <= way.words
            ),
            key=_best_first,
        )[:_BEAM]
        found += ways
        if not ways:
            break
    return [edge for way in sorted(found, key=_best_first) for edge in way.edges]


def _left(ways: Sequence[_Way], words: frozenset[str]) -> dict[str, frozenset[str]]:
    """Return for each end of ways the words that one of them has not followed yet."""
    left: dict[str, frozenset[str]] = {}
    for way in ways:
        left[way.end] = left.get(way.end, frozenset()) | (words - way.words)
    return left


def _best_first(way: _Way) -> tuple[int, int, int, str]:
    last = way.edges[-1]
    return -len(way.words), len(way.edges), -last.valid_from, last.memory_id


def _place(edge: GraphEdge) -> tuple[str, int]:
    return edge.memory_id, edge.position
