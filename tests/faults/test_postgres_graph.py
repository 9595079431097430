"""The graph in a PostgreSQL ledger through kills and races: what is said and who says it are written together."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final

import pytest

from memkit import Memory
from memkit.graph_stores.base import GraphRecord, GraphStore
from memkit.ledger.graph import projected
from memkit.scope import ReadScope
from tests.faults.test_postgres import ROOT, Child
from tests.gate import Gate
from tests.postgres import PASSWORD, QUOTED, PostgresServer

pytestmark = pytest.mark.engine
_EVERYONE: Final = ReadScope(everyone=True)


@pytest.fixture(autouse=True)
def _with_a_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHILD_GRAPH", "postgres")


def opened(folder: Path, url: str) -> Memory:
    """A keyless memory with the graph in its ledger's tables."""
    ledger = {"provider": "postgresql", "config": {"url": url}}
    return Memory(folder, llm=None, embedder="hash", ledger=ledger, graph_store="postgres")


def employers(memory: Memory, user: str) -> set[str]:
    """Whom the graph says that somebody works at."""
    return {one.target for one in memory.graph.neighbours(user, user_id=user, limit=10_000)}


def assert_whole(memory: Memory, server: PostgresServer, url: str) -> None:
    """Rows of the graph are those of records, and each record has all of its own."""
    database = url.rpartition("/")[2]
    for table in ("node", "edge"):
        gone = f"SELECT * FROM memkit.{table} WHERE rid NOT IN (SELECT rid FROM memkit.record)"
        assert server.sql(gone, database=database) == []
    ledger: Any = memory._parts.ledger
    ids = [item.id for item in memory.get_all(allow_global=True, limit=100_000).results]
    expected = {record.id: plain(projected(record)) for record in ledger.records(ids)}
    held = ledger.graph.export(_EVERYONE, limit=100_000).records
    assert {record.memory_id: plain(record) for record in held} == expected


def plain(record: GraphRecord) -> tuple[Any, ...]:
    return record.user_id, tuple(record.entities), tuple(record.edges), record.valid_from


@pytest.mark.parametrize("step", ["records", "committed"])
def test_a_kill_at_any_step_leaves_no_entity_without_the_memory_that_says_it(
    step: str, postgres: PostgresServer, fresh_postgres: str, tmp_path: Path
) -> None:
    with opened(tmp_path / "home", fresh_postgres) as memory:
        memory.add("Ana works at Acme.", user_id="Ana")
        process = Child(tmp_path, fresh_postgres, "Ana", step, 3)
        assert process.wait() == -9
        lines = process.acknowledged()
        assert len(lines) == 2
        told = {line.removeprefix("Ana works at ") for line in lines}
        found = employers(memory, "Ana")
        assert told <= found and len(found) == (4 if step == "committed" else 3)
        memory.add("Ana works at Globex.", user_id="Ana")
        assert "Globex" in employers(memory, "Ana")
        assert_whole(memory, postgres, fresh_postgres)


def test_writers_killed_one_by_one_leave_a_whole_graph(
    postgres: PostgresServer, fresh_postgres: str, tmp_path: Path
) -> None:
    with opened(tmp_path / "home", fresh_postgres) as memory:
        memory.add("Ana works at Acme.", user_id="Ana")
        memory.add("Bea lives in Turin.", user_id="Ana")
        running = [Child(tmp_path, fresh_postgres, user) for user in ("Ana", "Ana", "Ben")]
        try:
            for process in running:
                process.wait_for_some()
            # Changed and taken away, while they go on.
            memory.graph.merge("Acme", into="Turin", user_id="Ana")
            memory.delete_all(user_id="Ben")
            memory.forget(user_id="Ben")
        finally:
            for process in running:
                process.kill()
        told = {line.removeprefix("Ana works at ") for one in running[:2] for line in one.acknowledged()}
        assert told and told <= employers(memory, "Ana")
        assert_whole(memory, postgres, fresh_postgres)


_REBUILDS: Final = """
import os, signal, sys
from pydantic import SecretStr
from memkit import Memory
from memkit.ledger.postgres import PostgresLedger
from memkit.ledger.postgres.settings import PostgresSettings
from memkit.ranking.standing import indexed
from memkit.ranking.text import TOKENIZER_VERSION

def die(name):
    if name == "commit":
        os.kill(os.getpid(), signal.SIGKILL)

ledger = PostgresLedger(
    PostgresSettings(url=SecretStr(sys.argv[2])), tokenize=indexed, tokenizer_version=TOKENIZER_VERSION, on_step=die
)
Memory(sys.argv[1], llm=None, embedder="hash", ledger=ledger).rebuild(graph_store="postgres")
"""


