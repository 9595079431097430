from __future__ import annotations

import pytest

from memkit.ranking.token_estimate import estimate_tokens


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
