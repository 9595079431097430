"""The durable queue: work whose turns are kept and whose outcome is not, finished by whoever comes by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import BackendError, BackendUnavailableError, ConfigurationError, MemkitError
from ..extraction.messages import InputMessage
from ..ledger.base import Job, StoredMessage
from ..scope import Scope
from ..types import AddResult
from .core import Engine


async def run_job(engine: Engine, job: Job) -> AddResult:
    """Finish a claimed job; when it fails it goes back to the queue and the error names its operation."""
    from .learn import learn
    from .procedure import learn_procedure
    from .verbatim import finish_verbatim

    try:
        if job.kind == "verbatim":
            return await finish_verbatim(engine, job)
        if job.payload.get("procedural"):
            return await learn_procedure(engine, job)
        return await learn(engine, job)
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
    engine: Engine, *, retry_failed: bool, asked: bool = False
) -> tuple[list[str], dict[str, str]]:
    """Finish what waits, oldest first; return the operations finished, and those that failed with the reason.

    Unless somebody asked for it, what needs a model is left in the queue while there is none.
    """
    finished: list[str] = []
    failed: dict[str, str] = {}
    states = ("waiting", "running", "failed") if retry_failed else ("waiting",)
    jobs = await engine.call(engine.ledger.jobs, states)
    if not asked and any(job.kind != "verbatim" for job in jobs) and engine.parts.llm() is None:
        jobs = [job for job in jobs if job.kind == "verbatim"]
    for job in jobs:
        claimed = await engine.call(engine.ledger.claim, engine.parts.worker_id, ids=[job.id], limit=1)
        for mine in claimed:
            try:
                await run_job(engine, mine)
                finished.append(mine.id)
            except MemkitError as error:
                failed[mine.id] = f"{type(error).__name__}: {error.message}"
    return finished, failed


def require_llm(engine: Engine) -> Any:
    """Return the model an unfinished extraction needs.

    Raises:
        ConfigurationError: There is none now.
    """
    llm = engine.parts.llm()
    if llm is None:
        raise ConfigurationError(
            "An extraction is unfinished and there is no model now. Pass `llm=` to finish it."
        )
    return llm


async def job_messages(engine: Engine, job: Job) -> tuple[list[StoredMessage], list[StoredMessage]]:
    """Return the turns of a job that were new, and those the run had already."""
    rids: list[int] = list(job.payload["messages"])
    flags: list[bool] = list(job.payload["new"])
    new_of = dict(zip(rids, flags, strict=True))
    rows = await engine.call(engine.ledger.messages_by_rid, list(new_of))
    return [row for row in rows if new_of[row.rid]], [row for row in rows if not new_of[row.rid]]


def as_inputs(rows: Sequence[StoredMessage]) -> list[InputMessage]:
    """Return kept turns in the shape that extraction reads."""
    return [
        InputMessage(
            role=row.role,  # pyright: ignore[reportArgumentType]
            content=row.content if isinstance(row.content, str) else [dict(block) for block in row.content],
            text=row.text,
            name=row.name,
            created_at=row.created_at,
            offset_minutes=row.offset_minutes,
            metadata=dict(row.metadata),
            run_id=row.run_id,
            id=row.id,
            has_images=not isinstance(row.content, str)
            and any("image" in str(block.get("type", "")) for block in row.content),
        )
        for row in rows
    ]


def scope_of(row: StoredMessage) -> Scope:
    """Return the scope a turn is stored under."""
    return Scope(user_id=row.user_id, agent_id=row.agent_id, run_id=row.run_id)
