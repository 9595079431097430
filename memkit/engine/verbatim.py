"""Verbatim memories: turns and texts as they were given, in one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..clock import now_us
from ..extraction.marks import strip_recalled
from ..extraction.messages import InputMessage
from ..ledger.base import AddRecord, Applied, Batch, Job, NewMessage, Operation, SourceRef, StoredMessage
from ..scope import Scope
from ..types import AddOutcome, AddResult
from .add_request import AddRequest, result_of
from .core import Engine, Meter, new_id
from .digests import turn_digest
from .embed import embed_documents
from .outbox import drain
from .turns import as_inputs, embedded_text, job_messages, new_message, scope_of, why_ignored

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_ORIGIN = {"user": "user", "assistant": "assistant", "tool": "tool", "system": "operator"}


async def write_plan(
    engine: Engine,
    request: AddRequest,
    operation_id: str,
    *,
    kept: Mapping[int, StoredMessage] | None = None,
    finishes: str | None = None,
) -> AddResult | Operation:
    """Embed and write a verbatim add; `kept` are turns that an earlier try has kept already, by place.

    Returns the earlier operation where the idempotency key was used before with the same content.
    """
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
        return applied.replay
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
            elif is_kept(request, item):
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


def is_kept(request: AddRequest, item: InputMessage) -> bool:
    """Return whether an input is kept as a message: whatever has a role, and bare texts to learn from."""
    return item.role is not None or request.infer


async def finish_verbatim(engine: Engine, job: Job) -> AddResult:
    """Embed and store what a failed add kept, in the order given: its turns, and texts that were nobody's turn."""
    data: dict[str, Any] = dict(job.payload)
    scope = Scope(**data["scope"])
    new, known = await job_messages(engine, job)
    rows = {row.rid: row for row in (*new, *known)}
    rids = iter(data["messages"])
    items: list[InputMessage] = []
    scopes: list[Scope] = []
    kept: dict[int, StoredMessage] = {}
    for given in data["items"]:
        if "text" in given:
            items.append(InputMessage(role=None, content=given["text"], **given))
            scopes.append(scope)
        elif (row := rows.get(next(rids))) is not None:
            kept[len(items)] = row
            items.append(_as_given(row, given))
            scopes.append(scope_of(row))
    request = AddRequest(
        items=items,
        scopes=scopes,
        scope=scope,
        metadata=data["metadata"],
        infer=bool(data["infer"]),
        kind=data["kind"],
        origin=data["origin"],
        valid_from=data["valid_from"],
        expires_at=data["expires_at"],
    )
    written = await write_plan(engine, request, job.id, kept=kept, finishes=job.id)
    return result_of(written) if isinstance(written, Operation) else written


def _as_given(row: StoredMessage, given: Mapping[str, Any]) -> InputMessage:
    """Return a kept turn without the id and the time that nobody gave: they are no part of what makes it the same."""
    item = as_inputs([row])[0]
    return replace(item, id=given["id"], created_at=row.created_at if given["dated"] else None)
