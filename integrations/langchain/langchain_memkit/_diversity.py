"""Maximal marginal relevance: answers that repeat each other least."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def mmr(
    scores: Mapping[str, float], vectors: Mapping[str, Sequence[float]], *, k: int, lambda_mult: float
) -> list[str]:
    """Return at most `k` ids, each the one with the highest `lambda * score - (1 - lambda) * likeness` of those left.

    Likeness is the highest cosine with any id that was taken, at least 0. Ties go to the higher score, then to the
    order given. An id without a vector is like none. (Carbonell and Goldstein, 1998.)

    Args:
        scores: Of each id, in [0, 1].
        vectors: Unit vectors by id.
    """
    import numpy as np

    ids = sorted(scores, key=lambda id: -scores[id])
    dim = len(next(iter(vectors.values()), ()))
    rows = np.array([vectors.get(id, [0.0] * dim) for id in ids], dtype=np.float64)
    relevance = np.array([scores[id] for id in ids])
    likeness = np.zeros(len(ids))
    left = np.ones(len(ids), dtype=bool)
    taken: list[str] = []
    while len(taken) < min(k, len(ids)):
        worth = np.where(left, lambda_mult * relevance - (1 - lambda_mult) * likeness, -np.inf)
        best = int(np.argmax(worth))
        left[best] = False
        likeness = np.maximum(likeness, rows @ rows[best])
        taken.append(ids[best])
    return taken
