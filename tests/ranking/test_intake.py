"""The words of many rows read at once are those of each row read alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from memkit.ledger.records import RankRow
from memkit.ranking.intake import Intake, read_words
from memkit.ranking.postings import Vocabulary

_PIECES = (
    "I", "i", "i_", "_i_", "my", "We", "x", "a", "the", "of", "and", "running", "Ran", "runs", "Paris", "yesterday",
    "May", "june", "2023", "1234567", "it's", 'said "Yes"', "to Berlin", "an X", "a_B", ", Ann", "der", "die", "und",
    "ich", "nicht", "Wir", "sono", "la", "les", "est", "y", "w" * 80, "w" * 70 + "v", "no-one", "?", "...", "Zoë",
    "naïve", "東京に", "в Москве", "\0", "\x1f", "\t", "\u00a0", "", '"', "'", "x y Z", "day;", "l'été",
    "“Oh!”", "don’t", "— Ann", "😀", "👍🏽", "❤️", "™", "½", "€5", "a´b", "so…",
)  # fmt: skip
_DATES = (0, 1_683_500_000_000_000, -62_135_596_800_000_000, -(10**18), 10**20)


def _row(text: str, speaker: str | None, created_at: int, *, dated: bool) -> RankRow:
    return RankRow(
        rid=1, text=text, speaker=speaker, role=None, session=None, agent=None, user=None, created_at=created_at,
        dated=dated, kind="fact", valid_from=0, valid_until=None, expires_at=None,
    )  # fmt: skip


def _rows(pieces: Sequence[str], speakers: Sequence[str | None]) -> st.SearchStrategy[RankRow]:
    texts = st.lists(st.sampled_from(pieces), max_size=9).map(" ".join)
    return st.builds(_row, texts, st.sampled_from(speakers), st.sampled_from(_DATES), dated=st.booleans())


_speakers = (None, None, "Ann", "I", "April", "me myself", "X Y")
_plain_rows = _rows([piece for piece in _PIECES if piece.isascii() and piece != "\0"], _speakers)
_any_rows = _rows(_PIECES, (*_speakers, "Zoë", "\0"))


def _of_each(rows: list[RankRow]) -> tuple[list[Any], set[str]]:
    vocabulary = Vocabulary()
    found: list[Any] = []
    for row in rows:
        read = read_words([row], vocabulary)
        found.append(_told(read.terms, int(read.words[0]), int(read.cues[0]), vocabulary))
    return found, set(vocabulary)


def _by_row(read: Intake) -> list[Any]:
    return np.split(read.terms, np.cumsum(read.lengths)[:-1])


def _told(terms: Any, words: int, cues: int, vocabulary: Vocabulary) -> tuple[list[str], int, int]:
    stems = list(vocabulary)
    return [stems[term] for term in terms.tolist()], words, cues


@given(st.lists(_plain_rows, min_size=24, max_size=30), st.lists(_any_rows, max_size=6), st.integers(0, 24))
@settings(max_examples=30, deadline=None, phases=(Phase.explicit, Phase.generate))
def test_rows_read_at_once_are_as_read_one_by_one(
    plain: list[RankRow], others: list[RankRow], at: int
) -> None:
    rows = [*plain[:at], *others, *plain[at:]]
    vocabulary = Vocabulary()
    read = read_words(rows, vocabulary)
    found = [
        _told(terms, int(read.words[n]), int(read.cues[n]), vocabulary)
        for n, terms in enumerate(_by_row(read))
    ]
    each, known = _of_each(rows)
    assert found == each
    assert set(vocabulary) == known


def test_rows_in_ascii_and_english_are_read_at_once_and_alike() -> None:
    texts = [
        "I went to Paris yesterday.",
        "the cat, Tom, ran",
        "a",
        "",
        "und ich bin nicht da",
        "nothing " * 40,
    ]
    rows = [_row(f"{text} {n}", None, 0, dated=False) for n in range(10) for text in texts]
    vocabulary = Vocabulary()
    read = read_words(rows, vocabulary)
    each, known = _of_each(rows)
    assert set(vocabulary) == known
    assert [len(terms) for terms in _by_row(read)] == [len(stems) for stems, _, _ in each]
    assert read.words.tolist() == [len(row.text.split()) for row in rows]
