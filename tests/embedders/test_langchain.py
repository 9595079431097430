"""LangChain embeddings as memkit's: unit rows, a stable identity, our errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings

from memkit import AsyncMemory, Memory
from memkit.embedders.langchain import LangChainEmbedder
from memkit.errors import (
    BackendResponseError,
    BackendUnavailableError,
    ConfigurationError,
    EmbedderMismatchError,
)


class Answers(Embeddings):
    """Answers with what it was given; counts its calls."""

    def __init__(self, rows: Any, model: str = "small") -> None:
        self.rows, self.model, self.calls = rows, model, 0

    def embed_documents(self, texts: list[str]) -> Any:
        self.calls += 1
        if isinstance(self.rows, Exception):
            raise self.rows
        return self.rows

    def embed_query(self, text: str) -> Any:
        return self.embed_documents([text])[0]


def test_rows_get_unit_length_and_queries_go_their_own_way() -> None:
    embedder = LangChainEmbedder(Answers([[3.0, 4.0]]))
    for purpose in ("document", "query"):
        assert embedder.embed(["x"], purpose=purpose).tolist() == [[pytest.approx(0.6), pytest.approx(0.8)]]
    assert embedder.dim == 2


def test_the_identity_has_class_and_model_or_the_given_name() -> None:
    assert LangChainEmbedder(Answers([], "small")).identity == "langchain/Answers/small"
    assert (
        LangChainEmbedder(DeterministicFakeEmbedding(size=4)).identity
        == "langchain/DeterministicFakeEmbedding"
    )
    named = LangChainEmbedder(LangChainEmbedder.Settings(model=Answers([]), name="mine"))
    assert named.identity == "langchain/mine"


@pytest.mark.parametrize(
    "rows", [[], [[1.0], [2.0]], [[]], [[0.0, 0.0]], [[float("nan"), 1.0]], [["x"]], None, [1.0]]
)
async def test_unusable_rows_are_an_error(mode: str, rows: Any) -> None:
    embedder = LangChainEmbedder(Answers(rows))
    with pytest.raises(BackendResponseError, match="langchain/Answers"):
        _ = embedder.embed(["x"]) if mode == "sync" else await embedder.aembed(["x"])


async def test_a_failure_is_one_of_ours(mode: str) -> None:
    embedder = LangChainEmbedder(Answers(ConnectionRefusedError("no")))
    with pytest.raises(BackendUnavailableError):
        _ = embedder.embed(["x"]) if mode == "sync" else await embedder.aembed(["x"])


def test_a_memory_takes_embeddings_as_they_are_and_remembers_them(tmp_path: Path) -> None:
    embeddings = DeterministicFakeEmbedding(size=16)
    with Memory(tmp_path, llm=None, embedder=embeddings) as memory:
        memory.add("Ada plays the oboe.", user_id="ada", infer=False)
        assert memory.search("Ada plays the oboe.", user_id="ada").results
    with Memory(tmp_path, llm=None, embedder=DeterministicFakeEmbedding(size=16)) as memory:
        assert memory.search("oboe", user_id="ada").results
    with Memory(tmp_path, llm=None, embedder="hash") as memory, pytest.raises(EmbedderMismatchError):
        memory.add("x", user_id="ada", infer=False)
    with Memory(tmp_path, llm=None) as memory:
        assert memory.get_all(user_id="ada").results
        with pytest.raises(ConfigurationError, match="Pass them again"):
            memory.add("x", user_id="ada", infer=False)


async def test_an_async_memory_takes_them_too() -> None:
    async with AsyncMemory(":memory:", llm=None, embedder=DeterministicFakeEmbedding(size=16)) as memory:
        await memory.add("Ada plays the oboe.", user_id="ada", infer=False)
        assert (await memory.search("Ada plays the oboe.", user_id="ada")).results


def test_a_name_is_not_enough() -> None:
    with pytest.raises(ConfigurationError, match="LangChain embeddings"):
        Memory(":memory:", embedder="langchain:small")
    assert np.float32 is LangChainEmbedder(Answers([[1.0]])).embed(["x"]).dtype.type
