"""Tokens of memories: what the best of a search are compared by, token by token. To the ledger they are bytes.

A deleted record keeps its own for an undo, as it keeps its words; an erasure takes them away.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from .base import SqliteBase, chunks


class SqliteTokens(SqliteBase):
    """The part of a ledger that gives tokens back."""

    def tokens(self, rids: Sequence[int]) -> Mapping[int, bytes]:
        """Return the tokens of records by rid, without those that have none."""
        found: dict[int, bytes] = {}
        for part, marks in chunks(rids):
            found.update(self._read_all(f"SELECT rid, e FROM tokens WHERE rid IN ({marks})", part))
        return found


def put_tokens(conn: sqlite3.Connection, rows: Sequence[tuple[int, bytes]]) -> None:
    """Give records their tokens, in the place of those they had."""
    conn.executemany("INSERT OR REPLACE INTO tokens (rid, e) VALUES (?, ?)", rows)


def drop_tokens(conn: sqlite3.Connection, rids: Sequence[Any]) -> None:
    """Take the tokens of records away."""
    for part, marks in chunks(rids):
        conn.execute(f"DELETE FROM tokens WHERE rid IN ({marks})", part)
