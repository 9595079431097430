"""What a search is asked with, and what it is given back by others, may be nonsense; results and scores are not."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from memkit import Memory
from memkit.errors import FilterError, InvalidInputError
from memkit.ranking.sentences import sentences
from tests.embedders.minilm_forward import needs_weights
from tests.engine.faces import Face, World

TEXTS = [
    f"Ann's {thing} is {colour}." for thing in ("cat", "boat", "car") for colour in ("red", "blue", "old")
]


class Reranker:
    """Answers what it is told to."""

    name = "odd"

    def __init__(self, answer: Callable[[int], Any]) -> None:
        self.answer = answer

    def rerank(self, query: str, texts: Sequence[str], limit: int) -> Any:
        return self.answer(len(texts))


ODD: dict[str, Callable[[int], Any]] = {
    "nothing at all": lambda n: None,
    "scores alone": lambda n: [0.5] * n,
    "a word": lambda n: "best",
    "a number": lambda n: 5,
    "a generator": lambda n: ((place, 0.5) for place in range(n)),
    "triples": lambda n: [(0, 1, 0.5)],
    "dicts": lambda n: [{"index": 0, "score": 0.4}],
    "scores by place": lambda n: [{0: 0.5, 1: 0.7}],
    "words in pairs": lambda n: [("first", "high")],
    "no score": lambda n: [(0, None)],
    "half a place": lambda n: [(0.5, 0.3)],
    "not a number": lambda n: [(0, math.nan)],
    "beyond all numbers": lambda n: [(0, 10**400)],
    "out of range": lambda n: [(n, 0.9), (-1, 0.8)],
}


@pytest.mark.parametrize("case", ODD)
def test_a_reranker_that_answers_nonsense_leaves_the_order_and_a_warning(world: World, case: str) -> None:
    plain = world.open()
    plain.add_many(TEXTS, user_id="u", infer=False)
    own = plain.search("Is Ann's cat old?", user_id="u", limit=4).results
    odd = world.open(reranker=Reranker(ODD[case])).search("Is Ann's cat old?", user_id="u", limit=4)
    assert [item.id for item in odd.results] == [item.id for item in own]
    assert [item.score for item in odd.results] == [item.score for item in own]
    assert ["pairs of an index and a score" in warning for warning in odd.warnings] == [True]


def test_of_a_place_that_a_reranker_names_twice_the_first_score_counts(world: World) -> None:
    memory = world.open(reranker=Reranker(lambda n: [(1, 0.9), (0, 0.5), (1, 0.1)]))
    memory.add_many(TEXTS, user_id="u", infer=False)
    found = memory.search("Is Ann's cat old?", user_id="u", limit=3)
    assert [item.score for item in found.results[:2]] == [0.9, 0.5]
    assert len({item.id for item in found.results}) == 3
    assert found.warnings


@pytest.mark.parametrize("bad", [5, 1.5, [None], [5], ["fact", "nope"], []])
def test_kinds_are_names_of_kinds(memory: Face, bad: Any) -> None:
    with pytest.raises(InvalidInputError, match="kinds"):
        memory.search("cat", user_id="u", kinds=bad)


@pytest.mark.parametrize(
    "condition",
    [
        {"created_at": {"gte": "2024-02-30"}},
        {"valid_until": "2024-13-01"},
        {"updated_at": {"in": ["2024-01-01", "soon"]}},
        {"NOT": [{"expires_at": {"lt": "tomorrow"}}]},
        {"created_at": {"gt": 1_700_000_000}},
    ],
)
def test_a_time_that_does_not_exist_is_an_error_and_no_empty_result(
    memory: Face, condition: dict[str, Any]
) -> None:
    memory.add("The cat is red.", user_id="u", infer=False)
    for call in (memory.get_all, memory.count):
        with pytest.raises(FilterError, match="holds an instant"):
            call(user_id="u", filters=condition)
    for ask in (memory.search, memory.context):
        with pytest.raises(FilterError, match="holds an instant"):
            ask("cat", user_id="u", filters=condition)


def test_times_that_exist_and_times_that_are_missing_can_be_asked_for(memory: Face) -> None:
    memory.add("The cat is red.", user_id="u", infer=False)
    for condition in (
        {"created_at": {"gt": "2020-02-29"}},
        {"valid_until": None},
        {"expires_at": {"exists": False}},
        {"created_at": {"contains": "T"}},
    ):
        assert memory.count(user_id="u", filters=condition) == 1


@pytest.mark.parametrize("bad", [5, ["gpt-4o"], b"gpt-4o"])
def test_a_tokenizer_is_a_function_or_a_name(memory: Face, bad: Any) -> None:
    memory.add("The cat is red.", user_id="u", infer=False)
    with pytest.raises(InvalidInputError, match="tokenizer"):
        memory.context("cat", user_id="u", tokenizer=bad)


REQUESTS = (
    "Can you help me write a cover letter?",
    "Fix my python code",
    "How do I cook rice?",
    "What should I wear to a wedding?",
    "Give me a recipe for lasagne",
    "How many moons does Jupiter have?",
)


@pytest.mark.parametrize("role", ["user", None])
@pytest.mark.parametrize("embedder", ["hash", pytest.param("minilm", marks=needs_weights)])
def test_what_a_user_wants_to_be_told_of_the_world_scores_under_a_tenth(
    embedder: str, role: str | None
) -> None:
    texts = (
        "We adopted a greyhound called Pixel from the shelter.",
        "I run a half marathon every October.",
        "The librarian repaired the garage door on a quiet evening.",
    )
    with Memory(":memory:", llm=None, embedder=embedder) as memory:
        memory.add_many([{"role": role, "content": t} if role else t for t in texts], user_id="u")
        for request in REQUESTS:
            found = memory.search(request, user_id="u")
            assert (found.results[0].score or 0) < 0.1, request
            assert (found.answerable or 0) < 0.3, request
        greyhound = memory.search("What is the name of our greyhound?", user_id="u").results[0]
        assert "Pixel" in greyhound.memory
        assert embedder == "hash" or (greyhound.score or 0) > 0.6


def test_a_long_run_of_full_stops_is_read_once() -> None:
    # What reads the rest of the run again at each of its stops takes a quarter of an hour for this.
    assert sentences("I prefer cats. " + "." * 100_000 + " dogs")[0] == "I prefer cats."


def test_memories_that_differ_by_a_digit_or_a_letter_are_told_apart(world: World) -> None:
    memory = world.open()
    for place in "3579BCFX":
        memory.add(f"The code of gate {place} is {1000 + ord(place)}.", user_id="u", infer=False)
    for place in "3579bcfx":
        first = memory.search(f"What is the code of gate {place}?", user_id="u").results[0]
        assert first.memory == f"The code of gate {place.upper()} is {1000 + ord(place.upper())}."
