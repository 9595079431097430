"""What an export holds: everything a scope has, with its history, a page at a time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from pydantic import Field, field_validator

from ..clock import now_us, to_datetime, to_us
from ..errors import InvalidInputError
from ..graph_stores.base import UNKNOWN_KIND
from ..ledger.base import EDITABLE, Event, Record, StoredMessage
from ..ledger.graph import GraphLedger, folded_of, kind_in
from ..ledger.items import ItemRow
from ..scope import ReadScope
from ..types import EventName, MemoryItem, Message, Model
from .core import Engine
from .views import memory_item, message_item

_SECOND: Final = 1_000_000


class ArchivedMessage(Message):
    """A turn as an export holds it: what is public, how its time was given, and whether it was learned from."""

    seq: int = 0
    dated: bool = True
    """Whether `created_at` was given rather than taken from the clock."""
    offset_minutes: int = 0
    """The zone that `created_at` was given in, minutes east of UTC."""
    learned: bool = True


class ArchivedChange(Model):
    """One change of a memory after its first version."""

    event: EventName
    at: datetime
    reason: str | None = None
    actor: str | None = None
    before: dict[str, Any] = Field(default_factory=dict[str, Any])
    """The values that it replaced, as in the memory itself, and `deleted`."""


class ArchivedMemory(MemoryItem):
    """A memory as an export holds it: what is public, whether its time was given, and how it came to be what it is."""

    dated: bool = True
    slot: str | None = Field(default=None, pattern="^[0-9a-f]{32}$")
    """What recognises a typed record."""
    relations: list[tuple[str, str, str]] = Field(default_factory=list[tuple[str, str, str]])
    """What it says of its entities: source, relation, target."""
    deleted: bool = False
    recorded_at: datetime | None = None
    """When its first version was stored."""
    reason: str | None = None
    actor: str | None = None
    """Of its first version."""
    changes: list[ArchivedChange] = Field(default_factory=list[ArchivedChange])

    @field_validator("created_at", "updated_at", "valid_from", "valid_until", "expires_at", "recorded_at")
    @classmethod
    def _in_utc(cls, moment: datetime | None) -> datetime | None:
        """Refuse the first and last hours of the calendar, which UTC cannot name from every zone."""
        try:
            return None if moment is None else to_datetime(to_us(moment))
        except InvalidInputError as error:
            raise ValueError("outside the years 1 to 9999 in UTC") from error


class ArchivedItem(Model):
    """An item of the key-value store as an export holds it."""

    namespace: list[str]
    key: str
    value: Any
    version: int = 1
    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None = None
    ttl: float | None = None
    """Seconds."""
    texts: list[str] = Field(default_factory=list[str])


class ArchivedMerge(Model):
    """What was said of an entity by hand, as an export holds it."""

    user_id: str | None = None
    agent_id: str | None = None
    run_id: str | None = None
    name: str
    kind: str = UNKNOWN_KIND
    into: str | None = None
    """The entity that it is; None: it is none but itself."""
    into_kind: str = UNKNOWN_KIND


async def holdings(engine: Engine, scope: ReadScope | None) -> dict[str, int]:
    """Return how many messages, memories and (of a whole store) items there are to export."""
    everything = ReadScope(everyone=True)
    messages, memories = await engine.call(engine.ledger.archive_counts, scope or everything)
    counts = {"messages": messages, "memories": memories}
    if scope is None:
        counts["items"] = await engine.call(engine.ledger.archive_item_count, at=now_us())
    return counts


async def message_page(
    engine: Engine, scope: ReadScope, after: int, limit: int
) -> tuple[list[ArchivedMessage], int]:
    """Return messages of the scope after a place, and the place to go on from; none are left when there are none."""
    rows = await engine.call(engine.ledger.archive_messages, scope, after, limit)
    return [_message(row) for row in rows], rows[-1].rid if rows else after


async def memory_page(
    engine: Engine, scope: ReadScope, after: int, limit: int
) -> tuple[list[ArchivedMemory], int]:
    """Return memories of the scope after a place, deleted ones too, and the place to go on from."""
    rows = await engine.call(engine.ledger.archive_records, scope, after, limit)
    return [_memory(record, events) for record, events in rows], rows[-1][0].rid if rows else after


async def item_page(engine: Engine, after: int, limit: int) -> tuple[list[ArchivedItem], int]:
    """Return items after a place, and the place to go on from."""
    rows = await engine.call(engine.ledger.archive_items, after, limit, at=now_us())
    return [_item(row, texts) for row, texts in rows], rows[-1][0].no if rows else after


async def merges(engine: Engine, scope: ReadScope) -> list[ArchivedMerge]:
    """Return what was said of entities by hand and bears on reads of the scope, in the order it was said."""
    if not isinstance(engine.ledger, GraphLedger):
        return []
    return [
        ArchivedMerge(
            user_id=alias.scope.user_id,
            agent_id=alias.scope.agent_id,
            run_id=alias.scope.run_id,
            name=folded_of(alias.key),
            kind=kind_in(alias.key) or UNKNOWN_KIND,
            into=None if alias.root is None else folded_of(alias.root),
            into_kind=kind_in(alias.root or "") or UNKNOWN_KIND,
        )
        for alias in await engine.call(engine.ledger.aliases, scope)
        if alias.covers(scope) or scope.allows(alias.scope.user_id, alias.scope.agent_id, alias.scope.run_id)
    ]


def _message(row: StoredMessage) -> ArchivedMessage:
    known = dict(message_item(row).items())
    return ArchivedMessage.model_construct(
        **known, dated=row.dated, offset_minutes=row.offset_minutes, learned=row.learned
    )


def _memory(record: Record, events: Sequence[Event]) -> ArchivedMemory:
    first = events[0] if events else None
    return ArchivedMemory.model_construct(
        **dict(memory_item(record).items()),
        dated=record.dated,
        slot=None if record.slot is None else record.slot.hex(),
        relations=list(record.relations),
        deleted=record.deleted,
        recorded_at=None if first is None else to_datetime(first.at),
        reason=None if first is None else first.reason,
        actor=None if first is None else first.actor,
        changes=_changes(events),
    )


def _changes(events: Sequence[Event]) -> list[ArchivedChange]:
    """Return the events after the first with what each replaced; of what is deleted, the last record is known."""
    known, deleted = events[0].after if events else None, False
    changes: list[ArchivedChange] = []
    for event in events[1:]:
        before: dict[str, Any] = {}
        if event.after is None:
            before["deleted"], deleted = deleted, True
        elif known is not None:
            was = memory_item(known).model_dump(mode="json")
            was["relations"] = [list(edge) for edge in known.relations]
            names = (name for name in EDITABLE if getattr(known, name) != getattr(event.after, name))
            before = {public: was[public] for name in names if (public := _PUBLIC.get(name, name)) in was}
            if deleted:
                before["deleted"], deleted = True, False
            known = event.after
        changes.append(
            ArchivedChange.model_construct(
                event=event.event,
                at=to_datetime(event.at),
                reason=event.reason,
                actor=event.actor,
                before=before,
            )
        )
    return changes


_PUBLIC: Final = {"text": "memory"}


def _item(row: ItemRow, texts: Sequence[str]) -> ArchivedItem:
    return ArchivedItem.model_construct(
        namespace=list(row.namespace),
        key=row.key,
        value=row.value,
        version=row.version,
        created_at=to_datetime(row.created_at),
        updated_at=to_datetime(row.updated_at),
        expires_at=None if row.expires_at is None else to_datetime(row.expires_at),
        ttl=None if row.ttl is None else row.ttl / _SECOND,
        texts=list(texts),
    )
