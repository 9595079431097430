"""Files that cannot be written, are no ledger, are damaged, locked or full: an error of ours, and nothing is lost."""

from __future__ import annotations

import os
import sqlite3
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from memkit import Memory
from memkit.errors import BackendUnavailableError, CorruptLedgerError
from tests.engine.faces import Face, World, down
from tests.faults.victim import run, sound

posix = pytest.mark.skipif(sys.platform == "win32", reason="permissions and limits of POSIX")


def test_a_place_that_is_no_folder_is_an_error_of_ours(world: World, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(BackendUnavailableError) as error:
        world.open(tmp_path / "file" / "deep").add("x", user_id="u", infer=False)
    assert not error.value.retryable


@pytest.mark.parametrize(
    "content",
    [b"this is no database, but it is long enough to be one" * 100, b"SQLite format 3\x00" + b"\xff" * 5000],
)
def test_a_file_that_is_no_ledger_is_an_error_of_ours(world: World, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "memory.db").write_bytes(content)
    memory = world.open(tmp_path / "memory.db")
    for call in (
        lambda: memory.add("x", user_id="u", infer=False),
        lambda: memory.get_all(user_id="u"),
        lambda: memory.search("x", user_id="u"),
    ):
        with pytest.raises(CorruptLedgerError, match=r"memory\.db"):
            call()
    health = memory.health()
    assert not health.ok and "ledger" in health.problems
    assert (tmp_path / "memory.db").read_bytes() == content


def test_a_ledger_damaged_in_the_middle_is_told_by_health(world: World, memory: Face) -> None:
    memory.add_many([f"note {n} " + "lorem ipsum " * 30 for n in range(300)], user_id="u")
    memory.close()
    file = world.path / "memory.db"
    data = bytearray(file.read_bytes())
    for page in range(4, len(data) // 4096 - 1):
        data[page * 4096 : page * 4096 + 64] = b"\xff" * 64
    file.write_bytes(bytes(data))
    again = world.open()
    health = again.health()
    assert not health.ok and "ledger" in health.problems
    with pytest.raises(CorruptLedgerError):
        for _ in range(3):
            again.get_all(user_id="u", limit=300)
            again.search("note", user_id="u")
            again.history("x")


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


@posix
def test_a_ledger_that_is_read_only_can_be_read(mode: str) -> None:
    # Not below pytest's own folder, which only its owner may enter.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Memory(folder, llm=None, embedder="hash") as memory:
            id = memory.add("I live in Oslo.", user_id="u", infer=False).results[0].id
            assert id is not None
        files = list(folder.iterdir())
        for file in files:
            file.chmod(0o444)
        folder.chmod(0o555)
        with as_nobody(folder, *files):
            world = World(folder, "sync" if mode == "sync" else "async")
            memory = world.open(folder)
            assert memory.get(id).memory == "I live in Oslo." and memory.count(user_id="u") == 1
            assert memory.found("Oslo", user_id="u") == ["I live in Oslo."] and len(memory.history(id)) == 1
            for change in (
                lambda: memory.add("x", user_id="u", infer=False),
                lambda: memory.update(id, "x"),
                lambda: memory.delete(id),
                lambda: memory.forget(user_id="u"),
            ):
                with pytest.raises(BackendUnavailableError, match="cannot be written") as error:
                    change()
                assert not error.value.retryable
            assert not memory.health().ok
            world.close()
        folder.chmod(0o755)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX limits")
def test_a_full_disk_is_an_error_of_ours_and_nothing_is_lost(tmp_path: Path) -> None:
    code = """
import resource, signal, sys
from memkit import Memory
from memkit.errors import BackendUnavailableError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
memory = Memory(sys.argv[1], llm=None, embedder="hash")
memory.add("I live in Oslo.", user_id="u", infer=False)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
acknowledged = 1
try:
    for n in range(400):
        memory.add_many([f"note {n} {k} " + "lorem ipsum " * 100 for k in range(10)], user_id="u")
        acknowledged += 10
except BackendUnavailableError as error:
    print(acknowledged, error.retryable, flush=True)
else:
    raise AssertionError("it should have been full")
assert memory.count(user_id="u") == acknowledged
assert memory.search("Oslo", user_id="u").results
import os
os._exit(0)
"""
    done = run(code, str(tmp_path / "s"), check=False)
    assert done.returncode == 0, done.stderr
    with Memory(tmp_path / "s", llm=None, embedder="hash") as memory:
        assert memory.count(user_id="u") == int(done.stdout.split()[0])
        memory.add("room again", user_id="u", infer=False)
        sound(memory)


def test_a_ledger_locked_by_another_program_is_an_error_of_ours(tmp_path: Path) -> None:
    from memkit.ledger.sqlite import SqliteLedger
    from memkit.ranking.text import TOKENIZER_VERSION, tokens

    file = tmp_path / "memory.db"
    ledger = SqliteLedger(file, tokenize=tokens, tokenizer_version=TOKENIZER_VERSION, busy_timeout_s=0.3)
    with Memory(tmp_path, ledger=ledger, llm=None, embedder="hash") as memory:
        memory.add("one", user_id="u", infer=False)
        other = sqlite3.connect(file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(BackendUnavailableError) as error:
            memory.add("two", user_id="u", infer=False)
        assert error.value.retryable and error.value.operation_id
        assert [i.memory for i in memory.search("one", user_id="u").results] == ["one"], "reads go on"
        other.execute("ROLLBACK")
        other.close()
        memory.add("two", user_id="u", infer=False)
        assert memory.count(user_id="u") == 2


def test_a_model_that_is_down_leaves_the_ledger_sound(world: World) -> None:
    from memkit.llms.fake import FakeLLM

    memory = world.open(llm=FakeLLM(lambda _: down("model")))
    results = memory.together(
        [("add", {"messages": f"I live in town {n}.", "user_id": "u"}) for n in range(8)]
    )
    assert {type(r).__name__ for r in results} == {"BackendUnavailableError"}
    assert len(memory.messages(user_id="u")) == 8 and memory.stats().unfinished == 8
    sound(memory)
