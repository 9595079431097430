"""One batch becomes rows: messages, records, keywords, embeddings, events, outbox, operation, in one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Final

from ...errors import ConflictError
from ...scope import Owner
from ..base import (
    AddRecord,
    Applied,
    Batch,
    EditRecord,
    Job,
    Operation,
    Outlook,
    OwnerMark,
    Record,
    StoredMessage,
)
from ..changes import ChangeWriter, brings, forgotten, replayed
from ..owner_states import OwnerState
from ..rows import (
    OPERATION_SELECT,
    RECORD_SELECT,
    Row,
    column,
    operation_of,
    pack_id,
    record_of,
)
from .base import chunks
from .graph import put_aliases
from .jobs import insert_job, unfinished_job
from .messages import SqliteMessageKeeper
from .owners import Owners
from .pending import PendingRows, rows_by_id
from .rows import blob, insert_operations
from .words import Book, Head

_STANDS: Final = "record.deleted = 0 AND record.valid_until IS NULL"


class BatchWriter(ChangeWriter):
    """Writes one batch inside a write transaction that its caller begins and ends."""

    def __init__(
        self, conn: sqlite3.Connection, book: Book, batch: Batch, head: Head, step: Callable[[str], None]
    ) -> None:
        self._conn, self._head, self._step = conn, head, step
        self._book: Book = book
        self._owners: Owners = Owners(conn, book, head)
        self._pending: PendingRows = PendingRows(conn, head, batch.operation_id)
        super().__init__(book, batch, self._owners, self._pending)
        self._seq = head.event

    def run(self) -> Applied:
        """Write everything and return what became of it.

        Raises:
            Refused: An edit was decided on another version, or may not be made.
            IdempotencyError: The key was used with another digest.
        """
        batch = self._batch
        if batch.key is not None and (earlier := self._earlier(batch.key)) is not None:
            return Applied(replay=earlier)
        finished = None if batch.finishes is None else self._finished(batch.finishes)
        if isinstance(finished, Applied):
            return finished
        if self._head.has_jobs and (job := self._unfinished()) is not None:
            return Applied(unfinished=job)
        owner = None if batch.owner is None else self._batch_owner(batch.owner)
        # Numbers are given out under the write lock, so the next one is free.
        self._op = self._head.operation + 1 if finished is None else finished
        for rid, status in batch.statuses:
            self._conn.execute("UPDATE message SET status = ? WHERE rid = ?", (status, rid))
        messages: list[StoredMessage] = []
        fresh: list[bool] = []
        if batch.messages:
            messages, fresh = SqliteMessageKeeper(self._conn, self._book.salt, self._owners).keep(
                batch.messages
            )
        self._step("messages")
        changes = self._write_changes(messages)
        self._pending.finish()
        if batch.aliases:
            put_aliases(self._conn, self._op, batch.aliases, self._owners)
        self._step("records")
        if batch.indexes:
            self._fill_outbox()
        self._owners.close(batch.at)
        applied = Applied(messages=messages, new_messages=fresh, changes=changes)
        if batch.job is not None:
            number = None if owner is None else owner.no
            applied.job = insert_job(self._conn, self._op, batch, batch.job, number, applied)
            applied.outlook = self._outlook(owner)
        if finished is None:
            self._insert_operation(owner, applied)
        else:
            self._finish_operation(applied)
        self._close_head()
        return applied

    def _close_head(self) -> None:
        """Note where the file stands now, for the next batch."""
        head = self._head
        head.event, head.waiting = self._seq, self._pending.waiting
        head.operation = max(head.operation, self._op)
        if self._batch.finishes is not None:
            head.has_jobs = self._conn.execute("SELECT 1 FROM job LIMIT 1").fetchone() is not None
        elif self._batch.job is not None:
            head.has_jobs = True

    def _outlook(self, owner: OwnerState | None) -> Outlook | None:
        """Return what a search of a user's memories has to know, as of this batch."""
        if owner is None or owner.owner.kind != "user":
            return None
        head = self._head
        embedder = None if head.embedder is None or head.dim is None else (head.embedder, head.dim)
        row = self._conn.execute("SELECT memories, event FROM owner WHERE no = ?", (owner.no,)).fetchone()
        return Outlook(embedder=embedder, owners=[OwnerMark(number=owner.no, memories=row[0], event=row[1])])

    def _batch_owner(self, owner: Owner) -> OwnerState | None:
        """Return the row of the batch's owner; only a batch that brings something makes one."""
        known = self._owners.get(owner, create=False)
        if known is not None:
            return known
        return self._owners.get(owner, create=True) if brings(self._batch) else None

    def _fill_outbox(self) -> None:
        for name in self._batch.indexes:
            # `forget` and `reset` have to know which indexes there are.
            self._conn.execute("INSERT OR IGNORE INTO meta (key, value) VALUES ('index:' || ?, 1)", (name,))
            self._conn.executemany(
                "INSERT INTO outbox (name, rid, id) VALUES (?,?,?)",
                [(name, rid, raw) for rid, raw in self._outbox],
            )

    # ------------------------------------------------------------------------------------- operation

    def _earlier(self, key: str) -> Operation | None:
        """Return the earlier operation of the same key."""
        batch = self._batch
        number = 0 if batch.owner is None else self._owner_number(batch.owner)
        row = self._conn.execute(
            OPERATION_SELECT + "WHERE ifnull(owner, 0) = ? AND key = ?", (number, key)
        ).fetchone()
        if row is None:
            return None
        return replayed(row, batch, key)

    def _owner_number(self, owner: Owner) -> int:
        row = self._conn.execute(
            "SELECT no FROM owner WHERE kind = ? AND id = ?", (owner.kind, owner.id)
        ).fetchone()
        return -1 if row is None else row[0]

    def _unfinished(self) -> Job | None:
        """Return the unfinished job of the same content, where the batch asks for it."""
        batch = self._batch
        if batch.resumes is None or batch.owner is None:
            return None
        return unfinished_job(self._conn, self._owner_number(batch.owner), batch.resumes())

    def _finished(self, job: str) -> int | Applied:
        """Return the number of the operation whose job this batch completes, or the answer when it may not."""
        row = self._conn.execute(OPERATION_SELECT + "WHERE id = ?", (pack_id(job),)).fetchone()
        if row is None:
            return forgotten(self._batch)
        found = operation_of(row)
        return Applied(replay=found) if found.state == "done" else int(row[0])

    def _insert_operation(self, owner: OwnerState | None, applied: Applied) -> None:
        batch = self._batch
        state = "done" if batch.job is None else "running" if batch.job.running else "waiting"
        try:
            row = (
                self._op, blob(pack_id(batch.operation_id)), batch.kind, None if owner is None else owner.no, batch.at,
                state, batch.key, batch.digest, self._result(applied),
                None if batch.undoes is None else pack_id(batch.undoes), self._first, self._last,
            )  # fmt: skip
            insert_operations(self._conn, [row])
        except sqlite3.IntegrityError as error:
            raise ConflictError(
                f"The operation {batch.operation_id!r} exists already. Use a new id for each operation."
            ) from error

    def _finish_operation(self, applied: Applied) -> None:
        batch = self._batch
        self._conn.execute("DELETE FROM job WHERE op = ?", (self._op,))
        self._conn.execute(
            "UPDATE operation SET state = 'done', at = ?, result = ?, first = ifnull(first, ?),"
            " last = ifnull(?, last), key = ifnull(key, ?) WHERE no = ?",
            (
                batch.at,
                self._result(applied),
                self._first,
                self._last,
                batch.key,
                self._op,
            ),
        )

    # ------------------------------------------------------------------------------------- changes

    def _look_up(self) -> None:
        """Read at once what many changes will ask for one by one."""
        edited = [pack_id(change.id) for change in self._batch.changes if isinstance(change, EditRecord)]
        if edited:
            self._rows = rows_by_id(self._conn, RECORD_SELECT, edited)
            return
        # Without edits nothing but the additions themselves changes what stands for a digest.
        asked: dict[int, list[bytes]] = {}
        for change in self._batch.changes:
            if isinstance(change, AddRecord) and change.dedup is not None and change.valid_until is None:
                asked.setdefault(self._owners.of_scope(change.scope).no, []).append(change.dedup)
        for number, digests in asked.items():
            self._dedup.update(((number, digest), None) for digest in digests)
            owner = self._owners.numbered(number).owner
            for part, marks in chunks(digests):
                where = f"WHERE record.owner = ? AND record.dedup IN ({marks}) AND {_STANDS}"
                for row in self._conn.execute(RECORD_SELECT + where, (number, *part)).fetchall():
                    self._dedup[number, column(row, "dedup")] = record_of(row, owner, self._book.salt)

    def _duplicate(self, owner: OwnerState, dedup: bytes) -> Record | None:
        place = (owner.no, dedup)
        if place not in self._dedup:
            self._pending.flush()
            where = f"WHERE record.owner = ? AND record.dedup = ? AND {_STANDS}"
            row = self._conn.execute(RECORD_SELECT + where, place).fetchone()
            self._dedup[place] = None if row is None else record_of(row, owner.owner, self._book.salt)
        return self._dedup[place]

    def _fetch_row(self, raw_id: bytes | str) -> None:
        self._pending.flush()
        self._rows.update(rows_by_id(self._conn, RECORD_SELECT, [raw_id]))

    def _taken(self, place: tuple[int, bytes]) -> bool:
        if self._pending.edits.frees_digest or self._pending.records:
            self._pending.flush()
        where = f"WHERE record.owner = ? AND record.dedup = ? AND {_STANDS}"
        return self._conn.execute(f"SELECT 1 FROM record {where}", place).fetchone() is not None

    def _edited(self, before: Row, after: Row) -> None:
        del before, after
        self._dedup.clear()

    def _raw_id(self, text: str) -> bytes | str:
        return pack_id(text)

    def _id_column(self, raw_id: bytes | str) -> object:
        return blob(raw_id)

    def _number(self) -> int:
        self._seq += 1
        return self._seq
