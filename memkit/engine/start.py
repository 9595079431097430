"""The first explicit call: open the ledger, make the index ready, finish what an earlier process left."""

from __future__ import annotations

from ..clock import now_us
from ..errors import ConfigurationError, LedgerMismatchError
from .core import Engine
from .outbox import drain

_DRAIN_EVERY_US = 30_000_000
WRONG_INDEX = (ConfigurationError, LedgerMismatchError)
"""Errors of an index that waiting does not heal."""


async def ready(engine: Engine, *, write: bool, repairing: bool = False) -> bool:
    """Open the ledger and return whether there is one; a read of nothing makes no file.

    An index that is down stops nothing. One that cannot be this ledger's stops writes, before anything is written,
    except those that are `repairing` it.
    """
    parts = engine.parts
    if parts.closed:
        raise ConfigurationError(
            "This memory was closed. Make a new one, or use it inside `with Memory(...) as m:`."
        )
    if not (engine.ledger.opened or await engine.call(engine.ledger.open, create=write)):
        return False
    now = now_us()
    first, parts.recovered = not parts.recovered, True
    if first and not repairing and await engine.call(engine.ledger.jobs):
        parts.recover()
    names = await engine.rt.work(parts.index_names) if first else parts.index_names()
    if names:
        wrong = any(isinstance(state.error, WRONG_INDEX) for state in (parts.vectors, parts.graph.state))
        if first or wrong or now - parts.drained_at > _DRAIN_EVERY_US:
            await drain(engine)
        for state in (parts.vectors, parts.graph.state):
            if write and not repairing and isinstance(state.error, WRONG_INDEX):
                raise state.error
    return True
