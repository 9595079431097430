"""LlamaIndex's vector stores as memkit's index: what is refused, what is shared, what a memory does with one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.schema import MetadataMode, TextNode
from llama_index.core.vector_stores import SimpleVectorStore
from llama_index.core.vector_stores.types import (
    BasePydanticVectorStore,
    VectorStoreQuery,
    VectorStoreQueryResult,
)

from memkit import AsyncMemory, Memory
from memkit.errors import ConfigurationError
from memkit.filters import Compare, parse_filter
from memkit.vector_stores.base import StoreRecord
from memkit.vector_stores.llama_index import LlamaIndexStore


class Kept(BasePydanticVectorStore):
    """Keeps nodes in a dictionary; notes the filters it was given."""

    stores_text: bool = True
    scale: float = 1.0
    loses: int = 0
    _nodes: dict[str, Any] = PrivateAttr(default_factory=dict)
    _filters: list[Any] = PrivateAttr(default_factory=list)

    @property
    def client(self) -> None:
        return None

    def add(self, nodes: Any, **kwargs: Any) -> list[str]:
        self._nodes |= {node.node_id: node for node in nodes}
        return [node.node_id for node in nodes]

    def get_nodes(self, node_ids: Any = None, filters: Any = None) -> Any:
        assert node_ids or filters, "to some stores no ids are all"
        if filters:
            return self._passing(filters)
        return [self._nodes[key] for key in node_ids if key in self._nodes]

    def _passing(self, filters: Any) -> list[Any]:
        wanted = [(one.key, one.value) for one in filters.filters] if filters else []
        return [n for n in self._nodes.values() if all(n.metadata.get(key) == value for key, value in wanted)]

    def delete(self, ref_doc_id: str, **kwargs: Any) -> None:
        self._nodes = {key: node for key, node in self._nodes.items() if node.ref_doc_id != ref_doc_id}

    def query(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        self._filters.append(query.filters)
        nodes = self._passing(query.filters)[self.loses :]
        scores = [self.scale * float(np.dot(n.embedding, np.array(query.query_embedding))) for n in nodes]
        best = np.argsort([-self.scale * score for score in scores])[: query.similarity_top_k]
        return VectorStoreQueryResult(
            nodes=[nodes[at] for at in best], similarities=[scores[at] for at in best]
        )


def record(id: str, row: list[float], **fields: Any) -> StoreRecord:
    payload = {"memory": id, "metadata": {}, "user_id": "ada", **fields}
    return StoreRecord(id=id, vector=np.array(row, np.float32), payload=payload)


def opened(client: Any, **settings: Any) -> LlamaIndexStore:
    store = LlamaIndexStore(LlamaIndexStore.Settings(client=client, **settings))
    store.open(dim=2, embedder="e")
    return store


def test_what_cannot_give_its_points_back_is_refused() -> None:
    class Forgetful(BasePydanticVectorStore):
        """One that was never taught to give nodes back."""

        stores_text: bool = True

        @property
        def client(self) -> None:
            return None

        def add(self, nodes: Any, **kwargs: Any) -> list[str]:
            raise NotImplementedError

        def delete(self, ref_doc_id: str, **kwargs: Any) -> None:
            raise NotImplementedError

        def query(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
            raise NotImplementedError

    with pytest.raises(ConfigurationError, match="keeps no texts"):
        Memory(":memory:", vector_store=SimpleVectorStore())
    with pytest.raises(ConfigurationError, match="LlamaIndex vector store"):
        LlamaIndexStore.Settings(client=object())
    with pytest.raises(ConfigurationError, match="takes no vectors"):
        LlamaIndexStore.Settings(client=Kept(is_embedding_query=False))
    with pytest.raises(ConfigurationError, match="no `get_nodes`"):
        LlamaIndexStore.Settings(client=Forgetful())


def test_a_declaration_that_the_numbers_contradict_is_an_error() -> None:
    points = [record("a", [1, 0]), record("b", [-1, 0])]
    for scale, declared, needed in ((1.0, "distance", "similarity"), (-1.0, "similarity", "distance")):
        store = opened(Kept(scale=scale), score=declared)
        store.upsert(points)
        with pytest.raises(ConfigurationError, match=f'Write "score": "{needed}"'):
            store.search(np.array([1, 0], np.float32), 2)
        assert [hit.id for hit in _again(store, needed).search(np.array([1, 0], np.float32), 2)] == ["a", "b"]


def _again(store: LlamaIndexStore, score: str) -> LlamaIndexStore:
    return LlamaIndexStore(LlamaIndexStore.Settings(client=store._client, score=score))


def test_only_equality_of_texts_is_asked_of_the_store() -> None:
    client = Kept()
    store = opened(client)
    store.upsert([record("a", [1, 0]), record("b", [1, 0], user_id="bob"), record("c", [0, 1], kind="event")])
    filter = parse_filter({"kind": "event", "metadata.stars": {"gte": 3}, "NOT": [{"role": "user"}]})
    store.search(np.array([1, 0], np.float32), 1, filter)
    given = {one.key: (one.operator.value, one.value) for one in client._filters[-1].filters}
    assert given == {"memkit": ("==", "memkit"), "memkit_point": ("==", "yes"), "kind": ("==", "event")}


def test_points_that_an_approximate_search_loses_are_listed() -> None:
    store = opened(Kept(loses=1))
    store.upsert([record("a", [1, 0]), record("b", [0, 1]), record("c", [1, 0], user_id="bob")])
    ada = Compare("user_id", "eq", "ada")
    assert [hit.id for hit in store.search(np.array([1, 0], np.float32), 5, ada)] == ["a", "b"]


def test_points_that_an_approximate_search_loses_are_read_where_no_list_is_to_be_had() -> None:
    class Unlisted(Kept):
        """Gives nodes by their ids alone."""

        def get_nodes(self, node_ids: Any = None, filters: Any = None) -> Any:
            if filters:
                raise NotImplementedError
            return super().get_nodes(node_ids)

    store = opened(Unlisted(loses=3))
    store.upsert([record("a", [1, 0]), record("b", [1, 1]), record("c", [0, 1])])
    hits = store.search(np.array([1, 0], np.float32), 3, Compare("user_id", "eq", "ada"))
    assert [hit.id for hit in hits] == ["a", "b", "c"]


def test_nodes_of_others_are_neither_found_nor_touched() -> None:
    client = Kept()
    client.add([TextNode(id_="theirs", text="theirs", embedding=[1.0, 0.0])])
    one, two = opened(client), opened(client, collection_name="two")
    one.upsert([record("a", [1, 0])])
    two.upsert([record("b", [1, 0])])
    for store, id in ((one, "a"), (two, "b")):
        assert [hit.id for hit in store.search(np.array([1, 0], np.float32), 5)] == [id]
    one.drop()
    assert two.count() == 1
    two.drop()
    assert list(client._nodes) == ["theirs"]


def test_no_prompt_shows_the_payload_of_a_node() -> None:
    client = Kept()
    opened(client).upsert([record("a", [1, 0])])
    for node in client._nodes.values():
        for mode in (MetadataMode.LLM, MetadataMode.EMBED):
            assert node.get_content(mode) == node.text


class Letters(BaseEmbedding):
    """Counts letters."""

    def _get_text_embedding(self, text: str) -> list[float]:
        return [1.0 + text.lower().count(letter) for letter in "abcdefghijklmnopqrstuvwxyz"]

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)


async def test_a_memory_takes_a_store_as_it_is() -> None:
    client = Kept()
    with Memory(":memory:", llm=None, embedder=Letters(), vector_store=client) as memory:
        kept = memory.add("Ada plays the oboe.", user_id="ada", infer=False).results[0]
        memory.add("Bob plays the drums.", user_id="bob", infer=False)
        assert memory.chosen["vector_store"].startswith("llama_index")
        found = memory.search("Who plays the oboe?", user_id="ada")
        assert [item.memory for item in found.results] == ["Ada plays the oboe."]
        assert found.warnings == []
        memory.delete(kept.id)
        assert not any("oboe" in node.text for node in client._nodes.values())
    async with AsyncMemory(":memory:", llm=None, embedder="hash", vector_store=Kept()) as awaited:
        await awaited.add("Ada plays the oboe.", user_id="ada", infer=False)
        assert (await awaited.search("oboe", user_id="ada")).results
