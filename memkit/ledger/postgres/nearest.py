"""Embeddings in a column of pgvector beside the packed ones: the server itself finds what is near, one owner at a time.

It is written in the transaction of the record. A row that somebody wrote without it (or that an undo brought back) has
none, and is compared here. Up to `exact_rows` embeddings there is no index: an owner's rows lie together, and are
scanned exactly. Above that an HNSW index is made, and asked where the owner is that large itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ...postgres.errors import make_extension
from ...postgres.wire import Wire, vector_on_wire, vectors_on_wire
from ...ranking.vectors import decode_many
from ..base import OWNER_SHIFT
from ..rows import owner_range
from .base import PostgresBase, reading
from .read import LAST_RID

if TYPE_CHECKING:
    from ...postgres.session import Session
    from ..records import Vector

_LARGEST_DIM: Final = 4000
"""Numbers of a vector that an index of `halfvec` takes. Source: https://github.com/pgvector/pgvector#hnsw"""
_CHUNK: Final = 2000
_MADE: Final = """
SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'vec'::regclass AND attname = 'v' AND NOT attisdropped)"""
_MAKE: Final = (
    "ALTER TABLE vec ADD COLUMN v halfvec",
    "CREATE OR REPLACE FUNCTION vec_changed() RETURNS trigger LANGUAGE plpgsql AS "
    "'BEGIN NEW.v := NULL; RETURN NEW; END'",
    # Whoever writes without knowing of the column must not leave the vector of another text in it.
    "CREATE OR REPLACE TRIGGER vec_changed BEFORE UPDATE OF e ON vec FOR EACH ROW EXECUTE FUNCTION vec_changed()",
    "CREATE INDEX vec_unfilled ON vec (rid) WHERE v IS NULL",
)
PUT: Final = (
    "UPDATE vec SET v = given.v FROM unnest(%s::bigint[], %s::halfvec[]) AS given (rid, v)"
    " WHERE vec.rid = given.rid"
)
# Numbers that may be there, looked up one by one: to read all of them would take longer than the search.
_SAMPLE: Final = f"""
SELECT vec.rid FROM owner CROSS JOIN LATERAL generate_series(
    ((owner.no << {OWNER_SHIFT}) + %s - 1) / %s * %s, (owner.no << {OWNER_SHIFT}) + owner.next_n, %s
) AS asked (rid) JOIN vec ON vec.rid = asked.rid WHERE owner.no BETWEEN %s AND %s"""
_SIZE: Final = """
SELECT dim, (SELECT coalesce(sum(memories), 0)::bigint FROM owner WHERE no BETWEEN %s AND %s) FROM state"""
_OF_OWNER: Final = "vec.rid BETWEEN %s AND %s AND vec.gen = (SELECT gen FROM state)"


@dataclass(frozen=True, slots=True, kw_only=True)
class NearestTerms:
    """How the column is used."""

    exact_rows: int
    ef_search: int
    hnsw: bool


