"""One step of what a call decided: the changes it makes, or why it makes none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..ledger.base import AddRecord, Applied, Change, EditRecord, Record
from ..scope import ReadScope
from ..types import AddOutcome, unchecked
from .views import is_current


@dataclass(slots=True)
class Step:
    """What becomes of one thing that was extracted or given."""

    text: str
    event: str
    actor: str | None = None
    role: str | None = None
    changes: list[Change] = field(default_factory=list[Change])
    previous: Record | None = None
    reason: str | None = None
    first: int = 0
    """Index of its first change among those of all steps."""

    def outcome(self, applied: Applied) -> AddOutcome:
        """Return what became of it once everything is written."""
        event, reason, record = self.event, self.reason, self.previous
        if self.changes:
            last = applied.changes[self.first + len(self.changes) - 1]
            record = last.record
            if last.status == "duplicate" and event == "ADD":
                event, reason = "NONE", "It is known already."
        replaced = self.previous if event == "SUPERSEDE" else None
        return unchecked(
            AddOutcome,
            {
                "id": None if record is None else record.id,
                "memory": self.text,
                "event": event,
                "previous_memory": None if replaced is None else replaced.text,
                "reason": reason,
                "actor_id": self.actor,
                "role": self.role,
            },
        )


def numbered(steps: Sequence[Step]) -> list[Step]:
    """Return the steps, each told where its changes begin."""
    place = 0
    for step in steps:
        step.first = place
        place += len(step.changes)
    return list(steps)


def changes_of(steps: Sequence[Step]) -> list[Change]:
    """Return the changes of all steps, in order."""
    return [change for step in steps for change in step.changes]


def with_vectors(changes: Sequence[Change], vectors: Mapping[str, tuple[Any, bytes | None]]) -> list[Change]:
    """Return the changes, now with the vector and the tokens of each new text."""
    for change in changes:
        if isinstance(change, AddRecord):
            change.vector, change.tokens = vectors[change.text]
    return list(changes)


def closing(old: Record, until: int, reason: str, actor: str | None, scope: ReadScope) -> EditRecord:
    """Return the change that ends a record's validity."""
    return EditRecord(
        id=old.id,
        expected_version=old.version,
        event="SUPERSEDE",
        set={"valid_until": max(until, old.valid_from)},
        reason=reason,
        actor=actor,
        scope=scope,
    )


def current(records: Sequence[Record], now: int) -> list[Record]:
    """Return those that hold at an instant."""
    return [record for record in records if is_current(record, now, now)]


def as_written(add: AddRecord, at: int) -> Record:
    """Return a new record as the ledger will hold it, for what the same batch does to it next."""
    return Record(
        rid=0,
        id=add.id,
        text=add.text,
        kind=add.kind,
        user_id=add.scope.user_id,
        agent_id=add.scope.agent_id,
        run_id=add.scope.run_id,
        metadata=add.metadata,
        version=1,
        created_at=add.created_at,
        updated_at=at,
        valid_from=add.created_at if add.valid_from is None else add.valid_from,
        valid_until=add.valid_until,
        expires_at=add.expires_at,
        dated=add.dated,
        actor_id=add.actor_id,
        role=add.role,
        origin=add.origin,
        sources=add.sources,
        entities=add.entities,
        pinned=add.pinned,
        deleted=False,
        data=add.data,
        slot=add.slot,
        relations=add.relations,
    )
