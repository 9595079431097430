"""What the Neo4j store leaves in a database, what it says of failures, and how it is driven."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

import pytest

from memkit.errors import BackendError, BackendResponseError, BackendTimeoutError, BackendUnavailableError
from memkit.graph_stores.base import GraphNode, GraphTriple, Span
from memkit.graph_stores.support import dump_record
from memkit.graph_stores.walk import Step
from memkit.scope import ReadScope
from memkit.testing.graph_data import ALICE, EVERYONE, HOSTILE_TEXTS, id_of, memory
from tests.bolt import PASSWORD, USER, BoltServer, free_port
from tests.gate import Gate

pytest.importorskip("neo4j")

from memkit.graph_stores import neo4j_cypher as cypher
from memkit.graph_stores.neo4j import Neo4jStore

SECRET = "Zyzzyx"


def store(given: dict[str, Any], **more: Any) -> Neo4jStore:
    return Neo4jStore(Neo4jStore.Settings(**{**given, **more}))


def statements(text: str) -> list[str]:
    """Return all Cypher that a memory, a name and a scope of one text lead to."""
    names = cypher.Names(f"graph{text}")
    record = memory(
        text, GraphTriple(GraphNode(text, text, text), text, GraphNode("b", text, text)), agent_id=text
    )
    scope = ReadScope(user_id=f"u{text}", agents=frozenset({text, None}), runs=frozenset({text}))
    found: list[str] = []
    for work in (
        cypher.upsert(names, [record], text, base_label=True),
        cypher.remove(names, [text], text),
        cypher.find_entities(names, [text], scope, Span(1, 2), 3, text),
        cypher.edges(names, Step([text], 3), scope, Span(1, 2)),
        cypher.export(names, scope, 3, text),
        cypher.count(names, scope),
        cypher.memory_ids(names, scope, 3),
    ):
        rows: list[dict[str, Any]] | None = None
        try:
            while True:
                said = next(work) if rows is None else work.send(rows)
                found.append(said[0])
                rows = [{"memories": 0, "edges": 0, "entities": 0}] if "count(" in said[0] else []
                if "SET m.touched" in said[0]:
                    rows = [{"record": dump_record(record)}]
        except StopIteration:
            continue
    return found


@pytest.mark.parametrize("text", HOSTILE_TEXTS)
def test_no_text_of_a_memory_is_part_of_a_statement(text: str) -> None:
    assert statements(text) == statements("plain")
    assert len(set(statements("plain"))) > 15


def test_a_store_that_is_made_and_not_used_connects_to_nothing() -> None:
    made = store({"url": "bolt://192.0.2.1:7687", "username": USER, "password": PASSWORD})
    assert PASSWORD not in repr(made)
    made.close()
    made.close()


@pytest.mark.engine
class TestDatabase:
    """On ArcadeDB, which answers as a Neo4j 5.26 does.

    It differs where nothing here rests on it: it gives a node with a unique key no further label, it loses track of
    edges that one statement both matches and deletes, and it keeps a user out after some wrong passwords.
    """

    def test_labels_and_types_are_ours_whatever_a_memory_says(
        self, bolt: BoltServer, fresh_bolt: dict[str, Any]
    ) -> None:
        graph = store(fresh_bolt, base_label=True)
        graph.open()
        hostile = [
            GraphTriple(GraphNode(text, text, text), text, GraphNode("b", "Bob")) for text in HOSTILE_TEXTS
        ]
        graph.upsert([memory(f"m{n}", edge) for n, edge in enumerate(hostile)])
        labels = bolt.cypher(
            fresh_bolt["database"], "MATCH (n) UNWIND labels(n) AS label RETURN DISTINCT label"
        )
        types = bolt.cypher(fresh_bolt["database"], "MATCH ()-[r]->() RETURN DISTINCT type(r) AS type")
        assert {row["label"] for row in labels} == {"MemkitMemory", "MemkitEntity", "__Entity__"}
        assert {row["type"] for row in types} == {"MEMKIT_MENTIONS", "MEMKIT_RELATION"}
        assert graph.count(EVERYONE).edges == len(HOSTILE_TEXTS)
        graph.close()

    def test_what_others_keep_there_is_left_alone(self, bolt: BoltServer, fresh_bolt: dict[str, Any]) -> None:
        database = fresh_bolt["database"]
        bolt.cypher(
            database, "CREATE (:__Entity__ {name: 'Ann', user_id: 'alice'})-[:LIKES]->(:Person {name: 'Bob'})"
        )
        graph = store(fresh_bolt)
        graph.open()
        graph.upsert([memory("m1", "Ann likes Bob")])
        assert len(graph.find_entities(None, scope=EVERYONE)) == 2
        graph.drop(ALICE)
        graph.upsert([memory("m1", "Ann likes Bob")])
        graph.drop()
        left = bolt.cypher(
            database, "MATCH (n) OPTIONAL MATCH (n)-[r]->() RETURN n.name AS name, type(r) AS type"
        )
        assert sorted(row["name"] for row in left) == ["Ann", "Bob"] and "LIKES" in {
            row["type"] for row in left
        }
        graph.close()

    def test_a_name_of_a_removed_memory_stays_nowhere(
        self, bolt: BoltServer, fresh_bolt: dict[str, Any]
    ) -> None:
        graph = store(fresh_bolt)
        graph.open()
        for id, name in (("m1", SECRET), ("m2", "Robert")):
            graph.upsert(
                [memory(id, GraphTriple(GraphNode("one", name, name), "likes", GraphNode("b", "Bob")))]
            )
        graph.remove(["m1"])
        rows = bolt.cypher(
            fresh_bolt["database"], "MATCH (n) OPTIONAL MATCH (n)-[r]->() RETURN n, properties(r) AS r"
        )
        assert SECRET not in repr(rows) and "Robert" in repr(rows)
        (entity,) = graph.find_entities(["robert"], scope=ALICE)
        assert entity.name == "Robert"
        graph.close()

    def test_a_driver_of_the_caller_is_used_and_not_closed(
        self, bolt: BoltServer, fresh_bolt: dict[str, Any]
    ) -> None:
        from neo4j import GraphDatabase

        with GraphDatabase.driver(bolt.url, auth=(USER, PASSWORD)) as driver:
            graph = Neo4jStore(Neo4jStore.Settings(database=fresh_bolt["database"]), client=driver)
            assert graph.aupsert is None and "native_async" not in graph.capabilities
            graph.open()
            graph.upsert([memory("m1", "Ann likes Bob")])
            graph.close()
            driver.verify_connectivity()
            assert graph.count(ALICE).edges == 1

    def test_each_event_loop_has_a_driver_of_its_own(self, fresh_bolt: dict[str, Any]) -> None:
        graph = store(fresh_bolt)

        async def work(n: int) -> int:
            await graph.aopen()
            await graph.aupsert([memory(f"m{n}", "Ann likes Bob")])
            found = await asyncio.gather(*(graph.acount(ALICE) for _ in range(5)))
            await graph.aclose()
            return found[0].edges

        assert [asyncio.run(work(n)) for n in range(3)] == [1, 2, 3]
        assert len(graph.neighbours([id_of("Ann")], scope=ALICE)) == 3
        graph.close()

    def test_a_connection_that_was_lost_is_made_anew(
        self, bolt: BoltServer, fresh_bolt: dict[str, Any]
    ) -> None:
        gate = Gate(bolt.port)
        graph = store(fresh_bolt, url=f"bolt://127.0.0.1:{gate.port}", timeout_s=10)
        graph.open()
        for n in range(3):
            gate.cut()
            graph.upsert([memory(f"m{n}", "Ann likes Bob")])
        assert graph.count(ALICE).memories == 3
        gate.shut()
        with pytest.raises(BackendUnavailableError):
            graph.count(ALICE)
        gate.open()
        assert graph.count(ALICE).memories == 3
        graph.close()
        gate.close()

    def test_a_call_that_hangs_ends_and_the_next_goes_on(
        self, bolt: BoltServer, fresh_bolt: dict[str, Any]
    ) -> None:
        gate = Gate(bolt.port)
        graph = store(fresh_bolt, url=f"bolt://127.0.0.1:{gate.port}", timeout_s=2)
        graph.open()
        graph.upsert([memory("m1", "Ann likes Bob")])
        gate.hush()
        with pytest.raises(BackendTimeoutError, match="2 s"):
            graph.upsert([memory("m2", "Ann likes Bob")])
        with pytest.raises(BackendTimeoutError):
            asyncio.run(_count_and_close(graph))
        gate.open()
        graph.upsert([memory("m3", "Ann likes Bob")])
        assert {"m1", "m3"} <= {record.memory_id for record in graph.export(ALICE).records}
        graph.close()
        gate.close()

    def test_a_write_that_hangs_for_ever_stands_in_no_later_ones_way(
        self, bolt: BoltServer, fresh_bolt: dict[str, Any]
    ) -> None:
        gate = Gate(bolt.port)
        graph = store(fresh_bolt, url=f"bolt://127.0.0.1:{gate.port}", timeout_s=3)
        graph.open()
        graph.upsert([memory("m1", "Ann likes Bob")])
        gate.hold()
        with pytest.raises(BackendTimeoutError):
            graph.upsert([memory("m2", "Ann likes Bob")])
        graph.upsert([memory("m3", "Ann likes Bob")])
        assert {"m1", "m3"} <= {record.memory_id for record in graph.export(ALICE).records}
        graph.close()
        gate.close()

    def test_an_error_holds_no_text_of_a_memory(self, bolt: BoltServer, fresh_bolt: dict[str, Any]) -> None:
        graph = store(fresh_bolt)
        graph.open()
        graph.upsert([memory("m1", "Ann likes Bob")])
        bolt.cypher(fresh_bolt["database"], "MATCH (m:MemkitMemory) SET m.edges = $value", value=SECRET)
        with pytest.raises(BackendError) as caught:
            graph.count(ALICE)
        assert isinstance(caught.value, BackendResponseError) and SECRET not in str(caught.value)
        graph.close()

    def test_a_forked_child_makes_a_driver_of_its_own(self, fresh_bolt: dict[str, Any]) -> None:
        graph = store(fresh_bolt)
        graph.open()
        graph.upsert([memory("m1", "Ann likes Bob")])
        child = os.fork()
        if child == 0:
            code = 1
            try:
                graph.upsert([memory("m2", "Ann likes Cid")])
                graph.close()
                code = 0
            finally:
                os._exit(code)
        for _ in range(20):
            graph.count(ALICE)
        signal.alarm(60)
        assert os.waitpid(child, 0)[1] == 0
        signal.alarm(0)
        assert graph.count(ALICE).memories == 2
        graph.close()


async def _count_and_close(graph: Neo4jStore) -> None:
    try:
        await graph.acount(ALICE)
    finally:
        await graph.aclose()


def test_a_port_where_nobody_listens_is_named() -> None:
    port = free_port()
    graph = store({"url": f"bolt://127.0.0.1:{port}", "username": USER, "password": PASSWORD})
    with pytest.raises(BackendUnavailableError, match=str(port)) as caught:
        graph.health()
    assert PASSWORD not in str(caught.value)
    graph.close()
