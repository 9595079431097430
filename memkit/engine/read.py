"""Reading without searching: by id, as pages, as messages, as history."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..clock import now_us, to_datetime
from ..errors import InvalidInputError
from ..filters import Filter
from ..ledger.base import Record
from ..scope import ReadScope
from ..types import HistoryEvent, MemoryItem, OwnerInfo, Page, ScopePage
from ..vector_stores.base import unit_rows
from .core import Engine
from .graph import relations_of
from .start import ready
from .views import history_event, is_expired, memory_item, row_test


@dataclass(frozen=True, slots=True, kw_only=True)
class ListRequest:
    """A checked `get_all` or `count`."""

    scope: ReadScope
    filter: Filter | None = None
    limit: int = 100
    cursor: str | None = None
    as_of: int | None = None
    include_closed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopesRequest:
    """A checked `scopes`."""

    kind: str = "user"
    prefix: str | None = None
    limit: int = 100
    cursor: str | None = None


async def get(engine: Engine, memory_id: str, guard: ReadScope | None) -> MemoryItem | None:
    """Return a live, unexpired memory, or None."""
    record = await find(engine, memory_id, guard)
    return None if record is None else memory_item(record)


async def find(engine: Engine, memory_id: str, guard: ReadScope | None) -> Record | None:
    """Return the record of a live, unexpired memory inside the guard's scope, or None."""
    if not await ready(engine, write=False):
        return None
    for record in await engine.call(engine.ledger.records, [memory_id]):
        if not record.deleted and not is_expired(record, now_us()) and allowed(record, guard):
            return record
    return None


async def vectors(engine: Engine, ids: Sequence[str], guard: ReadScope | None) -> dict[str, list[float]]:
    """Return the unit vectors of live, unexpired memories inside the guard's scope, in the order asked."""
    if not await ready(engine, write=False):
        return {}
    now = now_us()
    rids = [
        record.rid
        for record in await engine.call(engine.ledger.records, ids)
        if not record.deleted and not is_expired(record, now) and allowed(record, guard)
    ]
    records, matrix = await engine.call(engine.ledger.with_vectors, rids)
    return {
        record.id: row for record, row in zip(records, unit_rows(matrix).tolist(), strict=True) if any(row)
    }


def allowed(record: Record, guard: ReadScope | None) -> bool:
    """Return whether a handle may touch a record."""
    return guard is None or guard.allows(record.user_id, record.agent_id, record.run_id)


async def get_all(engine: Engine, request: ListRequest) -> Page:
    """Return a page of memories, newest first."""
    scope, limit = request.scope, request.limit
    after = None if request.cursor is None else _position(request.cursor)
    if not await ready(engine, write=False):
        return Page()
    now = now_us()
    at = now if request.as_of is None else request.as_of
    test = row_test(request.filter)
    results: list[Record] = []
    step = limit + 1
    while len(results) <= limit:
        rows = await engine.call(
            engine.ledger.listing,
            scope,
            at=at,
            present=request.as_of is None,
            include_closed=request.include_closed,
            limit=step,
            after=after,
            test=test,
        )
        results += [r for r in rows if allowed(r, scope) and not is_expired(r, now)]
        if len(rows) < step:
            break
        after = (rows[-1].created_at, rows[-1].rid)
    page = results[:limit]
    more = len(results) > limit
    return Page(
        results=await engine.rt.work(_items, page),
        relations=await relations_of(engine, scope, page, request.as_of) if engine.parts.graph.on else [],
        next_cursor=_cursor((page[-1].created_at, page[-1].rid)) if more else None,
    )


def _items(records: Sequence[Record]) -> list[MemoryItem]:
    return [memory_item(record) for record in records]


async def count(engine: Engine, request: ListRequest) -> int:
    """Return how many memories are current."""
    if not await ready(engine, write=False):
        return 0
    test = row_test(request.filter)
    return await engine.call(engine.ledger.count, request.scope, at=now_us(), present=True, test=test)


async def history(engine: Engine, memory_id: str, guard: ReadScope | None) -> list[HistoryEvent]:
    """Return every change of a memory, oldest first; empty for an unknown id."""
    if not await ready(engine, write=False):
        return []
    events = await engine.call(engine.ledger.history, memory_id)
    for event in events:
        record = event.after or event.before
        if record is not None and not allowed(record, guard):
            return []
    if guard is not None and all(event.after is None and event.before is None for event in events):
        return []
    return [history_event(event) for event in events]


async def scopes(engine: Engine, request: ScopesRequest) -> ScopePage:
    """Return owners with counts, ordered by id."""
    limit = request.limit
    after = None if request.cursor is None else str(_decode(request.cursor).get("after", ""))
    if not await ready(engine, write=False):
        return ScopePage()
    rows = await engine.call(
        engine.ledger.owners, kind=request.kind, prefix=request.prefix, limit=limit + 1, after=after
    )
    found = [
        OwnerInfo(
            kind=row.owner.kind,  # pyright: ignore[reportArgumentType]
            id=row.owner.id,
            memories=row.memories,
            messages=row.messages,
            last_change=None if row.last_change is None else to_datetime(row.last_change),
        )
        for row in rows[:limit]
    ]
    more = len(rows) > limit
    return ScopePage(results=found, next_cursor=_encode({"after": found[-1].id}) if more else None)


def _cursor(position: tuple[int, int]) -> str:
    return _encode({"at": position[0], "rid": position[1]})


def _position(cursor: str) -> tuple[int, int]:
    data = _decode(cursor)
    at, rid = data.get("at"), data.get("rid")
    if not isinstance(at, int) or not isinstance(rid, int):
        raise _bad_cursor(cursor)
    return at, rid


def _encode(data: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(data, separators=(",", ":")).encode()).decode().rstrip("=")


def _decode(cursor: str) -> dict[str, Any]:
    try:
        data: Any = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, TypeError) as error:
        raise _bad_cursor(cursor) from error
    if not isinstance(data, dict):
        raise _bad_cursor(cursor)
    return data  # pyright: ignore[reportUnknownVariableType]


def _bad_cursor(cursor: object) -> InvalidInputError:
    return InvalidInputError(
        f"`cursor` is not one of ours: {cursor!r:.80}. Pass the `next_cursor` of a page."
    )
