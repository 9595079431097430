"""The score users see: the probability that a memory answers, from features that do not grow with the scope."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from memkit.ranking.signals import Found, idf_of
from memkit.ranking.text import stems_of
from memkit.ranking.view import Array, Ints, Mask, View, total
from memkit.ranking.words import COMMON, RARE

STRANGER: Final = 0.25
"""What the name of a person counts whom no memory mentions, where no memory knows its speaker."""
LONG: Final = 200
"""Words of a memory from which on more of them make no difference."""
PRIOR_SIZE: Final = 10_000
"""Memories that the expected frequencies of words are worth; a real scope only shifts them."""


LATE_OF_COSINE: Final = (0.15, 0.6)
"""How well the tokens of a memory are expected to match that was not compared: a constant, and of its cosine."""


class _Expected(dict[str, float]):
    """Stem -> the share of any person's memories that it is expected in."""

    def __missing__(self, stem: str) -> float:
        if not self:
            for share in sorted(COMMON):
                self.update(dict.fromkeys(stems_of(COMMON[share].split()), share))
            return self.get(stem, RARE)
        return RARE


_EXPECTED = _Expected()


def mass(terms: list[str], frequency: Ints, size: int) -> list[float]:
    """Return how much each word of a query tells: its idf, smoothed so that a scope of one is as one of 10,000."""
    rows = size + PRIOR_SIZE
    found = zip(terms, frequency.tolist(), strict=True)
    return [idf_of(among + PRIOR_SIZE * _EXPECTED[term], rows) for term, among in found]


