"""A language model that says what it was told to: `llm="fake"`, or `FakeLLM([...])` in tests."""

from __future__ import annotations

import inspect
import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, cast

from pydantic import BaseModel

from memkit.errors import BackendResponseError
from memkit.llms.base import ChatMessage, Completion, TokenUsage
from memkit.llms.parsing import parse_as
from memkit.settings import ProviderSettings

Reply = str | Mapping[str, Any] | BaseModel | Completion | Exception | Callable[[Sequence[ChatMessage]], Any]
"""A text, a dict or a model (sent as JSON), a whole completion, an error to raise, or a function of the messages
that returns one of these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeCall:
    """What one call was given."""

    messages: tuple[ChatMessage, ...]
    schema: type[BaseModel] | None = None
    tools: tuple[Mapping[str, Any], ...] = ()


class FakeLLM:
    """Answers with scripted replies, in order, and records its calls.

    Without any reply it extracts nothing: every call with a schema is answered by the schema's empty answer.

    Args:
        replies: One for each call, or one function for all calls.
        vision: Whether it claims to see images.
        finish_reason: What every completion ends with.
    """

    class Settings(ProviderSettings):
        """Settings of the fake, for configurations."""

        provider_name: ClassVar[str | None] = "fake"

        model: str | None = None
        """Any name; it changes nothing."""
        replies: Any = None
        """As the argument of the same name."""
        vision: bool = False
        """As the argument of the same name."""

    def __init__(
        self,
        replies: Settings | Iterable[Reply] | Callable[[Sequence[ChatMessage]], Any] | None = None,
        *,
        vision: bool = False,
        finish_reason: str = "stop",
    ) -> None:
        if isinstance(replies, FakeLLM.Settings):
            vision = replies.vision
            replies = cast("Iterable[Reply] | None", replies.replies)
        self.vision = vision
        self.calls: list[FakeCall] = []
        self._finish_reason = finish_reason
        self._always = replies if callable(replies) else None
        listed = None if replies is None or callable(replies) else replies
        self._replies: list[Reply] | None = None if listed is None else list(listed)
        self._next = 0
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """`fake`."""
        return "fake"

    def generate(
        self,
        messages: Sequence[ChatMessage],
        *,
        schema: type[BaseModel] | None = None,
        tools: Sequence[Mapping[str, Any]] | None = None,
    ) -> Completion:
        """Return the next reply.

        Raises:
            BackendResponseError: The script has no reply left.
        """
        with self._lock:
            self.calls.append(FakeCall(messages=tuple(messages), schema=schema, tools=tuple(tools or ())))
            reply = self._take()
        while callable(reply) and not isinstance(reply, BaseModel):
            reply = cast("Reply", reply(messages))
        return self._completion(reply, messages, schema)

    async def agenerate(
        self,
        messages: Sequence[ChatMessage],
        *,
        schema: type[BaseModel] | None = None,
        tools: Sequence[Mapping[str, Any]] | None = None,
    ) -> Completion:
        """Async version of [`FakeLLM.generate`]; a scripted function may be async."""
        with self._lock:
            self.calls.append(FakeCall(messages=tuple(messages), schema=schema, tools=tuple(tools or ())))
            reply = self._take()
        while callable(reply) and not isinstance(reply, BaseModel):
            made = reply(messages)
            reply = cast("Reply", await made if inspect.isawaitable(made) else made)
        return self._completion(reply, messages, schema)

    def _take(self) -> Reply:
        if self._always is not None:
            return self._always
        if self._replies is None:
            return ""
        if self._next >= len(self._replies):
            raise BackendResponseError(
                f"The FakeLLM has no reply left for call {len(self.calls)}: it was given {len(self._replies)}. "
                "Give it one reply for each call, or one function for all of them.",
                backend="fake",
            )
        self._next += 1
        return self._replies[self._next - 1]

    def _completion(
        self, reply: object, messages: Sequence[ChatMessage], schema: type[BaseModel] | None
    ) -> Completion:
        if isinstance(reply, Exception):
            raise reply
        if isinstance(reply, Completion):
            return reply
        if isinstance(reply, BaseModel):
            text = reply.model_dump_json()
        elif isinstance(reply, str):
            text = reply
        else:
            text = json.dumps(reply, ensure_ascii=False)
        if self._replies is None and self._always is None and schema is not None:
            text = _empty(schema)
        parsed = parse_as(text, schema)[0] if schema is not None else None
        words = sum(len(str(message.get("content", "")).split()) for message in messages)
        return Completion(
            text=text,
            parsed=parsed,
            usage=TokenUsage(input_tokens=words, output_tokens=len(text.split())),
            finish_reason=self._finish_reason,
        )


@lru_cache(maxsize=32)
def _empty(schema: type[BaseModel]) -> str:
    """Return the answer that says nothing: empty lists, empty texts."""
    blanks: dict[str, Any] = {
        "array": [],
        "string": "",
        "object": {},
        "integer": 0,
        "number": 0,
        "boolean": False,
    }
    properties = cast("dict[str, dict[str, Any]]", schema.model_json_schema().get("properties", {}))
    return json.dumps({name: blanks.get(str(spec.get("type"))) for name, spec in properties.items()})
