"""The tables of a graph of its own in PostgreSQL, and writing them: memories beside the nodes and edges they say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Final

from memkit.graph_stores.base import GraphRecord
from memkit.ledger.postgres.graph import put_rows
from memkit.ledger.postgres.rows import OWNER_SPAN
from memkit.ledger.postgres.schema import GRAPH_TABLES, statements, store_lock
from memkit.ledger.postgres.scope import scope_where
from memkit.ledger.records import OWNER_SHIFT
from memkit.ledger.rows import stored_id
from memkit.postgres.session import Session
from memkit.scope import Owner, ReadScope

_TABLES: Final = """
CREATE TABLE owner (no bigint GENERATED ALWAYS AS IDENTITY (MAXVALUE 2147483647) PRIMARY KEY,
                    kind text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL, next_n bigint NOT NULL DEFAULT 1,
                    UNIQUE (kind, id));
CREATE TABLE agent_run (run text COLLATE "C" NOT NULL, owner bigint NOT NULL, PRIMARY KEY (run, owner));
CREATE INDEX agent_run_owner ON agent_run (owner);

-- digest: of the id, which may be too long for an index.
CREATE TABLE record (rid bigint PRIMARY KEY, id bytea NOT NULL, digest bytea NOT NULL UNIQUE, owner bigint NOT NULL,
                     agent text COLLATE "C", run text COLLATE "C", created_at bigint NOT NULL, valid_from bigint,
                     valid_until bigint, expires_at bigint, deleted smallint NOT NULL DEFAULT 0);
"""
_RECORD: Final = (
    "rid", "id", "digest", "owner", "agent", "run", "created_at", "valid_from", "valid_until", "expires_at",
)  # fmt: skip
_GIVEN: Final = "unnest(%s::text[], %s::text[], %s::bigint[]) AS given (kind, id, records)"
_GONE: Final = """
WITH gone AS (DELETE FROM record WHERE digest = ANY(%s) RETURNING rid, owner),
    nodes AS (DELETE FROM node USING gone WHERE node.rid = gone.rid),
    edges AS (DELETE FROM edge USING gone WHERE edge.rid = gone.rid)
SELECT DISTINCT owner FROM gone"""
_CLEAR: Final = f"""
DELETE FROM agent_run WHERE owner = ANY(%s) AND NOT EXISTS (SELECT 1 FROM record
    WHERE record.rid {OWNER_SPAN.format(no="agent_run.owner")} AND record.run = agent_run.run)"""
_FORGET: Final = f"""
DELETE FROM owner WHERE no = ANY(%s) AND NOT EXISTS (SELECT 1 FROM record
    WHERE record.rid {OWNER_SPAN.format(no="owner.no")})"""


async def make(s: Session, schema: str) -> None:
    """Make the schema and its tables, where they are not there."""
    await s.begin("", _alone(schema))
    if not await s.one("SELECT count(*) FROM pg_namespace WHERE nspname = %s", (schema,)):
        await s.rows(f'CREATE SCHEMA "{schema}"')
    if not await s.one("SELECT to_regclass(%s) IS NOT NULL", (f'"{schema}".edge',)):
        await s.together([(one, ()) for one in statements(_TABLES + GRAPH_TABLES)])
    await s.commit()


async def put(s: Session, schema: str, records: Sequence[GraphRecord]) -> None:
    """Replace what some memories said, as one transaction of few statements."""
    await s.begin("", _alone(schema))
    touched = await _take_away(s, [_digest(record.memory_id) for record in records])
    counts = Counter(record.owner for record in records)
    owners: list[Any] = [
        [one.kind for one in counts],
        [one.id for one in counts],
        list(counts.values()),
    ]
    await s.later(
        (f"INSERT INTO owner (kind, id) SELECT kind, id FROM {_GIVEN} ON CONFLICT DO NOTHING", owners)
    )
    rows = await s.rows(
        f"UPDATE owner SET next_n = next_n + given.records FROM {_GIVEN}"
        " WHERE owner.kind = given.kind AND owner.id = given.id RETURNING owner.kind, owner.id, no, next_n - records",
        owners,
    )
    free = {Owner(*row[:2]): (row[2] << OWNER_SHIFT) | row[3] for row in rows}
    said: dict[int, GraphRecord] = {}
    for record in records:
        rid = free[record.owner]
        said[rid], free[record.owner] = record, rid + 1
    await s.insert("record", _RECORD, [_row(rid, record) for rid, record in said.items()])
    runs = {
        (record.run_id, rid >> OWNER_SHIFT)
        for rid, record in said.items()
        if record.run_id is not None and record.owner.kind == "agent"
    }
    await s.later((
        "INSERT INTO agent_run (run, owner) SELECT * FROM unnest(%s::text[], %s::bigint[]) ON CONFLICT DO NOTHING",
        ([run for run, _ in runs], [number for _, number in runs]),
    ))  # fmt: skip
    await put_rows(s, said, frozenset(said))
    await _clear(s, touched)
    await s.commit()


async def take_away(s: Session, schema: str, memory_ids: Sequence[str]) -> None:
    """Take back what some memories said, with the owners that have none any more, as one transaction."""
    await s.begin("", _alone(schema))
    await _clear(s, await _take_away(s, [_digest(one) for one in memory_ids]))
    await s.commit()


async def take_scope(s: Session, schema: str, scope: ReadScope) -> None:
    """Take back what the memories of a scope said, as one transaction."""
    clauses, args = scope_where(scope, "record")
    where = " WHERE " + " AND ".join(clauses) if clauses else ""
    await s.begin("", _alone(schema))
    digests = [row[0] for row in await s.rows(f"SELECT digest FROM record{where}", args)]
    await _clear(s, await _take_away(s, digests))
    await s.commit()


def _alone(schema: str) -> tuple[str, tuple[Any, ...]]:
    """Return the statement that keeps other writers of a graph away until the transaction ends."""
    return "SELECT pg_advisory_xact_lock(%s)", (store_lock(schema),)


async def _take_away(s: Session, digests: Sequence[bytes]) -> list[int]:
    """Delete rows of memories and return the numbers of their owners."""
    return [row[0] for row in await s.rows(_GONE, (list(digests),))]


async def _clear(s: Session, owners: Sequence[int]) -> None:
    """Forget owners without memories, and runs of agents."""
    if owners:
        await s.later((_CLEAR, (list(owners),)), (_FORGET, (list(owners),)))


def _digest(memory_id: str) -> bytes:
    return sha256(stored_id(memory_id)).digest()


def _row(rid: int, record: GraphRecord) -> tuple[Any, ...]:
    return (
        rid, stored_id(record.memory_id), _digest(record.memory_id), rid >> OWNER_SHIFT, record.agent_id,
        record.run_id, record.created_at, record.valid_from, record.valid_until, record.expires_at,
    )  # fmt: skip
