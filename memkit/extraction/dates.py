"""Dates a fact may name: those its message names, and those that "last Saturday" means on the day it was said."""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import Final

from memkit.extraction.text import keys, number_meanings
from memkit.extraction.words import NUMBER_WORDS


def _table(rows: str) -> dict[str, int]:
    """Return word to number, from lines that list the words of 1, 2, 3, ..."""
    table: dict[str, int] = {}
    for line in rows.strip().splitlines():
        for number, words in enumerate(line.split(), 1):
            table.update(dict.fromkeys(words.split("|"), number))
    return table


MONTHS: Final[Mapping[str, int]] = _table("""
january|jan february|feb march|mar april|apr may june|jun july|jul august|aug september|sept|sep october|oct november|nov december|dec
januar|janner februar|feber marz|maerz april mai juni juli august september oktober|okt november dezember|dez
janvier fevrier mars avril mai juin juillet aout septembre octobre novembre decembre
enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre
gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre
janeiro fevereiro marco abril maio junho julho agosto setembro outubro novembro dezembro
januari februari maart april mei juni juli augustus september oktober november december
styczen|stycznia|styczniu luty|lutego|lutym marzec|marca|marcu kwiecien|kwietnia|kwietniu maj|maja|maju czerwiec|czerwca|czerwcu lipiec|lipca|lipcu sierpien|sierpnia|sierpniu wrzesien|wrzesnia|wrzesniu pazdziernik|pazdziernika|pazdzierniku listopad|listopada|listopadzie grudzien|grudnia|grudniu
январь|января|январе февраль|февраля|феврале март|марта|марте апрель|апреля|апреле май|мая|мае июнь|июня|июне июль|июля|июле август|августа|августе сентябрь|сентября|сентябре октябрь|октября|октябре ноябрь|ноября|ноябре декабрь|декабря|декабре
ocak subat mart nisan mayis haziran temmuz agustos eylul ekim kasim aralik
يناير فبراير مارس ابريل مايو يونيو يوليو اغسطس سبتمبر اكتوبر نوفمبر ديسمبر
जनवरी फरवरी मार्च अप्रैल मई जून जुलाई अगस्त सितंबर अक्टूबर नवंबर दिसंबर
""")  # noqa: E501
"""Folded names of months."""

WEEKDAYS: Final[Mapping[str, int]] = _table("""
monday|mon tuesday|tue|tues wednesday|wed thursday|thu|thurs friday|fri saturday|sat sunday|sun
montag dienstag mittwoch donnerstag freitag samstag|sonnabend sonntag
lundi mardi mercredi jeudi vendredi samedi dimanche
lunes martes miercoles jueves viernes sabado domingo
lunedi martedi mercoledi giovedi venerdi sabato domenica
segunda|segunda-feira terca|terca-feira quarta|quarta-feira quinta|quinta-feira sexta|sexta-feira sabado domingo
maandag dinsdag woensdag donderdag vrijdag zaterdag zondag
poniedzialek|poniedzialku wtorek|wtorku sroda|srode czwartek|czwartku piatek|piatku sobota|sobote niedziela|niedziele
понедельник вторник среда|среду четверг пятница|пятницу суббота|субботу воскресенье
mandag|mandagen tisdag|tirsdag onsdag torsdag fredag lordag sondag
pazartesi sali carsamba persembe cuma cumartesi pazar
الاثنين الثلاثاء الاربعاء الخميس الجمعه السبت الاحد
सोमवार मंगलवार बुधवार गुरुवार शुक्रवार शनिवार रविवार
星期一|周一|週一|月曜日|월요일 星期二|周二|週二|火曜日|화요일 星期三|周三|週三|水曜日|수요일 星期四|周四|週四|木曜日|목요일 星期五|周五|週五|金曜日|금요일 星期六|周六|週六|土曜日|토요일 星期日|星期天|周日|周天|週日|日曜日|일요일
""")  # noqa: E501

