"""Re-projecting from the ledger: another index, another embedder, or the same ones after a disaster."""

from __future__ import annotations

from typing import Final

import numpy as np

from ..config import EmbedderConfig, VectorStoreConfig, as_provider
from ..embedders.base import Embedder
from ..errors import BackendError, ConflictError
from ..progress import progress_bar
from ..scope import ReadScope
from ..types import ChangeResult
from .change import all_records
from .core import Engine, new_id
from .embed import checked_rows
from .index import empty_store, open_store
from .items import embed_again as embed_items_again
from .outbox import drain
from .start import ready
from .turns import embedded_text

_EVERYTHING: Final = ReadScope(everyone=True)
_SLICE: Final = 512
_TRIES: Final = 5


async def rebuild(engine: Engine, *, vector_store: object, embedder: object, progress: bool) -> ChangeResult:
    """Embed again where the embedder changes, and fill the index again; no model is called.

    Raises:
        BackendError: The index or the embedder cannot be reached; the ledger is as it was, or complete.
    """
    await ready(engine, write=True, repairing=True)
    parts = engine.parts
    count = await engine.call(engine.ledger.size, None)
    if embedder is not None:
        given = as_provider(embedder, EmbedderConfig)
        assert given is not None
        await _embed_again(engine, parts.make_embedder(given), progress=progress)
        await embed_items_again(engine, progress=progress)
    if vector_store is not None:
        parts.use_store(parts.make_store(as_provider(vector_store, VectorStoreConfig)))
    store = parts.store()
    if store is not None:
        parts.store_ready = False
        await empty_store(engine, store)
        await open_store(engine, store)
        await engine.call(engine.ledger.enqueue_all, store.name)
        if await drain(engine):
            raise parts.store_error or BackendError(
                f"The index {store.name!r} is filled by another process now."
            )
    return ChangeResult(message="Rebuilt from the ledger.", operation_id=new_id(), count=count)


async def _embed_again(engine: Engine, embedder: Embedder, *, progress: bool) -> None:
    """Give every live record a vector of another embedder, in one transaction at the end."""
    done: dict[int, tuple[str, np.ndarray]] = {}
    for _ in range(_TRIES):
        records = await all_records(engine, _EVERYTHING)
        todo = [r for r in records if r.rid not in done or done[r.rid][0] != r.text]
        with progress_bar(len(todo), f"Embedding with {embedder.identity}", enabled=progress) as bar:
            for start in range(0, len(todo), _SLICE):
                piece = todo[start : start + _SLICE]
                texts = [embedded_text(r.text, r.kind, r.actor_id) for r in piece]
                rows = await engine.ask(embedder.identity, embedder.embed, texts, purpose="document")
                matrix = checked_rows(rows, len(piece), embedder.identity, embedder.dim)
                done.update({r.rid: (r.text, matrix[n]) for n, r in enumerate(piece)})
                bar.advance(len(piece))
        rids = [record.rid for record in records]
        matrix = (
            np.stack([done[rid][1] for rid in rids]) if rids else np.zeros((0, embedder.dim), np.float32)
        ).astype(np.float32)
        missing = await engine.call(
            engine.ledger.replace_embeddings, embedder.identity, embedder.dim, rids, matrix
        )
        if not missing:
            engine.parts.use_embedder(embedder)
            engine.parts.caches.clear()
            return
    raise ConflictError(
        "Memories kept being written during the rebuild. Run it again when writers are quiet."
    )
