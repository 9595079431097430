"""Jobs, and who works on them, in PostgreSQL; the outbox, and who drains it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from ...clock import now_us
from ...errors import BackendError
from ...postgres.session import Session, Statement
from ..base import Applied, Batch, Job, NewJob, OutboxEntry
from ..job_rows import Turn, is_worker_alive, job_columns, made_job, payload_of, taken_in, turns_of
from ..liveness import this_process
from ..rows import JOB_SELECT, Row, job_of, stored_id, unpack_id
from .base import PostgresBase, reading, twin, writing

_UNFINISHED: Final = ("waiting", "running", "failed")
_JOB_COLUMNS: Final = ("op", "kind", "payload", "agent", "run", "scoped", "worker", "attempts", "due")


async def insert_job(
    s: Session, op: int, batch: Batch, job: NewJob, owner: int | None, applied: Applied
) -> Job:
    """Write the job of the operation that the batch makes, and return it."""
    turns = turns_of(applied)
    if job.due is not None:
        turns = await _take_in(s, job, owner) + turns
    payload = payload_of(job, turns)
    await s.insert("job", _JOB_COLUMNS, [job_columns(op, batch, job, payload)])
    if job.running and batch.worker is not None:
        await see_worker(s, batch.worker, batch.at)
    return made_job(batch, job, owner, payload)


async def _take_in(s: Session, job: NewJob, owner: int | None) -> list[Turn]:
    """End the jobs of the same scope and options that wait for their time, and return their turns, oldest first."""
    scope = job.scope
    rows = await s.rows(
        "SELECT j.op, j.payload FROM job j JOIN operation o ON o.no = j.op WHERE o.state = 'waiting'"
        " AND j.due IS NOT NULL AND o.owner IS NOT DISTINCT FROM %s::bigint AND j.kind = %s"
        " AND j.agent IS NOT DISTINCT FROM %s AND j.run IS NOT DISTINCT FROM %s ORDER BY j.op FOR UPDATE OF j",
        (
            owner,
            job.kind,
            None if scope is None else scope.agent_id,
            None if scope is None else scope.run_id,
        ),
    )
    ops, turns = taken_in(rows, job)
    if ops:
        await s.later(
            ("DELETE FROM job WHERE op = ANY(%s)", (ops,)),
            ("UPDATE operation SET state = 'done', result = %s WHERE no = ANY(%s)", (job.taken_in, ops)),
        )
    return turns


async def see_worker(s: Session, worker: str, now: int) -> None:
    """Note that this process goes by the name of `worker`."""
    me = this_process()
    await s.later((
        "INSERT INTO worker (name, host, pid, started, seen) VALUES (%s,%s,%s,%s,%s) ON CONFLICT (name) DO UPDATE"
        " SET host = excluded.host, pid = excluded.pid, started = excluded.started, seen = excluded.seen",
        (worker, me.host, me.pid, me.started, now),
    ))  # fmt: skip


async def unfinished_job(s: Session, owner: int, digest: bytes) -> Job | None:
    """Return the newest failed or abandoned job of the same content; one that is being worked on is another's."""
    rows = await s.rows(
        JOB_SELECT
        + "WHERE o.state IN ('failed', 'running') AND o.owner = %s AND o.digest = %s ORDER BY o.no DESC",
        (owner, digest),
    )
    alive = await _living(s, rows)
    return next((job_of(row) for row in rows if row[4] == "failed" or row[8] not in alive), None)


async def _living(s: Session, rows: Sequence[Row]) -> set[str]:
    """Return those of the workers of `JOB_SELECT` rows that are there."""
    names = list({row[8] for row in rows if row[8] is not None})
    if not names:
        return set()
    found = await s.rows("SELECT name, host, pid, started, seen FROM worker WHERE name = ANY(%s)", (names,))
    return {row[0] for row in found if is_worker_alive(row[1:])}


def _nothing() -> None:
    """Give the answer of what has none."""


