"""Reading messages from PostgreSQL."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

from ...errors import InvalidInputError
from ...scope import ReadScope
from ..base import StoredMessage
from ..rows import message_rid
from .base import PostgresBase, Session, reading
from .rows import MESSAGES, owned_messages
from .scope import scope_where

_NEWEST: Final = " ORDER BY message.created_at DESC, message.rid DESC LIMIT %s OFFSET %s"


class PostgresMessages(PostgresBase):
    """The reads of a ledger that are about messages."""

    @reading(list[StoredMessage])
    async def messages(
        self,
        s: Session,
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
        clauses, parameters = scope_where(scope, "message")
        clauses.append("message.status = ANY(%s)")
        parameters.append(list(statuses))
        if isinstance(before, str):
            clauses.append("(message.created_at, message.rid) < (%s, %s)")
            parameters += await self._place_of(s, before, scope)
        elif before is not None:
            clauses.append("message.created_at < %s")
            parameters.append(before)
        sql = f"{MESSAGES}WHERE {' AND '.join(clauses)}{_NEWEST}"
        rows = await s.rows(sql, (*parameters, limit, offset))
        return owned_messages(rows[::-1], self._book.salt)

    @reading(lambda: 0)
    async def message_count(self, s: Session, scope: ReadScope, statuses: Sequence[str]) -> int:
        """Return how many messages of some statuses a scope has."""
        clauses, parameters = scope_where(scope, "message")
        where = " AND ".join([*clauses, "message.status = ANY(%s)"])
        return await s.one(f"SELECT count(*) FROM message WHERE {where}", (*parameters, list(statuses)))

    @reading(list[str])
    async def runs(
        self, s: Session, scope: ReadScope, *, limit: int | None, after: str | None = None
    ) -> Sequence[str]:
        """Return the runs of which the scope has messages that are not deleted, ordered by id, after a given one."""
        clauses, parameters = scope_where(scope, "message")
        clauses += ["message.status != 'deleted'", "message.run IS NOT NULL"]
        if after is not None:
            clauses.append("message.run > %s")
            parameters.append(after)
        sql = f"SELECT DISTINCT run FROM message WHERE {' AND '.join(clauses)} ORDER BY run LIMIT %s"
        return [row[0] for row in await s.rows(sql, (*parameters, limit))]

    @reading(list[StoredMessage])
    async def messages_by_id(
        self, s: Session, ids: Sequence[str], scope: ReadScope | None = None
    ) -> Sequence[StoredMessage]:
        """Return messages by id, in the order asked, without unknown ones; an id that runs share gives each."""
        return await self._by_message_id(s, ids, scope)

    @reading(list[StoredMessage])
    async def messages_by_rid(self, s: Session, rids: Sequence[int]) -> Sequence[StoredMessage]:
        """Return messages by rid, in the order asked, without those that are gone."""
        rows = await s.rows(MESSAGES + "WHERE message.rid = ANY(%s)", (list(rids),))
        found = {message.rid: message for message in owned_messages(rows, self._book.salt)}
        return [found[rid] for rid in rids if rid in found]

    async def _by_message_id(
        self, s: Session, ids: Sequence[str], scope: ReadScope | None
    ) -> list[StoredMessage]:
        made = [rid for text in ids if (rid := message_rid(self._book.salt, text)) is not None]
        rows: list[Any] = await s.rows(
            f"{MESSAGES}WHERE message.rid = ANY(%s) AND message.id IS NULL"
            f" UNION ALL {MESSAGES}WHERE message.id = ANY(%s)",
            (made, list(dict.fromkeys(ids))),
        )
        found: dict[str, list[StoredMessage]] = defaultdict(list)
        for message in sorted(owned_messages(rows, self._book.salt), key=lambda message: message.rid):
            if scope is None or scope.allows(message.user_id, message.agent_id, message.run_id):
                found[message.id].append(message)
        return [message for text in ids for message in found.get(text, ())]

    async def _place_of(self, s: Session, message_id: str, scope: ReadScope) -> tuple[int, int]:
        found = await self._by_message_id(s, [message_id], scope)
        if not found:
            raise InvalidInputError(
                f"No message {message_id!r} in this scope, so nothing comes before it. Pass the `id` of a message that "
                "`messages(...)` returned, or an instant.",
                field="before",
            )
        return found[0].created_at, found[0].rid
