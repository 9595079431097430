"""Qdrant and Chroma that go, hang, refuse, lose their collection or die with a process: nothing acknowledged is lost.

The servers stand behind a gate that can shut and fall silent: Qdrant's is the local one of these tests, Chroma's the vendor's.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from memkit import Memory
from memkit.errors import AuthenticationError, BackendError, BackendTimeoutError, EmbedderMismatchError
from memkit.registry import provider_class
from memkit.vector_stores.base import VectorStore
from tests.chroma_server import chroma_server
from tests.faults.victim import ROOT, sound
from tests.gate import Gate
from tests.qdrant_server import QdrantServer

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


@dataclass(frozen=True, slots=True)
class Backend:
    """A server behind a gate."""

    provider: str
    gate: Gate
    config: dict[str, Any]

    def store(self, **more: Any) -> VectorStore:
        """A store of its own."""
        cls = provider_class("vector_store", self.provider)
        return cls(cls.Settings(**self.config, **more))

    def memory(self, path: Path, **more: Any) -> Memory:
        """A memory whose index is there."""
        given = {"provider": self.provider, "config": {**self.config, **more}}
        return Memory(path, vector_store=given, embedder="hash", llm=None)


@pytest.fixture(scope="module")
def qdrant_port() -> Generator[int]:
    with QdrantServer() as server:
        yield server.port


@pytest.fixture(scope="module")
def chroma_port(tmp_path_factory: pytest.TempPathFactory) -> Generator[int]:
    with chroma_server(tmp_path_factory.mktemp("chroma-server")) as port:
        yield port


@pytest.fixture(params=["qdrant", pytest.param("chroma", marks=pytest.mark.engine)])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Backend]:
    port: int = request.getfixturevalue(f"{request.param}_port")
    with closing(Gate(port)) as gate:
        name = f"c{abs(hash(tmp_path)):x}"
        config = {"host": "127.0.0.1", "port": gate.port, "collection_name": name, "timeout_s": 2}
        yield Backend(request.param, gate, config)


def in_step(memory: Memory, store: VectorStore) -> None:
    """The index holds what the ledger holds, and nothing else."""
    items = {item.id: item.memory for item in memory.get_all(user_id="u", limit=1000).results}
    points = {point.id: point.payload["memory"] for point in store.list(limit=1000).records}
    assert points == items
    sound(memory)


def written(memory: Memory, first: int, last: int) -> list[Any]:
    return [memory.add(f"note {n}", user_id="u", infer=False) for n in range(first, last)]


# ------------------------------------------------------------------------------------- servers


def test_a_server_gone_at_start_fails_no_write_and_is_brought_after(backend: Backend, tmp_path: Path) -> None:
    backend.gate.shut()
    with backend.memory(tmp_path / "s", patience_s=5) as memory:
        for result in written(memory, 0, 3):
            assert result.pending == [backend.provider]
        found = memory.search("note 1", user_id="u")
        assert len(found.results) == 3 and backend.provider in found.warnings[0]
        health = memory.health()
        assert not health.ok and "vector_store" in health.problems
        backend.gate.open()
        assert memory.repair().pending == []
        assert memory.search("note 1", user_id="u").warnings == []
        in_step(memory, backend.store())


def test_a_server_gone_in_the_middle_loses_nothing(backend: Backend, tmp_path: Path) -> None:
    with backend.memory(tmp_path / "s", patience_s=5) as memory:
        ids = [result.results[0].id for result in written(memory, 0, 3)]
        backend.gate.shut()
        assert written(memory, 3, 5)[-1].pending == [backend.provider]
        memory.update(ids[0], "note zero")
        assert memory.delete(ids[1]).pending == [backend.provider]
        backend.gate.open()
        assert written(memory, 5, 6)[-1].pending == [], "the next write brings it after"
        in_step(memory, backend.store())


def test_a_server_that_hangs_is_waited_for_no_longer_than_patience(backend: Backend, tmp_path: Path) -> None:
    with backend.memory(tmp_path / "s", patience_s=1) as memory:
        written(memory, 0, 1)
        backend.gate.hush()
        assert written(memory, 1, 2)[0].pending == [backend.provider]
        with pytest.raises(BackendTimeoutError):
            backend.store().count()
        backend.gate.open()
        deadline = time.monotonic() + 30
        while memory.repair().pending and time.monotonic() < deadline:
            time.sleep(0.2)
        in_step(memory, backend.store())


def test_a_collection_deleted_under_us_is_told_and_filled_anew(backend: Backend, tmp_path: Path) -> None:
    with backend.memory(tmp_path / "s") as memory:
        written(memory, 0, 4)
        backend.store().drop()
        result = written(memory, 4, 5)[0]
        assert result.results[0].event == "ADD", "the ledger has it"
        assert memory.repair().pending == []
        in_step(memory, backend.store())
        backend.store().drop()
        written(memory, 5, 7)
        memory.repair()
        in_step(memory, backend.store())


def test_an_index_of_another_dimension_is_refused_before_anything_is_written(
    backend: Backend, tmp_path: Path
) -> None:
    store = backend.store()
    store.open(dim=7, embedder="other/7")
    with backend.memory(tmp_path / "s") as memory:
        with pytest.raises(EmbedderMismatchError, match="rebuild"):
            written(memory, 0, 1)
        assert memory.count(user_id="u") == 0
        memory.rebuild()
        written(memory, 0, 2)
        in_step(memory, backend.store())
    store.close()


class _Denies(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b'{"status": {"error": "Must provide an API key"}, "error": "Unauthorized"}'
        self.send_response(401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_PUT = do_GET


@pytest.mark.parametrize("provider", ["qdrant", "chroma"])
def test_a_wrong_key_is_named_without_being_shown_and_loses_nothing(provider: str, tmp_path: Path) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Denies)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    config = {"host": "127.0.0.1", "port": server.server_address[1], "api_key": "hunter2"}
    config |= {"https": False} if provider == "qdrant" else {}
    cls = provider_class("vector_store", provider)
    store = cls(cls.Settings(**config))
    try:
        with pytest.raises(AuthenticationError) as caught:
            store.health()
        assert caught.value.backend == provider and not caught.value.retryable
        given = {"provider": provider, "config": config}
        with Memory(tmp_path / "s", vector_store=given, embedder="hash", llm=None) as memory:
            assert written(memory, 0, 1)[0].pending == [provider]
            said = memory.health().problems["vector_store"]
            assert "401" in said
            for text in (said, str(caught.value), repr(cls.Settings(**config)), repr(memory)):
                assert "hunter2" not in text
    finally:
        store.close()
        server.shutdown()
        server.server_close()


# ------------------------------------------------------------------------------------- processes

WRITER = """
import json, sys
from memkit import Memory
path, store, name, count = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3], int(sys.argv[4])
with Memory(path, vector_store=store, embedder="hash", llm=None) as memory:
    for n in range(count):
        memory.add(f"{name} {n}", user_id="u", infer=False)
        print(f"{name} {n}", flush=True)
