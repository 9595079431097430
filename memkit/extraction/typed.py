"""Typed records out of an answer: each value is what a message says, or what is on file already."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from memkit.extraction.align import Words
from memkit.extraction.negation import content
from memkit.extraction.polarity import contradiction
from memkit.extraction.text import fold
from memkit.extraction.verify import Evidence, Ground, unlicensed
from memkit.extraction.windows import Part
from memkit.prompts.extract import ExtractedMemory
from memkit.prompts.records import ExtractedRecord, RecordAction
from memkit.schemas import Data, Schema, Schemas
from memkit.types import Origin

_MAX_LEAVES: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownRecord:
    """A record on file, or one that an earlier part of the conversation gave."""

    kind: str
    data: Data

    @property
    def line(self) -> str:
        """The record as the prompt shows it."""
        return f"{self.kind} {json.dumps(self.data, ensure_ascii=False)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordCandidate:
    """A record, or what is new of it, that its message proves."""

    schema: Schema
    values: Data
    """What was said, by the names of data; fields that are left out stay as they are on file."""
    action: RecordAction
    message: int
    """Index of the message it rests on, in what was given, from 0."""
    quote: str
    origin: Origin
    notes: tuple[str, ...] = ()
    """What was left out of it, and why."""

    @property
    def text(self) -> str:
        """What was said, as one line."""
        return self.schema.line_of(self.values)


def known_after(known: Sequence[KnownRecord], records: Sequence[RecordCandidate]) -> list[KnownRecord]:
    """Return what is known of each record once others have been read, each record once."""
    found = [one for n, one in enumerate(known) if one not in known[:n]]
    for record in records:
        schema = record.schema
        key = schema.key_of(record.values)
        same = [one for one in found if one.kind == schema.kind and schema.key_of(one.data) == key]
        found = [one for one in found if one not in same]
        if record.action != "retract":
            before = same[-1].data if same else {}
            found.append(KnownRecord(kind=schema.kind, data={**before, **record.values}))
    return found


class RecordJudge:
    """Judges the records of one answer against the turns that it was given."""

    def __init__(
        self,
        schemas: Schemas,
        evidence: Evidence,
        parts: Sequence[Part],
        known: Sequence[KnownRecord],
        origin: Origin | None,
    ) -> None:
        self._schemas = schemas
        self._evidence = evidence
        self._parts = parts
        self._known = known
        self._origin: Origin | None = origin

    def judge(self, record: ExtractedRecord) -> RecordCandidate | str:
        """Return what is proved of a record, or why it is rejected."""
        schema = self._schemas.named(record.kind)
        if schema is None:
            return f"there is no schema of the kind {record.kind!r}"
        values = _by_name(schema, record.data)
        for name in schema.key_names:
            if values.get(name) in (None, "", []):
                return f"the field {name!r} of its key is not given"
        text = schema.line_of(values)
        ground = self._evidence.ground(_proof(record, text), any_role=self._origin is not None)
        if isinstance(ground, str):
            return ground
        current = self._current(schema, values)
        notes: list[str] = []
        if record.action == "retract":
            old = text if current is None else schema.line_of(current)
            if not self._evidence.ends(text, old, ground):
                return "the message says nothing of what it ends"
        elif record.action == "set":
            reason = self._keep_proved(record, schema, values, current or {}, ground, notes)
            if reason is not None:
                return reason
        part = self._parts[ground.number - 1]
        origin: Origin = self._origin or origin_of(part.turn.role)
        return RecordCandidate(
            schema=schema,
            values=values,
            action=record.action,
            message=part.index,
            quote=record.quote.strip(),
            origin=origin,
            notes=tuple(notes),
        )

    def _keep_proved(
        self,
        record: ExtractedRecord,
        schema: Schema,
        values: Data,
        current: Data,
        ground: Ground,
        notes: list[str],
    ) -> str | None:
        """Take out of the values what nobody said; return why the whole record is rejected, or None."""
        for name, value in list(values.items()):
            reason = None if current.get(name) == value else _unproved(record, schema, name, value, ground)
            if reason is None:
                continue
            if name in schema.key_names:
                return reason
            del values[name]
            notes.append(f"{name} is left out: {reason}")
        if notes and not any(name not in schema.key_names for name in values):
            return notes[0]
        new = {name: value for name, value in values.items() if current.get(name) != value}
        return "the message says nothing of it" if self._unsaid(schema, new, ground) else None

    def _current(self, schema: Schema, values: Data) -> Data | None:
        key = schema.key_of(values)
        found = [
            one.data for one in self._known if one.kind == schema.kind and schema.key_of(one.data) == key
        ]
        return found[-1] if found else None

    def _unsaid(self, schema: Schema, new: Data, ground: Ground) -> bool:
        """Return whether words were made up: several, and not one of them was said."""
        texts = [
            leaf
            for name, value in new.items()
            if not schema.is_choice(name)
            for leaf in _leaves(value)
            if isinstance(leaf, str)
        ]
        said = Words(" . ".join([ground.turn.text[:20_000], ground.words.folded]))
        return self._evidence.unsaid(fold(" . ".join(texts)), said)


_ORIGINS: Final[Mapping[str, Origin]] = {"user": "user", "assistant": "assistant", "tool": "tool"}


def origin_of(role: str) -> Origin:
    """Return the origin that follows from a role."""
    return _ORIGINS.get(role, "user")


def _by_name(schema: Schema, data: Mapping[str, Any]) -> Data:
    """Return what was given for fields of the schema, by their names in data; null is what was not said."""
    return {
        alias: data[given]
        for name, alias in schema.fields.items()
        for given in (alias, name)
        if data.get(given) is not None
    }


def _proof(record: ExtractedRecord, text: str) -> ExtractedMemory:
    return ExtractedMemory(text=text, message=record.message, quote=record.quote)


def _unproved(
    record: ExtractedRecord, schema: Schema, name: str, value: object, ground: Ground
) -> str | None:
    """Return what of a value nobody said, or None.

    A choice among given values may be what the model makes of other words; everything else has the names, numbers and
    dates of the message, and does not say yes where it says no.
    """
    about = fold(f"{schema.kind} {name}".replace("_", " "))
    for leaf in _leaves(value):
        if isinstance(leaf, bool):
            said = name.replace("_", " ") if leaf else ""
        else:
            said = "" if schema.is_choice(name) else _written(leaf)
            reason = unlicensed(_proof(record, f"= {said}"), ground) if said else None
            if reason is not None:
                return reason
        if said and _stands(said, ground):
            reason = contradiction(f"{about} {fold(said)}", ground.quote, ground.near)
            if reason is not None:
                return reason
    return None


def _written(leaf: object) -> str:
    """Return a value as it may have been said; of an instant, its day."""
    if isinstance(leaf, float):
        return f"{leaf:g}"
    text = str(leaf)
    return text[:10] if len(text) > 10 and text[10] == "T" and text[:4].isdigit() else text


def _stands(said: str, ground: Ground) -> bool:
    quoted = Words(ground.quote)
    return any(quoted.has_word(word) or word in quoted.folded for word in content(fold(said)))


def _leaves(value: object) -> Iterator[object]:
    """Yield the values inside lists and objects."""
    waiting, count = [value], 0
    while waiting and count < _MAX_LEAVES:
        one = waiting.pop()
        count += 1
        if isinstance(one, Mapping):
            waiting.extend(cast("Mapping[str, object]", one).values())
        elif isinstance(one, list):
            waiting.extend(cast("list[object]", one))
        elif one is not None:
            yield one
