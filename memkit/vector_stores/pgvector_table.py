"""The settings of the pgvector store, and its table: made, recognised, listed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, ClassVar, Final, cast

import numpy as np
from pydantic import Field

from memkit.errors import ConfigurationError
from memkit.postgres.errors import make_extension
from memkit.postgres.session import Session
from memkit.postgres.wire import vector_off_wire
from memkit.settings import SecretStr, env
from memkit.vector_stores.base import StorePage, StoreRecord, StoreSettings, no_collection

HNSW_DIMS: Final = 2000
"""Dimensions that an index of `vector` takes, one of `halfvec` twice as many.
Source: https://github.com/pgvector/pgvector#hnsw"""
_PLAIN_DIMS: Final = 1900
"""Vectors up to this fit a page beside the other columns, and a scan need not fetch them from elsewhere."""
_MOST_DIMS: Final = 16_000
_BUILD_S: Final = 3600.0
_MARK: Final = "memkit"
_FOREIGN: Final = ("id", "payload", "vector")
"""Columns of a table of points, whoever made it."""

_PREPARE: Final = """
SELECT
  set_config('search_path', current_setting('search_path') || CASE WHEN n.nspname = ANY (current_schemas(true)) THEN ''
    ELSE ', ' || quote_ident(n.nspname) END, false),
  CASE WHEN string_to_array(substring(e.extversion from '^[0-9]+[.][0-9]+'), '.')::int[] >= ARRAY[0, 8]
    THEN set_config('hnsw.iterative_scan', 'relaxed_order', false) END,
  set_config('hnsw.ef_search', %s, false)
FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'vector'
"""
"""Without an iterative scan (pgvector before 0.8) the graph's first candidates are all that a filter sees."""

_FACTS: Final = """
SELECT obj_description(c.oid, 'pg_class'), to_regtype('vector')::oid::int8, EXISTS (
    SELECT FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am a ON a.oid = x.relam
    WHERE i.indrelid = c.oid AND i.indisvalid AND a.amname IN ('hnsw', 'diskann'))
FROM pg_class c WHERE c.oid = to_regclass(%s)
"""


