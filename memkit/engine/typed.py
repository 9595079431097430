"""Typed records: one current record per key, merged with what is known of it and superseded like a fact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..clock import now_us
from ..errors import InvalidInputError
from ..ledger.base import AddRecord, Change, Record, SourceRef
from ..schemas import Data, Schema
from ..scope import Owner, ReadScope, Scope
from .core import Engine, Meter, new_id
from .digests import record_digest, slot_digest
from .embed import embed_memories
from .past import superseded_by
from .steps import Step, as_written, closing, current
from .views import is_expired


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What was said of one record, by whom and when."""

    schema: Schema
    values: Data
    """Fields that are left out stay as they are known."""
    action: str = "set"
    scope: Scope
    created_at: int
    dated: bool = False
    actor: str | None = None
    role: str | None = None
    origin: str = "user"
    sources: Sequence[SourceRef] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    valid_from: int | None = None
    expires_at: int | None = None
    notes: str | None = None

    @property
    def slot(self) -> bytes:
        """What recognises the record that it is about."""
        return slot_digest(self.schema.kind, self.schema.key_of(self.values))


async def known_records(
    engine: Engine, owner: Owner, read: ReadScope, slots: Sequence[bytes]
) -> dict[bytes, list[Record]]:
    """Return the records that stand in slots and may be seen, oldest first."""
    found: dict[bytes, list[Record]] = {slot: [] for slot in slots}
    return await engine.rt.work(_read_slots, engine, owner, read, found) if found else found


def _read_slots(
    engine: Engine, owner: Owner, read: ReadScope, found: dict[bytes, list[Record]]
) -> dict[bytes, list[Record]]:
    now = now_us()
    for record in engine.ledger.in_slots(owner, list(found)):
        if (
            record.slot is not None
            and not is_expired(record, now)
            and read.allows(record.user_id, record.agent_id, record.run_id)
        ):
            found[record.slot].append(record)
    return found


class RecordPlan:
    """What was said of records, turned into changes against the records as they are now."""

    def __init__(self, said: Sequence[Said], owner: Owner, read: ReadScope) -> None:
        self.said = said
        self._owner = owner
        self._read = read
        self._known: dict[bytes, list[Record]] = {}

    async def load(self, engine: Engine) -> None:
        """Read the records as they are now."""
        slots = list(dict.fromkeys(one.slot for one in self.said))
        self._known = await known_records(engine, self._owner, self._read, slots)

    def steps(self, now: int) -> list[Step]:
        """Return one step for each record, in order; a later one builds on what an earlier one makes of the same."""
        known = {slot: current(records, now) for slot, records in self._known.items()}
        return [self._step(one, known, now) for one in self.said]

    def _step(self, one: Said, known: dict[bytes, list[Record]], now: int) -> Step:
        old = known[one.slot]
        last = old[-1] if old else None
        if one.action == "none":
            return self._as(one, "NONE", previous=last, reason="It is known already.")
        if one.action == "retract":
            return self._retract(one, known, now)
        if last is not None and one.created_at < last.created_at and not _repeats(one, last):
            one = _filling(one, last)
            if one.created_at < last.created_at:
                return self._past(one, last, now)
        known_fields = _known_fields(one.schema, last)
        # The key keeps the spelling that it has.
        key = {name: known_fields[name] for name in one.schema.key_names if name in known_fields}
        merged = {**known_fields, **one.values, **key}
        try:
            data = one.schema.checked(merged)
            if last is not None and data == last.data:
                return self._as(one, "NONE", previous=last, reason="It is known already.")
            new = _new(one, data, now)
        except InvalidInputError as error:
            return self._as(one, "REJECT", reason=error.message)
        start = now if new.valid_from is None else new.valid_from
        known[one.slot] = [as_written(new, now)]
        closed = [closing(r, start, superseded_by(new.id), one.actor, self._read) for r in old]
        event = "ADD" if last is None else "SUPERSEDE"
        return self._as(one, event, text=new.text, changes=[*closed, new], previous=last, reason=one.notes)

    def _retract(self, one: Said, known: dict[bytes, list[Record]], now: int) -> Step:
        old = known[one.slot]
        if not old:
            return self._as(one, "NONE", reason="There is nothing to retract.")
        known[one.slot] = []
        until = min(one.created_at, now)
        return self._as(
            one,
            "SUPERSEDE",
            text=old[-1].text,
            changes=[closing(record, until, "retracted", one.actor, self._read) for record in old],
            previous=old[-1],
            reason="It is no longer true.",
        )

    def _past(self, one: Said, last: Record, now: int) -> Step:
        """What was said before what is known now is kept as past; it is merged with nothing."""
        try:
            new = _new(one, one.schema.checked(one.values), now, until=last.valid_from)
        except InvalidInputError as error:
            return self._as(one, "REJECT", reason=f"It was said before what is known now. {error.message}")
        reason = "It was said before what is known now, and is kept as past."
        return self._as(one, "ADD", text=new.text, changes=[new], previous=last, reason=reason)

    def _as(self, one: Said, event: str, *, text: str | None = None, **more: Any) -> Step:
        shown = one.schema.line_of(one.values) if text is None else text
        return Step(shown, event, actor=one.actor, role=one.role, **more)


