"""Words of a text: one way to split, fold and stem, for keyword rows, BM25 and the hash embedder alike."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final
from zlib import crc32

from memkit.ranking.languages import (
    ENGLISH,
    LATIN,
    LATIN_LANGUAGES,
    STOPS,
    is_persian,
    language_of_latin,
    language_of_script,
)
from memkit.ranking.stemmers import Stemmer, korean_form, stemmer
from memkit.ranking.words import IRREGULAR, STOP_WORDS

TOKENIZER_VERSION = "memkit/5"
"""Stored beside keyword rows; a different one means that they have to be made again."""

MAX_WORD = 64
"""Characters of a word that count: an encoded blob is no word."""

MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip

ASCII_WORDS = bytes(ord(c.lower()) if c.isalnum() or c == "_" else 32 for c in map(chr, range(128))).ljust(
    256
)
"""Makes lower-case words and blanks of an ASCII text: to split that is faster than a pattern."""
# Scripts written without blanks: Thai, Lao, Tibetan, Myanmar, Khmer, kana, Han, Hangul.
_DENSE = (
    r"\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    r"\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
)
_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_HANGUL = re.compile(r"[\uac00-\ud7a3]")
_KOREAN_NOUN = re.compile(
    r"([\uac00-\ud7a3])(?:[은는이가을를의에도와과로만]|에서|에게|으로|까지|부터|하고|이랑)$"
)
"""A noun of one syllable and the particle behind it."""
# Vowel signs of Indic scripts are marks, which \w leaves out; without them words fall apart.
_MARKS = r"\u0900-\u0963\u0966-\u096f\u0971-\u0dff"
_ANY_WORDS = re.compile(rf"(?P<dense>[{_DENSE}]+)|(?P<word>(?:(?![{_DENSE}])[\w{_MARKS}])+)")
SINGLES = frozenset("0123456789bcefghjklnpqruvwxz")
"""Words of one character: "gate 7", "vitamin C". The others stand alone as words that tell nothing, or as what is left
of "it's", "don't" and "I'd"."""


_DAY: Final = 86_400_000_000
"""Microseconds; memories of a session share theirs."""
_KEPT: Final = 5_000
"""Characters of a text up to which its words are kept for the next stage, which asks for the same."""
_YEAR = 4
"""Digits of the longest numbers that come again and again."""


class _Stems(dict[str, str]):
    """Word -> stem in one language, or an empty string for a stop word; forgets everything when full."""

    def __init__(self, language: str) -> None:
        super().__init__()
        self.limit = 200_000 if language == ENGLISH else 20_000
        self._language = language
        self._stops = STOP_WORDS if language == ENGLISH else STOPS.get(language, frozenset[str]())
        self._irregular = IRREGULAR if language == ENGLISH else {}
        self._stemmer: Stemmer | None = None

    def __missing__(self, word: str) -> str:
        if len(word) > _YEAR and word.isascii() and word.isdigit():
            return word  # Its own stem in every language; numbers would fill the table.
        if len(self) >= self.limit:
            self.clear()
        if self._stemmer is None:
            self._stemmer = stemmer(self._language)
        # A letter alone is what is left of "l'eau" and "c'est", or a word such as the Spanish "y".
        no_word = word in self._stops or (
            len(word) == 1 and word.isalpha() and self._language in LATIN_LANGUAGES
        )
        stem = "" if no_word else self._stemmer.stemWord(self._irregular.get(word, word))
        self[word] = stem
        return stem


class _Languages(dict[str, _Stems]):
    """Language -> its stems."""

    def __missing__(self, language: str) -> _Stems:
        stems = self[language] = _Stems(language)
        return stems


_LANGUAGES = _Languages()
_STEMS = _LANGUAGES[ENGLISH]


class _Plain(dict[int, str]):
    """Character -> a full stop for a sign outside ASCII, else itself: quotes, dashes and emoji are of no word."""

    def __missing__(self, code: int) -> str:
        found = chr(code)
        # What stands for letters, as a trademark sign does, is itself; so is what has an accent in it.
        parts = unicodedata.normalize("NFKD", found)
        signs = all(unicodedata.category(part)[0] in "PS" for part in parts)
        of_words = code < 128 or _ANY_WORDS.search(2 * parts) is not None
        self[code] = plain = "." if not of_words and (signs or found in _JOINERS) else found
        return plain


_PLAIN = _Plain()
_JOINERS: Final = "\u200d\ufe0f"
"""Between the parts of an emoji, and behind it."""


def plainly(text: str) -> str:
    """Return a text with full stops for signs outside ASCII; in it are the same words."""
    return text if text.isascii() else text.translate(_PLAIN)


def surface(text: str) -> list[str]:
    """Return the words of a text as written, lower case, in order; scripts without blanks as character pairs.

    A run of Han characters also yields its single characters, so that a one-character word is found. Accents on Latin
    letters are folded away, full-width letters become plain ones.
    """
    text = plainly(text)
    if text.isascii():
        words = text.encode("ascii").translate(ASCII_WORDS).decode("ascii").split()
        sizes = [*map(len, words)]
        if 1 in sizes:
            words = [word for word in words if len(word) > 1 or word in SINGLES]
        return words if max(sizes, default=0) <= MAX_WORD else [word[:MAX_WORD] for word in words]
    found: list[str] = []
    for match in _ANY_WORDS.finditer(folded(text)):
        if match.lastgroup == "word":
            word = match.group()
            if len(word) > 1 or word in SINGLES or word.isdecimal():
                found.append(word[:MAX_WORD])
        else:
            found += _pairs(match.group())
    return found


@lru_cache(maxsize=8)
def words_of(query: str) -> tuple[str, ...]:
    """Return the words of a query as `surface` does; one stage of a search after the other asks for them."""
    return tuple(surface(query))


@lru_cache(maxsize=8)
def words_in(query: str) -> frozenset[str]:
    """Return the distinct words of a query."""
    return frozenset(words_of(query))


def tokens(text: str) -> list[str]:
    """Return the stems of a text in order, stop words left out; repeated words are repeated.

    A text is stemmed in the language that most of its function words are of (English where none prevails), words in
    Cyrillic, Greek, Arabic, Hebrew, Devanagari, Armenian or Tamil letters by their script; a text in Arabic letters
    that has one of Persian's own is Persian.
    """
    return [stem for _, stem in words_and_stems(text) if stem]


def words_and_stems(text: str) -> Sequence[tuple[str, str]]:
    """Return each word of a text, as `surface` gives it, with its stem: empty for a stop word."""
    return _paired(text) if len(text) <= _KEPT else _paired.__wrapped__(text)


@lru_cache(maxsize=8)
def _paired(text: str) -> Sequence[tuple[str, str]]:
    words = surface(text)
    return tuple(zip(words, stemmed(words, text), strict=True))


def stems_by_word(text: str) -> dict[str, str]:
    """Return the stem that each word of a text, as `surface` gives it, has in it; empty for a stop word."""
    return dict(words_and_stems(text))


def stems_in(text: str, words: Iterable[str]) -> set[str]:
    """Return the stems that lower-case words of a text have in it, stop words left out."""
    stems = stems_by_word(text)
    return {found for word in words if (found := stems.get(word))}


def other_stems(query: str, unknown: Collection[str]) -> dict[str, list[str]]:
    """Return for stems of a query that no memory holds those that the same words have in other languages.

    A query of one name is in no language that could be told, and a name in a German text is stemmed as a German word.
    Where a query has an English function word, only its names are treated so: words with a capital inside of it.
    """
    words = surface(query)
    open_words = [
        (word, stem) for word, stem in zip(words, stemmed(words, query), strict=True) if stem in unknown
    ]
    if any(not _STEMS[word] for word in words):
        capitals = [written for written in query.split()[1:] if written[0].isupper()]
        if not capitals:
            return {}
        named = set(surface(" ".join(capitals)))
        open_words = [(word, stem) for word, stem in open_words if word in named]
    names = (ENGLISH, *LATIN_LANGUAGES, "arabic", "persian")
    languages = [_LANGUAGES[language] for language in names] if open_words else []
    return {
        stem: list(dict.fromkeys(other for stems in languages if (other := stems[word])))
        for word, stem in open_words
    }


def stemmed(words: list[str], text: str) -> list[str]:
    """Return the stem of each word of one text, empty for a stop word."""
    stems = _STEMS
    found = [stems[word] for word in words]
    language = language_of_latin(words, found.count(""), text)
    if language != ENGLISH:
        stems = _LANGUAGES[language]
        found = [stems[word] for word in words]
    if max(words, default="") <= LATIN:
        return found
    persian = any(map(is_persian, words))
    for place, word in enumerate(words):
        if word[0] > LATIN and (script := language_of_script(word)) is not None:
            found[place] = _LANGUAGES["persian" if script == "arabic" and persian else script][word]
    return found


def english_stems(words: Iterable[str]) -> list[str]:
    """Return the stem that each lower-case word has in English, empty for a stop word."""
    return [_STEMS[word] for word in words]


def query_terms(text: str) -> dict[str, int]:
    """Return each stem of a query and how often it is there, in order of first appearance."""
    counts: dict[str, int] = {}
    for term in tokens(text):
        counts[term] = counts.get(term, 0) + 1
    return counts


def stems_of(words: Iterable[str]) -> set[str]:
    """Return the stems of lower-case words, stop words left out."""
    return {found for word in words if (found := _STEMS[word])}


def dense_form(text: str, speaker: str | None) -> str:
    """Return what is embedded for a memory: `Ann said, "words"`, or the text alone without a speaker.

    "Ann: words" would let every short turn of hers match any question that names Ann.
    """
    return f'{speaker} said, "{text}"' if speaker else text


def fingerprint(text: str) -> int:
    """Return a number that two texts share when they differ in case and in the blanks around them alone."""
    return crc32(text.strip().casefold().encode("utf-8", "surrogatepass"))


def keyword_form(text: str, speaker: str | None, created_at: int | None) -> str:
    """Return what keywords are taken from: `Ann: words 08 May 2023`, so that a month or year is a keyword.

    Args:
        text: The memory.
        speaker: Who said it, if known.
        created_at: Microseconds UTC; None where no date was given.
    """
    words = f"{speaker}: {text}" if speaker else text
    return words if created_at is None else words + _date_words(created_at // _DAY)


@lru_cache(maxsize=4096)
def _date_words(day: int) -> str:
    """Return a day, counted from 1970, as words behind a blank; nothing outside the years 1 to 9999."""
    found = day_of(day * _DAY)
    return "" if found is None else f" {found.day:02d} {MONTHS[found.month - 1]} {found.year}"


def day_of(instant: int) -> datetime | None:
    """Return the UTC date of an instant in microseconds, or None outside the years 1 to 9999."""
    try:
        return datetime.fromtimestamp(instant / 1e6, UTC)
    except (OverflowError, ValueError, OSError):
        return None


def month_of(instant: int) -> int:
    """Return year * 12 + month - 1 of an instant in UTC, -1 outside the years 1 to 9999."""
    return _month_of_day(instant // _DAY)


@lru_cache(maxsize=4096)
def _month_of_day(day: int) -> int:
    found = day_of(day * _DAY)
    return -1 if found is None else found.year * 12 + found.month - 1


def folded(text: str) -> str:
    """Return a text in lower case, with plain letters for full-width ones and without accents on Latin letters."""
    if text.isascii():
        return text.lower()
    plain = unicodedata.normalize("NFKD", text).lower().translate(_WITHOUT_MARKS)
    # A mark on a Latin letter goes; elsewhere marks are part of the writing and are composed back.
    return unicodedata.normalize("NFC", _ACCENT.sub(r"\1", plain))


_WITHOUT_MARKS: Final = str.maketrans(
    {"ı": "i", "ł": "l", "ø": "o", "đ": "d", "ß": "ss", "æ": "ae", "œ": "oe"}
)
"""Letters that no accent can be taken off, which many leave out all the same."""
_ACCENT = re.compile(r"([a-z])[\u0300-\u036f]+")


def _pairs(run: str) -> list[str]:
    if _HANGUL.match(run):
        run = korean_form(run)
    if len(run) == 1:
        return [run]
    one = _KOREAN_NOUN.match(run)
    return [run[i : i + 2] for i in range(len(run) - 1)] + _HAN.findall(run) + ([one[1]] if one else [])
