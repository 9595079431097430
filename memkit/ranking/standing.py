"""Standing wishes in what a user says: "always ...", "from now on ...", "I prefer ...", in several languages.

Such a turn holds whatever is asked later, and no question resembles it. It is found by its form alone: once when it is
indexed, and again when it is shown, to know which sentence says it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import chain
from typing import TYPE_CHECKING, Final, Literal

from memkit.ranking.sentences import lines, split
from memkit.ranking.standing_forms import LATIN, OTHER, Forms
from memkit.ranking.text import keyword_form, tokens
from memkit.ranking.words import STOP_WORDS

if TYPE_CHECKING:
    from memkit.ranking.index import Entry

MARK: Final = "=standing"
"""What the keyword index holds for a text with a standing wish; no text has such a word."""

_ENDS: Final = (",", ".", "!", "?", ":", ";")
_BEYOND_LATIN: Final = "\u0370"

_CASE: Final = re.compile(r"\b(?:when(?:ever)?|if|every time|each time|for|in case)\b")
_LOOKED_AT: Final = 20_000
"""Characters of a text that are looked through; what is pasted behind them is no wish."""
_SPEAKER: Final = 100
"""Characters in which a speaker's name ends."""
_SHARED: Final = 0.6
"""Share of words that the cases of two wishes about one matter have in common."""
_FRAME: Final = re.compile(
    r"^(?:\W|\b(?:please|always|never|from (?:now|here) on(?:wards?)?|going forward|henceforth)\b)+"
)
_ASKED: Final = STOP_WORDS | {"ask", "mention", "talk", "question", "questions"}
_WORD: Final = re.compile(r"\w+")
_ONE_WAY: Final = frozenset(
    ("answer", "respond", "reply", "speak", "write", "call", "address", "use", "format", "translate")
)

Matter = tuple[tuple[str, ...], frozenset[str]]
Wish = Literal["instruction", "preference"]


@dataclass(frozen=True, slots=True)
class Standing:
    """The sentence of a text that holds whatever is asked.

    Attributes:
        wish: How things are to be done, or what is liked.
        text: The sentence.
        start: Where in it the wish begins; what comes before is only what led to it.
    """

    wish: Wish
    text: str
    start: int

    def matter(self) -> Matter:
        """Return the words of what is wished, without those that say how firmly, and the words of when it holds."""
        wish = _FRAME.sub("", self.text[self.start :].lower())
        what, _, when = _CASE.sub("\0", wish, count=1).partition("\0")
        return tuple(_WORD.findall(what)), frozenset(_WORD.findall(when)) - _ASKED


class _Cues:
    """Words and phrases of which a text that holds a wish has one."""

    def __init__(self, words: Iterable[str], phrases: Iterable[str]) -> None:
        self.words = frozenset(words)
        self.phrases = tuple(phrases)
        # Between blanks a word of a phrase is a word of the text: to know these is faster than to look for the phrase.
        self._inside: dict[str, list[str]] = {}
        self._short: list[str] = []
        for phrase in self.phrases:
            inner = [word for word in phrase.split(" ")[1:-1] if word]
            (self._inside.setdefault(inner[-1], []) if inner else self._short).append(phrase)

    def found(self, low: str, words: set[str]) -> bool:
        """Return whether a text in lower case, with these words between blanks, has any of them."""
        if not self.words.isdisjoint(words) or any(map(low.__contains__, self._short)):
            return True
        return any(phrase in low for word in self._inside.keys() & words for phrase in self._inside[word])


