"""From a query and a view to one number a row that orders: parts, standardised, weighted, spread over the talk.

    y     = sum of weight * z(part)
    score = y + previous*y[i-1] + next*y[i+1] + session*mean3(y of the session)
          + speaker*S + date*T + first*U - question*Q + length*z(words)

`z` is over all rows in view, its mean and deviation drawn towards what is expected where the view is small.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from memkit.ranking.view import Array, Ints, Mask, View, total
from memkit.ranking.weights import PRIOR_WEIGHT, SESSION_BEST, Part

_BLOCK: Final = 2_000_000
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
    """

    term: Ints
    at: Ints
    count: Array
    repeats: Array
    frequency: Ints


def locate(view: View, postings: Sequence[tuple[Ints, Array]], repeats: Sequence[int]) -> Found:
    """Bring the postings of a query's words into view."""
    sizes = [len(slots) for slots, _ in postings]
    none = np.empty(0, np.int64)
    slots = np.concatenate([none, *(s for s, _ in postings)])
    count = np.concatenate([np.empty(0), *(c for _, c in postings)])
    at = view.position[slots]
    term = np.repeat(np.arange(len(sizes)), sizes)
    seen = at >= 0
    if not seen.all():
        term, at, count = term[seen], at[seen], count[seen]
    return Found(
        term=term,
        at=at,
        count=count,
        repeats=np.array(repeats, np.float64),
        frequency=np.bincount(term, minlength=len(sizes)),
    )


def idf(frequency: Ints | Array, size: float) -> Array:
    """Return ln(1 + (N - df + 0.5) / (df + 0.5)), Lucene's form, never negative."""
    return np.log1p((size - frequency + 0.5) / (frequency + 0.5))


def own_words(view: View, found: Found) -> Array:
    """Return BM25 of each row's own text."""
    worth = found.repeats * idf(found.frequency, len(view))
    part = worth[found.term] * found.count / (found.count + view.own_norm[found.at])
    return total(found.at, part, len(view))


def window_words(view: View, found: Found, mass: Array) -> tuple[Array, Array]:
    """Return BM25 of each row's window, and the share of `mass` (a weight per word) that its window holds."""
    size, terms = len(view), len(found.repeats)
    bm25, share = np.zeros(size), np.zeros(size)
    step = max(1, _BLOCK // max(1, size))
    for first in range(0, terms, step):
        count = min(step, terms - first)
        inside = (found.term >= first) & (found.term < first + count)
        term, at, sums = _window_counts(view, found, inside, first, count)
        worth = found.repeats[first : first + count] * idf(np.bincount(term, minlength=count), size)
        bm25 += total(at, worth[term] * sums / (sums + view.window_norm[at]), size)
        share += total(at, mass[first : first + count][term], size)
    return bm25, share


def _window_counts(
    view: View, found: Found, inside: Mask, first: int, count: int
) -> tuple[Ints, Ints, Array]:
    size = len(view)
    whole = bool(inside.all())
    term = (found.term if whole else found.term[inside]) - first
    at = found.at if whole else found.at[inside]
    times = found.count if whole else found.count[inside]
    keys, weights = [term * size + at], [times]
    if view.talk_from < size:
        lends = view.short[at]
        key, lender, lent = keys[0][lends], at[lends], times[lends]
        for distance, near in enumerate(view.near, 1):
            ahead = near[lender]
            behind = near.take(lender - distance, mode="wrap")  # wraps to the end, which is False
            keys += [key[ahead] + distance, key[behind] - distance]
            weights += [lent[ahead], lent[behind]]
    flat = total(np.concatenate(keys), np.concatenate(weights), count * size)
    filled = np.flatnonzero(flat)
    held = filled // size
    return held, filled - held * size, flat[filled]


def standardise(values: Array, part: Part) -> Array:
    """Return z over the rows in view, mean and deviation pooled with what is expected of the part.

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
    z = (values - mean) / (np.sqrt(variance) + _EPS)
    return z if n == len(values) else np.nan_to_num(z, nan=0.0)


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
    z_words = standardise(words, w.words)
    parts = {"bm25": w.words.weight * z_words}
    if view.talk_from < len(view):  # without talk a window is the own text again
        parts["window"] = w.window.weight * standardise(window, w.window)
    if dense is not None:
        # A row that has no vector yet is taken to be as near as its words are.
        z_dense = np.where(np.isnan(dense), z_words, standardise(dense, w.dense))
        parts = {"dense": w.dense.weight * z_dense} | parts
    y = sum(parts.values(), start=np.zeros(len(view)))
    if view.talk_from < len(view):
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
    score = sum(parts.values(), start=np.zeros(len(view)))
    return Fused(score=np.round(score, 6), contributions=parts)