class PostgresNearest(PostgresBase):
    """What is near, found by the database."""

    _nearest: NearestTerms | None = None
    _half: tuple[int, int | None] | None = None
    """The number of the type `halfvec` and the dimension, once the column is known to be there."""
    _indexed: str | None = None
    _written = 0
    """Changes since the column was last looked after."""

    def index_vectors(self, *, exact_rows: int, ef_search: int, hnsw: bool) -> None:
        """Keep embeddings in a column of pgvector too, from the next write on."""
        self._nearest = NearestTerms(exact_rows=exact_rows, ef_search=ef_search, hnsw=hnsw)

    def _nearest_is_due(self) -> bool:
        """Return whether the column is to be made, filled or indexed before the next write."""
        terms, half = self._nearest, self._half
        return terms is not None and (half is None or half[1] is None or self._written > terms.exact_rows)

    async def _prepare_nearest(self, s: Session) -> None:
        """Make the column, fill what lacks it, and make the index where there is enough to search."""
        assert self._nearest is not None
        if not await s.one(_MADE):
            await make_extension(s, "vector", self.location)
            for statement in _MAKE:
                await s.rows(statement)
        half: int = await s.one("SELECT 'halfvec'::regtype::oid::int8")
        dim = await s.one("SELECT dim FROM state")
        name = None if dim is None else f"vec_nearest_{dim}"
        await self._drop_others(s, name)
        if dim is not None:
            while await self._fill(s, half, dim):
                pass
            if await self._is_to_be_indexed(s, dim):
                await s.rows(
                    f"CREATE INDEX IF NOT EXISTS {name} ON vec USING hnsw ((v::halfvec({dim})) halfvec_cosine_ops)"
                )
                # Of a table that nobody has counted yet the planner asks no index of this kind.
                await s.rows("ANALYZE vec (rid, gen)")
        self._indexed = name if name and await s.one("SELECT to_regclass(%s)::text", (name,)) else None
        self._half, self._written = (half, dim), 0

    async def _drop_others(self, s: Session, kept: str | None) -> None:
        """Drop the indexes of other dimensions, which would refuse vectors of this one."""
        found = await s.rows(
            "SELECT x.relname::text FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid"
            " WHERE i.indrelid = 'vec'::regclass AND x.relname LIKE 'vec_nearest_%%' AND x.relname != %s",
            (kept or "",),
        )
        for (name,) in found:
            await s.rows(f"DROP INDEX {name}")

    async def _fill(self, s: Session, half: int, dim: int) -> bool:
        """Fill some rows; return whether there may be more."""
        rows = await s.rows(
            "SELECT rid, e FROM vec WHERE v IS NULL AND gen = (SELECT gen FROM state) ORDER BY rid LIMIT %s",
            (_CHUNK,),
        )
        if rows:
            matrix = decode_many([row[1] for row in rows], dim)
            await s.rows(PUT, ([row[0] for row in rows], vectors_on_wire(matrix, half, half=True)))
        return len(rows) == _CHUNK

    async def _is_to_be_indexed(self, s: Session, dim: int) -> bool:
        terms = self._nearest
        assert terms is not None
        if not terms.hnsw or dim > _LARGEST_DIM:
            return False
        count = "SELECT count(*) FROM (SELECT FROM vec LIMIT %s) AS found"
        return await s.one(count, (terms.exact_rows + 1,)) > terms.exact_rows

    @reading(lambda: None, snapshot=True)
    async def closest(
        self, s: Session, owners: Sequence[int] | None, vector: Vector, limit: int, every: int
    ) -> tuple[Sequence[int], Sequence[int]] | None:
        """Return the rids of the closest live records, best first, and about every n-th rid as a sample.

        None where the database is not to be asked: there is no column, several owners, or too much to fill.
        """
        terms = self._nearest
        if terms is None or self._half is None or (owners is not None and len(owners) != 1):
            return None
        low, high = (0, LAST_RID) if owners is None else owner_range(owners[0])
        dim, size, unfilled, sample = await self._around(s, low, high, every)
        if dim != len(vector) or len(unfilled) > _CHUNK:
            return None
        wire = vector_on_wire(vector)
        found: list[tuple[Any, ...]] = []
        if self._indexed == f"vec_nearest_{dim}" and size > terms.exact_rows:
            found = await self._by_graph(s, terms, wire, low, high, len(vector), limit)
        if len(found) < limit:
            found = await s.rows(
                "SELECT rid, far FROM (SELECT rid, v <=> %s::vector::halfvec AS far FROM vec"
                f" WHERE {_OF_OWNER} AND v IS NOT NULL) AS given ORDER BY far + 0, rid LIMIT %s",
                (wire, low, high, limit),
            )
        best = [(float(far), int(rid)) for rid, far in found]
        if unfilled:
            rows = decode_many([row[1] for row in unfilled], len(vector))
            best += [(1.0 - float(near), row[0]) for row, near in zip(unfilled, rows @ vector, strict=True)]
        return [rid for _, rid in sorted(best)[:limit]], sample

    async def _around(
        self, s: Session, low: int, high: int, every: int
    ) -> tuple[int | None, int, list[tuple[Any, ...]], list[int]]:
        """Return the dimension, how many live records there are, those that lack the column, and every n-th rid."""
        owners = (low >> OWNER_SHIFT, high >> OWNER_SHIFT)
        state, unfilled, sample = await s.together(
            [
                (_SIZE, owners),
                (f"SELECT rid, e FROM vec WHERE {_OF_OWNER} AND v IS NULL LIMIT %s", (low, high, _CHUNK + 1)),
                (_SAMPLE, (every, every, every, every, *owners)),
            ]
        )
        dim, size = state[0]
        return dim, size, unfilled, [row[0] for row in sample]

    async def _by_graph(
        self, s: Session, terms: NearestTerms, wire: Wire, low: int, high: int, dim: int, limit: int
    ) -> list[tuple[Any, ...]]:
        near = f"v::halfvec({dim}) <=> %s::vector::halfvec({dim})"
        settings = (
            "SELECT set_config('hnsw.iterative_scan', 'relaxed_order', true),"
            # A plan for any two bounds takes them for narrow ones, and scans.
            " set_config('hnsw.ef_search', %s, true), set_config('plan_cache_mode', 'force_custom_plan', true)"
        )
        asked = f"SELECT rid, {near} FROM vec WHERE {_OF_OWNER} ORDER BY {near} LIMIT {limit}"
        return (await s.together([(settings, (str(terms.ef_search),)), (asked, (wire, low, high, wire))]))[1]
