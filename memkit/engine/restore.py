"""Bringing back what an export holds: the ids, times, sources and history of before, in one transaction a call."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING, Final, TypeAlias
from uuid import NAMESPACE_URL, uuid5

from ..clock import now_us, to_us
from ..errors import ConflictError
from ..extraction.messages import InputMessage
from ..ledger.base import AddRecord, Batch, EditRecord, NewMessage, Record, SourceRef, StoredMessage
from ..ledger.items import ItemBatch, ItemPut
from ..scope import Owner, Scope
from ..types import MemoryItem, Message
from .archive import ArchivedItem, ArchivedMemory, ArchivedMessage
from .core import Engine, Meter, new_id
from .digests import fact_digest, record_digest, turn_digest
from .embed import embed_documents, embed_memories
from .outbox import drain
from .start import ready
from .turns import embedded_text

if TYPE_CHECKING:
    from ..ledger.records import Vector

_Embedded: TypeAlias = "tuple[Vector | None, bytes | None]"
"""The vector and the tokens of a memory, where it has any."""

IMPORTED_ID: Final = "imported_id"
"""The key of metadata that keeps the id of before, where it belongs to another owner's memory already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What became of a piece of an export."""

    operation_id: str
    memories: int = 0
    messages: int = 0
    present: int = 0
    """Memories that were there already, deleted ones too."""
    conflicts: list[str] = field(default_factory=list[str])
    """Ids of what is there with other content, and was left as it is."""
    pending: list[str] = field(default_factory=list[str])


async def restore(
    engine: Engine,
    messages: Sequence[ArchivedMessage],
    memories: Sequence[ArchivedMemory],
    *,
    vectors: Mapping[str, Vector] | None = None,
    source: str | None = None,
) -> Restored:
    """Store messages and memories of one owner as an export describes them; what is there already is left alone.

    No model is called. Texts are embedded again, so the export of a store with any embedder fits. A memory that is
    there with other content, or whose place another one has taken, is a conflict, and is left as it is.

    Args:
        engine: Where to.
        messages: Turns, which come before the memories that are their words.
        memories: Of the same owner.
        vectors: Unit vectors of the store's own embedder by id, which are taken instead of embedding again.
        source: The index that the memories were read from, which has them already.

    Raises:
        ScopeError: A record names no owner.
        EmbedderMismatchError: The store was made with another embedder.
        BackendError: The embedder or the ledger is down; nothing was written.
    """
    await ready(engine, write=True, repairing=source is not None)
    operation_id = new_id()
    sorted_out = await _sort_out(engine, messages, memories)
    fresh, conflicts = sorted_out.fresh, sorted_out.conflicts
    kept = sorted_out.messages
    meter = Meter()
    embedded = await _embedded(engine, fresh, vectors or {}, meter)
    while fresh or sorted_out.new_messages:
        parts = [
            _changes(item, embedded.get(item.id, (None, None)), kept, sorted_out.places) for item in fresh
        ]
        applied = await engine.apply(
            Batch(
                embedder=meter.embedder,
                operation_id=operation_id,
                kind="import",
                owner=scope_of(memories[0] if memories else messages[0]).owner,
                at=now_us(),
                messages=kept,
                changes=[change for part in parts for change in part],
                indexes=[name for name in engine.parts.index_names() if name != source],
                worker=engine.parts.worker_id,
            )
        )
        starts = accumulate((len(part) for part in parts[:-1]), initial=0)
        firsts = [applied.changes[start].status for start in starts] if parts else []
        if applied.refused:
            # Another record stands in the slot of a typed one: that one is left out.
            taken = {item.id for item, status in zip(fresh, firsts, strict=True) if status == "stale"}
            if not taken:
                raise ConflictError(
                    "Memories of this import were changed while they were written. Try again."
                )
            conflicts += sorted(taken)
            fresh = [item for item in fresh if item.id not in taken]
            continue
        written = sum(status == "applied" for status in firsts)
        return Restored(
            operation_id=operation_id,
            memories=written,
            messages=sorted_out.new_messages,
            present=len(memories) - written,
            conflicts=conflicts,
            pending=await drain(engine) if source is None else [],
        )
    return Restored(operation_id=operation_id, present=len(memories), conflicts=conflicts)


