"""What a language model must offer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from pydantic import BaseModel

ChatMessage = Mapping[str, Any]
"""An OpenAI-style message: `role` and `content` (a text, or a list of text and image blocks)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenUsage:
    """Tokens that the vendor counted."""

    input_tokens: int = 0
    """All of the input, those of a prompt cache included."""
    output_tokens: int = 0
    cache_read_tokens: int = 0
    """Of the input: what came out of the prompt cache."""
    cache_write_tokens: int = 0
    """Of the input: what went into it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A tool that the model wants called."""

    id: str
    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What a model answered."""

    text: str
    parsed: BaseModel | None = None
    """The answer as the given schema; None where no schema was given or the text does not fit it."""
    tool_calls: Sequence[ToolCall] = ()
    usage: TokenUsage = field(default_factory=TokenUsage)
    finish_reason: str | None = None
    """`stop`, `length` (cut off), `tool_calls`, `content_filter` or None."""


@runtime_checkable
class LLM(Protocol):
    """Answers messages, by a schema where one is given.

    An optional `async def agenerate(...)` of the same signature is used by `AsyncMemory`.
    An optional attribute `vision: bool` says whether images can be sent.
    """

    @property
    def name(self) -> str:
        """Provider and model, for messages: `openai/gpt-...`."""
        ...

    def generate(
        self,
        messages: Sequence[ChatMessage],
        *,
        schema: type[BaseModel] | None = None,
        tools: Sequence[Mapping[str, Any]] | None = None,
    ) -> Completion:
        """Answer.

        Raises:
            AuthenticationError: The key was refused.
            RateLimitError: Too many requests, after retries.
            BackendTimeoutError: No answer in time, after retries.
            BackendUnavailableError: Not reachable or failing, after retries.
            BackendResponseError: An answer that is not of the wire format.
        """
        ...
