"""`Memory`: the sync face, with all public docstrings.

Engine modules are imported inside the methods, so that importing memkit loads neither numpy nor a provider.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from .arguments import UNSET, Unset, checks_arguments
from .clock import Instant
from .config import MemoryConfig, env_config, load_config
from .conversations import Conversations
from .items import Items
from .operating import Operating
from .runtime import run_inline
from .schemas import Kinds
from .scope import IdLike, ReadIds
from .types import (
    AddResult,
    ChangeResult,
    Context,
    ForgetReceipt,
    HistoryEvent,
    MemoryItem,
    Page,
    SearchResult,
    Tokenizer,
)
from .vectors import Vectors

if TYPE_CHECKING:
    from os import PathLike

    from pydantic import BaseModel


@checks_arguments
class Memory(Conversations, Items, Operating, Vectors):
    """A long-term memory that survives the process.

    Nothing is opened, read or written before the first call. One object serves several threads and, through
    `AsyncMemory`, several event loops; a forked child reopens by itself. Close it, or use it as a context manager;
    one left open finishes its background work at interpreter exit.

    Every method with `user_id=`, `agent_id=` and `run_id=` needs at least one of them: whose memories these are, the
    agent they belong to, the conversation. Given ids must all hold; without `user_id` only memories stored without a
    user are seen. In reads, `agent_id` and `run_id` may be lists, in which None means "stored without".

    Args:
        path: A folder that holds everything; or, with a suffix (`memory.db`), the ledger file with the rest beside
            it; `":memory:"` keeps nothing; None means `MEMKIT_PATH`, else `memkit` in the user's data directory.
            A dict or a `MemoryConfig` may be given in its place.
        vector_store: `"auto"` (the ledger's own vectors), a name, `{"provider", "config"}`, settings or an instance.
        llm: `"auto"` is OpenAI or Anthropic, whose key is set, else None: turns are then kept verbatim.
        embedder: `"auto"` is what the store was made with, else OpenAI with a key, else `"hash"`, which needs nothing.
        graph_store: None for no graph; `"sqlite"` keeps one in the ledger itself.
        reranker: None for the engine's own order.
        ledger: Where the system of record lives, if not in `path`; a dict also says how it is kept (see the guide).
        instructions: What to remember and what not, in plain words, for the extraction.
        hooks: Objects with any of `before_add(messages, scope)`, `after_add(result, scope)`,
            `before_search(query, scope)` and `after_search(result, scope)`; what one returns replaces its first
            argument, None keeps it.
        schemas: Pydantic models, or their import paths: beside facts, records of these are extracted, checked and kept
            as memories with `data`, one current record per key; see the guide.

    Raises:
        UnknownProviderError: No provider of that name is registered.
        ProviderNotAvailableError: The provider is known but not built yet.
        ConfigurationError: A setting cannot be used as given.
    """

    def __init__(
        self,
        path: str | PathLike[str] | Mapping[str, Any] | MemoryConfig | None = None,
        *,
        vector_store: Any = "auto",
        llm: Any = "auto",
        embedder: Any = "auto",
        graph_store: Any = None,
        reranker: Any = None,
        ledger: Any = None,
        instructions: str | None = None,
        hooks: Sequence[Any] = (),
        schemas: Sequence[type[BaseModel] | str] = (),
    ) -> None:
        given = {
            "vector_store": vector_store,
            "llm": llm,
            "embedder": embedder,
            "graph_store": graph_store,
            "reranker": reranker,
            "ledger": ledger,
            "instructions": instructions,
            "hooks": hooks,
            "schemas": schemas,
        }
        self._setup(path, given)

    @classmethod
    def from_config(cls, config_dict: Mapping[str, Any] | str | PathLike[str] | MemoryConfig) -> Self:
        """Return a memory made from a dict of mem0's shape, a JSON or TOML file, or a `MemoryConfig`.

        Raises:
            ConfigurationError: A key is unknown, or was replaced: the error says by what.
        """
        return cls(load_config(config_dict))

    @classmethod
    def from_env(cls) -> Self:
        """Return a memory made from `MEMKIT_PATH`, `MEMKIT_VECTOR_STORE`, `MEMKIT_LLM`, `MEMKIT_EMBEDDER` and so on."""
        return cls(env_config())

    # Remembering.

    def add(
        self,
        messages: Any,
        *,
        user_id: IdLike | None = None,
        agent_id: IdLike | None = None,
        run_id: IdLike | None = None,
        metadata: Mapping[str, Any] | None = None,
        infer: bool = True,
        kind: str | None = None,
        memory_type: str | None = None,
        prompt: str | None = None,
        origin: str | None = None,
        valid_from: Instant | None = None,
        expires_at: Instant | None = None,
        idempotency_key: str | None = None,
        background: bool = False,
        after_seconds: float | None = None,
    ) -> AddResult:
        """Remember a text or a conversation; what is acknowledged is durable.

        Turns are kept as messages first. With a model, facts are then extracted in one call, checked against what
        was said and reconciled with what is known; without one the turns themselves become memories.

        Args:
            messages: A text, a message (`role, content` and optionally `name, created_at, metadata, run_id, id`), a
                list of them, messages of LangChain or LlamaIndex, or records of a schema, stored as given.
            metadata: JSON values kept with every memory of this call and usable in filters.
            infer: False stores texts as given, with no model call; `results` then has one outcome per input.
            kind: `fact, preference, instruction, event, procedure, message` or `summary`, instead of what is inferred.
            memory_type: `"procedural_memory"` summarises the run into a procedure for `agent_id`.
            prompt: Instructions for this extraction alone.
            origin: `user, assistant, tool, document` or `operator`; follows the role unless given.
            valid_from: Since when it is true; default when it was said.
            expires_at: From this instant on it is invisible.
            idempotency_key: The same key and content, ever again, return the first result.
            background: Return once the turns are kept; `flush()` waits for the extraction.
            after_seconds: Start the extraction only then; a later such call of the same run and options, made before,
                takes these turns into its own.

        Returns:
            What became of each input or extracted memory.

        Raises:
            ScopeError: No scope, a blank id, or one outside the bound handle.
            InvalidInputError: A message has the wrong shape; it names the index and the key.
            ExtractionError: The model returned junk twice; the turns are kept.
            IdempotencyError: The key was used with other content.
            BackendUnavailableError: Model, embedder or ledger is down; `.operation_id` names what was kept.
        """
        from memkit.engine.add import add

        messages = self._before_add(messages, user_id, agent_id, run_id)
        request = self._requests.add_request(
            self._bound,
            messages,
            user_id,
            agent_id,
            run_id,
            metadata=metadata,
            infer=infer,
            kind=kind,
            memory_type=memory_type,
            prompt=prompt,
            origin=origin,
            valid_from=valid_from,
            expires_at=expires_at,
            idempotency_key=idempotency_key,
            background=background,
            after_seconds=after_seconds,
        )
        return self._after_add(run_inline(add(self._engine, request)), request.scope)

    def add_many(
        self,
        items: Iterable[Any],
        *,
        user_id: IdLike | None = None,
        agent_id: IdLike | None = None,
        run_id: IdLike | None = None,
        infer: bool = False,
        progress: bool = False,
    ) -> AddResult:
        """Remember many texts or messages as one transaction, verbatim unless `infer`.

        Args:
            items: Texts and messages, as in `add`.
            infer: True extracts facts as `add` does.
            progress: Show a bar on standard error.

        Returns:
            One outcome per item, in order, unless `infer` with a model.
        """
        from .engine.add import add

        found = self._before_add(self._requests.as_items(items), user_id, agent_id, run_id)
        request = self._requests.add_request(
            self._bound, found, user_id, agent_id, run_id, metadata=None, infer=infer, progress=progress
        )
        return self._after_add(run_inline(add(self._engine, request)), request.scope)

    def flush(self, timeout: float | None = None) -> None:
        """Wait until background extractions are done and indexes have followed.

        Args:
            timeout: Seconds; None waits as long as it takes.

        Raises:
            BackendTimeoutError: It took longer.
        """
        self._flush(timeout)

    # Finding.

    def search(
        self,
        query: str,
        *,
        user_id: ReadIds = None,
        agent_id: ReadIds = None,
        run_id: ReadIds = None,
        filters: Mapping[str, Any] | None = None,
        limit: int = 10,
        threshold: float | None = None,
        rerank: bool | None = None,
        kinds: Kinds = None,
        as_of: Instant | None = None,
        explain: bool = False,
        allow_global: bool = False,
    ) -> SearchResult:
        """Find memories by meaning, words, people and time; only what is current, best first.

        Args:
            query: The question. Of a whole prompt, only its question is searched for.
            filters: `{"field": value}`, `{"field": {"gte": 3}}`, `AND`, `OR`, `NOT`; see the guide.
            limit: At most so many results.
            threshold: Leave out results under this score, in [0, 1].
            rerank: True or None uses the configured reranker, False does not.
            kinds: Only these kinds, by name or by the class of a schema.
            as_of: What was true then, by what is known now.
            explain: Return every signal of every result.
            allow_global: Search across all users.

        Returns:
            Results with a calibrated score in [0, 1] that never rises along the list.

        Raises:
            ScopeError: No scope, or a blank id.
            FilterError: A filter names an unknown operator, or a scope id.
            InvalidInputError: The query is blank, or a limit or threshold out of range.
            EmbedderMismatchError: The store was made with another embedder.
        """
        from .engine.search import search

        request = self._requests.search_request(
            self._bound,
            query,
            user_id,
            agent_id,
            run_id,
            filters=filters,
            limit=limit,
            threshold=threshold,
            rerank=rerank,
            kinds=kinds,
            as_of=as_of,
            explain=explain,
            allow_global=allow_global,
        )
        request = self._before_search(request)
        return self._after_search(run_inline(search(self._engine, request)), request.scope)

    def context(
        self,
        query: str,
        *,
        user_id: ReadIds = None,
        agent_id: ReadIds = None,
        run_id: ReadIds = None,
        filters: Mapping[str, Any] | None = None,
        limit: int = 50,
        threshold: float | None = None,
        kinds: Kinds = None,
        max_tokens: int = 1000,
        tokenizer: Tokenizer | None = None,
    ) -> Context:
        """Return memories packed into a token budget, ready for a prompt: `str(context)`.

        Standing instructions and preferences come first and stay the same bytes from turn to turn; what the query
        found comes after. Every line has an id and a date, and all of it is fenced as data, not instructions.

        Args:
            filters: As in `search`.
            limit: At most so many memories that the query finds; standing ones come on top.
            threshold: Leave out found ones under this score.
            max_tokens: The budget of the whole text, counted by `tokenizer`: a function, a table, a model, `estimate`.
        """
        from .engine.context import context

        request = self._requests.search_request(
            self._bound,
            query,
            user_id,
            agent_id,
            run_id,
            filters=filters,
            limit=limit,
            threshold=threshold,
            kinds=kinds,
        )
        budget = self._requests.positive("max_tokens", max_tokens)
        return run_inline(context(self._engine, self._before_search(request), budget, tokenizer))

    def get(self, memory_id: str) -> MemoryItem | None:
        """Return a memory by id, closed ones too; None when there is none."""
        from .engine.read import get

        return run_inline(get(self._engine, self._requests.memory_id_of(memory_id), self._bound.guard))

    def get_all(
        self,
        *,
        user_id: ReadIds = None,
        agent_id: ReadIds = None,
        run_id: ReadIds = None,
        filters: Mapping[str, Any] | None = None,
        limit: int = 100,
        cursor: str | None = None,
        as_of: Instant | None = None,
        include_closed: bool = False,
        kinds: Kinds = None,
        allow_global: bool = False,
    ) -> Page:
        """Return a page of memories, newest first.

        Args:
            filters: As in `search`.
            limit: At most so many on the page.
            cursor: The `next_cursor` of the page before.
            as_of: What was true then.
            include_closed: Also facts that were superseded or retracted.
            kinds: Only these kinds.
            allow_global: Across all users.

        Returns:
            `results`, and `next_cursor` (None on the last page).
        """
        from .engine.read import get_all

        request = self._requests.list_request(
            self._bound, user_id, agent_id, run_id, filters, limit, cursor, as_of, include_closed, allow_global,
            kinds,
        )  # fmt: skip
        return run_inline(get_all(self._engine, request))

    def count(
        self,
        *,
        user_id: ReadIds = None,
        agent_id: ReadIds = None,
        run_id: ReadIds = None,
        filters: Mapping[str, Any] | None = None,
        kinds: Kinds = None,
        allow_global: bool = False,
    ) -> int:
        """Return how many memories are current in a scope."""
        from .engine.read import count

        request = self._requests.list_request(
            self._bound, user_id, agent_id, run_id, filters, 1, None, None, False, allow_global, kinds
        )
        return run_inline(count(self._engine, request))

    # Changing.

    def update(
        self,
        memory_id: str,
        text: str | None = None,
        *,
        metadata: Mapping[str, Any] | Unset | None = UNSET,
        valid_until: Instant | Unset | None = UNSET,
        expires_at: Instant | Unset | None = UNSET,
        pinned: bool | Unset = UNSET,
        data: str | None = None,
    ) -> ChangeResult:
        """Correct a memory in place: same id, next version; what is left out stays, None clears.

        Args:
            memory_id: Its id.
            text: The new text.
            metadata: Merged into the old; None removes all of it.
            valid_until: Until when it is true; None while it holds.
            expires_at: From this instant on it is invisible; None for never.
            pinned: Whether `context` always holds it.
            data: mem0's name for `text`.

        Raises:
            MemoryNotFoundError: There is no such memory in this scope.
        """
        from .engine.change import update

        request = self._requests.update_request(
            memory_id, text, metadata, valid_until, expires_at, pinned, data
        )
        return run_inline(update(self._engine, request, self._bound.guard))

    def delete(self, memory_id: str) -> ChangeResult:
        """Remove a memory from recall; its history stays, and `undo` brings it back.

        Raises:
            MemoryNotFoundError: There is no such memory in this scope.
        """
        from .engine.change import delete

        return run_inline(delete(self._engine, self._requests.memory_id_of(memory_id), self._bound.guard))

    def delete_all(
        self,
        *,
        user_id: ReadIds = None,
        agent_id: ReadIds = None,
        run_id: ReadIds = None,
        allow_global: bool = False,
    ) -> ChangeResult:
        """Remove every memory of a scope from recall, in one transaction that can be undone.

        Raises:
            ScopeError: No scope was given without `allow_global`.
        """
        from .engine.change import delete_all

        scope = self._bound.read(user_id, agent_id, run_id, allow_global=allow_global)
        return run_inline(delete_all(self._engine, scope))

    def forget(
        self,
        *,
        user_id: ReadIds = None,
        agent_id: ReadIds = None,
        run_id: ReadIds = None,
        memory_id: str | None = None,
        allow_global: bool = False,
    ) -> ForgetReceipt:
        """Erase a scope, or one memory, for good, and return a receipt: records, history, messages, queue, indexes.

        Raises:
            ScopeError: Neither a scope nor a memory was named, or both.
            MemoryNotFoundError: There is no such memory in this scope.
        """
        from .engine.erase import forget

        scope, one = self._requests.forget_request(
            self._bound, user_id, agent_id, run_id, memory_id, allow_global
        )
        return run_inline(forget(self._engine, scope=scope, memory_id=one, guard=self._bound.guard))

    def history(self, memory_id: str) -> list[HistoryEvent]:
        """Return every change of a memory, oldest first; it survives deletion. Empty for an unknown id."""
        from .engine.read import history

        return run_inline(history(self._engine, self._requests.memory_id_of(memory_id), self._bound.guard))

    def undo(self, operation_id: str) -> ChangeResult:
        """Take back everything an operation did, or nothing; the undo can itself be undone.

        Raises:
            OperationNotFoundError: There is no such operation in this scope.
            ConflictError: Later operations changed the same memories; `.operations` names them.
            InvalidInputError: It erased memories, or changed some that were erased since.
        """
        from .engine.undo import undo

        operation = self._requests.required_text("operation_id", operation_id)
        return run_inline(undo(self._engine, operation, self._bound.guard))

    def bind(
        self, *, user_id: IdLike | None = None, agent_id: IdLike | None = None, run_id: IdLike | None = None
    ) -> Self:
        """Return a handle with the same methods and the scope fixed; nothing passed to it can leave that scope.

        By-id calls re-check the scope. Operators' calls are refused. Closing a handle leaves the memory open.
        """
        return self._bind(self._bound.write(user_id, agent_id, run_id))
