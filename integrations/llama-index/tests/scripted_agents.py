"""Models that play a script, and what a memory was asked while they did."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import pytest
from llama_index.core.base.llms.types import (
    ChatMessage,
    CompletionResponse,
    CompletionResponseAsyncGen,
    CompletionResponseGen,
    LLMMetadata,
    ToolCallBlock,
)
from llama_index.core.llms import CustomLLM
from llama_index.core.llms.mock import MockFunctionCallingLLM
from pydantic import PrivateAttr

from llama_index.memory.memkit import MemkitMemory
from memkit import AsyncMemory, Memory

# Making an agent looks at every attribute of a pydantic model, the deprecated ones too; running one as well.
QUIET = [
    pytest.mark.filterwarnings("ignore:is_running called:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The `__fields:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Accessing the 'model_:DeprecationWarning"),
]


def call(tool: str, id: str = "call-1", **arguments: Any) -> ChatMessage:
    """An answer that calls one tool."""
    return ChatMessage(
        role="assistant", blocks=[ToolCallBlock(tool_call_id=id, tool_name=tool, tool_kwargs=arguments)]
    )


class Speaking(MockFunctionCallingLLM):
    """Says its lines in order, the last one ever after; `asked` is what it was asked."""

    _lines: list[ChatMessage] = PrivateAttr()
    _asked: list[list[ChatMessage]] = PrivateAttr()

    def __init__(self, *lines: ChatMessage | str) -> None:
        super().__init__(response_generator=self._next)
        self._lines = [
            line if isinstance(line, ChatMessage) else ChatMessage(role="assistant", content=line)
            for line in lines
        ]
        self._asked = []

    @property
    def asked(self) -> list[list[ChatMessage]]:
        return self._asked

    def _next(self, messages: Sequence[ChatMessage], **_: Any) -> ChatMessage:
        self._asked.append(copy.deepcopy(list(messages)))
        return copy.deepcopy(self._lines[min(len(self._asked), len(self._lines)) - 1])


class Reasoning(CustomLLM):
    """Says texts in order, as a model without tool calls does for a `ReActAgent`; `asked` is the prompts."""

    _lines: list[str] = PrivateAttr()
    _asked: list[str] = PrivateAttr()

    def __init__(self, *lines: str) -> None:
        super().__init__()
        self._lines, self._asked = list(lines), []

    @property
    def asked(self) -> list[str]:
        return self._asked

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata()

    def _next(self, prompt: str) -> str:
        self._asked.append(prompt)
        return self._lines[min(len(self._asked), len(self._lines)) - 1]

    def complete(self, prompt: str, formatted: bool = False, **_: Any) -> CompletionResponse:
        return CompletionResponse(text=self._next(prompt))

    def stream_complete(self, prompt: str, formatted: bool = False, **_: Any) -> CompletionResponseGen:
        text = self._next(prompt)
        yield CompletionResponse(text=text, delta=text)

    async def acomplete(self, prompt: str, formatted: bool = False, **_: Any) -> CompletionResponse:
        return self.complete(prompt)

    async def astream_complete(
        self, prompt: str, formatted: bool = False, **_: Any
    ) -> CompletionResponseAsyncGen:
        text = self._next(prompt)

        async def stream() -> CompletionResponseAsyncGen:
            yield CompletionResponse(text=text, delta=text)

        return stream()


class Watching:
    """A hook that counts what a memory is asked."""

    def __init__(self) -> None:
        self.queries: list[str] = []
        self.added: list[list[tuple[str, str]]] = []

    def before_search(self, query: str, scope: object) -> None:
        self.queries.append(query)

    def before_add(self, messages: Any, scope: object) -> None:
        if isinstance(messages, list) and isinstance(messages[0], dict):
            self.added.append([(turn["role"], turn["content"]) for turn in messages])


def said(messages: Sequence[ChatMessage]) -> list[tuple[str, str | None]]:
    """Roles and texts."""
    return [(message.role.value, message.content) for message in messages]


def user(text: str) -> ChatMessage:
    return ChatMessage(role="user", content=text)


def assistant(text: str) -> ChatMessage:
    return ChatMessage(role="assistant", content=text)


def system(text: str) -> ChatMessage:
    return ChatMessage(role="system", content=text)


def result(text: str, id: str = "call-1") -> ChatMessage:
    return ChatMessage(role="tool", content=text, additional_kwargs={"tool_call_id": id})


def texts(store: Memory, user_id: str = "ada") -> list[str]:
    return sorted(item.memory for item in store.get_all(user_id=user_id).results)


def session(
    store: Memory | AsyncMemory, name: str = "s", user_id: str = "ada", **options: Any
) -> MemkitMemory:
    return MemkitMemory.from_defaults(memory=store, user_id=user_id, session_id=name, **options)
