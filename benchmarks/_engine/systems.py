"""The systems: one small class each, with the same few methods."""

from __future__ import annotations

import json
import os
import sqlite3
import uuid
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from workload import DIM, OWNERS, Embedder, owner, text


class Memkit:
    """memkit through its public API, no model, the caller's embedder."""

    module = "memkit"

    def __init__(self, folder: Path) -> None:
        from memkit import Memory

        self.embedder = Embedder()
        self.memory = Memory(folder / "memory.db", llm=None, embedder=self.embedder)

    def add(self, number: int) -> None:
        """Store one memory, durable when it returns."""
        self.memory.add(text(number), user_id=owner(number), infer=False)

    def add_many(self, numbers: list[int]) -> None:
        """Store memories of one owner with the bulk call."""
        self.memory.add_many([text(n) for n in numbers], user_id=owner(numbers[0]))

    def search(self, query: str, user: str) -> list[str]:
        """Return the texts of the ten best memories of an owner."""
        return [item.memory for item in self.memory.search(query, user_id=user, limit=10).results]

    def close(self) -> None:
        """Free everything."""
        self.memory.close()


class _Mem0Embedder:
    """The stub in mem0's shape."""

    config = SimpleNamespace(embedding_dims=DIM)

    def __init__(self, stub: Embedder) -> None:
        self._stub = stub

    def embed(self, content: str, memory_action: str | None = None) -> list[float]:
        """Return one vector."""
        return self._stub.one(content).tolist()

    def embed_batch(self, texts: list[str], memory_action: str | None = None) -> list[list[float]]:
        """Return one vector per text."""
        return [self.embed(content) for content in texts]


class Mem0:
    """mem0 2.x on embedded Chroma; embedder and model are replaced by stubs in the process."""

    module = "mem0"

    def __init__(self, folder: Path) -> None:
        os.environ |= {"MEM0_DIR": str(folder / "home"), "MEM0_TELEMETRY": "False", "OPENAI_API_KEY": "stub"}
        import mem0

        self.embedder = Embedder()
        self.memory: Any = mem0.Memory.from_config(
            {
                "vector_store": {
                    "provider": "chroma",
                    "config": {"collection_name": "bench", "path": str(folder / "c")},
                },
                "embedder": {"provider": "openai", "config": {"api_key": "stub", "embedding_dims": DIM}},
                "llm": {"provider": "openai", "config": {"api_key": "stub"}},
                "history_db_path": str(folder / "history.db"),
            }
        )
        self.memory.embedding_model = _Mem0Embedder(self.embedder)

    def add(self, number: int) -> None:
        """Store one memory."""
        self.memory.add(text(number), user_id=owner(number), infer=False)

    def add_many(self, numbers: list[int]) -> None:
        """Store memories of one owner: a list of messages is its only bulk call."""
        messages = [{"role": "user", "content": text(n)} for n in numbers]
        self.memory.add(messages, user_id=owner(numbers[0]), infer=False)

    def fill(self, numbers: list[int]) -> None:
        """Fill a large store past its public API, which would take hours; same payload, bulk inserts."""
        for start in range(0, len(numbers), 2000):
            part = numbers[start : start + 2000]
            self.memory.vector_store.insert(
                vectors=[self.embedder.one(text(n)).tolist() for n in part],
                payloads=[_payload(n) for n in part],
                ids=[str(uuid.uuid4()) for _ in part],
            )

    def search(self, query: str, user: str) -> list[str]:
        """Return the texts of the ten best memories of an owner."""
        found = self.memory.search(query, filters={"user_id": user}, top_k=10, threshold=0.0)
        return [item["memory"] for item in found["results"]]

    def close(self) -> None:
        """Free everything."""
        self.memory.close()


def _payload(number: int) -> dict[str, str]:
    """Return what mem0 stores beside a vector."""
    return {
        "data": text(number),
        "user_id": owner(number),
        "hash": f"{number:032x}",
        "created_at": "2026-01-01T00:00:00+00:00",
    }


class SqliteNumpy:
    """The yardstick: one SQLite file, one commit a write, vectors mirrored in numpy; no keywords, no history."""

    module = "sqlite3"

    def __init__(self, folder: Path) -> None:
        self.embedder = Embedder()
        folder.mkdir(parents=True, exist_ok=True)
        self.db = sqlite3.connect(folder / "bare.db", isolation_level=None)
        self.db.execute("PRAGMA journal_mode=WAL")
        self.db.execute("PRAGMA synchronous=FULL")
        self.db.execute(
            "CREATE TABLE IF NOT EXISTS m(id INTEGER PRIMARY KEY, user TEXT, payload TEXT, v BLOB)"
        )
        rows = self.db.execute("SELECT id, user, v FROM m ORDER BY id").fetchall()
        self.count = len(rows)
        self.matrix = np.zeros((max(1024, len(rows)), DIM), np.float32)
        self.users = np.zeros(len(self.matrix), np.int32)
        for n, (_, user, blob) in enumerate(rows):
            self.matrix[n] = np.frombuffer(blob, np.float32)
            self.users[n] = int(user[5:])

    def add(self, number: int) -> None:
        """Store one memory."""
        self.add_many([number])

    def add_many(self, numbers: list[int]) -> None:
        """Store memories in one commit."""
        rows = [
            (owner(n), json.dumps({"data": text(n), "user_id": owner(n)}), self.embedder.one(text(n)))
            for n in numbers
        ]
        self.db.execute("BEGIN IMMEDIATE")
        self.db.executemany(
            "INSERT INTO m(user, payload, v) VALUES (?,?,?)", [(u, p, v.tobytes()) for u, p, v in rows]
        )
        self.db.execute("COMMIT")
        while self.count + len(rows) > len(self.matrix):
            self.matrix = np.concatenate([self.matrix, np.zeros_like(self.matrix)])
            self.users = np.concatenate([self.users, np.zeros_like(self.users)])
        for user, _, row in rows:
            self.matrix[self.count], self.users[self.count] = row, int(user[5:])
            self.count += 1

    def search(self, query: str, user: str) -> list[str]:
        """Return the texts of the ten nearest memories of an owner, by vectors alone."""
        mine = np.flatnonzero(self.users[: self.count] == int(user[5:]))
        scores = self.matrix[mine] @ self.embedder.one(query)
        best = mine[np.argsort(-scores)[:10]]
        marks = ",".join("?" * len(best))
        rows = self.db.execute(f"SELECT id, payload FROM m WHERE id IN ({marks})", [int(n) + 1 for n in best])
        found = {key: json.loads(payload)["data"] for key, payload in rows}
        return [found[int(n) + 1] for n in best]

    def close(self) -> None:
        """Free everything."""
        self.db.close()


SYSTEMS: dict[str, Any] = {"memkit": Memkit, "mem0": Mem0, "sqlite+numpy": SqliteNumpy}


def fill(system: Any, size: int) -> None:
    """Fill a store with `size` memories of `OWNERS` owners, as fast as the system allows."""
    if hasattr(system, "fill"):
        system.fill(list(range(size)))
        return
    for number in range(OWNERS):
        mine = list(range(number, size, OWNERS))
        if mine:
            system.add_many(mine)
