"""One batch becomes rows: messages, records, keywords, embeddings, events, outbox, operation, in one transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from ..errors import ConfigurationError, ConflictError, IdempotencyError, InvalidInputError
from ..scope import Owner, Scope
from .base import (
    EDITABLE,
    OWNER_SHIFT,
    AddRecord,
    Applied,
    Batch,
    ChangeOutcome,
    EditRecord,
    NewMessage,
    Operation,
    Record,
    SourceRef,
    StoredMessage,
)
from .sqlite_jobs import insert_job
from .sqlite_rows import (
    ADD,
    CODES,
    EXPIRE,
    MESSAGE_INSERT,
    MESSAGE_SELECT,
    OPERATION_SELECT,
    RECORD_INSERT,
    RECORD_SELECT,
    Row,
    column,
    dump,
    dump_sources,
    edited_columns,
    live_text,
    load_sources,
    message_id,
    message_of,
    message_rid,
    one,
    operation_of,
    pack_id,
    record_of,
    with_columns,
)
from .sqlite_words import Book, Embeddings, put_vector, read_state

_EVENT_INSERT: Final = "INSERT INTO event (seq, op, owner, rid, code, at, delta, reason, actor) VALUES (?,?,?,?,?,?,?,?,?)"
_NOT_DELTA: Final = frozenset(("version", "expired", "dedup"))


class Refused(Exception):
    """The batch may not be written; carries what to answer. Raised so that the transaction is rolled back."""

    def __init__(self, applied: Applied) -> None:
        super().__init__("refused")
        self.applied = applied


@dataclass(slots=True)
class _OwnerState:
    """An owner's row while a batch changes it."""

    no: int
    owner: Owner
    next_n: int
    next_m: int
    memories: int = 0
    messages: int = 0
    event: int | None = None
    runs: set[str] = field(default_factory=set[str])
    """Runs of an agent's rows, to be found by the run alone."""


@dataclass(slots=True)
class _Pending:
    """Rows collected for one `executemany` each."""

    records: list[tuple[Any, ...]] = field(default_factory=list[tuple[Any, ...]])
    words: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    vectors: list[tuple[int, Any]] = field(default_factory=list[tuple[int, Any]])
    events: list[tuple[Any, ...]] = field(default_factory=list[tuple[Any, ...]])


