"""An index over something that can only put, get and delete by key, and name its nearest.

Such a store cannot list, count, or say what its scores mean. So each entry holds the point whole (id, payload, vector),
and a few entries more hold the ids of all points.
"""

from __future__ import annotations

import base64
import json
from abc import abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from threading import RLock
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar
from uuid import UUID, uuid5
from zlib import crc32

import numpy as np

from memkit.errors import BackendResponseError, ConfigurationError
from memkit.filters import Filter
from memkit.vector_stores.base import (
    StoreHit,
    StoreInfo,
    StorePage,
    StoreRecord,
    VectorStore,
    best_first,
    check_embedder,
    check_limit,
    check_records,
    check_vector,
    record_filter,
    storable_ids,
    unit,
    unit_rows,
)

if TYPE_CHECKING:
    from memkit.vector_stores.base import Vector

T = TypeVar("T")
Metadata = Mapping[str, Any]
Flat = Mapping[str, str | float | bool]

OWNER: Final = "memkit"
"""The metadata key of every entry of ours: the name of the collection."""
POINT: Final = "memkit_point"
"""The metadata key that points have and notes lack; its value is `yes`."""
_ID: Final = "memkit_id"
_PAYLOAD: Final = "memkit_payload"
_VECTOR: Final = "memkit_vector"
_SPACE: Final = UUID("0b0a1c52-6f0e-5d9b-9f0c-6d656d6b6974")
_PAGES: Final = 64
"""Entries that hold the ids of the points, each those of one share of all ids."""
_CHUNK: Final = 500
_APART: Final = 0.05
"""Scores nearer to each other than this do not tell a distance from a similarity."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What is put under a key; the metadata of ours are texts."""

    key: str
    text: str
    metadata: dict[str, str | float | bool]
    vector: Vector


@dataclass(frozen=True, slots=True, kw_only=True)
class Nearest:
    """What a store named as nearest: keys with metadata and its own numbers."""

    found: Sequence[tuple[str, Metadata, float | None]] = ()
    complete: bool = False
    """Whether no other entry can pass. That a store names fewer than it was asked for does not say so: an approximate
    search with a filter loses points."""


