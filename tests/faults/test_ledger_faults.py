"""What a ledger survives: kills at every step, other processes, threads, tasks, forks, full disks, damage."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from memkit.errors import BackendUnavailableError, ConfigurationError, CorruptLedgerError
from memkit.ledger.sqlite import SqliteLedger
from memkit.scope import ReadScope, Scope
from memkit.testing.ledger_data import ALICE, DIM, EMBEDDER, LATE, T0, add, batch, message, tokens

ROOT = Path(__file__).parents[2]
CHILD = Path(__file__).with_name("ledger_child.py")
EVERYONE = ReadScope(everyone=True)
SCOPE = ReadScope(user_id="alice")
NOW = LATE * 2
STEPS = ("begin", "messages", "records", "commit", "committed")


def ledger_at(path: Path | None, **fields: object) -> SqliteLedger:
    return SqliteLedger(path, tokenize=tokens, tokenizer_version="1", **fields)  # type: ignore[arg-type]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "memory.db"


@contextmanager
def child(path: Path, *arguments: object) -> Generator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, str(CHILD), str(path), *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def sound(path: Path) -> set[str]:
    """Check every invariant of a file by hand, and return the texts of its live records."""
    ledger = ledger_at(path)
    assert ledger.open(create=False)
    ledger.check()
    found = ledger.listing(EVERYONE, at=NOW, limit=10_000)
    for record in found:
        assert [event.event for event in ledger.history(record.id)][:1] == ["ADD"]
        assert record.rid in ledger.keyword_candidates([record.owner], tokens(record.text), 10_000)
    vectors = {rid for rids, _ in ledger.vectors(None) for rid in rids}
    assert vectors == {record.rid for record in found}
    assert len(ledger.outbox("index", 10_000)) == len(found) == ledger.size(None)
    assert ledger.info().messages == len(ledger.messages(SCOPE, limit=None)) == len(found)
    ledger.close()
    conn = sqlite3.connect(path)
    assert conn.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    conn.close()
    return {record.text for record in found}


# Kills.


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("after", [1, 7])
def test_a_kill_at_any_step_loses_nothing_acknowledged(path: Path, step: str, after: int) -> None:
    with child(path, "kill", step, after) as process:
        acknowledged, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    said = set(acknowledged.split())
    found = sound(path)
    assert said <= found
    # Batches are whole or absent: at most the one in flight is there without its acknowledgement.
    assert {f"text{t[4:]}" for t in found} == {f"more{t[4:]}".replace("more", "text") for t in found}
    assert len(found) == 2 * len({t[4:] for t in found})
    assert len({t[4:] for t in found}) - len(said) in ((0, 1) if step == "committed" else (0,))


def test_the_job_of_a_killed_process_is_claimed_by_the_next(path: Path) -> None:
    with child(path, "hold") as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "holding"
        ledger = ledger_at(path)
        assert [job.state for job in ledger.jobs()] == ["running"]
        assert list(ledger.claim("me")) == []  # its worker is alive
        process.kill()
        process.wait()
        claimed = ledger.claim("me")
        assert [job.attempts for job in claimed] == [2]
        ledger.close()


@pytest.mark.parametrize("step", ["erased", "commit", "committed", "scrubbed"])
def test_a_killed_erasure_is_finished_by_the_next_open(path: Path, step: str) -> None:
    with child(path, "forget", step) as process:
        process.communicate(timeout=60)
    assert process.returncode != 0
    ledger = ledger_at(path)
    ledger.open()
    left = ledger.listing(EVERYONE, at=NOW, limit=10)
    ledger.close()
    assert [record.text for record in left] in ([], ["other", "secretword one"])
    if not left:
        assert b"secretword" not in path.read_bytes()


# Others at the same time.


def test_two_processes_write_without_loss_and_see_each_other(path: Path) -> None:
    with child(path, "write", "a", 150) as one, child(path, "write", "b", 150) as two:
        reader = ledger_at(path)
        outputs = [process.communicate(timeout=120)[0].split("\n") for process in (one, two)]
    assert [process.returncode for process in (one, two)] == [0, 0]
    said = {line for lines in outputs for line in lines if line and not line.startswith("slowest")}
    assert said == {f"{name}-{n}" for name in "ab" for n in range(150)}
    assert (
        max(float(line.split()[1]) for lines in outputs for line in lines if line.startswith("slowest")) < 10
    )
    assert {r.text for r in reader.listing(EVERYONE, at=NOW, limit=1000)} == said
    reader.close()
    assert sound(path) == said


def test_another_process_is_seen_by_the_next_read(path: Path) -> None:
    mine = ledger_at(path)
    mine.set_embedder(EMBEDDER, DIM)
    mine.apply(batch(add(text="mine")))
    number = mine.owner_number(ALICE.owner)
    mark = mine.changes(number, None).mark
    with child(path, "write", "x", 1) as process:
        process.communicate(timeout=60)
    assert [record.text for record in mine.changes(number, mark).records] == ["x-0"]
    mine.close()


def test_two_processes_open_a_new_ledger_at_once(tmp_path: Path) -> None:
    for attempt in range(2):
        path = tmp_path / str(attempt) / "memory.db"
        with child(path, "write", "a", 3) as one, child(path, "write", "b", 3) as two:
            for process in (one, two):
                process.communicate(timeout=60)
            assert [process.returncode for process in (one, two)] == [0, 0]
        assert len(sound(path)) == 6


def test_sixteen_threads_lose_nothing(path: Path) -> None:
    ledger = ledger_at(path)
    ledger.set_embedder(EMBEDDER, DIM)
    errors: list[BaseException] = []

    def work(name: int) -> None:
        try:
            for n in range(20):
                ledger.apply(batch(add(Scope(user_id=f"u{name % 3}"), f"{name}-{n}")))
                assert ledger.size(None) > 0
                ledger.listing(ReadScope(user_id=f"u{name % 3}"), at=NOW, limit=5)
        except BaseException as error:
            errors.append(error)
            raise

    threads = [threading.Thread(target=work, args=(name,)) for name in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not errors
    assert ledger.size(None) == 320
    assert len({e.rid for e in ledger.listing(EVERYONE, at=NOW, limit=999)}) == 320
    ledger.close()


async def test_sixty_four_tasks_lose_nothing_and_never_block_the_loop(path: Path) -> None:
    ledger = ledger_at(path)
    ledger.set_embedder(EMBEDDER, DIM)
    running, longest = True, 0.0

    async def watch() -> None:
        nonlocal longest
        while running:
            begin = time.perf_counter()
            await asyncio.sleep(0.001)
            longest = max(longest, time.perf_counter() - begin)

    async def work(name: int) -> None:
        for n in range(10):
            applied = await ledger.aapply(batch(add(text=f"{name}-{n}")))
            assert applied.changes[0].status == "applied"

    watcher = asyncio.create_task(watch())
    await asyncio.gather(*(work(name) for name in range(64)))
    running = False
    await watcher
    assert ledger.size(None) == 640
    assert longest < 2.0
    ledger.close()


async def test_a_cancelled_task_leaves_the_ledger_whole(path: Path) -> None:
    ledger = ledger_at(path)
    ledger.set_embedder(EMBEDDER, DIM)
    tasks = [asyncio.create_task(ledger.aapply(batch(add(text=f"t{n}")))) for n in range(20)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert sum(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes) == 10
    kept = {record.text for record in ledger.listing(SCOPE, at=NOW, limit=99)}
    assert {f"t{n}" for n in range(1, 20, 2)} <= kept
    assert (await ledger.aapply(batch(add(text="after")))).changes[0].status == "applied"
    ledger.close()


def test_one_event_loop_after_another_uses_the_same_ledger(path: Path) -> None:
    ledger = ledger_at(path)
    ledger.set_embedder(EMBEDDER, DIM)
    for n in range(3):
        asyncio.run(ledger.aapply(batch(add(text=str(n)))))
    assert ledger.size(None) == 3
    ledger.close()


def test_a_writer_that_waits_too_long_says_so(path: Path) -> None:
    ledger = ledger_at(path, busy_timeout_s=0.2)
    ledger.set_embedder(EMBEDDER, DIM)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    begin = time.perf_counter()
    with pytest.raises(BackendUnavailableError, match="another process") as caught:
        ledger.apply(batch(add()))
    assert caught.value.retryable and time.perf_counter() - begin < 5
    assert ledger.size(None) == 0  # readers do not wait
    other.execute("ROLLBACK")
    other.close()
    ledger.apply(batch(add()))
    ledger.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_reopens_by_itself(path: Path) -> None:
    ledger = ledger_at(path)
    ledger.set_embedder(EMBEDDER, DIM)
    ledger.apply(batch(add(text="parent")))
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            assert "parent" in {r.text for r in ledger.listing(SCOPE, at=NOW, limit=99)}
            ledger.apply(batch(add(text="child")))
            ledger.close()
            code = 0
        finally:
            os._exit(code)
    for n in range(20):
        ledger.apply(batch(add(text=f"p{n}")))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert ledger.size(None) == 22
    ledger.check()
    ledger.close()


# The disk.


def test_a_full_disk_leaves_nothing_half_done(path: Path) -> None:
    """The file may not grow past a number of pages: what a full disk does to every statement."""
    ledger = ledger_at(path)
    ledger.set_embedder(EMBEDDER, DIM)
    conn = ledger._db.writer()
    for extra in range(1, 8):
        pages = conn.execute("PRAGMA page_count").fetchone()[0]
        conn.execute(f"PRAGMA max_page_count = {pages + extra}")
        before, last = ledger.info(), batch()
        with pytest.raises(BackendUnavailableError, match="full"):
            for _ in range(500):
                last = batch(
                    *[add(text=f"word{k} " * 200) for k in range(9)], messages=[message()], owner=ALICE.owner
                )
                ledger.apply(last)
                before = ledger.info()
        after = ledger.info()
        assert (after.memories, after.messages, after.events) == (
            before.memories,
            before.messages,
            before.events,
        )
        assert ledger.operation(last.operation_id) is None
        conn.execute("PRAGMA max_page_count = 1073741823")
        ledger.check()
    ledger.apply(batch(add(text="there is room again")))
    ledger.close()


def test_one_that_does_not_fit_harms_no_companion(path: Path) -> None:
    ledger = ledger_at(path)
    ledger.set_embedder(EMBEDDER, DIM)
    for _ in range(3):
        ledger.apply(batch(add()))
    conn = ledger._db.writer()
    pages = conn.execute("PRAGMA page_count").fetchone()[0]
    conn.execute(f"PRAGMA max_page_count = {pages + 12}")

    async def together() -> list[object]:
        work = [batch(add(text="big " * 200_000 if n == 3 else f"small {n}")) for n in range(6)]
        return list(await asyncio.gather(*map(ledger.aapply, work), return_exceptions=True))

    outcomes = asyncio.run(together())
    assert [isinstance(outcome, BackendUnavailableError) for outcome in outcomes] == [
        n == 3 for n in range(6)
    ]
    assert ledger.size(None) == 8
    ledger.close()


def test_a_ledger_that_cannot_be_written_still_reads(path: Path) -> None:
    """The file refuses every write, as on a read-only volume; root may write anything else, so SQLite is told."""
    ledger = ledger_at(path)
    ledger.set_embedder(EMBEDDER, DIM)
    ledger.apply(batch(add(text="kept")))
    ledger._db.writer().execute("PRAGMA query_only = ON")
    with pytest.raises(BackendUnavailableError, match="cannot be written") as caught:
        ledger.apply(batch(add()))
    assert not caught.value.retryable
    with pytest.raises(BackendUnavailableError):
        ledger.check()
    assert ledger.size(None) == 1
    ledger.close()


@contextmanager
def as_nobody(*places: Path) -> Generator[None]:
    """Root may write anywhere, so it becomes somebody else for a while."""
    if os.geteuid() != 0:
        yield
        return
    for place in places:
        os.chown(place, 65534, 65534)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.skipif(os.name == "nt", reason="this platform has no such modes")
@pytest.mark.parametrize("closed", [True, False])
def test_a_read_only_file_and_folder_serve_reads(closed: bool) -> None:
    """With and without a log that another process left open beside the file."""
    folder = Path(tempfile.mkdtemp())
    path = folder / "memory.db"
    ledger = ledger_at(path)
    ledger.set_embedder(EMBEDDER, DIM)
    ledger.apply(batch(add(text="kept")))
    if closed:
        ledger.close()
    for place in folder.iterdir():
        place.chmod(0o400)
    folder.chmod(0o500)
    try:
        with as_nobody(folder, *folder.iterdir()):
            again = ledger_at(path)
            assert again.open(create=False) and again.size(None) == 1
            with pytest.raises(BackendUnavailableError, match="cannot be written"):
                again.apply(batch(add()))
            again.close()
    finally:
        folder.chmod(0o700)
        ledger.close()
        shutil.rmtree(folder)


def test_an_impossible_path_is_one_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for place in (tmp_path / "file" / "memory.db", tmp_path):
        with pytest.raises(BackendUnavailableError) as caught:
            ledger_at(place).open()
        assert str(place) in str(caught.value)


# Damage.


def test_a_damaged_file_is_told_and_left_alone(path: Path) -> None:
    ledger = ledger_at(path)
    ledger.set_embedder(EMBEDDER, DIM)
    for n in range(50):
        ledger.apply(batch(add(text=f"text {n} " * 50)))
    ledger.close()
    whole = path.read_bytes()
    for name, damaged in {
        "header": b"x" * 100 + whole[100:],
        "middle": whole[: 3 * 8192] + os.urandom(len(whole) - 3 * 8192),
        "short": whole[: len(whole) // 2],
    }.items():
        place = path.with_name(f"{name}.db")
        place.write_bytes(damaged)
        broken = ledger_at(place)
        with pytest.raises(CorruptLedgerError, match="damaged"):
            broken.open()
            broken.check()
            broken.listing(EVERYONE, at=T0, limit=99)
        broken.close()
        if name == "header":
            assert place.read_bytes() == damaged


def test_a_newer_ledger_or_a_strange_database_is_refused(path: Path) -> None:
    ledger = ledger_at(path)
    ledger.open()
    ledger.close()
    conn = sqlite3.connect(path)
    conn.execute("PRAGMA user_version = 99")
    conn.close()
    with pytest.raises(ConfigurationError, match="newer memkit"):
        ledger_at(path).open()
    other = path.with_name("other.db")
    conn = sqlite3.connect(other)
    conn.execute("CREATE TABLE theirs (x)")
    conn.close()
    with pytest.raises(ConfigurationError, match="another program"):
        ledger_at(other).open()


def test_a_kill_between_file_and_schema_is_no_ledger_yet(path: Path) -> None:
    path.touch()
    assert not ledger_at(path).open(create=False)
    conn = sqlite3.connect(path)
    conn.execute("PRAGMA journal_mode = WAL")
    conn.close()
    assert not ledger_at(path).open(create=False)
    ledger = ledger_at(path)
    ledger.set_embedder(EMBEDDER, DIM)
    ledger.apply(batch(add(), operation_id=str(uuid.uuid4())))
    assert ledger.size(None) == 1
    ledger.close()
