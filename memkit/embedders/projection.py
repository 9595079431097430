"""Token vectors of all-MiniLM-L6-v2 as 64 small integers each, for comparing token by token what is stored.

The axes beside this file are the main ones of the model's own vocabulary (`scripts/minilm_axes.py`); they are data, so
that two machines store the same integers.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

AXES: Final = Path(__file__).with_name("minilm_axes.npy")
WIDTH: Final = 64
SCALE: Final = 127.0
"""Of every row: integers over this are parts of a unit row, so a product of two rows over its square is a cosine."""
IDENTITY: Final = "minilm-axes/64/v1"
"""Stands for the axes and the scale; it is to be stored with the integers."""


def project(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.int8]:
    """Return the rows on the axes, at unit length again, times 127 and rounded.

    Args:
        vectors: float32 array [tokens, 384].

    Returns:
        int8 array [tokens, 64].
    """
    rows = vectors @ _axes()
    rows *= SCALE / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return np.rint(rows).astype(np.int8)


@cache
def _axes() -> npt.NDArray[np.float32]:
    return np.load(AXES).astype(np.float32)
