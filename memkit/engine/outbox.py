"""Bringing external indexes after the ledger: the outbox is drained in order under one lease an index."""

from __future__ import annotations

from collections.abc import Sequence

from ..clock import now_us
from ..errors import (
    AuthenticationError,
    BackendError,
    BackendTimeoutError,
    ConfigurationError,
    MissingDependencyError,
)
from ..graph_stores.base import GraphStore
from ..ledger.base import OutboxEntry
from ..ledger.graph import projected
from ..progress import Bar
from ..runtime import Future, SyncRuntime, run_inline
from ..vector_stores.base import StoreRecord, VectorStore
from .core import Engine
from .index import Index, indexes
from .views import payload

_BATCH = 1000
_LEASE_S = 60.0
_RENEW_US = 15_000_000
_MOST_REFUSED = 8
"""So many records refused with none taken, and it is the index that is wrong, not they."""


async def drain(
    engine: Engine, bar: Bar | None = None, *, asked: bool = False, only: str | None = None
) -> list[str]:
    """Write what waits to the indexes (or to one kind `only`); return the names of those that still lag behind.

    One pass at a time runs beside the calls for each, and those that write meanwhile share the next. An index that
    does not get on for `patience_s` seconds is waited for no longer: the pass goes on when it answers again. From then
    on only who is `asked` for it waits once more.
    """
    parts = engine.parts
    if not parts.index_names():
        return []
    parts.drained_at = now_us()
    behind: list[str] = []
    for index in indexes(engine):
        if only in (None, index.kind):
            behind += await _drain_index(engine, index, bar, asked=asked)
    return behind


async def _drain_index(engine: Engine, index: Index, bar: Bar | None, *, asked: bool) -> list[str]:
    state, patience_s = index.state, index.store.patience_s
    projector = state.projector
    before = projector.stuck_s() if asked else 0.0
    if projector.stuck_s() - before < patience_s:
        try:
            going = _ask(engine, index, bar)
            return await engine.rt.wait(going, lambda: projector.stuck_s() - before, patience_s)
        except BackendTimeoutError as error:
            state.error = BackendTimeoutError(
                f"The index {index.store.name!r} does not answer: {error.message} What is written waits in the ledger.",
                backend=index.store.name,
            )
            state.ready = False
    return [index.name]


def _ask(engine: Engine, index: Index, bar: Bar | None = None) -> Future[list[str]]:
    """Have a pass begin when the one that runs is done."""
    beside = Engine(engine.parts, SyncRuntime())
    return index.state.projector.ask(lambda: run_inline(_pass(beside, index, bar)))


async def _pass(engine: Engine, index: Index, bar: Bar | None) -> list[str]:
    """Open the index and write everything that waits."""
    state = index.state
    try:
        await index.open(engine)
        state.projector.moved()
        state.error = None
        try:
            done = await _drain_waiting(engine, index, bar)
        except ConfigurationError:
            # It was open: another process has emptied it since, to fill it anew.
            state.ready = False
            await index.open(engine)
            done = await _drain_waiting(engine, index, bar)
        return [] if done else [index.name]
    except (BackendError, ConfigurationError, MissingDependencyError) as error:
        # What was to be done in the ledger is done; `result.pending` and `health()` name the index.
        state.error = error
        state.ready = False
        return [index.name]


async def _drain_waiting(engine: Engine, index: Index, bar: Bar | None) -> bool:
    """Write what waits now, and return whether that is done; False while another process drains the outbox.

    What others go on to write meanwhile is for the next pass: nobody waits for their last word.
    """
    ledger, name, worker = engine.ledger, index.name, engine.parts.worker_id
    waiting = (await engine.call(ledger.outbox_size)).get(name, 0)
    if not waiting:
        return True
    if not await engine.call(ledger.lease, name, worker, _LEASE_S):
        return False
    renewed, limit = now_us(), _BATCH
    try:
        while entries := await engine.call(ledger.outbox, name, limit):
            if engine.parts.closed:
                return False
            todo = _to_do(index, entries)
            if not todo and len(entries) < limit:
                return False
            if todo and waiting <= 0:
                _ask(engine, index)
                return len(todo) == len(entries)
            # What the index refuses stays at the head; what comes after it must be seen.
            limit = limit if todo else 2 * limit
            await _follow(engine, index, todo)
            waiting -= len(todo)
            if bar is not None:
                bar.advance(len(todo))
            if now_us() - renewed > _RENEW_US:
                renewed = now_us()
                await engine.call(ledger.lease, name, worker, _LEASE_S)
    finally:
        await engine.call(ledger.release_lease, name, worker)
    return True


