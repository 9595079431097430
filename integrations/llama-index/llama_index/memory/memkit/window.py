"""The part of a history that fits a number of tokens: whole turns, from a user's message to the answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Final

from llama_index.core.base.llms.types import (
    AudioBlock,
    ChatMessage,
    CitableBlock,
    CitationBlock,
    DocumentBlock,
    ImageBlock,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
    VideoBlock,
)

from .turns import Part, parts_of

Tokenizer = Callable[[str], Sequence[Any]]

# What the native `Memory` takes for them.
_MEDIA: Final = 256
_DOCUMENT: Final = 2048
_PER_MESSAGE: Final = 4
"""Role and separators."""


def count_tokens(message: ChatMessage, tokenizer: Tokenizer) -> int:
    """Return about how many tokens a model reads a message as; calls of tools and thoughts count like any text."""
    counts = [_count(block, tokenizer) for block in message.blocks]
    # Older integrations keep the calls here; what else is here no model reads.
    calls = message.additional_kwargs.get("tool_calls") or message.additional_kwargs.get("function_call")
    return _PER_MESSAGE + sum(counts) + (len(tokenizer(_text(calls))) if calls else 0)


def window_start(messages: Sequence[ChatMessage], counts: Sequence[int], limit: int) -> int:
    """Return where the longest end of a history begins that fits the limit and is made of whole turns.

    A turn begins with a user's message. The newest one is kept whole even where it does not fit.
    """
    if sum(counts) <= limit:
        return 0
    parts = parts_of(messages)
    starts = [place for place, part in enumerate(parts) if part is Part.USER and _begins(parts, place)]
    # Nobody said anything: no call may be parted from its results.
    starts = starts or [place for place, part in enumerate(parts) if part is Part.ANSWER]
    if not starts:
        return 0
    return next((place for place in starts if sum(counts[place:]) <= limit), starts[-1])


def _begins(parts: Sequence[Part], place: int) -> bool:
    """Return whether a turn begins here: of several messages in a row the first one does."""
    return place == 0 or parts[place - 1] is not Part.USER


def _count(block: object, tokenizer: Tokenizer) -> int:
    match block:
        case TextBlock():
            return len(tokenizer(block.text))
        case ThinkingBlock():
            return len(tokenizer(block.content or ""))
        case ToolCallBlock():
            return len(tokenizer(f"{block.tool_name} {_text(block.tool_kwargs)}"))
        case CitableBlock():
            return sum(_count(inner, tokenizer) for inner in block.content)
        case CitationBlock():
            return _count(block.cited_content, tokenizer)
        case ImageBlock() | AudioBlock() | VideoBlock():
            return _MEDIA
        case DocumentBlock():
            return _DOCUMENT
        case _:
            return 0


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
