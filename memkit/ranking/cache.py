"""Rankings of the owners searched lately, kept within a budget of bytes and never behind the ledger."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from memkit.errors import EmbedderMismatchError
from memkit.forking import tell_of_forks
from memkit.ledger.base import Ledger, Mark, RankRow, Record
from memkit.ranking.graph_view import OwnerGraph
from memkit.ranking.index import Entry, OwnerIndex
from memkit.ranking.weights import weights_for

if TYPE_CHECKING:
    from memkit.ledger.base import Matrix

BUDGET_BYTES: Final = 256 * 1024 * 1024
"""Of all cached rankings together; the ones searched longest ago are dropped first."""
MAX_ROWS: Final = 200_000
"""Owners with more live records than this are ranked by candidates instead of as a whole."""


class _Slot:
    """One owner's ranking and how far it has read."""

    def __init__(self, index: OwnerIndex) -> None:
        self.index = index
        self.mark: Mark | None = None
        self.graph: OwnerGraph | None = None
        self.walked = False
        """Whether the graph was asked for before."""
        self.size = 0
        """Bytes, as they count in the budget."""
        self.lock = threading.Lock()


class IndexCache:
    """Gives the ranking of an owner as of now.

    Before every use the ledger is asked for what changed since the last one, so another process's write is seen at
    once, and a write costs its own size.
    """

    def __init__(self, ledger: Ledger, budget: int = BUDGET_BYTES) -> None:
        self._ledger = ledger
        self._budget = budget
        self.forked()
        tell_of_forks(self)

    def forked(self) -> None:
        """Begin with none: a thread of the parent may have been at one."""
        self._slots: OrderedDict[int | None, _Slot] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()
        self._embedder: tuple[str, int] | None = None

    @contextmanager
    def index(
        self, owner: int | None, embedder: tuple[str, int], event: int | None = None
    ) -> Generator[tuple[OwnerIndex, Mark]]:
        """Lend the ranking of an owner (None: of all) with the mark it is current at; others wait meanwhile.

        `event` is the owner's last event number, where the caller has just read it.
        """
        slot = self._slot(owner, embedder)
        with slot.lock:
            behind = slot.mark is None or slot.mark.event != event
            if behind:
                self._catch_up(slot, owner, embedder)
            assert slot.mark is not None
            yield slot.index, slot.mark
            if behind:
                self._weigh(slot, owner)

    @contextmanager
    def graph(
        self,
        owner: int | None,
        embedder: tuple[str, int],
        event: int,
        read: Callable[[], Iterable[Sequence[Record]]],
    ) -> Generator[OwnerGraph | None]:
        """Lend what an owner's memories say (None: all), as of now; others wait meanwhile.

        It is None at the first time: to read it all is not worth one search.

        Args:
            read: Gives the owner's live records, at least those that say anything.
        """
        slot = self._slot(owner, embedder)
        with slot.lock:
            behind = slot.mark is None or slot.mark.event != event
            if behind:
                self._catch_up(slot, owner, embedder)
            if slot.graph is None and slot.walked:
                # What is written meanwhile is read again with the changes since the mark.
                slot.graph = OwnerGraph()
                for records in read():
                    slot.graph.upsert(records)
                behind = True
            slot.walked = True
            yield slot.graph
            if behind:
                self._weigh(slot, owner)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._slots.clear()
            self._size = 0

    def _slot(self, owner: int | None, embedder: tuple[str, int]) -> _Slot:
        with self._lock:
            if embedder != self._embedder:
                self._slots.clear()
                self._size = 0
                self._embedder = embedder
            slot = self._slots.get(owner)
            if slot is None:
                slot = self._slots[owner] = _Slot(OwnerIndex(embedder[1], weights=weights_for(embedder[0])))
            self._slots.move_to_end(owner)
            return slot

    def _catch_up(self, slot: _Slot, owner: int | None, embedder: tuple[str, int]) -> None:
        delta = None if slot.mark is None else self._ledger.changes(owner, slot.mark)
        if delta is None or delta.reset:
            self._load(slot, owner, embedder)
            return
        _check_dim(delta.vectors, embedder)
        # Whoever is interrupted in the middle leaves a ranking that is read anew.
        slot.mark = None
        if delta.removed:
            slot.index.remove(delta.removed)
        if delta.records:
            slot.index.upsert(entries(delta.records, delta.vectors))
        if slot.graph is not None:
            slot.graph.remove(delta.removed)
            slot.graph.upsert(delta.records)
        slot.mark = delta.mark

    def _load(self, slot: _Slot, owner: int | None, embedder: tuple[str, int]) -> None:
        index = OwnerIndex(embedder[1], weights=weights_for(embedder[0]))

        def take(rows: Sequence[RankRow], vectors: Matrix) -> None:
            _check_dim(vectors, embedder)
            index.extend(rows, vectors)

        index.reserve(self._ledger.size(owner))
        mark = self._ledger.load(owner, take)
        slot.index, slot.mark, slot.graph = index, mark, None

    def _weigh(self, slot: _Slot, owner: int | None) -> None:
        """Count what an owner takes now, and drop those searched longest ago while all take too much."""
        size = slot.index.nbytes + (0 if slot.graph is None else slot.graph.nbytes)
        if size == slot.size:
            return
        with self._lock:
            if self._slots.get(owner) is not slot:
                return
            self._size += size - slot.size
            slot.size = size
            while self._size > self._budget and len(self._slots) > 1:
                oldest = next(iter(self._slots))
                if oldest == owner:
                    return
                self._size -= self._slots.pop(oldest).size


def _check_dim(vectors: Matrix | None, embedder: tuple[str, int]) -> None:
    if vectors is not None and vectors.shape[1] != embedder[1]:
        raise EmbedderMismatchError(
            f"The embedder of this store was changed from {embedder[0]!r} while it was searched. Search again.",
            given=embedder[0],
        )


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
            updated_at=record.updated_at,
            vector=None if vectors is None else vectors[n],
        )
        for n, record in enumerate(records)
    ]
