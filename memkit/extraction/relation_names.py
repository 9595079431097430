"""Names in plain sentences: who or what a capitalised run stands for, and whoever speaks."""

from __future__ import annotations

from typing import Final

from memkit.extraction.dates import MONTHS, WEEKDAYS
from memkit.extraction.relation_forms import KIN, PETS
from memkit.extraction.words import NUMBER_WORDS, STARTERS, STOP_WORDS

UPPER: Final = "".join(chr(code) for code in range(0x41, 0x530) if chr(code).isupper())
WORD: Final = rf"[{UPPER}](?:[\w&.]|['’\-](?=\w))*"
JOINT: Final = r"(?:of|de|da|do|del|della|di|van|von|der|den|la|las|los|le|el|al|bin|ibn|&)"
NAME: Final = rf"{WORD}(?:\s+(?:{JOINT}\s+){{0,2}}{WORD}){{0,4}}"
ME: Final = r"(?:I|i|We|we|Ich|ich|Wir|wir|Yo|yo|Je|je|Nous|nous|J['’]|j['’])(?=\s|'m|'ve|\b)"
USER: Final = r"(?:[Tt]he\s+)?[Uu]ser"
GAP: Final = r"(?:\s+|(?<=['’])|(?=['’](?:m|ve)\b))"
AND: Final = r"(?:\s*,\s*|\s*,?\s+(?:and|und|y|et)\s+)"
MY: Final = r"(?:[Mm]y|[Oo]ur|[Mm]eine?[mnr]?|[Uu]nsere?|[Mm]i|[Nn]uestr[oa]|[Mm]on|[Mm]a|[Nn]otre)"


_SPEAKERS: Final = frozenset(("i", "we", "ich", "wir", "yo", "je", "j", "nous", "user", "the user"))


def speaks(text: str) -> bool:
    """Return whether a subject is whoever says it."""
    return text.casefold().rstrip("'’") in _SPEAKERS


def is_name(text: str) -> bool:
    """Return whether a capitalised run is a name, and not a day, a month or a word of grammar."""
    if text in _ACRONYMS:
        return True
    words = [word.casefold().strip(".").replace("’", "'") for word in text.split()]
    return bool(words) and not all(
        word in _NOT_NAMES
        or word.startswith("i'")
        or word.removesuffix("s") in WEEKDAYS
        or word in WEEKDAYS
        or word in MONTHS
        or word in NUMBER_WORDS
        or word in KIN
        or word in PETS
        for word in words
    )


_ACRONYMS: Final = frozenset("MIT US UN EU LA".split())
"""Names that are words of grammar in some language when they are written small."""
_NOT_NAMES: Final = STOP_WORDS["en"].union(
    STOP_WORDS["de"],
    STOP_WORDS["es"],
    STOP_WORDS["fr"],
    "looks sounds seems feels tastes smells thanks please".split(),
)


def trimmed(text: str, *, head: bool = False) -> str:
    """Return a name without marks at its end, nor words that only begin the sentence at its `head`."""
    words = text.split()
    while len(words) > 1 and words[0].casefold() in (_BEGINNERS if head else KIN):
        words = words[1:]
    kin = [place for place, word in enumerate(words) if word.casefold() in KIN]
    if kin and kin[-1] + 1 < len(words):
        words = words[kin[-1] + 1 :]
    joined = " ".join(words)
    return joined if joined.endswith((" Inc.", " Ltd.", " Co.")) else joined.rstrip(".'’")


_ARTICLES: Final = frozenset("la los las el le les san santa lo il al".split())
_BEGINNERS: Final = (
    STARTERS.union(WEEKDAYS, KIN, PETS)
    | frozenset(
        (
            "yesterday today tomorrow now then later recently finally meanwhile also however "
            "actually currently last next "
            "once since apparently gestern heute morgen jetzt früher ayer hoy mañana ahora hier aujourd'hui maintenant"
        ).split()
    )
) - _ARTICLES
