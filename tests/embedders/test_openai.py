"""OpenAI embeddings over a real socket, with the official SDK, in both modes."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from memkit.embedders.base import Embedder
from memkit.embedders.openai import OpenAIEmbedder
from memkit.errors import (
    AuthenticationError,
    BackendResponseError,
    BackendUnavailableError,
    ConfigurationError,
)
from memkit.testing.openai_server import Fault, OpenAIServer


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer(dim=32) as running:
        yield running


@asynccontextmanager
async def made(server: OpenAIServer, **settings: Any) -> AsyncGenerator[OpenAIEmbedder]:
    embedder = OpenAIEmbedder(
        OpenAIEmbedder.Settings(base_url=server.base_url, api_key="sk-secret", **settings)
    )
    try:
        yield embedder
    finally:
        await embedder.aclose()
        embedder.close()


async def embed(embedder: OpenAIEmbedder, mode: str, texts: list[str]) -> npt.NDArray[np.float32]:
    return embedder.embed(texts) if mode == "sync" else await embedder.aembed(texts, purpose="query")


async def test_rows_are_unit_float32_in_order_and_one_request(server: OpenAIServer, mode: str) -> None:
    texts = ["the cat sleeps", "a dog barks", "the cat"]
    async with made(server) as embedder:
        rows = await embed(embedder, mode, texts)
    assert isinstance(embedder, Embedder)
    assert rows.shape == (3, 32) and rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    assert rows[0] @ rows[2] > rows[1] @ rows[2]
    assert server.embedded == [texts]


async def test_no_text_is_no_request(server: OpenAIServer, mode: str) -> None:
    async with made(server) as embedder:
        assert (await embed(embedder, mode, [])).shape[0] == 0
    assert server.count() == 0


async def test_blank_texts_get_a_row_and_line_breaks_are_kept(server: OpenAIServer, mode: str) -> None:
    async with made(server) as embedder:
        rows = await embed(embedder, mode, ["", "  \n", "one\ntwo"])
    assert rows.shape == (3, 32) and np.isfinite(rows).all()
    assert server.embedded[0][2] == "one\ntwo" and all(text.strip() for text in server.embedded[0])


async def test_more_than_2048_texts_are_several_requests(server: OpenAIServer, mode: str) -> None:
    texts = [f"word{n}" for n in range(2050)]
    async with made(server) as embedder:
        rows = await embed(embedder, mode, texts)
    assert rows.shape == (2050, 32)
    assert [len(batch) for batch in server.embedded] == [2048, 2]


async def test_requests_are_split_by_tokens_too(server: OpenAIServer, mode: str) -> None:
    texts = ["lorem ipsum " * 1_200] * 60
    async with made(server) as embedder:
        await embed(embedder, mode, texts)
    assert len(server.embedded) > 1 and sum(map(len, server.embedded)) == 60


async def test_a_text_of_a_megabyte_is_embedded_in_pieces(server: OpenAIServer, mode: str) -> None:
    async with made(server) as embedder:
        rows = await embed(embedder, mode, ["short", "alpha beta gamma. " * 60_000, "漢字" * 20_000])
    assert rows.shape == (3, 32)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    assert max(len(text.encode()) for batch in server.embedded for text in batch) <= 16_000


async def test_the_identity_names_model_and_dimension_asked_for(server: OpenAIServer) -> None:
    async with made(server, embedding_dims=16, model="text-embedding-3-large") as embedder:
        assert embedder.identity == "openai/text-embedding-3-large/16" and embedder.dim == 16
        assert embedder.embed(["x"]).shape == (1, 16)
    async with made(server) as embedder:
        assert embedder.identity == "openai/text-embedding-3-small"


async def test_an_unknown_dimension_is_asked_for_once(server: OpenAIServer) -> None:
    async with made(server, model="nomic") as embedder:
        assert embedder.dim == embedder.dim == 32
        embedder.embed(["x"])
    assert server.count() == 2


async def test_a_dimension_learnt_from_an_answer_needs_no_probe(server: OpenAIServer) -> None:
    async with made(server, model="nomic") as embedder:
        embedder.embed(["x"])
        assert embedder.dim == 32
    assert server.count() == 1


def test_openais_own_dimensions_are_known_without_a_request() -> None:
    assert OpenAIEmbedder(OpenAIEmbedder.Settings(api_key="k")).dim == 1536


def _body(rows: list[Any]) -> str:
    data = [{"object": "embedding", "index": at, "embedding": row} for at, row in enumerate(rows)]
    return json.dumps(
        {"object": "list", "data": data, "model": "m", "usage": {"prompt_tokens": 1, "total_tokens": 1}}
    )


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (_body([[1.0, 0.0]]), "1 rows for 2 texts"),
        (_body([[1.0, 0.0], [1.0]]), "no numbers of one length"),
        (_body([[0.0, 0.0], [1.0, 0.0]]), "zeros"),
        (_body([[], []]), "one length"),
        ("{}", "unusable"),
        ('{"data": [1, 2]}', "unusable"),
        ("<html>", "unusable"),
    ],
)
async def test_an_unusable_answer_is_our_error(server: OpenAIServer, mode: str, body: str, says: str) -> None:
    server.fail(*[Fault(status=200, body=body)] * 3)
    async with made(server) as embedder:
        with pytest.raises(BackendResponseError, match=says):
            await embed(embedder, mode, ["a", "b"])


async def test_a_changed_dimension_is_our_error(server: OpenAIServer, mode: str) -> None:
    async with made(server) as embedder:
        await embed(embedder, mode, ["a"])
        server.dim = 8
        with pytest.raises(BackendResponseError, match="8 columns where 32"):
            await embed(embedder, mode, ["a"])


async def test_it_retries_and_translates_as_the_llm_does(server: OpenAIServer, mode: str) -> None:
    async with made(server) as embedder:
        server.fail(Fault(status=503, retry_after="0"), Fault(drop=True))
        assert (await embed(embedder, mode, ["a"])).shape == (1, 32)
        server.fail(*[Fault(status=500, retry_after="0")] * 3)
        with pytest.raises(BackendUnavailableError, match="3 tries"):
            await embed(embedder, mode, ["a"])
        server.fail(Fault(status=401))
        with pytest.raises(AuthenticationError, match="OPENAI_API_KEY"):
            await embed(embedder, mode, ["a"])


def test_no_key_and_replaced_keys_say_what_to_type() -> None:
    with pytest.raises(ConfigurationError, match="OPENAI_API_KEY"):
        OpenAIEmbedder()
    with pytest.raises(ConfigurationError, match="document or a query"):
        OpenAIEmbedder.Settings(memory_add_embedding_type="x")
    with pytest.raises(ConfigurationError, match="positive"):
        OpenAIEmbedder(OpenAIEmbedder.Settings(api_key="k", embedding_dims=0))
    assert "sk-x" not in repr(OpenAIEmbedder(OpenAIEmbedder.Settings(api_key="sk-x")))
