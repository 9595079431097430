"""The tables of a ledger in PostgreSQL, and how an older schema becomes a newer one.

Its content is that of the SQLite ledger's schema. What differs: ids are bytes, texts sort by their bytes, and numbers
that must grow in the order of commits are given out under the row lock of their owner.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from ...errors import ConfigurationError
from ..rows import ledger_salt

if TYPE_CHECKING:
    from ...postgres.session import Session

GRAPH_TABLES: Final = """
-- Nodes and edges are made of the entities and relations of a record, and written with it. id: a digest of owner and
-- key. folded: the name as names are compared; of a long one, a digest of that.
CREATE TABLE node (rid bigint NOT NULL, place integer NOT NULL, owner bigint NOT NULL, id bytea NOT NULL,
                   folded text COLLATE "C" NOT NULL, key text COLLATE "C" NOT NULL, name text COLLATE "C" NOT NULL,
                   kind text COLLATE "C" NOT NULL, listed smallint NOT NULL, PRIMARY KEY (rid, place));
CREATE INDEX node_id ON node (id);
CREATE INDEX node_name ON node (owner, folded);

-- What a record says of two of them.
CREATE TABLE edge (rid bigint NOT NULL, place integer NOT NULL, source bytea NOT NULL, target bytea NOT NULL,
                   relation text COLLATE "C" NOT NULL, source_key text COLLATE "C" NOT NULL,
                   source_name text COLLATE "C" NOT NULL, source_kind text COLLATE "C" NOT NULL,
                   target_key text COLLATE "C" NOT NULL, target_name text COLLATE "C" NOT NULL,
                   target_kind text COLLATE "C" NOT NULL, PRIMARY KEY (rid, place));
CREATE INDEX edge_source ON edge (source);
CREATE INDEX edge_target ON edge (target);
"""
"""Of a ledger, and of a graph of its own."""
_V5: Final = (
    """
CREATE TABLE meta (key text COLLATE "C" PRIMARY KEY, value text NOT NULL);

-- event: what is added to the owners' event numbers to make the whole ledger's, it grows when owners go. reset: how
-- often everything had to be read anew.
CREATE TABLE state (id smallint PRIMARY KEY CHECK (id = 1), event bigint NOT NULL, reset bigint NOT NULL,
                    gen integer NOT NULL, dim integer, packing text, tokenizer text);

-- Numbers are never used twice, so a number names one owner for ever. Its row is locked by whoever writes for it.
CREATE TABLE owner (no bigint GENERATED ALWAYS AS IDENTITY (MAXVALUE 2147483647) PRIMARY KEY,
                    kind text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL,
                    next_n bigint NOT NULL DEFAULT 1, next_m bigint NOT NULL DEFAULT 1,
                    event bigint NOT NULL DEFAULT 0, reset bigint NOT NULL DEFAULT 0,
                    memories bigint NOT NULL DEFAULT 0, messages bigint NOT NULL DEFAULT 0, changed bigint)
    WITH (fillfactor = 50);
CREATE UNIQUE INDEX owner_id ON owner (kind, id);

-- Which agents have rows of a run: a scope of a run alone covers them without reading every agent.
CREATE TABLE agent_run (run text COLLATE "C" NOT NULL, owner bigint NOT NULL, PRIMARY KEY (run, owner));
CREATE INDEX agent_run_owner ON agent_run (owner);

-- text NULL: the words of `message`. valid_from NULL: created_at. Empty JSON is NULL. data: of typed records only.
-- slot: a digest of the kind and the values of its key.
CREATE TABLE record (rid bigint PRIMARY KEY, id bytea NOT NULL, owner bigint NOT NULL, seq bigint NOT NULL,
                     text text COLLATE "C", message bigint, kind text COLLATE "C" NOT NULL, agent text COLLATE "C",
                     run text COLLATE "C", metadata text, version integer NOT NULL, created_at bigint NOT NULL,
                     updated_at bigint NOT NULL, valid_from bigint, valid_until bigint, expires_at bigint,
                     dated smallint NOT NULL, actor text COLLATE "C", role text COLLATE "C",
                     origin text COLLATE "C" NOT NULL, sources text, entities text, pinned smallint NOT NULL,
                     deleted smallint NOT NULL, expired smallint NOT NULL, dedup bytea, data text, slot bytea,
                     relations text);
CREATE UNIQUE INDEX record_id ON record (id);
CREATE INDEX record_time ON record (owner, created_at, rid) WHERE deleted = 0;
CREATE UNIQUE INDEX record_dedup ON record (owner, dedup)
    WHERE dedup IS NOT NULL AND deleted = 0 AND valid_until IS NULL;
