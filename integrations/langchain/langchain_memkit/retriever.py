"""`MemkitRetriever`: a user's memories as a LangChain retriever.

Annotations are evaluated: pydantic reads those of the fields, LangChain the signature of the private methods.
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final, Literal, get_args

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever, LangSmithRetrieverParams
from langchain_core.runnables import RunnableConfig
from pydantic import ConfigDict, Field
from typing_extensions import override

from memkit import AsyncMemory, Memory, MemoryItem, Message, SearchResult
from memkit.errors import InvalidInputError, did_you_mean
from memkit.scope import SCOPE_FIELDS

from ._diversity import mmr
from ._documents import as_document
from .scope import CallScope, resolve_scope

log: Final = logging.getLogger("langchain_memkit")

SearchType = Literal["similarity", "mmr"]

_SEARCH: Final = ("filters", "threshold", "rerank", "as_of", "kinds")
_OPTIONS: Final = ("k", *_SEARCH, "search_type", "fetch_k", "lambda_mult", "sources")
# Of LangChain itself: the id of the trace (not memkit's run) and a switch of its callbacks.
_LANGCHAIN: Final = ("run_id", "verbose", "run_manager")


class MemkitRetriever(BaseRetriever):
    """Returns the memories of one user that answer a query best, as documents.

    Whose memories is said by the constructor or by the call, in this order and for each id by itself: the scope of a
    bound memory, the constructor, `runtime.context` of a LangGraph graph, `config["configurable"]`. What is pinned
    cannot be overridden by a call; no user at all is an error. Nothing in the query changes the scope. LangChain's
    retrievers around retrievers (`ContextualCompressionRetriever`, ...) drop the config when they are called by
    themselves: pin the user, or call them as a step of a chain.

    A document has the memory's `id`, its text as `page_content`, and in `metadata` its `score` (0 to 1, higher is
    better), `kind`, `created_at`, scope ids, `sources` and the metadata that was stored with it; with `sources=True`
    also `source_turns`, what was said there.

    Every option but the scope may also be given to `invoke` and `ainvoke`, for that call.

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
    search_type: SearchType = "similarity"
    """`mmr` takes those that answer best and repeat least what was taken before: maximal marginal relevance."""
    fetch_k: int = Field(default=20, ge=1)
    """`mmr` chooses among so many that answer best."""
    lambda_mult: float = Field(default=0.5, ge=0, le=1)
    """`mmr` weighs the score with this, and likeness to what was taken with the rest: 1 is `similarity`."""
    sources: bool = False
    """Attach the turns that a memory rests on, as `metadata["source_turns"]`: dicts of `id`, `role`, `text` and
    `created_at`, and `name` where there is one, in the order of `sources`; deleted turns are left out."""

    @override
    def invoke(self, input: str, config: RunnableConfig | None = None, **kwargs: Any) -> list[Document]:
        """Return the memories that answer a query, best first.

        Args:
            input: The query.
            config: Says whose memories in `configurable`, unless that is pinned.
            **kwargs: Any option but the scope, for this call.
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
        who, chosen, memory = self._who(scope), self._chosen(options), self.memory.to_sync()
        found = memory.search(query, **who, **_search(chosen))
        vectors = memory.vectors(_ids(found)) if _repeats(chosen, found) else {}
        hits = _hits(found, chosen, vectors)
        turns = memory.messages(**who, ids=_sources(hits)) if chosen["sources"] else None
        return _documents(hits, turns)

    @override
    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,
        scope: CallScope | None = None,
        **options: Any,
    ) -> list[Document]:
        who, chosen, memory = self._who(scope), self._chosen(options), self.memory.to_async()
        found = await memory.search(query, **who, **_search(chosen))
        vectors = await memory.vectors(_ids(found)) if _repeats(chosen, found) else {}
        hits = _hits(found, chosen, vectors)
        turns = await memory.messages(**who, ids=_sources(hits)) if chosen["sources"] else None
        return _documents(hits, turns)

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

    def _who(self, scope: CallScope | None) -> dict[str, Any]:
        """Return the ids to read with."""
        return (self._scope(None) if scope is None else scope).checked().as_arguments()

    def _chosen(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return each option of the call, else of the constructor."""
        chosen = {name: options.get(name, getattr(self, name)) for name in _OPTIONS}
        if chosen["search_type"] not in get_args(SearchType):
            raise InvalidInputError(
                f"`search_type` is 'similarity' or 'mmr', not {chosen['search_type']!r}; for scores above one give "
                "`threshold`.",
                field="search_type",
            )
        for name in ("k", "fetch_k"):
            value = chosen[name]
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InvalidInputError(
                    f"`{name}` must be a whole number of at least 1, not {value!r}.", field=name
                )
        weight = chosen["lambda_mult"]
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight <= 1:
            raise InvalidInputError(
                f"`lambda_mult` must be between 0 and 1, not {weight!r}.", field="lambda_mult"
            )
        return chosen


def _search(chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of `search`."""
    limit = max(chosen["k"], chosen["fetch_k"]) if chosen["search_type"] == "mmr" else chosen["k"]
    return {"limit": limit, **{name: chosen[name] for name in _SEARCH}}


def _ids(found: SearchResult) -> list[str]:
    return [hit.id for hit in found.results]


def _repeats(chosen: Mapping[str, Any], found: SearchResult) -> bool:
    """Return whether likeness may change what is taken."""
    return chosen["search_type"] == "mmr" and len(found.results) > 1


def _hits(
    found: SearchResult, chosen: Mapping[str, Any], vectors: Mapping[str, Sequence[float]]
) -> list[MemoryItem]:
    for warning in found.warnings:
        log.warning("memkit: %s", warning)
    if not vectors:
        return found.results[: chosen["k"]]
    scores = {hit.id: hit.score or 0.0 for hit in found.results}
    hits = {hit.id: hit for hit in found.results}
    return [hits[id] for id in mmr(scores, vectors, k=chosen["k"], lambda_mult=chosen["lambda_mult"])]


def _sources(hits: Sequence[MemoryItem]) -> list[str]:
    return list(dict.fromkeys(source.message_id for hit in hits for source in hit.sources))


def _documents(hits: Sequence[MemoryItem], turns: Sequence[Message] | None) -> list[Document]:
    by_id = None if turns is None else {turn.id: turn for turn in turns}
    return [as_document(hit, by_id) for hit in hits]


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
