"""Jobs and who works on them: a job whose worker's process is gone may be claimed by another."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from ...clock import now_us
from ..base import Applied, Batch, Job, NewJob
from ..job_rows import Turn, is_worker_alive, job_columns, made_job, payload_of, taken_in, turns_of
from ..liveness import this_process
from ..rows import JOB_SELECT, job_of, pack_id


def insert_job(
    conn: sqlite3.Connection, op: int, batch: Batch, job: NewJob, owner: int | None, applied: Applied
) -> Job:
    """Write the job of the operation that the batch makes, and return it."""
    turns = turns_of(applied)
    if job.due is not None:
        turns = _take_in(conn, job, owner) + turns
    payload = payload_of(job, turns)
    conn.execute(
        "INSERT INTO job (op, kind, payload, agent, run, scoped, worker, attempts, error, due)"
        " VALUES (?,?,?,?,?,?,?,?,NULL,?)",
        job_columns(op, batch, job, payload),
    )
    if job.running and batch.worker is not None:
        see_worker(conn, batch.worker, batch.at)
    return made_job(batch, job, owner, payload)


def _take_in(conn: sqlite3.Connection, job: NewJob, owner: int | None) -> list[Turn]:
    """End the jobs of the same scope and options that wait for their time, and return their turns, oldest first."""
    scope = job.scope
    rows = conn.execute(
        "SELECT j.op, j.payload FROM job j JOIN operation o ON o.no = j.op WHERE o.state = 'waiting'"
        " AND j.due IS NOT NULL AND o.owner IS ? AND j.kind = ? AND j.agent IS ? AND j.run IS ? ORDER BY j.op",
        (
            owner,
            job.kind,
            None if scope is None else scope.agent_id,
            None if scope is None else scope.run_id,
        ),
    ).fetchall()
    ops, turns = taken_in(rows, job)
    for op in ops:
        conn.execute("DELETE FROM job WHERE op = ?", (op,))
        conn.execute("UPDATE operation SET state = 'done', result = ? WHERE no = ?", (job.taken_in, op))
    return turns


def see_worker(conn: sqlite3.Connection, worker: str, now: int) -> None:
    """Note that this process goes by the name of `worker`."""
    me = this_process()
    conn.execute(
        "INSERT OR REPLACE INTO worker (name, host, pid, started, seen) VALUES (?,?,?,?,?)",
        (worker, me.host, me.pid, me.started, now),
    )


def job_by_operation(conn: sqlite3.Connection, op: int) -> Job:
    """Return the job of an operation's number."""
    return job_of(conn.execute(JOB_SELECT + "WHERE o.no = ?", (op,)).fetchone())


def open_jobs(conn: sqlite3.Connection, states: Sequence[str]) -> list[Job]:
    """Return jobs in some states, oldest first."""
    marks = ",".join("?" * len(states))
    rows = conn.execute(
        JOB_SELECT + f"WHERE o.state IN ({marks}) AND o.state != 'done' ORDER BY o.no", tuple(states)
    )
    return [job_of(row) for row in rows.fetchall()]


def unfinished_job(conn: sqlite3.Connection, owner: int, digest: bytes) -> Job | None:
    """Return the newest failed or abandoned job of the same content; one that is being worked on is another's."""
    alive = Workers(conn)
    rows = conn.execute(
        JOB_SELECT
        + "WHERE o.state IN ('failed', 'running') AND o.owner = ? AND o.digest = ? ORDER BY o.no DESC",
        (owner, digest),
    )
    return next((job_of(row) for row in rows.fetchall() if row[4] == "failed" or not alive(row[8])), None)


def claim_jobs(conn: sqlite3.Connection, worker: str, ids: Sequence[str] | None, limit: int) -> list[Job]:
    """Mark jobs that wait, failed or were abandoned as this worker's, oldest first, and return them.

    One that is not due yet is taken only by name.
    """
    alive = Workers(conn)
    wanted = None if ids is None else {pack_id(job_id) for job_id in ids}
    numbers: list[int] = []
    now = now_us()
    for row in conn.execute(JOB_SELECT + "WHERE o.state != 'done' ORDER BY o.no").fetchall():
        if len(numbers) >= limit:
            break
        free = row[4] in ("waiting", "failed") or not alive(row[8])
        is_due = row[10] is None or row[10] <= now
        if free and (is_due if wanted is None else row[0] in wanted):
            numbers.append(row[9])
    for op in numbers:
        conn.execute("UPDATE operation SET state = 'running' WHERE no = ?", (op,))
        conn.execute(
            "UPDATE job SET worker = ?, attempts = attempts + 1, error = NULL WHERE op = ?", (worker, op)
        )
    if numbers:
        see_worker(conn, worker, now)
    return [job_by_operation(conn, op) for op in numbers]


def release_job(conn: sqlite3.Connection, job_id: str, error: str | None, *, waiting: bool) -> None:
    """Give a claimed job back; one that is finished stays finished."""
    conn.execute(
        "UPDATE job SET worker = NULL, error = ? WHERE op = (SELECT no FROM operation WHERE id = ?)",
        (error, pack_id(job_id)),
    )
    conn.execute(
        "UPDATE operation SET state = ? WHERE id = ? AND state != 'done'",
        ("waiting" if waiting else "failed", pack_id(job_id)),
    )


def leave(conn: sqlite3.Connection, workers: Sequence[str]) -> None:
    """Forget workers of a ledger that closes; what they had claimed is free for others."""
    conn.executemany("DELETE FROM worker WHERE name = ?", [(name,) for name in workers])


class Workers:
    """Answers whether a worker is still there, each asked once."""

    def __init__(self, conn: sqlite3.Connection) -> None:
        self._conn = conn
        self._known: dict[str | None, bool] = {None: False}

    def __call__(self, name: str | None) -> bool:
        """Return whether the worker of that name is alive."""
        if name not in self._known:
            row = self._conn.execute(
                "SELECT host, pid, started, seen FROM worker WHERE name = ?", (name,)
            ).fetchone()
            self._known[name] = is_worker_alive(row)
        return self._known[name]
