"""How many tokens a text takes, told from its letters alone."""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from typing import Final

_SHARES: Final = 6
"""Of a token, in which everything is counted."""

# Where scripts begin, and shares of a token that a character takes in the older vocabularies of today, which know
# fewer of them: accented Latin, Greek and Hebrew, Cyrillic, Arabic, Indic scripts, Thai, rarer ones, joiners, marks,
# CJK, rarest ones, emoji, rare CJK.
_SCRIPTS: Final = (
    (0x80, 3), (0x370, 6), (0x400, 4), (0x530, 6), (0x600, 5), (0x700, 8), (0xE00, 6), (0xE80, 11), (0x1200, 16),
    (0x13A0, 11), (0x1E00, 5), (0x200B, 12), (0x2010, 6), (0x2190, 9), (0x2E80, 8), (0xAC00, 7), (0xD7B0, 11),
    (0xF900, 8), (0x10000, 24), (0x1F000, 17), (0x20000, 23),
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
    return -(-_shares(text) // _SHARES)


def _shares(text: str) -> int:
    count = 0
    if not text.isascii():
        count += sum(_SCRIPTS[bisect_right(_FROM, ord(c)) - 1][1] for c in text if c > "\x7f")
        text = re.sub(r"[^\x00-\x7f]+", " ", text)
    for piece in _PIECE.findall(text):
        first = piece[0]
        if first.isalpha():
            count += max(_SHARES, _letters(piece))
        elif first.isdigit():
            count += math.ceil(len(piece) / 3) * _SHARES
        elif not piece.isspace() or first == "\n" or len(piece) > 1:
            count += _SHARES
    return count


def _letters(word: str) -> int:
    """Return the shares of a run of letters."""
    per_ten = 14 if len(word) > _LONG and word[1:].islower() else 10
    if len(word) > 3 and word.isupper():
        per_ten = 24
    return max(_SHARES, -(-len(word) * per_ten // 10))
