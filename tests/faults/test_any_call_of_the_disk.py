"""Each call of a memory, killed at, or failing at, any of its calls of the disk: before or after, never between.

`FAULT_POINTS=all` tries every one; otherwise a few of each scenario are drawn, the first and the last among them, and
`FAULT_SEED` draws others.
"""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import pytest

from tests.faults.audit import broken_laws
from tests.faults.disk import Fault, why_not
from tests.faults.scenarios import SCENARIOS, Scenario, Stage
from tests.faults.workers import Killed, Nursery, Refusal, Worker

pytestmark = [pytest.mark.engine, pytest.mark.skipif(why_not() is not None, reason=str(why_not()))]

SEED = int(os.environ.get("FAULT_SEED", "1"))
POINTS = 1_000_000 if os.environ.get("FAULT_POINTS") == "all" else int(os.environ.get("FAULT_POINTS", "4"))
EACH = [pytest.param(scenario, id=scenario.name) for scenario in SCENARIOS]


@pytest.fixture
def stage(request: pytest.FixtureRequest, nursery: Nursery, place: Path) -> Stage:
    return Stage(request.param, nursery, place)


def points(scenario: Scenario, fault: str, calls: int) -> list[int]:
    """Return at which calls of the disk to fail."""
    rng = random.Random(f"{SEED} {scenario.name} {fault}")
    middle = range(2, calls)
    drawn = rng.sample(middle, min(POINTS - 2, len(middle)))
    return sorted({1, calls, *drawn})


def whole(stage: Stage, place: Path, worker: Worker, done: bool) -> None:
    """Check that a memory is as it was before the call, or as it is after, and becomes so by `repair`."""
    seen = worker.call("state")
    if done:
        assert seen in (stage.told, stage.after), "what was acknowledged is there"
    unfinished = seen["unfinished"] > stage.before["unfinished"]
    assert seen in (stage.before, stage.after) or unfinished or stage.scenario.parts, "half done"
    report = worker.call("repair")
    assert report["failed"] == {} and report["pending"] == []
    healed = worker.call("state")
    if unfinished or done:
        assert healed == stage.after
    elif not stage.scenario.parts:
        assert healed in (stage.before, stage.after)
    assert worker.call("found_by_their_words") == []
    if stage.scenario.opened.get("index"):
        there = worker.call("in_index")
        assert there["index"] == there["ledger"]
    file = place / "memory.db"
    assert not file.exists() or broken_laws(file) == []
    if stage.scenario.again:
        stage.act(worker)
        worker.call("repair")
        assert worker.call("state") == stage.after, "the same call again ends in the same state"
    works_on(worker)
    worker.do("close")
    worker.leave()
    if stage.scenario.gone and healed == stage.after:
        assert [f.name for f in place.iterdir() if stage.scenario.gone.encode() in f.read_bytes()] == []


def works_on(worker: Worker) -> None:
    """Check that a memory can be written and found again."""
    made: dict[str, Any] = worker.call("add", "a completely new sentence", user_id="x", infer=False)
    found = worker.call("search", "a completely new sentence", user_id="x")
    assert made["results"][0]["id"] in [hit["id"] for hit in found["results"]]


@pytest.mark.parametrize("stage", EACH, indirect=True)
def test_a_kill_at_any_call_of_the_disk_leaves_all_or_nothing(stage: Stage) -> None:
    for nth in points(stage.scenario, "kill", stage.calls):
        place = stage.copy()
        worker = stage.open(place)
        worker.call("stats")
        done = True
        try:
            stage.act(worker, arm={"fault": "kill", "nth": nth})
        except Killed:
            done = False
        worker.leave()
        try:
            whole(stage, place, stage.open(place), done)
        except BaseException as error:
            error.add_note(f"{stage.scenario.name}: killed at call {nth} of {stage.calls}; FAULT_SEED={SEED}")
            raise


@pytest.mark.parametrize("fault", ["full", "broken", "broken sync"])
@pytest.mark.parametrize("stage", EACH, indirect=True)
def test_a_disk_that_fails_at_any_call_is_an_error_of_ours_and_harms_nothing(
    stage: Stage, fault: Fault
) -> None:
    for nth in points(stage.scenario, fault, stage.calls):
        place = stage.copy()
        worker = stage.open(place)
        worker.call("stats")
        done = True
        try:
            stage.act(worker, arm={"fault": fault, "nth": nth})
        except Refusal as refusal:
            assert refusal.kind == "BackendUnavailableError", refusal
            assert "memory.db" in str(refusal) or stage.scenario.opened, refusal
            done = False
        try:
            whole(stage, place, worker, done)
        except BaseException as error:
            error.add_note(
                f"{stage.scenario.name}: {fault} at call {nth} of {stage.calls}; FAULT_SEED={SEED}"
            )
            raise
