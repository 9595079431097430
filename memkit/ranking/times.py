"""Which memories are of the time that a query names, by any clock: said then, true since then, or telling of then."""

from __future__ import annotations

from typing import Final

import numpy as np

from memkit.ranking.days import LONGEST, asked_spans
from memkit.ranking.view import Array, Ints, Mask, View
from memkit.ranking.when import ZONES_US, named_months, relative_days

_LATER: Final = 38 * 3_600_000_000
"""A day ends up to 14 hours later elsewhere, and much of it is told the day after."""
_DAY_AFTER: Final = 0.5
"""How much of a day what is said so soon after it counts as."""
_ELSEWHERE: Final = 0.75
"""How much of "yesterday" it counts as that an instant is of it in some zones, and not in UTC."""
Spans = list[tuple[int, int]]


def asked_times(view: View, query: str, now: int) -> tuple[Array | Mask | None, Array | None]:
    """Return how much rows are of the time that a query names, and how much of the very days, both up to 1.

    By any clock: when it was said, since when it is true, and the time that it tells of.
    """
    months, years = named_months(query)
    if not months and not years:
        spans = relative_days(query, now)
        if not spans:
            return None, None
        sure = _of_times(view, [(start + ZONES_US, end - ZONES_US) for start, end in spans])
        return np.where(sure, 1.0, _ELSEWHERE * _of_times(view, spans)), None
    match = _in_months(view.month, months, years)
    for instants, rows in _other_clocks(view):
        match[rows] |= _in_months(_months(instants), months, years)
    days, times = asked_spans(query, _years(view))
    if times:  # "since May 10" is of all that came after
        match |= _of_times(view, times)
    if not days:
        return match, None
    dated = view.month >= 0
    day = _tells_of(view, days, LONGEST) | (dated & _within(view.created, days))
    apart = np.flatnonzero(view.since != view.created)
    day[apart] |= _within(view.since[apart], days)
    after = dated & _within(view.created, [(end, end + _LATER) for _, end in days])
    return match | day, np.where(day, 1.0, _DAY_AFTER * after)


def _other_clocks(view: View) -> list[tuple[Ints, Ints]]:
    """Return when rows are true from, and when that begins and ends which they tell of, with their places."""
    apart = np.flatnonzero(view.since != view.created)
    begins, ends = view.told
    told = np.flatnonzero(ends)
    return [(view.since[apart], apart), (begins[told], told), (ends[told] - 1, told)]


def _of_times(view: View, spans: Spans) -> Mask:
    """Return the rows of some spans; near now, what was learned is of its time whether or not that was given."""
    match = _within(view.created, spans) | _tells_of(view, spans)
    apart = np.flatnonzero(view.since != view.created)
    match[apart] |= _within(view.since[apart], spans)
    return match


def _years(view: View) -> list[int]:
    """Return the years in which something in view was said."""
    return np.unique(view.month[view.month >= 0] // 12).tolist()


def _tells_of(view: View, spans: Spans, longest: int | None = None) -> Mask:
    """Return the rows that tell of a time inside any of the spans, or around it; of a short one where that is asked."""
    begins, ends = view.told
    match = np.zeros(len(view), np.bool_)
    for start, end in spans:
        match |= (begins < end) & (ends > start)
    return match if longest is None else match & (ends - begins <= longest)


def _within(instants: Ints, spans: Spans) -> Mask:
    inside = np.zeros(len(instants), np.bool_)
    for start, end in spans:
        inside |= (instants >= start) & (instants < end)
    return inside


def _months(instants: Ints) -> Ints:
    """Return the months of instants, counted from the year 0 on."""
    return instants.astype("M8[us]").astype("M8[M]").astype(np.int64) + 12 * 1970


def _in_months(month: Ints, months: frozenset[int], years: frozenset[int]) -> Mask:
    """Return which months, counted from the year 0 on, are of these names and these years; -1 is of none."""
    match = month >= 0
    if months:
        match &= np.array([number in months for number in range(1, 13)])[month % 12]
    if years:
        whole = month // 12
        match &= np.logical_or.reduce([whole == year for year in years])
    return match
