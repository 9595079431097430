"""One query against one view: from words and cosines to a ranking."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from memkit.ranking import calibration as cal
from memkit.ranking.anchor import anchored
from memkit.ranking.asked import Asked, asked, content, for_help, for_overview
from memkit.ranking.languages import may_be_english, mostly_latin
from memkit.ranking.late import HeldTokens, Tokens, compare
from memkit.ranking.ordered import Nearness, follow
from memkit.ranking.postings import Postings, Vocabulary
from memkit.ranking.query import ALSO_WORDS, NOT_NAMES, addressed, first_person, of_each, people
from memkit.ranking.related import related_words
from memkit.ranking.result import Ranking
from memkit.ranking.several import gather
from memkit.ranking.signals import (
    Found,
    cosines_of_words,
    fuse,
    idf_of,
    lift,
    locate,
    own_words,
    put_behind,
    window_words,
)
from memkit.ranking.text import fingerprint, other_stems, query_terms, stems_in, surface, words_of
from memkit.ranking.times import asked_times
from memkit.ranking.view import Array, Ints, Mask, View
from memkit.ranking.weights import KEYLESS


@dataclass(frozen=True, slots=True)
class Words:
    """The distinct words of a query, where each is, how often it is in the query, and what the query asks for."""

    terms: list[str]
    postings: tuple[Ints, Array, list[int]]
    repeats: list[int]
    asked: Asked
    vocabulary: Vocabulary
    index: Postings


class Names:
    """The speakers of an index: number by name, and which of them a query names."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._by_word: dict[str, list[int]] = {}

    def number(self, speaker: str | None) -> int:
        """Return the speaker's number, new ones added; -1 for none and for a role."""
        name = (speaker or "").strip().lower()
        if not name or name in NOT_NAMES:
            return -1
        known = self._numbers.get(name)
        if known is None:
            known = self._numbers[name] = len(self._numbers)
            # People are named by their first name; a name in a script without blanks is several "words".
            for word in dict.fromkeys([name, *(surface(name) or [name])[:1]]):
                self._by_word.setdefault(word, []).append(known)
        return known

    def of(self, numbers: Sequence[int]) -> list[str]:
        """Return the names of some speakers, lower case."""
        names = list(self._numbers)
        return [names[number] for number in numbers]

    def bearing(self, word: str) -> list[int]:
        """Return the numbers of the speakers whose name is a word, or begins with it."""
        return self._by_word.get(word.lower(), [])

    def named(self, query: str) -> tuple[list[int], set[str]]:
        """Return the numbers of the speakers a query names as a whole word, and the words that name them."""
        numbers: list[int] = []
        words: set[str] = set()
        if not self._by_word:
            return numbers, words
        for word in dict.fromkeys(words_of(query)):
            found = self._by_word.get(word)
            if found and (word not in ALSO_WORDS or word.capitalize() in query):
                numbers += found
                words.add(word)
        return numbers, words


def embedded(view: View, names: Names, query: str) -> str:
    """Return what of a query is embedded.

    A turn is embedded with its speaker (`Ann said, "I paint"`), so "What does Ann paint?" is near to all that Ann says,
    and to all that is said to her. "What does you paint?" is near to who paints, and who said it is another signal.
    """
    about = content(query)
    if not view.weights.address:
        return about
    here = [number for number in names.named(about)[0] if number in view.speakers]
    if not here:
        return about
    asked_of = addressed(about, names.of(here))
    return of_each(asked_of) if view.weights.each and len(here) > 1 else asked_of


def look_up(query: str, vocabulary: Vocabulary, postings: Postings, *, frame: bool) -> Words:
    """Return the distinct words of a query, their postings (empty for an unknown word) and their counts."""
    what = asked(query)
    counts = query_terms(what.content if frame else query)
    numbers = [vocabulary.get(term, -1) for term in counts]
    if -1 in numbers:
        others = other_stems(query, {t for t, number in zip(counts, numbers, strict=True) if number < 0})
        numbers = [
            number
            if number >= 0
            else next((vocabulary[o] for o in others.get(term, ()) if o in vocabulary), -1)
            for term, number in zip(counts, numbers, strict=True)
        ]
    return Words(list(counts), postings.find(numbers), list(counts.values()), what, vocabulary, postings)


