"""LangChain's cross encoders and compressors as memkit's reranker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from langchain_core.cross_encoders import BaseCrossEncoder
from langchain_core.documents import BaseDocumentCompressor, Document

from memkit import Memory
from memkit.errors import BackendResponseError, BackendUnavailableError, ConfigurationError
from memkit.rerankers.langchain import LangChainReranker

TEXTS = ["coffee", "green tea", "tea"]


class Scores(BaseCrossEncoder):
    def __init__(self, scores: Any) -> None:
        self.scores = scores

    def score(self, text_pairs: list[tuple[str, str]]) -> list[float]:
        if isinstance(self.scores, Exception):
            raise self.scores
        return self.scores


class Keeps(BaseDocumentCompressor):
    """Returns the documents at some places, with or without scores, their text or metadata changed or not."""

    places: list[int]
    scores: list[float] | None = None
    rewrites: bool = False
    forgets: bool = False

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Any = None
    ) -> Sequence[Document]:
        assert callbacks == []
        found: list[Document] = []
        for rank, place in enumerate(self.places):
            metadata = {} if self.forgets else dict(documents[place].metadata)
            if self.scores is not None:
                metadata["relevance_score"] = self.scores[rank]
            text = "rewritten" if self.rewrites else documents[place].page_content
            found.append(Document(page_content=text, metadata=metadata))
        return found


async def pairs(reranker: LangChainReranker, mode: str, limit: int = 3) -> list[tuple[int, float]]:
    if mode == "sync":
        return reranker.rerank("green tea", TEXTS, limit)
    return await reranker.arerank("green tea", TEXTS, limit)


async def test_probabilities_of_a_cross_encoder_stay_as_they_are(mode: str) -> None:
    assert await pairs(LangChainReranker(Scores([0.1, 0.9, 0.5])), mode) == [(1, 0.9), (2, 0.5), (0, 0.1)]


async def test_logits_become_probabilities(mode: str) -> None:
    found = await pairs(LangChainReranker(Scores([-2000.0, 2000.0, 0.0])), mode)
    assert found == [(1, 1.0), (2, 0.5), (0, 0.0)]
    settings = LangChainReranker.Settings(model=Scores([0.0, 0.0, 0.0]), scores="logit")
    assert {score for _, score in await pairs(LangChainReranker(settings), mode)} == {0.5}


async def test_a_compressor_gives_scores_in_metadata(mode: str) -> None:
    assert await pairs(LangChainReranker(Keeps(places=[2, 1], scores=[0.2, 0.8])), mode) == [
        (1, 0.8),
        (2, 0.2),
    ]


async def test_a_compressor_without_scores_keeps_its_order(mode: str) -> None:
    found = await pairs(LangChainReranker(Keeps(places=[1, 2])), mode)
    assert [place for place, _ in found] == [1, 2]
    assert [score for _, score in found] == sorted((score for _, score in found), reverse=True)
    assert all(0 < score <= 1 for _, score in found)


async def test_a_document_is_known_by_its_place_or_its_text(mode: str) -> None:
    for options in ({"rewrites": True}, {"forgets": True}):
        found = await pairs(LangChainReranker(Keeps(places=[1, 0], **options)), mode)
        assert [place for place, _ in found] == [1, 0]
    with pytest.raises(BackendResponseError):
        await pairs(LangChainReranker(Keeps(places=[1], rewrites=True, forgets=True)), mode)


@pytest.mark.parametrize("scores", [[0.1], [0.1, 0.2, float("nan")]])
async def test_unusable_scores_are_an_error(mode: str, scores: list[float]) -> None:
    with pytest.raises(BackendResponseError):
        await pairs(LangChainReranker(Scores(scores)), mode)


async def test_a_failure_is_one_of_ours(mode: str) -> None:
    with pytest.raises(BackendUnavailableError):
        await pairs(LangChainReranker(Scores(ConnectionRefusedError("no"))), mode)


def test_a_memory_takes_them_as_they_are() -> None:
    class Last(BaseCrossEncoder):
        def score(self, text_pairs: list[tuple[str, str]]) -> list[float]:
            return [float("oboe" in text) for _, text in text_pairs]

    class First(BaseDocumentCompressor):
        def compress_documents(self, documents: Any, query: str, callbacks: Any = None) -> Any:
            return [document for document in documents if "oboe" in document.page_content]

    for model in (Last(), First()):
        with Memory(":memory:", llm=None, embedder="hash", reranker=model) as memory:
            memory.add_many(["Ada plays chess and plays well.", "Ada once touched an oboe."], user_id="ada")
            assert "oboe" in memory.search("What does Ada play?", user_id="ada").results[0].memory
            assert memory.chosen["reranker"].startswith("langchain")


def test_something_else_is_no_reranker() -> None:
    with pytest.raises(ConfigurationError, match="cross encoder"):
        LangChainReranker.Settings(model=object())
