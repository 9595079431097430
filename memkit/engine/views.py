"""From ledger rows to public results, and to what an index stores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from ..clock import to_datetime, to_iso
from ..filters import Filter, compile_filter, fields_of
from ..ledger.base import Event, Record, RowTest, StoredMessage
from ..scope import Scope
from ..types import Entity, HistoryEvent, MemoryItem, Message, Source, unchecked


def memory_item(record: Record, score: float | None = None) -> MemoryItem:
    """Return a record as a public memory, whose every part that can be changed is the caller's."""
    values, flat = _shown(record)
    values = values.copy()
    values["score"] = score
    values["metadata"] = values["metadata"].copy() if flat else _own(values["metadata"])
    values["sources"] = values["sources"].copy()
    values["entities"] = values["entities"].copy()
    if values["data"] is not None:
        values["data"] = _own(values["data"])
    return unchecked(MemoryItem, values)


def _shown(record: Record) -> tuple[dict[str, Any], bool]:
    """Return the fields of a record's public memory, and whether no part of its metadata has parts.

    They are made once, as records held are shown again.
    """
    if record.shown is not None:
        return cast("tuple[dict[str, Any], bool]", record.shown)
    created, updated, since = record.created_at, record.updated_at, record.valid_from
    created_at = to_datetime(created)
    values = {
        "id": record.id,
        "memory": record.text,
        "kind": record.kind,
        "score": None,
        "user_id": record.user_id,
        "agent_id": record.agent_id,
        "run_id": record.run_id,
        "metadata": dict(record.metadata),
        "version": record.version,
        "created_at": created_at,
        "updated_at": created_at if updated == created else to_datetime(updated),
        "valid_from": created_at if since == created else to_datetime(since),
        "valid_until": None if record.valid_until is None else to_datetime(record.valid_until),
        "expires_at": None if record.expires_at is None else to_datetime(record.expires_at),
        "actor_id": record.actor_id,
        "role": record.role,
        "origin": record.origin,
        "sources": [
            unchecked(Source, {"message_id": s.message_id, "quote": s.quote}) for s in record.sources
        ],
        "entities": [unchecked(Entity, {"name": name, "kind": kind}) for name, kind in record.entities],
        "pinned": record.pinned,
        "data": None if record.data is None else dict(record.data),
    }
    record.shown = values, all(value.__class__ not in _PARTS for value in record.metadata.values())
    return record.shown


def _own(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """Return a mapping of JSON whose every part is the caller's to change: records are shown again."""
    if not mapping:
        return {}
    return {name: _copied(value) if value.__class__ in _PARTS else value for name, value in mapping.items()}


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return _own(cast("dict[str, Any]", value))
    return [_copied(part) for part in cast("list[Any]", value)] if isinstance(value, list) else value


_PARTS: Final = frozenset({dict, list})


def message_item(message: StoredMessage) -> Message:
    """Return a stored turn as a public message."""
    content = (
        message.content if isinstance(message.content, str) else [dict(block) for block in message.content]
    )
    return Message.model_construct(
        id=message.id,
        seq=message.rid & 0xFFFFFFFF,
        role=message.role,
        content=content,
        name=message.name,
        created_at=to_datetime(message.created_at),
        status=message.status,
        user_id=message.user_id,
        agent_id=message.agent_id,
        run_id=message.run_id,
        metadata=dict(message.metadata),
        payload=None if message.payload is None else dict(message.payload),
    )


def history_event(event: Event) -> HistoryEvent:
    """Return one change as a public history event."""
    return HistoryEvent.model_construct(
        seq=event.seq,
        operation_id=event.operation_id,
        memory_id=event.memory_id,
        event=event.event,
        before=None if event.before is None else memory_item(event.before),
        after=None if event.after is None else memory_item(event.after),
        reason=event.reason,
        actor=event.actor,
        at=to_datetime(event.at),
    )


_PAYLOAD: Final[Mapping[str, Callable[[Record], Any]]] = {
    "id": lambda record: record.id,
    "memory": lambda record: record.text,
    "kind": lambda record: record.kind,
    "user_id": lambda record: record.user_id,
    "agent_id": lambda record: record.agent_id,
    "run_id": lambda record: record.run_id,
    # Filters reach the fields of a typed record as `data.<name>`.
    "metadata": lambda record: (
        dict(record.metadata) if record.data is None else {"data": dict(record.data), **record.metadata}
    ),
    "version": lambda record: record.version,
    "created_at": lambda record: to_iso(record.created_at),
    "updated_at": lambda record: to_iso(record.updated_at),
    "valid_from": lambda record: to_iso(record.valid_from),
    "valid_until": lambda record: None if record.valid_until is None else to_iso(record.valid_until),
    "expires_at": lambda record: None if record.expires_at is None else to_iso(record.expires_at),
    "actor_id": lambda record: record.actor_id,
    "role": lambda record: record.role,
    "origin": lambda record: record.origin,
    "sources": lambda record: [{"message_id": s.message_id, "quote": s.quote} for s in record.sources],
    "entities": lambda record: [{"name": name, "kind": kind} for name, kind in record.entities],
    "pinned": lambda record: record.pinned,
}


def payload(record: Record) -> dict[str, Any]:
    """Return what filters are evaluated on and what an index stores: complete, so that it can be recovered alone."""
    whole = {name: read(record) for name, read in _PAYLOAD.items()}
    return whole | {"relations": [list(edge) for edge in record.relations]} if record.relations else whole


def record_test(filter: Filter) -> Callable[[Record], bool]:
    """Return a filter as a test of records: what it says of their payload, of which only what it looks at is made."""
    accepts = compile_filter(filter)
    reads = [(name, _PAYLOAD[name]) for name in fields_of(filter)]
    return lambda record: accepts({name: read(record) for name, read in reads})


def row_test(filter: Filter | None, kinds: frozenset[str] | None = None) -> RowTest | None:
    """Return a filter, and the kinds wanted, as a test that a ledger runs on its rows; None for neither."""
    if filter is None and kinds is None:
        return None
    accepts = compile_filter(filter)
    fields = fields_of(filter)
    if kinds is None:
        return RowTest(fields, accepts)
    return RowTest(fields | {"kind"}, lambda row: row["kind"] in kinds and accepts(row))


def is_current(record: Record, at: int, now: int) -> bool:
    """Return whether a record holds at an instant and has not expired by now.

    Of the present (`at` is `now`), what the record says of itself is judged at its last change where that is later:
    the clock may have been set back since.
    """
    moment = record.updated_at if at == now and record.updated_at > at else at
    return (
        not record.deleted
        and record.valid_from <= moment
        and (record.valid_until is None or moment < record.valid_until)
        and not is_expired(record, now)
    )


def is_expired(record: Record, now: int) -> bool:
    """Return whether a record's time has passed."""
    return record.expires_at is not None and record.expires_at <= now


def memory_scope(record: Record) -> Scope:
    """Return the scope that a record is stored under."""
    return Scope(user_id=record.user_id, agent_id=record.agent_id, run_id=record.run_id)
