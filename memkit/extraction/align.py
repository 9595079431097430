"""Where a quote stands in a message, and whether two written forms are one word."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import SequenceMatcher
from functools import cached_property, lru_cache
from typing import Final

from memkit.extraction.text import Token, fold, keys, tokens
from memkit.extraction.words import ANY_NEGATION, FUNCTION_WORDS, STARTERS

_GAP: Final = re.compile(r"\s*(?:\.{2,}|\[\s*(?:\.{2,}|…)\s*\]|\(\s*\.{2,}\s*\)|…)\s*")
_SENTENCE: Final = re.compile(r"(?<=[.!?;])\s+")
_EDGES: Final = " \t\n\"'`.,;:!?-–—。、，！？()[]*_"
_MAX_GAP: Final = 400
_MAX_ALIGNED: Final = 20_000


def find_quote(quote: str, message: str) -> tuple[int, int] | None:
    """Return where a folded quote stands in a folded message, or None.

    Pieces around an ellipsis may stand apart, in order. A quote copied with small slips still counts, where none of
    the words it changed is a number, a negation or a word of its own.
    """
    bare = quote.strip(_EDGES)
    if not any(char.isalnum() for char in bare):
        return None
    pieces = [piece.strip(_EDGES) for piece in _GAP.split(bare)] if ".." in bare or "…" in bare else [bare]
    pieces = [piece for piece in pieces if any(char.isalnum() for char in piece)]
    found = _in_order(pieces, message) or _aligned(" ".join(pieces), message)
    if found is None:  # sentences that stand apart, put together without an ellipsis
        parts = [part.strip(_EDGES) for piece in pieces for part in _SENTENCE.split(piece)]
        if len(parts) > len(pieces) and all(len(part.split()) > 1 for part in parts):
            found = _in_order(parts, message)
    return found


def _in_order(pieces: list[str], message: str) -> tuple[int, int] | None:
    start = _find(pieces[0], message, 0)
    if start is None:
        return None
    end = start + len(pieces[0])
    for piece in pieces[1:]:
        at = _find(piece, message, end)
        if at is None or at - end > _MAX_GAP:
            return None
        end = at + len(piece)
    return start, end


def _find(piece: str, message: str, start: int) -> int | None:
    """Find whole words first, so that `art` is not found in `heart`."""
    at = message.find(piece, start)
    fallback: int | None = None
    while at >= 0:
        end = at + len(piece)
        if not _inside_word(message, at, piece[0]) and not _inside_word(message, end, message[end : end + 1]):
            return at
        fallback = at if fallback is None else fallback
        at = message.find(piece, at + 1)
    return fallback if fallback is not None and len(piece) >= 12 else None


def _inside_word(text: str, at: int, char: str) -> bool:
    before = text[at - 1 : at] if at else ""
    return before.isalpha() and char.isalpha() and before.isascii() and char.isascii()


def _aligned(quote: str, message: str) -> tuple[int, int] | None:
    """Find a quote that was copied with slips: in order, with at most one word in seven changed."""
    asked = re.findall(r"\w+", quote)
    if len(asked) < 4 or len(message) > _MAX_ALIGNED:
        return None
    said = [(match.group(), match.start(), match.end()) for match in re.finditer(r"\w+", message)]
    matcher = SequenceMatcher(None, asked, [word for word, _, _ in said], autojunk=False)
    blocks = [block for block in matcher.get_matching_blocks() if block.size]
    if not blocks:
        return None
    matched = sum(block.size for block in blocks)
    span = blocks[-1].b + blocks[-1].size - blocks[0].b
    if matched < len(asked) * 0.85 or span > len(asked) * 1.4 + 2:
        return None
    missing = set(range(len(asked)))
    for block in blocks:
        missing -= set(range(block.a, block.a + block.size))
    near = [word for word, _, _ in said[blocks[0].b : blocks[0].b + span]]
    if any(_matters(asked[at], near) for at in missing):
        return None
    return said[blocks[0].b][1], said[blocks[0].b + span - 1][2]


def _matters(word: str, near: list[str]) -> bool:
    if word.isdigit() or word in ANY_NEGATION:
        return True
    if word in FUNCTION_WORDS:
        return False
    return not any(SequenceMatcher(None, word, other).ratio() >= 0.75 for other in near)


_FINITE: Final = re.compile(r"\w\w(?:s|ed)$")


@lru_cache(maxsize=32)
def words_of(text: str) -> Words:
    """Return the words of a text; those of the texts asked about last are kept."""
    return Words(text)


class Words:
    """The words of some text, for asking whether it has another one; each view of them is made when it is needed."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.keys = keys(text)

    @cached_property
    def tokens(self) -> tuple[Token, ...]:
        """In order, as written."""
        return tokens(self._text)

    @cached_property
    def folded(self) -> str:
        """The text as it is compared."""
        return fold(self._text)

    @cached_property
    def squashed(self) -> str:
        """The text as it is compared, letters and digits alone."""
        return re.sub(r"[\W_]+", "", self.folded)

    @cached_property
    def initials(self) -> str:
        """First letters, in order."""
        return "".join(token.key[0] for token in self.tokens)

    @cached_property
    def _acronyms(self) -> frozenset[str]:
        return frozenset(token.key for token in self.tokens if len(token.raw) >= 2 and token.raw.isupper())

    @cached_property
    def _by_prefix(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for key in self.keys:
            found.setdefault(key[:2], []).append(key)
        return found

    @cached_property
    def _said_of_names(self) -> frozenset[str]:
        found: set[str] = set()
        named = beside = False
        for token in self.tokens:
            named, beside = named and not token.initial, beside and not token.initial
            if token.capital and token.key not in STARTERS:
                named = beside = True
                continue
            if beside or (named and _FINITE.search(token.key)):
                found.add(token.key)
            beside = False
        return frozenset(found)

    def said_of_name(self, key: str) -> bool:
        """Return whether a word stands here as a verb does after a name: beside it, or in its form later on."""
        return key in self._said_of_names

    def has_name(self, token: Token, *, inflecting: bool) -> bool:
        """Return whether a name stands here, apart from its ending."""
        key = token.key
        if key in self.keys or (len(key) >= 5 and key in self.squashed):
            return True
        if token.unspaced:
            return key in self.folded
        if any(_same_name(key, other, inflecting=inflecting or not token.cased) for other in self._near(key)):
            return True
        return len(token.raw) >= 2 and token.raw.isupper() and key in self.initials

    def has_acronym_of(self, names: Iterable[Token]) -> bool:
        """Return whether the initials of a name in several words stand here: NYC for New York City."""
        initials = "".join(token.key[0] for token in names)
        return initials in self._acronyms or (len(initials) >= 3 and initials in self.keys)

    def has_word(self, key: str) -> bool:
        """Return whether a word or another form of it stands here."""
        if key in self.keys:
            return True
        return any(same_stem(key, other) for other in self._near(key))

    def _near(self, key: str) -> list[str]:
        near = self._by_prefix.get(key[:2], [])
        # Letters that Arabic and Hebrew write onto the next word.
        if key[:1] and "\u0590" <= key[0] <= "\u06ff":
            return list(self.keys)
        return near


_CLITICS: Final = re.compile(
    r"^(?:وال|بال|كال|فال|لل|ال|و|ب|ل|ف|ك|س)(?=\w{3})|^(?:וה|שה|מה|בה|לה|ה|ו|ב|ל|מ|ש|כ)(?=\w{2})"
)
# I, he, she, we do: one letter in front.
_ARABIC_VERB: Final = re.compile(r"^[اينت]\w{2,}$")
_PARTICLES: Final = re.compile(
    r"(?:에서는|에서|에게|으로|부터|까지|이라고|라고|이랑|랑|하고|처럼|보다|은|는|이|가|을|를|에|와|과|로|의|도|만|씨|님|야|아)$"
)


def bare(key: str) -> str:
    """Return a word without what Arabic, Hebrew and Korean write onto it."""
    if "\uac00" <= key[:1] <= "\ud7a3":
        return _PARTICLES.sub("", key) if len(key) > 2 else key
    return _CLITICS.sub("", key)


def particle(key: str) -> str:
    """Return the Korean particle that a word ends with, or an empty text."""
    found = _PARTICLES.search(key) if "\uac00" <= key[:1] <= "\ud7a3" and len(key) > 2 else None
    return found.group() if found else ""


def _same_name(one: str, other: str, *, inflecting: bool) -> bool:
    one, other = bare(one), bare(other)
    if one == other or one.rstrip("s") == other.rstrip("s") != "":
        return True
    shortest = min(one, other, key=len)
    if len(shortest) >= 6 and one.startswith(shortest) and other.startswith(shortest):
        return True
    if not inflecting:
        return False
    shared = _shared(one, other)
    longest = max(len(one), len(other))
    return (
        shared >= 3 and longest - shared <= 3 and len(shortest) - shared <= 1 and shared * 10 >= longest * 6
    )


def same_stem(one: str, other: str) -> bool:
    """Return whether two words begin alike for most of their length."""
    if one.isascii() and other.isascii():
        if one[:3] != other[:3]:
            return False
    else:
        one, other = bare(one), bare(other)
    if _ARABIC_VERB.match(one) and _ARABIC_VERB.match(other) and _one_arabic_verb(one, other):
        return True
    shared = _shared(one, other)
    longest = max(len(one), len(other))
    least = 6 if shared >= 4 else 7
    return one == other or (
        shared >= 3 and shared * 10 >= min(len(one), len(other)) * least and longest - shared <= 6
    )


def _one_arabic_verb(one: str, other: str) -> bool:
    # A verb that begins with a hamza merges it with the letter of "I".
    return (
        one[1:] == other[1:]
        or (one[1:2] == "ا" and one[1:] == other)
        or (other[1:2] == "ا" and other[1:] == one)
    )


def _shared(one: str, other: str) -> int:
    count = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        count += 1
    return count
