"""What kind of answer a query asks for, and which memories may hold one of that kind.

Told by the wording, in English; where it tells nothing, nothing is added and nothing is left out.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from memkit.ranking.text import stems_of, surface
from memkit.ranking.when_words import (
    DAYS,
    DAYS_UNSPACED,
    PERIODS,
    PERIODS_UNSPACED,
    SPANS_UNSPACED,
    UNITS_UNSPACED,
    WEEKDAYS_UNSPACED,
)
from memkit.ranking.words import STOP_WORDS

USER, QUESTION, TELLS, NAME, TIME, TIME_ELSEWHERE, WISH = 1, 2, 4, 8, 16, 32, 64
"""Flags of a memory: of role user; ends in a question mark; somebody speaks of herself; holds a name; holds a time;
holds a word that is of a time in another language than English; holds a standing wish of the user's."""

HERSELF: Final = frozenset("me my mine myself we our ours us".split())
"""Words of somebody who speaks of herself."""
_I = re.compile(r"\b[Ii]\b")
_NAME = re.compile(r"[a-z,;:'] (?:[A-Z]\w|\"\w)")
TIMES: Final = frozenset(
    """
    yesterday today tonight tomorrow last next ago since recently day days week weeks fortnight weekend month
    months year years morning evening night monday tuesday wednesday thursday friday saturday sunday january february
    march april may june july august september october november december
    """.split()
)
"""Words that a time is told by."""
TIMES_ELSEWHERE: Final = frozenset(
    word
    for table in (PERIODS, DAYS, DAYS_UNSPACED, SPANS_UNSPACED, UNITS_UNSPACED, PERIODS_UNSPACED, WEEKDAYS_UNSPACED)
    for key in table
    for word in surface(key)
) - {
    *("an", "ar", "ay", "bahar", "de", "dun", "fin", "fine", "gun", "host", "jul", "lat", "mars", "mes", "rok"),
    *("week", "weekend", "winter", "yaz", "april", "august", "september", "november"),
    *STOP_WORDS,
}  # fmt: skip
"""The same in other languages, but for those that English texts are full of."""


def cues(text: str, words: Collection[str]) -> int:
    """Return which kinds of answer a memory may hold: `TELLS`, `NAME`, `TIME` and `TIME_ELSEWHERE`.

    Args:
        text: The memory.
        words: Its words, lower case.
    """
    tells = not HERSELF.isdisjoint(words) or says_i(text)
    times = TIME * (not TIMES.isdisjoint(words)) | TIME_ELSEWHERE * (not TIMES_ELSEWHERE.isdisjoint(words))
    return TELLS * tells | NAME * (_NAME.search(text) is not None) | times


def says_i(text: str) -> bool:
    """Return whether a text has the word "I"."""
    return _I.search(text) is not None


