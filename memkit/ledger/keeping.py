"""The turns of a batch: kept once, whatever becomes of them; how they are found and written is a ledger's own."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from .base import OWNER_SHIFT, NewMessage, StoredMessage
from .changes import Owners
from .owner_states import OwnerState
from .rows import dump, message_id, message_of

Place = tuple[str, int, str | None]
"""Id, owner and run: one message."""


class MessageKeeper(ABC):
    """Writes the messages of one batch."""

    def __init__(self, salt: int, owners: Owners) -> None:
        self._salt, self._owners = salt, owners
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
            self._insert(rows)
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
            owner, salt = self._owners.numbered(number).owner, self._salt
            for row in self._rows(number, run, ids):
                message = message_of(row, owner, salt)
                found[message.id, number, run] = message
        return found

    @abstractmethod
    def _rows(self, number: int, run: str | None, ids: Sequence[str]) -> Sequence[Any]:
        """Return the rows of an owner's run that the ledger gave one of the ids, then those that it was given for."""

    @abstractmethod
    def _latest(self, number: int, run: str | None, now: int) -> int:
        """Return the time of the last turn of a run that nobody dated, if that is later than `now`, else `now`."""

    @abstractmethod
    def _learned(self, rid: int) -> None:
        """Note that a message is learned from."""

    @abstractmethod
    def _active(self, rid: int) -> None:
        """Make a deleted message active again."""

    @abstractmethod
    def _insert(self, rows: Sequence[Sequence[Any]]) -> None:
        """Write new messages."""

    def _given_again(self, known: StoredMessage, message: NewMessage) -> StoredMessage:
        """Return a message that is there: learned from now on where the batch learns, active again where it is kept."""
        if message.learned and not known.learned:
            self._learned(known.rid)
            return replace(known, learned=True)
        if not message.learned and known.status == "deleted" and message.status == "active":
            self._active(known.rid)
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
            id=message.id or message_id(self._salt, rid),
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
            self._ahead[place] = self._latest(*place, now)
        self._ahead[place] = max(now, self._ahead[place])
        return self._ahead[place]
