"""The durable queue: work whose turns are kept and whose outcome is not, finished by whoever comes by."""

from __future__ import annotations

from typing import Final

from ..clock import now_us
from ..errors import BackendError, BackendUnavailableError, ConflictError, MemkitError
from ..ledger.base import Applied, Job, Operation
from ..runtime import Deadline
from ..types import AddResult
from .add_request import result_of
from .core import Engine
from .procedure import learn_procedure
from .verbatim import finish_verbatim

_WAIT_S: Final = 120.0


async def run_job(engine: Engine, job: Job, made: Applied | None = None) -> AddResult:
    """Finish a claimed job; when it fails it goes back to the queue and the error names its operation.

    `made` is the batch that has just made it, so that nothing of that has to be read again.
    """
    try:
        if job.kind == "verbatim":
            return await finish_verbatim(engine, job)
        await engine.llm()
        if job.payload.get("procedural"):
            return await learn_procedure(engine, job)
        from .learn import learn  # late: all that reads answers comes with it

        return await learn(engine, job, made)
    except MemkitError as error:
        await engine.call(engine.ledger.release, job.id, error=type(error).__name__)
        error.operation_id = job.id
        raise
    except OSError as error:
        await engine.call(engine.ledger.release, job.id, error=type(error).__name__)
        raise BackendUnavailableError(
            f"The model cannot be reached ({type(error).__name__}: {error}). The turns are kept; make the same call "
            "again, or call `repair()`.",
            operation_id=job.id,
        ) from error
    except Exception as error:
        # A caller's own model may raise anything; a thread of ours must never die of it.
        await engine.call(engine.ledger.release, job.id, error=type(error).__name__)
        raise BackendError(
            f"The model failed ({type(error).__name__}: {error}). The turns are kept; make the same call again, or "
            "call `repair()`.",
            operation_id=job.id,
        ) from error
    except BaseException:
        await engine.call(engine.ledger.release, job.id, error="interrupted")
        raise


async def resume(engine: Engine, operation_id: str) -> AddResult | None:
    """Finish an operation that failed or was abandoned; None when somebody else is at it, or it is done."""
    claimed = await engine.call(engine.ledger.claim, engine.parts.worker_id, ids=[operation_id], limit=1)
    return await run_job(engine, claimed[0]) if claimed else None


async def run_pending(
    engine: Engine, *, retry_failed: bool, asked: bool = False, early: bool = False
) -> tuple[list[str], dict[str, str]]:
    """Finish what waits, oldest first; return the operations finished, and those that failed with the reason.

    Unless somebody asked for it, what needs a model is left in the queue while there is none, and what is not due
    yet, unless it may be done `early`.
    """
    finished: list[str] = []
    failed: dict[str, str] = {}
    states = ("waiting", "running", "failed") if retry_failed else ("waiting",)
    jobs = await engine.call(engine.ledger.jobs, states)
    if not asked and any(job.kind != "verbatim" for job in jobs) and await engine.llm() is None:
        jobs = [job for job in jobs if job.kind == "verbatim"]
    if not (asked or early):
        now = now_us()
        jobs = [job for job in jobs if job.due is None or job.due <= now]
    for job in jobs:
        claimed = await engine.call(engine.ledger.claim, engine.parts.worker_id, ids=[job.id], limit=1)
        for mine in claimed:
            try:
                await run_job(engine, mine)
                finished.append(mine.id)
            except MemkitError as error:
                failed[mine.id] = f"{type(error).__name__}: {error.message}"
    return finished, failed


async def next_due(engine: Engine) -> int | None:
    """Return the instant at which the next waiting job comes due, None where none waits for its time."""
    jobs = await engine.call(engine.ledger.jobs, ("waiting",))
    return min((job.due for job in jobs if job.due is not None), default=None)


async def stored_result(engine: Engine, operation: Operation) -> AddResult:
    """Return the result of an operation made before: stored, waited for, or finished now.

    Raises:
        ConflictError: Another process has worked on it for too long.
    """
    deadline = Deadline(_WAIT_S)
    while operation.state != "done":
        resumed = await resume(engine, operation.id)
        if resumed is not None:
            return resumed
        if deadline.left() == 0:
            raise ConflictError(
                f"The operation {operation.id} of this idempotency key is still running elsewhere. Try again later.",
                operations=[operation.id],
                operation_id=operation.id,
            )
        await engine.rt.sleep(0.05)
        found = await engine.call(engine.ledger.operation, operation.id)
        if found is None:
            raise ConflictError(
                f"The operation {operation.id} was forgotten meanwhile.", operations=[operation.id]
            )
        operation = found[0]
    return result_of(operation)
