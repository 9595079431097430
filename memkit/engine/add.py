"""Remembering: raw turns are kept first, then become memories, verbatim or through the model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from ..clock import now_us
from ..errors import BackendError, ConfigurationError, ConflictError, IdempotencyError
from ..extraction.marks import strip_recalled
from ..extraction.messages import InputMessage
from ..ledger.base import (
    AddRecord,
    Applied,
    Batch,
    NewJob,
    NewMessage,
    Operation,
    SourceRef,
    StoredMessage,
)
from ..ranking.text import dense_form
from ..runtime import Deadline
from ..scope import Scope
from ..types import AddOutcome, AddResult
from .core import Engine, Meter, new_id
from .embed import embed_documents
from .outbox import drain
from .start import ready

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_ORIGIN = {"user": "user", "assistant": "assistant", "tool": "tool", "system": "operator"}


@dataclass(frozen=True, slots=True, kw_only=True)
class AddRequest:
    """A checked `add`; `scopes` holds the scope of each item."""

    items: Sequence[InputMessage]
    scopes: Sequence[Scope]
    scope: Scope
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    infer: bool = True
    kind: str | None = None
    procedural: bool = False
    prompt: str | None = None
    origin: str | None = None
    valid_from: int | None = None
    expires_at: int | None = None
    key: str | None = None
    background: bool = False
    progress: bool = False

    def options(self) -> dict[str, Any]:
        """Return everything but the content, as JSON for the durable queue."""
        return {
            "scope": self.scope.as_dict(),
            "metadata": dict(self.metadata),
            "kind": self.kind,
            "procedural": self.procedural,
            "prompt": self.prompt,
            "origin": self.origin,
            "valid_from": self.valid_from,
            "expires_at": self.expires_at,
        }

    def digest(self) -> bytes:
        """Return what recognises the same call made again."""
        content = [
            [i.role, i.content, i.name, i.created_at, i.metadata, scope.as_dict(), i.id]
            for i, scope in zip(self.items, self.scopes, strict=True)
        ]
        return _digest([content, self.options(), self.infer])


async def add(engine: Engine, request: AddRequest) -> AddResult:
    """Keep the turns, turn them into memories, and say what became of each."""
    await ready(engine, write=True)
    earlier = await _earlier(engine, request)
    if earlier is not None:
        return earlier
    unfinished = await engine.call(engine.ledger.unfinished, request.scope.owner, request.digest())
    if unfinished is not None:
        from .jobs import resume

        resumed = await resume(engine, unfinished.id)
        if resumed is not None:
            return resumed
    llm = engine.parts.llm() if request.infer else None
    if request.procedural and llm is None:
        raise ConfigurationError(
            "A procedure is summarised by a model, and there is none. Pass `llm=`, or set OPENAI_API_KEY."
        )
    if llm is None:
        return await add_verbatim(engine, request)
    return await _add_inferred(engine, request)


# Verbatim: one transaction.


async def add_verbatim(engine: Engine, request: AddRequest) -> AddResult:
    """Store turns and texts as given; one transaction."""
    operation_id = new_id()
    try:
        return await write_plan(engine, request, operation_id)
    except BackendError as error:
        error.operation_id = operation_id
        if error.backend != engine.ledger.name:
            await _keep_for_later(engine, request, operation_id, now_us(), error)
        raise


async def write_plan(
    engine: Engine,
    request: AddRequest,
    operation_id: str,
    *,
    kept: Mapping[int, StoredMessage] | None = None,
    finishes: str | None = None,
) -> AddResult:
    """Embed and write a verbatim add; `kept` are turns that an earlier try has kept already, by place."""
    meter, now = Meter(), now_us()
    plan = _Plan(request, now, kept or {})
    vectors = await embed_documents(engine, plan.texts(), meter, progress=request.progress)
    stored = request.key is not None or finishes is not None
    applied = await engine.apply(
        Batch(
            embedder=meter.embedder,
            operation_id=operation_id,
            kind="add",
            owner=request.scope.owner,
            at=now,
            messages=plan.messages,
            changes=plan.changes(vectors),
            finishes=finishes,
            key=request.key,
            digest=request.digest() if request.key is not None else None,
            indexes=engine.parts.index_names(),
            render=(lambda done: plan.result(done, operation_id, meter).model_dump_json())
            if stored
            else None,
            worker=engine.parts.worker_id,
        )
    )
    if applied.replay is not None:
        return await stored_result(engine, applied.replay)
    result = plan.result(applied, operation_id, meter)
    return result.model_copy(update={"pending": await drain(engine)})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Memory:
    """One verbatim memory to be."""

    item: int
    text: str
    embedded: str
    record: AddRecord


class _Plan:
    """What a verbatim add writes: which items are messages, which become memories, and why others do not."""

    def __init__(self, request: AddRequest, now: int, kept: Mapping[int, StoredMessage]) -> None:
        self.request = request
        self.kept = kept
        self.messages: list[NewMessage] = []
        self.memories: list[_Memory] = []
        self.ignored: dict[int, str] = {}
        for index, (item, scope) in enumerate(zip(request.items, request.scopes, strict=True)):
            message: int | None = None
            if index in kept:
                message = -1
            elif _is_kept(request, item):
                message = len(self.messages)
                self.messages.append(new_message(item, scope, now))
            text = strip_recalled(item.text)
            reason = why_ignored(item, text)
            if reason is not None:
                self.ignored[index] = reason
                continue
            self.memories.append(self._memory(index, item, scope, message, text, now))

    def _memory(
        self, index: int, item: InputMessage, scope: Scope, message: int | None, text: str, now: int
    ) -> _Memory:
        request = self.request
        is_turn = message is not None
        kept = self.kept.get(index)
        role = item.role or ("user" if is_turn else None)
        said = item.created_at if kept is None else kept.created_at
        created = now if said is None else said
        kind = request.kind or ("message" if is_turn else "fact")
        record = AddRecord(
            id=new_id(),
            scope=scope,
            text=text,
            kind=kind,
            vector=None,
            message=message if kept is None else None,
            sources=[] if kept is None else [SourceRef(message_id=kept.id)],
            dedup=turn_digest(item, scope) if is_turn else None,
            metadata={**request.metadata, **item.metadata},
            created_at=created,
            valid_from=min(created, now) if request.valid_from is None else request.valid_from,
            expires_at=request.expires_at,
            dated=item.created_at is not None,
            actor_id=item.name,
            role=role,
            origin=request.origin or _ORIGIN.get(role or "user", "user"),
        )
        return _Memory(item=index, text=text, embedded=embedded_text(text, kind, item.name), record=record)

    def texts(self) -> list[str]:
        """Return the texts to embed, one per memory."""
        return [memory.embedded for memory in self.memories]

    def changes(self, vectors: npt.NDArray[np.float32]) -> list[AddRecord]:
        """Return the memories as changes, each with its embedding."""
        return [replace(memory.record, vector=vectors[n]) for n, memory in enumerate(self.memories)]

    def result(self, applied: Applied, operation_id: str, meter: Meter) -> AddResult:
        """Return one outcome per item, in order."""
        outcomes: dict[int, AddOutcome] = {}
        for memory, change in zip(self.memories, applied.changes, strict=True):
            record = change.record
            duplicate = change.status == "duplicate"
            outcomes[memory.item] = AddOutcome.model_construct(
                id=record.id if record is not None else memory.record.id,
                memory=memory.text,
                event="NONE" if duplicate else "ADD",
                previous_memory=None,
                reason="This turn is remembered already." if duplicate else None,
                actor_id=memory.record.actor_id,
                role=memory.record.role,
            )
        for index, reason in self.ignored.items():
            item = self.request.items[index]
            outcomes[index] = AddOutcome(
                memory=item.text, event="NONE", reason=reason, actor_id=item.name, role=item.role
            )
        return AddResult(
            results=[outcomes[n] for n in range(len(self.request.items))],
            operation_id=operation_id,
            usage=meter.usage(),
        )


def embedded_text(text: str, kind: str, speaker: str | None) -> str:
    """Return the text that is embedded for a memory: a turn as a sentence with its speaker, others as they are."""
    return dense_form(text, speaker) if kind == "message" else text


def new_message(item: InputMessage, scope: Scope, now: int) -> NewMessage:
    """Return an input as a turn to keep."""
    return NewMessage(
        scope=scope,
        role=item.role or "user",
        content=item.content,
        text=item.text,
        id=item.id,
        name=item.name,
        created_at=now if item.created_at is None else item.created_at,
        offset_minutes=item.offset_minutes,
        dated=item.created_at is not None,
        metadata=item.metadata,
    )


def why_ignored(item: InputMessage, text: str) -> str | None:
    """Return why a turn makes no memory, or None if it may."""
    if item.role == "system":
        return "System prompts are never remembered as memories."
    if not text.strip():
        if item.text.strip():
            return "It holds nothing but recalled memories."
        return "It holds no text."
    return None


def turn_digest(item: InputMessage, scope: Scope) -> bytes:
    """Return what makes a turn memory the same: its id where given, else speaker, words and time where given."""
    ids = [scope.user_id, scope.agent_id, scope.run_id]
    if item.id is not None:
        return _digest(["turn", ids, item.id])
    return _digest(["turn", ids, item.role or "user", item.name, item.text, item.created_at])


def fact_digest(text: str, scope: Scope) -> bytes:
    """Return what makes a fact the same: scope and words, whatever their case and spacing."""
    ids = [scope.user_id, scope.agent_id, scope.run_id]
    return _digest(["fact", ids, " ".join(text.casefold().split()).rstrip(".!")])


def _digest(value: object) -> bytes:
    data = json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
    return blake2b(data.encode("utf-8", "surrogatepass"), digest_size=16).digest()


# With a model: the turns first, everything else in a second transaction.


async def _add_inferred(engine: Engine, request: AddRequest) -> AddResult:
    now, operation_id = now_us(), new_id()
    job = NewJob(
        kind="extract", payload=request.options(), running=not request.background, scope=request.scope
    )
    applied = await _keep_turns(engine, request, operation_id, now, job)
    if applied.replay is not None:
        return await stored_result(engine, applied.replay)
    if request.background:
        engine.parts.wake()
        return AddResult(operation_id=operation_id, pending=["extraction"])
    from .jobs import run_job

    assert applied.job is not None
    return await run_job(engine, applied.job)


async def _keep_for_later(
    engine: Engine, request: AddRequest, operation_id: str, now: int, error: BackendError
) -> None:
    """Keep what cannot be embedded now, turns as messages and bare texts in the queue, for the next try."""
    items = [
        {"id": item.id, "dated": item.created_at is not None}
        if _is_kept(request, item)
        else {"text": item.text, "name": item.name, "created_at": item.created_at, "metadata": item.metadata}
        for item in request.items
    ]
    payload = {**request.options(), "infer": request.infer, "items": items}
    job = NewJob(kind="verbatim", payload=payload, running=True, scope=request.scope)
    applied = await _keep_turns(engine, request, operation_id, now, job)
    if applied.replay is None:
        await engine.call(engine.ledger.release, operation_id, error=type(error).__name__)


def _is_kept(request: AddRequest, item: InputMessage) -> bool:
    """Return whether an input is kept as a message: whatever has a role, and bare texts to learn from."""
    return item.role is not None or request.infer


async def _keep_turns(
    engine: Engine, request: AddRequest, operation_id: str, now: int, job: NewJob
) -> Applied:
    messages = [
        new_message(item, scope, now)
        for item, scope in zip(request.items, request.scopes, strict=True)
        if _is_kept(request, item)
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


# Idempotency.

_WAIT_S = 120.0


async def stored_result(engine: Engine, operation: Operation) -> AddResult:
    """Return the result of an operation made before: stored, waited for, or finished now.

    Raises:
        ConflictError: Another process has worked on it for too long.
    """
    from .jobs import resume

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
    if operation.result is None:
        return AddResult(operation_id=operation.id)
    return AddResult.model_validate_json(operation.result)


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
