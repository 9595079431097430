"""Texts, owners, queries and vectors: the same for every system, from numbers alone. Runs in peers' environments too.

numpy is imported late: what a system imports by itself is part of its start.
"""

from __future__ import annotations

import random
import re
from functools import cache
from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

if TYPE_CHECKING:
    import numpy as np

DIM: Final = 384
FACTS: Final = 5
"""Facts that the model finds in every conversation."""
AGENT: Final = "bench"
"""Every memory of a peer has it: the scope that matches everything."""

_ROWS: Final = 4096
_WORD: Final = re.compile(r"[a-z0-9]+")
_NUMBER: Final = re.compile(r"#(\d+)")
_SYLLABLES: Final = [a + b for a in "bcdfglmnprstv" for b in ("a", "e", "i", "o", "u", "an", "or")]
_RANDOM: Final = random.Random(7)
_PLACES: Final = ("near", "every", "because", "of")


def _words(count: int, syllables: int) -> list[str]:
    found: set[str] = set()
    while len(found) < count:
        found.add("".join(_RANDOM.choices(_SYLLABLES, k=syllables)))
    return sorted(found)


_PEOPLE, _VERBS, _THINGS = _words(211, 4), _words(43, 3), _words(509, 4)
_TOWNS, _DAYS, _REASONS, _ADVERBS = _words(97, 4), _words(61, 3), _words(307, 5), _words(151, 5)


def _picked(number: int) -> tuple[str, str, str, str, str, str, str]:
    mixed = (number + 1) * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF
    mixed = (mixed ^ mixed >> 29) * 0xBF58476D1CE4E5B9 & 0xFFFFFFFFFFFFFFFF
    mixed ^= mixed >> 32
    words: list[str] = []
    for vocabulary in (_PEOPLE, _VERBS, _THINGS, _TOWNS, _DAYS, _REASONS, _ADVERBS):
        mixed, place = divmod(mixed, len(vocabulary))
        words.append(vocabulary[place])
    return words[0], words[1], words[2], words[3], words[4], words[5], words[6]


def text(number: int) -> str:
    """Return the text of a memory: about 110 characters, rare words and frequent ones."""
    who, verb, thing, town, day, reason, how = _picked(number)
    what = f"{who.capitalize()} {how} {verb} the {thing} near {town} every {day}"
    return f"{what} because of {reason} and {how} #{number}"


def number_of(content: str) -> int:
    """Return which memory a text is; -1 when it is none of ours."""
    found = _NUMBER.search(content)
    return int(found.group(1)) if found else -1


def owner(number: int, owners: int) -> str:
    """Return whose memory it is; every owner has as many."""
    return f"user-{number % owners}"


def query(number: int) -> str:
    """Return a question whose words a memory has, the frequent ones among them."""
    who, verb, thing, town, day, _, _ = _picked(number)
    return f"what does {who} {verb} every {day} near {town}, the {thing}?"


def wordless(number: int) -> str:
    """Return a query that shares no word with any memory, so that vectors alone rank."""
    return f"xq{number}zw"


@cache
def table() -> np.ndarray:
    """Return one row for each word's place; words of every text weigh little, as in a real encoder."""
    import numpy

    rows = numpy.random.default_rng(7).standard_normal((_ROWS, DIM), dtype=numpy.float32)
    for word in (*_PLACES, "the", "and", "what", "does"):
        rows[crc32(word.encode()) % _ROWS] *= 0.2
    return rows


@cache
def units() -> np.ndarray:
    """Return as many unit rows as the table has."""
    import numpy

    rows: np.ndarray = table() / numpy.linalg.norm(table(), axis=1, keepdims=True)
    return rows


def vector(content: str) -> np.ndarray:
    """Return the unit vector of a text: texts that share words are near. A stub, so that its cost is in no figure."""
    import numpy

    words = _WORD.findall(content.lower())
    row = table()[[crc32(word.encode()) % _ROWS for word in words]].sum(axis=0)
    unit: np.ndarray = row / numpy.sqrt(row @ row)
    return unit


def vectors(contents: list[str]) -> np.ndarray:
    """Return one unit row per text."""
    import numpy

    return numpy.stack([vector(content) for content in contents])


class Embedder:
    """The stub in memkit's shape; what is announced is kept, so that the call itself costs a look-up."""

    identity = f"stub/{DIM}"
    dim = DIM

    def __init__(self) -> None:
        self.known: dict[str, Any] = {}
        self.cheap = False
        """Whether an unknown text gets any unit row at once: where rates are measured and no vector matters."""
        self.calls = 0
        self.texts = 0

    def announce(self, contents: list[str]) -> None:
        """Make the vectors of texts before the clock runs."""
        for content in contents:
            if content not in self.known:
                self.known[content] = vector(content)

    def one(self, content: str) -> Any:
        """Return one vector."""
        self.calls += 1
        self.texts += 1
        found = self.known.get(content)
        return self._unknown(content) if found is None else found

    def rows(self, contents: list[str]) -> list[Any]:
        """Return the vectors of texts as a list; one call."""
        self.calls += 1
        self.texts += len(contents)
        known = self.known
        return [self._unknown(each) if (found := known.get(each)) is None else found for each in contents]

    def _unknown(self, content: str) -> Any:
        return units()[crc32(content.encode()) % _ROWS] if self.cheap else vector(content)

    def embed(self, texts: list[str], *, purpose: str = "document") -> np.ndarray:
        """Return one row per text."""
        import numpy

        return numpy.asarray(self.rows(texts), dtype=numpy.float32)


def facts(number: int) -> list[str]:
    """Return the texts of the facts that the model finds in a conversation."""
    return [text(50_000_000 + FACTS * number + each) for each in range(FACTS)]


def conversation(number: int) -> list[dict[str, str]]:
    """Return two messages that say these facts."""
    said = ". ".join(facts(number))
    return [
        {"role": "user", "content": f"Hello, {said}."},
        {"role": "assistant", "content": "Noted, thank you for telling me."},
    ]


def extracted(prompt: str) -> dict[str, Any]:
    """Return what the model says of a conversation, in memkit's shape and in mem0's."""
    found = list(dict.fromkeys(_FACT.findall(prompt)))[-FACTS:]
    return {
        "memories": [
            {"text": fact, "kind": "fact", "action": "add", "message": 1, "quote": fact, "entities": []}
            for fact in found
        ],
        "relations": [],
        "memory": [{"id": str(at), "text": fact, "attributed_to": "user"} for at, fact in enumerate(found)],
    }


_FACT: Final = re.compile(r"[A-Z][a-z]+ [a-z]+ [a-z]+ the [a-z]+ near [^.#]+#5\d{7}")
