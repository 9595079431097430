"""Processes that write to one PostgreSQL ledger and are killed: nothing acknowledged is lost, no batch is halved.

`STORM_SECONDS=60 STORM_WRITERS=8` makes it a long one, with a kill each five seconds, and prints its figures.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from memkit import Memory
from memkit.ledger.postgres.words import indexed
from memkit.ranking.standing import indexed as words_of
from memkit.types import RepairReport
from tests.faults.postgres_writer import USERS, lines_of
from tests.postgres import PostgresServer, is_alive

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="writers are forked"),
]

ROOT = Path(__file__).resolve().parents[2]
SECONDS = float(os.environ.get("STORM_SECONDS", "0"))
WRITERS = int(os.environ.get("STORM_WRITERS", "3"))
KILLS = 6
_SOME = 5
_BETWEEN_KILLS_S = 5.0
_PATIENCE_S = 120.0


class Writers:
    """The processes that are alive, and the logs of all there ever were."""

    def __init__(self, url: str, folder: Path) -> None:
        self._folder = folder
        self._nurse = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.postgres_writer", url, str(folder)],
            cwd=ROOT,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._alive: list[int] = []
        self.killed = 0

    def start(self) -> None:
        assert self._nurse.stdin is not None and self._nurse.stdout is not None
        self._nurse.stdin.write("\n")
        self._nurse.stdin.flush()
        self._alive.append(int(self._nurse.stdout.readline()))

    def wait_for_some(self) -> None:
        """Return when each of them has been told of some writes."""
        end = time.monotonic() + _PATIENCE_S
        for pid in self._alive:
            log = self._folder / f"{pid}.log"
            while not (log.exists() and sum("done" in line for line in lines_of(log)) >= _SOME):
                assert is_alive(pid) and time.monotonic() < end
                time.sleep(0.02)

    def kill_oldest(self) -> None:
        pid = self._alive.pop(0)
        os.kill(pid, signal.SIGKILL)
        end = time.monotonic() + _PATIENCE_S
        while is_alive(pid):
            assert time.monotonic() < end
            time.sleep(0.01)
        self.killed += 1

    def logs(self) -> list[list[dict[str, Any]]]:
        return [lines_of(log) for log in self._folder.glob("*.log")]

    def close(self) -> None:
        killed = self.killed
        while self._alive:
            self.kill_oldest()
        self.killed = killed
        self._nurse.communicate(timeout=_PATIENCE_S)


def possible_texts(lines: Sequence[dict[str, Any]]) -> tuple[set[str], set[str]]:
    """What a writer's memories say: by what it was told, and by what it was about to do as well."""
    told: set[str] = set()
    about: dict[str, Any] = {}
    for line in lines:
        about = line.get("about", about)
        if line.get("done"):
            told = told.difference(about.get("drop", ())) | set(about.get("add", ()))
            about = {}
    return told, told.difference(about.get("drop", ())) | set(about.get("add", ()))


def test_writers_killed_one_by_one_lose_nothing_and_halve_nothing(
    postgres: PostgresServer, fresh_postgres: str, tmp_path: Path
) -> None:
    with Memory(tmp_path / "home", llm=None, embedder="hash", ledger=fresh_postgres) as memory:
        writers = Writers(fresh_postgres, tmp_path)
        begun = time.monotonic()
        try:
            for _ in range(WRITERS):
                writers.start()
            while (time.monotonic() - begun < SECONDS) if SECONDS else (writers.killed < KILLS):
                if SECONDS:
                    time.sleep(_BETWEEN_KILLS_S)
                else:
                    writers.wait_for_some()
                writers.kill_oldest()
                writers.start()
        finally:
            writers.close()
        logs = writers.logs()
        assert_nothing_lost(memory, logs)
        repaired = memory.repair()
        assert repaired == RepairReport(), repaired
        assert memory.health().ok
        assert_whole(postgres, fresh_postgres)
        told = sum(bool(line.get("done")) for lines in logs for line in lines)
        seen = sum("seen" in line for lines in logs for line in lines)
        print(
            f"\n{told} writes of {len(logs)} processes, {writers.killed} killed, {seen} of others found at once"
        )


