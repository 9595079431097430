"""Edits of records: the new values, what they replaced, and the indexes that follow."""

from __future__ import annotations

import sqlite3
from typing import Final

from .base import EditRecord
from .sqlite_pending import PendingRows
from .sqlite_rows import CODES, EXPIRE, Row, column, dump, edited_columns, live_text, with_columns
from .sqlite_words import Book

_NOT_DELTA: Final = frozenset(("version", "expired", "dedup"))


class RecordEditor:
    """Collects the edits of a batch inside a write transaction that its caller begins and ends."""

    def __init__(self, conn: sqlite3.Connection, book: Book, pending: PendingRows, at: int) -> None:
        self._conn, self._book, self._pending, self._at = conn, book, pending, at
        self._claimed: set[tuple[int, bytes]] = set()
        """What edited records came to stand for."""

    def edit(self, edit: EditRecord, row: Row) -> tuple[Row, str | None]:
        """Change the record of a `RECORD_SELECT` row; return the new row, and what was replaced as JSON."""
        rid, before = column(row, "rid"), live_text(row)
        pending = self._pending
        if rid in pending.edits.rids:
            pending.flush()
        columns = edited_columns(edit.set, self._book.salt)
        text_changed = columns.get("text", before) != before
        if not text_changed:
            columns.pop("text", None)
        code = CODES[edit.event]
        columns["version"] = column(row, "version") + 1
        # The clock may have been set back; a change is not before the one before all the same.
        columns["updated_at"] = max(self._at, column(row, "updated_at")) if edit.at is None else edit.at
        if code == EXPIRE:
            columns["expired"] = 1
        elif "expires_at" in columns:
            columns["expired"] = 0
        if edit.dedup is not None or text_changed:
            columns["dedup"] = edit.dedup
        after = with_columns(row, columns)
        if self._digest_taken(row, after):
            columns["dedup"] = None
        delta = {
            name: column(row, name)
            for name, value in columns.items()
            if name not in _NOT_DELTA and column(row, name) != value
        }
        pending.edits.updates.setdefault(tuple(columns), []).append((*columns.values(), rid))
        pending.edits.rids.add(rid)
        self._reindex(edit, row, after, text_changed=text_changed)
        return after, dump(delta)

    def _digest_taken(self, before: Row, after: Row) -> bool:
        """Whether another live, current record of the owner already stands for the same digest."""
        pending, freed, place = self._pending, _stands_for(before), _stands_for(after)
        if freed is not None and freed != place:
            self._claimed.discard(freed)
            pending.edits.frees_digest = True
        if place is None or place == freed:
            return False
        if place in self._claimed:
            return True
        if pending.edits.frees_digest or pending.records:
            pending.flush()
        found = self._conn.execute(
            "SELECT 1 FROM record WHERE owner = ? AND dedup = ? AND deleted = 0 AND valid_until IS NULL",
            place,
        )
        if found.fetchone() is not None:
            return True
        self._claimed.add(place)
        return False

    def _reindex(self, edit: EditRecord, before: Row, after: Row, *, text_changed: bool) -> None:
        """Bring keywords and embedding after an edit; those of a deleted record wait for an undo."""
        pending, rid, actor = self._pending, column(before, "rid"), column(before, "actor")
        was, now = not column(before, "deleted"), not column(after, "deleted")
        edits = pending.edits
        if was and (text_changed or not now):
            edits.dropped.append((rid, self._book.words(actor, live_text(before))))
        if now and (text_changed or not was):
            pending.words.append((rid, self._book.words(actor, live_text(after))))
        if was != now:
            (edits.restored if now else edits.deleted).append(rid)
        if text_changed:
            edits.reworded.append(rid)
        if edit.tokens is not None:
            pending.tokens.append((rid, edit.tokens))
        if edit.vector is not None:
            (pending.vectors if now else edits.gone_vectors).append((rid, edit.vector))
        elif text_changed:
            edits.unembedded.append((rid,))


def _stands_for(row: Row) -> tuple[int, bytes] | None:
    """Return the owner and the digest that a `RECORD_SELECT` row is the one record of, None when it is of none."""
    digest = column(row, "dedup")
    if digest is None or column(row, "deleted") or column(row, "valid_until") is not None:
        return None
    return column(row, "owner"), digest