class KeyedStore(VectorStore):
    """A collection inside somebody's store, beside the entries of others, which are neither found nor touched.

    Args:
        collection: Its name.
        score: What the store's numbers are declared to be.
        title: What the store is called in messages.
    """

    def __init__(self, collection: str, score: Literal["similarity", "distance"], title: str) -> None:
        self._collection, self._score, self._title = collection, score, title
        self._about_key = self._key("about", "")
        self._about: tuple[int, str] | None = None
        self._lock = RLock()

    # What the store can do.

    @abstractmethod
    def _read(self, keys: Sequence[str]) -> dict[str, Metadata]:
        """Return the metadata of the entries that exist, by key; at least one is given."""

    @abstractmethod
    def _write(self, entries: Sequence[Entry]) -> None:
        """Put entries under keys that are free."""

    @abstractmethod
    def _remove(self, keys: Sequence[str]) -> None:
        """Delete entries that exist; at least one is given."""

    @abstractmethod
    def _nearest(self, query: Vector, limit: int, filter: Filter | None) -> Nearest:
        """Return the entries near a vector among which `limit` points that pass are likely to be.

        A filter may be run as far as it loses no point; with less than that, more entries are needed (`widened`).
        """

    def _listed(self, filter: Filter | None) -> Sequence[Metadata] | None:
        """Return the entries that a filter passes, more may be among them; None where the store cannot list them."""
        del filter

    def _flat(self, payload: str) -> Flat:
        """Return further metadata of a point, for the store's own filters; its payload is given as JSON."""
        del payload
        return {}

    # The collection.

    def open(self, *, dim: int, embedder: str) -> None:
        """Make or open the collection."""
        with self._lock:
            self._about = None
            found = self._opened()
            if found is None:
                self._make(dim, embedder)
                self._about = found = dim, embedder
            check_embedder(f"The collection {self._collection!r}", found, (dim, embedder))

    def _make(self, dim: int, embedder: str) -> None:
        """Write down that the collection exists, and whose vectors it has."""
        try:
            self._write([self._note(self._about_key, {"dim": dim, "embedder": embedder}, dim)])
        except BackendResponseError as error:
            raise BackendResponseError(
                f"{error.message} A store that keeps the dimension of its first vectors for good has to be "
                f"a new one for an embedder of {dim} dimensions.",
                backend=self.name,
            ) from error

    def _opened(self) -> tuple[int, str] | None:
        """Return dimension and embedder of the collection, or None before it is made."""
        if self._about is None:
            for metadata in self._read([self._about_key]).values():
                note = _noted(metadata)
                self._about = int(note["dim"]), str(note["embedder"])
        return self._about

    def info(self) -> StoreInfo:
        """Return what the collection says of itself."""
        about = self._opened()
        dim, embedder = (None, None) if about is None else about
        return StoreInfo(name=self._collection, dim=dim, count=len(self._ids()), embedder=embedder)

    def collections(self) -> Sequence[str]:
        """Return the name of this collection, if it was made: the store does not say which others there are."""
        return [] if self._opened() is None else [self._collection]

    def drop(self) -> None:
        """Delete the collection; entries of others stay."""
        with self._lock:
            keys = [*map(self._point_key, self._ids()), *map(self._page_key, range(_PAGES)), self._about_key]
            for chunk in _chunks(keys):
                # Never an empty list, let alone None: to some stores that is everything.
                if found := list(self._read(chunk)):
                    self._remove(found)
            self._about = None

    def health(self) -> None:
        """Return if the store answers."""
        self._read([self._about_key])

    def close(self) -> None:
        """Do nothing: the object is the caller's."""

    # Writing.

    def upsert(self, records: Sequence[StoreRecord]) -> None:
        """Write points; the last of equal ids wins."""
        checked = check_records(records, None)
        with self._lock:
            about = self._opened()
            if about is None:
                raise ConfigurationError("The collection is not open. Call `open(dim=, embedder=)` first.")
            for record, _ in checked:
                check_vector(record.vector, about[0], f"The vector of {record.id!r}")
            for chunk in _chunks(checked):
                points = [self._point(record, payload) for record, payload in chunk]
                self._change([record.id for record, _ in chunk], points, about[0])

    def delete(self, ids: Sequence[str]) -> None:
        """Delete points."""
        with self._lock:
            about = self._opened()
            for chunk in _chunks(storable_ids(ids) if about else []):
                self._change(chunk, [], about[0] if about else 0)

    def _change(self, ids: Sequence[str], points: Sequence[Entry], dim: int) -> None:
        """Put points in the place of what some ids have, and note which ids there are; in three requests."""
        shares: dict[str, set[str]] = {}
        for id in ids:
            shares.setdefault(self._page_key(crc32(id.encode()) % _PAGES), set()).add(id)
        there = self._read([*shares, *map(self._point_key, ids)])
        notes: list[Entry] = []
        for key, share in shares.items():
            old = set(_noted(there[key])["ids"]) if key in there else set[str]()
            new = old | share if points else old - share
            if new == old:
                there.pop(key, None)
            else:
                notes.append(self._note(key, {"ids": sorted(new)}, dim))
        # Not by adding alone: some stores then merge the metadata, others refuse an id that they have.
        if there:
            self._remove(list(there))
        if notes or points:
            self._write([*notes, *points])

    def _point(self, record: StoreRecord, payload: str) -> Entry:
        metadata = {
            **self._flat(payload),
            OWNER: self._collection,
            POINT: "yes",
            _ID: json.dumps(record.id),
            _PAYLOAD: payload,
            _VECTOR: base64.b64encode(record.vector.astype("<f4").tobytes()).decode(),
        }
        text = str(record.payload.get("memory", "")).encode("utf-8", "replace").decode()
        return Entry(key=self._point_key(record.id), text=text, metadata=metadata, vector=record.vector)

    # The ids of all points.

    def _key(self, kind: str, name: str) -> str:
        return str(uuid5(_SPACE, "\0".join((self._collection, kind, name))))

    def _page_key(self, number: int) -> str:
        return self._key("page", str(number))

    def _point_key(self, id: str) -> str:
        return self._key("point", id)

    def _note(self, key: str, content: object, dim: int) -> Entry:
        # Some direction: stores refuse a vector without one, and a search passes over what is no point.
        vector = np.zeros(dim, np.float32)
        vector[0] = 1
        return Entry(
            key=key,
            text=key,
            metadata={OWNER: self._collection, _PAYLOAD: json.dumps(content)},
            vector=vector,
        )

    def _ids(self) -> list[str]:
        """Return the ids of all points, sorted."""
        if self._opened() is None:
            return []
        pages = self._read([self._page_key(number) for number in range(_PAGES)])
        return sorted(id for page in pages.values() for id in _noted(page)["ids"])

    # Reading.

    def search(self, vector: Vector, limit: int, filter: Filter | None = None) -> list[StoreHit]:
        """Return at most `limit` hits, best first, ties by id.

        Where the nearest that the store names leave too few, those that it lists are scored too, or every point.

        Raises:
            ConfigurationError: The store's numbers rise with nearness where they were declared to fall, or the reverse.
        """
        check_limit(limit)
        about = self._opened()
        if about is None:
            return []
        query = unit(check_vector(vector, about[0]))
        nearest = self._nearest(query, limit, filter)
        points = self._records(metadata for _, metadata, _ in nearest.found)
        self._check_score(_scored(points, query), nearest)
        hits = self._passing(points, query, filter)
        if len(hits) >= limit or nearest.complete:
            return hits[:limit]
        listed = self._listed(filter)
        if listed is not None:
            return self._passing([*points, *self._records(listed)], query, filter)[:limit]
        ids = self._ids()
        if len(ids) > len(points):
            hits = list[StoreHit]()
            for chunk in _chunks(ids):
                hits += _scored(self._points(chunk, filter), query)
                hits = sorted(hits, key=lambda hit: (-hit.score, hit.id))[:limit]
        return hits[:limit]

    def _records(self, entries: Iterable[Metadata]) -> list[StoreRecord]:
        return [point for metadata in entries if (point := self._record(metadata))]

    def _passing(self, points: Sequence[StoreRecord], query: Vector, filter: Filter | None) -> list[StoreHit]:
        """Return the distinct points that pass as hits, best first."""
        passes = record_filter(filter)
        found = {point.id: point for point in points if passes(point.id, point.payload)}
        return _scored(list(found.values()), query)

    def _check_score(self, hits: Sequence[StoreHit], nearest: Nearest) -> None:
        if len(hits) < 2 or hits[0].score - hits[-1].score < _APART:
            return
        numbers = {key: number for key, _, number in nearest.found}
        best, worst = (numbers.get(self._point_key(hit.id)) for hit in (hits[0], hits[-1]))
        if best is None or worst is None or best == worst:
            return
        is_what = "similarity" if best > worst else "distance"
        if is_what != self._score:
            raise ConfigurationError(
                f"`score` of the vector store {self.name!r} is declared a {self._score}, but {self._title} gives "
                f'{best:.4g} to the nearest point and {worst:.4g} to a far one. Write "score": "{is_what}".'
            )

    def _is_point(self, metadata: Metadata) -> bool:
        return metadata.get(OWNER) == self._collection and POINT in metadata

    def _condition(self, filter: Filter | None) -> Callable[[Metadata], bool]:
        """Return a filter as a function of an entry's metadata, which passes no entry of others either."""
        passes = record_filter(filter)
        return lambda metadata: (
            self._is_point(metadata) and passes(json.loads(metadata[_ID]), json.loads(metadata[_PAYLOAD]))
        )

    def _record(self, metadata: Metadata) -> StoreRecord | None:
        """Return the point that an entry holds; None for what is no point of this collection."""
        if not self._is_point(metadata):
            return None
        vector = np.frombuffer(base64.b64decode(metadata[_VECTOR]), "<f4").astype(np.float32)
        return StoreRecord(
            id=json.loads(metadata[_ID]), vector=vector, payload=json.loads(metadata[_PAYLOAD])
        )

    def _points(self, ids: Sequence[str], filter: Filter | None = None) -> list[StoreRecord]:
        """Return those of some points that exist and pass, in the order asked."""
        passes = record_filter(filter)
        found: dict[str, StoreRecord] = {}
        for chunk in _chunks(ids):
            for metadata in self._read([self._point_key(id) for id in dict.fromkeys(chunk)]).values():
                point = self._record(metadata)
                if point is not None and passes(point.id, point.payload):
                    found[point.id] = point
        return [found[id] for id in ids if id in found]

    def get(self, ids: Sequence[str]) -> list[StoreRecord]:
        """Return the points that exist, in the order asked."""
        return self._points(storable_ids(ids)) if self._opened() else []

    def list(self, filter: Filter | None = None, limit: int = 100, cursor: str | None = None) -> StorePage:
        """Return points ordered by id; each page reads the ids of all."""
        check_limit(limit)
        ids = self._ids()
        rest = ids[bisect_right(ids, cursor) :] if cursor is not None else ids
        page: list[StoreRecord] = []
        for chunk in _chunks(rest, min(limit + 1, _CHUNK)):
            page += self._points(chunk, filter)
            if len(page) > limit:
                return StorePage(records=page[:limit], cursor=page[limit - 1].id)
        return StorePage(records=page)

    def count(self, filter: Filter | None = None) -> int:
        """Return how many points match; with a filter all are read."""
        ids = self._ids()
        return len(ids) if filter is None else sum(len(self._points(chunk, filter)) for chunk in _chunks(ids))


def widened(limit: int) -> int:
    """Return how many entries to ask for where some of them may be of others or fail the filter."""
    return max(5 * limit, 50)


def _noted(metadata: Metadata) -> dict[str, Any]:
    return json.loads(metadata[_PAYLOAD])


def _scored(points: Sequence[StoreRecord], query: Vector) -> list[StoreHit]:
    """Return points as hits, best first, ties by id."""
    if not points:
        return []
    cosines = unit_rows(np.stack([point.vector for point in points])) @ query
    best = best_first([point.id for point in points], cosines, len(points))
    return [StoreHit(id=points[at].id, score=score, payload=points[at].payload) for at, score in best]


def _chunks(items: Sequence[T], size: int = _CHUNK) -> Iterator[Sequence[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))
