"""Times that are told by an event: "before she moved to Berlin", "since the wedding", "while he was in Rome".

The event is looked for among the memories in view, by the words of its clause; when it was, by any clock, is the time
that is meant.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

import numpy as np

from memkit.ranking.asked import look_for
from memkit.ranking.signals import Found, idf
from memkit.ranking.text import stems_of, surface
from memkit.ranking.view import Ints, Mask, View, total
from memkit.ranking.words import STOP_WORDS

_BEFORE: Final = ("before", "prior to", "until", "till")
_BESIDE: Final = ("while", "during")
_SIDES: Final = (*_BEFORE, "after", "since", "following", *_BESIDE)
_APART: Final = (*_BEFORE, "after", "since")
"""What is asked for is not the event itself."""
_HALF: Final = 0.5
"""An event that holds so much of what else is asked is perhaps the answer."""
_CLAUSE: Final = re.compile(rf"\b(?P<side>{'|'.join(_SIDES)})\s+(?P<clause>[^?.!,;]{{3,}})", re.IGNORECASE)
_SURE: Final = 0.6
"""Share of what the clause tells that the event has to hold, by the idf of its words."""
_FEW: Final = 5
"""Rows that may hold the word of an event that has only one."""
_LONGEST: Final = 40
"""Words that count in what tells of an event: a long text holds many words, whatever it tells of."""
_NEAR: Final = 14 * 86_400_000_000
"""How far from an event that takes its time what happened meanwhile is told."""


def anchored(
    view: View, query: str, terms: list[str], found: Found, names: Collection[str] = ()
) -> tuple[Mask, int | None] | None:
    """Return the rows that were before, after or at the time of the event that a query names; None where it names none.

    With them comes the row of the event where it is no answer itself: what was before the move is not the move.

    Args:
        terms: The stems of the query.
        found: Where they are.
        names: Those that name people.
    """
    named = look_for(_CLAUSE, query, _SIDES) if view.weights.event else None
    if named is None:
        return None
    clause = stems_of(word for word in surface(named["clause"]) if word not in STOP_WORDS)
    event = _event(view, clause, terms, found)
    if event is None:
        return None
    begins, ends = _when(view, event)
    side, times = named["side"].lower(), _times(view)
    if side in _BEFORE:
        rows = times < begins
    elif side in _BESIDE:
        rows = (times >= begins - _NEAR) & (times < ends + _NEAR)
    else:
        rows = times >= ends
    rows &= (view.month >= 0) | (view.since != view.created)
    rows[event] = False
    if not rows.any():
        return None
    asked = [term not in clause and term not in names for term in terms]
    return rows, event if side in _APART and _holds(found, event, np.array(asked)) < _HALF else None


def _event(view: View, clause: Collection[str], terms: list[str], found: Found) -> int | None:
    """Return the row that tells of what a clause says, by its stems; None where none surely does."""
    worth = idf(found.frequency, len(view)) * np.array([term in clause for term in terms])
    known = worth * (found.frequency > 0)
    held = found.frequency[known > 0]
    if len(held) == 0 or (len(held) == 1 and held[0] > _FEW):
        return None
    share = total(found.at, found.each(known), len(view)) / worth.sum()
    # Of those that hold as much, the one that says little else.
    best = int(np.lexsort((view.length, -share.round(6)))[0])
    return best if share[best] >= _SURE and view.length[best] <= _LONGEST else None


def _holds(found: Found, row: int, asked: Mask) -> float:
    """Return the share that a row holds of what some words of a query tell.

    "Who looks after the kids?" has no event: what tells of the kids tells who looks.
    """
    worth = idf(found.frequency, found.size) * asked
    return float(found.each(worth)[found.at == row].sum()) / (float(worth.sum()) or 1.0)


def _when(view: View, row: int) -> tuple[int, int]:
    begins, ends = int(view.told[0][row]), int(view.told[1][row])
    if ends:
        return begins, ends
    moment = int(_said(view)[row])
    return moment, moment


def _times(view: View) -> Ints:
    """Return when that was which each row tells of."""
    return np.where(view.told[1] > 0, view.told[0], _said(view))


def _said(view: View) -> Ints:
    """Return when turns were said, and since when what is no turn is true."""
    return np.concatenate([view.since[: view.talk_from], view.created[view.talk_from :]])
