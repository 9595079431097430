"""Objects that are many, forked, pickled, closed, dropped or cut off: what was acknowledged stays, nothing hangs."""

from __future__ import annotations

import gc
import os
import pickle
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from memkit import Memory
from memkit.errors import MemkitError
from tests.faults.audit import broken_laws
from tests.faults.victim import run, sound

posix = pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")


def memory_at(path: Path) -> Memory:
    return Memory(path, llm=None, embedder="hash")


def in_threads(count: int, work: Callable[[int], None]) -> list[BaseException]:
    """Run work in threads and return what it raised."""
    errors: list[BaseException] = []

    def one(n: int) -> None:
        try:
            work(n)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=one, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads), "a call hangs"
    return errors


def test_many_objects_on_one_path_are_one_memory(tmp_path: Path) -> None:
    many = [memory_at(tmp_path / "s") for _ in range(8)]

    def work(n: int) -> None:
        for k in range(5):
            made = many[n].add(f"note {n} {k}", user_id="u", infer=False).results[0].id
            seen = many[(n + 1) % 8].search(f"note {n} {k}", user_id="u", limit=50).results
            assert made in {item.id for item in seen}

    assert in_threads(8, work) == []
    assert [memory.count(user_id="u") for memory in many] == [40] * 8
    sound(many[0])
    for memory in many:
        memory.close()
    assert broken_laws(tmp_path / "s" / "memory.db") == []


def test_a_memory_closed_during_calls_loses_nothing_acknowledged_and_opens_again(tmp_path: Path) -> None:
    memory = memory_at(tmp_path / "s")
    acknowledged = [memory.add("first", user_id="u", infer=False).results[0].id or ""]
    begun = threading.Barrier(5)

    def work(n: int) -> None:
        begun.wait(30)
        if n == 4:
            for _ in range(3):
                memory.close()
            return
        for k in range(15):
            try:
                made = memory.add(f"note {n} {k}", user_id="u", infer=False)
            except MemkitError:
                continue  # It says that it was closed.
            acknowledged.append(made.results[0].id or "")
            memory.search("note", user_id="u")

    errors = [error for error in in_threads(5, work) if not isinstance(error, MemkitError)]
    assert errors == []
    memory.close()
    with memory_at(tmp_path / "s") as again:
        assert set(acknowledged) <= {item.id for item in again.get_all(user_id="u", limit=1000).results}
        sound(again)
    assert broken_laws(tmp_path / "s" / "memory.db") == []


def test_a_memory_dropped_without_close_leaves_its_file_to_the_next(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        for n in range(5):
            memory = memory_at(tmp_path / "s")
            memory.add(f"note {n}", user_id="u", infer=False)
            assert memory.search("note", user_id="u").results
            del memory
            gc.collect()
    with memory_at(tmp_path / "s") as memory:
        assert memory.count(user_id="u") == 5
    assert broken_laws(tmp_path / "s" / "memory.db") == []


@pytest.mark.parametrize("early", [False, True])
def test_a_memory_stays_where_it_was_made_when_the_process_goes_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, early: bool
) -> None:
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with memory_at(Path("store")) as memory:
        if early:
            memory.add("before", user_id="u", infer=False)
        monkeypatch.chdir(tmp_path / "there")
        memory.add("after", user_id="u", infer=False)
        counts: list[int] = []
        assert in_threads(4, lambda _: counts.append(memory.count(user_id="u"))) == []
        assert counts == [1 + early] * 4
        memory.forget(user_id="u")
    assert (tmp_path / "here" / "store").is_dir() and not list((tmp_path / "there").iterdir())


def test_a_memory_cannot_be_pickled_by_accident_or_comes_back_whole(tmp_path: Path) -> None:
    """Whatever pickling does, it never yields an object that fails later in a strange way."""
    with memory_at(tmp_path / "s") as memory:
        memory.add("pickled", user_id="u", infer=False)
        try:
            again: Any = pickle.loads(pickle.dumps(memory))
        except (TypeError, MemkitError):
            return
        with again:
            assert again.search("pickled", user_id="u").results[0].memory == "pickled"


@posix
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_children_forked_while_threads_write_go_on_by_themselves(tmp_path: Path) -> None:
    memory = memory_at(tmp_path / "s")
    memory.add("before", user_id="u", infer=False)
    stop = threading.Event()

    def write() -> None:
        n = 0
        while not stop.is_set():
            memory.add(f"parent {n}", user_id="p", infer=False)
            n += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        children: list[int] = []
        for n in range(4):
            child = os.fork()
            if child == 0:
                code = 1
                try:
                    memory.add(f"child {n}", user_id="u", infer=False)
                    found = [i.memory for i in memory.search(f"child {n}", user_id="u").results]
                    code = 0 if f"child {n}" in found else 2
                finally:
                    os._exit(code)
            children.append(child)
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    finally:
        stop.set()
        writer.join(30)
    assert codes == [0] * 4
    assert memory.count(user_id="u") == 5
    memory.close()
    assert broken_laws(tmp_path / "s" / "memory.db") == []


EXIT_WHILE_WAITING = """
import sys
from memkit import Memory
from tests.faults.victim import script
memory = Memory(sys.argv[1], llm=script(), embedder="hash")
for n in range(3):
    memory.add(f"My number is {n}.", user_id="u", run_id=str(n), background=True, after_seconds=3600)
print(memory.stats().unfinished)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX exit")
def test_jobs_that_wait_for_their_time_at_exit_are_done_or_kept_for_the_next_process(tmp_path: Path) -> None:
    from tests.faults.victim import script

    done = run(EXIT_WHILE_WAITING, str(tmp_path / "s"))
    assert done.stdout.split() == ["3"] and done.stderr == ""
    with Memory(tmp_path / "s", llm=script(), embedder="hash") as memory:
        memory.repair()
        memory.flush(timeout=30)
        facts = [item.memory for item in memory.get_all(user_id="u").results]
        assert sorted(facts) == [f"The user's number is {n}." for n in range(3)], "each once"
        assert memory.stats().unfinished == 0
