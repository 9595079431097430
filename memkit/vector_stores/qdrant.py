"""Qdrant in a folder, in memory, as a server, or in its cloud: https://qdrant.tech. Needs the extra `qdrant`.

The complete payload is one JSON text; flat keys beside it serve the filters. The same steps run in both modes: sync
calls never suspend, and servers have an async client for each event loop.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar, cast

from memkit.errors import BackendError, BackendResponseError, ConfigurationError
from memkit.filters import Filter
from memkit.runtime import run_inline
from memkit.vector_stores.base import (
    Capability,
    StoreHit,
    StoreInfo,
    StorePage,
    StoreRecord,
    VectorStore,
    check_embedder,
    check_limit,
    check_records,
    check_vector,
    no_collection,
    record_filter,
    storable_ids,
    unit,
)
from memkit.vector_stores.flat import native_where
from memkit.vector_stores.qdrant_clients import GoneError, QdrantClients, QdrantSettings
from memkit.vector_stores.qdrant_points import (
    ID,
    ODD,
    PAYLOAD,
    as_filter,
    foreign_record,
    hit_of,
    is_uuid,
    point_id,
    record_of,
    stored_payload,
)

if TYPE_CHECKING:
    from qdrant_client import QdrantClient
    from qdrant_client import models as vendor

    from memkit.vector_stores.base import Vector

if find_spec("qdrant_client") is None:
    raise ModuleNotFoundError("No module named 'qdrant_client'", name="qdrant_client")

T = TypeVar("T")

_DIM: Final = "memkit.dim"
_EMBEDDER: Final = "memkit.embedder"
_ROWS: Final = 1000
_BYTES: Final = 8_000_000
"""Bytes per request, about; servers refuse more than 32 MiB."""


class _Ask(Protocol):
    """Calls a method of the client, of the sync one now or of this loop's async one."""

    def __call__(self, method: str, **kwargs: Any) -> Coroutine[Any, Any, Any]: ...


