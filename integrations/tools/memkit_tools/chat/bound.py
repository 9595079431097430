"""A memory bound to a scope, as a chat client sees it: every call is awaited, whether or not it ever suspends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from memkit import AddResult, Context, Memory, Message
    from memkit.scope import ReadIds


class BoundMemory(Protocol):
    """What a chat client asks of a bound memory; an `AsyncMemory` handle is one."""

    async def keep(self, messages: Sequence[Mapping[str, Any]]) -> list[Message]:
        """Keep turns without learning from them."""
        ...

    async def messages(
        self, *, agent_id: ReadIds = None, run_id: ReadIds = None, limit: int | None = None
    ) -> list[Message]:
        """Return the newest turns, oldest first."""
        ...

    async def context(
        self, query: str, *, limit: int = 50, threshold: float | None = None, max_tokens: int = 1000
    ) -> Context:
        """Return what is known, packed for a prompt."""
        ...

    async def add(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        infer: bool = True,
        idempotency_key: str | None = None,
        background: bool = False,
        after_seconds: float | None = None,
    ) -> AddResult:
        """Remember turns."""
        ...


class InlineMemory:
    """A bound `Memory` whose methods can be awaited and never suspend, so that a turn is written once."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def keep(self, messages: Sequence[Mapping[str, Any]]) -> list[Message]:
        """Keep turns without learning from them."""
        return self._memory.keep(messages)

    async def messages(
        self, *, agent_id: ReadIds = None, run_id: ReadIds = None, limit: int | None = None
    ) -> list[Message]:
        """Return the newest turns, oldest first."""
        return self._memory.messages(agent_id=agent_id, run_id=run_id, limit=limit)

    async def context(
        self, query: str, *, limit: int = 50, threshold: float | None = None, max_tokens: int = 1000
    ) -> Context:
        """Return what is known, packed for a prompt."""
        return self._memory.context(query, limit=limit, threshold=threshold, max_tokens=max_tokens)

    async def add(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        infer: bool = True,
        idempotency_key: str | None = None,
        background: bool = False,
        after_seconds: float | None = None,
    ) -> AddResult:
        """Remember turns."""
        return self._memory.add(
            messages,
            infer=infer,
            idempotency_key=idempotency_key,
            background=background,
            after_seconds=after_seconds,
        )
