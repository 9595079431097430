"""Jobs and workers as every SQL ledger keeps them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from ..clock import now_us
from .base import Applied, Batch, Job, NewJob
from .liveness import ProcessMark, is_alive
from .rows import dump, load_map

_TURNS_TAKEN_IN: Final = 40
_FAR_SILENCE_US: Final = 15 * 60 * 1_000_000
"""A worker on another host cannot be asked; it counts as gone when it has not been heard of for so long."""

Turn = tuple[int, bool]
"""The rid of a message, and whether it was new."""


def turns_of(applied: Applied) -> list[Turn]:
    """Return the turns that a batch kept."""
    return [(message.rid, new) for message, new in zip(applied.messages, applied.new_messages, strict=True)]


def taken_in(rows: Iterable[Sequence[Any]], job: NewJob) -> tuple[list[int], list[Turn]]:
    """Return which of the waiting jobs of a scope a new one takes in, and their turns; rows are (operation, payload).

    One that has grown to `_TURNS_TAKEN_IN` is left to come due by itself, so that a talk without a pause is not put
    off for ever.
    """
    ops: list[int] = []
    turns: list[Turn] = []
    options = load_map(dump(job.payload))
    for op, payload in rows:
        waiting = load_map(payload)
        rids, new = waiting.pop("messages"), waiting.pop("new")
        if waiting != options or len(rids) >= _TURNS_TAKEN_IN:
            continue
        turns += zip(rids, new, strict=True)
        ops.append(op)
    return ops, turns


def payload_of(job: NewJob, turns: Sequence[Turn]) -> str:
    """Return what a job holds, as JSON."""
    return (
        dump({**job.payload, "messages": [rid for rid, _ in turns], "new": [new for _, new in turns]}) or "{}"
    )


def made_job(batch: Batch, job: NewJob, owner: int | None, payload: str) -> Job:
    """Return the job that a batch makes."""
    return Job(
        id=batch.operation_id,
        kind=job.kind,
        owner=owner,
        payload=load_map(payload),
        state="running" if job.running else "waiting",
        attempts=int(job.running),
        error=None,
        at=batch.at,
        due=job.due,
    )


def job_columns(op: int, batch: Batch, job: NewJob, payload: str) -> tuple[Any, ...]:
    """Return op, kind, payload, agent, run, scoped, worker, attempts and due of a new job."""
    scope = job.scope
    return (
        op,
        job.kind,
        payload,
        None if scope is None else scope.agent_id,
        None if scope is None else scope.run_id,
        int(scope is not None),
        batch.worker if job.running else None,
        int(job.running),
        job.due,
    )


def is_worker_alive(row: Sequence[Any] | None) -> bool:
    """Return whether the worker of a row of host, pid, start and last sign is there."""
    if row is None:
        return False
    host, pid, started, seen = row
    answer = is_alive(ProcessMark(host=host, pid=pid, started=started))
    return seen > now_us() - _FAR_SILENCE_US if answer is None else answer
