"""Spans of time seen from a day: its last Friday, the week before, three days on, last summer, last Christmas."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Final

from memkit.ranking.text import MONTHS

Span = tuple[datetime, datetime]

WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MONTH_NAMES: Final = tuple(month.lower() for month in MONTHS)
SEASONS: Final = {"spring": 3, "summer": 6, "autumn": 9, "winter": 12}
"""Season -> its first month, north of the equator."""
ONE_DAY: Final = timedelta(days=1)
_SIZES: Final = {
    "day": 1, "week": 7, "weekend": 7, "fortnight": 14, "month": 30, "quarter": 91, "year": 365, "decade": 3652,
}  # fmt: skip


def of_day(away: int, today: datetime) -> Span:
    """Return the day that is so many days away."""
    return today + away * ONE_DAY, today + (away + 1) * ONE_DAY


def away(count: int, unit: str, today: datetime) -> Span:
    """Return what "three weeks ago" means, of -3 weeks, or "in three weeks", of 3: half a unit on both sides."""
    size = _SIZES[unit]
    centre, slack = today + count * size * ONE_DAY, size // 2 * ONE_DAY
    return centre - slack, centre + slack + ONE_DAY


def rolling(count: int, unit: str, today: datetime) -> Span:
    """Return the last three weeks, of -3 weeks, or the next three, of 3; today is part of both."""
    reach = count * _SIZES[unit] * ONE_DAY
    return min(today, today + reach), max(today, today + reach) + ONE_DAY


def called(name: str, direction: int, today: datetime) -> Iterator[Span]:
    """Yield what is called last (-1), this (0) or next (1) of a name, the likeliest first.

    "Last Friday" is the last one before today, and where that is in this week, perhaps the one of last week;
    a week begins on Monday, and on a Sunday perhaps that day.

    Args:
        name: A unit, a part of a day, a weekday, a month, a season or a feast, in English.
    """
    if name in WEEKDAYS:
        yield from _weekdays(WEEKDAYS.index(name), direction, today)
    elif name == "week":
        monday = today - today.weekday() * ONE_DAY
        yield _week(monday, direction)
        if today.weekday() == 6:
            yield _week(today, direction)
    elif name == "weekend":
        # "This weekend" is still the last one on Monday and Tuesday.
        weeks = direction if direction or today.weekday() >= 2 else -1
        saturday = today + (5 - today.weekday() + 7 * weeks) * ONE_DAY
        yield saturday, saturday + 2 * ONE_DAY
    elif name in ("month", "year"):
        step = 1 if name == "month" else 12
        months = today.year * 12 + (today.month - 1 if name == "month" else 0) + direction * step
        yield _months(months, step, today)
    elif name == "quarter":
        yield _months(today.year * 12 + (today.month - 1) // 3 * 3 + 3 * direction, 3, today)
    elif name in ("fortnight", "decade"):
        yield rolling(direction or -1, name, today)
    elif name in MONTH_NAMES:
        month = MONTH_NAMES.index(name)
        yield _nearest(lambda year: _months(12 * year + month, 1, today), direction, today)
    elif name in SEASONS:
        first = SEASONS[name] - 1
        yield _nearest(lambda year: _months(12 * year + first, 3, today), direction, today)
    elif name in FEASTS:
        yield _nearest(lambda year: feast(name, year, today), direction, today)
    else:  # a part of a day: "last night", "this morning"
        yield of_day(-1 if direction < 0 else direction, today)


def before_last(unit: str, today: datetime) -> Span:
    """Return the week before last, the Friday before last, the year before last.

    Args:
        unit: A unit, a night or a weekday, in English.
    """
    if unit in ("day", "night"):
        return of_day(-2, today)
    start, end = next(called(unit, -1, today))
    if unit in ("month", "year"):
        return next(called(unit, -1, start))
    earlier = 14 * ONE_DAY if unit == "fortnight" else 7 * ONE_DAY
    return start - earlier, end - earlier


def _weekdays(weekday: int, direction: int, today: datetime) -> Iterator[Span]:
    back = (today.weekday() - weekday) % 7 or 7
    ahead = (weekday - today.weekday()) % 7 or 7
    if direction < 0:
        yield of_day(-back, today)
        if back <= today.weekday():
            yield of_day(-back - 7, today)
    elif direction > 0:
        yield of_day(ahead, today)
        if today.weekday() + ahead < 7:
            yield of_day(ahead + 7, today)
    else:
        yield of_day(weekday - today.weekday(), today)


def _week(first: datetime, direction: int) -> Span:
    start = first + 7 * direction * ONE_DAY
    return start, start + 7 * ONE_DAY


def _months(first: int, count: int, today: datetime) -> Span:
    """Return so many months from one on, counted from the year 0."""
    return (
        today.replace(year=first // 12, month=first % 12 + 1, day=1),
        today.replace(year=(first + count) // 12, month=(first + count) % 12 + 1, day=1),
    )


def _nearest(of_year: Callable[[int], Span], direction: int, today: datetime) -> Span:
    """Return of what comes once a year the last that is over, the next to begin, or that of now or of this year."""
    spans = [of_year(year) for year in range(today.year - 2, today.year + 3)]
    if direction < 0:
        return [span for span in spans if span[1] <= today][-1]
    if direction > 0:
        return next(span for span in spans if span[0] > today)
    return next((span for span in spans if span[0] <= today < span[1]), spans[2])


# ------------------------------------------------------------------------------------------- feasts

FEASTS: Final = (
    "christmas eve", "christmas day", "christmas", "easter", "new year's eve", "new year's day", "new year",
    "halloween", "thanksgiving", "valentine",
)  # fmt: skip
"""Of two names that begin alike the longer one is the first."""
FEAST_ASKED: Final = rf"\b(?:at|on|over|during|around) ({'|'.join(FEASTS)})(?:'s)?(?: day)?\b"
"""A feast that is a time: "at Christmas", and not "a Christmas tree"."""


def feast(name: str, year: int, today: datetime) -> Span:
    """Return the days of a feast in a year; New Year's is that which begins the year."""
    new = today.replace(year=year, month=1, day=1)
    if name == "easter":
        sunday = new.replace(month=3, day=22) + _easter(year) * ONE_DAY
        return sunday - 2 * ONE_DAY, sunday + 2 * ONE_DAY
    if name == "thanksgiving":
        first = new.replace(month=11)
        thursday = first + ((3 - first.weekday()) % 7 + 21) * ONE_DAY
        return thursday, thursday + ONE_DAY
    if name == "new year":
        return new - ONE_DAY, new + ONE_DAY
    month, day, days = _FIXED[name]
    start = new.replace(month=month, day=day)
    return start, start + days * ONE_DAY


_FIXED: Final = {
    "christmas": (12, 24, 3), "christmas eve": (12, 24, 1), "christmas day": (12, 25, 1), "halloween": (10, 31, 1),
    "new year's eve": (12, 31, 1), "new year's day": (1, 1, 1), "valentine": (2, 14, 1),
}  # fmt: skip


def _easter(year: int) -> int:
    """Return how many days after 22 March Easter Sunday is, by Gauss's rule for the Gregorian calendar."""
    century = year // 100
    moon = (15 + century - century // 4 - (13 + 8 * century) // 25) % 30
    full = (19 * (year % 19) + moon) % 30
    full -= full // 29 + (full // 28 - full // 29) * (year % 19 // 11)
    sunday = (2 * (year % 4) + 4 * (year % 7) + 6 * full + (4 + century - century // 4) % 7) % 7
    return full + sunday
