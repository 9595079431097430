"""The extractor without a model: what plain sentences say, with a floor under precision and recall."""

from __future__ import annotations

import pytest

from memkit.extraction.relations import relations_in
from tests.extraction.relation_sentences import BETWEEN, CHAT, ENGLISH, FRENCH, GERMAN, SPANISH, Said

EVERY = [*ENGLISH, *GERMAN, *SPANISH, *FRENCH]


def rates(sentences: list[tuple[str, Said]]) -> tuple[float, float]:
    """Precision and recall over the relations of sentences."""
    right = found = wanted = 0
    for text, said in sentences:
        read = set(relations_in(text).relations)
        right, found, wanted = right + len(read & said), found + len(read), wanted + len(said)
    return right / found, right / wanted


@pytest.mark.parametrize(
    ("sentences", "count"),
    [(ENGLISH, 115), (GERMAN, 15), (SPANISH, 13), (FRENCH, 12)],
    ids="en de es fr".split(),
)
def test_what_is_read_was_said_and_most_of_what_was_said_is_read(
    sentences: list[tuple[str, Said]], count: int
) -> None:
    precision, recall = rates(sentences)
    assert len(sentences) >= count
    assert precision >= 0.9 and recall >= 0.6, (precision, recall)


def test_over_all_languages_precision_and_recall_are_high() -> None:
    precision, recall = rates(EVERY)
    assert precision >= 0.95 and recall >= 0.9, (precision, recall)


@pytest.mark.parametrize(("text", "said"), BETWEEN)
def test_how_people_places_and_things_stand_to_each_other_is_read(text: str, said: Said) -> None:
    assert set(relations_in(text).relations) == said


def test_of_ordinary_chat_little_is_missed_and_next_to_nothing_made_up() -> None:
    precision, recall = rates(CHAT)
    assert len(CHAT) >= 120
    assert precision >= 0.97 and recall >= 0.93, (precision, recall)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Siemens is based in Munich.", ("Siemens", "located_in", "Munich")),
        ("My sister Lea is based in Munich.", ("Lea", "lives_in", "Munich")),
        ("I am based in Munich.", ("User", "lives_in", "Munich")),
    ],
)
def test_only_people_live_where_they_are_based(text: str, said: tuple[str, str, str]) -> None:
    assert said in relations_in(text).relations
    others = [one for one in relations_in(text).relations if one[2] == "Munich" and one != said]
    assert others == []


def test_kinds_follow_from_what_is_said_of_an_entity() -> None:
    kinds = dict(relations_in("My sister Clara lives in Leeds and works at Hexa. Leeds is nice.").entities)
    assert kinds == {"Clara": "person", "Leeds": "place", "Hexa": "organisation"}


@pytest.mark.parametrize(
    "text", ["", " ", "\n\n", "...", "A" * 50_000, "I live in " * 4_000, "\0", "'s 's 's", "Ana " * 9_000]
)
def test_odd_texts_are_read_in_no_time_and_say_nothing(text: str) -> None:
    assert relations_in(text).relations == []


def test_a_list_of_turns_in_one_text_is_read_line_by_line() -> None:
    text = "Ana lives in Rome\nBob works at Acme\nI like tea"
    assert relations_in(text).relations == [
        ("Ana", "lives_in", "Rome"),
        ("Bob", "works_at", "Acme"),
        ("User", "likes", "tea"),
    ]
