"""Turns that a memory did not take or did not learn from, held in this process until it does."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

Ids = Mapping[str, str | None]
"""`user_id`, `agent_id` and `run_id` that a turn is stored under."""

MOST: Final = 1_000
"""So many messages wait at most; the oldest go first."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batch:
    """What one call of `Memory.add` takes; only the same call again finishes what the memory has kept of it."""

    ids: Ids
    messages: Sequence[Mapping[str, Any]]
    key: str


class Waiting:
    """The batches that wait, oldest first; several threads may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._batches: list[Batch] = []

    def batches(self, ids: Ids | None = None) -> list[Batch]:
        """Return what waits; with ids, what is to be stored under them."""
        with self._lock:
            return [batch for batch in self._batches if ids is None or batch.ids == ids]

    def __contains__(self, batch: Batch) -> bool:
        with self._lock:
            return batch in self._batches

    def hold(self, batch: Batch) -> int:
        """Let a batch wait; return how many messages had to go for it."""
        with self._lock:
            if batch not in self._batches:
                self._batches.append(batch)
            gone = 0
            while len(self._batches) > 1 and sum(len(held.messages) for held in self._batches) > MOST:
                gone += len(self._batches.pop(0).messages)
            return gone

    def drop(self, batch: Batch) -> None:
        """Let go of a batch, if it waits."""
        with self._lock:
            self._batches = [held for held in self._batches if held is not batch]
