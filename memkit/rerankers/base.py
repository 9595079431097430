"""What a reranker must offer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable


@runtime_checkable
class Reranker(Protocol):
    """Orders texts by how well they answer a query.

    An optional `async def arerank(query, texts, limit)` is used by `AsyncMemory`.
    """

    @property
    def name(self) -> str:
        """Its name, for messages."""
        ...

    def rerank(self, query: str, texts: Sequence[str], limit: int) -> list[tuple[int, float]]:
        """Return at most `limit` pairs of (index into `texts`, score in [0, 1]), best first."""
        ...
