"""Reading everything a scope has, a page at a time in the order of rids: what an export is made of."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

from ...scope import ReadScope
from ..base import Event, Record, StoredMessage
from ..item_rows import ITEM_SELECT, item_row
from ..items import ItemRow
from ..rows import MESSAGE_SELECT, RECORD_SELECT, column
from ..states import EVENT_SELECT, event_of
from .base import chunks
from .history import SqliteHistory
from .items import ITEM_LIVE
from .rows import one
from .scope import scope_where

_PAGE: Final = " {table}.rid > ? ORDER BY {table}.rid LIMIT ?"


class SqliteArchive(SqliteHistory):
    """The reads of a ledger that an export needs."""

    def archive_counts(self, scope: ReadScope) -> tuple[int, int]:
        """Return how many messages and how many records of the scope there are, deleted ones too."""

        def read(conn: sqlite3.Connection) -> tuple[int, int]:
            return _count(conn, "message", scope), _count(conn, "record", scope)

        return self._read(read, (0, 0))

    def archive_item_count(self, *, at: int) -> int:
        """Return how many items there are that have not expired."""
        row = self._read_one(f"SELECT count(*) FROM item WHERE {ITEM_LIVE}", (at,))
        return 0 if row is None else int(row[0])

    def archive_messages(self, scope: ReadScope, after: int, limit: int) -> Sequence[StoredMessage]:
        """Return messages of the scope of every status, by rid, after a rid."""

        def read(conn: sqlite3.Connection) -> list[StoredMessage]:
            return self._messages_of(conn, _page(conn, MESSAGE_SELECT, "message", scope, after, limit))

        return self._read(read, list[StoredMessage]())

    def archive_records(
        self, scope: ReadScope, after: int, limit: int
    ) -> Sequence[tuple[Record, Sequence[Event]]]:
        """Return records of the scope with their history, deleted ones too, by rid, after a rid."""

        def read(conn: sqlite3.Connection) -> list[tuple[Record, Sequence[Event]]]:
            rows = _page(conn, RECORD_SELECT, "record", scope, after, limit)
            rids = [row[0] for row in rows]
            found: dict[int, list[Any]] = defaultdict(list)
            for name, keys, more in (
                ("seq", [column(row, "seq") for row in rows], ""),
                ("rid", rids, " AND e.code != 1"),
            ):
                for part, marks in chunks(keys):
                    sql = f"{EVENT_SELECT}WHERE e.{name} IN ({marks}){more}"
                    for event in conn.execute(sql, part):
                        found[event[2]].append(event)
            states = self._states(conn, rids)
            records = self._records_of(conn, rows)
            return [
                (record, [event_of(event, states) for event in sorted(found[rid], key=lambda e: e[0])])
                for rid, record in zip(rids, records, strict=True)
            ]

        return self._read(read, list[tuple[Record, Sequence[Event]]]())

    def archive_items(self, after: int, limit: int, *, at: int) -> Sequence[tuple[ItemRow, Sequence[str]]]:
        """Return items that have not expired with the texts they are found by, by number, after a number."""
        sql = f"{ITEM_SELECT}no > ? AND {ITEM_LIVE} ORDER BY no LIMIT ?"

        def read(conn: sqlite3.Connection) -> list[tuple[ItemRow, Sequence[str]]]:
            rows = [item_row(row) for row in conn.execute(sql, (after, at, limit)).fetchall()]
            texts: dict[int, list[str]] = defaultdict(list)
            for part, marks in chunks([row.no for row in rows]):
                by_place = f"SELECT item, text FROM item_vec WHERE item IN ({marks}) ORDER BY item, place"
                for number, text in conn.execute(by_place, part):
                    texts[number].append(text)
            return [(row, texts[row.no]) for row in rows]

        return self._read(read, list[tuple[ItemRow, Sequence[str]]]())


def _count(conn: sqlite3.Connection, table: str, scope: ReadScope) -> int:
    found = scope_where(conn, scope, table)
    if found is None:
        return 0
    where = " WHERE " + " AND ".join(found[0]) if found[0] else ""
    return int(one(conn, f"SELECT count(*) FROM {table}{where}", found[1]))


def _page(
    conn: sqlite3.Connection, select: str, table: str, scope: ReadScope, after: int, limit: int
) -> list[Any]:
    found = scope_where(conn, scope, table)
    if found is None:
        return []
    clauses, parameters = found
    where = "WHERE " + "".join(f"{clause} AND " for clause in clauses)
    return conn.execute(select + where + _PAGE.format(table=table), (*parameters, after, limit)).fetchall()
