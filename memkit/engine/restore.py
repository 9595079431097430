"""Bringing back what an export holds: the ids, times and sources of before, in one transaction a call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import NAMESPACE_URL, uuid5

from ..clock import now_us, to_us
from ..extraction.messages import InputMessage
from ..ledger.base import AddRecord, Batch, NewMessage, Record, SourceRef
from ..scope import Owner, Scope
from ..types import MemoryItem, Message
from .core import Engine, Meter, new_id
from .digests import fact_digest, turn_digest
from .embed import embed_documents
from .outbox import drain
from .start import ready
from .turns import embedded_text

IMPORTED_ID: Final = "imported_id"
"""The key of metadata that keeps the id of before, where it belongs to another owner's memory already."""


class ArchivedMessage(Message):
    """A turn as an export holds it: what is public, and how its time was given."""

    seq: int = 0
    dated: bool = True
    """Whether `created_at` was given rather than taken from the clock."""
    offset_minutes: int = 0
    """The zone that `created_at` was given in, minutes east of UTC."""


class ArchivedMemory(MemoryItem):
    """A memory as an export holds it: what is public, and whether its time was given."""

    dated: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What became of a piece of an export."""

    operation_id: str
    memories: int = 0
    messages: int = 0
    present: int = 0
    """Memories that were there already, deleted ones too."""
    pending: list[str] = field(default_factory=list[str])


async def archived(
    engine: Engine, messages: Sequence[Message], memories: Sequence[MemoryItem]
) -> tuple[list[ArchivedMessage], list[ArchivedMemory]]:
    """Return messages and memories with what an export has to say beyond the public fields, in order."""
    turns = {
        (row.id, row.user_id, row.agent_id, row.run_id): row
        for row in await engine.call(engine.ledger.messages_by_id, [message.id for message in messages])
    }
    known = await _known(engine, [item.id for item in memories])
    out: list[ArchivedMessage] = []
    for message in messages:
        row = turns.get((message.id, message.user_id, message.agent_id, message.run_id))
        more = {} if row is None else {"dated": row.dated, "offset_minutes": row.offset_minutes}
        out.append(ArchivedMessage.model_validate({**dict(message.items()), **more}))
    return out, [
        ArchivedMemory(**dict(item.items()), dated=item.id not in known or known[item.id].dated)
        for item in memories
    ]


async def restore(
    engine: Engine, messages: Sequence[ArchivedMessage], memories: Sequence[ArchivedMemory]
) -> Restored:
    """Store messages and memories of one owner as an export describes them; what is there already is left alone.

    No model is called. Texts are embedded again, so the export of a store with any embedder fits.

    Raises:
        ScopeError: A record names no owner.
        EmbedderMismatchError: The store was made with another embedder.
        BackendError: The embedder or the ledger is down; nothing was written.
    """
    await ready(engine, write=True)
    operation_id, now = new_id(), now_us()
    fresh = await _fresh(engine, memories)
    if not fresh and not messages:
        return Restored(operation_id=operation_id, present=len(memories))
    kept = [_new_message(message) for message in messages]
    places = {(message.scope, message.id or ""): n for n, message in enumerate(kept)}
    for item in fresh:
        await _find_source(engine, item, kept, places)
    texts = [embedded_text(item.memory, item.kind, item.actor_id) for item in fresh]
    meter = Meter()
    vectors = await embed_documents(engine, texts, meter)
    owner = scope_of(memories[0] if memories else messages[0]).owner
    applied = await engine.apply(
        Batch(
            embedder=meter.embedder,
            operation_id=operation_id,
            kind="import",
            owner=owner,
            at=now,
            messages=kept,
            changes=[_record(item, vectors[n], kept, places) for n, item in enumerate(fresh)],
            indexes=engine.parts.index_names(),
            worker=engine.parts.worker_id,
        )
    )
    written = sum(change.status == "applied" for change in applied.changes)
    return Restored(
        operation_id=operation_id,
        memories=written,
        messages=sum(applied.new_messages),
        present=len(memories) - written,
        pending=await drain(engine),
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


async def present_ids(engine: Engine, memories: Sequence[ArchivedMemory]) -> int:
    """Return how many of these memories the store has already."""
    return len(memories) - len(await _fresh(engine, memories)) if await ready(engine, write=False) else 0


async def _fresh(engine: Engine, memories: Sequence[ArchivedMemory]) -> list[ArchivedMemory]:
    """Return the memories that are not there; an id that another owner has is replaced by one made from it."""
    known = await _known(engine, [item.id for item in memories])
    fresh: list[ArchivedMemory] = []
    moved: list[ArchivedMemory] = []
    for item in memories:
        there = known.get(item.id)
        if there is None:
            fresh.append(item)
        elif _owner(there) != scope_of(item).owner:
            moved.append(_moved(item))
    known = await _known(engine, [item.id for item in moved])
    return fresh + [item for item in moved if item.id not in known]


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
    )


async def _find_source(
    engine: Engine, item: MemoryItem, kept: list[NewMessage], places: dict[tuple[Scope, str], int]
) -> None:
    """Put the message that a verbatim memory rests on into the batch; the ledger knows it again by its id."""
    source, scope = _verbatim_source(item), scope_of(item)
    if source is None or (scope, source) in places:
        return
    for message in await engine.call(engine.ledger.messages_by_id, [source]):
        if (message.user_id, message.agent_id, message.run_id) == (item.user_id, item.agent_id, item.run_id):
            places[scope, source] = len(kept)
            kept.append(
                NewMessage(
                    scope=scope,
                    role=message.role,
                    content=message.content,
                    text=message.text,
                    id=message.id,
                    created_at=message.created_at,
                )
            )


def _verbatim_source(item: MemoryItem) -> str | None:
    """Return the id of the one message that a turn memory is the text of."""
    if item.role is None or len(item.sources) != 1 or item.sources[0].quote is not None:
        return None
    return item.sources[0].message_id


def _record(
    item: ArchivedMemory, vector: object, kept: Sequence[NewMessage], places: Mapping[tuple[Scope, str], int]
) -> AddRecord:
    scope, source = scope_of(item), _verbatim_source(item)
    place = None if source is None else places.get((scope, source))
    verbatim = place is not None and kept[place].text == item.memory
    return AddRecord(
        id=item.id,
        scope=scope,
        text=item.memory,
        kind=item.kind,
        vector=vector,  # pyright: ignore[reportArgumentType]  # a row of the matrix
        message=place if verbatim else None,
        dedup=_digest(item, scope, source if verbatim else None),
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
        reason="import",
    )


def _digest(item: MemoryItem, scope: Scope, source: str | None) -> bytes | None:
    """Return what the same turn or the same extracted fact would be recognised by when it is added again."""
    if source is not None:
        turn = InputMessage(role=None, content=item.memory, text=item.memory, id=source)
        return turn_digest(turn, scope)
    extracted = item.kind != "message" and any(one.quote is not None for one in item.sources)
    return fact_digest(item.memory, scope) if extracted else None
