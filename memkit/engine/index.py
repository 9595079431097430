"""The external indexes, of vectors and of a graph: opened so that they can follow the ledger, emptied, or down."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from ..embedders.base import Embedder
from ..errors import BackendError, EmbedderMismatchError, LedgerMismatchError
from ..following import GRAPH, Following
from ..graph_parts import graph_ledger
from ..graph_stores.base import GraphStore
from ..scope import ReadScope
from ..vector_stores.base import VectorStore
from .core import Engine

EVERYONE: Final = ReadScope(everyone=True)
_SAMPLE: Final = 50
"""Memories of a graph that are looked up in the ledger."""
_MOST: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """One index that follows the ledger."""

    name: str
    """Under which it follows."""
    kind: str
    store: VectorStore | GraphStore
    state: Following
    open: Callable[[Engine], Coroutine[Any, Any, None]]
    """Makes sure that it can follow."""


def indexes(engine: Engine) -> list[Index]:
    """Return the external indexes, built: the vectors, then the graph."""
    parts = engine.parts
    store, graph = parts.store(), parts.graph.store()
    found: list[Index] = []
    if store is not None:
        found.append(
            Index(
                name=store.name,
                kind="vector_store",
                store=store,
                state=parts.vectors,
                open=lambda engine: open_store(engine, store),
            )
        )
    if graph is not None:
        found.append(
            Index(
                name=GRAPH + graph.name,
                kind="graph_store",
                store=graph,
                state=parts.graph.state,
                open=lambda engine: open_graph(engine, graph),
            )
        )
    return found


async def open_store(engine: Engine, store: VectorStore) -> None:
    """Open an index and make sure it can follow the ledger.

    An index that lacks records is filled from the ledger. Only the counts are compared: which records are whose is
    not looked up.

    Raises:
        LedgerMismatchError: The index holds more records than the ledger knows.
        EmbedderMismatchError: The index holds vectors of another embedder.
        BackendError: It cannot be reached.
    """
    state = engine.parts.vectors
    if state.ready:
        return
    embedder = await engine.embedder()
    await engine.ask(store.name, store.open, dim=embedder.dim, embedder=embedder.identity)
    for last_look in (False, True):
        in_index = (await engine.ask(store.name, store.info)).count
        in_ledger = await engine.call(engine.ledger.size, None)
        surplus = in_index - in_ledger - await _waiting(engine, store.name)
        # Once more: somebody may have deleted and followed between the three counts.
        if surplus <= 0 or last_look:
            await _compare(engine, store.name, in_index, in_ledger, surplus)
            break
    state.ready = True


async def open_graph(engine: Engine, store: GraphStore) -> None:
    """Open a graph and make sure it can follow the ledger; what it lacks is filled from the ledger.

    Raises:
        LedgerMismatchError: The graph holds memories that the ledger never had.
        BackendError: It cannot be reached.
    """
    state = engine.parts.graph.state
    if state.ready:
        return
    await engine.ask(store.name, store.open)
    in_graph = (await engine.ask(store.name, store.info)).count.memories
    own = graph_ledger(engine.ledger).graph
    in_ledger = (await engine.call(own.count, EVERYONE)).memories
    # Once more: somebody may have forgotten and followed between the looks.
    if await _is_strange(engine, store) and await _is_strange(engine, store):
        raise LedgerMismatchError(
            f"The graph {store.name!r} holds memories that this ledger does not know: it follows another one. Share "
            "that ledger (`path=` or `ledger=`), give this one a graph of its own (`collection_name=`), or drop what "
            "is there with `memkit rebuild` (`memory.rebuild()`).",
            backend=store.name,
            in_index=in_graph,
            in_ledger=in_ledger,
        )
    if in_graph < in_ledger - await _waiting(engine, GRAPH + store.name):
        await engine.call(engine.ledger.enqueue_all, GRAPH + store.name)
    state.ready = True


async def _is_strange(engine: Engine, store: GraphStore) -> bool:
    """Return whether a graph holds more memories that the ledger does not know than wait to be taken out of it."""
    waiting = await _waiting(engine, GRAPH + store.name)
    page = await engine.ask(store.name, store.export, EVERYONE, limit=min(waiting + _SAMPLE, _MOST))
    ids = [record.memory_id for record in page.records]
    return len(ids) - len(await engine.call(engine.ledger.records, ids)) > waiting


async def _compare(engine: Engine, name: str, in_index: int, in_ledger: int, surplus: int) -> None:
    """Fill an index that lacks records; refuse one that holds a surplus, which the ledger cannot know."""
    if surplus > 0:
        raise LedgerMismatchError(
            f"The index {name!r} holds {in_index:,} records, but this ledger holds {in_ledger or 'none'}. Share the "
            "ledger it belongs to (`path=` or `ledger=`); or name another collection; or take its records into this "
            "one with `memkit repair --from-index` (`memory.repair(from_index=True)`), or drop what this ledger does "
            "not know with `memkit rebuild` (`memory.rebuild()`).",
            backend=name,
            in_index=in_index,
            in_ledger=in_ledger,
        )
    if in_index < in_ledger - await _waiting(engine, name):
        await engine.call(engine.ledger.enqueue_all, name)


async def _waiting(engine: Engine, name: str) -> int:
    return (await engine.call(engine.ledger.outbox_size)).get(name, 0)


async def empty_index(engine: Engine, index: Index, embedder: Embedder | None = None) -> None:
    """Drop what an index holds, of whatever embedder; opening it makes it anew."""
    store = index.store
    if isinstance(store, VectorStore):
        embedder = embedder or await engine.embedder()
        with suppress(EmbedderMismatchError):  # It is there, and its vectors are what has to go.
            await engine.ask(store.name, store.open, dim=embedder.dim, embedder=embedder.identity)
        await engine.ask(store.name, store.drop)
    else:
        await engine.ask(store.name, store.open)
        await engine.ask(store.name, store.drop)
    index.state.ready = False


async def store_for_search(engine: Engine) -> tuple[VectorStore | None, str | None]:
    """Return the index if it can be asked, else None and the reason."""
    store = engine.parts.store()
    if store is None:
        return None, None
    state = engine.parts.vectors
    if state.error is not None and state.projector.stuck_s() >= store.patience_s:
        return None, f"{state.error.message} The ledger's own vectors were searched."
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


async def look_without_ledger(engine: Engine) -> list[str]:
    """Return warnings for a search of a memory that was never written to.

    Raises:
        LedgerMismatchError: Its index holds records: they are another ledger's, or theirs is gone.
    """
    given, store = engine.parts.config.vector_store, await engine.rt.work(engine.parts.store)
    if store is None or not (given.config or "server" in store.capabilities):
        # It would lie beside the ledger, and nobody made either.
        return []
    try:
        embedder = await engine.embedder()
        await engine.ask(store.name, store.open, dim=embedder.dim, embedder=embedder.identity)
        in_index = (await engine.ask(store.name, store.info)).count
    except BackendError as error:
        return [
            f"The index {store.name!r} is down ({error.message}); this memory has no ledger of its own yet."
        ]
    if in_index:
        await _compare(engine, store.name, in_index, 0, in_index)
    return []


async def graph_for_reading(engine: Engine) -> tuple[GraphStore, str | None]:
    """Return the graph to read: the external one where it has followed, else the ledger's own and the reason.

    Raises:
        LedgerMismatchError: The graph belongs to another ledger.
    """
    own = graph_ledger(engine.ledger).graph
    store, state = engine.parts.graph.store(), engine.parts.graph.state
    if store is None:
        return own, None
    if state.error is not None and state.projector.stuck_s() >= store.patience_s:
        return own, f"{state.error.message} The ledger's own relations were read."
    try:
        await open_graph(engine, store)
    except LedgerMismatchError:
        raise
    except BackendError as error:
        return (
            own,
            f"The graph {store.name!r} is down ({error.message}); the ledger's own relations were read.",
        )
    if (await engine.call(engine.ledger.outbox_size)).get(GRAPH + store.name, 0):
        return own, f"The graph {store.name!r} lags behind; the ledger's own relations were read."
    return store, None
