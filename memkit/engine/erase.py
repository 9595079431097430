"""Forgetting for good: no byte of it stays in the ledger's files; indexes drop their points."""

from __future__ import annotations

from typing import Final

from ..clock import now_us, to_datetime
from ..errors import MemoryNotFoundError
from ..scope import ReadScope
from ..types import ForgetReceipt
from .core import Engine, new_id
from .outbox import drain
from .read import allowed
from .start import ready

_POINTS: Final = "points deleted"
_PENDING: Final = "pending"


async def forget(
    engine: Engine, *, scope: ReadScope | None, memory_id: str | None, guard: ReadScope | None
) -> ForgetReceipt:
    """Erase a scope, or one memory with all its history, and return a receipt with counts.

    Raises:
        MemoryNotFoundError: The memory never was, or is outside the handle's scope.
    """
    operation_id, now = new_id(), now_us()
    if not await ready(engine, write=False):
        if memory_id is not None:
            raise MemoryNotFoundError(memory_id)
        return ForgetReceipt(operation_id=operation_id, at=to_datetime(now))
    ids: list[str] | None = None
    if memory_id is not None:
        found = await engine.call(engine.ledger.records, [memory_id])
        if not found or not allowed(found[0], guard):
            raise MemoryNotFoundError(memory_id)
        ids = [memory_id]
    counts = await engine.call(engine.ledger.forget, operation_id, now, scope=scope, ids=ids)
    engine.parts.caches.clear()
    engine.parts.recent_vectors.clear()
    behind = await drain(engine)
    indexes = {engine.ledger.name: engine.ledger.erased_as if counts.complete else _PENDING}
    for name in engine.parts.index_names():
        indexes[name] = _PENDING if name in behind else _POINTS
    return ForgetReceipt(
        operation_id=operation_id,
        memories=len(counts.memory_ids),
        messages=counts.messages,
        events=counts.events,
        jobs=counts.jobs,
        results=counts.results,
        indexes=indexes,
        at=to_datetime(now),
    )