class Evidence:
    """What speaks for each row, free of the size of the scope; features are worked out for the rows asked for."""

    def __init__(
        self,
        *,
        terms: list[str],
        found: Found,
        names: set[str],
        strangers: set[str],
        cosine: Array | None,
        speaker: Mask | None,
        date: Mask | None,
        first: bool,
        view: View,
    ) -> None:
        size = len(view)
        self._view = view
        self._cosine: Array = np.zeros(size) if cosine is None else cosine
        self._speaker, self._date = speaker, date
        told = mass(terms, found.frequency, size)
        self.told = dict(zip(terms, told, strict=True))
        """How much each word of the query tells."""
        content = [0.0 if term in names else worth for term, worth in zip(terms, told, strict=True)]
        content = content if any(content) else told  # a query that is only a name asks for the name
        self._mass = sum(content)
        self.weight: Array = np.array(content, np.float64) / (self._mass or 1.0)
        unknown = found.frequency == 0
        self._unknown = float(self.weight[unknown].sum())
        # A person whom no memory mentions is likely the one who speaks where the speaker is not known: "Ann's cat" is
        # the cat of "I have a cat". No row holds the name, so counting it less only scales the shares.
        away = 0.0
        if strangers:
            away = float(self.weight[unknown & np.array([t in strangers for t in terms], np.bool_)].sum())
        nameless = view.speaker < 0 if away else None
        self._scale: Array | None = (
            None if nameless is None else np.where(nameless, 1 / (1 - (1 - STRANGER) * away), 1.0)
        )
        self._own: Mask | None = view.user if first else None if nameless is None else view.user & nameless
        self._share: Array = total(found.at, found.each(self.weight), size)
        if self._scale is not None:
            self._share *= self._scale
        self._window = self._share
        self._best: tuple[float, float, float] | None = None
        self._late: Array | None = None
        self._best_late = 0.0

    @property
    def compared(self) -> bool:
        """Whether the best rows were compared token by token."""
        return self._late is not None

    def see_tokens(self, rows: Ints, match: Array) -> None:
        """Take in how well the tokens of some rows match, with NaN for those that have none."""
        if not np.isnan(match).all():
            self._late = np.clip(LATE_OF_COSINE[0] + LATE_OF_COSINE[1] * self._cosine, 0.0, 1.0)
            self._late[rows] = np.where(np.isnan(match), self._late[rows], match)
            self._best_late = float(self._late[rows].max())

    def see_window(self, share: Array) -> None:
        """Take in the share of `weight` that each row's window holds."""
        self._window = share if self._scale is None else share * self._scale

    def _largest(self) -> tuple[float, float, float]:
        """Return the largest cosine, share and share of a window."""
        if self._best is None:
            signals = (self._cosine, self._share, self._window)
            cosine, share, window = (float(signal.max(initial=0.0)) for signal in signals)
            self._best = (cosine, share, window)
        return self._best

    def of_query(self) -> dict[str, float]:
        """Return what the best rows tell about the query as a whole, by name."""
        contrast = 0.0
        if self._speaker is not None and not self._speaker.all():
            # A deed of one person asked of another: the others' turns match better than the named person's.
            match = self._cosine + self._share
            contrast = float(match[self._speaker].max() - match[~self._speaker].max())
        cosine, share, window = self._largest()
        return {
            "best_cosine": cosine,
            "best_share": share,
            "best_window": window,
            "unknown": self._unknown,
            "told": min(self._mass / 40, 1.0),
            "contrast": contrast,
            "named": float(self._speaker is not None),
            "best_late": self._best_late,
        }

    def features(self, rows: Ints) -> dict[str, Array]:
        """Return the features of some rows, by name."""
        view = self._view
        cosine, share, window = self._cosine[rows], self._share[rows], self._window[rows]
        best_cosine, best_share, best_window = self._largest()
        none = np.zeros(len(rows))
        speaker, date = self._speaker, self._date
        length = np.log1p(np.minimum(view.length[rows], LONG)) / 5
        plain = share if self._scale is None else share / self._scale[rows]
        return {
            "cosine": cosine,
            "share": share,
            "share_squared": share**2,
            "window_share": window,
            "window_squared": window**2,
            "cosine_share": cosine * share,
            "matched": np.minimum(plain * (self._mass / 14), 1.0),
            "cosine_margin": cosine - best_cosine,
            "share_margin": share - best_share,
            "window_margin": window - best_window,
            "speaker": none if speaker is None else speaker[rows].astype(np.float64),
            "other_speaker": none if speaker is None else (~speaker[rows]).astype(np.float64),
            "date": none if date is None else date[rows].astype(np.float64),
            "other_date": none if date is None else (~date[rows]).astype(np.float64),
            "own": none if self._own is None else self._own[rows].astype(np.float64),
            "asks": view.question[rows].astype(np.float64),
            "length": length,
            "length_share": length * share,
            "late": none if self._late is None else self._late[rows],
            "late_margin": none if self._late is None else self._late[rows] - self._best_late,
        }


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """A fitted logistic curve: one coefficient a feature, and the intercept."""

    intercept: float
    coefficients: dict[str, float]

    @cached_property
    def _weights(self) -> Array:
        return np.array(list(self.coefficients.values()))

    def probability(self, features: dict[str, Array]) -> Array:
        """Return the probability of each row."""
        values = np.concatenate([features[name] for name in self.coefficients])
        logit = self._weights @ values.reshape(len(self.coefficients), -1)
        logit += self.intercept
        return 1 / (1 + np.exp(-np.minimum(np.maximum(logit, -40), 40)))

    def probability_of(self, features: dict[str, float]) -> float:
        """Return the probability of one row."""
        logit = self.intercept + sum(weight * features[name] for name, weight in self.coefficients.items())
        return 1 / (1 + math.exp(-min(max(logit, -40.0), 40.0)))


def of_scores(scores: Array) -> dict[str, float]:
    """Return what the scores of a ranking's best rows tell about the query, by name; `scores` is best first."""
    padded = [*scores[:10].tolist(), *[1e-3] * 10]
    return {"first": _logit(padded[0]), "second": _logit(padded[1]), "tenth": _logit(padded[9])}


def _logit(share: float) -> float:
    share = min(max(share, 1e-3), 0.999)
    return math.log(share) - math.log1p(-share)


def isotonic(values: Array) -> Array:
    """Return the non-increasing sequence nearest to `values` in squares (pool adjacent violators)."""
    if not (values[1:] > values[:-1]).any():
        return values
    means: list[float] = [math.inf]
    sizes: list[int] = [0]
    for mean in values.tolist():
        size = 1
        while means[-1] < mean:
            before, many = means.pop(), sizes.pop()
            mean = (mean * size + before * many) / (size + many)
            size += many
        means.append(mean)
        sizes.append(size)
    return np.repeat(np.array(means), sizes)
