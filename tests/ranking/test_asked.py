"""What kind of answer a query asks for, and what that adds to the order."""

from __future__ import annotations

from dataclasses import replace

import pytest

from memkit.ranking.asked import NAME, TELLS, TIME, TIME_ELSEWHERE, asked, content, cues
from memkit.ranking.index import Entry
from memkit.ranking.result import Ranking
from memkit.ranking.text import surface
from memkit.ranking.weights import KEYLESS, Weights
from tests.ranking.corpus import entry, index_of, query


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("I bought a kettle.", TELLS),
        ("That kettle of yours is loud!", 0),
        ("My sister moved to Porto last week.", TELLS | NAME | TIME),
        ('The choir sang "Alleluia" badly.', NAME),
        ("Wonderful, congratulations!", 0),
        ("Gestern war es kalt.", TIME_ELSEWHERE),
    ],
)
def test_the_wording_of_a_memory_tells_what_kind_of_answer_it_holds(text: str, kinds: int) -> None:
    assert cues(text, surface(text)) == kinds


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("When did Ann move?", TIME),
        ("How long has Ann had the cat?", TIME),
        ("Where does Ann live?", NAME),
        ("Which book did Ann read?", NAME),
        ("Does Ann like tea?", 0),
        ("Wann ist Ann umgezogen?", 0),
    ],
)
def test_the_wording_of_a_question_tells_what_its_answer_holds(text: str, kinds: int) -> None:
    assert asked(text).kinds == kinds


def test_words_that_only_say_how_to_answer_are_left_out_of_a_query_for_an_order() -> None:
    frame = "Can you list the order in which I brought up different aspects of my garden, in order?"
    assert content(frame) == "Can you the in which I up of my garden in"
    assert asked(frame).ordered


@pytest.mark.parametrize(
    "text", ["Which aspects of the garden did Ann list?", "What did we talk about?", "the order", ""]
)
def test_other_queries_and_queries_of_nothing_else_are_about_all_their_words(text: str) -> None:
    assert content(text) == text


def _turn(rid: int, text: str, session: str) -> Entry:
    return entry(rid, text, session=session)


def _rids(entries: list[Entry], text: str, weights: Weights = KEYLESS) -> list[int]:
    return index_of(entries, weights).rank(query(text)).rids().tolist()


def _added(ranking: Ranking, rid: int, name: str) -> float | None:
    added = ranking.explain(rid)["contributions"]
    assert isinstance(added, dict)
    return added.get(name)


def test_a_turn_of_chat_that_holds_the_kind_of_answer_comes_before_one_that_does_not() -> None:
    said = [
        _turn(1, "the wedding of the gardener was lovely", "a"),
        _turn(2, "the wedding of the gardener was yesterday", "b"),
        _turn(3, "something else altogether", "c"),
    ]
    assert _rids(said, "When was the wedding of the gardener?")[0] == 2
    assert _rids(said, "Was the wedding of the gardener lovely?")[0] == 1


def test_facts_gain_and_lose_nothing_by_their_wording() -> None:
    facts = [
        entry(1, "The gardener keeps bees.", kind="fact", session=None),
        entry(2, "I told the gardener about my bees.", kind="fact", session=None),
    ]
    ranking = index_of(facts).rank(query("bees"))
    for name in ("tells", "kind", "previous"):
        assert [_added(ranking, rid, name) for rid in (1, 2)] == [None, None]


def test_among_turns_a_fact_counts_like_one_in_which_somebody_speaks_of_herself() -> None:
    said = [
        _turn(1, "I keep bees in the garden", "a"),
        _turn(2, "how lovely are bees", "a"),
        entry(3, "The gardener keeps bees.", kind="fact", session=None),
    ]
    ranking = index_of(said).rank(query("bees"))
    assert KEYLESS.chat is not None
    told = [_added(ranking, rid, "tells") for rid in (1, 2, 3)]
    assert told == [KEYLESS.chat.tells, 0, KEYLESS.chat.tells]


def test_a_query_for_an_order_finds_the_best_of_every_session_before_second_bests() -> None:
    assert KEYLESS.chat is not None
    sessions = ["a"] * 4 + ["b"] * 4 + ["c"] * 4
    said = [
        _turn(n, f"garden plan {'garden plan ' * (session == 'a')}number {n}", session)
        for n, session in enumerate(sessions, 1)
    ]
    asking = "In what order did we come to the garden plan?"
    first = _rids(said, asking, replace(KEYLESS, chat=replace(KEYLESS, spread=50.0)))[:3]
    assert {sessions[rid - 1] for rid in first} == {"a", "b", "c"}
    near = _rids(said, asking, replace(KEYLESS, chat=replace(KEYLESS, spread=0.0)))[:3]
    assert {sessions[rid - 1] for rid in near} == {"a"}


@pytest.mark.parametrize(
    ("text", "words", "asker"),
    [
        ("Summarise how my garden came to be", 80, False),
        ("Give me an overview of my garden", 80, False),
        ("What did I plant in my garden?", 80, True),
        ("In which order did I plant my garden? Give an overview.", 80, True),
        ("Summarise how my garden came to be", 8, True),
    ],
)
def test_an_overview_of_long_messages_tells_of_the_answers_too(text: str, words: int, asker: bool) -> None:
    more = " ".join(f"word{n}" for n in range(words))
    turns = [
        entry(n, f"The garden {n}: {more}", session="a", speaker=None, role="assistant" if n % 2 else "user")
        for n in range(20)
    ]
    added = index_of(turns).rank(query(text)).explain(2)["contributions"]
    assert isinstance(added, dict)
    assert (added.get("first_person", 0) > 0) is asker
