"""Which words of a sentence its negations reach, and what two texts say of the same words.

A negation reaches what follows it in its clause, and in languages where it may stand behind the verb the whole clause.
What stands before it is what the clause is about.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Final, Literal, NamedTuple

from memkit.extraction.align import same_stem
from memkit.extraction.opposites import PHRASES, opposites
from memkit.extraction.scope_words import (
    AUXILIARY,
    BE,
    BEFORE,
    BEFORE_NOUNS,
    CALENDAR,
    CONTRACTION,
    DETERMINERS,
    ENGLISH_CLAUSE,
    IN_ORDER,
    ITEM,
    LIGHT,
    NEXT_ONLY,
    OF_NOUNS,
    OF_TIME,
    OTHER_CLAUSE,
    POINTING,
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


class Signed(NamedTuple):
    """A word, and whether its clause affirms it (1), denies it (-1), or might do either (0)."""

    clause: int
    word: str
    sign: int
    alone: bool = False
    """Whether something denies this word and not its clause: without, instead of."""


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


def _negates(word: str, spoken: str | None) -> bool:
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
    turned, only = 1, 0
    strong = STRONG.get(spoken or "", frozenset[str]())
    of_nouns = OF_NOUNS if spoken == "en" else frozenset(("pas",))
    if spoken in ("es", "it", "pt") and items[:1] and items[0] in ("no", "non", "nao") and items[1:2]:
        of_nouns = frozenset((items[0],)) if items[1] in BEFORE_NOUNS else of_nouns
    verbless = items[:1] != [] and next((item for item in items if item not in BEFORE), "") in of_nouns
    several = sum(_negates(item, spoken) for item in items) > 1
    for at, item in enumerate(items):
        if item in NEXT_ONLY:
            only = 2
        elif _negates(item, spoken):
            denied, alone = (
                True,
                alone or verbless or (at > 0 and item in of_nouns and item not in ("not", "never", "pas")),
            )
        elif _means(item, spoken):
            open_ = weak or items[at + 1 : at + 2] in _OBJECTS  # to know nothing is not to know anything
            sign = (0 if several else -1) if only else 0 if open_ else -turned if denied else turned
            yield Signed(number, _bare(item), sign, alone=alone or only > 0)
            only = max(0, only - 1)
            turned = -turned if item in strong else turned
        elif only and item not in DETERMINERS and item not in ("of", "than", "for", "on", "in", "at", "with"):
            only = 0
        weak = weak or WEAK.fullmatch(item) is not None


def _throughout(number: int, items: Sequence[str], spoken: str | None) -> Iterator[Signed]:
    strong = STRONG.get(spoken or "", frozenset[str]())
    sign = -1 if any(_negates(item, spoken) and item not in NEXT_ONLY for item in items) else 1
    turns = any(item in strong for item in items)
    weak = any(WEAK.fullmatch(item) for item in items)
    only = 0
    for item in items:
        if item in NEXT_ONLY:
            only = 1
        elif _means(item, spoken) and not _negates(item, spoken):
            within = (
                -sign if turns and item not in strong else 0 if weak and not WEAK.fullmatch(item) else sign
            )
            yield Signed(number, _bare(item), -1 if only else within, alone=only > 0)
            only = 0


_ALSO_PLAIN: Final = frozenset(
    "user users person someone assistant am may might must shall these those very too also just get gets got s t don "
    "all any some because more longer anymore one ones other".split()
)


@lru_cache(maxsize=16)
def _plain_words(spoken: str | None) -> frozenset[str]:
    """Return the words of a language that name nothing: those of others are words here, as `die` is."""
    return STOP_WORDS["en"] | _ALSO_PLAIN if spoken == "en" else FUNCTION_WORDS


def _means(item: str, spoken: str | None) -> bool:
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
    mine = [(at, word) for at, word in enumerate(signed(text, spoken))]
    said = signed(near, spoken)
    own = _of_the_speaker(text, near, spoken)
    found: Stance | None = None
    for _, word in mine:
        theirs = list(_same_matter(word, said, table))
        if not theirs:
            continue
        if any(other.sign == 0 for other, _ in theirs):
            continue
        about = [other.word for _, other in mine if other.word != word.word]
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
        if same_stem(other.word, word.word):
            if matters:
                yield other, 0
            continue
        sides = [
            one * two for matter, one in matters for same, two in table.get(other.word, ()) if matter == same
        ]
        if sides:
            yield other, sides[0] * word.sign * other.sign
        elif (undone != word.word and same_stem(undone, other.word)) or (
            (theirs := _undone(other.word)) != other.word and same_stem(theirs, word.word)
        ):
            yield other, -word.sign * other.sign


_SPEAKER: Final = re.compile(
    r"(?:the |der |die |l'|el |la )?(?:user|nutzer|nutzerin|utilisateur|utilisatrice|usuario|usuaria) "
)
FIRST: Final = frozenset("i i'm i've i'd i'll we we're we've ich wir je j'ai nous yo nosotros".split())


def _of_the_speaker(text: str, near: str, spoken: str | None) -> set[int]:
    """Return the clauses in which speakers speak of themselves, where a text is about the speaker."""
    if not _SPEAKER.match(text):
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
        shared = sum((1 + 2 * (not at)) * any(same_stem(a, b) for b in beside) for at, a in enumerate(about))
        scored.append((shared + 2 * (other.clause in own), sign))
    best = max(score for score, _ in scored)
    several = len({one.clause for one in said}) > 2
    if best == 0 and several and about:
        return [agrees for _, agrees in scored if agrees > 0]
    return [agrees for score, agrees in scored if score == best]


def denial(text: str, near: str, spoken: str | None) -> Stance | None:
    """Return whether what a text denies is denied by a message, or is affirmed by it."""
    if "never" in text:  # what once was did happen
        near = near.replace("formerly", " ")
    said, mine = signed(near, spoken), _told(text, spoken)
    focus = [word.word for word in mine if word.sign < 0 and word.word not in OF_TIME]
    if spoken not in (*IN_ORDER, None):
        focus = focus[1:] or focus
    signs = [_signs(word, said) for word in focus]
    if any({-1} == one and _alone(word, said) for word, one in zip(focus, signs, strict=True)):
        return "agrees"
    if _denies_the_reason(focus, said, spoken):
        return "turns"
    matched = [one for one in signs if one]
    if matched and matched[0] & {-1, 0}:
        return "turns" if _of_the_other(focus, signs, said) else "agrees"
    topics = [word.word for word in mine if word.sign > 0]
    if any({-1} == _signs(word, said) and _alone(word, said) for word in topics):
        return "agrees"
    clashing = [word for word, one in zip(focus, signs, strict=True) if one == {1}]
    if not clashing:
        return None
    where = max(one.clause for one in said if any(same_stem(word, one.word) for word in clashing))
    ended = _ENDED.search(clauses(near, spoken)[where])
    if ended is not None and not any(same_stem(word, ended.group()) for word in focus):
        return None
    open_ = {
        one.clause for one in said if one.clause != where and (one.sign == 0 or WEAK.fullmatch(one.word))
    }
    if any(same_stem(topic, one.word) for topic in topics for one in said if one.clause in open_):
        return None
    subject = next(one.word for one in said if one.clause == where)
    elsewhere = _negated(near, spoken) - {where}
    if not any(same_stem(subject, one.word) for one in mine) and any(
        same_stem(topic, one.word) for topic in topics for one in said if one.clause in elsewhere
    ):
        return None  # it was said of somebody else
    of_speaker = _SPEAKER.match(text) is not None
    return None if _denied_after(near, spoken, where, of_speaker=of_speaker) else "turns"


def _negated(near: str, spoken: str | None) -> set[int]:
    """Return the clauses that have a negation."""
    return {
        number
        for number, clause in enumerate(clauses(near, spoken))
        if any(_negates(match.group(), spoken) for match in ITEM.finditer(clause))
    }


_ENDED: Final = re.compile(r"\b(?:ended(?! up)|expired|died|broke|gone|cancell?ed|closed)\b")
"""What is the end of what stands before it."""


def _alone(word: str, said: Sequence[Signed]) -> bool:
    return all(other.alone for other in said if same_stem(word, other.word))


def _denies_the_reason(focus: Sequence[str], said: Sequence[Signed], spoken: str | None) -> bool:
    """Return whether a text denies the very word by which a message denies: "not allergic"."""
    strong = STRONG.get(spoken or "en", frozenset[str]())
    return any(
        other.sign > 0
        and (WEAK.fullmatch(other.word) or other.word in strong)
        and same_stem(word, other.word)
        for word in (focus[:1] if spoken in ("en", None) else focus)
        for other in said
    ) or any(
        other.sign > 0 and other.word.startswith("allerg") and same_stem(word, other.word)
        for word in focus
        for other in said
    )


def _told(text: str, spoken: str | None) -> list[Signed]:
    """Return the words of a fact: what stands behind a word that leaves things open has the sign of that word."""
    out: list[Signed] = []
    for word in signed(text, spoken):
        before = out[-1].sign if out and out[-1].clause == word.clause else 1
        out.append(word._replace(sign=before) if word.sign == 0 else word)
    return out


def _signs(word: str, said: Sequence[Signed]) -> set[int]:
    return {other.sign for other in said if same_stem(word, other.word)}


def _of_the_other(focus: Sequence[str], signs: Sequence[set[int]], said: Sequence[Signed]) -> bool:
    """Return whether a text denies of one thing what was denied of another: "not Hungarian, only Romanian"."""
    if len(focus) != 2 or signs[0] != {-1} or signs[1] != {1}:
        return False
    denied = {one.clause for one in said if one.sign < 0 and same_stem(one.word, focus[0])}
    affirmed = {one.clause for one in said if same_stem(one.word, focus[1])}
    own = [one for one in said if one.clause in denied and one.sign < 0]
    short = [one for one in said if one.clause in affirmed]
    return len(own) > 1 and len(short) <= 2 and same_stem(short[0].word, focus[1])


def affirms_denied(text: str, near: str, spoken: str | None, *, still: bool) -> bool:
    """Return whether all that a text affirms is denied by a message, apart from what it is about.

    Args:
        text: The fact.
        near: The message around its quote.
        spoken: Its language.
        still: Whether the text says that something goes on: what was lost or left then says no, too.
    """
    said = signed(near, spoken)
    mine = [word for word in signed(text, spoken) if word.word not in OF_TIME and word.sign]
    signs = [(_signs(word.word, said), word) for word in mine]
    if any(word.sign > 0 and one == {-1} and _alone(word.word, said) for one, word in signs):
        return not re.search(r"\b(?:over|than|prefer\w*)\b", text)
    yes = {1} if still else {1, 0}
    clashes = [word for one, word in signs if word.sign > 0 and one and not one & yes]
    where = {word.clause for word in clashes}
    agrees = [
        word
        for one, word in signs[1:]
        if word.clause in where
        and word.word not in CALENDAR
        and ((word.sign > 0 and one & yes) or (word.sign < 0 and not word.alone and -1 in one))
    ]
    return bool(clashes) and not agrees


def _denied_after(near: str, spoken: str | None, where: int, *, of_speaker: bool) -> bool:
    """Return whether a clause behind another one denies it without words of its own: "but I didn't"."""
    strong = STRONG.get(spoken or "", frozenset[str]())
    said = clauses(near, spoken)
    by_speaker = not FIRST.isdisjoint(said[where].split()[:2])
    for clause in said[where + 1 :]:
        items = [match.group() for match in ITEM.finditer(clause)]
        if not by_speaker and not of_speaker and not FIRST.isdisjoint(items[:2]):
            continue  # speakers deny it of themselves
        at = next((at for at, item in enumerate(items) if _negates(item, spoken)), None)
        meant = [
            item for item in items if _means(item, spoken) and not WEAK.fullmatch(item) and item not in strong
        ]
        if at is None:
            if not meant and any(WEAK.fullmatch(item) or item in strong for item in items):
                return True
        elif (
            not meant or (items[-1] in POINTING and LIGHT.issuperset(meant)) or _left_open(items, at, spoken)
        ):
            return True
    return False


def _left_open(items: Sequence[str], at: int, spoken: str | None) -> bool:
    """Return whether a clause denies a verb alone: "I couldn't attend"."""
    behind = items[at + 1 :]
    return (
        len([item for item in items if _means(item, spoken)]) <= 1
        and not BE.intersection(items[: at + 1])
        and not DETERMINERS.intersection(behind)
        and items[-1] not in POINTING
        and (not AUXILIARY.isdisjoint(items[: at + 1]) or CONTRACTION.fullmatch(items[at]) is not None)
    )


_ELLIPSIS: Final = re.compile(
    r"(?:and |but )?(.{2,40}?) (?:is|are|was|were|does|do|did|can|could|will|would|has|have)(n't| not)?"
    r"(?: too| though)?|"
    r"(?:and |but )?(.{2,40}?) (can't|cannot|won't|never did|never has)"
)


def elliptic(text: str, near: str, spoken: str | None, *, says_no: bool) -> Stance | None:
    """Return what a clause says that leaves its predicate out: "but my wife doesn't"."""
    if _SPEAKER.match(text) and (of_speaker := _elliptic_of_speaker(near, spoken)) is not None:
        return "agrees" if says_no is of_speaker else "turns"
    if spoken != "en":
        return None
    told = [word.word for word in signed(text, spoken)][:2]
    for clause in clauses(near, spoken)[1:]:
        found = _ELLIPSIS.fullmatch(clause.strip())
        if found is None:
            continue
        subject = [
            match.group() for match in ITEM.finditer(found[1] or found[3]) if _means(match.group(), spoken)
        ]
        if any(same_stem(one, word) for one in subject for word in told):
            return "agrees" if says_no is bool(found[2] or found[4]) else "turns"
    return None


_OF_SPEAKER: Final = re.compile(
    r"(?:i|we) (?:do|did|am|was|can|could|will|would|have)(n't| not)?(?: though)?|(?:i'm|we're|i've) (not)"
    r"|(?:ich|wir) (?:auch )?(nicht)|(?:moi|nous) (non|pas)|(?:yo|nosotros) (no|tampoco)"
)


def _elliptic_of_speaker(near: str, spoken: str | None) -> bool | None:
    """Return whether speakers deny of themselves what they said of somebody else: "she does, I don't"."""
    said = clauses(near, spoken)
    for before, clause in pairwise(said):
        found = _OF_SPEAKER.fullmatch(clause.strip())
        if found is not None and FIRST.isdisjoint(before.split()[:2]):
            return any(found.groups())
    return None
