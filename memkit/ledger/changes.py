"""The changes of one batch, as rows to write: what is added, what is edited, and what is refused.

What a ledger has to be asked meanwhile, and how it writes, is its own; the rest is the same for every SQL ledger.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol

from ..errors import IdempotencyError, InvalidInputError
from ..scope import Scope
from .base import (
    EDITABLE,
    OWNER_SHIFT,
    AddRecord,
    Applied,
    Batch,
    ChangeOutcome,
    EditRecord,
    Operation,
    Record,
    SourceRef,
    StoredMessage,
)
from .editing import Pending, RecordEditor, Words
from .owner_states import OwnerState
from .rows import (
    ADD,
    CODES,
    Row,
    column,
    dump,
    dump_data,
    dump_sources,
    ids_of,
    load_sources,
    operation_of,
    record_of,
)


class Refused(Exception):
    """The batch may not be written; carries what to answer. Raised so that the transaction is rolled back."""

    def __init__(self, applied: Applied) -> None:
        super().__init__("refused")
        self.applied = applied


class Owners(Protocol):
    """The owners of one batch."""

    def of_scope(self, scope: Scope) -> OwnerState:
        """Return the row of a scope's owner."""
        ...

    def numbered(self, number: int) -> OwnerState:
        """Return the row of an owner that is known by its number."""
        ...


def brings(batch: Batch) -> bool:
    """Return whether a batch makes the row of an owner that has none yet."""
    return bool(
        batch.messages
        or batch.job is not None
        or batch.key is not None
        or any(isinstance(change, AddRecord) for change in batch.changes)
    )


def replayed(row: Row, batch: Batch, key: str) -> Operation | None:
    """Return the earlier operation of the batch's key; None where it is the one that the batch finishes.

    Raises:
        IdempotencyError: It was of other content.
    """
    found = operation_of(row)
    if batch.finishes == found.id:
        return None
    if found.digest != batch.digest:
        raise IdempotencyError(
            f"The idempotency key {key!r} was used before with other content (operation {found.id}). "
            "Use a new key for new content.",
            key=key,
            operation_id=found.id,
        )
    return found


def forgotten(batch: Batch) -> Applied:
    """Return the answer to a batch whose job was forgotten while it was being worked on: it rests on erased text."""
    gone = [ChangeOutcome(status="refused", record=None) for _ in batch.changes]
    return Applied(changes=gone, refused=True)


