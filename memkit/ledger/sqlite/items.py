"""Items of the key-value store in the SQLite ledger.

A namespace is stored as its labels, each followed by a NUL. That can be taken apart again whatever the labels hold,
sorts like the labels, and everything under a namespace is one range of the index.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from ..item_rows import ITEM_SELECT, Cosines, item_row, packed, unpacked
from ..items import ItemBatch, ItemDrop, ItemPut, ItemRow, ItemsApplied, ItemText, Namespace
from ..packing import Packer, State
from .base import SqliteBase
from .connections import raise_translated
from .erase import ITEMS, mark_erasure
from .words import read_state

if TYPE_CHECKING:
    from ..base import Vector

_CHUNK: Final = 4_096
_ROWS: Final = 64
_SWEEP: Final = 500
"""Expired items that one write erases at most, so that none of them waits long."""

ITEM_LIVE: Final = "(item.expires_at IS NULL OR item.expires_at > ?)"
_BY_KEY: Final = ITEM_SELECT + "path = ? AND key = ?"


class _LacksVectors(Exception):
    """Texts have no vector. Raised so that the transaction is rolled back."""

    def __init__(self, texts: Sequence[str]) -> None:
        super().__init__("lacks vectors")
        self.texts = texts


class SqliteItems(SqliteBase):
    """The part of a ledger that keeps items."""

    def _remember_embedder(
        self, conn: sqlite3.Connection, identity: str, dim: int, *, replace: bool = False
    ) -> None:
        raise NotImplementedError

    # ------------------------------------------------------------------------------------- writing

    def write_items(self, batch: ItemBatch) -> ItemsApplied:
        """Write a batch as one durable transaction, or nothing of it; erase some of what has expired by then."""
        try:
            return self._write(lambda conn: self._apply_items(conn, batch))
        except _LacksVectors as lacks:
            return ItemsApplied(missing=lacks.texts)

    async def awrite_items(self, batch: ItemBatch) -> ItemsApplied:
        """Write a batch like `write_items` without blocking the event loop."""
        self.open(create=True)
        try:
            return await self._committer.arun(lambda conn: self._apply_items(self._known(conn), batch))
        except _LacksVectors as lacks:
            return ItemsApplied(missing=lacks.texts)
        except sqlite3.Error as error:
            raise_translated(error, self._db.location)

    def _apply_items(self, conn: sqlite3.Connection, batch: ItemBatch) -> ItemsApplied:
        if batch.embedder is not None:
            self._remember_embedder(conn, *batch.embedder)
        applied = _ItemWriter(conn, batch).run()
        self._step("items")
        return applied

    def set_item_vectors(
        self, embedder: tuple[str, int], texts: Sequence[ItemText], vectors: Sequence[Vector]
    ) -> None:
        """Give texts that are still there their vectors, in one transaction."""

        def write(conn: sqlite3.Connection) -> None:
            self._remember_embedder(conn, *embedder)
            state = read_state(conn)
            blobs = Packer(state).blobs(vectors) if vectors else []
            conn.executemany(
                "UPDATE item_vec SET gen = ?, e = ? WHERE item = ? AND place = ? AND text = ?",
                [
                    (state.gen, blob, t.item, t.place, t.text)
                    for t, blob in zip(texts, blobs, strict=True)
                ],
            )  # fmt: skip

        self._write(write)

    # ------------------------------------------------------------------------------------- reading

    def items(self, keys: Sequence[tuple[Namespace, str]], *, at: int) -> Sequence[ItemRow | None]:
        """Return the item of each key as of one moment, None where there is none."""

        def read(conn: sqlite3.Connection) -> list[ItemRow | None]:
            return [_live_row(conn, packed(namespace), key, at) for namespace, key in keys]

        return self._read(read, [None] * len(keys))

    def find_items(
        self,
        prefix: Namespace,
        *,
        at: int,
        vector: Vector | None = None,
        where: Callable[[Any], bool] | None = None,
        limit: int,
        offset: int = 0,
    ) -> Sequence[tuple[ItemRow, float | None]]:
        """Return items under a namespace whose value passes `where`, with scores; see `ItemLedger`."""
        wanted = offset + limit

        def read(conn: sqlite3.Connection) -> list[tuple[ItemRow, float | None]]:
            found: list[tuple[ItemRow, float | None]] = []
            near = {} if vector is None else _cosines(conn, prefix, vector, at)
            for row in _rows(conn, list(near)):
                if len(found) >= wanted:
                    break
                if where is None or where(row.value):
                    found.append((row, near[row.no]))
            if len(found) < wanted:
                most = None if where is not None else wanted - len(found) + len(near)
                others = [no for no in _latest(conn, prefix, at, most) if no not in near]
                for row in _rows(conn, others):
                    if len(found) >= wanted:
                        break
                    if where is None or where(row.value):
                        found.append((row, None))
            return found[offset:wanted]

        return self._read(read, list[tuple[ItemRow, float | None]]())

    def item_namespaces(self, prefix: Namespace, *, at: int) -> Sequence[Namespace]:
        """Return the namespaces under one that hold items, ordered label by label."""
        under, bounds = _under(prefix)
        sql = f"SELECT DISTINCT path FROM item WHERE {under} AND {ITEM_LIVE} ORDER BY path"

        def read(conn: sqlite3.Connection) -> list[Namespace]:
            return [unpacked(path) for (path,) in conn.execute(sql, (*bounds, at)).fetchall()]

        return self._read(read, list[Namespace]())

    def known_texts(self, keys: Sequence[tuple[Namespace, str]], *, at: int) -> Sequence[frozenset[str]]:
        """Return for each key the texts that its item has vectors of the present embedder of."""
        sql = (
            "SELECT v.text FROM item_vec v JOIN item ON item.no = v.item"
            f" WHERE item.path = ? AND item.key = ? AND {ITEM_LIVE} AND v.gen = (SELECT gen FROM state)"
        )

        def read(conn: sqlite3.Connection) -> list[frozenset[str]]:
            return [
                frozenset(text for (text,) in conn.execute(sql, (packed(namespace), key, at)))
                for namespace, key in keys
            ]

        return self._read(read, [frozenset()] * len(keys))

    def stale_texts(self, limit: int, after: tuple[int, int] | None = None) -> Sequence[ItemText]:
        """Return texts whose vectors are of an earlier embedder, in order, after an (item, place)."""
        sql = (
            "SELECT item, place, text FROM item_vec WHERE (item, place) > (?, ?)"
            " AND gen != (SELECT gen FROM state) ORDER BY item, place LIMIT ?"
        )

        def read(conn: sqlite3.Connection) -> list[ItemText]:
            rows = conn.execute(sql, (*(after or (-1, -1)), limit)).fetchall()
            return [ItemText(item=item, place=place, text=text) for item, place, text in rows]

        return self._read(read, list[ItemText]())


# ------------------------------------------------------------------------------------------- namespaces


def _under(prefix: Namespace) -> tuple[str, tuple[bytes, ...]]:
    """Return the condition that an item lies under a namespace, and what it is compared with."""
    if not prefix:
        return "1", ()
    first = packed(prefix)
    return "item.path >= ? AND item.path < ?", (first, first[:-1] + b"\x01")


# ------------------------------------------------------------------------------------------- rows


def _live_row(conn: sqlite3.Connection, path: bytes, key: str, at: int) -> ItemRow | None:
    found = conn.execute(f"{_BY_KEY} AND {ITEM_LIVE}", (path, key, at)).fetchone()
    return None if found is None else item_row(found)


def _rows(conn: sqlite3.Connection, numbers: Sequence[int]) -> Iterator[ItemRow]:
    """Yield items by number, in order, read a few at a time: mostly few are wanted."""
    for start in range(0, len(numbers), _ROWS):
        part = numbers[start : start + _ROWS]
        marks = ",".join("?" * len(part))
        found = {row[0]: row for row in conn.execute(f"{ITEM_SELECT} no IN ({marks})", part)}
        yield from (item_row(found[no]) for no in part)


def _latest(conn: sqlite3.Connection, prefix: Namespace, at: int, most: int | None) -> list[int]:
    """Return the numbers of items under a namespace, the last changed first."""
    under, bounds = _under(prefix)
    sql = f"SELECT no FROM item WHERE {under} AND {ITEM_LIVE} ORDER BY updated_at DESC, no DESC LIMIT ?"
    return [no for (no,) in conn.execute(sql, (*bounds, at, -1 if most is None else most))]


def _cosines(conn: sqlite3.Connection, prefix: Namespace, vector: Vector, at: int) -> dict[int, float]:
    """Return for each item under a namespace the largest cosine of its vectors with one, exactly; best first."""
    state = read_state(conn)
    if state.dim is None or vector.shape != (state.dim,):
        return {}
    under, bounds = _under(prefix)
    cursor = conn.execute(
        f"SELECT v.item, v.e FROM item JOIN item_vec v ON v.item = item.no WHERE {under} AND {ITEM_LIVE} AND v.gen = ?",
        (*bounds, at, state.gen),
    )
    cosines = Cosines(vector)
    while rows := cursor.fetchmany(_CHUNK):
        cosines.take(rows)
    return cosines.best()


# ------------------------------------------------------------------------------------------- one batch


class _ItemWriter:
    """Writes one batch inside a write transaction that its caller begins and ends."""

    def __init__(self, conn: sqlite3.Connection, batch: ItemBatch) -> None:
        self._conn, self._batch = conn, batch
        self._state: State = read_state(conn)
        self._packed: Mapping[str, bytes] = {}

    def run(self) -> ItemsApplied:
        """Write everything and return what became of it.

        Raises:
            _LacksVectors: A text has no vector, neither given nor kept.
        """
        batch, conn = self._batch, self._conn
        if batch.vectors:
            blobs = Packer(self._state).blobs(list(batch.vectors.values()))
            self._packed = dict(zip(batch.vectors, blobs, strict=True))
        conn.executemany(
            "UPDATE item SET expires_at = ? + ttl WHERE no = ? AND ttl IS NOT NULL AND expires_at > ?",
            [(batch.at, no, batch.at) for no in batch.used],
        )
        missing: dict[str, None] = {}
        rows = [
            self._drop(change) if isinstance(change, ItemDrop) else self._put(change, missing)
            for change in batch.changes
        ]
        if missing:
            raise _LacksVectors(list(missing))
        return ItemsApplied(rows=rows, swept=self._sweep())

    def _put(self, put: ItemPut, missing: dict[str, None]) -> ItemRow:
        conn, at, path = self._conn, self._batch.at, packed(put.namespace)
        expires_at = None if put.ttl is None else at + put.ttl
        old = conn.execute(_BY_KEY, (path, put.key)).fetchone()
        if old is not None and old[7] is not None and old[7] <= at:
            self._erase([old[0]])
            old = None
        if old is None:
            was = put.was
            version, created_at, updated_at = (1, at, at) if was is None else was[:3]
            expires_at = expires_at if was is None else was[3]
            no = conn.execute(
                "INSERT INTO item (path, key, version, created_at, updated_at, expires_at, ttl, value)"
                " VALUES (?,?,?,?,?,?,?,?)",
                (path, put.key, version, created_at, updated_at, expires_at, put.ttl, put.value),
            ).lastrowid
            assert no is not None
        else:
            # The clock may stand still, or be another process's; a change is later than the one before all the same.
            no, version, created_at, updated_at = old[0], old[4] + 1, old[5], max(at, old[6] + 1)
            conn.execute(
                "UPDATE item SET version = ?, updated_at = ?, expires_at = ?, ttl = ?, value = ? WHERE no = ?",
                (version, updated_at, expires_at, put.ttl, put.value, no),
            )
        self._index(no, list(dict.fromkeys(put.texts)), missing)
        return item_row(
            (no, path, put.key, put.value, version, created_at, updated_at, expires_at, put.ttl)
        )  # fmt: skip

    def _index(self, no: int, texts: Sequence[str], missing: dict[str, None]) -> None:
        """Let an item be found by these texts and no others."""
        conn, gen = self._conn, self._state.gen
        old = conn.execute(
            "SELECT text, gen, e FROM item_vec WHERE item = ? ORDER BY place", (no,)
        ).fetchall()
        if [(text, gen) for text in texts] == [(text, made) for text, made, _ in old]:
            return
        kept = {text: blob for text, made, blob in old if made == gen}
        blobs = {text: self._packed.get(text) or kept.get(text) for text in texts}
        missing.update(dict.fromkeys(text for text, blob in blobs.items() if blob is None))
        conn.execute("DELETE FROM item_vec WHERE item = ?", (no,))
        conn.executemany(
            "INSERT INTO item_vec (item, place, gen, text, e) VALUES (?,?,?,?,?)",
            [
                (no, place, gen, text, blob)
                for place, (text, blob) in enumerate(blobs.items())
                if blob is not None
            ],
        )

    def _drop(self, drop: ItemDrop) -> ItemRow | None:
        found = self._conn.execute(_BY_KEY, (packed(drop.namespace), drop.key)).fetchone()
        if found is None:
            return None
        self._erase([found[0]])
        live = found[7] is None or found[7] > self._batch.at
        return item_row(found) if live else None

    def _sweep(self) -> int:
        sql = "SELECT no FROM item WHERE expires_at <= ? ORDER BY expires_at LIMIT ?"
        over = [no for (no,) in self._conn.execute(sql, (self._batch.at, _SWEEP)).fetchall()]
        self._erase(over)
        return len(over)

    def _erase(self, numbers: Sequence[int]) -> None:
        self._conn.executemany("DELETE FROM item_vec WHERE item = ?", [(no,) for no in numbers])
        self._conn.executemany("DELETE FROM item WHERE no = ?", [(no,) for no in numbers])
        if numbers:
            mark_erasure(self._conn, ITEMS)
