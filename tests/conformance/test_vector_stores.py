"""The public suite over every vector store that memkit has."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Generator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from memkit.testing.vector_store import VectorStoreSuite
from memkit.vector_stores.base import VectorStore
from memkit.vector_stores.chroma import ChromaStore
from memkit.vector_stores.memory import MemoryStore
from memkit.vector_stores.sqlite import SqliteStore


class TestMemoryStore(VectorStoreSuite):
    def make_store(self, tmp_path: Path) -> VectorStore:
        return MemoryStore()


class TestSqliteStore(VectorStoreSuite):
    def make_store(self, tmp_path: Path) -> VectorStore:
        return SqliteStore(SqliteStore.Settings(path=tmp_path / "index.db"))

    def make_down_store(self, tmp_path: Path) -> VectorStore:
        (tmp_path / "file").write_text("x")
        return SqliteStore(SqliteStore.Settings(path=tmp_path / "file" / "index.db"))

    def process_target(self, tmp_path: Path) -> tuple[str, dict[str, Any]]:
        return "memkit.vector_stores.sqlite:SqliteStore", {"path": str(tmp_path / "index.db")}


class TestChromaEmbedded(VectorStoreSuite):
    recall = 0.98

    def make_store(self, tmp_path: Path) -> VectorStore:
        return ChromaStore(ChromaStore.Settings(path=tmp_path / "chroma"))

    def make_down_store(self, tmp_path: Path) -> VectorStore:
        (tmp_path / "file").write_text("x")
        return ChromaStore(ChromaStore.Settings(path=tmp_path / "file" / "chroma"))

    def process_target(self, tmp_path: Path) -> tuple[str, dict[str, Any]]:
        return "memkit.vector_stores.chroma:ChromaStore", {"path": str(tmp_path / "chroma")}


@pytest.mark.engine
class TestChromaInMemory(VectorStoreSuite):
    recall = 0.98

    def make_store(self, tmp_path: Path) -> VectorStore:
        return ChromaStore()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def chroma_port(tmp_path_factory: pytest.TempPathFactory) -> Generator[int]:
    """A real `chroma run` on a free loopback port."""
    port, folder = free_port(), tmp_path_factory.mktemp("chroma-server")
    chroma = Path(sys.executable).with_name("chroma")
    process = subprocess.Popen(
        [chroma, "run", "--path", str(folder), "--host", "127.0.0.1", "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "ANONYMIZED_TELEMETRY": "False"},
    )
    try:
        _wait_for(f"http://127.0.0.1:{port}/api/v2/heartbeat", process)
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        assert process.poll() is None, "the server ended"
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("the server did not start")


@pytest.mark.engine
class TestChromaServer(VectorStoreSuite):
    recall = 0.98
    port: ClassVar[int]

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _server(cls, chroma_port: int) -> None:
        TestChromaServer.port = chroma_port

    def settings(self, tmp_path: Path) -> dict[str, Any]:
        name = hashlib.sha256(str(tmp_path).encode()).hexdigest()[:32]
        return {"host": "127.0.0.1", "port": self.port, "collection_name": name}

    def make_store(self, tmp_path: Path) -> VectorStore:
        return ChromaStore(ChromaStore.Settings(**self.settings(tmp_path)))

    def make_down_store(self, tmp_path: Path) -> VectorStore:
        return ChromaStore(ChromaStore.Settings(host="127.0.0.1", port=free_port(), timeout_s=5))

    def process_target(self, tmp_path: Path) -> tuple[str, dict[str, Any]]:
        return "memkit.vector_stores.chroma:ChromaStore", self.settings(tmp_path)
