"""Reading everything a scope has from PostgreSQL, a page at a time in the order of rids: what an export is made of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from ...scope import ReadScope
from ..base import Event, Record, StoredMessage
from ..item_rows import ITEM_SELECT, item_row
from ..items import ItemRow
from ..rows import Row, column
from ..states import EVENT_SELECT, event_of
from .base import Session, reading
from .history import PostgresHistory
from .items import ITEM_LIVE
from .rows import MESSAGES, RECORDS, owned_messages, owned_record
from .scope import scope_where


class PostgresArchive(PostgresHistory):
    """The reads of a ledger that an export needs."""

    @reading(lambda: (0, 0))
    async def archive_counts(self, s: Session, scope: ReadScope) -> tuple[int, int]:
        """Return how many messages and how many records of the scope there are, deleted ones too."""
        counts = [
            f"(SELECT count(*) FROM {table}{_where(scope, table)[0]})" for table in ("message", "record")
        ]
        parameters = [one for table in ("message", "record") for one in _where(scope, table)[1]]
        messages, records = (await s.rows(f"SELECT {', '.join(counts)}", parameters))[0]
        return messages, records

    @reading(lambda: 0)
    async def archive_item_count(self, s: Session, *, at: int) -> int:
        """Return how many items there are that have not expired."""
        return await s.one(f"SELECT count(*) FROM item WHERE {ITEM_LIVE}", (at,))

    @reading(list[StoredMessage])
    async def archive_messages(
        self, s: Session, scope: ReadScope, after: int, limit: int
    ) -> Sequence[StoredMessage]:
        """Return messages of the scope of every status, by rid, after a rid."""
        rows = await _page(s, MESSAGES, "message", scope, after, limit)
        return owned_messages(rows, self._book.salt)

    @reading(list[tuple[Record, Sequence[Event]]], snapshot=True)
    async def archive_records(
        self, s: Session, scope: ReadScope, after: int, limit: int
    ) -> Sequence[tuple[Record, Sequence[Event]]]:
        """Return records of the scope with their history, deleted ones too, by rid, after a rid."""
        rows = await _page(s, RECORDS, "record", scope, after, limit)
        rids = [row[2] for row in rows]
        events: dict[int, list[Row]] = defaultdict(list)
        for event in await s.rows(_EVENTS, ([column(row[2:], "seq") for row in rows], rids)):
            events[event[2]].append(event)
        states = await self._states(s, rids)
        return [
            (owned_record(row, self._book.salt), [event_of(event, states) for event in events[row[2]]])
            for row in rows
        ]

    @reading(list[tuple[ItemRow, Sequence[str]]], snapshot=True)
    async def archive_items(
        self, s: Session, after: int, limit: int, *, at: int
    ) -> Sequence[tuple[ItemRow, Sequence[str]]]:
        """Return items that have not expired with the texts they are found by, by number, after a number."""
        found = await s.rows(f"{ITEM_SELECT}no > %s AND {ITEM_LIVE} ORDER BY no LIMIT %s", (after, at, limit))
        texts: dict[int, list[str]] = defaultdict(list)
        sql = "SELECT item, text FROM item_vec WHERE item = ANY(%s) ORDER BY item, place"
        for number, text in await s.rows(sql, ([row[0] for row in found],)):
            texts[number].append(text)
        return [(item_row(row), texts[row[0]]) for row in found]


_EVENTS: Final = (
    f"{EVENT_SELECT}WHERE e.seq = ANY(%s)"
    f" UNION ALL {EVENT_SELECT}WHERE e.rid = ANY(%s) AND e.code != 1 ORDER BY seq"
)


def _where(scope: ReadScope, table: str) -> tuple[str, list[object]]:
    clauses, parameters = scope_where(scope, table)
    return (" WHERE " + " AND ".join(clauses) if clauses else ""), parameters


async def _page(
    s: Session, select: str, table: str, scope: ReadScope, after: int, limit: int
) -> Sequence[Row]:
    clauses, parameters = scope_where(scope, table)
    where = " AND ".join([*clauses, f"{table}.rid > %s"])
    return await s.rows(f"{select}WHERE {where} ORDER BY {table}.rid LIMIT %s", (*parameters, after, limit))
