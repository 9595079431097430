"""A reranker of memkit's as a LangChain compressor, and back again."""

from __future__ import annotations

from collections.abc import Sequence

from langchain_core.documents import Document

from langchain_memkit import MemkitReranker
from memkit.rerankers.langchain import LangChainReranker


class Words:
    """Scores by the share of the query's words."""

    name = "words"

    def rerank(self, query: str, texts: Sequence[str], limit: int) -> list[tuple[int, float]]:
        asked = set(query.split())
        scores = [(place, len(asked & set(text.split())) / len(asked)) for place, text in enumerate(texts)]
        return sorted(scores, key=lambda pair: -pair[1])[:limit]


class AsyncWords(Words):
    async def arerank(self, query: str, texts: Sequence[str], limit: int) -> list[tuple[int, float]]:
        return self.rerank(query, texts, limit)


DOCUMENTS = [
    Document(page_content=text, id=str(n), metadata={"n": n})
    for n, text in enumerate(["a", "green tea", "tea"])
]


async def test_documents_come_best_first_with_their_scores(mode: str) -> None:
    for reranker in (Words(), AsyncWords()):
        made = MemkitReranker(reranker=reranker, top_n=2)
        if mode == "sync":
            found = made.compress_documents(DOCUMENTS, "green tea")
        else:
            found = await made.acompress_documents(DOCUMENTS, "green tea")
        assert [(d.id, d.metadata) for d in found] == [
            ("1", {"n": 1, "relevance_score": 1.0}),
            ("2", {"n": 2, "relevance_score": 0.5}),
        ]
        assert DOCUMENTS[1].metadata == {"n": 1}
        assert made.compress_documents([], "green tea") == []


def test_there_and_back_gives_the_same_scores() -> None:
    back = LangChainReranker(MemkitReranker(reranker=Words(), top_n=3))
    texts = [document.page_content for document in DOCUMENTS]
    assert back.rerank("green tea", texts, 3) == Words().rerank("green tea", texts, 3)
