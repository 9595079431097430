"""Fitting memories into a prompt: without repetition, and within a number of tokens."""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from memkit.ranking.vectors import Floats

TRADE: Final = 0.7
"""What relevance weighs against novelty in `diversify`."""

SHARES: Final = 6
"""Of a token, as `weigh` counts."""

# Where scripts begin, and shares of a token that a character takes in the older vocabularies of today, which know
# fewer of them: accented Latin, Greek and Hebrew, Cyrillic, Arabic, Indic scripts, Thai, rarer ones, marks, CJK, emoji.
_SCRIPTS: Final = (
    (0x80, 3), (0x370, 6), (0x400, 4), (0x530, 6), (0x600, 5), (0x700, 8), (0xE00, 6), (0xE80, 11), (0x1200, 16),
    (0x13A0, 11), (0x1E00, 5), (0x2010, 6), (0x2190, 9), (0x2E80, 8), (0xAC00, 7), (0xD7B0, 11), (0xF900, 8),
    (0x10000, 12),
)  # fmt: skip
_FROM = tuple(first for first, _ in _SCRIPTS)
_LONG: Final = 12
"""Letters from which a word is more often a rare one, or of another language than English."""
_PIECE = re.compile(r"[A-Za-z]+|\d+|[^\S\n]+|\n+|[^\sA-Za-z\d]", re.ASCII)


def estimate_tokens(text: str) -> int:
    """Return about how many tokens a language model reads a text as, rather too many than too few.

    Letters of words count a sixth, of long ones a quarter, of capitals two fifths, at least one a word; three
    digits one, a mark one; other scripts by what a character takes in the vocabulary of `cl100k_base`. `tokenizer.py`
    finds a table where one is on this machine.
    """
    return -(-weigh(text) // SHARES)


def weigh(text: str) -> int:
    """Return the estimated tokens of a text in shares, which add up: lines weigh what their text does."""
    if not text:
        return 0
    count = 0
    if not text.isascii():
        count += sum(_SCRIPTS[bisect_right(_FROM, ord(c)) - 1][1] for c in text if c > "\x7f")
        text = re.sub(r"[^\x00-\x7f]+", " ", text)
    for piece in _PIECE.findall(text):
        first = piece[0]
        if first.isalpha():
            count += max(SHARES, _letters(piece))
        elif first.isdigit():
            count += math.ceil(len(piece) / 3) * SHARES
        elif not piece.isspace() or first == "\n" or len(piece) > 1:
            count += SHARES
    return count


def _letters(word: str) -> int:
    """Return the shares of a run of letters."""
    per_ten = 14 if len(word) > _LONG and word[1:].islower() else 10
    if len(word) > 3 and word.isupper():
        per_ten = 24
    return max(SHARES, -(-len(word) * per_ten // 10))


def diversify(
    scores: Sequence[float], vectors: Floats | None, limit: int, *, trade: float = TRADE
) -> list[int]:
    """Return the places of at most `limit` memories, relevant ones first, near copies of chosen ones last.

    Maximal marginal relevance (Carbonell and Goldstein, 1998) over scores scaled to 0..1. Without vectors the order is
    that of the scores. Measured, it does not raise recall; it saves the tokens of saying one thing twice.

    Args:
        scores: Higher is better; in any order.
        vectors: Unit rows [len(scores), dim], or None.
        limit: How many to choose.
        trade: 1 looks at relevance alone, 0 at novelty alone.
    """
    order = sorted(range(len(scores)), key=lambda i: (-scores[i], i))
    if vectors is None or len(order) <= 1:
        return order[: max(0, limit)]
    import numpy as np  # counting tokens needs none of it

    worth = np.asarray(scores, np.float64)
    worth = (worth - worth.min()) / ((worth.max() - worth.min()) or 1.0)
    rows = np.nan_to_num(vectors)
    nearest = np.zeros(len(order))
    left = np.ones(len(order), np.bool_)
    chosen: list[int] = []
    while len(chosen) < min(limit, len(order)):
        value = np.where(left, trade * worth - (1 - trade) * nearest, -np.inf)
        best = int(np.flatnonzero(value == value.max())[0])
        chosen.append(best)
        left[best] = False
        nearest = np.maximum(nearest, rows @ rows[best])
    return chosen


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """What fits a budget.

    Attributes:
        places: Places of the texts that fit, in the order given.
        tokens: What they take together.
        left_out: How many did not fit.
    """

    places: tuple[int, ...]
    tokens: int
    left_out: int


def pack(
    texts: Sequence[str],
    max_tokens: int,
    *,
    overhead: int = 0,
    count: Callable[[str], int] = estimate_tokens,
) -> Packed:
    """Take texts in order while they fit; one that is too long is passed over, so that shorter ones still come in.

    Never over `max_tokens`, by the given counter.

    Args:
        texts: Best first.
        max_tokens: The budget.
        overhead: Tokens each text costs besides its own: line break, date, id.
        count: Tokens of a text.
    """
    places: list[int] = []
    used = 0
    for place, text in enumerate(texts):
        cost = count(text) + overhead
        if used + cost <= max_tokens:
            places.append(place)
            used += cost
    return Packed(places=tuple(places), tokens=used, left_out=len(texts) - len(places))
