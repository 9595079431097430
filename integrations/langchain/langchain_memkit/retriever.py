"""`MemkitRetriever`: a user's memories as a LangChain retriever.

Annotations are evaluated: pydantic reads those of the fields, LangChain the signature of the private methods.
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever, LangSmithRetrieverParams
from langchain_core.runnables import RunnableConfig
from pydantic import ConfigDict, Field
from typing_extensions import override

from memkit import AsyncMemory, Memory, SearchResult
from memkit.errors import InvalidInputError, did_you_mean
from memkit.scope import SCOPE_FIELDS

from ._documents import as_documents
from .scope import CallScope, resolve_scope

log: Final = logging.getLogger("langchain_memkit")

_OPTIONS: Final = ("k", "filters", "threshold", "rerank", "as_of", "kinds")
# Of LangChain itself: the id of the trace (not memkit's run) and a switch of its callbacks.
_LANGCHAIN: Final = ("run_id", "verbose", "run_manager")


class MemkitRetriever(BaseRetriever):
    """Returns the memories of one user that answer a query best, as documents.

    Whose memories is said by the constructor or by the call, in this order and for each id by itself: the scope of a
    bound memory, the constructor, `runtime.context` of a LangGraph graph, `config["configurable"]`. What is pinned
    cannot be overridden by a call; no user at all is an error. Nothing in the query changes the scope.

    A document has the memory's `id`, its text as `page_content`, and in `metadata` its `score` (0 to 1, higher is
    better), `kind`, `created_at`, scope ids, `sources` and the metadata that was stored with it.

    `k`, `filters`, `threshold`, `rerank`, `as_of` and `kinds` may also be given to `invoke` and `ainvoke`.

    Raises:
        ScopeError: No `user_id` was pinned or passed, or an id is blank.
        FilterError: A filter names an unknown operator, or a scope id.
        InvalidInputError: The query is blank, or an option is unknown or out of range.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid", use_attribute_docstrings=True)

    memory: Memory | AsyncMemory = Field(exclude=True, repr=False)
    """Where to look; of either kind, sync and async calls both work with it."""
    user_id: Any = None
    """Whose memories; None leaves it to the call."""
    agent_id: Any = None
    """An id, or a list in which None means "stored without"; None leaves it to the call."""
    run_id: Any = None
    """Likewise. Not LangChain's run id, which is the id of a trace."""
    k: int = Field(default=5, ge=1)
    """At most so many documents."""
    filters: Mapping[str, Any] | None = None
    """memkit's filter language, over metadata and the fields of a memory."""
    threshold: float | None = Field(default=None, ge=0, le=1)
    """Leave out memories under this score."""
    rerank: bool | None = None
    """None or True uses the memory's reranker where it has one."""
    as_of: datetime | date | str | None = Field(default=None, union_mode="left_to_right")
    """What was true then, by what is known now."""
    kinds: Sequence[str] | str | None = Field(default=None, union_mode="left_to_right")
    """Only these kinds: `fact`, `preference`, `instruction`, `event`, `procedure`, `message`, `summary`."""

    @override
    def invoke(self, input: str, config: RunnableConfig | None = None, **kwargs: Any) -> list[Document]:
        """Return the memories that answer a query, best first.

        Args:
            input: The query.
            config: Says whose memories in `configurable`, unless that is pinned.
            **kwargs: `k`, `filters`, `threshold`, `rerank`, `as_of` or `kinds`, for this call.
        """
        _check(kwargs)
        return super().invoke(input, config, **kwargs, scope=self._scope(config))

    @override
    async def ainvoke(
        self, input: str, config: RunnableConfig | None = None, **kwargs: Any
    ) -> list[Document]:
        """Async version of `invoke`; the loop is never blocked."""
        _check(kwargs)
        return await super().ainvoke(input, config, **kwargs, scope=self._scope(config))

    @override
    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,
        scope: CallScope | None = None,
        **options: Any,
    ) -> list[Document]:
        return _documents(self.memory.to_sync().search(query, **self._arguments(scope, options)))

    @override
    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,
        scope: CallScope | None = None,
        **options: Any,
    ) -> list[Document]:
        return _documents(await self.memory.to_async().search(query, **self._arguments(scope, options)))

    @override
    def _get_ls_params(self, **kwargs: Any) -> LangSmithRetrieverParams:
        chosen = {part: why.partition(" ")[0] for part, why in self.memory.chosen.items()}
        provider, _, model = chosen.get("embedder", "").partition("/")
        params = LangSmithRetrieverParams(ls_retriever_name="memkit")
        if store := chosen.get("vector_store"):
            params["ls_vector_store_provider"] = store
        if provider:
            params |= LangSmithRetrieverParams(ls_embedding_provider=provider, ls_embedding_model=model)
        return params

    def _scope(self, config: RunnableConfig | None) -> CallScope:
        """Resolve whose memories here: LangChain hands the private methods no config.

        Whether somebody is named is checked inside the run, where a tracer sees the error.
        """
        pinned = {name: getattr(self, name) for name in SCOPE_FIELDS}
        return resolve_scope(pinned, self.memory.scope, config)

    def _arguments(self, scope: CallScope | None, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of `search`: the scope, and each option of the call, else of the constructor."""
        who = (self._scope(None) if scope is None else scope).checked()
        chosen = {name: options.get(name, getattr(self, name)) for name in _OPTIONS}
        return {**who.as_arguments(), "limit": chosen.pop("k"), **chosen}


def _documents(found: SearchResult) -> list[Document]:
    for warning in found.warnings:
        log.warning("memkit: %s", warning)
    return as_documents(found.results)


def _check(options: Mapping[str, Any]) -> None:
    """Refuse what a call may not say; LangChain would pass it on and nobody would notice."""
    for name in options:
        if name in _OPTIONS or name in _LANGCHAIN:
            continue
        if name in (*SCOPE_FIELDS, "scope"):
            raise InvalidInputError(
                f"`{name}` is not an argument of `invoke`. Pin it in the constructor, or pass it in the config: "
                f'{{"configurable": {{"user_id": "alice"}}}}.',
                field=name,
            )
        known = ", ".join(_OPTIONS)
        raise InvalidInputError(
            f"Unknown argument {name!r} of `invoke`.{did_you_mean(name, _OPTIONS)} Known: {known}.",
            field=name,
        )
