"""Months, years and spans of time that a query names, in many languages."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from memkit.ranking import days
from memkit.ranking.days import spans_of, told
from memkit.ranking.text import folded
from memkit.ranking.when import named_months, relative_days


@pytest.mark.parametrize(
    ("text", "months", "years"),
    [
        ("What happened in May 2023?", {5}, {2023}),
        ("What may happen?", set(), set()),
        ("May I ask you something?", set(), set()),
        ("Where was Ann in may?", {5}, set()),
        ("Did they march on Rome?", set(), set()),
        ("On 3 march", {3}, set()),
        ("between January and december 1999", {1, 12}, {1999}),
        ("on 2024-02-29", {2}, {2024}),
        ("the 2023 budget of 20231 euros", set(), {2023}),
        ("What happened on Dec 25th?", {12}, set()),
        ("the 25th of dec", {12}, set()),
        ("Sept. 2023", {9}, {2023}),
        ("Which loan has APR 5.9%?", set(), set()),
        ("Jan and Dec", set(), set()),
    ],
)
def test_months_and_years_are_read_where_they_are_meant(text: str, months: set[int], years: set[int]) -> None:
    assert named_months(text) == (months, years)


NOW = datetime(2024, 3, 13, 15, 0, tzinfo=UTC)  # a Wednesday


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("What did I eat yesterday?", "2024-03-12", "2024-03-10"),
        ("what did we do last week", "2024-03-05", "2024-03-13"),
        ("plans of this week", "2024-03-12", "2024-03-07"),
        ("last month's invoice", "2024-02-10", "2024-03-13"),
        ("the trip last year", "2023-07-01", "2024-03-01"),
        ("the call on Monday", "2024-03-11", "2024-03-09"),
        ("last Friday", "2024-03-08", "2024-03-11"),
        ("three weeks ago", "2024-02-21", "2024-03-10"),
        ("2 days ago", "2024-03-11", "2024-03-13T12:00"),
        ("last weekend", "2024-03-09", "2024-03-12"),
    ],
)
def test_relative_days_are_resolved_against_now(text: str, inside: str, outside: str) -> None:
    spans = relative_days(text, round(NOW.timestamp() * 1e6))

    def hit(day: str) -> bool:
        instant = datetime.fromisoformat(day).replace(tzinfo=UTC)
        noon = round((instant if "T" in day else instant.replace(hour=12)).timestamp() * 1e6)
        return any(start <= noon < end for start, end in spans)

    assert spans
    assert hit(inside)
    assert not hit(outside)


def test_queries_without_relative_days_and_impossible_times_have_none() -> None:
    assert relative_days("Where does Ann live?", 0) == []
    assert relative_days("yesterday", 10**20) == []
    assert relative_days("yesterday", -62_135_596_800_000_000) == []


@pytest.mark.parametrize(
    ("text", "months", "years"),
    [
        ("Was war im März 2023?", {3}, {2023}),
        ("am 3. Mai", {5}, set()),
        ("¿Qué pasó en julio?", {7}, set()),
        ("¿Qué dijo Julio?", set(), set()),
        ("Mit wem war Mai da?", set(), set()),
        ("le 12 août", {8}, set()),
        ("nel 2021, in marzo", {3}, {2021}),
        ("Что было в мае?", {5}, set()),
        ("2023年5月に何をした？", {5}, {2023}),
        ("3개월 동안 2022년", set(), {2022}),
        ("w grudniu", {12}, set()),
        ("the mars mission of Avril", set(), set()),
    ],
)
def test_months_of_other_languages_stand_beside_a_number_or_after_a_word_for_in(
    text: str, months: set[int], years: set[int]
) -> None:
    assert named_months(text) == (months, years)


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("the appointment tomorrow", "2024-03-14", "2024-03-13T02:00"),
        ("my plans for next week", "2024-03-20", "2024-03-12"),
        ("next Friday", "2024-03-15", "2024-03-18"),
        ("Was habe ich gestern gegessen?", "2024-03-12", "2024-03-10"),
        ("Was war letzte Woche?", "2024-03-05", "2024-03-13"),
        ("Was war vor drei Wochen?", "2024-02-21", "2024-03-10"),
        ("Qu'est-ce que j'ai mangé hier ?", "2024-03-12", "2024-03-10"),
        ("la semaine dernière", "2024-03-05", "2024-03-13"),
        ("il y a 2 jours", "2024-03-11", "2024-03-13T12:00"),
        ("¿Qué hice ayer?", "2024-03-12", "2024-03-10"),
        ("el mes pasado", "2024-02-10", "2024-03-13"),
        ("hace tres semanas", "2024-02-21", "2024-03-10"),
        ("l'anno scorso", "2023-07-01", "2024-03-01"),
        ("due giorni fa", "2024-03-11", "2024-03-13T12:00"),
        ("na semana passada", "2024-03-05", "2024-03-13"),
        ("vorige maand", "2024-02-10", "2024-03-13"),
        ("drie weken geleden", "2024-02-21", "2024-03-10"),
        ("ماذا حدث قبل ثلاثة أيام؟", "2024-03-10", "2024-03-12"),
        ("ماذا حدث قبل يومين؟", "2024-03-11", "2024-03-13"),
        ("منذ أسبوعين", "2024-02-28", "2024-03-09"),
        ("पाँच दिन पहले क्या हुआ?", "2024-03-08", "2024-03-11"),
        ("w zeszłym tygodniu", "2024-03-05", "2024-03-13"),
        ("на прошлой неделе", "2024-03-05", "2024-03-13"),
        ("что я ел вчера?", "2024-03-12", "2024-03-10"),
        ("неделю назад", "2024-03-06", "2024-02-25"),
        ("geçen hafta", "2024-03-05", "2024-03-13"),
        ("الأسبوع الماضي", "2024-03-05", "2024-03-13"),
        ("पिछले हफ्ते", "2024-03-05", "2024-03-13"),
        ("上周我吃了什么", "2024-03-05", "2024-03-13"),
        ("昨天我吃了什么", "2024-03-12", "2024-03-10"),
        ("三天前", "2024-03-10", "2024-03-13T12:00"),
        ("先週末どこへ行った？", "2024-03-09", "2024-03-13"),
        ("지난주에 뭐 했지?", "2024-03-05", "2024-03-13"),
        ("明天的会议", "2024-03-14", "2024-03-12"),
    ],
)
def test_relative_days_are_told_in_many_languages(text: str, inside: str, outside: str) -> None:
    test_relative_days_are_resolved_against_now(text, inside, outside)


@pytest.mark.parametrize(
    "text",
    ["Wer wohnt hier?", "Was esse ich am Morgen?", "¿Qué como por la mañana?", "Where is Ayer?", "an sich"],
)
def test_a_word_that_means_something_else_names_no_day(text: str) -> None:
    assert relative_days(text, round(NOW.timestamp() * 1e6)) == []


def micros(year: int, month: int, day: int) -> int:
    return round(datetime(year, month, day, tzinfo=UTC).timestamp() * 1e6)


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("What happened on 7 May 2023?", [(2023, 5, 7)]),
        ("What happened on May 7th, 2023?", [(2023, 5, 7)]),
        ("on the 7th of May", [(0, 5, 7)]),
        ("Was geschah am 7. Mai?", [(0, 5, 7)]),
        ("¿Qué pasó el 7 de mayo de 2023?", [(2023, 5, 7)]),
        ("Que s'est-il passé le 1er mai ?", [(0, 5, 1)]),
        ("2023年5月7日に何があった?", [(2023, 5, 7)]),
        ("since 2023-05-07", [(2023, 5, 7)]),
        ("between 3 June and 5 July 2022", [(0, 6, 3), (2022, 7, 5)]),
        ("on 2023-13-40", []),
        ("In May 2023", []),
        ("Will 100 people come?", []),
        ("7 maybe 8", []),
        ("on Dec 25th, 2023 or 3 Jan", [(2023, 12, 25), (0, 1, 3)]),
        ("Sept. 3", [(0, 9, 3)]),
        ("a loan with APR 5.9% or APR 5 %", []),
    ],
)
def test_named_days(query: str, named: list[tuple[int, int, int]]) -> None:
    assert [day for day, _, _ in days._days(folded(query))] == named


def test_a_day_that_does_not_exist_has_no_span() -> None:
    assert spans_of([(2023, 2, 30), (0, 2, 29)], [2023]) == []
    assert spans_of([(0, 2, 29)], [2023, 2024]) == [(micros(2024, 2, 29), micros(2024, 3, 1))]


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("I saw Eve yesterday.", (micros(2023, 5, 7), micros(2023, 5, 8))),
        ("We moved last Friday.", (micros(2023, 5, 5), micros(2023, 5, 6))),
        ("We painted it last month!", (micros(2023, 4, 1), micros(2023, 5, 1))),
        ("We painted it last year!", None),
        ("We painted it.", None),
    ],
)
def test_what_a_memory_tells_of_is_seen_from_when_it_was_made(
    text: str, span: tuple[int, int] | None
) -> None:
    assert told(text, micros(2023, 5, 8) + 3_600_000_000) == span


@pytest.mark.parametrize("instant", [-(2**63), 2**63 - 1])
def test_a_memory_of_no_calendar_tells_of_no_time(instant: int) -> None:
    assert told("I saw Eve yesterday.", instant) is None
