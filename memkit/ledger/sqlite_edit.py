"""One edit of one record: the new values, what they replaced, and the indexes that follow."""

from __future__ import annotations

import sqlite3
from typing import Final

from .base import EditRecord
from .sqlite_rows import CODES, EXPIRE, Row, column, dump, edited_columns, live_text, with_columns
from .sqlite_words import Book, State, put_vector

_NOT_DELTA: Final = frozenset(("version", "expired", "dedup"))


class RecordEditor:
    """Changes rows inside a write transaction that its caller begins and ends."""

    def __init__(self, conn: sqlite3.Connection, book: Book, state: State, at: int) -> None:
        self._conn, self._book, self._state, self._at = conn, book, state, at

    def edit(self, edit: EditRecord, row: Row) -> tuple[Row, str | None]:
        """Change the record of a `RECORD_SELECT` row; return the new row, and what was replaced as JSON."""
        rid, before = column(row, "rid"), live_text(row)
        columns = edited_columns(edit.set, self._book.salt)
        text_changed = columns.get("text", before) != before
        if not text_changed:
            columns.pop("text", None)
        code = CODES[edit.event]
        columns["version"] = column(row, "version") + 1
        columns["updated_at"] = self._at
        if code == EXPIRE:
            columns["expired"] = 1
        elif "expires_at" in columns:
            columns["expired"] = 0
        if edit.dedup is not None or text_changed:
            columns["dedup"] = edit.dedup
        after = with_columns(row, columns)
        if self._digest_taken(after):
            columns["dedup"] = None
        delta = {
            name: column(row, name)
            for name, value in columns.items()
            if name not in _NOT_DELTA and column(row, name) != value
        }
        assignments = ", ".join(f"{name} = ?" for name in columns)
        self._conn.execute(f"UPDATE record SET {assignments} WHERE rid = ?", (*columns.values(), rid))
        self._reindex(edit, row, after, text_changed=text_changed)
        return after, dump(delta)

    def _digest_taken(self, after: Row) -> bool:
        """Whether another live, current record of the owner already stands for the same digest."""
        digest = column(after, "dedup")
        if digest is None or column(after, "deleted") or column(after, "valid_until") is not None:
            return False
        found = self._conn.execute(
            "SELECT 1 FROM record WHERE owner = ? AND dedup = ? AND deleted = 0 AND valid_until IS NULL AND rid != ?",
            (column(after, "owner"), digest, column(after, "rid")),
        )
        return found.fetchone() is not None

    def _reindex(self, edit: EditRecord, before: Row, after: Row, *, text_changed: bool) -> None:
        """Bring keywords and embedding after an edit; those of a deleted record wait for an undo."""
        conn, rid, actor = self._conn, column(before, "rid"), column(before, "actor")
        was, now = not column(before, "deleted"), not column(after, "deleted")
        if was and (text_changed or not now):
            words = self._book.words(actor, live_text(before))
            conn.execute("INSERT INTO fts (fts, rowid, t) VALUES ('delete', ?, ?)", (rid, words))
        if now and (text_changed or not was):
            conn.execute(
                "INSERT INTO fts (rowid, t) VALUES (?, ?)", (rid, self._book.words(actor, live_text(after)))
            )
        if was != now:
            source, target = ("vec", "vec_gone") if was else ("vec_gone", "vec")
            conn.execute(
                f"INSERT OR REPLACE INTO {target} SELECT rid, gen, e FROM {source} WHERE rid = ?", (rid,)
            )
            conn.execute(f"DELETE FROM {source} WHERE rid = ?", (rid,))
        if edit.vector is not None:
            put_vector(conn, self._state, rid, edit.vector, live=now)
        elif text_changed:
            conn.execute(f"DELETE FROM {'vec' if now else 'vec_gone'} WHERE rid = ?", (rid,))
