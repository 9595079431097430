"""What a memory took the place of, for what is learned late: it was true between two that are known."""

from __future__ import annotations

from typing import Final

from ..ledger.base import Record
from ..scope import ReadScope
from .core import Engine
from .read import allowed

_STEPS: Final = 50
"""So far back at most."""


async def replaced_by(engine: Engine, newest: Record, since: int, scope: ReadScope) -> list[Record]:
    """Return the records that one took the place of, the latest first, back to the one that held at an instant."""
    return await engine.rt.work(_replaced_by, engine, newest, since, scope)


def _replaced_by(engine: Engine, newest: Record, since: int, scope: ReadScope) -> list[Record]:
    found: list[Record] = []
    record = newest
    while record.valid_from > since and len(found) < _STEPS:
        before = _just_before(engine, record.id)
        if before is None or not allowed(before, scope):
            break
        found.append(before)
        record = before
    return found


def _just_before(engine: Engine, memory_id: str) -> Record | None:
    """Return the record that was closed by the operation that made another one, for its sake."""
    history = engine.ledger.history(memory_id)
    made = engine.ledger.operation(history[0].operation_id) if history else None
    for event in made[1] if made is not None else ():
        if event.reason == superseded_by(memory_id) and event.memory_id != memory_id:
            return next(
                (record for record in engine.ledger.records([event.memory_id]) if not record.deleted), None
            )
    return None


def superseded_by(memory_id: str) -> str:
    """Return why a record was closed whose place another one took."""
    return f"superseded by {memory_id}"
