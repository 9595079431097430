"""Conversations as they were held: turns kept whole, read back in order, archived or put aside.

Nothing here asks a model or an embedder; `Memory.add` of the same turns makes memories of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .arguments import checks_arguments
from .clock import Instant
from .facade import Facade
from .runtime import run_inline
from .scope import IdLike, ReadIds
from .types import Message, MessageStatus

_SHOWN = ("active", "archived")


@checks_arguments
class Conversations(Facade):
    """The part of [`Memory`][memkit.Memory] for whoever keeps conversations, as chat stores do."""

    def keep(
        self,
        messages: Any,
        *,
        user_id: IdLike | None = None,
        agent_id: IdLike | None = None,
        run_id: IdLike | None = None,
        metadata: Mapping[str, Any] | None = None,
        replace: bool = False,
    ) -> list[Message]:
        """Keep turns without making memories of them; what is returned is durable.

        An `id` given twice in one run is one turn, first content kept; one that was deleted is active again. A later
        `add` of the same ids learns from them, once.

        Args:
            messages: As in `add`; they may be empty, and carry a `payload`, a dict that comes back with them and no
                memory ever gets.
            metadata: JSON values kept with every turn of this call.
            replace: Mark the active turns of the scope deleted in the same transaction.

        Returns:
            The turn kept for each one given, in order.

        Raises:
            ScopeError: No scope, a blank id, or one outside the bound handle.
            InvalidInputError: A message has the wrong shape; it names the index and the key.
        """
        from .engine.conversations import keep

        request = self._requests.keep_request(
            self._bound, messages, user_id, agent_id, run_id, metadata, replace=replace
        )
        return run_inline(keep(self._engine, request))

    def messages(
        self,
        *,
        user_id: ReadIds = None,
        agent_id: ReadIds = None,
        run_id: ReadIds = None,
        limit: int | None = None,
        before: str | Instant | None = None,
        offset: int = 0,
        status: MessageStatus | Iterable[MessageStatus] | None = _SHOWN,
        ids: Iterable[str] | None = None,
    ) -> list[Message]:
        """Return the newest turns of a scope, oldest first; with `user_id` alone they span all runs.

        Args:
            limit: At most so many; None for all.
            before: Only turns before this message (its id) or this instant.
            offset: Leave out so many of the newest.
            status: One or several of `active, archived, deleted`; None for all.
            ids: Only these turns, in the order of the ids, without those that the scope does not have.
        """
        from .engine.conversations import messages

        request = self._requests.messages_request(
            self._bound, user_id, agent_id, run_id, limit, before, offset, status, ids
        )
        return run_inline(messages(self._engine, request))

    def count_messages(
        self,
        *,
        user_id: ReadIds = None,
        agent_id: ReadIds = None,
        run_id: ReadIds = None,
        status: MessageStatus | Iterable[MessageStatus] | None = _SHOWN,
    ) -> int:
        """Return how many turns a scope has.

        Args:
            status: As in `messages`.
        """
        from .engine.conversations import count_messages

        request = self._requests.messages_request(
            self._bound, user_id, agent_id, run_id, None, None, 0, status, None
        )
        return run_inline(count_messages(self._engine, request))

    def mark_messages(
        self,
        ids: Iterable[str],
        *,
        status: MessageStatus,
        user_id: ReadIds = None,
        agent_id: ReadIds = None,
        run_id: ReadIds = None,
    ) -> int:
        """Give turns another status and return how many there were; memories made of them stay.

        Args:
            ids: Of turns in the scope; others are left alone.
            status: `active`, `archived` (kept out of a prompt) or `deleted` (hidden; only `forget` erases).
        """
        from .engine.conversations import mark_messages

        request = self._requests.messages_request(
            self._bound, user_id, agent_id, run_id, None, None, 0, None, ids
        )
        return run_inline(mark_messages(self._engine, request, self._requests.message_status(status)))

    def runs(
        self,
        *,
        user_id: ReadIds = None,
        agent_id: ReadIds = None,
        run_id: ReadIds = None,
        limit: int | None = None,
        after: str | None = None,
        allow_global: bool = False,
    ) -> list[str]:
        """Return the ids of the conversations that a scope has turns of, in order of the ids.

        Args:
            limit: At most so many; None for all.
            after: Only ids after this one.
            allow_global: Across all users.
        """
        from .engine.conversations import runs

        request = self._requests.runs_request(
            self._bound, user_id, agent_id, run_id, limit, after, allow_global
        )
        return run_inline(runs(self._engine, *request))


@checks_arguments
class AsyncConversations(Facade):
    """Async version of `Conversations`."""

    async def keep(
        self,
        messages: Any,
        *,
        user_id: IdLike | None = None,
        agent_id: IdLike | None = None,
        run_id: IdLike | None = None,
        metadata: Mapping[str, Any] | None = None,
        replace: bool = False,
    ) -> list[Message]:
        """Async version of `Memory.keep`."""
        from .engine.conversations import keep

        request = self._requests.keep_request(
            self._bound, messages, user_id, agent_id, run_id, metadata, replace=replace
        )
        return await keep(self._engine, request)

    async def messages(
        self,
        *,
        user_id: ReadIds = None,
        agent_id: ReadIds = None,
        run_id: ReadIds = None,
        limit: int | None = None,
        before: str | Instant | None = None,
        offset: int = 0,
        status: MessageStatus | Iterable[MessageStatus] | None = _SHOWN,
        ids: Iterable[str] | None = None,
    ) -> list[Message]:
        """Async version of `Memory.messages`."""
        from .engine.conversations import messages

        request = self._requests.messages_request(
            self._bound, user_id, agent_id, run_id, limit, before, offset, status, ids
        )
        return await messages(self._engine, request)

    async def count_messages(
        self,
        *,
        user_id: ReadIds = None,
        agent_id: ReadIds = None,
        run_id: ReadIds = None,
        status: MessageStatus | Iterable[MessageStatus] | None = _SHOWN,
    ) -> int:
        """Async version of `Memory.count_messages`."""
        from .engine.conversations import count_messages

        request = self._requests.messages_request(
            self._bound, user_id, agent_id, run_id, None, None, 0, status, None
        )
        return await count_messages(self._engine, request)

    async def mark_messages(
        self,
        ids: Iterable[str],
        *,
        status: MessageStatus,
        user_id: ReadIds = None,
        agent_id: ReadIds = None,
        run_id: ReadIds = None,
    ) -> int:
        """Async version of `Memory.mark_messages`."""
        from .engine.conversations import mark_messages

        request = self._requests.messages_request(
            self._bound, user_id, agent_id, run_id, None, None, 0, None, ids
        )
        return await mark_messages(self._engine, request, self._requests.message_status(status))

    async def runs(
        self,
        *,
        user_id: ReadIds = None,
        agent_id: ReadIds = None,
        run_id: ReadIds = None,
        limit: int | None = None,
        after: str | None = None,
        allow_global: bool = False,
    ) -> list[str]:
        """Async version of `Memory.runs`."""
        from .engine.conversations import runs

        request = self._requests.runs_request(
            self._bound, user_id, agent_id, run_id, limit, after, allow_global
        )
        return await runs(self._engine, *request)