_DAYS_AWAY: Final[Mapping[str, int]] = {
    word: offset
    for offset, words in {
        -2: "vorgestern|avant-hier|anteayer|antier|anteontem|eergisteren|przedwczoraj|позавчера|"
        "前天|一昨日|おととい|그저께",
        -1: "yesterday|last night|gestern|hier|ayer|anoche|ieri|ontem|gisteren|wczoraj|вчера|igar|i "
        "gar|dun|امس|昨天|昨日|昨晚"
        "|어제|कल|昨夜|yday|hier soir|gestern abend|ieri sera",
        0: "today|tonight|this morning|this afternoon|this evening|right now|just "
        "now|now|heute|aujourd'hui|hoy|oggi|hoje|vandaag"
        "|dzis|dzisiaj|сегодня|idag|i "
        "dag|bugun|اليوم|今天|今日|今晚|今朝|오늘|आज|maintenant|ahora|adesso|agora|jetzt|сейчас|stamattina"
        "|esta manana|ce matin|heute morgen|天亮|刚刚|先ほど|さっき",
        1: "tomorrow|morgen|demain|manana|domani|amanha|jutro|завтра|imorgon|i morgen|yarin|غدا|明天|明日|내일|कल",
        2: "day after tomorrow|ubermorgen|apres-demain|pasado manana|dopodomani|depois de "
        "amanha|overmorgen|pojutrze|послезавтра"
        "|后天|後天|明後日|あさって|모레",
    }.items()
    for word in words.split("|")
}
_UNITS: Final[Mapping[str, int]] = {
    word: days
    for days, words in {
        1: "day days tag tage tagen jour jours dia dias giorno giorni dag dagen dzien dni день дня дней gun يوم "
        "ايام 天 日 일 दिन",
        7: "week weeks weekend woche wochen wochenende semaine semaines semana semanas settimana settimane weken "
        "tydzien tygodnie "
        "tygodni tygodniu неделя недели недель неделе неделю hafta vecka veckor fortnight fin finde اسبوع "
        "الاسبوع اسابيع 周 週 星期 주 주말 주일 हफ्ते सप्ताह 周末 週末",
        31: "month months monat monate monaten mois mes meses mese mesi mes maand maanden miesiac miesiaca "
        "miesiace miesiecy "
        "miesiacu месяц месяца месяцев месяце ay manad manader شهر الشهر شهور اشهر 月 달 개월 महीने",
        366: "year years jahr jahre jahren jahres an ans annee annees ano anos anno anni jaar jaren rok roku lat "
        "lata год года лет году "
        "yil sene ar سنه عام سنوات 年 년 साल summer winter spring autumn fall sommer herbst fruhling fruhjahr ete "
        "hiver printemps automne "
        "verano invierno primavera otono estate inverno autunno lato zima lete летом зимой весной осенью "
        "christmas weihnachten noel navidad natale natal "
        "easter ostern thanksgiving halloween silvester newyear birthday semester quarter decade "
        "去年 今年 明年 来年 작년 "
        "내년 올해 夏 冬 春 秋 여름 겨울 봄 가을",
        # Only a direction: it counts where nothing says how far.
        367: "later ago next last since seit depuis desde dal letzten letztes letzte dernier derniere pasado pasada "
        "scorso scorsa passado passada vorig vorige "
        "ostatni zeszly zeszlym прошлом прошлый прошлой forra gecen الماضي القادم अगले पिछले 지난 다음",
    }.items()
    for word in words.split()
}  # fmt: skip
_DIRECTION: Final = 367
_DAY: Final = re.compile(
    r"\b(?:the|am|den|dem|le|el|dia|il|op|de|dnia|числа)\s+(\d{1,2})(?![\d:.,])|(?<![\d:.,])(\d{1,2})(?:st|nd|rd|th|er|º|\.(?=\s)|[日号號일])"
)
_UNSPACED: Final = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_LONGEST_FIRST: Final = sorted(
    (word for word in _DAYS_AWAY if not _UNSPACED.match(word)), key=len, reverse=True
)
_SPACED_DAYS: Final = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, _LONGEST_FIRST))})(?!\w)")
_WORDS: Final = re.compile(r"[^\W\d_](?:[^\W\d_]|[\u0900-\u097f]|-(?=[^\W\d_]))*")


@dataclass(frozen=True, slots=True)
class Mention:
    """A date that a text names, as precisely as it does; `raw` is its digits."""

    year: int | None
    month: int | None
    day: int | None
    raw: str
    span: tuple[int, int] = (0, 0)

    def first(self, year: int) -> date | None:
        """Return its first day, in the given year where it has none."""
        try:
            return date(self.year or year, self.month or 1, self.day or 1)
        except ValueError:
            return None

    def last(self, year: int) -> date | None:
        """Return its last day."""
        y, m = self.year or year, self.month or 12
        try:
            return date(y, m, self.day or calendar.monthrange(y, m)[1])
        except ValueError:
            return None


