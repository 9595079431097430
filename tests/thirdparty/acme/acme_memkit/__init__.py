"""The Acme vector store: a table of SQLite, scanned whole."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING

import numpy as np

from memkit.errors import BackendUnavailableError, ConfigurationError
from memkit.filters import Filter
from memkit.settings import env
from memkit.vector_stores.base import (
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
    from memkit.vector_stores.base import Vector


class AcmeSettings(StoreSettings):
    """Settings of the Acme store."""

    provider_name = "acme"
    path: Path = env("ACME_PATH", Path("acme.db"))
    """File of the database. Env: `ACME_PATH`."""


class AcmeStore(VectorStore):
    """Points of all collections in one file."""

    name = "acme"
    Settings = AcmeSettings
    capabilities = frozenset({"persistent", "multi_process"})

    def __init__(self, settings: AcmeSettings | None = None) -> None:
        self._settings = settings or AcmeSettings()
        self.patience_s = self._settings.patience_s
        self._name = self._settings.collection_name
        self._lock = RLock()
        self._db: sqlite3.Connection | None = None

    @contextmanager
    def _using(self) -> Generator[sqlite3.Connection]:
        with self._lock:
            try:
                if self._db is None:
                    self._db = sqlite3.connect(self._settings.path, timeout=30, check_same_thread=False)
                    self._db.execute("PRAGMA journal_mode = WAL")
                    self._db.execute(
                        "CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, dim, embedder)"
                    )
                    self._db.execute(
                        "CREATE TABLE IF NOT EXISTS points (name TEXT, id TEXT, vector, payload, "
                        "PRIMARY KEY (name, id)) WITHOUT ROWID"
                    )
                with self._db:
                    yield self._db
            except sqlite3.Error as error:
                raise BackendUnavailableError(
                    f"Acme at {self._settings.path} failed: {error}.", backend=self.name
                ) from error

    def _about(self, db: sqlite3.Connection) -> tuple[int, str] | None:
        return db.execute("SELECT dim, embedder FROM about WHERE name = ?", (self._name,)).fetchone()

    def open(self, *, dim: int, embedder: str) -> None:
        with self._using() as db:
            db.execute("INSERT OR IGNORE INTO about VALUES (?, ?, ?)", (self._name, dim, embedder))
            found = self._about(db)
        assert found is not None
        check_embedder(f"The Acme collection {self._name!r}", found, (dim, embedder))

    def upsert(self, records: Sequence[StoreRecord]) -> None:
        with self._using() as db:
            found = self._about(db)
            if found is None:
                raise ConfigurationError("The collection is not open. Call `open(dim=, embedder=)` first.")
            rows = [
                (self._name, record.id, record.vector.tobytes(), payload)
                for record, payload in check_records(records, found[0])
            ]
            db.executemany("INSERT OR REPLACE INTO points VALUES (?, ?, ?, ?)", rows)

    def _passing(self, filter: Filter | None) -> list[StoreRecord]:
        passes = record_filter(filter)
        with self._using() as db:
            rows = db.execute(
                "SELECT id, vector, payload FROM points WHERE name = ?", (self._name,)
            ).fetchall()
        records = [
            StoreRecord(id=id, vector=np.frombuffer(vector, np.float32).copy(), payload=json.loads(payload))
            for id, vector, payload in rows
        ]
        return sorted((r for r in records if passes(r.id, r.payload)), key=lambda record: record.id)

    def search(self, vector: Vector, limit: int, filter: Filter | None = None) -> list[StoreHit]:
        check_limit(limit)
        with self._using() as db:
            found = self._about(db)
        query = unit(check_vector(vector, found[0] if found else None))
        points = self._passing(filter)
        if not points:
            return []
        cosines = unit_rows(np.stack([point.vector for point in points])) @ query
        best = best_first([point.id for point in points], cosines, limit)
        return [StoreHit(id=points[at].id, score=score, payload=points[at].payload) for at, score in best]

    def get(self, ids: Sequence[str]) -> list[StoreRecord]:
        wanted = set(ids)
        found = {record.id: record for record in self._passing(None) if record.id in wanted}
        return [found[id] for id in ids if id in found]

    def list(self, filter: Filter | None = None, limit: int = 100, cursor: str | None = None) -> StorePage:
        check_limit(limit)
        rest = [record for record in self._passing(filter) if cursor is None or record.id > cursor]
        return StorePage(records=rest[:limit], cursor=rest[limit - 1].id if len(rest) > limit else None)

    def count(self, filter: Filter | None = None) -> int:
        return len(self._passing(filter))

    def delete(self, ids: Sequence[str]) -> None:
        with self._using() as db:
            db.executemany(
                "DELETE FROM points WHERE name = ? AND id = ?", [(self._name, id) for id in storable_ids(ids)]
            )

    def info(self) -> StoreInfo:
        with self._using() as db:
            found = self._about(db)
        dim, embedder = found or (None, None)
        return StoreInfo(name=self._name, dim=dim, count=self.count(), embedder=embedder)

    def collections(self) -> Sequence[str]:
        with self._using() as db:
            return [name for (name,) in db.execute("SELECT name FROM about ORDER BY name").fetchall()]

    def drop(self) -> None:
        with self._using() as db:
            db.execute("DELETE FROM points WHERE name = ?", (self._name,))
            db.execute("DELETE FROM about WHERE name = ?", (self._name,))

    def health(self) -> None:
        with self._using() as db:
            db.execute("SELECT 1").fetchone()

    def close(self) -> None:
        with self._lock:
            if self._db is not None:
                self._db.close()
                self._db = None
