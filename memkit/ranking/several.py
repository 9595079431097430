"""Queries for several things: "Which places has Ann been to?", "What do Ann and Bob both like?".

What answers them was said at several times, one thing at each. The turns around one of them are about the same one:
they share its words, and are found by its window. So of turns beside each other the best one comes first, and the
others behind what was said elsewhere.
"""

from __future__ import annotations

import numpy as np

from memkit.ranking.asked import NAME, TELLS
from memkit.ranking.signals import DECIMALS, Fused
from memkit.ranking.view import Array, View


def gather(view: View, fused: Fused) -> None:
    """Put a talk in the order that a query for several things asks for; the scores of `fused` are changed."""
    w = view.weights
    if w.item:
        tells, names = (view.flags & TELLS) > 0, (view.flags & NAME) > 0
        fused.add("item", np.add(tells, names, dtype=np.float64), w.item)
    if w.apart:
        fused.add("apart", _better_beside(view, fused.score), -w.apart)


def _better_beside(view: View, score: Array) -> Array:
    """Return how many of the two turns beside each turn, in its session, are better."""
    near, ahead = view.near[0][:-1], np.diff(score.round(DECIMALS))
    better = np.zeros(len(score))
    better[1:] += near & (ahead < 0)
    better[:-1] += near & (ahead > 0)
    return better
