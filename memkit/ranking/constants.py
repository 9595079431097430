"""Fitted constants of the calibrated score (provisional)."""

from __future__ import annotations

from typing import Final

from memkit.ranking.calibration import Calibration

CALIBRATIONS: Final[dict[str, Calibration]] = {
    "keyless": Calibration(
        intercept=-5.0,
        coefficients={"cosine": 3.0, "share": 4.0, "window_share": 1.0, "speaker": 0.5, "other_speaker": -1.0},
    ),
    "embedded": Calibration(
        intercept=-6.0,
        coefficients={"cosine": 6.0, "share": 3.0, "window_share": 1.0, "speaker": 0.5, "other_speaker": -1.0},
    ),
}
