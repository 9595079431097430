"""Remembering: raw turns are kept first, then become memories, verbatim or through the model."""

from __future__ import annotations

from ..clock import now_us
from ..errors import BackendError, ConfigurationError, IdempotencyError
from ..ledger.base import Applied, Batch, Job, NewJob, NewMessage, Operation
from ..scope import Scope
from ..types import AddResult
from .add_records import add_records
from .add_request import AddRequest
from .core import Engine, new_id
from .jobs import resume, run_job, stored_result
from .start import ready
from .turns import new_message, prepared
from .verbatim import is_kept, write_plan


async def add(engine: Engine, request: AddRequest) -> AddResult:
    """Keep the turns, turn them into memories, and say what became of each."""
    await ready(engine, write=True)
    if request.key is not None and (earlier := await _earlier(engine, request, request.key)) is not None:
        return earlier
    if request.records:
        return await add_records(engine, request)
    llm = await engine.llm() if request.infer else None
    if request.procedural and llm is None:
        raise ConfigurationError(
            "A procedure is summarised by a model, and there is none. Pass `llm=`, or set OPENAI_API_KEY or "
            "ANTHROPIC_API_KEY."
        )
    attempt = _add_verbatim if llm is None else _add_inferred
    done = await attempt(engine, request, resumes=True)
    if isinstance(done, AddResult):
        return done
    # The same call was made before and failed: that one is finished, unless somebody else is at it.
    resumed = await resume(engine, done.id)
    if resumed is not None:
        return resumed
    again = await attempt(engine, request, resumes=False)
    assert isinstance(again, AddResult)
    return again


# Verbatim: one transaction.


async def _add_verbatim(engine: Engine, request: AddRequest, *, resumes: bool) -> AddResult | Job:
    """Store turns and texts as given; one transaction. Returns the unfinished job of the same call, if there is one."""
    operation_id = new_id()
    try:
        written = await write_plan(engine, request, operation_id, resumes=resumes)
    except BackendError as error:
        error.operation_id = operation_id
        if error.backend != engine.ledger.name:
            await _keep_for_later(engine, request, operation_id, error)
        raise
    return await stored_result(engine, written) if isinstance(written, Operation) else written


# With a model: the turns first, everything else in a second transaction.


async def _add_inferred(engine: Engine, request: AddRequest, *, resumes: bool) -> AddResult | Job:
    """Keep the turns and learn from them. Returns the unfinished job of the same call, if there is one."""
    now, operation_id = now_us(), new_id()
    job = NewJob(
        kind="extract",
        payload=request.options(),
        running=not request.background,
        scope=_scope_of_turns(request),
        due=None if request.after_seconds is None else now + int(request.after_seconds * 1_000_000),
        taken_in=AddResult(operation_id=operation_id, pending=["extraction"]).model_dump_json(),
    )
    applied = await _keep_turns(engine, request, operation_id, now, job, resumes=resumes)
    if applied.unfinished is not None:
        return applied.unfinished
    if applied.replay is not None:
        return await stored_result(engine, applied.replay)
    if request.background:
        engine.parts.wake()
        return AddResult(operation_id=operation_id, pending=["extraction"])
    assert applied.job is not None
    return await run_job(engine, applied.job, applied)


def _scope_of_turns(request: AddRequest) -> Scope:
    """Return the scope that all turns share: whoever forgets their run forgets the job, and another run has its own."""
    first, *others = request.scopes
    return request.scope if any(scope != first for scope in others) else first


async def _keep_for_later(
    engine: Engine, request: AddRequest, operation_id: str, error: BackendError
) -> None:
    """Keep what cannot be embedded now, turns as messages and bare texts in the queue, for the next try."""
    items = [
        {"id": item.id, "dated": item.created_at is not None}
        if is_kept(request, item)
        else {"text": item.text, "name": item.name, "created_at": item.created_at, "metadata": item.metadata}
        for item in request.items
    ]
    payload = {**request.options(), "infer": request.infer, "items": items}
    job = NewJob(kind="verbatim", payload=payload, running=True, scope=request.scope)
    applied = await _keep_turns(engine, request, operation_id, now_us(), job, resumes=True)
    if applied.unfinished is not None:
        error.operation_id = applied.unfinished.id
    elif applied.replay is None:
        await engine.call(engine.ledger.release, operation_id, error=type(error).__name__)


async def _keep_turns(
    engine: Engine, request: AddRequest, operation_id: str, now: int, job: NewJob, *, resumes: bool
) -> Applied:
    messages = await prepared(engine, len(request.items), _messages, request, now)
    batch = Batch(
        operation_id=operation_id,
        kind="add",
        owner=request.scope.owner,
        at=now,
        messages=messages,
        job=job,
        key=request.key,
        digest=request.digest(),
        resumes=request.digest if resumes else None,
        worker=engine.parts.worker_id,
    )
    try:
        return await engine.apply(batch)
    except Exception:
        raise
    except BaseException:
        # What is kept in spite of a cancelled call has nobody who works on it: it is for whoever comes next.
        error = "interrupted" if job.running else None
        await engine.call(engine.ledger.release, operation_id, error=error, waiting=not job.running)
        raise


def _messages(request: AddRequest, now: int) -> list[NewMessage]:
    return [
        new_message(item, scope, now)
        for item, scope in zip(request.items, request.scopes, strict=True)
        if is_kept(request, item)
    ]


async def _earlier(engine: Engine, request: AddRequest, key: str) -> AddResult | None:
    """Return the result of the same key, or None when the key is free.

    Raises:
        IdempotencyError: The key was used with other content.
    """
    operation = await engine.call(engine.ledger.operation_by_key, request.scope.owner, key)
    if operation is None:
        return None
    if operation.digest != request.digest():
        raise IdempotencyError(
            f"The idempotency key {key!r} was used with other content. Use a new key for new content.",
            operation_id=operation.id,
        )
    return await stored_result(engine, operation)
