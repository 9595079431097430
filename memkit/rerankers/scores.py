"""Scores as somebody's object gave them, checked and brought to 0 to 1."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from memkit.errors import BackendResponseError

Scores = Literal["auto", "probability", "logit"]
"""What scores are; `auto` takes those of an answer as logits where one of them is outside of 0 to 1."""


def scored_pairs(
    places: Sequence[int], scores: Sequence[float | None], texts: int, kind: Scores, name: str
) -> list[tuple[int, float]]:
    """Return pairs of place and score in [0, 1], best first.

    Args:
        places: Which texts were kept, in the order they were given back.
        scores: One per place; where one is None the order stands, and the scores fall evenly from 1.
        texts: How many texts there were.
        kind: What the scores are.
        name: The name of the object, for messages.

    Raises:
        BackendResponseError: There are more or fewer scores than places, or one is not finite.
    """
    if len(scores) != len(places):
        raise BackendResponseError(f"{name} gave {len(scores)} scores for {len(places)} texts.", backend=name)
    given = [float(score) for score in scores if score is not None]
    if len(given) < len(scores):
        return [(place, 1 - rank / texts) for rank, place in enumerate(places)]
    if not all(math.isfinite(score) for score in given):
        raise BackendResponseError(f"{name} gave a score that is not finite.", backend=name)
    if kind == "logit" or (kind == "auto" and not all(0 <= score <= 1 for score in given)):
        given = [0.5 * (1 + math.tanh(score / 2)) for score in given]  # the sigmoid, without overflow
    pairs = zip(places, (min(1.0, max(0.0, score)) for score in given), strict=True)
    return sorted(pairs, key=lambda pair: -pair[1])
