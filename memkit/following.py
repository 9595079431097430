"""What is known of an external index that follows the ledger: of vectors, or of a graph."""

from __future__ import annotations

from typing import Final

from .errors import MemkitError
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
