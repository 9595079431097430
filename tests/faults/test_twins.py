"""A life with kills, full disks and jumping clocks ends as the same life without them, in every process, to the last byte.

`FAULT_SEED` and `FAULT_LIVES` give other lives and more of them, `FAULT_STEPS` longer ones: 20 lives of 120 calls take
ten minutes.
"""

from __future__ import annotations

import os
import random
import select
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.faults import crowd
from tests.faults.audit import broken_laws
from tests.faults.disk import why_not
from tests.faults.twins import Twins, needles, pieces
from tests.faults.workers import Killed, Nursery, Worker

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="workers are forked"),
]
SEED = int(os.environ.get("FAULT_SEED", "1"))
LIVES = int(os.environ.get("FAULT_LIVES", "1"))
STEPS = int(os.environ.get("FAULT_STEPS", "40"))
KINDS: dict[str, dict[str, Any]] = {
    "ledger alone": {},
    "hashed vectors": {"rich": {"hashed": True}},
    "with an index": {"index": True},
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_life_with_faults_is_the_same_as_one_without(nursery: Nursery, place: Path, kind: str) -> None:
    for seed in range(SEED, SEED + LIVES):
        folder = place / str(seed)
        folder.mkdir()
        twins = Twins(nursery, folder, seed, opened=KINDS[kind], disk=why_not() is None)
        try:
            twins.live_for(STEPS)
        except BaseException as error:
            error.add_note(f"FAULT_SEED={seed}")
            raise
        finally:
            twins.leave_all()


def test_a_change_of_the_embedder_that_is_killed_leaves_an_index_that_repair_fills(
    nursery: Nursery, place: Path
) -> None:
    def opened(embedder: int) -> Worker:
        worker = nursery.worker()
        worker.do("open", path=str(place), index=True, rich={"graph": "sqlite", "embedder": embedder})
        return worker

    first = opened(0)
    first.call("add_many", [f"text {n}" for n in range(5)], user_id="u")
    embedders = set[int]()
    for nth in range(1, 10):
        try:
            first.call("embed_with", 1, arm={"step": "committed", "nth": nth})
        except Killed:
            first.leave()
        else:
            break
        first = opened(0)
        embedder = int(first.call("stats")["embedder"][-1])
        embedders.add(embedder)
        other = opened(embedder)
        assert other.call("repair")["pending"] == [], nth
        found = other.call("search", "text 1", user_id="u")
        assert found["results"][0]["memory"] == "text 1" and found["warnings"] == []
        there = other.call("in_index")
        assert there["index"] == there["ledger"] and len(there["index"]) == 5
        other.call("embed_with", 0)
        other.leave()
    first.leave()
    assert embedders == {0, 1}, "killed before the change and after it"


@pytest.mark.parametrize("index", [False, True], ids=["ledger alone", "with an index"])
def test_a_crowd_that_writes_at_once_and_is_killed_loses_nothing_acknowledged(
    nursery: Nursery, place: Path, index: bool
) -> None:
    dice, logs = random.Random(SEED), place / "logs"
    opened: dict[str, Any] = {
        "path": str(place / "s"),
        "index": index,
        "rich": {"embedder": 0, "graph": "sqlite"},
    }
    logs.mkdir()

    def start(number: int) -> tuple[Worker, Path, int]:
        worker, log = nursery.worker(), logs / f"run{number}"
        worker.do("open", **opened)
        worker.start(
            "call", method="live_in_the_crowd", args=[SEED * 1000 + number, number % 3, log.name, str(log), 2],
            kwargs={}, arm=None,
        )  # fmt: skip
        return worker, log, dice.randint(1, 60)

    def end(worker: Worker) -> None:
        os.kill(worker.pid, signal.SIGKILL)
        with pytest.raises(Killed):
            worker.finish()  # One whose own checks failed says so first.
        worker.leave()

    count = 12 * LIVES
    waiting = list(range(3, count))
    working = [start(number) for number in range(3)]
    until = time.monotonic() + 60 + 20 * LIVES
    while working:
        assert time.monotonic() < until, "they do not get on"
        for place_, (worker, log, wanted) in enumerate(working):
            said = sum(part.read_bytes().count(b"\n") for part in logs.glob(f"{log.name}.*"))
            if said >= wanted or select.select([worker.fileno()], [], [], 0)[0]:
                end(worker)
                working[place_ : place_ + 1] = [start(waiting.pop(0))] if waiting else []
                break
        else:
            time.sleep(0.002)

    worker = nursery.worker()
    worker.do("open", **opened)
    report = worker.call("repair")
    assert report["failed"] == {} and report["pending"] == []
    gone, kept = list[str](), list[str]()
    for log in sorted(logs.iterdir()):
        possible = crowd.replay(log)
        scope = {"user_id": crowd.USER, "run_id": log.name}
        live = {
            item["id"]: item["memory"] for item in worker.call("get_all", limit=10_000, **scope)["results"]
        }
        said = [message["content"] for message in worker.call("messages", **scope)]
        found = [own for own in possible if own.is_there(live, said)]
        assert found, f"lost or half done: {log.name} {log.read_bytes().splitlines()[-2:]}"
        gone += found[0].gone
        kept += [text for own in found for text in own.ever]
    assert worker.call("found_by_their_words") == []
    if index:
        there = worker.call("in_index")
        assert there["index"] == there["ledger"]
    worker.do("close")
    worker.leave()
    words = needles(gone) - needles(kept)
    for file in (place / "s").glob("memory.db*"):
        assert not pieces(file.read_bytes()) & words, "what was forgotten is in the file"
    assert broken_laws(place / "s" / "memory.db") == []
