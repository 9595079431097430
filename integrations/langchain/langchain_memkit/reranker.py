"""`MemkitReranker`: a reranker of memkit's as a LangChain document compressor.

Annotations are evaluated: pydantic reads those of the fields.
"""

from collections.abc import Sequence
from typing import Any

from langchain_core.callbacks import Callbacks
from langchain_core.documents import BaseDocumentCompressor, Document
from pydantic import ConfigDict, Field
from typing_extensions import override

from memkit.rerankers.base import Reranker


class MemkitReranker(BaseDocumentCompressor):
    """Orders documents by how well they answer, with the score in `metadata["relevance_score"]`.

    For `ContextualCompressionRetriever`; the documents given are not changed.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid", use_attribute_docstrings=True)

    reranker: Reranker = Field(exclude=True, repr=False)
    """Any object with `name` and `rerank(query, texts, limit)`; its `arerank` is used where it has one."""
    top_n: int = Field(default=3, ge=1)
    """At most so many documents."""

    @override
    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks = None
    ) -> Sequence[Document]:
        """Return the best documents, best first."""
        texts = [document.page_content for document in documents]
        return _scored(documents, self.reranker.rerank(query, texts, self.top_n) if texts else [])

    @override
    async def acompress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks = None
    ) -> Sequence[Document]:
        """Async version of `compress_documents`."""
        own: Any = getattr(self.reranker, "arerank", None)
        if own is None:
            return await super().acompress_documents(documents, query, callbacks)
        texts = [document.page_content for document in documents]
        return _scored(documents, await own(query, texts, self.top_n) if texts else [])


def _scored(documents: Sequence[Document], pairs: Sequence[tuple[int, float]]) -> list[Document]:
    return [
        documents[place].model_copy(
            update={"metadata": {**documents[place].metadata, "relevance_score": score}}
        )
        for place, score in pairs
    ]