_NOW: Final = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
"""The server's clock: those of the machines that share a ledger differ."""


class PostgresWork(PostgresBase):
    """The part of a ledger that is about unfinished work, and about what indexes have to follow."""

    def _mine(self) -> set[str]:
        """Return the names that workers of this process go by; those of a parent are not its own."""
        if self._pid != os.getpid():
            self._began()
        return self._workers

    # ------------------------------------------------------------------------------------- jobs

    @reading(list[Job])
    async def jobs(self, s: Session, states: Sequence[str] = _UNFINISHED) -> Sequence[Job]:
        """Return unfinished jobs, oldest first."""
        rows = await s.rows(
            JOB_SELECT + "WHERE o.state = ANY(%s) AND o.state != 'done' ORDER BY o.no", (list(states),)
        )
        return [job_of(row) for row in rows]

    @writing(empty=list[Job])
    async def claim(
        self, s: Session, worker: str, *, ids: Sequence[str] | None = None, limit: int = 10
    ) -> Sequence[Job]:
        """Claim jobs that wait, failed, or whose worker is gone, oldest first; one not due only by its id."""
        await self._give_back_in(s)
        rows = await s.rows(JOB_SELECT + "WHERE o.state != 'done' ORDER BY o.no FOR UPDATE OF j")
        now, alive = now_us(), await _living(s, rows)
        wanted = None if ids is None else {stored_id(job_id) for job_id in ids}
        numbers: list[int] = []
        for row in rows:
            free = row[4] in ("waiting", "failed") or row[8] not in alive
            is_due = row[10] is None or row[10] <= now
            if free and (is_due if wanted is None else row[0] in wanted) and len(numbers) < limit:
                numbers.append(row[9])
        if not numbers:
            return []
        self._mine().add(worker)
        await see_worker(s, worker, now)
        await s.later(
            ("UPDATE operation SET state = 'running' WHERE no = ANY(%s)", (numbers,)),
            (
                "UPDATE job SET worker = %s, attempts = attempts + 1, error = NULL WHERE op = ANY(%s)",
                (worker, numbers),
            ),
        )
        claimed = await s.rows(JOB_SELECT + "WHERE o.no = ANY(%s) ORDER BY o.no", (numbers,))
        return [job_of(row) for row in claimed]

    def release(self, job_id: str, *, error: str | None, waiting: bool = False) -> None:
        """Give a claimed job back: failed with a (text-free) reason, or waiting for anyone.

        While the server cannot be reached, it is given back before this ledger's next claim or batch.
        """
        self._mine()
        self._unreleased[job_id] = (error, waiting)
        with suppress(BackendError):
            self._give_back()

    async def arelease(self, job_id: str, *, error: str | None, waiting: bool = False) -> None:
        """Give a claimed job back like `release`, without blocking the event loop."""
        self._mine()
        self._unreleased[job_id] = (error, waiting)
        with suppress(BackendError):
            await twin(self._give_back)()

    @writing(again=True)
    async def _give_back(self, s: Session) -> None:
        """Give back the jobs that could not be given back at their time."""
        await self._give_back_in(s)

    async def _give_back_in(self, s: Session) -> None:
        jobs = dict(self._unreleased)
        for job_id, (error, waiting) in jobs.items():
            op = "(SELECT no FROM operation WHERE id = %s)"
            await s.later(
                (f"UPDATE job SET worker = NULL, error = %s WHERE op = {op}", (error, stored_id(job_id))),
                (
                    "UPDATE operation SET state = %s WHERE id = %s AND state != 'done'",
                    ("waiting" if waiting else "failed", stored_id(job_id)),
                ),
            )
        if jobs:
            await s.together([])
        for job_id, given in jobs.items():
            # Not yet committed; what is given back twice is given back all the same, unless somebody has it by then.
            if self._unreleased.get(job_id) == given:
                del self._unreleased[job_id]

    @writing(again=True, empty=_nothing)
    async def _leave(self, s: Session, workers: Sequence[str]) -> None:
        """Forget workers of a ledger that closes; what they had claimed is free for others."""
        await s.later(("DELETE FROM worker WHERE name = ANY(%s)", (list(workers),)))

    # ------------------------------------------------------------------------------------- outbox

    @writing(again=True)
    async def lease(self, s: Session, index: str, holder: str, seconds: float) -> bool:
        """Take or renew the lease on an index's outbox; False while another live holder has it."""
        self._mine().add(holder)
        sql = "INSERT INTO lease (name, holder, until) VALUES (%s, %s, 0) ON CONFLICT DO NOTHING"
        _, found = await s.together([
            (sql, (index, holder)),
            (f"SELECT holder, until > {_NOW} FROM lease WHERE name = %s FOR UPDATE", (index,)),
        ])  # fmt: skip
        other, lasts = found[0]
        if other != holder and lasts and await self._is_there(s, other):
            return False
        await see_worker(s, holder, now_us())
        until = f"UPDATE lease SET holder = %s, until = {_NOW} + %s WHERE name = %s"
        await s.later((until, (holder, round(seconds * 1_000_000), index)))
        return True

    async def _is_there(self, s: Session, worker: str) -> bool:
        row = await s.row("SELECT host, pid, started, seen FROM worker WHERE name = %s", (worker,))
        return is_worker_alive(row)

    @writing(again=True)
    async def release_lease(self, s: Session, index: str, holder: str) -> None:
        """Give the lease back."""
        await s.later(("DELETE FROM lease WHERE name = %s AND holder = %s", (index, holder)))

    @reading(list[OutboxEntry])
    async def outbox(self, s: Session, index: str, limit: int) -> Sequence[OutboxEntry]:
        """Return the oldest entries, in order."""
        rows = await s.rows(
            "SELECT seq, id, rid FROM outbox WHERE name = %s ORDER BY seq LIMIT %s", (index, limit)
        )
        self._handed.setdefault(index, set()).update(row[0] for row in rows)
        return [OutboxEntry(seq=row[0], memory_id=unpack_id(row[1]), rid=row[2]) for row in rows]

    @writing(again=True)
    async def outbox_done(
        self, s: Session, index: str, up_to: int, memory_ids: Sequence[str] | None = None
    ) -> None:
        """Remove entries up to a sequence number (of these memories only, where given).

        Only entries that were read go: one with a lower number may have been committed since.
        """
        handed = self._handed.get(index)
        sql, args = "DELETE FROM outbox WHERE name = %s AND seq <= %s", list[Any]((index, up_to))
        if handed:
            sql, args = sql + " AND seq = ANY(%s)", [*args, [seq for seq in handed if seq <= up_to]]
        if memory_ids is not None:
            sql, args = sql + " AND id = ANY(%s)", [*args, [stored_id(one) for one in memory_ids]]
        elif handed:
            self._handed[index] = {seq for seq in handed if seq > up_to}
        await s.later((sql, args))

    @reading(dict[str, int])
    async def outbox_size(self, s: Session) -> Mapping[str, int]:
        """Return the number of waiting entries per index."""
        rows = await s.rows("SELECT name, count(*) FROM outbox GROUP BY name ORDER BY name")
        return {row[0]: row[1] for row in rows}

    @writing()
    async def enqueue_all(self, s: Session, index: str) -> int:
        """Put every live record into an index's outbox (for a rebuild) and return how many."""
        await s.later(note_index(index))
        return await s.run(
            "INSERT INTO outbox (name, rid, id) SELECT %s, rid, id FROM record WHERE deleted = 0 ORDER BY rid",
            (index,),
        )


def note_index(name: str) -> Statement:
    """Return the statement that remembers an index: `forget` and `reset` have to know which there are."""
    return "INSERT INTO meta (key, value) VALUES ('index:' || %s::text, '1') ON CONFLICT DO NOTHING", (name,)
