"""Qdrant's own matters: where it is, who else has it, what it keeps, and what its errors are."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from grpc import StatusCode
from qdrant_client import QdrantClient, models

from memkit.errors import (
    AuthenticationError,
    BackendResponseError,
    BackendTimeoutError,
    BackendUnavailableError,
    ConfigurationError,
    RateLimitError,
)
from memkit.filters import And, Compare
from memkit.runtime import SyncRuntime
from memkit.testing.store_data import DIM, EMBEDDER, payload, vectors
from memkit.vector_stores.base import StoreRecord
from memkit.vector_stores.qdrant import QdrantStore
from tests.qdrant_grpc import QdrantGrpc
from tests.qdrant_server import QdrantServer

ROWS = vectors(60)
UUID = "6f1c3b1e-0000-4000-8000-{:012}"


def points(first: int, last: int, *, named: str = UUID, **fields: Any) -> list[StoreRecord]:
    return [
        StoreRecord(id=named.format(at), vector=ROWS[at], payload=payload(f"text {at}", **fields))
        for at in range(first, last)
    ]


@pytest.fixture
def server() -> Generator[QdrantServer]:
    with QdrantServer() as made:
        yield made


def opened(**settings: Any) -> QdrantStore:
    store = QdrantStore(QdrantStore.Settings(**settings))
    store.open(dim=DIM, embedder=EMBEDDER)
    return store


# Where it is.


def test_mem0s_fields_are_taken_and_others_named_with_the_nearest() -> None:
    settings = QdrantStore.Settings(
        collection_name="mem0", embedding_model_dims=1536, host="localhost", port=6333, https=False, on_disk=True,
        api_key="hunter2",
    )  # fmt: skip
    assert settings.mode == "server" and "hunter2" not in repr(settings)
    assert QdrantStore.Settings().mode == "local" == QdrantStore.Settings(path=Path("x")).mode
    assert QdrantStore.Settings(url="http://h:1", api_key="k").mode == "server"
    with pytest.raises(ConfigurationError, match="Did you mean 'collection_name'"):
        QdrantStore.Settings(colection_name="x")
    with pytest.raises(ConfigurationError, match="one of `path`, `url` and `host`"):
        QdrantStore.Settings(url="http://h", host="h")
    with pytest.raises(ConfigurationError, match="`api_key` needs"):
        QdrantStore.Settings(api_key="k")


def test_a_database_without_a_place_lives_in_the_memorys_folder_or_in_memory(tmp_path: Path) -> None:
    store = QdrantStore()
    assert store.capabilities == frozenset() and not list(tmp_path.iterdir())
    store.place(tmp_path)
    assert store.capabilities == {"persistent"}
    store.open(dim=DIM, embedder=EMBEDDER)
    assert (tmp_path / "qdrant" / "meta.json").is_file()
    store.close()
    held = opened(path=":memory:")
    held.place(tmp_path / "elsewhere")
    assert held.capabilities == frozenset() and not (tmp_path / "elsewhere").exists()
    held.close()


def test_stores_of_one_process_share_a_folder_and_the_last_one_frees_it(tmp_path: Path) -> None:
    one, two = opened(path=tmp_path / "q"), opened(path=tmp_path / "q")
    one.upsert(points(0, 3))
    assert two.count() == 3
    one.close()
    two.delete([UUID.format(0)])
    two.close()
    client = QdrantClient(path=str(tmp_path / "q"))
    assert client.count("memkit").count == 2
    # Somebody else's client in this process: as a second process, but it can be passed.
    blocked = QdrantStore(QdrantStore.Settings(path=tmp_path / "q"))
    with pytest.raises(BackendUnavailableError, match="`client`"):
        blocked.count()
    given = QdrantStore(client=client)
    assert given.count() == 2
    given.close()
    assert client.count("memkit").count == 2, "who gave it closes it"
    client.close()
    blocked.close()


def test_a_store_opens_again_after_it_was_closed(tmp_path: Path) -> None:
    store = opened(path=tmp_path / "q")
    store.upsert(points(0, 2))
    store.close()
    assert store.count() == 2
    store.close()


# What it keeps.


def test_a_point_can_be_inspected_with_the_vendors_own_tools(server: QdrantServer) -> None:
    store = opened(url=server.url, collection_name="c")
    store.upsert(points(0, 1, category="food", place={"city": "Kyoto"}, run_id="r1"))
    store.upsert(points(1, 2, named="odd id {}"))
    store.close()
    scope = models.Filter(
        must=[
            models.FieldCondition(key="user_id", match=models.MatchValue(value="alice")),
            models.FieldCondition(key='"metadata.place.city"', match=models.MatchValue(value="Kyoto")),
        ]
    )
    (found,), _ = server.engine.scroll("c", scroll_filter=scope)
    assert found.id == UUID.format(0) and found.payload is not None
    whole = json.loads(found.payload["payload"])
    assert whole["memory"] == "text 0" and whole["metadata"]["place"] == {"city": "Kyoto"}
    assert (found.payload["user_id"], found.payload["run_id"]) == ("alice", "r1")
    about = server.engine.get_collection("c").config.metadata
    assert about == {"memkit.dim": DIM, "memkit.embedder": EMBEDDER}
    assert server.indexes["c"] == ["user_id", "agent_id", "run_id", "odd_id"]


def test_a_filter_runs_at_the_server_and_asks_once(server: QdrantServer) -> None:
    store = opened(url=server.url)
    store.upsert(points(0, 40, stars=4) + points(40, 60, stars=5, user_id="bob"))
    server.requests.clear()
    filter = And((Compare("user_id", "eq", "bob"), Compare("stars", "gte", 5), Compare("stars", "ne", 4)))
    assert len(store.search(ROWS[3], 10, filter)) == 10
    assert store.count(filter) == 20
    assert server.requests == [
        "POST /collections/memkit/points/query",
        "POST /collections/memkit/points/count",
    ]
    store.close()


def test_pages_of_uuids_are_read_a_page_at_a_time(server: QdrantServer) -> None:
    store = opened(url=server.url)
    store.upsert(points(0, 60))
    server.requests.clear()
    first = store.list(None, 20)
    assert [point.id for point in first.records] == [UUID.format(at) for at in range(20)]
    assert len(server.requests) == 2
    second = store.list(None, 20, first.cursor)
    assert [point.id for point in second.records] == [UUID.format(at) for at in range(20, 40)]
    store.close()


def test_a_collection_of_somebody_else_is_refused_unless_it_is_empty_and_fits(server: QdrantServer) -> None:
    cosine = models.VectorParams(size=DIM, distance=models.Distance.COSINE)
    for name, params in (
        ("full", cosine), ("empty", cosine),
        ("far", models.VectorParams(size=DIM, distance=models.Distance.EUCLID)),
        ("wide", models.VectorParams(size=DIM + 1, distance=models.Distance.COSINE)),
    ):  # fmt: skip
        server.engine.create_collection(name, params, metadata={"mine": 1})
    point = models.PointStruct(id=UUID.format(1), vector=ROWS[0].tolist(), payload={"data": "text"})
    server.engine.upsert("full", [point])
    with pytest.raises(ConfigurationError, match="memkit import mem0"):
        opened(url=server.url, collection_name="full")
    for name in ("far", "wide"):
        with pytest.raises(ConfigurationError, match="cosine"):
            opened(url=server.url, collection_name=name)
    store = opened(url=server.url, collection_name="empty")
    store.upsert(points(0, 2))
    assert store.info().embedder == EMBEDDER
    assert (server.engine.get_collection("empty").config.metadata or {})["mine"] == 1
    assert server.engine.count("full").count == 1
    store.close()


def test_a_server_that_keeps_no_metadata_is_refused_by_name_of_its_age() -> None:
    with (
        QdrantServer(keeps_metadata=False) as server,
        pytest.raises(ConfigurationError, match=r"older than 1\.16"),
    ):
        opened(url=server.url)


# What its errors are.


def test_a_collection_deleted_under_us_is_told_once(server: QdrantServer) -> None:
    store = opened(url=server.url)
    store.upsert(points(0, 2))
    server.engine.delete_collection("memkit")
    with pytest.raises(BackendResponseError, match=r"deleted by somebody else.*repair"):
        store.search(ROWS[0], 1)
    assert store.search(ROWS[0], 1) == [], "until it is made anew"
    with pytest.raises(ConfigurationError):
        store.upsert(points(0, 1))
    store.open(dim=DIM, embedder=EMBEDDER)
    store.upsert(points(0, 1))
    assert store.count() == 1
    store.close()


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, AuthenticationError), (403, AuthenticationError), (429, RateLimitError), (500, BackendUnavailableError),
        (503, BackendUnavailableError), (504, BackendTimeoutError), (400, BackendResponseError),
    ],
)  # fmt: skip
@pytest.mark.parametrize("mode", ["sync", "async"])
async def test_an_answer_that_is_an_error_becomes_ours(
    server: QdrantServer, status: int, kind: type[Exception], mode: str
) -> None:
    store = opened(url=server.url.replace("//", "//name:pass@"), api_key="hunter2")
    server.fault = status, "What the server says."
    with pytest.raises(kind, match=str(status) if status != 429 else "What the server says") as caught:
        if mode == "sync":
            store.upsert(points(0, 1))
        else:
            assert store.aupsert is not None
            await store.aupsert(points(0, 1))
    assert "hunter2" not in str(caught.value) and "pass" not in str(caught.value)
    if isinstance(caught.value, RateLimitError):
        assert caught.value.retry_after_s == 3
    await store.aclose()


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (StatusCode.UNAUTHENTICATED, AuthenticationError), (StatusCode.PERMISSION_DENIED, AuthenticationError),
        (StatusCode.RESOURCE_EXHAUSTED, RateLimitError), (StatusCode.UNAVAILABLE, BackendUnavailableError),
        (StatusCode.INTERNAL, BackendUnavailableError), (StatusCode.DEADLINE_EXCEEDED, BackendTimeoutError),
        (StatusCode.INVALID_ARGUMENT, BackendResponseError),
    ],
)  # fmt: skip
@pytest.mark.parametrize("mode", ["sync", "async"])
async def test_a_status_of_grpc_becomes_our_error(
    server: QdrantServer, status: StatusCode, kind: type[Exception], mode: str
) -> None:
    with QdrantGrpc(server) as grpc:
        store = opened(host="127.0.0.1", grpc=True, grpc_port=grpc.port, api_key="hunter2", https=False)
        grpc.fault = status, "What the server says."
        with pytest.raises(kind, match="What the server says") as caught:
            if mode == "sync":
                store.upsert(points(0, 1))
            else:
                assert store.aupsert is not None
                await store.aupsert(points(0, 1))
        assert "hunter2" not in str(caught.value)
        if isinstance(caught.value, RateLimitError):
            assert caught.value.retry_after_s == 3
        await store.aclose()


def test_over_grpc_nothing_of_a_point_goes_another_way(server: QdrantServer) -> None:
    with QdrantGrpc(server) as grpc:
        server.requests.clear()
        store = opened(host="127.0.0.1", port=server.port, grpc=True, grpc_port=grpc.port, timeout_s=1)
        store.upsert(points(0, 3))
        assert [store.count(), len(store.search(ROWS[0], 2)), len(store.list().records)] == [3, 2, 3]
        store.delete([UUID.format(0)])
        assert server.requests == [] and server.engine.count("memkit").count == 2
        server.engine.delete_collection("memkit")
        with pytest.raises(BackendResponseError, match=r"deleted by somebody else.*repair"):
            store.search(ROWS[0], 1)
        server.delay_s = 1.5
        with pytest.raises(BackendTimeoutError):
            store.health()
        server.delay_s = 0
        store.close()


def test_a_server_that_is_too_slow_is_a_timeout_and_one_that_is_gone_is_unavailable(
    server: QdrantServer,
) -> None:
    store = opened(url=server.url, timeout_s=1)
    server.delay_s = 1.5
    with pytest.raises(BackendTimeoutError):
        store.count()
    server.delay_s = 0
    server.stop()
    with pytest.raises(BackendUnavailableError, match=r"127\.0\.0\.1"):
        store.count()
    server.start()
    assert store.count() == 0
    store.close()


async def test_a_loop_has_a_client_of_its_own_which_it_closes(server: QdrantServer) -> None:
    store = opened(url=server.url)
    assert store.asearch is not None and store.aupsert is not None
    await store.aupsert(points(0, 3))
    assert (await store.asearch(ROWS[1], 1))[0].id == UUID.format(1)
    await store.aclose()
    assert (await store.asearch(ROWS[2], 1))[0].id == UUID.format(2)
    await store.aclose()


@pytest.mark.engine
async def test_a_burst_of_calls_opens_few_connections_and_each_is_answered(server: QdrantServer) -> None:
    """The vendor's client opens a connection for each call to this machine; a thousand at once would be reset."""
    store = opened(url=server.url)
    assert store.acount is not None
    assert await store.acount() == 0
    server.requests.clear()
    server.gate.clear()
    asked = asyncio.gather(*(store.acount() for _ in range(1000)))
    while len(server.requests) < 32:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.3)
    assert len(server.requests) == 32, "the others wait here, not at the server"
    server.gate.set()
    assert await asked == [0] * 1000
    await store.aclose()


def test_the_sync_runtime_never_waits_for_the_async_client(server: QdrantServer) -> None:
    from memkit.runtime import run_inline

    store = opened(url=server.url)
    assert run_inline(SyncRuntime().call(store.count, store.acount)) == 0
    store.close()
