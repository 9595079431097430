"""One program for sync and async: a sync memory behind the methods of the async one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from memkit import AddResult, Context, Memory, Message
from memkit.types import ChangeResult


class Face(Protocol):
    """What is asked of a memory that is bound to a scope."""

    async def keep(self, messages: Any, *, replace: bool = ...) -> list[Message]:
        """Keep turns."""
        ...

    async def messages(
        self,
        *,
        limit: int | None = ...,
        before: str | None = ...,
        offset: int = ...,
        status: Any = ...,
    ) -> list[Message]:
        """Return the newest turns, oldest first."""
        ...

    async def count_messages(self, *, status: Any = ...) -> int:
        """Return how many turns there are."""
        ...

    async def context(
        self,
        query: str,
        *,
        filters: Mapping[str, Any] | None = ...,
        limit: int = ...,
        threshold: float | None = ...,
        max_tokens: int = ...,
    ) -> Context:
        """Return memories for a prompt."""
        ...

    async def add(
        self,
        messages: Any,
        *,
        infer: bool = ...,
        background: bool = ...,
        after_seconds: float | None = ...,
    ) -> AddResult:
        """Learn from turns."""
        ...

    async def delete_all(self) -> ChangeResult:
        """Remove all memories from recall."""
        ...

    async def flush(self, timeout: float | None = ...) -> None:
        """Wait for what is learned in the background."""
        ...


class Inline:
    """A sync memory whose methods are awaited and never suspend."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def keep(self, messages: Any, *, replace: bool = False) -> list[Message]:
        """Keep turns."""
        return self._memory.keep(messages, replace=replace)

    async def messages(
        self,
        *,
        limit: int | None = None,
        before: str | None = None,
        offset: int = 0,
        status: Any = None,
    ) -> list[Message]:
        """Return the newest turns, oldest first."""
        return self._memory.messages(limit=limit, before=before, offset=offset, status=status)

    async def count_messages(self, *, status: Any = None) -> int:
        """Return how many turns there are."""
        return self._memory.count_messages(status=status)

    async def context(self, query: str, **options: Any) -> Context:
        """Return memories for a prompt."""
        return self._memory.context(query, **options)

    async def add(self, messages: Any, **options: Any) -> AddResult:
        """Learn from turns."""
        return self._memory.add(messages, **options)

    async def delete_all(self) -> ChangeResult:
        """Remove all memories from recall."""
        return self._memory.delete_all()

    async def flush(self, timeout: float | None = None) -> None:
        """Wait for what is learned in the background."""
        self._memory.flush(timeout)
