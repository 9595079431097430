"""From a query and a view to one number a row that orders: parts, standardised, weighted, spread over the talk.

    y     = sum of weight * z(part)
    score = y + previous*y[i-1] + next*y[i+1] + session*mean3(y of the session)
          + speaker*S + date*T + first*U - question*Q + length*z(words)

`z` is over all rows in view, its mean and deviation drawn towards what is expected where the view is small.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from memkit.ranking.view import Array, Ints, Mask, View, total
from memkit.ranking.weights import PRIOR_WEIGHT, SESSION_BEST, Part

_BLOCK: Final = 2_000_000
_SMALL: Final = 65_536
_RARE: Final = 16
"""Where words times rows are many, a word in fewer than one of so many rows is counted by sorting where it is."""
_EPS: Final = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Found:
    """Where the words of a query are: one entry per word and row that holds it.

    Attributes:
        term: Number of the word in the query.
        at: Position of the row.
        count: How often it is there.
        repeats: How often each word is in the query.
        frequency: In how many rows in view each word is.
        size: Rows in view.
    """

    term: Ints
    at: Ints
    count: Array
    repeats: Array
    frequency: Ints
    size: int


_Windows = tuple[Ints, Ints, Array, Ints]
"""Words, rows, how often each of the words is in the window of its row; and in how many windows every word is."""


def locate(view: View, postings: tuple[Ints, Array, list[int]], repeats: Sequence[int]) -> Found:
    """Bring the postings of a query's words into view."""
    slots, count, sizes = postings
    term = np.repeat(np.arange(len(sizes)), sizes)
    if view.position is None:
        at, frequency = slots, np.array(sizes, np.int64)
    else:
        at = view.position[slots]
        seen = at >= 0
        if not seen.all():
            term, at, count = term[seen], at[seen], count[seen]
        frequency = np.bincount(term, minlength=len(sizes))
    return Found(
        term=term,
        at=at,
        count=count,
        repeats=np.array(repeats, np.float64),
        frequency=frequency,
        size=len(view),
    )


def idf(frequency: Ints | Array, size: float) -> Array:
    """Return ln(1 + (N - df + 0.5) / (df + 0.5)), Lucene's form, never negative."""
    return np.log1p((size - frequency + 0.5) / (frequency + 0.5))


def own_words(view: View, found: Found) -> Array:
    """Return BM25 of each row's own text."""
    worth = found.repeats * idf(found.frequency, len(view))
    part = worth[found.term] * found.count / (found.count + view.own_norm(found.at))
    return total(found.at, part, len(view))


def window_words(view: View, found: Found, mass: Array) -> tuple[Array, Array]:
    """Return BM25 of each row's window, and the share of `mass` (a weight per word) that its window holds."""
    size = len(view)
    bm25, share = np.zeros(size), np.zeros(size)
    for term, at, sums, frequency in _windows(view, found):
        worth = found.repeats * idf(frequency, size)
        bm25 += total(at, worth[term] * sums / (sums + view.window_norm(at)), size)
        share += total(at, mass[term], size)
    return bm25, share


