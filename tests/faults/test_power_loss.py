"""The power goes off at any moment: what was acknowledged had been synced, and that alone is enough to go on."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import pytest

from tests.faults.audit import broken_laws
from tests.faults.disk import PowerLoss, Step, steps, why_not
from tests.faults.workers import Nursery, Worker

pytestmark = [pytest.mark.engine, pytest.mark.skipif(why_not() is not None, reason=str(why_not()))]

SEED = int(os.environ.get("FAULT_SEED", "1"))
POINTS = int(os.environ.get("FAULT_POINTS", "15")) if os.environ.get("FAULT_POINTS") != "all" else 1_000_000
USER: dict[str, Any] = {"user_id": "u"}
Write = tuple[str, list[Any], dict[str, Any]]


def day(worker: Worker) -> list[Write]:
    """Return the writes of a day, each one transaction; ids are those of the first of them."""
    first = worker.call("add", "the first text", infer=False, **USER)["results"][0]["id"]
    bulk = worker.call("add_many", [f"bulk {n}" for n in range(40)], user_id="v")["operation_id"]
    return [
        ("add", ["a second text"], {**USER, "infer": False}),
        (
            "add",
            [[{"role": "user", "content": "My number is 1."}, {"role": "assistant", "content": "I see."}]],
            USER,
        ),
        ("update", [first, "the first text, corrected"], {}),
        ("put_item", ["k", {"n": 1}, ["found by this"]], {}),
        ("undo", [bulk], {}),
        ("keep", [[{"role": "user", "content": "only kept", "id": "m1"}]], {**USER, "run_id": "r"}),
        ("add_many", [[f"more {n}" for n in range(30)]], USER),
        ("delete", [first], {}),
        ("forget", [], {"user_id": "v"}),
        ("delete_all", [], USER),
        ("add", ["the last text"], {**USER, "infer": False}),
    ]


def test_a_power_loss_at_any_moment_loses_nothing_acknowledged(nursery: Nursery, place: Path) -> None:
    live, trace = place / "live", place / "trace"
    worker = nursery.worker()
    worker.do("open", path=str(live))
    worker.do("trace", file=str(trace))
    writes = day(worker)
    states = [worker.call("state")]
    worker.do("mark", number=0)
    for number, (method, args, kwargs) in enumerate(writes, 1):
        worker.call(method, *args, **kwargs)
        worker.do("mark", number=number)
        states.append(worker.call("state"))
    worker.do("close")
    worker.leave()

    told = list(steps(trace))
    moments = _moments(told)
    disk, checked = PowerLoss(), 0
    for number, step in enumerate(told):
        disk.add(step)
        if number not in moments or disk.acknowledged < 0:
            continue
        for kind in ("nothing unsynced", "parts of what was unsynced"):
            folder = place / f"{number} {kind}"
            folder.mkdir()
            disk.leave(folder, random.Random(f"{SEED} {number}") if kind.startswith("parts") else None)
            seen = _state_of(nursery, folder)
            there = states[disk.acknowledged : disk.acknowledged + 2]
            assert seen in there, (
                f"{kind}, at call {number} of {len(told)}, after write {disk.acknowledged}; {SEED=}"
            )
            assert broken_laws(folder / "memory.db") == [], f"{kind}, at call {number}; {SEED=}"
            checked += 1
    assert checked > 2 * len(writes)


def _moments(told: list[Step]) -> set[int]:
    """Return which calls to stop after: every sync and mark, and some of the rest."""
    crucial = {n for n, step in enumerate(told) if step.kind in "SMU"}
    rest = [n for n in range(len(told)) if n not in crucial]
    rng = random.Random(SEED)
    return set(rng.sample(sorted(crucial), min(len(crucial), POINTS))) | set(
        rng.sample(rest, min(len(rest), POINTS))
    )


def _state_of(nursery: Nursery, folder: Path) -> Any:
    worker = nursery.worker()
    worker.do("open", path=str(folder))
    seen = worker.call("state")
    assert worker.call("found_by_their_words") == []
    worker.do("close")
    worker.leave()
    return seen


def test_the_played_disk_can_lose_what_was_not_synced(nursery: Nursery, place: Path) -> None:
    """A ledger that syncs less loses a write that it acknowledged: so the test above can fail."""
    live, trace = place / "live", place / "trace"
    worker = nursery.worker()
    worker.do("open", path=str(live), synchronous="NORMAL")
    worker.do("trace", file=str(trace))
    for n in range(3):
        worker.call("add", f"text {n}", infer=False, **USER)
    worker.kill()
    disk = PowerLoss()
    for step in steps(trace):
        disk.add(step)
    left = place / "left"
    left.mkdir()
    disk.leave(left, None)
    assert len(_state_of(nursery, left)["memories"]) < 3
