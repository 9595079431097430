"""Sentences of a text, code left out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

_END: Final = re.compile(r"(?<![.!?…])[.!?…]++[\"'”’)]*\s+(?=[^a-z\s])|[。！？]+[」』”]*")
_MARK: Final = re.compile(r"^(?:[-*•>#|]+|\d{1,2}[.)])\s+")
_FENCE: Final = "```"


def lines(text: str) -> Iterator[str]:
    """Yield the lines of a text that hold words, code between fences left out, marks of lists and quotes too."""
    code = False
    for line in text.splitlines():
        plain = line.strip()
        if _FENCE in plain:
            before, _, after = plain.partition(_FENCE)
            plain = "" if code else before.strip()
            code = not code if _FENCE not in after else code
        elif code:
            continue
        if plain := _MARK.sub("", plain):
            yield plain


def split(line: str) -> list[str]:
    """Return the sentences of a line."""
    found: list[str] = []
    start = 0
    for end in _END.finditer(line):
        found.append(line[start : end.end()].strip())
        start = end.end()
    found.append(line[start:].strip())
    return [sentence for sentence in found if sentence]


def sentences(text: str) -> list[str]:
    """Return the sentences of a text in order."""
    return [sentence for line in lines(text) for sentence in split(line)]
