"""Rows as somebody's object gave them, checked and brought to unit length."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from memkit.errors import BackendResponseError


def unit_rows_of(found: object, expected: int, name: str) -> npt.NDArray[np.float32]:
    """Return one unit row per text.

    Args:
        found: What the object answered.
        expected: How many texts it was given.
        name: Its name, for messages.

    Raises:
        BackendResponseError: It is not that many finite rows of one length.
    """
    try:
        rows = np.asarray(found, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise _unusable(name, "rows of different lengths, or none") from error
    if rows.ndim != 2 or len(rows) != expected or not rows.shape[1]:
        raise _unusable(name, f"shape {rows.shape} for {expected} texts")
    if not np.isfinite(rows).all():
        raise _unusable(name, "values that are not finite")
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    if not norms.all():
        raise _unusable(name, "a row of zeros")
    return (rows / norms).astype(np.float32)


def _unusable(name: str, what: str) -> BackendResponseError:
    return BackendResponseError(f"{name} answered with {what}.", backend=name)
