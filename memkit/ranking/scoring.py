"""One query against one view: from words and cosines to a ranking."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from memkit.ranking import calibration as cal
from memkit.ranking.constants import ANSWERABLE, CALIBRATIONS
from memkit.ranking.postings import Postings, Vocabulary
from memkit.ranking.query import ALSO_WORDS, NOT_NAMES, first_person, named_months, people, relative_days
from memkit.ranking.result import Ranking
from memkit.ranking.signals import Found, fuse, locate, own_words, window_words
from memkit.ranking.text import query_terms, stem, surface
from memkit.ranking.view import Array, Ints, Mask, View


@dataclass(frozen=True, slots=True)
class Words:
    """The distinct words of a query, where each is, and how often it is in the query."""

    terms: list[str]
    postings: tuple[Ints, Array, list[int]]
    repeats: list[int]


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

    def named(self, query: str) -> tuple[list[int], set[str]]:
        """Return the numbers of the speakers a query names as a whole word, and the words that name them."""
        numbers: list[int] = []
        words: set[str] = set()
        if not self._by_word:
            return numbers, words
        for word in dict.fromkeys(surface(query)):
            found = self._by_word.get(word)
            if found and (word not in ALSO_WORDS or word.capitalize() in query):
                numbers += found
                words.add(word)
        return numbers, words


def look_up(query: str, vocabulary: Vocabulary, postings: Postings) -> Words:
    """Return the distinct words of a query, their postings (empty for an unknown word) and their counts."""
    counts = query_terms(query)
    found = postings.find([vocabulary.get(term, -1) for term in counts])
    return Words(list(counts), found, list(counts.values()))


def rank(view: View, names: Names, query: str, now: int, words: Words, cosines: Array | None) -> Ranking:
    """Return the ranking of a view for a query."""
    found = locate(view, words.postings, words.repeats)
    named, name_words = names.named(query)
    speaker = np.isin(view.speaker, named) if named else None
    if speaker is not None and not speaker.any():
        speaker, name_words = None, set[str]()
    name_stems = {stem(word) for word in name_words}
    if speaker is not None:
        speaker |= _about(view, found, words.terms, name_stems)
    date = _dates(view, query, now)
    first = first_person(query)
    evidence = cal.Evidence(
        terms=words.terms,
        found=found,
        names=name_stems,
        strangers={term for name in people(query) for term in query_terms(name)},
        cosine=None if cosines is None else _known(cosines),
        speaker=speaker,
        date=date,
        first=first,
        view=view,
    )
    bm25 = own_words(view, found)
    window = bm25
    if view.talk_from < len(view):  # without talk a window is the own text
        window, window_share = window_words(view, found, evidence.weight)
        evidence.see_window(window_share)
    fused = fuse(view, dense=cosines, words=bm25, window=window, speaker=speaker, date=date, first=first)

    def raw() -> dict[str, Array]:
        around = window_words(view, found, evidence.weight)[0] if window is bm25 else window
        return {"bm25": bm25, "window": around} | ({} if cosines is None else {"dense": cosines})

    return Ranking(
        view, fused, evidence, (CALIBRATIONS[view.weights.name], ANSWERABLE[view.weights.name]), raw
    )


def _known(cosines: Array) -> Array:
    """Return cosines with 0 where there is no vector."""
    missing = np.isnan(cosines)
    return np.where(missing, 0.0, cosines) if missing.any() else cosines


def _about(view: View, found: Found, terms: list[str], names: set[str]) -> Mask:
    """Return the rows nobody said that name a person: a fact about her counts like a turn of hers."""
    mask = np.zeros(len(view), np.bool_)
    mask[found.at[np.isin(found.term, [n for n, term in enumerate(terms) if term in names])]] = True
    return mask & (view.speaker < 0)


def _dates(view: View, query: str, now: int) -> Mask | None:
    months, years = named_months(query)
    # "the weekend before 10 April 2023" is relative to that day, not to now
    spans = [] if months or years else relative_days(query, now)
    if not months and not years and not spans:
        return None
    dated = view.month >= 0
    match = np.zeros(len(view), np.bool_)
    if months or years:
        here = dated.copy()
        if months:
            here &= np.isin(view.month % 12 + 1, list(months))
        if years:
            here &= np.isin(view.month // 12, list(years))
        match |= here
    for start, end in spans:
        match |= dated & (view.created >= start) & (view.created < end)
    return match
