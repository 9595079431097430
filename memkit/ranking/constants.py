"""Fitted constants of the calibrated scores.

Weighted logistic regressions on labelled rows of scopes of 1, 10, 100, 1,000 and 10,000 turns, every size weighing the
same: questions with their evidence, questions of other people, questions that nothing answers, general knowledge, and
texts asked word for word. Features that would speak against a memory although they should speak for it were left out.
Fit again with `python -m benchmarks retrieval --data FOLDER --fit`, which prints these lines.
"""

from __future__ import annotations

from typing import Final

from memkit.ranking.calibration import Calibration

CALIBRATIONS: Final[dict[str, Calibration]] = {
    "keyless": Calibration(
        intercept=-5.69,
        coefficients={
            "cosine": 2.12,
            "cosine_share": 4.96,
            "matched": 1.77,
            "cosine_margin": 11.46,
            "share_margin": 0.41,
            "window_margin": 6.22,
            "speaker": 3.84,
            "other_speaker": -0.58,
            "other_date": -0.58,
            "own": 1.50,
            "asks": -0.01,
            "length": 2.05,
            "length_share": -1.11,
        },
    ),
    "embedded": Calibration(
        intercept=-6.77,
        coefficients={
            "cosine": 6.33,
            "share_squared": 4.16,
            "matched": 1.39,
            "cosine_margin": 10.51,
            "share_margin": 3.56,
            "window_margin": 4.35,
            "speaker": 2.48,
            "other_speaker": -0.78,
            "other_date": -0.17,
            "own": 1.52,
            "asks": 0.18,
            "length": 3.13,
            "length_share": -5.46,
        },
    ),
}
"""That one memory answers the query, by level of embedder."""
CALIBRATIONS["late"] = CALIBRATIONS["embedded"]

ANSWERABLE: Final[dict[str, Calibration]] = {
    "keyless": Calibration(
        intercept=-1.41,
        coefficients={
            "first": 0.30,
            "second": -0.11,
            "tenth": 0.07,
            "best_cosine": 1.97,
            "best_share": 2.01,
            "best_window": -0.61,
            "unknown": -0.52,
            "told": 0.14,
            "contrast": 2.05,
            "named": 1.61,
        },
    ),
    "embedded": Calibration(
        intercept=-2.30,
        coefficients={
            "first": 0.34,
            "second": -0.13,
            "tenth": 0.08,
            "best_cosine": 5.03,
            "best_share": 1.71,
            "best_window": -0.98,
            "unknown": -0.15,
            "told": -0.43,
            "contrast": 2.05,
            "named": 0.74,
        },
    ),
}
"""That any memory in view answers it, likewise."""
ANSWERABLE["late"] = ANSWERABLE["embedded"]