def assert_nothing_lost(memory: Memory, logs: Sequence[Sequence[dict[str, Any]]]) -> None:
    """What is there is what each writer was told, with its last write as a whole or not at all."""
    items = [item for user in USERS for item in memory.get_all(user_id=user, limit=1_000_000).results]
    texts = [item.memory for item in items]
    assert len(texts) == len(set(texts)), "written twice"
    left = set(texts) - {"The first of all"}
    for lines in logs:
        assert [line["wrong"] for line in lines if "wrong" in line] == []
        told, about = possible_texts(lines)
        mine = left & (told | about)
        assert mine in (told, about), (mine ^ told, mine ^ about)
        left -= mine
    assert not left, "dropped, and there all the same"
    for item in items[:: max(1, len(items) // 50)]:
        assert memory.history(item.id)[0].event == "ADD"


_BROKEN = {
    "a record without the event of its addition": "record WHERE NOT EXISTS (SELECT FROM event WHERE"
    " seq = record.seq AND rid = record.rid AND code = 1)",
    "an event without its record": "event WHERE NOT EXISTS (SELECT FROM record WHERE rid = event.rid)",
    "an event without its operation": "event WHERE NOT EXISTS (SELECT FROM operation WHERE no = event.op)",
    "an operation that says another number of events": "operation WHERE events IS DISTINCT FROM"
    " (SELECT count(*) FROM event WHERE op = operation.no)",
    "a live record without a vector": "record WHERE deleted = 0"
    " AND NOT EXISTS (SELECT FROM vec WHERE rid = record.rid)",
    "a deleted record with a vector": "record WHERE deleted = 1 AND EXISTS (SELECT FROM vec WHERE rid = record.rid)",
    "a deleted record whose vector is gone": "record WHERE deleted = 1"
    " AND NOT EXISTS (SELECT FROM vec_gone WHERE rid = record.rid)",
    "words of nothing": "posting WHERE NOT EXISTS (SELECT FROM record WHERE rid = posting.rid AND deleted = 0)",
    "an owner that counts wrongly": "owner WHERE memories !="
    " (SELECT count(*) FROM record WHERE owner = owner.no AND deleted = 0)",
    "an owner behind its events": "owner WHERE event < (SELECT max(seq) FROM event WHERE owner = owner.no)",
    "a job that nobody has": "job",
}


def assert_whole(server: PostgresServer, url: str) -> None:
    """What belongs together is there together, and the server's own indexes agree with their tables."""
    with server.connect(url.rpartition("/")[2]) as conn:
        conn.execute("SET search_path = memkit, public")
        for what, rows in _BROKEN.items():
            found = conn.execute(f"SELECT count(*) FROM {rows}".encode()).fetchone()
            assert found == (0,), what
        held: dict[int, set[str]] = {}
        for token, rid in conn.execute("SELECT token, rid FROM posting"):
            held.setdefault(rid, set()).add(token)
        texts: list[tuple[int, str]] = conn.execute(
            "SELECT record.rid, coalesce(record.text, message.text) FROM record"
            " LEFT JOIN message ON message.rid = record.message WHERE deleted = 0"
        ).fetchall()
        for rid, text in texts:
            assert held[rid] == {indexed(token) for token in words_of(text)}
        if conn.execute("SELECT count(*) FROM pg_available_extensions WHERE name = 'amcheck'").fetchone() == (
            1,
        ):
            conn.execute("CREATE EXTENSION amcheck")
            conn.execute(
                "SELECT bt_index_check(c.oid, true) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
                " JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_am a ON a.oid = c.relam"
                " WHERE n.nspname = 'memkit' AND a.amname = 'btree'"
            )
