"""The turns of a batch: kept once, whatever becomes of them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from .base import OWNER_SHIFT, NewMessage, StoredMessage
from .sqlite_base import chunks
from .sqlite_owners import Owners, OwnerState
from .sqlite_rows import MESSAGE_SELECT, dump, insert_messages, message_id, message_of, message_rid
from .sqlite_words import Book

Place = tuple[str, int, str | None]
"""Id, owner and run: one message."""


class MessageKeeper:
    """Writes the messages of one batch."""

    def __init__(self, conn: sqlite3.Connection, book: Book, owners: Owners) -> None:
        self._conn, self._book, self._owners = conn, book, owners
        self._ahead: dict[tuple[int, str | None], int] = {}
        """By owner and run: the time of the last turn that nobody dated, where a clock was ahead of the batch's."""

    def keep(self, messages: Sequence[NewMessage]) -> tuple[list[StoredMessage], list[bool]]:
        """Return the message kept for each given, and whether it is to be learned; a given id is kept once per run."""
        kept: list[StoredMessage] = []
        fresh: list[bool] = []
        rows: list[tuple[Any, ...]] = []
        given = self._known(messages)
        for message in messages:
            owner = self._owners.of_scope(message.scope)
            place = None if message.id is None else (message.id, owner.no, message.scope.run_id)
            known = None if place is None else given.get(place)
            fresh.append(message.learned and (known is None or not known.learned))
            known = (
                self._new_message(message, owner, rows)
                if known is None
                else self._given_again(known, message)
            )
            if place is not None:
                given[place] = known
            kept.append(known)
        if rows:
            insert_messages(self._conn, rows)
        return kept, fresh

    def _known(self, messages: Sequence[NewMessage]) -> dict[Place, StoredMessage]:
        """Return the messages that are there under the ids of some new ones."""
        asked: dict[tuple[int, str | None], list[str]] = {}
        for message in messages:
            if message.id is not None:
                number = self._owners.of_scope(message.scope).no
                asked.setdefault((number, message.scope.run_id), []).append(message.id)
        found: dict[Place, StoredMessage] = {}
        for (number, run), ids in asked.items():
            owner, salt = self._owners.numbered(number).owner, self._book.salt
            for row in self._rows(number, run, ids):
                message = message_of(row, owner, salt)
                found[message.id, number, run] = message
        return found

    def _rows(self, number: int, run: str | None, ids: Sequence[str]) -> list[Any]:
        """Return the rows of an owner's run that the ledger gave one of the ids, then those that it was given for."""
        rows: list[Any] = []
        made = [rid for text in ids if (rid := message_rid(self._book.salt, text)) is not None]
        for part, marks in chunks(made):
            where = f"WHERE rid IN ({marks}) AND id IS NULL AND owner = ? AND run IS ?"
            rows += self._conn.execute(MESSAGE_SELECT + where, (*part, number, run)).fetchall()
        for part, marks in chunks(ids):
            where = f"WHERE id IN ({marks}) AND owner = ? AND ifnull(run, '') = ?"
            rows += self._conn.execute(MESSAGE_SELECT + where, (*part, number, run or "")).fetchall()
        return rows

    def _given_again(self, known: StoredMessage, message: NewMessage) -> StoredMessage:
        """Return a message that is there: learned from now on where the batch learns, active again where it is kept."""
        if message.learned and not known.learned:
            self._conn.execute("UPDATE message SET learned = 1 WHERE rid = ?", (known.rid,))
            return replace(known, learned=True)
        if not message.learned and known.status == "deleted" and message.status == "active":
            self._conn.execute("UPDATE message SET status = 'active' WHERE rid = ?", (known.rid,))
            return replace(known, status="active")
        return known

    def _new_message(
        self, message: NewMessage, owner: OwnerState, rows: list[tuple[Any, ...]]
    ) -> StoredMessage:
        rid = (owner.no << OWNER_SHIFT) | owner.next_m
        owner.next_m += 1
        owner.messages += 1
        scope = message.scope
        created_at = message.created_at if message.dated else self._in_turn(message, owner)
        same = isinstance(message.content, str) and message.content == message.text
        content = None if same else json.dumps(message.content, ensure_ascii=False, separators=(",", ":"))
        rows.append(
            (
                rid, message.id, owner.no, message.role, content, message.text, message.name, created_at,
                message.offset_minutes, int(message.dated), message.status, scope.agent_id, scope.run_id,
                dump(message.metadata), int(message.learned), dump(message.payload),
            )
        )  # fmt: skip
        return StoredMessage(
            rid=rid,
            id=message.id or message_id(self._book.salt, rid),
            role=message.role,
            content=message.content,
            text=message.text,
            name=message.name,
            created_at=created_at,
            offset_minutes=message.offset_minutes,
            dated=message.dated,
            status=message.status,
            user_id=scope.user_id,
            agent_id=scope.agent_id,
            run_id=scope.run_id,
            metadata=message.metadata,
            learned=message.learned,
            payload=message.payload,
        )

    def _in_turn(self, message: NewMessage, owner: OwnerState) -> int:
        """Return the time of a turn that nobody dated: never before one that was said earlier in its run.

        A clock that was set back, or another process's that lags, does not turn a conversation round.
        """
        place, now = (owner.no, message.scope.run_id), message.created_at
        if place not in self._ahead:
            row = self._conn.execute(
                "SELECT created_at FROM message WHERE owner = ? AND run IS ? AND created_at > ? AND dated = 0"
                " ORDER BY created_at DESC LIMIT 1",
                (*place, now),
            ).fetchone()
            self._ahead[place] = now if row is None else row[0]
        self._ahead[place] = max(now, self._ahead[place])
        return self._ahead[place]