async def _embedded(
    engine: Engine, fresh: Sequence[ArchivedMemory], given: Mapping[str, Vector], meter: Meter
) -> dict[str, _Embedded]:
    """Return what memories are found by, of their ids: the vectors that are given, and new ones for the others."""
    found: dict[str, _Embedded] = {}
    lacking: list[ArchivedMemory] = []
    for item in fresh:
        if item.deleted:
            continue
        row = given.get(item.id)
        if row is None:
            row = given.get(str(item.metadata.get(IMPORTED_ID)))
        if row is None:
            lacking.append(item)
        else:
            found[item.id] = row, None
    if found:
        embedder = await engine.embedder()
        meter.embedder = embedder.identity, embedder.dim
    texts = [embedded_text(item.memory, item.kind, item.actor_id) for item in lacking]
    embedded = await embed_memories(engine, texts, meter)
    return found | {item.id: (embedded.vectors[n], embedded.tokens(n)) for n, item in enumerate(lacking)}


async def restore_items(engine: Engine, items: Sequence[ArchivedItem]) -> Restored:
    """Store items as an export describes them, in one transaction; what is there already is left alone."""
    await ready(engine, write=True)
    now = now_us()
    keys = [(tuple(item.namespace), item.key) for item in items]
    there = await engine.call(engine.ledger.items, keys, at=now)
    fresh = [item for item, known in zip(items, there, strict=True) if known is None]
    fresh = [item for item in fresh if item.expires_at is None or to_us(item.expires_at) > now]
    conflicts = [
        "/".join((*item.namespace, item.key))
        for item, known in zip(items, there, strict=True)
        if known is not None and known.value != item.value
    ]
    texts = list(dict.fromkeys(text for item in fresh for text in item.texts))
    meter = Meter()
    rows = await embed_documents(engine, texts, meter)
    batch = ItemBatch(
        at=now,
        changes=[_item_put(item) for item in fresh],
        vectors=dict(zip(texts, rows, strict=True)),
        embedder=meter.embedder,
    )
    if fresh:
        await engine.call(engine.ledger.write_items, batch)
    return Restored(
        operation_id="", memories=len(fresh), present=len(items) - len(fresh), conflicts=conflicts
    )


def _item_put(item: ArchivedItem) -> ItemPut:
    expires_at = None if item.expires_at is None else to_us(item.expires_at)
    return ItemPut(
        namespace=tuple(item.namespace),
        key=item.key,
        value=json.dumps(item.value, ensure_ascii=False, separators=(",", ":")),
        texts=item.texts,
        ttl=None if item.ttl is None else round(item.ttl * 1_000_000),
        was=(item.version, to_us(item.created_at), to_us(item.updated_at), expires_at),
    )


async def done_before(engine: Engine, owner: Owner, key: str) -> bool:
    """Return whether an operation of this idempotency key is finished."""
    if not await ready(engine, write=False):
        return False
    operation = await engine.call(engine.ledger.operation_by_key, owner, key)
    return operation is not None and operation.state == "done"


def scope_of(item: MemoryItem | Message) -> Scope:
    """Return the scope a memory or message of an export is stored under."""
    return Scope(user_id=item.user_id, agent_id=item.agent_id, run_id=item.run_id)


async def look(
    engine: Engine, messages: Sequence[ArchivedMessage], memories: Sequence[ArchivedMemory]
) -> Restored:
    """Return what `restore` would do, and write nothing."""
    if not await ready(engine, write=False):
        return Restored(operation_id="", memories=len(memories), messages=len(messages))
    found = await _sort_out(engine, messages, memories)
    return Restored(
        operation_id="",
        memories=len(found.fresh),
        messages=found.new_messages,
        present=len(memories) - len(found.fresh),
        conflicts=found.conflicts,
    )


@dataclass(slots=True, kw_only=True)
class _SortedOut:
    """What of a piece of an export has to be written."""

    fresh: list[ArchivedMemory]
    messages: list[NewMessage] = field(default_factory=list[NewMessage])
    """Those of the piece and, after them, those that its memories are the words of."""
    places: dict[tuple[Scope, str], int] = field(default_factory=dict[tuple[Scope, str], int])
    """Where in `messages` one is."""
    new_messages: int = 0
    conflicts: list[str] = field(default_factory=list[str])


