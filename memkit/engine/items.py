"""The key-value store: reads as of before the batch, then one transaction for all that it changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ..clock import now_us, to_datetime
from ..errors import ConflictError
from ..item_types import (
    DeleteItem,
    GetItem,
    ItemOperation,
    ItemResult,
    ListNamespaces,
    Namespace,
    PutItem,
    SearchItems,
    StoreItem,
)
from ..ledger.items import ItemBatch, ItemDrop, ItemPut, ItemRow, ItemsApplied
from ..progress import Progress
from .core import Engine, Meter
from .embed import embed_documents, embed_query
from .start import ready

if TYPE_CHECKING:
    from ..ledger.records import Vector

_SECOND: Final = 1_000_000
_SLICE: Final = 512
_TRIES: Final = 5


async def run_items(engine: Engine, operations: Sequence[ItemOperation]) -> list[ItemResult]:
    """Return the result of each operation, in order.

    Raises:
        EmbedderMismatchError: The store was made with another embedder.
        ConflictError: Other processes kept changing the same items.
    """
    at = now_us()
    used: dict[int, None] = {}
    there = await ready(engine, write=any(isinstance(op, PutItem) for op in operations))
    results = await _read(engine, operations, at, used) if there else [_nothing(op) for op in operations]
    changes = [
        (place, op) for place, op in enumerate(operations) if isinstance(op, PutItem | DeleteItem)
    ]  # fmt: skip
    if not there or not (used or changes):
        return results
    applied = await _write(engine, [op for _, op in changes], at, list(used))
    for (place, op), row in zip(changes, applied.rows, strict=True):
        results[place] = row is not None if isinstance(op, DeleteItem) else row and _item(row, None)
    return results


def _nothing(operation: ItemOperation) -> ItemResult:
    """Return what an operation gives where nothing was ever stored."""
    if isinstance(operation, SearchItems):
        return list[StoreItem]()
    if isinstance(operation, ListNamespaces):
        return list[Namespace]()
    return False if isinstance(operation, DeleteItem) else None


# ------------------------------------------------------------------------------------------- reading


async def _read(
    engine: Engine, operations: Sequence[ItemOperation], at: int, used: dict[int, None]
) -> list[ItemResult]:
    """Return what the reads of a batch see, and note the items that they use."""
    results = [_nothing(op) for op in operations]
    gets = [(place, op) for place, op in enumerate(operations) if isinstance(op, GetItem)]
    if gets:
        keys = [(tuple(op.namespace), op.key) for _, op in gets]
        rows = await engine.call(engine.ledger.items, keys, at=at)
        for (place, op), row in zip(gets, rows, strict=True):
            results[place] = row and _item(_in_use(row, at, used) if op.refresh else row, None)
    queries: dict[str, Vector] = {}
    for place, op in enumerate(operations):
        if isinstance(op, SearchItems):
            results[place] = await _search(engine, op, at, used, queries)
        elif isinstance(op, ListNamespaces):
            results[place] = await _namespaces(engine, op, at)
    return results


async def _search(
    engine: Engine, op: SearchItems, at: int, used: dict[int, None], queries: dict[str, Vector]
) -> list[StoreItem]:
    vector: Vector | None = None
    if op.query and op.query.strip() and await engine.call(engine.ledger.embedder) is not None:
        if op.query not in queries:
            queries[op.query] = await embed_query(engine, op.query, Meter())
        vector = queries[op.query]
    found = await engine.call(
        engine.ledger.find_items,
        tuple(op.prefix),
        at=at,
        vector=vector,
        where=op.where,
        limit=op.limit,
        offset=op.offset,
    )
    return [_item(_in_use(row, at, used) if op.refresh else row, score) for row, score in found]


async def _namespaces(engine: Engine, op: ListNamespaces, at: int) -> list[Namespace]:
    found = await engine.call(engine.ledger.item_namespaces, tuple(op.prefix), at=at)
    if op.where is not None:
        found = [namespace for namespace in found if op.where(namespace)]
    if op.max_depth is not None:
        # Cut at the same depth, namespaces stay in order.
        found = list(dict.fromkeys(namespace[: op.max_depth] for namespace in found))
    return list(found[op.offset : op.offset + op.limit])


def _in_use(row: ItemRow, at: int, used: dict[int, None]) -> ItemRow:
    """Return an item as its use leaves it."""
    if row.ttl is None:
        return row
    used[row.no] = None
    return replace(row, expires_at=at + row.ttl)


def _item(row: ItemRow, score: float | None) -> StoreItem:
    return StoreItem(
        namespace=row.namespace,
        key=row.key,
        value=row.value,
        version=row.version,
        created_at=to_datetime(row.created_at),
        updated_at=to_datetime(row.updated_at),
        expires_at=None if row.expires_at is None else to_datetime(row.expires_at),
        score=None if score is None else round(min(1.0, max(0.0, score)), 6),
    )


# ------------------------------------------------------------------------------------------- writing


async def _write(
    engine: Engine, operations: Sequence[PutItem | DeleteItem], at: int, used: Sequence[int]
) -> ItemsApplied:
    """Embed the texts that are new to their items, and write everything in one transaction."""
    changes = [
        ItemDrop(namespace=tuple(op.namespace), key=op.key)
        if isinstance(op, DeleteItem)
        else ItemPut(
            namespace=tuple(op.namespace),
            key=op.key,
            value=op.encoded,
            texts=op.texts,
            ttl=None if op.ttl is None else round(op.ttl * _SECOND),
        )
        for op in operations
    ]
    meter = Meter()
    vectors: Mapping[str, Vector] = {}
    missing = await _new_texts(engine, changes, at)
    for _ in range(_TRIES):
        if missing:
            matrix = await embed_documents(engine, missing, meter)
            vectors = {**vectors, **dict(zip(missing, matrix, strict=True))}
        batch = ItemBatch(at=at, used=used, changes=changes, vectors=vectors, embedder=meter.embedder)
        applied = await engine.call(engine.ledger.write_items, batch)
        missing = applied.missing
        if not missing:
            return applied
    raise ConflictError("Other processes kept changing the same items. Try again.")


async def _new_texts(engine: Engine, changes: Sequence[ItemPut | ItemDrop], at: int) -> list[str]:
    """Return the texts that their item has no vector of yet."""
    puts = [change for change in changes if isinstance(change, ItemPut) and change.texts]
    if not puts:
        return []
    known = await engine.call(engine.ledger.known_texts, [(put.namespace, put.key) for put in puts], at=at)
    new = (
        text for put, texts in zip(puts, known, strict=True) for text in put.texts if text not in texts
    )  # fmt: skip
    return list(dict.fromkeys(new))


# ------------------------------------------------------------------------------------------- housekeeping


async def sweep(engine: Engine) -> None:
    """Erase every item that has expired."""
    at = now_us()
    while (await engine.call(engine.ledger.write_items, ItemBatch(at=at))).swept:
        continue


async def embed_again(engine: Engine, *, progress: Progress = False) -> None:
    """Embed the texts whose vectors are of an earlier embedder; until then no search scores them."""
    after: tuple[int, int] | None = None
    while texts := await engine.call(engine.ledger.stale_texts, _SLICE, after):
        meter = Meter()
        matrix = await embed_documents(engine, [text.text for text in texts], meter, progress=progress)
        assert meter.embedder is not None
        await engine.call(engine.ledger.set_item_vectors, meter.embedder, texts, list(matrix))
        after = (texts[-1].item, texts[-1].place)
