"""Items of the key-value store as rows.

A namespace is stored as its labels, each followed by a NUL. That can be taken apart again whatever the labels hold,
sorts like the labels, and everything under a namespace is one range of the index.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..ranking.vectors import decode_many
from .items import ItemRow, Namespace

if TYPE_CHECKING:
    from .records import Vector

ITEM_SELECT: Final = (
    "SELECT no, path, key, value, version, created_at, updated_at, expires_at, ttl FROM item WHERE "
)


def packed(namespace: Namespace) -> bytes:
    """Return a namespace as it is stored."""
    return b"".join(label.encode() + b"\0" for label in namespace)


def unpacked(path: bytes) -> Namespace:
    """Return the namespace that is stored so."""
    return tuple(path[:-1].decode().split("\0"))


def item_row(found: Sequence[Any]) -> ItemRow:
    """Return the item of an `ITEM_SELECT` row."""
    no, path, key, value, version, created_at, updated_at, expires_at, ttl = found
    return ItemRow(
        no=no,
        namespace=unpacked(path),
        key=key,
        value=json.loads(value),
        version=version,
        created_at=created_at,
        updated_at=updated_at,
        expires_at=expires_at,
        ttl=ttl,
    )


class Cosines:
    """The largest cosine with one vector that any vector of an item has, exactly."""

    def __init__(self, vector: Vector) -> None:
        self._vector = vector
        self._items: list[int] = []
        self._scores = [np.empty(0, np.float32)]

    def take(self, rows: Sequence[Sequence[Any]]) -> None:
        """Compare (item, packed vector) rows."""
        matrix = decode_many([blob for _, blob in rows], len(self._vector))
        # Packing rounds, so a row's length is not exactly one any more.
        norms = np.linalg.norm(matrix, axis=1)
        self._items += [item for item, _ in rows]
        self._scores.append((matrix @ self._vector / np.where(norms > 0, norms, 1)).astype(np.float32))

    def best(self) -> dict[int, float]:
        """Return the cosine of each item, best first, later items first among equals."""
        scores = np.concatenate(self._scores)
        order: list[int] = np.lexsort((-np.array(self._items, np.int64), -scores)).tolist()
        found: dict[int, float] = {}
        for place in order:
            found.setdefault(self._items[place], float(scores[place]))
        return found
