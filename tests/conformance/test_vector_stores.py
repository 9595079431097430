"""The public suite over every vector store that memkit has."""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from memkit.testing.vector_store import VectorStoreSuite
from memkit.vector_stores.base import VectorStore
from memkit.vector_stores.chroma import ChromaStore
from memkit.vector_stores.memory import MemoryStore
from memkit.vector_stores.pgvector import PgvectorStore
from memkit.vector_stores.sqlite import SqliteStore
from tests.chroma_server import chroma_server, free_port
from tests.postgres import PostgresServer


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


@pytest.fixture(scope="session")
def chroma_port(tmp_path_factory: pytest.TempPathFactory) -> Generator[int]:
    """A real `chroma run` on a free loopback port."""
    with chroma_server(tmp_path_factory.mktemp("chroma-server")) as port:
        yield port


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


@pytest.mark.engine
class TestPgvector(VectorStoreSuite):
    """Scopes of up to a hundred points are scanned, larger ones go through the graph."""

    recall = 0.98
    capacity = 2000
    url: ClassVar[str]

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _database(cls, postgres: PostgresServer) -> Generator[None]:
        with postgres.database() as url:
            cls.url = url
            yield

    def settings(self, tmp_path: Path) -> dict[str, Any]:
        name = hashlib.sha256(str(tmp_path).encode()).hexdigest()[:32]
        return {"url": self.url, "collection_name": name, "exact_rows": 100}

    def make_store(self, tmp_path: Path) -> VectorStore:
        return PgvectorStore(PgvectorStore.Settings(**self.settings(tmp_path)))

    def make_down_store(self, tmp_path: Path) -> VectorStore:
        return PgvectorStore(PgvectorStore.Settings(host="127.0.0.1", port=free_port(), user="nobody"))

    def process_target(self, tmp_path: Path) -> tuple[str, dict[str, Any]]:
        return "memkit.vector_stores.pgvector:PgvectorStore", self.settings(tmp_path)
