"""What a failing memory leaves behind in an adapter: failures, counted, and turns that wait until it takes them."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from memkit.errors import ExtractionError, IdempotencyError, InvalidInputError

Ids = Mapping[str, str | None]
"""`user_id`, `agent_id` and `run_id` that a turn is stored under."""

MOST: Final = 1_000
"""So many messages wait at most; the oldest go first."""
_FINAL: Final = (ExtractionError, InvalidInputError)
"""Errors that trying again does not mend: the model's junk, whose turns are kept, and what no memory takes."""


class Failures:
    """What failed beside the answer, counted by operation; several threads may note theirs."""

    def __init__(self, log: logging.Logger, see: str) -> None:
        """Make it for one adapter.

        Args:
            log: Where each failure is told.
            see: The name of the adapter's attribute that has the last error.
        """
        self.log = log
        self.last: Exception | None = None
        self._see = see
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    @property
    def counts(self) -> dict[str, int]:
        """How often each operation failed."""
        with self._lock:
            return dict(self._counts)

    def note(self, operation: str, error: Exception) -> None:
        """Log and count an error by its type; the words of somebody else's may hold a key."""
        with self._lock:
            self._counts[operation] += 1
            self.last = error
        self.log.error("memkit: %s failed (%s); see `%s`", operation, type(error).__name__, self._see)

    @contextmanager
    def tolerating(self, operation: str) -> Generator[None]:
        """Note what fails inside: it must not cost the answer."""
        try:
            yield
        except Exception as error:  # noqa: BLE001  (a hook of the caller's raises anything)
            self.note(operation, error)


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

    @contextmanager
    def holding(self, batch: Batch, failures: Failures) -> Generator[None]:
        """Let a batch wait while it cannot be added, and note it the first time."""
        try:
            yield
        except IdempotencyError:  # the same messages of the user, with the answer of another try
            pass
        except _FINAL as error:
            failures.note("remember", error)
        except Exception as error:  # noqa: BLE001  (a hook of the caller's raises anything)
            if batch not in self:
                failures.note("remember", error)
            if gone := self.hold(batch):
                failures.log.error(
                    "memkit: %d messages were given up; at most %d wait for the memory.", gone, MOST
                )
            return
        self.drop(batch)
