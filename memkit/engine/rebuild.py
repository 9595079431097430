"""Re-projecting from the ledger: another index, another embedder, or the same ones after a disaster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from ..config import EmbedderConfig, GraphStoreConfig, VectorStoreConfig, as_provider
from ..embedders.base import Embedder
from ..errors import BackendError, ConflictError
from ..ledger.base import Record
from ..progress import Bar, Progress, progress_bar
from ..types import ChangeResult
from .core import Engine, new_id
from .embed import ask_embedder
from .index import Index, empty_index, indexes
from .items import embed_again as embed_items_again
from .outbox import drain
from .relate import read_relations
from .start import ready
from .turns import embedded_text

_SLICE: Final = 512
_ROUNDS: Final = 8
"""How often what was written meanwhile is embedded before the embedder changes all the same."""
_LEASE: Final = "rebuild"
_LEASE_S: Final = 120.0


async def rebuild(
    engine: Engine, *, vector_store: object, embedder: object, graph_store: object, progress: Progress
) -> ChangeResult:
    """Embed again where the embedder changes or a vector is missing, and fill the index again; no model is called.

    Searches see the old vectors until all new ones are there. What was embedded is kept when it ends early: the next
    call with the same embedder goes on from there.

    Raises:
        ConflictError: Another process rebuilds this store now.
        BackendError: The index or the embedder cannot be reached; the ledger is as it was, or complete.
    """
    await ready(engine, write=True, repairing=True)
    parts = engine.parts
    count = await engine.call(engine.ledger.size, None)
    if embedder is not None:
        given = as_provider(embedder, EmbedderConfig)
        assert given is not None
        stays = vector_store is None
        await _change_embedder(engine, parts.make_embedder(given), stays=stays, progress=progress)
        await embed_items_again(engine, progress=progress)
    else:
        await embed_lacking(engine)
        await embed_items_again(engine, progress=progress)
    if vector_store is not None:
        parts.use_store(parts.make_store(as_provider(vector_store, VectorStoreConfig)))
    if graph_store is not None:
        wanted = as_provider(graph_store, GraphStoreConfig)
        assert wanted is not None
        parts.graph.use(wanted)
    if parts.graph.on:
        await read_relations(engine)
    for index in indexes(engine):
        await _fill(engine, index, count, progress)
    return ChangeResult(message="Rebuilt from the ledger.", operation_id=new_id(), count=count)


async def _fill(engine: Engine, index: Index, count: int, progress: Progress) -> None:
    """Empty an index and write every live record to it."""
    index.state.ready = False
    await empty_index(engine, index)
    await index.open(engine)
    waiting = (await engine.call(engine.ledger.outbox_size)).get(index.name, 0)
    if waiting < count:
        waiting += await engine.call(engine.ledger.enqueue_all, index.name)
    with progress_bar(waiting, f"Filling {index.store.name}", enabled=progress) as bar:
        behind = await drain(engine, bar, asked=True, only=index.kind)
    if behind:
        state, name = index.state, index.store.name
        raise (
            state.error
            or state.refusal(name)
            or BackendError(f"The index {name!r} is filled by another process now.")
        )


async def _change_embedder(engine: Engine, embedder: Embedder, *, stays: bool, progress: Progress) -> None:
    """Give every live record a vector of another embedder, beside the old ones, and change it at the end.

    An index that `stays` is emptied before: whoever is killed between the two leaves one that lacks records, which
    the next `repair` fills, and none of another embedder, which nobody may search.
    """
    ledger, holder = engine.ledger, engine.parts.worker_id
    if not await engine.call(ledger.lease, _LEASE, holder, _LEASE_S):
        raise ConflictError("Another process rebuilds this store now. Wait for it to end, then try again.")
    try:
        identity = embedder.identity
        done = await engine.call(ledger.begin_staging, identity)
        total = await engine.call(ledger.size, None)
        with progress_bar(total, f"Embedding with {identity}", enabled=progress) as bar:
            bar.advance(done)
            for left in reversed(range(_ROUNDS)):
                await _stage(engine, embedder, bar)
                for index in indexes(engine) if stays else ():
                    if index.kind == "vector_store":
                        await empty_index(engine, index, embedder)
                # Only now: an unknown model tells how many columns it has with its first answer.
                if not await engine.call(ledger.switch_embedder, identity, embedder.dim, force=not left):
                    break
        engine.parts.use_embedder(embedder)
        engine.parts.caches.clear()
        await embed_lacking(engine)
    finally:
        await engine.call(ledger.release_lease, _LEASE, holder)


async def _stage(engine: Engine, embedder: Embedder, bar: Bar) -> None:
    """Embed what has no new vector yet, slice by slice, each kept at once."""
    after = -1
    while records := await engine.call(engine.ledger.unstaged, _SLICE, after):
        vectors, tokens = await _embed(engine, embedder, records)
        await engine.call(engine.ledger.stage, embedder.identity, records, vectors, tokens)
        await engine.call(engine.ledger.lease, _LEASE, engine.parts.worker_id, _LEASE_S)
        bar.advance(len(records))
        if len(records) < _SLICE:
            return  # What others write meanwhile is for the next round.
        after = records[-1].rid


async def embed_lacking(engine: Engine) -> None:
    """Embed live records that have no vector of the present embedder; until then they are found by words alone."""
    after = -1
    while records := await engine.call(engine.ledger.unembedded, _SLICE, after):
        embedder = engine.parts.embedder()
        vectors, tokens = await _embed(engine, embedder, records)
        made_by = embedder.identity, embedder.dim
        await engine.call(engine.ledger.give_vectors, made_by, records, vectors, tokens)
        if len(records) < _SLICE:
            return
        after = records[-1].rid


async def _embed(
    engine: Engine, embedder: Embedder, records: Sequence[Record]
) -> tuple[npt.NDArray[np.float32], list[bytes | None]]:
    texts = [embedded_text(record.text, record.kind, record.actor_id) for record in records]
    embedded = await ask_embedder(engine, embedder, texts, "document")
    return embedded.vectors, [embedded.tokens(n) for n in range(len(texts))]
