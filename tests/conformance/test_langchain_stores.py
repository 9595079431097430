"""The public suite of vector stores over LangChain's: one that keeps everything in memory, and Chroma."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.vectorstores import InMemoryVectorStore
from typing_extensions import override

from memkit.testing.laws import Driver, Mode
from memkit.testing.vector_store import VectorStoreSuite
from memkit.vector_stores.base import VectorStore
from memkit.vector_stores.langchain import LangChainStore


class NeverAsked(DeterministicFakeEmbedding):
    """The embeddings a store was made with: memkit's vectors take their place."""

    size: int = 4

    @override
    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        raise AssertionError("a text was embedded a second time")

    @override
    def embed_query(self, text: str) -> list[float]:
        raise AssertionError("a query was embedded a second time")


class Unreachable(InMemoryVectorStore):
    """A store whose server is down."""

    @override
    def get_by_ids(self, ids: Any, /) -> Any:
        raise ConnectionRefusedError("connection refused")


class _Suite(VectorStoreSuite):
    score: ClassVar[Literal["similarity", "distance"]]
    filter: ClassVar[Literal["callable", "dict"] | None]

    def made(self, tmp_path: Path) -> Any:
        raise NotImplementedError

    def make_store(self, tmp_path: Path) -> VectorStore:
        return LangChainStore(
            LangChainStore.Settings(client=self.made(tmp_path), score=self.score, filter=self.filter)
        )

    def make_down_store(self, tmp_path: Path) -> VectorStore:
        return LangChainStore(
            LangChainStore.Settings(client=Unreachable(NeverAsked()), score="similarity", filter=None)
        )


class TestInMemory(_Suite):
    score = "similarity"
    filter = "callable"

    def made(self, tmp_path: Path) -> Any:
        self.kept = getattr(self, "kept", None) or InMemoryVectorStore(NeverAsked())
        return self.kept


class TestInMemoryWithoutAFilter(TestInMemory):
    filter = None


@pytest.fixture(scope="class")
def no_other_chroma() -> Generator[None]:
    """The vendor keeps one database in memory a process, and refuses it to whoever has other settings."""
    from chromadb.api.shared_system_client import SharedSystemClient

    SharedSystemClient.clear_system_cache()
    yield
    SharedSystemClient.clear_system_cache()


@pytest.mark.engine
@pytest.mark.usefixtures("no_other_chroma")
class TestChroma(_Suite):
    recall = 0.98
    capacity = 1100
    score = "distance"
    filter = "dict"

    @pytest.fixture
    def mode(self) -> Mode:
        """In threads alone: the store is called in the same way without them, as the suites above do."""
        return "async"

    @pytest.mark.xfail(strict=True, reason="an emptied Chroma collection still refuses another dimension")
    def test_a_dropped_collection_is_empty_and_can_be_made_anew(self, store: Driver) -> None:
        super().test_a_dropped_collection_is_empty_and_can_be_made_anew(store)

    def made(self, tmp_path: Path) -> Any:
        import chromadb
        from langchain_chroma import Chroma

        # Not on disk, where the law of eight callers alone takes half a minute; all clients are of one database.
        return Chroma(tmp_path.name, embedding_function=NeverAsked(), client=chromadb.EphemeralClient())