CREATE INDEX record_expiry ON record (expires_at) WHERE expires_at IS NOT NULL AND deleted = 0 AND expired = 0;
CREATE INDEX record_standing ON record (owner)
    WHERE deleted = 0 AND (pinned = 1 OR kind IN ('instruction', 'preference'));
CREATE INDEX record_slot ON record (owner, slot) WHERE slot IS NOT NULL AND deleted = 0 AND valid_until IS NULL;

-- Embeddings of live records; those of deleted ones wait in `vec_gone` for an undo.
-- `gen` counts embedders: a vector of an earlier one is as good as none. They do not get smaller by compression.
CREATE TABLE vec (rid bigint PRIMARY KEY, gen integer NOT NULL, e bytea NOT NULL) WITH (toast_tuple_target = 8160);
ALTER TABLE vec ALTER COLUMN e SET STORAGE EXTERNAL;
CREATE TABLE vec_gone (rid bigint PRIMARY KEY, gen integer NOT NULL, e bytea NOT NULL);
ALTER TABLE vec_gone ALTER COLUMN e SET STORAGE EXTERNAL;

-- What the best of a search are compared by, token by token; only short memories have a row, deleted ones too.
CREATE TABLE tokens (rid bigint PRIMARY KEY, e bytea NOT NULL);
ALTER TABLE tokens ALTER COLUMN e SET STORAGE EXTERNAL;

-- The keyword index: which live records hold a token.
CREATE TABLE posting (token text COLLATE "C" NOT NULL, rid bigint NOT NULL, PRIMARY KEY (token, rid));

-- id NULL: made from the rid. content NULL: the same as text. learned 0: only kept, no memory was asked for yet.
-- payload: what an adapter needs to give it back as it was.
CREATE TABLE message (rid bigint PRIMARY KEY, id text COLLATE "C", owner bigint NOT NULL, role text NOT NULL,
                      content text, text text NOT NULL, name text, created_at bigint NOT NULL,
                      zone integer NOT NULL, dated smallint NOT NULL, status text NOT NULL, agent text COLLATE "C",
                      run text COLLATE "C", metadata text, learned smallint NOT NULL DEFAULT 1, payload text);
CREATE UNIQUE INDEX message_id ON message (id, owner, coalesce(run, '')) WHERE id IS NOT NULL;
CREATE INDEX message_time ON message (owner, run, created_at);

-- code 1 is ADD. delta: the values that the change replaced. memory: only of what was forgotten.
CREATE SEQUENCE event_seq;
CREATE TABLE event (seq bigint PRIMARY KEY, op bigint NOT NULL, owner bigint NOT NULL, rid bigint NOT NULL,
                    code smallint NOT NULL, at bigint NOT NULL, delta text, reason text, actor text, memory bytea);
CREATE INDEX event_owner ON event (owner, seq) WHERE code != 1;
CREATE INDEX event_rid ON event (rid) WHERE code != 1;
CREATE INDEX event_memory ON event (memory) WHERE memory IS NOT NULL;

-- Its events are those from `first` to `last` that name it: other owners' may lie between them. events: how many it
-- wrote.
CREATE SEQUENCE operation_no;
CREATE TABLE operation (no bigint PRIMARY KEY, id bytea NOT NULL, kind text NOT NULL, owner bigint,
                        at bigint NOT NULL, state text NOT NULL, key text COLLATE "C", digest bytea, result text,
                        undoes bytea, first bigint, last bigint, events integer);
CREATE UNIQUE INDEX operation_id ON operation (id);
CREATE UNIQUE INDEX operation_key ON operation (coalesce(owner, 0), key) WHERE key IS NOT NULL;
CREATE INDEX operation_undoes ON operation (undoes) WHERE undoes IS NOT NULL;
CREATE INDEX operation_open ON operation (state, no) WHERE state != 'done';
CREATE INDEX operation_owner ON operation (owner) WHERE result IS NOT NULL OR first IS NULL;

-- due NULL: at once. A later turn of the same run takes a job that is not due yet into its own.
CREATE TABLE job (op bigint PRIMARY KEY, kind text NOT NULL, payload text NOT NULL, agent text COLLATE "C",
                  run text COLLATE "C", scoped smallint NOT NULL, worker text, attempts integer NOT NULL, error text,
                  due bigint);
CREATE TABLE worker (name text PRIMARY KEY, host text NOT NULL, pid bigint NOT NULL, started text NOT NULL,
                     seen bigint NOT NULL);

CREATE TABLE outbox (seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text COLLATE "C" NOT NULL,
                     rid bigint NOT NULL, id bytea NOT NULL);
