"""What is done while something fails: each a memory as it was before, and one call."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.workers import Nursery, Worker

Before = Callable[[Worker], Sequence[Any] | None]
"""Makes the memory; what it returns are the arguments of the call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One call on one memory."""

    name: str
    method: str
    before: Before
    kwargs: dict[str, Any] = field(default_factory=dict[str, Any])
    opened: dict[str, Any] = field(default_factory=dict[str, Any])
    """How the memory is opened."""
    again: bool = False
    """Whether the same call, made again after the fault, leads to the same state."""
    later_s: float = 0
    """How far ahead of the present the call is made."""
    parts: bool = False
    """Whether it is several transactions, each whole; the same call again completes it."""
    gone: str | None = None
    """A word that no file holds any more once the call is done."""


USER: dict[str, Any] = {"user_id": "u"}
TURNS = [
    {"role": "user", "content": "My number is 7."},
    {"role": "assistant", "content": "I see, 7."},
]
KEPT = [{"role": "user", "content": "My number is 5.", "id": "m1"}]


def _some(worker: Worker) -> list[str]:
    """Fill a memory with some of everything; return the ids of the first user's texts."""
    worker.call("add", TURNS, run_id="r", infer=False, **USER)
    made = worker.call("add_many", [f"note {n} about topic {n % 3}" for n in range(6)], **USER)
    worker.call("add", "somebody else's secret", user_id="v", infer=False)
    worker.call("keep", [{"role": "user", "content": "only kept", "id": "k1"}], run_id="r", **USER)
    worker.call("put_item", "one", {"n": 1}, ["a first value"])
    return [outcome["id"] for outcome in made["results"]]


def _nothing(worker: Worker) -> None:
    pass


def _filled(worker: Worker) -> None:
    _some(worker)


def _first(worker: Worker) -> list[Any]:
    return _some(worker)[:1]


def _changed(worker: Worker) -> list[Any]:
    """Something to take back: an operation that deleted a user's memories."""
    _some(worker)
    return [worker.call("delete_all", **USER)["operation_id"]]


def _many(worker: Worker) -> None:
    _some(worker)
    worker.call("add_many", [f"bulk text number {n}" for n in range(80)], **USER)


def _many_undone(worker: Worker) -> list[Any]:
    _some(worker)
    return [worker.call("add_many", [f"bulk text number {n}" for n in range(80)], **USER)["operation_id"]]


def _expiring(worker: Worker) -> None:
    _some(worker)
    for n in range(20):
        worker.call("add", f"milk {n}", infer=False, expires_at="2999-01-01", **USER)


def _exported(worker: Worker) -> list[Any]:
    _some(worker)
    worker.call("add_many", [f"moved text {n}" for n in range(40)], user_id="w")
    lines = worker.call("export")
    worker.call("reset")
    worker.call("add", "was here before", infer=False, **USER)
    return [lines]


def _kept(worker: Worker) -> None:
    _some(worker)
    worker.call("keep", KEPT, run_id="r", **USER)


def _waiting(worker: Worker) -> None:
    """A job that waits for its time."""
    _some(worker)
    worker.call("add", TURNS, run_id="later", background=True, after_seconds=3600, **USER)


_YEAR = 60 * 60 * 24 * 365
MODEL = {"llm": True}
INDEXED = {"index": True}
KEYED = {**USER, "idempotency_key": "the only one"}
BULK = [f"bulk text number {n}" for n in range(80)]

