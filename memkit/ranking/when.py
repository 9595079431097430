"""Which times a query means: months and years it names, and spans such as "yesterday" or "la semaine dernière"."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from memkit.ranking.languages import language_of_latin
from memkit.ranking.text import MONTHS, folded, surface
from memkit.ranking.when_words import (
    AGO,
    AGO_FIRST,
    DAYS,
    DAYS_UNSPACED,
    LAST,
    MONTHS_ELSEWHERE,
    NEXT,
    NUMBERS,
    NUMBERS_UNSPACED,
    OF_MONTHS,
    SPANS_UNSPACED,
    THIS,
    UNITS,
    UNITS_UNSPACED,
)

# ------------------------------------------------------------------------------------------ months and years

_MONTH_NAMES: Final = {name.lower(): number for number, name in enumerate(MONTHS, 1)}
_MONTH = re.compile(rf"\b(?:{'|'.join(MONTHS)})\b", re.IGNORECASE)
_YEAR = re.compile(r"(?<![\dA-Za-z])(?:19|20)\d\d(?![\dA-Za-z])")
_ISO = re.compile(r"\b((?:19|20)\d\d)-(0[1-9]|1[0-2])(?:-(?:0[1-9]|[12]\d|3[01]))?\b")
NAMED_MONTHS: Final = {**MONTHS_ELSEWHERE, **_MONTH_NAMES}
"""Name of a month, folded -> its number, in all languages."""
_BEFORE_MONTH = re.compile(
    r"\b(?:in|of|since|during|last|next|this|by|until|till|before|after|early|late|mid|\d{1,2}(?:st|nd|rd|th)?)\W+$",
    re.IGNORECASE,
)
_AFTER_MONTH = re.compile(r"^\W*\d")
_NUMBERED_MONTH = re.compile(r"(?<!\d)(1[0-2]|0?[1-9])\s?[月월](?!間)")
_ELSEWHERE = re.compile(
    rf"(?:(?:{OF_MONTHS})\s+|(?<!\d)\d{{1,2}}(?:[.º]|er)?\s+(?:de\s+|di\s+)?)"
    rf"(?P<after>{'|'.join(sorted(MONTHS_ELSEWHERE, key=len, reverse=True))})\b"
    rf"|\b(?P<before>{'|'.join(sorted(MONTHS_ELSEWHERE, key=len, reverse=True))})\b(?=\s+(?:de[l]?\s+)?(?:19|20)\d\d)",
    re.IGNORECASE,
)


def named_months(query: str) -> tuple[frozenset[int], frozenset[int]]:
    """Return the months (1 to 12) and the years that a query names.

    "may", "march" and "august" count only where they can be nothing else: with a capital letter inside the sentence,
    after a word such as "in", or before a number. In other languages every month stands after such a word or beside
    a number, for many are names, too: "en julio", "3 mai", "5月".
    """
    lower = query.casefold()
    months: set[int] = set()
    # Looking for a few plain words first is much faster than the patterns, which most queries do not need.
    if any(name in lower for name in _MONTH_NAMES):
        months = {_MONTH_NAMES[m[0].lower()] for m in _MONTH.finditer(query) if _is_month(query, m)}
    if not months:
        months = set(_months_elsewhere(query))
    if "19" not in query and "20" not in query:
        return frozenset(months), frozenset()
    months |= {int(m[2]) for m in _ISO.finditer(query)}
    return frozenset(months), frozenset(int(y) for y in _YEAR.findall(query))


def _is_month(query: str, found: re.Match[str]) -> bool:
    word = found[0]
    if word.lower() not in ("may", "march", "august"):
        return True
    if word[0].isupper() and found.start() > 0 and query[found.start() - 2 : found.start() - 1] not in ".!?":
        return True
    return bool(_BEFORE_MONTH.search(query[: found.start()]) or _AFTER_MONTH.match(query[found.end() :]))


def _months_elsewhere(query: str) -> Iterator[int]:
    words = surface(query)
    if not query.isascii():
        yield from (int(found[1]) for found in _NUMBERED_MONTH.finditer(query))
    if MONTHS_ELSEWHERE.keys().isdisjoint(words):
        return
    plain = folded(query)
    for found in _ELSEWHERE.finditer(plain):
        yield MONTHS_ELSEWHERE[found["after"] or found["before"]]


# -------------------------------------------------------------------------------------------- relative spans

_WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_RELATIVE = re.compile(
    r"\b(?:(?P<day>today|tonight|yesterday|day before yesterday|(?:day after )?tomorrow)"
    r"|(?P<which>this|last|past|previous|next|coming) (?P<unit>week|weekend|month|year|night|morning|evening|"
    rf"{'|'.join(_WEEKDAYS)})"
    rf"|on (?P<weekday>{'|'.join(_WEEKDAYS)})"
    r"|(?P<count>\d{1,3}|an?|one|two|three|four|five|six|seven|eight|nine|ten)(?: (?P<vague>couple|few)(?: of)?)? "
    r"(?P<ago>day|week|month|year)s? ago)\b",
    re.IGNORECASE,
)
_RELATIVE_WORDS: Final = (
    "today", "tonight", "yesterday", "tomorrow", "this ", "last ", "past ", "previous ", "next ", "coming ", "on ",
    " ago",
)  # fmt: skip
"""One of them is in every text that `_RELATIVE` finds something in."""
_DAYS_AWAY: Final = {"today": 0, "tonight": 0, "yesterday": -1, "tomorrow": 1, "day after tomorrow": 2}
_DAY = timedelta(days=1)
_ZONES = timedelta(hours=14)

Span = tuple[datetime, datetime]


def relative_days(query: str, now: int) -> list[tuple[int, int]]:
    """Return the spans of time that words such as "yesterday" and "last week" name, in microseconds UTC.

    In English, German, French, Spanish, Italian, Portuguese, Dutch, Polish, Russian, Swedish, Turkish, Arabic, Hindi,
    Chinese, Japanese and Korean. Spans are widened by the largest time zone offset on both sides, for a day of the one
    who asks is not a day in UTC.
    """
    try:
        today = datetime.fromtimestamp(now / 1e6, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        spans = list(english_spans(query, today)) or list(_elsewhere(query, today))
    except (OverflowError, ValueError, OSError):
        return []
    return [(_micros(start - _ZONES), _micros(end + _ZONES)) for start, end in spans]


def english_spans(query: str, today: datetime) -> Iterator[Span]:
    """Yield the spans that a text names in English, seen from a day, in the order of the text."""
    lower = query.casefold()
    if any(word in lower for word in _RELATIVE_WORDS):
        for found in _RELATIVE.finditer(query):
            yield _span(found, today)


def _span(found: re.Match[str], today: datetime) -> Span:
    if found["day"]:
        return _day(_DAYS_AWAY.get(found["day"].lower(), -2), today)
    if found["ago"]:
        word = (found["vague"] or found["count"]).lower()
        return _ago(int(word) if word.isdigit() else NUMBERS[word], found["ago"].lower(), today)
    if found["weekday"]:
        return _weekday(found["weekday"].lower(), -1, today)
    unit, which = found["unit"].lower(), found["which"].lower()
    direction = {"this": 0, "next": 1, "coming": 1}.get(which, -1)
    return _weekday(unit, direction or -1, today) if unit in _WEEKDAYS else _calendar(unit, direction, today)


def _day(away: int, today: datetime) -> Span:
    return today + away * _DAY, today + (away + 1) * _DAY


def _ago(count: int, unit: str, today: datetime) -> Span:
    size = {"day": 1, "week": 7, "month": 30, "year": 365}[unit]
    centre, slack = today - count * size * _DAY, size // 2 * _DAY
    return centre - slack, centre + slack + _DAY


def _weekday(name: str, direction: int, today: datetime) -> Span:
    """Return the last day of that name before today, or the next one after it."""
    back = (today.weekday() - _WEEKDAYS.index(name)) % 7 or 7
    return _day(-back if direction < 0 else 7 - back or 7, today)


def _calendar(unit: str, direction: int, today: datetime) -> Span:
    """Return the week, weekend, month, year or day part before (-1), around (0) or after (1) today."""
    monday = today - today.weekday() * _DAY
    if unit == "week":
        start = monday + 7 * direction * _DAY
        return start, start + 7 * _DAY
    if unit == "weekend":
        # "This weekend" is still the last one on Monday and Tuesday.
        weeks = direction if direction or today.weekday() >= 2 else -1
        saturday = monday + (5 + 7 * weeks) * _DAY
        return saturday, saturday + 2 * _DAY
    if unit in ("month", "year"):
        months = today.year * 12 + today.month - 1 if unit == "month" else today.year * 12
        step = 1 if unit == "month" else 12
        start = months + direction * step
        return _first_of(start, today), _first_of(start + step, today)
    return _day(-1 if direction < 0 else direction, today)


def _first_of(months: int, today: datetime) -> datetime:
    return today.replace(year=months // 12, month=months % 12 + 1, day=1)


# -------------------------------------------------------------------------------------- in other languages


def _any(words: str) -> str:
    return "|".join(sorted(words.split("|"), key=len, reverse=True))


_UNIT: Final = _any("|".join(UNITS))
_COUNT: Final = rf"(?P<count>\d{{1,3}}|{_any('|'.join(NUMBERS))})"
_NAMED: Final = re.compile(
    rf"(?<!\w)(?:(?:(?P<last>{LAST})|(?P<this>{THIS})|(?P<next>{NEXT}))\s+(?P<unit>{_UNIT})"
    rf"|(?P<unit2>{_UNIT})\s+(?:(?P<last2>{LAST})|(?P<next2>{NEXT})))(?!\w)"
)
_COUNTED: Final = re.compile(
    rf"(?<!\w)(?:{AGO_FIRST})\s+{_COUNT}\s+(?P<unit>{_UNIT})(?!\w)"
    rf"|(?<!\w)(?:{_COUNT.replace('count', 'count2')}\s+)?(?P<unit2>{_UNIT})\s+(?:{AGO})(?!\w)"
)
_COUNTED_UNSPACED: Final = re.compile(
    rf"(?P<count>\d{{1,3}}|[{''.join(NUMBERS_UNSPACED)}])\s?(?P<unit>{_any('|'.join(UNITS_UNSPACED))})\s?(?:前|전)"
)
_SIGNS: Final = '?!.,;:¿¡()"؟'
_APART: Final = str.maketrans("-'’", "   ")
_TIMELY: Final = frozenset(UNITS) | frozenset(DAYS)
_UNSPACED_SPAN: Final = re.compile(_any("|".join([*SPANS_UNSPACED, *DAYS_UNSPACED])))


def _elsewhere(query: str, today: datetime) -> Iterator[Span]:
    plain = folded(query)
    if not query.isascii():
        yield from _unspaced(plain, today)
    words = [word.strip(_SIGNS) for word in plain.translate(_APART).split()]
    if _TIMELY.isdisjoint(words):
        return
    written = query.translate(_APART).split()
    for at, word in enumerate(words):
        if word not in DAYS or not _names_a_day(word, words[at - 1] if at else "", query):
            continue
        # Inside a sentence only a name has a capital.
        if at == 0 or not written[min(at, len(written) - 1)].strip(_SIGNS)[:1].isupper():
            yield _day(DAYS[word].away, today)
    for found in _NAMED.finditer(plain):
        direction = -1 if found["last"] or found["last2"] else 1 if found["next"] or found["next2"] else 0
        yield _calendar(UNITS[found["unit"] or found["unit2"]], direction, today)
    for found in _COUNTED.finditer(plain):
        word = found["count"] or found["count2"] or "1"
        unit = UNITS[found["unit"] or found["unit2"]]
        if unit != "weekend":
            yield _ago(int(word) if word.isdigit() else NUMBERS[word], unit, today)


def _names_a_day(word: str, before: str, query: str) -> bool:
    known = DAYS[word]
    if before in known.not_after:
        return False
    return known.language is None or language_of_latin(surface(query), 0) == known.language


def _unspaced(plain: str, today: datetime) -> Iterator[Span]:
    for found in _UNSPACED_SPAN.finditer(plain):
        if found[0] in DAYS_UNSPACED:
            yield _day(DAYS_UNSPACED[found[0]], today)
        else:
            unit, direction = SPANS_UNSPACED[found[0]]
            yield _calendar(unit, direction, today)
    for found in _COUNTED_UNSPACED.finditer(plain):
        word = found["count"]
        count = int(word) if word.isdigit() else NUMBERS_UNSPACED[word]
        yield _ago(count, UNITS_UNSPACED[found["unit"]], today)


def _micros(instant: datetime) -> int:
    return round(instant.timestamp() * 1e6)
