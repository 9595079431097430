"""Which memories a new one may contradict, told from words alone: no model and no embedding is asked.

Two texts about the same thing with different values share most of what they are about. Verbs of one attribute that
has one value at a time (where somebody lives, whom they work for) count as the same word.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Final

from memkit import MemoryItem
from memkit.ranking.text import stems_of, surface

LIMIT: Final = 2
_CANDIDATES: Final = 500
_LIKENESS: Final = 0.4
"""Cosine of the two bags of words from which one may contradict the other."""
_ATTRIBUTE_WEIGHT: Final = 4.0
"""Squared weight of an attribute, where a word has 1."""
_MAX_WORDS: Final = 40
_HEAD: Final = 4
"""Words in which a text says whom it is about."""

_ATTRIBUTES: Final[Mapping[str, str]] = {
    "residence": "live lives lived living reside resides dwell relocate relocated relocating",
    "employment": "work works worked working job employed employer employment occupation profession",
    "marriage": "married single divorced engaged widowed wed",
    "diet": "vegetarian vegan omnivore pescatarian",
}
_MOVED: Final = re.compile(
    r"\bmov(?:e|ed|es|ing) (?:back )?(?:to|into|from|out of|in with) "
    r"(?!\d|(?:mon|tues|wednes|thurs|fri|satur|sun)day|(?:january|february|march|april|june|july|august"
    r"|september|october|november|december)\b)",
    re.IGNORECASE,
)
# Whom it is about, and how somebody feels about it, say nothing of what it is about.
_NEUTRAL: Final = (
    "user users now currently today just recently really very like likes liked love loves prefer prefers hate hates "
    "enjoy enjoys dislike dislikes favourite favorite favourites favorites anymore longer still also always never only"
)
_OTHERS: Final = (
    "sister brother mother father mom mum dad wife husband partner son daughter child children friend boss colleague "
    "neighbour neighbor cousin aunt uncle grandmother grandfather girlfriend boyfriend roommate parents dog cat"
)


@cache
def _table() -> tuple[dict[str, str], frozenset[str], frozenset[str]]:
    attributes = {
        found: f"={name}" for name, words in _ATTRIBUTES.items() for found in stems_of(words.split())
    }
    return attributes, frozenset(stems_of(_NEUTRAL.split())), frozenset(stems_of(_OTHERS.split()))


def keys_of(text: str) -> set[str]:
    """Return what a text is about: its stems, those of an attribute as `=attribute`."""
    attributes, neutral, _ = _table()
    found = {
        attributes.get(root, root)
        for word in surface(text)[: 4 * _MAX_WORDS]
        if (root := _stem(word)) not in neutral and root
    }
    if _MOVED.search(text):
        found = (found - stems_of(["move"])) | {"=residence"}
    return found


def _stem(word: str) -> str:
    """Return the stem of a word; empty for a stop word."""
    return next(iter(stems_of([word])), "")


def related(texts: Iterable[str]) -> dict[str, Any] | None:
    """Return the filter of the memories that the texts may repeat or contradict, or None where no word says so."""
    words = sorted({word for text in texts for word in _words(text)})
    wanted = [{"memory": {"icontains": word}} for word in words]
    return {"OR": wanted} if wanted else None


def _words(text: str) -> list[str]:
    """Return the beginnings of words to look for in other memories, those of an attribute in all its shapes."""
    attributes, neutral, _ = _table()
    found: dict[str, None] = {}
    named = {key[1:] for key in keys_of(text) if key.startswith("=")}
    for word in surface(text)[:_MAX_WORDS]:
        root = _stem(word)
        if root and root not in neutral and root not in attributes:
            found[_shared_start(root, word)] = None
    for name in sorted(named):
        shapes = _ATTRIBUTES[name].split() + (["mov"] if name == "residence" else [])
        found |= dict.fromkeys(shapes)
    return list(found)


def _shared_start(root: str, word: str) -> str:
    """Return what a stem and the word it came from begin with: "happi" and "happy" are both found by "happ"."""
    same = 0
    while same < min(len(root), len(word)) and root[same] == word[same]:
        same += 1
    return word[:same] or word


def page_size() -> int:
    """Return how many memories are compared at most, the newest."""
    return _CANDIDATES


def may_contradict(text: str, items: Sequence[MemoryItem]) -> list[MemoryItem]:
    """Return at most two memories that say something else about what the text is about, the likest first."""
    mine, whose = keys_of(text), _subject(text)
    others = [item for item in items if item.memory != text and _subject(item.memory) == whose]
    scored = [(_likeness(mine, keys_of(item.memory)), item) for item in others]
    scored = [pair for pair in scored if pair[0] >= _LIKENESS]
    scored.sort(key=lambda pair: -pair[0])
    return [item for _, item in scored[:LIMIT]]


def _subject(text: str) -> set[str]:
    """Return which relative or other being a text is about; empty for the user."""
    return stems_of(surface(text)[:_HEAD]) & _table()[2]


def _likeness(one: set[str], other: set[str]) -> float:
    """Return the cosine of two bags of words."""
    if not one or not other:
        return 0.0
    return _weight(one & other) / math.sqrt(_weight(one) * _weight(other))


def _weight(keys: set[str]) -> float:
    return sum(_ATTRIBUTE_WEIGHT if key.startswith("=") else 1.0 for key in keys)
