"""What a search says of the graph: the same from memory as from the ledger, and never behind it."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from memkit.ledger.sqlite.graph_reads import neighbours
from memkit.scope import ReadScope
from memkit.types import SearchResult
from tests.engine.faces import Face, World

ANN = ReadScope(user_id="ann")
PEOPLE = ("Bea", "Carl", "Dora", "Emil", "Fay")
PLACES = ("Acme", "Globex", "Turin", "Oslo")
ASKED = ("Where does the sister of Bea live?", "Who works at Acme?", "Where is Globex?", "I like tea", "Emil")


def told(result: SearchResult) -> list[Any]:
    """Everything that a search says, but for what it cost."""
    hits = [(item.id, item.score) for item in result.results]
    return [hits, [one.model_dump() for one in result.relations]]


def both(memory: Face, query: str, **scope: Any) -> tuple[list[Any], list[Any]]:
    """What a search says without and with what is held in memory."""
    memory.raw._parts.caches.clear()
    first = told(memory.search(query, **scope))
    return first, told(memory.search(query, **scope))


@pytest.mark.engine
def test_what_is_held_in_memory_says_what_the_ledger_says(world: World) -> None:
    memory = world.open(graph_store="sqlite")
    random = Random(4)
    ids: list[str] = []
    for n in range(60):
        one, other = random.sample(PEOPLE, 2)
        text = random.choice(
            (
                f"{one} lives in {random.choice(PLACES[2:])}.",
                f"{one} works at {random.choice(PLACES[:2])}.",
                f"{one} is the sister of {other}.",
                f"{random.choice(PLACES[:2])} is located in {random.choice(PLACES[2:])}.",
                f"My friend {one} likes tea, number {n}.",
            )
        )
        scope = {"user_id": random.choice(("ann", "ben")), "run_id": random.choice((None, "r1", "r2"))}
        until = random.choice((None, None, "2024-01-01"))
        added = memory.add(text, valid_from=f"20{random.randint(18, 23)}-01-01", **scope).results
        ids += [item.id for item in added if item.event == "ADD"]
        if until is not None and added[0].event == "ADD":
            memory.update(added[0].id, valid_until=until)
        if n % 7 == 3:
            memory.delete(ids.pop(random.randrange(len(ids))))
        if n % 9 == 5:
            memory.update(random.choice(ids), f"{one} works at {random.choice(PLACES[:2])}.")
    graph = Face(memory.raw.graph, memory.runner)
    graph.merge("Bea", into="Dora", user_id="ann")
    graph.merge("Carl", into="Emil", user_id="ann", run_id="r1")
    scopes = ({"user_id": "ann"}, {"user_id": "ann", "run_id": "r1"}, {"user_id": "ben", "run_id": [None]})
    said = 0
    for scope in (*scopes, {"run_id": "r1"}, {"allow_global": True}):
        for query in ASKED:
            for as_of in (None, "2021-06-01"):
                plain, held = both(memory, query, as_of=as_of, limit=6, **scope)
                assert held == plain, (query, scope, as_of)
                said += len(held[1])
    assert said > 200, "the world says something"


@pytest.mark.parametrize("store", ["sqlite", "own file"])
def test_a_search_sees_every_change_of_another_process_at_once(world: World, store: str) -> None:
    config: Any = store
    if store == "own file":
        config = {"provider": "sqlite", "config": {"path": str(world.folder / "graph.db")}}
    memory, other = world.open(graph_store=config), world.open(graph_store=config)

    def ends() -> list[str]:
        found = memory.search("Where does Bea work?", user_id="ann")
        return sorted(one.target for one in found.relations if one.source == "Bea")

    one = other.add("Bea works at Acme.", user_id="ann").results[0].id
    assert [ends() for _ in range(3)] == [["Acme"]] * 3
    changed = other.update(one, "Bea works at Globex.")
    assert ends() == ["Globex"]
    other.undo(changed.operation_id)
    assert ends() == ["Acme"]
    other.add("Beatrice works at Initech.", user_id="ann")
    merged = Face(other.raw.graph, other.runner).merge("Beatrice", into="Bea", user_id="ann")
    assert ends() == ["Acme", "Initech"]
    other.undo(merged.operation_id)
    assert ends() == ["Acme"]
    other.update(one, valid_until="2020-01-01")
    assert ends() == []
    other.forget(user_id="ann")
    assert ends() == []
    other.add("Bea works at Hooli.", user_id="ann")
    assert ends() == ["Hooli"]


def test_a_search_sees_what_a_rebuild_elsewhere_has_read(world: World) -> None:
    memory, plain = world.open(graph_store="sqlite"), world.open()
    plain.add("Bea works at Acme.", user_id="ann")
    assert [memory.search("Bea", user_id="ann").relations for _ in range(3)] == [[]] * 3
    plain.rebuild(graph_store="sqlite")
    assert [one.target for one in memory.search("Bea", user_id="ann").relations] == ["Acme"]


def test_a_step_reads_what_touches_the_entity_and_not_all_that_a_user_has(world: World) -> None:
    memory = world.open(graph_store="sqlite")
    ledger = memory.raw._parts.ledger

    def steps() -> int:
        counted: list[int] = []

        def read(conn: Any) -> None:
            conn.set_progress_handler(lambda: counted.append(1), 100)
            try:
                assert len(neighbours(conn, ledger.owner_of, [bea], ANN, 2, None, 100)) == 1
            finally:
                conn.set_progress_handler(None, 0)

        ledger.read_graph(read, None)
        return len(counted)

    memory.add("Bea works at Acme.", user_id="ann")
    bea = ledger.graph.find_entities(["Bea"], scope=ANN)[0].id
    memory.add_many([f"Carl {n} likes tea." for n in range(50)], user_id="ann")
    few = steps()
    memory.add_many([f"Dora {n} likes tea." for n in range(500)], user_id="ann")
    assert steps() <= few + 5
