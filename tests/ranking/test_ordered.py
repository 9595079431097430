"""Queries for an order: what they are about, who said it, and the best of every session."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from memkit.ranking.index import Entry, OwnerIndex, RankQuery
from memkit.ranking.ordered import middle
from memkit.ranking.vectors import ColumnTable, Floats, RowTable
from memkit.ranking.weights import EMBEDDED, KEYLESS, Part, Weights
from tests.ranking.corpus import NOW, entry, index_of, query

ORDER = "In what order did I bring up the garden plan?"


def _explained(index: OwnerIndex, asked: RankQuery, rid: int) -> dict[str, float]:
    contributions = index.rank(asked).explain(rid)["contributions"]
    assert isinstance(contributions, dict)
    return contributions


def test_what_the_asker_said_comes_before_what_was_answered() -> None:
    said = [
        entry(1, "the garden plan has roses", role="user", speaker=None),
        entry(2, "the garden plan has roses and the garden plan is good", role="assistant", speaker=None),
        entry(3, "something else altogether", role="user", speaker=None),
    ]
    index = index_of(said)
    assert KEYLESS.chat is not None
    assert _explained(index, query(ORDER), 1)["mine"] == KEYLESS.chat.mine
    assert _explained(index, query(ORDER), 2)["mine"] == 0
    assert "mine" not in _explained(index, query("the garden plan"), 1)
    assert "mine" not in _explained(index, query("In what order was the garden plan brought up?"), 1)


def _axis(*at: int) -> Floats:
    row = np.zeros(8, np.float32)
    row[list(at)] = 1
    return row / np.float32(np.linalg.norm(row))


def _topics() -> list[Entry]:
    """Eight turns that name the matter and lie on axis 1, then one on axis 1 and one on axis 2 that do not name it."""
    named = [entry(n, "the garden plan", session=f"s{n}", vector=_axis(0, 1)) for n in range(1, 9)]
    return [
        *named,
        entry(11, "roses by the wall", session="x", vector=_axis(1)),
        entry(12, "a rainy afternoon", session="y", vector=_axis(2)),
        *(entry(n, f"noise {n}", session=f"z{n}", vector=_axis(3 + n % 5)) for n in range(20, 40)),
    ]


def _weights(topic: float) -> Weights:
    assert EMBEDDED.chat is not None
    part = Part(weight=topic, mean=0.05, std=0.15)
    return replace(EMBEDDED, chat=replace(EMBEDDED.chat, topic=part), long=None)


def _index(topic: float, entries: list[Entry]) -> OwnerIndex:
    index = OwnerIndex(8, weights=_weights(topic))
    index.upsert(entries)
    return index


def _asked(text: str) -> RankQuery:
    return RankQuery(text=text, vector=_axis(0), at=NOW, now=NOW)


def test_the_best_memories_say_what_a_query_for_an_order_is_about() -> None:
    plain, looked_again = _index(0.0, _topics()), _index(2.0, _topics())
    before, after = (_explained(index, _asked(ORDER), 11) for index in (plain, looked_again))
    assert "topic" not in before
    assert after["topic"] > 0 > _explained(looked_again, _asked(ORDER), 12)["topic"]
    assert "topic" not in _explained(looked_again, _asked("the garden plan"), 11)
    order = looked_again.rank(_asked(ORDER)).rids().tolist()
    assert order.index(11) < order.index(12)


def test_a_memory_without_a_vector_is_neither_near_to_the_matter_nor_far() -> None:
    entries = [*_topics(), entry(50, "roses", session="w", vector=None)]
    assert _explained(_index(2.0, entries), _asked(ORDER), 50)["topic"] == pytest.approx(0, abs=1e-9)
    bare = [replace(each, vector=None) for each in _topics()]
    ranked = _index(2.0, bare).rank(_asked(ORDER))
    assert sorted(ranked.rids().tolist()) == sorted(each.rid for each in bare)
    assert np.isfinite(ranked.scores(0, len(bare))).all()


def test_hidden_memories_change_nothing_about_the_matter() -> None:
    ours = [replace(each, agent="ours") for each in _topics()]
    theirs = [
        entry(60 + n, "the garden plan", session="q", agent="theirs", vector=_axis(2)) for n in range(9)
    ]
    seen = replace(_asked(ORDER), agents=frozenset({"ours"}))
    alone, beside = (_index(2.0, entries).rank(seen) for entries in (ours, ours + theirs))
    assert list(alone) == list(beside)


@pytest.mark.parametrize("table", [RowTable(8), ColumnTable(8)])
def test_the_middle_of_vectors_leaves_out_what_has_none(table: RowTable | ColumnTable) -> None:
    rows = [_axis(0), None, _axis(1), _axis(2)]
    table.put(0, rows)
    third = np.array([1, 1, 1, 0, 0, 0, 0, 0], np.float32) / 3
    assert table.middle(None) == pytest.approx(third, abs=0.01)
    assert table.middle(np.array([1, 2])) == pytest.approx(_axis(1), abs=0.01)
    assert table.middle(np.array([1])) == pytest.approx(np.zeros(8))


def test_no_direction_leads_from_the_middle_to_itself() -> None:
    assert middle(_axis(1), _axis(1)) == pytest.approx(np.zeros(8))
    assert np.linalg.norm(middle(_axis(1), _axis(2))) == pytest.approx(1)
