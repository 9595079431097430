"""The public suite over every graph store that memkit has."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Generator
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

import pytest

from memkit.graph_stores.base import GraphStore
from memkit.graph_stores.networkx import NetworkxStore
from memkit.graph_stores.sqlite import SqliteGraph
from memkit.testing.graph_sharing import SECRET
from memkit.testing.graph_store import GraphStoreSuite
from tests.bolt import BoltServer, free_port
from tests.postgres import QUOTED, PostgresServer


class TestNetworkxInMemory(GraphStoreSuite):
    def make_store(self, tmp_path: Path) -> GraphStore:
        return NetworkxStore()


class TestNetworkxFile(GraphStoreSuite):
    def make_store(self, tmp_path: Path) -> GraphStore:
        return NetworkxStore(NetworkxStore.Settings(path=tmp_path / "graph.lines"))

    def make_other_graph(self, tmp_path: Path) -> GraphStore:
        path = tmp_path / "graph.lines"
        return NetworkxStore(NetworkxStore.Settings(path=path, collection_name="another"))

    def make_down_store(self, tmp_path: Path) -> GraphStore:
        (tmp_path / "file").write_text("x")
        return NetworkxStore(NetworkxStore.Settings(path=tmp_path / "file" / "graph.lines"))

    def process_target(self, tmp_path: Path) -> tuple[str, dict[str, Any]]:
        return "memkit.graph_stores.networkx:NetworkxStore", {"path": str(tmp_path / "graph.lines")}


class TestSqlite(GraphStoreSuite):
    def make_store(self, tmp_path: Path) -> GraphStore:
        return SqliteGraph(SqliteGraph.Settings(path=tmp_path / "graph.db"))

    def make_other_graph(self, tmp_path: Path) -> GraphStore:
        return SqliteGraph(SqliteGraph.Settings(path=tmp_path / "graph.db", collection_name="another"))

    def make_down_store(self, tmp_path: Path) -> GraphStore:
        (tmp_path / "file").write_text("x")
        return SqliteGraph(SqliteGraph.Settings(path=tmp_path / "file" / "graph.db"))

    def process_target(self, tmp_path: Path) -> tuple[str, dict[str, Any]]:
        return "memkit.graph_stores.sqlite:SqliteGraph", {"path": str(tmp_path / "graph.db")}


def _name(tmp_path: Path) -> str:
    return hashlib.sha256(str(tmp_path).encode()).hexdigest()[:16]


@pytest.fixture(scope="class")
def graph_database(postgres: PostgresServer) -> Generator[str]:
    """A database in which every test has a graph of its own."""
    with postgres.database(vector=False) as url:
        yield url


@pytest.mark.engine
class TestPostgres(GraphStoreSuite):
    """Over TCP, with a password."""

    capacity = 300
    url: str

    @pytest.fixture(autouse=True)
    def _database(self, graph_database: str) -> None:
        self.url = graph_database

    def settings(self, tmp_path: Path, **more: Any) -> dict[str, Any]:
        return {"url": self.url, "collection_name": _name(tmp_path), **more}

    def make_store(self, tmp_path: Path) -> GraphStore:
        return _postgres(self.settings(tmp_path))

    def make_other_graph(self, tmp_path: Path) -> GraphStore:
        return _postgres(self.settings(tmp_path, collection_name=f"{_name(tmp_path)} of another"))

    def make_down_store(self, tmp_path: Path) -> GraphStore:
        return _postgres(self.settings(tmp_path, url=f"postgresql://u:{QUOTED}@127.0.0.1:{free_port()}/x"))

    def make_refused_store(self, tmp_path: Path) -> GraphStore:
        wrong = self.url.replace(QUOTED, quote(SECRET, safe=""))
        return _postgres(self.settings(tmp_path, url=wrong))

    def process_target(self, tmp_path: Path) -> tuple[str, dict[str, Any]]:
        return "memkit.graph_stores.postgres:PostgresGraph", self.settings(tmp_path)


@pytest.mark.engine
class TestNeo4j(GraphStoreSuite):
    """Over Bolt, on ArcadeDB, which answers as a Neo4j 5.26 does."""

    capacity = 300
    server: ClassVar[BoltServer]

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _server(cls, bolt: BoltServer) -> Generator[None]:
        with bolt.database() as database:
            TestNeo4j.server, TestNeo4j.database = bolt, database
            yield

    database: ClassVar[str]

    def settings(self, tmp_path: Path, **more: Any) -> dict[str, Any]:
        return {**self.server.settings(self.database), "collection_name": _name(tmp_path), **more}

    def make_store(self, tmp_path: Path) -> GraphStore:
        return _neo4j(self.settings(tmp_path))

    def make_other_graph(self, tmp_path: Path) -> GraphStore:
        return _neo4j(self.settings(tmp_path, collection_name="another"))

    def make_down_store(self, tmp_path: Path) -> GraphStore:
        return _neo4j(self.settings(tmp_path, url=f"bolt://127.0.0.1:{free_port()}"))

    def make_refused_store(self, tmp_path: Path) -> GraphStore:
        # A stranger, as this server keeps a user out for a while after some wrong passwords.
        return _neo4j(self.settings(tmp_path, username="stranger", password=SECRET))

    def make_silent_store(self, tmp_path: Path) -> GraphStore:
        return _neo4j(self.settings(tmp_path, url=f"bolt://127.0.0.1:{self.silence}", timeout_s=0.5))

    def process_target(self, tmp_path: Path) -> tuple[str, dict[str, Any]]:
        return "memkit.graph_stores.neo4j:Neo4jStore", self.settings(tmp_path)

    @pytest.fixture(autouse=True)
    def _silence(self) -> Generator[None]:
        """A port that takes connections and says nothing."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.silence = int(listener.getsockname()[1])
            yield


def _neo4j(settings: dict[str, Any]) -> GraphStore:
    from memkit.graph_stores.neo4j import Neo4jStore

    return Neo4jStore(Neo4jStore.Settings(**settings))


def _postgres(settings: dict[str, Any]) -> GraphStore:
    from memkit.graph_stores.postgres import PostgresGraph

    return PostgresGraph(PostgresGraph.Settings(**settings))
