"""Embedding, counted: one request for a query, one batch for what is written."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..embedders.base import Embedder, Purpose
from ..errors import BackendResponseError
from ..progress import Progress, progress_bar
from .core import Engine, Meter

_SLICE = 2048
"""Texts handed to an embedder at once in long runs; the embedder splits further as its vendor needs."""
_FEW = 32
"""Up to so many texts are looked up among those embedded a moment ago."""


async def embed_documents(
    engine: Engine, texts: Sequence[str], meter: Meter, *, progress: Progress = False, checked: bool = True
) -> npt.NDArray[np.float32]:
    """Return one unit row per text, in order; equal texts are embedded once.

    `checked=False` leaves it to the transaction that follows to find out whether the store has another embedder now.
    """
    embedder = await engine.embedder(checked=checked)
    return await _embed(engine, embedder, texts, meter, "document", progress=progress)


async def embed_queries(engine: Engine, texts: Sequence[str], meter: Meter) -> npt.NDArray[np.float32]:
    """Return one unit row per query, in order; what was asked a moment ago is not embedded again."""
    return await _embed(engine, await engine.embedder(), texts, meter, "query")


async def embed_query(engine: Engine, text: str, meter: Meter) -> npt.NDArray[np.float32]:
    """Return the unit vector of a query."""
    return (await _embed(engine, await engine.embedder(), [text], meter, "query"))[0]


async def _embed(
    engine: Engine,
    embedder: Embedder,
    texts: Sequence[str],
    meter: Meter,
    purpose: Purpose,
    *,
    progress: Progress = False,
) -> npt.NDArray[np.float32]:
    unique = list(dict.fromkeys(texts))
    if not unique:
        return np.zeros((0, 0), np.float32)
    if len(unique) > _FEW:
        matrix = await _ask(engine, embedder, unique, meter, purpose, progress=progress)
    else:
        matrix = await _ask_for_new(engine, embedder, unique, meter, purpose)
    # Only now: an unknown model tells how many columns it has with its first answer.
    meter.embedder = (embedder.identity, embedder.dim)
    if len(unique) == len(texts):
        return matrix
    place = {text: n for n, text in enumerate(unique)}
    return matrix[[place[text] for text in texts]]


async def _ask_for_new(
    engine: Engine, embedder: Embedder, texts: Sequence[str], meter: Meter, purpose: Purpose
) -> npt.NDArray[np.float32]:
    """Embed those of a few texts that were not embedded a moment ago."""
    recent = engine.parts.recent_vectors
    side = "" if getattr(embedder, "symmetric", False) else purpose
    keys = [(embedder.identity, side, text) for text in texts]
    known = [recent.get(key) for key in keys]
    new = [n for n, row in enumerate(known) if row is None]
    if new:
        rows = await _ask(engine, embedder, [texts[n] for n in new], meter, purpose, progress=False)
        for n, row in zip(new, rows, strict=True):
            known[n] = row
            recent.put(keys[n], row)
        if len(new) == len(texts):
            return rows
    return np.stack([row for row in known if row is not None])


async def _ask(
    engine: Engine,
    embedder: Embedder,
    unique: Sequence[str],
    meter: Meter,
    purpose: Purpose,
    *,
    progress: Progress,
) -> npt.NDArray[np.float32]:
    if len(unique) <= _SLICE and not progress:
        return await _ask_once(engine, embedder, unique, meter, purpose)
    parts: list[npt.NDArray[np.float32]] = []
    with progress_bar(len(unique), "Embedding", enabled=progress) as bar:
        for start in range(0, len(unique), _SLICE):
            piece = unique[start : start + _SLICE]
            parts.append(await _ask_once(engine, embedder, piece, meter, purpose))
            bar.advance(len(piece))
    return np.concatenate(parts)


async def _ask_once(
    engine: Engine, embedder: Embedder, texts: Sequence[str], meter: Meter, purpose: Purpose
) -> npt.NDArray[np.float32]:
    rows = await engine.ask(embedder.identity, embedder.embed, texts, purpose=purpose)
    meter.embedding_calls += 1
    return checked_rows(rows, len(texts), embedder.identity, embedder.dim)


def checked_rows(rows: object, count: int, identity: str, dim: int) -> npt.NDArray[np.float32]:
    """Return rows as unit float32.

    Raises:
        BackendResponseError: The shape is wrong or a value is not finite.
    """
    try:
        matrix = np.asarray(rows, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise BackendResponseError(
            f"The embedder {identity!r} returned what is no rows of numbers ({error}).", backend=identity
        ) from error
    if matrix.shape != (count, dim):
        raise BackendResponseError(
            f"The embedder {identity!r} returned shape {matrix.shape} for {count} texts; "
            f"({count}, {dim}) was expected.",
            backend=identity,
        )
    norms = np.sqrt(np.einsum("ij,ij->i", matrix, matrix))
    if not math.isfinite(norms.sum()):
        if not np.isfinite(matrix).all():
            raise BackendResponseError(
                f"The embedder {identity!r} returned values that are not finite.", backend=identity
            )
        norms = np.sqrt(np.einsum("ij,ij->i", matrix, matrix, dtype=np.float64))
    norms[norms == 0] = 1
    return (matrix / norms[:, None]).astype(np.float32, copy=False)