async def _sort_out(
    engine: Engine, messages: Sequence[ArchivedMessage], memories: Sequence[ArchivedMemory]
) -> _SortedOut:
    """Compare a piece of an export with what is there; an id that another owner has is replaced by one made from it."""
    known = await _known(engine, [item.id for item in memories])
    out = _SortedOut(fresh=[])
    moved: list[ArchivedMemory] = []
    for item in memories:
        there = known.get(item.id)
        if there is None:
            out.fresh.append(item)
        elif _owner(there) != scope_of(item).owner:
            moved.append(_moved(item))
        elif _differs(there, item):
            out.conflicts.append(item.id)
    known = await _known(engine, [item.id for item in moved])
    out.fresh += [item for item in moved if item.id not in known]
    sources = [(item, source) for item in out.fresh if (source := _verbatim_source(item)) is not None]
    ids = list(dict.fromkeys([*(message.id for message in messages), *(source for _, source in sources)]))
    stored = {
        (Scope(user_id=row.user_id, agent_id=row.agent_id, run_id=row.run_id), row.id): row
        for row in (await engine.call(engine.ledger.messages_by_id, ids) if ids else ())
    }
    for message in messages:
        place = (scope_of(message), message.id)
        row = stored.get(place)
        if row is not None and row.content != message.content:
            out.conflicts.append(message.id)
        out.new_messages += row is None
        out.places[place] = len(out.messages)
        out.messages.append(_new_message(message) if row is None else _message_again(place[0], row))
    for item, source in sources:
        place = (scope_of(item), source)
        if place not in out.places and place in stored:
            out.places[place] = len(out.messages)
            out.messages.append(_message_again(place[0], stored[place]))
    return out


def _differs(there: Record, item: ArchivedMemory) -> bool:
    until = None if item.valid_until is None else to_us(item.valid_until)
    expires = None if item.expires_at is None else to_us(item.expires_at)
    if there.deleted or item.deleted:
        return not there.deleted and item.deleted
    return (there.text, there.kind, dict(there.metadata), there.valid_until, there.expires_at, there.pinned) != (
        item.memory, item.kind, item.metadata, until, expires, item.pinned
    )  # fmt: skip


async def _known(engine: Engine, ids: Sequence[str]) -> Mapping[str, Record]:
    if not ids:
        return {}
    return {record.id: record for record in await engine.call(engine.ledger.records, ids)}


def _owner(record: Record) -> Owner:
    return Scope(user_id=record.user_id, agent_id=record.agent_id, run_id=record.run_id).owner


def _moved(item: ArchivedMemory) -> ArchivedMemory:
    owner = scope_of(item).owner
    metadata = {IMPORTED_ID: item.id, **item.metadata}
    return item.model_copy(
        update={"id": str(uuid5(NAMESPACE_URL, f"{owner.kind}:{owner.id}:{item.id}")), "metadata": metadata}
    )


def _new_message(message: ArchivedMessage) -> NewMessage:
    return NewMessage(
        scope=scope_of(message),
        role=message.role,
        content=message.content,
        text=message.text,
        id=message.id,
        name=message.name,
        created_at=to_us(message.created_at),
        offset_minutes=message.offset_minutes,
        dated=message.dated,
        status=message.status,
        metadata=message.metadata,
        learned=message.learned,
        payload=message.payload,
    )


def _message_again(scope: Scope, row: StoredMessage) -> NewMessage:
    """Return a message that is there so that nothing of it changes."""
    return NewMessage(
        scope=scope,
        role=row.role,
        content=row.content,
        text=row.text,
        id=row.id,
        created_at=row.created_at,
        status=row.status,
        learned=row.learned,
    )


_VALUES: Final[Mapping[str, Callable[[ArchivedMemory], object]]] = {
    "memory": lambda item: item.memory,
    "kind": lambda item: item.kind,
    "metadata": lambda item: item.metadata,
    "valid_from": lambda item: to_us(item.valid_from),
    "valid_until": lambda item: None if item.valid_until is None else to_us(item.valid_until),
    "expires_at": lambda item: None if item.expires_at is None else to_us(item.expires_at),
    "pinned": lambda item: item.pinned,
    "entities": lambda item: [(entity.name, entity.kind) for entity in item.entities],
    "sources": lambda item: [SourceRef(message_id=s.message_id, quote=s.quote) for s in item.sources],
    "data": lambda item: item.data,
    "relations": lambda item: item.relations,
}
"""What an edit sets, by the name of the field in an export."""