CREATE INDEX outbox_name ON outbox (name, seq);
CREATE TABLE lease (name text PRIMARY KEY, holder text NOT NULL, until bigint NOT NULL);

-- Items of the key-value store. path: the labels of the namespace, each followed by a NUL. ttl: microseconds that a
-- use gives it.
CREATE TABLE item (no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, path bytea NOT NULL,
                   key text COLLATE "C" NOT NULL, version integer NOT NULL, created_at bigint NOT NULL,
                   updated_at bigint NOT NULL, expires_at bigint, ttl bigint, value text NOT NULL);
CREATE UNIQUE INDEX item_key ON item (path, key);
CREATE INDEX item_expiry ON item (expires_at) WHERE expires_at IS NOT NULL;

-- The texts that an item is found by; `gen` as in `vec`.
CREATE TABLE item_vec (item bigint NOT NULL, place integer NOT NULL, gen integer NOT NULL, text text NOT NULL,
                       e bytea NOT NULL, PRIMARY KEY (item, place));

-- Vectors of the next embedder, while they are collected.
CREATE TABLE staged (rid bigint PRIMARY KEY, version integer NOT NULL, v bytea NOT NULL, t bytea);

"""
    + GRAPH_TABLES
    + """
-- Entities that were merged by hand: the last row of a key within one agent and run holds. root NULL: split again.
CREATE TABLE alias (no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, op bigint NOT NULL, owner bigint NOT NULL,
                    agent text COLLATE "C", run text COLLATE "C", key text COLLATE "C" NOT NULL,
                    root text COLLATE "C");
CREATE INDEX alias_owner ON alias (owner);

INSERT INTO state (id, event, reset, gen) VALUES (1, 0, 0, 0);
"""
)

_V6: Final = """
CREATE INDEX IF NOT EXISTS record_newest ON record (created_at, rid) WHERE deleted = 0;
"""

MIGRATIONS: Sequence[tuple[int, str]] = ((5, _V5), (6, _V6))
"""What makes each schema version from the one before; all of an opening run in one transaction. Only append."""
_GRAPH: Final = 6
"""The first version whose nodes and edges are there: older ones have the tables, and nothing in them."""

NEWEST: Final = MIGRATIONS[-1][0]


def store_lock(schema: str) -> int:
    """Return the number of the advisory lock that writers share, and that whoever changes the whole store has alone."""
    return (zlib.crc32(b"memkit") << 31) | (zlib.crc32(schema.encode()) & 0x7FFFFFFF)


async def schema_version(s: Session, schema: str, where: str) -> int:
    """Return the version of the schema, 0 where there is none.

    Raises:
        ConfigurationError: A newer memkit made it, or another program has a table of that name.
    """
    # From the catalog as it is now: what a session remembers of tables it has looked for may be of before.
    rows = await s.rows(
        "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s",
        (schema,),
    )
    tables = {row[0] for row in rows}
    if "meta" not in tables:
        return 0
    found = None
    if "state" in tables:
        found = await s.one("SELECT value FROM meta WHERE key = 'schema_version'")
    if found is None:
        raise ConfigurationError(
            f"The schema {schema!r} of PostgreSQL at {where} belongs to another program. Give memkit one of its own: "
            '`ledger={"provider": "postgresql", "config": {"url": ..., "schema_name": "memkit"}}`.',
            path=where,
        )
    version = int(found)
    if version > NEWEST:
        raise ConfigurationError(
            f"The schema {schema!r} of PostgreSQL at {where} was written by a newer memkit (schema {version}, this one "
            f"knows {NEWEST}). Type: pip install --upgrade memkit-ai",
            path=where,
            schema=version,
        )
    return version


async def migrate(s: Session, schema: str, version: int) -> None:
    """Bring the schema from `version` to the newest, inside the caller's transaction, which has the store alone."""
    if not await s.one("SELECT count(*) FROM pg_namespace WHERE nspname = %s", (schema,)):
        await s.rows(f'CREATE SCHEMA "{schema}"')
    for number, script in MIGRATIONS:
        if number > version:
            await s.together([(statement, ()) for statement in statements(script)])
    if 0 < version < _GRAPH:
        from .graph import refill_graph

        await refill_graph(s)
    if version == 0:
        await s.rows("INSERT INTO meta (key, value) VALUES ('salt', %s)", (str(ledger_salt()),))
    await s.rows(
        "INSERT INTO meta (key, value) VALUES ('schema_version', %s)"
        " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        (str(NEWEST),),
    )


def statements(script: str) -> list[str]:
    """Split a script of plain statements."""
    lines = (line.partition("--")[0] for line in script.splitlines())
    return [s.strip() for s in "\n".join(lines).split(";") if s.strip()]
