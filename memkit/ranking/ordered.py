"""Queries for an order: "in which order did I bring up ...", "walk me through ...", "a timeline of ...".

What answers them is all that was said of one thing, from first to last, not what is said most like the query. So the
best memories say what that thing is (a second look, by meaning), what the asker said comes before what was answered,
and the best of each session come before second bests.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np

from memkit.ranking.signals import DECIMALS, Fused, first_rows, line
from memkit.ranking.vectors import Floats
from memkit.ranking.view import Array, Ints, View

ABOUT: Final = 8
"""Best memories whose middle is what a query is about; 6 to 10 of them find as much, within 2 of a hundred."""

Nearness = Callable[[Ints], Array]
"""Gives how near each row in view is to the middle of some of them; NaN where it has no vector."""


def follow(view: View, fused: Fused, *, mine: bool, near: Nearness | None) -> None:
    """Put a talk in the order that a query for an order asks for.

    Args:
        fused: Its scores are changed.
        mine: The query is for what the asker said.
        near: None where there are no vectors.
    """
    w = view.weights
    if mine and w.mine:
        fused.add("mine", view.user, w.mine)
    if near is not None and w.topic.weight:
        nearness = near(first_rows(view, fused.score, ABOUT))
        slope, offset = line(nearness, w.topic)
        known = ~np.isnan(nearness)
        if slope and known.any():
            fused.add("topic", np.where(known, nearness, -offset / slope), slope, offset)
    if w.spread:
        fused.add("spread", _better(view, fused.score), -w.spread)


def middle(near: Floats, apart: Floats) -> Floats:
    """Return where the middle of some vectors lies from the middle of all, as a unit vector; zero if nowhere."""
    out = near - apart
    return out / np.float32(math.sqrt(float(out @ out)) or 1.0)


def _better(view: View, score: Array) -> Array:
    """Return how many better rows the session of each row has."""
    talk_from = view.talk_from
    order = np.lexsort((-score[talk_from:].round(DECIMALS), view.session))
    better = np.empty(len(order), np.int64)
    better[order] = np.arange(len(order)) - (view.starts[view.session] - talk_from)[order]
    behind = np.zeros(len(view))
    behind[talk_from:] = better
    return behind
