"""Bringing external indexes after the ledger: the outbox is drained in order under one lease an index."""

from __future__ import annotations

from collections.abc import Sequence

from ..clock import now_us
from ..errors import BackendError, BackendTimeoutError, ConfigurationError, MissingDependencyError
from ..ledger.base import OutboxEntry
from ..progress import Bar
from ..runtime import SyncRuntime, run_inline
from ..vector_stores.base import StoreRecord, VectorStore
from .core import Engine
from .index import open_store
from .views import payload

_BATCH = 1000
_LEASE_S = 60.0
_RENEW_US = 15_000_000


async def drain(engine: Engine, bar: Bar | None = None, *, asked: bool = False) -> list[str]:
    """Write what waits to the index; return the names of indexes that still lag behind.

    One pass at a time runs beside the calls, and those that write meanwhile share the next. An index that does not
    get on for `patience_s` seconds is waited for no longer: the pass goes on when it answers again. From then on only
    who is `asked` for it waits once more.
    """
    parts = engine.parts
    store = parts.store()
    if store is None:
        return []
    parts.drained_at = now_us()
    projector = parts.projector
    before = projector.stuck_s() if asked else 0.0
    if projector.stuck_s() - before < store.patience_s:
        try:
            going = projector.ask(lambda: run_inline(_pass(Engine(parts, SyncRuntime()), store, bar)))
            return await engine.rt.wait(going, lambda: projector.stuck_s() - before, store.patience_s)
        except BackendTimeoutError as error:
            parts.store_error = BackendTimeoutError(
                f"The index {store.name!r} does not answer: {error.message} What is written waits in the ledger.",
                backend=store.name,
            )
            parts.store_ready = False
    return [store.name]


async def _pass(engine: Engine, store: VectorStore, bar: Bar | None) -> list[str]:
    """Open the index and write everything that waits."""
    try:
        await open_store(engine, store)
        engine.parts.projector.moved()
        engine.parts.store_error = None
        return [] if await _drain_store(engine, store, bar) else [store.name]
    except (BackendError, ConfigurationError, MissingDependencyError) as error:
        # What was to be done in the ledger is done; `result.pending` and `health()` name the index.
        engine.parts.store_error = error
        engine.parts.store_ready = False
        return [store.name]


async def _drain_store(engine: Engine, store: VectorStore, bar: Bar | None) -> bool:
    """Return whether the outbox is empty; False while another process drains it."""
    ledger = engine.ledger
    if not (await engine.call(ledger.outbox_size)).get(store.name, 0):
        return True
    if not await engine.call(ledger.lease, store.name, engine.parts.worker_id, _LEASE_S):
        return False
    renewed = now_us()
    try:
        while entries := await engine.call(ledger.outbox, store.name, _BATCH):
            if engine.parts.closed:
                return False
            await _project(engine, store, entries)
            await engine.call(ledger.outbox_done, store.name, entries[-1].seq)
            engine.parts.projector.moved()
            if bar is not None:
                bar.advance(len(entries))
            if now_us() - renewed > _RENEW_US:
                renewed = now_us()
                await engine.call(ledger.lease, store.name, engine.parts.worker_id, _LEASE_S)
    finally:
        await engine.call(ledger.release_lease, store.name, engine.parts.worker_id)
    return True


async def _project(engine: Engine, store: VectorStore, entries: Sequence[OutboxEntry]) -> None:
    """Write each record's state as of now; a record that is gone is deleted from the index."""
    wanted = {entry.memory_id: entry.rid for entry in entries}
    records, vectors = await engine.call(engine.ledger.with_vectors, sorted(set(wanted.values())))
    live = {record.id for record in records}
    points = [
        StoreRecord(id=record.id, vector=vectors[n], payload=payload(record), fresh=record.version == 1)
        for n, record in enumerate(records)
        if record.id in wanted
    ]
    if points:
        await engine.ask(store.name, store.upsert, points)
    gone = [memory_id for memory_id in wanted if memory_id not in live]
    if gone:
        await engine.ask(store.name, store.delete, gone)
