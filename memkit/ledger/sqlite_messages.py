"""The turns of a batch: kept once, whatever becomes of them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from .base import OWNER_SHIFT, NewMessage, StoredMessage
from .sqlite_owners import Owners, OwnerState
from .sqlite_rows import MESSAGE_INSERT, MESSAGE_SELECT, dump, message_id, message_of, message_rid
from .sqlite_words import Book


class MessageKeeper:
    """Writes the messages of one batch."""

    def __init__(self, conn: sqlite3.Connection, book: Book, owners: Owners) -> None:
        self._conn, self._book, self._owners = conn, book, owners

    def keep(self, messages: Sequence[NewMessage]) -> tuple[list[StoredMessage], list[bool]]:
        """Return the message kept for each given, and whether it is to be learned; a given id is kept once per run."""
        kept: list[StoredMessage] = []
        fresh: list[bool] = []
        rows: list[tuple[Any, ...]] = []
        given: dict[tuple[str, int, str | None], StoredMessage] = {}
        for message in messages:
            owner = self._owners.of_scope(message.scope)
            place = None if message.id is None else (message.id, owner.no, message.scope.run_id)
            known = None
            if message.id is not None and place is not None:
                known = given.get(place) or self._known_message(message, message.id, owner)
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
            self._conn.executemany(MESSAGE_INSERT, rows)
        return kept, fresh

    def _known_message(self, message: NewMessage, given: str, owner: OwnerState) -> StoredMessage | None:
        run = message.scope.run_id
        row = self._conn.execute(
            MESSAGE_SELECT + "WHERE id = ? AND owner = ? AND ifnull(run, '') = ?",
            (given, owner.no, run or ""),
        ).fetchone()
        if row is None and (rid := message_rid(self._book.salt, given)) is not None:
            row = self._conn.execute(
                MESSAGE_SELECT + "WHERE rid = ? AND id IS NULL AND owner = ? AND run IS ?",
                (rid, owner.no, run),
            ).fetchone()
        return None if row is None else message_of(row, owner.owner, self._book.salt)

    def _given_again(self, known: StoredMessage, message: NewMessage) -> StoredMessage:
        """Return a message that is there: learned from now on where the batch learns, active again where it is kept."""
        if message.learned and not known.learned:
            self._conn.execute("UPDATE message SET learned = 1 WHERE rid = ?", (known.rid,))
            return replace(known, learned=True)
        if not message.learned and known.status == "deleted":
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
        same = isinstance(message.content, str) and message.content == message.text
        content = None if same else json.dumps(message.content, ensure_ascii=False, separators=(",", ":"))
        rows.append(
            (
                rid, message.id, owner.no, message.role, content, message.text, message.name, message.created_at,
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
            created_at=message.created_at,
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
