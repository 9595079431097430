"""The score users see: the probability that a memory answers, from features that do not grow with the scope."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from memkit.ranking.asked import TELLS
from memkit.ranking.signals import Found, idf_of
from memkit.ranking.text import stems_of
from memkit.ranking.view import Array, Ints, Mask, View, total
from memkit.ranking.words import COMMON, RARE

STRANGER: Final = 0.25
"""What the name of a person counts whom no memory mentions, where no memory knows its speaker."""
LONG: Final = 200
"""Words of a memory from which on more of them make no difference."""
FARTHEST: Final = 6.0
"""From so much less in the order on, how far behind the best a row is makes no difference."""
PRIOR_SIZE: Final = 10_000
"""Memories that the expected frequencies of words are worth; a real scope only shifts them."""


LATE_OF_COSINE: Final = (0.15, 0.6)
"""How well the tokens of a memory are expected to match that was not compared: a constant, and of its cosine."""
SURE: Final = 1e-4
"""Probabilities nearer to 0 or 1 are all the same to `logit`."""
ENOUGH: Final = 50
"""Where a scope has fewer memories, that none is far ahead of the others tells less."""


COSINES: Final = (0.22, 0.12)
"""Mean and deviation of a query's cosines with the memories of a scope, as the constants know them."""
_FEW: Final = 5.0
"""So many memories tell half of what their cosines with a query mean where the embedder is another."""


def rescaled(cosines: Array) -> Array:
    """Return another embedder's cosines of one query on the scale of `COSINES`.

    Some embedders give any two texts 0.7, and one cosine does not tell whose it is: where there are few memories, the
    words decide.
    """
    n, (mean, spread) = len(cosines), COSINES
    if n == 0:
        return cosines
    out = cosines - np.add.reduce(cosines) / n
    deviation = math.sqrt(np.add.reduce(out * out) / n)
    out *= spread * n / (n + _FEW) / max(deviation, 1e-3)
    out += mean
    return np.minimum(out, 1.0, out=out)


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
        said: Mask | None,
        date: Array | Mask | None,
        first: bool,
        kinds: int,
        view: View,
    ) -> None:
        size = len(view)
        self._view = view
        self._kinds = kinds
        self._cosine: Array = np.zeros(size) if cosine is None else cosine
        self._speaker, self._said, self._date = speaker, said, date
        told = mass(terms, found.frequency, size)
        self.told = dict(zip(terms, told, strict=True))
        """How much each word of the query tells."""
        content = [0.0 if term in names else worth for term, worth in zip(terms, told, strict=True)]
        content = content if any(content) else told  # a query that is only a name asks for the name
        self._mass = sum(content)
        self.weight: Array = np.array(content, np.float64) / (self._mass or 1.0)
        unknown = found.frequency == 0
        self._unknown = float(np.add.reduce(self.weight[unknown]))
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
        self._late: Array | None = None

    @property
    def compared(self) -> bool:
        """Whether the best rows were compared token by token."""
        return self._late is not None

    def see_tokens(self, rows: Ints, match: Array) -> None:
        """Take in how well the tokens of some rows match, with NaN for those that have none."""
        missing = np.isnan(match)
        if np.count_nonzero(missing) < len(missing):
            self._late = np.clip(LATE_OF_COSINE[0] + LATE_OF_COSINE[1] * self._cosine, 0.0, 1.0)
            self._late[rows] = np.where(missing, self._late[rows], match)

    def see_window(self, share: Array) -> None:
        """Take in the share of `weight` that each row's window holds."""
        self._window = share if self._scale is None else share * self._scale

    def of_query(self, score: Array, named_counts: float) -> dict[str, float]:
        """Return what all rows in view tell about the query as a whole, by name.

        `unknown` is the share of the query that no row has a word for, `around` the largest share that a window holds,
        and `few` how much the scope lacks of `ENOUGH` memories. `named` says whether the query names a speaker;
        `contrast` and `lead` are how much better the named person's turns match than the others', by words and by the
        order: a deed of one person asked of another is told by the others' turns.

        Args:
            score: What orders the rows.
            named_counts: What of it the named person's turns have for being hers.
        """
        said = self._said
        found = {
            "unknown": self._unknown,
            "around": float(np.maximum.reduce(self._window)),
            "few": max(0.0, 1 - len(self._share) / ENOUGH),
            "named": float(said is not None),
            "contrast": 0.0,
            "lead": 0.0,
        }
        if said is None:
            return found
        rows = np.flatnonzero(self._share > 0)
        hers = said[rows]
        if np.count_nonzero(hers) in (0, len(hers)):
            return found
        share, order = self._share[rows], score[rows] - named_counts * hers
        found["contrast"] = _best(share[hers]) - _best(share[~hers])
        found["lead"] = min(max(_best(order[hers]) - _best(order[~hers]), -FARTHEST), 0.0)
        return found

    def of_best(self, rows: Ints, first: Array) -> dict[str, float]:
        """Return what the best rows tell about the query as a whole, by name.

        `fall` is how far the best three are ahead of all of them, in the first stage; `hers` how much oftener the named
        person says the best three; `tells` in how many of these somebody speaks of herself, and `kind` whether the best
        holds the time or the name that is asked for.

        Args:
            rows: Positions in the view, best first.
            first: What the first stage gives them.
        """
        said, few = self._said, min(3, len(rows))
        flags = self._view.flags[rows[:few]].tolist()
        mean = float(np.add.reduce(first)) / len(rows)  # `.mean()` takes longer than all of this
        hers = 0.0
        if said is not None:
            said = said[rows]
            hers = np.count_nonzero(said[:few]) / few - np.count_nonzero(said) / len(rows)
        return {
            "fall": min(float(np.add.reduce(first[:few])) / few - mean, FARTHEST),
            "hers": hers,
            "tells": sum(flag & TELLS > 0 for flag in flags) / few,
            "kind": float(flags[0] & self._kinds > 0),
        }

    def features(self, rows: Ints, ahead: Ints, behind: Array) -> dict[str, Array]:
        """Return the features of some rows, by name.

        Args:
            rows: Positions in the view.
            ahead: How many rows the order has before each of them.
            behind: How much less it gives each of them than the best row.
        """
        view = self._view
        cosine, share, window = self._cosine[rows], self._share[rows], self._window[rows]
        none = np.zeros(len(rows))
        own = none if self._own is None else self._own[rows].astype(np.float64)
        speaker, date = self._speaker, self._date
        plain = share if self._scale is None else share / self._scale[rows]
        matched = np.minimum(plain * (self._mass / 14), 1.0)
        meant = np.maximum(cosine, 0.0)
        return {
            "cosine": cosine,
            "share": share,
            "window": window,
            "matched": matched,
            "strong": share * matched**2,
            "cosine_matched": meant * matched,
            "cosine_share": meant * share,
            "margin": -np.minimum(behind, FARTHEST),
            "place": -np.log1p(ahead),
            "speaker": none if speaker is None else speaker[rows].astype(np.float64),
            "other_speaker": none if speaker is None else (~speaker[rows]).astype(np.float64),
            "date": none if date is None else date[rows].astype(np.float64),
            "other_date": none if date is None else 1.0 - date[rows].astype(np.float64),
            "own": own,
            "own_meant": own * meant**2,
            "own_shared": own * share,
            "asks": view.question[rows].astype(np.float64),
            "length": np.log1p(np.minimum(view.length[rows], LONG)) / 5,
            "late": none if self._late is None else self._late[rows],
        }


