"""The power goes off at any moment: what was acknowledged had been synced, and that alone is enough to go on."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.faults.audit import broken_laws
from tests.faults.disk import PowerLoss, Step, steps, why_not
from tests.faults.test_migration import OLD, lay
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


def play(
    told: Sequence[Step], disk: PowerLoss, place: Path, points: int = -(-POINTS // 4)
) -> Iterator[tuple[Path, str]]:
    """Yield a folder as the power left it, and when that was, for some moments; `disk` is there, too."""
    moments = _moments(told, points)
    for number, step in enumerate(told):
        disk.add(step)
        if number not in moments or disk.acknowledged < 0:
            continue
        for kind in ("nothing unsynced", "parts of what was unsynced"):
            folder = place / f"{number} {kind}"
            folder.mkdir()
            disk.leave(folder, random.Random(f"{SEED} {number}") if kind.startswith("parts") else None)
            why = f"{kind}, at call {number} of {len(told)}, after write {disk.acknowledged}; {SEED=}"
            try:
                yield folder, why
            except BaseException as error:
                error.add_note(why)
                raise
            assert broken_laws(folder / "memory.db") == [], why
            shutil.rmtree(folder)


def test_a_power_loss_at_any_moment_loses_nothing_acknowledged(nursery: Nursery, place: Path) -> None:
    live, trace = place / "live", place / "trace"
    worker = nursery.worker()
    worker.do("open", path=str(live))
    worker.do("trace", file=str(trace))
    writes = day(worker)
    states = acknowledge(worker, writes)
    disk, checked = PowerLoss(), 0
    for folder, why in play(list(steps(trace)), disk, place, POINTS):
        seen = _state_of(nursery, folder)
        assert seen in states[disk.acknowledged : disk.acknowledged + 2], why
        checked += 1
    assert checked > 2 * len(writes)


def acknowledge(worker: Worker, writes: Sequence[Write], state: str = "state") -> list[Any]:
    """Do the writes of a day one after the other, close, and return the states before, between and after them."""
    states = [worker.call(state)]
    worker.do("mark", number=0)
    for number, (method, args, kwargs) in enumerate(writes, 1):
        worker.call(method, *args, **kwargs)
        worker.do("mark", number=number)
        states.append(worker.call(state))
    worker.do("close")
    worker.leave()
    return states


def test_a_power_loss_while_something_is_learned_keeps_its_turns_and_learns_it_once(
    nursery: Nursery, place: Path
) -> None:
    live, trace = place / "live", place / "trace"
    opened = {"path": str(live), "rich": {"embedder": 0, "graph": "sqlite"}}
    worker = nursery.worker()
    worker.do("open", **opened)
    worker.do("trace", file=str(trace))
    said = [
        "My pet Rex is 3. The number of Bo is 4.",
        "The number of Bo is 5. Ann works at Acme.",
        "My pet Rex is 4.",
    ]
    writes: list[Write] = [("add", [[{"role": "user", "content": text}]], {**USER}) for text in said]
    states = acknowledge(worker, writes, "whole_now")
    disk = PowerLoss()
    for folder, why in play(list(steps(trace)), disk, place):
        worker = nursery.worker()
        worker.do("open", **{**opened, "path": str(folder)})
        kept = len(worker.call("messages", status=None, **USER))
        report = worker.call("repair")
        assert report["failed"] == {} and report["pending"] == [], why
        seen = worker.call("whole_now")
        assert seen == states[kept], f"what was said is learned, once: {why}"
        assert kept in (disk.acknowledged, disk.acknowledged + 1), why
        worker.do("close")
        worker.leave()


def test_a_power_loss_while_the_embedder_changes_leaves_all_of_one_of_them(
    nursery: Nursery, place: Path
) -> None:
    live, trace = place / "live", place / "trace"

    def opened(path: Path, embedder: int) -> Worker:
        worker = nursery.worker()
        worker.do("open", path=str(path), rich={"embedder": embedder, "graph": "sqlite"})
        return worker

    worker = opened(live, 0)
    worker.do("trace", file=str(trace))
    worker.call("add_many", [f"text {n} of somebody" for n in range(30)], **USER)
    worker.call("put", "room", "key", "a value")
    writes: list[Write] = [
        ("embed_with", [1], {}),
        ("add", ["said to the new one"], {**USER, "infer": False}),
        ("embed_with", [2], {}),
    ]
    states = acknowledge(worker, writes, "whole_now")
    disk = PowerLoss()
    for folder, why in play(list(steps(trace)), disk, place):
        worker = opened(folder, 0)
        embedder = int(worker.call("stats")["embedder"][-1])
        worker.do("close")
        worker.leave()
        worker = opened(folder, embedder)
        assert worker.call("repair")["pending"] == [], why
        assert worker.call("whole_now") in states[disk.acknowledged : disk.acknowledged + 2], why
        assert worker.call("found_by_their_words") == [], why
        worker.call("embed_with", 3)
        assert worker.call("found_by_their_words") == [], f"what was left of a change hinders no other: {why}"
        worker.do("close")
        worker.leave()


def test_a_power_loss_during_an_import_keeps_what_was_there_and_the_import_can_be_done_again(
    nursery: Nursery, place: Path
) -> None:
    live, trace = place / "live", place / "trace"
    worker = nursery.worker()
    worker.do("open", path=str(place / "other"))
    day(worker)
    worker.call("add_many", [f"moved text {n}" for n in range(60)], user_id="w")
    worker.call("put_item", "k", {"n": 1}, ["found by this"])
    lines = worker.call("export")
    worker.do("close")
    worker.do("open", path=str(live))
    worker.do("trace", file=str(trace))
    worker.call("add", "was here before", infer=False, **USER)
    before, after = acknowledge(worker, [("bring_in", [lines], {})])
    disk = PowerLoss()
    for folder, why in play(list(steps(trace)), disk, place):
        seen = _state_of(nursery, folder)
        assert all(memory in seen["memories"] for memory in before["memories"]), why
        assert disk.acknowledged == 0 or seen == after, why
        worker = nursery.worker()
        worker.do("open", path=str(folder))
        worker.call("bring_in", lines)
        assert worker.call("state") == after, why
        worker.do("close")
        worker.leave()


@pytest.mark.parametrize("dump", OLD, ids=lambda path: path.stem)
def test_a_power_loss_while_a_file_of_an_earlier_schema_is_opened_leaves_all_that_is_in_it(
    nursery: Nursery, place: Path, dump: Path
) -> None:
    live, trace = lay(place / "live", dump), place / "trace"
    disk = PowerLoss(live)
    worker = nursery.worker()
    worker.do("open", path=str(live))
    worker.do("trace", file=str(trace))
    worker.do("mark", number=0)
    states = acknowledge(worker, [("add", ["a new text"], {**USER, "infer": False})])
    for folder, why in play(list(steps(trace)), disk, place):
        assert _state_of(nursery, folder) in states[disk.acknowledged :], why


def _moments(told: Sequence[Step], points: int) -> set[int]:
    """Return which calls to stop after: every sync and mark, and some of the rest."""
    crucial = {n for n, step in enumerate(told) if step.kind in "SMU"}
    rest = [n for n in range(len(told)) if n not in crucial]
    rng = random.Random(SEED)
    return set(rng.sample(sorted(crucial), min(len(crucial), points))) | set(
        rng.sample(rest, min(len(rest), points))
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
