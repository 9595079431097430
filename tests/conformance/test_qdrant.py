"""The public suite over Qdrant: in memory, in a folder, and over HTTP and gRPC against local servers."""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from memkit.testing.vector_store import VectorStoreSuite
from memkit.vector_stores.base import VectorStore
from memkit.vector_stores.qdrant import QdrantStore
from tests.chroma_server import free_port
from tests.qdrant_grpc import QdrantGrpc
from tests.qdrant_server import QdrantServer

MEMORY = Path("/dev/shm")
"""A folder in memory, where a machine has one: the vendor's local mode waits for the disk at each point."""


def _name(tmp_path: Path) -> str:
    return hashlib.sha256(str(tmp_path).encode()).hexdigest()[:32]


@pytest.mark.engine
class TestQdrantInMemory(VectorStoreSuite):
    capacity = 1500

    def make_store(self, tmp_path: Path) -> VectorStore:
        return QdrantStore()


@pytest.mark.engine
class TestQdrantFolder(VectorStoreSuite):
    capacity = 1100
    folder: ClassVar[Path]

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _folder(cls) -> Generator[None]:
        with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
            TestQdrantFolder.folder = Path(folder)
            yield

    def make_store(self, tmp_path: Path) -> VectorStore:
        return QdrantStore(QdrantStore.Settings(path=self.folder / _name(tmp_path)))

    def make_down_store(self, tmp_path: Path) -> VectorStore:
        (tmp_path / "file").write_text("x")
        return QdrantStore(QdrantStore.Settings(path=tmp_path / "file" / "qdrant"))


@pytest.mark.engine
class TestQdrantServer(VectorStoreSuite):
    capacity = 1500
    server: ClassVar[QdrantServer]

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _server(cls) -> Generator[None]:
        with QdrantServer(api_key="secret") as TestQdrantServer.server:
            yield

    def settings(self, tmp_path: Path) -> dict[str, Any]:
        return {"url": self.server.url, "api_key": "secret", "collection_name": _name(tmp_path)}

    def make_store(self, tmp_path: Path) -> VectorStore:
        return QdrantStore(QdrantStore.Settings(**self.settings(tmp_path)))

    def make_down_store(self, tmp_path: Path) -> VectorStore:
        return QdrantStore(QdrantStore.Settings(host="127.0.0.1", port=free_port(), timeout_s=5))

    def process_target(self, tmp_path: Path) -> tuple[str, dict[str, Any]]:
        return "memkit.vector_stores.qdrant:QdrantStore", self.settings(tmp_path)


@pytest.mark.engine
class TestQdrantGrpc(VectorStoreSuite):
    capacity = 400
    server: ClassVar[QdrantGrpc]

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _server(cls) -> Generator[None]:
        # Without its REST interface, so that nothing of a point can go another way.
        owner = QdrantServer(api_key="secret")
        with contextlib.closing(owner.engine), QdrantGrpc(owner) as TestQdrantGrpc.server:
            yield

    def settings(self, tmp_path: Path) -> dict[str, Any]:
        return {
            "host": "127.0.0.1", "port": free_port(), "grpc": True, "grpc_port": self.server.port, "https": False,
            "api_key": "secret", "collection_name": _name(tmp_path),
        }  # fmt: skip

    def make_store(self, tmp_path: Path) -> VectorStore:
        return QdrantStore(QdrantStore.Settings(**self.settings(tmp_path)))

    def make_down_store(self, tmp_path: Path) -> VectorStore:
        settings = self.settings(tmp_path) | {"grpc_port": free_port(), "timeout_s": 5}
        return QdrantStore(QdrantStore.Settings(**settings))

    def process_target(self, tmp_path: Path) -> tuple[str, dict[str, Any]]:
        return "memkit.vector_stores.qdrant:QdrantStore", self.settings(tmp_path)