"""


def writer(path: Path, store: dict[str, Any], name: str, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(path), json.dumps(store), name, str(count)]
    return subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True
    )


@contextmanager
def place(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> Generator[dict[str, Any]]:
    """Where two processes find one index: a server, or a folder."""
    provider, _, where = kind.partition(" ")
    if where == "server":
        port: int = request.getfixturevalue(f"{provider}_port")
        name = f"c{abs(hash(tmp_path)):x}"
        yield {"provider": provider, "config": {"host": "127.0.0.1", "port": port, "collection_name": name}}
    else:
        yield {"provider": provider, "config": {"path": str(tmp_path / "index")}}


KINDS = ["qdrant server", "qdrant folder", "chroma server", "chroma folder"]


def _opened(given: dict[str, Any]) -> VectorStore:
    cls = provider_class("vector_store", given["provider"])
    return cls(cls.Settings(**given["config"]))


@pytest.mark.engine
@pytest.mark.parametrize("kind", KINDS)
def test_two_writers_lose_nothing(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    with place(kind, tmp_path, request) as given:
        both = [writer(tmp_path / "s", given, name, 12) for name in ("a", "b")]
        told = [line for one in both for line in one.communicate(timeout=120)[0].splitlines()]
        assert len(told) == 24 and [one.returncode for one in both] == [0, 0]
        with Memory(tmp_path / "s", vector_store=given, embedder="hash", llm=None) as memory:
            assert memory.repair().pending == []
            assert {item.memory for item in memory.get_all(user_id="u").results} == {*told}
            store = _opened(given)
            in_step(memory, store)
            store.close()


@posix
@pytest.mark.engine
@pytest.mark.parametrize("kind", KINDS)
def test_kill_9_of_a_writer_loses_nothing_acknowledged_and_repair_heals(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    with place(kind, tmp_path, request) as given:
        told: list[str] = []
        for at in range(2):
            victim = writer(tmp_path / "s", given, f"v{at}", 1000)
            assert victim.stdout is not None
            told += [victim.stdout.readline().strip() for _ in range(4 + 3 * at)]
            victim.send_signal(signal.SIGKILL)
            told += victim.communicate(timeout=30)[0].splitlines()
        with Memory(tmp_path / "s", vector_store=given, embedder="hash", llm=None) as memory:
            assert memory.repair().pending == []
            there = {item.memory for item in memory.get_all(user_id="u", limit=1000).results}
            assert {*told} <= there and len(there) <= len(told) + 3
            store = _opened(given)
            in_step(memory, store)
            store.close()


def test_a_folder_of_qdrant_that_another_process_has_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    given = {"provider": "qdrant", "config": {"path": str(tmp_path / "index")}}
    code = (
        "import sys; from qdrant_client import QdrantClient\n"
        "client = QdrantClient(path=sys.argv[1]); print('here', flush=True); sys.stdin.read(); client.close()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "index")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None and holder.stdout.readline() == "here\n"
    with Memory(tmp_path / "s", vector_store=given, embedder="hash", llm=None) as memory:
        assert written(memory, 0, 1)[0].pending == ["qdrant"]
        began = time.monotonic()
        with pytest.raises(BackendError, match="another process") as caught:
            _opened(given).count()
        assert time.monotonic() - began < 5, "it is not waited for without end"
        assert caught.value.retryable and "`url`" in str(caught.value)
        holder.communicate("")
        assert written(memory, 1, 2)[0].pending == []
        in_step(memory, _opened(given))