def _changes(
    item: ArchivedMemory,
    embedded: _Embedded,
    kept: Sequence[NewMessage],
    places: Mapping[tuple[Scope, str], int],
) -> list[AddRecord | EditRecord]:
    """Return the first version of a memory and every change since."""
    states: list[ArchivedMemory] = [item]
    for change in reversed(item.changes):
        public = {name: value for name, value in change.before.items() if name in _VALUES}
        states.insert(0, ArchivedMemory.model_validate({**dict(states[0].items()), **public}))
    texts = [n for n, change in enumerate(item.changes) if "memory" in change.before]
    last_text = texts[-1] if texts else None
    edits: list[AddRecord | EditRecord] = []
    for n, (change, state) in enumerate(zip(item.changes, states[1:], strict=True)):
        values = {
            "text" if name == "memory" else name: _VALUES[name](state)
            for name in change.before
            if name in _VALUES
        }
        if "deleted" in change.before:
            values["deleted"] = not change.before["deleted"]
        vector, tokens = embedded if n == last_text else (None, None)
        stands = n == len(item.changes) - 1 and not item.deleted and item.valid_until is None
        edits.append(
            EditRecord(
                id=item.id,
                expected_version=None,
                event=change.event,
                set=values,
                vector=vector,
                tokens=tokens,
                dedup=_digest(item, scope_of(item), _verbatim_source(item)) if stands else None,
                reason=change.reason,
                actor=change.actor,
                at=to_us(change.at),
            )
        )
    first = (None, None) if texts else embedded
    return [_record(states[0], first, kept, places, stands=not item.changes), *edits]


def _verbatim_source(item: MemoryItem) -> str | None:
    """Return the id of the one message that a turn memory is the text of."""
    if item.role is None or len(item.sources) != 1 or item.sources[0].quote is not None:
        return None
    return item.sources[0].message_id


def _record(
    item: ArchivedMemory,
    embedded: _Embedded,
    kept: Sequence[NewMessage],
    places: Mapping[tuple[Scope, str], int],
    *,
    stands: bool,
) -> AddRecord:
    scope, source = scope_of(item), _verbatim_source(item)
    place = None if source is None else places.get((scope, source))
    verbatim = place is not None and kept[place].text == item.memory
    return AddRecord(
        id=item.id,
        scope=scope,
        text=item.memory,
        kind=item.kind,
        vector=embedded[0],
        tokens=embedded[1],
        message=place if verbatim else None,
        dedup=_digest(item, scope, source if verbatim else None) if stands and not _is_over(item) else None,
        metadata=item.metadata,
        created_at=to_us(item.created_at),
        valid_from=to_us(item.valid_from),
        valid_until=None if item.valid_until is None else to_us(item.valid_until),
        expires_at=None if item.expires_at is None else to_us(item.expires_at),
        dated=item.dated,
        actor_id=item.actor_id,
        role=item.role,
        origin=item.origin,
        sources=() if verbatim else [SourceRef(message_id=s.message_id, quote=s.quote) for s in item.sources],
        entities=[(entity.name, entity.kind) for entity in item.entities],
        pinned=item.pinned,
        reason="import" if item.recorded_at is None and item.reason is None else item.reason,
        actor=item.actor,
        at=None if item.recorded_at is None else to_us(item.recorded_at),
        data=item.data,
        slot=None if item.slot is None else bytes.fromhex(item.slot),
        relations=item.relations,
    )


def _is_over(item: ArchivedMemory) -> bool:
    """Return whether a memory was closed before it came here, so that another one may stand in its place."""
    return item.valid_until is not None and to_us(item.valid_until) <= now_us()


def _digest(item: ArchivedMemory, scope: Scope, source: str | None) -> bytes | None:
    """Return what the same turn, fact or record would be recognised by when it is added again."""
    if item.slot is not None:
        return record_digest(bytes.fromhex(item.slot), scope)
    if source is not None:
        turn = InputMessage(role=None, content=item.memory, text=item.memory, id=source)
        return turn_digest(turn, scope)
    extracted = item.kind != "message" and any(one.quote is not None for one in item.sources)
    return fact_digest(item.memory, scope) if extracted else None
