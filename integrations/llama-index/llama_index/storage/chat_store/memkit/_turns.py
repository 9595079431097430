"""The conversations of one scope by key, under both stores: a key is a `run_id`."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from llama_index.core.base.llms.types import ChatMessage

from memkit.errors import ConfigurationError, ScopeError
from memkit.reconnect import describe, reconnect
from memkit.scope import one_id
from memkit.types import Message, MessageStatus

from .messages import as_message, as_turn

if TYPE_CHECKING:
    from memkit import AsyncMemory, Memory

Statuses = Sequence[MessageStatus]

SHOWN: Final[Statuses] = ("active", "archived")

# What reads and then writes does so alone. One lock for each loop: a lock that one loop holds while another blocks its
# thread, as LlamaIndex's sync wrappers do, would never be free.
_alone: Final = threading.Lock()
_alone_in: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock]] = WeakKeyDictionary()


def alone() -> asyncio.Lock:
    """Return the lock of the running loop for what reads and then writes."""
    return _alone_in.setdefault(asyncio.get_running_loop(), asyncio.Lock())


def opened(
    memory: Memory | AsyncMemory | None,
    connection: Mapping[str, Any] | None,
    user_id: object,
    agent_id: object,
) -> tuple[Turns, dict[str, Any]]:
    """Return what a store reads and writes with, and the fields that it is written down by.

    Raises:
        ConfigurationError: There is no memory, or it cannot be opened again.
        ScopeError: An id is blank.
    """
    if memory is not None:
        described = describe(memory)
    elif connection is not None:
        memory, described = reconnect(connection), dict(connection)
    else:
        raise ConfigurationError("No memory was given. Pass `memory=Memory(path)`.")
    turns = Turns(memory, user_id, agent_id)
    return turns, {"user_id": turns.user_id, "agent_id": turns.agent_id, "connection": described}


class Turns:
    """Reads and writes turns; each method has its awaited twin."""

    def __init__(self, memory: Memory | AsyncMemory, user_id: object, agent_id: object) -> None:
        self.user_id = one_id(user_id, "user_id")
        self.agent_id = one_id(agent_id, "agent_id")
        self._sync, self._async = memory.to_sync(), memory.to_async()

    def _scope(self, key: str) -> dict[str, Any]:
        if not str(key).strip():
            raise ScopeError(
                "`key` is blank. Pass the id of the conversation, for example 'chat-1'.", field="key"
            )
        return {"user_id": self.user_id, "agent_id": self.agent_id, "run_id": key}

    def _everything(self) -> dict[str, Any]:
        """Return the scope of all keys; without a user these are the conversations that have none."""
        if self.user_id is None and self.agent_id is None and self._sync.scope is None:
            return {"agent_id": [None]}
        return {"user_id": self.user_id, "agent_id": self.agent_id}

    def keys(self) -> list[str]:
        return self._sync.runs(**self._everything())

    async def akeys(self) -> list[str]:
        return await self._async.runs(**self._everything())

    def get(self, key: str, status: Statuses, limit: int | None = None, offset: int = 0) -> list[Message]:
        return self._sync.messages(**self._scope(key), status=status, limit=limit, offset=offset)

    async def aget(
        self, key: str, status: Statuses, limit: int | None = None, offset: int | None = None
    ) -> list[Message]:
        scope = self._scope(key)
        if limit is not None and limit <= 0:
            return []
        return await self._async.messages(**scope, status=status, limit=limit, offset=offset or 0)

    async def astill(self, key: str, rows: Iterable[Message]) -> list[Message]:
        """Return those of some turns that are still active."""
        ids = [row.id for row in rows]
        return await self._async.messages(**self._scope(key), ids=ids, status=("active",))

    def count(self, key: str, status: Statuses) -> int:
        return self._sync.count_messages(**self._scope(key), status=status)

    async def acount(self, key: str, status: Statuses) -> int:
        return await self._async.count_messages(**self._scope(key), status=status)

    def keep(self, key: str, turns: Sequence[Mapping[str, Any]]) -> list[Message]:
        return self._sync.keep(turns, **self._scope(key))

    async def akeep(self, key: str, turns: Sequence[Mapping[str, Any]]) -> list[Message]:
        return await self._async.keep(turns, **self._scope(key))

    def replace(self, key: str, turns: Sequence[Mapping[str, Any]]) -> None:
        with _alone:
            change = _change(self.get(key, ("active",)), turns)
            if change is not None:
                self._sync.keep(change, **self._scope(key), replace=True)

    async def areplace(self, key: str, turns: Sequence[Mapping[str, Any]]) -> None:
        async with alone():
            change = _change(await self.aget(key, ("active",)), turns)
            if change is not None:
                await self._async.keep(change, **self._scope(key), replace=True)

    def insert(self, key: str, idx: int, turn: Mapping[str, Any]) -> None:
        with _alone:
            rows = self.get(key, ("active",))
            self._sync.keep(_with(rows, idx, turn), **self._scope(key), replace=True)

    async def ainsert(self, key: str, idx: int, turn: Mapping[str, Any]) -> None:
        async with alone():
            rows = await self.aget(key, ("active",))
            await self._async.keep(_with(rows, idx, turn), **self._scope(key), replace=True)

    def mark(self, key: str, rows: Iterable[Message], status: MessageStatus) -> None:
        self._sync.mark_messages([row.id for row in rows], status=status, **self._scope(key))

    async def amark(self, key: str, rows: Iterable[Message], status: MessageStatus) -> None:
        await self._async.mark_messages([row.id for row in rows], status=status, **self._scope(key))

    def some(self, key: str, which: slice) -> list[Message]:
        """Return some of the active turns; all are read only where somebody writes meanwhile."""
        count = self.count(key, ("active",))
        limit, offset = _from_the_end(which, count)
        rows = self.get(key, ("active",), limit, offset) if limit else []
        unchanged = self.count(key, ("active",)) == count
        return rows if unchanged else self.get(key, ("active",))[which]

    async def asome(self, key: str, which: slice) -> list[Message]:
        count = await self.acount(key, ("active",))
        limit, offset = _from_the_end(which, count)
        rows = await self.aget(key, ("active",), limit, offset)
        unchanged = await self.acount(key, ("active",)) == count
        return rows if unchanged else (await self.aget(key, ("active",)))[which]

    def take(
        self, key: str, which: slice, status: MessageStatus = "deleted", *, newest: int | None = None
    ) -> list[ChatMessage]:
        """Give some of the active turns, or of the newest of them, another status, and return them."""
        with _alone:
            rows = self.some(key, which) if newest is None else self.get(key, ("active",), newest)[which]
            if rows:
                self.mark(key, rows, status)
        return [as_message(row) for row in rows]

    async def atake(
        self, key: str, which: slice, status: MessageStatus = "deleted", *, newest: int | None = None
    ) -> list[ChatMessage]:
        async with alone():
            if newest is None:
                rows = await self.asome(key, which)
            else:
                rows = (await self.aget(key, ("active",), newest))[which]
            if rows:
                await self.amark(key, rows, status)
        return [as_message(row) for row in rows]

    def clear(self, key: str, status: Statuses = SHOWN) -> list[ChatMessage]:
        """Delete the turns of some statuses, and return the active ones."""
        rows = self.get(key, status)
        self.mark(key, rows, "deleted")
        return [as_message(row) for row in rows if row.status == "active"]

    async def aclear(self, key: str, status: Statuses = SHOWN) -> list[ChatMessage]:
        rows = await self.aget(key, status)
        await self.amark(key, rows, "deleted")
        return [as_message(row) for row in rows if row.status == "active"]


def at(idx: int) -> slice:
    """Return the place of one message counted from 0; a negative one is nowhere."""
    return slice(idx, idx + 1) if idx >= 0 else slice(0)


def _from_the_end(which: slice, count: int) -> tuple[int, int]:
    """Return the limit and the offset by which the newest so many of a count are these places from the oldest."""
    start, stop, _ = which.indices(count)
    return max(stop - start, 0), count - stop


def first(messages: Sequence[ChatMessage]) -> ChatMessage | None:
    """Return the one message, if there is one."""
    return messages[0] if messages else None


def _change(rows: Sequence[Message], turns: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]] | None:
    """Return the turns to keep in place of those there, of which the first may stay; None if nothing changes."""
    same = 0
    while same < min(len(rows), len(turns)) and _payload(rows[same]) == turns[same]["payload"]:
        same += 1
    if same == len(rows) == len(turns):
        return None
    return [*(_again(row) for row in rows[:same]), *turns[same:]]


def _with(rows: Sequence[Message], idx: int, turn: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return turns with another one among them: those before it stay, those after it are kept anew to follow it."""
    place = slice(idx, None).indices(len(rows))[0]
    after = [{name: value for name, value in _again(row).items() if name != "id"} for row in rows[place:]]
    return [*(_again(row) for row in rows[:place]), turn, *after]


def _payload(row: Message) -> object:
    known = row.payload is not None and "blocks" in row.payload
    return row.payload if known else as_turn(as_message(row))["payload"]


def _again(row: Message) -> dict[str, Any]:
    """Return a turn that is there as one to keep; its id makes it the same one."""
    fields = ("id", "role", "content", "name", "metadata", "payload")
    return {name: value for name in fields if (value := getattr(row, name)) is not None}
