"""LangChain's cross encoders and document compressors as memkit's reranker. Needs the extra `langchain`."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

from pydantic import Field

from memkit.errors import BackendResponseError, ConfigurationError
from memkit.llms.langchain import is_one_of, name_of, translated
from memkit.settings import ProviderSettings

if TYPE_CHECKING:
    from langchain_core.cross_encoders import BaseCrossEncoder
    from langchain_core.documents import BaseDocumentCompressor, Document

_PLACE: Final = "memkit_place"


class LangChainReranker:
    """A LangChain `BaseCrossEncoder` or `BaseDocumentCompressor`, with scores in 0 to 1.

    A compressor's score is `metadata["relevance_score"]`; one that gives none keeps its order, and the scores then
    fall evenly from 1. What it leaves out is left out.

    Args:
        model: The LangChain object, or the settings that hold it.
    """

    class Settings(ProviderSettings):
        """Settings of a LangChain reranker."""

        provider_name: ClassVar[str | None] = "langchain"

        model: Any = Field(default=None, repr=False)
        """The LangChain object; a name alone says too little."""
        name: str | None = None
        """What it is called in messages; default its class or model."""
        scores: Literal["auto", "probability", "logit"] = "auto"
        """What its scores are. `auto` takes those of an answer as logits where one of them is outside of 0 to 1."""

        def __init__(self, **data: Any) -> None:
            super().__init__(**data)
            if not LangChainReranker.adapts(self.model):
                raise ConfigurationError(
                    "The reranker 'langchain' needs a LangChain cross encoder or document compressor as `model`, not "
                    f"{type(self.model).__name__}."
                )

    def __init__(self, model: Settings | BaseCrossEncoder | BaseDocumentCompressor | None = None) -> None:
        self.settings = (
            model
            if isinstance(model, LangChainReranker.Settings)
            else LangChainReranker.Settings(model=model)
        )
        self._model: Any = self.settings.model
        self._compresses = _is_compressor(self._model)
        self.name = self.settings.name or f"langchain/{name_of(self._model)}"

    @staticmethod
    def adapts(given: object) -> bool:
        """Return whether an object is a LangChain cross encoder or compressor, importing nothing."""
        return _is_compressor(given) or is_one_of(given, "langchain_core.cross_encoders", "BaseCrossEncoder")

    def __repr__(self) -> str:
        """Return the name alone: the object may hold its key."""
        return f"<LangChainReranker {self.name}>"

    def rerank(self, query: str, texts: Sequence[str], limit: int) -> list[tuple[int, float]]:
        """Return at most `limit` pairs of (index into `texts`, score in [0, 1]), best first.

        Raises:
            BackendError: The object failed, in our words.
        """
        if not texts:
            return []
        try:
            if self._compresses:
                found = self._model.compress_documents(_documents(texts), query, callbacks=[])
            else:
                found = self._model.score([(query, text) for text in texts])
        except Exception as error:
            raise translated(error, self.name) from error
        return self._pairs(found, texts)[:limit]

    async def arerank(self, query: str, texts: Sequence[str], limit: int) -> list[tuple[int, float]]:
        """Async version of `rerank`; a cross encoder, which has none, works in a thread."""
        if not self._compresses or not texts:
            return await asyncio.to_thread(self.rerank, query, texts, limit)
        try:
            found = await self._model.acompress_documents(_documents(texts), query, callbacks=[])
        except Exception as error:
            raise translated(error, self.name) from error
        return self._pairs(found, texts)[:limit]

    def _pairs(self, found: Any, texts: Sequence[str]) -> list[tuple[int, float]]:
        if self._compresses:
            places = [self._place(document, texts) for document in found]
            given = [document.metadata.get("relevance_score") for document in found]
            if any(score is None for score in given):
                return [(place, 1 - rank / len(texts)) for rank, place in enumerate(places)]
        else:
            places, given = list(range(len(texts))), list(found)
        if len(given) != len(places):
            raise BackendResponseError(
                f"{self.name} gave {len(given)} scores for {len(places)} texts.", backend=self.name
            )
        pairs = zip(places, self._scaled([float(score) for score in given]), strict=True)
        return sorted(pairs, key=lambda pair: -pair[1])

    def _scaled(self, scores: list[float]) -> list[float]:
        if not all(math.isfinite(score) for score in scores):
            raise BackendResponseError(f"{self.name} gave a score that is not finite.", backend=self.name)
        kind = self.settings.scores
        if kind == "logit" or (kind == "auto" and not all(0 <= score <= 1 for score in scores)):
            return [0.5 * (1 + math.tanh(score / 2)) for score in scores]  # the sigmoid, without overflow
        return [min(1.0, max(0.0, score)) for score in scores]

    def _place(self, document: Document, texts: Sequence[str]) -> int:
        """Return which text a document was; a compressor may have rewritten it, or dropped what stood beside it."""
        place: object = document.metadata.get(_PLACE)
        if isinstance(place, int) and 0 <= place < len(texts):
            return place
        if document.page_content in texts:
            return list(texts).index(document.page_content)
        raise BackendResponseError(
            f"{self.name} returned a document that it was not given.", backend=self.name
        )


def _is_compressor(given: object) -> bool:
    return is_one_of(given, "langchain_core.documents", "BaseDocumentCompressor")


def _documents(texts: Sequence[str]) -> list[Document]:
    from langchain_core.documents import Document

    return [Document(page_content=text, metadata={_PLACE: place}) for place, text in enumerate(texts)]
