"""The public suites over LlamaIndex objects: an LLM that talks to a real server, an embedding, vector stores."""

from __future__ import annotations

import hashlib
import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.llms import CompletionResponse, CustomLLM, LLMMetadata
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.vector_stores import SimpleVectorStore
from llama_index.core.vector_stores.types import (
    BasePydanticVectorStore,
    VectorStoreQuery,
    VectorStoreQueryResult,
)

from memkit.embedders.base import Embedder
from memkit.embedders.llama_index import LlamaIndexEmbedder
from memkit.errors import ConfigurationError
from memkit.llms.base import LLM
from memkit.llms.llama_index import LlamaIndexLLM
from memkit.rerankers.base import Reranker
from memkit.rerankers.llama_index import LlamaIndexReranker
from memkit.testing.embedder import EmbedderSuite
from memkit.testing.llm import LLMSuite
from memkit.testing.reranker import RerankerSuite
from memkit.testing.vector_store import VectorStoreSuite
from memkit.vector_stores.base import VectorStore
from memkit.vector_stores.llama_index import LlamaIndexStore


class StatusError(Exception):
    """A failure as the SDKs of vendors raise it."""

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")
        self.status_code = status


class OverHttp(CustomLLM):
    """An LLM of somebody: plain requests, three tries, no tools."""

    url: str

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(model_name="some-model")

    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        for left in (2, 1, 0):
            try:
                answer = self.posted(prompt)
                return CompletionResponse(text=answer["text"], raw={"usage": answer["usage"]})
            except (StatusError, OSError) as error:
                if left == 0 or getattr(error, "status_code", 503) == 401:
                    raise
        raise AssertionError

    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        raise NotImplementedError

    def posted(self, prompt: str) -> Any:
        body = json.dumps({"prompt": prompt}).encode()
        request = urllib.request.Request(self.url, body, {"content-type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=5) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            error.close()
            raise StatusError(error.code) from None


class TestLlamaIndexLLM(LLMSuite):
    def make_llm(self, base_url: str) -> LLM:
        return LlamaIndexLLM(OverHttp(url=base_url))

    def answer(self, text: str, input_tokens: int, output_tokens: int) -> object:
        return {"text": text, "usage": {"prompt_tokens": input_tokens, "completion_tokens": output_tokens}}


class Hashed(BaseEmbedding):
    """A direction for each text, the same for a query."""

    model_name: str = "hashed"

    def _get_text_embedding(self, text: str) -> list[float]:
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
        return np.random.default_rng(seed).standard_normal(32).tolist()

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)


class Awaited(Hashed):
    """One with async methods of its own."""

    async def _aget_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embedding(text)


class TestLlamaIndexEmbedder(EmbedderSuite):
    def make_embedder(self) -> Embedder:
        return LlamaIndexEmbedder(Hashed())


class TestLlamaIndexEmbedderAwaited(EmbedderSuite):
    def make_embedder(self) -> Embedder:
        return LlamaIndexEmbedder(Awaited())


class Overlap(BaseNodePostprocessor):
    """Scores by shared words."""

    def _postprocess_nodes(self, nodes: Any, query_bundle: Any = None) -> Any:
        words = set(query_bundle.query_str.lower().split())
        for node in nodes:
            node.score = float(len(words & set(node.get_content().lower().split())))
        return nodes


class Fails(BaseNodePostprocessor):
    """Cannot reach its service."""

    def _postprocess_nodes(self, nodes: Any, query_bundle: Any = None) -> Any:
        raise ConnectionRefusedError("no")


class TestLlamaIndexReranker(RerankerSuite):
    def make_reranker(self) -> Reranker:
        return LlamaIndexReranker(Overlap())

    def make_down_reranker(self) -> Reranker:
        return LlamaIndexReranker(Fails())


class WithTexts(SimpleVectorStore):
    """LlamaIndex's own store, which also keeps the nodes."""

    stores_text: bool = True
    _nodes: dict[str, Any] = PrivateAttr(default_factory=dict)

    def add(self, nodes: Any, **kwargs: Any) -> Any:
        self._nodes |= {node.node_id: node for node in nodes}
        return super().add(nodes, **kwargs)

    def get_nodes(self, node_ids: Any = None, filters: Any = None) -> Any:
        return [self._nodes[key] for key in node_ids if key in self._nodes]

    def delete_nodes(self, node_ids: Any = None, filters: Any = None, **kwargs: Any) -> None:
        super().delete_nodes(node_ids, filters, **kwargs)
        for key in node_ids:
            self._nodes.pop(key, None)

    def query(self, query: Any, **kwargs: Any) -> VectorStoreQueryResult:
        found = super().query(query, **kwargs)
        nodes = [self._nodes[key] for key in found.ids or ()]
        return VectorStoreQueryResult(nodes=nodes, similarities=found.similarities, ids=found.ids)


class Plain(BasePydanticVectorStore):
    """The least a store can do: no filters, deletes by document alone, and gives distances."""

    stores_text: bool = True
    _nodes: dict[str, Any] = PrivateAttr(default_factory=dict)

    @property
    def client(self) -> None:
        return None

    def add(self, nodes: Any, **kwargs: Any) -> list[str]:
        self._nodes |= {node.node_id: node for node in nodes}
        return [node.node_id for node in nodes]

    def get_nodes(self, node_ids: Any = None, filters: Any = None) -> Any:
        return [self._nodes[key] for key in node_ids if key in self._nodes]

    def delete(self, ref_doc_id: str, **kwargs: Any) -> None:
        self._nodes = {key: node for key, node in self._nodes.items() if node.ref_doc_id != ref_doc_id}

    def query(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        nodes = list(self._nodes.values())
        apart = [
            float(np.linalg.norm(np.array(node.embedding) - np.array(query.query_embedding)))
            for node in nodes
        ]
        best = np.argsort(apart)[: query.similarity_top_k]
        return VectorStoreQueryResult(
            nodes=[nodes[at] for at in best], similarities=[apart[at] for at in best]
        )


class Unreachable(WithTexts):
    """A store whose server is down."""

    def get_nodes(self, node_ids: Any = None, filters: Any = None) -> Any:
        raise ConnectionRefusedError("connection refused")


class TestLlamaIndexStore(VectorStoreSuite):
    capacity = 1500
    options: ClassVar[dict[str, Any]] = {}

    def client(self) -> Any:
        return WithTexts()

    def make_store(self, tmp_path: Path) -> VectorStore:
        self.kept = getattr(self, "kept", None) or self.client()
        return LlamaIndexStore(LlamaIndexStore.Settings(client=self.kept, **self.options))

    def make_down_store(self, tmp_path: Path) -> VectorStore:
        return LlamaIndexStore(LlamaIndexStore.Settings(client=Unreachable()))


class TestLlamaIndexStoreWithoutAFilter(TestLlamaIndexStore):
    options: ClassVar[dict[str, Any]] = {"filter": None}


class TestLlamaIndexStoreThatDoesTheLeast(TestLlamaIndexStore):
    capacity = 1050
    options: ClassVar[dict[str, Any]] = {"score": "distance"}

    def client(self) -> Any:
        return Plain()


def test_a_store_without_texts_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="SimpleVectorStore keeps no texts"):
        LlamaIndexStore.Settings(client=SimpleVectorStore())
