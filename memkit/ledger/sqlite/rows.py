"""What the SQLite driver is given: values that it takes at once, and rows without their NULLs."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from ..rows import MESSAGE_COLUMNS, OPERATION_COLUMNS, RECORD_COLUMNS, Row


def blob(raw: bytes | str) -> bytearray | str:
    """Return bytes in the form that the driver takes at once: for `bytes` it first looks for somebody's adapter."""
    return raw if isinstance(raw, str) else bytearray(raw)


class Insert:
    """Inserts rows into a table, each without the columns where it has None.

    The driver looks for an adapter of every None that it is given, which costs more than five numbers.
    """

    def __init__(self, table: str, columns: Sequence[str]) -> None:
        self._table, self._columns = table, columns
        self._statements: dict[tuple[bool, ...], str] = {}

    def __call__(self, conn: sqlite3.Connection, rows: Sequence[Row]) -> None:
        """Insert rows; those that fill the same columns together."""
        alike: dict[tuple[bool, ...], list[Row]] = {}
        for row in rows:
            filled = tuple([value is not None for value in row])
            alike.setdefault(filled, []).append([value for value in row if value is not None])
        for filled, given in alike.items():
            conn.executemany(self._statements.get(filled) or self._statement(filled), given)

    def _statement(self, filled: tuple[bool, ...]) -> str:
        names = [name for name, is_filled in zip(self._columns, filled, strict=True) if is_filled]
        sql = f"INSERT INTO {self._table} ({', '.join(names)}) VALUES ({','.join('?' * len(names))})"
        self._statements[filled] = sql
        return sql


insert_records: Final = Insert("record", RECORD_COLUMNS)
insert_messages: Final = Insert("message", MESSAGE_COLUMNS)
insert_operations: Final = Insert("operation", OPERATION_COLUMNS)
insert_events: Final = Insert(
    "event", ("seq", "op", "owner", "rid", "code", "at", "delta", "reason", "actor")
)


def one(conn: sqlite3.Connection, sql: str, parameters: Sequence[Any] = ()) -> Any:
    """Return the first column of the first row, None when there is none."""
    row = conn.execute(sql, parameters).fetchone()
    return None if row is None else row[0]
