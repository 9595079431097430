"""The constants of the order: how much each signal counts, at each level of embedder.

Chosen by coordinate ascent on the development halves of three conversation sets together (short chats, very short
chats, long assistant messages) and rounded; `python -m benchmarks retrieval --data FOLDER`
measures them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final


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
        day: Added to memories that were said on a day that the query names, or tell of it ("yesterday").
        first: Added to memories of role "user" when the query speaks in the first person.
        answered: Whether where an overview is asked for `first` is left out: it tells of the answers, too.
        question: Taken from turns that end in a question mark.
        length: Of the standardised logarithm of the words.
        longest: Words of a memory from which on more of them make no difference to `length`.
        answers: Of the base score of the turn before, where that asks a question.
        tells: Added to memories in which somebody speaks of herself.
        kind: Added to memories that hold a time or a name where the query asks for one.
        frame: Whether the words that only say how to answer are left out of queries for an order or an overview.
        address: Whether speakers whom a query names are "you" in what is embedded of it.
        each: Whether what is asked of several speakers together is embedded as it is asked of one of them.
        nickname: Whether what speakers are called by others names them in a query.
        mine: Added to memories of role "user" where the query asks for an order of what the asker said.
        topic: Nearness to the middle of the best memories, where the query asks for an order.
        spread: Taken for each better memory of the same session, where the query asks for an order.
        apart: Taken, where the query asks for several things, from a turn for each one beside it that is better.
        item: Added, where the query asks for several things, to memories in which somebody speaks of herself, and to
            those that hold a name.
        wish: Added, where the query asks for help, to what a user said that holds whatever is asked.
        exact: Whether a memory that says just what is asked comes first.
        related: What a word that is related to one of the query's counts, of what that one counts in `words`.
        event: Added to memories of the time that a query tells by an event ("before she moved").
        late: Of the match token by token among the best rows, where their tokens are kept; 0 leaves it out.
        around: Of that match with the tokens of neighbouring turns.
        b: Length normalisation of BM25 on the own text.
        fitted: The constants of the score were fitted on this embedder's cosines; others are brought to their scale.
        english: The embedder reads English alone: of a query in another language its words decide.
        chat: Used instead where turns are short.
        long: Used instead where turns are long.
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
    day: float = 1.5
    previous: float = 0.0
    length: float = 0.0
    longest: int = 30
    answers: float = 0.0
    tells: float = 0.0
    kind: float = 0.0
    answered: bool = False
    frame: bool = True
    address: bool = False
    each: bool = True
    nickname: bool = True
    mine: float = 2.0
    topic: Part = Part(weight=0.0, mean=0.05, std=0.15)
    spread: float = 1.0
    apart: float = 0.5
    item: float = 0.25
    wish: float = 0.0
    exact: bool = True
    related: float = 0.0
    event: float = 0.5
    late: float = 0.0
    around: float = 0.0
    b: float = 0.9
    fitted: bool = True
    english: bool = False
    chat: Weights | None = None
    long: Weights | None = None

    def of_talk(self, median_words: float | None) -> Weights:
        """Return the weights for a scope: tuned to chat under a median of 60 words a turn, else to long messages.

        Args:
            median_words: Of the turns in view; None where most rows in view are no turns of talk.
        """
        if median_words is None:
            return self
        return (self.chat if median_words < CHAT_WORDS else self.long) or self


K1: Final = 1.2
WINDOW_B: Final = 0.75
WINDOW: Final = 2
"""Neighbours on each side whose text counts as context of a turn."""
SHORT_WORDS: Final = 60
"""A neighbour counts in the window only up to this many words."""
CHAT_WORDS: Final = 60
"""Median words of a turn below which a scope is chat; measured chats have 9 to 38, messages to assistants 71 to 340."""
SESSION_BEST: Final = 3
PRIOR_WEIGHT: Final = 30.0
"""How many memories the expected mean and standard deviation are worth in a small view."""

_KEYLESS = Weights(
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

_EMBEDDED = Weights(
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
    late=0.5,
    english=True,
)


KEYLESS: Final = replace(
    _KEYLESS,
    related=1.0,
    chat=replace(
        _KEYLESS,
        window=replace(_KEYLESS.window, weight=0.3),
        related=1.5,
        length=0.15,
        answers=0.4,
        tells=1.2,
        kind=1.2,
        b=0.75,
    ),
    long=replace(
        _KEYLESS, session=0.2, length=-0.6, longest=10_000, apart=0.0, item=0.0, wish=1.5, answered=True
    ),
)

EMBEDDED: Final = replace(
    _EMBEDDED,
    chat=replace(
        _EMBEDDED,
        dense=replace(_EMBEDDED.dense, weight=0.6),
        words=replace(_EMBEDDED.words, weight=0.1),
        window=replace(_EMBEDDED.window, weight=0.2),
        next=0.2,
        session=0.3,
        speaker=3.0,
        date=1.0,
        first=1.0,
        question=0.4,
        previous=0.2,
        length=0.3,
        answers=0.2,
        tells=0.7,
        kind=1.2,
        b=0.6,
        address=True,
        late=0.2,
        around=0.3,
    ),
    long=replace(
        _EMBEDDED,
        dense=replace(_EMBEDDED.dense, weight=0.65),
        words=replace(_EMBEDDED.words, weight=0.1),
        window=replace(_EMBEDDED.window, weight=0.15),
        next=0.2,
        session=0.4,
        speaker=2.0,
        first=1.0,
        question=0.0,
        topic=Part(weight=0.8, mean=0.05, std=0.15),
        apart=0.0,
        item=0.0,
        wish=1.5,
        answered=True,
        late=0.0,  # long messages offer more tokens to match, whatever they say
    ),
)


def _unfitted(weights: Weights) -> Weights:
    chat, long = (
        of and replace(of, name="other", fitted=False, english=False) for of in (weights.chat, weights.long)
    )
    return replace(weights, name="other", fitted=False, english=False, chat=chat, long=long)


OTHER: Final = _unfitted(EMBEDDED)
"""Of an embedder that nothing was fitted on."""


def weights_for(identity: str) -> Weights:
    """Return the weights for an embedder's identity: `hash/...` is keyless, any other is embedded."""
    if identity.startswith("hash/"):
        return KEYLESS
    return EMBEDDED if identity.startswith("minilm/") else OTHER