class _Language:
    """The forms of a language, ready to look for; the patterns are made when a text may need them."""

    def __init__(self, forms: Forms) -> None:
        self._forms = forms
        self.cues = _Cues(
            [word + end for word in forms.words.split() for end in ("", *_ENDS)],
            [phrase for phrase in forms.phrases.split("|") if phrase],
        )

    def wish(self, low: str) -> tuple[Wish, int] | None:
        """Return what a sentence wishes, and where the wish begins."""
        starts, orders, adverbs, verbs, likes = self._patterns
        order = starts.match(low) or orders.search(low)
        if order is None and (adverb := adverbs.search(low)) is not None and verbs.search(low):
            order = adverb
        if order is not None:
            return "instruction", order.start()
        like = likes.search(low)
        return None if like is None else ("preference", like.start())

    @cached_property
    def _patterns(self) -> tuple[re.Pattern[str], ...]:
        forms = self._forms
        return tuple(map(re.compile, (forms.starts, forms.orders, forms.adverbs, forms.verbs, forms.likes)))


@cache
def _languages(*, latin: bool) -> tuple[_Language, ...]:
    return tuple(map(_Language, LATIN)) if latin else (*_languages(latin=True), *map(_Language, OTHER))


@cache
def _cues(*, latin: bool) -> _Cues:
    """Return those of all languages together."""
    each = [language.cues for language in _languages(latin=latin)]
    return _Cues(
        chain.from_iterable(cues.words for cues in each), chain.from_iterable(cues.phrases for cues in each)
    )


def standing(text: str) -> Standing | None:
    """Return the sentence of a text that holds whatever is asked, an order before a preference; None without one."""
    text = text[:_LOOKED_AT]
    low, latin = text.lower(), text.isascii() or max(text) < _BEYOND_LATIN
    if not _cues(latin=latin).found(low, set(low.split())):
        return None
    spoken = _spoken(low, _languages(latin=latin))
    liked: Standing | None = None
    for line in lines(text):
        if not (here := _spoken(line.lower(), spoken)):
            continue
        for sentence in split(line):
            found = _wish(sentence, here)
            if found is not None and found.wish == "instruction":
                return found
            liked = liked or found
    return liked


def _wish(sentence: str, languages: Sequence[_Language]) -> Standing | None:
    low = sentence.lower()
    liked: Standing | None = None
    for language in _spoken(low, languages):
        found = language.wish(low)
        if found is not None and found[0] == "instruction":
            return Standing(found[0], sentence, found[1])
        if found is not None and liked is None:
            liked = Standing(found[0], sentence, found[1])
    return liked


def _spoken(low: str, languages: Sequence[_Language]) -> list[_Language]:
    words = set(low.split())
    return [language for language in languages if language.cues.found(low, words)]


def indexed(text: str) -> list[str]:
    """Return the words that the keyword index holds for a text: its stems, and the mark of a standing wish."""
    found = tokens(text)
    if _marked(text):
        found.append(MARK)
    return found


def _marked(form: str) -> bool:
    """Return whether a keyword form (`Ann: words`) holds a standing wish, with or without what may be a speaker."""
    if standing(form) is not None:
        return True
    speaker, _, said = form[:_SPEAKER].partition(": ")
    return bool(said) and "\n" not in speaker and standing(form[len(speaker) + 2 :]) is not None


def wishes(entries: Iterable[Entry]) -> list[int]:
    """Return the rids of what a user said that the keyword index holds the mark for."""
    return [
        entry.rid
        for entry in entries
        if entry.role == "user" and _marked(keyword_form(entry.text, entry.speaker, None))
    ]


def same_matter(one: Matter, other: Matter) -> bool:
    """Return whether two wishes are about the same thing in the same case, so that the later one holds alone.

    They are where their words are the same, or all but one of an order that can be kept in one way only: "answer in
    French", "answer in Italian". Where it cannot be told, both hold.
    """
    (what, when), (other_what, other_when) = one, other
    if (when or other_when) and len(when & other_when) < _SHARED * len(when | other_when):
        return False
    if what == other_what:
        return True
    differences = sum(mine != theirs for mine, theirs in zip(what, other_what, strict=False))
    return len(what) == len(other_what) >= 3 and what[0] == other_what[0] in _ONE_WAY and differences == 1
