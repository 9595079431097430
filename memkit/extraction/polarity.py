"""Whether a fact says yes where its message says no."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

from memkit.extraction.align import same_stem
from memkit.extraction.text import keys, language, ordered_keys, tokens
from memkit.extraction.words import (
    ANY_NEGATION,
    ENDED,
    FAILED,
    FUNCTION_WORDS,
    HATE,
    LEXICAL_NEGATIONS,
    LIKE,
    NEGATION_SHAPES,
    NEGATIONS,
    NOT_NEGATION,
)

_UNAPOSTROPHED: Final = frozenset("dont doesnt didnt cant wont isnt wasnt havent hasnt arent".split())
_CONTRACTED: Final = re.compile(rf"n't\b|\b(?:{'|'.join(sorted(_UNAPOSTROPHED))}|n')\b|\bn'")
_TURKISH: Final = re.compile(r"\b\w+m[iu]yor\w*|\b\w{2,}m[ae]z(?:lar|ler|sin)?\b|\b\w{2,}m[ae]di\w*\b")
_ENGLISH_CLAUSE: Final = re.compile(r"[,;:.!?()…]+|\s-\s|\s(?:but|and|though|although|because|so|while)\s")
"""The words that end a clause elsewhere are other words in English: want, men, car, ma, i."""
_CLAUSE: Final = re.compile(
    r"[,;:.!?()。，、！？；…]+|\s-\s|\s(?:but|and|though|although|because|so|while|aber|und|sondern|denn|obwohl|mais|et|car|"
    r"pero|sino|y|porque|ma|perche|mas|maar|want|en|ale|i|ama|ve|men|och|но|и|а|потому что|але|लेकिन|और|पर|لكن|אבל)\s"
    r"|\s(?=(?:ولا|ولم|ولن|وليس)\s)|但是|但|不过|而是|而且|けど|けれど|だけど|지만|는데"
)
_SOFTENED: Final = re.compile(
    r"\b(?:after|only|rather|less|instead|nur|lieber|seulement|plutot|solo|soltanto|apenas|alleen|tylko|только|bara)\b|只|だけ|만\b"
)
"""What turns a prohibition into a preference."""
_UNSPACED: Final = re.compile("[\u3040-\u30ff\u3400-\u9fff\u0e00-\u0e7f\uac00-\ud7af]")
_LIKE_UNSPACED: Final = frozenset(word for word in LIKE if _UNSPACED.match(word))
_LIKE_SPACED: Final = frozenset(LIKE) - _LIKE_UNSPACED


_EVERY_NEGATION: Final = frozenset[str]().union(*NEGATIONS.values())
_TURKISH_ENDINGS: Final = ("degil", "miyor", "muyor", "maz", "mez", "madi", "medi")


def _may_negate(folded: str) -> bool:
    """Return False only where neither a text nor a part of it negates: one look at plain letters spares many."""
    return (
        not folded.isascii()
        or not _EVERY_NEGATION.isdisjoint(keys(folded))
        or "n'" in folded
        or not _UNAPOSTROPHED.isdisjoint(keys(folded))
        or not FAILED.isdisjoint(keys(folded))
        or any(ending in folded for ending in _TURKISH_ENDINGS)
    )


@lru_cache(maxsize=128)
def negative(folded: str, *, hint: str | None = None) -> bool:
    """Return whether a folded text negates something.

    Args:
        folded: The text.
        hint: Its language, where the text is too short to tell.
    """
    if not _may_negate(folded):
        return False
    text = NOT_NEGATION.sub(" ", folded)
    words = keys(text)
    spoken = language(words) or hint
    known = NEGATIONS.get(spoken, ANY_NEGATION) if spoken else ANY_NEGATION
    if words & known or _CONTRACTED.search(text) or NEGATION_SHAPES.search(text):
        return True
    return spoken == "tr" and _TURKISH.search(text) is not None


@lru_cache(maxsize=16)
def _beginnings(roots: tuple[str, ...], size: int) -> dict[str, tuple[str, ...]]:
    """Return roots by their first letters; no root in ASCII is shorter than three."""
    found: dict[str, list[str]] = {}
    for root in roots:
        found.setdefault(root[:size], []).append(root)
    return {first: tuple(same) for first, same in found.items()}


@lru_cache(maxsize=128)
def _starts(folded: str) -> frozenset[str]:
    """Return the first letters of the words of a text in ASCII, as many as `_beginnings` looks at."""
    return frozenset([key[:3] for key in keys(folded)])


@lru_cache(maxsize=128)
def lexical(folded: str, roots: tuple[str, ...] = LEXICAL_NEGATIONS) -> frozenset[str]:
    """Return the roots that words of a text begin with."""
    size = 3 if folded.isascii() else 1
    beginnings = _beginnings(roots, size)
    if size == 3 and beginnings.keys().isdisjoint(_starts(folded)):
        return frozenset()
    words = [
        key for key in keys(folded) if key[:size] in beginnings and key.startswith(beginnings[key[:size]])
    ]
    unspaced = not folded.isascii() and _UNSPACED.search(folded) is not None
    if not words and not unspaced:
        return frozenset()
    return frozenset(
        root
        for root in roots
        if (unspaced and _UNSPACED.match(root) and root in folded)
        or any(word.startswith(root) and _is_form(word, root) for word in words)
    )


_SHORT_ROOTS: Final = frozenset(
    "quit stop sold lost fail lack hass gave given fired ended single except statt left".split()
)
"""Other words begin like them too: Quito, soldier, exceptional, and what takes place in German."""
_ENDINGS: Final = re.compile(r"(?:s|es|ed|ing|ped|ping|ting|ure|ures|e|en|t|te|ten)?")


def _is_form(word: str, root: str) -> bool:
    return root not in _SHORT_ROOTS or _ENDINGS.fullmatch(word, len(root)) is not None


def _denies_root(text: str, near: str, spoken: str | None) -> bool:
    """Return whether `allergic` became `not allergic`: where it was said, and of what is not denied beside it."""
    said = [match.group() for match in _WITH_APOSTROPHES.finditer(text)]
    words = [_ROOT_OF.get(word, word) for word in said]
    told = " ".join(words)
    parted, ended = _PARTED.search(near), lexical(near, ENDED)
    roots = lexical(told) & lexical(near)
    if ended or parted or lexical(near, _REFUSED):  # to have quit is to have stopped
        roots |= lexical(told, (*ENDED, *_REFUSED, "cancel"))
    for match in _PARTED.finditer(told) if parted or ended else ():
        if negative(" ".join(told[: match.start()].split()[-2:]), hint=spoken):
            return True
    if not roots:
        return False
    denied, _ = _clauses(near, spoken, ended=False)
    in_denied = [word for clause in denied for word in content(clause)]
    if any(same_stem(word, other) for word in content(text) for other in in_denied):
        return False
    for root in roots:
        for at, word in enumerate(words):
            if word.startswith(root) and negative(" ".join(words[max(0, at - 2) : at]), hint=spoken):
                return True
    return False


@lru_cache(maxsize=128)
def _likes(folded: str) -> frozenset[str]:
    words = keys(folded) & _LIKE_SPACED
    return words if folded.isascii() else words | {word for word in _LIKE_UNSPACED if word in folded}


def _says_no(near: str, spoken: str | None) -> bool:
    return (
        negative(near, hint=spoken)
        or bool(lexical(near))
        or _FORMERLY.search(near) is not None
        or _PARTED.search(near) is not None
    )


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
    spoken = language(keys(near)) or language(keys(text))
    says_no = negative(text, hint=spoken)
    hates = bool(lexical(text, HATE))
    said_no = (says_no or hates) and _says_no(near, spoken)
    if (
        says_no
        and not ends_something
        and (not said_no or _denies_root(text, near, spoken) or _negates_affirmed(text, quote, near, spoken))
    ):
        return "it negates what the message affirms"
    if hates and not said_no and _likes(near):
        return "it dislikes what the message likes"
    if turned := _turns_feeling(text, near, spoken):
        return turned
    if not says_no and _is_over(text, near, spoken):
        return "it affirms what the message says has ended"
    if not says_no and not (lexical(text) - lexical(quote)) and not _prefixed(text, quote):
        refused = not lexical(text) and not _PARTED.search(text) and _refuses(quote)
        denied, affirmed = _clauses(quote, spoken, ended=not lexical(text, ENDED), refused=refused)
        if denied and not _SOFTENED.search(text) and _rests_on(text, denied, affirmed):
            return "it affirms what the message negates"
    if _likes(text) - _likes(near) and not says_no and lexical(quote, HATE) and not _likes(quote):
        return "it likes what the message dislikes"
    return None


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
_STILL: Final = re.compile(
    r"\b(?:still|kept|keeps|immer noch|noch immer|toujours|todavia|aun|ancora|nog steeds|wciaz|nadal)\b"
    r"|まだ|仍|还在|아직"
)


def _prefixed(text: str, quote: str) -> bool:
    """Return whether a text says undecided for not decided."""
    words = content(quote)
    return any(
        word.startswith("un") and len(word) > 5 and any(same_stem(word[2:], other) for other in words)
        for word in content(text)
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


_HATED_UNSPACED: Final = re.compile("|".join(root for root in HATE if _UNSPACED.match(root)))
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


def _turns_feeling(text: str, near: str, spoken: str | None) -> str | None:
    """Return how a text likes what only a clause that dislikes names, or the other way round."""
    mine = _feeling(text, spoken)
    if not mine or text.isascii() is not near.isascii():
        return None
    ends = _ENGLISH_CLAUSE if spoken == "en" else _CLAUSE
    said = [(clause, _feeling(clause, spoken)) for clause in ends.split(near)]
    if mine < 0:  # what is not done need not be liked
        said = [(clause, felt or -int(negative(clause, hint=spoken))) for clause, felt in said]
    if not {feeling for _, feeling in said} >= {1, -1}:
        return None
    felt = [word for word in content(text) if word not in LIKE and not any(map(word.startswith, HATE))]
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
    if not _may_negate(quote) and not (ended and lexical(quote, ENDED)) and not any_root and not refused:
        return [], [quote]
    denied: list[str] = []
    affirmed: list[str] = []
    ends = _ENGLISH_CLAUSE if spoken == "en" else _CLAUSE
    for clause in ends.split(NOT_NEGATION.sub(" ", quote)):
        if clause.strip():
            (
                denied
                if negative(clause, hint=spoken)
                or (ended and lexical(clause, ENDED))
                or (refused and _refuses(clause))
                or (
                    any_root
                    and (lexical(clause, _DENYING) or _FORMERLY.search(clause) or _PARTED.search(clause))
                )
                else affirmed
            ).append(clause)
    return denied, affirmed


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
    if (
        only
        and only == list(wanted[:count])
        and len(wanted) > count
        and in_affirmed
        and _are_topic(only, denied)
    ):
        said = [any(same_stem(word, other) for other in in_affirmed) for word in wanted[count:]]
        return not all(said)
    if not in_affirmed:
        return bool(only) or not wanted or not in_denied or len(in_denied) <= 2
    return bool(only) and len(only) * 3 >= len(wanted)


def _are_topic(words: Sequence[str], denied: list[str]) -> bool:
    """Return whether words are what a denial is about: it says something else of it ("My car isn't electric")."""
    for clause in denied:
        said = content(clause)
        if len(said) > len(words) and all(same_stem(*pair) for pair in zip(words, said, strict=False)):
            return True
    return False


_ROOT_OF: Final[Mapping[str, str]] = {
    "sell": "sold", "lose": "lost", "leave": "left", "break": "broke", "broken": "broke", "give": "gave",
    "forget": "forgot",
}  # fmt: skip
_WITH_APOSTROPHES: Final = re.compile(r"\w+(?:'\w+)*")
_STUB: Final = re.compile(r"\b[a-z]+n't\b")
"""It leaves a word that is none behind: "don", "isn"."""
_SAYS_NOTHING: Final = FUNCTION_WORDS | ANY_NEGATION


@lru_cache(maxsize=128)
def content(folded: str) -> tuple[str, ...]:
    """Return the words that carry meaning; pairs of characters where words are not set apart."""
    folded = _STUB.sub(" ", folded)
    if folded.isascii():
        return tuple(key for key in ordered_keys(folded) if len(key) > 1 and key not in _SAYS_NOTHING)
    out: list[str] = []
    for token in tokens(folded):
        if token.unspaced:
            out.extend(pairs(token.key))
        elif len(token.key) > 1 and token.key not in _SAYS_NOTHING:
            out.append(token.key)
    return tuple(out)


def pairs(run: str) -> list[str]:
    """Return the pairs of neighbouring characters."""
    return [run[at : at + 2] for at in range(len(run) - 1)] or [run]
