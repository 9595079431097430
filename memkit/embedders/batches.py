"""Tokens of texts, put together for the runs of a local model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

BATCH_TOKENS: Final = 512
"""Tokens of one run, padding included: more at once leaves the processor's cache, and takes more memory."""


def batches(encoded: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Return which texts to run together: neighbours in length, so that little is padding."""
    batch: list[int] = []
    for at in sorted(range(len(encoded)), key=lambda at: len(encoded[at])):
        if batch and (len(batch) + 1) * len(encoded[at]) > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(at)
    if batch:
        yield batch


def padded(
    encoded: Sequence[Sequence[int]], pad: int = 0
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the ids of the texts, filled up to the longest, and a mask of which are theirs."""
    ids = np.full((len(encoded), max(map(len, encoded))), pad, np.int64)
    mask = np.zeros_like(ids)
    for at, tokens in enumerate(encoded):
        ids[at, : len(tokens)] = tokens
        mask[at, : len(tokens)] = 1
    return ids, mask
