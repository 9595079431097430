"""Times as people write them: dates in numbers, quarters, decades, feasts, what was before last; and what is no time."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from memkit import Memory
from memkit.ranking.days import asked_spans, told
from memkit.ranking.when import ZONES_US, named_months, relative_days

NOW = datetime(2024, 3, 13, 15, 0, tzinfo=UTC)  # a Wednesday


def micros(moment: datetime) -> int:
    return round(moment.timestamp() * 1e6)


def days(spans: list[tuple[int, int]], widened: int = 0) -> list[str]:
    """Return the first and the last day of each span."""

    def day(instant: int) -> str:
        return datetime.fromtimestamp(instant / 1e6, UTC).date().isoformat()

    return [f"{day(start + widened)} {day(end - 1 - widened)}" for start, end in spans]


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("Who came a fortnight ago?", "2024-02-25 2024-03-02"),
        ("two Fridays ago", "2024-03-01 2024-03-01"),
        ("two weekends ago", "2024-03-02 2024-03-03"),
        ("the weekend before last", "2024-03-02 2024-03-03"),
        ("the week before last", "2024-02-26 2024-03-03"),
        ("the month before last", "2024-01-01 2024-01-31"),
        ("the year before last", "2022-01-01 2022-12-31"),
        ("the night before last", "2024-03-11 2024-03-11"),
        ("the Friday before last", "2024-03-01 2024-03-01"),
        ("What did I buy fifteen days ago?", "2024-02-27 2024-02-27"),
        ("We spoke three weeks back.", "2024-02-18 2024-02-24"),
        ("last quarter", "2023-10-01 2023-12-31"),
        ("next quarter", "2024-04-01 2024-06-30"),
        ("last Christmas Eve", "2023-12-24 2023-12-24"),
        ("last New Year's Eve", "2023-12-31 2023-12-31"),
        ("vorletzte Woche", "2024-02-26 2024-03-03"),
        ("vor vierzehn Tagen", "2024-02-28 2024-02-28"),
        ("l'avant-dernière semaine", "2024-02-26 2024-03-03"),
        ("il y a quinze jours", "2024-02-27 2024-02-27"),
        ("Qu'est-ce que j'ai mangé ce matin ?", "2024-03-13 2024-03-13"),
        ("la semana antepasada", "2024-02-26 2024-03-03"),
        ("¿Qué hice esta mañana?", "2024-03-13 2024-03-13"),
        ("Cosa ho fatto stamattina?", "2024-03-13 2024-03-13"),
        ("上上周我做了什么？", "2024-02-26 2024-03-03"),
        ("大前天", "2024-03-10 2024-03-10"),
        ("今晚吃什么？", "2024-03-13 2024-03-13"),
        ("先々週何をした？", "2024-02-26 2024-03-03"),
        ("今朝何を食べた？", "2024-03-13 2024-03-13"),
    ],
)
def test_spans_seen_from_now(text: str, span: str) -> None:
    assert days(relative_days(text, micros(NOW)), ZONES_US)[:1] == [span]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("25/3/2024", ["2024-03-25 2024-03-25"]),
        ("3/25/2024", ["2024-03-25 2024-03-25"]),
        ("on 25-03-2024", ["2024-03-25 2024-03-25"]),
        ("2024/3/25", ["2024-03-25 2024-03-25"]),
        ("2024-3-5", ["2024-03-05 2024-03-05"]),
        ("5/5/2024", ["2024-05-05 2024-05-05"]),
        ("on 5/3/2024", ["2024-03-05 2024-03-05", "2024-05-03 2024-05-03"]),
        ("31/31/2024", []),
        ("5/3", []),
        ("a score of 25/3", []),
        ("2024-25", []),
        ("What happened at Christmas?", ["2023-12-24 2023-12-26", "2024-12-24 2024-12-26"]),
        ("Where were we on New Year's Eve?", ["2023-12-31 2023-12-31", "2024-12-31 2024-12-31"]),
        ("Where was she on New Year’s Day 2024?", ["2024-01-01 2024-01-01"]),
        ("Did we buy a Christmas tree?", []),
        ("What do they eat at Christmas?", []),
    ],
)
def test_days_in_numbers_and_feasts(text: str, found: list[str]) -> None:
    assert days(asked_spans(text, [2023, 2024])[0]) == found


@pytest.mark.parametrize(
    ("text", "months", "years"),
    [
        ("What did we sell in Q3 2023?", {7, 8, 9}, {2023}),
        ("2023-Q1", {1, 2, 3}, {2023}),
        ("the third quarter of 2023", {7, 8, 9}, {2023}),
        ("im vierten Quartal 2023", {10, 11, 12}, {2023}),
        ("au troisième trimestre 2023", {7, 8, 9}, {2023}),
        ("el tercer trimestre de 2023", {7, 8, 9}, {2023}),
        ("в третьем квартале 2023", {7, 8, 9}, {2023}),
        ("2023年第三季度", {7, 8, 9}, {2023}),
        ("2023年第3四半期", {7, 8, 9}, {2023}),
        ("im Sommer 2023", {6, 7, 8}, {2023}),
        ("l'été 2023", {6, 7, 8}, {2023}),
        ("el verano de 2023", {6, 7, 8}, {2023}),
        ("лето 2023", {6, 7, 8}, {2023}),
        ("2023年夏天", {6, 7, 8}, {2023}),
        ("Who did we meet at Christmas?", {12}, set()),
        ("What do they love on Halloween?", set(), set()),
        ("in the 90s", set(), set(range(1990, 2000))),
        ("during the 1980s", set(), set(range(1980, 1990))),
        ("Who is Q3?", set(), set()),
        ("the third quarter of the game", set(), set()),
        ("He is in his 90s.", set(), set()),
        ("It was in the 90s °F.", set(), set()),
        ("March on, friends", set(), set()),
        ("They host 2023 guests", set(), {2023}),
    ],
)
def test_quarters_decades_and_seasons_with_their_year(text: str, months: set[int], years: set[int]) -> None:
    assert named_months(text) == (months, years)


@pytest.mark.parametrize(
    "text",
    ["We met half a year ago.", "Come back.", "ce sera bien", "five back exercises", "ten host families"],
)
def test_what_is_no_time_is_not_read_as_one(text: str) -> None:
    assert relative_days(text, micros(NOW)) == []


def test_a_memory_tells_of_a_day_in_numbers_unless_it_may_be_another() -> None:
    said = micros(NOW)
    march = told("Dentist: 25/3/2024", said)
    assert march is not None
    assert days([march]) == ["2024-03-25 2024-03-25"]
    assert told("Dentist: 5/3/2024", said) is None


def test_a_date_in_numbers_finds_what_was_said_and_told_of_that_day() -> None:
    with Memory(":memory:", llm=None, embedder="hash") as memory:
        for date in ("26/4/2024", "27/5/2024", "25/3/2024", "28/6/2024"):
            memory.add(f"Surgery: {date}", user_id="u", infer=False)
        found = memory.search("Is there surgery on 25 March 2024?", user_id="u")
        assert found.results[0].memory == "Surgery: 25/3/2024"
