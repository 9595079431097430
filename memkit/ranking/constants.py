"""Fitted constants of the calibrated scores.

Weighted logistic regressions on labelled rows of scopes of 1 to 10,000 turns: questions with their evidence, questions
with a false premise, of other people and of general knowledge, texts asked word for word, and memories asked in other
words. Features that would speak against a memory although they should speak for it were left out. Fit again with
`python -m benchmarks retrieval --data FOLDER --fit`, which prints these lines. With an embedder, logits of `answerable`
are moved once more (embedded and other: 0.15 added; late: nine tenths, 0.2 added), where evidence that was found and
false premises are calibrated best together.
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
        intercept=-3.62,
        coefficients={
            "window": 1.82,
            "matched": 1.14,
            "cosine_share": 0.68,
            "cosine": 3.82,
            "other_speaker": -3.27,
            "margin": 0.11,
            "contrast": 3.39,
            "lead": 0.88,
            "unknown": -0.85,
            "fall": 0.27,
            "hers": 1.43,
            "tells": 0.89,
            "kind": 0.20,
            "covered": -0.32,
        },
    ),
    "late": Calibration(
        intercept=-5.05,
        coefficients={
            "window": 0.35,
            "matched": 2.02,
            "cosine_share": -0.76,
            "cosine": 1.82,
            "other_speaker": -1.84,
            "margin": 0.17,
            "contrast": 3.35,
            "lead": 0.14,
            "unknown": -0.36,
            "fall": 0.24,
            "hers": 1.22,
            "tells": 0.72,
            "kind": 0.18,
            "covered": 0.21,
            "late": 3.97,
            "late_fall": 0.88,
        },
    ),
    "other": Calibration(
        intercept=-3.41,
        coefficients={
            "window": 1.65,
            "matched": 2.21,
            "cosine_share": 1.21,
            "cosine": 1.73,
            "other_speaker": -3.21,
            "margin": 0.16,
            "contrast": 3.17,
            "lead": 0.94,
            "unknown": -1.22,
            "fall": 0.15,
            "hers": 1.38,
            "tells": 0.95,
            "kind": 0.19,
            "covered": -0.37,
        },
    ),
}
"""That any memory in view answers it, likewise."""
