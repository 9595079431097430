"""What a batch writes, collected: one statement for all rows of a kind."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...errors import ConflictError
from ..editing import Edits, Pending
from .base import chunks
from .graph import put_graph
from .rows import insert_events, insert_records
from .tokens import drop_tokens, put_tokens
from .words import Embeddings, Head, drop_words, put_words

if TYPE_CHECKING:
    from ..base import Vector


class PendingRows(Pending):
    """Rows of one batch that are not written yet; each list is written by one `executemany`."""

    def __init__(self, conn: sqlite3.Connection, head: Head, operation_id: str) -> None:
        super().__init__()
        self._conn, self._head, self._operation_id = conn, head, operation_id
        self.waiting = head.waiting
        """Rows of words that wait for the keyword index."""

    def flush(self) -> None:
        """Write what is collected, but for the events, in rid order."""
        if self.records:
            self._insert()
            self.records = []
        edits = self._edits
        if edits is not None and edits.rids:
            self._update(edits)
        if self.words:
            self.words.sort()
            self.waiting = put_words(self._conn, self.words, self.waiting)
            self.words = []
        if self.vectors:
            self._embed(self.vectors, "vec")
            self.vectors = []
        if self.tokens:
            put_tokens(self._conn, self.tokens)
            self.tokens = []
        if self.graph:
            put_graph(self._conn, self.graph)
            self.graph = []
        if edits is not None:
            if edits.gone_vectors:
                self._embed(edits.gone_vectors, "vec_gone")
            if edits.rids:
                self._edits = None

    def _embed(self, pairs: Sequence[tuple[int, Vector]], table: str) -> None:
        Embeddings(self._head, self._operation_id).insert(self._conn, pairs, table)

    def finish(self) -> None:
        """Write everything."""
        self.flush()
        if self.events:
            insert_events(self._conn, self.events)
            self.events = []

    def _insert(self) -> None:
        try:
            insert_records(self._conn, self.records)
        except sqlite3.IntegrityError as error:
            raise ConflictError(f"A memory of the same id exists already ({error}). Use a new id.") from error

    def _update(self, edits: Edits) -> None:
        conn = self._conn
        for names, rows in edits.updates.items():
            assignments = ", ".join(f"{name} = ?" for name in names)
            conn.executemany(f"UPDATE record SET {assignments} WHERE rid = ?", rows)
        drop_words(conn, edits.dropped)
        self._move(edits.deleted, "vec", "vec_gone")
        self._move(edits.restored, "vec_gone", "vec")
        drop_tokens(conn, edits.reworded)
        for table in ("vec", "vec_gone"):
            conn.executemany(f"DELETE FROM {table} WHERE rid = ?", edits.unembedded)

    def _move(self, rids: Sequence[int], source: str, target: str) -> None:
        for part, marks in chunks(rids):
            where = f"FROM {source} WHERE rid IN ({marks})"
            self._conn.execute(f"INSERT OR REPLACE INTO {target} SELECT rid, gen, e {where}", part)
            self._conn.execute(f"DELETE {where}", part)


def rows_by_id(conn: sqlite3.Connection, select: str, ids: Sequence[bytes | str]) -> dict[bytes | str, Any]:
    """Return the rows of some memory ids by id, as stored."""
    found: dict[bytes | str, Any] = {}
    for part, marks in chunks(ids):
        rows = conn.execute(f"{select}WHERE record.id IN ({marks})", part).fetchall()
        found.update((row[1], row) for row in rows)
    return found
