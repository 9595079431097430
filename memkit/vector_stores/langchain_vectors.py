"""The `Embeddings` that hands a LangChain store the vectors that memkit already has."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from copy import copy
from typing import Any, cast

from langchain_core.embeddings import Embeddings
from typing_extensions import override

from memkit.errors import ConfigurationError


class PreparedEmbeddings(Embeddings):
    """Answers with vectors that were laid out for a text before it was asked, and embeds nothing itself."""

    def __init__(self) -> None:
        self._vectors: dict[str, list[float]] = {}

    @contextmanager
    def laid_out(self, vectors: Mapping[str, list[float]]) -> Generator[None]:
        """Have the vector of each text for as long as the block runs."""
        self._vectors.update(vectors)
        try:
            yield
        finally:
            for text in vectors:
                self._vectors.pop(text, None)

    @override
    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return the vectors that were laid out, in order."""
        return [self.embed_query(text) for text in texts]

    @override
    def embed_query(self, text: str) -> list[float]:
        """Return the vector that was laid out for a text.

        Raises:
            ConfigurationError: There is none: somebody else writes to the store, or it changes what it is given.
        """
        if text not in self._vectors:
            raise ConfigurationError(
                "memkit writes this store's vectors and has none for the text it was asked for. Search with "
                "`memory.search`, and add your own documents to a store of their own."
            )
        return self._vectors[text]


def prepared(client: Any) -> tuple[Any, PreparedEmbeddings]:
    """Return a store on the same data that takes its vectors from us, and what it takes them from.

    A store that was made with `PreparedEmbeddings` is used as it is. Of any other a shallow copy is, in which they
    stand wherever its own embeddings stood, so that the caller's object stays what it was.

    Raises:
        ConfigurationError: The store does not hold its embeddings as an attribute.
    """
    theirs = client.embeddings
    if isinstance(theirs, PreparedEmbeddings):
        return client, theirs
    ours = PreparedEmbeddings()
    if theirs is not None:
        client = copy(client)
        for name, value in list(cast("dict[str, object]", vars(client)).items()):
            if value is theirs:
                setattr(client, name, ours)
    if client.embeddings is not ours:
        raise ConfigurationError(
            f"{type(client).__name__} would embed every text a second time. Make it with `PreparedEmbeddings()` of "
            "memkit.vector_stores.langchain_vectors as its embeddings: those hand it the vectors of the memory's own "
            "embedder."
        )
    return client, ours
