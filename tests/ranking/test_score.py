"""The score is a probability: the same for a memory in a scope of one and in one of ten thousand."""

from __future__ import annotations

import numpy as np
import pytest

from memkit.ranking.calibration import COSINES, isotonic, rescaled
from memkit.ranking.constants import ANSWERABLE, CALIBRATIONS
from memkit.ranking.index import Entry, OwnerIndex
from memkit.ranking.weights import EMBEDDED
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


@pytest.mark.parametrize("question", [*OFF_TOPIC, *(question for _, question in ANSWERS)])
def test_no_memory_answers_more_surely_than_all_together(
    fillers: dict[int, OwnerIndex], question: str
) -> None:
    for index in fillers.values():
        index.upsert([*TURNS, *NOTES])
        ranking = ask(index, question)
        assert ranking.answerable is not None
        assert ranking.scores().max() <= ranking.answerable
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


def test_a_scope_of_one_answers_as_surely_as_one_of_ten_thousand(fillers: dict[int, OwnerIndex]) -> None:
    for memory, question in ASKED:
        found: list[float] = []
        for index in fillers.values():
            index.upsert([memory])
            found.append(ask(index, question).answerable or 0)
            index.remove([memory.rid])
        assert found[0] > 0.6, question
        assert found[0] >= found[-1] - 0.1, question


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


SPEAKS_FOR = {
    "cosine", "share", "strong", "matched", "cosine_matched", "cosine_share", "late", "speaker", "own", "own_meant",
    "own_shared", "margin", "place",
}  # fmt: skip


@pytest.mark.parametrize("level", CALIBRATIONS)
def test_what_speaks_for_a_memory_never_counts_against_it(level: str) -> None:
    counts = CALIBRATIONS[level].coefficients
    assert all(counts[name] >= 0 for name in SPEAKS_FOR & counts.keys())
    assert all(counts[name] <= 0 for name in {"other_speaker", "other_date"} & counts.keys())


SPEAKS_FOR_AN_ANSWER = {
    "found": ("window", "margin", "contrast", "fall", "best_matched"),
    "told": ("matched", "lead", "contrast", "fall", "best", "around", "nearest"),
    "premise": ("lead", "contrast", "tells", "cosine_share"),
}


@pytest.mark.parametrize("level", ANSWERABLE)
@pytest.mark.parametrize("must", SPEAKS_FOR_AN_ANSWER)
def test_what_speaks_for_an_answer_never_counts_against_it(level: str, must: str) -> None:
    counts = getattr(ANSWERABLE[level], must).coefficients
    assert all(counts[name] > 0 for name in SPEAKS_FOR_AN_ANSWER[must])


def test_equal_memories_have_equal_scores() -> None:
    twins = [fact(n, "Ann's cat is called Whiskers.") for n in (1, 2)]
    first, second, other = ask(
        index_of([*twins, fact(3, "Ann's car is blue.")]), "What is Ann's cat called?"
    ).scores()
    assert first == second > other


def test_a_deed_asked_of_the_other_person_is_less_answerable() -> None:
    index = index_of([*TURNS, *filler(300)])
    for asked in (
        "What is the name of {}'s cat?",
        "Which instrument does {} play?",
        "How often did {} fail the driving test?",
    ):
        hers, his = (ask(index, asked.format(name)).answerable or 0 for name in ("Ann", "Bob"))
        assert hers > his + 0.1


def test_another_embedder_s_cosines_come_to_the_scale_that_is_known() -> None:
    known = np.random.default_rng(1).normal(*COSINES, 500)
    known[7] = 0.8
    given = 0.75 + 0.15 * known
    squeezed = rescaled(given)
    assert np.abs(squeezed - known).max() < 0.08
    assert (np.argsort(squeezed) == np.argsort(known)).all()
    assert rescaled(given[:1]) == COSINES[0]


def test_a_memory_in_other_words_is_told_by_its_vector() -> None:
    def vector(cosine: float, axis: int) -> np.ndarray:
        row = np.zeros(8, np.float32)
        row[0], row[axis] = cosine, np.sqrt(1 - cosine**2)
        return row

    meant = fact(1, "I adopted a tabby from the shelter.", vector=vector(0.65, 1))
    near = fact(2, "The canteen closes early on Fridays.", vector=vector(0.25, 2))
    for memories in ([meant], [near], [meant, near]):
        index = OwnerIndex(8, weights=EMBEDDED)
        index.upsert(memories)
        scores = dict(ask(index, "Which pet lives here?", vector=vector(1.0, 1)).hits())
        assert scores.get(1, 1.0) > 0.3
        assert scores.get(2, 0.0) < 0.1
