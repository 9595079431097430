"""LlamaIndex embeddings as memkit's: unit rows, a stable identity, our errors."""

# A class whose base wrote its constructor is taken to have pydantic's.
# pyright: reportCallIssue=false

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.embeddings import MockEmbedding

from memkit import AsyncMemory, Memory
from memkit.embedders.llama_index import LlamaIndexEmbedder
from memkit.errors import (
    BackendResponseError,
    BackendUnavailableError,
    ConfigurationError,
    EmbedderMismatchError,
)


class Answers(BaseEmbedding):
    """Answers with what it was given; notes what it was asked."""

    _row: Any = PrivateAttr()
    _asked: list[tuple[str, list[str], int]] = PrivateAttr(default_factory=list)

    def __init__(self, row: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._row = row

    def _answer(self, what: str, texts: list[str]) -> Any:
        self._asked.append((what, texts, threading.get_ident()))
        if isinstance(self._row, Exception):
            raise self._row
        return self._row

    def _get_text_embedding(self, text: str) -> Any:
        return self._answer("text", [text])

    def _get_text_embeddings(self, texts: list[str]) -> Any:
        return [self._answer("texts", texts) for _ in texts]

    def _get_query_embedding(self, query: str) -> Any:
        return self._answer("query", [query])

    async def _aget_query_embedding(self, query: str) -> Any:
        return self._answer("query", [query])


class Awaited(Answers):
    """One with async methods of its own."""

    async def _aget_text_embeddings(self, texts: list[str]) -> Any:
        return [self._answer("atexts", texts) for _ in texts]


async def embed(embedder: LlamaIndexEmbedder, mode: str, texts: list[str], **kwargs: Any) -> Any:
    return embedder.embed(texts, **kwargs) if mode == "sync" else await embedder.aembed(texts, **kwargs)


@pytest.mark.parametrize("kind", [Answers, Awaited])
async def test_rows_get_unit_length_and_queries_go_their_own_way(mode: str, kind: type[Answers]) -> None:
    model = kind([3.0, 4.0])
    embedder = LlamaIndexEmbedder(model)
    for purpose in ("document", "query"):
        rows = await embed(embedder, mode, ["x"], purpose=purpose)
        assert rows.tolist() == [[pytest.approx(0.6), pytest.approx(0.8)]]
    assert [what.removeprefix("a") for what, _, _ in model._asked] == ["texts", "query"]
    assert embedder.dim == 2


async def test_documents_go_in_the_batches_of_the_object(mode: str) -> None:
    model = Answers([1.0], embed_batch_size=2)
    await embed(LlamaIndexEmbedder(model), mode, ["a", "b", "c"])
    assert [texts for _, texts, _ in model._asked if texts][-1] == ["c"]


async def test_an_object_without_async_methods_does_not_block_the_loop() -> None:
    model, awaited = Answers([1.0]), Awaited([1.0])
    await LlamaIndexEmbedder(model).aembed(["x"])
    await LlamaIndexEmbedder(awaited).aembed(["x"])
    assert model._asked[0][2] != threading.get_ident()
    assert (awaited._asked[0][0], awaited._asked[0][2]) == ("atexts", threading.get_ident())


def test_the_identity_has_class_and_model_or_the_given_name() -> None:
    assert LlamaIndexEmbedder(Answers([1.0], model_name="small")).identity == "llama_index/Answers/small"
    assert LlamaIndexEmbedder(MockEmbedding(embed_dim=4)).identity == "llama_index/MockEmbedding"
    named = LlamaIndexEmbedder(LlamaIndexEmbedder.Settings(model=Answers([1.0]), name="mine"))
    assert named.identity == "llama_index/mine"


@pytest.mark.parametrize("row", [[], [0.0, 0.0], [float("nan"), 1.0], ["x"], None, 1.0])
async def test_unusable_rows_are_an_error(mode: str, row: Any) -> None:
    with pytest.raises(BackendResponseError, match="llama_index/Answers"):
        await embed(LlamaIndexEmbedder(Answers(row)), mode, ["x"])


@pytest.mark.parametrize("kind", [Answers, Awaited])
async def test_a_failure_is_one_of_ours(mode: str, kind: type[Answers]) -> None:
    with pytest.raises(BackendUnavailableError):
        await embed(LlamaIndexEmbedder(kind(ConnectionRefusedError("no"))), mode, ["x"])


def test_a_memory_takes_an_embedding_as_it_is_and_remembers_it(tmp_path: Path) -> None:
    with Memory(tmp_path, llm=None, embedder=MockEmbedding(embed_dim=8)) as memory:
        memory.add("Ada plays the oboe.", user_id="ada", infer=False)
        assert memory.search("Ada plays the oboe.", user_id="ada").results
    with Memory(tmp_path, llm=None, embedder=MockEmbedding(embed_dim=8)) as memory:
        assert memory.search("oboe", user_id="ada").results
    with Memory(tmp_path, llm=None, embedder="hash") as memory, pytest.raises(EmbedderMismatchError):
        memory.add("x", user_id="ada", infer=False)
    with Memory(tmp_path, llm=None) as memory:
        assert memory.get_all(user_id="ada").results
        with pytest.raises(ConfigurationError, match="Pass it again"):
            memory.add("x", user_id="ada", infer=False)


async def test_an_async_memory_takes_it_too() -> None:
    async with AsyncMemory(":memory:", llm=None, embedder=MockEmbedding(embed_dim=8)) as memory:
        await memory.add("Ada plays the oboe.", user_id="ada", infer=False)
        assert (await memory.search("Ada plays the oboe.", user_id="ada")).results


def test_a_name_is_not_enough() -> None:
    with pytest.raises(ConfigurationError, match="LlamaIndex embedding"):
        Memory(":memory:", embedder="llama_index:small")
