"""Which times a query means: months and years it names, and spans such as "yesterday" or "la semaine dernière"."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from memkit.ranking.patterns import LatePattern
from memkit.ranking.spans import (
    FEAST_ASKED,
    FEASTS,
    MONTH_NAMES,
    ONE_DAY,
    SEASONS,
    WEEKDAYS,
    Span,
    away,
    before_last,
    called,
    of_day,
    rolling,
)
from memkit.ranking.text import MONTHS, folded, words_in
from memkit.ranking.when_elsewhere import TIMELY, elsewhere_spans
from memkit.ranking.when_words import (
    MONTHS_ELSEWHERE,
    NUMBERS,
    OF_MONTHS,
    ORDINALS,
    PERIODS,
    PERIODS_UNSPACED,
)

# ------------------------------------------------------------------------------------------ months and years

_MONTH_NAMES: Final = {name.lower(): number for number, name in enumerate(MONTHS, 1)}
_MONTH = re.compile(rf"\b(?:{'|'.join(MONTHS)})\b", re.IGNORECASE)
_YEAR = re.compile(r"(?<![\dA-Za-z])(?:19|20)\d\d(?![\dA-Za-z])")
_ISO = re.compile(r"\b((?:19|20)\d\d)-(0[1-9]|1[0-2])(?:-(?:0[1-9]|[12]\d|3[01]))?\b")
_SHORT_NAMES: Final = {**{name[:3]: number for name, number in _MONTH_NAMES.items()}, "sept": 9}
_SHORT = re.compile(
    rf"\b(?P<before>{'|'.join(_SHORT_NAMES)})\.? (?:of )?\d{{1,4}}(?:st|nd|rd|th)?\b(?![.,]\d|\s?%)"
    rf"|\d(?:st|nd|rd|th)? (?:of )?(?P<after>{'|'.join(_SHORT_NAMES)})\b",
    re.IGNORECASE,
)
"""A short name counts beside a number only: "Dec 25th", "25 Dec", "Sept. 2023"; "APR 5%" is none."""
NAMED_MONTHS: Final = {**_SHORT_NAMES, **MONTHS_ELSEWHERE, **_MONTH_NAMES}
"""Name of a month, folded -> its number, in all languages."""
_DIRECTED = re.compile(r"\b(?:last|past|previous|next|coming)\s+$", re.IGNORECASE)
"""Before a month that is that of one year, told by `relative_days`."""
_BEFORE_MONTH = re.compile(
    r"\b(?:in|of|since|during|last|next|this|by|until|till|before|after|early|late|mid|\d{1,2}(?:st|nd|rd|th)?)\W+$",
    re.IGNORECASE,
)
_AFTER_MONTH = re.compile(r"^\W*\d")
_SEASON_NAMES: Final = frozenset([*SEASONS, "fall"])
_SEASON: Final = re.compile(
    r"\b(?:(?:in|during|over|throughout|of) (?:the |that )?(?=\w+\b(?! of (?!(?:19|20)\d\d)))"
    rf"|(?=\w+ (?:of )?(?:19|20)\d\d\b))({'|'.join([*SEASONS, 'fall'])})\b"
)
_PAST = re.compile(r"\b(?:did|was|were|had|happened|went)\b")
_FEAST_ASKED = re.compile(FEAST_ASKED)
_MONTHS_OF_FEASTS: Final = {
    "christmas": {12}, "easter": {3, 4}, "new": {12, 1}, "halloween": {10}, "thanksgiving": {11}, "valentine": {2},
}  # fmt: skip
_OF_FEASTS: Final = frozenset(_MONTHS_OF_FEASTS)
_DECADE = re.compile(
    r"\b(?:(?:in|of|from|during|since) the (?:early |mid |late )?['’]?([3-9])0s(?! ?[°F])|19(\d)0s)\b"
)
_OF_QUARTERS = re.compile(r"\bq[1-4]|quart|trimest|kwarta|квартал|季度|四半期|분기", re.IGNORECASE)
_YEAR_4: Final = r"(?:19|20)\d\d"
_QUARTER = LatePattern(
    rf"\b(?:q([1-4])|({'|'.join(ORDINALS)}|[1-4](?:st|nd|rd|th|[.eo])?)[ -]"
    r"(?:quarter|quartal|trimest|kwarta|квартал)\w*)"
    rf"[ ,/-]*(?:(?:of|in|de|del|du|des|von) )?{_YEAR_4}\b"
    rf"|\b{_YEAR_4}[ /-]?q([1-4])\b|{_YEAR_4}\s?[年년]\s?[の의]?\s?第?([1-4一二三四])\s?(?:季度|四半期|분기)"
)
_SEASON_ELSEWHERE = LatePattern(
    rf"\b({'|'.join(word for word, name in PERIODS.items() if name in SEASONS and word != 'host')})"
    rf" (?:de[l]? |von )?{_YEAR_4}\b|{_YEAR_4}[年년][の의]? ?"
    rf"({'|'.join(word for word, name in PERIODS_UNSPACED.items() if name in SEASONS)})"
)
_NUMBERED_MONTH = re.compile(r"(?<!\d)(1[0-2]|0?[1-9])\s?[月월](?!間)")
_ELSEWHERE = LatePattern(
    rf"(?:(?:{OF_MONTHS})\s+|(?<!\d)\d{{1,2}}(?:[.º]|er)?\s+(?:de\s+|di\s+)?)"
    rf"(?P<after>{'|'.join(sorted(MONTHS_ELSEWHERE, key=len, reverse=True))})\b"
    rf"|\b(?P<before>{'|'.join(sorted(MONTHS_ELSEWHERE, key=len, reverse=True))})\b(?=\s+(?:de[l]?\s+)?(?:19|20)\d\d)",
    re.IGNORECASE,
)


def named_months(query: str) -> tuple[frozenset[int], frozenset[int]]:
    """Return the months (1 to 12) and the years that a query names.

    "may", "march" and "august" count only where they can be nothing else: with a capital letter inside the sentence,
    after a word such as "in", or before a number; short names ("Dec 25") beside a number. In other languages every
    month stands after such a word or beside a number, for many are names, too: "en julio", "3 mai", "5月".
    """
    words = words_in(query)
    months: set[int] = set()
    # Looking for a few plain words first is much faster than the patterns, which most queries do not need.
    if not _MONTH_NAMES.keys().isdisjoint(words):
        months = {_MONTH_NAMES[m[0].lower()] for m in _MONTH.finditer(query) if _is_month(query, m)}
    if not _SHORT_NAMES.keys().isdisjoint(words):
        months |= {_SHORT_NAMES[(m["before"] or m["after"]).lower()] for m in _SHORT.finditer(query)}
    if not months:
        months = set(_months_elsewhere(query))
    if not _SEASON_NAMES.isdisjoint(words):
        for found in _SEASON.finditer(query.casefold()):
            first = SEASONS["autumn" if found[1] == "fall" else found[1]]
            months |= {(first + after - 1) % 12 + 1 for after in range(3)}
    if not _OF_FEASTS.isdisjoint(words):
        for found in asked_feasts(query.lower().replace("’", "'")):
            months |= {1} if found[1] == "new year's day" else _MONTHS_OF_FEASTS[found[1].split()[0]]
    years = {1900 + 10 * int(m[1] or m[2]) + n for m in _DECADE.finditer(query) for n in range(10)}
    if "19" not in query and "20" not in query:
        return frozenset(months), frozenset(years)
    months.update(int(m[2]) for m in _ISO.finditer(query))
    months.update(_quarters(query))
    return frozenset(months), frozenset(years.union(map(int, _YEAR.findall(query))))


def asked_feasts(plain: str) -> Iterator[re.Match[str]]:
    """Yield the feasts that a question about the past names by themselves: "What did we do at Christmas?".

    "What do they love at Christmas?" asks for what is so every year.
    """
    return _FEAST_ASKED.finditer(plain) if _PAST.search(plain) else iter(())


def _quarters(query: str) -> Iterator[int]:
    """Yield the months of quarters that a text names with their year: "Q3 2024", "the third quarter of 2024"."""
    if not _OF_QUARTERS.search(query):
        return
    for found in _QUARTER.finditer(folded(query)):
        word = next(filter(None, found.groups()))
        number = int(word[0]) if word[0].isascii() and word[0].isdigit() else ORDINALS[word]
        yield from range(3 * number - 2, 3 * number + 1)


def _is_month(query: str, found: re.Match[str]) -> bool:
    word = found[0]
    if _DIRECTED.search(query[: found.start()]):
        return False
    if word.lower() not in ("may", "march", "august"):
        return True
    if word[0].isupper() and found.start() > 0 and query[found.start() - 2 : found.start() - 1] not in ".!?":
        return True
    return bool(_BEFORE_MONTH.search(query[: found.start()]) or _AFTER_MONTH.match(query[found.end() :]))


def _months_elsewhere(query: str) -> Iterator[int]:
    if not query.isascii():
        yield from (int(found[1]) for found in _NUMBERED_MONTH.finditer(query))
    if "19" in query or "20" in query:
        for found in _SEASON_ELSEWHERE.finditer(folded(query)):
            first = SEASONS[PERIODS[found[1]] if found[1] else PERIODS_UNSPACED[found[2]]]
            yield from ((first + after - 1) % 12 + 1 for after in range(3))
    if MONTHS_ELSEWHERE.keys().isdisjoint(words_in(query)):
        return
    plain = folded(query)
    for found in _ELSEWHERE.finditer(plain):
        yield MONTHS_ELSEWHERE[found["after"] or found["before"]]


# -------------------------------------------------------------------------------------------- relative spans

_DAY_PARTS: Final = ("night", "morning", "evening", "afternoon")
_NAMED_UNITS: Final = "|".join(
    [
        "week",
        "weekend",
        "fortnight",
        "month",
        "quarter",
        "year",
        "decade",
        *_DAY_PARTS,
        *WEEKDAYS,
        *MONTH_NAMES,
        *SEASONS,
        "fall",
        *FEASTS,
    ]
)
_COUNT: Final = (
    "\\d{1,3}|an?|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|fourteen|fifteen|twenty|thirty"
    "|several"
)
_UNITS: Final = "(?P<{}>day|week|fortnight|month|year|decade)s?"
_RELATIVE = LatePattern(
    r"\b(?:(?P<day>today|tonight|yesterday|day before yesterday|(?:day after )?tomorrow)"
    rf"|(?:this )?(?P<which>this|last|past|previous|next|coming|upcoming) (?P<unit>{_NAMED_UNITS})"
    rf"|on (?P<weekday>{'|'.join(WEEKDAYS)})"
    rf"|(?P<many>{_COUNT}) (?P<each>{'|'.join(WEEKDAYS)}|weekend)s ago"
    rf"|(?P<before>day|night|week|weekend|fortnight|month|year|{'|'.join(WEEKDAYS)}) before last"
    rf"|(?<!half )(?P<count>{_COUNT})(?: (?P<vague>couple|few)(?: of)?)? {_UNITS.format('ago')}"
    rf" (?P<from>ago|back(?= ?(?:[.,?!;]|$))|from now)"
    rf"|in (?P<ahead>{_COUNT})(?: (?P<vague2>couple|few)(?: of)?)? {_UNITS.format('in')}(?: time)?"
    rf"|(?P<side>last|past|previous|next|coming) (?P<rolling>{_COUNT}|couple(?: of)?|few) {_UNITS.format('of')})\b"
)
_RELATIVE_WORDS: Final = (
    "today", "tonight", "yesterday", "tomorrow", "this ", "last ", "past ", "previous ", "next ", "coming ", "on ",
    " ago", "in ", " from now", " back", " before last",
)  # fmt: skip
"""One of them is in every text that `_RELATIVE` finds something in."""
_ENGLISH: Final = frozenset(
    f"today tonight yesterday tomorrow days weeks weekends fortnights months years decades {_NAMED_UNITS}".replace(
        "|", " "
    ).split()
) | {"day", *(f"{day}s" for day in WEEKDAYS)}
"""One of them is in every text that `_RELATIVE` finds something in."""
_DAYS_AWAY: Final = {"today": 0, "tonight": 0, "yesterday": -1, "tomorrow": 1, "day after tomorrow": 2}
_FUTURE: Final = re.compile(
    r"\b(?:will|going to|gonna|plan(?:s|ned|ning)?|scheduled|hop(?:e|ing) to|looking forward|next)\b|'ll\b"
)
_WEEK: Final = 7 * ONE_DAY
_ZONES: Final = timedelta(hours=14)
ZONES_US: Final = _ZONES // timedelta(microseconds=1)
"""By how much spans are widened on both sides."""


def relative_days(query: str, now: int) -> list[tuple[int, int]]:
    """Return the spans of time that words such as "yesterday" and "last week" name, in microseconds UTC.

    In English, German, French, Spanish, Italian, Portuguese, Dutch, Polish, Russian, Swedish, Turkish, Arabic, Hindi,
    Chinese, Japanese and Korean. Where words may mean one time or another ("on Friday"), both are returned. Spans are
    widened by the largest time zone offset on both sides, for a day of the one who asks is not a day in UTC.
    """
    words = words_in(query)
    if query.isascii() and _ENGLISH.isdisjoint(words) and TIMELY.isdisjoint(words):
        return []
    try:
        today = datetime.fromtimestamp(now / 1e6, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        spans = list(english_spans(query, today)) or list(elsewhere_spans(query, today))
        return [(_micros(start - _ZONES), _micros(end + _ZONES)) for start, end in spans]
    except (OverflowError, ValueError, OSError):
        return []


def english_spans(query: str, today: datetime) -> Iterator[Span]:
    """Yield the spans that a text names in English, seen from a day, in the order of the text."""
    lower = query.lower()
    if any(word in lower for word in _RELATIVE_WORDS):
        for found in _RELATIVE.finditer(lower):
            yield from _spans(found, lower, today)


def _spans(found: re.Match[str], lower: str, today: datetime) -> Iterator[Span]:
    if found["day"]:
        yield of_day(_DAYS_AWAY.get(found["day"], -2), today)
    elif found["ago"]:
        sign = 1 if found["from"] == "from now" else -1
        yield _away(sign * _number(found["vague"] or found["count"]), found["ago"], today)
    elif found["ahead"]:
        yield _away(_number(found["vague2"] or found["ahead"]), found["in"], today)
    elif found["rolling"]:
        count = _number(found["rolling"].split()[0])
        yield rolling(count * _direction(found["side"]), found["of"], today)
    elif found["each"]:
        start, end = next(called(found["each"], -1, today))
        earlier = (_number(found["many"]) - 1) * _WEEK
        yield start - earlier, end - earlier
    elif found["before"]:
        yield before_last(found["before"], today)
    elif found["weekday"]:
        ahead = 1 if _FUTURE.search(lower) else -1
        for direction in (ahead, -ahead):
            yield next(called(found["weekday"], direction, today))
    else:
        unit = found["unit"]
        # "this may be" names no month
        if unit not in MONTH_NAMES or _direction(found["which"]):
            yield from called("autumn" if unit == "fall" else unit, _direction(found["which"]), today)


def _away(count: int, unit: str, today: datetime) -> Span:
    return away(2 * count, "week", today) if unit == "fortnight" else away(count, unit, today)


def _direction(word: str) -> int:
    return {"this": 0, "next": 1, "coming": 1, "upcoming": 1}.get(word, -1)


def _number(word: str) -> int:
    return int(word) if word.isdigit() else NUMBERS[word]


def _micros(instant: datetime) -> int:
    return round(instant.timestamp() * 1e6)
