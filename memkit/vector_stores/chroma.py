"""Chroma, embedded, as a server, or in its cloud: https://docs.trychroma.com. Needs the extra `chroma`.

The complete payload is one JSON text; flat keys beside it serve the filters.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np

from memkit.errors import ConfigurationError
from memkit.filters import Filter
from memkit.vector_stores.base import (
    Capability,
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
    no_collection,
    record_filter,
    storable_ids,
    unit,
    unit_rows,
)
from memkit.vector_stores.chroma_sessions import ChromaSessions, ChromaSettings, Session, copied
from memkit.vector_stores.flat import Native, flatten, native_where

if TYPE_CHECKING:
    from chromadb.api import ClientAPI
    from chromadb.api.models.Collection import Collection  # pyright: ignore[reportMissingTypeStubs]  the vendor ships none

    from memkit.vector_stores.base import Vector

if find_spec("chromadb") is None:
    raise ModuleNotFoundError("No module named 'chromadb'", name="chromadb")

_PAYLOAD: Final = "payload"
_DIM: Final = "memkit.dim"
_EMBEDDER: Final = "memkit.embedder"
_ROWS: Final = 1000
"""Points per embedded write, for which the lock is held; a server takes its own maximum."""
_BYTES: Final = 8_000_000
"""Bytes per request, about."""
_CHUNK: Final = 500


class ChromaStore(VectorStore):
    """A Chroma collection with the cosine distance."""

    name = "chroma"
    Settings = ChromaSettings

    def __init__(self, settings: ChromaSettings | None = None, *, client: ClientAPI | None = None) -> None:
        self._settings = settings or ChromaSettings()
        self.patience_s = self._settings.patience_s
        self._sessions = ChromaSessions(self._settings, client)
        self._copy: TemporaryDirectory[str] | None = None
        self._reader: ChromaStore | None = None
        self._call = self._sessions.call
        self._operate = self._sessions.operate
        self._collection = self._sessions.collection
        self.capabilities = frozenset() if client is not None else self._known_capabilities()

    def _known_capabilities(self) -> frozenset[Capability]:
        if self._sessions.in_memory:
            return frozenset()
        if self._sessions.embedded:
            return frozenset({"persistent", "multi_process"})
        return frozenset({"persistent", "multi_process", "server"})

    def place(self, folder: Path) -> None:
        """Keep an embedded database without a path of its own in `chroma` under this folder."""
        if self._sessions.in_memory:
            self._sessions.place(folder / "chroma")
            self.capabilities = self._known_capabilities()

    # The collection.

    def _dim(self, session: Session) -> int | None:
        return cast("int | None", session.facts.get(_DIM))

    def open(self, *, dim: int, embedder: str) -> None:
        """Make or open the collection; the cosine distance is set explicitly."""
        self._operate(lambda session: self._open(session, dim, embedder), write=True)

    def _open(self, session: Session, dim: int, embedder: str) -> None:
        name = self._settings.collection_name
        session.collection = None
        found = self._collection(session)
        if found is None:
            found = self._call(
                session.client.get_or_create_collection,
                name,
                configuration=cast(Any, {"hnsw": {"space": "cosine"}}),
                metadata={_DIM: dim, _EMBEDDER: embedder},
                embedding_function=None,
            )
            session.collection, session.facts = found, dict(found.metadata or {})
        if _DIM not in session.facts:
            self._adopt(found, session, dim, embedder)
        if (space := _space(found)) != "cosine":
            raise ConfigurationError(
                f"The Chroma collection {name!r} measures {space!r} distances, and memkit needs 'cosine'. Choose "
                "another `collection_name`, or drop it.",
                space=space,
            )
        stored = int(session.facts[_DIM]), str(session.facts[_EMBEDDER])
        check_embedder(f"The Chroma collection {name!r}", stored, (dim, embedder))

    def _adopt(self, found: Collection, session: Session, dim: int, embedder: str) -> None:
        """Take a collection that memkit did not make, if it is empty."""
        if count := self._call(found.count):
            raise ConfigurationError(
                f"The Chroma collection {found.name!r} holds {count} points that memkit did not write. Choose "
                "another `collection_name`."
            )
        kept = {key: value for key, value in session.facts.items() if not key.startswith("hnsw:")}
        facts = {**kept, _DIM: dim, _EMBEDDER: embedder}
        self._call(found.modify, metadata=facts)
        session.facts.update(facts)

    # Writing.

    def upsert(self, records: Sequence[StoreRecord]) -> None:
        """Write points in batches as large as the database takes; the last of equal ids wins."""
        checked = check_records(records, None)
        start = self._operate(lambda session: self._write(session, checked, 0), write=True)
        while start < len(checked):
            start = self._operate(lambda session: self._write(session, checked, start), write=True)  # noqa: B023

    def _write(self, session: Session, checked: Sequence[tuple[StoreRecord, str]], start: int) -> int:
        """Write one batch and return where the next begins; before the first, all are checked."""
        collection = self._collection(session)
        if collection is None:
            raise ConfigurationError("The collection is not open. Call `open(dim=, embedder=)` first.")
        if not start:
            self._check_dim(session, checked)
        end = self._batch_end(session, checked, start)
        batch = checked[start:end]
        if not batch:
            return end
        old = [record.id for record, _ in batch if not record.fresh]
        gone = self._old_keys(collection, old)
        self._call(
            collection.upsert,
            ids=[record.id for record, _ in batch],
            embeddings=np.stack([record.vector for record, _ in batch]),
            metadatas=[
                {**gone.get(record.id, {}), **flatten(record.payload), _PAYLOAD: payload}
                for record, payload in batch
            ],
        )
        session.added = None if old else len(batch)
        return end

    def _check_dim(self, session: Session, checked: Sequence[tuple[StoreRecord, str]]) -> None:
        dim = self._dim(session)
        for record, _ in checked:
            if len(record.vector) != dim:
                check_vector(record.vector, dim, f"The vector of {record.id!r}")

    def _old_keys(self, collection: Collection, ids: Sequence[str]) -> dict[str, dict[str, None]]:
        """Return the keys that points have now, as a metadata that takes them away.

        An upsert merges metadata, and None takes a key away: those that the new payload lacks would stay.
        """
        if not ids:
            return {}
        old = self._call(collection.get, ids=list(ids), include=["metadatas"])
        return {
            id: dict.fromkeys(metadata or ())
            for id, metadata in zip(old["ids"], old["metadatas"] or (), strict=True)
        }

    def _batch_end(self, session: Session, checked: Sequence[tuple[StoreRecord, str]], start: int) -> int:
        rows, size, end = self._max_batch(session), 0, start
        while end < len(checked) and end - start < rows and (end == start or size < _BYTES):
            record, payload = checked[end]
            size += 12 * len(record.vector) + 2 * len(payload)
            end += 1
        return end

    def _max_batch(self, session: Session) -> int:
        if not session.max_batch:
            session.max_batch = self._call(session.client.get_max_batch_size)
        return min(session.max_batch, _ROWS) if self._sessions.embedded else session.max_batch

    def delete(self, ids: Sequence[str]) -> None:
        """Delete points."""
        known = storable_ids(ids)
        for start in range(0, len(known), _CHUNK):
            self._operate(lambda session: self._delete(session, known[start : start + _CHUNK]), write=True)  # noqa: B023

    def _delete(self, session: Session, ids: Sequence[str]) -> None:
        if collection := self._collection(session):
            self._call(collection.delete, ids=list(ids))

    # Reading.

    def search(self, vector: Vector, limit: int, filter: Filter | None = None) -> list[StoreHit]:
        """Return at most `limit` hits, best first, ties by id.

        Hits come from the graph; where those do not fill the limit, every point that the filter can pass is
        scored exactly, so that a small tenant in a huge collection gets its full list.
        """
        check_limit(limit)
        query = unit(check_vector(vector, None))
        native = native_where(filter)
        if native.where is False:
            return []
        return self._operate(lambda session: self._search(session, query, limit, filter, native))

    def _search(
        self, session: Session, query: Vector, limit: int, filter: Filter | None, native: Native
    ) -> list[StoreHit]:
        collection = self._collection(session)
        if collection is None:
            return []
        check_vector(query, self._dim(session))
        asked = limit if native.exact else max(5 * limit, 50)
        raw = self._call(
            collection.query,
            query_embeddings=cast(Any, [query]),
            n_results=asked,
            where=_as_where(native),
            include=["metadatas", "distances"],
        )
        passes = record_filter(filter)
        hits = [hit for hit in _hits(raw) if passes(hit.id, hit.payload)]
        if len(hits) < limit:
            ids = self._ids(collection, native)
            if len(ids) > len(raw["ids"][0]):
                return self._scan(collection, ids, query, limit, filter)
        return sorted(hits, key=lambda hit: (-hit.score, hit.id))[:limit]

    def _ids(self, collection: Collection, native: Native) -> list[str]:
        return sorted(self._call(collection.get, where=_as_where(native), include=[])["ids"])

    def _scan(
        self, collection: Collection, ids: Sequence[str], query: Vector, limit: int, filter: Filter | None
    ) -> list[StoreHit]:
        best: list[StoreHit] = []
        for chunk in _chunks(ids):
            points = self._points(collection, chunk, filter)
            if points:
                cosines = unit_rows(np.stack([point.vector for point in points])) @ query
                for at, score in best_first([point.id for point in points], cosines, limit):
                    best.append(StoreHit(id=points[at].id, score=score, payload=points[at].payload))
                best = sorted(best, key=lambda hit: (-hit.score, hit.id))[:limit]
        return best

    def _points(
        self, collection: Collection, ids: Sequence[str], filter: Filter | None = None
    ) -> list[StoreRecord]:
        """Return those of some points that pass, in the order asked."""
        raw = self._call(collection.get, ids=list(ids), include=["metadatas", "embeddings"])
        passes = record_filter(filter)
        found: dict[str, StoreRecord] = {}
        vectors = cast("Sequence[Any]", raw["embeddings"])
        for id, metadata, vector in zip(raw["ids"], raw["metadatas"] or (), vectors, strict=True):
            payload = _payload(metadata)
            if passes(id, payload):
                found[id] = StoreRecord(id=id, vector=np.array(vector, np.float32), payload=payload)
        return [found[id] for id in ids if id in found]

    def get(self, ids: Sequence[str]) -> list[StoreRecord]:
        """Return the points that exist, in the order asked."""
        known = storable_ids(ids)
        found = {point.id: point for point in self._operate(lambda session: self._get(session, known))}
        return [found[id] for id in ids if id in found]

    def _get(self, session: Session, ids: Sequence[str]) -> list[StoreRecord]:
        collection = self._collection(session)
        if collection is None:
            return []
        return [point for chunk in _chunks(ids) for point in self._points(collection, chunk)]

    def list(self, filter: Filter | None = None, limit: int = 100, cursor: str | None = None) -> StorePage:
        """Return points ordered by id; each page reads the ids of all that the filter can pass."""
        check_limit(limit)
        return self._operate(lambda session: self._list(session, filter, limit, cursor))

    def _list(self, session: Session, filter: Filter | None, limit: int, cursor: str | None) -> StorePage:
        collection, native = self._collection(session), native_where(filter)
        if collection is None or native.where is False:
            return StorePage(records=[])
        ids = self._ids(collection, native)
        rest = ids[bisect_right(ids, cursor) :] if cursor is not None else ids
        page: list[StoreRecord] = []
        for chunk in _chunks(rest, min(limit + 1, _CHUNK)):
            page += self._points(collection, chunk, filter)
            if len(page) > limit:
                return StorePage(records=page[:limit], cursor=page[limit - 1].id)
        return StorePage(records=page)

    def count(self, filter: Filter | None = None) -> int:
        """Return how many points match."""
        return self._operate(lambda session: self._count(session, filter))

    def _count(self, session: Session, filter: Filter | None) -> int:
        collection, native = self._collection(session), native_where(filter)
        if collection is None or native.where is False:
            return 0
        if filter is None:
            return self._call(collection.count)
        ids = self._ids(collection, native)
        if native.exact:
            return len(ids)
        return sum(len(self._points(collection, chunk, filter)) for chunk in _chunks(ids))

    def foreign(self, limit: int = 500, cursor: str | None = None) -> StorePage:
        """Return points as another program wrote them, in the order they came in; an embedded database is copied."""
        if self._sessions.path is None:
            return self._operate(lambda session: self._foreign(session, limit, int(cursor or 0)))
        if self._copy is None:
            self._copy = copied(self._sessions.path)
        settings = self._settings.model_copy(update={"path": Path(self._copy.name)})
        self._reader = self._reader or ChromaStore(settings)
        return self._reader._operate(lambda session: self._foreign(session, limit, int(cursor or 0)))

    def _foreign(self, session: Session, limit: int, start: int) -> StorePage:
        collection = self._collection(session)
        if collection is None:
            raise no_collection(self._settings.collection_name, self._sessions.where(), self._names(session))
        raw = self._call(
            collection.get, limit=limit, offset=start, include=["metadatas", "embeddings", "documents"]
        )
        metadatas, texts = raw["metadatas"] or (), cast("Sequence[str | None]", raw["documents"])
        records = [
            StoreRecord(
                id=id,
                vector=np.array(vector, np.float32),
                payload={**({} if text is None else {"document": text}), **dict(metadata or {})},
            )
            for id, metadata, text, vector in zip(
                raw["ids"], metadatas, texts, cast("Sequence[Any]", raw["embeddings"]), strict=True
            )
        ]
        return StorePage(records=records, cursor=str(start + limit) if len(records) == limit else None)

    def info(self) -> StoreInfo:
        """Return what the collection says of itself."""
        return self._operate(self._info)

    def _info(self, session: Session) -> StoreInfo:
        name, collection = self._settings.collection_name, self._collection(session)
        if collection is None:
            return StoreInfo(name=name, dim=None, count=0, embedder=None)
        count = self._call(collection.count)
        return StoreInfo(
            name=name, dim=self._dim(session), count=count, embedder=session.facts.get(_EMBEDDER)
        )

    def collections(self) -> Sequence[str]:
        """Return the names of all collections of the database, sorted."""
        return self._operate(self._names)

    def _names(self, session: Session) -> Sequence[str]:
        names: list[str] = []
        while page := self._call(session.client.list_collections, limit=100, offset=len(names)):
            names += [collection.name for collection in page]
        return sorted(names)

    def drop(self) -> None:
        """Delete the collection."""
        self._operate(self._drop, write=True)

    def _drop(self, session: Session) -> None:
        if self._collection(session) is not None:
            session.collection = None
            self._call(session.client.delete_collection, self._settings.collection_name)

    def health(self) -> None:
        """Return if the database answers."""
        self._operate(lambda session: self._call(session.client.list_collections, limit=1))

    def close(self) -> None:
        """Close the client, unless it was given; the next call opens another."""
        self._sessions.close()
        if self._reader is not None:
            self._reader.close()
        if self._copy is not None:
            self._copy.cleanup()
        self._reader = self._copy = None


def _space(collection: Collection) -> str:
    # The raw form: the public property warns of every collection that has no embedding function.
    configuration = collection.configuration_json
    for index in ("hnsw", "spann"):
        if found := configuration.get(index):
            return str(found.get("space", "l2"))
    return "l2"


def _as_where(native: Native) -> Any:
    return native.where if isinstance(native.where, dict) else None


def _chunks(ids: Sequence[str], size: int = _CHUNK) -> Iterator[Sequence[str]]:
    return (ids[start : start + size] for start in range(0, len(ids), size))


def _payload(metadata: Any) -> dict[str, Any]:
    return json.loads(metadata[_PAYLOAD]) if metadata and _PAYLOAD in metadata else {}


def _hits(raw: Any) -> Iterator[StoreHit]:
    for id, metadata, distance in zip(raw["ids"][0], raw["metadatas"][0], raw["distances"][0], strict=True):
        yield StoreHit(id=id, score=min(1.0, max(0.0, 1.0 - distance / 2.0)), payload=_payload(metadata))
