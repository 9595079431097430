"""Whether a fact counts or measures what nobody counted or measured so."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Final

from memkit.extraction.align import Words, same_stem
from memkit.extraction.dates import Calendar
from memkit.extraction.text import keys, language, number_forms, numbers, spelled_numbers
from memkit.extraction.words import AMBIGUOUS_NUMBERS


def unlicensed_amount(
    text: str, said: str, known: frozenset[str], words: Words, calendar: Calendar
) -> str | None:
    """Return what is wrong with the numbers of a folded fact, or None.

    A number must stand in the message or the two before it, in whatever notation, and be of the unit that it was
    said of.

    Args:
        text: The fact, without its dates.
        said: What may license a number, folded.
        known: The numbers that it may mean.
        words: The words around the quote.
        calendar: The dates that may be meant.
    """
    for raw, forms in numbers(text):
        if forms & known or (re.fullmatch(r"\d{1,2}:00", raw) and number_forms(raw[:-3]) & known):
            continue
        if re.fullmatch(r"(?:19|20)\d\d", raw) and calendar.licenses_year(int(raw)):
            continue
        if _in_other_units(forms, text, said):
            continue
        return f"the number {raw!r} was not said"
    certain = _CERTAIN.get(language(keys(text) | words.keys) or "", frozenset[str]())
    for spelled in spelled_numbers(text):
        if words.keys.issuperset(spelled.words) or spelled.whole == "1" or spelled.whole in known:
            continue
        if len(spelled.words) == 1 and spelled.words[0] in AMBIGUOUS_NUMBERS - certain:
            continue
        return f"the number {' '.join(spelled.words)!r} was not said"
    return _other_unit(text, said) or _of_other_things(text, said)


_CERTAIN: Final[Mapping[str, frozenset[str]]] = {
    "en": frozenset(("six", "ten")),
    "de": frozenset(("elf", "acht")),
    "fr": frozenset(("six", "sept", "dix", "cent")),
    "es": frozenset(("dos", "tres", "nueve", "cien")),
    "it": frozenset(("tre", "sette")),
    "pt": frozenset(("tres", "sete")),
}
"""Number words that mean other things in other languages only."""

UNITS: Final[Mapping[str, tuple[str, str]]] = {
    word: (kind, unit)
    for kind, units in {
        "mass": {
            "kg": "kg kilo kilos kilogram kilograms kilogramm kilogrammes",
            "g": "g gram grams gramm grammes gramos grammi",
            "mg": "mg milligram milligrams milligramm",
            "lb": "lb lbs",
            "oz": "oz ounce ounces",
            "t": "ton tons tonne tonnes tonnen",
        },
        "length": {
            "km": "km kilometer kilometers kilometre kilometres kilometern kilometros chilometri",
            "m": "m meter meters metre metres metern metros metri",
            "cm": "cm centimeter centimeters centimetre centimetres zentimeter centimetros",
            "mm": "mm millimeter millimeters millimetre millimetres",
            "mile": "mi mile miles meilen millas",
            "ft": "ft foot feet",
            "inch": "inch inches",
        },
        "volume": {
            "l": "l liter liters litre litres litern litros litri",
            "ml": "ml milliliter milliliters millilitre millilitres",
            "gal": "gallon gallons",
        },
        "money": {
            "eur": "eur euro euros",
            "usd": "usd dollar dollars bucks dolares",
            "gbp": "gbp quid",
            "chf": "chf franken",
            "jpy": "jpy yen",
            "pln": "pln zloty",
        },
        "time": {
            "s": "second seconds sekunden secondes segundos",
            "min": "min mins minute minutes minuten minutos minuti",
            "h": "h hr hrs hour hours stunde stunden heure heures hora horas ore",
            "day": "day days tag tage tagen jour jours dia dias giorni",
            "week": "week weeks woche wochen semaine semaines semana semanas settimane",
            "month": "month months monat monate monaten mois mes meses mesi",
            "year": "year years yr yrs jahr jahre jahren an ans ano anos anni",
        },
        "data": {"gb": "gb gigabyte gigabytes", "mb": "mb megabyte megabytes", "tb": "tb terabyte terabytes"},
    }.items()
    for unit, names in units.items()
    for word in names.split()
}
"""Words to what they measure, and the unit that they mean."""
_SIZES: Final[Mapping[str, float]] = {
    "mg": 1e-3, "g": 1, "kg": 1e3, "t": 1e6, "mm": 1e-3, "cm": 1e-2, "m": 1, "km": 1e3, "ml": 1e-3, "l": 1,
    "s": 1, "min": 60, "h": 3600, "day": 86_400, "week": 604_800, "month": 2_629_800, "year": 31_557_600,
}  # fmt: skip
"""Units that are multiples of each other: 1.83 m is 183 cm, two weeks are 14 days."""
_SIGNS: Final = {"€": "eur", "$": "usd", "£": "gbp", "¥": "jpy"}
_MEASURED: Final = re.compile(r"(?<![\w.,])(\d+(?:[.,:]\d+)*)[\s-]?([a-z]+)")
_PRICED: Final = re.compile(r"([€$£¥])\s?(\d+(?:[.,]\d+)*)|(\d+(?:[.,]\d+)*)\s?([€$£¥])")


@lru_cache(maxsize=64)
def _measures(text: str) -> frozenset[tuple[str, str, str]]:
    """Return what a folded text measures, each as a value, a kind of unit and a unit."""
    return frozenset(_measured(text))


def _measured(text: str) -> Iterator[tuple[str, str, str]]:
    for match in _MEASURED.finditer(text):
        if unit := UNITS.get(match.group(2)):
            yield from ((form, *unit) for form in number_forms(match.group(1)))
    for match in _PRICED.finditer(text):
        before, first, second, after = match.groups()
        yield from ((form, "money", _SIGNS[before or after]) for form in number_forms(first or second))
    for spelled in spelled_numbers(text):
        for match in re.finditer(rf"\b{re.escape(spelled.words[-1])}[\s-]([a-z]+)", text):
            if unit := UNITS.get(match.group(1)):
                yield spelled.whole, *unit


def _in_other_units(forms: frozenset[str], text: str, said: str) -> bool:
    """Return whether what a number measures was said, in a larger or a smaller unit."""
    known = {
        (kind, round(float(value) * _SIZES[unit], 6))
        for value, kind, unit in _measures(said)
        if unit in _SIZES and re.fullmatch(r"\d+(?:\.\d+)?", value)
    }
    return bool(known) and any(
        (kind, round(float(value) * _SIZES[unit], 6)) in known
        for value, kind, unit in _measures(text)
        if value in forms and unit in _SIZES and re.fullmatch(r"\d+(?:\.\d+)?", value)
    )


def _other_unit(text: str, said: str) -> str | None:
    """Return a measure that was said of the same number in another unit only."""
    mine = _measures(text)
    if not mine:
        return None
    theirs = _measures(said)
    for value, kind, unit in sorted(mine):
        units = {other for number, of, other in theirs if (number, of) == (value, kind)}
        if units and unit not in units:
            return f"{value} was said of another unit than {unit!r}"
    return None


_FOLLOWED: Final = re.compile(r"(?<![\w.,:])(\d+(?:[.,]\d+)*) ([a-z]{4,})")


@lru_cache(maxsize=64)
def _counts(text: str) -> frozenset[tuple[str, str]]:
    """Return what a folded text counts, each as a value and the word behind it."""
    found = {
        (form, match.group(2)) for match in _FOLLOWED.finditer(text) for form in number_forms(match.group(1))
    }
    for spelled in spelled_numbers(text):
        for match in re.finditer(rf"\b{re.escape(spelled.words[-1])} ([a-z]{{4,}})", text):
            found.add((spelled.whole, match.group(1)))
    return frozenset(found)


def _of_other_things(text: str, said: str) -> str | None:
    """Return a number that was said of other things only, where another one was said of these.

    "two of them" and "3 left" may be of anything that was named.
    """
    theirs = _counts(said)
    for value, thing in sorted(_counts(text)):
        numbers_of_it = {number for number, other in theirs if same_stem(thing, other)}
        things = {other for number, other in theirs if number == value}
        if numbers_of_it and things and value not in numbers_of_it and all(map(_is_plural, things)):
            return f"{value} was not said of {thing!r}"
    return None


def _is_plural(word: str) -> bool:
    return word in UNITS or (word.endswith("s") and not word.endswith("ss"))
