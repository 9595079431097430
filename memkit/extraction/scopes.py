"""Which words of a sentence its negations reach, and what two texts say of the same words.

A negation reaches what follows it in its clause, and in languages where it may stand behind the verb the whole clause.
What stands before it is what the clause is about.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Final, Literal, NamedTuple

from memkit.extraction.align import same_stem
from memkit.extraction.opposites import PHRASES, opposites
from memkit.extraction.scope_words import (
    BEFORE,
    BEFORE_NOUNS,
    CONTRACTION,
    DETERMINERS,
    ENGLISH_CLAUSE,
    EXCEPT,
    IN_ORDER,
    ITEM,
    NEXT_ONLY,
    OF_NOUNS,
    OTHER_CLAUSE,
    PREFIXES,
    ROMANCE_CLAUSE,
    STRONG,
    WEAK,
)
from memkit.extraction.words import (
    ANY_NEGATION,
    FUNCTION_WORDS,
    NEGATIONS,
    NOT_NEGATION,
    NUMBER_WORDS,
    STOP_WORDS,
)
from memkit.ranking.words import IRREGULAR


class Signed(NamedTuple):
    """A word, and whether its clause affirms it (1), denies it (-1), or might do either (0)."""

    clause: int
    word: str
    sign: int
    alone: bool = False
    """Whether something denies this word and not its clause: without, instead of."""


@lru_cache(maxsize=8192)
def same_word(one: str, other: str) -> bool:
    """Return whether two words are forms of one."""
    return same_stem(one, other) or IRREGULAR.get(one, one) == IRREGULAR.get(other, other)


@lru_cache(maxsize=64)
def plain(folded: str, spoken: str | None) -> str:
    """Return a folded text with phrases of several words, whose parts say something else, as one word."""
    text = NOT_NEGATION.sub(" ", folded)
    spoken = spoken or ("en" if folded.isascii() and "degil" not in folded else None)
    for pattern, word in PHRASES.get(spoken or "", ()):
        text = pattern.sub(word, text)
    return text


def clause_ends(spoken: str | None) -> re.Pattern[str]:
    """Return what ends a clause in a language."""
    return ENGLISH_CLAUSE if spoken == "en" else ROMANCE_CLAUSE if spoken in IN_ORDER else OTHER_CLAUSE


def clauses(text: str, spoken: str | None) -> list[str]:
    """Return the clauses of a plain text."""
    return [clause for clause in clause_ends(spoken).split(text) if clause and clause.strip()]


def negates(word: str, spoken: str | None) -> bool:
    """Return whether a word is a negation in a language."""
    known = NEGATIONS.get(spoken, ANY_NEGATION) if spoken else ANY_NEGATION
    if word.startswith("degil"):
        return True
    return word in known or word == "cannot" or CONTRACTION.fullmatch(word) is not None


@lru_cache(maxsize=64)
def signed(text: str, spoken: str | None) -> tuple[Signed, ...]:
    """Return the words of a plain text that mean something, with their signs."""
    out: list[Signed] = []
    spoken = spoken or ("en" if text.isascii() and "degil" not in text else None)
    for number, clause in enumerate(clauses(text, spoken)):
        apart = clause.replace("'", " ") if spoken in ("fr", "it") else clause
        items = [match.group() for match in ITEM.finditer(apart)]
        out += _in_order(number, items, spoken) if spoken in IN_ORDER else _throughout(number, items, spoken)
    return tuple(out)


_OBJECTS: Final = [
    [word] for word in "nothing nobody none no nowhere neither nada nadie rien niente nulla".split()
]


def _in_order(number: int, items: Sequence[str], spoken: str | None) -> Iterator[Signed]:
    denied = weak = alone = False
    turned, only, within = 1, 0, -1
    strong = STRONG.get(spoken or "", frozenset[str]())
    of_nouns = OF_NOUNS if spoken == "en" else frozenset(("pas", "jamais"))
    if spoken in ("es", "it", "pt") and items[:1] and items[0] in ("no", "non", "nao") and items[1:2]:
        of_nouns = frozenset((items[0],)) if items[1] in BEFORE_NOUNS else of_nouns
    verbless = items[:1] != [] and next((item for item in items if item not in BEFORE), "") in of_nouns
    several = sum(negates(item, spoken) for item in items) > 1
    for at, item in enumerate(items):
        if item in NEXT_ONLY:
            only, within = 2, 1 if item in EXCEPT and denied else -1
        elif negates(item, spoken):
            denied = True
            of_noun = at > 0 and item in of_nouns and item not in ("not", "never", "pas", "jamais")
            alone = alone or verbless or of_noun
        elif means(item, spoken):
            sign = -turned if denied else turned
            if only:
                sign = 0 if several and within < 0 else within
            elif weak or items[at + 1 : at + 2] in _OBJECTS:  # to know nothing is not to know anything
                sign = 0
            yield Signed(number, _bare(item), sign, alone=alone or only > 0)
            only = max(0, only - 1)
            turned = -turned if item in strong else turned
        elif only and item not in DETERMINERS and item not in ("of", "than", "for", "on", "in", "at", "with"):
            only = 0
        weak = weak or WEAK.fullmatch(item) is not None


def _throughout(number: int, items: Sequence[str], spoken: str | None) -> Iterator[Signed]:
    strong = STRONG.get(spoken or "", frozenset[str]())
    sign = -1 if any(negates(item, spoken) and item not in NEXT_ONLY for item in items) else 1
    turns = any(item in strong for item in items)
    weak = any(WEAK.fullmatch(item) for item in items)
    only = 0
    for item in items:
        if item in NEXT_ONLY:
            only = 1
        elif means(item, spoken) and not negates(item, spoken):
            within = (
                -sign if turns and item not in strong else 0 if weak and not WEAK.fullmatch(item) else sign
            )
            yield Signed(number, _bare(item), -1 if only else within, alone=only > 0)
            only = 0


_ALSO_PLAIN: Final = frozenset(
    "user users person someone assistant am may might must shall these those very too also just get gets got s t don "
    "all any some because more yet yeah longer anymore one ones other".split()
)


@lru_cache(maxsize=16)
def _plain_words(spoken: str | None) -> frozenset[str]:
    """Return the words of a language that name nothing: those of others are words here, as `die` is."""
    return STOP_WORDS["en"] | _ALSO_PLAIN if spoken == "en" else FUNCTION_WORDS


def means(item: str, spoken: str | None) -> bool:
    """Return whether a word names something."""
    word = _bare(item)
    return (
        len(word) > 1
        and (word not in _plain_words(spoken) or word == "pour")
        and word not in ANY_NEGATION
        and word not in NUMBER_WORDS
        and not item.isdigit()
    )


def _bare(item: str) -> str:
    """Return a word without what an apostrophe sets off: Hugo's, l'offre."""
    before, apostrophe, after = item.rpartition("'")
    return item if not apostrophe else before if len(after) <= 2 else after


Stance = Literal["agrees", "turns"]


def stance(text: str, near: str, spoken: str | None) -> Stance | None:
    """Return whether a text says what a message says, or the opposite, by words of opposite meaning."""
    table = opposites().get(spoken or "", opposites()[""])
    mine, said = signed(text, spoken), signed(near, spoken)
    if not any(word.word in table or _undone(word.word) != word.word for word in (*mine, *said)):
        return None
    own = of_the_speaker(text, near, spoken)
    found: Stance | None = None
    for word in mine:
        theirs = list(_same_matter(word, said, table))
        if not theirs or any(other.sign == 0 for other, _ in theirs):
            continue
        about = [other.word for other in mine if other.word != word.word]
        closest = _closest(theirs, about, said, own)
        if 1 in closest:
            found = "agrees"
        elif closest and 0 not in closest:
            return "turns"
    return found


@lru_cache(maxsize=1024)
def _undone(word: str) -> str:
    """Return a word without what turns it round: happy for unhappy."""
    return PREFIXES.sub("", word, count=1)


def _same_matter(
    word: Signed, said: Sequence[Signed], table: Mapping[str, tuple[tuple[int, int], ...]]
) -> Iterator[tuple[Signed, int]]:
    """Yield the words that speak of one matter with a word, each with 1 where they say the same, else -1.

    A word that is itself denied is told by its negation, and gets 0.
    """
    matters = table.get(word.word, ())
    undone = _undone(word.word)
    if word.word.startswith(("like", "dislike")):
        return
    for other in said:
        if same_word(other.word, word.word):
            if matters:
                yield other, 0
            continue
        sides = [
            one * two for matter, one in matters for same, two in table.get(other.word, ()) if matter == same
        ]
        if sides:
            yield other, sides[0] * word.sign * other.sign
        elif (undone != word.word and same_word(undone, other.word)) or (
            (theirs := _undone(other.word)) != other.word and same_word(theirs, word.word)
        ):
            yield other, -word.sign * other.sign


SPEAKER: Final = re.compile(
    r"(?:the |der |die |l'|el |la )?(?:user(?! and )|nutzer|nutzerin|utilisateur|utilisatrice|usuario|usuaria) "
)
FIRST: Final = frozenset("i i'm i've i'd i'll we we're we've ich wir je j'ai nous yo nosotros".split())


def of_the_speaker(text: str, near: str, spoken: str | None) -> set[int]:
    """Return the clauses in which speakers speak of themselves, where a text is about the speaker."""
    if not SPEAKER.match(text):
        return set()
    return {
        number
        for number, clause in enumerate(clauses(near, spoken))
        if not FIRST.isdisjoint(clause.split()[:2])
    }


def _closest(
    theirs: Sequence[tuple[Signed, int]], about: Sequence[str], said: Sequence[Signed], own: set[int]
) -> list[int]:
    """Return, for the clauses that share most with a text, whether they agree with it."""
    scored: list[tuple[int, int]] = []
    for other, sign in theirs:
        beside = [one.word for one in said if one.clause == other.clause and one.word != other.word]
        if next(one for one in said if one.clause == other.clause) is other:  # its subject stands before
            beside += [one.word for one in said if one.clause == other.clause - 1][:1]
        shared = sum((1 + 2 * (not at)) * any(same_word(a, b) for b in beside) for at, a in enumerate(about))
        scored.append((shared + 2 * (other.clause in own), sign))
    best = max(score for score, _ in scored)
    several = len({one.clause for one in said}) > 2
    if best == 0 and several and about:
        return [agrees for _, agrees in scored if agrees > 0]
    return [agrees for score, agrees in scored if score == best]
