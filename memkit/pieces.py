"""Long texts in pieces, cut where a reader would."""

from __future__ import annotations

import re
from typing import Final

_BREAKS: Final = (
    re.compile(r"\n\s*\n"),
    re.compile(r"\n"),
    re.compile(r"(?<=[.!?。！？…])[\"'»”)]?(?:\s+|(?<=[。！？]))"),
    re.compile(r"\s+"),
)


def split(text: str, limit: int) -> list[str]:
    """Return a text in pieces of at most `limit` characters, cut at paragraphs, lines, sentences or words."""
    pieces: list[str] = []
    start = 0
    while len(text) - start > limit:
        end = _cut(text, start + limit // 2, start + limit)
        pieces.append(text[start:end])
        start = end
    pieces.append(text[start:])
    return [piece for piece in pieces if piece.strip()]


def _cut(text: str, low: int, high: int) -> int:
    for pattern in _BREAKS:
        ends = [match.end() for match in pattern.finditer(text, low, high)]
        if ends:
            return ends[-1]
    return high
