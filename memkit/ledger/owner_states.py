"""An owner while a batch changes it."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..scope import Owner


@dataclass(slots=True)
class OwnerState:
    """An owner's row while a batch changes it."""

    no: int
    owner: Owner
    next_n: int
    next_m: int
    memories: int = 0
    messages: int = 0
    event: int | None = None
    runs: set[str] = field(default_factory=set[str])
    """Runs of an agent's rows, to be found by the run alone."""
