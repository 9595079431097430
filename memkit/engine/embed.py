"""Embedding, counted: one request for a query, one batch for what is written."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..errors import BackendResponseError
from ..progress import progress_bar
from .core import Engine, Meter

_SLICE = 2048
"""Texts handed to an embedder at once in long runs; the embedder splits further as its vendor needs."""


async def embed_documents(
    engine: Engine, texts: Sequence[str], meter: Meter, *, progress: bool = False
) -> npt.NDArray[np.float32]:
    """Return one unit row per text, in order; equal texts are embedded once."""
    embedder = engine.parts.embedder()
    unique = list(dict.fromkeys(texts))
    if not unique:
        return np.zeros((0, 0), np.float32)
    parts: list[npt.NDArray[np.float32]] = []
    with progress_bar(len(unique), "Embedding", enabled=progress) as bar:
        for start in range(0, len(unique), _SLICE):
            piece = unique[start : start + _SLICE]
            rows = await engine.ask(embedder.identity, embedder.embed, piece, purpose="document")
            meter.embedding_calls += 1
            parts.append(checked_rows(rows, len(piece), embedder.identity, embedder.dim))
            bar.advance(len(piece))
    matrix = np.concatenate(parts) if len(parts) > 1 else parts[0]
    meter.embedder = (embedder.identity, embedder.dim)
    if len(unique) == len(texts):
        return matrix
    place = {text: n for n, text in enumerate(unique)}
    return matrix[[place[text] for text in texts]]


async def embed_query(engine: Engine, text: str, meter: Meter) -> npt.NDArray[np.float32]:
    """Return the unit vector of a query."""
    embedder = engine.parts.embedder()
    rows = await engine.ask(embedder.identity, embedder.embed, [text], purpose="query")
    meter.embedding_calls += 1
    vector: npt.NDArray[np.float32] = checked_rows(rows, 1, embedder.identity, embedder.dim)[0]
    return vector


def checked_rows(rows: object, count: int, identity: str, dim: int) -> npt.NDArray[np.float32]:
    """Return rows as unit float32.

    Raises:
        BackendResponseError: The shape is wrong or a value is not finite.
    """
    matrix = np.asarray(rows, dtype=np.float32)
    if matrix.shape != (count, dim):
        raise BackendResponseError(
            f"The embedder {identity!r} returned shape {matrix.shape} for {count} texts; "
            f"({count}, {dim}) was expected.",
            backend=identity,
        )
    if not np.isfinite(matrix).all():
        raise BackendResponseError(
            f"The embedder {identity!r} returned values that are not finite.", backend=identity
        )
    norms = np.linalg.norm(matrix, axis=1, keepdims=True)
    unit: npt.NDArray[np.float32] = (matrix / np.where(norms > 0, norms, 1)).astype(np.float32, copy=False)
    return unit
