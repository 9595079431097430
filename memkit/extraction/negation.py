"""Whether a text denies something: by a negation, or by a word that says no without one."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from memkit.extraction.text import keys, language, ordered_keys, tokens
from memkit.extraction.words import (
    ANY_NEGATION,
    FAILED,
    FUNCTION_WORDS,
    LEXICAL_NEGATIONS,
    NEGATION_SHAPES,
    NEGATIONS,
    NOT_NEGATION,
)

_UNAPOSTROPHED: Final = frozenset("dont doesnt didnt cant wont isnt wasnt havent hasnt arent".split())
_CONTRACTED: Final = re.compile(rf"n't\b|\b(?:{'|'.join(sorted(_UNAPOSTROPHED))}|n')\b|\bn'")
_TURKISH: Final = re.compile(r"\b\w+m[iu]yor\w*|\b\w{2,}m[ae]z(?:lar|ler|sin)?\b|\b\w{2,}m[ae]di\w*\b")
UNSPACED: Final = re.compile("[\u3040-\u30ff\u3400-\u9fff\u0e00-\u0e7f\uac00-\ud7af]")
_EVERY_NEGATION: Final = frozenset[str]().union(*NEGATIONS.values())
_TURKISH_ENDINGS: Final = ("degil", "miyor", "muyor", "maz", "mez", "madi", "medi")


def may_negate(folded: str) -> bool:
    """Return False only where neither a text nor a part of it negates: one look at plain letters spares many."""
    return (
        not folded.isascii()
        or not _EVERY_NEGATION.isdisjoint(keys(folded))
        or "n'" in folded
        or not _UNAPOSTROPHED.isdisjoint(keys(folded))
        or not FAILED.isdisjoint(keys(folded))
        or any(ending in folded for ending in _TURKISH_ENDINGS)
    )


@lru_cache(maxsize=128)
def negative(folded: str, *, hint: str | None = None) -> bool:
    """Return whether a folded text negates something.

    Args:
        folded: The text.
        hint: Its language, where the text is too short to tell.
    """
    if not may_negate(folded):
        return False
    text = NOT_NEGATION.sub(" ", folded)
    words = keys(text)
    spoken = language(words) or hint
    known = NEGATIONS.get(spoken, ANY_NEGATION) if spoken else ANY_NEGATION
    if words & known or _CONTRACTED.search(text) or NEGATION_SHAPES.search(text):
        return True
    return spoken == "tr" and _TURKISH.search(text) is not None


@lru_cache(maxsize=16)
def _beginnings(roots: tuple[str, ...], size: int) -> dict[str, tuple[str, ...]]:
    """Return roots by their first letters; no root in ASCII is shorter than three."""
    found: dict[str, list[str]] = {}
    for root in roots:
        found.setdefault(root[:size], []).append(root)
    return {first: tuple(same) for first, same in found.items()}


@lru_cache(maxsize=128)
def _starts(folded: str) -> frozenset[str]:
    """Return the first letters of the words of a text in ASCII, as many as `_beginnings` looks at."""
    return frozenset([key[:3] for key in keys(folded)])


@lru_cache(maxsize=128)
def lexical(folded: str, roots: tuple[str, ...] = LEXICAL_NEGATIONS) -> frozenset[str]:
    """Return the roots that words of a text begin with."""
    size = 3 if folded.isascii() else 1
    beginnings = _beginnings(roots, size)
    if size == 3 and beginnings.keys().isdisjoint(_starts(folded)):
        return frozenset()
    words = [
        key for key in keys(folded) if key[:size] in beginnings and key.startswith(beginnings[key[:size]])
    ]
    unspaced = not folded.isascii() and UNSPACED.search(folded) is not None
    if not words and not unspaced:
        return frozenset()
    return frozenset(
        root
        for root in roots
        if (unspaced and UNSPACED.match(root) and root in folded)
        or any(word.startswith(root) and _is_form(word, root) for word in words)
    )


_SHORT_ROOTS: Final = frozenset(
    "quit stop sold lost fail lack hass gave given fired ended single except statt left".split()
)
"""Other words begin like them too: Quito, soldier, exceptional, and what takes place in German."""
_ENDINGS: Final = re.compile(r"(?:s|es|ed|ing|ped|ping|ting|ure|ures|e|en|t|te|ten)?")


def _is_form(word: str, root: str) -> bool:
    return root not in _SHORT_ROOTS or _ENDINGS.fullmatch(word, len(root)) is not None


_STUB: Final = re.compile(r"\b[a-z]+n't\b")
"""It leaves a word that is none behind: "don", "isn"."""
_SAYS_NOTHING: Final = FUNCTION_WORDS | ANY_NEGATION


@lru_cache(maxsize=128)
def content(folded: str) -> tuple[str, ...]:
    """Return the words that carry meaning; pairs of characters where words are not set apart."""
    folded = _STUB.sub(" ", folded)
    if folded.isascii():
        return tuple(key for key in ordered_keys(folded) if len(key) > 1 and key not in _SAYS_NOTHING)
    out: list[str] = []
    for token in tokens(folded):
        if token.unspaced:
            out.extend(pairs(token.key))
        elif len(token.key) > 1 and token.key not in _SAYS_NOTHING:
            out.append(token.key)
    return tuple(out)


def pairs(run: str) -> list[str]:
    """Return the pairs of neighbouring characters."""
    return [run[at : at + 2] for at in range(len(run) - 1)] or [run]
