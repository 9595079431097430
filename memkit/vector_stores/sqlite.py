"""SQLite: points in one file, scanned exactly with numpy. Without a path it is the ledger's own table."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from memkit.errors import BackendError, BackendUnavailableError, ConfigurationError
from memkit.filters import And, Compare, Filter
from memkit.vector_stores.base import (
    Capability,
    Payload,
    StoreHit,
    StoreInfo,
    StorePage,
    StoreRecord,
    StoreSettings,
    VectorStore,
    best_first,
    check_embedder,
    check_limit,
    check_records,
    check_vector,
    record_filter,
    storable_ids,
    unit,
    unit_rows,
)

if TYPE_CHECKING:
    import numpy.typing as npt

    from memkit.vector_stores.base import Vector

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS collections (
    number INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE,
    dim INTEGER NOT NULL, embedder TEXT NOT NULL, version INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS points (
    collection INTEGER NOT NULL, id TEXT NOT NULL, vector BLOB NOT NULL, payload TEXT NOT NULL,
    PRIMARY KEY (collection, id)
);
"""
_CHUNK: Final = 500
_BUSY_S: Final = 30.0
_INHERITED: Final[list[object]] = []
"""Connections of a parent process: a forked child must not touch them, not even close them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Collection:
    number: int
    dim: int
    embedder: str
    version: int


@dataclass(slots=True, kw_only=True)
class _Cache:
    """Every vector of a collection as of one version; payloads are read when a filter first asks for them."""

    number: int
    version: int
    ids: list[str]
    rows: npt.NDArray[np.float32]
    payloads: list[Payload] | None = None
    users: dict[object, list[int]] = field(default_factory=dict[object, "list[int]"])
    """The positions of each user's points, of those whose id is a text."""


