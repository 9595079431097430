"""`MemkitDBChatStore`: the history of LlamaIndex's `Memory` on memkit's ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self, TypeAlias
from weakref import WeakKeyDictionary

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.bridge.pydantic import Field, PrivateAttr
from llama_index.core.storage.chat_store.base_db import AsyncDBChatStore, MessageStatus

from memkit.types import Message

from ._turns import SHOWN, Statuses, Turns, alone, at, first, opened
from .messages import as_message, as_turn

if TYPE_CHECKING:
    from memkit import AsyncMemory, Memory


Seen: TypeAlias = WeakKeyDictionary[asyncio.Task[Any], tuple[str, list[Message]]]


class MemkitDBChatStore(AsyncDBChatStore):
    """Keep conversations durable and whole, with what was archived beside what is active.

    For `Memory.from_defaults(session_id="chat-1", chat_store=MemkitDBChatStore(memory=m))`. A key is the `run_id` of a
    conversation of the user; without a user, of those that have none. What is returned is a copy. Written as JSON it
    names the place of the memory and no secret; restored, it uses the open memory of that place or opens it again.

    Args:
        memory: Where it is kept; it may be bound to a scope.
        user_id: Whose conversations these are.
        agent_id: The agent they belong to.

    Raises:
        ConfigurationError: There is no memory, or it cannot be opened again.
        ScopeError: An id is blank.
    """

    user_id: str | None = None
    agent_id: str | None = None
    connection: dict[str, Any] = Field(default_factory=dict, repr=False)
    """Where the memory is and what it is made of."""

    _turns: Turns = PrivateAttr()
    _seen: Seen = PrivateAttr(default_factory=lambda: Seen())
    """What a task has read of an active queue, until it writes to it."""

    def __init__(
        self,
        memory: Memory | AsyncMemory | None = None,
        *,
        user_id: object = None,
        agent_id: object = None,
        connection: Mapping[str, Any] | None = None,
        **_class_name: object,
    ) -> None:
        turns, fields = opened(memory, connection, user_id, agent_id)
        super().__init__(**fields)
        self._turns = turns

    @classmethod
    def class_name(cls) -> str:
        """Return `MemkitDBChatStore`."""
        return "MemkitDBChatStore"

    async def get_messages(
        self,
        key: str,
        status: MessageStatus | None = MessageStatus.ACTIVE,
        limit: int | None = None,
        offset: int | None = None,
    ) -> list[ChatMessage]:
        """Return the messages of a key, oldest first.

        Args:
            status: None for all.
            limit: The newest so many.
            offset: Leave out so many of the newest.
        """
        rows = await self._turns.aget(key, _statuses(status), limit, offset)
        if status == MessageStatus.ACTIVE and limit is None and not offset:
            self._remember(key, rows)
        return [as_message(row) for row in rows]

    async def count_messages(self, key: str, status: MessageStatus | None = MessageStatus.ACTIVE) -> int:
        """Return how many messages a key has; `status=None` counts all."""
        return await self._turns.acount(key, _statuses(status))

    async def add_message(
        self, key: str, message: ChatMessage, status: MessageStatus = MessageStatus.ACTIVE
    ) -> None:
        """Keep one more message; it is durable when this returns."""
        await self.add_messages(key, [message], status)

    async def add_messages(
        self, key: str, messages: list[ChatMessage], status: MessageStatus = MessageStatus.ACTIVE
    ) -> None:
        """Keep more messages in one transaction; there may be none."""
        self._forget_seen()
        rows = await self._turns.akeep(key, [as_turn(message) for message in messages])
        if rows and status == MessageStatus.ARCHIVED:
            await self._turns.amark(key, rows, "archived")

    async def set_messages(
        self, key: str, messages: list[ChatMessage], status: MessageStatus = MessageStatus.ACTIVE
    ) -> None:
        """Put messages in place of those with the same status; archived ones stay when active ones are set."""
        self._forget_seen()
        if status == MessageStatus.ACTIVE:
            await self._turns.areplace(key, [as_turn(message) for message in messages])
        else:
            await self._turns.aclear(key, ("archived",))
            await self.add_messages(key, messages, status)

    async def delete_message(self, key: str, idx: int) -> ChatMessage | None:
        """Delete the active message at a place counted from 0, and return it; None where there is none."""
        self._forget_seen()
        return first(await self._turns.atake(key, at(idx)))

    async def delete_messages(self, key: str, status: MessageStatus | None = None) -> None:
        """Delete the messages of a key; None deletes archived ones too."""
        self._forget_seen()
        await self._turns.aclear(key, _statuses(status))

    async def delete_oldest_messages(self, key: str, n: int) -> list[ChatMessage]:
        """Delete the `n` oldest active messages, and return them."""
        self._forget_seen()
        return await self._turns.atake(key, slice(max(n, 0)))

    async def archive_oldest_messages(self, key: str, n: int) -> list[ChatMessage]:
        """Archive the `n` oldest active messages, and return them.

        Within one task they are the oldest of those that it has just read: two tasks that read the same queue archive
        the same messages, not twice as many.
        """
        seen = self._seen.get(task) if (task := asyncio.current_task()) is not None else None
        if seen is None or seen[0] != key:
            return await self._turns.atake(key, slice(max(n, 0)), "archived")
        oldest = seen[1][: max(n, 0)]
        del seen[1][: len(oldest)]
        async with alone():
            rows = await self._turns.astill(key, oldest)
            await self._turns.amark(key, rows, "archived")
        return [as_message(row) for row in rows]

    async def get_keys(self) -> list[str]:
        """Return the keys that have messages, in order."""
        return await self._turns.akeys()

    def to_dict(self, **options: Any) -> dict[str, Any]:
        """Return the store as a dict, as components of LlamaIndex do."""
        return {**self.model_dump(**options), "class_name": self.class_name()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], **settings: Any) -> Self:
        """Return the store of a dict that `to_dict` made."""
        return cls(**{**data, **settings})

    def _remember(self, key: str, rows: list[Message]) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._seen[task] = (key, list(rows))

    def _forget_seen(self) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._seen.pop(task, None)

    def __reduce__(self) -> tuple[object, ...]:
        """Let another process use the memory of the same place."""
        return (type(self).model_validate, (self.model_dump(),))


def _statuses(status: MessageStatus | None) -> Statuses:
    if status is None:
        return SHOWN
    return ("archived",) if MessageStatus(status) == MessageStatus.ARCHIVED else ("active",)
