"""The system of record: what a ledger keeps and the few calls it answers.

Everything that changes goes through `apply`, one transaction a call. Everything else reads. Instants are
microseconds in UTC. A record's `rid` is `owner number * 2**32 + n`, so one owner's rows lie together.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final

from ..scope import Owner, ReadScope, Scope

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Vector = npt.NDArray[np.float32]
    Matrix = npt.NDArray[np.float32]

OWNER_SHIFT: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRef:
    """A message that a record rests on."""

    message_id: str
    quote: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One memory as the ledger holds it, at one version."""

    rid: int
    id: str
    text: str
    kind: str
    user_id: str | None
    agent_id: str | None
    run_id: str | None
    metadata: Mapping[str, Any]
    version: int
    created_at: int
    updated_at: int
    valid_from: int
    valid_until: int | None
    expires_at: int | None
    dated: bool
    """Whether `created_at` was given rather than taken from the clock."""
    actor_id: str | None
    role: str | None
    origin: str
    sources: Sequence[SourceRef]
    entities: Sequence[tuple[str, str]]
    """(name, kind) pairs."""
    pinned: bool
    deleted: bool

    @property
    def owner(self) -> int:
        """The owner's number."""
        return self.rid >> OWNER_SHIFT


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMessage:
    """One turn as the ledger holds it."""

    rid: int
    id: str
    role: str
    content: str | Sequence[Mapping[str, Any]]
    text: str
    """The words alone."""
    name: str | None
    created_at: int
    offset_minutes: int
    dated: bool
    status: str
    user_id: str | None
    agent_id: str | None
    run_id: str | None
    metadata: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMessage:
    """A turn to keep. `id` None: the ledger makes one. A given id that the run has already is the same message."""

    scope: Scope
    role: str
    content: str | Sequence[Mapping[str, Any]]
    text: str
    id: str | None = None
    name: str | None = None
    created_at: int
    offset_minutes: int = 0
    dated: bool = False
    status: str = "active"
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class AddRecord:
    """A new record, written with an ADD event.

    `message` is the index of a message of the same batch that the record is the verbatim text of: the text is then
    stored once and the message is its source (unless `sources` says more). `dedup` is a digest of what makes a record the same as another live,
    current one; a second add of it is a duplicate and writes nothing.
    """

    id: str
    scope: Scope
    text: str
    kind: str
    vector: Vector | None
    message: int | None = None
    dedup: bytes | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    created_at: int
    valid_from: int | None = None
    valid_until: int | None = None
    expires_at: int | None = None
    dated: bool = False
    actor_id: str | None = None
    role: str | None = None
    origin: str = "user"
    sources: Sequence[SourceRef] = ()
    entities: Sequence[tuple[str, str]] = ()
    pinned: bool = False
    reason: str | None = None
    actor: str | None = None
    after: int | None = None


