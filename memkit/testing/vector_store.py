"""The conformance suite of vector stores: subclass it and say how to make a store.

```python
class TestMyStore(VectorStoreSuite):
    def make_store(self, tmp_path):
        return MyStore(MyStore.Settings(path=tmp_path / "mine"))
```
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from memkit.errors import ConfigurationError, EmbedderMismatchError, InvalidInputError
from memkit.filters import Compare, Filter, parse_filter
from memkit.testing.laws import Driver
from memkit.testing.store_data import (
    DIM,
    EMBEDDER,
    FILTERS,
    HOSTILE_IDS,
    HOSTILE_PAYLOADS,
    OPERATIONS,
    PAYLOADS,
    payload,
    records,
    vectors,
)
from memkit.testing.store_sharing import SharedStoreLaws
from memkit.vector_stores.base import StoreHit, StoreInfo, StoreRecord, record_filter
from memkit.vector_stores.memory import MemoryStore

__all__ = ["VectorStoreSuite"]


class VectorStoreSuite(SharedStoreLaws):
    """The laws of a vector store; each runs through the sync and through the async way of calling.

    Set `recall` below 1 for an index that may miss neighbours, and `capacity` to fewer points where thousands
    take too long. The random laws write and drop the collection many times.
    """

    # What a search returns.

    def test_scores_are_half_of_one_plus_cosine(self, store: Driver) -> None:
        """The same direction scores 1, an orthogonal one 0.5, the opposite 0, best first.

        Troubleshooting: convert the database's distance; for a cosine distance d the score is `1 - d / 2`.
        """
        same, across = np.eye(DIM, dtype=np.float32)[:2]
        points = [("opposite", -same), ("same", same), ("across", across)]
        store.call("upsert", [StoreRecord(id=id, vector=row, payload=payload()) for id, row in points])
        hits = store.call("search", same, 3)
        assert [hit.id for hit in hits] == ["same", "across", "opposite"]
        assert [hit.score for hit in hits] == pytest.approx([1.0, 0.5, 0.0], abs=1e-3)
        assert all(0.0 <= hit.score <= 1.0 for hit in hits)

    def test_search_finds_what_an_exact_scan_finds(self, store: Driver) -> None:
        """The top ten of 500 points are those of the in-memory reference, with the same scores.

        Troubleshooting: an approximate index may set `recall` below 1.
        """
        points = records([payload(f"text {at}", number=at) for at in range(500)])
        oracle = _oracle(points)
        store.call("upsert", points)
        found = wanted = 0
        for query in vectors(20, seed=1):
            expected, hits = oracle.search(query, 10), store.call("search", query, 10)
            assert len(hits) == 10
            assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
            scores = {hit.id: hit.score for hit in expected}
            common = [hit for hit in hits if hit.id in scores]
            assert [hit.score for hit in common] == pytest.approx(
                [scores[hit.id] for hit in common], abs=1e-3
            )
            found, wanted = found + len(common), wanted + 10
        assert found >= self.recall * wanted

    def test_a_search_returns_at_most_the_limit(self, store: Driver) -> None:
        """A limit above the number of points returns them all; a limit below 1 is an error.

        Troubleshooting: call `check_limit`.
        """
        store.call("upsert", records(PAYLOADS))
        query = vectors(1, seed=2)[0]
        assert len(store.call("search", query, 3)) == 3
        assert {hit.id for hit in store.call("search", query, 500)} == {
            point.id for point in records(PAYLOADS)
        }
        with pytest.raises(InvalidInputError):
            store.call("search", query, 0)

    @pytest.mark.parametrize("written", FILTERS, ids=lambda written: f"filter{FILTERS.index(written)}")
    def test_a_filter_means_what_the_reference_says(self, store: Driver, written: dict[str, Any]) -> None:
        """`search`, `list` and `count` pass exactly the points that `memkit.filters` passes.

        Troubleshooting: run natively only what means the same, and complete the rest with `record_filter`.
        """
        store.call("upsert", records(PAYLOADS))
        self.check_filter(store, _oracle(records(PAYLOADS)), parse_filter(written))

    def test_a_small_tenant_gets_its_full_result(self, store: Driver) -> None:
        """One user's few points among thousands of nearer ones are all found.

        Troubleshooting: the filter must run before or inside the nearest-neighbour search, never after its limit.
        """
        near = vectors(1)[0]
        many = [
            StoreRecord(id=f"m{at}", vector=near, payload=payload(user_id="big", secret=False))
            for at in range(self.capacity * 2 // 3)
        ]
        few = [
            StoreRecord(
                id=f"f{at}", vector=-row, payload=payload(user_id="small", secret=True, tags=[str(at)])
            )
            for at, row in enumerate(vectors(3))
        ]
        store.call("upsert", many + few)
        for filter in (
            Compare("user_id", "eq", "small"),
            Compare("secret", "eq", True),
            Compare("tags", "exists", True),
        ):
            assert {hit.id for hit in store.call("search", near, 3, filter)} == {"f0", "f1", "f2"}
        assert [hit.id for hit in store.call("search", near, 3, Compare("tags", "contains", "1"))] == ["f1"]

    # Writing.

    def test_an_upsert_replaces_the_whole_point(self, store: Driver) -> None:
        """Neither the old vector nor an old payload key outlives an upsert; the last of equal ids wins.

        Troubleshooting: many databases merge payloads; delete or overwrite the old keys.
        """
        old, new, query = vectors(3)
        store.call("upsert", [StoreRecord(id="x", vector=old, payload=payload("old", gone=1, kept=1))])
        latest = StoreRecord(id="x", vector=new, payload=payload("new", kept=2))
        store.call("upsert", [StoreRecord(id="x", vector=query, payload=payload("between")), latest])
        (point,) = store.call("get", ["x"])
        assert point.payload == latest.payload
        assert point.vector == pytest.approx(new, abs=1e-5)
        assert store.call("count") == 1
        assert store.call("count", Compare("gone", "exists", True)) == 0
        assert store.call("count", Compare("gone", "eq", 1)) == 0
        assert store.call("search", new, 1)[0].score == pytest.approx(1.0, abs=1e-3)

    def test_deleted_points_are_gone_and_missing_ids_are_ignored(self, store: Driver) -> None:
        """`delete` removes exactly the named points; `get` and `delete` ignore ids that do not exist.

        Troubleshooting: an empty list of ids must do nothing, not everything.
        """
        points = records(PAYLOADS)
        store.call("upsert", points)
        store.call("delete", ["p001", "missing", "p003"])
        store.call("delete", [])
        store.call("upsert", [])
        assert [point.id for point in store.call("get", ["p003", "p002", "missing", "p000"])] == [
            "p002",
            "p000",
        ]
        assert store.call("get", []) == []
        assert store.call("count") == len(points) - 2
        assert "p001" not in {hit.id for hit in store.call("search", points[1].vector, 50)}

    @pytest.mark.parametrize("id", HOSTILE_IDS, ids=lambda id: f"id{HOSTILE_IDS.index(id)}")
    def test_an_id_is_any_text(self, store: Driver, id: str) -> None:
        """An id comes back as it was, is told apart from similar ones, and can be deleted.

        Troubleshooting: store the id itself beside whatever key the database needs, such as a hash of it.
        """
        row, other = vectors(2)
        store.call("upsert", [StoreRecord(id=id, vector=row, payload=payload("mine"))])
        store.call("upsert", [StoreRecord(id=f"{id}x", vector=other, payload=payload("other"))])
        assert [point.id for point in store.call("get", [id])] == [id]
        assert store.call("search", row, 1)[0].id == id
        assert [point.id for point in store.call("list").records] == sorted([id, f"{id}x"])
        store.call("delete", [id])
        assert store.call("get", [id]) == []
        assert store.call("count") == 1

    @pytest.mark.parametrize(
        "stored", HOSTILE_PAYLOADS, ids=lambda stored: ascii(stored.get("memory", "{}"))[:20]
    )
    def test_a_payload_comes_back_exactly(self, store: Driver, stored: dict[str, Any]) -> None:
        """None, nesting, empty containers, large numbers, odd keys and a megabyte of text survive.

        Troubleshooting: keep the complete payload as one JSON text, and flat copies only for filters.
        """
        row = vectors(1)[0]
        store.call("upsert", [StoreRecord(id="x", vector=row, payload=stored)])
        (point,), (hit,), page = store.call("get", ["x"]), store.call("search", row, 1), store.call("list")
        for found in (point.payload, hit.payload, page.records[0].payload):
            assert found == stored
            assert repr(found) == repr(stored)

    def test_what_cannot_be_stored_is_refused_before_anything_is_written(self, store: Driver) -> None:
        """A wrong dimension, a vector that is not finite, an empty id or a payload that is not JSON is an error.

        Troubleshooting: call `check_records` before the first request.
        """
        good = StoreRecord(id="good", vector=vectors(1)[0], payload=payload())
        short = vectors(1, dim=DIM - 1)[0]
        nan = np.full(DIM, np.nan, np.float32)
        for bad, error in (
            (StoreRecord(id="x", vector=short, payload=payload()), ConfigurationError),
            (StoreRecord(id="x", vector=nan, payload=payload()), InvalidInputError),
            (StoreRecord(id="", vector=good.vector, payload=payload()), InvalidInputError),
            (StoreRecord(id="\ud800", vector=good.vector, payload=payload()), InvalidInputError),
            (StoreRecord(id="x", vector=good.vector, payload={"x": float("nan")}), InvalidInputError),
            (StoreRecord(id="x", vector=good.vector, payload={"x": object()}), InvalidInputError),
        ):
            with pytest.raises(error):
                store.call("upsert", [good, bad])
            assert store.call("count") == 0
        with pytest.raises(ConfigurationError):
            store.call("search", short, 1)

    def test_large_batches_are_split(self, store: Driver) -> None:
        """Thousands of points go in, out and away in one call each.

        Troubleshooting: split to what the database takes at once.
        """
        points = records([{"memory": str(at)} for at in range(self.capacity)])
        store.call("upsert", points)
        assert store.call("count") == len(points)
        assert [point.id for point in store.call("get", [point.id for point in points])] == [
            p.id for p in points
        ]
        store.call("delete", [point.id for point in points[1:]])
        assert [point.id for point in store.call("list").records] == [points[0].id]

    # Listing.

    def test_pages_are_complete_and_ordered_by_id(self, store: Driver) -> None:
        """Pages of any size hold every point once, in the order of ids; the last has no cursor.

        Troubleshooting: order by id as text, and let the cursor be the last id of the page.
        """
        points = records(PAYLOADS)
        store.call("upsert", points[::-1])
        for filter in (None, parse_filter({"stars": "*"}), Compare("user_id", "eq", "alice")):
            passes = record_filter(filter)
            expected = [point.id for point in points if passes(point.id, point.payload)]
            for limit in (1, 2, len(expected), 100):
                assert _all_pages(store, filter, limit) == expected
        with pytest.raises(InvalidInputError):
            store.call("list", None, 0)

    # The collection.

    def test_before_it_is_open_reads_find_nothing_and_writes_are_refused(self, bare: Driver) -> None:
        """Without a collection every read is empty, deleting does nothing, and writing raises.

        Troubleshooting: only `open` makes a collection, as only it knows the embedder.
        """
        row = vectors(1)[0]
        assert bare.call("search", row, 1) == [] == bare.call("get", ["x"])
        assert bare.call("list").records == [] and bare.call("count") == 0
        assert bare.call("info") == StoreInfo(name=bare.call("info").name, dim=None, count=0, embedder=None)
        bare.call("delete", ["x"])
        with pytest.raises(ConfigurationError):
            bare.call("upsert", [StoreRecord(id="x", vector=row, payload=payload())])

    def test_the_embedder_is_remembered(self, store: Driver) -> None:
        """Opening again with the same embedder keeps the points; another one or another dimension raises.

        Troubleshooting: store both with the collection and call `check_embedder`.
        """
        store.call("upsert", records(PAYLOADS[:2]))
        store.call("open", dim=DIM, embedder=EMBEDDER)
        info = store.call("info")
        assert (info.dim, info.embedder, info.count) == (DIM, EMBEDDER, 2)
        assert info.name in store.call("collections")
        for dim, embedder in ((DIM, "another"), (DIM + 1, EMBEDDER)):
            with pytest.raises(EmbedderMismatchError) as caught:
                store.call("open", dim=dim, embedder=embedder)
            assert "rebuild" in str(caught.value) and EMBEDDER in str(caught.value)
        assert store.call("count") == 2

    def test_a_dropped_collection_is_empty_and_can_be_made_anew(self, store: Driver) -> None:
        """`drop` deletes points and identity, may be called twice, and `open` starts afresh.

        Troubleshooting: forget handles and caches of the old collection.
        """
        store.call("upsert", records(PAYLOADS))
        name = store.call("info").name
        store.call("drop")
        store.call("drop")
        assert store.call("count") == 0
        assert name not in store.call("collections")
        store.call("open", dim=DIM + 1, embedder="another")
        assert store.call("count") == 0
        store.call("upsert", [StoreRecord(id="x", vector=vectors(1, dim=DIM + 1)[0], payload=payload())])
        assert store.call("info").embedder == "another"

    def test_health_answers_and_close_may_be_called_twice(self, store: Driver) -> None:
        """A working store is healthy; closing twice is fine.

        Troubleshooting: `close` frees what is there and forgets it.
        """
        store.call("health")
        store.call("close")
        store.call("close")

    # Anything else.

    @settings(
        max_examples=25,
        deadline=None,
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
        ],
    )
    @given(operations=OPERATIONS)
    def test_random_operations_agree_with_the_reference(self, store: Driver, operations: list[Any]) -> None:
        """After any sequence of upserts and deletes, any filter finds in the store what it finds in the oracle.

        Troubleshooting: the example that is printed is the smallest; give it to the filter law.
        """
        store.call("drop")
        store.call("open", dim=DIM, embedder=EMBEDDER)
        oracle, rows = _oracle([]), vectors(64, seed=5)
        for at, (kind, value) in enumerate(operations):
            if kind == "upsert":
                points = [
                    StoreRecord(id=id, vector=rows[8 * at + nth], payload=stored)
                    for nth, (id, stored) in enumerate(value)
                ]
                store.call("upsert", points)
                oracle.upsert(points)
            elif kind == "delete":
                store.call("delete", value)
                oracle.delete(value)
            else:
                self.check_filter(store, oracle, _parsed(value))
        self.check_filter(store, oracle, None)

    def check_filter(self, store: Driver, oracle: MemoryStore, filter: Filter | None) -> None:
        """Compare `list`, `count`, `search` and `get` of the store with those of the oracle."""
        expected = oracle.list(filter).records
        ids = [point.id for point in expected]
        assert [point.id for point in store.call("list", filter).records] == ids
        assert store.call("count", filter) == len(ids)
        assert [point.payload for point in store.call("get", ids)] == [point.payload for point in expected]
        for limit in (2, 100):
            query = vectors(1, seed=9)[0]
            best, hits = oracle.search(query, limit, filter), store.call("search", query, limit, filter)
            assert [hit.score for hit in hits] == pytest.approx([hit.score for hit in best], abs=1e-3)
            assert _payloads(hits) == _payloads(best)


def _oracle(points: Sequence[StoreRecord]) -> MemoryStore:
    oracle = MemoryStore()
    oracle.open(dim=DIM, embedder=EMBEDDER)
    oracle.upsert(points)
    return oracle


def _parsed(written: dict[str, Any]) -> Filter | None:
    try:
        return parse_filter(written)
    except InvalidInputError:
        return None


def _payloads(hits: Sequence[StoreHit]) -> dict[str, Any]:
    return {hit.id: hit.payload for hit in hits}


def _all_pages(store: Driver, filter: Filter | None, limit: int) -> list[str]:
    ids: list[str] = []
    cursor: str | None = None
    while True:
        page = store.call("list", filter, limit, cursor)
        assert len(page.records) <= limit
        ids += [point.id for point in page.records]
        cursor = page.cursor
        if cursor is None:
            return ids
