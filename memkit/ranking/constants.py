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
        intercept=-5.00,
        coefficients={
            "strong": 3.10,
            "cosine_matched": 0.06,
            "matched": 0.60,
            "cosine_share": 3.11,
            "speaker": 2.88,
            "other_date": -0.79,
            "own": 1.65,
            "length": 1.48,
            "margin": 0.38,
            "place": 1.06,
        },
    ),
    "embedded": Calibration(
        intercept=-2.73,
        coefficients={
            "cosine": 4.70,
            "strong": 2.59,
            "speaker": 1.59,
            "other_date": -0.78,
            "own": 1.88,
            "length": -2.27,
            "margin": 0.67,
            "place": 1.26,
        },
    ),
    "late": Calibration(
        intercept=-2.38,
        coefficients={
            "cosine": 3.30,
            "late": 3.12,
            "strong": 1.71,
            "speaker": 1.87,
            "other_date": -0.88,
            "own": 2.23,
            "length": -5.18,
            "margin": 1.20,
            "place": 1.22,
        },
    ),
    "other": Calibration(
        intercept=-2.42,
        coefficients={
            "strong": 5.39,
            "speaker": 2.66,
            "other_date": -0.71,
            "own": 1.81,
            "length": -1.59,
            "margin": 0.53,
            "place": 1.23,
        },
    ),
}
"""That one memory answers the query, by level: no model, vectors of one, its tokens too, and another model."""

ANSWERABLE: Final[dict[str, Calibration]] = {
    "keyless": Calibration(
        intercept=-2.32,
        coefficients={
            "window": 1.71,
            "matched": 2.98,
            "cosine_share": 1.50,
            "cosine": 0.48,
            "other_speaker": -1.13,
            "margin": 0.24,
            "contrast": 2.82,
            "lead": 0.90,
            "told": -0.59,
            "unknown": -1.16,
        },
    ),
    "embedded": Calibration(
        intercept=-3.14,
        coefficients={
            "window": 0.70,
            "matched": 3.26,
            "cosine_share": 1.54,
            "cosine": 3.19,
            "other_speaker": -1.42,
            "margin": 0.32,
            "contrast": 2.53,
            "lead": 1.43,
            "told": -1.32,
            "unknown": -0.43,
        },
    ),
    "late": Calibration(
        intercept=-7.24,
        coefficients={
            "window": 0.89,
            "matched": 3.55,
            "cosine_share": -1.05,
            "cosine": 2.45,
            "other_speaker": -0.43,
            "margin": 0.34,
            "contrast": 2.17,
            "lead": 0.65,
            "told": -0.22,
            "unknown": -0.15,
            "late": 6.54,
            "own": 2.73,
        },
    ),
    "other": Calibration(
        intercept=-2.23,
        coefficients={
            "window": 1.07,
            "matched": 3.79,
            "cosine_share": 1.49,
            "cosine": 1.13,
            "other_speaker": -1.48,
            "margin": 0.33,
            "contrast": 2.79,
            "lead": 1.34,
            "told": -1.63,
            "unknown": -0.77,
        },
    ),
}
"""That any memory in view answers it, likewise."""
