"""The conformance suite of graph stores: subclass it and say how to make a store.

```python
class TestMyGraph(GraphStoreSuite):
    def make_store(self, tmp_path):
        return MyGraph(MyGraph.Settings(path=tmp_path / "mine"))
```
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from memkit.errors import InvalidInputError, ScopeError
from memkit.graph_stores.base import GraphCount, GraphNode, GraphRecord, GraphTriple
from memkit.graph_stores.networkx import NetworkxStore
from memkit.scope import ReadScope
from memkit.testing.graph_data import (
    ALICE,
    EVERYONE,
    HOSTILE_IDS,
    HOSTILE_TEXTS,
    HOUR,
    NOON,
    OPERATIONS,
    id_of,
    memory,
    node,
)
from memkit.testing.graph_sharing import check_like, everything, said
from memkit.testing.graph_walking import WalkingLaws
from memkit.testing.laws import Driver

__all__ = ["GraphStoreSuite"]


class GraphStoreSuite(WalkingLaws):
    """The laws of a graph store; each runs through the sync and through the async way of calling."""

    # Writing.

    def test_what_a_memory_says_comes_back_exactly(self, store: Driver) -> None:
        """`export` gives every field of what was written, and `count` counts memories, entities and edges.

        Troubleshooting: keep the record itself, as `dump_record` writes it, beside what is walked.
        """
        full = memory(
            "m1", "Ann likes Bob", "Ann likes Bob", "Ann likes Ann", names=["Cid", "Ann"], agent_id="bot", run_id="r",
            valid_until=NOON + HOUR, expires_at=NOON + 2 * HOUR, created_at=-5, valid_from=-7,
        )  # fmt: skip
        bare = memory("m2")
        store.call("upsert", [full, bare])
        assert everything(store) == {"m1": full, "m2": bare}
        assert store.call("count", EVERYONE) == GraphCount(memories=2, entities=3, edges=3)
        info = store.call("info")
        assert info.count == GraphCount(memories=2, entities=3, edges=3) and info.name

    def test_writing_again_changes_nothing(self, store: Driver) -> None:
        """An upsert may be repeated; of equal ids in one call the last wins.

        Troubleshooting: replace by memory id, never add.
        """
        old, new = memory("m1", "Ann likes Bob"), memory("m1", "Ann knows Cid", names=["Dee"])
        for _ in range(3):
            store.call("upsert", [old, new])
            assert everything(store) == {"m1": new}
            assert store.call("count", ALICE) == GraphCount(memories=1, entities=3, edges=1)
        assert said(store.call("neighbours", [id_of("Ann")], scope=ALICE)) == ["Ann knows Cid"]
        assert store.call("find_entities", ["Bob"], scope=ALICE) == []

    def test_an_upsert_replaces_what_the_memory_said(self, store: Driver) -> None:
        """Edges, names, times and ids of the older state are gone.

        Troubleshooting: take everything of the memory away, then write it.
        """
        store.call("upsert", [memory("m1", "Ann likes Bob"), memory("m2", "Bob knows Cid")])
        store.call("upsert", [memory("m1", "Ann likes Dee", user_id="bob", valid_until=NOON + HOUR)])
        assert store.call("find_entities", ["Ann"], scope=ALICE) == []
        (entity,) = store.call("find_entities", ["Bob"], scope=ALICE)
        assert list(entity.memory_ids) == ["m2"]
        (edge,) = store.call("neighbours", [_bobs("Ann")], scope=ReadScope(user_id="bob"))
        assert (edge.target.name, edge.valid_until, edge.user_id) == ("Dee", NOON + HOUR, "bob")

    def test_an_edge_lives_while_a_memory_says_it(self, store: Driver) -> None:
        """Two memories that say the same give two edges; one removed leaves the other; removing twice does nothing.

        Troubleshooting: an edge belongs to a memory and a position, not to its two ends.
        """
        store.call("upsert", [memory(id, "Ann likes Bob") for id in ("m1", "m2")])
        edges = store.call("neighbours", [id_of("Ann")], scope=ALICE)
        assert sorted(edge.memory_id for edge in edges) == ["m1", "m2"]
        for _ in range(2):
            store.call("remove", ["m1", "unknown"])
            (edge,) = store.call("neighbours", [id_of("Bob")], scope=ALICE)
            assert edge.memory_id == "m2"
        store.call("remove", [])
        assert store.call("count", ALICE).memories == 1
        store.call("remove", ["m2"])
        assert store.call("count", EVERYONE) == GraphCount()

    def test_an_entity_lives_while_a_memory_names_it(self, store: Driver) -> None:
        """An entity that no memory names any more is gone; one that is still named stays.

        Troubleshooting: count mentions, ends of edges too, in the transaction that takes one away.
        """
        store.call("upsert", [memory("m1", "Ann likes Bob", names=["Cid"]), memory("m2", names=["Bob"])])
        store.call("remove", ["m1"])
        assert [entity.name for entity in store.call("find_entities", None, scope=ALICE)] == ["Bob"]
        assert store.call("count", EVERYONE) == GraphCount(memories=1, entities=1, edges=0)

    def test_what_cannot_be_stored_is_refused_before_anything_is_written(self, store: Driver) -> None:
        """An empty id, name, kind or relation, a lone surrogate, or a record of nobody is an error.

        Troubleshooting: call `check_records` before the first request.
        """
        good = memory("good", "Ann likes Bob")
        odd = GraphNode("key", "\ud800")
        for bad in (
            memory(""),
            memory("\ud800"),
            memory("x", GraphTriple(node("Ann"), "", node("Bob"))),
            memory("x", GraphTriple(node("Ann"), "likes", odd)),
            GraphRecord(memory_id="x", user_id="alice", entities=(odd,), created_at=0, valid_from=0),
            GraphRecord(
                memory_id="x", user_id="u", entities=(GraphNode("", "a"),), created_at=0, valid_from=0
            ),
            GraphRecord(
                memory_id="x", user_id="u", entities=(GraphNode("a", ""),), created_at=0, valid_from=0
            ),
            GraphRecord(
                memory_id="x", user_id="u", entities=(GraphNode("a", "a", ""),), created_at=0, valid_from=0
            ),
            GraphRecord(memory_id="x", created_at=0, valid_from=0),
            GraphRecord(memory_id="x", user_id=" ", created_at=0, valid_from=0),
        ):
            with pytest.raises((InvalidInputError, ScopeError)):
                store.call("upsert", [good, bad])
            assert store.call("count", EVERYONE) == GraphCount()

    @pytest.mark.parametrize("text", HOSTILE_TEXTS, ids=lambda text: f"text{HOSTILE_TEXTS.index(text)}")
    def test_a_text_is_only_a_text(self, store: Driver, text: str) -> None:
        """Whatever stands in a name, kind, key, relation or id is stored as it is, found, and can be removed.

        Troubleshooting: pass every text as a parameter, and index a digest of it where keys are limited.
        """
        hostile = GraphTriple(GraphNode(text, text, text), text, node("Bob"))
        record = memory(text, hostile, user_id=f"u{text}", agent_id=text, run_id=f"{text}r", names=["Cid"])
        scope = ReadScope(user_id=f"u{text}", agents=frozenset({text}), runs=frozenset({f"{text}r"}))
        other = memory("other", "Ann likes Bob", user_id=f"u{text}x")
        store.call("upsert", [other, record])
        assert everything(store, scope) == {text: record}
        (entity,) = store.call("find_entities", [text], scope=scope)
        assert (entity.name, entity.kind, entity.key, entity.owner.id) == (text, text, text, f"u{text}")
        (edge,) = store.call("neighbours", [entity.id], scope=scope)
        assert (edge.source, edge.relation, edge.memory_id) == (GraphNode(text, text, text), text, text)
        (path,) = store.call("paths", [entity.id], [edge.target_id], scope=scope)
        assert list(path.entities) == [entity.id, edge.target_id]
        assert store.call("find_entities", [text], scope=ALICE) == []
        store.call("remove", [text])
        assert everything(store) == {"other": other}

    # Scope.

    def test_ids_are_compared_exactly(self, store: Driver) -> None:
        """Case, blanks, normal forms and what looks like a number make another user.

        Troubleshooting: look for collations, trimming and typed columns.
        """
        store.call(
            "upsert", [memory(f"m{n}", "Ann likes Bob", user_id=id) for n, id in enumerate(HOSTILE_IDS)]
        )
        for n, id in enumerate(HOSTILE_IDS):
            scope = ReadScope(user_id=id)
            assert list(everything(store, scope)) == [f"m{n}"]
            assert store.call("count", scope) == GraphCount(memories=1, entities=2, edges=1)
            (entity,) = store.call("find_entities", ["ann"], scope=scope)
            assert entity.owner.id == id
            assert [edge.memory_id for edge in store.call("neighbours", [entity.id], scope=scope)] == [
                f"m{n}"
            ]
        store.call("drop", ReadScope(user_id="u"))
        assert store.call("count", EVERYONE).memories == len(HOSTILE_IDS) - 1

    def test_every_read_keeps_to_the_scope(self, store: Driver) -> None:
        """User, agents and runs are ANDed, None in a set means "stored without", and no walk leaves the scope.

        Troubleshooting: test every edge and mention by the ids of its memory, at every step.
        """
        store.call(
            "upsert",
            [
                memory("own", "Ann likes Bob"),
                memory("bot", "Bob likes Cid", agent_id="bot"),
                memory("run", "Cid likes Dee", agent_id="bot", run_id="r"),
                memory("cat", "Dee likes Eve", agent_id="cat"),
                memory("bob", "Ann likes Fay", user_id="bob"),
                memory("nobody", "Ann likes Eve", user_id=None, agent_id="bot"),
            ],
        )
        scopes: dict[str, ReadScope] = {
            "own bot cat run": ALICE,
            "own bot run": ReadScope(user_id="alice", agents=frozenset({None, "bot"})),
            "bot run": ReadScope(user_id="alice", agents=frozenset({"bot"})),
            "own bot cat": ReadScope(user_id="alice", runs=frozenset({None})),
            "run": ReadScope(user_id="alice", agents=frozenset({"bot", "cat"}), runs=frozenset({"r"})),
            "bob": ReadScope(user_id="bob"),
            "nobody": ReadScope(agents=frozenset({"bot"})),
            "bot nobody run": ReadScope(agents=frozenset({"bot"}), everyone=True),
            "": ReadScope(user_id="Alice"),
        }
        starts = [id_of(name) for name in ("Ann", "Bob", "Cid", "Dee", "Eve")]
        for expected, scope in scopes.items():
            ids = expected.split()
            assert sorted(everything(store, scope)) == sorted(ids)
            assert store.call("count", scope).memories == store.call("count", scope).edges == len(ids)
            walked = store.call("neighbours", starts, scope=scope, depth=4)
            assert {edge.memory_id for edge in walked} == {id for id in ids if id not in ("bob", "nobody")}
            named = store.call("find_entities", None, scope=scope)
            assert {id for entity in named for id in entity.memory_ids} == set(ids)
        ends = [id_of("Ann")], [id_of("Dee")]
        assert len(store.call("paths", *ends, scope=ALICE)) == 1
        assert store.call("paths", *ends, scope=scopes_without_bot()) == []

    def test_the_same_name_of_two_owners_is_two_entities(self, store: Driver) -> None:
        """A walk across users never steps from one user's entity to another's of the same key.

        Troubleshooting: make the id of a node with `entity_id`, which the owner is part of.
        """
        store.call("upsert", [memory("m1", "Ann likes Bob"), memory("m2", "Bob likes Cid", user_id="bob")])
        assert len(store.call("find_entities", ["Bob"], scope=EVERYONE)) == 2
        assert said(store.call("neighbours", [id_of("Ann")], scope=EVERYONE, depth=5)) == ["Ann likes Bob"]
        assert store.call("paths", [id_of("Ann")], [_bobs("Cid")], scope=EVERYONE) == []

    def test_dropping_a_scope_touches_nobody_else(self, store: Driver) -> None:
        """`drop(scope)` takes what the scope holds, `drop()` this graph, and never a graph of another name.

        Troubleshooting: never delete by label alone.
        """
        mine = [memory("m1", "Ann likes Bob"), memory("m2", "Ann likes Cid", agent_id="bot")]
        theirs = memory("m3", "Ann likes Bob", user_id="bob")
        store.call("upsert", [*mine, theirs])
        other = self.other_graph(store)
        store.call("drop", ReadScope(user_id="alice", agents=frozenset({None})))
        assert sorted(everything(store)) == ["m2", "m3"]
        assert store.call("find_entities", ["Bob"], scope=ALICE) == []
        store.call("drop", ALICE)
        assert everything(store) == {"m3": theirs}
        store.call("drop")
        store.call("drop")
        assert store.call("count", EVERYONE) == GraphCount()
        if other is not None:
            assert other.count(EVERYONE).memories == 1
            other.drop()
            other.close()

    # Listing.

    def test_pages_hold_every_memory_once(self, store: Driver) -> None:
        """Pages of any size hold every memory of the scope once; the last has no cursor.

        Troubleshooting: order by something of the store's own, and let the cursor be its last value.
        """
        records = {
            f"m{n}": memory(f"m{n}", "Ann likes Bob", user_id="alice" if n % 2 else "bob") for n in range(11)
        }
        store.call("upsert", list(records.values()))
        alices = {id: record for id, record in records.items() if record.user_id == "alice"}
        for limit in (1, 2, 5, 100):
            assert everything(store, limit=limit) == records
            assert everything(store, ALICE, limit=limit) == alices

    def test_large_batches_are_split(self, store: Driver) -> None:
        """Thousands of memories go in, out and away in one call each.

        Troubleshooting: split to what the database takes at once.
        """
        many = [memory(f"m{n}", f"Ann likes N{n % 50}", names=[f"N{n}"]) for n in range(self.capacity)]
        store.call("upsert", many)
        assert store.call("count", ALICE) == GraphCount(
            memories=len(many), entities=len(many) + 1, edges=len(many)
        )
        assert len(store.call("neighbours", [id_of("Ann")], scope=ALICE, limit=10**6)) == len(many)
        store.call("remove", [record.memory_id for record in many[1:]])
        assert everything(store) == {"m0": many[0]}

    # Anything else.

    def test_an_empty_graph_finds_nothing(self, bare: Driver) -> None:
        """Before anything was written, and before it is open, every read is empty and removing does nothing.

        Troubleshooting: only `open` and `upsert` make anything.
        """
        for _ in range(2):
            assert bare.call("find_entities", ["Ann"], scope=ALICE) == []
            assert (
                bare.call("neighbours", ["x"], scope=ALICE)
                == []
                == bare.call("paths", ["x"], ["y"], scope=ALICE)
            )
            assert bare.call("count", EVERYONE) == GraphCount() == bare.call("info").count
            assert everything(bare) == {}
            bare.call("remove", ["m1"])
            bare.call("drop", ALICE)
            bare.call("open")

    def test_health_answers_and_close_may_be_called_twice(self, store: Driver) -> None:
        """A working store is healthy; closing twice is fine, and the next call opens again.

        Troubleshooting: `close` frees what is there and forgets it.
        """
        store.call("health")
        store.call("close")
        store.call("close")
        store.call("health")
        assert store.call("count", EVERYONE) == GraphCount()

    @settings(
        max_examples=25,
        deadline=None,
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
        ],
    )
    @given(operations=OPERATIONS)
    def test_random_operations_agree_with_the_reference(self, store: Driver, operations: list[Any]) -> None:
        """After any sequence of changes, any question is answered as the networkx oracle answers it.

        Troubleshooting: the example that is printed is the smallest.
        """
        store.call("drop")
        oracle = NetworkxStore()
        for kind, value in operations:
            if kind != "ask":
                store.call(kind, value)
                getattr(oracle, kind)(value)
            else:
                scope, span, a, b, hops = value
                check_like(store, oracle, scope, span, (a, b), hops)
        check_like(store, oracle, EVERYONE, None, (["Ann"], ["Bob"]), 4)


def _bobs(name: str) -> str:
    """Return the id of an entity of the user bob."""
    return id_of(name, owner=memory("x", user_id="bob").owner)


def scopes_without_bot() -> ReadScope:
    """Return alice's memories that no agent took part in."""
    return ReadScope(user_id="alice", agents=frozenset({None}))
