"""Walks a step at a time, compared with the oracle, which walks by algorithms of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from memkit.graph_stores import walk
from memkit.graph_stores.base import GraphEdge, GraphRecord
from memkit.graph_stores.networkx import NetworkxStore
from memkit.graph_stores.support import edges_of, nearest_first
from memkit.testing.graph_data import ALICE, EVERYONE, NOON, RECORDS, id_of, memory

NAMES = ("Ann", "Bob", "Cid", "Dee", "Eve", "Fay")


class Steps:
    """The edges of a step out of a list, and what was asked."""

    def __init__(self, records: Sequence[GraphRecord]) -> None:
        latest = {record.memory_id: record for record in records}
        self.edges = [edge for record in latest.values() for edge in edges_of(record)]
        self.asked: list[walk.Step] = []

    def __call__(self, step: walk.Step) -> list[GraphEdge]:
        self.asked.append(step)
        near = set(step.entity_ids)
        found = [edge for edge in self.edges if {edge.source_id, edge.target_id} & near]
        return sorted(found, key=nearest_first)[: step.limit]

    async def wait(self, step: walk.Step) -> list[GraphEdge]:
        await asyncio.sleep(0)
        return self(step)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(RECORDS, max_size=8),
    st.lists(st.sampled_from(NAMES), min_size=1, max_size=2),
    st.lists(st.sampled_from(NAMES), min_size=1, max_size=2),
    st.integers(1, 5),
    st.sampled_from([1, 3, 1000]),
)
def test_a_walk_finds_what_the_oracle_finds(
    records: list[GraphRecord], a: list[str], b: list[str], hops: int, limit: int
) -> None:
    oracle, steps = NetworkxStore(), Steps(records)
    oracle.upsert(records)
    starts, goals = [id_of(name) for name in a], [id_of(name) for name in b]
    edges = walk.drive(walk.neighbours(starts, depth=hops, limit=limit), steps)
    expected = oracle.neighbours(starts, scope=EVERYONE, depth=hops, limit=limit)
    assert edges == expected and [edge.hop for edge in edges] == [edge.hop for edge in expected]
    ways = walk.drive(walk.paths(starts, goals, max_hops=hops, limit=limit), steps)
    assert [list(way.entities) for way in ways] == [
        list(way.entities) for way in oracle.paths(starts, goals, scope=EVERYONE, max_hops=hops, limit=limit)
    ]
    assert len(steps.asked) <= 2 * hops


def test_both_ways_of_driving_end_alike_and_ask_at_most_once_a_hop() -> None:
    records = [memory(f"m{n}", f"N{n} likes N{n + 1}") for n in range(9)]
    ends = [id_of("N0")], [id_of("N9")]
    one, other = Steps(records), Steps(records)
    found = walk.drive(walk.paths(*ends, max_hops=9, limit=1), one)
    assert asyncio.run(walk.adrive(walk.paths(*ends, max_hops=9, limit=1), other.wait)) == found
    assert [len(way.edges) for way in found] == [9]
    assert len(one.asked) == 9 and all(len(step.entity_ids) == 1 for step in one.asked)


def test_a_walk_goes_no_further_than_its_driver_lets_it_see() -> None:
    records = [
        memory("m1", "Ann likes Bob"),
        memory("hidden", "Bob likes Cid"),
        memory("m3", "Cid likes Dee"),
    ]
    steps = Steps(records)

    def seen(step: walk.Step) -> list[GraphEdge]:
        return [edge for edge in steps(step) if edge.memory_id != "hidden"]

    ids = [id_of("Ann")]
    assert [edge.memory_id for edge in walk.drive(walk.neighbours(ids, depth=5, limit=9), seen)] == ["m1"]
    assert walk.drive(walk.paths(ids, [id_of("Dee")], max_hops=5, limit=9), seen) == []


def test_a_hub_is_read_no_further_than_the_limit_needs() -> None:
    steps = Steps([memory(f"m{n}", f"Ann likes N{n}") for n in range(300)])
    assert len(walk.drive(walk.neighbours([id_of("Ann")], depth=3, limit=20), steps)) == 20
    assert [(step.entity_ids, step.limit) for step in steps.asked] == [([id_of("Ann")], 20)]


def test_the_smaller_side_of_two_hubs_is_walked_first() -> None:
    records = [memory(f"m{n}", f"Ann likes N{n}") for n in range(300)]
    records += [memory("a", "Bob likes Cid"), memory("b", "Cid likes Dee"), memory("c", "Dee likes Ann")]
    steps = Steps(records)
    (way,) = walk.drive(walk.paths([id_of("Ann")], [id_of("Bob")], max_hops=3, limit=5), steps)
    assert [edge.memory_id for step in way.edges for edge in step] == ["c", "b", "a"]
    assert max(len(step.entity_ids) for step in steps.asked) == 1


def test_a_way_leads_through_neither_end() -> None:
    records = [memory("m1", "Ann likes Bob"), memory("m2", "Bob likes Cid"), memory("m3", "Cid likes Dee")]
    oracle = NetworkxStore()
    oracle.upsert(records)
    ends = [id_of("Ann"), id_of("Bob")], [id_of("Cid"), id_of("Dee")]
    for ways in (
        walk.drive(walk.paths(*ends, max_hops=5, limit=9), Steps(records)),
        oracle.paths(*ends, scope=ALICE, max_hops=5, limit=9),
    ):
        assert [list(way.entities) for way in ways] == [[id_of("Bob"), id_of("Cid")]]


def test_what_was_met_before_takes_no_place_of_what_is_new() -> None:
    near = [memory(f"m{n}", "Ann likes Bob", valid_from=NOON + n) for n in range(5)]
    far = [memory(f"far{n}", f"Bob likes N{n}") for n in range(5)]
    edges = walk.drive(walk.neighbours([id_of("Ann")], depth=2, limit=8), Steps([*near, *far]))
    assert [edge.memory_id for edge in edges] == ["m4", "m3", "m2", "m1", "m0", "far0", "far1", "far2"]


def test_the_oracle_agrees_with_a_drawing() -> None:
    oracle = NetworkxStore()
    oracle.upsert(
        [memory("m1", "Ann likes Bob"), memory("m2", "Cid likes Bob"), memory("m3", "Ann knows Cid")]
    )
    ways = oracle.paths([id_of("Ann")], [id_of("Bob")], scope=ALICE)
    assert [[[edge.memory_id for edge in step] for step in way.edges] for way in ways] == [
        [["m1"]],
        [["m3"], ["m2"]],
    ]
