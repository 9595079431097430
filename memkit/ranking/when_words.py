"""The words of time of fifteen languages besides English: folded, as `memkit.ranking.text.folded` gives them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from memkit.ranking.spans import MONTH_NAMES, SEASONS, WEEKDAYS


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
ocak subat mart nisan mayis haziran temmuz agustos eylul ekim kasim aralik
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
        0: "stamattina stasera stanotte heute hoy oggi hoje vandaag dzis dzisiaj сегодня idag bugun اليوم आज",
        1: "demain domani amanha jutro завтра yarin غدا",
        2: "ubermorgen dopodomani overmorgen pojutrze послезавтра",
    }.items():
        table |= {word: DayWord(away) for word in words.split()}
    table["aujourd"] = DayWord(0)
    table["hier"] = DayWord(-1, language="french")
    table["morgen"] = DayWord(1, ("heute", "gestern", "am", "jeden", "guten", "der", "den", "in", "elke"))
    table["manana"] = DayWord(1, ("la", "esta", "una", "cada", "de"))
    return table


DAYS: Final[Mapping[str, DayWord]] = _days()
PAIRS: Final = {
    ("avant", "hier"): -2, ("altro", "ieri"): -2, ("apres", "demain"): 2, ("pasado", "manana"): 2, ("de", "amanha"): 2,
}  # fmt: skip
"""Two words that name a day together, of which the second has a meaning of its own."""
DAYS_UNSPACED: Final[Mapping[str, int]] = {
    "昨天": -1, "昨日": -1, "昨晚": -1, "昨夜": -1, "어제": -1, "前天": -2, "一昨日": -2, "그저께": -2, "今天": 0,
    "今日": 0, "오늘": 0, "今晚": 0, "今早": 0, "今朝": 0, "今夜": 0, "今晩": 0,
    "大前天": -3, "大后天": 3, "明天": 1, "明日": 1, "내일": 1, "后天": 2, "明後日": 2, "모레": 2,
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
        "лет ar aret yil سنة السنة عام العام سنوات साल",
    }.items()
    for word in words.split()
} | {"fin de semana": "weekend", "fim de semana": "weekend", "fine settimana": "weekend"}  # fmt: skip
UNITS_UNSPACED: Final[Mapping[str, str]] = {
    "天": "day", "日": "day", "일": "day", "周": "week", "星期": "week", "个星期": "week", "週間": "week", "주": "week",
    "个月": "month", "個月": "month", "か月": "month", "ヶ月": "month", "カ月": "month", "개월": "month", "달": "month",
    "年": "year", "년": "year",
}  # fmt: skip

BEFORE_LAST: Final = (
    r"vorletzte[nrsm]?|avant-derniere?|antepasad[oa]|penultim[oa]|eervorige|przedostatni\w*|позапрошл\w+"
)
LAST: Final = (
    rf"{BEFORE_LAST}|"
    r"letzte[nrsm]?|vorige[nrsm]?|vergangene[nrsm]?|derniere?s?|passee?s?|pasad[oa]s?|ultim[oaie]s?|scors[oaie]"
    r"|passad[oa]s?|vorige?|afgelopen|laatste|zeszl\w+|ubiegl\w+|ostatni\w*|прошл\w+|последн\w+|forra|sista"
    r"|senaste|forrige|siste|sidste|gecen|पिछल\S*|الماضي|الماضية"
)
THIS: Final = (
    r"diese[nrsm]?|cette|cet|ce|est[ea]|quest[oa]?|nest[ea]|deze|dit|ten|ta|tym|tego|эт\w+|denna|detta|denne|dette|bu"
    r"|इस|هذا|هذه"
)
NEXT: Final = (
    r"nachste[nrsm]?|kommende[nrsm]?|prochaine?|proxim[oa]|que viene|prossim[oa]|que vem|volgende?|komende?"
    r"|przyszl\w+|nastepn\w+|следующ\w+|будущ\w+|nasta|neste|naeste|gelecek|अगल\S*|القادم|القادمة|المقبل|المقبلة"
)
DUALS: Final[Mapping[str, str]] = {
    "يومين": "يوم", "أسبوعين": "أسبوع", "اسبوعين": "أسبوع", "شهرين": "شهر", "سنتين": "سنة", "عامين": "سنة",
}  # fmt: skip
"""Arabic words that say two of a unit in one."""
AGO_FIRST: Final = "vor|il y a|hace|ha|for|قبل|منذ"
AGO: Final = "fa|geleden|temu|назад|once|sedan|siden|atras|पहले"
AHEAD_FIRST: Final = "in|dans|dentro de|en|tra|fra|daqui a|over|za|через|om|بعد|خلال"
AHEAD: Final = "sonra|बाद"
EVERY: Final = frozenset(
    """
    jeden jede jedes chaque los ogni elke iedere toda todas cada kazdy kazda kazdy каждый каждую каждое varje hver her
    كل हर
    """.split()
)
"""Words before a weekday that is every one."""

DAYS_OF_WEEK: Final = _rows("""
montag dienstag mittwoch donnerstag freitag samstag|sonnabend sonntag
lundi mardi mercredi jeudi vendredi samedi dimanche
lunes martes miercoles jueves viernes sabado domingo
lunedi martedi mercoledi giovedi venerdi sabato domenica
segunda-feira terca-feira quarta-feira quinta-feira sexta-feira sabado domingo
maandag dinsdag woensdag donderdag vrijdag zaterdag zondag
poniedzialek|poniedzialku wtorek|wtorku sroda|srode|srody czwartek|czwartku piatek|piatku sobota|sobote|soboty niedziela|niedziele|niedzieli
понедельник|понедельника вторник|вторника среда|среду|среды четверг|четверга пятница|пятницу|пятницы суббота|субботу|субботы воскресенье|воскресенья
mandag|mandags tisdag|tisdags|tirsdag|tirsdags onsdag|onsdags torsdag|torsdags fredag|fredags lordag|lordags sondag|sondags
pazartesi sali carsamba persembe cuma cumartesi pazar
الاثنين|الإثنين الثلاثاء الأربعاء|الاربعاء الخميس الجمعة السبت الأحد|الاحد
सोमवार मंगलवार बुधवार गुरुवार शुक्रवार शनिवार रविवार
""")  # noqa: E501
_SEASONS: Final = _rows("""
fruhling|fruhjahr sommer herbst winter
printemps ete automne hiver
primavera verano otono invierno
primavera estate autunno inverno
primavera verao outono inverno
lente|voorjaar zomer herfst|najaar winter
wiosna|wiosne|wiosny lato|latem|lecie jesien|jesieni|jesienia zima|zime|zimy
весна|весной|весну|весны лето|летом|лета осень|осенью|осени зима|зимой|зиму|зимы
varen sommaren|sommar|sommer hosten|host vintern|vinter
ilkbahar|bahar yaz sonbahar kis
الربيع الصيف الخريف الشتاء
""")
PERIODS: Final[Mapping[str, str]] = (
    dict(UNITS)
    | {word: MONTH_NAMES[number - 1] for word, number in MONTHS_ELSEWHERE.items()}
    | {word: WEEKDAYS[number - 1] for word, number in DAYS_OF_WEEK.items()}
    | {word: tuple(SEASONS)[number - 1] for word, number in _SEASONS.items()}
    | {
        word: part
        for part, words in {
            "morning": "matin manana mattina manha ochtend sabah утро утром утра",
            "afternoon": "tarde",
            "evening": "soir abend avond aksam вечер вечером вечера",
            "night": "nuit noche notte noite nacht gece ночь ночью ночи",
        }.items()
        for word in words.split()
    }
    | {
        word: feast
        for feast, words in {
            "christmas": "weihnachten|noel|navidad|navidades|natale|natal|kerst|kerstmis|boze narodzenie|рождество"
            "|julen|jul|عيد الميلاد",
            "easter": "ostern|paques|pascua|pasqua|pascoa|pasen|wielkanoc|пасха|пасху|pasken|paske",
            "new year": "neujahr|silvester|nouvel an|ano nuevo|nochevieja|capodanno|ano novo|reveillon|nieuwjaar"
            "|nowy rok|sylwester|новый год|nyar|nytar|yilbasi",
        }.items()
        for word in words.split("|")
    }
)
"""Units, weekdays, months, seasons and feasts -> the English name."""

EARLY: Final = (
    "anfang|debut|principios|comienzos|inicios?|inizio|comeco|begin|poczatku|начале|начала|borjan|starten"
)
MIDDLE: Final = "mitte|mi|mediados|meta|meados|midden|half|medio|polowie|середине|mitten"
LATE: Final = "ende|fin|finales|fines|fine|final|fim|finais|eind|einde|koniec|koncu|конце|slutet|slutten"
"""Parts of a month or a year."""

SPANS_UNSPACED: Final[Mapping[str, tuple[str, int]]] = {
    word: (unit, direction)
    for (unit, direction), words in {
        ("week", -1): "上周 上星期 上个星期 先週 지난주",
        ("week", -2): "上上周 上上星期 上上个星期 先々週 지지난주",
        ("weekend", -2): "上上周末 先々週末",
        ("month", -2): "上上个月 先々月 지지난달",
        ("year", -2): "前年 一昨年 재작년",
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

WEEKS_UNSPACED: Final[Mapping[str, int]] = {
    word: direction
    for direction, words in {
        -1: "上周 上週 上星期 上个星期 上礼拜 上个礼拜 先週の 先週 지난주 지난",
        0: "这周 這週 本周 这星期 这个星期 这礼拜 今週の 今週 이번주 이번",
        1: "下周 下週 下星期 下个星期 下礼拜 下个礼拜 来週の 来週 다음주 다음",
    }.items()
    for word in words.split()
}
"""Before a day of the week."""
WEEK_UNSPACED: Final = "周|週|星期|礼拜"
DAYS_OF_WEEK_UNSPACED: Final[Mapping[str, int]] = {
    sign: day
    for signs in ("一二三四五六日", "月火水木金土日", "월화수목금토일")
    for day, sign in enumerate(signs)
} | {"天": 6}
WEEKDAYS_UNSPACED: Final = tuple(
    day for sign in DAYS_OF_WEEK_UNSPACED for day in (f"周{sign}", f"期{sign}", f"{sign}曜", f"{sign}요")
)
"""Pairs of signs of which one is in every day of the week."""
YEARS_UNSPACED: Final[Mapping[str, int]] = {
    word: direction
    for direction, words in {-1: "去年の 昨年の 去年 昨年 작년 지난해 지난", 0: "今年の 今年 올해 이번",
                             1: "明年 来年の 来年 내년 다음"}.items()
    for word in words.split()
}  # fmt: skip
"""Before a season or a feast."""
PERIODS_UNSPACED: Final[Mapping[str, str]] = {
    word: name
    for name, words in {
        "spring": "春天 春季 春 봄", "summer": "夏天 夏季 夏 여름", "autumn": "秋天 秋季 秋 가을",
        "winter": "冬天 冬季 冬 겨울", "christmas": "圣诞节 圣诞 聖誕節 クリスマス 크리스마스 성탄절",
        "new year": "元旦 お正月 正月 설날", "easter": "复活节 イースター 부활절",
        "halloween": "万圣节 ハロウィン 할로윈",
    }.items()
    for word in words.split()
}  # fmt: skip

NUMBERS: Final[Mapping[str, int]] = {
    "a": 1, "an": 1, "couple": 2, "few": 3, "several": 4, "eleven": 11, "twelve": 12, "fourteen": 14, "fifteen": 15,
    "twenty": 20, "thirty": 30, "vierzehn": 14, "quinze": 15, "quince": 15, "quindici": 15, "veertien": 14,
    "ein": 1, "une": 1, "uma": 1, "een": 1, "en": 1, "ett": 1, "bir": 1,
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
واحد اثنين|اثنان|اثنتين ثلاثة|ثلاث أربعة|أربع|اربعة|اربع خمسة|خمس ستة|ست سبعة|سبع ثمانية|ثماني تسعة|تسع عشرة|عشر
एक दो तीन चार पांच|पाँच छह|छः सात आठ नौ दस
bir iki uc dort bes alti yedi sekiz dokuz on
""")  # fmt: skip
ORDINALS: Final[Mapping[str, int]] = _rows("""
first second third fourth
ersten|erste zweiten|zweite dritten|dritte vierten|vierte
premier deuxieme troisieme quatrieme
primer segundo tercer cuarto
primo secondo terzo quarto
primeiro segundo terceiro quarto
первом|первый втором|второй третьем|третий четвертом|четвёртом|четвертый|четвёртый
一 二 三 四
""")
"""Of the quarters of a year."""
NUMBERS_UNSPACED: Final[Mapping[str, int]] = {
    digit: value for value, digit in enumerate("一二三四五六七八九十", 1)
} | {"两": 2}
