"""Fitted constants of the calibrated scores.

Weighted logistic regressions on labelled rows of scopes of 1 to 10,000 turns: questions with their evidence, questions
with a false premise, of other people and of general knowledge, texts asked word for word, and memories asked in other
words. Features that would speak against a memory although they should speak for it were left out. Fit again with
`python -m benchmarks retrieval --data FOLDER --fit`, which prints these lines.
"""

from __future__ import annotations

from typing import Final

from memkit.ranking.calibration import Calibration

CALIBRATIONS: Final[dict[str, Calibration]] = {
    "keyless": Calibration(
        intercept=-5.04,
        coefficients={
            "strong": 3.08,
            "cosine_matched": 0.03,
            "matched": 0.62,
            "cosine_share": 3.15,
            "speaker": 2.89,
            "other_date": -0.79,
            "own": 1.65,
            "length": 1.51,
            "margin": 0.37,
            "place": 1.09,
        },
    ),
    "embedded": Calibration(
        intercept=-2.71,
        coefficients={
            "cosine": 4.71,
            "strong": 2.59,
            "speaker": 1.59,
            "other_date": -0.78,
            "own": 1.85,
            "length": -2.29,
            "margin": 0.65,
            "place": 1.30,
        },
    ),
    "late": Calibration(
        intercept=-2.62,
        coefficients={
            "cosine": 3.62,
            "late": 3.29,
            "strong": 1.31,
            "speaker": 1.90,
            "other_date": -0.12,
            "own": 2.42,
            "length": -5.24,
            "margin": 1.18,
            "place": 1.13,
        },
    ),
}
"""That one memory answers the query, by level: no model, vectors of a model, and its tokens too."""

ANSWERABLE: Final[dict[str, Calibration]] = {
    "keyless": Calibration(
        intercept=-2.34,
        coefficients={
            "window": 1.80,
            "matched": 2.97,
            "cosine_share": 1.34,
            "cosine": 0.48,
            "other_speaker": -1.42,
            "margin": 0.26,
            "contrast": 2.68,
            "lead": 0.94,
            "told": -0.62,
            "unknown": -1.14,
        },
    ),
    "embedded": Calibration(
        intercept=-3.06,
        coefficients={
            "window": 0.69,
            "matched": 3.25,
            "cosine_share": 1.55,
            "cosine": 3.00,
            "other_speaker": -2.17,
            "margin": 0.35,
            "contrast": 2.39,
            "lead": 1.47,
            "told": -1.38,
            "unknown": -0.40,
        },
    ),
    "late": Calibration(
        intercept=-7.46,
        coefficients={
            "window": 0.93,
            "matched": 3.49,
            "cosine_share": -0.93,
            "cosine": 2.47,
            "other_speaker": -0.56,
            "margin": 0.32,
            "contrast": 1.40,
            "lead": 0.82,
            "told": -0.23,
            "unknown": 0.02,
            "late": 6.57,
            "own": 2.77,
        },
    ),
}
"""That any memory in view answers it, likewise."""
