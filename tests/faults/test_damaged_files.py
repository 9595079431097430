"""What a crash, a careless copy or another program may leave in the place of a ledger's files."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from memkit import Memory
from memkit.errors import BackendUnavailableError, ConfigurationError, CorruptLedgerError, MemkitError
from tests.faults.audit import broken_laws
from tests.faults.workers import Nursery

posix = pytest.mark.skipif(os.name == "nt", reason="an open file can be moved away on POSIX only")
FRAME = 24 + 8192


def memory_at(path: Path) -> Memory:
    return Memory(path, llm=None, embedder="hash")


def texts(path: Path) -> list[str]:
    with memory_at(path) as memory:
        return sorted(item.memory for item in memory.get_all(user_id="u").results)


@pytest.fixture
def killed(nursery: Nursery, place: Path) -> Path:
    """What a killed process left: a file, a log with 20 more texts in it, and its index."""
    folder = place / "killed"
    with memory_at(folder) as memory:
        memory.add("in the file", user_id="u", infer=False)
    worker = nursery.worker()
    worker.do("open", path=str(folder))
    for n in range(20):
        worker.call("add", f"in the log {n}", user_id="u", infer=False)
    worker.kill()
    assert (folder / "memory.db-wal").stat().st_size > 20 * FRAME
    return folder


WHOLE = sorted(["in the file", *(f"in the log {n}" for n in range(20))])


def _torn(log: Path) -> None:
    with log.open("r+b") as file:
        file.truncate(log.stat().st_size - 1000)


def _garbage_at_the_end(log: Path) -> None:
    with log.open("ab") as file:
        file.write(os.urandom(3 * FRAME))


def _last_frame_scribbled(log: Path) -> None:
    with log.open("r+b") as file:
        file.seek(-4000, os.SEEK_END)
        file.write(b"\xff" * 100)


def _short(log: Path) -> None:
    with log.open("r+b") as file:
        file.truncate(32 + 9 * FRAME + 100)


@pytest.mark.parametrize("harm", [_torn, _garbage_at_the_end, _last_frame_scribbled, _short])
def test_a_log_harmed_at_its_end_gives_every_whole_write_before_the_harm(
    killed: Path, harm: Callable[[Path], None]
) -> None:
    harm(killed / "memory.db-wal")
    found = texts(killed)
    there = {int(text.rpartition(" ")[2]) for text in found if text != "in the file"}
    assert "in the file" in found and there == set(range(len(there))), "a first part of the writes, in order"
    assert len(there) >= (
        19 if harm in (_torn, _last_frame_scribbled) else 20 if harm is _garbage_at_the_end else 1
    )
    assert broken_laws(killed / "memory.db") == []
    with memory_at(killed) as memory:
        memory.add("goes on", user_id="u", infer=False)
        assert memory.search("goes on", user_id="u").results[0].memory == "goes on"


def test_a_log_without_its_index_is_read_all_the_same(killed: Path) -> None:
    (killed / "memory.db-shm").unlink()
    assert texts(killed) == WHOLE


def test_an_index_of_garbage_beside_the_log_is_made_anew(killed: Path) -> None:
    (killed / "memory.db-shm").write_bytes(os.urandom(32768))
    assert texts(killed) == WHOLE


def test_a_file_copied_without_its_log_is_as_it_was_at_its_last_checkpoint(killed: Path, place: Path) -> None:
    (place / "copy").mkdir()
    shutil.copy(killed / "memory.db", place / "copy" / "memory.db")
    assert texts(place / "copy") == ["in the file"]
    assert broken_laws(place / "copy" / "memory.db") == []


def test_a_log_without_its_file_is_no_ledger_and_does_not_get_into_a_new_one(killed: Path) -> None:
    (killed / "memory.db").unlink()
    with memory_at(killed) as memory:
        assert memory.count(user_id="u") == 0
        memory.add("a new beginning", user_id="u", infer=False)
        assert [item.memory for item in memory.get_all(user_id="u").results] == ["a new beginning"]
    assert texts(killed) == ["a new beginning"] and broken_laws(killed / "memory.db") == []


def test_an_empty_file_becomes_a_ledger(place: Path) -> None:
    (place / "memory.db").touch()
    with memory_at(place / "memory.db") as memory:
        assert memory.count(user_id="u") == 0 and (place / "memory.db").stat().st_size == 0, (
            "reading writes nothing"
        )
        memory.add("first", user_id="u", infer=False)
    assert texts(place / "memory.db") == ["first"]


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"\0" * 100_000, CorruptLedgerError),
        (b"{}", CorruptLedgerError),
        (b"SQLite format 3\0", CorruptLedgerError),
    ],
    ids=["zeros", "a word", "a header alone"],
)
def test_a_file_that_is_no_database_is_named_and_left_alone(
    place: Path, content: bytes, error: type[MemkitError]
) -> None:
    file = place / "memory.db"
    file.write_bytes(content)
    with memory_at(file) as memory:
        for call in (
            lambda: memory.add("x", user_id="u", infer=False),
            lambda: memory.search("x", user_id="u"),
        ):
            with pytest.raises(error, match=r"memory\.db"):
                call()
    assert file.read_bytes() == content


def test_another_programs_database_is_named_and_left_alone(place: Path) -> None:
    file = place / "memory.db"
    with closing(sqlite3.connect(file)) as conn:
        conn.execute("CREATE TABLE record (theirs)")
        conn.commit()
    before = file.read_bytes()
    with memory_at(file) as memory:
        for call in (lambda: memory.add("x", user_id="u", infer=False), lambda: memory.count(user_id="u")):
            with pytest.raises(ConfigurationError, match="another program"):
                call()
    assert file.read_bytes() == before


@posix
@pytest.mark.parametrize("how", ["deleted", "replaced", "moved"])
def test_a_file_taken_away_under_an_open_memory_never_swallows_a_write(place: Path, how: str) -> None:
    """Whatever is acknowledged afterwards is in the file that is there now; else the call says what happened."""
    folder = place / "s"
    acknowledged: list[str] = []
    with memory_at(folder) as memory:
        memory.add("before", user_id="u", infer=False)
        memory.search("before", user_id="u")
        files = sorted(folder.glob("memory.db*"))
        (place / "aside").mkdir()
        for file in files:
            if how == "deleted":
                file.unlink()
            else:
                file.rename(place / "aside" / file.name)
        if how == "replaced":
            with memory_at(place / "another") as other:
                other.add("in the other", user_id="u", infer=False)
            shutil.copy(place / "another" / "memory.db", folder / "memory.db")
        try:
            memory.add("after", user_id="u", infer=False)
            acknowledged.append("after")
        except BackendUnavailableError as error:
            assert "memory.db was deleted, moved or replaced" in str(error) and not error.retryable
    there = texts(folder) if how != "moved" else texts(place / "aside")
    assert ("after" in there) == bool(acknowledged)
    if how == "moved":
        assert "before" in there
    with memory_at(folder) as memory:
        memory.add("goes on", user_id="u", infer=False)
        assert memory.search("goes on", user_id="u").results[0].memory == "goes on"


@posix
@pytest.mark.parametrize("names", [["-wal"], ["-shm"], ["-wal", "-shm"]], ids=["log", "index", "both"])
def test_a_log_taken_away_under_an_open_memory_never_swallows_a_write(place: Path, names: list[str]) -> None:
    """Nobody who opens the file now reads that log: what would be written to it is refused."""
    folder = place / "s"
    with memory_at(folder) as memory:
        memory.add("before", user_id="u", infer=False)
        for name in names:
            (folder / f"memory.db{name}").unlink()
        with pytest.raises(BackendUnavailableError, match=f"memory.db{names[0]} was deleted") as refused:
            memory.add("after", user_id="u", infer=False)
        assert not refused.value.retryable and memory.count(user_id="u") == 1
    assert texts(folder) == ["before"], "what was open when it closed wrote what it had"
    with memory_at(folder) as memory:
        memory.add("goes on", user_id="u", infer=False)
        assert memory.search("goes on", user_id="u").results[0].memory == "goes on"
    assert broken_laws(folder / "memory.db") == []
