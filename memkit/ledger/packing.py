"""Vectors as every SQL ledger holds them: packed bytes beside their records, of the embedder that it stands at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from ..errors import ConfigurationError, EmbedderMismatchError, InvalidInputError
from ..ranking.vectors import decode_many, encode_many

if TYPE_CHECKING:
    from .records import Matrix, Vector

Packing = Literal["f32", "f16", "i8"]


@dataclass(slots=True, kw_only=True)
class State:
    """The row that says how far the file has come."""

    event: int
    reset: int
    gen: int
    dim: int | None
    packing: Packing | None


class Packer:
    """Vectors as a ledger holds them: of one embedder, one dimension and one packing."""

    def __init__(self, state: State, operation_id: str | None = None) -> None:
        if state.dim is None or state.packing is None:
            raise ConfigurationError(
                "A vector was given before the embedder was. Call set_embedder(identity, dim) first.",
                operation_id=operation_id,
            )
        self.gen, self._dim = state.gen, state.dim
        self._packing: Packing = state.packing

    def blobs(self, vectors: Sequence[Vector]) -> list[bytes]:
        """Return vectors packed for the file.

        Raises:
            InvalidInputError: One has another dimension, or is not finite.
        """
        for vector in vectors:
            if vector.shape != (self._dim,):
                raise InvalidInputError(
                    f"A vector has shape {vector.shape}; this ledger's embedder makes ({self._dim},). Nothing was "
                    "written. Check the embedder, or change it with rebuild(embedder=...)."
                )
        rows = vectors[0][None, :] if len(vectors) == 1 else np.stack(vectors)
        return encode_many(rows.astype(np.float32, copy=False), self._packing)


def matrix_of(state: State, rids: Sequence[int], found: dict[int, bytes]) -> Matrix | None:
    """Return one row per rid; a zero row where there is no vector of the present embedder."""
    if not rids:
        return None
    matrix = np.zeros((len(rids), state.dim or 0), np.float32)
    places = [place for place, rid in enumerate(rids) if rid in found]
    if places and state.dim:
        matrix[places] = decode_many([found[rids[place]] for place in places], state.dim)
    return matrix


def vectors_of(blobs: Sequence[bytes | None], dim: int) -> Matrix:
    """Return one row per blob; a zero row where there is none."""
    known = [blob for blob in blobs if blob is not None]
    if known and len(known) == len(blobs):
        return decode_many(known, dim)
    matrix = np.zeros((len(blobs), dim), np.float32)
    if known:
        matrix[[place for place, blob in enumerate(blobs) if blob is not None]] = decode_many(known, dim)
    return matrix


# ------------------------------------------------------------------------------------------- embedders


def packing_of(identity: str) -> Packing:
    """Return how vectors of an embedder are packed unless somebody says otherwise."""
    return "i8" if identity.startswith("hash/") else "f16"


def embedder_mismatch(stored: tuple[str, int | None], given: tuple[str, int]) -> EmbedderMismatchError:
    """Return the error of vectors that are not of the ledger's embedder."""
    return EmbedderMismatchError(
        f"This ledger was made with the embedder {stored[0]!r} ({stored[1]} numbers), not {given[0]!r} ({given[1]}). "
        f"Open it with the first, or change it for good: memory.rebuild(embedder=...).",
        stored=stored[0],
        given=given[0],
    )
