"""Rank metrics with binary relevance, and how well probabilities hold."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence

import numpy as np

KS = (1, 5, 10, 20, 50)


def ranked(ranking: Sequence[int], evidence: frozenset[int]) -> dict[str, float]:
    """Return all metrics of one question."""
    return of_places([place for place, rid in enumerate(ranking, 1) if rid in evidence], len(evidence))


def of_places(found: Sequence[int], evidence: int) -> dict[str, float]:
    """Return all metrics of one question.

    Args:
        found: Places of the evidence in the ranking, from 1 on, rising.
        evidence: How many pieces of evidence there are.
    """
    out = {f"R@{k}": sum(p <= k for p in found) / evidence for k in KS}
    out |= {f"hit@{k}": float(any(p <= k for p in found)) for k in KS}
    ideal = sum(1 / math.log2(p + 1) for p in range(1, min(evidence, 10) + 1))
    out["nDCG@10"] = sum(1 / math.log2(p + 1) for p in found if p <= 10) / ideal
    out["MRR"] = 1 / found[0] if found else 0.0
    return out


def means(rows: Iterable[dict[str, float]]) -> dict[str, float]:
    """Return the mean of each metric over questions."""
    rows = list(rows)
    return {name: statistics.fmean(row[name] for row in rows) for name in rows[0]} if rows else {}


def auroc(scores: np.ndarray, labels: np.ndarray) -> float:
    order = np.argsort(scores, kind="stable")
    _, inverse, counts = np.unique(scores[order], return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks = np.empty(len(scores))
    ranks[order] = (ends - (counts - 1) / 2)[inverse]
    good = int(labels.sum())
    bad = len(labels) - good
    return (
        float((ranks[labels > 0].sum() - good * (good + 1) / 2) / (good * bad)) if good and bad else math.nan
    )


def ece(probabilities: np.ndarray, labels: np.ndarray, bins: int = 10) -> float:
    which = np.minimum((probabilities * bins).astype(int), bins - 1)
    return float(
        sum(
            abs(probabilities[which == b].mean() - labels[which == b].mean()) * (which == b).mean()
            for b in range(bins)
            if (which == b).any()
        )
    )


def at_base_rate(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return probabilities moved by one intercept so that their mean is that of the labels.

    A probability that a store holds the answer cannot know how many of a benchmark's questions have one.
    """
    p = np.clip(probabilities, 1e-6, 1 - 1e-6)
    logit = np.log(p) - np.log1p(-p)
    low, high = -20.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        if (1 / (1 + np.exp(-(logit + middle)))).mean() < labels.mean():
            low = middle
        else:
            high = middle
    return 1 / (1 + np.exp(-(logit + low)))
