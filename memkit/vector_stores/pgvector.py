"""PostgreSQL with pgvector: one table a collection, exact for small scopes and by an index for large ones.

Columns are the id, the scope, the payload as it was written (`json`: `jsonb` would reorder keys and refuse some texts),
its flat keys for filters (`jsonb`) and the vector. The table's comment says which embedder the vectors are of, so that
nothing outlives the table. Every operation is one statement, and may be repeated.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import psycopg

from memkit.errors import ConfigurationError
from memkit.filters import Filter
from memkit.postgres.address import Address, address_of
from memkit.postgres.given import GivenPools
from memkit.postgres.pool import Pools, Terms
from memkit.postgres.session import Session
from memkit.postgres.wire import vector_on_wire
from memkit.vector_stores.base import (
    Capability,
    StoreHit,
    StoreInfo,
    StorePage,
    StoreRecord,
    VectorStore,
    check_embedder,
    check_limit,
    check_records,
    check_vector,
    record_filter,
    score_of,
    storable_ids,
)
from memkit.vector_stores.pgvector_rows import (
    COLUMNS,
    Conditions,
    Sql,
    arguments,
    ordered,
    record_of,
)
from memkit.vector_stores.pgvector_table import (
    HNSW_DIMS,
    Facts,
    PgvectorSettings,
    can_index,
    check_pool,
    collections,
    facts_of,
    foreign_page,
    make_index,
    make_table,
    measured,
    prepare,
)

if TYPE_CHECKING:
    from memkit.ledger.base import Ledger
    from memkit.ledger.postgres.nearest import PostgresNearest
    from memkit.vector_stores.base import Vector

R = TypeVar("R")
log: Final = logging.getLogger("memkit")

_ROWS: Final = 1000
_BYTES: Final = 8 << 20
_PAUSES_S: Final = (0.0, 0.2)
"""Waits before another try; an index that stays down follows later, so that nobody need wait for it."""
_KNOWN: Final = 10_000
"""Scopes whose size is remembered."""
_AGE_S: Final = 300.0
_NOWHERE: Final = (
    "The pgvector store names no server. Give `url=` ('postgresql://...'), or `host=`, `user=` and `password=`; "
    "without them it is the table of a PostgreSQL ledger (`ledger='postgresql://...'`)."
)


class PgvectorStore(VectorStore):
    """A table of PostgreSQL with the extension pgvector. Without a server of its own it is the ledger's table.

    A scope of up to `exact_rows` points is scanned exactly, through an index of scopes. Once the table holds more, it
    gets an HNSW (or diskann) index, by which larger scopes are searched, and exactly again where that does not fill
    the limit.
    """

    name = "pgvector"

    Settings = PgvectorSettings

    def __init__(self, settings: PgvectorSettings | None = None, *, client: Any = None) -> None:
        given = settings or PgvectorSettings()
        self._settings = given
        self.patience_s = given.patience_s
        if client is not None:
            check_pool(client)
        self._pool = given.connection_pool if client is None else client
        self._table = '"' + given.collection_name.replace('"', '""') + '"'
        self._facts: Facts | None = None
        self._large: dict[str, tuple[float, bool]] = {}
        self._written = given.exact_rows
        self._made: Pools | None = None
        standalone: frozenset[Capability] = frozenset(
            {"persistent", "multi_process", "server", "native_async"}
        )
        self._own = given.elsewhere or client is not None
        self.capabilities = standalone if self._own else frozenset({"in_ledger"})

    # The connections, and one text for both ways of calling.

    @property
    def _pools(self) -> Pools:
        if self._made is None:
            given = self._settings
            if not self._own:
                raise ConfigurationError(_NOWHERE)
            terms = Terms(
                address=self._address(),
                backend=self.name,
                least=given.minconn,
                most=max(given.minconn, given.maxconn),
                timeout_s=given.timeout_s,
                prepare=self._prepare,
                pauses_s=_PAUSES_S,
            )
            self._made = Pools(terms) if self._pool is None else GivenPools(terms, self._pool)
        return self._made

    def _address(self) -> Address:
        given = self._settings
        url = given.url or given.connection_string
        parts = {"host": given.host, "port": given.port, "user": given.user, "sslmode": given.sslmode}
        secret = given.password.get_secret_value() if given.password else None
        database = given.dbname or (None if url else "postgres")
        return address_of(
            url.get_secret_value() if url else None, {**parts, "dbname": database, "password": secret}
        )

    def join(self, ledger: Ledger) -> None:
        """Become the ledger's own table where that is in the same database, or where no other was named."""
        location = str(getattr(ledger, "location", ""))
        if not self._own and not location.startswith("postgresql://"):
            raise ConfigurationError(_NOWHERE)
        if self._pool is None and (
            not self._own or location.startswith(f"postgresql://{self._address().where} ")
        ):
            self.capabilities = frozenset({"in_ledger"})
            given = self._settings
            cast("PostgresNearest", ledger).index_vectors(
                exact_rows=given.exact_rows, ef_search=given.ef_search, hnsw=given.hnsw
            )

    async def _prepare(self, session: Session) -> None:
        if self._pool is None:
            wait_ms = str(int(1000 * self._settings.timeout_s))
            await session.rows("SELECT set_config('statement_timeout', %s, false)", [wait_ms])
        await prepare(session, self._settings)

    def _run(self, work: Callable[[Session], Awaitable[R]]) -> R:
        return self._pools.run(lambda session: self._steady(session, work))

    async def _arun(self, work: Callable[[Session], Awaitable[R]]) -> R:
        return await self._pools.arun(lambda session: self._steady(session, work))

    async def _steady(self, session: Session, work: Callable[[Session], Awaitable[R]]) -> R:
        """Do the work, and again where what was known of the table proves to be old."""
        try:
            return await work(session)
        except (psycopg.errors.UndefinedTable, psycopg.DataError):
            if self._facts is None:
                raise
            self._facts = None
            return await work(session)

    # The collection.

    async def _known(self, session: Session) -> Facts | None:
        """Return the facts of the collection; None where there is no table, or one that memkit did not make."""
        if self._facts is None:
            self._facts = await facts_of(session, self._table)
        return self._facts

    def open(self, *, dim: int, embedder: str) -> None:
        """Make or open the table, with the extension `vector` where it is missing."""
        self._run(lambda session: self._open(session, dim, embedder))

    async def aopen(self, *, dim: int, embedder: str) -> None:
        """The same, awaited."""
        await self._arun(lambda session: self._open(session, dim, embedder))

    async def _open(self, session: Session, dim: int, embedder: str) -> None:
        self._facts = None
        if await self._known(session) is None:
            await session.begin()
            await session.rows("SELECT pg_advisory_xact_lock(hashtext('memkit pgvector'))")
            if await self._known(session) is None:
                await make_table(
                    session, self._table, self._settings, dim, embedder, self._pools.terms.address.where
                )
            await session.commit()
        found = await self._known(session)
        assert found is not None
        name = self._settings.collection_name
        check_embedder(f"The pgvector collection {name!r}", (found.dim, found.embedder), (dim, embedder))

    # Writing.

    def upsert(self, records: Sequence[StoreRecord]) -> None:
        """Write points, up to a thousand in one statement; the last of equal ids wins."""
        batch = ordered(check_records(records, None))
        self._run(lambda session: self._upsert(session, batch))

    async def aupsert(self, records: Sequence[StoreRecord]) -> None:
        """The same, awaited."""
        batch = ordered(check_records(records, None))
        await self._arun(lambda session: self._upsert(session, batch))

    async def _upsert(self, session: Session, batch: Sequence[tuple[StoreRecord, str]]) -> None:
        found = await self._known(session)
        if found is None:
            raise ConfigurationError(
                f"There is no pgvector collection {self._settings.collection_name!r}. Call `open(dim=, embedder=)` "
                "first."
            )
        for record, _ in batch:
            if len(record.vector) != found.dim:
                check_vector(record.vector, found.dim, f"The vector of {record.id!r}")
        columns = ", ".join(COLUMNS)
        changes = ", ".join(f"{name} = excluded.{name}" for name in COLUMNS[1:])
        step = max(1, min(_ROWS, _BYTES // (4 * found.dim)))
        for start in range(0, len(batch), step):
            await session.rows(
                f"INSERT INTO {self._table} ({columns}) SELECT i, u, a, r, p::json, f::jsonb, v FROM unnest("
                "%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::vector[]) "
                f"AS n (i, u, a, r, p, f, v) ON CONFLICT (id) DO UPDATE SET {changes}",
                arguments(batch[start : start + step], found.type),
            )
        await self._grown(session, found, len(batch))

    async def _grown(self, session: Session, found: Facts, written: int) -> None:
        """Make the index of vectors once there are more points than are scanned; asked now and then."""
        given = self._settings
        self._written += written
        if found.indexed or self._written * 10 < given.exact_rows or not can_index(given, found.dim):
            return
        self._written = 0
        if await self._are_more(session, ("TRUE", [])):
            try:
                await make_index(session, self._table, given, found.dim)
            except psycopg.Error as error:
                await session.rows("ROLLBACK")
                log.warning("memkit: no index of vectors for %s: %s", self._table, error)
            self._facts = None

    def delete(self, ids: Sequence[str]) -> None:
        """Delete points."""
        self._run(lambda session: self._delete(session, ids))

    async def adelete(self, ids: Sequence[str]) -> None:
        """The same, awaited."""
        await self._arun(lambda session: self._delete(session, ids))

    async def _delete(self, session: Session, ids: Sequence[str]) -> None:
        known = sorted(storable_ids(ids))
        if known and await self._known(session) is not None:
            # Locked in the order of ids, as a write locks them, so that two do not wait for each other.
            await session.rows(
                f"DELETE FROM {self._table} WHERE id IN (SELECT id FROM {self._table} "
                "WHERE id = ANY (%s::text[]) ORDER BY id FOR UPDATE)",
                [known],
            )

    # Reading.

    def search(self, vector: Vector, limit: int, filter: Filter | None = None) -> list[StoreHit]:
        """Return at most `limit` hits, best first, ties by id."""
        check_limit(limit)
        return self._run(lambda session: self._search(session, check_vector(vector, None), limit, filter))

    async def asearch(self, vector: Vector, limit: int, filter: Filter | None = None) -> list[StoreHit]:
        """The same, awaited."""
        check_limit(limit)
        return await self._arun(
            lambda session: self._search(session, check_vector(vector, None), limit, filter)
        )

    async def _search(
        self, session: Session, query: Vector, limit: int, filter: Filter | None
    ) -> list[StoreHit]:
        found = await self._known(session)
        if found is None:
            return []
        check_vector(query, found.dim)
        where, passes = Conditions(filter), record_filter(filter)
        if where.nothing:
            return []
        exact = not query.any() or not await self._is_large(session, where)
        asked = limit if where.exact else max(5 * limit, 50)
        while True:
            rows = await session.rows(*self._nearest(found, where, query, asked, exact))
            hits = [
                StoreHit(id=id, score=score_of(1.0 - distance), payload=payload)
                for id, payload, distance in rows
            ]
            if not where.exact:
                hits = [hit for hit in hits if passes(hit.id, hit.payload)]
            if len(hits) >= limit or (exact and len(rows) < asked):
                return sorted(hits, key=lambda hit: (-hit.score, hit.id))[:limit]
            if exact:
                asked *= 8
            # A graph gives up before it has seen everything that a filter can pass.
            exact = True

    def _nearest(self, found: Facts, where: Conditions, query: Vector, asked: int, exact: bool) -> Sql:
        wire = vector_on_wire(query)
        sql, args = where.every
        if exact:
            # The distance to a zero vector is not a number.
            return (
                f"WITH best AS MATERIALIZED (SELECT id, coalesce(nullif(vector <=> %s::vector, 'NaN'), 1) AS distance "
                f"FROM {self._table} WHERE {sql} ORDER BY distance, id LIMIT {asked}) "
                f"SELECT id, payload, distance FROM best JOIN {self._table} USING (id)"
            ), [wire, *args]
        distance = "vector <=> %s::vector"
        nearness = f"{measured(found.dim)} <=> %s::vector"
        if found.dim > HNSW_DIMS:
            nearness += f"::halfvec({found.dim})"
        return (
            f"SELECT id, payload, {distance} FROM {self._table} WHERE {sql} ORDER BY {nearness} LIMIT {asked}"
        ), [wire, *args, wire]

    async def _is_large(self, session: Session, where: Conditions) -> bool:
        """Return whether a scope is better searched by an index; asked of the database now and then."""
        key, now = repr(where.scope), time.monotonic()
        asked_at, large = self._large.get(key, (-_AGE_S, False))
        if asked_at + _AGE_S < now:
            large = await self._are_more(session, where.scope)
            if large:
                # Somebody may have made the index meanwhile.
                self._facts = await facts_of(session, self._table)
                large = self._facts is not None and self._facts.indexed
            if len(self._large) >= _KNOWN:
                self._large.clear()
            self._large[key] = now, large
        return large

    async def _are_more(self, session: Session, scope: Sql) -> bool:
        """Return whether a scope has more points than are scanned."""
        sql, args = scope
        most = self._settings.exact_rows
        count = f"SELECT count(*) FROM (SELECT FROM {self._table} WHERE {sql} LIMIT {most + 1}) AS found"
        return await session.one(count, args) > most

    def get(self, ids: Sequence[str]) -> list[StoreRecord]:
        """Return the points that exist, in the order asked."""
        return self._run(lambda session: self._get(session, ids))

    async def aget(self, ids: Sequence[str]) -> list[StoreRecord]:
        """The same, awaited."""
        return await self._arun(lambda session: self._get(session, ids))

    async def _get(self, session: Session, ids: Sequence[str]) -> list[StoreRecord]:
        known = storable_ids(ids)
        if not known or await self._known(session) is None:
            return []
        found: dict[str, StoreRecord] = {}
        for start in range(0, len(known), _ROWS):
            rows = await session.rows(
                f"SELECT id, payload, vector FROM {self._table} WHERE id = ANY (%s::text[])",
                [known[start : start + _ROWS]],
            )
            found |= {record.id: record for record in map(record_of, rows)}
        return [found[id] for id in ids if id in found]

    def list(self, filter: Filter | None = None, limit: int = 100, cursor: str | None = None) -> StorePage:
        """Return points ordered by id."""
        check_limit(limit)
        return self._run(lambda session: self._list(session, filter, limit, cursor))

    async def alist(
        self, filter: Filter | None = None, limit: int = 100, cursor: str | None = None
    ) -> StorePage:
        """The same, awaited."""
        check_limit(limit)
        return await self._arun(lambda session: self._list(session, filter, limit, cursor))

    async def _list(
        self, session: Session, filter: Filter | None, limit: int, cursor: str | None
    ) -> StorePage:
        where, passes, page = Conditions(filter), record_filter(filter), list[StoreRecord]()
        if where.nothing or await self._known(session) is None:
            return StorePage(records=[])
        async for record in self._walk(session, where, cursor, limit + 1):
            if where.exact or passes(record.id, record.payload):
                page.append(record)
            if len(page) > limit:
                return StorePage(records=page[:limit], cursor=page[limit - 1].id)
        return StorePage(records=page)

    async def _walk(
        self, session: Session, where: Conditions, after: str | None, step: int
    ) -> AsyncGenerator[StoreRecord]:
        """Yield what the native part of a filter passes, ordered by id."""
        sql, args = where.every
        last = "" if after is None else after
        step = min(step, _ROWS)
        while True:
            rows = await session.rows(
                f"SELECT id, payload, vector FROM {self._table} WHERE {sql} AND id > %s ORDER BY id LIMIT {step}",
                [*args, last],
            )
            for row in rows:
                yield record_of(row)
            if len(rows) < step:
                return
            last, step = rows[-1][0], _ROWS

    def count(self, filter: Filter | None = None) -> int:
        """Return how many points match."""
        return self._run(lambda session: self._count(session, filter))

    async def acount(self, filter: Filter | None = None) -> int:
        """The same, awaited."""
        return await self._arun(lambda session: self._count(session, filter))

    async def _count(self, session: Session, filter: Filter | None) -> int:
        where, passes = Conditions(filter), record_filter(filter)
        if where.nothing or await self._known(session) is None:
            return 0
        if not where.exact:
            return sum([passes(r.id, r.payload) async for r in self._walk(session, where, None, _ROWS)])
        sql, args = where.every
        return int((await session.rows(f"SELECT count(*) FROM {self._table} WHERE {sql}", args))[0][0])

    def foreign(self, limit: int = 500, cursor: str | None = None) -> StorePage:
        """Return rows of a table with `id`, `vector` and `payload` that another program wrote, ordered by id."""
        name = self._settings.collection_name
        return self._run(lambda session: foreign_page(session, name, self._table, limit, cursor))

    # The rest.

    def info(self) -> StoreInfo:
        """Return what the collection says of itself."""
        return self._run(self._info)

    async def _info(self, session: Session) -> StoreInfo:
        name, found = self._settings.collection_name, await self._known(session)
        count = await self._count(session, None)
        if found is None:
            return StoreInfo(name=name, dim=None, count=0, embedder=None)
        return StoreInfo(name=name, dim=found.dim, count=count, embedder=found.embedder)

    def collections(self) -> Sequence[str]:
        """Return the names of all tables that memkit made, sorted."""
        return self._run(collections)

    def drop(self) -> None:
        """Delete the table."""
        self._run(self._drop)

    async def _drop(self, session: Session) -> None:
        if await self._known(session) is not None:
            await session.rows(f"DROP TABLE IF EXISTS {self._table}")
        self._facts = None
        self._large.clear()

    def health(self) -> None:
        """Return if the server answers."""
        self._run(lambda session: session.rows("SELECT 1"))

    def close(self) -> None:
        """Close the connections, unless they were given; the next call opens others."""
        if self._made is not None:
            self._made.clear()
