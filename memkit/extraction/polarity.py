"""Whether a fact says yes where its message says no."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from memkit.extraction.align import same_stem
from memkit.extraction.text import Token, language, tokens
from memkit.extraction.words import (
    ANY_NEGATION,
    ENDED,
    FUNCTION_WORDS,
    HATE,
    LEXICAL_NEGATIONS,
    LIKE,
    NEGATION_SHAPES,
    NEGATIONS,
    NOT_NEGATION,
)

_CONTRACTED: Final = re.compile(
    r"n't\b|\b(?:dont|doesnt|didnt|cant|wont|isnt|wasnt|havent|hasnt|arent|n')\b|\bn'"
)
_TURKISH: Final = re.compile(r"\b\w+m[iu]yor\w*|\b\w{2,}m[ae]z(?:lar|ler|sin)?\b|\b\w{2,}m[ae]di\w*\b")
_CLAUSE: Final = re.compile(
    r"[,;:.!?()。，、！？；…]+|\s-\s|\s(?:but|and|though|although|because|so|while|aber|und|sondern|denn|obwohl|mais|et|car|"
    r"pero|sino|y|porque|ma|perche|mas|maar|want|en|ale|i|ama|ve|men|och|но|и|а|потому что|але|लेकिन|और|पर|لكن|אבל)\s"
    r"|但是|但|不过|而是|而且|けど|けれど|だけど|지만|는데"
)
_SOFTENED: Final = re.compile(
    r"\b(?:after|only|rather|less|instead|nur|lieber|seulement|plutot|solo|soltanto|apenas|alleen|tylko|только|bara)\b|只|だけ|만\b"
)
"""What turns a prohibition into a preference."""
_UNSPACED: Final = re.compile("[\u3040-\u30ff\u3400-\u9fff\u0e00-\u0e7f\uac00-\ud7af]")
_LIKE_UNSPACED: Final = frozenset(word for word in LIKE if _UNSPACED.match(word))
_LIKE_SPACED: Final = frozenset(LIKE) - _LIKE_UNSPACED


@lru_cache(maxsize=128)
def negative(folded: str, *, hint: str | None = None) -> bool:
    """Return whether a folded text negates something.

    Args:
        folded: The text.
        hint: Its language, where the text is too short to tell.
    """
    text = NOT_NEGATION.sub(" ", folded)
    words = {token.key for token in tokens(text)}
    spoken = language(words) or hint
    known = NEGATIONS.get(spoken, ANY_NEGATION) if spoken else ANY_NEGATION
    if words & known or _CONTRACTED.search(text) or NEGATION_SHAPES.search(text):
        return True
    return spoken == "tr" and _TURKISH.search(text) is not None


@lru_cache(maxsize=128)
def lexical(folded: str, roots: tuple[str, ...] = LEXICAL_NEGATIONS) -> frozenset[str]:
    """Return the roots that words of a text begin with."""
    words = {token.key for token in tokens(folded) if token.key.startswith(roots)}
    unspaced = _UNSPACED.search(folded) is not None
    if not words and not unspaced:
        return frozenset()
    return frozenset(
        root
        for root in roots
        if (unspaced and _UNSPACED.match(root) and root in folded)
        or any(word.startswith(root) for word in words)
    )


def _denies_root(text: str, near: str, spoken: str | None) -> bool:
    """Return whether `allergic` became `not allergic`."""
    if negative(near, hint=spoken):
        return False
    keys = [token.key for token in tokens(text)]
    for root in lexical(text) & lexical(near):
        for at, key in enumerate(keys):
            if key.startswith(root) and negative(" ".join(keys[max(0, at - 2) : at]), hint=spoken):
                return True
    return False


def _likes(folded: str) -> set[str]:
    words = {token.key for token in tokens(folded)}
    return (words & _LIKE_SPACED) | {word for word in _LIKE_UNSPACED if word in folded}


def contradiction(text: str, quote: str, near: str, *, ends_something: bool = False) -> str | None:
    """Return how a fact turns round what was said, or None; all texts are folded.

    Args:
        text: The fact.
        quote: Its quote, up to the ends of its clause.
        near: What stands around the quote.
        ends_something: Whether the fact ends an older one, which is a negation in itself.
    """
    spoken = language(token.key for token in tokens(near)) or language(token.key for token in tokens(text))
    said_no = negative(near, hint=spoken) or bool(lexical(near))
    says_no = negative(text, hint=spoken)
    if says_no and not ends_something and (not said_no or _denies_root(text, near, spoken)):
        return "it negates what the message affirms"
    if lexical(text, HATE) and not said_no and _likes(near):
        return "it dislikes what the message likes"
    if not says_no and not (lexical(text) - lexical(quote)) and not _SOFTENED.search(text):
        denied, affirmed = _clauses(quote, spoken, ended=not lexical(text, ENDED))
        if denied and _rests_on(text, denied, affirmed):
            return "it affirms what the message negates"
    if _likes(text) - _likes(near) and not says_no and lexical(quote, HATE) and not _likes(quote):
        return "it likes what the message dislikes"
    return None


def _clauses(quote: str, spoken: str | None, *, ended: bool) -> tuple[list[str], list[str]]:
    """Split a quote into clauses that say no and clauses that say yes; `ended`: to have quit is to say no."""
    denied: list[str] = []
    affirmed: list[str] = []
    for clause in _CLAUSE.split(NOT_NEGATION.sub(" ", quote)):
        if clause.strip():
            (
                denied if negative(clause, hint=spoken) or (ended and lexical(clause, ENDED)) else affirmed
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
    if not in_affirmed:
        return bool(only) or not wanted or not in_denied or len(in_denied) <= 2
    return bool(only) and len(only) * 3 >= len(wanted)


def content(folded: str) -> list[str]:
    """Return the words that carry meaning; pairs of characters where words are not set apart."""
    out: list[str] = []
    for token in tokens(folded):
        if token.unspaced:
            out.extend(pairs(token.key))
        elif is_content(token):
            out.append(token.key)
    return out


def is_content(token: Token) -> bool:
    """Return whether a word says something by itself."""
    return token.key not in FUNCTION_WORDS and token.key not in ANY_NEGATION and len(token.key) > 1


def pairs(run: str) -> list[str]:
    """Return the pairs of neighbouring characters."""
    return [run[at : at + 2] for at in range(len(run) - 1)] or [run]
