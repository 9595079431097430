"""From a query and a view to one number a row that orders: parts, standardised, weighted, spread over the talk.

    y     = sum of weight * z(part)
    score = y + (previous + answers*Q[i-1])*y[i-1] + next*y[i+1] + session*mean3(y of the session)
          + speaker*S + date*T + day*D + first*U + wish*W + kind*K + tells*I - question*Q + length*z(words)

`z` is over all rows in view, its mean and deviation drawn towards what is expected where the view is small.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from memkit.ranking.asked import TELLS, WISH
from memkit.ranking.view import Array, Ints, Mask, View, norm, total
from memkit.ranking.weights import PRIOR_WEIGHT, SESSION_BEST, WINDOW_B, Part, Weights

_BLOCK: Final = 2_000_000
_TINY: Final = 16_384
"""Words times rows that are counted one and all: where they are few, to leave some out takes longer."""
_SMALL: Final = 65_536
_RARE: Final = 16
"""Where words times rows are many, a word in fewer than one of so many rows is counted by sorting where it is."""
_ONE_THREAD: Final = 10_000
_AHEAD: Final = 0.01
"""How far ahead of the next row a memory is put that is asked word for word, if it is not farther already."""
_EPS: Final = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Found:
    """Where the words of a query are: one entry per word and row that holds it, word by word.

    Attributes:
        at: Position of the row.
        count: How often it is there.
        repeats: How often each word is in the query; a related one is there by its nearness.
        frequency: In how many rows in view each word is.
        size: Rows in view.
    """

    at: Ints
    count: Array
    repeats: Array
    frequency: Ints
    size: int

    @property
    def term(self) -> Ints:
        """The number of the word in the query, for each entry."""
        return np.repeat(np.arange(len(self.frequency)), self.frequency)

    def each(self, values: Array) -> Array:
        """Return the value of its word for each entry, of one value per word."""
        return np.repeat(values, self.frequency)


_Windows = tuple[Ints, Ints, Array, Ints]
"""Words, rows, how often each of the words is in the window of its row; and in how many windows every word is."""


def locate(view: View, postings: tuple[Ints, Array, list[int]], repeats: Sequence[float]) -> Found:
    """Bring the postings of a query's words into view."""
    at, count, sizes = postings
    frequency = np.array(sizes, np.int64)
    if view.position is not None:
        at = view.position[at]
        seen = at >= 0
        if np.count_nonzero(seen) < len(seen):
            term = np.repeat(np.arange(len(sizes)), frequency)
            at, count = at[seen], count[seen]
            frequency = np.bincount(term[seen], minlength=len(sizes))
    return Found(
        at=at,
        count=count,
        repeats=np.array(repeats, np.float64),
        frequency=frequency,
        size=len(view),
    )


def idf_of(frequency: float, size: float) -> float:
    """Return ln(1 + (N - df + 0.5) / (df + 0.5)), Lucene's form, never negative."""
    return math.log1p((size - frequency + 0.5) / (frequency + 0.5))


def idf(frequency: Ints, size: int) -> Array:
    """Return `idf_of` each frequency."""
    return np.array([idf_of(among, size) for among in frequency.tolist()], np.float64)


def own_words(view: View, found: Found) -> Array:
    """Return BM25 of each row's own text."""
    return saturated(view, found, found.repeats * idf(found.frequency, len(view)))


def saturated(view: View, found: Found, worth: Array) -> Array:
    """Return how much of what words are worth each row's own text has: the more often they are there, the more."""
    part = view.own_norm[found.at]
    part += found.count
    np.divide(found.count, part, out=part)
    part *= found.each(worth)
    return total(found.at, part, len(view))


def cosines_of_words(view: View, found: Found) -> Array:
    """Return the cosine of the words of each row with those of the query, each word counting the same."""
    shared = total(found.at, np.ones(len(found.at)), len(view))
    return shared / np.sqrt(max(len(found.frequency), 1) * np.maximum(view.length, 1))


