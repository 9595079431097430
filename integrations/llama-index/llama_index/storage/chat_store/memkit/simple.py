"""`MemkitChatStore`: the history of `ChatMemoryBuffer` and older code on memkit's ledger."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self, cast

import fsspec  # pyright: ignore[reportMissingTypeStubs]
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.bridge.pydantic import Field, PrivateAttr
from llama_index.core.storage.chat_store.base import BaseChatStore
from llama_index.core.storage.chat_store.loading import RECOGNIZED_CHAT_STORES

from ._turns import Turns, at, first, opened
from .messages import as_message, as_turn, from_json

if TYPE_CHECKING:
    from memkit import AsyncMemory, Memory

_FIRST = at(0)


class MemkitChatStore(BaseChatStore):
    """Keep conversations durable and whole, for whatever takes a `BaseChatStore`.

    For `ChatMemoryBuffer.from_defaults(chat_store=MemkitChatStore(memory=m), chat_store_key="chat-1")`. A key is the
    `run_id` of a conversation of the user; without a user, of those that have none. What is returned is a copy. Written
    as JSON it names the place of the memory and no secret; restored, it uses the open memory of that place or opens it
    again.

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
        """Return `MemkitChatStore`."""
        return "MemkitChatStore"

    def set_messages(self, key: str, messages: list[ChatMessage]) -> None:
        """Put messages in place of those there; what is archived stays."""
        self._turns.replace(key, [as_turn(message) for message in messages])

    def get_messages(self, key: str) -> list[ChatMessage]:
        """Return the messages of a key, oldest first."""
        return [as_message(row) for row in self._turns.get(key, ("active",))]

    def add_message(self, key: str, message: ChatMessage, idx: int | None = None) -> None:
        """Keep one more message; with `idx` before the one that is there, as `list.insert` does."""
        if idx is None:
            self._turns.keep(key, [as_turn(message)])
        else:
            self._turns.insert(key, idx, as_turn(message))

    def delete_messages(self, key: str) -> list[ChatMessage] | None:
        """Delete a conversation, and return the messages it had; None where it had none."""
        return self._turns.clear(key) or None

    def delete_message(self, key: str, idx: int) -> ChatMessage | None:
        """Delete the message at a place counted from 0, and return it; None where there is none."""
        return first(self._turns.take(key, at(idx)))

    def delete_last_message(self, key: str) -> ChatMessage | None:
        """Delete the newest message, and return it; None where there is none."""
        return first(self._turns.take(key, _FIRST, newest=1))

    def get_keys(self) -> list[str]:
        """Return the keys that have messages, in order."""
        return self._turns.keys()

    async def aset_messages(self, key: str, messages: list[ChatMessage]) -> None:
        """Async version of `set_messages`."""
        await self._turns.areplace(key, [as_turn(message) for message in messages])

    async def aget_messages(self, key: str) -> list[ChatMessage]:
        """Async version of `get_messages`."""
        return [as_message(row) for row in await self._turns.aget(key, ("active",))]

    async def async_add_message(self, key: str, message: ChatMessage, idx: int | None = None) -> None:
        """Async version of `add_message`."""
        if idx is None:
            await self._turns.akeep(key, [as_turn(message)])
        else:
            await self._turns.ainsert(key, idx, as_turn(message))

    async def adelete_messages(self, key: str) -> list[ChatMessage] | None:
        """Async version of `delete_messages`."""
        return await self._turns.aclear(key) or None

    async def adelete_message(self, key: str, idx: int) -> ChatMessage | None:
        """Async version of `delete_message`."""
        return first(await self._turns.atake(key, at(idx)))

    async def adelete_last_message(self, key: str) -> ChatMessage | None:
        """Async version of `delete_last_message`."""
        return first(await self._turns.atake(key, _FIRST, newest=1))

    async def aget_keys(self) -> list[str]:
        """Async version of `get_keys`."""
        return await self._turns.akeys()

    # Files of `SimpleChatStore`.

    def persist(self, persist_path: str = "chat_store.json", fs: Any = None) -> None:
        """Write all conversations into a file that `SimpleChatStore.from_persist_path` reads, words as they are.

        Nothing needs this to be durable; it is for moving to another place.

        Args:
            fs: A file system of `fsspec`; None is the local one.
        """
        store = {
            key: [as_turn(message)["payload"] for message in self.get_messages(key)]
            for key in self.get_keys()
        }
        files = _files(fs)
        path = os.fspath(persist_path)
        files.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        with files.open(path, "w", encoding="utf-8") as file:
            json.dump({"store": store, "class_name": "SimpleChatStore"}, file, ensure_ascii=False)

    @classmethod
    def from_persist_path(
        cls, persist_path: str = "chat_store.json", fs: Any = None, **settings: Any
    ) -> Self:
        """Return a store with the conversations of a file that `persist` or `SimpleChatStore` wrote, if it is there.

        A conversation of the file takes the place of the one with its key; reading a file twice changes nothing.

        Args:
            fs: A file system of `fsspec`; None is the local one.
            settings: `memory`, and `user_id` and `agent_id` where there are any.
        """
        store = cls(**settings)
        files = _files(fs)
        if files.exists(str(persist_path)):
            with files.open(str(persist_path), "r", encoding="utf-8") as file:
                data: Any = json.load(file)
            data = json.loads(data) if isinstance(data, str) else data
            conversations = cast("Mapping[str, list[dict[str, Any]]]", data.get("store") or {})
            for key, messages in conversations.items():
                store.set_messages(key, [from_json(message) for message in messages])
        return store

    def __reduce__(self) -> tuple[object, ...]:
        """Let another process use the memory of the same place."""
        return (type(self).model_validate, (self.model_dump(),))


def _files(given: Any) -> Any:
    return cast("Any", fsspec).filesystem("file") if given is None else given


# `ChatMemoryBuffer.from_dict` makes stores of this table only.
cast("dict[str, type[BaseChatStore]]", RECOGNIZED_CHAT_STORES).setdefault(
    MemkitChatStore.class_name(), MemkitChatStore
)
