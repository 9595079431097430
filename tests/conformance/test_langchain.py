"""The public suites over LangChain objects: a chat model that talks to a real server, and embeddings."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any

from langchain_core.cross_encoders import BaseCrossEncoder
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, convert_to_openai_messages
from langchain_core.outputs import ChatGeneration, ChatResult

from memkit.embedders.base import Embedder
from memkit.embedders.langchain import LangChainEmbedder
from memkit.llms.base import LLM
from memkit.llms.langchain import LangChainLLM
from memkit.rerankers.base import Reranker
from memkit.rerankers.langchain import LangChainReranker
from memkit.testing.embedder import EmbedderSuite
from memkit.testing.llm import LLMSuite
from memkit.testing.reranker import RerankerSuite


class StatusError(Exception):
    """A failure as the SDKs of vendors raise it."""

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")
        self.status_code = status


class PassingError(StatusError):
    """One that may pass."""


class ChatOverHttp(BaseChatModel):
    """A chat model of somebody: plain requests, no structured output, no retries."""

    url: str
    model_name: str = "some-model"

    @property
    def _llm_type(self) -> str:
        return "over-http"

    def _generate(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        body = json.dumps({"messages": convert_to_openai_messages(messages)}).encode()
        request = urllib.request.Request(self.url, body, {"content-type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=5) as response:
                answer = json.load(response)
        except urllib.error.HTTPError as error:
            error.close()
            raise (StatusError if error.code == 401 else PassingError)(error.code) from None
        usage = {
            "input_tokens": answer["in"],
            "output_tokens": answer["out"],
            "total_tokens": answer["in"] + answer["out"],
        }
        message = AIMessage(content=answer["text"], usage_metadata=usage)
        return ChatResult(generations=[ChatGeneration(message=message)])


class TestLangChainLLM(LLMSuite):
    def make_llm(self, base_url: str) -> LLM:
        retried = ChatOverHttp(url=base_url).with_retry(
            retry_if_exception_type=(PassingError, OSError),
            stop_after_attempt=3,
            wait_exponential_jitter=False,
        )
        return LangChainLLM(retried)

    def answer(self, text: str, input_tokens: int, output_tokens: int) -> object:
        return {"text": text, "in": input_tokens, "out": output_tokens}


class TestLangChainEmbedder(EmbedderSuite):
    def make_embedder(self) -> Embedder:
        return LangChainEmbedder(DeterministicFakeEmbedding(size=32))


class Overlap(BaseCrossEncoder):
    """Scores by shared words."""

    def score(self, text_pairs: list[tuple[str, str]]) -> list[float]:
        return [float(len(set(a.lower().split()) & set(b.lower().split()))) for a, b in text_pairs]


class Fails(BaseCrossEncoder):
    """Cannot reach its service."""

    def score(self, text_pairs: list[tuple[str, str]]) -> list[float]:
        raise ConnectionRefusedError("no")


class Scored(BaseDocumentCompressor):
    """Scores by another's, in the documents' metadata."""

    by: Any = Overlap()

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Any = None
    ) -> Sequence[Document]:
        scores = self.by.score([(query, document.page_content) for document in documents])
        return [
            Document(
                page_content=document.page_content, metadata={**document.metadata, "relevance_score": score}
            )
            for document, score in zip(documents, scores, strict=True)
        ]


class TestLangChainCrossEncoder(RerankerSuite):
    def make_reranker(self) -> Reranker:
        return LangChainReranker(Overlap())

    def make_down_reranker(self) -> Reranker:
        return LangChainReranker(Fails())


class TestLangChainCompressor(RerankerSuite):
    def make_reranker(self) -> Reranker:
        return LangChainReranker(Scored())

    def make_down_reranker(self) -> Reranker:
        return LangChainReranker(Scored(by=Fails()))