def _repeats(one: Said, last: Record) -> bool:
    """Return whether a record says nothing that differs from what is known."""
    known = _known_fields(one.schema, last)
    return all(name in one.schema.key_names or known.get(name) == value for name, value in one.values.items())


def _filling(one: Said, last: Record) -> Said:
    """Return what was said before a record, as far as it fills in what the record leaves open; else it as it is."""
    known = _known_fields(one.schema, last)
    values = {
        name: value
        for name, value in one.values.items()
        if name in one.schema.key_names or known.get(name) in (None, "", [], {})
    }
    if all(name in one.schema.key_names for name in values):
        return one
    late = [name for name, value in one.values.items() if name not in values and value != known.get(name)]
    notes = [one.notes, f"{', '.join(late)}: said before what is known now" if late else None]
    return replace(
        one,
        values=values,
        created_at=last.created_at,
        dated=last.dated,
        notes="; ".join(note for note in notes if note) or None,
    )


def _known_fields(schema: Schema, last: Record | None) -> Data:
    """Return what is known of a record, as far as its schema still has the fields."""
    known = (last and last.data) or {}
    if schema.model.model_config.get("extra") == "allow":
        return dict(known)
    names = set(schema.fields.values())
    return {name: value for name, value in known.items() if name in names}


def _new(one: Said, data: Data, now: int, until: int | None = None) -> AddRecord:
    slot = one.slot
    start = min(one.created_at, now) if one.valid_from is None else one.valid_from
    return AddRecord(
        id=new_id(),
        scope=one.scope,
        text=one.schema.text_of(data),
        kind=one.schema.kind,
        vector=None,
        dedup=record_digest(slot, one.scope),
        metadata=one.metadata,
        created_at=one.created_at,
        valid_from=start if until is None else min(start, until),
        valid_until=until,
        expires_at=one.expires_at,
        dated=one.dated,
        actor_id=one.actor,
        role=one.role,
        origin=one.origin,
        sources=one.sources,
        reason=one.notes,
        actor=one.actor,
        data=data,
        slot=slot,
    )


async def embed_new(
    engine: Engine, changes: Sequence[Change], vectors: dict[str, Any], meter: Meter, *, checked: bool = True
) -> None:
    """Embed the new texts of changes that have no vector yet, in one request; `checked` as in `embed_memories`."""
    texts = [
        change.text for change in changes if isinstance(change, AddRecord) and change.text not in vectors
    ]
    if texts:
        embedded = await embed_memories(engine, texts, meter, checked=checked)
        vectors.update((text, (embedded.vectors[n], embedded.tokens(n))) for n, text in enumerate(texts))
