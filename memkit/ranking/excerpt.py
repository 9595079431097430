"""The part of a long text that a question needs, within a number of tokens."""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from memkit.ranking.sentences import lines, split
from memkit.ranking.text import tokens

GAP: Final = "…"
LOOKED_AT: Final = 4_000
"""Characters of a text that are looked through."""

_CLAUSE: Final = re.compile(r"[,;:–—]\s+|\s+[-–—]\s+|[、，；：]")
_LONG: Final = 120
"""Characters from which a sentence is taken clause by clause."""
_CHOSEN: Final = 12
"""Pieces of a text that may come into its excerpt."""
_SPREAD: Final = 80
"""Characters that every piece counts as longer: a name in a greeting tells little."""
_NEVER: Final = re.compile(r"(?!)")


class Terms:
    """The words of a question, each weighed by how few of some texts hold it.

    A word counts where a text holds one that begins as its stem does: stemming every text again would take longer than
    finding it did.
    """

    def __init__(self, query: str, texts: Iterable[str] = ()) -> None:
        beginnings = {stem[:-1] if stem.isascii() and len(stem) > 4 else stem for stem in tokens(query)}
        ordered = sorted(beginnings, key=lambda word: (-len(word), word))
        found = "|".join((r"\b" if word.isascii() else "") + re.escape(word) for word in ordered)
        self._pattern = re.compile(found) if found else _NEVER
        df = dict.fromkeys(ordered, 0)
        count = 0
        for text in texts:
            count += 1
            for word in set(self._pattern.findall(text[:LOOKED_AT].lower())):
                df[word] += 1
        self._weights = {word: math.log(1 + (count - n + 0.5) / (n + 0.5)) for word, n in df.items()}

    def worth(self, text: str) -> float:
        """Return what a piece of text tells of the question, for its length."""
        found = set(self._pattern.findall(text.lower()))
        return sum(self._weights[word] for word in found) / math.sqrt(_SPREAD + len(text)) if found else 0.0


@dataclass(frozen=True, slots=True)
class _Pieces:
    texts: list[str]
    cut: bool
    """Whether the text goes on after them."""

    def joined(self, places: Sequence[int]) -> str:
        """Return pieces in their order, `…` where something is left out."""
        out: list[str] = []
        last = -1
        for place in places:
            if place != last + 1:
                out.append(GAP)
            out.append(self.texts[place])
            last = place
        if self.cut or last != len(self.texts) - 1:
            out.append(GAP)
        return " ".join(out)


def excerpt(text: str, terms: Terms, room: int, count: Callable[[str], int], start: int | None = None) -> str:
    """Return what fits of a text in its own order: what answers best before all else, `…` where something is left out.

    Args:
        text: Anything; it comes back with single blanks.
        terms: The question.
        room: Tokens.
        count: Tokens of a text.
        start: Where the telling part begins, where that is known; the text is one sentence then.
    """
    pieces = _pieces(text)
    worth = [terms.worth(piece) for piece in pieces.texts]
    if not worth:
        return ""
    if start is None:
        best = max(range(len(worth)), key=lambda n: (worth[n], -n))
        others = sorted(range(len(worth)), key=lambda n: (-worth[n] - 0.1 / (1 + abs(n - best)), n))
    else:
        best = _place_of(pieces.texts, start)
        others = sorted(range(len(worth)), key=lambda n: (n < best, abs(n - best)))
    chosen = [best]
    if count(pieces.joined(chosen)) > room:
        return _cut(pieces, best, terms, room, count)
    for place in others[: _CHOSEN + 1]:
        if place != best and count(pieces.joined(sorted([*chosen, place]))) <= room:
            chosen.append(place)
        elif place != best and start is not None:
            break
    return pieces.joined(sorted(chosen))


def _pieces(text: str) -> _Pieces:
    looked_at = text[:LOOKED_AT]
    said = [" ".join(line.split()) for line in lines(looked_at)] or [" ".join(looked_at.split())]
    texts = [
        piece
        for line in said
        for sentence in split(line)
        for piece in (_clauses(sentence) if len(sentence) > _LONG else [sentence])
    ]
    return _Pieces(texts, len(looked_at) < len(text) or "```" in text)


def _clauses(sentence: str) -> list[str]:
    clauses: list[str] = []
    start = 0
    for mark in _CLAUSE.finditer(sentence):
        if mark.end() - start >= _LONG // 3 and len(sentence) - mark.end() >= _LONG // 6:
            clauses.append(sentence[start : mark.end()].strip())
            start = mark.end()
    clauses.append(sentence[start:].strip())
    return clauses


def _place_of(pieces: Sequence[str], start: int) -> int:
    """Return the piece that holds a position of the text."""
    ends: list[int] = []
    for piece in pieces:
        ends.append(len(piece) + 1 + (ends[-1] if ends else 0))
    return min(bisect_right(ends, start), len(pieces) - 1)


def _cut(pieces: _Pieces, place: int, terms: Terms, room: int, count: Callable[[str], int]) -> str:
    """Return the words of a piece that fit, around the one that tells most."""
    piece = pieces.texts[place]
    before = [GAP] if place else []
    after = [GAP] if pieces.cut or place != len(pieces.texts) - 1 else []
    words = piece.split()
    if len(words) < 4:  # a script without blanks, or one endless word
        return _cut_characters(piece, room, count)
    told = [terms.worth(word) for word in words]
    low = high = max(range(len(words)), key=lambda n: (told[n], -n)) if any(told) else 0
    made = ""
    while True:
        left = [GAP] if low else before
        right = [GAP] if high < len(words) - 1 else after
        wider = " ".join([*left, *words[low : high + 1], *right])
        if count(wider) > room:
            return made
        made = wider
        if low == 0 and high == len(words) - 1:
            return made
        if high == len(words) - 1 or (low > 0 and high - low >= 6):
            low -= 1
        else:
            high += 1


def _cut_characters(piece: str, room: int, count: Callable[[str], int]) -> str:
    low, high = 0, len(piece)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if count(piece[:middle] + GAP) <= room else (low, middle - 1)
    return piece[:low] + GAP if low else ""
