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
            intercept=-1.94,
            coefficients={
                "window": 1.52,
                "margin": 0.22,
                "contrast": 1.24,
                "fall": 0.18,
                "best_matched": 1.87,
                "kind": 0.49,
                "hers": 1.63,
                "few": 3.06,
            },
        ),
        told=Calibration(
            intercept=-4.48,
            coefficients={
                "matched": 4.41,
                "lead": 1.08,
                "contrast": 2.79,
                "fall": 0.43,
                "best": 0.55,
                "around": 3.52,
                "nearest": 5.77,
                "unknown": -1.49,
                "few": 4.10,
            },
        ),
        premise=Calibration(
            intercept=1.53,
            coefficients={
                "lead": 1.82,
                "contrast": 3.40,
                "kind": 0.69,
                "tells": 1.82,
                "other_speaker": -2.02,
                "cosine_share": 1.26,
                "unknown": -1.81,
            },
        ),
    ),
    "embedded": Answerable(
        found=Calibration(
            intercept=-0.38,
            coefficients={
                "window": 0.49,
                "margin": 0.39,
                "contrast": 2.46,
                "fall": 0.19,
                "best_matched": 0.98,
                "kind": 0.27,
                "hers": 1.00,
                "few": 2.73,
            },
        ),
        told=Calibration(
            intercept=-5.13,
            coefficients={
                "matched": 3.15,
                "lead": 1.02,
                "contrast": 3.59,
                "fall": 0.49,
                "best": 0.93,
                "around": 3.35,
                "nearest": 7.39,
                "unknown": -0.23,
                "few": 4.74,
            },
        ),
        premise=Calibration(
            intercept=0.53,
            coefficients={
                "lead": 2.24,
                "contrast": 3.57,
                "kind": 0.60,
                "tells": 2.58,
                "other_speaker": -2.92,
                "cosine_share": 1.90,
                "unknown": -1.34,
            },
        ),
    ),
    "late": Answerable(
        found=Calibration(
            intercept=-0.86,
            coefficients={
                "window": 0.38,
                "margin": 0.39,
                "contrast": 2.75,
                "fall": 0.67,
                "best_matched": 0.24,
                "kind": 0.57,
                "hers": 0.30,
                "few": 3.31,
            },
        ),
        told=Calibration(
            intercept=-4.82,
            coefficients={
                "matched": 4.42,
                "lead": 0.33,
                "contrast": 3.86,
                "fall": 0.42,
                "best": 0.97,
                "around": 2.43,
                "nearest": 7.31,
                "unknown": 0.03,
                "few": 4.73,
            },
        ),
        premise=Calibration(
            intercept=1.09,
            coefficients={
                "lead": 1.05,
                "contrast": 3.27,
                "kind": 0.81,
                "tells": 2.47,
                "other_speaker": -2.07,
                "cosine_share": 2.36,
                "unknown": -1.61,
            },
        ),
    ),
    "other": Answerable(
        found=Calibration(
            intercept=-0.25,
            coefficients={
                "window": 0.49,
                "margin": 0.39,
                "contrast": 2.43,
                "fall": 0.18,
                "best_matched": 1.01,
                "kind": 0.26,
                "hers": 1.02,
                "few": 2.63,
            },
        ),
        told=Calibration(
            intercept=-3.85,
            coefficients={
                "matched": 4.73,
                "lead": 1.08,
                "contrast": 2.18,
                "fall": 0.56,
                "best": 0.81,
                "around": 3.66,
                "nearest": 2.03,
                "unknown": -1.07,
                "few": 3.77,
            },
        ),
        premise=Calibration(
            intercept=0.38,
            coefficients={
                "lead": 2.25,
                "contrast": 3.51,
                "kind": 0.57,
                "tells": 2.65,
                "other_speaker": -2.98,
                "cosine_share": 1.55,
                "unknown": -1.30,
            },
        ),
    ),
}
"""That any memory in view answers it, likewise: its evidence is found, somebody told of it, and the premise holds."""
