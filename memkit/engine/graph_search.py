"""The graph in a search: what hangs together with the things that a question names, step by step along its words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from ..graph_stores import walk
from ..graph_stores.base import GraphEdge, Span
from ..ledger.base import Record
from ..ranking.text import tokens
from ..scope import ReadScope
from ..types import Relation
from .core import Engine
from .graph import GraphRequest, Reader, open_reader

RELATIONS: Final = 25
"""Relations that a search returns at most."""
_STEPS: Final = 3
_BEAM: Final = 8
"""Edges that a step goes on along."""


@dataclass(slots=True)
class Around:
    """What the graph has to say of a search."""

    relations: list[Relation] = field(default_factory=list[Relation])
    connected: list[Record] = field(default_factory=list[Record])
    """Memories along which the things that the question names lead on, nearest first."""
    warnings: list[str] = field(default_factory=list[str])


async def around(
    engine: Engine, scope: ReadScope, as_of: int | None, text: str, records: Sequence[Record]
) -> Around:
    """Return what found memories say, in their order, then the relations of entities that the query names."""
    span = None if as_of is None else Span.at(as_of)
    reader = await open_reader(engine, GraphRequest(scope=scope, span=span))
    if reader is None:
        return Around()
    reader.take(records)
    edges = await reader.said([record.id for record in records], None)
    roots = await reader.named_in(text)
    near = await walk.adrive(walk.neighbours(roots, depth=1, limit=RELATIONS), reader.edges) if roots else []
    known = {_place(edge) for edge in edges}
    edges += [edge for edge in near if _place(edge) not in known]
    connected = await _along(reader, roots, text)
    ids = dict.fromkeys(edge.memory_id for edge in connected)
    return Around(
        relations=reader.relations(edges)[:RELATIONS],
        connected=[record for one in ids if (record := reader.record(one)) is not None],
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
        edges = await reader.edges(walk.Step(list(dict.fromkeys(way.end for way in ways))))
        near: dict[str, list[GraphEdge]] = {}
        for edge in edges:
            for end in {edge.source_id, edge.target_id}:
                near.setdefault(end, []).append(edge)
        said = {_place(edge): words & _words(reader, edge) for edge in edges}
        ways = sorted(
            (
                _Way(
                    edge.target_id if edge.source_id == way.end else edge.source_id,
                    way.words | said[_place(edge)],
                    (*way.edges, edge),
                )
                for way in ways
                for edge in near.get(way.end, ())
                if said[_place(edge)] - way.words
            ),
            key=_best_first,
        )[:_BEAM]
        found += ways
        if not ways:
            break
    return [edge for way in sorted(found, key=_best_first) for edge in way.edges]


def _best_first(way: _Way) -> tuple[int, int, int, str]:
    last = way.edges[-1]
    return -len(way.words), len(way.edges), -last.valid_from, last.memory_id


def _words(reader: Reader, edge: GraphEdge) -> set[str]:
    record = reader.record(edge.memory_id)
    said = "" if record is None else record.text
    return set(tokens(f"{edge.relation.replace('_', ' ')} {said}"))


def _place(edge: GraphEdge) -> tuple[str, int]:
    return edge.memory_id, edge.position
