"""The system of record: what a ledger keeps and the few calls it answers.

Everything that changes goes through `apply`, one transaction a call. Everything else reads. Instants are
microseconds in UTC. A record's `rid` is `owner number * 2**32 + n`, so one owner's rows lie together.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from ..scope import Owner, ReadScope
from .items import ItemLedger, ItemRow
from .records import (
    EDITABLE,
    OWNER_SHIFT,
    AddRecord,
    Applied,
    Batch,
    Change,
    ChangeOutcome,
    Delta,
    EditRecord,
    Event,
    Fetched,
    ForgetCounts,
    Job,
    LedgerInfo,
    Mark,
    NewJob,
    NewMessage,
    Operation,
    OutboxEntry,
    Outlook,
    OwnerMark,
    OwnerRow,
    RankRow,
    Record,
    RowTest,
    SourceRef,
    StoredMessage,
)

if TYPE_CHECKING:
    from .records import Matrix as Matrix
    from .records import Vector as Vector

__all__ = [
    "EDITABLE",
    "OWNER_SHIFT",
    "AddRecord",
    "Applied",
    "Batch",
    "Change",
    "ChangeOutcome",
    "Delta",
    "EditRecord",
    "Event",
    "Fetched",
    "ForgetCounts",
    "Job",
    "Ledger",
    "LedgerInfo",
    "Mark",
    "NewJob",
    "NewMessage",
    "Operation",
    "OutboxEntry",
    "Outlook",
    "OwnerMark",
    "OwnerRow",
    "RankRow",
    "Record",
    "RowTest",
    "SourceRef",
    "StoredMessage",
]


class Ledger(ItemLedger):
    """The system of record. Thread-safe; safe with other processes; a forked child reopens by itself.

    Async twins are optional, as in every protocol: `aapply` is used where present.

    Every method may raise `BackendUnavailableError` (locked too long, unwritable, disk full; `.retryable` says
    whether trying again may help), `CorruptLedgerError`, `ConfigurationError` (a newer schema).
    """

    name: ClassVar[str]
    persistent: bool
    erased_as: ClassVar[str] = "erased from file"
    """What a receipt says of an erasure that is complete."""

    @property
    def opened(self) -> bool:
        """Whether `open` has nothing left to do; it is asked on the event loop, and must not wait."""
        return False

    @abstractmethod
    def open(self, *, create: bool = True) -> bool:
        """Open, migrate, and return whether a ledger is there; `create=False` never makes one. May be called twice."""

    @abstractmethod
    def close(self) -> None:
        """Free everything; may be called twice; the next call of any method opens again."""

    # What the store was made with.

    @abstractmethod
    def embedder(self) -> tuple[str, int] | None:
        """Return identity and dimension of the embedder the ledger was made with."""

    @abstractmethod
    def set_embedder(self, identity: str, dim: int, *, replace: bool = False) -> None:
        """Remember the embedder, at the first write; `replace` only in a rebuild.

        Raises:
            EmbedderMismatchError: Another one is stored already.
        """

    # The one write.

    @abstractmethod
    def apply(self, batch: Batch) -> Applied:
        """Write a batch as one durable transaction, or nothing of it.

        Raises:
            IdempotencyError: The key was used with another digest.
        """

    @abstractmethod
    def replace_embeddings(
        self, identity: str, dim: int, rids: Sequence[int], vectors: Matrix
    ) -> Sequence[int]:
        """Change the embedder and every embedding in one transaction.

        Returns the rids of live records for which no vector was given; when there are any, nothing was written.
        Caches of all owners start again.
        """

    # Changing the embedder.

    @abstractmethod
    def begin_staging(self, identity: str) -> int:
        """Begin to collect vectors of another embedder, or go on; return how many live records have theirs."""

    @abstractmethod
    def unstaged(self, limit: int, after: int = -1) -> Sequence[Record]:
        """Return live records without a collected vector of their present version, by rid, after a rid."""

    @abstractmethod
    def stage(
        self,
        identity: str,
        records: Sequence[Record],
        vectors: Matrix,
        tokens: Sequence[bytes | None] | None = None,
    ) -> None:
        """Collect the vectors, and tokens where there are any, of records as they were read, as one transaction."""

    @abstractmethod
    def switch_embedder(self, identity: str, dim: int, *, force: bool = False) -> int:
        """Change the embedder and every embedding in one transaction; return how many live records lack a vector.

        When there are any and `force` is not set, nothing is written. Tokens of the embedder before are gone. Caches
        of all owners start again.
        """

    @abstractmethod
    def unembedded(self, limit: int, after: int = -1) -> Sequence[Record]:
        """Return live records without a vector of the present embedder, by rid, after a rid."""

    @abstractmethod
    def without_vector(self, rids: Sequence[int]) -> set[int]:
        """Return which of these records, live or deleted, have no vector of the present embedder."""

    @abstractmethod
    def give_vectors(
        self,
        embedder: tuple[str, int],
        records: Sequence[Record],
        vectors: Matrix,
        tokens: Sequence[bytes | None] | None = None,
    ) -> None:
        """Give live records that are still as they were read their vectors and tokens, as one transaction.

        Raises:
            EmbedderMismatchError: They are not of the ledger's embedder.
        """

    # Reading records.

    @abstractmethod
    def owner_number(self, owner: Owner) -> int | None:
        """Return the owner's number, None while nothing is stored for it."""

    @abstractmethod
    def owners_in(self, scope: ReadScope) -> Sequence[int] | None:
        """Return the numbers of owners that may hold rows of the scope; None means all of them."""

    @abstractmethod
    def outlook(self, scope: ReadScope) -> Outlook:
        """Return the embedder and the owners of a scope as of one moment, in one small read."""

    @abstractmethod
    def changes(self, owner: int | None, since: Mark | None) -> Delta:
        """Return what changed for an owner (None: for all) since the mark; cheap when nothing did."""

    @abstractmethod
    def load(self, owner: int | None, take: Callable[[Sequence[RankRow], Matrix], None]) -> Mark:
        """Hand over all live records of an owner (None: of all) with their vectors, some at a time by rid.

        Everything is of one moment, which the mark names. A record without a vector has a zero row.
        """

    @abstractmethod
    def size(self, owner: int | None) -> int:
        """Return how many live records an owner (None: everyone) has, cheaply."""

    @abstractmethod
    def fetch(self, rids: Sequence[int]) -> Fetched:
        """Return live records with the event numbers they are current at, in one read transaction."""

    @abstractmethod
    def with_vectors(self, rids: Sequence[int]) -> tuple[Sequence[Record], Matrix]:
        """Return live records by rid, in the order asked, with their vectors as rows (zeros where one has none)."""

    @abstractmethod
    def tokens(self, rids: Sequence[int]) -> Mapping[int, bytes]:
        """Return the tokens of records by rid, without those that have none."""

    @abstractmethod
    def records(self, ids: Sequence[str]) -> Sequence[Record]:
        """Return records by memory id, deleted ones too, in the order asked, without those that never were."""

    @abstractmethod
    def in_slots(self, owner: Owner, slots: Sequence[bytes]) -> Sequence[Record]:
        """Return live records of an owner that stand in these slots and are not closed, by rid."""

    @abstractmethod
    def listing(
        self,
        scope: ReadScope,
        *,
        at: int,
        present: bool = False,
        include_closed: bool = False,
        limit: int,
        after: tuple[int, int] | None = None,
        test: RowTest | None = None,
    ) -> Sequence[Record]:
        """Return live records of the scope, newest `created_at` first, then highest rid.

        `after` is the last (created_at, rid) of the page before. What has expired at the instant `at` is left out;
        without `include_closed`, what is not valid then as well. With `present`, validity is judged at the record's
        `updated_at` where that is later: a clock that was set back hides nothing. With a test, only what passes it is
        given.
        """

    @abstractmethod
    def passing(
        self,
        scope: ReadScope,
        test: RowTest,
        *,
        at: int,
        present: bool = True,
        include_closed: bool = True,
    ) -> Sequence[int]:
        """Return the rids that `listing` would give of all records that pass a test, in any order."""

    @abstractmethod
    def standing(self, scope: ReadScope, *, at: int, limit: int) -> Sequence[Record]:
        """Return records current at present that hold whatever is asked: instructions, preferences and pinned ones.

        Oldest first (by rid), so that a prompt built from them keeps its prefix. Served by a partial index.
        """

    @abstractmethod
    def count(
        self,
        scope: ReadScope,
        *,
        at: int,
        present: bool = False,
        include_closed: bool = False,
        test: RowTest | None = None,
    ) -> int:
        """Return how many `listing` would give."""

    @abstractmethod
    def expired(self, now: int, limit: int) -> Sequence[Record]:
        """Return live records whose `expires_at` has passed and that have no EXPIRE event yet, oldest first."""

    @abstractmethod
    def keyword_candidates(
        self, owners: Sequence[int] | None, tokens: Sequence[str], limit: int
    ) -> Sequence[int]:
        """Return rids that hold most of the tokens, best first, from the keyword index by rowid range."""

    @abstractmethod
    def vectors(
        self, owners: Sequence[int] | None, chunk: int = 8192
    ) -> Iterator[tuple[Sequence[int], Matrix]]:
        """Yield (rids, matrix) of live records in chunks, in rid order."""

    def closest(
        self, owners: Sequence[int] | None, vector: Vector, limit: int, every: int
    ) -> tuple[Sequence[int], Sequence[int]] | None:
        """Return rids of the closest live records and about every n-th rid, where the database finds them itself."""
        del owners, vector, limit, every

    @abstractmethod
    def neighbours(self, rids: Sequence[int], distance: int) -> Sequence[int]:
        """Return rids of records of the same owner and run next to these in time, up to `distance` before and after."""

    # Messages.

    @abstractmethod
    def messages(
        self,
        scope: ReadScope,
        *,
        limit: int | None,
        before: str | int | None = None,
        statuses: Sequence[str] = ("active", "archived"),
        offset: int = 0,
    ) -> Sequence[StoredMessage]:
        """Return the newest `limit` messages before a message id (str) or an instant (int), oldest first.

        `offset` leaves out so many of the newest.
        """

    @abstractmethod
    def message_count(self, scope: ReadScope, statuses: Sequence[str]) -> int:
        """Return how many messages of some statuses a scope has."""

    @abstractmethod
    def runs(self, scope: ReadScope, *, limit: int | None, after: str | None = None) -> Sequence[str]:
        """Return the runs of which the scope has messages that are not deleted, ordered by id, after a given one."""

    @abstractmethod
    def messages_by_id(self, ids: Sequence[str], scope: ReadScope | None = None) -> Sequence[StoredMessage]:
        """Return messages by id, in the order asked, without unknown ones."""

    @abstractmethod
    def messages_by_rid(self, rids: Sequence[int]) -> Sequence[StoredMessage]:
        """Return messages by rid, in the order asked, without those that are gone."""

    # History.

    @abstractmethod
    def history(self, memory_id: str) -> Sequence[Event]:
        """Return all events of a memory, oldest first; survives its deletion."""

    @abstractmethod
    def operation(self, operation_id: str) -> tuple[Operation, Sequence[Event]] | None:
        """Return an operation with its events, oldest first."""

    @abstractmethod
    def operation_by_key(self, owner: Owner, key: str) -> Operation | None:
        """Return the operation that used an idempotency key, None while it is free."""

    @abstractmethod
    def later_operations(self, operation_id: str) -> Sequence[str]:
        """Return operations that changed the same records after it and are still in effect, oldest first.

        An operation and the undo of it cancel out and are both left out.
        """

    # Everything, for an export.

    @abstractmethod
    def archive_counts(self, scope: ReadScope) -> tuple[int, int]:
        """Return how many messages and how many records of the scope there are, deleted ones too."""

    @abstractmethod
    def archive_item_count(self, *, at: int) -> int:
        """Return how many items there are that have not expired."""

    @abstractmethod
    def archive_messages(self, scope: ReadScope, after: int, limit: int) -> Sequence[StoredMessage]:
        """Return messages of the scope of every status, by rid, after a rid."""

    @abstractmethod
    def archive_records(
        self, scope: ReadScope, after: int, limit: int
    ) -> Sequence[tuple[Record, Sequence[Event]]]:
        """Return records of the scope with their history, deleted ones too, by rid, after a rid."""

    @abstractmethod
    def archive_items(self, after: int, limit: int, *, at: int) -> Sequence[tuple[ItemRow, Sequence[str]]]:
        """Return items that have not expired with the texts they are found by, by number, after a number."""

    # Jobs: work that must be finished.

    @abstractmethod
    def claim(self, worker: str, *, ids: Sequence[str] | None = None, limit: int = 10) -> Sequence[Job]:
        """Claim jobs that wait, failed, or whose worker is gone, oldest first, for this worker.

        One that is not due yet is claimed only by its id.
        """

    @abstractmethod
    def release(self, job_id: str, *, error: str | None, waiting: bool = False) -> None:
        """Give a claimed job back: failed with a (text-free) reason, or waiting for anyone."""

    @abstractmethod
    def jobs(self, states: Sequence[str] = ("waiting", "running", "failed")) -> Sequence[Job]:
        """Return unfinished jobs, oldest first."""

    # The outbox: what external indexes still have to follow.

    @abstractmethod
    def lease(self, index: str, holder: str, seconds: float) -> bool:
        """Take or renew the lease on an index's outbox; False while another live holder has it."""

    @abstractmethod
    def release_lease(self, index: str, holder: str) -> None:
        """Give the lease back."""

    @abstractmethod
    def outbox(self, index: str, limit: int) -> Sequence[OutboxEntry]:
        """Return the oldest entries, in order."""

    @abstractmethod
    def outbox_done(self, index: str, up_to: int, memory_ids: Sequence[str] | None = None) -> None:
        """Remove entries up to a sequence number (of these memories only, where given)."""

    @abstractmethod
    def outbox_size(self) -> Mapping[str, int]:
        """Return the number of waiting entries per index."""

    @abstractmethod
    def enqueue_all(self, index: str) -> int:
        """Put every live record into an index's outbox (for a rebuild) and return how many."""

    # Housekeeping.

    @abstractmethod
    def owners(
        self, *, kind: str = "user", prefix: str | None = None, limit: int = 100, after: str | None = None
    ) -> Sequence[OwnerRow]:
        """Return owners of a kind ordered by id, after a given id."""

    @abstractmethod
    def forget(
        self, operation_id: str, at: int, *, scope: ReadScope | None = None, ids: Sequence[str] | None = None
    ) -> ForgetCounts:
        """Erase records with their history, messages, jobs, results, hashes and vectors so that no byte stays.

        With `ids`, messages that only these memories rest on go too. Leaves one text-free FORGET event a memory.
        External indexes get outbox rows for the ids.
        """

    @abstractmethod
    def finish_erasure(self) -> bool:
        """Finish an erasure that others held up, with the last bytes of deleted items; return whether all is done."""

    @abstractmethod
    def info(self) -> LedgerInfo:
        """Return what the ledger says of itself."""

    @abstractmethod
    def check(self) -> None:
        """Return when the file is sound and writable.

        Raises:
            CorruptLedgerError: It is damaged.
            BackendUnavailableError: It cannot be written.
        """

    @abstractmethod
    def reset(self) -> None:
        """Erase everything, the remembered embedder too."""
