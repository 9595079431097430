"""Correcting and removing: update, delete, delete_all, expire; each one operation that can be undone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ..clock import now_us
from ..errors import ConflictError, InvalidInputError, MemoryNotFoundError
from ..ledger.base import Applied, Batch, EditRecord, Record
from ..scope import Owner, ReadScope
from ..types import ChangeResult
from .core import Engine, Meter, new_id
from .digests import fact_digest
from .embed import embed_memories
from .outbox import drain
from .read import find
from .relate import corrected
from .start import ready
from .turns import embedded_text
from .views import memory_scope

_TRIES: Final = 5
_PAGE: Final = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateRequest:
    """A checked `update`; only what is in `set` changes, metadata is merged."""

    memory_id: str
    set: Mapping[str, Any] = field(default_factory=dict[str, Any])
    metadata: Mapping[str, Any] | None = None
    clear_metadata: bool = False


async def update(engine: Engine, request: UpdateRequest, guard: ReadScope | None) -> ChangeResult:
    """Correct a memory in place: same id, one version more."""
    await ready(engine, write=True)
    operation_id, now = new_id(), now_us()
    for _ in range(_TRIES):
        record = await find(engine, request.memory_id, guard)
        if record is None:
            raise MemoryNotFoundError(request.memory_id)
        changed = _changed(record, request)
        if not changed:
            return ChangeResult(message="Nothing to change.", operation_id=operation_id)
        meter, vector, tokens, dedup = Meter(), None, None, None
        if record.slot is not None:
            await _check_typed(engine, record, record.slot, changed)
        if "text" in changed:
            changed.update(await engine.rt.work(corrected, engine, record, changed["text"]))
            text = embedded_text(changed["text"], record.kind, record.actor_id)
            embedded = await embed_memories(engine, [text], meter)
            vector, tokens = embedded.vectors[0], embedded.tokens(0)
            dedup = fact_digest(changed["text"], memory_scope(record)) if record.kind != "message" else None
        applied = await engine.apply(
            Batch(
                embedder=meter.embedder,
                operation_id=operation_id,
                kind="update",
                owner=owner_of(record),
                at=now,
                changes=[
                    EditRecord(
                        id=record.id,
                        expected_version=record.version,
                        event="UPDATE",
                        set=changed,
                        vector=vector,
                        tokens=tokens,
                        dedup=dedup,
                        scope=guard,
                    )
                ],
                indexes=engine.parts.index_names(),
            )
        )
        if not applied.refused:
            return await _done(engine, "Memory updated successfully!", operation_id, [record.id])
    raise ConflictError(
        f"The memory {request.memory_id!r} kept changing while it was updated. Read it again and retry."
    )


async def _check_typed(engine: Engine, record: Record, slot: bytes, changed: Mapping[str, Any]) -> None:
    """Raise when a correction would part a typed record's text from its fields, or leave two of a key current."""
    if "text" in changed:
        raise InvalidInputError(
            f"The memory {record.id!r} is a typed record, whose text follows from its fields. Add the "
            f"record again with the new values: add({record.kind}(...), ...).",
            field="text",
        )
    if "valid_until" in changed and changed["valid_until"] is None:
        for other in await engine.call(engine.ledger.in_slots, owner_of(record), [slot]):
            if other.id != record.id and memory_scope(other) == memory_scope(record):
                raise ConflictError(
                    f"The memory {record.id!r} cannot be current again: {other.id!r} is the current record of the same "
                    "key. Delete that one first."
                )


def _changed(record: Record, request: UpdateRequest) -> dict[str, Any]:
    changed = {name: value for name, value in request.set.items() if getattr(record, name) != value}
    if request.clear_metadata and record.metadata:
        changed["metadata"] = {}
    elif request.metadata:
        merged = {**record.metadata, **request.metadata}
        if merged != dict(record.metadata):
            changed["metadata"] = merged
    return changed


async def delete(engine: Engine, memory_id: str, guard: ReadScope | None) -> ChangeResult:
    """Remove one memory from recall; history keeps it and `undo` restores it."""
    await ready(engine, write=True)
    operation_id, now = new_id(), now_us()
    for _ in range(_TRIES):
        record = await find(engine, memory_id, guard)
        if record is None:
            raise MemoryNotFoundError(memory_id)
        applied = await _apply_edits(
            engine, operation_id, "delete", owner_of(record), now, [_deletion(record, guard)]
        )
        if not applied.refused:
            return await _done(engine, "Memory deleted successfully!", operation_id, [record.id])
    raise ConflictError(f"The memory {memory_id!r} kept changing while it was deleted. Try again.")


async def delete_all(engine: Engine, scope: ReadScope) -> ChangeResult:
    """Remove every memory of a scope from recall, in one transaction."""
    operation_id, now = new_id(), now_us()
    if not await ready(engine, write=False):
        return ChangeResult(message="Memories deleted successfully!", operation_id=operation_id)
    for _ in range(_TRIES):
        records = await all_records(engine, scope)
        edits = await engine.rt.work(_deletions, records, scope)
        if not edits:
            return ChangeResult(message="Memories deleted successfully!", operation_id=operation_id)
        owner = owner_of(records[0]) if not scope.everyone else None
        applied = await _apply_edits(engine, operation_id, "delete_all", owner, now, edits)
        if not applied.refused:
            return await _done(
                engine, "Memories deleted successfully!", operation_id, [r.id for r in records]
            )
    raise ConflictError("Memories of this scope kept changing while they were deleted. Try again.")


async def all_records(engine: Engine, scope: ReadScope) -> list[Record]:
    """Return every live record of a scope, closed and expired ones too."""
    out: list[Record] = []
    after: tuple[int, int] | None = None
    while True:
        rows = await engine.call(
            engine.ledger.listing, scope, at=now_us(), include_closed=True, limit=_PAGE, after=after
        )
        out += [r for r in rows if scope.allows(r.user_id, r.agent_id, r.run_id)]
        if len(rows) < _PAGE:
            return out
        after = (rows[-1].created_at, rows[-1].rid)


async def expire(engine: Engine) -> int:
    """Write the EXPIRE event of memories whose time has passed; they were invisible from that instant on."""
    total = 0
    while rows := await engine.call(engine.ledger.expired, now_us(), _PAGE):
        edits = [
            EditRecord(
                id=r.id, expected_version=r.version, event="EXPIRE", set={"deleted": True}, reason="expired"
            )
            for r in rows
        ]
        applied = await _apply_edits(engine, new_id(), "expire", None, now_us(), edits)
        if applied.refused:
            break
        total += len(rows)
    return total


def _deletions(records: list[Record], guard: ReadScope) -> list[EditRecord]:
    return [_deletion(record, guard) for record in records]


def _deletion(record: Record, guard: ReadScope | None) -> EditRecord:
    return EditRecord(
        id=record.id, expected_version=record.version, event="DELETE", set={"deleted": True}, scope=guard
    )


async def _apply_edits(
    engine: Engine, operation_id: str, kind: str, owner: Owner | None, now: int, edits: list[EditRecord]
) -> Applied:
    return await engine.apply(
        Batch(
            operation_id=operation_id,
            kind=kind,
            owner=owner,
            at=now,
            changes=edits,
            indexes=engine.parts.index_names(),
        )
    )


async def _done(engine: Engine, message: str, operation_id: str, ids: list[str]) -> ChangeResult:
    pending = await drain(engine)
    return ChangeResult(message=message, operation_id=operation_id, count=len(ids), ids=ids, pending=pending)


def owner_of(record: Record) -> Owner:
    """Return the owner of a record."""
    return memory_scope(record).owner
