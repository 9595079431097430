"""The words of time of fifteen languages besides English: folded, as `memkit.ranking.text.folded` gives them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


def _rows(rows: str) -> dict[str, int]:
    """Return word -> number from lines that give the words of 1, 2, 3, ... in turn."""
    return {
        word: number
        for line in rows.strip().splitlines()
        for number, words in enumerate(line.split(), 1)
        for word in words.split("|")
    }


MONTHS_ELSEWHERE: Final[Mapping[str, int]] = _rows("""
januar|janner februar|feber marz|maerz april mai juni juli august september oktober november dezember
janvier fevrier mars avril mai juin juillet aout septembre octobre novembre decembre
enero febrero marzo abril mayo junio julio agosto septiembre|setiembre octubre noviembre diciembre
gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre
janeiro fevereiro marco abril maio junho julho agosto setembro outubro novembro dezembro
januari februari maart april mei juni juli augustus|augusti september oktober november december
stycznia|styczniu lutego|lutym marca|marcu kwietnia|kwietniu maja|maju czerwca|czerwcu lipca|lipcu sierpnia|sierpniu wrzesnia|wrzesniu pazdziernika|pazdzierniku listopada|listopadzie grudnia|grudniu
января|январе февраля|феврале марта|марте апреля|апреле мая|мае июня|июне июля|июле августа|августе сентября|сентябре октября|октябре ноября|ноябре декабря|декабре
ocak subat mart nisan mayıs haziran temmuz agustos eylul ekim kasım aralık
يناير فبراير مارس أبريل|ابريل مايو يونيو يوليو أغسطس|اغسطس سبتمبر أكتوبر|اكتوبر نوفمبر ديسمبر
जनवरी फरवरी मार्च अप्रैल मई जून जुलाई अगस्त सितंबर अक्टूबर नवंबर दिसंबर
""")  # noqa: E501

OF_MONTHS: Final = (
    "im|seit|ab|bis|vom|anfang|mitte|ende|in|en|em|de|desde|depuis|fin|debut|jusqu'en|dal|da|di|a|sinds|van|tot|eind"
    "|begin|w|od|do|в|с|до|от|i|fran|sedan|في|منذ|من"
)
"""Words before a month that make it one."""


@dataclass(frozen=True, slots=True)
class DayWord:
    """A word that names a day by its distance from today.

    Attributes:
        away: Days from today.
        not_after: Words after which it means something else.
        language: It means that in this language alone; None where no other has the word.
    """

    away: int
    not_after: tuple[str, ...] = ()
    language: str | None = None


def _days() -> dict[str, DayWord]:
    table: dict[str, DayWord] = {}
    for away, words in {
        -2: "vorgestern anteayer antier anteontem eergisteren przedwczoraj позавчера",
        -1: "gestern ayer anoche ieri ontem gisteren wczoraj вчера igar dun أمس امس",
        0: "heute hoy oggi hoje vandaag dzis dzisiaj сегодня idag bugun اليوم आज",
        1: "demain domani amanha jutro завтра yarın غدا",
        2: "ubermorgen dopodomani overmorgen pojutrze послезавтра",
    }.items():
        table |= {word: DayWord(away) for word in words.split()}
    table["aujourd"] = DayWord(0)
    table["hier"] = DayWord(-1, language="french")
    table["morgen"] = DayWord(1, ("heute", "gestern", "am", "jeden", "guten", "der", "den", "in", "elke"))
    table["manana"] = DayWord(1, ("la", "esta", "una", "cada", "de"))
    return table


DAYS: Final[Mapping[str, DayWord]] = _days()
DAYS_UNSPACED: Final[Mapping[str, int]] = {
    "昨天": -1, "昨日": -1, "昨晚": -1, "昨夜": -1, "어제": -1, "前天": -2, "一昨日": -2, "그저께": -2, "今天": 0,
    "今日": 0, "오늘": 0, "明天": 1, "明日": 1, "내일": 1, "后天": 2, "明後日": 2, "모레": 2,
}  # fmt: skip

UNITS: Final[Mapping[str, str]] = {
    word: unit
    for unit, words in {
        "day": "tag tage tagen jour jours dia dias giorno giorni dag dagen dagar dzien dni день дня дней gun "
        "يوم أيام ايام दिन",
        "week": "woche wochen semaine semaines semana semanas settimana settimane week weken tydzien tygodnie tygodni "
        "tygodniu неделя неделе неделю недели недель vecka veckan veckor hafta أسبوع الأسبوع اسبوع الاسبوع أسابيع "
        "हफ्ते सप्ताह",
        "weekend": "wochenende week-end weekend finde weekendzie выходные выходных helg helgen",
        "month": "monat monats monate monaten mois mes meses mese mesi maand maanden miesiac miesiacu miesiace "
        "miesiecy месяц месяце месяца месяцев manad manaden manader ay شهر الشهر أشهر महीने",
        "year": "jahr jahre jahren jahres an ans annee annees ano anos anno anni jaar rok roku lat lata год году года "
        "лет ar aret yıl سنة السنة عام العام سنوات साल",
    }.items()
    for word in words.split()
}  # fmt: skip
UNITS_UNSPACED: Final[Mapping[str, str]] = {
    "天": "day", "日": "day", "일": "day", "周": "week", "星期": "week", "个星期": "week", "週間": "week", "주": "week",
    "个月": "month", "個月": "month", "か月": "month", "ヶ月": "month", "カ月": "month", "개월": "month", "달": "month",
    "年": "year", "년": "year",
}  # fmt: skip

LAST: Final = (
    r"letzte[nrsm]?|vorige[nrsm]?|vergangene[nrsm]?|derniere?|passee?|pasad[oa]|ultim[oa]|scors[oa]|passad[oa]"
    r"|afgelopen|laatste|zesz[lł]\w+|ubieg[lł]\w+|ostatni\w*|прошл\w+|forra|sista|senaste|forrige|siste|sidste|gecen"
    r"|पिछल\S*|الماضي|الماضية"
)
THIS: Final = (
    r"diese[nrsm]?|cette|ce|est[ea]|quest[oa]|nest[ea]|deze|dit|ten|tym|tego|эт\w+|denna|detta|denne|dette|bu|इस"
    r"|هذا|هذه"
)
NEXT: Final = (
    r"nachste[nrsm]?|kommende[nrsm]?|prochaine?|proxim[oa]|que viene|prossim[oa]|que vem|volgende?|komende?"
    r"|przysz[lł]\w+|nastepn\w+|следующ\w+|будущ\w+|nasta|neste|naeste|gelecek|अगल\S*|القادم|القادمة|المقبل|المقبلة"
)
AGO_FIRST: Final = "vor|il y a|hace|ha|for|قبل|منذ"
AGO: Final = "fa|geleden|temu|назад|once|sedan|siden|atras|पहले"

SPANS_UNSPACED: Final[Mapping[str, tuple[str, int]]] = {
    word: (unit, direction)
    for (unit, direction), words in {
        ("week", -1): "上周 上星期 上个星期 先週 지난주",
        ("week", 0): "这周 這週 本周 这个星期 今週 이번주",
        ("week", 1): "下周 下星期 下个星期 来週 다음주",
        ("weekend", -1): "上周末 先週末 지난주말",
        ("weekend", 0): "这周末 今週末 이번주말",
        ("weekend", 1): "下周末 来週末 다음주말",
        ("month", -1): "上个月 上個月 上月 先月 지난달",
        ("month", 0): "这个月 這個月 本月 今月 이번달",
        ("month", 1): "下个月 下個月 来月 다음달",
        ("year", -1): "去年 昨年 작년 지난해",
        ("year", 0): "今年 올해",
        ("year", 1): "明年 来年 내년",
    }.items()
    for word in words.split()
}

NUMBERS: Final[Mapping[str, int]] = {
    "a": 1, "an": 1, "couple": 2, "few": 3, "ein": 1, "une": 1, "uma": 1, "een": 1, "en": 1, "ett": 1, "bir": 1,
    "एक": 1,
} | _rows("""
one two three four five six seven eight nine ten
einem|einer|einen zwei drei vier funf sechs sieben acht neun zehn
un deux trois quatre cinq six sept huit neuf dix
un|una|uno dos tres cuatro cinco seis siete ocho nueve diez
un|una due tre quattro cinque sei sette otto nove dieci
um dois|duas tres quatro cinco seis sete oito nove dez
een twee drie vier vijf zes zeven acht negen tien
jeden dwa|dwie trzy cztery piec szesc siedem osiem dziewiec dziesiec
один|одну два|две три четыре пять шесть семь восемь девять десять
ett tva tre fyra fem sex sju atta nio tio
bir iki uc dort bes altı yedi sekiz dokuz on
""")  # fmt: skip
NUMBERS_UNSPACED: Final[Mapping[str, int]] = {
    digit: value for value, digit in enumerate("一二三四五六七八九十", 1)
} | {"两": 2}
