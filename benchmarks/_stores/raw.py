"""Each database by its own client, written as somebody would who needs no more than this one job."""

from __future__ import annotations

import json
import sqlite3
import uuid
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from memkit.vector_stores.base import StoreRecord

if TYPE_CHECKING:
    import numpy.typing as npt


class Raw(ABC):
    """A collection of points, and nothing that memkit adds to it."""

    @abstractmethod
    def upsert(self, records: Sequence[StoreRecord]) -> None:
        """Write points."""

    @abstractmethod
    def search(self, vector: npt.NDArray[np.float32], limit: int, user_id: str) -> list[str]:
        """Return the ids of the nearest of one user."""

    @abstractmethod
    def close(self) -> None:
        """Free everything."""


class RawPgvector(Raw):
    """psycopg: one statement a point in a pipeline, an index on the user, with HNSW or without."""

    def __init__(self, url: str, dim: int, *, hnsw: bool) -> None:
        import psycopg

        self._conn = conn = psycopg.connect(url, autocommit=True)
        conn.execute("CREATE EXTENSION IF NOT EXISTS vector")
        conn.execute(f"CREATE TABLE raw (id uuid PRIMARY KEY, vector vector({dim}), payload jsonb)".encode())
        if hnsw:
            conn.execute("CREATE INDEX ON raw USING hnsw (vector vector_cosine_ops)")
        conn.execute("CREATE INDEX ON raw ((payload->>'user_id'))")
        conn.execute("SET hnsw.iterative_scan = strict_order")

    def upsert(self, records: Sequence[StoreRecord]) -> None:
        with self._conn.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO raw VALUES (%s, %s, %s) ON CONFLICT (id) DO UPDATE "
                "SET vector = excluded.vector, payload = excluded.payload",
                [(point.id, str(point.vector.tolist()), json.dumps(point.payload)) for point in records],
            )

    def search(self, vector: npt.NDArray[np.float32], limit: int, user_id: str) -> list[str]:
        text = str(vector.tolist())
        rows = self._conn.execute(
            "SELECT id, payload, 1 - (vector <=> %s::vector) FROM raw WHERE payload->>'user_id' = %s "
            "ORDER BY vector <=> %s::vector LIMIT %s",
            (text, user_id, text, limit),
        ).fetchall()
        return [str(row[0]) for row in rows]

    def close(self) -> None:
        self._conn.close()


class RawChroma(Raw):
    """chromadb: metadata of plain values, the cosine distance."""

    def __init__(self, path: Path) -> None:
        import chromadb
        from chromadb.config import Settings

        self._client = chromadb.PersistentClient(str(path), Settings(anonymized_telemetry=False))
        space: Any = {"hnsw": {"space": "cosine"}}
        self._found = self._client.get_or_create_collection(
            "raw", configuration=space, embedding_function=None
        )

    def upsert(self, records: Sequence[StoreRecord]) -> None:
        self._found.upsert(
            ids=[point.id for point in records],
            embeddings=np.stack([point.vector for point in records]),
            metadatas=[_plain(point.payload) for point in records],
        )

    def search(self, vector: npt.NDArray[np.float32], limit: int, user_id: str) -> list[str]:
        found = self._found.query(
            query_embeddings=[vector],
            n_results=limit,
            where={"user_id": user_id},
            include=["metadatas", "distances"],
        )
        return found["ids"][0]

    def close(self) -> None:
        cast("Any", self._client).close()  # the vendor's type lacks it


class RawQdrant(Raw):
    """qdrant-client in its local mode: on disk, or in memory without a path."""

    def __init__(self, path: Path | None, dim: int) -> None:
        from qdrant_client import QdrantClient, models

        self._models = models
        self._client = QdrantClient(":memory:") if path is None else QdrantClient(path=str(path))
        self._client.create_collection(
            "raw", vectors_config=models.VectorParams(size=dim, distance=models.Distance.COSINE)
        )

    def upsert(self, records: Sequence[StoreRecord]) -> None:
        self._client.upsert(
            "raw",
            [
                self._models.PointStruct(id=point.id, vector=point.vector.tolist(), payload=point.payload)
                for point in records
            ],
        )

    def search(self, vector: npt.NDArray[np.float32], limit: int, user_id: str) -> list[str]:
        match = self._models.FieldCondition(key="user_id", match=self._models.MatchValue(value=user_id))
        found = self._client.query_points(
            "raw", query=vector.tolist(), limit=limit, query_filter=self._models.Filter(must=[match])
        )
        return [str(point.id) for point in found.points]

    def close(self) -> None:
        self._client.close()


class RawSqlite(Raw):
    """sqlite3 and numpy: the rows of one user are read and multiplied."""

    def __init__(self, path: Path) -> None:
        self._conn = sqlite3.connect(path, isolation_level=None)
        self._conn.execute("PRAGMA journal_mode = WAL")
        self._conn.execute("PRAGMA synchronous = FULL")
        self._conn.execute("CREATE TABLE raw (id TEXT PRIMARY KEY, user_id TEXT, vector BLOB, payload TEXT)")
        self._conn.execute("CREATE INDEX users ON raw (user_id)")

    def upsert(self, records: Sequence[StoreRecord]) -> None:
        self._conn.execute("BEGIN IMMEDIATE")
        self._conn.executemany(
            "INSERT OR REPLACE INTO raw VALUES (?, ?, ?, ?)",
            [
                (point.id, point.payload["user_id"], point.vector.tobytes(), json.dumps(point.payload))
                for point in records
            ],
        )
        self._conn.execute("COMMIT")

    def search(self, vector: npt.NDArray[np.float32], limit: int, user_id: str) -> list[str]:
        rows = self._conn.execute("SELECT id, vector FROM raw WHERE user_id = ?", (user_id,)).fetchall()
        cosines = np.frombuffer(b"".join(row[1] for row in rows), np.float32).reshape(len(rows), -1) @ vector
        best = [rows[at][0] for at in np.argsort(-cosines)[:limit]]
        marks = ",".join("?" * len(best))
        payloads = self._conn.execute(f"SELECT id, payload FROM raw WHERE id IN ({marks})", best).fetchall()
        return best if len([json.loads(row[1]) for row in payloads]) == len(best) else []

    def close(self) -> None:
        self._conn.close()


def _plain(payload: dict[str, Any]) -> dict[str, Any]:
    flat = {**payload, **payload["metadata"]}
    return {key: value for key, value in flat.items() if isinstance(value, str | int | float)}


def new_id(number: int) -> str:
    """Return the id of a point."""
    return str(uuid.UUID(int=number))
