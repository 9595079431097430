"""Whether a fact says yes where its message says no."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from memkit.extraction.align import same_stem
from memkit.extraction.denials import affirms_denied, corrected, denial, elliptic, of_subject, turning
from memkit.extraction.negation import UNSPACED, content, lexical, may_negate, negative
from memkit.extraction.opposites import opposites
from memkit.extraction.scope_words import IN_ORDER, NEXT_ONLY, PREFIXES, SET_ASIDE, STRONG, WEAK
from memkit.extraction.scopes import Stance, clause_ends, plain, stance
from memkit.extraction.text import keys, language
from memkit.extraction.unspaced import unspaced_denial, unspaced_stance
from memkit.extraction.words import (
    ENDED,
    HATE,
    LEXICAL_NEGATIONS,
    LIKE,
    NOT_NEGATION,
)

_LIKE_UNSPACED: Final = frozenset(word for word in LIKE if UNSPACED.match(word))
_LIKE_SPACED: Final = frozenset(LIKE) - _LIKE_UNSPACED


@lru_cache(maxsize=128)
def _likes(folded: str) -> frozenset[str]:
    words = keys(folded) & _LIKE_SPACED
    return words if folded.isascii() else words | {word for word in _LIKE_UNSPACED if word in folded}


def _says_no(near: str, spoken: str | None) -> bool:
    return negative(near, hint=spoken) or bool(lexical(near)) or _is_past(near)


def _is_past(text: str) -> bool:
    """Return whether a text says that something was once, was parted from, or is over."""
    return any(pattern.search(text) for pattern in (_FORMERLY, _PARTED, _OVER))


def _spoken(near: str, text: str) -> str | None:
    """Return the language of a message; of a short one, that of both."""
    if len(near) < 60:
        return language(keys(near) | keys(text))
    return language(keys(near)) or language(keys(text))


def agrees(text: str, near: str) -> bool:
    """Return whether a folded text says by the opposite word what a message says."""
    return _stance(text, near, _spoken(near, text)) == "agrees"


def _stance(text: str, near: str, spoken: str | None) -> Stance | None:
    if UNSPACED.search(text):
        return unspaced_stance(text, near)
    return stance(plain(text, spoken), plain(near, spoken), spoken)


@lru_cache(maxsize=1)
def _turning_words() -> frozenset[str]:
    return frozenset(opposites()[""]).union(_OF_PHRASES, NEXT_ONLY, *STRONG.values())


@lru_cache(maxsize=8192)
def _is_turning(word: str) -> bool:
    return (
        word in _turning_words()
        or word.startswith(_TURNING_ROOTS)
        or WEAK.fullmatch(word) is not None
        or PREFIXES.match(word) is not None
    )


@lru_cache(maxsize=128)
def may_turn(folded: str) -> bool:
    """Return False only where a text neither denies anything nor has a word that is the opposite of another."""
    return not folded.isascii() or may_negate(folded) or any(map(_is_turning, keys(folded)))


def _refuses(clause: str) -> bool:
    return "turned down" in clause or bool(lexical(clause, _REFUSED))


def contradiction(text: str, quote: str, near: str, *, ends_something: bool = False) -> str | None:
    """Return how a fact turns round what was said, or None; all texts are folded.

    Args:
        text: The fact.
        quote: Its quote, up to the ends of its clause.
        near: What stands around the quote.
        ends_something: Whether the fact ends an older one, which is a negation in itself.
    """
    if not may_turn(text) and not may_turn(near):
        return None
    spoken = _spoken(near, text)
    bare_text, bare_near = plain(text, spoken), plain(near, spoken)
    says_no = negative(text, hint=spoken) or negative(bare_text, hint=spoken)
    unspaced = UNSPACED.search(text) is not None
    settled = (
        _stance(text, near, spoken)
        or elliptic(bare_text, bare_near, spoken, says_no=says_no)
        or _of_subject(bare_text, bare_near, spoken, says_no=says_no)
        or corrected(bare_text, bare_near, says_no=says_no)
    )
    if settled:
        return "it says the opposite of the message" if settled == "turns" else None
    denied: Stance | None = None
    if unspaced:
        denied = unspaced_denial(text, near, says_no=says_no)
        if not says_no and denied:
            return "it affirms what the message negates" if denied == "turns" else None
    elif says_no:
        denied = denial(bare_text, bare_near, spoken)
    said_no = denied == "agrees" or negative(bare_near, hint=spoken) or _says_no(near, spoken)
    if says_no and not ends_something:
        elsewhere = denied is None and _negates_affirmed(text, quote, near, spoken)
        if not said_no or denied == "turns" or elsewhere:
            return "it negates what the message affirms"
    return (
        _turns_feeling(text, near, spoken, said_no=said_no)
        or (None if says_no else _affirms_ended(text, quote, near, spoken))
        or (None if unspaced else _affirms_denied(text, quote, bare_near, spoken, says_no=says_no))
        or (None if says_no else _likes_hated(text, quote, near, spoken))
    )


def _of_subject(text: str, near: str, spoken: str | None, *, says_no: bool) -> Stance | None:
    clause = of_subject(text, near, spoken)
    if clause is None:
        return None
    mine, theirs = _feeling(text, spoken), _feeling(clause, spoken)
    if mine and theirs:
        return "agrees" if mine == theirs else "turns"
    if turning(text, spoken) or turning(clause, spoken):
        return None
    return "agrees" if says_no is negative(clause, hint=spoken) else "turns"


def _affirms_ended(text: str, quote: str, near: str, spoken: str | None) -> str | None:
    if _is_over(text, near, spoken):
        return "it affirms what the message says has ended"
    if lexical(text) - lexical(quote):
        return None
    refused = not lexical(text) and not _PARTED.search(text) and _refuses(quote)
    denied, affirmed = _clauses(quote, spoken, ended=not lexical(text, ENDED), refused=refused)
    if spoken in IN_ORDER:
        return None
    if denied and _rests_on(text, denied, affirmed):
        return "it affirms what the message negates"
    return None


def _affirms_denied(
    text: str, quote: str, bare_near: str, spoken: str | None, *, says_no: bool
) -> str | None:
    """Return how what a text affirms is what every clause that speaks of it denies, or None."""
    denies = says_no and any(
        negative(SET_ASIDE.sub(" ", one), hint=spoken) for one in (text, plain(text, spoken))
    )
    own = lexical(text, ENDED) if denies else not (lexical(text) - lexical(quote))
    if not own:
        return None
    bare_text = plain(text, spoken)
    still = _STILL.search(bare_text) is not None
    return (
        "it affirms what the message negates"
        if affirms_denied(bare_text, bare_near, spoken, still=still)
        else None
    )


def _likes_hated(text: str, quote: str, near: str, spoken: str | None) -> str | None:
    if not _likes(text) - _likes(near) or not lexical(quote, HATE) or _likes(quote):
        return None
    told = text.partition(" over ")[0].partition(" to ")[0] if "prefer" in text else text
    if told is text or _shares_hated(told, quote, spoken):
        return "it likes what the message dislikes"
    return None


def _shares_hated(told: str, quote: str, spoken: str | None) -> bool:
    """Return whether what a text prefers is in a clause that dislikes."""
    hated = [
        word
        for clause in clause_ends(spoken).split(quote)
        if lexical(clause, HATE)
        for word in content(clause)
    ]
    return any(same_stem(word, other) for word in content(told)[1:] for other in hated)


_DENYING: Final = tuple(
    root
    for root in LEXICAL_NEGATIONS
    if root
    not in (
        "allerg allergi alergi аллерг حساسي 过敏 過敏 アレルギー 알레르기 intoleran vegan vegetarian single "
        "divorc unemploy former ehemal antigu ancien voormalig бывш lack left given gave ended broke instead "
        "except statt"
    ).split()
)
"""The roots by which something is not done, or not liked, any more: the others say how somebody is."""
_REFUSED: Final = tuple(
    "declin refus reject avoid fail weiger vermeid evite rechaz rifiut recus отказ избега 拒绝 拒絕".split()
)
"""The roots by which somebody says of a thing that she did not take it, or not make it."""
_TURNING_ROOTS: Final = (*LEXICAL_NEGATIONS, *ENDED, *HATE, *_REFUSED, "switch", "chang", "migrat")
_OF_PHRASES: Final = frozenset(
    "down off out away against rid through done clear pass passed zero than used too single only else up going meant "
    "would formerly finished resigned deleted impossible empty".split()
)
"""Words of the phrases of several words that deny."""
_PARTED: Final = re.compile(
    r"\b(?:mov(?:e|es|ed|ing) (?:out|away)|turn(?:s|ed|ing)? (?:it |them )?down|g[ai]v(?:e|es|en|ing) up"
    r"|call(?:s|ed|ing)? off|br(?:oke|eak|eaking|oken) up|split up|g[eo]t rid|dropp?(?:ed|ing)? out"
    r"|back(?:ed|ing) out)\b"
)
"""The same in two words."""
_FORMERLY: Final = re.compile(
    r"(?<!am )(?<!is )(?<!are )(?<!get )(?<!got )\bused to\b"
    r"|\b(?:formerly|fruher|ehemals|autrefois|anteriormente)\b|以前|かつて"
)
_OVER: Final = re.compile(
    r"\b(?:expired|ended(?! up)|gone|finished|resigned|retired|arbeitslos|deleted|closed|sober|broken"
    r"|impossible|unless|died|dead|empty)\b"
)
"""What is so is something else no more."""
_STILL: Final = re.compile(
    r"\b(?:still|kept|keeps|immer noch|noch immer|toujours|todavia|aun|ancora|nog steeds|wciaz|nadal)\b"
    r"|まだ|仍|还在|아직"
)


def _is_over(text: str, near: str, spoken: str | None) -> bool:
    """Return whether a text holds that something still is which a clause says has ended, and no clause that it is."""
    if not _STILL.search(text) or _STILL.search(near):
        return False
    denied, affirmed = _clauses(near, spoken, ended=True, any_root=True)
    return bool(denied) and _rests_on(_STILL.sub(" ", text), denied, affirmed)


_CANNOT_STAND: Final = re.compile(
    r"\b(?:can't|cannot|can not|couldn't|could not) (?:stand|bear)\b|nicht ausstehen|ne supporte pas|no soporto"
)


_FELT: Final = re.compile(r"\b(?:like|love|enjoy|adore|prefer|hate|dislike|detest|loathe|despise)[sd]?\b")
_HATED_UNSPACED: Final = re.compile("|".join(root for root in HATE if UNSPACED.match(root)))
"""They are held to be negations, too."""


def _feeling(text: str, spoken: str | None) -> int:
    """Return 1 for a liking, -1 for a dislike, 0 for neither or both."""
    if _CANNOT_STAND.search(text):
        return -1
    likes, hates = bool(_likes(text)), bool(lexical(text, HATE))
    if likes is hates:
        return 0
    plain = text if text.isascii() else _HATED_UNSPACED.sub(" ", text)
    return (1 if likes else -1) * (-1 if negative(plain, hint=spoken) else 1)


def _turns_feeling(text: str, near: str, spoken: str | None, *, said_no: bool) -> str | None:
    """Return how a text likes what only a clause that dislikes names, or the other way round."""
    if not said_no and _likes(near) and lexical(text, HATE):
        return "it dislikes what the message likes"
    mine = _feeling(text, spoken)
    if not mine or text.isascii() is not near.isascii():
        return None
    ends = clause_ends(spoken)
    said = [(clause, _feeling(clause, spoken)) for clause in ends.split(near)]
    if mine < 0:  # what is not done need not be liked
        said = [(clause, felt or -int(negative(clause, hint=spoken))) for clause, felt in said]
    if not {feeling for _, feeling in said} >= {1, -1}:
        return None
    about = _FELT.split(text, maxsplit=1)[-1] if spoken == "en" else text
    felt = [word for word in content(about) if word not in LIKE and not any(map(word.startswith, HATE))]
    words = {1: list[str](), -1: list[str](), 0: list[str]()}
    for clause, feeling in said:
        words[feeling] += content(clause)
    same, other = (
        {word for word in felt if any(same_stem(word, one) for one in words[sign])} for sign in (mine, -mine)
    )
    if other - same and not same - other:
        return "it likes what the message dislikes" if mine > 0 else "it dislikes what the message likes"
    return None


def _negates_affirmed(text: str, quote: str, near: str, spoken: str | None) -> bool:
    """Return whether a negation that stands near, about something else, was put into what a quote affirms.

    A denial without words of its own ("not any more", "I didn't do it") is about what was said before it.
    """
    if negative(quote, hint=spoken):
        return False
    denied, affirmed = _clauses(near, spoken, ended=True, any_root=True)
    for clause in denied:  # what once was points to nothing: "it used to be something else"
        points = len(content(clause)) < 2 or not keys(clause).isdisjoint(_POINTING)
        if points and not _FORMERLY.search(clause):
            return False
    told = content(text)[1:]  # whom it is about may stand in both
    in_denied = [word for clause in denied for word in content(clause)]
    if not told or any(same_stem(word, other) for word in told for other in in_denied):
        return False
    return all(
        any(same_stem(word, other) for clause in affirmed for other in content(clause)) for word in told
    )


_POINTING: Final = frozenset(
    "it that this them those these so there das dies es ihn davon lo la le ello eso esto cela ca ceci y en questo "
    "quello cio isso isto dat het это этого там dit".split()
)


def _clauses(
    quote: str, spoken: str | None, *, ended: bool, any_root: bool = False, refused: bool = False
) -> tuple[list[str], list[str]]:
    """Split a quote into clauses that say no and clauses that say yes.

    Args:
        quote: The text.
        spoken: Its language.
        ended: Whether to have quit is to say no.
        refused: Whether to have declined or failed is to say no, too.
        any_root: Whether to hate, to have failed and what was once is to say no, too.
    """
    if not may_negate(quote) and not (ended and lexical(quote, ENDED)) and not any_root and not refused:
        return [], [quote]
    denied: list[str] = []
    affirmed: list[str] = []
    ends = clause_ends(spoken)
    apart = NOT_NEGATION.sub(" ", quote)
    for clause in ends.split(apart):
        if clause.strip():
            (
                denied
                if negative(clause, hint=spoken)
                or (ended and lexical(clause, ENDED))
                or (refused and _refuses(clause))
                or (any_root and (lexical(clause, _DENYING) or _is_past(clause)))
                else affirmed
            ).append(clause)
    return denied, affirmed


_OF_TOPIC: Final = re.compile(r" ?(?:it|it's|he|he's|she|she's|they|they're|es|er|sie|il|elle|ella|el) ")
"""How a clause goes on about what was said before it."""


def _rests_on(text: str, denied: list[str], affirmed: list[str]) -> bool:
    """Return whether something in the text is said only in the clauses that deny it."""
    wanted = content(text)
    in_denied = [word for clause in denied for word in content(clause)]
    in_affirmed = [word for clause in affirmed for word in content(clause)]
    only = [
        word
        for word in wanted
        if any(same_stem(word, other) for other in in_denied)
        and not any(same_stem(word, other) for other in in_affirmed)
    ]
    count = len(only)
    told = [any(same_stem(word, other) for other in in_affirmed) for word in wanted[count:]]
    if only and only == list(wanted[:count]) and told and in_affirmed:
        if told[-1] and UNSPACED.search(text):
            return False
        if (
            told[-1]
            and count == 1
            and any(_OF_TOPIC.match(clause) or len(content(clause)) == 1 for clause in affirmed)
        ):
            return False
        if _are_topic(only, denied):
            return not all(told)
    if not in_affirmed:
        return bool(only) or not wanted or not in_denied or len(in_denied) <= 2
    if len(only) == 1 and re.search(
        rf"\b(?:at|from|of|in|with|to) (?:the |their |his |her )?{re.escape(only[0])}\b", text
    ):
        return sum(told) == 0 and len(wanted) <= 3
    return bool(only) and len(only) * 3 >= len(wanted)


def _are_topic(words: Sequence[str], denied: list[str]) -> bool:
    """Return whether words are what a denial is about: it says something else of it ("My car isn't electric")."""
    for clause in denied:
        said = content(clause)
        if len(said) > len(words) and all(same_stem(*pair) for pair in zip(words, said, strict=False)):
            return True
    return False
