"""The constants of the order: how much each signal counts, at each level of embedder.

Chosen by coordinate ascent on the development halves of three conversation sets together (short chats, very short
chats, long assistant messages) and rounded; `benchmarks/retrieval.py` measures them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One standardised part of the base score, with what is expected of it before anything is seen.

    Attributes:
        weight: Its share.
        mean: Mean over a scope of some hundred memories, averaged over queries.
        std: Standard deviation likewise.
    """

    weight: float
    mean: float
    std: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """How the signals of one memory become the score that orders.

    Attributes:
        name: The level, as `explain` shows it.
        hashed: Vectors are of the hash embedder: kept as int8 columns.
        dense: Cosine with the query.
        words: BM25 of the own text.
        window: BM25 of the text of turns i-2 to i+2.
        previous: Of the base score of the turn before, in the same session.
        next: Of the base score of the turn after, in the same session.
        session: Of the mean of the session's three best base scores.
        speaker: Added to turns of a person whom the query names.
        date: Added to memories of the month, year or days that the query names.
        first: Added to memories of role "user" when the query speaks in the first person.
        question: Taken from turns that end in a question mark.
        length: Of the standardised logarithm of the words, 30 at most.
        b: Length normalisation of BM25 on the own text.
    """

    name: str
    hashed: bool
    dense: Part
    words: Part
    window: Part
    next: float
    session: float
    speaker: float
    date: float
    first: float
    question: float
    previous: float = 0.0
    length: float = 0.0
    b: float = 0.9


K1 = 1.2
WINDOW_B = 0.75
WINDOW = 2
"""Neighbours on each side whose text counts as context of a turn."""
SHORT_WORDS = 60
"""A neighbour counts in the window only up to this many words."""
SESSION_BEST = 3
PRIOR_WEIGHT = 30.0
"""How many memories the expected mean and standard deviation are worth."""

KEYLESS = Weights(
    name="keyless",
    hashed=True,
    dense=Part(weight=0.4, mean=0.11, std=0.08),
    words=Part(weight=0.2, mean=0.4, std=0.6),
    window=Part(weight=0.4, mean=0.45, std=0.75),
    next=0.3,
    session=0.4,
    speaker=3.0,
    date=1.5,
    first=2.0,
    question=0.4,
)

EMBEDDED = Weights(
    name="embedded",
    hashed=False,
    dense=Part(weight=0.6, mean=0.25, std=0.13),
    words=Part(weight=0.1, mean=0.4, std=0.6),
    window=Part(weight=0.3, mean=0.45, std=0.75),
    next=0.25,
    session=0.25,
    speaker=2.0,
    date=0.5,
    first=1.5,
    question=0.25,
)


def weights_for(identity: str) -> Weights:
    """Return the weights for an embedder's identity: `hash/...` is keyless, any other is embedded."""
    return KEYLESS if identity.startswith("hash/") else EMBEDDED
