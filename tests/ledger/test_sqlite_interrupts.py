"""Ctrl-C in the middle of a call: nobody waits for ever, nothing is half done, and who reads next reads the newest."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path
from types import FrameType

import pytest

from memkit.ledger.sqlite import SqliteLedger
from memkit.testing.ledger_data import DIM, EMBEDDER, add, batch, tokens

SOURCES = str(Path("memkit", "ledger", "sqlite"))
PATIENCE_S = 30.0


class Interrupted(KeyboardInterrupt):
    """What the test raises, as the interpreter does it: after a call, and where a function begins."""


def interrupted(work: Callable[[], object], place: int) -> bool:
    """Do the work, interrupted at the given one of its places in the ledger; return whether there are so many."""
    seen = 0

    def profile(frame: FrameType, event: str, _: object) -> None:
        nonlocal seen
        if event in ("call", "c_return") and SOURCES in frame.f_code.co_filename:
            seen += 1
            if seen == place:
                raise Interrupted  # and the interpreter takes this function out

    sys.setprofile(profile)
    try:
        work()
    except Interrupted:
        pass
    finally:
        sys.setprofile(None)
    return seen >= place


class Crowd:
    """Threads that write beside the one that is interrupted."""

    def __init__(self, ledger: SqliteLedger) -> None:
        self.ledger = ledger
        self.written = 0
        self._threads: list[threading.Thread] = []

    def begin(self) -> None:
        """Let a thread write one record, and return when it does."""
        self._start()
        until(lambda: self.ledger._committer._leader is not None)

    def queue(self) -> None:
        """Let a thread write one record, and return when it waits for its turn."""
        before = len(self.waiting)
        self._start()
        until(lambda: len(self.waiting) > before)

    def _start(self) -> None:
        thread = threading.Thread(target=self._write, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _write(self) -> None:
        self.ledger.apply(batch(add(text="theirs")))
        self.written += 1

    @property
    def waiting(self) -> list[object]:
        return list(self.ledger._committer._pending)

    def leave(self) -> None:
        """Wait until all have written."""
        for thread in self._threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive(), "a write hangs"


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end
        time.sleep(0.0002)


@pytest.fixture(params=["file", "memory"])
def ledger(tmp_path: Path, request: pytest.FixtureRequest) -> Generator[SqliteLedger]:
    path = tmp_path / "memory.db" if request.param == "file" else None
    made = SqliteLedger(path, tokenize=tokens, tokenizer_version="1", synchronous="NORMAL")
    made.set_embedder(EMBEDDER, DIM)
    made.apply(batch(add(text="the first")))
    yield made
    made.close()


class Mine:
    """What the interrupted thread writes."""

    def __init__(self, ledger: SqliteLedger) -> None:
        self.ledger = ledger
        self.ids: list[str] = []

    def write(self) -> None:
        record = add(text="mine")
        self.ids.append(record.id)
        self.ledger.apply(batch(record))

    def check(self, others: int) -> None:
        """All of the others is there, each of ours whole or not at all, and a new one is seen at once."""
        there = len(self.ledger.records(self.ids))
        assert self.ledger.size(None) == 1 + others + there
        self.write()
        assert len(self.ledger.records(self.ids[-1:])) == 1
        assert self.ledger.size(None) == 2 + others + there


def test_a_write_interrupted_anywhere_is_whole_or_not_there(ledger: SqliteLedger) -> None:
    mine, place = Mine(ledger), 1
    while interrupted(mine.write, place):
        mine.check(0)
        place += 1
    assert place > 10


@pytest.mark.parametrize("ledger", ["file"], indirect=True)
def test_a_write_interrupted_while_others_wait_lets_them_go_on(ledger: SqliteLedger) -> None:
    mine, crowd, place = Mine(ledger), Crowd(ledger), 1

    def join_in(step: str) -> None:
        if step == "begin" and not joined:
            joined.append(step)
            crowd.queue()

    more = True
    while more:
        joined: list[str] = []
        ledger._committer._on_step = join_in
        more = interrupted(mine.write, place)
        ledger._committer._on_step = lambda _: None
        crowd.leave()
        mine.check(crowd.written)
        place += 1
    assert crowd.written > 10


@pytest.mark.parametrize("ledger", ["file"], indirect=True)
def test_a_write_interrupted_while_it_waits_lets_the_others_go_on(ledger: SqliteLedger) -> None:
    """One writes until ours waits behind it, and another behind ours, unless ours was interrupted before."""
    mine, crowd, place = Mine(ledger), Crowd(ledger), 1

    def wait_for_more(step: str) -> None:
        if step == "begin" and not over.is_set():
            until(lambda: bool(crowd.waiting) or over.is_set())
            if not over.is_set():
                over.set()
                crowd.queue()

    more = True
    while more:
        over = threading.Event()
        ledger._committer._on_step = wait_for_more
        crowd.begin()
        more = interrupted(mine.write, place)
        over.set()
        crowd.leave()
        ledger._committer._on_step = lambda _: None
        mine.check(crowd.written)
        place += 1
    assert crowd.written > 20


def test_a_read_interrupted_anywhere_leaves_no_old_snapshot_behind(ledger: SqliteLedger) -> None:
    mine, place = Mine(ledger), 1
    while interrupted(lambda: ledger.records([]), place):
        mine.check(0)
        place += 1
    assert place > 5
