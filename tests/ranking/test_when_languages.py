"""Fifteen expressions of time in nine languages mean the same spans, and what they are seen from."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from memkit import Memory
from memkit.ranking.days import asked_spans, told
from memkit.ranking.spans import called, feast
from memkit.ranking.when import named_months, relative_days
from memkit.ranking.when_elsewhere import elsewhere_spans

NOW = datetime(2024, 3, 13, 15, 0, tzinfo=UTC)  # a Wednesday

EXPRESSIONS = [
    # what is meant, a day inside, a day outside
    ("yesterday", "2024-03-12", "2024-03-10"),
    ("last week", "2024-03-05", "2024-03-13"),
    ("last Friday", "2024-03-08", "2024-03-11"),
    ("two weeks ago", "2024-02-28", "2024-03-12"),
    ("next month", "2024-04-15", "2024-03-13"),
    ("this summer", "2024-07-15", "2024-03-13"),
    ("last Christmas", "2023-12-25", "2024-03-01"),
    ("day before yesterday", "2024-03-11", "2024-03-13T20:00"),
    ("tomorrow", "2024-03-14", "2024-03-12"),
    ("last year", "2023-07-01", "2024-03-01"),
    ("on Monday", "2024-03-11", "2024-03-08"),
    ("in three days", "2024-03-16", "2024-03-13"),
    ("last weekend", "2024-03-09", "2024-03-13"),
    ("last summer", "2023-07-15", "2024-03-01"),
    ("last night", "2024-03-12", "2024-03-10"),
]
QUERIES = {
    "en": [
        "What did I do yesterday?",
        "What did I do last week?",
        "Where was I last Friday?",
        "Who called two weeks ago?",
        "What is planned for next month?",
        "Where do we go this summer?",
        "What did I get last Christmas?",
        "What did I do the day before yesterday?",
        "What is on tomorrow?",
        "Where did we go last year?",
        "What did I do on Monday?",
        "Whom do I meet in three days?",
        "What did I do last weekend?",
        "Where was I last summer?",
        "What did I eat last night?",
    ],
    "de": [
        "Was habe ich gestern gemacht?",
        "Was habe ich letzte Woche gemacht?",
        "Wo war ich letzten Freitag?",
        "Wer hat vor zwei Wochen angerufen?",
        "Was ist für nächsten Monat geplant?",
        "Wohin fahren wir diesen Sommer?",
        "Was bekam ich letzte Weihnachten?",
        "Was habe ich vorgestern gemacht?",
        "Was steht morgen an?",
        "Wo waren wir letztes Jahr?",
        "Was habe ich am Montag gemacht?",
        "Wen treffe ich in drei Tagen?",
        "Was habe ich letztes Wochenende gemacht?",
        "Wo war ich letzten Sommer?",
        "Was habe ich gestern Abend gegessen?",
    ],
    "fr": [
        "Qu'ai-je fait hier ?",
        "Qu'ai-je fait la semaine dernière ?",
        "Où étais-je vendredi dernier ?",
        "Qui a appelé il y a deux semaines ?",
        "Qu'est-ce qui est prévu le mois prochain ?",
        "Où allons-nous cet été ?",
        "Qu'ai-je reçu à Noël dernier ?",
        "Qu'ai-je fait avant-hier ?",
        "Qu'est-ce que je fais demain ?",
        "Où sommes-nous allés l'année dernière ?",
        "Qu'ai-je fait lundi ?",
        "Qui vais-je voir dans trois jours ?",
        "Qu'ai-je fait le week-end dernier ?",
        "Où étais-je l'été dernier ?",
        "Qu'ai-je mangé hier soir ?",
    ],
    "es": [
        "¿Qué hice ayer?",
        "¿Qué hice la semana pasada?",
        "¿Dónde estaba el viernes pasado?",
        "¿Quién llamó hace dos semanas?",
        "¿Qué está previsto para el próximo mes?",
        "¿Adónde vamos este verano?",
        "¿Qué recibí la Navidad pasada?",
        "¿Qué hice anteayer?",
        "¿Qué hay mañana?",
        "¿Adónde fuimos el año pasado?",
        "¿Qué hice el lunes?",
        "¿A quién veo dentro de tres días?",
        "¿Qué hice el fin de semana pasado?",
        "¿Dónde estuve el verano pasado?",
        "¿Qué cené anoche?",
    ],
    "it": [
        "Che cosa ho fatto ieri?",
        "Che cosa ho fatto la settimana scorsa?",
        "Dov'ero venerdì scorso?",
        "Chi ha chiamato due settimane fa?",
        "Che cosa è previsto per il mese prossimo?",
        "Dove andiamo quest'estate?",
        "Che cosa ho ricevuto lo scorso Natale?",
        "Che cosa ho fatto l'altro ieri?",
        "Che cosa c'è domani?",
        "Dove siamo andati l'anno scorso?",
        "Che cosa ho fatto lunedì?",
        "Chi vedo tra tre giorni?",
        "Che cosa ho fatto lo scorso fine settimana?",
        "Dov'ero l'estate scorsa?",
        "Che cosa ho mangiato ieri sera?",
    ],
    "pt": [
        "O que fiz ontem?",
        "O que fiz na semana passada?",
        "Onde eu estava na sexta-feira passada?",
        "Quem ligou há duas semanas?",
        "O que está previsto para o próximo mês?",
        "Aonde vamos neste verão?",
        "O que recebi no Natal passado?",
        "O que fiz anteontem?",
        "O que há amanhã?",
        "Aonde fomos no ano passado?",
        "O que fiz na segunda-feira?",
        "Quem vou ver daqui a três dias?",
        "O que fiz no fim de semana passado?",
        "Onde eu estava no verão passado?",
        "O que jantei ontem à noite?",
    ],
    "ru": [
        "Что я делал вчера?",
        "Что я делал на прошлой неделе?",
        "Где я был в прошлую пятницу?",
        "Кто звонил две недели назад?",
        "Что запланировано на следующий месяц?",
        "Куда мы едем этим летом?",
        "Что я получил на прошлое Рождество?",
        "Что я делал позавчера?",
        "Что будет завтра?",
        "Где мы были в прошлом году?",
        "Что я делал в понедельник?",
        "Кого я увижу через три дня?",
        "Что я делал в прошлые выходные?",
        "Где я был прошлым летом?",
        "Что я ел вчера вечером?",
    ],
    "zh": [
        "我昨天做了什么？",
        "我上周做了什么？",
        "上周五我在哪里？",
        "两周前谁打了电话？",
        "下个月有什么计划？",
        "今年夏天我们去哪里？",
        "去年圣诞节我收到了什么？",
        "我前天做了什么？",
        "明天有什么安排？",
        "去年我们去了哪里？",
        "周一我做了什么？",
        "三天后我要见谁？",
        "上周末我做了什么？",
        "去年夏天我在哪里？",
        "昨晚我吃了什么？",
    ],
    "ja": [
        "昨日何をした？",
        "先週何をした？",
        "先週の金曜日どこにいた？",
        "二週間前に誰が電話した？",
        "来月の予定は何？",
        "今年の夏どこへ行く？",
        "去年のクリスマスに何をもらった？",
        "一昨日何をした？",
        "明日の予定は？",
        "去年どこへ行った？",
        "月曜日に何をした？",
        "三日後に誰に会う？",
        "先週末何をした？",
        "去年の夏どこにいた？",
        "昨夜何を食べた？",
    ],
}


def instant(day: str | datetime) -> int:
    moment = datetime.fromisoformat(day) if isinstance(day, str) else day
    if isinstance(day, str) and "T" not in day:
        moment = moment.replace(hour=12)
    return round(moment.replace(tzinfo=UTC).timestamp() * 1e6)


def holds(spans: list[tuple[int, int]], day: str) -> bool:
    return any(start <= instant(day) < end for start, end in spans)


@pytest.mark.parametrize("language", QUERIES)
@pytest.mark.parametrize(("place", "inside", "outside"), [(n, *row[1:]) for n, row in enumerate(EXPRESSIONS)])
def test_a_time_is_the_same_in_every_language(language: str, place: int, inside: str, outside: str) -> None:
    spans = relative_days(QUERIES[language][place], instant(NOW))
    assert holds(spans, inside)
    assert not holds(spans, outside)


@pytest.mark.parametrize(
    ("query", "inside", "outside"),
    [
        ("afgelopen vrijdag", "2024-03-08", "2024-03-11"),
        ("w zeszły piątek", "2024-03-08", "2024-03-11"),
        ("geçen cuma", "2024-03-08", "2024-03-11"),
        ("الجمعة الماضية", "2024-03-08", "2024-03-11"),
        ("지난주 금요일", "2024-03-08", "2024-03-11"),
        ("twee dagen geleden", "2024-03-11", "2024-03-13T20:00"),
        ("za trzy dni", "2024-03-16", "2024-03-13"),
        ("in den letzten drei Tagen", "2024-03-11", "2024-03-08"),
        ("au cours des trois derniers mois", "2024-01-10", "2023-11-01"),
        ("over the last two weeks", "2024-03-03", "2024-02-20"),
        ("a couple of weeks ago", "2024-02-28", "2024-03-12"),
        ("two weeks from now", "2024-03-27", "2024-03-12"),
        ("last March", "2023-03-20", "2024-03-10"),
        ("next May", "2024-05-10", "2024-03-13"),
        ("last spring", "2023-04-10", "2024-03-12"),
        ("this winter", "2024-12-20", "2024-03-13"),
        ("last Thanksgiving", "2023-11-23", "2023-11-28"),
        ("next Easter", "2024-03-31", "2024-04-05"),
        ("last Halloween", "2023-10-31", "2023-11-03"),
        ("letzten März", "2023-03-20", "2024-03-10"),
    ],
)
def test_other_expressions(query: str, inside: str, outside: str) -> None:
    test_spans = relative_days(query, instant(NOW))
    assert holds(test_spans, inside)
    assert not holds(test_spans, outside)


@pytest.mark.parametrize(
    ("now", "query", "both"),
    [
        ("2024-03-16", "last Friday", ("2024-03-15", "2024-03-08")),  # a Saturday
        ("2024-03-13", "next Friday", ("2024-03-15", "2024-03-22")),
        ("2024-03-17", "last week", ("2024-03-06", "2024-03-13")),  # a Sunday: in a week of its own, for some
        ("2024-03-13", "on Monday", ("2024-03-11", "2024-03-18")),
        ("2024-03-13", "am Montag", ("2024-03-11", "2024-03-18")),
    ],
)
def test_words_that_mean_one_time_or_another_mean_both(now: str, query: str, both: tuple[str, str]) -> None:
    spans = relative_days(query, instant(now))
    assert holds(spans, both[0])
    assert holds(spans, both[1])


@pytest.mark.parametrize(
    "query",
    [
        "I stayed for a week",
        "a ten week tour",
        "This may be wrong",
        "jeden Montag",
        "los lunes",
        "Do we march on?",
        "Is he over winter?",
    ],
)
def test_words_that_name_no_time_of_their_own(query: str) -> None:
    assert relative_days(query, instant(NOW)) == []


@pytest.mark.parametrize("year", [1, 2, 9998, 9999])
def test_what_leaves_the_calendar_names_no_time(year: int) -> None:
    for query in (
        "last summer",
        "next Christmas",
        "in 900 years",
        "letzten Sommer",
        "去年夏天",
        "last Friday",
    ):
        relative_days(query, instant(datetime(year, 6, 1)))
        told(query, instant(datetime(year, 6, 1)))
    relative_days("today", instant(datetime(1, 1, 1)))


@pytest.mark.parametrize("year", [1, 9999])
def test_days_at_the_ends_of_the_calendar_are_asked_for_without_harm(year: int) -> None:
    for query in (
        "on 31 December",
        "99 months after 1 January",
        "99 months before 1 January",
        "at the end of December",
    ):
        asked_spans(query, [year])


def test_a_leap_day_is_seen_from_like_any_other() -> None:
    leap = datetime(2024, 2, 29, tzinfo=UTC)
    for name in ("christmas", "summer", "february", "year", "month", "easter"):
        for direction in (-1, 0, 1):
            assert list(called(name, direction, leap))


@pytest.mark.parametrize(
    ("name", "year", "day"),
    [
        ("easter", 2024, date(2024, 3, 31)),
        ("easter", 2038, date(2038, 4, 25)),
        ("easter", 2008, date(2008, 3, 23)),
        ("thanksgiving", 2023, date(2023, 11, 23)),
        ("new year", 2024, date(2024, 1, 1)),
    ],
)
def test_feasts(name: str, year: int, day: date) -> None:
    start, end = feast(name, year, NOW)
    assert start.date() <= day < end.date()


# ------------------------------------------------------------------------------------------- named days


def named(query: str, years: list[int] | None = None) -> list[tuple[str, str]]:
    """Return the first and last days of the spans of days that a query asks for."""
    return [(day_of(start), day_of(end - 1)) for start, end in asked_spans(query, years or [2024])[0]]


def day_of(micros: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)).date().isoformat()


@pytest.mark.parametrize(
    ("query", "spans"),
    [
        ("What happened at the beginning of May?", [("2024-05-01", "2024-05-10")]),
        ("in mid-June 2023", [("2023-06-11", "2023-06-20")]),
        ("at the end of February", [("2024-02-21", "2024-02-29")]),
        ("the first half of September 2022", [("2022-09-01", "2022-09-15")]),
        ("Anfang Mai", [("2024-05-01", "2024-05-10")]),
        ("début mai", [("2024-05-01", "2024-05-10")]),
        ("a finales de julio", [("2024-07-21", "2024-07-31")]),
        ("alla fine di marzo", [("2024-03-21", "2024-03-31")]),
        ("5月初に", [("2024-05-01", "2024-05-10")]),
        ("5月底", [("2024-05-21", "2024-05-31")]),
        ("between 3 and 5 July", [("2024-07-03", "2024-07-05")]),
        ("from the 3rd to the 5th of July", [("2024-07-03", "2024-07-05")]),
        ("vom 3. bis 5. Juli", [("2024-07-03", "2024-07-05")]),
        ("at 10:30 to 5 July", [("2024-07-05", "2024-07-05")]),
        ("between July 3 and July 5", [("2024-07-03", "2024-07-05")]),
        ("from 30 June 2023 to 2 July 2023", [("2023-06-30", "2023-07-02")]),
        ("the week before 9 June 2023", [("2023-06-02", "2023-06-08")]),
        ("two weeks before August 11, 2023", [("2023-07-25", "2023-07-31")]),
        ("on the Sunday before October 25, 2022", [("2022-10-23", "2022-10-23")]),
        ("last weekend before April 10, 2023", [("2023-04-08", "2023-04-09")]),
        ("two days after 30 June 2023", [("2023-07-02", "2023-07-02")]),
        ("on 10.01.2024", [("2024-01-10", "2024-01-10")]),
        ("at Christmas 2022", [("2022-12-24", "2022-12-26")]),
        ("on 30 February", []),
        ("at the end of 2023", []),
    ],
)
def test_days_and_parts_of_months(query: str, spans: list[tuple[str, str]]) -> None:
    assert named(query) == spans


def test_what_is_asked_since_or_before_a_day_is_of_no_day_but_of_a_time() -> None:
    days, times = asked_spans("What did I do since 3 May 2023?", [])
    assert not days
    assert holds(times, "2024-01-01")
    assert not holds(times, "2023-05-02")
    days, times = asked_spans("What did I do before 3 May 2023?", [])
    assert not days
    assert holds(times, "2022-01-01")
    assert not holds(times, "2023-05-05")


@pytest.mark.parametrize(
    ("query", "months", "years"),
    [
        ("What did we do in the summer?", {6, 7, 8}, set[int]()),
        ("the winter of 2022", {12, 1, 2}, {2022}),
        ("autumn 2021", {9, 10, 11}, {2021}),
        ("Did I fall in love?", set[int](), set[int]()),
        ("in the spring of joy", set[int](), set[int]()),
        ("Who sang Summer of 69?", set[int](), set[int]()),
    ],
)
def test_seasons_are_months(query: str, months: set[int], years: set[int]) -> None:
    assert named_months(query) == (months, years)


# ------------------------------------------------------------------------------------- what is told of


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("I moved last week.", ("2024-03-04", "2024-03-10")),
        ("Ich bin letzte Woche umgezogen.", ("2024-03-04", "2024-03-10")),
        ("J'ai déménagé la semaine dernière.", ("2024-03-04", "2024-03-10")),
        ("Me mudé hace dos días.", ("2024-03-11", "2024-03-11")),
        ("我上周五搬家了。", ("2024-03-08", "2024-03-08")),
        ("昨日引っ越しました。", ("2024-03-12", "2024-03-12")),
        ("We will meet on Friday.", ("2024-03-15", "2024-03-15")),
        ("We met on Friday.", ("2024-03-08", "2024-03-08")),
        ("The flight leaves on 2 January.", ("2024-01-02", "2024-01-02")),
        ("The course begins on 20 December.", ("2023-12-20", "2023-12-20")),
        ("We were in Spain last summer.", ("2023-06-01", "2023-08-31")),
        ("Last year was hard, but yesterday was fine.", ("2024-03-12", "2024-03-12")),
    ],
)
def test_what_a_memory_tells_of_in_other_words_and_languages(text: str, days: tuple[str, str]) -> None:
    span = told(text, instant(NOW))
    assert span is not None
    assert (day_of(span[0]), day_of(span[1] - 1)) == days


def test_of_a_long_memory_the_beginning_is_read() -> None:
    assert told("word " * 500 + "yesterday", instant(NOW)) is None
    assert told("yesterday " + "word " * 500, instant(NOW)) is not None


@pytest.mark.parametrize(
    ("asked", "told_of"),
    [
        ("What happened at the beginning of May?", "I moved last week."),
        ("What happened in early May 2023?", "Ich bin letzte Woche umgezogen."),
        ("What happened on 4 May?", "Me mudé la semana pasada."),
    ],
)
def test_a_memory_is_found_by_when_it_happened_and_by_when_it_was_said(asked: str, told_of: str) -> None:
    with Memory(path=":memory:", embedder="hash", llm=None) as memory:
        for n, (day, text) in enumerate([(10, told_of), (14, "I painted a wall."), (25, "I sold a lamp.")]):
            turn = {"role": "user", "content": text, "created_at": f"2023-05-{day}T12:00:00Z"}
            memory.add([turn], user_id="u", run_id=f"r{n}", infer=False)
        found = memory.search(asked, user_id="u", explain=True)
        assert found.results[0].memory == told_of
        assert found.explain is not None
        first, *others = [row["contributions"] for row in found.explain]
        assert first["date"] > 0
        assert first["day"] > max(row["day"] for row in others)
        assert memory.search("What happened on 10 May?", user_id="u").results[0].memory == told_of


def test_english_is_told_of_without_a_look_at_other_languages() -> None:
    assert told("Gestern war es kalt.", instant(NOW)) is not None
    assert told("Gestern war es kalt.", instant(NOW), elsewhere=False) is None
    assert list(elsewhere_spans("We went home.", NOW)) == []
