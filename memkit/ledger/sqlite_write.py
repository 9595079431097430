"""One batch becomes rows: messages, records, keywords, embeddings, events, outbox, operation, in one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from ..errors import ConflictError, IdempotencyError, InvalidInputError
from ..scope import Owner
from .base import (
    EDITABLE,
    OWNER_SHIFT,
    AddRecord,
    Applied,
    Batch,
    ChangeOutcome,
    EditRecord,
    Job,
    Operation,
    Record,
    SourceRef,
    StoredMessage,
)
from .sqlite_base import chunks
from .sqlite_edit import RecordEditor
from .sqlite_jobs import insert_job, unfinished_job
from .sqlite_messages import MessageKeeper
from .sqlite_owners import Owners, OwnerState
from .sqlite_pending import PendingRows, rows_by_id
from .sqlite_rows import (
    ADD,
    CODES,
    OPERATION_SELECT,
    RECORD_SELECT,
    Row,
    blob,
    column,
    dump,
    dump_data,
    dump_sources,
    ids_of,
    insert_operations,
    load_sources,
    operation_of,
    pack_id,
    record_of,
)
from .sqlite_words import Book, Head

_STANDS: Final = "record.deleted = 0 AND record.valid_until IS NULL"


class Refused(Exception):
    """The batch may not be written; carries what to answer. Raised so that the transaction is rolled back."""

    def __init__(self, applied: Applied) -> None:
        super().__init__("refused")
        self.applied = applied


class BatchWriter:
    """Writes one batch inside a write transaction that its caller begins and ends."""

    def __init__(
        self, conn: sqlite3.Connection, book: Book, batch: Batch, head: Head, step: Callable[[str], None]
    ) -> None:
        self._conn, self._book, self._batch, self._head, self._step = conn, book, batch, head, step
        self._seq = head.event
        self._owners = Owners(conn, book, head)
        self._pending = PendingRows(conn, head, batch.operation_id)
        self._editor: RecordEditor | None = None
        self._rows: dict[bytes | str, Row] = {}
        """Records that are edited, as they are now."""
        self._dedup: dict[tuple[int, bytes], Record | None] = {}
        """What stands for a digest, as far as it was asked."""
        self._outbox: list[tuple[int, bytes | str]] = []
        self._first: int | None = None
        self._op = 0

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
            messages, fresh = MessageKeeper(self._conn, self._book, self._owners).keep(batch.messages)
        self._step("messages")
        changes = self._write_changes(messages)
        self._pending.finish()
        self._step("records")
        if batch.indexes:
            self._fill_outbox()
        self._owners.close(batch.at)
        applied = Applied(messages=messages, new_messages=fresh, changes=changes)
        if batch.job is not None:
            number = None if owner is None else owner.no
            applied = replace(
                applied, job=insert_job(self._conn, self._op, batch, batch.job, number, applied)
            )
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

    def _batch_owner(self, owner: Owner) -> OwnerState | None:
        """Return the row of the batch's owner; only a batch that brings something makes one."""
        known = self._owners.get(owner, create=False)
        if known is not None:
            return known
        batch = self._batch
        brings = batch.messages or batch.job is not None or batch.key is not None
        brings = brings or any(isinstance(change, AddRecord) for change in batch.changes)
        return self._owners.get(owner, create=True) if brings else None

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
        found = operation_of(row)
        if batch.finishes == found.id:
            return None
        if found.digest != batch.digest:
            raise IdempotencyError(
                f"The idempotency key {key!r} was used before with other content (operation {found.id}). "
                "Use a new key for new content.",
                key=key,
                operation_id=found.id,
            )
        return found

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
            # Forgotten while it was being worked on: what it would add rests on erased text.
            gone = [ChangeOutcome(status="refused", record=None) for _ in self._batch.changes]
            return Applied(changes=gone, refused=True)
        found = operation_of(row)
        return Applied(replay=found) if found.state == "done" else int(row[0])

    def _insert_operation(self, owner: OwnerState | None, applied: Applied) -> None:
        batch = self._batch
        state = "done" if batch.job is None else "running" if batch.job.running else "waiting"
        try:
            row = (
                self._op, blob(pack_id(batch.operation_id)), batch.kind, None if owner is None else owner.no, batch.at,
                state, batch.key, batch.digest, self._result(applied),
                None if batch.undoes is None else pack_id(batch.undoes), self._first,
                None if self._first is None else self._seq,
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
                None if self._first is None else self._seq,
                batch.key,
                self._op,
            ),
        )

    def _result(self, applied: Applied) -> str | None:
        render = self._batch.render
        return (render(applied) or None) if render is not None else None

    # ------------------------------------------------------------------------------------- changes

    def _write_changes(self, messages: Sequence[StoredMessage]) -> list[ChangeOutcome]:
        outcomes: list[ChangeOutcome] = []
        refused = False
        self._look_up()
        for place, change in enumerate(self._batch.changes):
            if change.after is not None and self._skips(place, change.after, outcomes):
                outcome = ChangeOutcome(status="skipped", record=None)
            elif isinstance(change, EditRecord):
                outcome = self._edit(change, write=not refused)
                refused = refused or outcome.status != "applied"
            elif refused:
                outcome = ChangeOutcome(status="refused", record=None)
            else:
                outcome = self._add(change, messages)
                refused = outcome.status == "stale"
            outcomes.append(outcome)
        if refused:
            kept = ("stale", "missing", "forbidden")
            raise Refused(
                Applied(
                    changes=[
                        o if o.status in kept else ChangeOutcome(status="refused", record=None)
                        for o in outcomes
                    ],
                    refused=True,
                )
            )
        return outcomes

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

    def _skips(self, place: int, after: int, outcomes: Sequence[ChangeOutcome]) -> bool:
        if not 0 <= after < place:
            raise InvalidInputError(
                f"Change {place} waits for change {after}, which does not come before it."
            )
        return outcomes[after].status in ("duplicate", "skipped")

    def _next_seq(self, owner: OwnerState) -> int:
        self._seq += 1
        if self._first is None:
            self._first = self._seq
        owner.event = self._seq
        return self._seq

    def _add(self, add: AddRecord, messages: Sequence[StoredMessage]) -> ChangeOutcome:
        owner = self._owners.of_scope(add.scope)
        dedup = add.dedup if add.valid_until is None else None
        if dedup is not None and (same := self._standing(owner, dedup)) is not None:
            # What was merged with an earlier record has to be merged with this one.
            return ChangeOutcome(status="duplicate" if add.slot is None else "stale", record=same)
        message = None if add.message is None else messages[add.message]
        if message is not None and message.rid >> OWNER_SHIFT != owner.no:
            raise InvalidInputError(
                f"Memory {add.id} rests on a message of another owner. Store both in one scope."
            )
        batch, scope, salt = self._batch, add.scope, self._book.salt
        rid = (owner.no << OWNER_SHIFT) | owner.next_n
        owner.next_n += 1
        owner.memories += 1
        seq = self._next_seq(owner)
        at = batch.at if add.at is None else add.at
        created_at = add.created_at
        if message is not None and not (add.dated or message.dated):
            created_at = max(created_at, message.created_at)  # in its turn, as the message is
        verbatim = message is not None and message.text == add.text
        raw_id = pack_id(add.id)
        sources = dump_sources(salt, add.sources) if add.sources else None
        if sources is None and message is not None and not verbatim:
            sources = dump_sources(salt, [SourceRef(message_id=message.id)])
        pointed = message.rid if verbatim and message is not None else None
        since = None if add.valid_from == created_at else add.valid_from
        self._pending.records.append(
            (
                rid, blob(raw_id), owner.no, seq, None if verbatim else add.text, pointed, add.kind, scope.agent_id,
                scope.run_id, dump(add.metadata), 1, created_at, at, since, add.valid_until, add.expires_at,
                int(add.dated), add.actor_id, add.role, add.origin, sources, dump(add.entities), int(add.pinned), 0, 0,
                add.dedup,
                None if add.data is None else dump_data(add.data), add.slot,
            )
        )  # fmt: skip
        self._pending.words.append((rid, self._book.words(add.actor_id, add.text)))
        if add.vector is not None:
            self._pending.vectors.append((rid, add.vector))
        if add.tokens is not None:
            self._pending.tokens.append((rid, add.tokens))
        self._pending.events.append((seq, self._op, owner.no, rid, ADD, at, None, add.reason, add.actor))
        self._outbox.append((rid, raw_id))
        record = Record(
            rid=rid,
            id=add.id,
            text=add.text,
            kind=add.kind,
            user_id=scope.user_id,
            agent_id=scope.agent_id,
            run_id=scope.run_id,
            metadata=add.metadata,
            version=1,
            created_at=created_at,
            updated_at=at,
            valid_from=created_at if add.valid_from is None else add.valid_from,
            valid_until=add.valid_until,
            expires_at=add.expires_at,
            dated=add.dated,
            actor_id=add.actor_id,
            role=add.role,
            origin=add.origin,
            sources=load_sources(salt, sources, pointed, message.id if message else None),
            entities=tuple(add.entities),
            pinned=add.pinned,
            deleted=False,
            data=add.data,
            slot=add.slot,
        )
        if dedup is not None:
            self._dedup[owner.no, dedup] = record
        return ChangeOutcome(status="applied", record=record)

    def _standing(self, owner: OwnerState, dedup: bytes) -> Record | None:
        """Return the record that stands for a digest; one whose time has passed makes way for the next."""
        same = self._duplicate(owner, dedup)
        if same is None or same.expires_at is None or same.expires_at > self._batch.at:
            return same
        self._pending.flush()
        self._rows.update(rows_by_id(self._conn, RECORD_SELECT, [pack_id(same.id)]))
        gone = EditRecord(
            id=same.id, expected_version=None, event="EXPIRE", set={"deleted": True}, reason="expired"
        )
        self._edit(gone, write=True)
        self._pending.flush()
        return None

    def _duplicate(self, owner: OwnerState, dedup: bytes) -> Record | None:
        place = (owner.no, dedup)
        if place not in self._dedup:
            self._pending.flush()
            where = f"WHERE record.owner = ? AND record.dedup = ? AND {_STANDS}"
            row = self._conn.execute(RECORD_SELECT + where, place).fetchone()
            self._dedup[place] = None if row is None else record_of(row, owner.owner, self._book.salt)
        return self._dedup[place]

    # ------------------------------------------------------------------------------------- edits

    def _edit(self, edit: EditRecord, *, write: bool) -> ChangeOutcome:
        unknown = [name for name in edit.set if name not in EDITABLE]
        if unknown or edit.event not in CODES:
            raise InvalidInputError(
                f"An edit may set {', '.join(EDITABLE)} with event {', '.join(CODES)}; "
                f"not {', '.join(unknown) or edit.event!r}."
            )
        row = self._row(pack_id(edit.id))
        if row is None:
            return ChangeOutcome(status="missing", record=None)
        owner = self._owners.numbered(column(row, "owner"))
        salt, (user, agent, run) = self._book.salt, ids_of(row, owner.owner)
        was_deleted = bool(column(row, "deleted"))
        if edit.scope is not None and not edit.scope.allows(user, agent, run):
            return ChangeOutcome(status="forbidden", record=None)
        if edit.expected_version is not None and edit.expected_version != column(row, "version"):
            return ChangeOutcome(status="stale", record=record_of(row, owner.owner, salt))
        if was_deleted and edit.set.get("deleted") is not False:
            return ChangeOutcome(status="missing", record=record_of(row, owner.owner, salt))
        if not write:
            return ChangeOutcome(status="refused", record=None)
        rid, raw_id = column(row, "rid"), column(row, "id")
        if self._editor is None:
            self._editor = RecordEditor(self._conn, self._book, self._pending, self._batch.at)
        after, delta = self._editor.edit(edit, row)
        self._rows[raw_id] = after
        self._dedup.clear()
        owner.memories += int(was_deleted) - int(bool(column(after, "deleted")))
        at = self._batch.at if edit.at is None else edit.at
        code, seq = CODES[edit.event], self._next_seq(owner)
        self._pending.events.append((seq, self._op, owner.no, rid, code, at, delta, edit.reason, edit.actor))
        self._outbox.append((rid, raw_id))
        return ChangeOutcome(status="applied", record=record_of(after, owner.owner, salt))

    def _row(self, raw_id: bytes | str) -> Row | None:
        """Return the `RECORD_SELECT` row of a memory as the batch has left it so far."""
        if raw_id not in self._rows and self._pending.records:
            self._pending.flush()
            self._rows.update(rows_by_id(self._conn, RECORD_SELECT, [raw_id]))
        return self._rows.get(raw_id)
