"""In memory: the reference that every other store is compared with."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import RLock
from typing import TYPE_CHECKING, Any

import numpy as np

from memkit.errors import ConfigurationError
from memkit.filters import Filter
from memkit.vector_stores.base import (
    StoreHit,
    StoreInfo,
    StorePage,
    StoreRecord,
    StoreSettings,
    VectorStore,
    best_first,
    check_embedder,
    check_limit,
    check_records,
    check_vector,
    record_filter,
    unit,
)

if TYPE_CHECKING:
    from memkit.vector_stores.base import Vector


@dataclass(slots=True, kw_only=True)
class _Collection:
    dim: int
    embedder: str
    points: dict[str, tuple[Vector, str]] = field(default_factory=dict[str, "tuple[Vector, str]"])


class MemoryStore(VectorStore):
    """Points in a dictionary, scanned exactly; they are gone with the process."""

    name = "memory"

    class Settings(StoreSettings):
        """Settings of the in-memory store."""

        provider_name = "memory"

    def __init__(self, settings: Settings | None = None, *, client: dict[str, Any] | None = None) -> None:
        self._settings = settings or self.Settings()
        self.patience_s = self._settings.patience_s
        self._lock = RLock()
        self._collections: dict[str, _Collection] = {} if client is None else client

    def open(self, *, dim: int, embedder: str) -> None:
        """Make or open the collection."""
        with self._lock:
            name = self._settings.collection_name
            found = self._collections.setdefault(name, _Collection(dim=dim, embedder=embedder))
            check_embedder(f"The collection {name!r}", (found.dim, found.embedder), (dim, embedder))

    def _found(self) -> _Collection | None:
        return self._collections.get(self._settings.collection_name)

    def upsert(self, records: Sequence[StoreRecord]) -> None:
        """Write points; the last of equal ids wins."""
        with self._lock:
            found = self._found()
            if found is None:
                raise ConfigurationError("The collection is not open. Call `open(dim=, embedder=)` first.")
            for record, payload in check_records(records, found.dim):
                found.points[record.id] = record.vector.copy(), payload

    def search(self, vector: Vector, limit: int, filter: Filter | None = None) -> list[StoreHit]:
        """Return at most `limit` hits, best first, ties by id."""
        check_limit(limit)
        with self._lock:
            found = self._found()
            query = unit(check_vector(vector, found.dim if found else None))
            points = self._passing(filter)
        if not points:
            return []
        cosines = np.array([float(unit(point.vector) @ query) for point in points], dtype=np.float32)
        best = best_first([point.id for point in points], cosines, limit)
        return [StoreHit(id=points[at].id, score=score, payload=points[at].payload) for at, score in best]

    def _passing(self, filter: Filter | None) -> list[StoreRecord]:
        found, passes = self._found(), record_filter(filter)
        points = (self._record(id) for id in sorted(found.points)) if found else ()
        return [point for point in points if passes(point.id, point.payload)]

    def _record(self, id: str) -> StoreRecord:
        found = self._found()
        assert found is not None
        vector, payload = found.points[id]
        return StoreRecord(id=id, vector=vector.copy(), payload=json.loads(payload))

    def get(self, ids: Sequence[str]) -> list[StoreRecord]:
        """Return the points that exist, in the order asked."""
        with self._lock:
            found = self._found()
            return [self._record(id) for id in ids if found and id in found.points]

    def list(self, filter: Filter | None = None, limit: int = 100, cursor: str | None = None) -> StorePage:
        """Return points ordered by id."""
        check_limit(limit)
        with self._lock:
            points = self._passing(filter)
        start = 0 if cursor is None else bisect_right([point.id for point in points], cursor)
        page = points[start : start + limit]
        return StorePage(records=page, cursor=page[-1].id if start + limit < len(points) else None)

    def count(self, filter: Filter | None = None) -> int:
        """Return how many points match."""
        with self._lock:
            return len(self._passing(filter))

    def delete(self, ids: Sequence[str]) -> None:
        """Delete points."""
        with self._lock:
            found = self._found()
            points = found.points if found else {}
            for id in ids:
                points.pop(id, None)

    def info(self) -> StoreInfo:
        """Return what the collection says of itself."""
        with self._lock:
            name, found = self._settings.collection_name, self._found()
            if found is None:
                return StoreInfo(name=name, dim=None, count=0, embedder=None)
            return StoreInfo(name=name, dim=found.dim, count=len(found.points), embedder=found.embedder)

    def collections(self) -> Sequence[str]:
        """Return the names of all collections, sorted."""
        with self._lock:
            return sorted(self._collections)

    def drop(self) -> None:
        """Delete the collection."""
        with self._lock:
            self._collections.pop(self._settings.collection_name, None)

    def health(self) -> None:
        """Return: memory always answers."""

    def close(self) -> None:
        """Do nothing: the points stay as long as the object."""
