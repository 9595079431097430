"""Days and parts of months that a text names, and the time that a memory tells of: "yesterday", "in early May"."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import chain
from typing import Final

from memkit.ranking.patterns import LatePattern
from memkit.ranking.spans import FEASTS, ONE_DAY, WEEKDAYS, Span, away, called, feast
from memkit.ranking.text import folded
from memkit.ranking.when import NAMED_MONTHS, asked_feasts, english_spans
from memkit.ranking.when_elsewhere import elsewhere_spans
from memkit.ranking.when_words import EARLY, LATE, MIDDLE, NUMBERS

DAY: Final = 86_400_000_000
"""Microseconds."""
LONGEST: Final = 31 * DAY
"""A memory that tells of more than a month does not tell of a day in it."""
_FARTHEST: Final = 93 * DAY
_READ: Final = 600
"""Characters of a memory in which the time that it tells of is looked for."""
_YEARS: Final = range(100, 9_900)
"""From any day in them, what a query counts is still in the calendar."""
_NAMES: Final = "|".join(sorted(NAMED_MONTHS, key=len, reverse=True))
_DIGITS: Final = re.compile(r"\d")
_LETTERS: Final = re.compile(r"[^\W\d_]+")
_NUMBERED: Final = re.compile(r"\d[-/]\d{1,2}[-/]\d|\d\.\s?\d{1,2}\.\s?(?:19|20)\d\d|\d\s?[月월]")
"""In every date that names its month by a number."""
_YEAR: Final = r"(?:,?\s+(?:de[l]?\s+)?(?P<{}>(?:19|20)\d\d))?"
_DAY: Final = LatePattern(
    rf"(?<!\d)(?P<day>\d{{1,2}})(?:st|nd|rd|th|er|[.º])?\s+(?:of\s+|de\s+|di\s+)?(?P<month>{_NAMES})\b"
    + _YEAR.format("year")
    + rf"|\b(?P<month2>{_NAMES})(?:(?<=\b\w\w\w)\.|(?<=\bsept)\.)?\s+(?P<day2>\d{{1,2}})"
    r"(?:st|nd|rd|th)?(?!\d|[.,]\d|\s?%)"
    + _YEAR.format("year2")
    + r"|(?<![\d/-])(?P<year3>(?:19|20)\d\d)(?P<sign>[-/])(?P<month3>\d{1,2})(?P=sign)(?P<day3>\d{1,2})(?!\d)"
    r"|(?:(?P<year4>(?:19|20)\d\d)\s?[年년]\s?)?(?<!\d)(?P<month4>\d{1,2})\s?[月월]\s?(?P<day4>\d{1,2})\s?[日일]"
    r"|(?<![\d.])(?P<day5>\d{1,2})\.\s?(?P<month5>\d{1,2})\.\s?(?P<year5>(?:19|20)\d\d)(?!\d)"
    r"|(?<![\d/-])(?P<day6>\d{1,2})(?P<sign6>[-/])(?P<month6>\d{1,2})(?P=sign6)(?P<year6>(?:19|20)\d\d)(?!\d)"
)
_PART: Final = LatePattern(
    rf"\b(?:(?P<early>beginning|start|early|first days|{EARLY})|(?P<middle>middle|mid|{MIDDLE})"
    rf"|(?P<late>end|late|{LATE})|(?P<half>first half)|(?P<rest>(?:second|other|latter) half))"
    rf"(?:\s+of|\s+in|\s+de|\s+di|\s+d|\s+von|\s+des)?[\s'’-]+(?P<month>{_NAMES})\b" + _YEAR.format("year")
    + r"|(?:(?P<year2>(?:19|20)\d\d)\s?[年년]\s?)?(?<!\d)(?P<month2>\d{1,2})\s?[月월]\s?"
    r"(?:(?P<early2>初|上旬|초)|(?P<middle2>中旬|中|중순)|(?P<late2>底|末|下旬|말))"
)  # fmt: skip
_FEAST: Final = re.compile(rf"\b({'|'.join(FEASTS)})(?:'s)?(?: day)?(?: of|,)? ((?:19|20)\d\d)\b")
_OF_YEAR: Final = re.compile(r"(?: of|,)? (?:19|20)\d\d\b")
_PARTS: Final = {"early": (1, 10), "middle": (11, 20), "late": (21, 31), "half": (1, 15), "rest": (16, 31)}
_BESIDE: Final = re.compile(
    r"\b(?:(?P<count>\d{1,2}|an?|one|two|three|four|five|six) )?"
    rf"(?P<unit>day|week|weekend|month|night|{'|'.join(WEEKDAYS)})s?"
    r" (?P<side>before|prior to|after|following) (?:the )?$"
)
"""Stands before a day that it counts from."""
_FROM: Final = re.compile(r"\b(?:since|after|following) (?:the )?$")
_UNTIL: Final = re.compile(r"\b(?:before|until|till|prior to) (?:the )?$")
_BETWEEN: Final = re.compile(r"\b(?:between|from) (?:the )?$")
_FIRST: Final = re.compile(
    r"(?:\bbetween (?:the )?(?P<between>\d{1,2})(?:st|nd|rd|th|\.)? and"
    r"|(?<![\d:.])(?P<first>\d{1,2})(?:st|nd|rd|th|\.)? ?(?:to|until|till|through|bis|-|–)) ?(?:the )?$"
)
"""Stands before the last of some days of a month."""
_AND: Final = re.compile(r"^,?(?: and| to| until| till|-| –)? ?(?:the )?$")

Named = tuple[int, int, int]
"""A year, 0 for one that is left out, a month and a day."""
Instants = tuple[int, int]
"""When something begins and ends, microseconds UTC."""
_EVER: Final = (-(2**62), 2**62)


def _days(plain: str) -> Iterator[tuple[Named, int, int]]:
    """Yield days with where each begins and ends in the text."""
    # To look for digits and for the names of months is much faster than the pattern.
    if _DIGITS.search(plain) is None or (
        NAMED_MONTHS.keys().isdisjoint(_LETTERS.findall(plain)) and _NUMBERED.search(plain) is None
    ):
        return
    for found in _DAY.finditer(plain):
        nth = next(nth for nth in ("", "2", "3", "4", "5", "6") if found["day" + nth])
        name, year, day = found["month" + nth], int(found["year" + nth] or 0), int(found["day" + nth])
        month = int(name) if name.isdigit() else NAMED_MONTHS[name]
        # Some write the day first, some the month: where it may be either, both days are meant.
        ways = {(month, day): None, (day, month): None} if nth == "6" else ((month, day),)
        for month, day in ways:
            if 1 <= month <= 12 and 1 <= day <= 31:
                yield (year, month, day), found.start(), found.end()


def asked_spans(query: str, years: Sequence[int]) -> tuple[list[Instants], list[Instants]]:
    """Return the days that a query asks for, and the times before, after or between days.

    "10 May", "early May", "10 to 12 May" and "the week before 10 May" are days; "since 10 May" and "before 10 May"
    are times. A day without a year is one of each of some years.

    Args:
        years: Those in which something was said.
    """
    plain = folded(query)
    years = [year for year in years if year in _YEARS]
    days = list(_days(plain))
    near: list[Instants] = []
    far: list[Instants] = []
    at = 0
    while at < len(days):
        named, begin, end = days[at]
        before = plain[:begin]
        if _BETWEEN.search(before) and at + 1 < len(days) and _AND.match(plain[end : days[at + 1][1]]):
            last = days[at + 1][0]
            near += _ranges(named, last, years)
            at += 1
        elif (first := _FIRST.search(before)) and 0 < (start := int(first[1] or first[2])) < named[2]:
            near += _ranges((*named[:2], start), named, years)
        elif beside := _BESIDE.search(before):
            near += [_micros(_beside(beside, day)) for day in _each(named, years)]
        elif _FROM.search(before):
            far += [(_micros((day, day))[0], _EVER[1]) for day in _each(named, years)[-1:]]
        elif _UNTIL.search(before):
            far += [(_EVER[0], _micros((day, day))[0] + DAY) for day in _each(named, years)[-1:]]
        else:
            near += spans_of([named], years)
        at += 1
    return near + _parts(plain, years) + _feasts(plain, years), far


def _each(named: Named, years: Sequence[int]) -> list[datetime]:
    """Return a day in the year it names, or in each of some years."""
    year, month, day = named
    out: list[datetime] = []
    for each in [year] if year else years:
        with suppress(ValueError):  # 30 February, 29 in some years
            out.append(datetime(each, month, day, tzinfo=UTC))
    return out


def _ranges(first: Named, last: Named, years: Sequence[int]) -> list[Instants]:
    """Return from one day to another, of the same year where one is left out."""
    both = (first[0] or last[0], *first[1:]), (last[0] or first[0], *last[1:])
    pairs = zip(_each(both[0], years), _each(both[1], years), strict=False)
    return [_micros((start, end + ONE_DAY)) for start, end in pairs if start <= end]


def _beside(found: re.Match[str], day: datetime) -> Span:
    """Return "the week before" a day, "two days after" it, "the Sunday before" it."""
    sign = -1 if found["side"] in ("before", "prior to") else 1
    unit = "day" if found["unit"] == "night" else found["unit"]
    if unit in WEEKDAYS or unit == "weekend" or (unit == "month" and not found["count"]):
        return next(called(unit, sign, day))
    count = found["count"] or "1"
    number = int(count) if count.isdigit() else NUMBERS[count]
    if unit == "week" and not found["count"]:
        return (day - 7 * ONE_DAY, day) if sign < 0 else (day + ONE_DAY, day + 8 * ONE_DAY)
    return away(sign * number, unit, day)


def _parts(plain: str, years: Sequence[int]) -> list[Instants]:
    """Return the thirds of months that a text names: "the beginning of May", "mid-June", "Ende Juli"."""
    out: list[Instants] = []
    for found in _PART.finditer(plain):
        nth = "2" if found["month2"] else ""
        name, year = found["month" + nth], int(found["year" + nth] or 0)
        month = int(name) if name.isdigit() else NAMED_MONTHS[name]
        first, last = next(
            days for part, days in _PARTS.items() if found[part] or (nth and found[part + nth])
        )
        if 1 <= month <= 12:
            for each in [year] if year else years:
                last_of_month = monthrange(each, month)[1]
                out += _ranges((each, month, first), (each, month, min(last, last_of_month)), years)
    return out


def _feasts(plain: str, years: Sequence[int]) -> list[Instants]:
    """Return the feasts that a text names, of one without a year those of some years."""
    today = datetime(2000, 1, 1, tzinfo=UTC)
    plain = plain.replace("’", "'")
    named = [(found[1], int(found[2])) for found in _FEAST.finditer(plain)]
    bare = [found[1] for found in asked_feasts(plain) if not _OF_YEAR.match(plain, found.end())]
    named += [(name, year) for name in bare for year in years]
    return [_micros(feast(name, year, today)) for name, year in named]


def spans_of(days: Sequence[Named], years: Sequence[int]) -> list[Instants]:
    """Return when days begin and end, in microseconds UTC; one without a year is of each of some years."""
    return [_micros((day, day + ONE_DAY)) for named in days for day in _each(named, years)]


def told(text: str, created: int, *, elsewhere: bool = True) -> Instants | None:
    """Return the time that a memory tells of, seen from when it was made: the first up to a month, else a season.

    "I saw her yesterday", said on 8 May, tells of 7 May; a day without a year is the nearest one. Of a long text, the
    beginning is read.

    Args:
        elsewhere: Whether words of other languages than English are looked for.
    """
    text = text[:_READ]
    try:
        moment = datetime.fromtimestamp(created / 1e6, UTC)
        today = moment.replace(hour=0, minute=0, second=0, microsecond=0)
        foreign = elsewhere_spans(text, today) if elsewhere else ()
        found = map(_micros, chain(english_spans(text, today), foreign, _nearest_days(text, today)))
        long = None
        for span in found:
            if span[1] - span[0] <= LONGEST:
                return span
            if long is None and span[1] - span[0] <= _FARTHEST:
                long = span
    except (OverflowError, ValueError, OSError):
        return None
    return long


def names_a_date(text: str) -> bool:
    """Return whether a text begins with a day in numbers and its year: "2024-03-25", "25/3/2024"."""
    return ("20" in text or "19" in text) and _NUMBERED.search(text, 0, _READ) is not None


def _nearest_days(text: str, today: datetime) -> Iterator[Span]:
    found = list(_days(folded(text)))
    if len(found) > 1 and found[0][1] == found[1][1]:  # "5/3/2024" is one of two days
        return
    for named, _, _ in found:
        days = _each(named, range(today.year - 1, today.year + 2))
        if days:
            nearest = min(days, key=lambda day: abs(day - today))
            yield nearest, nearest + ONE_DAY


def _micros(span: Span) -> Instants:
    return round(span[0].timestamp() * 1e6), round(span[1].timestamp() * 1e6)
