"""Any LangChain vector store as memkit's index. Needs the extra `langchain`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, TypeVar, cast
from uuid import uuid4

from pydantic import Field

from memkit.errors import ConfigurationError, MemkitError
from memkit.filters import Filter
from memkit.llms.adapting import is_one_of
from memkit.llms.langchain import translated
from memkit.vector_stores.base import StoreSettings
from memkit.vector_stores.flat import flatten, native_where
from memkit.vector_stores.keyed import OWNER, POINT, Entry, Flat, KeyedStore, Metadata, Nearest, widened

if TYPE_CHECKING:
    from langchain_core.documents import Document

    from memkit.vector_stores.base import Vector

T = TypeVar("T")
Translate = Callable[[Filter], Any]

_KNOWN: Final[Mapping[str, tuple[str, str]]] = {
    "InMemoryVectorStore": ("similarity", "callable"),
    "Chroma": ("distance", "dict"),
}


class LangChainStore(KeyedStore):
    """Any LangChain `VectorStore`; what its scores are and how it filters has to be said, and is never guessed.

    The vectors are those of the memory's embedder: nothing is embedded a second time, and the embeddings that the
    store was made with are not asked. A hit is scored exactly, by the vector kept with it; the store's own numbers are
    held against `score`, and a declaration that they contradict is an error. The collection shares the store with
    documents of others, which are neither found nor touched. Only the sync methods of the store are called, under
    `AsyncMemory` in worker threads, and one at a time. It needs `add_documents`, `delete`, `get_by_ids` and
    `similarity_search`.
    """

    name = "langchain"

    class Settings(StoreSettings):
        """Settings of a LangChain vector store."""

        provider_name: ClassVar[str | None] = "langchain"

        client: Any = Field(default=None, repr=False)
        """The LangChain object."""
        score: Literal["similarity", "distance"] | None = None
        """Required: what the store's search gives; a `similarity` rises with nearness, a `distance` falls."""
        filter: Literal["callable", "dict"] | Translate | None = None
        """Required: what the argument `filter` of its search takes; None, written out, says that it takes none.

        `callable` is a function of a document; `dict` is conditions on metadata such as `{"$and": [{"kind": {"$eq":
        "fact"}}]}`. A function of yours gets memkit's `Filter` and returns the argument, or None for no filter: it
        must pass every point that the filter passes, and may pass more, as the results are checked exactly. Where
        fewer points come back than were asked for, a search reads the whole collection: approximate searches lose some.
        """

        def __init__(self, **data: Any) -> None:
            super().__init__(**data)
            if not LangChainStore.adapts(self.client):
                raise ConfigurationError(
                    "The vector store 'langchain' needs a LangChain VectorStore as `client`, not "
                    f"{type(self.client).__name__}. {_example(None)}"
                )
            given = {*self.model_fields_set} - ({"score"} if self.score is None else set[str]())
            if missing := [f"`{key}`" for key in ("score", "filter") if key not in given]:
                raise ConfigurationError(
                    f"LangChain does not say what the scores of {type(self.client).__name__} are nor how it filters, "
                    f"so {' and '.join(missing)} must be given. {_example(self.client)}"
                )
            _check_methods(self.client)

    def __init__(self, settings: Settings | None = None) -> None:
        settings = settings or self.Settings()
        from memkit.vector_stores.langchain_vectors import prepared

        self._client, self._embeddings = prepared(settings.client)
        self.patience_s = settings.patience_s
        assert settings.score is not None, "settings without it are refused"
        super().__init__(settings.collection_name, settings.score, type(self._client).__name__)
        self._filter: Literal["callable", "dict"] | Translate | None = settings.filter
        self._scores = _overrides(self._client, "similarity_search_with_score")

    @staticmethod
    def adapts(given: object) -> bool:
        """Return whether an object is a LangChain vector store, importing nothing."""
        return is_one_of(given, "langchain_core.vectorstores", "VectorStore")

    def __repr__(self) -> str:
        """Return the class alone: the object may hold its key."""
        return f"<LangChainStore {self._title}>"

    # What the store can do.

    def _read(self, keys: Sequence[str]) -> dict[str, Metadata]:
        found = self._call(self._client.get_by_ids, list(keys))
        return {str(document.id): document.metadata for document in found}

    def _write(self, entries: Sequence[Entry]) -> None:
        """Write documents with their vectors, for which the store will ask by their texts: each text once at a time."""
        for batch in _by_text(entries):
            documents = [_document(entry) for entry in batch]
            with self._embeddings.laid_out({entry.text: entry.vector.tolist() for entry in batch}):
                self._call(self._client.add_documents, documents, ids=[entry.key for entry in batch])

    def _remove(self, keys: Sequence[str]) -> None:
        self._call(self._client.delete, list(keys))

    def _nearest(self, query: Vector, limit: int, filter: Filter | None) -> Nearest:
        native, exact = self._native(filter)
        if native is False:
            return Nearest(complete=True)
        asked = limit if exact else widened(limit)
        answers = self._asked(query, asked, {} if native is None else {"filter": native})
        found = [(str(document.id), document.metadata, number) for document, number in answers]
        return Nearest(found=found)

    def _asked(
        self, query: Vector, asked: int, options: Mapping[str, Any]
    ) -> list[tuple[Document, float | None]]:
        """Ask the store by a text that stands for the query's vector: the one way in that every store has."""
        text = f"memkit {uuid4()}"
        with self._embeddings.laid_out({text: query.tolist()}):
            if self._scores:
                return self._call(self._client.similarity_search_with_score, text, k=asked, **options)
            found = self._call(self._client.similarity_search, text, k=asked, **options)
            return [(document, None) for document in found]

    def _native(self, filter: Filter | None) -> tuple[Any, bool]:
        """Return the store's filter (None for none, False where nothing can pass), and whether it is exact."""
        style = self._filter
        if style is None:
            return None, False
        if style == "callable":
            return self._predicate(filter), True
        if style == "dict":
            native = native_where(filter)
            if native.where is False:
                return False, True
            parts = [{OWNER: {"$eq": self._collection}}, {POINT: {"$eq": "yes"}}]
            if isinstance(native.where, dict):
                parts.append(native.where)
            return {"$and": parts}, native.exact
        return (None if filter is None else style(filter)), False

    def _predicate(self, filter: Filter | None) -> Callable[[Document], bool]:
        passes = self._condition(filter)

        def accepts(document: Document) -> bool:
            return passes(document.metadata)

        return accepts

    def _flat(self, payload: str) -> Flat:
        return flatten(json.loads(payload)) if self._filter == "dict" else {}

    def _call(self, method: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        try:
            with self._lock:  # nothing says that a store may be called from several threads at once
                return method(*args, **kwargs)
        except MemkitError:
            raise
        except Exception as error:
            raise translated(error, self.name) from error


def _by_text(entries: Sequence[Entry]) -> Sequence[Sequence[Entry]]:
    """Return entries in batches in which no two have the same text."""
    batches: list[list[Entry]] = []
    seen: Counter[str] = Counter()
    for entry in entries:
        if seen[entry.text] == len(batches):
            batches.append([])
        batches[seen[entry.text]].append(entry)
        seen[entry.text] += 1
    return batches


def _document(entry: Entry) -> Document:
    from langchain_core.documents import Document

    return Document(id=entry.key, page_content=entry.text, metadata=dict(entry.metadata))


def _overrides(client: Any, method: str) -> bool:
    """Return whether a store has a method of its own; the base's raises or is built on others."""
    from langchain_core.vectorstores import VectorStore as Base

    return getattr(cast("object", type(client)), method) is not getattr(Base, method)


def _check_methods(client: Any) -> None:
    missing = [method for method in ("get_by_ids", "delete") if not _overrides(client, method)]
    if not any(_overrides(client, method) for method in ("add_documents", "add_texts")):
        missing.append("add_documents")
    if missing:
        raise ConfigurationError(
            f"{type(client).__name__} has no {', '.join(f'`{method}`' for method in missing)}, which memkit cannot do "
            "without. Use another store, or leave `vector_store` out: the ledger's own vectors are searched then."
        )


def _example(client: object) -> str:
    names = [kind.__name__ for kind in type(client).__mro__ if kind.__name__ in _KNOWN] or list(_KNOWN)
    lines = [
        f'Memory(vector_store={{"provider": "langchain", "config": {{"client": store, "score": "{_KNOWN[name][0]}", '
        f'"filter": "{_KNOWN[name][1]}"}}}}) for {name}'
        for name in names
    ]
    return f"Write {'; '.join(lines)}."
