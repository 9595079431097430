"""How a SQLite file finds and writes the turns of a batch."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from ..keeping import MessageKeeper
from ..rows import MESSAGE_SELECT, message_rid
from .base import chunks
from .owners import Owners
from .rows import insert_messages


class SqliteMessageKeeper(MessageKeeper):
    """Writes the messages of one batch."""

    def __init__(self, conn: sqlite3.Connection, salt: int, owners: Owners) -> None:
        super().__init__(salt, owners)
        self._conn = conn

    def _rows(self, number: int, run: str | None, ids: Sequence[str]) -> list[Any]:
        """Return the rows of an owner's run that the ledger gave one of the ids, then those that it was given for."""
        rows: list[Any] = []
        made = [rid for text in ids if (rid := message_rid(self._salt, text)) is not None]
        for part, marks in chunks(made):
            where = f"WHERE rid IN ({marks}) AND id IS NULL AND owner = ? AND run IS ?"
            rows += self._conn.execute(MESSAGE_SELECT + where, (*part, number, run)).fetchall()
        for part, marks in chunks(ids):
            where = f"WHERE id IN ({marks}) AND owner = ? AND ifnull(run, '') = ?"
            rows += self._conn.execute(MESSAGE_SELECT + where, (*part, number, run or "")).fetchall()
        return rows

    def _latest(self, number: int, run: str | None, now: int) -> int:
        row = self._conn.execute(
            "SELECT created_at FROM message WHERE owner = ? AND run IS ? AND created_at > ? AND dated = 0"
            " ORDER BY created_at DESC LIMIT 1",
            (number, run, now),
        ).fetchone()
        return now if row is None else row[0]

    def _learned(self, rid: int) -> None:
        self._conn.execute("UPDATE message SET learned = 1 WHERE rid = ?", (rid,))

    def _active(self, rid: int) -> None:
        self._conn.execute("UPDATE message SET status = 'active' WHERE rid = ?", (rid,))

    def _insert(self, rows: Sequence[Sequence[Any]]) -> None:
        insert_messages(self._conn, rows)
