"""Verbatim memories: turns and texts as they were given, in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..clock import now_us
from ..errors import EmbedderMismatchError
from ..extraction.marks import strip_recalled
from ..extraction.messages import InputMessage
from ..ledger.base import AddRecord, Applied, Batch, Job, NewMessage, Operation, SourceRef, StoredMessage
from ..scope import Scope
from ..types import AddOutcome, AddResult, unchecked
from .add_request import AddRequest, result_of
from .core import Engine, Meter, new_id
from .digests import turn_digest
from .embed import Embedded, embed_memories
from .outbox import drain
from .relate import relate, with_relations
from .turns import (
    as_inputs,
    embedded_text,
    job_messages,
    new_message,
    prepared,
    scope_of,
    why_ignored,
)

_ORIGIN = {"user": "user", "assistant": "assistant", "tool": "tool", "system": "operator"}


async def write_plan(
    engine: Engine,
    request: AddRequest,
    operation_id: str,
    *,
    kept: Mapping[int, StoredMessage] | None = None,
    finishes: str | None = None,
    resumes: bool = False,
) -> AddResult | Operation | Job:
    """Embed and write a verbatim add; `kept` are turns that an earlier try has kept already, by place.

    Returns the earlier operation where the idempotency key was used before with the same content; with `resumes`,
    the unfinished job of the same call where there is one.
    """
    count = len(request.items)
    plan = await prepared(engine, count, _Plan, engine, request, now_us(), kept or {})
    while True:
        meter = Meter()
        embedded = await embed_memories(engine, plan.texts(), meter, progress=request.progress, checked=False)
        try:
            applied = await engine.apply(
                _batch(engine, plan, operation_id, embedded, meter, finishes, resumes)
            )
            break
        except EmbedderMismatchError:
            # Raises it again, unless the embedder may follow the store to the one it has now.
            await engine.embedder()
    if applied.replay is not None:
        return applied.replay
    if applied.unfinished is not None:
        return applied.unfinished
    pending = await drain(engine)
    result = await prepared(engine, count, plan.result, applied, operation_id, meter, pending)
    return with_relations(engine, result, applied)


def _batch(
    engine: Engine,
    plan: _Plan,
    operation_id: str,
    embedded: Embedded,
    meter: Meter,
    finishes: str | None,
    resumes: bool,
) -> Batch:
    request = plan.request

    def render(done: Applied) -> str:
        return plan.result(done, operation_id, meter, []).model_dump_json()

    return Batch(
        embedder=meter.embedder,
        operation_id=operation_id,
        kind="add",
        owner=request.scope.owner,
        at=plan.now,
        messages=plan.messages,
        changes=plan.changes(embedded),
        finishes=finishes,
        key=request.key,
        digest=request.digest() if request.key is not None else None,
        resumes=request.digest if resumes else None,
        indexes=engine.parts.index_names(),
        render=render if request.key is not None or finishes is not None else None,
        worker=engine.parts.worker_id,
    )


@dataclass(slots=True)
class _Memory:
    """One verbatim memory to be; its embedding comes last."""

    item: int
    embedded: str
    record: AddRecord


class _Plan:
    """What a verbatim add writes: which items are messages, which become memories, and why others do not."""

    def __init__(
        self, engine: Engine, request: AddRequest, now: int, kept: Mapping[int, StoredMessage]
    ) -> None:
        self._engine = engine
        self.request = request
        self.now = now
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
            self.memories.append(self._memory(index, item, scope, message, text))

    def _memory(
        self, index: int, item: InputMessage, scope: Scope, message: int | None, text: str
    ) -> _Memory:
        request, now = self.request, self.now
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
        relate(self._engine, record)
        return _Memory(index, embedded_text(text, kind, item.name), record)

    def texts(self) -> list[str]:
        """Return the texts to embed, one per memory."""
        return [memory.embedded for memory in self.memories]

    def changes(self, embedded: Embedded) -> list[AddRecord]:
        """Return the memories as changes, each with its embedding."""
        for n, memory in enumerate(self.memories):
            memory.record.vector, memory.record.tokens = embedded.vectors[n], embedded.tokens(n)
        return [memory.record for memory in self.memories]

    def result(self, applied: Applied, operation_id: str, meter: Meter, pending: Sequence[str]) -> AddResult:
        """Return one outcome per item, in order."""
        outcomes: dict[int, AddOutcome] = {}
        for memory, change in zip(self.memories, applied.changes, strict=True):
            record = memory.record
            duplicate = change.status == "duplicate"
            outcomes[memory.item] = unchecked(
                AddOutcome,
                {
                    "id": record.id if change.record is None else change.record.id,
                    "memory": record.text,
                    "event": "NONE" if duplicate else "ADD",
                    "previous_memory": None,
                    "reason": "This turn is remembered already." if duplicate else None,
                    "actor_id": record.actor_id,
                    "role": record.role,
                },
            )
        for index, reason in self.ignored.items():
            item = self.request.items[index]
            outcomes[index] = AddOutcome(
                memory=item.text, event="NONE", reason=reason, actor_id=item.name, role=item.role
            )
        return unchecked(
            AddResult,
            {
                "results": [outcomes[n] for n in range(len(self.request.items))],
                "relations": [],
                "operation_id": operation_id,
                "pending": list(pending),
                "usage": meter.usage(),
            },
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
    assert not isinstance(written, Job)
    return result_of(written) if isinstance(written, Operation) else written


def _as_given(row: StoredMessage, given: Mapping[str, Any]) -> InputMessage:
    """Return a kept turn without the id and the time that nobody gave: they are no part of what makes it the same."""
    item = as_inputs([row])[0]
    return replace(item, id=given["id"], created_at=row.created_at if given["dated"] else None)