class PgvectorSettings(StoreSettings):
    """Settings of the pgvector store: a URL, or host, user, password and database."""

    provider_name: ClassVar[str | None] = "pgvector"

    collection_name: str = Field(default="memkit", min_length=1, max_length=63)
    """Name of the table."""
    url: SecretStr | None = env("MEMKIT_PGVECTOR_URL")
    """`postgresql://user:password@host:port/database`. Env: `MEMKIT_PGVECTOR_URL`."""
    connection_string: SecretStr | None = None
    """The same, in mem0's word."""
    dbname: str | None = None
    """Database; None is the URL's, else `postgres`."""
    user: str | None = None
    """Role."""
    password: SecretStr | None = None
    """Its password."""
    host: str | None = None
    """Name of the server, or the folder of its socket."""
    port: int | None = None
    """Port of the server; None is 5432."""
    sslmode: str | None = None
    """TLS as libpq names it; None is `verify-full` where the server is not on this machine."""
    hnsw: bool = True
    """Whether a large collection has an HNSW index (up to 4,000 dimensions)."""
    diskann: bool = False
    """Whether it has one of pgvectorscale's instead, which needs the extension `vectorscale`."""
    minconn: int = Field(default=1, ge=0)
    """Connections kept open."""
    maxconn: int = Field(default=5, ge=1)
    """Connections at one time."""
    connection_pool: Any = Field(default=None, repr=False)
    """A `psycopg_pool.ConnectionPool` to use; it is not closed."""
    timeout_s: float = Field(default=30.0, gt=0)
    """Seconds for one statement."""
    exact_rows: int = Field(default=5_000, ge=0)
    """Points up to which a scope is scanned exactly; a table with no more than these has no index of vectors."""
    ef_search: int = Field(default=100, ge=1, le=1000)
    """Candidates that HNSW keeps while it searches."""

    def __init__(self, **data: Any) -> None:
        super().__init__(**data)
        if len(self.collection_name.encode()) > 63 or {*"\0%"} & {*self.collection_name}:
            raise ConfigurationError(
                "`collection_name` is the name of a table: at most 63 bytes, without '%' and null."
            )
        if self.url is not None and self.connection_string is not None and self.url != self.connection_string:
            raise ConfigurationError("`url` and `connection_string` say different things; keep `url`.")
        if self.connection_pool is not None:
            check_pool(self.connection_pool)

    @property
    def elsewhere(self) -> bool:
        """Whether a server is named at all."""
        names = "url", "connection_string", "dbname", "user", "password", "host", "port", "connection_pool"
        return any(getattr(self, name) is not None for name in names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of a collection that exists."""

    dim: int
    embedder: str
    type: int
    """The number of the type `vector` in this database."""
    indexed: bool
    """Whether there is an index of vectors."""


async def prepare(session: Session, given: PgvectorSettings) -> None:
    """Have a connection find the extension where it was put, and search an index until a filter is satisfied."""
    await session.rows(_PREPARE, [str(given.ef_search)])


async def facts_of(session: Session, table: str) -> Facts | None:
    """Return the facts of a table; None where there is none, or one that memkit did not make."""
    for comment, type, indexed in await session.rows(_FACTS, [table]):
        if (about := _about(comment)) is not None:
            return Facts(dim=about["dim"], embedder=about["embedder"], type=type, indexed=indexed)
    return None


async def make_table(
    session: Session, table: str, given: PgvectorSettings, dim: int, embedder: str, where: str
) -> None:
    """Make the table of a collection, with the extension where that is missing.

    Raises:
        ConfigurationError: Another table has the name, the server lacks an extension, or there are too many dimensions.
    """
    if await session.rows("SELECT 1 FROM pg_class WHERE oid = to_regclass(%s)", [table]):
        raise ConfigurationError(
            f"{given.collection_name!r} is a table that memkit did not make. Choose another `collection_name`."
        )
    if dim > _MOST_DIMS:
        raise ConfigurationError(f"pgvector takes {_MOST_DIMS:,} dimensions at most, and these are {dim:,}.")
    await _extend(session, given, where, "vector")
    await session.rows(
        f'CREATE TABLE {table} (id text COLLATE "C" PRIMARY KEY, user_id text COLLATE "C", '
        f'agent_id text COLLATE "C", run_id text COLLATE "C", payload json NOT NULL, flat jsonb NOT NULL, '
        f"vector vector({dim}) NOT NULL) WITH (toast_tuple_target = 8160)"
    )
    if dim <= _PLAIN_DIMS:
        await session.rows(f"ALTER TABLE {table} ALTER vector SET STORAGE PLAIN")
    await session.rows(f"CREATE INDEX ON {table} (user_id, agent_id, run_id)")
    if given.diskann:
        await _extend(session, given, where, "vectorscale")
    about = json.dumps({_MARK: {"dim": dim, "embedder": embedder}}).replace("'", "''")
    await session.rows(f"COMMENT ON TABLE {table} IS '{about}'")


async def make_index(session: Session, table: str, given: PgvectorSettings, dim: int) -> None:
    """Make the index of vectors, unless somebody else is just making it; other writers wait meanwhile."""
    # Named after the table, so that it is made once; a name has 63 bytes.
    name = f"memkit_{sha256(table.encode()).hexdigest()[:16]}"
    if given.diskann and dim <= HNSW_DIMS:
        # Compressed vectors would need an index made of what there will be.
        how = "diskann (vector vector_cosine_ops) WITH (storage_layout = 'plain')"
    else:
        how = f"hnsw ({measured(dim)} {'vector' if dim <= HNSW_DIMS else 'halfvec'}_cosine_ops)"
    await session.begin()
    if await session.one("SELECT pg_try_advisory_xact_lock(hashtext(%s))", [name]):
        session.patience(_BUILD_S)
        await session.rows("SELECT set_config('statement_timeout', '0', true)")
        await session.rows(f"CREATE INDEX IF NOT EXISTS {name} ON {table} USING {how}")
        session.patience(None)
    await session.commit()


def can_index(given: PgvectorSettings, dim: int) -> bool:
    """Return whether a collection is to have an index of vectors once it is large."""
    return (given.hnsw or given.diskann) and dim <= 2 * HNSW_DIMS


def measured(dim: int) -> str:
    """Return the expression that an index measures: half the precision above the dimensions it takes."""
    return "vector" if dim <= HNSW_DIMS else f"(vector::halfvec({dim}))"


async def collections(session: Session) -> Sequence[str]:
    """Return the names of all tables that memkit made, sorted."""
    rows = await session.rows(
        "SELECT relname::text, obj_description(oid, 'pg_class') FROM pg_class "
        "WHERE relkind = 'r' AND pg_table_is_visible(oid)"
    )
    return sorted(name for name, comment in rows if _about(comment) is not None)


async def foreign_page(session: Session, name: str, table: str, limit: int, cursor: str | None) -> StorePage:
    """Return rows of a table that another program wrote, ordered by id; one without a vector has an empty one.

    Raises:
        ConfigurationError: There is no such table, or it is none of points.
    """
    columns = await session.rows(
        "SELECT attname::text FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0", [table]
    )
    if not columns:
        raise no_collection(name, "in this database", await _foreign_tables(session))
    if missing := [one for one in _FOREIGN if (one,) not in columns]:
        raise ConfigurationError(
            f"The table {name!r} has no column {missing[0]!r}: no collection of points is kept there. "
            f"Those in this database are: {', '.join(map(repr, await _foreign_tables(session))) or 'none'}."
        )
    rows = await session.rows(
        f"SELECT id::text, payload, vector FROM {table} WHERE id::text > %s ORDER BY id::text LIMIT {limit}",
        [cursor or ""],
    )
    records = [
        StoreRecord(
            id=id,
            vector=np.zeros(0, np.float32) if vector is None else vector_off_wire(vector),
            payload=cast("dict[str, Any]", payload) if isinstance(payload, dict) else {},
        )
        for id, payload, vector in rows
    ]
    return StorePage(records=records, cursor=records[-1].id if len(records) == limit else None)


async def _foreign_tables(session: Session) -> Sequence[str]:
    """Return the names of all tables with a vector that memkit did not make, sorted."""
    rows = await session.rows(
        "SELECT c.relname::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid "
        "WHERE c.relkind = 'r' AND pg_table_is_visible(c.oid) AND a.attname = 'payload' AND a.attnum > 0"
    )
    own = await collections(session)
    return sorted(name for (name,) in rows if name not in own)


async def _extend(session: Session, given: PgvectorSettings, where: str, extension: str) -> None:
    await make_extension(session, extension, where)
    await prepare(session, given)


def _about(comment: str | None) -> dict[str, Any] | None:
    """Return what memkit wrote into the comment of a table, None where it wrote none."""
    try:
        about: object = json.loads(comment or "")
    except ValueError:
        return None
    return cast("dict[str, Any]", about).get(_MARK) if isinstance(about, dict) else None


def check_pool(pool: Any) -> None:
    """Return if an object is a pool that the store can use.

    Raises:
        ConfigurationError: It is not.
    """
    from psycopg_pool import ConnectionPool

    if not isinstance(pool, ConnectionPool):
        raise ConfigurationError(
            f"`connection_pool` must be a `psycopg_pool.ConnectionPool`, not {type(pool).__name__}."
        )
