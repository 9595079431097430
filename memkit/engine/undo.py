"""Taking an operation back: all of it or nothing, as an operation of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from ..clock import now_us
from ..errors import ConflictError, InvalidInputError, OperationNotFoundError
from ..ledger.base import EDITABLE, Batch, EditRecord, Event, Operation, Record
from ..scope import ReadScope
from ..types import ChangeResult
from .core import Engine, Meter, new_id
from .digests import fact_digest, record_digest
from .embed import embed_memories
from .graph_change import undo_merge
from .outbox import drain
from .read import allowed
from .start import ready
from .turns import embedded_text
from .views import memory_scope

_TRIES: Final = 5


async def undo(engine: Engine, operation_id: str, guard: ReadScope | None) -> ChangeResult:
    """Restore every record of an operation to what it was before.

    Raises:
        OperationNotFoundError: There is no such operation in this scope.
        ConflictError: Later operations changed the same records; it names them.
        InvalidInputError: It is an erasure, or changed what was erased since.
    """
    if not await ready(engine, write=False):
        raise OperationNotFoundError(operation_id)
    for _ in range(_TRIES):
        found = await engine.call(engine.ledger.operation, operation_id)
        if found is None:
            raise OperationNotFoundError(operation_id)
        operation, events = found
        if operation.kind == "forget":
            raise InvalidInputError(
                f"The operation {operation_id} erased memories; what is erased cannot come back."
            )
        if operation.kind in ("merge", "split"):
            parted = await undo_merge(engine, operation, guard)
            if parted is None:
                raise OperationNotFoundError(operation_id)
            return parted
        known = (
            all(_inside(event, guard) for event in events)
            if events
            else await _owns(engine, operation, guard)
        )
        if not known:
            raise OperationNotFoundError(operation_id)
        if operation.erased and operation.kind != "add":
            raise InvalidInputError(
                f"The operation {operation_id} changed memories that were forgotten since; what is erased cannot come "
                "back, so it cannot be taken back as a whole."
            )
        later = await engine.call(engine.ledger.later_operations, operation_id)
        if later:
            raise ConflictError(
                f"Later operations changed the same memories: {', '.join(later)}. Undo them first, newest first.",
                operations=list(later),
                operation_id=operation_id,
            )
        undone = await _reverse(engine, operation_id, events, guard)
        if undone is not None:
            return undone
    raise ConflictError(f"The memories of {operation_id} kept changing while it was undone. Try again.")


async def _reverse(
    engine: Engine, operation_id: str, events: Sequence[Event], guard: ReadScope | None
) -> ChangeResult | None:
    """Write the undo; None when a record changed meanwhile."""
    targets: dict[str, Record | None] = {}
    for event in reversed(events):
        targets[event.memory_id] = event.before
    new_operation = new_id()
    if not targets:
        return ChangeResult(message="There was nothing to undo.", operation_id=new_operation)
    records = await engine.call(engine.ledger.records, list(targets))
    edits = await engine.rt.work(_restored, records, targets, operation_id, guard)
    if not any(edit.set for edit in edits):
        last = (await engine.call(engine.ledger.history, records[-1].id))[-1].operation_id
        raise ConflictError(
            f"The operation {operation_id} is undone already, by {last}. Undo that one to bring it back.",
            operations=[last],
            operation_id=operation_id,
        )
    meter = Meter()
    bare = await engine.call(engine.ledger.without_vector, [record.rid for record in records])
    changed = [
        n
        for n, edit in enumerate(edits)
        if "text" in edit.set or (records[n].rid in bare and not edit.set.get("deleted", records[n].deleted))
    ]
    if changed:
        texts = [
            embedded_text(edits[n].set.get("text", records[n].text), records[n].kind, records[n].actor_id)
            for n in changed
        ]
        embedded = await embed_memories(engine, texts, meter)
        for place, n in enumerate(changed):
            edits[n] = replace(edits[n], vector=embedded.vectors[place], tokens=embedded.tokens(place))
    applied = await engine.apply(
        Batch(
            embedder=meter.embedder,
            operation_id=new_operation,
            kind="undo",
            owner=memory_scope(records[0]).owner,
            at=now_us(),
            changes=edits,
            undoes=operation_id,
            indexes=engine.parts.index_names(),
        )
    )
    if applied.refused:
        return None
    pending = await drain(engine)
    return ChangeResult(
        message="Operation undone.",
        operation_id=new_operation,
        count=len(edits),
        ids=[record.id for record in records],
        pending=pending,
    )


def _restored(
    records: Sequence[Record],
    targets: Mapping[str, Record | None],
    operation_id: str,
    guard: ReadScope | None,
) -> list[EditRecord]:
    return [_restore(record, targets[record.id], operation_id, guard) for record in records]


def _restore(record: Record, target: Record | None, operation_id: str, guard: ReadScope | None) -> EditRecord:
    """Return the edit that brings a record to an earlier state; no state means it was not there."""
    values: dict[str, Any] = (
        ({} if record.deleted else {"deleted": True})
        if target is None
        else {
            name: getattr(target, name) for name in EDITABLE if getattr(record, name) != getattr(target, name)
        }
    )
    dedup = None
    if target is not None and not target.deleted and target.valid_until is None and target.kind != "message":
        scope = memory_scope(record)
        dedup = fact_digest(target.text, scope) if target.slot is None else record_digest(target.slot, scope)
    return EditRecord(
        id=record.id,
        expected_version=record.version,
        event=_event(values),
        set=values,
        dedup=dedup,
        reason=f"undo of {operation_id}",
        scope=guard,
    )


def _event(values: dict[str, Any]) -> str:
    if values.get("deleted") is True:
        return "DELETE"
    if values.get("deleted") is False:
        return "RESTORE"
    if "valid_until" in values:
        return "RESTORE" if values["valid_until"] is None else "SUPERSEDE"
    return "UPDATE"


async def _owns(engine: Engine, operation: Operation, guard: ReadScope | None) -> bool:
    """Return whether an operation that changed no record may be known to a handle."""
    if guard is None or operation.owner is None:
        return guard is None
    owners = await engine.call(engine.ledger.owners_in, guard)
    return owners is None or operation.owner in owners


def _inside(event: Event, guard: ReadScope | None) -> bool:
    record = event.after or event.before
    return record is None or allowed(record, guard)
