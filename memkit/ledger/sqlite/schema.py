"""The tables of a ledger file, and how an older file becomes a newer one.

What a plain add touches is kept small: one owner's rows lie together as a rowid range, indexes are partial where only
few rows need them, and a verbatim memory holds no text of its own.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Final

from ...errors import ConfigurationError
from ..rows import ledger_salt

APPLICATION_ID: Final = 0x6D656D6B
PAGE_SIZE: Final = 8192

_V1: Final = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;

-- One row, not written by a plain add. event: a number that erased events had, the last one is the larger of it and
-- the last event's; reset: the last one that makes every cache start anew.
CREATE TABLE state (id INTEGER PRIMARY KEY CHECK (id = 1), event INTEGER NOT NULL, reset INTEGER NOT NULL,
                    gen INTEGER NOT NULL, dim INTEGER, packing TEXT, tokenizer TEXT);

-- Numbers are never used twice, so a number names one owner for ever.
CREATE TABLE owner (no INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, id TEXT NOT NULL,
                    next_n INTEGER NOT NULL DEFAULT 1, next_m INTEGER NOT NULL DEFAULT 1,
                    event INTEGER NOT NULL DEFAULT 0, reset INTEGER NOT NULL DEFAULT 0,
                    memories INTEGER NOT NULL DEFAULT 0, messages INTEGER NOT NULL DEFAULT 0, changed INTEGER);
CREATE UNIQUE INDEX owner_id ON owner (kind, id);

-- Which agents have rows of a run: a scope of a run alone covers them without reading every agent.
CREATE TABLE agent_run (run TEXT NOT NULL, owner INTEGER NOT NULL, PRIMARY KEY (run, owner)) WITHOUT ROWID;

-- text NULL: the words of `message`. valid_from NULL: created_at. Empty JSON is NULL.
CREATE TABLE record (rid INTEGER PRIMARY KEY, id BLOB NOT NULL, owner INTEGER NOT NULL, seq INTEGER NOT NULL,
                     text TEXT, message INTEGER, kind TEXT NOT NULL, agent TEXT, run TEXT, metadata TEXT,
                     version INTEGER NOT NULL, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL,
                     valid_from INTEGER, valid_until INTEGER, expires_at INTEGER, dated INTEGER NOT NULL,
                     actor TEXT, role TEXT, origin TEXT NOT NULL, sources TEXT, entities TEXT,
                     pinned INTEGER NOT NULL, deleted INTEGER NOT NULL, expired INTEGER NOT NULL, dedup BLOB);
CREATE UNIQUE INDEX record_id ON record (id);
CREATE INDEX record_time ON record (owner, created_at) WHERE deleted = 0;
CREATE UNIQUE INDEX record_dedup ON record (owner, dedup)
    WHERE dedup IS NOT NULL AND deleted = 0 AND valid_until IS NULL;
CREATE INDEX record_expiry ON record (expires_at) WHERE expires_at IS NOT NULL AND deleted = 0 AND expired = 0;
CREATE INDEX record_standing ON record (owner)
    WHERE deleted = 0 AND (pinned = 1 OR kind IN ('instruction', 'preference'));

-- Embeddings of live records; those of deleted ones wait in `vec_gone` for an undo.
-- `gen` counts embedders: a vector of an earlier one is as good as none.
CREATE TABLE vec (rid INTEGER PRIMARY KEY, gen INTEGER NOT NULL, e BLOB NOT NULL);
CREATE TABLE vec_gone (rid INTEGER PRIMARY KEY, gen INTEGER NOT NULL, e BLOB NOT NULL);

CREATE VIRTUAL TABLE fts USING fts5(t, content='', columnsize=0, detail=none, tokenize='ascii');

-- id NULL: made from the rid. content NULL: the same as text.
CREATE TABLE message (rid INTEGER PRIMARY KEY, id TEXT, owner INTEGER NOT NULL, role TEXT NOT NULL, content TEXT,
                      text TEXT NOT NULL, name TEXT, created_at INTEGER NOT NULL, zone INTEGER NOT NULL,
                      dated INTEGER NOT NULL, status TEXT NOT NULL, agent TEXT, run TEXT, metadata TEXT);
CREATE UNIQUE INDEX message_id ON message (id, owner, ifnull(run, '')) WHERE id IS NOT NULL;
CREATE INDEX message_time ON message (owner, run, created_at);

-- code 1 is ADD. delta: the values that the change replaced. memory: only of what was forgotten.
CREATE TABLE event (seq INTEGER PRIMARY KEY, op INTEGER NOT NULL, owner INTEGER NOT NULL, rid INTEGER NOT NULL,
                    code INTEGER NOT NULL, at INTEGER NOT NULL, delta TEXT, reason TEXT, actor TEXT, memory BLOB);
CREATE INDEX event_owner ON event (owner, seq) WHERE code != 1;
CREATE INDEX event_rid ON event (rid) WHERE code != 1;
CREATE INDEX event_memory ON event (memory) WHERE memory IS NOT NULL;

CREATE TABLE operation (no INTEGER PRIMARY KEY, id BLOB NOT NULL, kind TEXT NOT NULL, owner INTEGER,
                        at INTEGER NOT NULL, state TEXT NOT NULL, key TEXT, digest BLOB, result TEXT, undoes BLOB,
                        first INTEGER, last INTEGER);
CREATE UNIQUE INDEX operation_id ON operation (id);
CREATE UNIQUE INDEX operation_key ON operation (ifnull(owner, 0), key) WHERE key IS NOT NULL;
CREATE INDEX operation_undoes ON operation (undoes) WHERE undoes IS NOT NULL;
CREATE INDEX operation_open ON operation (state, no) WHERE state != 'done';

CREATE TABLE job (op INTEGER PRIMARY KEY, kind TEXT NOT NULL, payload TEXT NOT NULL, agent TEXT,
                  run TEXT, scoped INTEGER NOT NULL, worker TEXT, attempts INTEGER NOT NULL, error TEXT);
CREATE TABLE worker (name TEXT PRIMARY KEY, host TEXT NOT NULL, pid INTEGER NOT NULL, started TEXT NOT NULL,
                     seen INTEGER NOT NULL) WITHOUT ROWID;

CREATE TABLE outbox (seq INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, rid INTEGER NOT NULL, id BLOB NOT NULL);
CREATE TABLE lease (name TEXT PRIMARY KEY, holder TEXT NOT NULL, until INTEGER NOT NULL) WITHOUT ROWID;

INSERT INTO state (id, event, reset, gen) VALUES (1, 0, 0, 0);
"""

