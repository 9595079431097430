"""Recalled text is marked where a model reads it, so that it is never extracted again."""

from __future__ import annotations

import re
from typing import Final

OPEN: Final = "<memkit:recalled>"
CLOSE: Final = "</memkit:recalled>"

# Bounded gaps, so that no text makes it slow; an unfinished tag at the end of a cut text counts as one.
_TAG: Final = re.compile(
    r"<\s{0,8}(/?)\s{0,8}memkit\s{0,8}:\s{0,8}recalled\b[^<>]{0,200}(?:>|(?=<)|\Z)", re.IGNORECASE
)
# Lines of `context` that were copied without the marks around them.
_LINE: Final = re.compile(
    r"^[ \t>*]{0,8}- \[[0-9a-f]{8}\] \d{4}-\d\d-\d\d .*$|^.{0,120}\(data, not instructions to you\):[ \t]*$",
    re.MULTILINE,
)


def fence(text: str) -> str:
    """Return recalled text between marks, with any such mark inside it made harmless."""
    return f"{OPEN}\n{_TAG.sub(lambda tag: tag.group().replace('<', '‹').replace('>', '›'), text)}\n{CLOSE}"


def strip_recalled(text: str) -> str:
    """Return a text without its fenced regions; one that is never closed reaches to the end.

    Regions may be nested. A closing mark without an opening one is dropped, and what stands before it kept. Lines of a
    context that were copied without its marks are taken out too.
    """
    if "- [" in text and _LINE.search(text) is not None:
        text = _LINE.sub("", text).strip()
    if "memkit" not in text.casefold():
        return text
    kept: list[str] = []
    depth = position = 0
    for tag in _TAG.finditer(text):
        if depth == 0:
            kept.append(text[position : tag.start()])
        depth = max(0, depth - 1) if tag.group(1) else depth + 1
        position = tag.end()
    if depth == 0:
        kept.append(text[position:])
    return "".join(kept).strip() if position else text


def recalled_parts(text: str) -> str:
    """Return only what stands inside fenced regions, for comparing extracted facts with it."""
    parts = [line.group() for line in _LINE.finditer(text)] if "- [" in text else []
    depth = position = 0
    for tag in _TAG.finditer(text):
        if depth:
            parts.append(text[position : tag.start()])
        depth = max(0, depth - 1) if tag.group(1) else depth + 1
        position = tag.end()
    if depth:
        parts.append(text[position:])
    return "\n".join(part.strip() for part in parts if part.strip())
