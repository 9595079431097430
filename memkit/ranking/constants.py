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
        intercept=-5.08,
        coefficients={
            "strong": 3.03,
            "cosine_matched": 0.58,
            "matched": 0.46,
            "cosine_share": 3.14,
            "speaker": 2.90,
            "other_date": -0.66,
            "own": 1.59,
            "length": 1.61,
            "margin": 0.38,
            "place": 1.08,
        },
    ),
    "embedded": Calibration(
        intercept=-3.87,
        coefficients={
            "cosine": 5.67,
            "strong": 1.90,
            "own_meant": 3.05,
            "speaker": 1.41,
            "other_date": -1.31,
            "length": -0.50,
            "margin": 0.57,
            "place": 1.35,
        },
    ),
    "late": Calibration(
        intercept=-4.38,
        coefficients={
            "cosine": 3.44,
            "late": 4.97,
            "strong": 0.61,
            "own_meant": 4.64,
            "speaker": 1.34,
            "other_speaker": -0.02,
            "other_date": -1.29,
            "length": -2.74,
            "margin": 0.98,
            "place": 1.34,
        },
    ),
    "other": Calibration(
        intercept=-2.38,
        coefficients={
            "strong": 5.50,
            "speaker": 2.63,
            "other_date": -0.70,
            "own": 1.75,
            "length": -1.62,
            "margin": 0.51,
            "place": 1.25,
        },
    ),
}
"""That one memory answers the query, by level: no model, vectors of one, its tokens too, and another model."""

ANSWERABLE: Final[dict[str, Calibration]] = {
    "keyless": Calibration(
        intercept=-3.25,
        coefficients={
            "window": 1.65,
            "matched": 2.26,
            "cosine_share": 1.02,
            "cosine": 1.13,
            "other_speaker": -1.14,
            "margin": 0.21,
            "contrast": 2.75,
            "lead": 0.60,
            "unknown": -1.63,
            "fall": 0.10,
            "hers": 1.81,
            "tells": 0.74,
            "kind": 0.44,
            "covered": 0.03,
        },
    ),
    "embedded": Calibration(
        intercept=-4.94,
        coefficients={
            "window": 1.03,
            "matched": 1.91,
            "cosine_share": 0.19,
            "cosine": 4.18,
            "other_speaker": -1.59,
            "margin": 0.25,
            "contrast": 2.57,
            "lead": 1.16,
            "unknown": -0.72,
            "fall": 0.08,
            "hers": 0.64,
            "tells": 0.97,
            "kind": 0.46,
            "covered": 0.78,
        },
    ),
    "late": Calibration(
        intercept=-6.86,
        coefficients={
            "window": 0.72,
            "matched": 2.64,
            "cosine_share": -2.59,
            "cosine": 3.18,
            "other_speaker": -0.43,
            "margin": 0.16,
            "contrast": 2.32,
            "lead": 0.55,
            "unknown": -0.44,
            "fall": 0.12,
            "hers": 0.79,
            "tells": 0.73,
            "kind": 0.33,
            "covered": 1.01,
            "late": 4.30,
            "late_fall": 3.23,
        },
    ),
    "other": Calibration(
        intercept=-3.41,
        coefficients={
            "window": 1.38,
            "matched": 2.28,
            "cosine_share": 1.25,
            "cosine": 1.13,
            "other_speaker": -1.58,
            "margin": 0.31,
            "contrast": 2.73,
            "lead": 1.05,
            "unknown": -1.43,
            "fall": 0.01,
            "hers": 0.97,
            "tells": 0.87,
            "kind": 0.36,
            "covered": 0.27,
        },
    ),
}
"""That any memory in view answers it, likewise."""