class QdrantStore(VectorStore):
    """A Qdrant collection with the cosine distance; in a folder, one process at a time has it."""

    name = "qdrant"
    Settings = QdrantSettings

    def __init__(self, settings: QdrantSettings | None = None, *, client: QdrantClient | None = None) -> None:
        self._settings = settings or QdrantSettings()
        self.patience_s = self._settings.patience_s
        self._collection = self._settings.collection_name
        self._clients = QdrantClients(self._settings, client)
        self._now, self._later = self._clients.now, self._clients.later
        self._about: tuple[int, str] | None = None
        if client is None and self._settings.mode == "server":
            self.aopen, self.aupsert, self.adelete = self._aopen, self._aupsert, self._adelete
            self.asearch, self.aget = self._asearch, self._aget
            self.alist, self.acount = self._alist, self._acount
        self.capabilities = self._known_capabilities()

    def _known_capabilities(self) -> frozenset[Capability]:
        if self._clients.is_given:
            return frozenset()
        if self._settings.mode == "server":
            return frozenset({"persistent", "multi_process", "server", "native_async"})
        return frozenset() if self._clients.in_memory else frozenset({"persistent"})

    def place(self, folder: Path) -> None:
        """Keep a local database without a path of its own in `qdrant` under this folder."""
        self._clients.place(folder / "qdrant")
        self.capabilities = self._known_capabilities()

    # The collection.

    def open(self, *, dim: int, embedder: str) -> None:
        """Make or open the collection; a server gets indexes on the fields of the scope."""
        run_inline(self._open(self._now, dim, embedder))

    async def _aopen(self, *, dim: int, embedder: str) -> None:
        await self._open(self._later, dim, embedder)

    async def _open(self, ask: _Ask, dim: int, embedder: str) -> None:
        self._about = None
        found = await self._look(ask)
        if found is None:
            await self._make(ask, dim, embedder)
            found = await self._look(ask)
        if found is not None and _EMBEDDER not in (found.metadata or {}):
            await self._adopt(ask, found, dim, embedder)
            found = await self._look(ask)
        stored = _about(found)
        if stored is None:
            raise ConfigurationError(
                f"Qdrant {self._clients.where()} does not keep the metadata of collections, where memkit writes "
                "the embedder: it is older than 1.16. Use a newer server."
            )
        check_embedder(f"The Qdrant collection {self._collection!r}", stored, (dim, embedder))
        self._about = stored

    async def _look(self, ask: _Ask) -> vendor.CollectionConfig | None:
        """Return how the collection was made, or None where there is none."""
        try:
            found: vendor.CollectionInfo = await ask("get_collection", collection_name=self._collection)
        except GoneError:
            return None
        return found.config

    async def _make(self, ask: _Ask, dim: int, embedder: str) -> None:
        from qdrant_client import models

        vectors = models.VectorParams(
            size=dim, distance=models.Distance.COSINE, on_disk=self._settings.on_disk or None
        )
        facts = {_DIM: dim, _EMBEDDER: embedder}
        try:
            await ask(
                "create_collection", collection_name=self._collection, vectors_config=vectors, metadata=facts
            )
        except BackendError:
            # Another process may have made it in this moment.
            if await self._look(ask) is None:
                raise
        await self._index(ask)

    async def _index(self, ask: _Ask) -> None:
        if not self._clients.is_remote:
            return  # A local database takes no indexes, and warns of them.
        from qdrant_client import models

        keyword = models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD)
        tenant = models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=True)
        fields: Mapping[str, object] = {
            "user_id": tenant,
            "agent_id": keyword,
            "run_id": keyword,
            ODD: models.PayloadSchemaType.BOOL,
        }
        for name, schema in fields.items():
            await ask(
                "create_payload_index", collection_name=self._collection, field_name=name, field_schema=schema
            )

    async def _adopt(self, ask: _Ask, found: vendor.CollectionConfig, dim: int, embedder: str) -> None:
        """Take a collection that memkit did not make, if it is empty and fits."""
        count = (await ask("count", collection_name=self._collection, exact=True)).count
        if count:
            raise ConfigurationError(
                f"The Qdrant collection {self._collection!r} holds {count} points that memkit did not write. Choose "
                "another `collection_name`; one that mem0 wrote is read by `memkit import mem0`."
            )
        vectors = cast(Any, found.params.vectors)
        kind = (
            getattr(vectors, "size", None),
            str(getattr(vectors, "distance", "")).rpartition(".")[2].lower(),
        )
        if kind != (dim, "cosine"):
            raise ConfigurationError(
                f"The Qdrant collection {self._collection!r} is empty but was made for other vectors than {dim} "
                "dimensions with the cosine distance. Choose another `collection_name`, or drop it."
            )
        facts = {_DIM: dim, _EMBEDDER: embedder}
        await ask("update_collection", collection_name=self._collection, metadata=facts)
        await self._index(ask)

    async def _known(self, ask: _Ask) -> tuple[int, str] | None:
        """Return dimension and embedder of the collection, or None where there is none of ours."""
        if self._about is None:
            self._about = _about(await self._look(ask))
        return self._about

    async def _on(self, ask: _Ask, method: str, **kwargs: Any) -> Any:
        """Call a method on the collection that was there a moment ago.

        Raises:
            BackendResponseError: It is gone, and nobody here dropped it.
        """
        try:
            return await ask(method, collection_name=self._collection, **kwargs)
        except GoneError as error:
            self._about = None
            raise BackendResponseError(
                f"The Qdrant collection {self._collection!r} {self._clients.where()} was deleted by somebody else. "
                "`memory.repair()` makes it anew from the ledger.",
                backend=self.name,
            ) from error

    def info(self) -> StoreInfo:
        """Return what the collection says of itself."""
        about = run_inline(self._known(self._now))
        dim, embedder = (None, None) if about is None else about
        return StoreInfo(name=self._collection, dim=dim, count=self.count(), embedder=embedder)

    def collections(self) -> Sequence[str]:
        """Return the names of all collections of the database, sorted."""
        found: vendor.CollectionsResponse = run_inline(self._now("get_collections"))
        return sorted(collection.name for collection in found.collections)

    def drop(self) -> None:
        """Delete the collection."""
        self._about = None
        if self._collection in self.collections():
            run_inline(self._now("delete_collection", collection_name=self._collection))

    def health(self) -> None:
        """Return if the database answers."""
        run_inline(self._now("get_collections"))

    def close(self) -> None:
        """Close the client, unless it was given or another store uses it; the next call opens one again."""
        self._clients.close()

    async def aclose(self) -> None:
        """Close the client of this event loop, and the sync one."""
        await self._clients.aclose()

    # Writing.

    def upsert(self, records: Sequence[StoreRecord]) -> None:
        """Write points in batches; the last of equal ids wins."""
        run_inline(self._upsert(self._now, records))

    async def _aupsert(self, records: Sequence[StoreRecord]) -> None:
        await self._upsert(self._later, records)

    async def _upsert(self, ask: _Ask, records: Sequence[StoreRecord]) -> None:
        about = await self._known(ask)
        checked = check_records(records, None if about is None else about[0])
        if about is None:
            raise ConfigurationError("The collection is not open. Call `open(dim=, embedder=)` first.")
        from qdrant_client import models

        arrays = self._clients.takes_arrays
        for batch in _batches(checked):
            points = [
                # Not validated: it was just checked, and reading each number again takes as long as the write.
                models.PointStruct.model_construct(
                    id=point_id(record.id),
                    vector={"": record.vector} if arrays else record.vector.tolist(),
                    payload=stored_payload(record, payload),
                )
                for record, payload in batch
            ]
            await self._on(ask, "upsert", points=points, wait=True)

    def delete(self, ids: Sequence[str]) -> None:
        """Delete points."""
        run_inline(self._delete(self._now, ids))

    async def _adelete(self, ids: Sequence[str]) -> None:
        await self._delete(self._later, ids)

    async def _delete(self, ask: _Ask, ids: Sequence[str]) -> None:
        points = [point_id(id) for id in storable_ids(ids)]
        if points and await self._known(ask) is not None:
            for chunk in _chunks(points):
                await self._on(ask, "delete", points_selector=list(chunk), wait=True)

    # Reading.

    def search(self, vector: Vector, limit: int, filter: Filter | None = None) -> list[StoreHit]:
        """Return at most `limit` hits, best first, ties by id.

        Where a filter leaves too few of those that were asked for, more are asked for, of a server exactly.
        """
        return run_inline(self._search(self._now, vector, limit, filter))

    async def _asearch(self, vector: Vector, limit: int, filter: Filter | None = None) -> list[StoreHit]:
        return await self._search(self._later, vector, limit, filter)

    async def _search(self, ask: _Ask, vector: Vector, limit: int, filter: Filter | None) -> list[StoreHit]:
        check_limit(limit)
        about = await self._known(ask)
        if about is None:
            return []
        query = unit(check_vector(vector, about[0])).tolist()
        native, passes = native_where(filter), record_filter(filter)
        if native.where is False:
            return []
        from qdrant_client import models

        asked, exact = limit if native.exact else max(5 * limit, 50), not self._clients.is_remote
        while True:
            answer = await self._on(
                ask,
                "query_points",
                query=query,
                query_filter=as_filter(native.where),
                limit=asked,
                with_payload=[ID, PAYLOAD],
                search_params=models.SearchParams(exact=True) if exact and self._clients.is_remote else None,
            )
            found: Sequence[vendor.ScoredPoint] = answer.points
            hits = [hit for hit in map(hit_of, found) if passes(hit.id, hit.payload)]
            if len(hits) >= limit or (exact and len(found) < asked):
                return sorted(hits, key=lambda hit: (-hit.score, hit.id))[:limit]
            asked, exact = asked if len(found) < asked else 4 * asked, True

    def get(self, ids: Sequence[str]) -> list[StoreRecord]:
        """Return the points that exist, in the order asked."""
        return run_inline(self._get(self._now, ids))

    async def _aget(self, ids: Sequence[str]) -> list[StoreRecord]:
        return await self._get(self._later, ids)

    async def _get(self, ask: _Ask, ids: Sequence[str]) -> list[StoreRecord]:
        known = storable_ids(ids)
        if not known or await self._known(ask) is None:
            return []
        found: dict[str, StoreRecord] = {}
        for chunk in _chunks([point_id(id) for id in known]):
            points = await self._on(
                ask, "retrieve", ids=list(chunk), with_payload=[ID, PAYLOAD], with_vectors=True
            )
            found.update((record.id, record) for record in map(record_of, points))
        return [found[id] for id in ids if id in found]

    def list(self, filter: Filter | None = None, limit: int = 100, cursor: str | None = None) -> StorePage:
        """Return points ordered by id; where some ids are no UUIDs, each page reads the ids of all."""
        return run_inline(self._list(self._now, filter, limit, cursor))

    async def _alist(
        self, filter: Filter | None = None, limit: int = 100, cursor: str | None = None
    ) -> StorePage:
        return await self._list(self._later, filter, limit, cursor)

    async def _list(self, ask: _Ask, filter: Filter | None, limit: int, cursor: str | None) -> StorePage:
        check_limit(limit)
        native, passes = native_where(filter), record_filter(filter)
        if native.where is False or await self._known(ask) is None:
            return StorePage(records=[])
        where = as_filter(native.where)
        odd = await self._on(ask, "count", count_filter=as_filter({ODD: {"$eq": True}}), exact=True)
        in_order = not odd.count and (cursor is None or is_uuid(cursor))
        ids = None if in_order else await self._ids_after(ask, where, cursor)
        page: list[StoreRecord] = []
        offset: Any = cursor
        while len(page) <= limit:
            if ids is None:
                points, offset = await self._scroll(ask, where, min(limit + 2, _ROWS), offset)
                records = [record_of(point) for point in points]
            else:
                chunk, ids = ids[: min(limit + 1, _ROWS)], ids[min(limit + 1, _ROWS) :]
                records, offset = await self._get(ask, chunk), ids or None
            page += [
                record for record in records if record.id != cursor and passes(record.id, record.payload)
            ]
            if offset is None:
                break
        more = len(page) > limit
        return StorePage(records=page[:limit], cursor=page[limit - 1].id if more else None)

    async def _ids_after(self, ask: _Ask, where: vendor.Filter | None, cursor: str | None) -> list[str]:
        ids: list[str] = []
        offset: Any = None
        while True:
            points, offset = await self._scroll(ask, where, 10 * _ROWS, offset, [ID])
            ids += [cast("dict[str, str]", point.payload)[ID] for point in points]
            if offset is None:
                break
        ids.sort()
        return ids if cursor is None else ids[bisect_right(ids, cursor) :]

    async def _scroll(
        self,
        ask: _Ask,
        where: vendor.Filter | None,
        limit: int,
        offset: Any,
        keys: Sequence[str] = (ID, PAYLOAD),
    ) -> tuple[list[vendor.Record], Any]:
        """Return points ordered by Qdrant's id, from an id on, and the id to go on from."""
        return await self._on(
            ask,
            "scroll",
            scroll_filter=where,
            limit=limit,
            offset=offset,
            with_payload=list(keys),
            with_vectors=PAYLOAD in keys,
        )

    def count(self, filter: Filter | None = None) -> int:
        """Return how many points match; where Qdrant cannot run the filter, all that may match are read."""
        return run_inline(self._count(self._now, filter))

    async def _acount(self, filter: Filter | None = None) -> int:
        return await self._count(self._later, filter)

    async def _count(self, ask: _Ask, filter: Filter | None) -> int:
        native, passes = native_where(filter), record_filter(filter)
        if native.where is False or await self._known(ask) is None:
            return 0
        where = as_filter(native.where)
        if native.exact:
            return (await self._on(ask, "count", count_filter=where, exact=True)).count
        matching, offset = 0, None
        while True:
            points, offset = await self._scroll(ask, where, _ROWS, offset)
            matching += sum(passes(record.id, record.payload) for record in map(record_of, points))
            if offset is None:
                return matching

    def foreign(self, limit: int = 500, cursor: str | None = None) -> StorePage:
        """Return points as another program wrote them, in Qdrant's order; of several vectors the unnamed one."""
        try:
            points, after = run_inline(
                self._now(
                    "scroll",
                    collection_name=self._collection,
                    limit=limit,
                    offset=None if cursor is None else json.loads(cursor),
                    with_payload=True,
                    with_vectors=True,
                )
            )
        except GoneError as error:
            raise no_collection(self._collection, self._clients.where(), self.collections()) from error
        records = [foreign_record(point) for point in points]
        return StorePage(records=records, cursor=None if after is None else json.dumps(after))


def _about(found: vendor.CollectionConfig | None) -> tuple[int, str] | None:
    """Return dimension and embedder of a collection of ours."""
    facts = {} if found is None else found.metadata or {}
    return (int(facts[_DIM]), str(facts[_EMBEDDER])) if _EMBEDDER in facts else None


def _batches(checked: Sequence[tuple[StoreRecord, str]]) -> Iterator[Sequence[tuple[StoreRecord, str]]]:
    """Yield records in pieces that one request can carry."""
    start, size = 0, 0
    for at, (record, payload) in enumerate(checked):
        if at > start and (at - start == _ROWS or size > _BYTES):
            yield checked[start:at]
            start, size = at, 0
        size += 12 * len(record.vector) + 2 * len(payload)
    if start < len(checked):
        yield checked[start:]


def _chunks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    return (items[start : start + _ROWS] for start in range(0, len(items), _ROWS))
