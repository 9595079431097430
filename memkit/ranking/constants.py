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
            intercept=-2.24,
            coefficients={
                "window": 1.36,
                "margin": 0.24,
                "contrast": 1.46,
                "fall": 0.18,
                "best_matched": 2.12,
                "kind": 0.55,
                "hers": 2.21,
                "few": 3.23,
            },
        ),
        told=Calibration(
            intercept=-4.45,
            coefficients={
                "matched": 4.52,
                "lead": 1.08,
                "contrast": 2.84,
                "fall": 0.39,
                "best": 0.57,
                "around": 3.63,
                "nearest": 5.78,
                "unknown": -1.59,
                "few": 3.79,
            },
        ),
        premise=Calibration(
            intercept=1.56,
            coefficients={
                "lead": 1.78,
                "contrast": 3.50,
                "kind": 0.97,
                "tells": 1.67,
                "other_speaker": -2.10,
                "cosine_share": 1.43,
                "unknown": -1.71,
            },
        ),
    ),
    "embedded": Answerable(
        found=Calibration(
            intercept=-0.51,
            coefficients={
                "window": 0.67,
                "margin": 0.39,
                "contrast": 2.49,
                "fall": 0.19,
                "best_matched": 0.91,
                "kind": 0.19,
                "hers": 0.73,
                "few": 2.83,
            },
        ),
        told=Calibration(
            intercept=-5.23,
            coefficients={
                "matched": 3.06,
                "lead": 1.17,
                "contrast": 3.38,
                "fall": 0.45,
                "best": 0.89,
                "around": 3.50,
                "nearest": 7.88,
                "unknown": -0.24,
                "few": 4.65,
            },
        ),
        premise=Calibration(
            intercept=0.50,
            coefficients={
                "lead": 2.22,
                "contrast": 3.59,
                "kind": 0.60,
                "tells": 2.61,
                "other_speaker": -2.91,
                "cosine_share": 1.90,
                "unknown": -1.39,
            },
        ),
    ),
    "late": Answerable(
        found=Calibration(
            intercept=-0.78,
            coefficients={
                "window": 0.45,
                "margin": 0.45,
                "contrast": 2.67,
                "fall": 0.63,
                "best_matched": 0.16,
                "kind": 0.50,
                "hers": 0.28,
                "few": 3.30,
            },
        ),
        told=Calibration(
            intercept=-4.76,
            coefficients={
                "matched": 4.41,
                "lead": 0.41,
                "contrast": 3.49,
                "fall": 0.38,
                "best": 0.97,
                "around": 2.55,
                "nearest": 7.44,
                "unknown": -0.00,
                "few": 4.68,
            },
        ),
        premise=Calibration(
            intercept=1.27,
            coefficients={
                "lead": 1.07,
                "contrast": 3.19,
                "kind": 0.85,
                "tells": 2.42,
                "other_speaker": -2.12,
                "cosine_share": 2.34,
                "unknown": -1.71,
            },
        ),
    ),
    "other": Answerable(
        found=Calibration(
            intercept=-0.75,
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
            intercept=-3.88,
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
