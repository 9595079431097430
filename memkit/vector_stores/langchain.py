"""Any LangChain vector store as memkit's index. Needs the extra `langchain`.

LangChain's contract can add, delete, get by id and search; it cannot list, count, or say what its scores mean. So each
document holds the point whole (id, payload, vector), and a few documents more hold the ids of all points.
"""

from __future__ import annotations

import base64
import json
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from threading import RLock
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, TypeVar, cast
from uuid import UUID, uuid4, uuid5
from zlib import crc32

import numpy as np
from pydantic import Field

from memkit.errors import BackendResponseError, ConfigurationError, MemkitError
from memkit.filters import Filter
from memkit.llms.adapting import is_one_of
from memkit.llms.langchain import translated
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
    storable_ids,
    unit,
    unit_rows,
)
from memkit.vector_stores.flat import flatten, native_where

if TYPE_CHECKING:
    from langchain_core.documents import Document

    from memkit.vector_stores.base import Vector

    _Placed = tuple[Document, Vector]

T = TypeVar("T")
Translate = Callable[[Filter], Any]

_SPACE: Final = UUID("0b0a1c52-6f0e-5d9b-9f0c-6d656d6b6974")
_OWNER: Final = "memkit"
"""The metadata key of every document of ours: the name of the collection."""
_POINT: Final = "memkit_point"
_ID: Final = "memkit_id"
_PAYLOAD: Final = "memkit_payload"
_VECTOR: Final = "memkit_vector"
_PAGES: Final = 64
"""Documents that hold the ids of the points, each those of one share of all ids."""
_CHUNK: Final = 500
_APART: Final = 0.05
"""Scores nearer to each other than this do not tell a distance from a similarity."""
_KNOWN: Final[Mapping[str, tuple[str, str]]] = {
    "InMemoryVectorStore": ("similarity", "callable"),
    "Chroma": ("distance", "dict"),
}


