"""Remembering: raw turns are kept first, then become memories, verbatim or through the model."""

from __future__ import annotations

from ..clock import now_us
from ..errors import BackendError, ConfigurationError, IdempotencyError
from ..ledger.base import Applied, Batch, NewJob, Operation
from ..scope import Scope
from ..types import AddResult
from .add_request import AddRequest
from .core import Engine, new_id
from .jobs import resume, run_job, stored_result
from .start import ready
from .turns import new_message
from .verbatim import is_kept, write_plan


async def add(engine: Engine, request: AddRequest) -> AddResult:
    """Keep the turns, turn them into memories, and say what became of each."""
    await ready(engine, write=True)
    earlier = await _earlier(engine, request)
    if earlier is not None:
        return earlier
    unfinished = await engine.call(engine.ledger.unfinished, request.scope.owner, request.digest())
    if unfinished is not None:
        resumed = await resume(engine, unfinished.id)
        if resumed is not None:
            return resumed
    llm = engine.parts.llm() if request.infer else None
    if request.procedural and llm is None:
        raise ConfigurationError(
            "A procedure is summarised by a model, and there is none. Pass `llm=`, or set OPENAI_API_KEY."
        )
    if llm is None:
        return await _add_verbatim(engine, request)
    return await _add_inferred(engine, request)


# Verbatim: one transaction.


async def _add_verbatim(engine: Engine, request: AddRequest) -> AddResult:
    """Store turns and texts as given; one transaction."""
    operation_id = new_id()
    try:
        written = await write_plan(engine, request, operation_id)
    except BackendError as error:
        error.operation_id = operation_id
        if error.backend != engine.ledger.name:
            await _keep_for_later(engine, request, operation_id, now_us(), error)
        raise
    return await stored_result(engine, written) if isinstance(written, Operation) else written


# With a model: the turns first, everything else in a second transaction.


async def _add_inferred(engine: Engine, request: AddRequest) -> AddResult:
    now, operation_id = now_us(), new_id()
    job = NewJob(
        kind="extract",
        payload=request.options(),
        running=not request.background,
        scope=_scope_of_turns(request),
        due=None if request.after_seconds is None else now + int(request.after_seconds * 1_000_000),
        taken_in=AddResult(operation_id=operation_id, pending=["extraction"]).model_dump_json(),
    )
    applied = await _keep_turns(engine, request, operation_id, now, job)
    if applied.replay is not None:
        return await stored_result(engine, applied.replay)
    if request.background:
        engine.parts.wake()
        return AddResult(operation_id=operation_id, pending=["extraction"])
    assert applied.job is not None
    return await run_job(engine, applied.job)


def _scope_of_turns(request: AddRequest) -> Scope:
    """Return the scope that all turns share: whoever forgets their run forgets the job, and another run has its own."""
    first, *others = request.scopes
    return request.scope if any(scope != first for scope in others) else first


async def _keep_for_later(
    engine: Engine, request: AddRequest, operation_id: str, now: int, error: BackendError
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
    applied = await _keep_turns(engine, request, operation_id, now, job)
    if applied.replay is None:
        await engine.call(engine.ledger.release, operation_id, error=type(error).__name__)


async def _keep_turns(
    engine: Engine, request: AddRequest, operation_id: str, now: int, job: NewJob
) -> Applied:
    messages = [
        new_message(item, scope, now)
        for item, scope in zip(request.items, request.scopes, strict=True)
        if is_kept(request, item)
    ]
    return await engine.apply(
        Batch(
            operation_id=operation_id,
            kind="add",
            owner=request.scope.owner,
            at=now,
            messages=messages,
            job=job,
            key=request.key,
            digest=request.digest(),
            worker=engine.parts.worker_id,
        )
    )


async def _earlier(engine: Engine, request: AddRequest) -> AddResult | None:
    """Return the result of the same key, or None when the key is free.

    Raises:
        IdempotencyError: The key was used with other content.
    """
    if request.key is None:
        return None
    operation = await engine.call(engine.ledger.operation_by_key, request.scope.owner, request.key)
    if operation is None:
        return None
    if operation.digest != request.digest():
        raise IdempotencyError(
            f"The idempotency key {request.key!r} was used with other content. Use a new key for new content.",
            operation_id=operation.id,
        )
    return await stored_result(engine, operation)
