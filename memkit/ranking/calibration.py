"""The score users see: the probability that a memory answers, from features that do not grow with the scope."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from memkit.ranking.signals import Found, idf
from memkit.ranking.text import stems_of
from memkit.ranking.view import Array, Ints, Mask, View
from memkit.ranking.words import COMMON, RARE

PRIOR_SIZE: Final = 10_000
"""Memories that the expected frequencies of words are worth; a real scope only shifts them."""


class _Expected(dict[str, float]):
    """Stem -> the share of any person's memories that it is expected in."""

    def __missing__(self, stem: str) -> float:
        if not self:
            for share in sorted(COMMON):
                self.update(dict.fromkeys(stems_of(COMMON[share].split()), share))
            return self.get(stem, RARE)
        return RARE


_EXPECTED = _Expected()


def mass(terms: list[str], frequency: Ints, size: int) -> Array:
    """Return how much each word of a query tells: its idf, smoothed so that a scope of one is as one of 10,000."""
    expected = np.array([_EXPECTED[t] for t in terms], np.float64)
    return idf(frequency + PRIOR_SIZE * expected, size + PRIOR_SIZE)


class Evidence:
    """What speaks for each row, free of the size of the scope; features are worked out for the rows asked for."""

    def __init__(
        self,
        *,
        terms: list[str],
        found: Found,
        names: set[str],
        cosine: Array,
        speaker: Mask | None,
        date: Mask | None,
        first: bool,
        view: View,
    ) -> None:
        size = len(view)
        self._view = view
        self._cosine = cosine
        self._speaker, self._date, self._first = speaker, date, first
        told = mass(terms, found.frequency, size) if terms else np.empty(0)
        content = np.array([0.0 if term in names else 1.0 for term in terms]) * told
        content = content if content.any() else told  # a query that is only a name asks for the name
        self._mass = float(content.sum())
        self.weight: Array = content / (self._mass or 1.0)
        self._share = np.bincount(found.at, weights=self.weight[found.term], minlength=size)
        self.window_share: Array = self._share

    def features(self, rows: Ints) -> dict[str, Array]:
        """Return the features of some rows, by name."""
        view, count = self._view, len(rows)
        cosine, share, window = self._cosine[rows], self._share[rows], self.window_share[rows]
        none = np.zeros(count)
        speaker, date = self._speaker, self._date
        return {
            "cosine": cosine,
            "share": share,
            "share_squared": share**2,
            "window_share": window,
            "window_squared": window**2,
            "cosine_share": cosine * share,
            "matched": np.minimum(share * self._mass / 14, 1.0),
            "cosine_margin": cosine - self._cosine.max(initial=0.0),
            "share_margin": share - self._share.max(initial=0.0),
            "window_margin": window - self.window_share.max(initial=0.0),
            "speaker": none if speaker is None else speaker[rows].astype(np.float64),
            "other_speaker": none if speaker is None else (~speaker[rows]).astype(np.float64),
            "date": none if date is None else date[rows].astype(np.float64),
            "other_date": none if date is None else (~date[rows]).astype(np.float64),
            "own": view.user[rows].astype(np.float64) * self._first,
            "asks": view.question[rows].astype(np.float64),
            "length": np.log1p(view.length[rows]) / 5,
            "length_share": np.log1p(view.length[rows]) / 5 * share,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """A fitted logistic curve: one coefficient a feature, and the intercept."""

    intercept: float
    coefficients: dict[str, float]

    def probability(self, features: dict[str, Array]) -> Array:
        """Return the probability of each row."""
        logit = np.full(len(next(iter(features.values()))), self.intercept)
        for name, coefficient in self.coefficients.items():
            logit += coefficient * features[name]
        return 1 / (1 + np.exp(-np.clip(logit, -40, 40)))


def isotonic(values: Array) -> Array:
    """Return the non-increasing sequence nearest to `values` in squares (pool adjacent violators)."""
    means: list[float] = []
    sizes: list[int] = []
    for value in values.tolist():
        mean, size = value, 1
        while means and means[-1] < mean:
            mean = (mean * size + means[-1] * sizes[-1]) / (size + sizes[-1])
            size += sizes.pop()
            means.pop()
        means.append(mean)
        sizes.append(size)
    return np.repeat(np.array(means), sizes)
