"""LlamaIndex's node postprocessors as memkit's reranker."""

from __future__ import annotations

from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.llms.mock import MockFunctionCallingLLM
from llama_index.core.postprocessor import LLMRerank, LongContextReorder
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import NodeWithScore, TextNode

from memkit import AsyncMemory, Memory
from memkit.errors import BackendResponseError, BackendUnavailableError, ConfigurationError
from memkit.rerankers.llama_index import LlamaIndexReranker

TEXTS = ["coffee", "green tea", "tea"]


class Keeps(BaseNodePostprocessor):
    """Returns the nodes at some places, with or without scores, or made anew."""

    places: list[int]
    scores: list[float] | None = None
    anew: str | None = None
    error: Any = None

    def _postprocess_nodes(self, nodes: Any, query_bundle: Any = None) -> Any:
        if self.error:
            raise self.error
        assert query_bundle.query_str == "green tea"
        assert [node.score for node in nodes] == [None] * len(nodes)
        found: list[NodeWithScore] = []
        for rank, place in enumerate(self.places):
            node = nodes[place].node if self.anew is None else TextNode(text=nodes[place].text + self.anew)
            found.append(NodeWithScore(node=node, score=self.scores[rank] if self.scores else None))
        return found


async def pairs(model: Any, mode: str, limit: int = 3, **settings: Any) -> list[tuple[int, float]]:
    reranker = LlamaIndexReranker(LlamaIndexReranker.Settings(model=model, **settings))
    if mode == "sync":
        return reranker.rerank("green tea", TEXTS, limit)
    return await reranker.arerank("green tea", TEXTS, limit)


async def test_probabilities_stay_as_they_are_and_put_the_best_first(mode: str) -> None:
    model = Keeps(places=[0, 1, 2], scores=[0.1, 0.9, 0.5])
    assert await pairs(model, mode) == [(1, 0.9), (2, 0.5), (0, 0.1)]
    assert await pairs(model, mode, 1) == [(1, 0.9)]


async def test_logits_become_probabilities(mode: str) -> None:
    model = Keeps(places=[0, 1, 2], scores=[-2000.0, 2000.0, 0.0])
    assert await pairs(model, mode) == [(1, 1.0), (2, 0.5), (0, 0.0)]
    same = Keeps(places=[0, 1, 2], scores=[0.0, 0.0, 0.0])
    assert {score for _, score in await pairs(same, mode, scores="logit")} == {0.5}


async def test_without_scores_the_order_stands_and_what_is_left_out_is_left_out(mode: str) -> None:
    found = await pairs(Keeps(places=[1, 2]), mode)
    assert [place for place, _ in found] == [1, 2]
    assert [score for _, score in found] == sorted((score for _, score in found), reverse=True)
    assert all(0 < score <= 1 for _, score in found)


async def test_a_node_is_known_by_its_id_or_its_text(mode: str) -> None:
    assert [place for place, _ in await pairs(Keeps(places=[1, 0], anew=""), mode)] == [1, 0]
    with pytest.raises(BackendResponseError, match="not given"):
        await pairs(Keeps(places=[1], anew="!"), mode)


async def test_unusable_scores_and_failures_are_ours(mode: str) -> None:
    with pytest.raises(BackendResponseError):
        await pairs(Keeps(places=[0, 1, 2], scores=[0.1, 0.2, float("nan")]), mode)
    with pytest.raises(BackendUnavailableError):
        await pairs(Keeps(places=[], error=ConnectionRefusedError("no")), mode)


async def test_the_stock_rerankers_work(mode: str) -> None:
    answer = ChatMessage(role="assistant", content="Doc: 2, Relevance: 9\nDoc: 3, Relevance: 4")
    llm = MockFunctionCallingLLM(response_generator=lambda messages, **kwargs: answer, is_chat_model=True)
    assert [place for place, _ in await pairs(LLMRerank(llm=llm, top_n=2), mode)] == [1, 2]
    assert sorted(place for place, _ in await pairs(LongContextReorder(), mode)) == [0, 1, 2]


class Oboe(BaseNodePostprocessor):
    """Puts what it looks for first."""

    def _postprocess_nodes(self, nodes: Any, query_bundle: Any = None) -> Any:
        for node in nodes:
            node.score = float("oboe" in node.get_content())
        return nodes


async def test_a_memory_takes_one_as_it_is() -> None:
    texts = ["Ada plays chess and plays well.", "Ada once touched an oboe."]
    with Memory(":memory:", llm=None, embedder="hash", reranker=Oboe()) as memory:
        memory.add_many(texts, user_id="ada")
        assert "oboe" in memory.search("What does Ada play?", user_id="ada").results[0].memory
        assert memory.chosen["reranker"].startswith("llama_index")
    async with AsyncMemory(":memory:", llm=None, embedder="hash", reranker=Oboe()) as awaited:
        await awaited.add_many(texts, user_id="ada")
        found = await awaited.search("What does Ada play?", user_id="ada")
        assert "oboe" in found.results[0].memory


def test_something_else_is_no_reranker() -> None:
    with pytest.raises(ConfigurationError, match="node postprocessor"):
        LlamaIndexReranker.Settings(model=object())
