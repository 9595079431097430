"""Days: those that a query names, and those that a memory tells of by "yesterday" or "last week"."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Final

from memkit.ranking.text import folded
from memkit.ranking.when import NAMED_MONTHS, english_spans

DAY: Final = 86_400_000_000
"""Microseconds."""
_LONGEST: Final = 31 * DAY
_NAMES: Final = "|".join(sorted(NAMED_MONTHS, key=len, reverse=True))
_DIGITS: Final = re.compile(r"\d")
_YEAR: Final = r"(?:,?\s+(?:de[l]?\s+)?(?P<{}>(?:19|20)\d\d))?"
_DAY: Final = re.compile(
    rf"(?<!\d)(?P<day>\d{{1,2}})(?:st|nd|rd|th|er|[.º])?\s+(?:of\s+|de\s+|di\s+)?(?P<month>{_NAMES})\b"
    + _YEAR.format("year")
    + rf"|\b(?P<month2>{_NAMES})\s+(?P<day2>\d{{1,2}})(?:st|nd|rd|th)?(?!\d)"
    + _YEAR.format("year2")
    + r"|(?<!\d)(?P<year3>(?:19|20)\d\d)-(?P<month3>\d\d)-(?P<day3>\d\d)(?!\d)"
    r"|(?:(?P<year4>(?:19|20)\d\d)\s?[年년]\s?)?(?<!\d)(?P<month4>\d{1,2})\s?[月월]\s?(?P<day4>\d{1,2})\s?[日일]"
)


def named_days(query: str) -> list[tuple[int, int, int]]:
    """Return (year, month, day) of each day that a query names, with 0 for a year it leaves out."""
    if not _DIGITS.search(query):
        return []
    return list(_days(folded(query)))


def _days(plain: str) -> Iterator[tuple[int, int, int]]:
    for found in _DAY.finditer(plain):
        nth = next(nth for nth in ("", "2", "3", "4") if found["day" + nth])
        name, year, day = found["month" + nth], int(found["year" + nth] or 0), int(found["day" + nth])
        month = int(name) if name.isdigit() else NAMED_MONTHS[name]
        if 1 <= month <= 12 and 1 <= day <= 31:
            yield year, month, day


def spans_of(days: list[tuple[int, int, int]], years: list[int]) -> list[tuple[int, int]]:
    """Return when days begin and end, in microseconds UTC; one without a year is of each of some years."""
    out: list[tuple[int, int]] = []
    for year, month, day in days:
        for each in [year] if year else years:
            try:
                start = (date(each, month, day) - date(1970, 1, 1)).days * DAY
            except ValueError:  # 30 February, 29 in some years
                continue
            out.append((start, start + DAY))
    return out


def told(text: str, created: int) -> tuple[int, int] | None:
    """Return the time that a memory tells of, seen from when it was made: the first that it names, of a month at most.

    "I saw her yesterday", said on 8 May, tells of 7 May. In English.
    """
    try:
        today = datetime.fromtimestamp(created / 1e6, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        for start, end in english_spans(text, today):
            span = round(start.timestamp() * 1e6), round(end.timestamp() * 1e6)
            return span if span[1] - span[0] <= _LONGEST else None
    except (OverflowError, ValueError, OSError):
        return None
    return None
