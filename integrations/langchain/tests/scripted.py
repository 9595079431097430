"""A chat model that plays a script: offline, with tool calls, streaming and a log of all that it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field
from typing_extensions import override

Line = AIMessage | str | Exception | Callable[[Sequence[BaseMessage]], "AIMessage | str"]
"""An answer, an error to raise, or a function of the messages that returns an answer."""


@dataclass
class Asked:
    """One request, as the model saw it."""

    messages: list[BaseMessage]
    tools: list[dict[str, Any]]
    tool_choice: Any

    @property
    def system(self) -> str:
        """The system message's text; empty where there is none."""
        return self.messages[0].text if self.messages and self.messages[0].type == "system" else ""

    @property
    def text(self) -> str:
        """Every message's text, one after the other."""
        return "\n".join(message.text for message in self.messages)


@dataclass
class Script:
    """What a model says and was asked; a bound copy of the model shares it."""

    lines: list[Line]
    asked: list[Asked] = field(default_factory=list[Asked])
    place: int = 0
    lock: Any = field(default_factory=threading.Lock)

    def next(self, asked: Asked) -> AIMessage:
        with self.lock:
            self.asked.append(asked)
            line = self.lines[min(self.place, len(self.lines) - 1)]
            self.place += 1
        if isinstance(line, Exception):
            raise line
        said = line(asked.messages) if callable(line) else line
        # A new object each time, for the thread gives the message an id, and one id is one message.
        return AIMessage(content=said) if isinstance(said, str) else said.model_copy()


class ScriptedChatModel(BaseChatModel):
    """Says its lines in order, the last one ever after; `model.asked` is what it was asked."""

    lines: list[Any] = Field(default_factory=lambda: ["All right."])
    script: Any = Field(default=None, exclude=True, repr=False)

    def __init__(self, *lines: Line, **fields: Any) -> None:
        super().__init__(**fields, **({"lines": list(lines)} if lines else {}))
        if self.script is None:
            self.script = Script(self.lines)

    @property
    def asked(self) -> list[Asked]:
        return self.script.asked

    @property
    def _llm_type(self) -> str:
        return "scripted"

    @override
    def bind_tools(
        self, tools: Sequence[Any], *, tool_choice: str | None = None, **kwargs: Any
    ) -> Runnable[Any, AIMessage]:
        choice = {} if tool_choice is None else {"tool_choice": tool_choice}
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], **choice, **kwargs)

    def _answer(self, messages: list[BaseMessage], kwargs: dict[str, Any]) -> AIMessage:
        return self.script.next(Asked(list(messages), kwargs.get("tools", []), kwargs.get("tool_choice")))

    @override
    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self._answer(messages, kwargs))])

    @override
    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        answer = self._answer(messages, kwargs)
        for place, word in enumerate(answer.text.split(" ") if answer.text else []):
            chunk = ChatGenerationChunk(message=AIMessageChunk(content=f" {word}" if place else word))
            if run_manager is not None:
                run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk
        calls = [
            tool_call_chunk(name=call["name"], args=json.dumps(call["args"]), id=call["id"], index=place)
            for place, call in enumerate(answer.tool_calls)
        ]
        if calls or not answer.text:
            yield ChatGenerationChunk(message=AIMessageChunk(content="", tool_call_chunks=calls))


def calls(name: str, id: str = "call-1", **arguments: Any) -> AIMessage:
    """Return an answer that calls one tool."""
    return AIMessage(content="", tool_calls=[{"name": name, "args": arguments, "id": id}])