def _best(values: Array) -> float:
    """Return the mean of the three largest values."""
    best = np.sort(values)[-3:]
    return float(np.add.reduce(best)) / len(best)  # `.mean()` takes longer than all of this


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


@dataclass(frozen=True, kw_only=True)
class Answerable:
    """The probability that anything answers a query: three things must hold, each by a fitted curve.

    Attributes:
        found: What answers is among the best, if there is anything.
        told: Somebody told of such a thing at all.
        premise: What is asked of the person whom the query names is not somebody else's; holds where it names nobody.
    """

    found: Calibration
    told: Calibration
    premise: Calibration

    def probability_of(self, features: dict[str, float]) -> float:
        """Return the probability for one query."""
        holds = self.found.probability_of(features) * self.told.probability_of(features)
        return holds * self.premise.probability_of(features) if features["named"] else holds


def of_head(features: dict[str, Array], best: float) -> dict[str, float]:
    """Return what the ten best rows tell about the query, by name.

    Args:
        features: Of the best rows, best first.
        best: The probability that the first of them answers.
    """
    matched, many = features["matched"][:10], min(10, len(features["matched"]))
    return {
        "best": logit(best),
        "window": float(features["window"][0]),
        "other_speaker": float(features["other_speaker"][0]),
        "matched": float(np.add.reduce(matched)) / many,
        "best_matched": float(np.maximum.reduce(matched)),
        "nearest": float(np.maximum.reduce(features["cosine"][:10])),
        "cosine_share": float(np.maximum.reduce(features["cosine_share"][:10])),
        "margin": -float(features["margin"][:10][-1]),
    }


def logit(p: float) -> float:
    """Return the logarithm of the odds of a probability."""
    p = min(max(p, SURE), 1 - SURE)
    return math.log(p / (1 - p))


def isotonic(values: Array) -> Array:
    """Return the non-increasing sequence nearest to `values` in squares (pool adjacent violators)."""
    if not np.count_nonzero(values[1:] > values[:-1]):
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