_MONTH: Final = "|".join(sorted(map(re.escape, MONTHS), key=len, reverse=True))
_ISO: Final = re.compile(r"(?<!\d)(\d{4})-(\d{1,2})(?:-(\d{1,2}))?(?!\d)")
_HAN: Final = re.compile(r"(?:(\d{4})\s?[年년]\s?)?(\d{1,2})\s?[月월](?:\s?(\d{1,2})\s?[日号號일])?")
_NUMBERED: Final = re.compile(r"\d[./-]\d")
"""Stands in every date in digits alone."""
_NUMERIC: Final = re.compile(r"(?<![\d.])(\d{1,2})([./-])(\d{1,2})(?:\2(\d{4}|\d{2}))?(?![\d.]*\d)")
_DAY_MONTH: Final = re.compile(
    rf"(?<!\d)(\d{{1,2}})(?:st|nd|rd|th|er|º|ª|\.)?\s+(?:of\s+|de\s+|di\s+)?({_MONTH})\b\.?,?(?:\s+(?:de[l]?\s+)?(\d{{4}}))?"
)
_MONTH_DAY: Final = re.compile(rf"\b({_MONTH})\.?\s+(\d{{1,2}})(?:st|nd|rd|th)?(?!\d)(?:,?\s+(\d{{4}}))?")
_MONTH_ONLY: Final = re.compile(rf"\b({_MONTH})\b\.?,?(?:\s+(?:of\s+|de[l]?\s+)?(\d{{4}}))?")
# Months that are words of other kinds: only held to be months beside a number, after a word of time or as a name.
WEAK_MONTHS: Final = frozenset("may mar jan sep mars marco mart maj maja lato mai ekim dec feb mei".split())
_OF_TIME: Final = re.compile(
    r"\b(?:in|since|until|till|during|early|late|mid|im|seit|bis|anfang|mitte|ende|en|depuis|debut|fin|em|desde|sinds)"
    r"[ -]\Z"
)
"""Before which word they are months all the same."""


@lru_cache(maxsize=128)
def mentions(text: str) -> tuple[Mention, ...]:
    """Return the dates that a folded text names, left to right, the most precise reading of each place."""
    if text.isascii() and _NUMBERED.search(text) is None and MONTHS.keys().isdisjoint(keys(text)):
        return ()
    found: list[Mention] = []
    taken: list[tuple[int, int]] = []
    for mention in _readings(text):
        start, end = mention.span
        if all(end <= a or start >= b for a, b in taken):
            taken.append((start, end))
            found.append(mention)
    return tuple(sorted(found, key=lambda mention: mention.span))


def _readings(text: str) -> Iterator[Mention]:
    for match in _ISO.finditer(text):
        year, month, day = match.groups()
        if 1 <= int(month) <= 12:
            yield Mention(int(year), int(month), int(day) if day else None, match.group(), match.span())
    for match in _HAN.finditer(text):
        year, month, day = match.groups()
        if 1 <= int(month) <= 12:
            yield Mention(
                int(year) if year else None,
                int(month),
                int(day) if day else None,
                match.group(),
                match.span(),
            )
    for match in _DAY_MONTH.finditer(text):
        day, name, year = match.groups()
        yield Mention(int(year) if year else None, MONTHS[name], int(day), match.group(), match.span())
    for match in _MONTH_DAY.finditer(text):
        name, day, year = match.groups()
        yield Mention(int(year) if year else None, MONTHS[name], int(day), match.group(), match.span())
    for match in _NUMERIC.finditer(text):
        first, separator, second, year = match.groups()
        if (
            separator != "-"
            and (year or separator == "/")
            and 1 <= int(first) <= 31
            and 1 <= int(second) <= 31
        ):
            full = None if not year else int(year) if len(year) == 4 else 2000 + int(year)
            day, month = (int(first), int(second)) if int(second) <= 12 else (int(second), int(first))
            yield Mention(full, month, day, match.group(), match.span())
    for match in _MONTH_ONLY.finditer(text):
        name, year = match.groups()
        if year or name not in WEAK_MONTHS or _OF_TIME.search(text, 0, match.start()):
            yield Mention(int(year) if year else None, MONTHS[name], None, match.group(), match.span())


@lru_cache(maxsize=32)
def calendar_of(evidence: str, said_on: date) -> Calendar:
    """Return the calendar of a folded text; those of the texts asked about last are kept."""
    return Calendar(evidence, said_on)


def _without(text: str, dated: Iterable[Mention]) -> str:
    """Return a text without its dates."""
    for mention in dated:
        start, end = mention.span
        text = text[:start] + " " * (end - start) + text[end:]
    return text


