"""What the SQLite ledger does with its file: when it is made, with which rights, layout, words and syncs."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from memkit.errors import BackendUnavailableError
from memkit.ledger.base import OWNER_SHIFT
from memkit.ledger.liveness import ProcessMark, is_alive, process_start, this_process
from memkit.ledger.rows import ledger_salt, message_id, message_rid, pack_id, unpack_id
from memkit.ledger.sqlite import SqliteLedger
from memkit.ledger.sqlite import schema as sqlite_schema
from memkit.testing.laws import Driver
from memkit.testing.ledger_data import (
    ALICE,
    BOB,
    DIM,
    EMBEDDER,
    LATE,
    add,
    added,
    batch,
    message,
    new_id,
    read,
    tokens,
    vector,
)

ROOT = Path(__file__).parents[2]
CHILD = ROOT / "tests" / "faults" / "ledger_child.py"


def ledger_at(path: Path | None, version: str = "1", **fields: object) -> SqliteLedger:
    return SqliteLedger(path, tokenize=tokens, tokenizer_version=version, **fields)  # type: ignore[arg-type]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "er" / "memory.db"


def filled(path: Path | None, **fields: object) -> SqliteLedger:
    ledger = ledger_at(path, **fields)
    ledger.set_embedder(EMBEDDER, DIM)
    ledger.apply(
        batch(add(text="green tea", message=0), add(BOB, "red wine"), messages=[message(text="green tea")])
    )
    return ledger


def test_nothing_is_made_before_the_first_write(path: Path, tmp_path: Path) -> None:
    ledger = ledger_at(path)
    assert not ledger.open(create=False)
    assert ledger.info().memories == 0 and ledger.embedder() is None and list(ledger.jobs()) == []
    assert list(ledger.claim("w")) == [] and ledger.forget(new_id(), 1, ids=[new_id()]).complete
    ledger.reset()
    ledger.check()
    ledger.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="this platform has no such modes")
def test_folders_and_files_are_for_their_owner_only(path: Path) -> None:
    ledger = filled(path)
    assert (
        stat.S_IMODE(path.parent.stat().st_mode) == stat.S_IMODE(path.parent.parent.stat().st_mode) == 0o700
    )
    for name in ("memory.db", "memory.db-wal", "memory.db-shm"):
        assert stat.S_IMODE(path.with_name(name).stat().st_mode) == 0o600
    ledger.close()
    assert sorted(p.name for p in path.parent.iterdir()) == ["memory.db"]


def test_memory_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ledger = filled(None)
    assert ledger.size(None) == 2 and ledger.info().bytes is None
    ledger.close()
    assert list(tmp_path.iterdir()) == []


def test_an_owner_is_a_rowid_range_and_a_text_is_stored_once(path: Path) -> None:
    ledger = filled(path)
    for record in ledger.listing(read(BOB), at=LATE, limit=9):
        assert record.rid >> OWNER_SHIFT == ledger.owner_number(BOB.owner)
    ledger.close()
    conn = sqlite3.connect(path)
    assert conn.execute("PRAGMA page_size").fetchone() == (sqlite_schema.PAGE_SIZE,)
    assert conn.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert conn.execute("SELECT text, message IS NOT NULL FROM record ORDER BY rid").fetchall() == [
        (None, 1),
        ("red wine", 0),
    ]
    # What waits for the keyword index is words, which this tokenizer leaves as they are in the text.
    assert conn.execute("SELECT t FROM words ORDER BY rid").fetchall() == [("green tea",), ("red wine",)]
    conn.execute("PRAGMA secure_delete = ON")
    conn.execute("DELETE FROM words")
    conn.commit()
    conn.close()
    assert path.read_bytes().count(b"green tea") == 1


def test_another_tokenizer_version_rebuilds_the_keyword_index(path: Path) -> None:
    ledger = filled(path)
    ledger.close()
    letters = SqliteLedger(path, tokenize=list, tokenizer_version="letters")
    assert len(letters.keyword_candidates(None, ["g"], 9)) == 1
    assert list(letters.keyword_candidates(None, ["green"], 9)) == []
    with pytest.raises(BackendUnavailableError, match="tokenizer"):
        old = ledger_at(path)
        old._db.open(create=True)  # rebuilds with the first version again
        old.close()
        letters.apply(batch(add()))
    letters.close()


@pytest.mark.parametrize(
    ("identity", "kind", "width"),
    [("hash/1", None, 5 + DIM), ("x", None, 1 + 2 * DIM), ("x", "f32", 1 + 4 * DIM)],
)
def test_vectors_are_packed_by_kind(path: Path, identity: str, kind: str | None, width: int) -> None:
    ledger = ledger_at(path, vector_kind=kind)
    ledger.set_embedder(identity, DIM)
    ledger.apply(batch(add(vector=vector(1))))
    stored = next(ledger.vectors(None))[1][0]
    assert np.abs(stored - vector(1)).max() < 0.01
    ledger.close()
    conn = sqlite3.connect(path)
    assert conn.execute("SELECT length(e) FROM vec").fetchone() == (width,)
    conn.close()


def test_made_message_ids_carry_the_ledger_and_the_rid() -> None:
    salt = ledger_salt()
    for rid in (1, (5 << 32) | 7, (1 << 61) + 3):
        text = message_id(salt, rid)
        assert message_rid(salt, text) == rid and text[14] == "8" and len(text) == 36
        assert message_rid(salt ^ 1, text) is None
    for text in ("m1", "", "0" * 36, new_id().upper(), "g" * 8 + new_id()[8:], new_id().replace("-", "_")):
        assert unpack_id(pack_id(text)) == text
        assert isinstance(pack_id(text), str)
    text = new_id()
    assert isinstance(pack_id(text), bytes) and unpack_id(pack_id(text)) == text


def test_a_process_is_told_from_a_later_one_of_the_same_number() -> None:
    me = this_process()
    assert is_alive(me)
    if me.started:
        assert not is_alive(ProcessMark(host=me.host, pid=me.pid, started=me.started + "0"))
    assert is_alive(ProcessMark(host="elsewhere.invalid", pid=me.pid, started=me.started)) is None
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    assert process_start(done.pid) is None


def test_waiting_threads_are_committed_together(path: Path) -> None:
    """While one writes, others queue up: far fewer transactions than batches, each batch with its own outcome."""
    begun: list[str] = []
    gate = threading.Event()

    def on_step(name: str) -> None:
        if name == "commit":
            begun.append(name)
            gate.wait(5)

    ledger = ledger_at(path, on_step=on_step)
    gate.set()
    ledger.set_embedder(EMBEDDER, DIM)
    begun.clear()
    gate.clear()
    threads = [threading.Thread(target=ledger.apply, args=(batch(add(text=str(n))),)) for n in range(12)]
    for thread in threads:
        thread.start()
    while len(ledger._committer._pending) < 11:
        threading.Event().wait(0.001)
    gate.set()
    for thread in threads:
        thread.join(20)
    assert len(begun) == 2 and ledger.size(None) == 12
    ledger.close()


async def test_tasks_of_one_loop_are_committed_together_and_told_by_one_call(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits: list[str] = []
    told: list[object] = []
    gate = threading.Event()
    gate.set()

    def on_step(name: str) -> None:
        if name == "commit":
            commits.append(name)
            gate.wait(30)

    ledger = ledger_at(path, on_step=on_step)
    ledger.set_embedder(EMBEDDER, DIM)
    commits.clear()
    gate.clear()
    loop = asyncio.get_running_loop()
    call = loop.call_soon_threadsafe
    monkeypatch.setattr(loop, "call_soon_threadsafe", lambda *given: (told.append(given), call(*given))[1])
    first = asyncio.create_task(ledger.aapply(batch(add(text="first"))))
    while not commits:
        await asyncio.sleep(0.001)
    others = [asyncio.create_task(ledger.aapply(batch(add(text=str(n))))) for n in range(11)]
    while len(ledger._committer._pending) < 11:
        await asyncio.sleep(0.001)
    gate.set()
    await asyncio.gather(first, *others)
    assert len(commits) == 2 and len(told) == 2 and ledger.size(None) == 12
    ledger.close()


def test_an_error_of_render_is_the_callers_and_writes_nothing(path: Path) -> None:
    ledger = filled(path)

    def fails(_: object) -> str:
        raise ValueError("not renderable")

    with pytest.raises(ValueError, match="not renderable"):
        ledger.apply(batch(add(text="lost"), render=fails))
    assert ledger.size(None) == 2
    ledger.close()


def test_idle_connections_are_bounded_and_closed(path: Path) -> None:
    ledger = filled(path)
    threads = [threading.Thread(target=ledger.size, args=(None,)) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ledger._db._readers) <= 16 and not ledger._db._lent
    ledger.close()
    assert not ledger._db._readers


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_a_durable_write_syncs_once(tmp_path: Path) -> None:
    def syncs(count: int) -> int:
        log = tmp_path / f"{count}.log"
        subprocess.run(
            ["strace", "-f", "-e", "trace=fsync,fdatasync", "-o", str(log), sys.executable, str(CHILD),
             str(tmp_path / f"{count}.db"), "write", "a", str(count)],
            check=True, capture_output=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        return sum("sync(" in line and "resumed" not in line for line in log.read_text().splitlines())

    assert syncs(30) - syncs(10) == 20


def test_a_bulk_write_is_one_transaction(tmp_path: Path) -> None:
    ledger = ledger_at(tmp_path / "memory.db")
    ledger.set_embedder(EMBEDDER, DIM)
    steps: list[str] = []
    ledger._committer._on_step = steps.append
    records = added(Driver(ledger, "sync"), *[add(ALICE, f"t{n}") for n in range(1000)])
    assert steps == ["begin", "commit", "committed"] and len({r.rid for r in records}) == 1000
    ledger.close()


def test_migrations_run_once_whoever_opens_first(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of the schema before gets the steps it lacks, in one transaction each way in."""
    ledger = filled(path)
    ledger.close()
    more = (
        *sqlite_schema.MIGRATIONS,
        "CREATE TABLE later (x); -- a comment; with a semicolon\nINSERT INTO later VALUES (1)",
    )
    monkeypatch.setattr(sqlite_schema, "MIGRATIONS", more)
    monkeypatch.setattr("memkit.ledger.sqlite.connections.MIGRATIONS", more)
    ledgers = [ledger_at(path) for _ in range(4)]
    threads = [threading.Thread(target=one.open) for one in ledgers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ledgers[0].info().schema_version == len(more) and ledgers[0].size(None) == 2
    for one in ledgers:
        one.close()
    conn = sqlite3.connect(path)
    assert conn.execute("SELECT count(*) FROM later").fetchone() == (1,)
    conn.close()


@pytest.mark.parametrize("kept", ["file", "memory"])
def test_it_may_be_closed_while_threads_use_it(path: Path, kept: str) -> None:
    ledger = ledger_at(path if kept == "file" else None)
    stop = threading.Event()
    acknowledged: list[int] = []
    failures: list[Exception] = []

    def until_stopped(work: Callable[[], object]) -> None:
        while not stop.is_set():
            try:
                work()
            except Exception as error:
                failures.append(error)

    def write() -> None:
        ledger.apply(batch(messages=[message(text="green tea")]))
        acknowledged.append(1)

    works = [write, write, lambda: ledger.count(read(ALICE), at=0)]
    threads = [threading.Thread(target=until_stopped, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for _ in range(100):
        ledger.close()
        stop.wait(0.003)
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == [] and acknowledged
    ledger.close()
    if kept == "file":
        rows = sqlite3.connect(path).execute("SELECT count(*) FROM message").fetchone()
        assert rows == (len(acknowledged),)
