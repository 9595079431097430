"""Fitted constants of the calibrated scores.

Weighted logistic regressions on labelled rows of scopes of 1, 10, 100, 1,000 and 10,000 turns, every size weighing the
same: questions with their evidence, questions of other people, questions that nothing answers, general knowledge, and
texts asked word for word. Features that would speak against a memory although they should speak for it were left out.
Fit again with `python benchmarks/retrieval.py --data FOLDER --fit`, which prints this file.
"""

from __future__ import annotations

from typing import Final

from memkit.ranking.calibration import Calibration

CALIBRATIONS: Final[dict[str, Calibration]] = {
    "keyless": Calibration(
        intercept=-6.40,
        coefficients={
            "cosine": 2.43,
            "cosine_share": 4.82,
            "matched": 1.73,
            "cosine_margin": 11.18,
            "share_margin": 0.35,
            "window_margin": 6.34,
            "speaker": 3.78,
            "other_speaker": -0.41,
            "other_date": -0.50,
            "own": 1.43,
            "asks": 0.14,
            "length": 3.12,
            "length_share": -1.21,
        },
    ),
    "embedded": Calibration(
        intercept=-7.51,
        coefficients={
            "cosine": 6.10,
            "share_squared": 4.40,
            "matched": 1.69,
            "cosine_margin": 10.62,
            "share_margin": 3.44,
            "window_margin": 4.36,
            "speaker": 2.47,
            "other_speaker": -0.44,
            "other_date": -0.39,
            "own": 1.43,
            "asks": 0.21,
            "length": 4.31,
            "length_share": -6.04,
        },
    ),
}
"""That one memory answers the query, by level of embedder."""

ANSWERABLE: Final[dict[str, Calibration]] = {
    "keyless": Calibration(
        intercept=-0.64,
        coefficients={
            "first": 0.36,
            "second": -0.12,
            "tenth": 0.14,
            "best_cosine": 1.08,
            "best_share": 2.53,
            "best_window": -0.78,
            "unknown": -0.58,
            "told": -0.03,
            "contrast": 1.56,
            "named": 1.29,
        },
    ),
    "embedded": Calibration(
        intercept=-2.03,
        coefficients={
            "first": 0.34,
            "second": -0.12,
            "tenth": 0.04,
            "best_cosine": 4.94,
            "best_share": 2.40,
            "best_window": -2.00,
            "unknown": -0.72,
            "told": -0.26,
            "contrast": 1.87,
            "named": 0.61,
        },
    ),
}
"""That any memory in view answers it, likewise."""
