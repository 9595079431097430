"""Spans of time that a text names in other languages than English: "letzten Freitag", "il y a deux jours", "先週末"."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final

from memkit.ranking.languages import TELLING, language_of_latin
from memkit.ranking.patterns import LatePattern
from memkit.ranking.spans import WEEKDAYS, Span, away, before_last, called, of_day, rolling
from memkit.ranking.text import folded, surface
from memkit.ranking.when_words import (
    AGO,
    AGO_FIRST,
    AHEAD,
    AHEAD_FIRST,
    BEFORE_LAST,
    DAYS,
    DAYS_OF_WEEK,
    DAYS_OF_WEEK_UNSPACED,
    DAYS_UNSPACED,
    DUALS,
    EVERY,
    LAST,
    NEXT,
    NUMBERS,
    NUMBERS_UNSPACED,
    PAIRS,
    PERIODS,
    PERIODS_UNSPACED,
    SPANS_UNSPACED,
    THIS,
    UNITS,
    UNITS_UNSPACED,
    WEEK_UNSPACED,
    WEEKS_UNSPACED,
    YEARS_UNSPACED,
)


def _any(words: str) -> str:
    return "|".join(sorted(words.split("|"), key=len, reverse=True))


def _first_words(expressions: Iterable[str]) -> frozenset[str]:
    return frozenset(re.split(r"[ -]", each)[0] for each in expressions)


_UNIT: Final = _any("|".join(UNITS))
_PERIOD: Final = _any("|".join(PERIODS))
_COUNT: Final = rf"(?P<count>\d{{1,3}}|{_any('|'.join(NUMBERS))})"
_COUNT2: Final = _COUNT.replace("count", "count2")
_DIRECTED: Final = LatePattern(rf"(?<!\w)(?:{LAST}|{THIS}|{NEXT})(?!\w)")
_NAMED: Final = LatePattern(
    rf"(?<!\w)(?:(?:(?P<last>{LAST})|(?P<this>{THIS})|(?P<next>{NEXT}))\s+(?P<unit>{_PERIOD})"
    rf"|(?P<unit2>{_PERIOD})\s+(?:(?P<last2>{LAST})|(?P<next2>{NEXT})))(?!\w)"
)
_BEFORE_LAST: Final = re.compile(BEFORE_LAST)
_BARE_WEEKDAY: Final = LatePattern(
    rf"(?<![\w-])(?:(?P<before>\w+)\s+)?(?P<weekday>{_any('|'.join(DAYS_OF_WEEK))})(?![\w-])(?<!\bsali(?! gun))"
)
"""Sali is a name, too, where it is not written as the Turkish day."""
_COUNTED: Final = LatePattern(
    rf"(?<!\w)(?:(?P<ago>{AGO_FIRST})|(?P<ahead>{AHEAD_FIRST}))\s+{_COUNT}\s+(?P<unit>{_UNIT})(?!\w)"
    rf"|(?<!\w)(?:{_COUNT2}\s+)?(?P<unit2>{_UNIT})\s+(?:(?P<ago2>{AGO})|(?P<ahead2>{AHEAD}))(?!\w)"
)
_ROLLING: Final = LatePattern(
    rf"(?<!\w)(?:(?:(?P<last>{LAST})|(?P<next>{NEXT}))\s+{_COUNT}"
    rf"|{_COUNT2}\s+(?:(?P<last2>{LAST})|(?P<next2>{NEXT})))\s+(?P<unit>{_UNIT})(?!\w)"
)
_DUAL: Final = re.compile(rf"(?<!\w)(?:{'|'.join(DUALS)})(?!\w)")
_SIGNS: Final = '?!.,;:¿¡()"؟'
_APART: Final = str.maketrans("-'’", "   ")
TIMELY: Final = _first_words((*PERIODS, *DAYS))
"""One of them is in every expression in letters with blanks between words."""
_UNIT_WORDS: Final = _first_words(UNITS)
_ENGLISH_TOO: Final = frozenset(
    "in over for once ten a an two three few couple six week weekend winter host".split()
)
"""Words of an expression that could be English as well."""


def elsewhere_spans(text: str, today: datetime) -> Iterator[Span]:
    """Yield the spans that a text names in another language than English, seen from a day."""
    plain = folded(text).replace("'", " ").replace("’", " ")
    if not text.isascii():
        yield from _unspaced(plain, today)
        plain = _DUAL.sub(lambda found: f"2 {DUALS[found[0]]}", plain)
    words = [word.strip(_SIGNS) for word in plain.replace("-", " ").split()]
    if TIMELY.isdisjoint(words):
        return
    yield from _days(words, text, today)
    for found in _NAMED.finditer(plain) if _DIRECTED.search(plain) else ():
        if not _is_english(found, words):
            last, name = found["last"] or found["last2"], PERIODS[found["unit"] or found["unit2"]]
            if last and _BEFORE_LAST.match(last):
                if name in UNITS.values() or name in WEEKDAYS:
                    yield before_last(name, today)
                continue
            yield from called(name, -1 if last else 1 if found["next"] or found["next2"] else 0, today)
    for found in _BARE_WEEKDAY.finditer(plain):
        if found["before"] not in EVERY and not _NAMED.search(plain):
            for direction in (-1, 1):
                yield next(called(WEEKDAYS[DAYS_OF_WEEK[found["weekday"]] - 1], direction, today))
    if not _UNIT_WORDS.isdisjoint(words):
        yield from _counted(plain, words, today)


def _days(words: list[str], text: str, today: datetime) -> Iterator[Span]:
    written = text.translate(_APART).split()
    for at, word in enumerate(words):
        before = words[at - 1] if at else ""
        if word not in DAYS or not _names_a_day(word, before, text):
            continue
        # Inside a sentence only a name has a capital.
        if at == 0 or not written[min(at, len(written) - 1)].strip(_SIGNS)[:1].isupper():
            yield of_day(PAIRS.get((before, word), DAYS[word].away), today)


def _names_a_day(word: str, before: str, text: str) -> bool:
    known = DAYS[word]
    if (before, word) in PAIRS:
        return True
    if before in known.not_after:
        return False
    return known.language is None or language_of_latin(surface(text), 0) == known.language


def _counted(plain: str, words: list[str], today: datetime) -> Iterator[Span]:
    for found in _COUNTED.finditer(plain):
        unit = UNITS[found["unit"] or found["unit2"]]
        if unit != "weekend" and not _is_english(found, words):
            sign = 1 if found["ahead"] or found["ahead2"] else -1
            yield away(sign * _number(found["count"] or found["count2"] or "1"), unit, today)
    for found in _ROLLING.finditer(plain):
        sign = -1 if found["last"] or found["last2"] else 1
        yield rolling(sign * _number(found["count"] or found["count2"]), UNITS[found["unit"]], today)


def _is_english(found: re.Match[str], words: list[str]) -> bool:
    """Return whether what was found may be English, in a text with no word that is not: "for a week"."""
    parts = found[0].split()
    return all(part in _ENGLISH_TOO or part.isdigit() for part in parts) and TELLING.isdisjoint(words)


def _number(word: str) -> int:
    return int(word) if word.isdigit() else NUMBERS[word]


# ------------------------------------------------------------------------------- scripts without blanks

_UNSPACED_COUNT: Final = rf"(?P<count>\d{{1,3}}|[{''.join(NUMBERS_UNSPACED)}])\s?"
_UNSPACED: Final = LatePattern(
    rf"(?P<year>{_any('|'.join(YEARS_UNSPACED))})\s?(?:的|の)?(?P<period>{_any('|'.join(PERIODS_UNSPACED))})"
    rf"|(?P<week>{_any('|'.join(WEEKS_UNSPACED))})\s?의?\s?(?P<day>[一二三四五六日天](?!間)|[월화수목금토일]요일|[月火水木金土日]曜)"
    rf"|(?P<span>{_any('|'.join([*SPANS_UNSPACED, *DAYS_UNSPACED]))})"
    rf"|(?:{WEEK_UNSPACED})(?P<bare>[一二三四五六日天])|(?P<bare2>[월화수목금토일])요일|(?P<bare3>[月火水木金土日])曜"
    rf"|{_UNSPACED_COUNT}(?P<unit>{_any('|'.join(UNITS_UNSPACED))})\s?之?(?:(?P<ago>前|전)|(?P<ahead>后|後|후|뒤))"
)


def _unspaced(plain: str, today: datetime) -> Iterator[Span]:
    for found in _UNSPACED.finditer(plain):
        if found["year"]:
            yield from called(PERIODS_UNSPACED[found["period"]], YEARS_UNSPACED[found["year"]], today)
        elif found["week"]:
            monday, _ = next(called("week", WEEKS_UNSPACED[found["week"]], today))
            yield of_day(DAYS_OF_WEEK_UNSPACED[found["day"][0]], monday)
        elif found["span"] in DAYS_UNSPACED:
            yield of_day(DAYS_UNSPACED[found["span"]], today)
        elif found["span"]:
            yield from called(*SPANS_UNSPACED[found["span"]], today)
        elif found["unit"]:
            word = found["count"]
            count = int(word) if word.isdigit() else NUMBERS_UNSPACED[word]
            yield away(count if found["ahead"] else -count, UNITS_UNSPACED[found["unit"]], today)
        else:
            weekday = WEEKDAYS[DAYS_OF_WEEK_UNSPACED[found["bare"] or found["bare2"] or found["bare3"]]]
            for direction in (-1, 1):
                yield next(called(weekday, direction, today))
