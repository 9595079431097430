"""Conversations for the tests of the chat history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
)
from langchain_core.messages.tool import tool_call

from langchain_memkit import MemkitChatMessageHistory
from memkit import AsyncMemory, Memory

CALL = tool_call(name="weather", args={"city": "Zürich", "days": [1, 2]}, id="call-1")


def history(memory: Memory | AsyncMemory, run: Any = "r1", **more: Any) -> MemkitChatMessageHistory:
    return MemkitChatMessageHistory(memory, run_id=run, **{"user_id": "ada", **more})


def talk(count: int) -> list[BaseMessage]:
    return [HumanMessage(f"q{n}") if n % 2 == 0 else AIMessage(f"a{n}") for n in range(count)]


def found_in(chat: MemkitChatMessageHistory) -> list[Any]:
    """The messages, of which a test knows which fields they have."""
    return list(chat.messages)


def texts(messages: Sequence[BaseMessage]) -> list[str]:
    return [str(message.text) for message in messages]
