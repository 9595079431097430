"""Fitting memories into a prompt: without repetition, and within a number of tokens."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from memkit.ranking.vectors import Floats

TRADE: Final = 0.7
"""What relevance weighs against novelty in `diversify`."""

SHARES: Final = 6
"""Of a token, as `weigh` counts."""

# Han, kana and Hangul: about one token a character in today's vocabularies.
_IDEOGRAPH = re.compile(
    r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]"
)
_PIECE = re.compile(r"[A-Za-z]+|\d+|[^\S\n]+|\n+|[^\sA-Za-z\d]", re.ASCII)


def estimate_tokens(text: str) -> int:
    """Return about how many tokens a language model reads a text as, rather too many than too few.

    Letters of English words count a quarter each and at least one a word, three digits one, a mark one, a Chinese,
    Japanese or Korean character one, other scripts a token for two characters. No tokenizer is loaded: their tables
    are fetched from the network. Pass a counter of your own where the exact number matters.
    """
    return -(-weigh(text) // SHARES)


def weigh(text: str) -> int:
    """Return the estimated tokens of a text in shares, which add up: lines weigh what their text does."""
    if not text:
        return 0
    count = 0
    if not text.isascii():
        wide = len(_IDEOGRAPH.findall(text))
        other = sum(not c.isascii() for c in text) - wide
        count += wide * SHARES + other * (SHARES // 2)
        text = re.sub(r"[^\x00-\x7f]+", " ", text)
    for piece in _PIECE.findall(text):
        first = piece[0]
        if first.isalpha():
            count += max(SHARES, len(piece) * (SHARES // 6))
        elif first.isdigit():
            count += math.ceil(len(piece) / 3) * SHARES
        elif not piece.isspace() or first == "\n" or len(piece) > 1:
            count += SHARES
    return count


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