class SqliteStore(VectorStore):
    """An exact index in a file that several processes and threads may use at once.

    Its vectors are kept in memory as one matrix (4 bytes per dimension and point), and read again after the
    collection was changed, by whichever process.
    """

    name = "sqlite"

    class Settings(StoreSettings):
        """Settings of the SQLite store."""

        provider_name = "sqlite"
        path: Path | None = None
        """File of the index. None: the ledger's own table serves."""

    def __init__(self, settings: Settings | None = None, *, client: sqlite3.Connection | None = None) -> None:
        self._settings = settings or self.Settings()
        self.patience_s = self._settings.patience_s
        self._given = client
        self._connection: sqlite3.Connection | None = None
        self._pid = 0
        self._lock = RLock()
        self._cache: _Cache | None = None
        standalone: frozenset[Capability] = frozenset({"persistent", "multi_process"})
        own = self._settings.path is not None or client is not None
        self.capabilities = standalone if own else frozenset({"in_ledger"})

    # Connections.

    def _open_connection(self) -> sqlite3.Connection:
        if self._given is not None:
            self._given.executescript(_SCHEMA)
            return self._given
        path = self._settings.path
        if path is None:
            raise ConfigurationError(
                "The sqlite store has no `path`: it is the ledger's own table. Pass `path=` for its own file."
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.executescript(_SCHEMA)
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    @contextmanager
    def _transaction(self, *, write: bool = False) -> Generator[sqlite3.Connection]:
        with self._lock, self._translated():
            if self._connection is None or self._pid != os.getpid():
                _INHERITED.append(self._connection)
                self._connection, self._pid, self._cache = self._open_connection(), os.getpid(), None
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
    def _translated(self) -> Generator[None]:
        try:
            yield
        except (sqlite3.OperationalError, OSError) as error:
            raise BackendUnavailableError(
                f"The SQLite index at {self._where()} cannot be used: {error}.", backend=self.name
            ) from error
        except sqlite3.Error as error:
            raise BackendError(
                f"The SQLite index at {self._where()} failed: {error}. Make it anew with `memory.rebuild(...)`.",
                backend=self.name,
            ) from error

    def _where(self) -> str:
        return "the given connection" if self._given is not None else str(self._settings.path)

    # The collection.

    def _found(self, connection: sqlite3.Connection) -> _Collection | None:
        row = connection.execute(
            "SELECT number, dim, embedder, version FROM collections WHERE name = ?",
            (self._settings.collection_name,),
        ).fetchone()
        return _Collection(number=row[0], dim=row[1], embedder=row[2], version=row[3]) if row else None

    def open(self, *, dim: int, embedder: str) -> None:
        """Make or open the collection."""
        name = self._settings.collection_name
        with self._transaction(write=True) as connection:
            connection.execute(
                "INSERT INTO collections (name, dim, embedder) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                (name, dim, embedder),
            )
            found = self._found(connection)
        assert found is not None
        check_embedder(f"The collection {name!r}", (found.dim, found.embedder), (dim, embedder))

    def upsert(self, records: Sequence[StoreRecord]) -> None:
        """Write points in one transaction; the last of equal ids wins."""
        checked = check_records(records, None)
        with self._transaction(write=True) as connection:
            found = self._found(connection)
            if found is None:
                raise ConfigurationError("The collection is not open. Call `open(dim=, embedder=)` first.")
            for record, _ in checked:
                if len(record.vector) != found.dim:
                    check_vector(record.vector, found.dim, f"The vector of {record.id!r}")
            rows = [
                (found.number, record.id, record.vector.tobytes(), payload) for record, payload in checked
            ]
            connection.executemany(
                "INSERT INTO points VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE "
                "SET vector = excluded.vector, payload = excluded.payload",
                rows,
            )
            _bump(connection, found)

    def delete(self, ids: Sequence[str]) -> None:
        """Delete points in one transaction."""
        with self._transaction(write=True) as connection:
            if found := self._found(connection):
                connection.executemany(
                    "DELETE FROM points WHERE collection = ? AND id = ?",
                    [(found.number, id) for id in storable_ids(ids)],
                )
                _bump(connection, found)

    def search(self, vector: Vector, limit: int, filter: Filter | None = None) -> list[StoreHit]:
        """Return at most `limit` hits, best first, ties by id."""
        check_limit(limit)
        with self._transaction() as connection:
            found = self._found(connection)
            query = unit(check_vector(vector, found.dim if found else None))
            if found is None:
                return []
            cache = self._fresh_cache(connection, found)
            kept = self._passing(connection, cache, filter)
            rows = cache.rows if kept is None else cache.rows[kept]
            ids = cache.ids if kept is None else [cache.ids[at] for at in kept]
            best = best_first(ids, rows @ query, limit)
            payloads = _payloads(connection, found.number, [ids[at] for at, _ in best])
        return [StoreHit(id=ids[at], score=score, payload=payloads[ids[at]]) for at, score in best]

    def _fresh_cache(self, connection: sqlite3.Connection, found: _Collection) -> _Cache:
        cache = self._cache
        if cache is None or (cache.number, cache.version) != (found.number, found.version):
            points = connection.execute(
                "SELECT id, vector FROM points WHERE collection = ? ORDER BY id", (found.number,)
            ).fetchall()
            rows = np.frombuffer(b"".join(point[1] for point in points), np.float32).reshape(-1, found.dim)
            cache = _Cache(
                number=found.number,
                version=found.version,
                ids=[point[0] for point in points],
                rows=unit_rows(rows),
            )
            self._cache = cache
        return cache

    def _passing(
        self, connection: sqlite3.Connection, cache: _Cache, filter: Filter | None
    ) -> list[int] | None:
        """Return the positions that pass, None for all."""
        if filter is None:
            return None
        if cache.payloads is None:
            rows = connection.execute(
                "SELECT payload FROM points WHERE collection = ? ORDER BY id", (cache.number,)
            )
            cache.payloads = [json.loads(row[0]) for row in rows]
            for at, payload in enumerate(cache.payloads):
                if isinstance(user := payload.get("user_id"), str):
                    cache.users.setdefault(user, []).append(at)
        user, passes = _user_of(filter), record_filter(filter)
        near = range(len(cache.ids)) if user is None else cache.users.get(user, ())
        return [at for at in near if passes(cache.ids[at], cache.payloads[at])]

    def get(self, ids: Sequence[str]) -> list[StoreRecord]:
        """Return the points that exist, in the order asked."""
        with self._transaction() as connection:
            found = self._found(connection)
            return _records(connection, found.number, ids) if found else []

    def list(self, filter: Filter | None = None, limit: int = 100, cursor: str | None = None) -> StorePage:
        """Return points ordered by id; a filter is read over the payloads after the cursor."""
        check_limit(limit)
        passes = record_filter(filter)
        with self._transaction() as connection:
            found = self._found(connection)
            if found is None:
                return StorePage(records=[])
            rows = connection.execute(
                "SELECT id, payload FROM points WHERE collection = ? AND id > ? ORDER BY id",
                (found.number, cursor or ""),
            )
            ids: list[str] = []
            for id, payload in rows:
                if filter is None or passes(id, json.loads(payload)):
                    ids.append(id)
                    if len(ids) > limit:
                        break
            records = _records(connection, found.number, ids[:limit])
        return StorePage(records=records, cursor=ids[limit - 1] if len(ids) > limit else None)

    def count(self, filter: Filter | None = None) -> int:
        """Return how many points match."""
        passes = record_filter(filter)
        with self._transaction() as connection:
            found = self._found(connection)
            if found is None:
                return 0
            if filter is None:
                return _count(connection, found.number)
            rows = connection.execute("SELECT id, payload FROM points WHERE collection = ?", (found.number,))
            return sum(passes(id, json.loads(payload)) for id, payload in rows)

    def info(self) -> StoreInfo:
        """Return what the collection says of itself."""
        name = self._settings.collection_name
        with self._transaction() as connection:
            found = self._found(connection)
            if found is None:
                return StoreInfo(name=name, dim=None, count=0, embedder=None)
            count = _count(connection, found.number)
        return StoreInfo(name=name, dim=found.dim, count=count, embedder=found.embedder)

    def collections(self) -> Sequence[str]:
        """Return the names of all collections of the file, sorted."""
        with self._transaction() as connection:
            return [row[0] for row in connection.execute("SELECT name FROM collections ORDER BY name")]

    def drop(self) -> None:
        """Delete the collection."""
        with self._transaction(write=True) as connection:
            if found := self._found(connection):
                connection.execute("DELETE FROM points WHERE collection = ?", (found.number,))
                connection.execute("DELETE FROM collections WHERE number = ?", (found.number,))
                self._cache = None

    def health(self) -> None:
        """Return if the file can be read."""
        with self._transaction() as connection:
            connection.execute("SELECT count(*) FROM collections").fetchone()

    def close(self) -> None:
        """Close the file; the next call opens it again. A given connection stays open."""
        with self._lock:
            if self._connection is not None and self._given is None and self._pid == os.getpid():
                self._connection.close()
            self._connection, self._cache = None, None


def _user_of(filter: Filter) -> str | None:
    """Return the user whose points alone can pass a filter, None where it names none."""
    if isinstance(filter, And):
        return next((user for part in filter.parts if (user := _user_of(part)) is not None), None)
    if not isinstance(filter, Compare) or (filter.field, filter.op) != ("user_id", "eq"):
        return None
    return filter.value if isinstance(filter.value, str) else None


def _bump(connection: sqlite3.Connection, found: _Collection) -> None:
    connection.execute("UPDATE collections SET version = version + 1 WHERE number = ?", (found.number,))


def _count(connection: sqlite3.Connection, number: int) -> int:
    return int(
        connection.execute("SELECT count(*) FROM points WHERE collection = ?", (number,)).fetchone()[0]
    )


def _records(connection: sqlite3.Connection, number: int, ids: Sequence[str]) -> list[StoreRecord]:
    found = {
        id: StoreRecord(id=id, vector=np.frombuffer(vector, np.float32).copy(), payload=json.loads(payload))
        for id, vector, payload in _rows(connection, "id, vector, payload", number, storable_ids(ids))
    }
    return [found[id] for id in ids if id in found]


def _payloads(connection: sqlite3.Connection, number: int, ids: Sequence[str]) -> dict[str, Payload]:
    return {id: json.loads(payload) for id, payload in _rows(connection, "id, payload", number, ids)}


def _rows(connection: sqlite3.Connection, columns: str, number: int, ids: Sequence[str]) -> Generator[Any]:
    for start in range(0, len(ids), _CHUNK):
        chunk = ids[start : start + _CHUNK]
        marks = ",".join("?" * len(chunk))
        yield from connection.execute(
            f"SELECT {columns} FROM points WHERE collection = ? AND id IN ({marks})", (number, *chunk)
        )
