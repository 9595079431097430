"""The laws of finding entities, and of walking from one to another."""

from __future__ import annotations

import pytest

from memkit.errors import InvalidInputError
from memkit.graph_stores.base import MAX_HOPS, GraphNode, GraphRecord, Span
from memkit.testing.graph_data import ALICE, HOUR, NOON, id_of, memory
from memkit.testing.graph_sharing import SharedGraphLaws
from memkit.testing.laws import Driver


class WalkingLaws(SharedGraphLaws):
    """What is found from where, in which order, and when it was true."""

    def test_an_entity_is_found_by_any_name_it_is_called(self, store: Driver) -> None:
        """Names are compared folded; the entity carries the name and the known kind that most memories use.

        Troubleshooting: look up `fold_name` of each mention, and build the answer with `entity_of`.
        """
        bob = [
            GraphNode("k", "Bob", "thing"),
            GraphNode("k", "Robert", "person"),
            GraphNode("k", "Robert", "thing"),
        ]
        store.call(
            "upsert",
            [
                GraphRecord(memory_id=f"m{n}", user_id="alice", entities=(one,), created_at=0, valid_from=n)
                for n, one in enumerate(bob)
            ],
        )
        for name in ("bob", "  BOB! ", "the Bob", "ROBERT"):
            (entity,) = store.call("find_entities", [name, "nobody"], scope=ALICE)
            assert (entity.name, entity.kind, list(entity.memory_ids)) == (
                "Robert",
                "person",
                ["m0", "m1", "m2"],
            )
        (early,) = store.call("find_entities", ["bob"], scope=ALICE, during=Span.at(0))
        assert (early.name, early.kind) == ("Bob", "thing")
        assert store.call("find_entities", ["robert"], scope=ALICE, during=Span.at(0)) == []
        assert store.call("find_entities", ["bo", "", "bob robert"], scope=ALICE) == []
        assert store.call("find_entities", [], scope=ALICE) == []

    def test_entities_come_in_pages(self, store: Driver) -> None:
        """`limit` and `after` give every entity once, by id.

        Troubleshooting: order by id and begin after the given one.
        """
        store.call("upsert", [memory(f"m{n}", names=[f"name {n}"]) for n in range(7)])
        ids: list[str] = []
        while page := store.call("find_entities", None, scope=ALICE, limit=3, after=ids[-1] if ids else None):
            assert len(page) <= 3
            ids += [entity.id for entity in page]
        assert ids == sorted(ids) and len(set(ids)) == 7

    def test_a_walk_goes_through_an_entity_that_very_many_others_touch(self, store: Driver) -> None:
        """The ends of some hundred edges may all be where the next step begins.

        Troubleshooting: give ids as one parameter, or in parts; databases bound the terms of a statement.
        """
        hub = [f"P{n} likes Hub" for n in range(520)]
        store.call("upsert", [memory("m0", *hub), memory("m1", "P7 likes Far")])
        everyone = [id_of(f"P{n}") for n in range(520)]
        edges = store.call("neighbours", everyone, scope=ALICE, limit=1_000)
        assert len(edges) == 521
        (way,) = store.call("paths", [id_of("P3")], [id_of("Far")], scope=ALICE, max_hops=4)
        assert list(way.entities) == [id_of(name) for name in ("P3", "Hub", "P7", "Far")]

    def test_neighbours_are_met_in_both_directions_nearest_first(self, store: Driver) -> None:
        """Each step goes along and against edges; each edge is met once, with the step it was met at.

        Troubleshooting: use `memkit.graph_stores.walk`, which needs only the edges of a step.
        """
        said_by = [
            "Ann likes Bob",
            "Cid likes Bob",
            "Cid likes Dee",
            "Dee likes Ann",
            "Eve likes Eve",
            "Eve likes Dee",
        ]
        store.call("upsert", [memory(f"m{n}", text) for n, text in enumerate(said_by)])
        expected = [["m0", "m3"], ["m1", "m2", "m5"], ["m4"]]
        for depth in (1, 2, 3, MAX_HOPS):
            edges = store.call("neighbours", [id_of("Ann")], scope=ALICE, depth=depth)
            assert [[edge.memory_id for edge in edges if edge.hop == hop] for hop in range(1, depth + 1)] == (
                expected[:depth] + [[]] * (depth - 3)
            )
            assert [edge.hop for edge in edges] == sorted(edge.hop for edge in edges)
        both = store.call("neighbours", [id_of("Ann"), id_of("Eve"), id_of("Ann"), "unknown"], scope=ALICE)
        assert [edge.memory_id for edge in both] == ["m0", "m3", "m4", "m5"]
        assert store.call("neighbours", [], scope=ALICE) == []

    def test_a_limit_keeps_the_nearest_and_latest(self, store: Driver) -> None:
        """Of too many edges those of the nearest step stay, then the latest, then by memory id and position.

        Troubleshooting: order in the database before it cuts.
        """
        near = [memory(f"m{n}", "Ann likes Bob", "Ann knows Bob", valid_from=NOON + n % 3) for n in range(9)]
        far = memory("far", "Bob likes Cid", valid_from=NOON + 100)
        store.call("upsert", [far, *near])
        everywhere = [
            (record.memory_id, position)
            for record in sorted(near, key=lambda record: (-record.valid_from, record.memory_id))
            for position in (0, 1)
        ]
        for limit in (1, 5, 18, 19, 500):
            edges = store.call("neighbours", [id_of("Ann")], scope=ALICE, depth=3, limit=limit)
            assert [(edge.memory_id, edge.position) for edge in edges] == [*everywhere, ("far", 0)][:limit]

    def test_what_is_out_of_range_is_refused(self, store: Driver) -> None:
        """A limit below 1, and a depth or number of hops below 1 or above `MAX_HOPS`, is an error.

        Troubleshooting: call `check_limit` and `check_hops`.
        """
        store.call("upsert", [memory("m1", "Ann likes Bob")])
        ends = [id_of("Ann")], [id_of("Bob")]
        for wrong in (0, -1, MAX_HOPS + 1, 10**12, True):
            with pytest.raises(InvalidInputError):
                store.call("neighbours", ends[0], scope=ALICE, depth=wrong)
            with pytest.raises(InvalidInputError):
                store.call("paths", *ends, scope=ALICE, max_hops=wrong)
        for method, args in (("neighbours", ends[:1]), ("paths", ends), ("find_entities", (["Ann"],))):
            with pytest.raises(InvalidInputError):
                store.call(method, *args, scope=ALICE, limit=0)
        with pytest.raises(InvalidInputError):
            store.call("export", ALICE, limit=0)

    def test_time_bounds_are_exact(self, store: Driver) -> None:
        """An edge is true from its first instant on and not at its last; expiry ends it likewise.

        Troubleshooting: `Span.meets` says it; keep microseconds as whole numbers.
        """
        store.call(
            "upsert",
            [
                memory("closed", "Ann likes Bob", valid_until=NOON + HOUR),
                memory("open", "Ann likes Cid", valid_from=NOON + HOUR),
                memory("expired", "Ann likes Dee", valid_until=NOON + 3 * HOUR, expires_at=NOON + HOUR),
                memory("never", "Ann likes Eve", valid_until=NOON),
            ],
        )
        expected = {
            Span.at(NOON - 1): "",
            Span.at(NOON): "closed expired",
            Span.at(NOON + HOUR - 1): "closed expired",
            Span.at(NOON + HOUR): "open",
            Span(NOON + HOUR - 1, NOON + HOUR): "closed expired open",
            Span(NOON - HOUR, NOON - 1): "",
            Span(0, NOON + 9 * HOUR): "closed expired open",
        }
        for span, ids in expected.items():
            edges = store.call("neighbours", [id_of("Ann")], scope=ALICE, during=span)
            assert sorted(edge.memory_id for edge in edges) == ids.split()
            named = store.call("find_entities", None, scope=ALICE, during=span)
            assert sorted({id for entity in named for id in entity.memory_ids}) == ids.split()
        assert len(store.call("neighbours", [id_of("Ann")], scope=ALICE)) == 4
        ends = [id_of("Bob")], [id_of("Cid")]
        assert store.call("paths", *ends, scope=ALICE, during=Span.at(NOON)) == []
        assert len(store.call("paths", *ends, scope=ALICE, during=Span(NOON, NOON + HOUR))) == 1

    def test_paths_are_the_shortest_first_and_visit_nothing_twice(self, store: Driver) -> None:
        """Ways are simple, in either direction, of at most `max_hops` steps, with every edge of each step.

        Troubleshooting: use `memkit.graph_stores.walk.paths`.
        """
        said_by = [
            "Ann likes Bob",
            "Bob likes Dee",
            "Ann likes Cid",
            "Dee likes Cid",
            "Cid likes Eve",
            "Eve likes Dee",
        ]
        store.call("upsert", [memory(f"m{n}", text) for n, text in enumerate([*said_by, "Bob knows Ann"])])
        ends = [id_of("Ann")], [id_of("Dee")]
        ways = store.call("paths", *ends, scope=ALICE, max_hops=5)
        names = {id_of(name): name for name in ("Ann", "Bob", "Cid", "Dee", "Eve")}
        walked = [" ".join(names[id] for id in way.entities) for way in ways]
        assert sorted(walked[:2]) == ["Ann Bob Dee", "Ann Cid Dee"] and walked[2:] == ["Ann Cid Eve Dee"]
        (over_bob,) = [way for way in ways if id_of("Bob") in way.entities]
        assert [[edge.memory_id for edge in step] for step in over_bob.edges] == [["m0", "m6"], ["m1"]]
        assert len(store.call("paths", *ends, scope=ALICE, max_hops=2)) == 2
        assert store.call("paths", *ends, scope=ALICE, max_hops=1) == []
        assert store.call("paths", *ends, scope=ALICE, max_hops=5, limit=1) == ways[:1]
        assert store.call("paths", *ends[::-1], scope=ALICE, max_hops=2, limit=1)[0].entities[0] == ends[1][0]
        for a, b in ((ends[0], ends[0]), (ends[0], ["unknown"]), ([], ends[1]), (["unknown"], ["unknown"])):
            assert store.call("paths", a, b, scope=ALICE) == []
