"""Bringing external indexes after the ledger: the outbox is drained in order under one lease an index."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..clock import now_us
from ..errors import BackendError, ConfigurationError, MissingDependencyError
from ..ledger.base import OutboxEntry
from ..vector_stores.base import StoreRecord, VectorStore
from .core import Engine
from .index import open_store
from .views import payload

_BATCH = 500
_LEASE_S = 60.0


async def drain(engine: Engine) -> list[str]:
    """Write what waits to the index; return the names of indexes that still lag behind."""
    store = engine.parts.store()
    if store is None:
        return []
    engine.parts.drained_at = now_us()
    try:
        await open_store(engine, store)
        engine.parts.store_error = None
        return [] if await _drain_store(engine, store) else [store.name]
    except (BackendError, ConfigurationError, MissingDependencyError) as error:
        # What was to be done in the ledger is done; `result.pending` and `health()` name the index.
        engine.parts.store_error = error
        engine.parts.store_ready = False
        return [store.name]


async def _drain_store(engine: Engine, store: VectorStore) -> bool:
    """Return whether the outbox is empty; False while another process drains it."""
    ledger = engine.ledger
    if not (await engine.call(ledger.outbox_size)).get(store.name, 0):
        return True
    if not await engine.call(ledger.lease, store.name, engine.parts.worker_id, _LEASE_S):
        return False
    try:
        while entries := await engine.call(ledger.outbox, store.name, _BATCH):
            await _project(engine, store, entries)
            await engine.call(ledger.outbox_done, store.name, entries[-1].seq)
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
        StoreRecord(id=record.id, vector=np.ascontiguousarray(vectors[n]), payload=payload(record))
        for n, record in enumerate(records)
        if record.id in wanted
    ]
    if points:
        await engine.ask(store.name, store.upsert, points)
    gone = [memory_id for memory_id in wanted if memory_id not in live]
    if gone:
        await engine.ask(store.name, store.delete, gone)
