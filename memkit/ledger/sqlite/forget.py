"""Erasure: rows, words, vectors, history, jobs and results go, and no byte of them stays in the file.

`secure_delete` zeroes what is deleted where it lies, but not copies that a page kept when its cells moved; so an
erasure ends with zeroing these as well (`residue.py`), and with an empty write-ahead log.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, Final

from ...scope import ReadScope
from ..base import ForgetCounts
from ..rows import RECORD_SELECT, pack_id
from .base import LEDGERS, SqliteBase, chunks
from .connections import raise_translated
from .erase import ERASED, ITEMS, Erasure, mark_erasure
from .rebuild import drop_staged
from .residue import close_unused
from .scope import scope_where
from .words import read_state

_CONTENT: Final = (
    "record", "vec", "vec_gone", "message", "event", "operation", "job", "worker", "outbox", "lease", "agent_run",
    "owner", "item", "item_vec", "words", "tokens", "node", "edge", "alias",
)  # fmt: skip


class SqliteForgetting(SqliteBase):
    """The part of a ledger that erases."""

    erasure_wait_s: float = 5.0
    """How long an erasure waits for readers that keep the write-ahead log in use."""

    def forget(
        self, operation_id: str, at: int, *, scope: ReadScope | None = None, ids: Sequence[str] | None = None
    ) -> ForgetCounts:
        """Erase records with their history, messages, jobs, results, hashes and vectors so that no byte stays.

        With `ids`, messages that only these memories rest on go too. Leaves one text-free FORGET event a memory.
        External indexes get outbox rows for the ids. `ForgetCounts.complete` is False when a reader of the file kept
        its log in use for more than five seconds: the last bytes go at the next open, close or erasure then.
        """
        nothing = ForgetCounts(memory_ids=(), messages=0, events=0, jobs=0, results=0)
        if not self.open(create=False):
            return nothing

        def write(conn: sqlite3.Connection) -> ForgetCounts:
            records = _records(conn, scope, ids)
            erasure = Erasure(conn, self._book, operation_id, at)
            counts = (
                erasure.by_id(records) if ids is not None else erasure.by_scope(records, scope or ReadScope())
            )
            self._step("erased")
            return counts

        counts = self._write(write)
        done = self._finish_erasure(wait_s=self.erasure_wait_s)
        return ForgetCounts(
            memory_ids=counts.memory_ids,
            messages=counts.messages,
            events=counts.events,
            jobs=counts.jobs,
            results=counts.results,
            complete=done,
        )

    def reset(self) -> None:
        """Erase everything, the remembered embedder too; caches in other processes start anew."""
        if not self.open(create=False):
            return

        def write(conn: sqlite3.Connection) -> None:
            event = read_state(conn).event + 1
            for table in _CONTENT:
                conn.execute(f"DELETE FROM {table}")
            drop_staged(conn)
            conn.execute("INSERT INTO fts (fts) VALUES ('delete-all')")
            conn.execute("DELETE FROM meta WHERE key = 'embedder' OR key LIKE 'index:%'")
            conn.execute(
                "UPDATE state SET event = ?, reset = ?, gen = gen + 1, dim = NULL, packing = NULL WHERE id = 1",
                (event, event),
            )
            mark_erasure(conn, ERASED)

        self._write(write)
        self._finish_erasure(wait_s=self.erasure_wait_s)

    # ------------------------------------------------------------------------------------- the last bytes

    def _opened(self) -> None:
        self._finish_erasure(wait_s=0.0, marks=(ERASED,))

    def finish_erasure(self) -> bool:
        """Finish an erasure that was held up, and take the last bytes of deleted items; return whether none is left."""
        return not self.open(create=False) or self._finish_erasure(wait_s=self.erasure_wait_s)

    def _finish_erasure(self, *, wait_s: float, marks: Sequence[int] = (ERASED, ITEMS)) -> bool:
        """Zero what erased rows left in the file, if there is any; return whether there is none now."""
        if self._db.path is None or not self._db.writable:
            return True
        mark = self._read_one("SELECT value FROM meta WHERE key = 'erasure'")
        if mark is None or mark[0] not in marks:
            return True
        try:
            done = self._db.scrub(wait_s, lambda conn: conn.execute("DELETE FROM meta WHERE key = 'erasure'"))
        except (sqlite3.Error, OSError) as error:
            raise_translated(error, self._db.location)
        if done:
            self._step("scrubbed")
        return done

    def _release_file(self) -> None:
        """Let the file go that pages were zeroed in, when no ledger of this process has it open."""
        opened = [ledger.file_in_use for ledger in list(LEDGERS)]
        close_unused(path for path in opened if path is not None)


def _records(conn: sqlite3.Connection, scope: ReadScope | None, ids: Iterable[str] | None) -> list[Any]:
    """Return the `RECORD_SELECT` rows to erase, deleted ones too, in rid order."""
    rows: list[Any] = []
    if ids is not None:
        for part, marks in chunks(sorted({pack_id(memory_id) for memory_id in ids}, key=repr)):
            rows.extend(conn.execute(RECORD_SELECT + f"WHERE record.id IN ({marks})", part).fetchall())
        allowed = _in_scope(conn, scope)
        return sorted((row for row in rows if allowed is None or row[0] in allowed), key=lambda row: row[0])
    found = scope_where(conn, scope or ReadScope(), "record")
    if found is None:
        return rows
    where = "WHERE " + " AND ".join(found[0]) if found[0] else ""
    return conn.execute(RECORD_SELECT + where + " ORDER BY record.rid", found[1]).fetchall()


def _in_scope(conn: sqlite3.Connection, scope: ReadScope | None) -> set[int] | None:
    if scope is None:
        return None
    found = scope_where(conn, scope, "record")
    if found is None:
        return set()
    where = "WHERE " + " AND ".join(found[0]) if found[0] else ""
    return {row[0] for row in conn.execute("SELECT rid FROM record " + where, found[1])}
