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
from memkit.ranking.standing import MARK, wishes
from memkit.ranking.weights import weights_for

if TYPE_CHECKING:
    from memkit.ledger.base import Matrix

BUDGET_BYTES: Final = 256 * 1024 * 1024
"""Of all cached rankings together; the ones searched longest ago are dropped first."""
MAX_ROWS: Final = 200_000
"""Owners with more live records than this are ranked by candidates instead of as a whole."""
_HELD_BYTES: Final = 4 * 1024 * 1024
"""Of the records held of one owner; those held longest are dropped first."""
_RECORD_BYTES: Final = 2_400
"""What a record takes besides what was written in it, roughly, with what was made of it to be shown."""


class Held:
    """Records of one owner that were found lately, by rid, as they are at the mark of its ranking.

    No record changes without its owner's last event number: while that is the mark's, they are current.
    """

    def __init__(self) -> None:
        self.records: dict[int, Record] = {}
        self.nbytes = 0
        """Bytes held, roughly."""

    def keep(self, records: Iterable[Record]) -> None:
        """Hold some more records, read at the mark."""
        for record in records:
            if record.rid not in self.records:
                self.records[record.rid] = record
                self.nbytes += _bytes(record)
        while self.nbytes > _HELD_BYTES:
            self.drop(next(iter(self.records)))

    def drop(self, rid: int) -> None:
        """Hold a record no longer; an unknown one is passed over."""
        record = self.records.pop(rid, None)
        if record is not None:
            self.nbytes -= _bytes(record)


def _bytes(record: Record) -> int:
    written = record.metadata, record.data, record.entities, record.sources, record.relations
    return _RECORD_BYTES + len(record.text) + sum(4 * len(repr(part)) for part in written if part)


class _Slot:
    """One owner's ranking and how far it has read."""

    def __init__(self, index: OwnerIndex) -> None:
        self.index = index
        self.mark: Mark | None = None
        self.held = Held()
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
    ) -> Generator[tuple[OwnerIndex, Mark, Held]]:
        """Lend the ranking of an owner (None: of all), the mark it is current at, and what is held of its records.

        Others wait meanwhile. `event` is the owner's last event number, where the caller has just read it.
        """
        slot = self._slot(owner, embedder)
        with slot.lock:
            behind = slot.mark is None or slot.mark.event != event
            if behind:
                self._catch_up(slot, owner, embedder)
            assert slot.mark is not None
            index, held = slot.index, slot.held
            before = held.nbytes + index.tokens.nbytes
            yield index, slot.mark, held
            if behind or held.nbytes + index.tokens.nbytes != before:
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
        for rid in (*delta.removed, *(record.rid for record in delta.records)):
            slot.held.drop(rid)
        if delta.removed:
            slot.index.remove(delta.removed)
        if delta.records:
            changed = entries(delta.records, delta.vectors)
            slot.index.upsert(changed)
            slot.index.stand(wishes(changed))
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
        # The keyword index knows them: to look for them in every text takes as long as to read its words.
        owners = None if owner is None else [owner]
        index.stand(self._ledger.keyword_candidates(owners, [MARK], max(len(index), 1)))
        slot.index, slot.mark, slot.held, slot.graph = index, mark, Held(), None

    def _weigh(self, slot: _Slot, owner: int | None) -> None:
        """Count what an owner takes now, and drop those searched longest ago while all take too much."""
        size = slot.index.nbytes + slot.held.nbytes + (0 if slot.graph is None else slot.graph.nbytes)
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
            offset_minutes=record.offset_minutes,
            vector=None if vectors is None else vectors[n],
        )
        for n, record in enumerate(records)
    ]
