"""A memory as the handlers see it: every call is awaited, whether or not it ever suspends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from memkit import AddResult, HistoryEvent, Memory, MemoryItem, SearchResult
    from memkit.scope import Scope
    from memkit.types import ChangeResult, Page


class AwaitedMemory(Protocol):
    """What the tools ask of a bound memory; an `AsyncMemory` handle is one."""

    async def search(self, query: str, *, limit: int = 10) -> SearchResult:
        """Find memories."""
        ...

    @property
    def scope(self) -> Scope | None:
        """Whose memories."""
        ...

    async def add(
        self, messages: Sequence[str], *, infer: bool = True, idempotency_key: str | None = None
    ) -> AddResult:
        """Store texts."""
        ...

    async def get(self, memory_id: str) -> MemoryItem | None:
        """Return a memory by its full id."""
        ...

    async def get_all(
        self,
        *,
        filters: Mapping[str, Any] | None = None,
        limit: int = 100,
        cursor: str | None = None,
        include_closed: bool = False,
    ) -> Page:
        """Return a page of memories, newest first."""
        ...

    async def update(self, memory_id: str, text: str | None = None) -> ChangeResult:
        """Correct a memory."""
        ...

    async def delete(self, memory_id: str) -> ChangeResult:
        """Remove a memory from recall."""
        ...

    async def delete_all(self) -> ChangeResult:
        """Remove all memories of the scope from recall."""
        ...

    async def history(self, memory_id: str) -> list[HistoryEvent]:
        """Return every change of a memory."""
        ...


class Inline:
    """A `Memory` whose methods can be awaited and never suspend, so that each handler is written once."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def search(self, query: str, *, limit: int = 10) -> SearchResult:
        """Find memories."""
        return self._memory.search(query, limit=limit)

    @property
    def scope(self) -> Scope | None:
        """Whose memories."""
        return self._memory.scope

    async def add(
        self, messages: Sequence[str], *, infer: bool = True, idempotency_key: str | None = None
    ) -> AddResult:
        """Store texts."""
        return self._memory.add(messages, infer=infer, idempotency_key=idempotency_key)

    async def get(self, memory_id: str) -> MemoryItem | None:
        """Return a memory by its full id."""
        return self._memory.get(memory_id)

    async def get_all(
        self,
        *,
        filters: Mapping[str, Any] | None = None,
        limit: int = 100,
        cursor: str | None = None,
        include_closed: bool = False,
    ) -> Page:
        """Return a page of memories, newest first."""
        return self._memory.get_all(
            filters=filters, limit=limit, cursor=cursor, include_closed=include_closed
        )

    async def update(self, memory_id: str, text: str | None = None) -> ChangeResult:
        """Correct a memory."""
        return self._memory.update(memory_id, text)

    async def delete(self, memory_id: str) -> ChangeResult:
        """Remove a memory from recall."""
        return self._memory.delete(memory_id)

    async def delete_all(self) -> ChangeResult:
        """Remove all memories of the scope from recall."""
        return self._memory.delete_all()

    async def history(self, memory_id: str) -> list[HistoryEvent]:
        """Return every change of a memory."""
        return self._memory.history(memory_id)