SCENARIOS = [
    Scenario(
        name="the first add", method="add", before=lambda w: ["hello there"], kwargs={**USER, "infer": False}
    ),
    Scenario(
        name="add",
        method="add",
        before=lambda w: _some(w) and ["one more text"],
        kwargs={**USER, "infer": False},
    ),
    Scenario(name="add turns", method="add", before=lambda w: _some(w) and [TURNS], kwargs=KEYED, again=True),
    Scenario(name="add_many", method="add_many", before=lambda w: _some(w) and [BULK], kwargs=USER),
    Scenario(
        name="extract",
        method="add",
        before=lambda w: _some(w) and [TURNS],
        kwargs=KEYED,
        opened=MODEL,
        again=True,
    ),
    Scenario(
        name="extract into an index",
        method="add",
        before=lambda w: _some(w) and [TURNS],
        kwargs=KEYED,
        opened={**MODEL, **INDEXED},
        again=True,
    ),
    Scenario(
        name="learn what was kept",
        method="add",
        before=lambda w: [_kept(w), KEPT][1:],
        kwargs={**USER, "run_id": "r"},
        opened=MODEL,
        again=True,
    ),
    Scenario(
        name="take a waiting job in",
        method="add",
        before=lambda w: [_waiting(w), KEPT][1:],
        kwargs={**USER, "run_id": "later", "after_seconds": 3600, "background": True},
        opened=MODEL,
    ),
    Scenario(
        name="keep",
        method="keep",
        before=lambda w: _some(w) and [KEPT],
        kwargs={**USER, "run_id": "r"},
        again=True,
    ),
    Scenario(
        name="keep in the place of others",
        method="keep",
        before=lambda w: _some(w) and [KEPT],
        kwargs={**USER, "run_id": "r", "replace": True},
    ),
    Scenario(
        name="index",
        method="add_many",
        before=lambda w: _some(w) and [BULK[:20]],
        kwargs=USER,
        opened=INDEXED,
    ),
    Scenario(name="update", method="update", before=lambda w: [*_first(w), "a corrected text"], again=True),
    Scenario(name="delete", method="delete", before=_first),
    Scenario(name="delete_all", method="delete_all", before=_many, kwargs=USER, again=True),
    Scenario(
        name="delete_all in an index",
        method="delete_all",
        before=_filled,
        kwargs=USER,
        opened=INDEXED,
        again=True,
    ),
    Scenario(name="undo", method="undo", before=_changed),
    Scenario(name="undo a bulk", method="undo", before=_many_undone),
    Scenario(name="forget", method="forget", before=_filled, kwargs=USER, again=True, gone="topic"),
    Scenario(
        name="forget in an index", method="forget", before=_filled, kwargs=USER, opened=INDEXED, again=True
    ),
    Scenario(name="expire", method="repair", before=_expiring, later_s=1e3 * _YEAR, again=True),
    Scenario(name="import", method="bring_in", before=_exported, parts=True, again=True),
    Scenario(
        name="put an item",
        method="put_item",
        before=lambda w: _some(w) and ["two", {"n": 2}, ["a second value"]],
    ),
    Scenario(name="move an item", method="move_item", before=lambda w: _some(w) and ["one", "moved"]),
    Scenario(name="rebuild an index", method="rebuild", before=_filled, opened=INDEXED, again=True),
    Scenario(name="reset", method="reset", before=_filled, again=True, gone="topic"),
]


class Stage:
    """A scenario's memory, made once and copied for each fault."""

    def __init__(self, scenario: Scenario, nursery: Nursery, folder: Path) -> None:
        self.scenario, self.nursery, self.folder = scenario, nursery, folder
        self._copies = 0
        base = folder / "base"
        worker = self.open(base, later_s=0)
        self.args = list(scenario.before(worker) or [])
        worker.do("close")
        worker.leave()
        self.base = base
        self.before, self.told, self.after, self.calls = self._undisturbed()

    def open(self, path: Path, *, later_s: float | None = None) -> Worker:
        """Return a worker with the memory of a folder."""
        worker = self.nursery.worker()
        worker.do("clock", seconds=self.scenario.later_s if later_s is None else later_s)
        worker.do("open", path=str(path), **self.scenario.opened)
        return worker

    def copy(self) -> Path:
        """Return a new folder with the memory as it was before."""
        self._copies += 1
        place = self.folder / str(self._copies)
        if self.base.exists():
            shutil.copytree(self.base, place)
        else:
            place.mkdir(parents=True)
        return place

    def act(self, worker: Worker, **more: Any) -> Any:
        """Make the scenario's call."""
        return worker.call(self.scenario.method, *self.args, **more, **self.scenario.kwargs)

    def _undisturbed(self) -> tuple[Any, Any, Any, int]:
        """Return the states before the call, after it, and after `repair`, and how many calls of the disk it takes."""
        worker = self.open(self.copy())
        before = worker.call("state")
        fields = {
            "method": self.scenario.method,
            "args": self.args,
            "kwargs": self.scenario.kwargs,
            "arm": None,
        }
        calls = worker.do("counted", **fields)[1]
        told = worker.call("state")
        worker.call("repair")
        after = worker.call("state")
        worker.do("close")
        worker.leave()
        return before, told, after, calls
