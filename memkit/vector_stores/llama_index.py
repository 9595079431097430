"""Any LlamaIndex vector store as memkit's index. Needs the extra `llama-index`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, TypeGuard, TypeVar, cast

from pydantic import Field

from memkit.errors import BackendResponseError, ConfigurationError
from memkit.filters import TEXT_FIELDS, And, Compare, Filter
from memkit.llms.adapting import is_one_of, owner_of, translated_for
from memkit.vector_stores.base import StoreSettings
from memkit.vector_stores.keyed import OWNER, POINT, Entry, Flat, KeyedStore, Metadata, Nearest, widened

if TYPE_CHECKING:
    from llama_index.core.schema import BaseNode
    from llama_index.core.vector_stores.types import BasePydanticVectorStore, MetadataFilters

    from memkit.vector_stores.base import Vector

T = TypeVar("T")

_FIELDS: Final = ("user_id", "agent_id", "run_id", "kind", "role", "origin", "actor_id")
_MARKED: Final = ("user_id", "agent_id", "run_id", "valid_until", "expires_at")
"""Fields whose absence is written too, since `exists: False` on them is a part of every search."""
_LONGEST: Final = 512
"""Texts longer than this are left to the exact check."""


class LlamaIndexStore(KeyedStore):
    """Any LlamaIndex `BasePydanticVectorStore` that stores texts.

    The vectors are those of the memory's embedder. A hit is scored exactly, by the vector kept with it; the store's
    own numbers are held against `score`, and a declaration that they contradict is an error. The collection shares the
    store with nodes of others, which are neither found nor touched. Only the sync methods of the store are called, one
    at a time, as few of them are safe for threads; under `AsyncMemory` that is in worker threads. It needs `add`,
    `query`, `get_nodes`, and `delete_nodes` or `delete`.
    """

    name = "llama_index"

    class Settings(StoreSettings):
        """Settings of a LlamaIndex vector store."""

        provider_name: ClassVar[str | None] = "llama_index"

        client: Any = Field(default=None, repr=False)
        """The LlamaIndex object."""
        score: Literal["similarity", "distance"] = "similarity"
        """What the `similarities` of its answers are; some stores give distances, which fall with nearness."""
        filter: Literal["equality"] | None = "equality"
        """`equality` passes conditions of the form `key == text`, joined by AND, which nearly every store can run; None
        passes no filter. Either way the results are checked exactly. Where few points pass and the nearest that the
        store names are too few of them, a search reads the whole collection.
        """

        def __init__(self, **data: Any) -> None:
            super().__init__(**data)
            if not LlamaIndexStore.adapts(self.client):
                raise ConfigurationError(
                    "The vector store 'llama_index' needs a LlamaIndex vector store as `client`, not "
                    f"{type(self.client).__name__}. Example: Memory(vector_store=QdrantVectorStore(...))."
                )
            _check_store(self.client)

    def __init__(self, settings: Settings) -> None:
        self._client: BasePydanticVectorStore = settings.client
        self.patience_s = settings.patience_s
        super().__init__(settings.collection_name, settings.score, type(self._client).__name__)
        self._filters = settings.filter == "equality"
        self._lists = True
        self._deletes_nodes = _has_own(self._client, "delete_nodes")

    @staticmethod
    def adapts(given: object) -> bool:
        """Return whether an object is a LlamaIndex vector store, importing nothing."""
        return is_one_of(given, "llama_index.core.vector_stores.types", "BasePydanticVectorStore")

    def __repr__(self) -> str:
        """Return the class alone: the object may hold its key."""
        return f"<LlamaIndexStore {self._title}>"

    def _read(self, keys: Sequence[str]) -> dict[str, Metadata]:
        found = self._call(self._client.get_nodes, node_ids=list(keys))
        return {node.node_id: _metadata(node) for node in found}

    def _write(self, entries: Sequence[Entry]) -> None:
        self._call(self._client.add, [_node(entry) for entry in entries])

    def _remove(self, keys: Sequence[str]) -> None:
        if self._deletes_nodes:
            self._call(self._client.delete_nodes, node_ids=list(keys))
            return
        for key in keys:
            self._call(self._client.delete, key)

    def _nearest(self, query: Vector, limit: int, filter: Filter | None) -> Nearest:
        from llama_index.core.vector_stores.types import VectorStoreQuery

        given = VectorStoreQuery(
            query_embedding=query.tolist(),
            similarity_top_k=widened(limit),
            filters=self._native(filter) if self._filters else None,
        )
        answer = self._call(self._client.query, given)
        nodes = list(answer.nodes or ())
        numbers = list(answer.similarities or ())
        scores = numbers if len(numbers) == len(nodes) else [None] * len(nodes)
        found = [
            (node.node_id, _metadata(node), None if score is None else float(score))
            for node, score in zip(nodes, scores, strict=True)
        ]
        return Nearest(found=found)

    def _listed(self, filter: Filter | None) -> Sequence[Metadata] | None:
        if not (self._filters and self._lists):
            return None
        try:
            found = self._call(self._client.get_nodes, node_ids=None, filters=self._native(filter))
        except BackendResponseError:  # many stores get nodes by their ids alone
            self._lists = False
            return None
        return [_metadata(node) for node in found]

    def _native(self, filter: Filter | None) -> MetadataFilters:
        from llama_index.core.vector_stores.types import MetadataFilter, MetadataFilters

        wanted = {OWNER: self._collection, POINT: "yes"} | dict(_equalities(filter))
        return MetadataFilters(filters=[MetadataFilter(key=key, value=text) for key, text in wanted.items()])

    def _flat(self, payload: str) -> Flat:
        if not self._filters:
            return {}
        fields: dict[str, object] = json.loads(payload)
        texts = {field: value for field in _FIELDS if _is_plain(value := fields.get(field))}
        return texts | {_absent(field): "yes" for field in _MARKED if fields.get(field) is None}

    def _call(self, method: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        try:
            with self._lock:
                return method(*args, **kwargs)
        except Exception as error:
            raise translated_for("LlamaIndex", error, self.name) from error


def _equalities(filter: Filter | None) -> Iterator[tuple[str, str]]:
    """Yield the conditions that every point which passes the filter meets, as far as equality of texts can say them."""
    if isinstance(filter, And):
        for part in filter.parts:
            yield from _equalities(part)
    elif isinstance(filter, Compare):
        field, op, value = filter.field, filter.op, filter.value
        absent = (op == "exists" and not value) or (op == "eq" and value is None)
        if absent and field in _MARKED:
            yield _absent(field), "yes"
        elif op == "eq" and field in _FIELDS and field in TEXT_FIELDS and _is_plain(value):
            yield field, value


def _absent(field: str) -> str:
    return f"no_{field}"


def _is_plain(value: object) -> TypeGuard[str]:
    return (
        isinstance(value, str)
        and len(value) <= _LONGEST
        and not any("\ud800" <= c <= "\udfff" for c in value)
    )


def _node(entry: Entry) -> BaseNode:
    from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode

    # Each node is its own document, for stores that delete by document alone; no prompt shows the payload.
    return TextNode(
        id_=entry.key,
        text=entry.text,
        embedding=entry.vector.tolist(),
        metadata=dict(entry.metadata),
        excluded_llm_metadata_keys=list(entry.metadata),
        excluded_embed_metadata_keys=list(entry.metadata),
        relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=entry.key)},
    )


def _metadata(node: BaseNode) -> Metadata:
    return cast("Metadata", node.metadata)


def _has_own(client: object, method: str) -> bool:
    return owner_of(client, method).__name__ != "BasePydanticVectorStore"


def _check_store(client: Any) -> None:
    kind = type(client).__name__
    instead = "Use another store, or leave `vector_store` out: the ledger's own vectors are searched then."
    if not client.stores_text or not client.is_embedding_query:
        what = "keeps no texts (`stores_text=False`)" if not client.stores_text else "takes no vectors"
        raise ConfigurationError(f"{kind} {what}, so memkit could not get its points back. {instead}")
    if not _has_own(client, "get_nodes"):
        raise ConfigurationError(f"{kind} has no `get_nodes`, which memkit cannot do without. {instead}")
