"""A context as messages of the frameworks that agents are written in."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final

from .errors import InvalidInputError, MissingDependencyError

_ROLES: Final = ("system", "developer", "user")


def openai_messages(parts: Sequence[str], role: str) -> list[dict[str, Any]]:
    """Return one chat message per part.

    Raises:
        InvalidInputError: Nobody says a context in this role.
    """
    if role not in _ROLES:
        raise InvalidInputError(f"`role` must be one of {', '.join(_ROLES)}, not {role!r:.80}.", field="role")
    return [{"role": role, "content": part} for part in parts]


def anthropic_blocks(parts: Sequence[str], *, cached: int) -> list[dict[str, Any]]:
    """Return one text block per part; the prompt cache is told to keep the first `cached` of them."""
    blocks: list[dict[str, Any]] = [{"type": "text", "text": part} for part in parts]
    if cached:
        blocks[cached - 1]["cache_control"] = {"type": "ephemeral"}
    return blocks


def langchain_messages(parts: Sequence[str]) -> list[Any]:
    """Return one system message with a text block per part: some providers take only one."""
    messages = _module("langchain_core.messages", "langchain")
    blocks = [{"type": "text", "text": part} for part in parts]
    return [messages.SystemMessage(content=blocks)] if blocks else []


def llama_index_messages(parts: Sequence[str]) -> list[Any]:
    """Return one system message per part."""
    types = _module("llama_index.core.base.llms.types", "llama-index")
    return [types.ChatMessage(role=types.MessageRole.SYSTEM, content=part) for part in parts]


def _module(name: str, extra: str) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise MissingDependencyError("This format of a context", extra, name) from error
