"""The public suite over every ledger that memkit has."""

from __future__ import annotations

import zlib
from collections.abc import Generator
from pathlib import Path

import pytest

from memkit.ledger.base import Ledger
from memkit.ledger.sqlite import SqliteLedger
from memkit.testing.ledger import LedgerSuite, tokens
from tests.postgres import PostgresServer


class TestSqliteLedger(LedgerSuite):
    def make_ledger(self, tmp_path: Path) -> Ledger:
        return SqliteLedger(tmp_path / "a" / "memory.db", tokenize=tokens, tokenizer_version="1")


class TestSqliteLedgerInMemory(LedgerSuite):
    def make_ledger(self, tmp_path: Path) -> Ledger:
        return SqliteLedger(None, tokenize=tokens, tokenizer_version="1", vector_kind="f32")


@pytest.fixture(scope="class")
def shared_database(postgres: PostgresServer) -> Generator[str]:
    """A database in which every test has a schema of its own, which is made sooner than a database."""
    with postgres.database() as url:
        yield url


@pytest.mark.engine
class TestPostgresLedger(LedgerSuite):
    url: str

    @pytest.fixture(autouse=True)
    def _database(self, shared_database: str) -> None:
        self.url = shared_database

    def make_ledger(self, tmp_path: Path) -> Ledger:
        from memkit.ledger.postgres import PostgresLedger
        from memkit.ledger.postgres.settings import PostgresSettings

        schema = f"test_{zlib.crc32(str(tmp_path).encode()):08x}"
        settings = PostgresSettings.model_validate({"url": self.url, "schema_name": schema})
        return PostgresLedger(settings, tokenize=tokens, tokenizer_version="1")
