"""The embedder of a ledger in PostgreSQL, and changing it: new vectors are collected and take the old ones' place.

Until then every search sees the old ones. What was collected stays when the process ends early, and the next attempt
with the same embedder goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from ...ranking.vectors import encode_many
from ..base import OWNER_SHIFT, Record
from ..packing import Packer, Packing, State, embedder_mismatch, packing_of
from .base import PostgresBase, Session, read_state, reading, twin, writing
from .rows import RECORDS, owned_records

if TYPE_CHECKING:
    from ..base import Matrix, Vector

_FITS: Final = "staged.rid = record.rid AND staged.version = record.version"
_EMBEDDER: Final = "SELECT meta.value, state.dim FROM meta, state WHERE meta.key = 'embedder'"
_CHUNK: Final = 2_000


class PostgresEmbedding(PostgresBase):
    """The part of a ledger that has to do with its embedder."""

    @reading(lambda: None)
    async def embedder(self, s: Session) -> tuple[str, int] | None:
        """Return identity and dimension of the embedder the ledger was made with."""
        return await _embedder(s)

    def set_embedder(self, identity: str, dim: int, *, replace: bool = False) -> None:
        """Remember the embedder, at the first write; `replace` only in a rebuild, and drops no vector by itself.

        Raises:
            EmbedderMismatchError: Another one is stored already.
        """
        change = self._change_to(self.embedder(), (identity, dim), replace=replace)
        if change is not None:
            change(identity, dim)

    async def aset_embedder(self, identity: str, dim: int, *, replace: bool = False) -> None:
        """Remember the embedder like `set_embedder` without blocking the event loop."""
        change = self._change_to(await twin(self.embedder)(), (identity, dim), replace=replace)
        if change is not None:
            await twin(change)(identity, dim)

    def _change_to(
        self, known: tuple[str, int] | None, wanted: tuple[str, int], *, replace: bool
    ) -> Callable[[str, int], None] | None:
        """Return what brings the embedder that is stored to another; None where nothing has to."""
        if known is None:
            return self._set_first_embedder
        if known == wanted:
            return None
        if not replace:
            raise embedder_mismatch(known, wanted)
        return self._replace_embedder

    @writing(again=True)
    async def _set_first_embedder(self, s: Session, identity: str, dim: int) -> None:
        await self._remember_embedder(s, identity, dim)

    @writing(again=True, exclusive=True)
    async def _replace_embedder(self, s: Session, identity: str, dim: int) -> None:
        if await _embedder(s) != (identity, dim):
            await change_embedder(s, identity, dim, self._packing_for(identity))

    async def _remember_embedder(self, s: Session, identity: str, dim: int) -> None:
        """Remember the embedder with the ledger's first vectors.

        Raises:
            EmbedderMismatchError: Another one is stored already.
        """
        await remember_embedder(s, identity, dim, self._packing_for(identity))

    def _packing_for(self, identity: str) -> Packing:
        return self._packing or packing_of(identity)

    # ------------------------------------------------------------------------------------- collecting

    @writing(again=True)
    async def begin_staging(self, s: Session, identity: str) -> int:
        """Begin to collect vectors of another embedder, or go on; return how many live records have theirs."""
        if await s.one("SELECT value FROM meta WHERE key = 'staging' FOR UPDATE") != identity:
            await drop_staged(s)
            await s.rows(
                "INSERT INTO meta (key, value) VALUES ('staging', %s)"
                " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                (identity,),
            )
        return await s.one(f"SELECT count(*) FROM staged JOIN record ON {_FITS} WHERE record.deleted = 0")

    @reading(list[Record])
    async def unstaged(self, s: Session, limit: int, after: int = -1) -> Sequence[Record]:
        """Return live records without a collected vector of their present version, by rid, after a rid."""
        rows = await s.rows(
            f"{RECORDS}LEFT JOIN staged ON {_FITS}"
            " WHERE record.rid > %s AND record.deleted = 0 AND staged.rid IS NULL ORDER BY record.rid LIMIT %s",
            (after, limit),
        )
        return owned_records(rows, self._book.salt)

    @writing(again=True)
    async def stage(
        self,
        s: Session,
        identity: str,
        records: Sequence[Record],
        vectors: Matrix,
        tokens: Sequence[bytes | None] | None = None,
    ) -> None:
        """Collect the vectors, and tokens where there are any, of records as they were read, as one transaction."""
        blobs = encode_many(vectors, self._packing_for(identity))
        packed = [None] * len(records) if tokens is None else list(tokens)
        await s.rows(
            "INSERT INTO staged (rid, version, v, t) SELECT given.* FROM"
            " unnest(%s::bigint[], %s::integer[], %s::bytea[], %s::bytea[]) AS given (rid, version, v, t)"
            " JOIN record ON record.rid = given.rid"
            " ON CONFLICT (rid) DO UPDATE SET version = excluded.version, v = excluded.v, t = excluded.t",
            ([record.rid for record in records], [record.version for record in records], blobs, packed),
        )

    @writing(exclusive=True)
    async def switch_embedder(self, s: Session, identity: str, dim: int, *, force: bool = False) -> int:
        """Change the embedder and every embedding in one transaction; return how many live records lack a vector.

        When there are any and `force` is not set, nothing is written. Tokens of the embedder before are gone. Caches
        of all owners start again.
        """
        left: int = await s.one(
            f"SELECT count(*) FROM record LEFT JOIN staged ON {_FITS} WHERE record.deleted = 0 AND staged.rid IS NULL"
        )
        if left and not force:
            return left
        gen = await change_embedder(s, identity, dim, self._packing_for(identity))
        collected = f"FROM staged JOIN record ON {_FITS} WHERE record.deleted = 0"
        await s.together(
            [
                ("DELETE FROM vec", ()),
                ("DELETE FROM vec_gone", ()),
                (f"INSERT INTO vec (rid, gen, e) SELECT staged.rid, %s, staged.v {collected}", (gen,)),
                (
                    f"INSERT INTO tokens (rid, e) SELECT staged.rid, staged.t {collected} AND staged.t IS NOT NULL",
                    (),
                ),
            ]
        )
        await drop_staged(s)
        self._step("switched")
        return left

    @writing(exclusive=True)
    async def replace_embeddings(
        self, s: Session, identity: str, dim: int, rids: Sequence[int], vectors: Matrix
    ) -> Sequence[int]:
        """Change the embedder and every embedding in one transaction.

        Returns the rids of live records for which no vector was given, ascending; when there are any, nothing was
        written. Caches of all owners start again.
        """
        live = {row[0] for row in await s.rows("SELECT rid FROM record WHERE deleted = 0")}
        missing = live.difference(rids)
        if missing:
            return sorted(missing)
        await change_embedder(s, identity, dim, self._packing_for(identity))
        pairs = sorted((rid, place) for place, rid in enumerate(rids) if rid in live)
        packer = Packer(await read_state(s))
        for start in range(0, len(pairs), _CHUNK):
            part = pairs[start : start + _CHUNK]
            await put_embeddings(s, packer, [(rid, vectors[place]) for rid, place in part])
        await s.rows("DELETE FROM vec_gone")
        return []

    # ------------------------------------------------------------------------------------- what lacks a vector

    @reading(list[Record])
    async def unembedded(self, s: Session, limit: int, after: int = -1) -> Sequence[Record]:
        """Return live records without a vector of the present embedder, by rid, after a rid."""
        rows = await s.rows(
            f"{RECORDS}LEFT JOIN vec ON vec.rid = record.rid AND vec.gen = (SELECT gen FROM state)"
            " WHERE record.rid > %s AND record.deleted = 0 AND vec.rid IS NULL ORDER BY record.rid LIMIT %s",
            (after, limit),
        )
        return owned_records(rows, self._book.salt)

    @reading(set[int])
    async def without_vector(self, s: Session, rids: Sequence[int]) -> set[int]:
        """Return which of these records, live or deleted, have no vector of the present embedder."""
        of_them = "rid = ANY(%s) AND gen = (SELECT gen FROM state)"
        rows = await s.rows(
            f"SELECT rid FROM vec WHERE {of_them} UNION ALL SELECT rid FROM vec_gone WHERE {of_them}",
            (list(rids), list(rids)),
        )
        return set(rids).difference(row[0] for row in rows)

    @writing(again=True)
    async def give_vectors(
        self,
        s: Session,
        embedder: tuple[str, int],
        records: Sequence[Record],
        vectors: Matrix,
        tokens: Sequence[bytes | None] | None = None,
    ) -> None:
        """Give live records that are still as they were read their vectors and tokens, as one transaction.

        Raises:
            EmbedderMismatchError: They are not of the ledger's embedder.
        """
        await self._remember_embedder(s, *embedder)
        await lock_owners(s, [record.owner for record in records])
        rows = await s.rows(
            "SELECT rid, version FROM record WHERE rid = ANY(%s) AND deleted = 0",
            ([record.rid for record in records],),
        )
        present = dict(rows)
        same = [n for n, record in enumerate(records) if present.get(record.rid) == record.version]
        await put_vectors(s, [(records[n].rid, vectors[n]) for n in same])
        packed = tokens or [None] * len(records)
        await put_tokens(s, [(records[n].rid, found) for n in same if (found := packed[n]) is not None])

    @writing(again=True)
    async def set_vectors(self, s: Session, rids: Sequence[int], vectors: Matrix) -> None:
        """Replace embeddings during a rebuild, as one transaction; caches of these owners start anew."""
        await lock_owners(s, [rid >> OWNER_SHIFT for rid in rids])
        found = await s.rows("SELECT rid FROM record WHERE rid = ANY(%s) AND deleted = 0", (list(rids),))
        live = {row[0] for row in found}
        await put_vectors(s, [(rid, vectors[place]) for place, rid in enumerate(rids) if rid in live])


async def _embedder(s: Session) -> tuple[str, int] | None:
    row = await s.row(_EMBEDDER)
    return None if row is None else (row[0], row[1])


async def remember_embedder(s: Session, identity: str, dim: int, packing: Packing) -> State:
    """Remember the embedder with the ledger's first vectors, and return how the store stands then.

    Raises:
        EmbedderMismatchError: Another one is stored already.
    """
    known = await _embedder(s)
    if known is None:
        first = "INSERT INTO meta (key, value) VALUES ('embedder', %s) ON CONFLICT DO NOTHING"
        if await s.run(first, (identity,)):
            await s.rows("UPDATE state SET dim = %s, packing = %s WHERE id = 1", (dim, packing))
        else:
            known = await _embedder(s)  # Somebody else's write was the first.
    if known is not None and known != (identity, dim):
        raise embedder_mismatch(known, (identity, dim))
    return await read_state(s)


async def lock_owners(s: Session, numbers: Iterable[int]) -> None:
    """Keep other writers away from some owners until the transaction ends."""
    await s.rows(
        "SELECT no FROM owner WHERE no = ANY(%s) ORDER BY no FOR NO KEY UPDATE", (sorted(set(numbers)),)
    )


async def put_embeddings(s: Session, packer: Packer, rows: Sequence[tuple[int, Vector]]) -> None:
    """Put vectors beside records, in the place of those they had."""
    if rows:
        await s.rows(
            "INSERT INTO vec (rid, gen, e) SELECT rid, %s, e FROM unnest(%s::bigint[], %s::bytea[]) AS given (rid, e)"
            " ON CONFLICT (rid) DO UPDATE SET gen = excluded.gen, e = excluded.e",
            (packer.gen, [rid for rid, _ in rows], packer.blobs([vector for _, vector in rows])),
        )


async def put_vectors(s: Session, rows: Sequence[tuple[int, Any]]) -> None:
    """Put vectors beside records whose owners are locked; every cache of these starts anew."""
    if not rows:
        return
    await put_embeddings(s, Packer(await read_state(s)), rows)
    await reset_caches(s, sorted({rid >> OWNER_SHIFT for rid, _ in rows}))


async def reset_caches(s: Session, owners: Sequence[int] | None) -> None:
    """Let every cache of some owners (None: of all) start anew; whoever calls has them locked."""
    which, parameters = ("", ()) if owners is None else (" WHERE no = ANY(%s)", (owners,))
    await s.together(
        [
            (
                f"UPDATE owner SET (event, reset) = (SELECT n, n FROM nextval('event_seq') n){which}",
                parameters,
            ),
            ("UPDATE state SET reset = reset + 1 WHERE id = 1", ()),
        ]
    )


async def change_embedder(s: Session, identity: str, dim: int, packing: Packing) -> int:
    """Remember an embedder and return its generation; vectors of the one before count as none from here on.

    Every cache starts anew. Whoever calls has the store alone.
    """
    first = await _embedder(s) is None
    await s.together(
        [
            (
                "INSERT INTO meta (key, value) VALUES ('embedder', %s)"
                " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                (identity,),
            ),
            (
                "UPDATE state SET dim = %s, packing = %s, gen = gen + %s WHERE id = 1",
                (dim, packing, int(not first)),
            ),
        ]
    )
    if not first:
        await s.rows("DELETE FROM tokens")
        await reset_caches(s, None)
    return (await read_state(s)).gen


async def put_tokens(s: Session, rows: Sequence[tuple[int, bytes]]) -> None:
    """Give records their tokens, in the place of those they had."""
    if rows:
        await s.rows(
            "INSERT INTO tokens (rid, e) SELECT * FROM unnest(%s::bigint[], %s::bytea[])"
            " ON CONFLICT (rid) DO UPDATE SET e = excluded.e",
            ([rid for rid, _ in rows], [packed for _, packed in rows]),
        )


async def drop_tokens(s: Session, rids: Sequence[int]) -> None:
    """Take the tokens of records away."""
    await s.rows("DELETE FROM tokens WHERE rid = ANY(%s)", (list(rids),))


async def drop_staged(s: Session, rids: Sequence[int] | None = None) -> None:
    """Take collected vectors away: those of some records, or all of them."""
    if rids is None:
        await s.together([("DELETE FROM staged", ()), ("DELETE FROM meta WHERE key = 'staging'", ())])
    else:
        await s.rows("DELETE FROM staged WHERE rid = ANY(%s)", (list(rids),))
