"""What is known of an external index that follows the ledger: of vectors, or of a graph."""

from __future__ import annotations

from typing import Final

from .errors import BackendResponseError, MemkitError
from .projector import Projector

GRAPH: Final = "graph:"
"""Begins the name under which a graph store follows, so that it is never that of a vector store."""


class Following:
    """How one index stands."""

    def __init__(self) -> None:
        self.error: MemkitError | None = None
        """What was wrong with it at the last try."""
        self.ready = False
        """Whether it was opened and compared with the ledger."""
        self.projector = Projector()
        """Brings it after the ledger."""
        self.refused: dict[str, tuple[int, str]] = {}
        """Memories that it does not take: up to which change they were tried, and what it says of them."""

    def refusal(self, name: str) -> BackendResponseError | None:
        """Return what to say of the memories that the index of this name does not take, None where it takes all."""
        if not self.refused:
            return None
        memory_id, (_, reason) = next(iter(self.refused.items()))
        count = len(self.refused)
        return BackendResponseError(
            f"The index {name!r} refuses {count:,} {'memory' if count == 1 else 'memories'}, such as {memory_id}: "
            f"{reason} Shorten or delete what it does not take; all others are in it.",
            backend=name,
        )
