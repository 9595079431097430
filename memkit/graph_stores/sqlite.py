"""SQLite: nodes and edges in one file, walked by recursive queries. Without a path they are the ledger's own rows."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Final, TypeVar

from memkit.errors import BackendError, BackendUnavailableError, ConfigurationError
from memkit.graph_stores.base import Capability, GraphRecord, GraphStoreSettings, digest
from memkit.graph_stores.support import check_records
from memkit.ledger.records import OWNER_SHIFT
from memkit.ledger.rows import pack_id
from memkit.ledger.sqlite.graph import drop_rows, put_rows
from memkit.ledger.sqlite.graph_reads import SqliteGraphReads
from memkit.ledger.sqlite.schema import GRAPH_TABLES, statements
from memkit.ledger.sqlite.scope import scope_where
from memkit.scope import Owner, ReadScope

R = TypeVar("R")

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS owner (no INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, id TEXT NOT NULL,
                                  next_n INTEGER NOT NULL DEFAULT 1, UNIQUE (kind, id));
CREATE TABLE IF NOT EXISTS agent_run (run TEXT NOT NULL, owner INTEGER NOT NULL,
                                      PRIMARY KEY (run, owner)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS record (rid INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, owner INTEGER NOT NULL,
                                   agent TEXT, run TEXT, created_at INTEGER NOT NULL, valid_from INTEGER,
                                   valid_until INTEGER, expires_at INTEGER, deleted INTEGER NOT NULL DEFAULT 0);
"""
_BUSY_S: Final = 30.0
_DEFAULT: Final = "memkit"
_INHERITED: Final[list[object]] = []
"""Connections of a parent process: a forked child must not touch them, not even close them."""


class SqliteGraphSettings(GraphStoreSettings):
    """Settings of the SQLite graph."""

    provider_name = "sqlite"

    path: Path | None = None
    """File of the graph; one of another `collection_name` than the default lies beside it, under a name with that.
    None: the ledger's own rows serve."""

    @property
    def file(self) -> Path | None:
        """The file of this graph alone."""
        if self.path is None or self.collection_name == _DEFAULT:
            return self.path
        name = self.collection_name
        safe = name if re.fullmatch(r"[\w-]{1,64}", name, re.ASCII) else digest(name)
        return self.path.with_name(f"{self.path.stem}.{safe}{self.path.suffix}")


