"""`MemkitRetriever`: a user's memories as a LlamaIndex retriever."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.callbacks import CallbackManager
from llama_index.core.schema import NodeWithScore, QueryBundle
from typing_extensions import override

from memkit import AsyncMemory, Memory, SearchResult
from memkit.errors import ConfigurationError, ScopeError
from memkit.scope import IdLike, ReadIds, read_scope

from ._nodes import as_nodes
from ._options import check_recall

log: Final = logging.getLogger("llama_index.memory.memkit")

_MISSING: Final = (
    'No user_id: whose memories? Pin it, MemkitRetriever(memory=memory, user_id="alice"), or give a bound memory: '
    'MemkitRetriever(memory=memory.bind(user_id="alice")).'
)


class MemkitRetriever(BaseRetriever):
    """Returns the memories of one user that answer a query best, as nodes with scores.

    The scope is fixed here; nothing in a query changes it. A node has the memory's id, its text, and the rest of the
    memory as plain JSON in `metadata`, which neither a prompt nor an embedding is shown.

    Args:
        memory: Where to look; of either kind, bound or not. Sync and async calls both work with it.
        user_id: Whose memories; at least one id is needed unless the memory is bound.
        agent_id: An id, or a list in which None means "stored without".
        run_id: Likewise.
        k: At most so many nodes.
        filters: memkit's filter language, over metadata and the fields of a memory.
        threshold: Leave out memories under this score, in [0, 1].
        rerank: None or True uses the memory's reranker where it has one.
        kinds: Only these kinds, such as `fact` or `preference`.
        as_of: What was true then, by what is known now.

    Raises:
        ScopeError: No scope, a blank id, or one outside a bound memory's.
        ConfigurationError: `memory`, `k` or `threshold` cannot be used as given.
        FilterError: The filters are none of memkit's.
    """

    def __init__(
        self,
        memory: Memory | AsyncMemory,
        user_id: IdLike | None = None,
        agent_id: ReadIds = None,
        run_id: ReadIds = None,
        k: int = 5,
        filters: Mapping[str, Any] | None = None,
        threshold: float | None = None,
        rerank: bool | None = None,
        kinds: Sequence[str] | str | None = None,
        as_of: datetime | date | str | None = None,
        callback_manager: CallbackManager | None = None,
        verbose: bool = False,
    ) -> None:
        if not isinstance(memory, Memory | AsyncMemory):  # pyright: ignore[reportUnnecessaryIsInstance]  callers are not all typed
            raise ConfigurationError(f"`memory` is a Memory or an AsyncMemory, not {type(memory).__name__}.")
        check_recall(k=k, threshold=threshold, filters=filters)
        if memory.scope is None:
            if user_id is None and agent_id is None and run_id is None:
                raise ScopeError(_MISSING, field="user_id")
            read_scope(user_id, agent_id, run_id)
        super().__init__(  # pyright: ignore[reportUnknownMemberType]  LlamaIndex leaves a dict open
            callback_manager=callback_manager, verbose=verbose
        )
        self._memory = memory
        self._arguments: dict[str, Any] = {
            "user_id": user_id,
            "agent_id": agent_id,
            "run_id": run_id,
            "limit": k,
            "filters": filters,
            "threshold": threshold,
            "rerank": rerank,
            "kinds": kinds,
            "as_of": as_of,
        }

    def __repr__(self) -> str:
        """Return the class alone: ids of users are nobody's business."""
        return "<MemkitRetriever>"

    @override
    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return _nodes(self._memory.to_sync().search(query_bundle.query_str, **self._arguments))

    @override
    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return _nodes(await self._memory.to_async().search(query_bundle.query_str, **self._arguments))


def _nodes(found: SearchResult) -> list[NodeWithScore]:
    for warning in found.warnings:
        log.warning("memkit: %s", warning)
    return as_nodes(found.results)
