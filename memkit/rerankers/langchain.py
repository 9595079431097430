"""LangChain's cross encoders and document compressors as memkit's reranker. Needs the extra `langchain`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final

from pydantic import Field

from memkit.errors import BackendResponseError, ConfigurationError
from memkit.llms.langchain import by_itself, is_one_of, name_of, translated
from memkit.rerankers.base import PATIENCE_S
from memkit.rerankers.scores import Scores, scored_pairs
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
        scores: Scores = "auto"
        """What its scores are. `auto` takes those of an answer as logits where one of them is outside of 0 to 1."""
        timeout_s: float | None = Field(default=PATIENCE_S, gt=0)
        """Seconds that a search waits for it before it keeps its own order; None: as long as it takes."""

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
        self.timeout_s = self.settings.timeout_s
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
            with by_itself():
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
            with by_itself():
                found = await self._model.acompress_documents(_documents(texts), query, callbacks=[])
        except Exception as error:
            raise translated(error, self.name) from error
        return self._pairs(found, texts)[:limit]

    def _pairs(self, found: Any, texts: Sequence[str]) -> list[tuple[int, float]]:
        if self._compresses:
            places = [self._place(document, texts) for document in found]
            given = [document.metadata.get("relevance_score") for document in found]
        else:
            places, given = list(range(len(texts))), list(found)
        return scored_pairs(places, given, len(texts), self.settings.scores, self.name)

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
