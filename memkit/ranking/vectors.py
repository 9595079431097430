"""Embeddings at rest and in memory: compact blobs for the ledger, two tables that score a query exactly.

Blobs say by themselves how they are packed (first byte), so that a store may hold several kinds.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Final, Literal, Protocol

import numpy as np
import numpy.typing as npt

from memkit.errors import CorruptLedgerError, InvalidInputError

Floats = npt.NDArray[np.float32]
Kind = Literal["f32", "f16", "i8"]

_TAGS: dict[Kind, bytes] = {"f32": b"\x01", "f16": b"\x02", "i8": b"\x03"}
_SCALE = struct.Struct("<f")
_STEPS = 127


def quantise(rows: Floats) -> tuple[npt.NDArray[np.int8], Floats]:
    """Return int8 codes [n, dim] and one scale a row; `codes * scale` is the row within half a step.

    Quantising what was quantised before changes nothing.
    """
    largest = np.maximum(rows.max(axis=1, initial=0.0), -rows.min(axis=1, initial=0.0))
    scales = (largest / _STEPS).astype(np.float32)
    safe = np.where(scales > 0, scales, 1).astype(np.float32)
    steps = rows / safe[:, None]
    return np.rint(steps, out=steps).astype(np.int8), scales


def _quantised(row: Floats) -> tuple[Floats, float]:
    """Return the codes and the scale of one row, as `quantise` gives them."""
    scale = np.float32(max(row.max(initial=0.0), -row.min(initial=0.0)) / np.float32(_STEPS))
    return np.rint(row / (scale if scale > 0 else np.float32(1))), float(scale)


def dequantise(codes: npt.NDArray[np.int8], scales: Floats, out: Floats | None = None) -> Floats:
    """Return the float32 rows of int8 codes [n, dim] and their scales [n], in `out` where it is given."""
    return np.multiply(codes, scales[:, None], out=out)


def encode(vector: Floats, kind: Kind) -> bytes:
    """Return one vector as a blob: 4, 2 or 1 bytes a number, one byte of kind, and a scale for "i8".

    Measured on all-MiniLM-L6-v2: "f16" keeps recall at ten at 1.000, "i8" at 0.996; the hash embedder loses nothing
    by "i8".

    Raises:
        InvalidInputError: A number in it is not finite.
    """
    return encode_many(vector[None, :], kind)[0]


def encode_many(rows: Floats, kind: Kind) -> list[bytes]:
    """Return each row [n, dim] as `encode` would, in order."""
    # Where the square of a single row is finite, its numbers are: known in a fraction of the time.
    if not (len(rows) == 1 and math.isfinite(rows[0].dot(rows[0]))) and not np.isfinite(rows).all():
        raise InvalidInputError("An embedding holds NaN or infinity. Check what the embedder returned.")
    tag = _TAGS[kind]
    if kind == "i8":
        if len(rows) == 1:  # what an `add` writes: the same in half the time
            row, scale = _quantised(rows[0].astype(np.float32, copy=False))
            return [tag + _SCALE.pack(scale) + row.astype(np.int8).tobytes()]
        codes, scales = quantise(rows.astype(np.float32, copy=False))
        return [
            tag + _SCALE.pack(scale) + code.tobytes()
            for scale, code in zip(scales.tolist(), codes, strict=True)
        ]
    return [tag + row.tobytes() for row in rows.astype("<f4" if kind == "f32" else "<f2")]


def decode_many(blobs: Sequence[bytes], dim: int) -> Floats:
    """Return the vectors of some blobs as float32 [n, dim], in order; kinds may be mixed.

    Raises:
        CorruptLedgerError: A blob is of no known kind, or of another length than `dim` says.
    """
    out = np.empty((len(blobs), dim), np.float32)
    alike = len(set(map(len, blobs))) == 1 and len(set(map(_TAG, blobs))) == 1
    kind = _kind_of(blobs[0], dim) if alike else None
    if kind is None:
        for kind, rows in _by_kind(blobs, dim).items():
            part = np.empty((len(rows), dim), np.float32)
            _decode([blobs[i] for i in rows], kind, part)
            out[rows] = part
    else:
        for first in range(0, len(blobs), _BLOCK):
            _decode(blobs[first : first + _BLOCK], kind, out[first : first + _BLOCK])
    return out


def _decode(blobs: Sequence[bytes], kind: Kind, out: Floats) -> None:
    table = np.frombuffer(b"".join(blobs), np.uint8).reshape(len(blobs), -1)
    if kind == "i8":
        scales = np.ascontiguousarray(table[:, 1:5]).view("<f4")[:, 0]
        dequantise(table[:, 5:].view(np.int8), scales, out)
    elif kind == "f32":
        np.copyto(out, np.ascontiguousarray(table[:, 1:]).view("<f4"))
    else:
        _widen(np.ascontiguousarray(table[:, 1:]).view("<i2"), out)


def _widen(halves: npt.NDArray[np.int16], out: Floats) -> None:
    """Write the float32 of float16 bits: what a cast gives, without its branch for each number."""
    np.copyto(out.view(np.int32), halves)
    bits = out.view(np.uint32)
    bits <<= 13  # Sign, exponent and fraction are in their places, with copies of the sign in between.
    bits &= _SIGN_AND_NUMBER
    out *= _EXPONENTS_APART
    if max(out.max(initial=0), -out.min(initial=0)) >= _BEYOND_HALF:
        np.copyto(out, halves.view("<f2"))


_TAG: Final = itemgetter(0)
_BLOCK: Final = 128
"""Blobs decoded at once: what they take meanwhile is memory that the process has already."""
_SIGN_AND_NUMBER: Final = np.uint32(0x8FFFE000)
_EXPONENTS_APART: Final = np.float32(2.0**112)
"""The exponent of a float32 begins 112 lower than that of a float16."""
_BEYOND_HALF: Final = np.float32(2.0**16)
"""Infinity and NaN, taken for numbers, are no smaller."""


def _kind_of(blob: bytes, dim: int) -> Kind | None:
    kinds: dict[tuple[bytes, int], Kind] = {
        (_TAGS["f32"], 1 + 4 * dim): "f32",
        (_TAGS["f16"], 1 + 2 * dim): "f16",
        (_TAGS["i8"], 5 + dim): "i8",
    }
    return kinds.get((bytes(blob[:1]), len(blob)))


def _by_kind(blobs: Sequence[bytes], dim: int) -> dict[Kind, list[int]]:
    found: dict[Kind, list[int]] = {}
    for row, blob in enumerate(blobs):
        kind = _kind_of(blob, dim)
        if kind is None:
            raise CorruptLedgerError(
                f"Embedding {row} has {len(blob)} bytes and kind {bytes(blob[:1])!r}, which is no vector of "
                f"{dim} numbers. Run `memkit doctor`, then rebuild(embedder=...)."
            )
        found.setdefault(kind, []).append(row)
    return found


class VectorTable(Protocol):
    """Vectors by slot number; a slot without one scores NaN."""

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        ...

    def reserve(self, capacity: int) -> None:
        """Make room for so many slots in all."""
        ...

    def put(self, first: int, vectors: Floats | Sequence[Floats | None]) -> None:
        """Store vectors at slots `first`, `first + 1`, ...; slots are only ever appended."""
        ...

    def keep(self, slots: npt.NDArray[np.int64]) -> None:
        """Keep only these slots, renumbered in their order."""
        ...

    def cosines(self, query: Floats, slots: npt.NDArray[np.int64] | None) -> npt.NDArray[np.float64]:
        """Return the dot products with the query of these slots (None: all); NaN where there is no vector."""
        ...

    def middle(self, slots: npt.NDArray[np.int64] | None) -> Floats:
        """Return the mean of the vectors of these slots (None: all), without those that have none."""
        ...


class RowTable:
    """Dense embeddings: one float32 row a slot, scored by one matrix-vector product."""

    def __init__(self, dim: int) -> None:
        self._dim = dim
        self._rows: Floats = np.empty((0, dim), np.float32)
        self._size = 0

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self._rows.nbytes

    def reserve(self, capacity: int) -> None:
        """Make room for so many slots in all."""
        if capacity > len(self._rows):
            grown = np.empty((capacity, self._dim), np.float32)
            grown[: self._size] = self._rows[: self._size]
            self._rows = grown

    def put(self, first: int, vectors: Floats | Sequence[Floats | None]) -> None:
        """Store vectors at slots `first`, `first + 1`, ...; slots are only ever appended."""
        end = first + len(vectors)
        self.reserve(grown_capacity(len(self._rows), end))
        if isinstance(vectors, np.ndarray):
            self._rows[first:end] = vectors
        else:
            for slot, vector in enumerate(vectors, first):
                self._rows[slot] = np.nan if vector is None else vector
        self._size = end

    def keep(self, slots: npt.NDArray[np.int64]) -> None:
        """Keep only these slots, renumbered in their order."""
        self._rows = self._rows[slots]
        self._size = len(slots)

    def cosines(self, query: Floats, slots: npt.NDArray[np.int64] | None) -> npt.NDArray[np.float64]:
        """Return the dot products with the query of these slots (None: all); NaN where there is no vector."""
        if slots is None or 2 * len(slots) >= self._size:
            every = products(self._rows[: self._size], query)
            return (every if slots is None else every[slots]).astype(np.float64)
        return products(self._rows[slots], query).astype(np.float64)

    def middle(self, slots: npt.NDArray[np.int64] | None) -> Floats:
        """Return the mean of the vectors of these slots (None: all), without those that have none."""
        rows = self._rows[: self._size] if slots is None else self._rows[slots]
        missing = np.isnan(rows[:, 0])
        rows = rows[~missing] if missing.any() else rows
        return rows.mean(axis=0) if len(rows) else np.zeros(self._dim, np.float32)


def products(rows: Floats, query: Floats) -> Floats:
    """Return the dot product of each row with the query, in the caller's thread alone.

    A BLAS wakes its threads for a large matrix, and where the processors are busy the last of them comes milliseconds
    after the others.
    """
    if len(rows) <= _ONE_THREAD:
        return rows @ query
    return _dots(rows, query)


def _by_einsum(rows: Floats, query: Floats) -> Floats:
    return np.einsum("ij,j->i", rows, query)


_ONE_THREAD: Final = 1_000
"""Rows of some hundred numbers that a BLAS multiplies without its threads, and faster than `_dots`."""
_dots: Callable[[Floats, Floats], Floats] = getattr(np, "vecdot", _by_einsum)  # numpy 1 has no vecdot


class ColumnTable:
    """Hashed embeddings: int8 codes by column, so that a query reads only the columns it has.

    A short query fills some 100 of 1,024 columns. All sums are of whole numbers under 2**24, which float32 holds
    exactly: scores depend on nothing but the two texts.
    """

    def __init__(self, dim: int) -> None:
        self._codes: npt.NDArray[np.int8] = np.empty((dim, 0), np.int8)
        self._scales: Floats = np.empty(0, np.float32)
        self._size = 0

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self._codes.nbytes + self._scales.nbytes

    def reserve(self, capacity: int) -> None:
        """Make room for so many slots in all."""
        if capacity > len(self._scales):
            codes, scales = np.zeros((len(self._codes), capacity), np.int8), np.zeros(capacity, np.float32)
            codes[:, : self._size] = self._codes[:, : self._size]
            scales[: self._size] = self._scales[: self._size]
            self._codes, self._scales = codes, scales

    def put(self, first: int, vectors: Floats | Sequence[Floats | None]) -> None:
        """Store vectors at slots `first`, `first + 1`, ...; slots are only ever appended."""
        end = first + len(vectors)
        self.reserve(grown_capacity(len(self._scales), end))
        if isinstance(vectors, np.ndarray):
            for start in range(first, end, _BLOCK):
                slots = slice(start, min(start + _BLOCK, end))
                codes, self._scales[slots] = quantise(vectors[start - first : slots.stop - first])
                self._codes[:, slots] = codes.T
        else:
            self._scales[first:end] = np.nan
            for slot, vector in enumerate(vectors, first):
                if vector is not None:
                    self._codes[:, slot], self._scales[slot] = _quantised(vector)
        self._size = end

    def keep(self, slots: npt.NDArray[np.int64]) -> None:
        """Keep only these slots, renumbered in their order."""
        self._codes, self._scales = np.ascontiguousarray(self._codes[:, slots]), self._scales[slots]
        self._size = len(slots)

    def cosines(self, query: Floats, slots: npt.NDArray[np.int64] | None) -> npt.NDArray[np.float64]:
        """Return the dot products with the query of these slots (None: all); NaN where there is no vector."""
        codes, scale = _quantised(query)
        columns = codes.nonzero()[0]
        few = None if slots is None or 2 * len(slots) >= self._size else slots
        size = self._size if few is None else len(few)
        sums = np.zeros(size, np.float32)
        step = max(1, 400_000 // max(1, size))  # a block that stays in the processor's cache
        for block in (columns[i : i + step] for i in range(0, len(columns), step)):
            part = self._codes[block, :size] if few is None else self._codes[np.ix_(block, few)]
            sums += codes[block] @ part.astype(np.float32)
        dots, scales = sums, self._scales[:size] if slots is None else self._scales[slots]
        if slots is not None and few is None:
            dots = sums[slots]
        return dots.astype(np.float64) * scales * scale

    def middle(self, slots: npt.NDArray[np.int64] | None) -> Floats:
        """Return the mean of the vectors of these slots (None: all), without those that have none."""
        taken = slice(0, self._size) if slots is None else slots
        scales = self._scales[taken]
        known = ~np.isnan(scales)
        sums = self._codes[:, taken].astype(np.float32) @ np.where(known, scales, np.float32(0))
        return sums / np.float32(max(1, np.count_nonzero(known)))


def grown_capacity(now: int, wanted: int) -> int:
    """Return a capacity for `wanted` items that makes appending one by one cost a constant each, an eighth to spare."""
    return max(wanted + wanted // 8, 16, now + now // 8) if wanted > now else now