def test_a_rebuild_that_was_killed_is_done_again(
    postgres: PostgresServer, fresh_postgres: str, tmp_path: Path
) -> None:
    ledger = {"provider": "postgresql", "config": {"url": fresh_postgres}}
    with Memory(tmp_path / "home", llm=None, embedder="hash", ledger=ledger) as bare:
        bare.add([f"Ana works at Acme{n}." for n in range(20)], user_id="Ana")
    command = [sys.executable, "-c", _REBUILDS, str(tmp_path / "other"), fresh_postgres]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, timeout=120, check=False)
    assert done.returncode == -9, done.stderr
    with opened(tmp_path / "home", fresh_postgres) as memory:
        assert len(employers(memory, "Ana")) == 0
        memory.rebuild(graph_store="postgres")
        assert len(employers(memory, "Ana")) == 20
        assert_whole(memory, postgres, fresh_postgres)


# ------------------------------------------------------------------------------------- a server of the graph's own


class Following:
    """A memory in a file whose graph is on a server, behind a gate."""

    def __init__(self, folder: Path, url: str, port: int, gate: Gate) -> None:
        self.here = {"url": url, "timeout_s": 2}
        through = {**self.here, "url": url.replace(f":{port}/", f":{gate.port}/")}
        self.memory = Memory(folder, llm=None, embedder="hash", graph_store=graph(through))

    def say(self, *names: str) -> set[str]:
        """Store a memory for each name and return what lags behind."""
        added = [self.memory.add(f"Ana works at {name}.", user_id="Ana") for name in names]
        return {one for result in added for one in result.pending}

    def held(self) -> set[str]:
        """Whom the server says that Ana works at, seen past the gate."""
        store = graph(self.here)
        try:
            return {edge.target.name for one in store.export(_EVERYONE).records for edge in one.edges}
        finally:
            store.close()


def graph(given: dict[str, Any]) -> GraphStore:
    from memkit.graph_stores.postgres import PostgresGraph, PostgresGraphSettings

    return PostgresGraph(PostgresGraphSettings.model_validate(given))


@pytest.fixture
def following(
    postgres: PostgresServer, fresh_postgres: str, tmp_path: Path, gate: Gate
) -> Generator[Following]:
    made = Following(tmp_path, fresh_postgres, postgres.port, gate)
    yield made
    made.memory.close()


@pytest.fixture
def gate(postgres: PostgresServer) -> Generator[Gate]:
    made = Gate(postgres.port)
    yield made
    made.close()


def test_a_graph_server_that_is_gone_holds_up_no_write_and_is_healed(
    following: Following, gate: Gate
) -> None:
    memory = following.memory
    gate.shut()
    assert following.say("Acme") == {"graph:postgres"}
    assert employers(memory, "Ana") == {"Acme"}, "the ledger answers"
    said = memory.health().problems["graph_store"]
    assert PASSWORD not in said and QUOTED not in said
    gate.open()
    assert memory.repair().pending == [] and following.held() == {"Acme"}
    gate.cut()
    assert following.say("Bolt") == set(), "a connection that was lost is made anew"
    gate.shut()
    assert following.say("Coop") == {"graph:postgres"}
    assert employers(memory, "Ana") == {"Acme", "Bolt", "Coop"}
    gate.open()
    assert following.say("Dyn") == set(), "the next write takes along what waits"
    assert following.held() == {"Acme", "Bolt", "Coop", "Dyn"}


def test_a_graph_whose_tables_were_dropped_is_made_again_and_filled(
    following: Following, postgres: PostgresServer, fresh_postgres: str
) -> None:
    memory = following.memory
    following.say("Acme", "Bolt")
    database = fresh_postgres.rpartition("/")[2]
    postgres.sql("DROP SCHEMA memkit_graph_memkit CASCADE", database=database)
    assert following.held() == set()
    assert following.say("Coop") == set() and following.held() == {"Coop"}
    assert memory.repair().pending == [] and memory.health().ok
    assert following.held() == employers(memory, "Ana") == {"Acme", "Bolt", "Coop"}
    memory.forget(user_id="Ana")
    for table in ("owner", "record", "node", "edge"):
        assert postgres.sql(f"SELECT * FROM memkit_graph_memkit.{table}", database=database) == []