class SqliteGraph(SqliteGraphReads):
    """A graph in a file of its own, that several processes and threads may use at once.

    Its rows lie beside a table of memories with their scope and times, as in a ledger.
    """

    Settings = SqliteGraphSettings

    def __init__(self, settings: SqliteGraphSettings | None = None) -> None:
        self._settings = settings or SqliteGraphSettings()
        self.patience_s = self._settings.patience_s
        self._connection: sqlite3.Connection | None = None
        self._pid = 0
        self._lock = RLock()
        own: frozenset[Capability] = frozenset({"persistent", "multi_process"})
        self.capabilities = own if self._settings.path is not None else frozenset({"in_ledger"})

    # Connections.

    def _open_connection(self, path: Path) -> sqlite3.Connection:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            for pragma in ("journal_mode = WAL", "synchronous = FULL", "secure_delete = ON"):
                connection.execute(f"PRAGMA {pragma}")
            connection.execute("BEGIN IMMEDIATE")
            for statement in statements(_SCHEMA):
                connection.execute(statement)
            if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'node'").fetchone() is None:
                for statement in statements(GRAPH_TABLES):
                    connection.execute(statement)
            connection.execute("COMMIT")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    @contextmanager
    def _transaction(self, *, write: bool = False) -> Generator[sqlite3.Connection]:
        path = self._settings.file
        if path is None:
            raise ConfigurationError(
                "The sqlite graph has no `path`: it is the ledger's own. Pass `path=` for a file of its own."
            )
        with self._lock, self._translated(path):
            if self._connection is None or self._pid != os.getpid():
                _INHERITED.append(self._connection)
                self._connection, self._pid = self._open_connection(path.expanduser()), os.getpid()
            connection = self._connection
            try:
                connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _translated(self, path: Path) -> Generator[None]:
        try:
            yield
        except (sqlite3.OperationalError, OSError) as error:
            raise BackendUnavailableError(
                f"The graph file {str(path)!r} cannot be used: {error}.", backend=self.name
            ) from error
        except sqlite3.Error as error:
            raise BackendError(
                f"The graph file {str(path)!r} cannot be used: {error}.", backend=self.name
            ) from error

    def _rows(self, work: Callable[[sqlite3.Connection], R], empty: R) -> R:
        if self._connection is None and not self._is_there():
            return empty
        with self._transaction() as conn:
            return work(conn)

    def _is_there(self) -> bool:
        """Return whether there is a file; one that cannot be looked for is an error."""
        path = self._settings.file
        if path is None:
            return True
        with self._translated(path):
            try:
                path.expanduser().stat()
            except FileNotFoundError:
                return False
        return True

    def _owner(self, conn: sqlite3.Connection, number: int) -> Owner:
        return Owner(*conn.execute("SELECT kind, id FROM owner WHERE no = ?", (number,)).fetchone())

    # Writing.

    def open(self) -> None:
        """Make the file, or open it."""
        with self._transaction():
            pass

    def upsert(self, records: Sequence[GraphRecord]) -> None:
        """Replace what these memories said; the last of equal ids wins."""
        checked = check_records(records)
        if not checked:
            return
        with self._transaction(write=True) as conn:
            _remove(conn, [record.memory_id for record in checked])
            put_rows(conn, [(_insert(conn, record), record) for record in checked])

    def remove(self, memory_ids: Sequence[str]) -> None:
        """Take back what these memories said."""
        if memory_ids:
            with self._transaction(write=True) as conn:
                _remove(conn, memory_ids)

    def drop(self, scope: ReadScope | None = None) -> None:
        """Take back what the memories of the scope said; None: of every one."""
        with self._transaction(write=True) as conn:
            found = scope_where(conn, scope or ReadScope(everyone=True), "record")
            if found is not None:
                where = " WHERE " + " AND ".join(found[0]) if found[0] else ""
                rids = [row[0] for row in conn.execute(f"SELECT rid FROM record{where}", found[1])]
                _delete(conn, rids)

    def health(self) -> None:
        """Return if the file can be read.

        Raises:
            BackendError: It cannot.
        """
        with self._transaction() as conn:
            conn.execute("SELECT count(*) FROM record").fetchone()

    def close(self) -> None:
        """Close the file; may be called twice."""
        with self._lock:
            if self._connection is not None and self._pid == os.getpid():
                self._connection.close()
            self._connection = None


def _insert(conn: sqlite3.Connection, record: GraphRecord) -> int:
    """Insert the row of a memory and return its number."""
    owner = record.owner
    conn.execute("INSERT OR IGNORE INTO owner (kind, id) VALUES (?, ?)", owner)
    number, place = conn.execute(
        "UPDATE owner SET next_n = next_n + 1 WHERE kind = ? AND id = ? RETURNING no, next_n", owner
    ).fetchall()[0]
    if record.run_id is not None and owner.kind == "agent":
        conn.execute("INSERT OR IGNORE INTO agent_run (run, owner) VALUES (?, ?)", (record.run_id, number))
    rid = (number << OWNER_SHIFT) | (place - 1)
    conn.execute(
        "INSERT INTO record (rid, id, owner, agent, run, created_at, valid_from, valid_until, expires_at)"
        " VALUES (?,?,?,?,?,?,?,?,?)",
        (
            rid, pack_id(record.memory_id), number, record.agent_id, record.run_id, record.created_at,
            record.valid_from, record.valid_until, record.expires_at,
        ),
    )  # fmt: skip
    return rid


def _remove(conn: sqlite3.Connection, memory_ids: Sequence[str]) -> None:
    rids: list[int] = []
    for memory_id in dict.fromkeys(memory_ids):
        rids += [row[0] for row in conn.execute("SELECT rid FROM record WHERE id = ?", (pack_id(memory_id),))]
    _delete(conn, rids)


def _delete(conn: sqlite3.Connection, rids: Sequence[int]) -> None:
    drop_rows(conn, rids)
    conn.executemany("DELETE FROM record WHERE rid = ?", [(rid,) for rid in rids])
    conn.execute("DELETE FROM owner WHERE NOT EXISTS (SELECT 1 FROM record WHERE record.owner = owner.no)")
    conn.execute(
        "DELETE FROM agent_run WHERE NOT EXISTS (SELECT 1 FROM record"
        " WHERE record.owner = agent_run.owner AND record.run = agent_run.run)"
    )
