"""Which memory holds which word how often: append-only, packed in bulk, extended one by one."""

from __future__ import annotations

import itertools
from array import array
from collections import defaultdict
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

_NONE: Final = np.empty(0, np.int64)


class Vocabulary(defaultdict[str, int]):
    """Stem -> its number. Reading a new one adds it."""

    def __init__(self) -> None:
        super().__init__(itertools.count().__next__)


class Postings:
    """For each term, the slots that hold it and how often.

    New rows go to small lists; they are packed into flat arrays once they make up a quarter of all.
    """

    _FEW: Final = 2_000
    _LATE: Final = 20_000

    def __init__(self) -> None:
        self._starts: Ints = np.zeros(1, np.int64)
        self._slots: npt.NDArray[np.int32] = np.empty(0, np.int32)
        self._counts: npt.NDArray[np.uint16] = np.empty(0, np.uint16)
        self._late: dict[int, array[int]] = {}  # term -> slot, count, slot, count, ...
        self._late_size = 0

    @property
    def nbytes(self) -> int:
        """Bytes held, roughly."""
        return (
            self._starts.nbytes
            + self._slots.nbytes
            + self._counts.nbytes
            + 80 * len(self._late)
            + 8 * self._late_size
        )

    def add(self, slots: npt.NDArray[np.integer], terms: npt.NDArray[np.integer]) -> None:
        """Add the words of some new slots: `terms[i]` occurs once more in `slots[i]`."""
        width = int(slots.max(initial=0)) + 1
        keys = terms.astype(np.int64)
        keys *= width
        keys += slots
        keys.sort()
        again = 1 + np.flatnonzero(keys[1:] == keys[:-1])
        counts = np.ones(len(keys) - len(again), np.uint16)
        if len(again):
            places, times = np.unique(again - np.arange(1, len(again) + 1), return_counts=True)
            counts[places] += np.minimum(times, 65_534).astype(np.uint16)
            keys = np.delete(keys, again)
        if len(self._slots) == len(self._late) == 0 and len(keys) >= self._FEW:  # all there is, and in order
            self._starts = np.searchsorted(keys, np.arange(int(keys[-1]) // width + 2) * width)
            keys %= width
            self._slots, self._counts = keys.astype(np.int32), counts
            return
        new_terms, new_slots = keys // width, keys % width
        bulk = len(keys) >= max(self._FEW, len(self._slots) // 8)
        if bulk or self._late_size + len(keys) > max(self._LATE, len(self._slots) // 4):
            self._pack(new_terms, new_slots, counts)
            return
        late = self._late
        for term, slot, count in zip(new_terms.tolist(), new_slots.tolist(), counts.tolist(), strict=True):
            pairs = late.get(term)
            if pairs is None:
                late[term] = array("i", (slot, count))
            else:
                pairs.extend((slot, count))
        self._late_size += len(keys)

    def find(self, terms: Sequence[int]) -> tuple[Ints, npt.NDArray[np.float64], list[int]]:
        """Return the slots that hold each term, one term after the other, how often each does, and slots a term."""
        slots: list[npt.NDArray[np.integer]] = [_NONE]
        counts: list[npt.NDArray[np.integer]] = [_NONE]
        sizes: list[int] = []
        last = len(self._starts) - 2
        start = self._starts.item
        for term in terms:
            size = 0
            if 0 <= term <= last:
                first, end = start(term), start(term + 1)
                size = end - first
                slots.append(self._slots[first:end])
                counts.append(self._counts[first:end])
            late = self._late.get(term)
            if late is not None:
                pairs = _table(late)
                size += len(pairs)
                slots.append(pairs[:, 0])
                counts.append(pairs[:, 1])
            sizes.append(size)
        return (
            np.concatenate(slots, dtype=np.int64, casting="unsafe"),
            np.concatenate(counts, dtype=np.float64, casting="unsafe"),
            sizes,
        )

    def keep(self, renumbered: Ints) -> None:
        """Drop slots whose entry in `renumbered` is negative, and give the others their new number."""
        none = np.empty(0, np.int64)
        self._pack(none, none, none)
        terms = np.repeat(np.arange(len(self._starts) - 1), np.diff(self._starts))
        slots = renumbered[self._slots]
        alive = slots >= 0
        self._set(terms[alive], slots[alive], self._counts[alive], len(self._starts) - 1)

    def _pack(self, terms: Ints, slots: Ints, counts: npt.NDArray[np.integer]) -> None:
        size = len(self._starts) - 1
        parts = (
            [np.repeat(np.arange(size), np.diff(self._starts)), terms],
            [self._slots, slots],
            [self._counts, counts],
        )
        for term, pairs in self._late.items():
            table = _table(pairs)
            parts[0].append(np.full(len(table), term, np.int64))
            parts[1].append(table[:, 0])
            parts[2].append(table[:, 1])
        self._late, self._late_size = {}, 0
        every = np.concatenate(parts[0])
        size = max(size, int(every.max(initial=-1)) + 1)
        self._set(every, np.concatenate(parts[1]), np.concatenate(parts[2]), size)

    def _set(
        self, terms: Ints, slots: npt.NDArray[np.integer], counts: npt.NDArray[np.integer], size: int
    ) -> None:
        order = np.argsort(terms, kind="stable")
        self._slots, self._counts = slots[order].astype(np.int32), counts[order].astype(np.uint16)
        self._starts = np.concatenate([[0], np.cumsum(np.bincount(terms, minlength=size))]).astype(np.int64)


def _table(pairs: array[int]) -> Ints:
    # The copy lets go of the buffer: an array with a view on it could not grow.
    return np.frombuffer(pairs, np.intc).astype(np.int64).reshape(-1, 2)
