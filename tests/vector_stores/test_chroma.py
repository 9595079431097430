"""Chroma beside other users of the same library, process and folder."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import chromadb
import pytest
from chromadb.api.client import Client
from chromadb.config import Settings

from memkit.errors import BackendResponseError, BackendTimeoutError, ConfigurationError
from memkit.filters import Compare
from memkit.testing.store_data import DIM, EMBEDDER, payload, vectors
from memkit.vector_stores.base import StoreRecord
from memkit.vector_stores.chroma import ChromaStore

ROWS = vectors(3000)
QUIET = {"anonymized_telemetry": False}


def points(first: int, last: int, **fields: Any) -> list[StoreRecord]:
    return [
        StoreRecord(id=f"i{at}", vector=ROWS[at], payload=payload(f"text {at}", **fields))
        for at in range(first, last)
    ]


def host_client(path: Path) -> Client:
    """The client of an application that uses the same library for itself."""
    client = chromadb.PersistentClient(str(path), settings=Settings(**QUIET))
    assert isinstance(client, Client)
    return client


def opened(path: Path, **settings: Any) -> ChromaStore:
    store = ChromaStore(ChromaStore.Settings(path=path, **settings))
    store.open(dim=DIM, embedder=EMBEDDER)
    return store


@pytest.fixture
def store(tmp_path: Path) -> Generator[ChromaStore]:
    store = opened(tmp_path / "chroma")
    yield store
    store.close()


OTHER = """
import json, sys, chromadb
from chromadb.api.client import Client
from chromadb.config import Settings
client = chromadb.PersistentClient(sys.argv[1], settings=Settings(anonymized_telemetry=False))
found = client.get_collection("memkit", embedding_function=None)
for line in sys.stdin:
    ids, rows = json.loads(line)
    found.upsert(ids=ids, embeddings=rows, metadatas=[{"payload": "{}"} for _ in ids])
    print(found.count(), flush=True)
