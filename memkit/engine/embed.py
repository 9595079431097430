"""Embedding, counted: one request for a query, one batch for what is written."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..embedders.base import CodeEmbedder, Embedder, Purpose, TokenCodes
from ..errors import BackendResponseError
from ..progress import Progress, progress_bar
from ..ranking.late import Tokens, pack, without_signs
from .core import Engine, Meter

_SLICE = 2048
"""Texts handed to an embedder at once in long runs; the embedder splits further as its vendor needs."""
_FEW = 32
"""Up to so many texts are looked up among those embedded a moment ago."""


@dataclass(slots=True)
class Embedded:
    """A unit row per text, in order, and the tokens of each, from an embedder that gives them."""

    vectors: npt.NDArray[np.float32]
    codes: Sequence[TokenCodes] | None = None
    token_identity: str = ""

    def tokens(self, n: int) -> bytes | None:
        """Return the tokens of a text as the ledger keeps them."""
        return None if self.codes is None else pack(self.codes[n].codes, self.token_identity)


async def embed_documents(
    engine: Engine, texts: Sequence[str], meter: Meter, *, progress: Progress = False
) -> npt.NDArray[np.float32]:
    """Return one unit row per text, in order; equal texts are embedded once."""
    return (await embed_memories(engine, texts, meter, progress=progress)).vectors


async def embed_memories(
    engine: Engine, texts: Sequence[str], meter: Meter, *, progress: Progress = False, checked: bool = True
) -> Embedded:
    """Return what memories are found by, in the order of their texts; equal texts are embedded once.

    `checked=False` leaves it to the transaction that follows to find out whether the store has another embedder now.
    """
    embedder = await engine.embedder(checked=checked)
    return await _embed(engine, embedder, texts, meter, "document", progress=progress)


async def embed_queries(
    engine: Engine, texts: Sequence[str], meter: Meter, *, stored: str
) -> npt.NDArray[np.float32]:
    """Return one unit row per query, in order; what was asked a moment ago is not embedded again.

    `stored` is the embedder that the store has, as the caller has just read.
    """
    return (await _embed(engine, await _embedder_of(engine, stored), texts, meter, "query")).vectors


async def embed_query(
    engine: Engine, text: str, meter: Meter, *, stored: str | None = None
) -> npt.NDArray[np.float32]:
    """Return the unit vector of a query; `stored` as in `embed_queries`, None asks the ledger."""
    return (await embed_question(engine, text, meter, stored=stored))[0]


async def embed_question(
    engine: Engine, text: str, meter: Meter, *, stored: str | None = None
) -> tuple[npt.NDArray[np.float32], Tokens | None]:
    """Return the unit vector of a query, and its tokens where memories have theirs; `stored` as in `embed_queries`."""
    embedder = await (engine.embedder() if stored is None else _embedder_of(engine, stored))
    key = _recent_key(embedder, "query", text)
    known = engine.parts.recent_vectors.get(key)
    if known is None:
        found = await _ask_once(engine, embedder, [text], meter, "query")
        known = found.vectors[0], None if found.codes is None else found.codes[0]
        engine.parts.recent_vectors.put(key, *known)
    meter.embedder = (embedder.identity, embedder.dim)
    row, codes = known
    if codes is None:
        return row, None
    return row, Tokens(
        text=text, asked=codes, identity=_token_identity(embedder) or "", stored=engine.ledger.tokens
    )


async def _embedder_of(engine: Engine, stored: str) -> Embedder:
    """Return the embedder, compared with the one that the store has."""
    embedder = await engine.embedder(checked=False)
    return embedder if embedder.identity == stored else await engine.embedder()


def _recent_key(embedder: Embedder, purpose: Purpose, text: str) -> tuple[str, str, str]:
    """Return the key of a text among those embedded a moment ago."""
    return embedder.identity, "" if getattr(embedder, "symmetric", False) else purpose, text


async def _embed(
    engine: Engine,
    embedder: Embedder,
    texts: Sequence[str],
    meter: Meter,
    purpose: Purpose,
    *,
    progress: Progress = False,
) -> Embedded:
    unique = list(dict.fromkeys(texts))
    if not unique:
        return Embedded(np.zeros((0, 0), np.float32))
    if len(unique) > _FEW:
        found = await _ask(engine, embedder, unique, meter, purpose, progress=progress)
    else:
        found = await _ask_for_new(engine, embedder, unique, meter, purpose)
    # Only now: an unknown model tells how many columns it has with its first answer.
    meter.embedder = (embedder.identity, embedder.dim)
    if len(unique) == len(texts):
        return found
    place = {text: n for n, text in enumerate(unique)}
    places = [place[text] for text in texts]
    found.vectors = found.vectors[places]
    found.codes = None if found.codes is None else [found.codes[n] for n in places]
    return found


async def _ask_for_new(
    engine: Engine, embedder: Embedder, texts: Sequence[str], meter: Meter, purpose: Purpose
) -> Embedded:
    """Embed those of a few texts that were not embedded a moment ago."""
    recent = engine.parts.recent_vectors
    keys = [_recent_key(embedder, purpose, text) for text in texts]
    known = [recent.get(key) for key in keys]
    new = [n for n, row in enumerate(known) if row is None]
    if new:
        found = await _ask_once(engine, embedder, [texts[n] for n in new], meter, purpose)
        for place, n in enumerate(new):
            row, code = found.vectors[place], None if found.codes is None else found.codes[place]
            known[n] = row, code
            recent.put(keys[n], row, code)
        if len(new) == len(texts):
            return found
    both = [one for one in known if one is not None]
    codes = [code for _, code in both if code is not None]
    return Embedded(
        np.stack([row for row, _ in both]),
        codes if len(codes) == len(both) else None,
        _token_identity(embedder) or "",
    )


async def _ask(
    engine: Engine,
    embedder: Embedder,
    unique: Sequence[str],
    meter: Meter,
    purpose: Purpose,
    *,
    progress: Progress,
) -> Embedded:
    if len(unique) <= _SLICE and not progress:
        return await _ask_once(engine, embedder, unique, meter, purpose)
    parts: list[Embedded] = []
    with progress_bar(len(unique), "Embedding", enabled=progress) as bar:
        for start in range(0, len(unique), _SLICE):
            piece = unique[start : start + _SLICE]
            parts.append(await _ask_once(engine, embedder, piece, meter, purpose))
            bar.advance(len(piece))
    codes = [code for part in parts for code in part.codes or ()]
    return Embedded(
        np.concatenate([part.vectors for part in parts]),
        codes if len(codes) == len(unique) else None,
        parts[0].token_identity,
    )


async def _ask_once(
    engine: Engine, embedder: Embedder, texts: Sequence[str], meter: Meter, purpose: Purpose
) -> Embedded:
    found = await ask_embedder(engine, embedder, texts, purpose)
    meter.embedding_calls += 1
    return found


async def ask_embedder(
    engine: Engine, embedder: Embedder, texts: Sequence[str], purpose: Purpose
) -> Embedded:
    """Return what an embedder answers, checked.

    Raises:
        BackendResponseError: It gave no rows of its width, or something that is not finite.
    """
    name = embedder.identity
    token_identity = _token_identity(embedder)
    if token_identity is None or not isinstance(embedder, CodeEmbedder):
        rows = await engine.ask(name, embedder.embed, texts, purpose=purpose)
        return Embedded(checked_rows(rows, len(texts), name, embedder.dim))
    rows, codes = await engine.ask(name, embedder.embed_codes, texts, purpose=purpose)
    if len(codes) != len(texts):
        raise BackendResponseError(
            f"The embedder {name!r} returned the tokens of {len(codes)} texts, not of {len(texts)}.",
            backend=name,
        )
    codes = [*map(without_signs, texts, codes)]
    return Embedded(checked_rows(rows, len(texts), name, embedder.dim), codes, token_identity)


def _token_identity(embedder: Embedder) -> str | None:
    """Return what the tokens of an embedder are of, None for one that gives none."""
    return getattr(embedder, "token_identity", None)


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
    if count == 1 and 0 < (square := float(matrix[0].dot(matrix[0]))) < math.inf:
        return matrix / math.sqrt(square)  # What a single add asks for: as below, in a fifth of the time.
    norms = np.sqrt(np.einsum("ij,ij->i", matrix, matrix))
    if not math.isfinite(norms.sum()):
        if not np.isfinite(matrix).all():
            raise BackendResponseError(
                f"The embedder {identity!r} returned values that are not finite.", backend=identity
            )
        norms = np.sqrt(np.einsum("ij,ij->i", matrix, matrix, dtype=np.float64))
    norms[norms == 0] = 1
    return (matrix / norms[:, None]).astype(np.float32, copy=False)
