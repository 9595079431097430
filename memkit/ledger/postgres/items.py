"""Items of the key-value store in PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from ..item_rows import ITEM_SELECT, Cosines, item_row, packed, unpacked
from ..items import ItemBatch, ItemDrop, ItemPut, ItemRow, ItemsApplied, ItemText, Namespace
from ..packing import Packer
from .base import Session, read_state, reading, twin, writing
from .read import SNAPSHOT
from .rebuild import PostgresEmbedding

if TYPE_CHECKING:
    from ..base import Vector

_CHUNK: Final = 4_096
_ROWS: Final = 64
_SWEEP: Final = 500
"""Expired items that one write erases at most, so that none of them waits long."""
ITEM_LIVE: Final = "(item.expires_at IS NULL OR item.expires_at > %s)"
_BY_KEY: Final = ITEM_SELECT + "path = %s AND key = %s"
_ASKED: Final = "unnest(%s::bytea[], %s::text[]) WITH ORDINALITY AS asked (path, key, place)"

Found = tuple[ItemRow, float | None]


class PostgresItems(PostgresEmbedding):
    """The part of a ledger that keeps items."""

    # ------------------------------------------------------------------------------------- writing

    @writing()
    async def write_items(self, s: Session, batch: ItemBatch) -> ItemsApplied:
        """Write a batch as one durable transaction, or nothing of it; erase some of what has expired by then.

        Raises:
            EmbedderMismatchError: Its vectors are not of the ledger's embedder.
        """
        await s.rows("SAVEPOINT items")
        if batch.embedder is not None:
            await self._remember_embedder(s, *batch.embedder)
        applied = await _ItemWriter(s, batch).run()
        if applied.missing:
            await s.rows("ROLLBACK TO SAVEPOINT items")
        self._step("items")
        return applied

    @writing(again=True)
    async def set_item_vectors(
        self, s: Session, embedder: tuple[str, int], texts: Sequence[ItemText], vectors: Sequence[Vector]
    ) -> None:
        """Give texts that are still there their vectors, in one transaction.

        Raises:
            EmbedderMismatchError: They are not of the ledger's embedder.
        """
        await self._remember_embedder(s, *embedder)
        if not texts:
            return
        packer = Packer(await read_state(s))
        await s.rows(
            "UPDATE item_vec SET gen = %s, e = given.e"
            " FROM unnest(%s::bigint[], %s::integer[], %s::text[], %s::bytea[]) AS given (item, place, text, e)"
            " WHERE item_vec.item = given.item AND item_vec.place = given.place AND item_vec.text = given.text",
            (
                packer.gen,
                [text.item for text in texts],
                [text.place for text in texts],
                [text.text for text in texts],
                packer.blobs(vectors),
            ),
        )

    # ------------------------------------------------------------------------------------- reading

    def items(self, keys: Sequence[tuple[Namespace, str]], *, at: int) -> Sequence[ItemRow | None]:
        """Return the item of each key as of one moment, None where there is none."""
        found = self._items_at(keys, at)
        return [found.get(place) for place in range(len(keys))]

    async def aitems(self, keys: Sequence[tuple[Namespace, str]], *, at: int) -> Sequence[ItemRow | None]:
        """Return items as `items` does without blocking the event loop."""
        found = await twin(self._items_at)(keys, at)
        return [found.get(place) for place in range(len(keys))]

    @reading(dict[int, ItemRow])
    async def _items_at(
        self, s: Session, keys: Sequence[tuple[Namespace, str]], at: int
    ) -> Mapping[int, ItemRow]:
        """Return the items that there are by the place of their key."""
        select = ITEM_SELECT.replace("SELECT ", "SELECT asked.place, ", 1).replace(
            "no, path, key", "no, item.path, item.key"
        )
        rows = await s.rows(
            f"{select.removesuffix('WHERE ')} JOIN {_ASKED} ON item.path = asked.path AND item.key = asked.key"
            f" WHERE {ITEM_LIVE}",
            (*_columns(keys), at),
        )
        return {place - 1: item_row(row) for place, *row in rows}

    @reading(list[Found])
    async def find_items(
        self,
        s: Session,
        prefix: Namespace,
        *,
        at: int,
        vector: Vector | None = None,
        where: Callable[[Any], bool] | None = None,
        limit: int,
        offset: int = 0,
    ) -> Sequence[Found]:
        """Return items under a namespace whose value passes `where`, with scores; see `ItemLedger`."""
        wanted = offset + limit
        await s.begin(SNAPSHOT)
        near = {} if vector is None else await _cosines(s, prefix, vector, at)
        found: list[Found] = []
        await _take(s, list(near), near.get, where, wanted, found)
        if len(found) < wanted:
            most = None if where is not None else wanted - len(found) + len(near)
            others = [no for no in await _latest(s, prefix, at, most) if no not in near]
            await _take(s, others, lambda _: None, where, wanted, found)
        await s.commit()
        return found[offset:wanted]

    @reading(list[Namespace])
    async def item_namespaces(self, s: Session, prefix: Namespace, *, at: int) -> Sequence[Namespace]:
        """Return the namespaces under one that hold items, ordered label by label."""
        under, bounds = _under(prefix)
        rows = await s.rows(
            f"SELECT DISTINCT path FROM item WHERE {under} AND {ITEM_LIVE} ORDER BY path", (*bounds, at)
        )
        return [unpacked(path) for (path,) in rows]

    def known_texts(self, keys: Sequence[tuple[Namespace, str]], *, at: int) -> Sequence[frozenset[str]]:
        """Return for each key the texts that its item has vectors of the present embedder of."""
        found = self._texts_at(keys, at)
        return [frozenset(found.get(place, ())) for place in range(len(keys))]

    async def aknown_texts(
        self, keys: Sequence[tuple[Namespace, str]], *, at: int
    ) -> Sequence[frozenset[str]]:
        """Return texts as `known_texts` does without blocking the event loop."""
        found = await twin(self._texts_at)(keys, at)
        return [frozenset(found.get(place, ())) for place in range(len(keys))]

    @reading(dict[int, list[str]])
    async def _texts_at(
        self, s: Session, keys: Sequence[tuple[Namespace, str]], at: int
    ) -> Mapping[int, Sequence[str]]:
        """Return the texts that there are by the place of their key."""
        rows = await s.rows(
            f"SELECT asked.place, array_agg(v.text) FROM {_ASKED}"
            " JOIN item ON item.path = asked.path AND item.key = asked.key"
            f" JOIN item_vec v ON v.item = item.no AND v.gen = (SELECT gen FROM state) WHERE {ITEM_LIVE}"
            " GROUP BY asked.place",
            (*_columns(keys), at),
        )
        return {place - 1: texts for place, texts in rows}

    @reading(list[ItemText])
    async def stale_texts(
        self, s: Session, limit: int, after: tuple[int, int] | None = None
    ) -> Sequence[ItemText]:
        """Return texts whose vectors are of an earlier embedder, in order, after an (item, place)."""
        rows = await s.rows(
            "SELECT item, place, text FROM item_vec WHERE (item, place) > (%s, %s)"
            " AND gen != (SELECT gen FROM state) ORDER BY item, place LIMIT %s",
            (*(after or (-1, -1)), limit),
        )
        return [ItemText(item=item, place=place, text=text) for item, place, text in rows]


def _columns(keys: Sequence[tuple[Namespace, str]]) -> tuple[list[bytes], list[str]]:
    return [packed(namespace) for namespace, _ in keys], [key for _, key in keys]


def _under(prefix: Namespace) -> tuple[str, tuple[bytes, ...]]:
    """Return the condition that an item lies under a namespace, and what it is compared with."""
    if not prefix:
        return "true", ()
    first = packed(prefix)
    return "item.path >= %s AND item.path < %s", (first, first[:-1] + b"\x01")


async def _take(
    s: Session,
    numbers: Sequence[int],
    score: Callable[[int], float | None],
    where: Callable[[Any], bool] | None,
    wanted: int,
    found: list[Found],
) -> None:
    """Add items by number, in order, until there are enough; they are read a few at a time: mostly few are wanted."""
    for start in range(0, len(numbers), _ROWS):
        part = list(numbers[start : start + _ROWS])
        rows = {row[0]: item_row(row) for row in await s.rows(ITEM_SELECT + "no = ANY(%s)", (part,))}
        for no in part:
            if len(found) >= wanted:
                return
            if where is None or where(rows[no].value):
                found.append((rows[no], score(no)))


async def _latest(s: Session, prefix: Namespace, at: int, most: int | None) -> list[int]:
    """Return the numbers of items under a namespace, the last changed first."""
    under, bounds = _under(prefix)
    sql = f"SELECT no FROM item WHERE {under} AND {ITEM_LIVE} ORDER BY updated_at DESC, no DESC LIMIT %s"
    return [no for (no,) in await s.rows(sql, (*bounds, at, most))]


async def _cosines(s: Session, prefix: Namespace, vector: Vector, at: int) -> dict[int, float]:
    """Return for each item under a namespace the largest cosine of its vectors with one, exactly; best first."""
    state = await read_state(s)
    if state.dim is None or vector.shape != (state.dim,):
        return {}
    under, bounds = _under(prefix)
    await s.rows(
        "DECLARE near NO SCROLL CURSOR FOR SELECT v.item, v.e FROM item JOIN item_vec v ON v.item = item.no"
        f" WHERE {under} AND {ITEM_LIVE} AND v.gen = %s",
        (*bounds, at, state.gen),
    )
    cosines = Cosines(vector)
    while rows := await s.rows(f"FETCH {_CHUNK} FROM near"):
        cosines.take(rows)
    return cosines.best()


# ------------------------------------------------------------------------------------------- one batch


class _ItemWriter:
    """Writes one batch inside a transaction that its caller begins and ends."""

    def __init__(self, s: Session, batch: ItemBatch) -> None:
        self._s, self._batch = s, batch
        self._gen = 0
        self._packed: Mapping[str, bytes] = {}

    async def run(self) -> ItemsApplied:
        """Write everything and return what became of it, or which texts have no vector, neither given nor kept."""
        s, batch = self._s, self._batch
        state = await read_state(s)
        self._gen = state.gen
        if batch.vectors:
            blobs = Packer(state).blobs(list(batch.vectors.values()))
            self._packed = dict(zip(batch.vectors, blobs, strict=True))
        if batch.used:
            await s.rows(
                "UPDATE item SET expires_at = %s + ttl WHERE no = ANY(%s) AND ttl IS NOT NULL AND expires_at > %s",
                (batch.at, sorted(batch.used), batch.at),
            )
        missing: dict[str, None] = {}
        rows = [
            await self._drop(change) if isinstance(change, ItemDrop) else await self._put(change, missing)
            for change in batch.changes
        ]
        if missing:
            return ItemsApplied(missing=list(missing))
        return ItemsApplied(rows=rows, swept=await self._sweep())

    async def _put(self, put: ItemPut, missing: dict[str, None]) -> ItemRow:
        s, at, path = self._s, self._batch.at, packed(put.namespace)
        expires_at = None if put.ttl is None else at + put.ttl
        while True:
            old = await s.row(_BY_KEY + " FOR UPDATE", (path, put.key))
            if old is not None and old[7] is not None and old[7] <= at:
                await self._erase([old[0]])
                old = None
            if old is not None:
                # The clock may stand still, or be another process's; a change is later than the one before it.
                no, version, created_at, updated_at = old[0], old[4] + 1, old[5], max(at, old[6] + 1)
                await s.rows(
                    "UPDATE item SET version = %s, updated_at = %s, expires_at = %s, ttl = %s, value = %s"
                    " WHERE no = %s",
                    (version, updated_at, expires_at, put.ttl, put.value, no),
                )
                break
            version, created_at, updated_at = (1, at, at) if put.was is None else put.was[:3]
            expires_at = expires_at if put.was is None else put.was[3]
            no = await s.one(
                "INSERT INTO item (path, key, version, created_at, updated_at, expires_at, ttl, value)"
                " VALUES (%s,%s,%s,%s,%s,%s,%s,%s) ON CONFLICT (path, key) DO NOTHING RETURNING no",
                (path, put.key, version, created_at, updated_at, expires_at, put.ttl, put.value),
            )
            if no is not None:
                break
        await self._index(no, list(dict.fromkeys(put.texts)), missing, fresh=old is None)
        return item_row(
            (no, path, put.key, put.value, version, created_at, updated_at, expires_at, put.ttl)
        )  # fmt: skip

    async def _index(self, no: int, texts: Sequence[str], missing: dict[str, None], *, fresh: bool) -> None:
        """Let an item be found by these texts and no others."""
        s, gen = self._s, self._gen
        sql = "SELECT text, gen, e FROM item_vec WHERE item = %s ORDER BY place"
        old = [] if fresh else await s.rows(sql, (no,))
        if [(text, gen) for text in texts] == [(text, made) for text, made, _ in old]:
            return
        kept: dict[str, bytes] = {text: blob for text, made, blob in old if made == gen}
        blobs = {text: self._packed.get(text) or kept.get(text) for text in texts}
        missing.update(dict.fromkeys(text for text, blob in blobs.items() if blob is None))
        if old:
            await s.rows("DELETE FROM item_vec WHERE item = %s", (no,))
        rows = [
            (no, place, gen, text, blob)
            for place, (text, blob) in enumerate(blobs.items())
            if blob is not None
        ]
        await s.insert("item_vec", ("item", "place", "gen", "text", "e"), rows)

    async def _drop(self, drop: ItemDrop) -> ItemRow | None:
        found = await self._s.row(_BY_KEY + " FOR UPDATE", (packed(drop.namespace), drop.key))
        if found is None:
            return None
        await self._erase([found[0]])
        live = found[7] is None or found[7] > self._batch.at
        return item_row(found) if live else None

    async def _sweep(self) -> int:
        # What another writer has just got hold of, the next one sweeps.
        over = await self._s.rows(
            "SELECT no FROM item WHERE expires_at <= %s ORDER BY expires_at LIMIT %s FOR UPDATE SKIP LOCKED",
            (self._batch.at, _SWEEP),
        )
        await self._erase([no for (no,) in over])
        return len(over)

    async def _erase(self, numbers: Sequence[int]) -> None:
        if numbers:
            given = (list(numbers),)
            await self._s.together(
                [
                    ("DELETE FROM item_vec WHERE item = ANY(%s)", given),
                    ("DELETE FROM item WHERE no = ANY(%s)", given),
                ]
            )
