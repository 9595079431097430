"""The external index: opened so that it can follow the ledger, emptied, or found to be down."""

from __future__ import annotations

from contextlib import suppress

from ..errors import BackendError, EmbedderMismatchError, LedgerMismatchError
from ..vector_stores.base import VectorStore
from .core import Engine


async def open_store(engine: Engine, store: VectorStore) -> None:
    """Open an index and make sure it can follow the ledger.

    An index that lacks records is filled from the ledger.

    Raises:
        LedgerMismatchError: The index holds records and the ledger none.
        EmbedderMismatchError: The index holds vectors of another embedder.
        BackendError: It cannot be reached.
    """
    parts = engine.parts
    if parts.store_ready:
        return
    embedder = await engine.embedder()
    await engine.ask(store.name, store.open, dim=embedder.dim, embedder=embedder.identity)
    in_index = (await engine.ask(store.name, store.info)).count
    in_ledger = await engine.call(engine.ledger.size, None)
    waiting = (await engine.call(engine.ledger.outbox_size)).get(store.name, 0)
    if in_index and not in_ledger and not waiting:
        raise LedgerMismatchError(
            f"The index {store.name!r} holds {in_index} records, but this ledger holds none. Share the ledger it "
            "belongs to (`path=` or `ledger=`), or name another collection.",
            backend=store.name,
            in_index=in_index,
            in_ledger=in_ledger,
        )
    if in_index < in_ledger - waiting:
        await engine.call(engine.ledger.enqueue_all, store.name)
    parts.store_ready = True


async def empty_store(engine: Engine, store: VectorStore) -> None:
    """Drop what an index holds, whatever embedder it came from; `open_store` makes it anew."""
    embedder = await engine.embedder()
    with suppress(EmbedderMismatchError):  # It is there, and its vectors are what has to go.
        await engine.ask(store.name, store.open, dim=embedder.dim, embedder=embedder.identity)
    await engine.ask(store.name, store.drop)
    engine.parts.store_ready = False


async def store_for_search(engine: Engine) -> tuple[VectorStore | None, str | None]:
    """Return the index if it can be asked, else None and the reason."""
    store = engine.parts.store()
    if store is None:
        return None, None
    error = engine.parts.store_error
    if error is not None and engine.parts.projector.stuck_s() >= store.patience_s:
        return None, f"{error.message} The ledger's own vectors were searched."
    try:
        await open_store(engine, store)
    except LedgerMismatchError:
        raise
    except BackendError as error:
        return (
            None,
            f"The index {store.name!r} is down ({error.message}); the ledger's own vectors were searched.",
        )
    return store, None
