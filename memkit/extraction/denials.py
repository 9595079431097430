"""What a message denies without saying the words again, and whether a fact denies or affirms the same."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from memkit.extraction.negation import content
from memkit.extraction.scope_words import (
    AUXILIARY,
    BE,
    CALENDAR,
    CONTRACTION,
    DETERMINERS,
    IN_ORDER,
    ITEM,
    LIGHT,
    OF_NAMES,
    OF_TIME,
    POINTING,
    POINTING_BACK,
    PRO_FORMS,
    SET_ASIDE,
    STRONG,
    SUBJECTS,
    WEAK,
)
from memkit.extraction.scopes import (
    FIRST,
    SPEAKER,
    Signed,
    Stance,
    clauses,
    means,
    negates,
    same_word,
    signed,
)


def denial(text: str, near: str, spoken: str | None) -> Stance | None:
    """Return whether what a text denies is denied by a message, or is affirmed by it."""
    if "never" in text:  # what once was did happen
        near = near.replace("formerly", " ")
    said, mine = signed(near, spoken), _told(text, spoken)
    focus = [word.word for word in mine if word.sign < 0 and word.word not in OF_TIME]
    if spoken not in (*IN_ORDER, None):
        focus = focus[1:] or focus
    signs = [_signs(word, said) for word in focus]
    alone = [one for word, one in zip(focus, signs, strict=True) if one in ({1}, {-1}) and _alone(word, said)]
    if alone:
        return "agrees" if {-1} in alone else "turns"
    if _denies_the_reason(focus, said, spoken):
        return "turns"
    matched = [one for one in signs if one]
    if matched and matched[0] & {-1, 0} and not _affirmed_together(focus, said):
        return "turns" if _of_the_other(focus, signs, said) else "agrees"
    topics = [word.word for word in mine if word.sign > 0]
    if any({-1} == _signs(word, said) and _alone(word, said) for word in topics):
        return "agrees"
    clashing = [word for word, one in zip(focus, signs, strict=True) if one == {1}]
    if not clashing:
        return None
    where = max(one.clause for one in said if any(same_word(word, one.word) for word in clashing))
    return None if _settled_elsewhere(text, near, spoken, where, focus, topics) else "turns"


def _affirmed_together(focus: Sequence[str], said: Sequence[Signed]) -> bool:
    """Return whether one clause has more of some words than any other, and affirms them."""
    by_clause: dict[int, list[int]] = {}
    first = {one.clause for one in said if same_word(focus[0], one.word)}
    for word in focus:
        for number, sign in {(one.clause, one.sign) for one in said if same_word(word, one.word)}:
            by_clause.setdefault(number, []).append(sign)
    most = max(map(len, by_clause.values()))
    best = [signs for number, signs in by_clause.items() if len(signs) == most and number in first]
    return most > 1 and len(best) == 1 and set(best[0]) == {1}


def _settled_elsewhere(
    text: str, near: str, spoken: str | None, where: int, focus: Sequence[str], topics: Sequence[str]
) -> bool:
    """Return whether another clause may deny what a clause affirms."""
    said = signed(near, spoken)
    parts = clauses(near, spoken)
    ended = _ENDED.search(parts[where])
    if ended is not None and not any(same_word(word, ended.group()) for word in focus):
        return True
    open_ = {
        one.clause for one in said if one.clause != where and (one.sign == 0 or WEAK.fullmatch(one.word))
    }
    here = [one.word for one in said if one.clause == where]
    aside = [word for word in focus if not any(same_word(word, one) for one in here)]
    if _said_in(aside, open_, said):
        return True
    if len(here) > 1 and _THIRD.match(parts[where]) is None:
        if not any(same_word(here[0], topic) for topic in topics):  # it was said of somebody else
            open_ |= _negated(near, spoken) - {where}
        if _said_in(topics, open_, said):
            return True
    return _denied_after(
        near,
        spoken,
        where,
        of_speaker=SPEAKER.match(text) is not None,
        verb_said=focus[0] not in aside,
        first=same_word(focus[0], here[0]) and len(focus) > 1,
    )


def _said_in(words: Sequence[str], numbers: set[int], said: Sequence[Signed]) -> bool:
    """Return whether one of some words is in one of some clauses."""
    return any(one.clause in numbers and any(same_word(word, one.word) for word in words) for one in said)


def _negated(near: str, spoken: str | None) -> set[int]:
    """Return the clauses that have a negation."""
    return {
        number
        for number, clause in enumerate(clauses(near, spoken))
        if any(negates(match.group(), spoken) for match in ITEM.finditer(SET_ASIDE.sub(" ", clause)))
    }


_ENDED: Final = re.compile(r"\b(?:ended(?! up)|expired|died|broke|gone|cancell?ed|closed)\b")
"""What is the end of what stands before it."""


def _alone(word: str, said: Sequence[Signed]) -> bool:
    return all(other.alone for other in said if same_word(word, other.word))


def _denies_the_reason(focus: Sequence[str], said: Sequence[Signed], spoken: str | None) -> bool:
    """Return whether a text denies the very word by which a message denies: "not allergic"."""
    strong = STRONG.get(spoken or "en", frozenset[str]())
    return any(
        other.sign > 0
        and (WEAK.fullmatch(other.word) or other.word in strong)
        and same_word(word, other.word)
        for word in (focus[:1] if spoken in ("en", None) else focus)
        for other in said
    ) or any(
        other.sign > 0 and other.word.startswith("allerg") and same_word(word, other.word)
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
    return {other.sign for other in said if same_word(word, other.word)}


def _of_the_other(focus: Sequence[str], signs: Sequence[set[int]], said: Sequence[Signed]) -> bool:
    """Return whether a text denies of one thing what was denied of another: "not Hungarian, only Romanian"."""
    if len(focus) != 2 or signs[0] != {-1} or signs[1] != {1}:
        return False
    denied = {one.clause for one in said if one.sign < 0 and same_word(one.word, focus[0])}
    affirmed = {one.clause for one in said if same_word(one.word, focus[1])}
    own = [one for one in said if one.clause in denied and one.sign < 0]
    short = [one for one in said if one.clause in affirmed]
    return len(own) > 1 and len(short) <= 2 and same_word(short[0].word, focus[1])


def affirms_denied(text: str, near: str, spoken: str | None, *, still: bool) -> bool:
    """Return whether all that a text affirms is denied by a message, apart from what it is about.

    Args:
        text: The fact.
        near: The message around its quote.
        spoken: Its language.
        still: Whether the text says that something goes on: what was lost or left then says no, too.
    """
    said = signed(near, spoken)
    mine = [word for word in signed(text, spoken) if word.word not in OF_TIME]
    signs = [(_signs(word.word, said), word) for word in mine]
    if any(one == {1} and _alone(word.word, said) for one, word in signs):
        return False
    if any(word.sign >= 0 and one == {-1} and _alone(word.word, said) for one, word in signs):
        return not re.search(r"\b(?:over|than|prefer\w*)\b", text)
    yes = {1} if still else {1, 0}
    clashes = [word for one, word in signs if word.sign > 0 and one and not one & yes]
    if _is_all_denied(near, spoken):  # what stands before the negation may be told, and nothing new of it
        agreed = any(word.sign < 0 and -1 in one for one, word in signs)
        return not agreed and not all(one == {1} or word.word in OF_NAMES for one, word in signs if word.sign)
    if not clashes:
        return False
    denied = {other.clause for word in clashes for other in said if same_word(word.word, other.word)}
    if any(_points(number, clauses(near, spoken), spoken) for number in denied):
        return True
    where = {word.clause for word in clashes}
    agrees = [
        word
        for at, (one, word) in enumerate(signs)
        if (at or (one == {1} and SPEAKER.match(text)))  # a first word of another is whom the fact is about
        and word.clause in where
        and word.word not in CALENDAR
        and ((word.sign > 0 and _affirmed(word.word, said, yes, denied)) or (word.sign < 0 and -1 in one))
    ]
    about = signs[0][1] in clashes and SPEAKER.match(text) is None
    return not agrees or (len(agrees) < len(clashes) and not about)


def _is_all_denied(near: str, spoken: str | None) -> bool:
    return spoken in IN_ORDER and len(_negated(near, spoken)) == len(clauses(near, spoken)) > 0


def _affirmed(word: str, said: Sequence[Signed], yes: set[int], denied: set[int]) -> bool:
    """Return whether a word is affirmed; what stands before a negation is what its clause is about."""
    return any(
        other.sign in yes and (other.sign == 0 or other.clause not in denied)
        for other in said
        if same_word(word, other.word)
    )


_THIRD: Final = re.compile(
    r" ?(?:and |but |so |now )?(?:it|he|she|they|il|elle|ils|elles|on|el|ella|ellos)\b"
)
"""How a clause begins whose subject was named before."""


def _points(number: int, said: Sequence[str], spoken: str | None) -> bool:
    """Return whether a clause denies a verb of what stands in another one: "I don't regret it", "I haven't paid"."""
    items = [match.group() for match in ITEM.finditer(said[number])]
    at = next((at for at, item in enumerate(items) if negates(item, spoken)), None)
    if at is None or number == 0:
        return False
    return (
        (_THIRD.match(said[number]) is not None and BE.isdisjoint(items[: at + 1]))
        or not POINTING_BACK.isdisjoint(items[at + 1 :])
        or _left_open(items, at, spoken)
    )


def _denied_after(
    near: str, spoken: str | None, where: int, *, of_speaker: bool, verb_said: bool, first: bool
) -> bool:
    """Return whether a clause behind another one denies it without words of its own: "but I didn't"."""
    strong = STRONG.get(spoken or "", frozenset[str]())
    said = clauses(near, spoken)
    by_speaker = not FIRST.isdisjoint(said[where].split()[:2])
    for clause in said[where + 1 :]:
        items = [match.group() for match in ITEM.finditer(clause)]
        if not by_speaker and not of_speaker and not FIRST.isdisjoint(items[:2]):
            continue  # speakers deny it of themselves
        at = next((at for at, item in enumerate(items) if negates(item, spoken)), None)
        meant = [
            item
            for item in items
            if means(item, spoken)
            and not negates(item, spoken)
            and not WEAK.fullmatch(item)
            and item not in strong
        ]
        if at is None:
            if not meant and any(WEAK.fullmatch(item) or item in strong for item in items):
                return True
        elif not meant:
            return True
        elif LIGHT.issuperset(meant) and not POINTING.isdisjoint(items):
            return not first
        elif _left_open(items, at, spoken):
            return not verb_said
    return False


def _left_open(items: Sequence[str], at: int, spoken: str | None) -> bool:
    """Return whether a clause denies a verb alone: "I couldn't attend"."""
    behind = items[at + 1 :]
    return (
        len([item for item in items if means(item, spoken) and not negates(item, spoken)]) <= 1
        and (not BE.intersection(items[: at + 1]) or items[-1].endswith("ing"))
        and not DETERMINERS.intersection(behind)
        and items[-1] not in POINTING
        and (
            not AUXILIARY.isdisjoint(items[: at + 1])
            or CONTRACTION.fullmatch(items[at]) is not None
            or items[-1].endswith("ing")
            or (items[at] == "never" and items[at - 1] in SUBJECTS)
        )
    )


_ELLIPSIS: Final = re.compile(
    r"(?:and |but )?(.{2,40}?) (?:is|are|was|were|does|do|did|can|could|will|would|has|have)(n't| not)?"
    r"(?: too| though)?|"
    r"(?:and |but )?(.{2,40}?) (can't|cannot|won't|never did|never has)"
)


def of_subject(text: str, near: str, spoken: str | None) -> str | None:
    """Return the clause that says of the subject of a text what stands before it: "my sister has one, too"."""
    told = [word.word for word in signed(text, spoken)]
    if SPEAKER.match(text) or len(told) < 2:
        return None
    said = signed(near, spoken)
    where = {one.clause for one in said if same_word(one.word, told[0])}
    number = where.pop() if where else 0
    if where or not number or not _said_in(told[1:], set(range(number)), said):
        return None
    clause = clauses(near, spoken)[number]
    return clause if ITEM.findall(clause)[-1] in PRO_FORMS else None


def turning(text: str, spoken: str | None) -> bool:
    """Return whether a text has a word that denies without a negation."""
    strong = STRONG.get(spoken or "", frozenset[str]())
    return any(WEAK.fullmatch(item) or item in strong for item in ITEM.findall(text))


def corrected(text: str, near: str, *, says_no: bool) -> Stance | None:
    """Return whether a text says what stands in the place of what was denied: "not a vet but a nurse"."""
    found = _CORRECTION.search(near)
    if found is None:
        return None
    before = content(near[: found.start()])
    instead = [word for word in content(found[1]) if not any(same_word(word, other) for other in before)]
    if not any(same_word(word, other) for word in content(text) for other in instead):
        return None
    return "turns" if says_no else "agrees"


_CORRECTION: Final = re.compile(r"\b(?:sondern|sino) ([^.,;!?]+)")


def elliptic(text: str, near: str, spoken: str | None, *, says_no: bool) -> Stance | None:
    """Return what a clause says that leaves its predicate out: "but my wife doesn't"."""
    if SPEAKER.match(text) and (of_speaker := _elliptic_of_speaker(near, spoken)) is not None:
        return "agrees" if says_no is of_speaker else "turns"
    if spoken != "en":
        return None
    told = [word.word for word in signed(text, spoken)][:2]
    for clause in clauses(near, spoken)[1:]:
        found = _ELLIPSIS.fullmatch(clause.strip())
        if found is None:
            continue
        subject = [
            match.group() for match in ITEM.finditer(found[1] or found[3]) if means(match.group(), spoken)
        ]
        if any(same_word(one, word) for one in subject for word in told):
            return "agrees" if says_no is bool(found[2] or found[4]) else "turns"
    return None


_OF_SPEAKER: Final = re.compile(
    r"(?:i'm|i am|we're|we are) (?:almost )?the only (?:one|ones|person)(?: (?:who|that) \w+)?()|"
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
