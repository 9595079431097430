"""Walking a graph whose edges come a step at a time: the same text for stores with and without an event loop.

A walk is a generator. It yields the entities whose edges it needs, and is sent these edges; whoever drives it may
leave out what must not be seen, and the walk goes no further there.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, TypeVar

from memkit.graph_stores.base import GraphEdge, GraphPath
from memkit.graph_stores.support import check_hops, check_limit, nearest_first

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Step:
    """A wish for all edges that touch these entities, in either direction."""

    entity_ids: Sequence[str]
    limit: int | None = None
    """So many of the latest are enough (by `valid_from`, then memory id and position); None: all are needed."""


Walk = Generator[Step, Sequence[GraphEdge], R]


def drive(walk: Walk[R], edges: Callable[[Step], Sequence[GraphEdge]]) -> R:
    """Return what a walk ends with, given how to find the edges of a step."""
    try:
        step = next(walk)
        while True:
            step = walk.send(edges(step))
    except StopIteration as stop:
        return stop.value


async def adrive(walk: Walk[R], edges: Callable[[Step], Coroutine[Any, Any, Sequence[GraphEdge]]]) -> R:
    """Return what a walk ends with, given how to await the edges of a step."""
    try:
        step = next(walk)
        while True:
            step = walk.send(await edges(step))
    except StopIteration as stop:
        return stop.value


def neighbours(entity_ids: Sequence[str], *, depth: int, limit: int) -> Walk[list[GraphEdge]]:
    """Walk `depth` steps from some entities and return the edges met, nearest first, at most `limit`.

    Raises:
        InvalidInputError: The depth or the limit is out of range.
    """
    check_hops(depth, "depth")
    check_limit(limit)
    found: dict[tuple[str, int], GraphEdge] = {}
    seen, frontier = set(entity_ids), list(dict.fromkeys(entity_ids))
    for hop in range(1, depth + 1):
        # Enough, though some were met before: no more of them than are in the result already.
        edges = (yield Step(frontier, limit)) if frontier else ()
        for edge in edges:
            found.setdefault((edge.memory_id, edge.position), replace(edge, hop=hop))
        if len(found) >= limit:
            break
        ends = dict.fromkeys(end for edge in edges for end in (edge.source_id, edge.target_id))
        frontier = [end for end in ends if end not in seen]
        seen.update(frontier)
    return sorted(found.values(), key=nearest_first)[:limit]


def paths(a: Sequence[str], b: Sequence[str], *, max_hops: int, limit: int) -> Walk[list[GraphPath]]:
    """Walk from both ends, the smaller side first, and return the ways between them, shortest first.

    Raises:
        InvalidInputError: The number of hops or the limit is out of range.
    """
    check_hops(max_hops, "max_hops")
    check_limit(limit)
    near: dict[str, dict[str, list[GraphEdge]]] = {}
    known: set[tuple[str, int]] = set()
    sides = [_Side(a), _Side(b)]
    for _ in range(max_hops):
        side = min(sides, key=lambda side: len(side.frontier))
        edges = (yield Step(side.frontier)) if side.frontier else ()
        for edge in edges:
            if (edge.memory_id, edge.position) not in known:
                known.add((edge.memory_id, edge.position))
                near.setdefault(edge.source_id, {}).setdefault(edge.target_id, []).append(edge)
                if edge.source_id != edge.target_id:
                    near.setdefault(edge.target_id, {}).setdefault(edge.source_id, []).append(edge)
        side.go(edges)
    return _ways(near, set(a), set(b), max_hops, limit)


class _Side:
    """One end of a search for ways: what it has seen, and where it goes on."""

    def __init__(self, start: Sequence[str]) -> None:
        self.frontier = list(dict.fromkeys(start))
        self._seen = set(start)

    def go(self, edges: Sequence[GraphEdge]) -> None:
        ends = dict.fromkeys(end for edge in edges for end in (edge.source_id, edge.target_id))
        self.frontier = [end for end in ends if end not in self._seen]
        self._seen.update(self.frontier)


def _ways(
    near: dict[str, dict[str, list[GraphEdge]]], a: set[str], b: set[str], max_hops: int, limit: int
) -> list[GraphPath]:
    goal = b - a
    away = _distances(near, goal)
    found: list[GraphPath] = []
    for length in range(1, max_hops + 1):
        for start in sorted(a - b):
            for way in _exactly(near, away, (start,), a, goal, length):
                if len(found) >= limit:
                    return found
                steps = [sorted(near[one][other], key=nearest_first) for one, other in pairwise(way)]
                found.append(GraphPath(way, steps))
    return found


def _exactly(
    near: dict[str, dict[str, list[GraphEdge]]],
    away: dict[str, int],
    way: tuple[str, ...],
    starts: set[str],
    goal: set[str],
    left: int,
) -> Iterator[tuple[str, ...]]:
    """Yield the ways of exactly so many more steps to the goal, by ids, that go through neither end."""
    if left == 0 or way[-1] in goal:
        if left == 0:
            yield way
        return
    for other in sorted(near.get(way[-1], ())):
        if other not in way and other not in starts and away.get(other, left) < left:
            yield from _exactly(near, away, (*way, other), starts, goal, left - 1)


def _distances(near: dict[str, dict[str, list[GraphEdge]]], goal: set[str]) -> dict[str, int]:
    """Return how many steps each entity is away from the goal at least."""
    away = dict.fromkeys(goal, 0)
    frontier = goal
    while frontier:
        steps = 1 + away[next(iter(frontier))]
        frontier = {other for one in frontier for other in near.get(one, ()) if other not in away}
        away.update(dict.fromkeys(frontier, steps))
    return away
