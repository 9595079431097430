"""`AsyncMemory`: the same names as `Memory`, awaited; what each does is said there.

Engine modules are imported inside the methods, so that importing memkit loads neither numpy nor a provider.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Self, cast

from .arguments import UNSET, Unset, checks_arguments
from .clock import Instant
from .config import MemoryConfig, env_config, load_config
from .conversations import AsyncConversations
from .items import AsyncItems
from .operating import AsyncOperating
from .runtime import AsyncRuntime, run_inline
from .schemas import Kinds
from .scope import IdLike, ReadIds, Scope
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
from .vectors import AsyncVectors

if TYPE_CHECKING:
    from os import PathLike

    from pydantic import BaseModel

    from .engine.add_request import AddRequest

_FEW: Final = 64
"""Up to so many messages of one call are checked in the loop itself."""


@checks_arguments
class AsyncMemory(AsyncConversations, AsyncItems, AsyncOperating, AsyncVectors):
    """Async version of [`Memory`][memkit.Memory]: same names, same arguments, awaited.

    Native async clients are used where a backend has them; others run in memkit's own bounded threads, so the loop
    is never blocked. One object serves several event loops.
    """

    _runtime_class = AsyncRuntime

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
        """Async version of `Memory.from_config`."""
        return cls(load_config(config_dict))

    @classmethod
    def from_env(cls) -> Self:
        """Async version of `Memory.from_env`."""
        return cls(env_config())

    # Remembering.

    async def add(
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
        """Async version of `Memory.add`."""
        from .engine.add import add

        found = self._before_add(messages, user_id, agent_id, run_id)

        def request() -> AddRequest:
            return self._requests.add_request(
                self._bound,
                found,
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

        asked = await self._engine.rt.call(request, None) if _are_many(found) else request()
        return self._after_add(await add(self._engine, asked), asked.scope)

    async def add_many(
        self,
        items: Iterable[Any],
        *,
        user_id: IdLike | None = None,
        agent_id: IdLike | None = None,
        run_id: IdLike | None = None,
        infer: bool = False,
        progress: bool = False,
    ) -> AddResult:
        """Async version of `Memory.add_many`."""
        from .engine.add import add

        found = self._before_add(self._requests.as_items(items), user_id, agent_id, run_id)

        def request() -> AddRequest:
            return self._requests.add_request(
                self._bound, found, user_id, agent_id, run_id, metadata=None, infer=infer, progress=progress
            )

        if infer or not _are_many(found):
            asked = request()
            return self._after_add(await add(self._engine, asked), asked.scope)
        # Thousands of records are made, checked and packed here and there: all of it in one thread, without a model
        # to wait for, and nothing in the loop.
        engine = self.to_sync()._engine

        def write() -> tuple[AddResult, Scope]:
            asked = request()
            return run_inline(add(engine, asked)), asked.scope

        result, scope = await self._engine.rt.call(write, None)
        return self._after_add(result, scope)

    async def flush(self, timeout: float | None = None) -> None:
        """Async version of `Memory.flush`."""
        await self._engine.rt.call(self._flush, None, timeout)

    # Finding.

    async def search(
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
        """Async version of `Memory.search`."""
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
        return self._after_search(await search(self._engine, request), request.scope)

    async def context(
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
        """Async version of `Memory.context`."""
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
        return await context(self._engine, self._before_search(request), budget, tokenizer)

    # Reading.

    async def get(self, memory_id: str) -> MemoryItem | None:
        """Async version of `Memory.get`."""
        from .engine.read import get

        return await get(self._engine, self._requests.memory_id_of(memory_id), self._bound.guard)

    async def get_all(
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
        """Async version of `Memory.get_all`."""
        from .engine.read import get_all

        request = self._requests.list_request(
            self._bound, user_id, agent_id, run_id, filters, limit, cursor, as_of, include_closed, allow_global,
            kinds,
        )  # fmt: skip
        return await get_all(self._engine, request)

    async def count(
        self,
        *,
        user_id: ReadIds = None,
        agent_id: ReadIds = None,
        run_id: ReadIds = None,
        filters: Mapping[str, Any] | None = None,
        kinds: Kinds = None,
        allow_global: bool = False,
    ) -> int:
        """Async version of `Memory.count`."""
        from .engine.read import count

        request = self._requests.list_request(
            self._bound, user_id, agent_id, run_id, filters, 1, None, None, False, allow_global, kinds
        )
        return await count(self._engine, request)

    # Changing.

    async def update(
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
        """Async version of `Memory.update`."""
        from .engine.change import update

        request = self._requests.update_request(
            memory_id, text, metadata, valid_until, expires_at, pinned, data
        )
        return await update(self._engine, request, self._bound.guard)

    async def delete(self, memory_id: str) -> ChangeResult:
        """Async version of `Memory.delete`."""
        from .engine.change import delete

        return await delete(self._engine, self._requests.memory_id_of(memory_id), self._bound.guard)

    async def delete_all(
        self,
        *,
        user_id: ReadIds = None,
        agent_id: ReadIds = None,
        run_id: ReadIds = None,
        allow_global: bool = False,
    ) -> ChangeResult:
        """Async version of `Memory.delete_all`."""
        from .engine.change import delete_all

        scope = self._bound.read(user_id, agent_id, run_id, allow_global=allow_global)
        return await delete_all(self._engine, scope)

    async def forget(
        self,
        *,
        user_id: ReadIds = None,
        agent_id: ReadIds = None,
        run_id: ReadIds = None,
        memory_id: str | None = None,
        allow_global: bool = False,
    ) -> ForgetReceipt:
        """Async version of `Memory.forget`."""
        from .engine.erase import forget

        scope, one = self._requests.forget_request(
            self._bound, user_id, agent_id, run_id, memory_id, allow_global
        )
        return await forget(self._engine, scope=scope, memory_id=one, guard=self._bound.guard)

    async def history(self, memory_id: str) -> list[HistoryEvent]:
        """Async version of `Memory.history`."""
        from .engine.read import history

        return await history(self._engine, self._requests.memory_id_of(memory_id), self._bound.guard)

    async def undo(self, operation_id: str) -> ChangeResult:
        """Async version of `Memory.undo`."""
        from .engine.undo import undo

        operation = self._requests.required_text("operation_id", operation_id)
        return await undo(self._engine, operation, self._bound.guard)

    def bind(
        self, *, user_id: IdLike | None = None, agent_id: IdLike | None = None, run_id: IdLike | None = None
    ) -> Self:
        """Async version of `Memory.bind`."""
        return self._bind(self._bound.write(user_id, agent_id, run_id))


def _are_many(given: object) -> bool:
    return isinstance(given, list | tuple) and len(cast("Sequence[object]", given)) > _FEW