class Calendar:
    """The dates that evidence licenses, said on a given day."""

    def __init__(self, evidence: str, said_on: date) -> None:
        """Read a folded text.

        Args:
            evidence: What was said.
            said_on: The day, in the speaker's zone.
        """
        self._said = said_on
        self._explicit = mentions(evidence)
        words = [match.group() for match in _WORDS.finditer(evidence)]
        self._months = {MONTHS[word] for word in words if word in MONTHS} | {m.month for m in self._explicit}
        self._numbers = number_meanings(evidence)
        self._days = {int(day) for match in _DAY.finditer(evidence) for day in match.groups() if day}
        self._weekdays = {WEEKDAYS[word] for word in words if word in WEEKDAYS}
        self._ranges = [(said_on, said_on)]
        unspaced = _UNSPACED.search(evidence) is not None
        if unspaced:
            self._weekdays |= {
                day for word, day in WEEKDAYS.items() if _UNSPACED.match(word) and word in evidence
            }
        self._add_days_away(evidence, unspaced)
        if unspaced:  # the signs for months and days of a date count nothing
            evidence = _without(evidence, self._explicit)
            words = [match.group() for match in _WORDS.finditer(evidence)]
        self._add_units(words, evidence, unspaced)
        self.speaks_of_time = bool(
            self._explicit or self._months - {None} or self._weekdays or len(self._ranges) > 1
        ) or any(
            1900 <= float(number) <= 2100
            for number in self._numbers
            if number.isdecimal() and len(number) == 4
        )

    def _add_days_away(self, evidence: str, unspaced: bool) -> None:
        found = set(_SPACED_DAYS.findall(evidence))
        if unspaced:
            found |= {word for word in _DAYS_AWAY if _UNSPACED.match(word) and word in evidence}
        for word in found:
            day = self._said + timedelta(days=_DAYS_AWAY[word])
            self._ranges.append((day, day))

    def _add_units(self, words: list[str], evidence: str, unspaced: bool) -> None:
        sizes = {_UNITS[word] for word in words if word in _UNITS}
        if unspaced:
            sizes |= {days for word, days in _UNITS.items() if _UNSPACED.match(word) and word in evidence}
        if len(sizes) > 1 or self._weekdays or self._explicit or len(self._ranges) > 1:
            sizes.discard(_DIRECTION)
        counts = [
            int(float(number)) for number in self._numbers if re.fullmatch(r"\d{1,3}(?:\.\d+)?", number)
        ]
        if words and NUMBER_WORDS.keys() & set(words):
            counts.append(1)
        for size in sizes:
            slack = min(size, 366)
            for count in {0, 1, *counts}:
                for sign in (-1, 1):
                    self._ranges.append(self._around(sign * count * size, slack))

    def _around(self, days: int, slack: int) -> tuple[date, date]:
        middle = min(max(self._said.toordinal() + days, 400), date.max.toordinal() - 400)
        return date.fromordinal(max(1, middle - slack)), date.fromordinal(middle + slack)

    def licenses(self, mention: Mention) -> bool:
        """Return whether the evidence names this date or means it."""
        return any(self._names(mention, known) for known in self._explicit) or self._means(mention)

    def licenses_year(self, year: int) -> bool:
        """Return whether a year alone is meant by a relative word, or is the one it was said in."""
        return self._means(Mention(year, None, None, str(year)))

    def licenses_weekday(self, weekday: int) -> bool:
        """Return whether a day of the week, 1 for Monday, is said or meant."""
        if weekday in self._weekdays:
            return True
        return any(low == high and low.weekday() + 1 == weekday for low, high in self._ranges)

    def _names(self, mention: Mention, known: Mention) -> bool:
        if mention.month != known.month and not (known.day == mention.month and known.month == mention.day):
            return False
        if (
            mention.day is not None
            and known.day is not None
            and {mention.day, mention.month} != {known.day, known.month}
        ):
            return False
        if mention.day is not None and known.day is None and str(mention.day) not in self._numbers:
            return False
        if mention.year is None:
            return True
        if known.year is not None:
            return mention.year == known.year
        return abs(mention.year - self._said.year) <= 1 or str(mention.year) in self._numbers

    def _means(self, mention: Mention) -> bool:
        first, last = mention.first(self._said.year), mention.last(self._said.year)
        if first is None or last is None:
            return False
        if any(low <= last and first <= high for low, high in self._near(mention)):
            return True
        near = abs((first - self._said).days) <= 15
        if mention.day is not None and near and first.weekday() + 1 in self._weekdays:
            return True
        # "on the 15th", said in this month or beside it
        return mention.day in self._days and abs((first - self._said).days) <= 45

    def _near(self, mention: Mention) -> list[tuple[date, date]]:
        """Return the ranges; a whole day is not licensed by "last year" or a bare weekday's week."""
        if mention.day is None:
            return self._ranges
        if self._weekdays:
            return [span for span in self._ranges if (span[1] - span[0]).days == 0]
        return [span for span in self._ranges if (span[1] - span[0]).days <= 62]
