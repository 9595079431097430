"""Rankings of the owners searched lately, kept within a budget of bytes and never behind the ledger."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from memkit.ledger.base import Ledger, Mark, Record
from memkit.ranking.index import Entry, OwnerIndex
from memkit.ranking.weights import weights_for

if TYPE_CHECKING:
    from memkit.ledger.base import Matrix

BUDGET_BYTES: Final = 512 * 1024 * 1024
"""Of all cached rankings together; the ones searched longest ago are dropped first."""
MAX_ROWS: Final = 200_000
"""Owners with more live records than this are ranked by candidates instead of as a whole."""


class _Slot:
    """One owner's ranking and how far it has read."""

    def __init__(self, index: OwnerIndex) -> None:
        self.index = index
        self.mark: Mark | None = None
        self.lock = threading.Lock()


class IndexCache:
    """Gives the ranking of an owner as of now.

    Before every use the ledger is asked for what changed since the last one, so another process's write is seen at
    once, and a write costs its own size.
    """

    def __init__(self, ledger: Ledger, budget: int = BUDGET_BYTES) -> None:
        self._ledger = ledger
        self._budget = budget
        self._slots: OrderedDict[int | None, _Slot] = OrderedDict()
        self._lock = threading.Lock()
        self._embedder: tuple[str, int] | None = None

    @contextmanager
    def index(self, owner: int | None, embedder: tuple[str, int]) -> Generator[tuple[OwnerIndex, Mark]]:
        """Lend the ranking of an owner (None: of all) with the mark it is current at; others wait meanwhile."""
        slot = self._slot(owner, embedder)
        with slot.lock:
            delta = self._ledger.changes(owner, slot.mark)
            if delta.reset:
                slot.index = OwnerIndex(embedder[1], weights=weights_for(embedder[0]))
            if delta.removed:
                slot.index.remove(delta.removed)
            if delta.records:
                slot.index.upsert(entries(delta.records, delta.vectors))
            slot.mark = delta.mark
            yield slot.index, delta.mark
        self._shrink(owner)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._slots.clear()

    def _slot(self, owner: int | None, embedder: tuple[str, int]) -> _Slot:
        with self._lock:
            if embedder != self._embedder:
                self._slots.clear()
                self._embedder = embedder
            slot = self._slots.get(owner)
            if slot is None:
                slot = self._slots[owner] = _Slot(OwnerIndex(embedder[1], weights=weights_for(embedder[0])))
            self._slots.move_to_end(owner)
            return slot

    def _shrink(self, keep: int | None) -> None:
        with self._lock:
            total = sum(slot.index.nbytes for slot in self._slots.values())
            while total > self._budget and len(self._slots) > 1:
                oldest = next(iter(self._slots))
                if oldest == keep:
                    return
                total -= self._slots.pop(oldest).index.nbytes


def entries(records: Sequence[Record], vectors: Matrix | None) -> list[Entry]:
    """Return ledger records as ranking sees them; `vectors` has a row per record."""
    return [
        Entry(
            rid=record.rid,
            order=(record.created_at, record.rid),
            text=record.text,
            speaker=record.actor_id,
            role=record.role,
            session=record.run_id,
            agent=record.agent_id,
            user=record.user_id,
            created_at=record.created_at,
            dated=record.dated,
            kind=record.kind,
            valid_from=record.valid_from,
            valid_until=record.valid_until,
            expires_at=record.expires_at,
            vector=None if vectors is None else vectors[n],
        )
        for n, record in enumerate(records)
    ]
