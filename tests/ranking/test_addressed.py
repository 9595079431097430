"""Speakers whom a query names are spoken to in what is embedded of it; who said something is a signal of its own."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import pytest

from memkit.ranking.index import Entry, OwnerIndex, RankQuery
from memkit.ranking.query import addressed, of_each
from memkit.ranking.weights import EMBEDDED, KEYLESS, OTHER, Weights
from tests.ranking.corpus import NOW, entry, fact, index_of


@pytest.mark.parametrize(
    ("query", "names", "asked"),
    [
        ("What does Ann paint?", ["ann"], "What does you paint?"),
        ("What is Ann's job, and Bob’s?", ["ann", "bob"], "What is your job, and your?"),
        ("what does ann paint", ["ann"], "what does you paint"),
        ("Where does Ann Smith live?", ["ann smith"], "Where does you live?"),
        ("Where does Ann live?", ["ann smith"], "Where does you live?"),
        ("Where does José live?", ["josé"], "Where does you live?"),
        ("Why will Will paint?", ["will"], "Why will you paint?"),
        ("Why did Annabel announce it?", ["ann"], "Why did Annabel announce it?"),
        ("Who paints?", ["a.b", "(", "x|y"], "Who paints?"),
    ],
)
def test_a_name_in_an_english_query_is_you(query: str, names: Collection[str], asked: str) -> None:
    assert addressed(query, names) == asked


@pytest.mark.parametrize("query", ["Ann", "Ann?", "Who is Ann?", "Ann's"])
def test_a_query_that_says_nothing_but_a_name_keeps_it(query: str) -> None:
    assert addressed(query, ["ann"]) == query


@pytest.mark.parametrize(
    "query",
    [
        "Was hat Ann gekauft?",
        "¿Qué pinta Ann?",
        "Que peint Ann en été ?",
        "Что рисует Ann?",
        "Annは何を描く",
        "",
    ],
)
def test_a_query_in_another_language_keeps_its_names(query: str) -> None:
    assert addressed(query, ["ann"]) == query


@pytest.mark.parametrize(
    ("asked", "alone"),
    [
        ("What do you and you both like?", "What do you like?"),
        ("What have both you and you seen?", "What have you seen?"),
        ("What do both, you and you, eat?", "What do you, eat?"),
        ("Where did you, you and you meet?", "Where did you meet?"),
        ("Who is taller, you or you?", "Who is taller, you?"),
        ("What are you and your plans?", "What are your plans?"),
        ("What do you tell you and Cleo?", "What do you tell you and Cleo?"),
        ("What do you both like?", "What do you both like?"),
    ],
)
def test_what_is_asked_of_several_people_is_asked_of_each(asked: str, alone: str) -> None:
    assert of_each(asked) == alone


def _chat() -> list[Entry]:
    return [
        entry(1, "I paint boats", speaker="Ann"),
        entry(2, "I bake bread", speaker="Bob"),
        entry(3, "Have you met Cleo?", speaker="Ann"),
    ]


def _embedded(
    entries: list[Entry], text: str, weights: Weights = EMBEDDED, agents: set[str] | None = None
) -> str:
    seen = None if agents is None else frozenset[str | None](agents)
    index: OwnerIndex = index_of(entries, weights)
    return index.embedded(RankQuery(text=text, vector=None, at=NOW, now=NOW, agents=seen))


@pytest.mark.parametrize("weights", [EMBEDDED, OTHER])
def test_a_chat_is_asked_as_if_its_speakers_were_spoken_to(weights: Weights) -> None:
    assert _embedded(_chat(), "What does Ann paint?", weights) == "What does you paint?"
    assert _embedded(_chat(), "Does Cleo like Bob's bread?", weights) == "Does Cleo like your bread?"


def test_what_is_embedded_of_a_query_for_an_order_is_about_its_matter_alone() -> None:
    assert "order" not in _embedded(_chat(), "In what order did Ann talk about paint and boats?")


def test_who_is_only_told_of_keeps_her_name() -> None:
    facts = [fact(1, "Ann paints boats."), fact(2, "Ann has a cat.")]
    assert _embedded(facts, "What does Ann paint?") == "What does Ann paint?"
    said = [entry(n, f"Ann paints boat {n}", speaker=None) for n in range(3)]
    assert _embedded(said, "What does Ann paint?") == "What does Ann paint?"


def test_words_alone_are_searched_with_their_names() -> None:
    assert _embedded(_chat(), "What does Ann paint?", KEYLESS) == "What does Ann paint?"


def test_speakers_who_are_asked_together_are_asked_one_by_one_unless_that_is_switched_off() -> None:
    assert EMBEDDED.chat is not None
    off = replace(EMBEDDED, chat=replace(EMBEDDED.chat, each=False))
    assert _embedded(_chat(), "What do Ann and Bob both like?") == "What do you like?"
    assert _embedded(_chat(), "What do Ann and Bob both like?", off) == "What do you and you both like?"
    assert _embedded(_chat(), "What do Ann and Cleo both like?") == "What do you and Cleo both like?"


def test_the_part_can_be_switched_off() -> None:
    assert EMBEDDED.chat is not None
    off = replace(EMBEDDED, chat=replace(EMBEDDED.chat, address=False))
    assert _embedded(_chat(), "What does Ann paint?", off) == "What does Ann paint?"


def test_a_speaker_out_of_view_changes_nothing() -> None:
    hidden = entry(9, "I paint boats", speaker="Dora", agent="theirs")
    entries = [replace(each, agent="ours") for each in _chat()]
    for text in ("What does Dora paint?", "What does Ann paint for Dora?"):
        alone = _embedded(entries, text, agents={"ours"})
        assert _embedded([*entries, hidden], text, agents={"ours"}) == alone
    assert _embedded([*entries, hidden], "What does Dora paint?") == "What does you paint?"


def test_an_empty_view_asks_what_was_asked() -> None:
    assert _embedded(_chat(), "What does Ann paint?", agents={"nobody"}) == "What does Ann paint?"
