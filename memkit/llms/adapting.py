"""What the adapters of frameworks share: which class an object is of, how JSON is asked for, and what went wrong."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from pydantic import BaseModel

from memkit.errors import (
    AuthenticationError,
    BackendError,
    BackendResponseError,
    BackendTimeoutError,
    BackendUnavailableError,
    RateLimitError,
)
from memkit.llms.base import ChatMessage
from memkit.llms.schemas import example_of

ENDINGS: Final[Mapping[str, str]] = {
    "end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "model_context_window_exceeded": "length",
    "tool_use": "tool_calls", "refusal": "content_filter",
}  # fmt: skip
"""Why an answer ended, as vendors say it and as memkit does."""
_SHAPE: Final = "Answer with one JSON object and nothing else, in the shape of this example: {example}"


def is_one_of(given: object, module: str, name: str) -> bool:
    """Return whether an object is an instance of a class of a module that is loaded; else it cannot be one."""
    kind = getattr(sys.modules.get(module), name, None)
    return isinstance(kind, type) and isinstance(given, kind)


def owner_of(given: object, method: str) -> type:
    """Return the class that a method of an object is defined in."""
    return next(kind for kind in type(given).__mro__ if method in vars(kind))


def asking_for(messages: Sequence[ChatMessage], schema: type[BaseModel] | None) -> list[ChatMessage]:
    """Return messages; with a schema, a system message says which JSON is wanted."""
    if schema is None:
        return list(messages)
    shape = _SHAPE.format(example=json.dumps(example_of(schema), ensure_ascii=False))
    first: ChatMessage = messages[0] if messages else {}
    if first.get("role") == "system" and isinstance(first.get("content"), str):
        return [{**first, "content": f"{first['content']}\n\n{shape}"}, *messages[1:]]
    return [{"role": "system", "content": shape}, *messages]


_NAMES: Final[Sequence[tuple[str, type[BackendError]]]] = (
    ("Authentication", AuthenticationError),
    ("PermissionDenied", AuthenticationError),
    ("ModelPermission", AuthenticationError),
    ("RateLimit", RateLimitError),
    ("Timeout", BackendTimeoutError),
    ("Connect", BackendUnavailableError),
)


_ADVICE: Final[Mapping[type[BackendError], str]] = {
    AuthenticationError: "Check its key.",
    RateLimitError: "Send fewer requests, or try later.",
    BackendTimeoutError: "Raise its timeout, or try later.",
    BackendUnavailableError: "Check that it can be reached, or try later.",
}


def translated_for(framework: str, error: Exception, name: str) -> BackendError:
    """Return an error of whatever vendor stands behind a framework's object as one of ours."""
    said = " ".join(str(error).split())[:300] or type(error).__name__
    kind = _kind_of(error)
    advice = _ADVICE.get(kind, f"Call the {framework} object directly to see it fail.")
    return kind(f"{name} failed ({type(error).__name__}): {said}. {advice}", backend=name)


def _kind_of(error: Exception) -> type[BackendError]:
    status = getattr(error, "status_code", None) or getattr(
        getattr(error, "response", None), "status_code", None
    )
    if isinstance(status, int):
        if status in (401, 403):
            return AuthenticationError
        if status == 429:
            return RateLimitError
        if status in (408, 409) or status >= 500:
            return BackendUnavailableError
        return BackendResponseError
    if isinstance(error, TimeoutError):
        return BackendTimeoutError
    for words, kind in _NAMES:
        if any(words in base.__name__ for base in type(error).__mro__):
            return kind
    return BackendUnavailableError if isinstance(error, OSError) else BackendResponseError