def _windows(view: View, found: Found) -> Iterator[_Windows]:
    """Yield the words of a query in windows, some words at a time."""
    terms, size = len(found.repeats), len(view)
    if view.talk_from == size:  # without talk a window is the own text
        yield found.term, found.at, found.count, found.frequency
        return
    often = np.full(terms, terms * size <= _SMALL) | (found.frequency > size // _RARE)
    rare = np.flatnonzero(~often)
    if len(rare):
        keys, counts = _window_keys(view, found, rare)
        filled, place = np.unique(keys, return_inverse=True)
        yield _window_counts(rare, filled, total(place, counts, len(filled)), found)
    words = np.flatnonzero(often)
    step = max(1, _BLOCK // max(1, size))
    for block in (words[first : first + step] for first in range(0, len(words), step)):
        keys, counts = _window_keys(view, found, block)
        flat = total(keys, counts, len(block) * size)
        filled = np.flatnonzero(flat)
        yield _window_counts(block, filled, flat[filled], found)


def _window_keys(view: View, found: Found, words: Ints) -> tuple[Ints, Array]:
    """Return `place of the word * rows + row` where some words are lent to, and how often each is lent."""
    if len(words) == len(found.repeats):
        place, at, times = found.term, found.at, found.count
    else:
        places = np.full(len(found.repeats), -1, np.int64)
        places[words] = np.arange(len(words))
        inside = places[found.term] >= 0
        place, at, times = places[found.term[inside]], found.at[inside], found.count[inside]
    key = place * len(view) + at
    lends = view.short[at]
    keys, weights = [key], [times]
    key, lender, lent = key[lends], at[lends], times[lends]
    for distance, near in enumerate(view.near, 1):
        ahead = near[lender]
        behind = near.take(lender - distance, mode="wrap")  # wraps to the end, which is False
        keys += [key[ahead] + distance, key[behind] - distance]
        weights += [lent[ahead], lent[behind]]
    return np.concatenate(keys), np.concatenate(weights)


def _window_counts(words: Ints, filled: Ints, sums: Array, found: Found) -> _Windows:
    size, terms = found.size, len(found.repeats)
    place = filled // size
    term = words[place]
    return term, filled - place * size, sums, np.bincount(term, minlength=terms)


def standardise(values: Array, part: Part, weight: float = 1.0) -> Array:
    """Return `weight` times z over the rows in view, mean and deviation pooled with what is expected of the part.

    A row without a value (NaN) gets 0.
    """
    known = values
    summed = float(values.sum())
    if summed != summed:  # NaN
        known = values[~np.isnan(values)]
        summed = float(known.sum())
    n = len(known)
    if n == 0:
        return np.zeros(len(values))
    whole = n + PRIOR_WEIGHT
    seen = summed / n
    spread = max(0.0, float(known @ known) / n - seen * seen)
    mean = (n * seen + PRIOR_WEIGHT * part.mean) / whole
    variance = (
        n * (spread + (seen - mean) ** 2) + PRIOR_WEIGHT * (part.std**2 + (part.mean - mean) ** 2)
    ) / whole
    z = values - mean
    z *= weight / (math.sqrt(variance) + _EPS)
    return z if n == len(values) else np.nan_to_num(z, copy=False, nan=0.0)


def following(view: View, y: Array) -> Array:
    """Return for each turn the value of the next turn of its session, else 0."""
    out = np.zeros(len(y))
    near = view.near[0]
    out[:-1] = np.where(near[:-1], y[1:], 0.0)
    return out


def preceding(view: View, y: Array) -> Array:
    """Return for each turn the value of the turn before it in its session, else 0."""
    out = np.zeros(len(y))
    near = view.near[0]
    out[1:] = np.where(near[:-1], y[:-1], 0.0)
    return out


def session_best(view: View, y: Array) -> Array:
    """Return for each turn the mean of the three best values of its session, else 0."""
    out = np.zeros(len(y))
    if view.talk_from == len(y):
        return out
    talk, session = y[view.talk_from :].copy(), view.session
    starts = view.starts - view.talk_from
    sizes = np.diff(np.append(starts, len(talk)))
    sums = np.zeros(len(starts))
    for nth in range(SESSION_BEST):
        best = np.maximum.reduceat(talk, starts)
        sums += np.where(sizes > nth, best, 0.0)
        holders = np.flatnonzero(talk == best[session])
        owners = session[holders]
        first = np.ones(len(owners), np.bool_)
        first[1:] = owners[1:] != owners[:-1]
        talk[holders[first]] = -1e300
    out[view.talk_from :] = (sums / np.minimum(sizes, SESSION_BEST))[session]
    return out


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fused:
    """The order of a view for one query.

    Attributes:
        score: What orders; comparable only within this query and view.
        contributions: What each signal added to it.
    """

    score: Array
    contributions: dict[str, Array]


def fuse(
    view: View,
    *,
    dense: Array | None,
    words: Array,
    window: Array,
    speaker: Mask | None,
    date: Mask | None,
    first: bool,
) -> Fused:
    """Put all signals of a query together; rows are rounded to 1e-6, so that equal memories tie exactly."""
    w = view.weights
    talks = view.talk_from < len(view)
    parts = {"bm25": standardise(words, w.words, w.words.weight)}
    if talks:  # without talk a window is the own text again
        parts["window"] = standardise(window, w.window, w.window.weight)
    if dense is not None:
        z_dense = standardise(dense, w.dense, w.dense.weight)
        missing = np.isnan(dense)
        if missing.any():  # A row that has no vector yet is taken to be as near as its words are.
            z_dense[missing] = w.dense.weight / w.words.weight * parts["bm25"][missing]
        parts = {"dense": z_dense} | parts
    y = _sum(parts)
    if talks:
        parts["next"] = w.next * following(view, y)
        parts["session"] = w.session * session_best(view, y)
        if w.previous:
            parts["previous"] = w.previous * preceding(view, y)
    if w.length:
        parts["length"] = w.length * view.length_z
    if speaker is not None:
        parts["speaker"] = w.speaker * speaker.astype(np.float64)
    if date is not None:
        parts["date"] = w.date * date.astype(np.float64)
    if first:
        parts["first_person"] = w.first * view.user.astype(np.float64)
    if w.question and view.question.any():
        parts["question"] = -w.question * view.question.astype(np.float64)
    return Fused(score=np.round(_sum(parts), 6), contributions=parts)


def _sum(parts: dict[str, Array]) -> Array:
    first, *rest = parts.values()
    out = first.copy()
    for part in rest:
        out += part
    return out
