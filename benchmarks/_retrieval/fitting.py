"""Fits the calibrated scores on all sets together and prints the lines of `memkit/ranking/constants.py`."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

from benchmarks._retrieval import calibrate, data
from memkit.embedders.base import Embedder
from memkit.ranking.weights import weights_for


def fit(folder: Path, embedder: Embedder, split: str = "dev") -> None:
    """Fit one level."""
    weights = weights_for(embedder.identity)
    conversations: list[data.Conversation] = []
    for number, name in enumerate(data.names(folder, split), 1):
        loaded = data.with_vectors(data.load(folder, name, split), embedder)
        conversations += _shifted(list(loaded), number * 100_000_000)
    pool = calibrate.Pool(conversations, embedder, weights, random.Random(7))
    names, samples = calibrate.samples(pool)
    fitted = calibrate.fit(names, samples, names)
    samples = [calibrate.with_scores(names, s, fitted) for s in samples]
    answerable = calibrate.fit_answerable(samples)
    print(f'    "{weights.name}": {_literal(fitted)}\n    "{weights.name}": {_literal(answerable)}\n')
    print(calibrate.report(names, samples, fitted, answerable))


def _shifted(conversations: list[data.Conversation], by: int) -> list[data.Conversation]:
    """Give the rows of each set numbers of their own."""
    return [
        data.Conversation(
            c.id,
            tuple(replace(e, rid=e.rid + by, order=(e.order[0], e.rid + by)) for e in c.entries),
            tuple(replace(q, evidence=frozenset(r + by for r in q.evidence)) for q in c.questions),
        )
        for c in conversations
    ]


def _literal(fitted: dict[str, float]) -> str:
    inner = ", ".join(f'"{name}": {value:.2f}' for name, value in fitted.items() if name != "intercept")
    return f"Calibration(intercept={fitted['intercept']:.2f}, coefficients={{{inner}}}),"
