"""What a reranker must offer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol, runtime_checkable

PATIENCE_S: Final = 30.0


@runtime_checkable
class Reranker(Protocol):
    """Orders texts by how well they answer a query.

    An optional `async def arerank(query, texts, limit)` is used by `AsyncMemory`. An optional `timeout_s` says how many
    seconds a search waits for it, 30 where it is missing; None waits as long as it takes. After that time, and while
    such a call has not come back, results keep their own order, with a warning.
    """

    @property
    def name(self) -> str:
        """Its name, for messages."""
        ...

    def rerank(self, query: str, texts: Sequence[str], limit: int) -> list[tuple[int, float]]:
        """Return at most `limit` pairs of (index into `texts`, score in [0, 1]), best first."""
        ...


def patience(reranker: Reranker) -> float | None:
    """Return the seconds that a search waits for a reranker; None waits as long as it takes."""
    return getattr(reranker, "timeout_s", PATIENCE_S)
