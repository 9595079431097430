"""A graph that moves, or is down: what an export takes along, and what the ledger answers meanwhile."""

from __future__ import annotations

import json
from pathlib import Path

from memkit.transfer.archive import export_lines, import_archive, read_archive
from tests.engine.faces import World
from tests.engine.test_graph import edges, graph_of, opened, remember


def test_an_export_carries_merges_to_another_store(world: World, tmp_path: Path) -> None:
    memory = opened(world)
    remember(memory, "Bob works at Acme.", "Robert lives in Turin.", "Rob likes tea.")
    remember(memory, "Bob works at Globex.", "Robert lives in Oslo.", user_id="ben", run_id="r1")
    graph = graph_of(memory)
    graph.merge("Bob", into="Robert", user_id="ann")
    graph.merge("Rob", into="Robert", user_id="ann")
    graph.split("Rob", user_id="ann")
    graph.merge("Bob", into="Robert", user_id="ben", run_id="r1")
    lines = json.loads(json.dumps(list(export_lines(memory.raw.to_sync(), None))))
    other = world.open(tmp_path / "other", graph_store="sqlite")
    for times in (1, 0):
        done = import_archive(other.raw.to_sync(), read_archive(lines, "test"))
        assert done.merges == 3 * times, "what is there already is left alone"
    there = graph_of(other)
    for scope in ({"user_id": "ann"}, {"user_id": "ben"}, {"user_id": "ben", "run_id": "r1"}):
        wanted = [one.model_dump() for one in graph.entities(**scope).results]
        assert [one.model_dump() for one in there.entities(**scope).results] == wanted
        assert edges(there.relations(**scope)) == edges(graph.relations(**scope))
    assert there.entity("Bob", user_id="ann").aliases == ["Bob"]
    there.split("Bob", user_id="ann")
    assert there.entity("Bob", user_id="ann").name == "Bob"
    part = list(export_lines(memory.raw.to_sync(), {"user_id": "ben"}))
    assert [line["name"] for line in part if line["type"] == "merge"] == ["bob"]


def test_an_export_carries_relations_to_another_store(world: World, tmp_path: Path) -> None:
    memory = opened(world)
    (one,) = remember(memory, "Bea works at Acme.")
    memory.update(one, "Bea works at Globex.")
    lines = json.loads(json.dumps(list(export_lines(memory.raw.to_sync(), None))))
    other = world.open(tmp_path / "other", graph_store="sqlite")
    import_archive(other.raw.to_sync(), read_archive(lines, "test"))
    assert edges(graph_of(other).relations(user_id="ann")) == [("Bea", "works_at", "Globex")]
    before = other.history(one)[0].operation_id
    assert before and len(other.history(one)) == 2


def test_a_graph_that_is_down_fails_no_write_and_the_ledger_answers(world: World) -> None:
    blocked = world.folder / "blocked"
    blocked.write_text("a file, where a folder is needed")
    store = {"provider": "sqlite", "config": {"path": str(blocked / "graph.db")}}
    memory = world.open(graph_store=store)
    added = memory.add("Bea works at Acme.", user_id="ann")
    assert added.pending == ["graph:sqlite"]
    assert edges(graph_of(memory).neighbours("Bea", user_id="ann")) == [("Bea", "works_at", "Acme")]
    for _ in range(3):
        found = memory.search("Acme", user_id="ann")
        assert edges(found.relations) == [("Bea", "works_at", "Acme")] and "down" in found.warnings[0]
    assert "graph_store" in memory.health().problems
    blocked.unlink()
    assert memory.repair().pending == []
    assert memory.add("Carl works at Acme.", user_id="ann").pending == []
    assert len(graph_of(memory).neighbours("Acme", user_id="ann")) == 2
