"""Reading messages, events and operations."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from ...errors import InvalidInputError
from ...scope import Owner, ReadScope
from ..base import Event, Operation, OwnerRow, StoredMessage
from ..rows import (
    MESSAGE_SELECT,
    OPERATION_SELECT,
    RECORD_SELECT,
    Row,
    column,
    message_of,
    message_rid,
    operation_of,
    pack_id,
)
from ..states import EVENT_SELECT, States, event_of, in_effect, walk_back
from .base import SqliteBase, chunks
from .scope import scope_where

_NEWEST: Final = " ORDER BY message.created_at DESC, message.rid DESC LIMIT ? OFFSET ?"


class SqliteHistory(SqliteBase):
    """The reads of a ledger that are about messages, history and owners."""

    # ------------------------------------------------------------------------------------- messages

    def messages(
        self,
        scope: ReadScope,
        *,
        limit: int | None,
        before: str | int | None = None,
        statuses: Sequence[str] = ("active", "archived"),
        offset: int = 0,
    ) -> Sequence[StoredMessage]:
        """Return the newest `limit` messages before a message id (str) or an instant (int), oldest first.

        `offset` leaves out so many of the newest.

        Raises:
            InvalidInputError: No message of the scope has the id.
        """

        def read(conn: sqlite3.Connection) -> list[StoredMessage]:
            place = self._place_of(conn, before, scope) if isinstance(before, str) else None
            found = scope_where(conn, scope, "message")
            if found is None or not statuses:
                return []
            clauses, parameters = found
            clauses.append(f"message.status IN ({','.join('?' * len(statuses))})")
            parameters.extend(statuses)
            if place is not None:
                clauses.append("(message.created_at, message.rid) < (?, ?)")
                parameters.extend(place)
            elif before is not None:
                clauses.append("message.created_at < ?")
                parameters.append(before)
            sql = MESSAGE_SELECT + "WHERE " + " AND ".join(clauses) + _NEWEST
            rows = conn.execute(sql, (*parameters, -1 if limit is None else limit, offset)).fetchall()
            return self._messages_of(conn, rows[::-1])

        return self._read(read, list[StoredMessage]())

    def message_count(self, scope: ReadScope, statuses: Sequence[str]) -> int:
        """Return how many messages of some statuses a scope has."""

        def read(conn: sqlite3.Connection) -> int:
            found = scope_where(conn, scope, "message")
            if found is None or not statuses:
                return 0
            clauses, parameters = found
            clauses.append(f"message.status IN ({','.join('?' * len(statuses))})")
            sql = "SELECT count(*) FROM message WHERE " + " AND ".join(clauses)
            return int(conn.execute(sql, (*parameters, *statuses)).fetchone()[0])

        return self._read(read, 0)

    def runs(self, scope: ReadScope, *, limit: int | None, after: str | None = None) -> Sequence[str]:
        """Return the runs of which the scope has messages that are not deleted, ordered by id, after a given one."""

        def read(conn: sqlite3.Connection) -> list[str]:
            found = scope_where(conn, scope, "message")
            if found is None:
                return []
            clauses, parameters = found
            clauses += ["message.status != 'deleted'", "message.run IS NOT NULL"]
            if after is not None:
                clauses.append("message.run > ?")
                parameters.append(after)
            sql = "SELECT DISTINCT run FROM message WHERE " + " AND ".join(clauses) + " ORDER BY run LIMIT ?"
            return [row[0] for row in conn.execute(sql, (*parameters, -1 if limit is None else limit))]

        return self._read(read, list[str]())

    def messages_by_id(self, ids: Sequence[str], scope: ReadScope | None = None) -> Sequence[StoredMessage]:
        """Return messages by id, in the order asked, without unknown ones; an id that runs share gives each."""
        return self._read(lambda conn: self._by_message_id(conn, ids, scope), list[StoredMessage]())

    def messages_by_rid(self, rids: Sequence[int]) -> Sequence[StoredMessage]:
        """Return messages by rid, in the order asked, without those that are gone."""

        def read(conn: sqlite3.Connection) -> list[StoredMessage]:
            rows: dict[int, Any] = {}
            for part, marks in chunks(rids):
                rows.update((r[0], r) for r in conn.execute(MESSAGE_SELECT + f"WHERE rid IN ({marks})", part))
            return self._messages_of(conn, [rows[rid] for rid in rids if rid in rows])

        return self._read(read, list[StoredMessage]())

    def _by_message_id(
        self, conn: sqlite3.Connection, ids: Sequence[str], scope: ReadScope | None
    ) -> list[StoredMessage]:
        salt = self._book.salt
        made = {rid: text for text in ids if (rid := message_rid(salt, text)) is not None}
        rows: dict[str, list[Any]] = defaultdict(list)
        for part, marks in chunks(list(made)):
            for row in conn.execute(MESSAGE_SELECT + f"WHERE rid IN ({marks}) AND id IS NULL", part):
                rows[made[row[0]]].append(row)
        for part, marks in chunks(list(dict.fromkeys(ids))):
            for row in conn.execute(MESSAGE_SELECT + f"WHERE id IN ({marks}) ORDER BY rid", part):
                rows[row[1]].append(row)
        found = self._messages_of(conn, [row for text in ids for row in rows.get(text, ())])
        return [m for m in found if scope is None or scope.allows(m.user_id, m.agent_id, m.run_id)]

    def _place_of(self, conn: sqlite3.Connection, message_id: str, scope: ReadScope) -> tuple[int, int]:
        found = self._by_message_id(conn, [message_id], scope)
        if not found:
            raise InvalidInputError(
                f"No message {message_id!r} in this scope, so nothing comes before it. Pass the `id` of a message that "
                "`messages(...)` returned, or an instant.",
                field="before",
            )
        return found[0].created_at, found[0].rid

    def _messages_of(self, conn: sqlite3.Connection, rows: Sequence[Row]) -> list[StoredMessage]:
        book = self._book
        return [message_of(row, book.owner(conn, row[2]), book.salt) for row in rows]

    # ------------------------------------------------------------------------------------- events

    def history(self, memory_id: str) -> Sequence[Event]:
        """Return all events of a memory, oldest first; survives its deletion."""

        def read(conn: sqlite3.Connection) -> list[Event]:
            raw = pack_id(memory_id)
            rows = conn.execute(EVENT_SELECT + "WHERE e.memory = ?", (raw,)).fetchall()
            record = conn.execute(RECORD_SELECT + "WHERE record.id = ?", (raw,)).fetchone()
            states: States = {}
            if record is not None:
                seq, rid = column(record, "seq"), record[0]
                rows += conn.execute(
                    EVENT_SELECT
                    + "WHERE e.seq = ? UNION ALL "
                    + EVENT_SELECT
                    + "WHERE e.rid = ? AND e.code != 1",
                    (seq, rid),
                ).fetchall()
                states = self._states(conn, [rid])
            return [event_of(row, states) for row in sorted(rows, key=lambda row: row[0])]

        return self._read(read, list[Event]())

    def operation(self, operation_id: str) -> tuple[Operation, Sequence[Event]] | None:
        """Return an operation with its events, oldest first."""

        def read(conn: sqlite3.Connection) -> tuple[Operation, Sequence[Event]] | None:
            row = conn.execute(OPERATION_SELECT + "WHERE id = ?", (pack_id(operation_id),)).fetchone()
            if row is None:
                return None
            rows = _events_of(conn, row)
            states = self._states(conn, sorted({event[2] for event in rows}))
            written = 0 if row[10] is None else row[11] - row[10] + 1
            operation = replace(operation_of(row), erased=written - len(rows))
            return operation, [event_of(event, states) for event in rows]

        return self._read(read, None)

    def operation_by_key(self, owner: Owner, key: str) -> Operation | None:
        """Return the operation that used an idempotency key, None while it is free."""
        number = self.owner_number(owner)
        if number is None:
            return None
        row = self._read_one(OPERATION_SELECT + "WHERE ifnull(owner, 0) = ? AND key = ?", (number, key))
        return None if row is None else operation_of(row)

    def later_operations(self, operation_id: str) -> Sequence[str]:
        """Return operations that changed the same records after it and are still in effect, oldest first."""

        def read(conn: sqlite3.Connection) -> list[str]:
            row = conn.execute(OPERATION_SELECT + "WHERE id = ?", (pack_id(operation_id),)).fetchone()
            if row is None or row[11] is None:
                return []
            rids = sorted({event[2] for event in _events_of(conn, row)})
            later: set[int] = set()
            for part, marks in chunks(rids):
                sql = f"SELECT DISTINCT op FROM event WHERE rid IN ({marks}) AND code != 1 AND seq > ? AND op != ?"
                later.update(found[0] for found in conn.execute(sql, (*part, row[11], row[0])))
            return _in_effect(conn, later, row[1])

        return self._read(read, list[str]())

    def _states(self, conn: sqlite3.Connection, rids: Sequence[int]) -> States:
        """Return the states around every event of some records."""
        edits: dict[int, list[Any]] = defaultdict(list)
        for part, marks in chunks(rids):
            sql = f"SELECT rid, seq, delta FROM event WHERE rid IN ({marks}) AND code != 1"
            for row in conn.execute(sql, part):
                edits[row[0]].append(row)
        states: States = {}
        for row in self._rows_by(conn, "rid", rids):
            walk_back(row, self._book.owner(conn, row[2]), self._book.salt, edits[row[0]], states)
        return states

    # ------------------------------------------------------------------------------------- owners

    def owners(
        self, *, kind: str = "user", prefix: str | None = None, limit: int = 100, after: str | None = None
    ) -> Sequence[OwnerRow]:
        """Return owners of a kind ordered by id, after a given id."""

        def read(conn: sqlite3.Connection) -> list[OwnerRow]:
            clauses, parameters = ["kind = ?"], [kind]
            if prefix:
                clauses.append("id >= ? AND substr(id, 1, length(?)) = ?")
                parameters += [prefix, prefix, prefix]
            if after is not None:
                clauses.append("id > ?")
                parameters.append(after)
            rows = conn.execute(
                f"SELECT no, id, memories, messages, changed FROM owner WHERE {' AND '.join(clauses)}"
                " ORDER BY id LIMIT ?",
                (*parameters, limit),
            )
            return [
                OwnerRow(
                    number=row[0],
                    owner=Owner(kind=kind, id=row[1]),
                    memories=row[2],
                    messages=row[3],
                    last_change=row[4],
                )
                for row in rows.fetchall()
            ]

        return self._read(read, list[OwnerRow]())


def _events_of(conn: sqlite3.Connection, operation: Row) -> list[Any]:
    """Return the event rows of an `OPERATION_SELECT` row, oldest first."""
    if operation[10] is None:
        return []
    sql = EVENT_SELECT + "WHERE e.seq BETWEEN ? AND ? AND e.op = ? ORDER BY e.seq"
    return conn.execute(sql, (operation[10], operation[11], operation[0])).fetchall()


def _in_effect(conn: sqlite3.Connection, numbers: set[int], of: bytes | str) -> list[str]:
    """Return the ids of operations that no later undo has cancelled, and of no undo of `of`, oldest first."""
    rows: dict[int, Any] = {}
    for part, marks in chunks(sorted(numbers)):
        for row in conn.execute(f"SELECT no, id, undoes FROM operation WHERE no IN ({marks})", part):
            rows[row[0]] = row
    return in_effect(rows, of)