def rank(
    view: View,
    names: Names,
    query: str,
    now: int,
    words: Words,
    cosines: Array | None,
    tokens: Tokens | None = None,
    held: HeldTokens | None = None,
    near: Nearness | None = None,
    *,
    typed: str | None = None,
) -> Ranking:
    """Return the ranking of a view for a query.

    Args:
        typed: The query as it was asked, where people are called something else in it.
    """
    found = locate(view, words.postings, words.repeats)
    meant, level = cosines, view.weights.name
    if cosines is not None and view.weights.english and not may_be_english(words_of(query), query):
        # To a model of English all of another language is alike: any two texts in it are near.
        meant, tokens, level = cosines_of_words(view, found), None, KEYLESS.name
        cosines = cosines if mostly_latin(query) else meant
    named, name_words = names.named(query)
    named = [number for number in named if number in view.speakers]
    speaker = _any_of(view.speaker, named) if named else None
    name_stems = stems_in(query, name_words) if named else set[str]()
    said = speaker
    if speaker is not None:
        speaker = speaker | _about(view, found, words.terms, name_stems)
    date, day = asked_times(view, query, now)
    first = first_person(query)
    strangers = [word for name in people(query) for word in surface(name)]
    stranger_stems = stems_in(query, strangers) if strangers else set[str]()
    evidence = cal.Evidence(
        terms=words.terms,
        found=found,
        names=name_stems,
        strangers=stranger_stems,
        cosine=None if meant is None else _known(meant, view.weights.fitted),
        speaker=speaker,
        said=said,
        date=date,
        first=first,
        kinds=words.asked.kinds,
        view=view,
    )
    bm25 = own_words(view, found)
    window = bm25
    if view.talk_from < len(view):  # without talk a window is the own text
        window, window_share = window_words(view, found, evidence.weight)
        evidence.see_window(window_share)
    related = None
    if view.weights.related and may_be_english(surface(query), query):
        related = related_words(view, found, words.terms, name_stems, words.vocabulary, words.index)
    fused = fuse(
        view,
        dense=cosines,
        words=bm25,
        window=window,
        related=related,
        speaker=speaker,
        date=date,
        day=day,
        first=first and not (view.weights.answered and for_overview(query)),
        kinds=words.asked.kinds,
        helps=view.weights.wish > 0 and for_help(query),
    )

    event = anchored(view, query, words.terms, found, name_stems | stranger_stems)
    if event is not None:
        fused.add("event", event[0], view.weights.event)
    if tokens is not None and view.weights.late:
        telling = dict(
            zip(words.terms, (idf_of(n, len(view)) for n in found.frequency.tolist()), strict=True)
        )
        evidence.see_tokens(*compare(view, fused, tokens, held or HeldTokens(), telling, evidence.told))
    if words.asked.ordered and view.talk_from < len(view):
        follow(view, fused, mine=first, near=near)
    elif words.asked.several and view.talk_from < len(view):
        gather(view, fused)
    if event is not None:
        put_behind(fused, *event)
    if view.weights.exact:
        lift(fused, (view.text == fingerprint(typed or query)) & ~view.question)

    def raw() -> dict[str, Array]:
        around = window_words(view, found, evidence.weight)[0] if window is bm25 else window
        return {"bm25": bm25, "window": around} | ({} if cosines is None else {"dense": cosines})

    return Ranking(view, fused, evidence, "late" if evidence.compared else level, raw)


def _any_of(column: Ints, numbers: list[int]) -> Mask:
    """Return where a column holds one of a few numbers."""
    mask = column == numbers[0]
    for number in numbers[1:]:
        mask |= column == number
    return mask


def _known(cosines: Array, fitted: bool) -> Array:
    """Return cosines on the scale of the embedder that the constants know, with 0 where there is no vector."""
    if not math.isnan(np.add.reduce(cosines)):
        return cosines if fitted else cal.rescaled(cosines)
    known = ~np.isnan(cosines)
    out = np.zeros(len(cosines))
    out[known] = cosines[known] if fitted else cal.rescaled(cosines[known])
    return out


def _about(view: View, found: Found, terms: list[str], names: set[str]) -> Mask:
    """Return the rows nobody said that name a person: a fact about her counts like a turn of hers."""
    mask = np.zeros(len(view), np.bool_)
    end = 0
    for term, size in zip(terms, found.frequency.tolist(), strict=True):
        begin, end = end, end + size
        if term in names:
            mask[found.at[begin:end]] = True
    return mask & (view.speaker < 0)
