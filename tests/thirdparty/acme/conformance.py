"""The public suite over the Acme store, found by its name alone: `pytest conformance.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from memkit.registry import provider_class
from memkit.testing import VectorStoreSuite
from memkit.vector_stores.base import VectorStore

AcmeStore = provider_class("vector_store", "acme")


class TestAcmeStore(VectorStoreSuite):
    capacity = 1200

    def make_store(self, tmp_path: Path) -> VectorStore:
        return AcmeStore(AcmeStore.Settings(path=tmp_path / "acme.db"))

    def make_down_store(self, tmp_path: Path) -> VectorStore:
        (tmp_path / "file").write_text("x")
        return AcmeStore(AcmeStore.Settings(path=tmp_path / "file" / "acme.db"))

    def process_target(self, tmp_path: Path) -> tuple[str, dict[str, Any]]:
        return "acme_memkit:AcmeStore", {"path": str(tmp_path / "acme.db")}
