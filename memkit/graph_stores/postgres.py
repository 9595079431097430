"""PostgreSQL: nodes and edges as rows, walked by recursive queries. Without a `url` they are the ledger's own rows."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, ClassVar, Final, TypeVar

import psycopg
from pydantic import Field

from memkit.errors import ConfigurationError
from memkit.graph_stores import postgres_tables as tables
from memkit.graph_stores.base import Capability, GraphRecord, GraphStoreSettings, digest
from memkit.graph_stores.support import check_records, storable
from memkit.ledger.postgres.graph_reads import PostgresGraphReads, Work
from memkit.postgres.address import address_of
from memkit.postgres.pool import Pools, Terms
from memkit.postgres.session import Session
from memkit.scope import ReadScope
from memkit.settings import SecretStr, env

if TYPE_CHECKING:
    from memkit.ledger.base import Ledger

R = TypeVar("R")
_BATCH: Final = 500
"""Memories in one transaction."""
_PAUSES_S: Final = (0.0, 0.2)
"""Waits before another try; a graph that stays down follows later, so that nobody need wait for it."""
_GONE: Final = (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName)
_EVERYONE: Final = ReadScope(everyone=True)
_NOWHERE: Final = (
    "The graph store 'postgres' names no server: without `url=` it is in the tables of a PostgreSQL ledger "
    '(`ledger=\'postgresql://...\'`). Give `{"provider": "postgres", "config": {"url": ...}}`, or use '
    "`graph_store='sqlite'`."
)


class PostgresGraphSettings(GraphStoreSettings):
    """Settings of the PostgreSQL graph."""

    provider_name: ClassVar[str | None] = "postgres"

    url: SecretStr | None = env("MEMKIT_POSTGRES_GRAPH_URL")
    """`postgresql://user:password@host:port/database`, as libpq reads it. None: the tables of the ledger serve, which
    then has to be in PostgreSQL. Env: `MEMKIT_POSTGRES_GRAPH_URL`."""
    sslmode: str | None = None
    """TLS as libpq names it; None is `verify-full` where the server is not on this machine."""
    minconn: int = Field(default=1, ge=0)
    """Connections kept open."""
    maxconn: int = Field(default=5, ge=1)
    """Connections at one time."""
    timeout_s: float = Field(default=30.0, gt=0)
    """Seconds for one statement, and for a connection."""

    @property
    def schema_name(self) -> str:
        """The schema of this graph alone."""
        name = self.collection_name
        return f"memkit_graph_{name if re.fullmatch(r'[a-z0-9_]{1,40}', name) else digest(name)}"


class PostgresGraph(PostgresGraphReads):
    """A graph in a schema of its own, that several processes and machines may use at once.

    Its rows lie beside a table of memories with their scope and times, as in a ledger.
    """

    Settings = PostgresGraphSettings

    def __init__(self, settings: PostgresGraphSettings | None = None) -> None:
        self._settings = settings or PostgresGraphSettings()
        self.patience_s = self._settings.patience_s
        self._schema = self._settings.schema_name
        self._made: Pools | None = None
        own: frozenset[Capability] = frozenset({"persistent", "multi_process", "server", "native_async"})
        self.capabilities = own if self._settings.url is not None else frozenset({"in_ledger"})

    def join(self, ledger: Ledger) -> None:
        """Refuse a ledger that is not in PostgreSQL, where no server of the graph's own was named."""
        if self.in_ledger and not getattr(ledger, "location", "").startswith("postgresql://"):
            raise ConfigurationError(_NOWHERE)

    # The connections, and one text for both ways of calling.

    @property
    def _pools(self) -> Pools:
        if self._made is None:
            given = self._settings
            if given.url is None:
                raise ConfigurationError(_NOWHERE)
            more = {"sslmode": given.sslmode, "connect_timeout": max(2, round(given.timeout_s))}
            self._made = Pools(
                Terms(
                    address=address_of(given.url.get_secret_value(), more),
                    backend=self.name,
                    least=given.minconn,
                    most=max(given.minconn, given.maxconn),
                    timeout_s=given.timeout_s,
                    prepare=self._prepare,
                    pauses_s=_PAUSES_S,
                )
            )
        return self._made

    async def _prepare(self, s: Session) -> None:
        await s.rows(
            "SELECT set_config('search_path', %s, false), set_config('statement_timeout', %s, false)",
            (f'"{self._schema}"', f"{self._settings.timeout_s * 1000:.0f}"),
        )

    def _look(self, work: Work[R], empty: Callable[[], R]) -> R:
        return self._pools.run(lambda s: _read(s, work, empty))

    async def _alook(self, work: Work[R], empty: Callable[[], R]) -> R:
        return await self._pools.arun(lambda s: _read(s, work, empty))

    def _run(self, work: Callable[[Session], Awaitable[None]]) -> None:
        self._pools.run(lambda s: self._write(s, work))

    async def _arun(self, work: Callable[[Session], Awaitable[None]]) -> None:
        await self._pools.arun(lambda s: self._write(s, work))

    async def _write(self, s: Session, work: Callable[[Session], Awaitable[None]]) -> None:
        """Do the work, and again where its tables were not there."""
        try:
            await work(s)
        except _GONE:
            await s.rows("ROLLBACK")
            await tables.make(s, self._schema)
            await work(s)

    # Writing.

    def open(self) -> None:
        """Make the tables, or find them."""
        self._pools.run(lambda s: tables.make(s, self._schema))

    async def aopen(self) -> None:
        """Like `open`, awaited."""
        await self._pools.arun(lambda s: tables.make(s, self._schema))

    def upsert(self, records: Sequence[GraphRecord]) -> None:
        """Replace what these memories said, some hundreds in a transaction; the last of equal ids wins."""
        for batch in _batches(check_records(records)):
            self._run(lambda s, batch=batch: tables.put(s, self._schema, batch))

    async def aupsert(self, records: Sequence[GraphRecord]) -> None:
        """Like `upsert`, awaited."""
        for batch in _batches(check_records(records)):
            await self._arun(lambda s, batch=batch: tables.put(s, self._schema, batch))

    def remove(self, memory_ids: Sequence[str]) -> None:
        """Take back what these memories said, with the entities that no memory names any more."""
        if known := storable(memory_ids):
            self._run(lambda s: tables.take_away(s, self._schema, known))

    async def aremove(self, memory_ids: Sequence[str]) -> None:
        """Like `remove`, awaited."""
        if known := storable(memory_ids):
            await self._arun(lambda s: tables.take_away(s, self._schema, known))

    def drop(self, scope: ReadScope | None = None) -> None:
        """Take back what the memories of the scope said; None: of every one."""
        self._run(lambda s: tables.take_scope(s, self._schema, scope or _EVERYONE))

    async def adrop(self, scope: ReadScope | None = None) -> None:
        """Like `drop`, awaited."""
        await self._arun(lambda s: tables.take_scope(s, self._schema, scope or _EVERYONE))

    # The rest.

    def health(self) -> None:
        """Return if the server answers."""
        self._pools.run(_answer)

    async def ahealth(self) -> None:
        """Like `health`, awaited."""
        await self._pools.arun(_answer)

    def close(self) -> None:
        """Close the connections; the next call opens others."""
        if self._made is not None:
            self._made.clear()


async def _answer(s: Session) -> None:
    await s.rows("SELECT 1")


async def _read(s: Session, work: Work[R], empty: Callable[[], R]) -> R:
    """Read; return what `empty` gives where there are no tables."""
    try:
        return await work(s)
    except _GONE:
        await s.rows("ROLLBACK")
        return empty()


def _batches(records: Sequence[GraphRecord]) -> list[Sequence[GraphRecord]]:
    return [records[start : start + _BATCH] for start in range(0, len(records), _BATCH)]
