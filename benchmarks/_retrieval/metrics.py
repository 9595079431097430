"""Rank metrics with binary relevance."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

KS = (1, 5, 10, 20, 50)


def ranked(ranking: Sequence[int], evidence: frozenset[int]) -> dict[str, float]:
    found = [place for place, rid in enumerate(ranking, 1) if rid in evidence]
    out = {f"R@{k}": sum(p <= k for p in found) / len(evidence) for k in KS}
    ideal = sum(1 / math.log2(p + 1) for p in range(1, min(len(evidence), 10) + 1))
    out["nDCG@10"] = sum(1 / math.log2(p + 1) for p in found if p <= 10) / ideal
    out["MRR"] = 1 / found[0] if found else 0.0
    return out


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
