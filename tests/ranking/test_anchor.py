"""Times told by an event: "before she moved to Berlin" prefers what was before it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from memkit import Memory
from memkit.ranking.weights import KEYLESS, Weights
from tests.ranking.corpus import ask, entry, index_of


def at(month: int, day: int = 1) -> int:
    return round(datetime(2023, month, day, tzinfo=UTC).timestamp() * 1e6)


ROWS = [
    (1, "Nora played the cello.", at(2)),
    (2, "Nora moved to Berlin.", at(6)),
    (3, "Nora kept two rabbits.", at(10)),
    (4, "Nora read a novel.", at(6, 5)),
]


def added(query: str, *, weights: Weights = KEYLESS, rows: list[tuple[int, str, int]] = ROWS) -> set[int]:
    """Return which rows an event that the query names counts for."""
    index = index_of([entry(n, text, session=f"s{n}", created_at=t) for n, text, t in rows], weights)
    ranking = ask(index, query)

    def of(rid: int) -> Any:
        contributions: Any = ranking.explain(rid)["contributions"]
        return contributions.get("event", 0.0)

    return {n for n, _, _ in rows if of(n) > 0}


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("What did Nora do before she moved to Berlin?", {1}),
        ("What did Nora do until she moved to Berlin?", {1}),
        ("What has Nora done since she moved to Berlin?", {3, 4}),
        ("After Nora moved to Berlin, what did she do?", {3, 4}),
        ("What did Nora do while she moved to Berlin?", {4}),
        ("What did Nora do prior to her move to Berlin?", {1}),
        ("What did Nora do till she moved to Berlin?", {1}),
        ("What did Nora do FOLLOWING her move to Berlin?", {3, 4}),
        ("What did Nora do during her move to Berlin?", {4}),
        ("What did Nora do before?", set[int]()),
        ("What did Nora do before she sailed to Malta?", set[int]()),
        ("Where did Nora move?", set[int]()),
    ],
)
def test_what_was_before_or_after_an_event_is_preferred(query: str, rows: set[int]) -> None:
    assert added(query) == rows


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("What did Nora play before she moved to Berlin?", 1),
        ("What did Nora keep since she moved to Berlin?", 3),
    ],
)
def test_an_event_comes_behind_what_was_on_the_side_of_it_that_is_asked_for(query: str, first: int) -> None:
    index = index_of([entry(n, text, session=f"s{n}", created_at=t) for n, text, t in ROWS], KEYLESS)
    assert ask(index, query).rids(0, 2).tolist() == [first, 2]
    assert ask(index, "When has Nora moved to Berlin?").rids(0, 1).tolist() == [2]
    assert ask(index, "Who was there while Nora moved to Berlin?").rids(0, 1).tolist() == [2]


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("Who looks after the kids?", "An aunt looks after the kids."),
        ("Which park is named after Lincoln?", "The park was named after Lincoln."),
        ("When did Bob leave after the party?", "Bob left the party at nine."),
    ],
)
def test_what_holds_the_rest_of_the_question_too_is_no_event(query: str, text: str) -> None:
    later = [(n, f"Lunch number {n} was good.", at(9, n)) for n in range(2, 9)]
    rows = [(1, text, at(6)), *later]
    index = index_of([entry(n, said, session=f"s{n}", created_at=t) for n, said, t in rows], KEYLESS)
    assert ask(index, query).rids(0, 1).tolist() == [1]


def test_the_time_of_an_event_is_the_one_it_tells_of() -> None:
    rows = [
        (1, "Nora played the cello.", at(4, 20)),
        (2, "Nora moved to Berlin last month.", at(6)),
        (3, "Nora kept two rabbits.", at(6, 2)),
        (4, "Nora read a novel.", at(5, 15)),
    ]
    assert added("What did Nora do before she moved to Berlin?", rows=rows) == {1}


def test_an_event_of_one_word_must_be_told_of_by_few() -> None:
    rows = [*ROWS, (5, "The wedding was lovely.", at(7))]
    assert added("What did Nora do after the wedding?", rows=rows) == {3}
    many = [*rows, *((n, f"A wedding guest, number {n}.", at(1)) for n in range(10, 20))]
    assert added("What did Nora do after the wedding?", rows=many) == set()


def test_a_long_text_is_no_event() -> None:
    words = " ".join(f"thing{n}" for n in range(60))
    rows = [*(row for row in ROWS if row[0] != 2), (2, f"Nora moved to Berlin. {words}", at(6))]
    assert added("What did Nora do before she moved to Berlin?", rows=rows) == set()


def test_the_stage_can_be_switched_off() -> None:
    weights = replace(KEYLESS, event=0.0, chat=replace(KEYLESS.chat or KEYLESS, event=0.0))
    assert added("What did Nora do before she moved to Berlin?", weights=weights) == set()


@pytest.mark.parametrize("side", ["before", "after"])
def test_facts_have_the_time_since_which_they_are_true(side: str) -> None:
    with Memory(path=":memory:", embedder="hash", llm=None) as memory:
        for text, month in (
            ("Nora played the cello.", 2),
            ("Nora moved to Berlin.", 6),
            ("Nora kept rabbits.", 10),
        ):
            memory.add(text, user_id="u", infer=False, valid_from=datetime(2023, month, 1, tzinfo=UTC))
        found = memory.search(f"What did Nora do {side} she moved to Berlin?", user_id="u", explain=True)
        order = [item.memory for item in found.results if "Berlin" not in item.memory]
        assert order[0] == ("Nora played the cello." if side == "before" else "Nora kept rabbits.")
