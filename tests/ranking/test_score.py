"""The score is a probability: the same for a memory in a scope of one and in one of ten thousand."""

from __future__ import annotations

import numpy as np
import pytest

from memkit.ranking.calibration import isotonic
from memkit.ranking.index import Entry, OwnerIndex
from tests.ranking.corpus import ANSWERS, FACTS, OFF_TOPIC, ask, entry, fact, filler, index_of

SIZES = (1, 10, 100, 1_000, 10_000)
TURNS = [entry(n, memory, session=f"own-{n}") for n, (memory, _) in enumerate(ANSWERS, 1)]
NOTES = [fact(100 + n, memory) for n, (memory, _) in enumerate(FACTS, 1)]
ASKED = [
    *((turn, question) for turn, (_, question) in zip(TURNS, ANSWERS, strict=True)),
    *((note, question) for note, (_, question) in zip(NOTES, FACTS, strict=True)),
]


@pytest.fixture(scope="module")
def fillers() -> dict[int, OwnerIndex]:
    every = filler(max(SIZES))
    return {size: index_of(every[: size - 1]) for size in SIZES}


def scores(fillers: dict[int, OwnerIndex], memory: Entry, question: str) -> list[float]:
    found: list[float] = []
    for index in fillers.values():
        index.upsert([memory])
        found.append(dict(ask(index, question).hits())[memory.rid])
        index.remove([memory.rid])
    return found


@pytest.mark.parametrize(("memory", "question"), ASKED, ids=lambda x: x if isinstance(x, str) else "")
def test_a_memory_scores_the_same_in_every_scope(
    fillers: dict[int, OwnerIndex], memory: Entry, question: str
) -> None:
    found = scores(fillers, memory, question)
    assert max(found) - min(found) <= 0.15
    assert min(found) > 0.3


@pytest.mark.parametrize("memory", [*TURNS[:3], *NOTES[:2]], ids=lambda m: m.text[:20])
def test_a_memory_asked_word_for_word_scores_above_eight_tenths(
    fillers: dict[int, OwnerIndex], memory: Entry
) -> None:
    found = scores(fillers, memory, memory.text)
    assert min(found) > 0.8
    assert max(found) - min(found) <= 0.15


@pytest.mark.parametrize("question", OFF_TOPIC)
def test_the_best_off_topic_memory_scores_under_a_tenth(
    fillers: dict[int, OwnerIndex], question: str
) -> None:
    for index in fillers.values():
        index.upsert([*TURNS, *NOTES])
        assert ask(index, question).scores(0, 1)[0] < 0.1
        assert (ask(index, question).answerable or 0) < 0.3
        index.remove([e.rid for e in (*TURNS, *NOTES)])


@pytest.mark.parametrize("question", OFF_TOPIC)
def test_one_off_topic_memory_alone_scores_under_a_tenth(question: str) -> None:
    for memory in (*TURNS, *NOTES):
        assert ask(index_of([memory]), question).scores(0, 1)[0] < 0.1


def test_answered_questions_are_likelier_answerable_than_others() -> None:
    index = index_of([*TURNS, *NOTES, *filler(500)])
    answered = [ask(index, question).answerable or 0 for _, question in ASKED]
    others = [ask(index, question).answerable or 0 for question in OFF_TOPIC]
    assert min(answered) > max(others)


def test_isotonic_is_the_nearest_falling_sequence() -> None:
    assert isotonic(np.array([0.9, 0.2, 0.4, 0.1])).tolist() == pytest.approx([0.9, 0.3, 0.3, 0.1])
    assert isotonic(np.array([0.1, 0.2, 0.9])).tolist() == pytest.approx([0.4, 0.4, 0.4])
    assert isotonic(np.empty(0)).tolist() == []


def test_a_person_whom_nobody_names_is_taken_for_the_one_who_speaks() -> None:
    mine = entry(1, "I failed my driving test twice before I passed it.", speaker=None)
    question = "How often did Ann fail her driving test?"
    unnamed = ask(index_of([mine]), question).scores()[0]
    among_speakers = dict(ask(index_of([mine, *filler(100)]), question).hits())[1]
    somebody_else = ask(index_of([entry(1, mine.text, speaker="Bob")]), question).scores()[0]
    assert unnamed > 0.5
    assert abs(unnamed - among_speakers) < 0.15
    assert somebody_else < unnamed - 0.2