_WHEN_HINTS: Final = ("when", "how long", "date", "day", "month", "year", "time")
_WHO_HINTS: Final = tuple(
    "who where name city cities countr place state town book movie song game band author".split()
)
_HOW_HINTS: Final = ("order", "sequence", "chronolog", "timeline", "walk me", "summar", "overview", "recap")
"""One of them is in every ASCII text that `_WHEN`, `_WHO`, and `_ORDER` or `_OVERVIEW` find something in; to look for
them is much faster."""
_WHEN = re.compile(r"\bwhen\b|\bhow long\b|\b(?:what|which) (?:date|day|month|year|time)\b", re.IGNORECASE)
_WHO = re.compile(
    r"\b(?:who|whose|where|name)\b"
    r"|\b(?:what|which) (?:city|cities|country|countries|place|state|town|book|movie|song|game|band|author)\b",
    re.IGNORECASE,
)
_ORDER = re.compile(
    r"\b(?:(?:in|the) (?:what |which )?(?:\w+ )?order(?! to\b)|(?:in|the|what|which) (?:\w+ )?sequence"
    r"|chronolog\w*|timeline|walk me through(?! how to\b))\b",
    re.IGNORECASE,
)
_OVERVIEW = re.compile(r"\b(?:summar\w*|overview|recap)\b", re.IGNORECASE)
_SEVERAL_HINTS: Final = (
    "how many",
    "both",
    "in common",
    "all the",
    "all of",
    "besides",
    "other than",
    "every",
)
_DOES: Final = "does|did|do|is|was|were|will|would|can|could|should|might|are|has|have|had"
_NO_PLURAL: Final = "this|his|its|us|as|always|perhaps|news|series|[a-z]*ss|[a-z]*ics"
_SEVERAL = re.compile(
    r"\b(?:how many|both|in common|all (?:the|of)|every|besides|other than)\b", re.IGNORECASE
)
_LIST = re.compile(
    rf"""
    # "Which books did she read?", "What kinds of places does he like?"
    (?:\w+\ )?(?:what|which)\ (?:(?!(?:{_DOES})\b)[\w'’/-]+\ ){{0,6}}?
        (?:(?!(?:{_NO_PLURAL}|{_DOES})\b)\w{{2,}}s|people|children)\b
    # "What has she painted?", "Where have they been?"
    |(?:\w+\ )?(?:what|which|where|who)\ (?:(?!(?:{_DOES})\b)[\w'’/-]+\ ){{0,6}}?(?:has|have)\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
"""What a query for a list begins with."""
_HELP = re.compile(
    r"""
    \bhow\ (?:should|can|could|do|would|might|to)\b
    |\b(?:should|can|could|shall)\ (?:i|we)\b
    |\b(?:can|could|would|will)\ you\b|\bdo\ you\ (?:think|suggest|recommend|advise)\b
    |\bplease\b
    |\b(?:help|show|give)\ (?:me|us)\b
    |\bwhat\ (?:is|are)\ (?:an?|some|the\ (?:best|different|common|usual|main))\b
    |\b(?:what|which)\b[^?]{0,80}\b(?:should|would)\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
_BACK = re.compile(
    r"\b(?:did|was|were|had|(?:have|has) (?:i|we|you|my|our|he|she|it|they)|mention\w*|said|told|talked|discussed"
    r"|remember|recall|remind|so far)\b",
    re.IGNORECASE,
)
_WORD = re.compile(r"[\w'’]+")
_FRAME: Final = """
    list order bring different aspect throughout across conversation chat session discussion discuss mention item
    summary summarize summarise comprehensive provide overview recap walk sequence chronological chronologically
    timeline progress give clear complete detailed talk ask cover
"""
_frame: set[str] = set()


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a query asks for.

    Attributes:
        content: What it is about.
        kinds: `TIME` and `NAME` where the answer is one.
        ordered: The answer goes through what was said from first to last.
        several: The answer is a list, of what was said at several times: "Which places has Ann been to?"
    """

    content: str
    kinds: int
    ordered: bool
    several: bool


def asked(query: str) -> Asked:
    """Return what a query asks for."""
    return Asked(
        content=content(query),
        kinds=TIME * _finds(_WHEN, query, _WHEN_HINTS) | NAME * _finds(_WHO, query, _WHO_HINTS),
        ordered=_finds(_ORDER, query, _HOW_HINTS),
        several=_finds(_SEVERAL, query, _SEVERAL_HINTS) or _LIST.match(query.strip()) is not None,
    )


def for_overview(query: str) -> bool:
    """Return whether all that was said of something is asked for: "Summarise how my garden came to be"."""
    return _finds(_OVERVIEW, query, _HOW_HINTS) and not _finds(_ORDER, query, _HOW_HINTS)


def for_help(query: str) -> bool:
    """Return whether something is to be done or explained now, whatever was said: "How should I plan my week?"."""
    return (
        _HELP.search(query) is not None
        and _BACK.search(query) is None
        and _ORDER.search(query) is None
        and _OVERVIEW.search(query) is None
    )


def look_for(pattern: re.Pattern[str], query: str, hints: Sequence[str]) -> re.Match[str] | None:
    """Return where a pattern is found in a query.

    Args:
        hints: One of them, in lower case, is in every ASCII text that the pattern is found in: to look for them is much
            faster.
    """
    if not query.isascii():
        return pattern.search(query)
    lower = query.lower()
    for hint in hints:  # `any` takes twice as long
        if hint in lower:
            return pattern.search(query)
    return None


def _finds(pattern: re.Pattern[str], query: str, hints: Sequence[str]) -> bool:
    return look_for(pattern, query, hints) is not None


@lru_cache(maxsize=8)
def content(query: str) -> str:
    """Return a query for an order or an overview without the words that only say how to answer; others as they are.

    "List the order in which I brought up different aspects of my garden" is about "in which I up of my garden": every
    conversation has lists, orders and aspects.
    """
    if not _finds(_ORDER, query, _HOW_HINTS) and not _finds(_OVERVIEW, query, _HOW_HINTS):
        return query
    if not _frame:
        _frame.update(stems_of(_FRAME.split()))
    kept = " ".join(word for word in _WORD.findall(query) if stems_of(surface(word)).isdisjoint(_frame))
    return kept if stems_of(surface(kept)) else query
