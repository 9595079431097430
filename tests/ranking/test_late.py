"""Late interaction: what a match is, what a query's tokens count, and how two stages become one order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memkit.embedders.base import TokenCodes
from memkit.ranking.late import (
    LONGEST,
    HeldTokens,
    Tokens,
    pack,
    second_stage,
    token_terms,
    token_weights,
    without_signs,
)
from memkit.ranking.view import Rows, make_view
from memkit.ranking.weights import EMBEDDED

WIDTH = 8
NAME = "test-axes/1"


def codes(seed: int, count: int) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(count, WIDTH))
    return np.rint(127 * rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.int8)


def query(asked: np.ndarray, stored: dict[int, bytes | None]) -> Tokens:
    held = {rid: packed for rid, packed in stored.items() if packed is not None}
    return Tokens(
        text="",
        asked=TokenCodes(asked, np.zeros((len(asked), 2), np.int32)),
        identity=NAME,
        stored=lambda rids: {rid: held[rid] for rid in rids if rid in held},
    )


def plainly(asked: np.ndarray, memory: np.ndarray, weight: np.ndarray) -> float:
    best = (asked.astype(float) @ memory.T.astype(float)).max(axis=1) / 127.0**2
    return float(weight @ best / weight.sum())


@given(
    sizes=st.lists(st.integers(1, LONGEST), min_size=1, max_size=12),
    asked=st.integers(1, 20),
    seed=st.integers(0, 99),
)
def test_a_match_is_the_weighted_mean_of_each_tokens_best_cosine(
    sizes: list[int], asked: int, seed: int
) -> None:
    memories = {rid: codes(seed + rid, size) for rid, size in enumerate(sizes, 5)}
    question = codes(seed, asked)
    weights = [np.random.default_rng(n).random(asked) + 0.1 for n in range(2)]
    tokens = query(question, {rid: pack(rows, NAME) for rid, rows in memories.items()})
    found = tokens.best(list(memories), weights[0], HeldTokens())
    for weight in weights:
        assert found.weighted(weight) == pytest.approx(
            [plainly(question, rows, weight) for rows in memories.values()]
        )


def test_a_match_depends_on_the_two_texts_alone() -> None:
    question, rows = codes(1, 9), {rid: codes(rid, 7 + rid) for rid in range(100)}
    tokens = query(question, {rid: pack(row, NAME) for rid, row in rows.items()})
    weight = np.linspace(0.3, 2.0, 9)
    together = tokens.best(list(rows), weight, HeldTokens()).weighted(weight)
    alone = [float(tokens.best([rid], weight, HeldTokens()).weighted(weight)[0]) for rid in rows]
    assert together.tolist() == pytest.approx(alone, abs=1e-12)


def test_what_has_no_tokens_has_no_match() -> None:
    row = codes(1, 5)
    stored = {1: pack(row, NAME), 2: None, 3: pack(row, "other-axes/2"), 4: b"", 5: b"xy"}
    found = query(codes(2, 4), stored).best([1, 2, 3, 4, 5, 6], np.ones(4), HeldTokens()).weighted(np.ones(4))
    assert np.isnan(found).tolist() == [False, True, True, True, True, True]
    assert np.isnan(query(codes(2, 4), {}).best([1, 2], np.ones(4), HeldTokens()).weighted(np.ones(4))).all()
    assert np.isnan(
        query(codes(2, 0), stored).best([1, 2], np.ones(0), HeldTokens()).weighted(np.ones(0))
    ).all()


def test_tokens_of_a_row_are_read_once_until_it_changes_or_others_are_asked_for() -> None:
    packed = {rid: pack(codes(rid, 5), NAME) for rid in (1, 2)}
    read: list[int] = []

    def stored(rids: Sequence[int]) -> dict[int, bytes]:
        read.extend(rids)
        return {rid: blob for rid in rids if (blob := packed.get(rid)) is not None}

    held = HeldTokens()

    def asked(identity: str = NAME) -> list[float]:
        tokens = Tokens(
            text="",
            asked=TokenCodes(codes(9, 4), np.zeros((4, 2), np.int32)),
            identity=identity,
            stored=stored,
        )
        return tokens.best([1, 2, 3], np.ones(4), held).weighted(np.ones(4)).tolist()

    first = asked()
    assert asked() == pytest.approx(first, nan_ok=True)
    assert read == [1, 2, 3], "a row without tokens is not asked for again either"
    packed[2] = pack(codes(7, 5), NAME)
    size = held.nbytes
    held.drop([2, 99])
    assert held.nbytes < size
    changed = asked()
    assert read == [1, 2, 3, 2]
    assert held.nbytes == size
    assert changed[0] == first[0]
    assert changed[1] != first[1]
    assert np.isnan(asked("other-axes/2")).all()
    assert asked() == pytest.approx(changed, nan_ok=True)


def test_tokens_that_are_held_stay_within_their_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memkit.ranking.late._HELD_BYTES", 20_000)
    memories, held, weight = {rid: codes(rid, 100) for rid in range(60)}, HeldTokens(), np.ones(4)
    tokens = query(codes(99, 4), {rid: pack(rows, NAME) for rid, rows in memories.items()})
    for start in (0, 20, 40, 10):
        rids = list(range(start, start + 20))
        matched = tokens.best(rids, weight, held).weighted(weight)
        assert matched == pytest.approx([plainly(codes(99, 4), memories[rid], weight) for rid in rids])
        assert held.nbytes <= 20_000 + 20 * 1_000


def test_long_memories_and_empty_ones_are_kept_without_tokens() -> None:
    assert pack(codes(1, LONGEST), NAME) is not None
    assert pack(codes(1, LONGEST + 1), NAME) is None
    assert pack(codes(1, 0), NAME) is None


def test_of_a_long_query_the_tokens_that_tell_most_are_compared() -> None:
    asked, weight = codes(3, 300), np.full(300, 0.01)
    telling = [7, 150, 299]
    weight[telling] = 5.0
    memory = codes(9, 30)
    found = query(asked, {1: pack(memory, NAME)}).best([1], weight, HeldTokens()).weighted(weight)
    assert found[0] == pytest.approx(plainly(asked[telling], memory, weight[telling]), abs=0.02)


@pytest.mark.parametrize(
    ("pieces", "kept"),
    [
        (["Ann", "said", ",", '"', "Tea", "'", "s", "up", "!", '"'], ["Ann", "said", "Tea", "s", "up"]),
        (["5", "%", "…", "“", "é", "”", "ि"], ["5", "é", "ि"]),
        (["?", "!"], ["?", "!"]),
        ([], []),
    ],
)
def test_signs_of_a_text_are_no_tokens_of_it_unless_it_has_no_others(
    pieces: list[str], kept: list[str]
) -> None:
    text = " ".join(pieces)
    tokens = TokenCodes(codes(1, len(pieces)), spans(text, pieces))
    found = without_signs(text, tokens)
    assert [text[begin:end] for begin, end in found.spans.tolist()] == kept
    rows = tokens.codes.tolist()
    assert found.codes.tolist() == [rows[n] for n, piece in enumerate(pieces) if piece in kept]


def spans(text: str, pieces: Sequence[str]) -> np.ndarray:
    out, at = [], 0
    for piece in pieces:
        at = text.index(piece, at)
        out.append((at, at + len(piece)))
        at += len(piece)
    return np.array(out, np.int32).reshape(-1, 2)


@pytest.mark.parametrize(
    ("text", "pieces", "terms"),
    [
        (
            "When did Ann's dogs run?",
            ["When", "did", "Ann", "'", "s", "dogs", "run", "?"],
            ["", "", "ann", None, "", "dog", "run", None],
        ),
        ("unbelievable ramen", ["un", "bel", "iev", "able", "ramen"], ["unbeliev"] * 4 + ["ramen"]),
        ("ramen " * 2 + "x y", ["ramen", "ramen", "x", "y"], ["ramen", "ramen", "x", ""]),
        ("a_b c d", ["a", "_", "b", "c", "d"], ["a_b"] * 3 + ["c", ""]),
        ("京都の寺", ["京", "都", "の", "寺"], ["京都", "都の", "の寺", "寺"]),
        ("", [], []),
        ("?!", ["?", "!"], [None, None]),
    ],
)
def test_a_token_counts_what_its_word_does(text: str, pieces: list[str], terms: list[str | None]) -> None:
    assert token_terms(text, spans(text, pieces)) == terms


def test_rare_words_count_more_than_common_ones_stop_words_and_signs() -> None:
    weights = token_weights(["rare", "common", "", None], {"rare": 6.0, "common": 0.8})
    assert weights.tolist() == sorted(weights.tolist(), reverse=True)
    assert (weights > 0).all()


def test_both_stages_count_by_their_share() -> None:
    first, late = np.arange(100.0)[::-1], np.arange(100.0)
    assert np.argsort(-second_stage(first, [(late, 0.2)]), kind="stable").tolist() == list(range(100))
    assert np.argsort(-second_stage(first, [(late, 0.8)]), kind="stable").tolist() == list(range(99, -1, -1))
    assert second_stage(first, [(late, 0.0)]) == pytest.approx(
        second_stage(first, [(np.full(100, np.nan), 0.5)])
    )


def test_of_few_rows_a_hair_in_one_stage_does_not_count_like_a_mile_in_the_other() -> None:
    """With two rows every z is 1: what is expected of larger scopes says how far apart they are."""
    both = second_stage(np.array([2.0, 1.0]), [(np.array([0.400, 0.401]), 0.5)])
    assert both[0] > both[1]
    assert np.isfinite(second_stage(np.array([1.0]), [(np.array([0.4]), 0.5)])).all()
    assert len(second_stage(np.empty(0), [(np.empty(0), 0.5)])) == 0


def test_a_row_without_tokens_keeps_its_place_among_the_others() -> None:
    first = np.array([4.0, 3.0, 2.0, 1.0])
    assert np.argsort(-second_stage(first, [(np.full(4, np.nan), 0.5)])).tolist() == [0, 1, 2, 3]
    some = second_stage(first, [(np.array([0.4, np.nan, 0.2, 0.1]), 0.5)])
    assert np.argsort(-some).tolist() == [0, 1, 2, 3]
    only = second_stage(first, [(np.array([0.1, np.nan, np.nan, np.nan]), 0.5)])
    assert only == pytest.approx(second_stage(first, [(np.full(4, np.nan), 0.5)])), (
        "there is nothing to compare with"
    )
    assert np.isfinite(second_stage(first, [(np.array([np.nan, np.nan, np.nan, 0.5]), 0.5)])).all()


def test_equal_rows_stay_equal() -> None:
    assert not second_stage(np.ones(5), [(np.full(5, 0.3), 0.5)]).any()


def test_a_turn_lends_its_tokens_to_its_neighbours_of_the_same_session() -> None:
    rows = Rows()
    turns = np.arange(8)
    columns = {"talk": turns // 4, "words": np.full(8, 5), "length": np.full(8, 3), "rid": turns + 1}
    rows.append({name: values.tolist() for name, values in columns.items()}, 8)
    view = make_view(rows, None, EMBEDDED)
    asked = query(codes(99, 6), {rid: pack(codes(rid, 5), NAME) for rid in range(1, 9) if rid != 3})
    at = np.array([6, 0, 3, 2, 1, 4], np.int64)  # neither in order nor all of them
    own = asked.best(view.rid[at].tolist(), np.ones(6), HeldTokens())
    around = own.around(view, at)
    held = {int(at[n]): own.best[place] for place, n in enumerate(own.known)}
    assert set(held) == {6, 0, 3, 1, 4}
    for place, n in enumerate(own.known):
        here = int(at[n])
        near = [other for other in held if 0 < abs(other - here) <= 2 and other // 4 == here // 4]
        lent = [0.95 * held[other] for other in near]
        assert around.best[place] == pytest.approx(np.max([held[here], *lent], axis=0))
