from __future__ import annotations

import numpy as np
import pytest

from memkit.ranking.budget import diversify, estimate_tokens, pack


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("", 0, 0),
        ("The quick brown fox jumps over the lazy dog.", 9, 13),
        ("我昨天在北京买了一只白猫。", 10, 20),
        ("Вчера я купил собаку в Москве.", 7, 20),
        ("1234567890", 3, 5),
        ("    \n\n    ", 1, 5),
        ("🎉" * 10, 5, 40),
    ],
)
def test_tokens_are_estimated_within_reason(text: str, low: int, high: int) -> None:
    assert low <= estimate_tokens(text) <= high


def test_a_pack_never_exceeds_its_budget_and_takes_what_fits() -> None:
    texts = ["one two three", "word " * 100, "four five"]
    packed = pack(texts, 20, overhead=2)
    assert packed.places == (0, 2)
    assert packed.tokens <= 20
    assert packed.left_out == 1
    assert pack(texts, 0).places == ()
    assert pack(["abc"], 3, count=len).tokens == 3


def test_near_copies_come_after_something_new() -> None:
    rows = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
    scores = [0.9, 0.89, 0.8, 0.1]
    assert diversify(scores, rows, 3) == [0, 2, 1]
    assert diversify(scores, rows, 2, trade=1.0) == [0, 1]
    assert diversify([0.1, 0.9], None, 5) == [1, 0]
    assert diversify([], None, 5) == []
    assert diversify([0.5, 0.5], rows[:2], 0) == []