class LangChainStore(VectorStore):
    """Any LangChain `VectorStore`; what its scores are and how it filters has to be said, and is never guessed.

    The vectors are those of the memory's embedder: nothing is embedded a second time, and the embeddings that the
    store was made with are not asked. A hit is scored exactly, by the vector kept with it; the store's own numbers are
    held against `score`, and a declaration that they contradict is an error. The collection shares the store with
    documents of others, which are neither found nor touched. Only the sync methods of the store are called, under
    `AsyncMemory` in worker threads. It needs `add_documents`, `delete`, `get_by_ids` and `similarity_search`.
    """

    name = "langchain"

    class Settings(StoreSettings):
        """Settings of a LangChain vector store."""

        provider_name: ClassVar[str | None] = "langchain"

        client: Any = Field(default=None, repr=False)
        """The LangChain object."""
        score: Literal["similarity", "distance"] | None = None
        """Required: what the store's search gives; a `similarity` rises with nearness, a `distance` falls."""
        filter: Literal["callable", "dict"] | Translate | None = None
        """Required: what the argument `filter` of its search takes; None, written out, says that it takes none.

        `callable` is a function of a document; `dict` is conditions on metadata such as `{"$and": [{"kind": {"$eq":
        "fact"}}]}`. A function of yours gets memkit's `Filter` and returns the argument, or None for no filter: it
        must pass every point that the filter passes, and may pass more, as the results are checked exactly. Where few
        points pass and the store cannot filter exactly, a search reads the whole collection.
        """

        def __init__(self, **data: Any) -> None:
            super().__init__(**data)
            if not LangChainStore.adapts(self.client):
                raise ConfigurationError(
                    "The vector store 'langchain' needs a LangChain VectorStore as `client`, not "
                    f"{type(self.client).__name__}. {_example(None)}"
                )
            given = {*self.model_fields_set} - ({"score"} if self.score is None else set[str]())
            if missing := [f"`{key}`" for key in ("score", "filter") if key not in given]:
                raise ConfigurationError(
                    f"LangChain does not say what the scores of {type(self.client).__name__} are nor how it filters, "
                    f"so {' and '.join(missing)} must be given. {_example(self.client)}"
                )
            _check_methods(self.client)

    def __init__(self, settings: Settings | None = None) -> None:
        settings = settings or self.Settings()
        from memkit.vector_stores.langchain_vectors import prepared

        self._settings = settings
        self._client, self._embeddings = prepared(settings.client)
        self._scores = _overrides(self._client, "similarity_search_with_score")
        self._collection = settings.collection_name
        self._about_key = self._key("about", "")
        self._about: tuple[int, str] | None = None
        self._lock = RLock()

    @staticmethod
    def adapts(given: object) -> bool:
        """Return whether an object is a LangChain vector store, importing nothing."""
        return is_one_of(given, "langchain_core.vectorstores", "VectorStore")

    def __repr__(self) -> str:
        """Return the class alone: the object may hold its key."""
        return f"<LangChainStore {type(self._client).__name__}>"

    # The collection.

    def open(self, *, dim: int, embedder: str) -> None:
        """Make or open the collection."""
        with self._lock:
            self._about = None
            found = self._opened()
            if found is None:
                try:
                    self._add([self._note(self._about_key, {"dim": dim, "embedder": embedder}, dim)])
                except BackendResponseError as error:
                    raise BackendResponseError(
                        f"{error.message} A store that keeps the dimension of its first vectors for good has to be "
                        f"a new one for an embedder of {dim} dimensions.",
                        backend=self.name,
                    ) from error
                self._about = found = dim, embedder
            check_embedder(f"The collection {self._collection!r}", found, (dim, embedder))

    def _opened(self) -> tuple[int, str] | None:
        """Return dimension and embedder of the collection, or None before it is made."""
        if self._about is None:
            for document in self._documents([self._about_key]).values():
                note = _note_of(document)
                self._about = int(note["dim"]), str(note["embedder"])
        return self._about

    def info(self) -> StoreInfo:
        """Return what the collection says of itself."""
        about = self._opened()
        dim, embedder = (None, None) if about is None else about
        return StoreInfo(name=self._collection, dim=dim, count=len(self._ids()), embedder=embedder)

    def collections(self) -> Sequence[str]:
        """Return the name of this collection, if it was made: a LangChain store does not say which others there are."""
        return [] if self._opened() is None else [self._collection]

    def drop(self) -> None:
        """Delete the collection; documents of others stay."""
        with self._lock:
            keys = [*map(self._point_key, self._ids()), *map(self._page_key, range(_PAGES)), self._about_key]
            for chunk in _chunks(keys):
                # Never an empty list, let alone None: to some stores that is everything.
                if found := list(self._documents(chunk)):
                    self._call(self._client.delete, found)
            self._about = None

    def health(self) -> None:
        """Return if the store answers."""
        self._documents([self._about_key])

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

    def _change(self, ids: Sequence[str], points: Sequence[_Placed], dim: int) -> None:
        """Put points in the place of what some ids have, and note which ids there are; in three requests."""
        shares: dict[str, set[str]] = {}
        for id in ids:
            shares.setdefault(self._page_key(crc32(id.encode()) % _PAGES), set()).add(id)
        there = self._documents([*shares, *map(self._point_key, ids)])
        notes: list[_Placed] = []
        for key, share in shares.items():
            old = set(_note_of(there[key])["ids"]) if key in there else set[str]()
            new = old | share if points else old - share
            if new == old:
                there.pop(key, None)
            else:
                notes.append(self._note(key, {"ids": sorted(new)}, dim))
        # Not by adding alone: some stores then merge the metadata, others refuse an id that they have.
        if there:
            self._call(self._client.delete, list(there))
        self._add([*notes, *points])

    def _point(self, record: StoreRecord, payload: str) -> _Placed:
        metadata: dict[str, Any] = flatten(json.loads(payload)) if self._settings.filter == "dict" else {}
        metadata |= {
            _POINT: True,
            _ID: json.dumps(record.id),
            _PAYLOAD: payload,
            _VECTOR: base64.b64encode(record.vector.astype("<f4").tobytes()).decode(),
        }
        text = str(record.payload.get("memory", "")).encode("utf-8", "replace").decode()
        return self._document(self._point_key(record.id), text, metadata), record.vector

    def _document(self, key: str, text: str, metadata: Mapping[str, Any]) -> Document:
        from langchain_core.documents import Document

        return Document(id=key, page_content=text, metadata={**metadata, _OWNER: self._collection})

    def _add(self, points: Sequence[_Placed]) -> None:
        """Write documents with their vectors, for which the store will ask by their texts: each text once at a time."""
        for batch in _by_text(points):
            vectors = {text: vector.tolist() for text, (_, vector) in batch.items()}
            documents = [document for document, _ in batch.values()]
            self._embeddings.lay_out(vectors)
            try:
                self._call(self._client.add_documents, documents, ids=[document.id for document in documents])
            finally:
                self._embeddings.take_away(vectors)

    # The ids of all points.

    def _key(self, kind: str, name: str) -> str:
        return str(uuid5(_SPACE, "\0".join((self._collection, kind, name))))

    def _page_key(self, number: int) -> str:
        return self._key("page", str(number))

    def _point_key(self, id: str) -> str:
        return self._key("point", id)

    def _note(self, key: str, content: object, dim: int) -> _Placed:
        # Some direction: stores refuse a vector without one, and a search passes over what is no point.
        vector = np.zeros(dim, np.float32)
        vector[0] = 1
        return self._document(key, key, {_PAYLOAD: json.dumps(content)}), vector

    def _documents(self, keys: Sequence[str]) -> dict[str, Document]:
        """Return the documents that exist, by key."""
        found: list[Document] = self._call(self._client.get_by_ids, list(keys))
        return {str(document.id): document for document in found}

    def _ids(self) -> list[str]:
        """Return the ids of all points, sorted."""
        if self._opened() is None:
            return []
        pages = self._documents([self._page_key(number) for number in range(_PAGES)])
        return sorted(id for page in pages.values() for id in _note_of(page)["ids"])

    # Reading.

    def search(self, vector: Vector, limit: int, filter: Filter | None = None) -> list[StoreHit]:
        """Return at most `limit` hits, best first, ties by id.

        Where the store's own filter is not exact and leaves too few, every point is scored.

        Raises:
            ConfigurationError: `score` says that nearness is a high number where it is a low one, or the reverse.
        """
        check_limit(limit)
        about = self._opened()
        if about is None:
            return []
        query = unit(check_vector(vector, about[0]))
        native, exact = self._native(filter)
        if native is False:
            return []
        asked = limit if exact else max(5 * limit, 50)
        found = self._nearest(query, asked, {} if native is None else {"filter": native})
        points = {point.id: point for document, _ in found if (point := self._record(document))}
        hits = _scored(list(points.values()), query)
        self._check_score(hits, found)
        passes = record_filter(filter)
        hits = [hit for hit in hits if passes(hit.id, hit.payload)]
        if len(hits) < limit and not (exact and len(found) < asked):
            ids = self._ids()
            if len(ids) > len(points):
                hits = list[StoreHit]()
                for chunk in _chunks(ids):
                    hits += _scored(self._points(chunk, filter), query)
                    hits = sorted(hits, key=lambda hit: (-hit.score, hit.id))[:limit]
        return hits[:limit]

    def _native(self, filter: Filter | None) -> tuple[Any, bool]:
        """Return the store's filter (None for none, False where nothing can pass), and whether it is exact."""
        style = self._settings.filter
        if style is None:
            return None, False
        if style == "callable":
            return self._predicate(filter), True
        if style == "dict":
            native = native_where(filter)
            if native.where is False:
                return False, True
            parts = [{_OWNER: {"$eq": self._collection}}, {_POINT: {"$eq": True}}]
            if isinstance(native.where, dict):
                parts.append(native.where)
            return {"$and": parts}, native.exact
        return (None if filter is None else style(filter)), False

    def _predicate(self, filter: Filter | None) -> Callable[[Document], bool]:
        """Return a filter as a function of a document, which passes no document of others either."""
        passes = record_filter(filter)

        def accepts(document: Document) -> bool:
            metadata = document.metadata
            return self._is_point(metadata) and passes(
                json.loads(metadata[_ID]), json.loads(metadata[_PAYLOAD])
            )

        return accepts

    def _nearest(
        self, query: Vector, asked: int, options: Mapping[str, Any]
    ) -> list[tuple[Document, float | None]]:
        """Ask the store by a text that stands for the query's vector: the one way in that every store has."""
        text = f"memkit {uuid4()}"
        vectors = {text: query.tolist()}
        self._embeddings.lay_out(vectors)
        try:
            if self._scores:
                return self._call(self._client.similarity_search_with_score, text, k=asked, **options)
            found = self._call(self._client.similarity_search, text, k=asked, **options)
            return [(document, None) for document in found]
        finally:
            self._embeddings.take_away(vectors)

    def _check_score(self, hits: Sequence[StoreHit], found: Sequence[tuple[Document, float | None]]) -> None:
        if len(hits) < 2 or hits[0].score - hits[-1].score < _APART:
            return
        numbers = {str(document.id): number for document, number in found}
        best, worst = (numbers[self._point_key(hit.id)] for hit in (hits[0], hits[-1]))
        if best is None or worst is None or best == worst:
            return
        is_what = "similarity" if best > worst else "distance"
        if is_what != self._settings.score:
            raise ConfigurationError(
                f"`score` of the vector store 'langchain' is declared a {self._settings.score}, but "
                f"{type(self._client).__name__} gives {best:.4g} to the nearest point and {worst:.4g} to a far one. "
                f'Write "score": "{is_what}".'
            )

    def _is_point(self, metadata: Mapping[str, Any]) -> bool:
        return metadata.get(_OWNER) == self._collection and _POINT in metadata

    def _record(self, document: Document) -> StoreRecord | None:
        """Return the point that a document holds; None for what is no point of this collection."""
        metadata = document.metadata
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
            keys = [self._point_key(id) for id in dict.fromkeys(chunk)]
            for document in self._documents(keys).values():
                point = self._record(document)
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

    def _call(self, method: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        try:
            return method(*args, **kwargs)
        except MemkitError:
            raise
        except Exception as error:
            raise translated(error, self.name) from error


def _by_text(points: Sequence[_Placed]) -> Sequence[Mapping[str, _Placed]]:
    """Return points in batches in which no two have the same text."""
    batches: list[dict[str, _Placed]] = []
    seen: dict[str, int] = {}
    for document, vector in points:
        nth = seen[document.page_content] = seen.get(document.page_content, -1) + 1
        if nth == len(batches):
            batches.append({})
        batches[nth][document.page_content] = document, vector
    return batches


def _note_of(document: Document) -> dict[str, Any]:
    return json.loads(document.metadata[_PAYLOAD])


def _scored(points: Sequence[StoreRecord], query: Vector) -> list[StoreHit]:
    """Return points as hits, best first, ties by id."""
    if not points:
        return []
    cosines = unit_rows(np.stack([point.vector for point in points])) @ query
    best = best_first([point.id for point in points], cosines, len(points))
    return [StoreHit(id=points[at].id, score=score, payload=points[at].payload) for at, score in best]


def _chunks(items: Sequence[T], size: int = _CHUNK) -> Iterator[Sequence[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _overrides(client: Any, method: str) -> bool:
    """Return whether a store has a method of its own; the base's raises or is built on others."""
    from langchain_core.vectorstores import VectorStore as Base

    return getattr(cast("object", type(client)), method) is not getattr(Base, method)


def _check_methods(client: Any) -> None:
    missing = [method for method in ("get_by_ids", "delete") if not _overrides(client, method)]
    if not any(_overrides(client, method) for method in ("add_documents", "add_texts")):
        missing.append("add_documents")
    if missing:
        raise ConfigurationError(
            f"{type(client).__name__} has no {', '.join(f'`{method}`' for method in missing)}, which memkit cannot do "
            "without. Use another store, or leave `vector_store` out: the ledger's own vectors are searched then."
        )


def _example(client: object) -> str:
    names = [kind.__name__ for kind in type(client).__mro__ if kind.__name__ in _KNOWN] or list(_KNOWN)
    lines = [
        f'Memory(vector_store={{"provider": "langchain", "config": {{"client": store, "score": "{_KNOWN[name][0]}", '
        f'"filter": "{_KNOWN[name][1]}"}}}}) for {name}'
        for name in names
    ]
    return f"Write {'; '.join(lines)}."