def window_words(view: View, found: Found, mass: Array) -> tuple[Array, Array]:
    """Return BM25 of each row's window, and the share of `mass` (a weight per word) that its window holds."""
    size = len(view)
    around = view.window_norm if len(view.window_norm) else norm(view.length, WINDOW_B)
    if view.talk_from < size and len(found.repeats) * size <= _TINY:
        counts = _all_windows(view, found)
        held = counts > 0
        each = found.repeats * idf(np.add.reduce(held, axis=1), size)
        return (
            np.add.reduce(each[:, None] * counts / (counts + around), axis=0),
            np.add.reduce(mass[:, None] * held, axis=0),
        )
    bm25, share = np.zeros(size), np.zeros(size)
    for term, at, sums, frequency in _windows(view, found):
        worth = found.repeats * idf(frequency, size)
        bm25 += total(at, worth[term] * sums / (sums + around[at]), size)
        share += total(at, mass[term], size)
    return bm25, share


def _all_windows(view: View, found: Found) -> Array:
    """Return how often each word of a query is in the window of each row: [words, rows]."""
    words, size = len(found.repeats), len(view)
    out = total(found.term * size + found.at, found.count, words * size).reshape(words, size)
    lent = out * view.short
    for distance, near in enumerate(view.near, 1):
        same = near[:-distance]
        out[:, distance:] += lent[:, :-distance] * same
        out[:, :-distance] += lent[:, distance:] * same
    return out


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


def line(values: Array, part: Part) -> tuple[float, float]:
    """Return slope and offset of the part's weight times z over the rows in view.

    Mean and deviation are pooled with what is expected of the part; rows without a value (NaN) do not count.
    """
    summed = float(np.add.reduce(values))
    if summed != summed:  # NaN
        values = values[~np.isnan(values)]
        summed = float(np.add.reduce(values))
    n = len(values)
    if n == 0:
        return 0.0, 0.0
    # What is expected fades as rows are seen: cosines of another embedder may lie elsewhere, and closer together.
    prior = PRIOR_WEIGHT**2 / (PRIOR_WEIGHT + n)
    seen = summed / n
    # A BLAS would wake its threads for long ones.
    squares = float(values @ values) if n <= _ONE_THREAD else float(np.einsum("i,i->", values, values))
    mean = (n * seen + prior * part.mean) / (n + prior)
    variance = (n * max(0.0, squares / n - seen * seen) + prior * part.std**2) / (n + prior)
    slope = part.weight / (math.sqrt(variance) + _EPS)
    return slope, -slope * mean


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
    ends = np.empty_like(starts)
    ends[:-1], ends[-1] = starts[1:], len(talk)
    sizes = ends - starts
    best = np.maximum.reduceat(talk, starts)
    sums = best.copy()
    for nth in range(1, SESSION_BEST):
        holders = (talk == best[session]).nonzero()[0]
        if len(holders) > len(starts):  # of equal ones the first is taken out
            owners = session[holders]
            first = np.ones(len(owners), np.bool_)
            first[1:] = owners[1:] != owners[:-1]
            holders = holders[first]
        talk[holders] = -1e300
        best = np.maximum.reduceat(talk, starts)
        sums += np.where(sizes > nth, best, 0.0)
    out[view.talk_from :] = (sums / np.minimum(sizes, SESSION_BEST))[session]
    return out


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fused:
    """The order of a view for one query.

    Attributes:
        score: What orders; comparable only within this query and view, and only to `DECIMALS`.
        added: For each signal, what each row has of it, and how much of that counts: a factor and a constant; without
            what no query changes.
        view: What it is the order of.
    """

    view: View
    score: Array
    added: dict[str, tuple[Array | Mask, float, float]]

    def add(self, name: str, values: Array | Mask, factor: float, constant: float = 0.0) -> None:
        """Add a signal to the scores, and keep what it added."""
        np.add(self.score, values * factor + constant, out=self.score)
        self.added[name] = (values, factor, constant)

    def contributions(self, at: int) -> dict[str, float]:
        """Return what each signal added to the score of a row."""
        return {
            name: float(values[at]) * factor + constant
            for name, (values, factor, constant) in (self.added | _priors(self.view)).items()
        }

    def first(self, rows: Ints) -> Array:
        """Return what the first stage gave some rows, before they were compared token by token."""
        late = self.added.get("late")
        return self.score[rows] if late is None else self.score[rows] - late[0][rows]


DECIMALS: Final = 4
"""Scores that differ by less are the same: equal memories tie exactly, wherever in the view they stand."""


