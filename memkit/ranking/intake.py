"""What ranking takes from the words of memories: row by row, and of many rows at once in a fraction of the time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count, repeat
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from memkit.ranking.asked import (
    HERSELF,
    NAME,
    TELLS,
    TIME,
    TIME_ELSEWHERE,
    TIMES,
    TIMES_ELSEWHERE,
    cues,
    says_i,
)
from memkit.ranking.languages import ENGLISH, OF_LATIN, TELLING, language_of_latin
from memkit.ranking.text import (
    ASCII_WORDS,
    MAX_WORD,
    SINGLES,
    english_stems,
    keyword_form,
    plainly,
    stemmed,
    surface,
)
from memkit.ranking.words import STOP_WORDS

if TYPE_CHECKING:
    from memkit.ledger.records import RankRow
    from memkit.ranking.index import Entry
    from memkit.ranking.postings import Vocabulary

Ints = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.int32]
Bytes = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

_DATE_WORDS: Final = 3
"""At the end of a keyword form that has a date."""
_MANY: Final = 24
"""From so many rows on it pays to read them at once."""
_APART: Final = "\0"
"""Begins each row of those that are read at once, as a word of its own."""
_WORDS: Final = _APART.encode() + ASCII_WORDS[1:]


@dataclass(frozen=True, slots=True)
class Intake:
    """The words of some rows.

    Attributes:
        terms: Numbers of stems, stop words left out, row by row.
        lengths: Of each row, how many terms it has.
        words: Of each row, how many words it has between blanks.
        cues: Of each row, what kinds of answer it may hold, as `memkit.ranking.asked` has them.
    """

    terms: Numbers
    lengths: Ints
    words: Numbers
    cues: Bytes


def read_words(entries: Sequence[Entry | RankRow], vocabulary: Vocabulary) -> Intake:
    """Return the words of rows; those of a row are the same whatever rows it is read with."""
    if len(entries) < _MANY:
        return _read_each(entries, vocabulary)
    texts = [plainly(entry.text) for entry in entries]
    plain = _plain(entries, texts)
    if len(plain) < _MANY:
        return _read_each(entries, vocabulary)
    many, english = _Many([entries[n] for n in plain], [texts[n] for n in plain]).read(vocabulary)
    if len(plain) == len(entries) and english.all():
        return many
    at = np.array(plain)[english]
    left = np.delete(np.arange(len(entries)), at)
    each = _read_each([entries[n] for n in left.tolist()], vocabulary)
    lengths, words = np.empty(len(entries), np.int64), np.empty(len(entries), np.int32)
    found = np.empty(len(entries), np.uint8)
    for places, part in ((at, many), (left, each)):
        lengths[places], words[places], found[places] = part.lengths, part.words, part.cues
    rows = np.concatenate([np.repeat(at, many.lengths), np.repeat(left, each.lengths)])
    terms = np.concatenate([many.terms, each.terms])[np.argsort(rows, kind="stable")]
    return Intake(terms, lengths, words, found)


def _read_each(entries: Sequence[Entry | RankRow], vocabulary: Vocabulary) -> Intake:
    terms: list[int] = []
    lengths: list[int] = []
    words: list[int] = []
    found: list[int] = []
    for entry in entries:
        form = _form(entry, entry.text)
        written = surface(form)
        own = [vocabulary[term] for term in stemmed(written, form) if term]
        terms += own
        lengths.append(len(own))
        words.append(len(form.split()))
        found.append(cues(entry.text, written[:-_DATE_WORDS] if entry.dated else written))
    return Intake(
        np.array(terms, np.int32),
        np.array(lengths, np.int64),
        np.array(words, np.int32),
        np.array(found, np.uint8),
    )


def _form(entry: Entry | RankRow, text: str) -> str:
    return keyword_form(text, entry.speaker, entry.created_at if entry.dated else None)


# --------------------------------------------------------------------------------------- many at once

_LETTER, _I, _STOP, _SELF, _TIME, _FOREIGN, _TELLING, _TIME_ELSEWHERE = 1, 2, 4, 8, 16, 32, 64, 128
"""Kinds of words: a letter that alone counts for nothing, and "i" of them; an English stop word; of one who speaks
of herself; of a time; of other languages too, and of those alone; of a time in another language."""
_KINDS: Final = {
    word: _STOP * (word in STOP_WORDS)
    | _SELF * (word in HERSELF)
    | _TIME * (word in TIMES)
    | _FOREIGN * (word in OF_LATIN)
    | _TELLING * (word in TELLING)
    | _TIME_ELSEWHERE * (word in TIMES_ELSEWHERE)
    for word in {*STOP_WORDS, *HERSELF, *TIMES, *TIMES_ELSEWHERE, *OF_LATIN}
    if len(word) > 1
} | {
    letter: _LETTER | _I * (letter == "i")
    for letter in f"abcdefghijklmnopqrstuvwxyz_{_APART}"
    if letter not in SINGLES
}
_FULL: Final = 1.05
"""What a word counts for a language at most."""


def _plain(entries: Sequence[Entry | RankRow], texts: Sequence[str]) -> Sequence[int]:
    """Return which entries are in ASCII, their texts given without other signs."""
    speakers = [entry.speaker or "" for entry in entries]
    if (every := "".join([*texts, *speakers])).isascii() and _APART not in every:
        return range(len(entries))
    return [
        n for n, (text, speaker) in enumerate(zip(texts, speakers, strict=True)) if _is_plain(text + speaker)
    ]


def _is_plain(text: str) -> bool:
    return text.isascii() and _APART not in text


class _Many:
    """Rows in ASCII: all their words in one array, in order, each row behind a word that is none."""

    def __init__(self, entries: Sequence[Entry | RankRow], texts: Sequence[str]) -> None:
        self._entries = entries
        self._texts = texts
        self._bytes = f"{_APART} {f' {_APART} '.join(map(_form, entries, texts))}".encode("ascii")
        self._tokens = self._bytes.translate(_WORDS).split()
        numbers: defaultdict[bytes, int] = defaultdict(count().__next__)
        self._at = np.fromiter(map(numbers.__getitem__, self._tokens), np.int32, len(self._tokens))
        self._starts = np.flatnonzero(self._at == 0)
        self._row = np.repeat(
            np.arange(len(entries), dtype=np.int32), np.diff(self._starts, append=len(self._at))
        )
        self._distinct = b" ".join(numbers).decode("ascii").split(" ")
        if max(map(len, self._distinct)) > MAX_WORD:
            self._distinct = [word[:MAX_WORD] for word in self._distinct]
        self._of_distinct = np.fromiter(map(_KINDS.get, self._distinct, repeat(0)), np.uint8)
        self._kinds = self._of_distinct[self._at]

    def read(self, vocabulary: Vocabulary) -> tuple[Intake, Mask]:
        """Return the words of the rows that are in English, and which rows these are."""
        english = self._english()
        here = english[self._row]
        used = np.bincount(self._at[here], minlength=len(self._distinct)) > 0
        used &= self._of_distinct & (_LETTER | _STOP) == 0
        stems = english_stems([self._distinct[n] for n in np.flatnonzero(used).tolist()])
        numbers = np.full(len(used), -1, np.int32)
        numbers[used] = np.fromiter(map(vocabulary.__getitem__, stems), np.int32, len(stems))
        terms = numbers[self._at]
        counts = (terms >= 0) & here
        lengths = np.bincount(self._row[counts], minlength=len(english))
        words, found = self._between_blanks(), self._cues()
        return Intake(terms[counts], lengths[english], words[english], found[english]), english

    def _count(self, kind: int) -> Ints:
        """Return how many words of a kind each row has."""
        return np.bincount(self._row[(self._kinds & kind) > 0], minlength=len(self._entries))

    def _english(self) -> Mask:
        """Return which rows are stemmed as English."""
        stops, telling = self._count(_STOP), self._count(_TELLING) > 0
        maybe_not = (_FULL * self._count(_FOREIGN) > stops) & (telling | (stops <= 1))
        english = ~maybe_not
        ends = np.append(self._starts[1:], len(self._at))
        for row in np.flatnonzero(maybe_not).tolist():
            tokens = b" ".join(self._tokens[self._starts[row] : ends[row]]).decode("ascii").split(" ")
            words = [word[:MAX_WORD] for word in tokens if len(word) > 1 or word in SINGLES]
            english[row] = language_of_latin(words, int(stops[row])) == ENGLISH
        return english

    def _cues(self) -> Bytes:
        kept = np.flatnonzero(self._kinds & _LETTER == 0)
        rows, kinds = self._row[kept], self._kinds[kept]
        dated = np.array([entry.dated for entry in self._entries], np.bool_)
        if dated.any():
            ends = np.cumsum(np.bincount(rows, minlength=len(dated)))
            kinds[dated[rows] & (np.arange(len(rows)) >= ends[rows] - _DATE_WORDS)] = 0
        found = np.zeros(len(dated), np.uint8)
        found[rows[(kinds & _SELF) > 0]] |= TELLS
        found[rows[(kinds & _TIME) > 0]] |= TIME
        found[rows[(kinds & _TIME_ELSEWHERE) > 0]] |= TIME_ELSEWHERE
        for row in np.flatnonzero(self._count(_I)).tolist():
            entry = self._entries[row]
            if entry.speaker is None or says_i(entry.text):
                found[row] |= TELLS
        found[_with_names(self._texts)] |= NAME
        return found

    def _between_blanks(self) -> Numbers:
        """Return how many words each row has between blanks."""
        blank = np.frombuffer(self._bytes.translate(_BLANK), np.uint8)
        begins = 1 + np.flatnonzero(blank[:-1] > blank[1:])
        rows = np.flatnonzero(np.frombuffer(self._bytes, np.uint8) == 0)
        before = np.searchsorted(begins, rows)
        return np.diff(before, append=len(begins)).astype(np.int32)


_BLANK: Final = bytes(chr(code).isspace() or chr(code) == _APART for code in range(256))
_BEFORE_NAME, _NAME_BEGINS, _NAME_GOES_ON = 1, 2, 4
_IN_NAMES: Final = bytes(
    _BEFORE_NAME * (letter in "abcdefghijklmnopqrstuvwxyz,;:'")
    | _NAME_BEGINS * (letter in 'ABCDEFGHIJKLMNOPQRSTUVWXYZ"')
    | _NAME_GOES_ON * (letter.isascii() and (letter.isalnum() or letter == "_"))
    for letter in map(chr, range(256))
)


def _with_names(texts: Sequence[str]) -> Ints:
    """Return which ASCII texts hold a name, as `cues` says it."""
    written = _APART.join(texts).encode("ascii")
    letters = np.frombuffer(written, np.uint8)
    kinds = np.frombuffer(written.translate(_IN_NAMES), np.uint8)
    blanks = np.flatnonzero(letters[1:-2] == ord(" ")) + 1
    is_name = (kinds[blanks - 1] & _BEFORE_NAME > 0) & (kinds[blanks + 1] & _NAME_BEGINS > 0)
    is_name &= kinds[blanks + 2] & _NAME_GOES_ON > 0
    return np.searchsorted(np.flatnonzero(letters == 0), blanks[is_name])
