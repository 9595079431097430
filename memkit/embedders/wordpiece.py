"""The tokeniser of BERT's uncased models, in pure Python: clean, fold, split, and take the longest known pieces."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

_CACHED_WORDS: Final = 50_000
_LONGEST_WORD: Final = 100
"""Characters; a longer word is unknown."""
_CJK: Final = (
    (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F), (0x2B920, 0x2CEAF), (0x2F800, 0x2FA1F),
)  # fmt: skip
"""Ideographs, each of which is a word. The models were trained with the gap before U+2B920."""
_UNSEEN: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_ASCII_WORD: Final = re.compile(r"[a-z0-9]+|[^a-z0-9\s]")


class WordPiece:
    """Turns a text into the ids of its pieces, between the ids of `[CLS]` and `[SEP]`.

    A special token's name in a text is text. Several threads may share one.

    Args:
        vocabulary: Id of each piece; pieces inside a word begin with `##`.
    """

    def __init__(self, vocabulary: Mapping[str, int]) -> None:
        self._starts = {piece: at for piece, at in vocabulary.items() if not piece.startswith("##")}
        self._insides = {piece[2:]: at for piece, at in vocabulary.items() if piece.startswith("##")}
        self._first, self._last, self._unknown = (vocabulary[name] for name in ("[CLS]", "[SEP]", "[UNK]"))
        self._lengths = {at: len(piece.removeprefix("##")) for piece, at in vocabulary.items()}
        self._words: dict[str, tuple[int, ...]] = {}

    def encode(self, text: str, most: int) -> list[int]:
        """Return the ids of a text, the two around it included; what goes beyond `most` is cut off."""
        ids = [self._first]
        for word in words(text):
            ids.extend(self._words.get(word) or self._pieces(word))
            if len(ids) >= most:
                del ids[most - 1 :]
                break
        ids.append(self._last)
        return ids

    def framed(self, ids: Sequence[int]) -> list[int]:
        """Return the ids of `pieces` as `encode` does, with the two around them."""
        return [self._first, *ids, self._last]

    def pieces(self, text: str, most: int) -> tuple[list[int], list[tuple[int, int]]]:
        """Return the ids of a text without the two around it, and where in the text each piece begins and ends."""
        ids: list[int] = []
        spans: list[tuple[int, int]] = []
        for word, starts, ends in _placed_words(text):
            found = self._words.get(word) or self._pieces(word)
            ids.extend(found)
            at = 0
            for piece in found:
                end = len(word) if piece == self._unknown else at + self._lengths[piece]
                spans.append((starts[at], ends[end - 1]))
                at = end
            if len(ids) >= most - 2:
                break
        return ids[: most - 2], spans[: most - 2]

    def _pieces(self, word: str) -> tuple[int, ...]:
        if len(self._words) >= _CACHED_WORDS:
            self._words.clear()
        found = self._words[word] = self._longest_first(word)
        return found

    def _longest_first(self, word: str) -> tuple[int, ...]:
        if len(word) > _LONGEST_WORD:
            return (self._unknown,)
        ids: list[int] = []
        begin = 0
        while begin < len(word):
            known = self._insides if begin else self._starts
            end = next((end for end in range(len(word), begin, -1) if word[begin:end] in known), None)
            if end is None:
                return (self._unknown,)
            ids.append(known[word[begin:end]])
            begin = end
        return tuple(ids)


def words(text: str) -> list[str]:
    """Return the words of a text in order, without case and accents; signs and ideographs are words."""
    text = text.translate(_CLEAN)
    if not text.isascii():
        text = unicodedata.normalize("NFD", text)
    return text.translate(_FOLD).split()


PlacedWord = tuple[str, Sequence[int], Sequence[int]]
"""A word, and where what each of its characters comes from begins and ends."""


def _placed_words(text: str) -> Iterator[PlacedWord]:
    """Yield what `words` returns, with places in the text."""
    if text.isascii() and _UNSEEN.search(text) is None:
        for found in _ASCII_WORD.finditer(text.lower()):
            start, end = found.span()
            yield found[0], range(start, end), range(start + 1, end + 1)
        return
    word, starts, ends = "", list[int](), list[int]()
    for group, start, end in _groups(text):
        for char in unicodedata.normalize("NFD", group).translate(_FOLD):
            if not char.isspace():
                word += char
                starts.append(start)
                ends.append(end)
            elif word:
                yield word, starts, ends
                word, starts, ends = "", [], []
    if word:
        yield word, starts, ends


def _groups(text: str) -> Iterator[tuple[str, int, int]]:
    """Yield the clean text in groups, a character and the marks on it, which normalising may put in another order."""
    group, start, end = "", 0, 0
    for at, char in enumerate(text):
        for kept in _CLEAN[ord(char)]:
            if group and not unicodedata.combining(kept):
                yield group, start, end
                group = ""
            if not group:
                start = at
            group += kept
            end = at + 1
    if group:
        yield group, start, end


class _Clean(dict[int, str]):
    """Drops what cannot be seen, makes every gap a blank, and sets ideographs apart."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        category = unicodedata.category(char)
        if char in "\t\n\r" or category in ("Zs", "Zl", "Zp"):
            kept = " "
        elif code == 0xFFFD or category in ("Cc", "Cf", "Co"):
            kept = ""
        elif any(low <= code <= high for low, high in _CJK):
            kept = f" {char} "
        else:
            kept = char
        self[code] = kept
        return kept


class _Fold(dict[int, str]):
    """Drops accents, lowers each character by itself, and sets signs apart."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        category = unicodedata.category(char)
        if category == "Mn":
            kept = ""
        elif category[0] == "P" or (char.isascii() and category[0] == "S"):
            kept = f" {char} "
        else:
            kept = char.lower()
        self[code] = kept
        return kept


_CLEAN: Final = _Clean()
_FOLD: Final = _Fold()