def fuse(
    view: View,
    *,
    dense: Array | None,
    words: Array,
    window: Array,
    related: Array | None,
    speaker: Mask | None,
    date: Array | Mask | None,
    day: Array | None,
    first: bool,
    kinds: int,
    helps: bool,
) -> Fused:
    """Put all signals of a query together."""
    w = view.weights
    talks = view.talk_from < len(view)
    added: dict[str, tuple[Array | Mask, float, float]] = {"bm25": (words, *line(words, w.words))}
    if talks:  # without talk a window is the own text again
        added["window"] = (window, *line(window, w.window))
    if related is not None:
        added["related"] = (related, w.related * added["bm25"][1], 0.0)
    if dense is not None:
        added = {"dense": _dense(dense, w, added["bm25"])} | added
    score = _sum(added)
    if talks:
        y = score.copy()
        added["next"] = (following(view, y), w.next, 0.0)
        added["session"] = (session_best(view, y), w.session, 0.0)
        if w.previous or w.answers:
            added["previous"] = (preceding(view, y * view.lead), 1.0, 0.0)
        for name in ("next", "session", "previous"):
            if name in added:
                score += added[name][0] * added[name][1]
    for name, mask, weight in (
        ("speaker", speaker, w.speaker),
        ("date", date, w.date),
        ("day", day, w.day),
        ("first_person", view.user if first else None, w.first),
        ("kind", (view.flags & kinds) > 0 if kinds and w.kind else None, w.kind),
        ("wish", (view.flags & WISH) > 0 if helps and w.wish else None, w.wish),
    ):
        if mask is not None:
            added[name] = (mask, weight, 0.0)
            score += mask * weight
    if view.prior is not None:
        score += view.prior
    return Fused(view=view, score=score, added=added)


def _priors(view: View) -> dict[str, tuple[Array | Mask, float, float]]:
    """Return what `view.prior` is made of."""
    w = view.weights
    return {
        name: (values, weight, 0.0)
        for name, values, weight in (
            ("length", view.length_z, w.length),
            ("tells", (view.flags & TELLS) > 0, w.tells),
            ("question", view.question, -w.question),
        )
        if weight and values.any()
    }


def _dense(dense: Array, w: Weights, words: tuple[Array | Mask, float, float]) -> tuple[Array, float, float]:
    """Return the dense part; a row that has no vector yet is taken to be as near as its words are."""
    slope, offset = line(dense, w.dense)
    missing = np.isnan(dense)
    if not np.count_nonzero(missing):
        return dense, slope, offset
    values, factor, constant = words
    share = w.dense.weight / w.words.weight
    return np.where(missing, share * (factor * values + constant), slope * dense + offset), 1.0, 0.0


def _sum(added: dict[str, tuple[Array | Mask, float, float]]) -> Array:
    (values, factor, constants), *rest = added.values()
    out: Array = np.multiply(values, factor, dtype=np.float64)
    for values, factor, constant in rest:
        out += values * factor
        constants += constant
    out += constants
    return out


def lift(fused: Fused, rows: Mask) -> None:
    """Put the memories that say what is asked word for word before all others; a wrong vector does not hide them."""
    if np.count_nonzero(rows) in (0, len(rows)):
        return
    behind = float(fused.score[~rows].max() - fused.score[rows].min())
    fused.add("exact", rows, max(behind + _AHEAD, 0.0))


def put_behind(fused: Fused, rows: Mask, event: int | None) -> None:
    """Put an event behind the best of the rows that are on the side of it that is asked for."""
    if event is None:
        return
    ahead = float(fused.score[event] - fused.score[rows].max())
    if ahead > -_AHEAD:
        itself = np.zeros(len(rows), np.bool_)
        itself[event] = True
        fused.add("anchor", itself, -(ahead + _AHEAD))


def best_rows(score: Array, count: int) -> Ints:
    """Return, in no order, the rows of the best `count` scores, those that tie with them, and perhaps some more."""
    if len(score) <= 4 * count:
        return np.arange(len(score))
    bests = score
    height = len(score) // (16 * count)
    if height > 1:  # The best of each of many groups, of which `count` reach the border.
        bests = score[: height * 16 * count].reshape(height, -1).max(axis=0)
    border = np.partition(bests, len(bests) - count)[len(bests) - count]
    return np.flatnonzero(score >= border - 2 * 10.0**-DECIMALS)


def first_rows(view: View, score: Array, count: int) -> Ints:
    """Return the rows that a ranking begins with: `count` of them, best first, or all in no order."""
    rows = best_rows(score, count)
    if len(rows) > count:
        rows = rows[np.lexsort((-view.rid[rows], -view.created[rows], -score[rows].round(DECIMALS)))[:count]]
    return rows
