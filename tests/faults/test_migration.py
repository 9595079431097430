"""Files of earlier schemas: everything in them is found again, whatever happens on the way to the newest one.

`old/schema_N.sql` are dumps of files that the memkit of that schema wrote, with rows in every table.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from memkit import Memory
from memkit.errors import ConfigurationError
from memkit.item_types import PutItem
from memkit.ledger.sqlite.schema import MIGRATIONS
from tests.faults.audit import broken_laws
from tests.faults.disk import why_not
from tests.faults.victim import script
from tests.faults.workers import Killed, Nursery, Refusal, Worker

OLD = sorted((Path(__file__).with_name("old")).glob("schema_*.sql"))
TEXTS = {
    "old note 0, corrected, about tea",
    "old note 2 about snow",
    "old note 3 about tea",
    "old note 4 about boats",
    "old note 5 about snow",
    "I have a red bike.",
    "Nice, red.",
    "agents know this",
    "a run's text",
    "ben keeps bees",
}
faulty = [pytest.mark.engine, pytest.mark.skipif(why_not() is not None, reason=str(why_not()))]


@pytest.fixture(params=OLD, ids=lambda path: path.stem)
def old(request: pytest.FixtureRequest, place: Path) -> Path:
    """A folder with a file of an earlier schema."""
    return lay(place / "old", request.param)


def lay(folder: Path, dump: Path) -> Path:
    folder.mkdir()
    with closing(sqlite3.connect(folder / "memory.db", isolation_level=None)) as conn:
        conn.executescript(dump.read_text())
        conn.execute("PRAGMA journal_mode = WAL")
    return folder


def version_of(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "memory.db")) as conn:
        return int(conn.execute("PRAGMA user_version").fetchone()[0])


def test_there_is_a_file_of_every_earlier_schema() -> None:
    assert [path.stem for path in OLD] == [f"schema_{n}" for n in range(1, len(MIGRATIONS))]


def test_everything_in_an_older_file_is_found_and_can_be_changed(old: Path) -> None:
    with Memory(old, llm=None, embedder="hash") as memory:
        items = {item.memory: item for item in memory.get_all(allow_global=True).results}
        assert set(items) == TEXTS
        for item in items.values():
            scope: Any = {"user_id": item.user_id, "agent_id": item.agent_id, "run_id": item.run_id}
            assert item.memory in [hit.memory for hit in memory.search(item.memory, **scope).results]
        corrected = items["old note 0, corrected, about tea"]
        assert [event.event for event in memory.history(corrected.id)] == ["ADD", "UPDATE"]
        assert corrected.metadata == {"k": 1} and corrected.version == 2
        turns = memory.messages(user_id="ann", run_id="r1")
        assert [turn.content for turn in turns][:2] == ["I have a red bike.", "Nice, red."]
        assert items["I have a red bike."].sources[0].message_id == "m1"
        memory.undo(memory.history(corrected.id)[-1].operation_id)
        assert "old note 0 about tea" in [i.memory for i in memory.get_all(user_id="ann").results]
        again = memory.add("a run's text", run_id="r3", infer=False, idempotency_key="once")
        assert again.results[0].id == items["a run's text"].id, "an idempotency key holds over the migration"
        memory.add("new text", user_id="ann", infer=False)
        memory.forget(user_id="ben")
        assert memory.health().problems == {}
    assert version_of(old) == len(MIGRATIONS) and broken_laws(old / "memory.db") == []


def test_a_deleted_memory_and_an_unfinished_job_of_an_older_file_come_back(old: Path) -> None:
    with closing(sqlite3.connect(old / "memory.db")) as conn:
        sql = "SELECT o.id FROM operation o WHERE kind = 'delete'"
        operation = conn.execute(sql).fetchone()[0]
    with Memory(old, llm=script(), embedder="hash") as memory:
        memory.undo(str(UUID(bytes=operation)))
        assert "old note 1 about boats" in [i.memory for i in memory.get_all(user_id="ann").results]
        found = [hit.memory for hit in memory.search("note about boats", user_id="ann").results]
        assert "old note 1 about boats" in found
        assert memory.stats().unfinished == 1
        turns = [m.content for m in memory.messages(user_id="ann", run_id=[None])]
        assert turns == ["I live in Oslo, says Ann."], "the turn that waits to be learned"


def test_items_of_an_older_file_are_found(place: Path) -> None:
    from memkit.item_types import GetItem, SearchItems

    folder = lay(place / "items", OLD[-1])
    with Memory(folder, llm=None, embedder="hash") as memory:
        got, found = memory.items(
            [GetItem(namespace=("room", "a"), key="k"), SearchItems(query="an item of before")]
        )
        assert getattr(got, "value", None) == {"n": 1}
        assert [item.key for item in found] == ["k"]  # pyright: ignore[reportGeneralTypeIssues,reportOptionalIterable]


def test_a_file_of_a_newer_memkit_is_refused_and_left_alone(old: Path) -> None:
    with closing(sqlite3.connect(old / "memory.db", isolation_level=None)) as conn:
        conn.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = (old / "memory.db").read_bytes()
    with Memory(old, llm=None, embedder="hash") as memory:
        for call in (
            lambda: memory.count(user_id="ann"),
            lambda: memory.add("x", user_id="ann", infer=False),
        ):
            with pytest.raises(ConfigurationError, match="newer memkit"):
                call()
    assert (old / "memory.db").read_bytes() == before


@pytest.mark.parametrize("write", ["add", "update", "delete", "forget", "items", "job"])
def test_a_process_writes_nothing_once_a_newer_memkit_has_migrated_its_file(place: Path, write: str) -> None:
    path = place / "shared"
    with Memory(path, llm=script(), embedder="hash") as memory:
        made = memory.add("known before", user_id="ann", infer=False).results[0].id or ""
        with closing(sqlite3.connect(path / "memory.db", isolation_level=None)) as conn:
            conn.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
            before = conn.execute("SELECT count(*), total(seq) FROM event").fetchone()
            writes: dict[str, Callable[[], Any]] = {
                "add": lambda: memory.add("new", user_id="ann", infer=False),
                "update": lambda: memory.update(made, "changed"),
                "delete": lambda: memory.delete(made),
                "forget": lambda: memory.forget(user_id="ann"),
                "items": lambda: memory.items([PutItem(namespace=("a",), key="k", value={})]),
                "job": lambda: memory.add([{"role": "user", "content": "My number is 1."}], user_id="ann"),
            }
            for _ in range(2):
                with pytest.raises(ConfigurationError, match="newer memkit"):
                    writes[write]()
            assert conn.execute("SELECT count(*), total(seq) FROM event").fetchone() == before
            conn.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        writes[write]()
    assert broken_laws(path / "memory.db") == []


def opened(nursery: Nursery, folder: Path) -> Worker:
    worker = nursery.worker()
    worker.do("open", path=str(folder))
    return worker


class TestOnTheWay:
    """What may happen while a file becomes a newer one."""

    pytestmark = faulty

    @pytest.mark.parametrize("dump", OLD, ids=lambda path: path.stem)
    def test_a_kill_or_a_full_disk_at_any_moment_leaves_the_old_file_or_the_new(
        self, dump: Path, nursery: Nursery, place: Path
    ) -> None:
        whole = lay(place / "whole", dump)
        worker = opened(nursery, whole)
        _, calls = worker.do("counted", method="count", args=[], kwargs={"user_id": "ann"}, arm=None)
        state = worker.call("state")
        worker.leave()
        assert calls > 5
        for nth in sorted({1, 2, 3, calls // 2, *range(calls - 4, calls + 1)}):
            for fault in ("kill", "full"):
                folder = lay(place / f"{fault} {nth}", dump)
                worker = opened(nursery, folder)
                try:
                    worker.call("count", user_id="ann", arm={"fault": fault, "nth": nth})
                except Killed:
                    worker.leave()
                    worker = opened(nursery, folder)
                except Refusal as refusal:
                    assert refusal.kind == "BackendUnavailableError"
                assert worker.call("state") == state, f"{fault} at call {nth} of {calls}"
                worker.do("close")
                worker.leave()
                assert version_of(folder) == len(MIGRATIONS)
                assert broken_laws(folder / "memory.db") == [], f"{fault} at call {nth} of {calls}"

    def test_processes_that_migrate_at_once_do_it_once(self, old: Path, nursery: Nursery) -> None:
        workers = [opened(nursery, old) for _ in range(4)]
        for worker in workers:
            worker.start("call", method="count", args=[], kwargs={"allow_global": True}, arm=None)
        assert [worker.finish() for worker in workers] == [len(TEXTS)] * 4
        states = [worker.call("state") for worker in workers]
        assert all(state == states[0] for state in states)
        for worker in workers:
            worker.do("close")
            worker.leave()
        assert broken_laws(old / "memory.db") == []
