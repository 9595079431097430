"""What texts without spaces deny: Chinese and Japanese put it behind the verb, or before it, in the same clause."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from memkit.extraction.opposites import unspaced_opposites
from memkit.extraction.scopes import Stance
from memkit.extraction.words import NEGATION_SHAPES

_UNSPACED_CLAUSE: Final = re.compile(
    r"(?<=ではなく)|(?<=じゃなく)|[,.!?。，、！？；…]+|(?:(?<=です)|(?<=ます)|(?<=ません)|(?<=[だたる]))(?:が|けど|ので|から|し)|但是|但|不过|而是|而且|因为"
)
_SIGN: Final = re.compile("[\u30a1-\u30fa\u3400-\u9fff]")
_OF_TIME: Final = "今前昔朝昼夜"
"""What sets clauses about one thing apart."""
_UNSPACED_NEGATED: Final = re.compile(r".{0,5}?(?:ない|なかっ|ません|ずに|なく)")


def unspaced_stance(text: str, near: str) -> Stance | None:
    """Return the same where words are not set apart."""
    found: Stance | None = None
    parts = [part for part in _UNSPACED_CLAUSE.split(near) if part]
    for one, other in unspaced_opposites():
        mine = _unspaced_side(text, one, other)
        if not mine:
            continue
        sides = [(part, side) for part in parts if (side := _unspaced_side(part, one, other))]
        if not sides:
            continue
        matter = set("".join((*one, *other)))
        signs = set(_SIGN.findall(text)) - matter
        scores = [len(signs.intersection(part)) for part, _ in sides]
        if any(side == mine and score == max(scores) for (_, side), score in zip(sides, scores, strict=True)):
            found = "agrees"
        else:
            return "turns"
    return found


def _unspaced_side(text: str, one: Sequence[str], other: Sequence[str]) -> int:
    """Return 1 or -1 for the side of a matter that a text is on, 0 for none or both."""
    rest = text
    sides: set[int] = set()
    for words, side in ((other, -1), (one, 1)):
        for word in words:
            at = rest.find(word)
            if at < 0:
                continue
            after = rest[at + len(word) :]
            before = rest[max(0, at - 2) : at]
            denied = _UNSPACED_NEGATED.match(after) is not None or before[-1:] in ("不", "没", "沒", "未")
            sides.add(-side if denied else side)
            rest = rest.replace(word, " " * len(word))
    return sides.pop() if len(sides) == 1 else 0


def unspaced_denial(text: str, near: str, *, says_no: bool) -> Stance | None:
    """Return whether a text denies what a clause of a message denies, and affirms what another affirms.

    What counts are the signs that only clauses of one kind have; where there are as many of both, the last of them.
    """
    parts = [
        (part, NEGATION_SHAPES.search(part) is not None) for part in _UNSPACED_CLAUSE.split(near) if part
    ]
    kinds = {denied for _, denied in parts}
    if kinds != {True, False}:
        return None
    by_kind = {
        kind: set(_SIGN.findall("".join(part for part, denied in parts if denied is kind))) for kind in kinds
    }
    told = text.partition("は")[2] or text  # whom it is about is nothing that is denied
    found = [
        sign in by_kind[True]
        for sign in _SIGN.findall(told)
        if (sign in by_kind[True]) is not (sign in by_kind[False])
    ]
    if not found:
        return None
    found = [
        sign in by_kind[True]
        for sign in _OF_TIME
        if sign in text and (sign in by_kind[True]) is not (sign in by_kind[False])
    ] or found
    denied = sum(found)
    kind = found[-1] if denied * 2 == len(found) else denied * 2 > len(found)
    return "agrees" if kind is says_no else "turns"