class ChangeWriter(ABC):
    """Turns the changes of one batch into rows that wait in `pending`."""

    def __init__(self, book: Words, batch: Batch, owners: Owners, pending: Pending) -> None:
        self._book, self._batch, self._owners, self._pending = book, batch, owners, pending
        self._editor: RecordEditor | None = None
        self._rows: dict[bytes | str, Row] = {}
        """Records that are edited, as they are now."""
        self._dedup: dict[tuple[int, bytes], Record | None] = {}
        """What stands for a digest, as far as it was asked."""
        self._outbox: list[tuple[int, bytes | str]] = []
        self._added: set[bytes | str] = set()
        """Records of this batch."""
        self._first: int | None = None
        self._last: int | None = None
        self._op = 0

    # ------------------------------------------------------------------------------------- what a ledger knows

    @abstractmethod
    def _raw_id(self, text: str) -> bytes | str:
        """Return an id as the ledger reads it."""

    @abstractmethod
    def _id_column(self, raw_id: bytes | str) -> object:
        """Return an id as it is written."""

    @abstractmethod
    def _number(self) -> int:
        """Return the next number for an event."""

    @abstractmethod
    def _look_up(self) -> None:
        """Read at once what many changes will ask for one by one."""

    @abstractmethod
    def _duplicate(self, owner: OwnerState, dedup: bytes) -> Record | None:
        """Return the live, current record that stands for a digest."""

    @abstractmethod
    def _fetch_row(self, raw_id: bytes | str) -> None:
        """Have the `RECORD_SELECT` row of a memory, as the batch has left it so far, in `_rows` if there is one."""

    @abstractmethod
    def _taken(self, place: tuple[int, bytes]) -> bool:
        """Return whether a record already stands for a digest of an owner."""

    @abstractmethod
    def _edited(self, before: Row, after: Row) -> None:
        """Note that a record stands for another digest now, or for none."""

    def _row(self, raw_id: bytes | str) -> Row | None:
        """Return the `RECORD_SELECT` row of a memory as the batch has left it so far."""
        if raw_id not in self._rows and raw_id in self._added:
            self._fetch_row(raw_id)
        return self._rows.get(raw_id)

    # ------------------------------------------------------------------------------------- operation

    def _result(self, applied: Applied) -> str | None:
        render = self._batch.render
        return (render(applied) or None) if render is not None else None

    # ------------------------------------------------------------------------------------- changes

    def _write_changes(self, messages: Sequence[StoredMessage]) -> list[ChangeOutcome]:
        outcomes: list[ChangeOutcome] = []
        refused = False
        self._look_up()
        for place, change in enumerate(self._batch.changes):
            if change.after is not None and self._skips(place, change.after, outcomes):
                outcome = ChangeOutcome(status="skipped", record=None)
            elif isinstance(change, EditRecord):
                outcome = self._edit(change, write=not refused)
                refused = refused or outcome.status != "applied"
            elif refused:
                outcome = ChangeOutcome(status="refused", record=None)
            else:
                outcome = self._add(change, messages)
                refused = outcome.status == "stale"
            outcomes.append(outcome)
        if refused:
            kept = ("stale", "missing", "forbidden")
            raise Refused(
                Applied(
                    changes=[
                        o if o.status in kept else ChangeOutcome(status="refused", record=None)
                        for o in outcomes
                    ],
                    refused=True,
                )
            )
        return outcomes

    def _skips(self, place: int, after: int, outcomes: Sequence[ChangeOutcome]) -> bool:
        if not 0 <= after < place:
            raise InvalidInputError(
                f"Change {place} waits for change {after}, which does not come before it."
            )
        return outcomes[after].status in ("duplicate", "skipped")

    def _next_seq(self, owner: OwnerState) -> int:
        seq = self._last = self._number()
        if self._first is None:
            self._first = seq
        owner.event = seq
        return seq

    def _add(self, add: AddRecord, messages: Sequence[StoredMessage]) -> ChangeOutcome:
        owner = self._owners.of_scope(add.scope)
        dedup = add.dedup if add.valid_until is None else None
        if dedup is not None and (same := self._standing(owner, dedup)) is not None:
            # What was merged with an earlier record has to be merged with this one.
            return ChangeOutcome(status="duplicate" if add.slot is None else "stale", record=same)
        message = None if add.message is None else messages[add.message]
        if message is not None and message.rid >> OWNER_SHIFT != owner.no:
            raise InvalidInputError(
                f"Memory {add.id} rests on a message of another owner. Store both in one scope."
            )
        batch, scope, salt = self._batch, add.scope, self._book.salt
        rid = (owner.no << OWNER_SHIFT) | owner.next_n
        owner.next_n += 1
        owner.memories += 1
        seq = self._next_seq(owner)
        at = batch.at if add.at is None else add.at
        created_at = add.created_at
        if message is not None and not (add.dated or message.dated):
            created_at = max(created_at, message.created_at)  # in its turn, as the message is
        verbatim = message is not None and message.text == add.text
        raw_id = self._raw_id(add.id)
        sources = dump_sources(salt, add.sources) if add.sources else None
        if sources is None and message is not None and not verbatim:
            sources = dump_sources(salt, [SourceRef(message_id=message.id)])
        pointed = message.rid if verbatim and message is not None else None
        since = None if add.valid_from == created_at else add.valid_from
        self._pending.records.append(
            (
                rid, self._id_column(raw_id), owner.no, seq, None if verbatim else add.text, pointed, add.kind,
                scope.agent_id, scope.run_id, dump(add.metadata), 1, created_at, at, since, add.valid_until,
                add.expires_at, int(add.dated), add.actor_id, add.role, add.origin, sources, dump(add.entities),
                int(add.pinned), 0, 0, add.dedup, None if add.data is None else dump_data(add.data), add.slot,
                dump(add.relations),
            )
        )  # fmt: skip
        self._added.add(raw_id)
        self._pending.words.append((rid, self._book.words(add.actor_id, add.text)))
        if add.vector is not None:
            self._pending.vectors.append((rid, add.vector))
        if add.tokens is not None:
            self._pending.tokens.append((rid, add.tokens))
        self._pending.events.append((seq, self._op, owner.no, rid, ADD, at, None, add.reason, add.actor))
        self._outbox.append((rid, raw_id))
        record = Record(
            rid=rid,
            id=add.id,
            text=add.text,
            kind=add.kind,
            user_id=scope.user_id,
            agent_id=scope.agent_id,
            run_id=scope.run_id,
            metadata=add.metadata,
            version=1,
            created_at=created_at,
            updated_at=at,
            valid_from=created_at if add.valid_from is None else add.valid_from,
            valid_until=add.valid_until,
            expires_at=add.expires_at,
            dated=add.dated,
            actor_id=add.actor_id,
            role=add.role,
            origin=add.origin,
            sources=tuple(add.sources)
            or load_sources(salt, sources, pointed, message.id if message else None),
            entities=tuple(add.entities),
            pinned=add.pinned,
            deleted=False,
            data=add.data,
            slot=add.slot,
            relations=add.relations,
        )
        if add.entities or add.relations:
            self._pending.graph.append((rid, record))
        if dedup is not None:
            self._dedup[owner.no, dedup] = record
        return ChangeOutcome(status="applied", record=record)

    def _standing(self, owner: OwnerState, dedup: bytes) -> Record | None:
        """Return the record that stands for a digest; one whose time has passed makes way for the next."""
        same = self._duplicate(owner, dedup)
        if same is None or same.expires_at is None or same.expires_at > self._batch.at:
            return same
        self._pending.flush()
        self._fetch_row(self._raw_id(same.id))
        gone = EditRecord(
            id=same.id, expected_version=None, event="EXPIRE", set={"deleted": True}, reason="expired"
        )
        self._edit(gone, write=True)
        self._pending.flush()
        return None

    # ------------------------------------------------------------------------------------- edits

    def _edit(self, edit: EditRecord, *, write: bool) -> ChangeOutcome:
        unknown = [name for name in edit.set if name not in EDITABLE]
        if unknown or edit.event not in CODES:
            raise InvalidInputError(
                f"An edit may set {', '.join(EDITABLE)} with event {', '.join(CODES)}; "
                f"not {', '.join(unknown) or edit.event!r}."
            )
        row = self._row(self._raw_id(edit.id))
        if row is None:
            return ChangeOutcome(status="missing", record=None)
        owner = self._owners.numbered(column(row, "owner"))
        salt, (user, agent, run) = self._book.salt, ids_of(row, owner.owner)
        was_deleted = bool(column(row, "deleted"))
        if edit.scope is not None and not edit.scope.allows(user, agent, run):
            return ChangeOutcome(status="forbidden", record=None)
        if edit.expected_version is not None and edit.expected_version != column(row, "version"):
            return ChangeOutcome(status="stale", record=record_of(row, owner.owner, salt))
        if was_deleted and edit.set.get("deleted") is not False:
            return ChangeOutcome(status="missing", record=record_of(row, owner.owner, salt))
        if not write:
            return ChangeOutcome(status="refused", record=None)
        rid, raw_id = column(row, "rid"), column(row, "id")
        if self._editor is None:
            self._editor = RecordEditor(self._book, self._pending, self._batch.at, self._taken)
        after, delta = self._editor.edit(edit, row)
        self._rows[raw_id] = after
        self._edited(row, after)
        owner.memories += int(was_deleted) - int(bool(column(after, "deleted")))
        at = self._batch.at if edit.at is None else edit.at
        record = record_of(after, owner.owner, salt)
        if "entities" in edit.set or "relations" in edit.set:
            self._pending.graph.append((rid, record))
        code, seq = CODES[edit.event], self._next_seq(owner)
        self._pending.events.append((seq, self._op, owner.no, rid, code, at, delta, edit.reason, edit.actor))
        self._outbox.append((rid, raw_id))
        return ChangeOutcome(status="applied", record=record)
