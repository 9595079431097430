"""Queries for several things: which they are, and that the best of neighbouring turns stands for them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from memkit.ranking.asked import asked
from memkit.ranking.index import Entry, OwnerIndex
from memkit.ranking.weights import EMBEDDED, KEYLESS, Weights
from tests.ranking.corpus import entry, fact, index_of, query

WHICH = "Which gardens has Ann seen?"


@pytest.mark.parametrize(
    "text",
    [
        "Which gardens did Ann see?",
        "What kinds of flowers does Ann grow?",
        "What old people did she meet?",
        "In which cities was Bob?",
        "what has Ann painted?",
        "Where have they been?",
        "How many cats are there?",
        "What do Ann and Bob both like?",
        "Tell me about all the gardens",
        "Does Ann grow anything besides roses?",
    ],
)
def test_the_wording_tells_that_the_answer_is_a_list(text: str) -> None:
    assert asked(text).several


@pytest.mark.parametrize(
    "text",
    [
        "Which garden did Ann see?",
        "What is Ann's address?",
        "What was his business?",
        "What does Ann like about gardens?",
        "Who is Ann's boss?",
        "What series did she watch?",
        "When has Ann seen the gardens?",
        "gardens",
        "Welche Gärten hat Ann gesehen?",
        "",
    ],
)
def test_other_queries_ask_for_one_thing(text: str) -> None:
    assert not asked(text).several


def _talk() -> list[Entry]:
    """Two turns on one garden beside each other, and one turn on another garden in a session of its own."""
    return [
        entry(1, "that garden has a gate", session="a", speaker=None),
        entry(2, "that garden has a garden wall", session="a", speaker=None),
        entry(3, "lunch was late", session="b", speaker=None),
        entry(4, "rain fell on the garden of the inn", session="c", speaker=None),
        *(entry(n, f"nothing of note {n}", session=f"d{n}", speaker=None) for n in range(10, 16)),
    ]


def _with(**changes: float) -> Weights:
    return replace(KEYLESS, chat=replace(KEYLESS.chat or KEYLESS, **changes))


def _added(index: OwnerIndex, text: str, name: str) -> dict[int, float | None]:
    ranking = index.rank(query(text))
    out: dict[int, float | None] = {}
    for rid in ranking.rids().tolist():
        added = ranking.explain(rid)["contributions"]
        assert isinstance(added, dict)
        out[rid] = added.get(name)
    return out


def test_a_turn_beside_a_better_one_comes_behind_what_was_said_elsewhere() -> None:
    off, on = index_of(_talk(), _with(apart=0.0)), index_of(_talk(), _with(apart=1.0))
    assert set(off.rank(query(WHICH)).rids(0, 2).tolist()) == {1, 2}
    first, second, third = on.rank(query(WHICH)).rids(0, 3).tolist()
    assert {first, third} == {1, 2}
    assert second == 4
    assert _added(on, WHICH, "apart") | {third: -1, first: 0, second: 0} == _added(on, WHICH, "apart")


def test_a_query_for_one_thing_leaves_neighbours_together() -> None:
    assert set(_added(index_of(_talk()), "Which garden was it?", "apart").values()) == {None}


def test_turns_that_are_equally_good_do_not_push_each_other_back() -> None:
    twins = [entry(n, "a garden", session="a", speaker=None, dated=False) for n in (1, 2)]
    same = [replace(each, vector=twins[0].vector) for each in twins]
    weights = _with(apart=1.0, next=0.0, previous=0.0, answers=0.0)
    assert set(_added(index_of(same, weights), WHICH, "apart").values()) == {0.0}


def test_neighbours_out_of_view_push_nothing_back() -> None:
    ours = [replace(each, agent="ours") for each in _talk()]
    theirs = [replace(ours[1], rid=90, agent="theirs", text="garden garden garden")]
    seen = query(WHICH, agents=frozenset({"ours"}))
    alone, beside = (index_of(entries).rank(seen) for entries in (ours, ours + theirs))
    assert list(alone) == list(beside)


def test_turns_that_may_hold_one_of_the_things_count_more() -> None:
    said = [
        entry(1, "I saw a garden", session="a", speaker=None),
        entry(2, "a garden by the house of Dora", session="b", speaker=None),
        entry(3, "a garden I saw with Dora", session="c", speaker=None),
        entry(4, "a garden", session="d", speaker=None),
    ]
    item = (KEYLESS.chat or KEYLESS).item
    assert _added(index_of(said), WHICH, "item") == {1: item, 2: item, 3: 2 * item, 4: 0.0}


def test_facts_alone_and_long_messages_stay_as_they_are() -> None:
    facts = [fact(n, f"Ann has seen garden {n}.") for n in range(1, 4)]
    assert set(_added(index_of(facts), WHICH, "item").values()) == {None}
    long = [entry(n, "word " * 80 + f"garden {n}", session="a", speaker=None) for n in range(1, 4)]
    assert set(_added(index_of(long), WHICH, "apart").values()) == {None}


@pytest.mark.parametrize("weights", [KEYLESS, EMBEDDED])
def test_every_level_has_the_stage(weights: Weights) -> None:
    assert weights.chat is not None
    assert weights.chat.apart > 0
    assert np.isclose(weights.chat.item, weights.item)