def _to_do(index: Index, entries: Sequence[OutboxEntry]) -> list[OutboxEntry]:
    """Return the entries without those that the index has refused already."""
    refused = index.state.refused
    return [entry for entry in entries if entry.seq > refused.get(entry.memory_id, (-1, ""))[0]]


async def _follow(engine: Engine, index: Index, entries: Sequence[OutboxEntry]) -> None:
    """Write what these entries are about, and take them off the outbox, unless the index refuses it."""
    if not entries:
        return
    if isinstance(index.store, VectorStore):
        await _project_vectors(engine, index, index.store, entries)
    else:
        await _project_graph(engine, index.store, entries)
    refused, done = index.state.refused, engine.ledger.outbox_done
    if refused:
        written = [entry.memory_id for entry in entries if entry.memory_id not in refused]
        await engine.call(done, index.name, entries[-1].seq, written)
    else:
        await engine.call(done, index.name, entries[-1].seq)
    index.state.projector.moved()


async def _project_vectors(
    engine: Engine, index: Index, store: VectorStore, entries: Sequence[OutboxEntry]
) -> None:
    """Write each record's state as of now; a record that is gone is deleted from the index."""
    wanted = {entry.memory_id: entry.rid for entry in entries}
    records, vectors = await engine.call(engine.ledger.with_vectors, sorted(set(wanted.values())))
    live = {record.id for record in records}
    points = [
        StoreRecord(id=record.id, vector=vectors[n], payload=payload(record), fresh=record.version == 1)
        for n, record in enumerate(records)
        if record.id in wanted
    ]
    reasons = await _upsert(engine, store, points) if points else {}
    gone = [memory_id for memory_id in wanted if memory_id not in live]
    if gone:
        await engine.ask(store.name, store.delete, gone)
    for memory_id in wanted:
        index.state.refused.pop(memory_id, None)
    index.state.refused.update((id, (entries[-1].seq, reason)) for id, reason in reasons.items())


async def _upsert(engine: Engine, store: VectorStore, points: Sequence[StoreRecord]) -> dict[str, str]:
    """Write points, and return those that the index does not take, with its reason; they are found by halving.

    Raises:
        BackendError: It takes none of them, or cannot be asked now.
    """
    refused: dict[str, str] = {}
    parts, takes = [points], False
    while parts:
        part = parts.pop()
        try:
            await engine.ask(store.name, store.upsert, part)
            takes = True
        except AuthenticationError:
            raise
        except BackendError as error:
            if error.retryable:
                raise
            half = len(part) // 2
            parts += [part[half:], part[:half]] if half else []
            refused |= {} if half else {part[0].id: error.message}
            if not takes and len(refused) in (len(points), _MOST_REFUSED):
                raise
    return refused


async def _project_graph(engine: Engine, store: GraphStore, entries: Sequence[OutboxEntry]) -> None:
    """Write what each record says now; one that is gone, or says nothing, is taken back."""
    wanted = list(dict.fromkeys(entry.memory_id for entry in entries))
    records = await engine.call(engine.ledger.records, wanted)
    said = {
        record.id: projected(record)
        for record in records
        if not record.deleted and (record.entities or record.relations)
    }
    gone = [memory_id for memory_id in wanted if memory_id not in said]
    if gone:
        await engine.ask(store.name, store.remove, gone)
    if said:
        await engine.ask(store.name, store.upsert, list(said.values()))
