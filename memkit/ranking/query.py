"""What a query asks for besides its words: people, times, the speaker's own memories. And queries that are too long."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from memkit.ranking.text import MONTHS

LONGEST: Final = 400
"""Characters of a query that are searched for; longer ones are cut down by `sanitise`."""

# ------------------------------------------------------------------------------------------ too long

_SPOKEN = re.compile(r"^\W*(?:user|human|question|query|customer|me|q)\W*?[:>]\s*(.+)$", re.IGNORECASE)
_LABEL = re.compile(r"^\W*(?:\w+\W+){0,3}\w*\W*$")
_LABEL_LENGTH: Final = 80
_SENTENCE_END = re.compile(r"(?<=[.!?。！？…])[\s\"'”’)\]]*|\n+")


def sanitise(query: str) -> str:
    """Return what a query asks: itself when it has at most 400 characters, else its question.

    Agents send whole prompts as queries, and then every word of the instructions is searched for. The question of an
    over-long text is, first found wins: the last line that a user speaks in it (`User: ...`); its last question, when
    that stands in the last 600 characters; its last line that is more than a label; its end. Of these the last 400
    characters are kept, from a whole word on.
    """
    text = query.strip()
    if len(text) <= LONGEST:
        return text
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    spoken = [
        found.group(1)
        for line in lines[-40:]
        if (found := _SPOKEN.match(line)) and re.search(r"\w", found[1])
    ]
    if spoken:
        return _tail(_question(spoken[-1]) if len(spoken[-1]) > LONGEST else spoken[-1])
    asked = _question(text[-600:])
    if asked:
        return _tail(asked)
    said = [line for line in lines if not _is_label(line)]
    return _tail(said[-1] if said else text)


def _is_label(line: str) -> bool:
    """Return whether a line is at most four words, such as "Answer:" or a closing tag."""
    return len(line) <= _LABEL_LENGTH and _LABEL.match(line) is not None


def _question(text: str) -> str:
    """Return the last sentence that ends in a question mark, or an empty string."""
    sentences = [s.strip() for s in _SENTENCE_END.split(text)]
    asked = [s for s in sentences if s.rstrip("\"'”’)] ").endswith(("?", "？", "؟"))]
    return asked[-1] if asked else ""


def _tail(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    cut = text[-LONGEST:]
    blank = cut.find(" ", 0, 60)
    return cut[blank + 1 :]


# -------------------------------------------------------------------------------------- who and when

_FIRST_PERSON = re.compile(r"\b(?:i|my|me|mine|we|our)\b", re.IGNORECASE)
# With a capital only where it is nobody's name.
_OTHER_FIRST_PERSON = re.compile(
    r"\b(?:[iI]ch|[mM]ich|[mM]ir|[mM]eine?[mnrs]?|[wW]ir|unser(?:e[mnrs]?)?|[jJ]e|moi|[mM]on|mes|[nN]ous|[nN]otre|nos"
    r"|[yY]o|[mM]is?|[nN]osotr[ao]s|[nN]uestr[ao]s?|io|mi[ao]|miei|mie|noi|[nN]ostr[aeio]|[eE]u|[mM]eus?|[mM]inhas?"
    r"|[nN]oss[ao]s?|ik|[mM]ijn|jag|jeg|moj[aei]|mój|[bB]enim?|[яЯ]|[мМ]еня|[мМ]не|[мМ]о[йяеи]|моё|мое[йг]о?|моих|мою"
    r"|[мМ]ы|[нН]аш[аи]?|أنا|انا|मैं|मेरा|मेरी|मेरे|मुझे)(?!\w)"
    r"|\b[jJ]['’]\w|[我私僕俺]|우리|내가|나는|저는|제가"
)


def first_person(query: str) -> bool:
    """Return whether the query speaks of the one who asks: I, my, me, mine, we or our, in any of 15 languages."""
    return _FIRST_PERSON.search(query) is not None or _OTHER_FIRST_PERSON.search(query) is not None


_PERSON = re.compile(
    r"\b(?:(?P<owner>[A-Z][\w-]+)['’]s (?=\w)"
    r"|(?:did|does|do|has|had|will|would|could|should|can) (?P<doer>[A-Z][\w-]+))"
)


def people(query: str) -> list[str]:
    """Return the capitalised words of a query that stand where a person does: "Ann's sister", "does Ann like"."""
    return [found["owner"] or found["doer"] for found in _PERSON.finditer(query)]


NOT_NAMES: Final = frozenset({"user", "assistant", "system", "tool", "human", "ai", "bot", "agent"})
"""Speakers that are roles: naming one does not name a person."""

ALSO_WORDS: Final = frozenset(
    """
    will may mark bill rose grace hope joy art june april august march rob pat sue drew frank jack dawn faith iris ivy
    lily olive ruby amber max chase grant dean earl duke guy ray rich rusty sandy sky sunny summer autumn summers
    """.split()
)
"""Names that are common words: they name a person only when written with a capital letter."""


_MONTH_NAMES: Final = {name.lower(): number for number, name in enumerate(MONTHS, 1)}
_MONTH = re.compile(rf"\b(?:{'|'.join(MONTHS)})\b", re.IGNORECASE)
_YEAR = re.compile(r"\b(?:19|20)\d\d\b")
_ISO = re.compile(r"\b((?:19|20)\d\d)-(0[1-9]|1[0-2])(?:-(?:0[1-9]|[12]\d|3[01]))?\b")
_BEFORE_MONTH = re.compile(
    r"\b(?:in|of|since|during|last|next|this|by|until|till|before|after|early|late|mid|\d{1,2}(?:st|nd|rd|th)?)\W+$",
    re.IGNORECASE,
)
_AFTER_MONTH = re.compile(r"^\W*\d")


def named_months(query: str) -> tuple[frozenset[int], frozenset[int]]:
    """Return the months (1 to 12) and the years that a query names.

    "may", "march" and "august" count only where they can be nothing else: with a capital letter inside the sentence,
    after a word such as "in", or before a number.
    """
    folded = query.casefold()
    months: set[int] = set()
    # Looking for a few plain words first is much faster than the patterns, which most queries do not need.
    if any(name in folded for name in _MONTH_NAMES):
        months = {_MONTH_NAMES[m[0].lower()] for m in _MONTH.finditer(query) if _is_month(query, m)}
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


_WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_NUMBERS: Final = {
    "a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8,
    "nine": 9, "ten": 10, "couple": 2, "few": 3,
}  # fmt: skip
_RELATIVE = re.compile(
    r"\b(?:(?P<day>today|tonight|yesterday|day before yesterday)"
    r"|(?P<which>this|last|past|previous) (?P<unit>week|weekend|month|year|night|morning|evening|"
    rf"{'|'.join(_WEEKDAYS)})"
    rf"|on (?P<weekday>{'|'.join(_WEEKDAYS)})"
    r"|(?P<count>\d{1,3}|an?|one|two|three|four|five|six|seven|eight|nine|ten)(?: (?P<vague>couple|few)(?: of)?)? "
    r"(?P<ago>day|week|month|year)s? ago)\b",
    re.IGNORECASE,
)
_RELATIVE_WORDS: Final = (
    "today", "tonight", "yesterday", "this ", "last ", "past ", "previous ", "on ", " ago",
)  # fmt: skip
"""One of them is in every text that `_RELATIVE` finds something in."""
_DAY = timedelta(days=1)
_ZONES = timedelta(hours=14)


def relative_days(query: str, now: int) -> list[tuple[int, int]]:
    """Return the spans of time that words such as "yesterday" and "last week" name, in microseconds UTC.

    Spans are widened by the largest time zone offset on both sides, for a day of the one who asks is not a day in UTC.
    """
    folded = query.casefold()
    if not any(word in folded for word in _RELATIVE_WORDS):
        return []
    try:
        today = datetime.fromtimestamp(now / 1e6, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        spans = [_span(found, today) for found in _RELATIVE.finditer(query)]
    except (OverflowError, ValueError, OSError):
        return []
    return [(_micros(start - _ZONES), _micros(end + _ZONES)) for start, end in spans]


def _span(found: re.Match[str], today: datetime) -> tuple[datetime, datetime]:
    if found["day"]:
        back = {"today": 0, "tonight": 0, "yesterday": 1}.get(found["day"].lower(), 2)
        return today - back * _DAY, today - (back - 1) * _DAY
    if found["ago"]:
        return _ago(found, today)
    if found["weekday"]:
        return _last_weekday(found["weekday"].lower(), today)
    unit, last = found["unit"].lower(), found["which"].lower() != "this"
    if unit in _WEEKDAYS:
        return _last_weekday(unit, today)
    return _calendar(unit, last, today)


def _ago(found: re.Match[str], today: datetime) -> tuple[datetime, datetime]:
    word = (found["vague"] or found["count"]).lower()
    count = int(word) if word.isdigit() else _NUMBERS[word]
    size = {"day": 1, "week": 7, "month": 30, "year": 365}[found["ago"].lower()]
    centre, slack = today - count * size * _DAY, size // 2 * _DAY
    return centre - slack, centre + slack + _DAY


def _last_weekday(name: str, today: datetime) -> tuple[datetime, datetime]:
    back = (today.weekday() - _WEEKDAYS.index(name)) % 7 or 7
    return today - back * _DAY, today - (back - 1) * _DAY


def _calendar(unit: str, last: bool, today: datetime) -> tuple[datetime, datetime]:
    monday = today - today.weekday() * _DAY
    if unit == "week":
        return (monday - 7 * _DAY, monday) if last else (monday, today + _DAY)
    if unit == "weekend":
        saturday = monday + 5 * _DAY if today.weekday() >= 5 and not last else monday - 2 * _DAY
        return saturday, saturday + 2 * _DAY
    if unit == "month":
        first = today.replace(day=1)
        return ((first - _DAY).replace(day=1), first) if last else (first, today + _DAY)
    if unit == "year":
        first = today.replace(month=1, day=1)
        return (first.replace(year=first.year - 1), first) if last else (first, today + _DAY)
    return (today - _DAY, today) if last else (today, today + _DAY)


def _micros(instant: datetime) -> int:
    return round(instant.timestamp() * 1e6)
