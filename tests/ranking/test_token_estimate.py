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


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("👩\u200d👩\u200d👧\u200d👦", 18), ("🏳️\u200d🌈", 9), ("👍🏽", 6), ("🐕", 3), ("𠀀", 4)],
)
def test_signs_of_many_bytes_are_not_counted_short_by_more_than_a_fifth(text: str, tokens: int) -> None:
    # As the table `cl100k_base` counts them; what is taken for granted of the estimate everywhere.
    assert estimate_tokens(text * 20) >= 0.8 * 20 * tokens
