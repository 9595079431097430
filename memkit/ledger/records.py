"""What a ledger keeps and answers with: records, messages, batches, events, jobs.

Instants are microseconds in UTC. A record's `rid` is `owner number * 2**32 + n`, so one owner's rows lie together.
Nothing here is changed once it was handed on; what is made for every row is not frozen, which would treble its cost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..scope import Owner, ReadScope, Scope

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Vector = npt.NDArray[np.float32]
    Matrix = npt.NDArray[np.float32]

OWNER_SHIFT: Final = 32
Triple = tuple[str, str, str]
"""What a memory says of two entities: the name of one, a relation, the name of the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRef:
    """A message that a record rests on."""

    message_id: str
    quote: str | None = None


@dataclass(slots=True, kw_only=True)
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
    data: Mapping[str, Any] | None = None
    """The fields of a typed record."""
    slot: bytes | None = None
    """What recognises a typed record: a digest of its kind and of the values of its key."""
    relations: Sequence[Triple] = ()
    """What it says of its entities: (source, relation, target) names."""
    offset_minutes: int = field(default=0, compare=False)
    """Of the zone of the message whose words it was made of, 0 where there is none."""
    shown: Any = field(default=None, init=False, compare=False, repr=False)
    """What whoever shows records has made of it, to show it again; no ledger looks at it."""

    @property
    def owner(self) -> int:
        """The owner's number."""
        return self.rid >> OWNER_SHIFT


@dataclass(slots=True, kw_only=True)
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
    learned: bool = True
    payload: Mapping[str, Any] | None = None


@dataclass(slots=True, kw_only=True)
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
    learned: bool = True
    """False: only kept. The first batch that gives it again with True counts it as new; a deleted one kept again is
    active again."""
    payload: Mapping[str, Any] | None = None
    """JSON that an adapter needs to give the turn back as it was; no memory ever gets it."""


@dataclass(slots=True, kw_only=True)
class AddRecord:
    """A new record, written with an ADD event.

    `message` is the index of a message of the same batch that the record is the verbatim text of: the text is
    then stored once and the message is its source (unless `sources` says more). `dedup` is a digest of what makes a
    record the same as another live, current one; a second add of it is a duplicate and writes nothing, unless
    that one has expired: it gets its EXPIRE event then. `after` is the index of an earlier change of the batch that
    must have been applied (not a duplicate) for this one to be.
    `data` are the fields of a typed record, and `slot` a digest of its kind and of the values of its key.
    """

    id: str
    scope: Scope
    text: str
    kind: str
    vector: Vector | None
    tokens: bytes | None = None
    """Of its text, as whoever ranks has packed them; None for one that is compared by its vector alone."""
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
    at: int | None = None
    """When it was recorded, for an import; None: now, the batch's `at`."""
    data: Mapping[str, Any] | None = None
    slot: bytes | None = None
    relations: Sequence[Triple] = ()


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
    "data",
    "relations",
)


@dataclass(slots=True, kw_only=True)
class EditRecord:
    """A change of one record, written with its event and the values it had before.

    `set` holds new values of `EDITABLE` fields. `expected_version` must be the record's version, `scope` must allow
    it, else the whole batch is refused. `vector` and `tokens` replace the embedding (needed when `text` changes).
    `dedup` is the new digest; leaving the current state (deleted, or `valid_until` set) clears it by itself.
    """

    id: str
    expected_version: int | None
    event: str
    set: Mapping[str, Any]
    vector: Vector | None = None
    tokens: bytes | None = None
    dedup: bytes | None = None
    reason: str | None = None
    actor: str | None = None
    scope: ReadScope | None = None
    at: int | None = None
    """When it was recorded, for an import; None: now, the batch's `at`."""
    after: int | None = None
    """Index of an earlier change of the batch that must have been applied (not a duplicate) for this one to be."""


Change = AddRecord | EditRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class AliasChange:
    """An entity that is merged into another one by hand, or parted from it again (`root` None)."""

    scope: Scope
    """It holds for reads inside of it."""
    key: str
    root: str | None


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
    due: int | None = None
    """Not before this instant, unless somebody claims it by name. It takes in the jobs of the same scope and options
    that wait for theirs."""
    taken_in: str | None = None
    """The result that the operations it takes in get."""


@dataclass(slots=True, kw_only=True)
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
    aliases: Sequence[AliasChange] = ()
    statuses: Sequence[tuple[int, str]] = ()
    """(message rid, new status) pairs, set before `messages` are kept."""
    job: NewJob | None = None
    finishes: str | None = None
    key: str | None = None
    digest: bytes | None = None
    """Of the operation's content: recognises a failed call that is made again."""
    resumes: Callable[[], bytes] | None = None
    """Gives the digest of the call. Where a failed or abandoned job of the owner has the same, nothing is written and
    the job is the answer; asked for only while there are jobs."""
    undoes: str | None = None
    indexes: Sequence[str] = ()
    """External indexes that get an outbox row for every record changed."""
    render: Callable[[Applied], str | None] | None = None
    worker: str | None = None
    embedder: tuple[str, int] | None = None
    """Identity and dimension of the embedder of its vectors, remembered with the ledger's first ones."""


@dataclass(slots=True, kw_only=True)
class ChangeOutcome:
    """What became of one change.

    `applied`, `duplicate` (of `record`), `skipped` (its `after` was not applied); or, when the batch was refused,
    `stale` (another version: `record` as it is now), `missing`, `forbidden` (outside the edit's scope), `refused`.
    """

    status: str
    record: Record | None


@dataclass(slots=True, kw_only=True)
class Applied:
    """The outcome of a batch; nothing at all was written when `refused`, `replay` or `unfinished` is set."""

    messages: Sequence[StoredMessage] = ()
    """For each message given, the one kept."""
    new_messages: Sequence[bool] = ()
    """For each, whether it was not learned from before."""
    changes: Sequence[ChangeOutcome] = ()
    refused: bool = False
    replay: Operation | None = None
    """The earlier operation of the same idempotency key and content, or the one that `finishes` names when it is
    done already."""
    job: Job | None = None
    """The job that the batch made."""
    outlook: Outlook | None = None
    """Of the owner whose job it is, as of the batch, where the ledger knows it by then."""
    unfinished: Job | None = None
    """The job that the batch gave way to; nothing was written then."""


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
    erased: int = 0
    """How many of its events were forgotten since; where the events are asked for too."""


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
    due: int | None = None


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


class RankRow(NamedTuple):
    """What ranking has to know of a live record; named as there."""

    rid: int
    text: str
    speaker: str | None
    role: str | None
    session: str | None
    agent: str | None
    user: str | None
    created_at: int
    dated: bool
    kind: str
    valid_from: int
    valid_until: int | None
    expires_at: int | None
    updated_at: int = 0
    offset_minutes: int = 0

    @property
    def order(self) -> tuple[int, int]:
        """Its place inside a session."""
        return self.created_at, self.rid


@dataclass(frozen=True, slots=True)
class RowTest:
    """What records must pass: a predicate on payloads, and the fields of a payload that it looks at.

    Fields are those of a memory itself, and `metadata` for everything in it.
    """

    fields: frozenset[str]
    accepts: Callable[[Mapping[str, Any]], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerMark:
    """How much an owner (None: everyone) has, and how far it has come."""

    number: int | None
    memories: int
    """Live, current or closed."""
    event: int
    """The last event number, as a `Mark` has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What a search has to know before it ranks."""

    embedder: tuple[str, int] | None
    owners: Sequence[OwnerMark]
    """Those that may hold rows of the scope, by number; one without a number where that is everyone."""


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
    items: int = 0
    """Of the key-value store."""
