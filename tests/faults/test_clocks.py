"""Clocks that jump: between calls, between processes, back and forth. Order and expiry stay what they were told to be."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.audit import broken_laws
from tests.faults.workers import Nursery, Worker

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="workers are forked")
HOUR, DAY = 3600.0, 86400.0
RUN: dict[str, Any] = {"user_id": "u", "run_id": "r"}


@pytest.fixture
def two(nursery: Nursery, place: Path) -> Generator[tuple[Worker, Worker]]:
    """Two processes on one memory."""
    workers = (nursery.worker(), nursery.worker())
    for worker in workers:
        worker.do("open", path=str(place / "s"), llm=False)
    yield workers
    for worker in workers:
        worker.do("close")
        worker.leave()
    assert broken_laws(place / "s" / "memory.db") == []


def turn(n: int) -> dict[str, str]:
    return {"role": "user" if n % 2 else "assistant", "content": f"turn {n}"}


@pytest.mark.parametrize(
    "jumps", [(0, -HOUR, 2 * HOUR, -DAY, 0), (0, -1, -2, -3, -4)], ids=["wild", "ever slower"]
)
@pytest.mark.parametrize("method", ["keep", "add"])
def test_turns_stay_in_the_order_they_were_given_whatever_the_clock_says(
    two: tuple[Worker, Worker], method: str, jumps: tuple[float, ...]
) -> None:
    for n, ahead in enumerate(jumps):
        worker = two[n % 2]
        worker.do("clock", seconds=ahead)
        worker.call(method, [turn(2 * n), turn(2 * n + 1)], **RUN)
    told = [f"turn {n}" for n in range(2 * len(jumps))]
    for worker in two:
        assert [m["content"] for m in worker.call("messages", **RUN)] == told
        assert [m["content"] for m in worker.call("messages", limit=3, **RUN)] == told[-3:]
        last = worker.call("messages", **RUN)[-2]["id"]
        assert [m["content"] for m in worker.call("messages", limit=2, before=last, **RUN)] == told[-4:-2]
        if method == "add":
            assert [m["memory"] for m in worker.call("get_all", **RUN)["results"]] == told[::-1]


def test_a_time_that_was_given_stays_as_it_is(two: tuple[Worker, Worker]) -> None:
    one, other = two
    one.call("keep", [turn(0)], **RUN)
    one.call("keep", [{**turn(1), "created_at": "2020-01-01T00:00:00Z"}], **RUN)
    told = other.call("messages", **RUN)
    assert [m["content"] for m in told] == ["turn 1", "turn 0"]
    assert told[0]["created_at"].startswith("2020-01-01T00:00:00")


def test_what_is_expired_for_one_clock_is_not_deleted_for_the_other(two: tuple[Worker, Worker]) -> None:
    """A clock that runs ahead hides what it takes for expired; only `repair` records it, and `undo` takes that back."""
    one, other = two
    other.do("clock", seconds=1000 * 365 * DAY)
    made = one.call("add", "fresh milk", user_id="u", infer=False, expires_at="2900-01-01")
    assert (
        other.call("count", user_id="u") == 0 and other.call("search", "milk", user_id="u")["results"] == []
    )
    assert one.call("count", user_id="u") == 1
    assert other.call("repair")["expired"] == 1
    assert one.call("count", user_id="u") == 0
    events = one.call("history", made["results"][0]["id"])
    assert [event["event"] for event in events] == ["ADD", "EXPIRE"]
    one.call("undo", events[-1]["operation_id"])
    assert one.call("count", user_id="u") == 1
    assert [hit["memory"] for hit in one.call("search", "milk", user_id="u")["results"]] == ["fresh milk"]


def test_a_memory_is_found_at_once_though_the_readers_clock_is_behind(two: tuple[Worker, Worker]) -> None:
    one, other = two
    other.do("clock", seconds=-DAY)
    made = one.call("add", "told just now", user_id="u", infer=False)["results"][0]["id"]
    assert [hit["id"] for hit in other.call("search", "told just now", user_id="u")["results"]] == [made]
    assert other.call("count", user_id="u") == 1
    assert other.call("get_all", user_id="u")["results"][0]["id"] == made


def test_a_correction_by_a_clock_that_is_behind_hides_nothing(two: tuple[Worker, Worker]) -> None:
    one, other = two
    made = one.call("add", "one sugar", user_id="u", infer=False)["results"][0]["id"]
    other.do("clock", seconds=-DAY)
    other.call("update", made, "two sugars")
    for worker in two:
        assert [hit["memory"] for hit in worker.call("search", "sugars", user_id="u")["results"]] == [
            "two sugars"
        ]
    one.call("update", made, valid_until=one.call("get", made)["updated_at"])
    for worker in two:
        assert worker.call("search", "sugars", user_id="u")["results"] == []
        assert worker.call("count", user_id="u") == 0


def test_history_is_in_the_order_of_the_changes_whatever_the_clock_says(two: tuple[Worker, Worker]) -> None:
    one, other = two
    id = one.call("add", "first", user_id="u", infer=False)["results"][0]["id"]
    for n, ahead in enumerate((-HOUR, HOUR, -DAY)):
        worker = two[n % 2]
        worker.do("clock", seconds=ahead)
        worker.call("update", id, f"text {n}")
    told = [event["after"]["memory"] for event in other.call("history", id)]
    assert told == ["first", "text 0", "text 1", "text 2"]


def test_a_job_waits_for_no_clock_that_was_set_back(nursery: Nursery, place: Path) -> None:
    worker = nursery.worker()
    worker.do("open", path=str(place / "s"), llm=True)
    worker.do("clock", seconds=DAY)
    worker.call("add", "My number is 1.", user_id="u", background=True, after_seconds=60)
    worker.do("clock", seconds=0)
    worker.call("repair")
    assert worker.call("count", user_id="u") == 1 and worker.call("stats")["unfinished"] == 0
    worker.do("close")
    worker.leave()
