"""Fitted constants of the calibrated scores.

Weighted logistic regressions on labelled rows of scopes of 1 to 10,000 turns: questions with their evidence, questions
with a false premise, of other people and of general knowledge, texts asked word for word, and memories asked in other
words. Features that would speak against a memory although they should speak for it were left out. Fit again with
`python -m benchmarks retrieval --data FOLDER --fit`, which prints these lines.
"""

from __future__ import annotations

from typing import Final

from memkit.ranking.calibration import Answerable, Calibration

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
        intercept=-3.72,
        coefficients={
            "cosine": 5.54,
            "strong": 2.04,
            "own_meant": 3.25,
            "speaker": 2.29,
            "other_date": -1.24,
            "length": -0.80,
            "margin": 0.49,
            "place": 1.40,
        },
    ),
    "late": Calibration(
        intercept=-3.99,
        coefficients={
            "cosine": 3.12,
            "late": 4.67,
            "strong": 0.93,
            "own_meant": 5.05,
            "speaker": 2.38,
            "other_date": -1.40,
            "length": -3.20,
            "margin": 0.67,
            "place": 1.49,
        },
    ),
    "other": Calibration(
        intercept=-2.16,
        coefficients={
            "strong": 4.92,
            "matched": 0.09,
            "own_shared": 2.06,
            "speaker": 2.36,
            "other_speaker": -0.21,
            "other_date": -0.86,
            "length": -1.30,
            "margin": 0.44,
            "place": 1.30,
        },
    ),
}
"""That one memory answers the query, by level: no model, vectors of one, its tokens too, and another model."""

ANSWERABLE: Final[dict[str, Answerable]] = {
    "keyless": Answerable(
        found=Calibration(
            intercept=-2.05,
            coefficients={
                "window": 1.31,
                "margin": 0.25,
                "contrast": 1.55,
                "fall": 0.15,
                "best_matched": 2.04,
                "kind": 0.53,
                "hers": 2.15,
                "few": 3.17,
            },
        ),
        told=Calibration(
            intercept=-4.60,
            coefficients={
                "matched": 4.50,
                "lead": 1.05,
                "contrast": 2.70,
                "fall": 0.38,
                "best": 0.57,
                "around": 3.65,
                "nearest": 5.76,
                "unknown": -1.60,
                "few": 3.77,
            },
        ),
        premise=Calibration(
            intercept=1.68,
            coefficients={
                "lead": 1.71,
                "contrast": 3.39,
                "kind": 0.94,
                "tells": 1.62,
                "other_speaker": -2.13,
                "cosine_share": 1.29,
                "unknown": -1.74,
            },
        ),
    ),
    "embedded": Answerable(
        found=Calibration(
            intercept=-0.66,
            coefficients={
                "window": 0.54,
                "margin": 0.39,
                "contrast": 2.57,
                "fall": 0.19,
                "best_matched": 1.20,
                "kind": 0.27,
                "hers": 1.10,
                "few": 2.94,
            },
        ),
        told=Calibration(
            intercept=-5.45,
            coefficients={
                "matched": 3.06,
                "lead": 1.17,
                "contrast": 3.29,
                "fall": 0.45,
                "best": 0.88,
                "around": 3.51,
                "nearest": 7.92,
                "unknown": -0.26,
                "few": 4.66,
            },
        ),
        premise=Calibration(
            intercept=0.66,
            coefficients={
                "lead": 2.06,
                "contrast": 3.55,
                "kind": 0.54,
                "tells": 2.47,
                "other_speaker": -2.73,
                "cosine_share": 1.88,
                "unknown": -1.34,
            },
        ),
    ),
    "late": Answerable(
        found=Calibration(
            intercept=-0.97,
            coefficients={
                "window": 0.29,
                "margin": 0.44,
                "contrast": 2.79,
                "fall": 0.62,
                "best_matched": 0.56,
                "kind": 0.50,
                "hers": 0.31,
                "few": 3.38,
            },
        ),
        told=Calibration(
            intercept=-5.21,
            coefficients={
                "matched": 4.50,
                "lead": 0.44,
                "contrast": 3.46,
                "fall": 0.36,
                "best": 0.90,
                "around": 2.69,
                "nearest": 8.12,
                "unknown": -0.05,
                "few": 4.64,
            },
        ),
        premise=Calibration(
            intercept=1.49,
            coefficients={
                "lead": 0.94,
                "contrast": 3.48,
                "kind": 0.73,
                "tells": 2.18,
                "other_speaker": -2.07,
                "cosine_share": 2.12,
                "unknown": -1.57,
            },
        ),
    ),
    "other": Answerable(
        found=Calibration(
            intercept=-0.70,
            coefficients={
                "window": 0.55,
                "margin": 0.39,
                "contrast": 2.53,
                "fall": 0.19,
                "best_matched": 1.23,
                "kind": 0.26,
                "hers": 1.13,
                "few": 2.83,
            },
        ),
        told=Calibration(
            intercept=-4.08,
            coefficients={
                "matched": 4.71,
                "lead": 1.23,
                "contrast": 1.97,
                "fall": 0.50,
                "best": 0.77,
                "around": 3.89,
                "nearest": 2.31,
                "unknown": -1.12,
                "few": 3.69,
            },
        ),
        premise=Calibration(
            intercept=0.46,
            coefficients={
                "lead": 2.08,
                "contrast": 3.48,
                "kind": 0.51,
                "tells": 2.56,
                "other_speaker": -2.78,
                "cosine_share": 1.61,
                "unknown": -1.27,
            },
        ),
    ),
}
"""That any memory in view answers it, likewise: its evidence is found, somebody told of it, and the premise holds."""
