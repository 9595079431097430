"""The shortcuts of the signals give what their plain forms do."""

from __future__ import annotations

import random

import numpy as np
import pytest

from memkit.ranking import signals
from memkit.ranking.vectors import _quantised, quantise  # pyright: ignore[reportPrivateUsage]
from memkit.ranking.view import View
from tests.ranking.corpus import EMBEDDER, entry, fact, index_of, query

WORDS = "garden kettle Oslo boat wedding cat letter red paint walk music bread".split()


def talk(turns: int, seed: int) -> View:
    """A view of talk in sessions of uneven length, with a few facts before it."""
    some = random.Random(seed)
    entries = [fact(n, f"Ann has a {WORDS[n]}.") for n in range(3)]
    for rid in range(3, turns):
        said = " ".join(some.choices(WORDS, k=some.choice([1, 4, 9, 70])))
        entries.append(entry(rid, said, session=f"s{some.choice([0, 0, 0, 1, 2, rid])}"))
    return index_of(entries)._cached(query("now")).view  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize(("turns", "seed"), [(4, 0), (5, 1), (40, 2), (200, 3)])
@pytest.mark.parametrize("border", ["_SMALL", "_BLOCK"])
def test_windows_are_counted_the_same_however_many_words_and_rows_there_are(
    monkeypatch: pytest.MonkeyPatch, turns: int, seed: int, border: str
) -> None:
    view = talk(turns, seed)
    some = np.random.default_rng(seed)
    holds = some.random((5, len(view))) < np.array([[0.0], [0.02], [0.1], [0.5], [1.0]])
    at = np.nonzero(holds)[1]
    found = signals.Found(
        at=at,
        count=some.integers(1, 4, len(at)).astype(np.float64),
        repeats=np.array([1.0, 1, 2, 1, 1]),
        frequency=holds.sum(axis=1),
        size=len(view),
    )
    mass = some.random(5)
    one = signals.window_words(view, found, mass)
    monkeypatch.setattr(signals, "_TINY", 0)
    monkeypatch.setattr(signals, border, 0)
    other = signals.window_words(view, found, mass)
    assert one[0].any()
    for mine, theirs in zip(one, other, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("decimals", [0, 1, 9])
def test_the_best_of_a_session_are_its_three_best_rows_or_all_of_fewer(decimals: int) -> None:
    view = talk(60, decimals)
    y = np.random.default_rng(decimals).standard_normal(len(view)).round(decimals)
    best = signals.session_best(view, y)
    told, sessions = y[view.talk_from :], view.session
    for row, session in enumerate(sessions):
        three = np.sort(told[sessions == session])[-3:]
        assert best[view.talk_from + row] == pytest.approx(three.mean())
    assert not best[: view.talk_from].any()


@pytest.mark.parametrize("text", ["Where does Ann paint?", "é", ""])
def test_a_query_is_quantised_as_a_memory_is(text: str) -> None:
    for row in (EMBEDDER.embed([text])[0], np.random.default_rng(1).standard_normal(64).astype(np.float32)):
        codes, scale = _quantised(row)
        (other,), (others,) = quantise(row[None, :])
        assert codes.tolist() == other.tolist() and scale == others