_V2: Final = """
-- learned 0: only kept, no memory was asked for yet. payload: what an adapter needs to give it back as it was.
ALTER TABLE message ADD COLUMN learned INTEGER NOT NULL DEFAULT 1;
ALTER TABLE message ADD COLUMN payload TEXT;

-- due NULL: at once. A later turn of the same run takes a job that is not due yet into its own.
ALTER TABLE job ADD COLUMN due INTEGER;

-- Items of the key-value store. path: the labels of the namespace, each followed by a NUL. ttl: microseconds that a
-- use gives it. Numbers are never used twice. The value comes last: nothing else has to be read past it.
CREATE TABLE item (no INTEGER PRIMARY KEY AUTOINCREMENT, path BLOB NOT NULL, key TEXT NOT NULL,
                   version INTEGER NOT NULL, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL,
                   expires_at INTEGER, ttl INTEGER, value TEXT NOT NULL);
CREATE UNIQUE INDEX item_key ON item (path, key);
CREATE INDEX item_expiry ON item (expires_at) WHERE expires_at IS NOT NULL;

-- The texts that an item is found by; `gen` as in `vec`.
CREATE TABLE item_vec (item INTEGER NOT NULL, place INTEGER NOT NULL, gen INTEGER NOT NULL, text TEXT NOT NULL,
                       e BLOB NOT NULL);
CREATE UNIQUE INDEX item_vec_place ON item_vec (item, place);
"""

_V3: Final = """
-- Words of few records at a time, until there are enough for the keyword index: FTS5 writes a segment a commit.
-- The words of a live record are here or in `fts`, never in both.
CREATE TABLE words (rid INTEGER PRIMARY KEY, t TEXT NOT NULL);

-- Of typed records only. data: JSON. slot: a digest of the kind and the values of its key.
ALTER TABLE record ADD COLUMN data TEXT;
ALTER TABLE record ADD COLUMN slot BLOB;
CREATE INDEX record_slot ON record (owner, slot) WHERE slot IS NOT NULL AND deleted = 0 AND valid_until IS NULL;
"""