class BatchWriter:
    """Writes one batch inside a write transaction that its caller begins and ends."""

    def __init__(self, conn: sqlite3.Connection, book: Book, batch: Batch, step: Callable[[str], None]) -> None:
        self._conn, self._book, self._batch, self._step = conn, book, batch, step
        self._state = read_state(conn, book)
        self._seq = self._state.event
        self._owners: dict[Owner, _OwnerState] = {}
        self._numbers: dict[int, _OwnerState] = {}
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
        self._op = finished if finished is not None else 1 + (one(self._conn, "SELECT max(no) FROM operation") or 0)
        messages, fresh = self._write_messages()
        self._step("messages")
        changes = self._write_changes(messages)
        self._flush()
        self._step("records")
        for rid, status in batch.statuses:
            self._conn.execute("UPDATE message SET status = ? WHERE rid = ?", (status, rid))
        self._fill_outbox()
        self._close_owners()
        applied = Applied(messages=messages, new_messages=fresh, changes=changes)
        if batch.job is not None:
            number = None if owner is None else owner.no
            applied = replace(applied, job=insert_job(self._conn, self._op, batch, batch.job, number, applied))
        if finished is None:
            self._insert_operation(owner, applied)
        else:
            self._finish_operation(applied)
        return applied

    def _fill_outbox(self) -> None:
        for name in self._batch.indexes:
            # `forget` and `reset` have to know which indexes there are.
            self._conn.execute("INSERT OR IGNORE INTO meta (key, value) VALUES ('index:' || ?, 1)", (name,))
            self._conn.executemany(
                "INSERT INTO outbox (name, rid, id) VALUES (?,?,?)", [(name, rid, raw) for rid, raw in self._outbox]
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
        row = self._conn.execute("SELECT no FROM owner WHERE kind = ? AND id = ?", (owner.kind, owner.id)).fetchone()
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

    def _insert_operation(self, owner: _OwnerState | None, applied: Applied) -> None:
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

    # ------------------------------------------------------------------------------------- owners

    def _batch_owner(self, owner: Owner) -> _OwnerState | None:
        """Return the row of the batch's owner; only a batch that brings something makes one."""
        batch = self._batch
        brings = batch.messages or batch.job is not None or batch.key is not None
        return self._owner(owner, create=bool(brings) or any(isinstance(c, AddRecord) for c in batch.changes))

    def _owner(self, owner: Owner, *, create: bool = True) -> _OwnerState | None:
        known = self._owners.get(owner)
        if known is not None:
            return known
        row = self._conn.execute(
            "SELECT no, next_n, next_m FROM owner WHERE kind = ? AND id = ?", (owner.kind, owner.id)
        ).fetchone()
        if row is None:
            if not create:
                return None
            cursor = self._conn.execute("INSERT INTO owner (kind, id) VALUES (?, ?)", (owner.kind, owner.id))
            assert cursor.lastrowid is not None
            row = (cursor.lastrowid, 1, 1)
        known = _OwnerState(no=row[0], owner=owner, next_n=row[1], next_m=row[2])
        self._owners[owner] = self._numbers[known.no] = known
        return known

    def _scope_owner(self, scope: Scope) -> _OwnerState:
        found = self._owner(scope.owner)
        assert found is not None
        if found.owner.kind == "agent" and scope.run_id is not None:
            found.runs.add(scope.run_id)
        return found

    def _numbered(self, number: int) -> _OwnerState:
        known = self._numbers.get(number)
        if known is None:
            found = self._owner(self._book.owner(self._conn, number), create=False)
            assert found is not None
            known = found
        return known

    def _close_owners(self) -> None:
        at = self._batch.at
        for state in self._numbers.values():
            if not state.messages and not state.memories and state.event is None:
                continue
            self._conn.execute(
                "UPDATE owner SET next_n = ?, next_m = ?, event = ifnull(?, event), memories = memories + ?,"
                " messages = messages + ?, changed = ? WHERE no = ?",
                (state.next_n, state.next_m, state.event, state.memories, state.messages, at, state.no),
            )
            for run in state.runs:
                self._conn.execute("INSERT OR IGNORE INTO agent_run (run, owner) VALUES (?, ?)", (run, state.no))

    # ------------------------------------------------------------------------------------- messages

    def _write_messages(self) -> tuple[list[StoredMessage], list[bool]]:
        kept: list[StoredMessage] = []
        fresh: list[bool] = []
        rows: list[tuple[Any, ...]] = []
        given: dict[tuple[str, int, str | None], StoredMessage] = {}
        for message in self._batch.messages:
            owner = self._scope_owner(message.scope)
            place = None if message.id is None else (message.id, owner.no, message.scope.run_id)
            known = None
            if message.id is not None and place is not None:
                known = given.get(place) or self._known_message(message, message.id, owner)
            fresh.append(known is None)
            if known is None:
                known = self._new_message(message, owner, rows)
            if place is not None:
                given[place] = known
            kept.append(known)
        if rows:
            self._conn.executemany(MESSAGE_INSERT, rows)
        return kept, fresh

    def _known_message(self, message: NewMessage, given: str, owner: _OwnerState) -> StoredMessage | None:
        run = message.scope.run_id
        row = self._conn.execute(
            MESSAGE_SELECT + "WHERE id = ? AND owner = ? AND ifnull(run, '') = ?", (given, owner.no, run or "")
        ).fetchone()
        if row is None and (rid := message_rid(self._book.salt, given)) is not None:
            row = self._conn.execute(
                MESSAGE_SELECT + "WHERE rid = ? AND id IS NULL AND owner = ? AND run IS ?", (rid, owner.no, run)
            ).fetchone()
        return None if row is None else message_of(row, owner.owner, self._book.salt)

    def _new_message(self, message: NewMessage, owner: _OwnerState, rows: list[tuple[Any, ...]]) -> StoredMessage:
        rid = (owner.no << OWNER_SHIFT) | owner.next_m
        owner.next_m += 1
        owner.messages += 1
        scope = message.scope
        same = isinstance(message.content, str) and message.content == message.text
        content = None if same else json.dumps(message.content, ensure_ascii=False, separators=(",", ":"))
        rows.append(
            (
                rid, message.id, owner.no, message.role, content, message.text, message.name, message.created_at,
                message.offset_minutes, int(message.dated), message.status, scope.agent_id, scope.run_id,
                dump(message.metadata),
            )
        )  # fmt: skip
        return StoredMessage(
            rid=rid,
            id=message.id or message_id(self._book.salt, rid),
            role=message.role,
            content=message.content,
            text=message.text,
            name=message.name,
            created_at=message.created_at,
            offset_minutes=message.offset_minutes,
            dated=message.dated,
            status=message.status,
            user_id=scope.user_id,
            agent_id=scope.agent_id,
            run_id=scope.run_id,
            metadata=message.metadata,
        )

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
                    changes=[o if o.status in kept else ChangeOutcome(status="refused", record=None) for o in outcomes],
                    refused=True,
                )
            )
        return outcomes

    def _skips(self, place: int, after: int, outcomes: Sequence[ChangeOutcome]) -> bool:
        if not 0 <= after < place:
            raise InvalidInputError(f"Change {place} waits for change {after}, which does not come before it.")
        return outcomes[after].status in ("duplicate", "skipped")

    def _next_seq(self, owner: _OwnerState) -> int:
        self._seq += 1
        if self._first is None:
            self._first = self._seq
        owner.event = self._seq
        return self._seq

    def _add(self, add: AddRecord, messages: Sequence[StoredMessage]) -> ChangeOutcome:
        owner = self._scope_owner(add.scope)
        dedup = add.dedup if add.valid_until is None else None
        if dedup is not None and (same := self._duplicate(owner, dedup)) is not None:
            return ChangeOutcome(status="duplicate", record=same)
        message = None if add.message is None else messages[add.message]
        if message is not None and message.rid >> OWNER_SHIFT != owner.no:
            raise InvalidInputError(f"Memory {add.id} rests on a message of another owner. Store both in one scope.")
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
        self._pending.events.append((seq, self._op, owner.no, rid, ADD, batch.at, None, add.reason, add.actor))
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

    def _duplicate(self, owner: _OwnerState, dedup: bytes) -> Record | None:
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
        owner = self._numbered(column(row, "owner"))
        record = record_of(row, owner.owner, self._book.salt)
        if edit.scope is not None and not edit.scope.allows(record.user_id, record.agent_id, record.run_id):
            return ChangeOutcome(status="forbidden", record=None)
        if edit.expected_version is not None and edit.expected_version != record.version:
            return ChangeOutcome(status="stale", record=record)
        if record.deleted and edit.set.get("deleted") is not False:
            return ChangeOutcome(status="missing", record=record)
        if not write:
            return ChangeOutcome(status="refused", record=None)
        return ChangeOutcome(status="applied", record=self._apply_edit(edit, row, owner))

    def _apply_edit(self, edit: EditRecord, row: Row, owner: _OwnerState) -> Record:
        rid, before = column(row, "rid"), live_text(row)
        columns = edited_columns(edit.set, self._book.salt)
        text_changed = columns.get("text", before) != before
        if not text_changed:
            columns.pop("text", None)
        code = CODES[edit.event]
        columns["version"] = column(row, "version") + 1
        columns["updated_at"] = self._batch.at
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
        owner.memories += int(bool(column(row, "deleted"))) - int(bool(column(after, "deleted")))
        seq = self._next_seq(owner)
        self._conn.execute(
            _EVENT_INSERT,
            (seq, self._op, owner.no, rid, code, self._batch.at, dump(delta), edit.reason, edit.actor),
        )
        self._outbox.append((rid, column(row, "id")))
        return record_of(after, owner.owner, self._book.salt)

    def _digest_taken(self, after: Row) -> bool:
        """Whether another live, current record of the owner already stands for the same digest."""
        digest = column(after, "dedup")
        if digest is None or column(after, "deleted") or column(after, "valid_until") is not None:
            return False
        self._dedup.clear()
        found = self._conn.execute(
            "SELECT 1 FROM record WHERE owner = ? AND dedup = ? AND deleted = 0 AND valid_until IS NULL AND rid != ?",
            (column(after, "owner"), digest, column(after, "rid")),
        )
        return found.fetchone() is not None

    def _reindex(self, edit: EditRecord, before: Row, after: Row, *, text_changed: bool) -> None:
        """Bring keywords and embedding after an edit; those of a deleted record wait for an undo."""
        self._dedup.clear()
        conn, rid, actor = self._conn, column(before, "rid"), column(before, "actor")
        was, now = not column(before, "deleted"), not column(after, "deleted")
        if was and (text_changed or not now):
            words = self._book.words(actor, live_text(before))
            conn.execute("INSERT INTO fts (fts, rowid, t) VALUES ('delete', ?, ?)", (rid, words))
        if now and (text_changed or not was):
            conn.execute("INSERT INTO fts (rowid, t) VALUES (?, ?)", (rid, self._book.words(actor, live_text(after))))
        if was != now:
            source, target = ("vec", "vec_gone") if was else ("vec_gone", "vec")
            conn.execute(f"INSERT OR REPLACE INTO {target} SELECT rid, gen, e FROM {source} WHERE rid = ?", (rid,))
            conn.execute(f"DELETE FROM {source} WHERE rid = ?", (rid,))
        if edit.vector is not None:
            put_vector(conn, self._state, rid, edit.vector, live=now)
        elif text_changed:
            conn.execute(f"DELETE FROM {'vec' if now else 'vec_gone'} WHERE rid = ?", (rid,))

