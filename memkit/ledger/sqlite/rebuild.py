"""Changing the embedder: new vectors are collected beside the old ones, and take their place in one transaction.

Until then every search sees the old ones. What was collected stays when the process ends early, and the next attempt
with the same embedder goes on from there.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, Final

from ...ranking.vectors import encode_many
from ..base import Record
from ..packing import Packing
from ..rows import RECORD_SELECT
from .base import SqliteBase, chunks
from .rows import one
from .tokens import put_tokens
from .words import Embeddings, read_state

if TYPE_CHECKING:
    from ..base import Matrix

_STAGED: Final = (
    "CREATE TABLE IF NOT EXISTS staged"
    " (rid INTEGER PRIMARY KEY, version INTEGER NOT NULL, e BLOB NOT NULL, tokens BLOB)"
)
_FITS: Final = "staged.rid = record.rid AND staged.version = record.version"


class SqliteRebuilding(SqliteBase):
    """The part of a ledger that changes its embedder."""

    def _packing_for(self, identity: str) -> Packing:
        raise NotImplementedError

    # ------------------------------------------------------------------------------------- collecting

    def begin_staging(self, identity: str) -> int:
        """Begin to collect vectors of another embedder, or go on; return how many live records have theirs."""

        def write(conn: sqlite3.Connection) -> int:
            if one(conn, "SELECT value FROM meta WHERE key = 'staging'") != identity:
                drop_staged(conn)
                conn.execute("INSERT INTO meta (key, value) VALUES ('staging', ?)", (identity,))
            conn.execute(_STAGED)
            return int(
                one(conn, f"SELECT count(*) FROM staged JOIN record ON {_FITS} WHERE record.deleted = 0")
            )

        return self._write(write)

    def unstaged(self, limit: int, after: int = -1) -> Sequence[Record]:
        """Return live records without a collected vector of their present version, by rid, after a rid."""
        sql = (
            RECORD_SELECT + f"LEFT JOIN staged ON {_FITS}"
            " WHERE record.rid > ? AND record.deleted = 0 AND staged.rid IS NULL ORDER BY record.rid LIMIT ?"
        )
        return self._read(
            lambda conn: self._records_of(conn, conn.execute(sql, (after, limit)).fetchall()), list[Record]()
        )

    def stage(
        self,
        identity: str,
        records: Sequence[Record],
        vectors: Matrix,
        tokens: Sequence[bytes | None] | None = None,
    ) -> None:
        """Collect the vectors, and tokens where there are any, of records as they were read, as one transaction."""
        blobs = encode_many(vectors, self._packing_for(identity))
        packed = [None] * len(records) if tokens is None else tokens
        rows = [(r.rid, r.version, *both) for r, *both in zip(records, blobs, packed, strict=True)]
        there = "EXISTS (SELECT 1 FROM record WHERE rid = ?1)"
        sql = f"INSERT OR REPLACE INTO staged SELECT ?1, ?2, ?3, ?4 WHERE {there}"
        self._write(lambda conn: conn.executemany(sql, rows).rowcount)

    def switch_embedder(self, identity: str, dim: int, *, force: bool = False) -> int:
        """Change the embedder and every embedding in one transaction; return how many live records lack a vector.

        When there are any and `force` is not set, nothing is written. Tokens of the embedder before are gone. Caches
        of all owners start again.
        """
        packing = self._packing_for(identity)
        lacking = (
            f"SELECT count(*) FROM record LEFT JOIN staged ON {_FITS}"
            " WHERE record.deleted = 0 AND staged.rid IS NULL"
        )
        collected = f"FROM staged JOIN record ON {_FITS} WHERE record.deleted = 0"
        sql = f"INSERT INTO vec (rid, gen, e) SELECT staged.rid, ?, staged.e {collected} ORDER BY staged.rid"
        tokens = (
            f"INSERT INTO tokens (rid, e) SELECT staged.rid, staged.tokens {collected}"
            " AND staged.tokens IS NOT NULL ORDER BY staged.rid"
        )

        def write(conn: sqlite3.Connection) -> int:
            left = int(one(conn, lacking))
            if left and not force:
                return left
            first = one(conn, "SELECT 1 FROM meta WHERE key = 'embedder'") is None
            change_embedder(conn, identity, dim, packing, first=first)
            conn.execute("DELETE FROM vec")
            conn.execute("DELETE FROM vec_gone")
            conn.execute(sql, (read_state(conn).gen,))
            conn.execute(tokens)
            drop_staged(conn)
            self._step("switched")
            return left

        return self._write(write)

    # ------------------------------------------------------------------------------------- what lacks a vector

    def unembedded(self, limit: int, after: int = -1) -> Sequence[Record]:
        """Return live records without a vector of the present embedder, by rid, after a rid."""
        sql = (
            RECORD_SELECT + "LEFT JOIN vec ON vec.rid = record.rid AND vec.gen = (SELECT gen FROM state)"
            " WHERE record.rid > ? AND record.deleted = 0 AND vec.rid IS NULL ORDER BY record.rid LIMIT ?"
        )
        return self._read(
            lambda conn: self._records_of(conn, conn.execute(sql, (after, limit)).fetchall()), list[Record]()
        )

    def without_vector(self, rids: Sequence[int]) -> set[int]:
        """Return which of these records, live or deleted, have no vector of the present embedder."""

        def read(conn: sqlite3.Connection) -> set[int]:
            lacking = set(rids)
            for table in ("vec", "vec_gone"):
                for part, marks in chunks(rids):
                    sql = f"SELECT rid FROM {table} WHERE rid IN ({marks}) AND gen = (SELECT gen FROM state)"
                    lacking.difference_update(row[0] for row in conn.execute(sql, part))
            return lacking

        return self._read(read, set[int]())

    def give_vectors(
        self,
        embedder: tuple[str, int],
        records: Sequence[Record],
        vectors: Matrix,
        tokens: Sequence[bytes | None] | None = None,
    ) -> None:
        """Give live records that are still as they were read their vectors and tokens, as one transaction.

        Raises:
            EmbedderMismatchError: They are not of the ledger's embedder.
        """

        def write(conn: sqlite3.Connection) -> None:
            self._remember_embedder(conn, *embedder)
            sql = "SELECT 1 FROM record WHERE rid = ? AND version = ? AND deleted = 0"
            same = [n for n, record in enumerate(records) if one(conn, sql, (record.rid, record.version))]
            put_vectors(conn, [(records[n].rid, vectors[n]) for n in same])
            packed = tokens or [None] * len(records)
            put_tokens(conn, [(records[n].rid, found) for n in same if (found := packed[n]) is not None])

        self._write(write)

    def _remember_embedder(
        self, conn: sqlite3.Connection, identity: str, dim: int, *, replace: bool = False
    ) -> None:
        raise NotImplementedError


def put_vectors(conn: sqlite3.Connection, rows: Sequence[tuple[int, Any]]) -> None:
    """Put vectors beside their records, by rid; every cache of their owners starts anew."""
    if not rows:
        return
    state = read_state(conn)
    Embeddings(state).insert(conn, rows)
    renew_caches(conn, {rid >> 32 for rid, _ in rows})


def renew_caches(conn: sqlite3.Connection, owners: Collection[int]) -> None:
    """Make every cache of some owners start anew."""
    event = read_state(conn).event + 1
    conn.execute("UPDATE state SET event = ?, reset = ? WHERE id = 1", (event, event))
    for number in sorted(owners):
        conn.execute("UPDATE owner SET event = ?, reset = ? WHERE no = ?", (event, event, number))


def change_embedder(
    conn: sqlite3.Connection, identity: str, dim: int, packing: Packing, *, first: bool
) -> None:
    """Remember an embedder; vectors of the one before count as none from here on, and every cache starts anew."""
    conn.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('embedder', ?)", (identity,))
    conn.execute("UPDATE state SET dim = ?, packing = ? WHERE id = 1", (dim, packing))
    if not first:
        conn.execute("DELETE FROM tokens")
        event = read_state(conn).event + 1
        conn.execute("UPDATE state SET gen = gen + 1, event = ?, reset = ? WHERE id = 1", (event, event))
        conn.execute("UPDATE owner SET event = ?, reset = ?", (event, event))


def drop_staged(conn: sqlite3.Connection, rids: Sequence[Any] | None = None) -> None:
    """Take collected vectors away: those of some records, or all of them."""
    if one(conn, "SELECT 1 FROM sqlite_master WHERE name = 'staged'") is None:
        return
    if rids is None:
        conn.execute("DROP TABLE staged")
        conn.execute("DELETE FROM meta WHERE key = 'staging'")
        return
    for part, marks in chunks(rids):
        conn.execute(f"DELETE FROM staged WHERE rid IN ({marks})", part)
