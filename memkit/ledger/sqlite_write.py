"""One batch becomes rows: messages, records, keywords, embeddings, events, outbox, operation, in one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

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
    Operation,
    Record,
    SourceRef,
    StoredMessage,
)
from .sqlite_edit import RecordEditor
from .sqlite_jobs import insert_job
from .sqlite_messages import MessageKeeper
from .sqlite_owners import Owners, OwnerState
from .sqlite_rows import (
    ADD,
    CODES,
    OPERATION_SELECT,
    RECORD_INSERT,
    RECORD_SELECT,
    column,
    dump,
    dump_sources,
    load_sources,
    one,
    operation_of,
    pack_id,
    record_of,
)
from .sqlite_words import Book, Embeddings, read_state

_EVENT_INSERT: Final = (
    "INSERT INTO event (seq, op, owner, rid, code, at, delta, reason, actor) VALUES (?,?,?,?,?,?,?,?,?)"
)


class Refused(Exception):
    """The batch may not be written; carries what to answer. Raised so that the transaction is rolled back."""

    def __init__(self, applied: Applied) -> None:
        super().__init__("refused")
        self.applied = applied


@dataclass(slots=True)
class _Pending:
    """Rows collected for one `executemany` each."""

    records: list[tuple[Any, ...]] = field(default_factory=list[tuple[Any, ...]])
    words: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    vectors: list[tuple[int, Any]] = field(default_factory=list[tuple[int, Any]])
    events: list[tuple[Any, ...]] = field(default_factory=list[tuple[Any, ...]])


class BatchWriter:
    """Writes one batch inside a write transaction that its caller begins and ends."""

    def __init__(
        self, conn: sqlite3.Connection, book: Book, batch: Batch, step: Callable[[str], None]
    ) -> None:
        self._conn, self._book, self._batch, self._step = conn, book, batch, step
        self._state = read_state(conn, book)
        self._seq = self._state.event
        self._owners = Owners(conn, book)
        self._editor = RecordEditor(conn, book, self._state, batch.at)
        self._pending = _Pending()
        self._dedup: dict[tuple[int, bytes], Record] = {}
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
        if (earlier := self._earlier()) is not None:
            return Applied(replay=earlier)
        finished = self._finished()
        if isinstance(finished, Applied):
            return finished
        owner = None if batch.owner is None else self._batch_owner(batch.owner)
        # Numbers are given out under the write lock, so the next one is free.
        self._op = (
            finished if finished is not None else 1 + (one(self._conn, "SELECT max(no) FROM operation") or 0)
        )
        for rid, status in batch.statuses:
            self._conn.execute("UPDATE message SET status = ? WHERE rid = ?", (status, rid))
        messages, fresh = MessageKeeper(self._conn, self._book, self._owners).keep(batch.messages)
        self._step("messages")
        changes = self._write_changes(messages)
        self._flush()
        self._step("records")
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
        return applied

    def _batch_owner(self, owner: Owner) -> OwnerState | None:
        """Return the row of the batch's owner; only a batch that brings something makes one."""
        batch = self._batch
        brings = batch.messages or batch.job is not None or batch.key is not None
        return self._owners.get(
            owner, create=bool(brings) or any(isinstance(c, AddRecord) for c in batch.changes)
        )

    def _fill_outbox(self) -> None:
        for name in self._batch.indexes:
            # `forget` and `reset` have to know which indexes there are.
            self._conn.execute("INSERT OR IGNORE INTO meta (key, value) VALUES ('index:' || ?, 1)", (name,))
            self._conn.executemany(
                "INSERT INTO outbox (name, rid, id) VALUES (?,?,?)",
                [(name, rid, raw) for rid, raw in self._outbox],
            )

    # ------------------------------------------------------------------------------------- operation

    def _earlier(self) -> Operation | None:
        """Return the earlier operation of the same key."""
        batch = self._batch
        if batch.key is None:
            return None
        number = 0 if batch.owner is None else self._owner_number(batch.owner)
        row = self._conn.execute(
            OPERATION_SELECT + "WHERE ifnull(owner, 0) = ? AND key = ?", (number, batch.key)
        ).fetchone()
        if row is None:
            return None
        found = operation_of(row)
        if batch.finishes == found.id:
            return None
        if found.digest != batch.digest:
            raise IdempotencyError(
                f"The idempotency key {batch.key!r} was used before with other content (operation {found.id}). "
                "Use a new key for new content.",
                key=batch.key,
                operation_id=found.id,
            )
        return found

    def _owner_number(self, owner: Owner) -> int:
        row = self._conn.execute(
            "SELECT no FROM owner WHERE kind = ? AND id = ?", (owner.kind, owner.id)
        ).fetchone()
        return -1 if row is None else row[0]

    def _finished(self) -> int | Applied | None:
        """Return the number of the operation whose job this batch completes, or the answer when it may not."""
        batch = self._batch
        if batch.finishes is None:
            return None
        row = self._conn.execute(OPERATION_SELECT + "WHERE id = ?", (pack_id(batch.finishes),)).fetchone()
        if row is None:
            # Forgotten while it was being worked on: what it would add rests on erased text.
            gone = [ChangeOutcome(status="refused", record=None) for _ in batch.changes]
            return Applied(changes=gone, refused=True)
        found = operation_of(row)
        return Applied(replay=found) if found.state == "done" else int(row[0])

    def _insert_operation(self, owner: OwnerState | None, applied: Applied) -> None:
        batch = self._batch
        state = "done" if batch.job is None else "running" if batch.job.running else "waiting"
        try:
            self._conn.execute(
                "INSERT INTO operation (no, id, kind, owner, at, state, key, digest, result, undoes, first, last)"
                " VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
                (
                    self._op,
                    pack_id(batch.operation_id),
                    batch.kind,
                    None if owner is None else owner.no,
                    batch.at,
                    state,
                    batch.key,
                    batch.digest,
                    self._result(applied),
                    None if batch.undoes is None else pack_id(batch.undoes),
                    self._first,
                    None if self._first is None else self._seq,
                ),
            )
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
        if dedup is not None and (same := self._duplicate(owner, dedup)) is not None:
            return ChangeOutcome(status="duplicate", record=same)
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
        verbatim = message is not None and message.text == add.text
        raw_id = pack_id(add.id)
        sources = dump_sources(salt, add.sources)
        if sources is None and message is not None and not verbatim:
            sources = dump_sources(salt, [SourceRef(message_id=message.id)])
        pointed = message.rid if verbatim and message is not None else None
        metadata, entities = dump(add.metadata), dump([list(pair) for pair in add.entities])
        self._pending.records.append(
            (
                rid, raw_id, owner.no, seq, None if verbatim else add.text, pointed, add.kind, scope.agent_id,
                scope.run_id, metadata, 1, add.created_at, batch.at, add.valid_from, add.valid_until, add.expires_at,
                int(add.dated), add.actor_id, add.role, add.origin, sources, entities, int(add.pinned), 0, 0, add.dedup,
            )
        )  # fmt: skip
        self._pending.words.append((rid, self._book.words(add.actor_id, add.text)))
        if add.vector is not None:
            self._pending.vectors.append((rid, add.vector))
        self._pending.events.append(
            (seq, self._op, owner.no, rid, ADD, batch.at, None, add.reason, add.actor)
        )
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
            created_at=add.created_at,
            updated_at=batch.at,
            valid_from=add.created_at if add.valid_from is None else add.valid_from,
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
        )
        if dedup is not None:
            self._dedup[owner.no, dedup] = record
        return ChangeOutcome(status="applied", record=record)

    def _duplicate(self, owner: OwnerState, dedup: bytes) -> Record | None:
        known = self._dedup.get((owner.no, dedup))
        if known is not None:
            return known
        row = self._conn.execute(
            RECORD_SELECT + "WHERE record.owner = ? AND record.dedup = ? AND record.deleted = 0"
            " AND record.valid_until IS NULL",
            (owner.no, dedup),
        ).fetchone()
        return None if row is None else record_of(row, owner.owner, self._book.salt)

    def _flush(self) -> None:
        """Write the rows collected so far, in rid order."""
        pending, self._pending = self._pending, _Pending()
        if not pending.records:
            return
        try:
            self._conn.executemany(RECORD_INSERT, pending.records)
        except sqlite3.IntegrityError as error:
            raise ConflictError(f"A memory of the same id exists already ({error}). Use a new id.") from error
        self._conn.executemany("INSERT INTO fts (rowid, t) VALUES (?, ?)", sorted(pending.words))
        if pending.vectors:
            Embeddings(self._state, self._batch.operation_id).insert(self._conn, pending.vectors)
        self._conn.executemany(_EVENT_INSERT, pending.events)

    # ------------------------------------------------------------------------------------- edits

    def _edit(self, edit: EditRecord, *, write: bool) -> ChangeOutcome:
        unknown = [name for name in edit.set if name not in EDITABLE]
        if unknown or edit.event not in CODES:
            raise InvalidInputError(
                f"An edit may set {', '.join(EDITABLE)} with event {', '.join(CODES)}; "
                f"not {', '.join(unknown) or edit.event!r}."
            )
        self._flush()
        row = self._conn.execute(RECORD_SELECT + "WHERE record.id = ?", (pack_id(edit.id),)).fetchone()
        if row is None:
            return ChangeOutcome(status="missing", record=None)
        owner = self._owners.numbered(column(row, "owner"))
        record = record_of(row, owner.owner, self._book.salt)
        if edit.scope is not None and not edit.scope.allows(record.user_id, record.agent_id, record.run_id):
            return ChangeOutcome(status="forbidden", record=None)
        if edit.expected_version is not None and edit.expected_version != record.version:
            return ChangeOutcome(status="stale", record=record)
        if record.deleted and edit.set.get("deleted") is not False:
            return ChangeOutcome(status="missing", record=record)
        if not write:
            return ChangeOutcome(status="refused", record=None)
        after, delta = self._editor.edit(edit, row)
        self._dedup.clear()
        owner.memories += int(record.deleted) - int(bool(column(after, "deleted")))
        at, code, seq = self._batch.at, CODES[edit.event], self._next_seq(owner)
        self._conn.execute(
            _EVENT_INSERT,
            (seq, self._op, owner.no, record.rid, code, at, delta, edit.reason, edit.actor),
        )
        self._outbox.append((record.rid, column(row, "id")))
        return ChangeOutcome(status="applied", record=record_of(after, owner.owner, self._book.salt))