EDITABLE: Final = (
    "text",
    "kind",
    "metadata",
    "valid_from",
    "valid_until",
    "expires_at",
    "pinned",
    "deleted",
    "entities",
    "sources",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EditRecord:
    """A change of one record, written with its event and the values it had before.

    `set` holds new values of `EDITABLE` fields. `expected_version` must be the record's version, `scope` must allow
    it, else the whole batch is refused. `vector` replaces the embedding (needed when `text` changes). `dedup` is the
    new digest; leaving the current state (deleted, or `valid_until` set) clears it by itself.
    """

    id: str
    expected_version: int | None
    event: str
    set: Mapping[str, Any]
    vector: Vector | None = None
    dedup: bytes | None = None
    reason: str | None = None
    actor: str | None = None
    scope: ReadScope | None = None
    after: int | None = None
    """Index of an earlier change of the batch that must have been applied (not a duplicate) for this one to be."""


Change = AddRecord | EditRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """Work that must be finished, now or by whoever opens the ledger next; its id is the operation's id."""

    kind: str
    payload: Mapping[str, Any]
    """JSON. The ledger adds `messages` (the rids of the batch's messages, in order) and `new` (for each, whether it
    was new)."""
    running: bool
    """True: this process works on it now (it is claimed by `worker`). False: anyone may claim it."""
    scope: Scope | None = None
    """Whose words the payload may hold, for `forget`; None: any of the owner's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One transaction.

    `message_records` in `AddRecord.message` refer to `messages`. `finishes` is the operation id of a job that this
    transaction completes (its operation is then this one's). `key` and `digest` make the operation idempotent:
    the key is unique per owner for good. `render` turns the outcome into the JSON that is stored as the result.
    """

    operation_id: str
    kind: str
    owner: Owner | None
    at: int
    messages: Sequence[NewMessage] = ()
    changes: Sequence[Change] = ()
    statuses: Sequence[tuple[int, str]] = ()
    """(message rid, new status) pairs."""
    job: NewJob | None = None
    finishes: str | None = None
    key: str | None = None
    digest: bytes | None = None
    """Of the operation's content: recognises a failed call that is made again."""
    undoes: str | None = None
    indexes: Sequence[str] = ()
    """External indexes that get an outbox row for every record changed."""
    render: Callable[[Applied], str | None] | None = None
    worker: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeOutcome:
    """What became of one change.

    `applied`, `duplicate` (of `record`), `skipped` (its `after` was not applied); or, when the batch was refused,
    `stale` (another version: `record` as it is now), `missing`, `forbidden` (outside the edit's scope), `refused`.
    """

    status: str
    record: Record | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """The outcome of a batch; nothing at all was written when `refused` or `replay` is set."""

    messages: Sequence[StoredMessage] = ()
    """For each message given, the one kept."""
    new_messages: Sequence[bool] = ()
    changes: Sequence[ChangeOutcome] = ()
    refused: bool = False
    replay: Operation | None = None
    """The earlier operation of the same idempotency key and content, or the one that `finishes` names when it is
    done already."""
    job: Job | None = None
    """The job that the batch made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One call that changed something."""

    id: str
    kind: str
    owner: int | None
    at: int
    state: str
    """`done`, `running`, `waiting` (a job for anyone) or `failed`."""
    key: str | None
    digest: bytes | None
    result: str | None
    undoes: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One change of one record. `before` and `after` are the states around it."""

    seq: int
    operation_id: str
    memory_id: str
    event: str
    before: Record | None
    after: Record | None
    reason: str | None
    actor: str | None
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Unfinished work; `id` is its operation's id."""

    id: str
    kind: str
    owner: int | None
    payload: Mapping[str, Any]
    state: str
    attempts: int
    error: str | None
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """How far a cache has read an owner (or the whole ledger)."""

    event: int = 0
    """The last event number seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """What changed since a mark: live records with their vectors, and rids that are deleted or gone."""

    mark: Mark
    records: Sequence[Record]
    vectors: Matrix | None
    """One row per record of `records`; None when there are none. A record without a vector has a zero row."""
    removed: Sequence[int]
    reset: bool = False
    """True: forget the cache and start from `records` alone (erasure, reset, or an unknown mark)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """Records by rid, in the order asked, without those that are gone; and the owners' last event numbers."""

    records: Sequence[Record]
    marks: Mapping[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerRow:
    """An owner with counts."""

    number: int
    owner: Owner
    memories: int
    """Live, current or closed."""
    messages: int
    last_change: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxEntry:
    """A record that an index has to follow."""

    seq: int
    memory_id: str
    rid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgetCounts:
    """What an erasure removed."""

    memory_ids: Sequence[str]
    messages: int
    events: int
    jobs: int
    results: int
    complete: bool = True
    """False: a reader kept the file in use; the last bytes go at the next open, close or erasure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerInfo:
    """What a ledger says of itself."""

    name: str
    location: str
    schema_version: int
    memories: int
    messages: int
    owners: int
    events: int
    jobs: int
    outbox: Mapping[str, int]
    bytes: int | None
    embedder: str | None
    dim: int | None


class Ledger(ABC):
    """The system of record. Thread-safe; safe with other processes; a forked child reopens by itself.

    Async twins are optional, as in every protocol: `aapply` is used where present.

    Every method may raise `BackendUnavailableError` (locked too long, unwritable, disk full; `.retryable` says
    whether trying again may help), `CorruptLedgerError`, `ConfigurationError` (a newer schema).
    """

    name: ClassVar[str]
    persistent: bool

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

    # Reading records.

    @abstractmethod
    def owner_number(self, owner: Owner) -> int | None:
        """Return the owner's number, None while nothing is stored for it."""

    @abstractmethod
    def owners_in(self, scope: ReadScope) -> Sequence[int] | None:
        """Return the numbers of owners that may hold rows of the scope; None means all of them."""

    @abstractmethod
    def changes(self, owner: int | None, since: Mark | None) -> Delta:
        """Return what changed for an owner (None: for all) since the mark; cheap when nothing did."""

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
    def records(self, ids: Sequence[str]) -> Sequence[Record]:
        """Return records by memory id, deleted ones too, in the order asked, without those that never were."""

    @abstractmethod
    def listing(
        self,
        scope: ReadScope,
        *,
        at: int,
        include_closed: bool = False,
        limit: int,
        after: tuple[int, int] | None = None,
    ) -> Sequence[Record]:
        """Return live records of the scope, newest `created_at` first, then highest rid; `after` is the last
        (created_at, rid) of the page before. Without `include_closed`: valid and not expired at the instant `at`."""

    @abstractmethod
    def standing(self, scope: ReadScope, *, at: int, limit: int) -> Sequence[Record]:
        """Return current records that hold whatever is asked: instructions, preferences and pinned ones.

        Oldest first (by rid), so that a prompt built from them keeps its prefix. Served by a partial index.
        """

    @abstractmethod
    def count(self, scope: ReadScope, *, at: int, include_closed: bool = False) -> int:
        """Return how many `listing` would give."""

    @abstractmethod
    def expired(self, now: int, limit: int) -> Sequence[Record]:
        """Return live records whose `expires_at` has passed and that have no EXPIRE event yet, oldest first."""

    @abstractmethod
    def keyword_candidates(self, owners: Sequence[int] | None, tokens: Sequence[str], limit: int) -> Sequence[int]:
        """Return rids that hold most of the tokens, best first, from the keyword index by rowid range."""

    @abstractmethod
    def vectors(self, owners: Sequence[int] | None, chunk: int = 8192) -> Iterator[tuple[Sequence[int], Matrix]]:
        """Yield (rids, matrix) of live records in chunks, in rid order."""

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
    ) -> Sequence[StoredMessage]:
        """Return the newest `limit` messages before a message id (str) or an instant (int), oldest first."""

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

    # Jobs: work that must be finished.

    @abstractmethod
    def unfinished(self, owner: Owner, digest: bytes) -> Job | None:
        """Return a failed or abandoned job of the same content, to resume it."""

    @abstractmethod
    def claim(self, worker: str, *, ids: Sequence[str] | None = None, limit: int = 10) -> Sequence[Job]:
        """Claim jobs that wait, failed, or whose worker is gone, oldest first, for this worker."""

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