"""


@pytest.mark.parametrize("same", [True, False], ids=["same path", "another path"])
def test_the_host_applications_own_client_stays_usable(tmp_path: Path, same: bool) -> None:
    path = tmp_path / "chroma"
    host = host_client(path if same else tmp_path / "host")
    theirs = host.get_or_create_collection("documents", embedding_function=None)
    theirs.upsert(
        ids=[f"d{at}" for at in range(50)], embeddings=ROWS[:50], metadatas=[{"n": at} for at in range(50)]
    )
    store, other = opened(path), opened(path)
    for turn in range(3):
        store.upsert(points(500 * turn, 500 * turn + 400))
        theirs.upsert(ids=[f"t{turn}"], embeddings=ROWS[60 + turn : 61 + turn], metadatas=[{"n": -1}])
        other.upsert(points(500 * turn + 400, 500 * turn + 500))
        # The other store's writes make this one open its files anew.
        assert store.search(ROWS[500 * turn + 450], 1)[0].id == f"i{500 * turn + 450}"
        assert theirs.query(query_embeddings=ROWS[7:8], n_results=1)["ids"] == [["d7"]]
        assert theirs.query(query_embeddings=ROWS[60 + turn : 61 + turn], n_results=1, where={"n": -1})[
            "ids"
        ] == [[f"t{turn}"]]
    store.close()
    other.close()
    assert theirs.count() == 53
    assert theirs.query(query_embeddings=ROWS[9:10], n_results=1)["ids"] == [["d9"]]
    assert (host.count_collections() == 2) is same
    host.close()


def test_a_client_that_is_given_is_shared_and_never_closed(tmp_path: Path) -> None:
    host = host_client(tmp_path / "chroma")
    store = ChromaStore(client=host)
    store.open(dim=DIM, embedder=EMBEDDER)
    store.upsert(points(0, 10))
    assert store.search(ROWS[3], 1)[0].id == "i3"
    store.close()
    assert host.get_collection("memkit", embedding_function=None).count() == 10
    assert store.count() == 10
    host.close()


def test_writes_of_a_program_without_memkit_are_seen(tmp_path: Path, store: ChromaStore) -> None:
    store.upsert(points(0, 20))
    assert store.search(ROWS[5], 1)[0].id == "i5"
    process = subprocess.Popen(
        [sys.executable, "-c", OTHER, str(tmp_path / "chroma")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None and process.stdout is not None
    for first, last in ((20, 30), (30, 1600)):
        process.stdin.write(
            json.dumps([[f"i{at}" for at in range(first, last)], ROWS[first:last].tolist()]) + "\n"
        )
        process.stdin.flush()
        assert process.stdout.readline() == f"{last}\n"
        for at in (first, last - 1, 5):
            assert store.search(ROWS[at], 1)[0].id == f"i{at}"
            assert store.get([f"i{at}"])[0].vector == pytest.approx(ROWS[at], abs=1e-5)
    process.communicate()


def test_a_collection_of_somebody_else_is_refused_with_a_reason(tmp_path: Path) -> None:
    host = host_client(tmp_path / "chroma")
    full = host.create_collection("full", embedding_function=None)
    full.upsert(ids=["x"], embeddings=ROWS[:1], metadatas=[{"data": "text"}])
    host.create_collection("empty-l2", embedding_function=None)
    host.create_collection(
        "empty-cosine", embedding_function=None, configuration={"hnsw": {"space": "cosine"}}
    )
    with pytest.raises(ConfigurationError, match="did not write"):
        opened(tmp_path / "chroma", collection_name="full")
    with pytest.raises(ConfigurationError, match="cosine"):
        opened(tmp_path / "chroma", collection_name="empty-l2")
    store = opened(tmp_path / "chroma", collection_name="empty-cosine")
    store.upsert(points(0, 2))
    assert store.info().embedder == EMBEDDER
    store.close()
    assert full.count() == 1
    host.close()


def test_an_embedded_database_without_a_path_lives_in_the_memorys_folder(tmp_path: Path) -> None:
    store = ChromaStore()
    assert store.capabilities == frozenset()
    store.place(tmp_path)
    assert not list(tmp_path.iterdir())
    assert "persistent" in store.capabilities
    store.open(dim=DIM, embedder=EMBEDDER)
    assert (tmp_path / "chroma" / "chroma.sqlite3").is_file()
    store.close()
    elsewhere = ChromaStore(ChromaStore.Settings(path=tmp_path / "mine"))
    elsewhere.place(tmp_path)
    elsewhere.open(dim=DIM, embedder=EMBEDDER)
    assert (tmp_path / "mine" / "chroma.sqlite3").is_file()
    elsewhere.close()


def test_in_memory_stores_do_not_see_each_other() -> None:
    one, two = ChromaStore(), ChromaStore()
    for store in (one, two):
        store.open(dim=DIM, embedder=EMBEDDER)
    one.upsert(points(0, 3))
    assert (one.count(), two.count()) == (3, 0)
    one.close()
    two.close()


def test_a_point_can_be_inspected_with_the_vendors_own_tools(tmp_path: Path, store: ChromaStore) -> None:
    store.upsert(points(0, 1, category="food", when="2026-03-01", place={"city": "Kyoto"}, nothing=None))
    host = host_client(tmp_path / "chroma")
    found = host.get_collection("memkit", embedding_function=None)
    assert found.configuration_json["hnsw"]["space"] == "cosine"
    where: Any = {"$and": [{"user_id": "alice"}, {"metadata.category": "food"}]}
    flat = (found.get(where=where)["metadatas"] or [{}])[0]
    assert json.loads(str(flat["payload"]))["metadata"]["place"] == {"city": "Kyoto"}
    assert flat["metadata.place.city"] == "Kyoto" and flat["no:agent_id"] is True
    host.close()


def test_the_modes_follow_from_the_settings() -> None:
    assert ChromaStore.Settings().mode == "embedded"
    assert ChromaStore.Settings(path=Path("x"), api_key="k").mode == "embedded"
    assert ChromaStore.Settings(host="h").mode == "server"
    assert ChromaStore.Settings(host="h", api_key="k").mode == "server"
    assert ChromaStore.Settings(api_key="k", tenant="t", database="d").mode == "cloud"
    with pytest.raises(ConfigurationError, match="collection_name"):
        ChromaStore.Settings(collection_name="x")


def test_a_server_that_never_answers_is_a_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        store = ChromaStore(ChromaStore.Settings(host="127.0.0.1", port=port, timeout_s=0.2))
        with pytest.raises(BackendTimeoutError) as caught:
            store.health()
        assert caught.value.retryable and f"127.0.0.1:{port}" in str(caught.value)
        store.close()


def test_lost_vectors_are_an_error_that_says_what_to_do(tmp_path: Path, store: ChromaStore) -> None:
    """A graph that another program overwrote with an older one cannot be healed here, and says so."""
    store.upsert(points(0, 1500))
    store.close()
    for folder in (tmp_path / "chroma").iterdir():
        if folder.is_dir():
            for file in folder.iterdir():
                file.unlink()
    for ask in (
        lambda: store.get(["i3"]),
        lambda: store.search(ROWS[3], 1, Compare("user_id", "eq", "alice")),
    ):
        with pytest.raises(BackendResponseError, match="rebuild"):
            ask()
    # What the graph is not needed for still answers, and a rebuild needs no more than this.
    assert store.count() == 1500
    store.drop()
    store.open(dim=DIM, embedder=EMBEDDER)
    store.upsert(points(0, 5))
    assert store.search(ROWS[3], 1)[0].id == "i3"


def test_threads_open_one_client(tmp_path: Path) -> None:
    store, found = opened(tmp_path / "chroma"), list[int]()
    store.upsert(points(0, 5))
    store.close()
    threads = [
        Thread(target=lambda: found.append(store.count(Compare("user_id", "eq", "alice")))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [5] * 8
    store.close()


def test_a_server_that_falls_silent_while_a_client_is_built_is_a_timeout_too() -> None:
    class Quiet(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Print nothing."""

        def do_GET(self) -> None:
            if not self.path.endswith("/heartbeat"):
                free.wait(20)
                return
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

    free = Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    port = server.server_address[1]
    store = ChromaStore(ChromaStore.Settings(host="127.0.0.1", port=port, timeout_s=0.5))
    with pytest.raises(BackendTimeoutError):
        store.health()
    free.set()
    store.close()
    server.shutdown()
    server.server_close()


LOADS = """
import sqlite3, sys
from pathlib import Path
from memkit.vector_stores.chroma import ChromaStore

folder, told = Path(sys.argv[1]), []

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "chromadb" and folder.exists():
            lock = sqlite3.connect(folder / "memkit.lock", timeout=0, isolation_level=None)
            lock.execute("BEGIN EXCLUSIVE")
            lock.close()
        if name == "chromadb":
            told.append("free")

sys.meta_path.insert(0, Watch())
store = ChromaStore(ChromaStore.Settings(path=folder))
store.open(dim=4, embedder="x")
store.close()
print(*told)
"""


def test_nobody_is_kept_out_while_the_vendors_library_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "chroma").mkdir()
    command = [sys.executable, "-c", LOADS, str(tmp_path / "chroma")]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "free\n"