_V4: Final = """
-- What the best of a search are compared by, token by token; only short memories have a row, deleted ones too.
CREATE TABLE tokens (rid INTEGER PRIMARY KEY, e BLOB NOT NULL);

-- A change of the embedder that was under way begins again: it collects tokens, too.
DROP TABLE IF EXISTS staged;
DELETE FROM meta WHERE key = 'staging';
"""

GRAPH_TABLES: Final = """
-- An entity as a record names it. id: a digest of owner and key. folded: the name as names are compared.
CREATE TABLE node (rid INTEGER NOT NULL, place INTEGER NOT NULL, owner INTEGER NOT NULL, id BLOB NOT NULL,
                   folded TEXT NOT NULL, key TEXT NOT NULL, name TEXT NOT NULL, kind TEXT NOT NULL,
                   listed INTEGER NOT NULL, PRIMARY KEY (rid, place)) WITHOUT ROWID;
CREATE INDEX node_id ON node (id);
CREATE INDEX node_name ON node (owner, folded);

-- What a record says of two of them.
CREATE TABLE edge (rid INTEGER NOT NULL, place INTEGER NOT NULL, source BLOB NOT NULL, target BLOB NOT NULL,
                   relation TEXT NOT NULL, source_key TEXT NOT NULL, source_name TEXT NOT NULL,
                   source_kind TEXT NOT NULL, target_key TEXT NOT NULL, target_name TEXT NOT NULL,
                   target_kind TEXT NOT NULL, PRIMARY KEY (rid, place)) WITHOUT ROWID;
CREATE INDEX edge_source ON edge (source);
CREATE INDEX edge_target ON edge (target);
"""
_V5: Final = f"""
-- What a record says of its entities: JSON. Nodes and edges are made of it and of `entities`, and written with it.
ALTER TABLE record ADD COLUMN relations TEXT;
{GRAPH_TABLES}
-- Entities that were merged by hand: the last row of a key within one agent and run holds. root NULL: split again.
CREATE TABLE alias (no INTEGER PRIMARY KEY, op INTEGER NOT NULL, owner INTEGER NOT NULL, agent TEXT, run TEXT,
                    key TEXT NOT NULL, root TEXT);
CREATE INDEX alias_owner ON alias (owner);
"""


def _fill_graph(conn: sqlite3.Connection) -> None:
    """Write the nodes of entities that older records name."""
    from .graph import refill_graph

    for statement in statements(_V5):
        conn.execute(statement)
    refill_graph(conn)


Migration = str | Callable[[sqlite3.Connection], None]
MIGRATIONS: Sequence[Migration] = (_V1, _V2, _V3, _V4, _fill_graph)
"""Step n makes schema version n + 1; each runs in one transaction with the number it leads to. Only append."""


def schema_version(conn: sqlite3.Connection, location: str) -> int:
    """Return the version of the schema, 0 for an empty file.

    Raises:
        ConfigurationError: A newer memkit made it, or another program did.
    """
    version = int(conn.execute("PRAGMA user_version").fetchone()[0])
    application = int(conn.execute("PRAGMA application_id").fetchone()[0])
    if application not in (0, APPLICATION_ID) or (
        application == 0 and conn.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
    ):
        raise ConfigurationError(
            f"{location} is a database of another program. Give `path=` a folder or file of its own.",
            path=location,
        )
    if version > len(MIGRATIONS):
        raise ConfigurationError(
            f"{location} was written by a newer memkit (schema {version}, this one knows {len(MIGRATIONS)}). "
            "Type: pip install --upgrade memkit-ai",
            path=location,
            schema=version,
        )
    return version


def migrate(conn: sqlite3.Connection, version: int) -> None:
    """Bring the schema from `version` to the newest, inside the caller's write transaction."""
    for number, step in enumerate(MIGRATIONS[version:], start=version + 1):
        if isinstance(step, str):
            for statement in statements(step):
                conn.execute(statement)
        else:
            step(conn)
        conn.execute(f"PRAGMA user_version = {number}")
    if version == 0:
        conn.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        conn.execute("INSERT INTO meta (key, value) VALUES ('salt', ?)", (ledger_salt(),))


def statements(script: str) -> list[str]:
    """Split a script of plain statements; `executescript` would commit the caller's transaction."""
    lines = (line.partition("--")[0] for line in script.splitlines())
    return [s.strip() for s in "\n".join(lines).split(";") if s.strip()]
