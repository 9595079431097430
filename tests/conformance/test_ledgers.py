"""The public suite over every ledger that memkit has."""

from __future__ import annotations

from pathlib import Path

from memkit.ledger.base import Ledger
from memkit.ledger.sqlite import SqliteLedger
from memkit.testing.ledger import LedgerSuite, tokens


class TestSqliteLedger(LedgerSuite):
    def make_ledger(self, tmp_path: Path) -> Ledger:
        return SqliteLedger(tmp_path / "a" / "memory.db", tokenize=tokens, tokenizer_version="1")


class TestSqliteLedgerInMemory(LedgerSuite):
    def make_ledger(self, tmp_path: Path) -> Ledger:
        return SqliteLedger(None, tokenize=tokens, tokenizer_version="1", vector_kind="f32")
