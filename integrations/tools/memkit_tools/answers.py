"""What a tool returns: lean text for the model, JSON for the program, whole memories for who wants more."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from memkit import MemoryItem
from memkit.extraction.marks import fence
from memkit.ranking.token_estimate import estimate_tokens

SHORT_ID: Final = 6
"""Characters of an id as a model sees it."""
LONGER_ID: Final = 12
"""Characters where two memories on show begin alike."""
CONFLICT_TOKENS: Final = 60
"""What an answer that names possible contradictions may cost."""


_PIECES: Final = re.compile(r"[A-Za-z]+|[0-9]{1,3}|[^\W\d_a-zA-Z]|[^\s]")
_COMMON: Final = 9
"""Letters of a word that may be one token."""
_SLACK: Final = 4
"""Tokens that ids may cost beyond their pieces."""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The answer to one tool call."""

    text: str
    """For the model; what was recalled is fenced as data."""
    data: dict[str, Any]
    """The same as JSON values."""
    is_error: bool = False
    """Whether the call was refused or failed; then nothing was changed."""
    memories: tuple[MemoryItem, ...] = field(default=(), repr=False, compare=False)
    """The memories that the answer is about, whole, with their full ids."""


class RefusedError(Exception):
    """A call that the model has to make differently."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def refusal(code: str, message: str) -> ToolResult:
    """Return the answer to a call that changed nothing."""
    return ToolResult(message, {"error": code, "message": message}, is_error=True)


def clip(value: object, length: int = 40) -> str:
    """Return what a model wrote, short enough to repeat, on one line, and nothing like a fence."""
    words = " ".join(str(value)[: 4 * length].split()).replace("<", "‹").replace(">", "›")
    return words if len(words) <= length else words[: length - 1] + "…"


def one_line(text: str) -> str:
    """Return a text on one line: a line break in it would look like another memory."""
    return " ".join(text.split())


def day(item: MemoryItem) -> str:
    """Return since when a memory is true, as an ISO 8601 date."""
    return f"{item.valid_from:%Y-%m-%d}"


def short_ids(items: Sequence[MemoryItem]) -> list[str]:
    """Return the ids as a model sees them, told apart from each other."""
    heads = [item.id[:SHORT_ID] for item in items]
    return [
        item.id[: LONGER_ID if heads.count(head) > 1 else SHORT_ID]
        for item, head in zip(items, heads, strict=True)
    ]


def listing(items: Sequence[MemoryItem]) -> str:
    """Return memories as fenced `[id] text (YYYYMMDD)` lines.

    The date has no hyphens, which would cost three tokens of each line's fifteen.
    """
    lines = [
        f"[{short}] {one_line(item.memory)} ({item.valid_from:%Y%m%d})"
        for short, item in zip(short_ids(items), items, strict=True)
    ]
    return fence("\n".join(lines))


def rows(items: Sequence[MemoryItem]) -> list[dict[str, Any]]:
    """Return memories as JSON rows of id, text, date and, where there is one, score."""
    return [
        {"id": short, "memory": item.memory, "date": day(item)}
        | ({} if item.score is None else {"score": round(item.score, 3)})
        for short, item in zip(short_ids(items), items, strict=True)
    ]


def contradictions(said: str, items: Sequence[MemoryItem]) -> str:
    """Return what was said and the memories that it may contradict, in at most `CONFLICT_TOKENS` in all.

    Long memories are cut; the ids stay.
    """
    words = [item.memory.split() for item in items]
    for length in range(24, -1, -1):
        lines = [
            f"[{short}] {' '.join(text[:length])}{'…' if len(text) > length else ''}"
            for short, text in zip(short_ids(items), words, strict=True)
        ]
        answer = f"{said} May contradict:\n{fence(chr(10).join(lines))}"
        if max(estimate_tokens(answer), _at_worst(answer)) <= CONFLICT_TOKENS:
            return answer
    return said


def _at_worst(text: str) -> float:
    """Return about how many tokens rare words cost; an estimate by length takes all words for common ones."""
    pieces = _PIECES.findall(text)
    return _SLACK + sum(_cost(piece) for piece in pieces)


def _cost(piece: str) -> float:
    if piece.isascii():
        return 1 if len(piece) <= _COMMON else len(piece) / 2
    if piece >= "\U00010000" or piece in "\u200d\ufe0f":  # emoji, and what joins them
        return 3
    return 1 if not piece.isalnum() or piece >= "\u2e80" else 0.5  # one of CJK; of other alphabets
