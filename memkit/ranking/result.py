"""What a search over an index gives: all rows in order, worked out only as far as somebody reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Final

import numpy as np

from memkit.ranking.calibration import Evidence, isotonic, of_head
from memkit.ranking.constants import ANSWERABLE, CALIBRATIONS
from memkit.ranking.signals import DECIMALS, Fused, best_rows
from memkit.ranking.view import Array, Ints, View

SCORE_DECIMALS: Final = 6
_HEAD = 64
_BEST = 50
"""Rows whose scores tell how far the best are ahead."""


class Ranking:
    """Every row in view, best first, each with the probability that it answers.

    Ties go to the newer memory. Scores never increase along the ranking, and depend neither on how far it is read nor
    on what the reader leaves out. None is above `answerable`: no memory answers more surely than all together.
    """

    def __init__(
        self,
        view: View,
        fused: Fused,
        evidence: Evidence,
        level: str,
        raw: Callable[[], dict[str, Array]],
    ) -> None:
        self._view = view
        self._fused = fused
        self._evidence = evidence
        self.level = level
        self._raw = raw
        self._order: Ints = np.empty(0, np.int64)
        self._scores: Array = np.empty(0)
        self._head: dict[str, Array] = {}
        """Features of the first rows."""
        self._alone: Array = np.empty(0)
        """The probability of each of these rows by itself."""

    @cached_property
    def answerable(self) -> float | None:
        """The probability that any memory in view answers; None where nothing is in view.

        Three things must hold: the best rows are so far ahead of the others that what answers is among them; they match
        so well that somebody told of it at all; and where the query names a speaker, the others' turns do not match
        better than the named person's.
        """
        if not len(self):
            return None
        return ANSWERABLE[self.level].probability_of(self.query_features())

    def query_features(self) -> dict[str, float]:
        """Return the features that `answerable` rests on, by name."""
        self._look_at_head()
        named_counts = self._view.weights.speaker
        best = self._order[:_BEST]
        return {
            **of_head(self._head, float(self._alone[0])),
            **self._evidence.of_query(self._fused.score, named_counts),
            **self._evidence.of_best(best, self._fused.first(best)),
        }

    def __len__(self) -> int:
        return len(self._view)

    def __iter__(self) -> Iterator[tuple[int, float]]:
        """Yield (rid, score), best first."""
        start = 0
        while start < len(self):
            stop = min(len(self), max(_HEAD, 4 * start))
            yield from self.hits(start, stop)
            start = stop

    def rids(self, start: int = 0, stop: int | None = None) -> Ints:
        """Return the rids of places `start` to `stop`, best first."""
        stop = len(self) if stop is None else min(stop, len(self))
        self._sort(stop)
        return self._view.rid[self._order[start:stop]]

    def scores(self, start: int = 0, stop: int | None = None) -> Array:
        """Return the scores of places `start` to `stop`, in [0, 1], never increasing."""
        stop = len(self) if stop is None else min(stop, len(self))
        self._sort(stop)
        self._score(stop)
        return self._scores[start:stop]

    def hits(self, start: int = 0, stop: int | None = None) -> list[tuple[int, float]]:
        """Return (rid, score) of places `start` to `stop`, best first, the scores as users see them."""
        shown = self.scores(start, stop).round(SCORE_DECIMALS).tolist()
        return list(zip(self.rids(start, stop).tolist(), shown, strict=True))

    def explain(self, rid: int) -> dict[str, float | dict[str, float]]:
        """Return every signal of one row: raw values, what each added to the order, and the calibrated features.

        Raises:
            KeyError: The row is not in view.
        """
        found = np.flatnonzero(self._view.rid == rid)
        if len(found) == 0:
            raise KeyError(rid)
        at = int(found[0])
        raw = {name: float(values[at]) for name, values in self._raw().items()}
        added = {name: round(value, 6) for name, value in self._fused.contributions(at).items()}
        features = self._features_of(at)
        return {
            **{name: round(value, 6) for name, value in raw.items() if not np.isnan(value)},
            "order": round(float(self._fused.score[at]), DECIMALS),
            "probability": round(float(CALIBRATIONS[self.level].probability(features)[0]), 6),
            "contributions": added,
            "features": {name: round(float(values[0]), 6) for name, values in features.items()},
        }

    def features(self, stop: int) -> tuple[list[str], Array, Ints]:
        """Return the names of the calibrated features, their values for the best `stop` rows, and these rows' rids."""
        rids = self.rids(0, stop)
        found = self._features(0, stop)
        return list(found), np.column_stack(list(found.values())), rids

    def _features(self, start: int, stop: int) -> dict[str, Array]:
        """Return the calibrated features of places `start` to `stop`, by name; rows that tie have the same place."""
        rows = self._order[:stop]
        falling = -self._fused.score[rows].round(DECIMALS)
        ahead = np.searchsorted(falling, falling[start:])
        return self._evidence.features(rows[start:], ahead, falling[start:] - falling[0])

    def _features_of(self, at: int) -> dict[str, Array]:
        """Return the calibrated features of the row at a position of the view, by name."""
        score = self._fused.score.round(DECIMALS)
        ahead = np.array([np.count_nonzero(score > score[at])])
        return self._evidence.features(np.array([at]), ahead, score.max() - score[[at]])

    def _sort(self, stop: int) -> None:
        if stop <= len(self._order):
            return
        score = self._fused.score
        rows = best_rows(score, _HEAD if stop <= _HEAD else len(score))
        keys = (-self._view.rid[rows], -self._view.created[rows], -score[rows].round(DECIMALS))
        self._order = rows[np.lexsort(keys)]

    def _look_at_head(self) -> None:
        if not self._head:
            self._sort(1)
            self._head = self._features(0, min(_HEAD, len(self._order)))
            self._alone = isotonic(CALIBRATIONS[self.level].probability(self._head))

    def _score(self, stop: int) -> None:
        have = len(self._scores)
        if stop <= have:
            return
        if have == 0:
            self._look_at_head()
            have = len(self._alone)
            self._scores = np.minimum(self._alone, self.answerable or 0.0)
        if stop > have:
            more = CALIBRATIONS[self.level].probability(self._features(have, stop))
            self._scores = np.concatenate(
                [self._scores, np.minimum.accumulate(np.append(self._scores[-1:], more))[1:]]
            )
