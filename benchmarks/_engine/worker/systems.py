"""memkit and the yardstick: one small class each, with the same few methods. The peers are in `peers.py`."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

from workload import DIM, Embedder, extracted, number_of, owner, text, units


class _Model:
    """A model that answers after a pause, in memkit's shape."""

    name = "stub"

    def __init__(self, seconds: float = 0.0) -> None:
        self._seconds = seconds
        self.calls = 0
        self.chars = 0

    def generate(self, messages: list[dict[str, Any]], *, schema: Any = None, tools: Any = None) -> Any:
        """Return the facts of the conversation that was asked about."""
        from memkit.llms.base import Completion

        prompt = "\n".join(str(message["content"]) for message in messages)
        self.calls += 1
        self.chars += len(prompt)
        found = extracted(prompt)
        answer = {"memories": found["memories"], "relations": []}
        return Completion(text=json.dumps(answer), parsed=schema.model_validate(answer))

    async def agenerate(
        self, messages: list[dict[str, Any]], *, schema: Any = None, tools: Any = None
    ) -> Any:
        """Async version of `generate`."""
        import asyncio

        await asyncio.sleep(self._seconds)
        return self.generate(messages, schema=schema, tools=tools)


class _SlowEmbedder(Embedder):
    """The stub with a pause in every call."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        units()
        self.cheap = True
        self._seconds = seconds

    async def aembed(self, texts: list[str], *, purpose: str = "document") -> Any:
        """Async version of `embed`."""
        import asyncio

        await asyncio.sleep(self._seconds)
        return self.embed(texts)


def async_memkit(folder: Path, *, model: bool = False, llm_ms: float = 0.0, embed_ms: float = 0.0) -> Any:
    """Return memkit for an event loop, with stubs that take their time."""
    import memkit

    return memkit.AsyncMemory(
        folder, llm=_Model(llm_ms / 1e3) if model else None, embedder=_SlowEmbedder(embed_ms / 1e3)
    )


class Memkit:
    """memkit through its public API, the caller's embedder, no model unless asked for.

    Args:
        folder: Where it keeps everything.
        embedder: The stub.
        store: A vector store, by name.
        vectors: How embeddings are packed in the file: `float32`, `float16`; "" is the default.
        model: Extract with a model in the process.
        server: The URL of a server with model and embedder, in place of the stubs.
    """

    module = "memkit"

    def __init__(
        self,
        folder: Path,
        embedder: Embedder,
        store: str = "",
        vectors: str = "",
        model: bool = False,
        server: str = "",
    ) -> None:
        import memkit

        self.model = _Model()
        self._follows = bool(store)
        reached = {"api_key": "stub", "base_url": server, "model": "stub"}
        self.memory = memkit.Memory(
            folder,
            llm={"provider": "openai", "config": reached} if server else self.model if model else None,
            embedder={"provider": "openai", "config": {**reached, "embedding_dims": DIM}}
            if server
            else embedder,
            ledger={"provider": "sqlite", "config": {"vectors": vectors}} if vectors else None,
            vector_store=store or "auto",
        )

    def add(self, number: int, owners: int) -> str:
        """Store one memory, durable when it returns; return its id."""
        done = self.memory.add(text(number), user_id=owner(number, owners), infer=False)
        return str(done.results[0].id)

    def add_many(self, numbers: list[int], owners: int) -> None:
        """Store memories of one owner with the bulk call."""
        self.memory.add_many([text(number) for number in numbers], user_id=owner(numbers[0], owners))
        if self._follows:
            self.memory.flush()

    def fill(self, size: int, owners: int) -> None:
        """Fill a store, owner by owner."""
        for first in range(owners):
            mine = list(range(first, size, owners))
            for start in range(0, len(mine), 10_000):
                self.add_many(mine[start : start + 10_000], owners)
        self.memory.flush()

    def search(self, query: str, user: str | None) -> list[int]:
        """Return the ten best memories of an owner."""
        found = self.memory.search(query, user_id=user, limit=10, allow_global=user is None)
        return [number_of(item.memory) for item in found.results]

    def learn(self, messages: list[dict[str, str]], user: str) -> int:
        """Add a conversation with the model; return how many memories came of it."""
        return len(self.memory.add(messages, user_id=user).results)

    def numbers(self) -> dict[str, int]:
        """Return every memory by its id."""
        found: dict[str, int] = {}
        cursor: str | None = None
        while True:
            page = self.memory.get_all(limit=1000, cursor=cursor, allow_global=True)
            found |= {item.id: number_of(item.memory) for item in page.results}
            cursor = page.next_cursor
            if cursor is None:
                return found

    def events(self, memory_id: str) -> int:
        """Return how many events a memory has."""
        return len(self.memory.history(memory_id))

    def close(self) -> None:
        """Free everything."""
        self.memory.close()


class SqliteNumpy:
    """The yardstick: one SQLite file, one commit a write, vectors mirrored in numpy; no keywords, no history."""

    module = "sqlite3"

    def __init__(self, folder: Path, embedder: Embedder) -> None:
        import numpy

        self._numpy = numpy
        self._embedder = embedder
        self._db = sqlite3.connect(folder / "bare.db", isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS m(id INTEGER PRIMARY KEY, user TEXT, payload TEXT, v BLOB)"
        )
        rows = self._db.execute("SELECT user, v FROM m ORDER BY id").fetchall()
        self._count = len(rows)
        self._matrix = numpy.zeros((max(1024, len(rows)), DIM), numpy.float32)
        self._users = numpy.zeros(len(self._matrix), numpy.int32)
        for at, (user, blob) in enumerate(rows):
            self._matrix[at] = numpy.frombuffer(blob, numpy.float32)
            self._users[at] = int(user[5:])

    def add(self, number: int, owners: int) -> str:
        """Store one memory."""
        self.add_many([number], owners)
        return str(self._count)

    def add_many(self, numbers: list[int], owners: int) -> None:
        """Store memories in one commit."""
        contents = [text(number) for number in numbers]
        rows = self._embedder.embed(contents)
        users = [owner(number, owners) for number in numbers]
        self._db.execute("BEGIN IMMEDIATE")
        self._db.executemany(
            "INSERT INTO m(user, payload, v) VALUES (?,?,?)",
            [
                (user, json.dumps({"data": content, "user_id": user}), row.tobytes())
                for user, content, row in zip(users, contents, rows, strict=True)
            ],
        )
        self._db.execute("COMMIT")
        end = self._count + len(rows)
        while end > len(self._matrix):
            self._matrix = self._numpy.concatenate([self._matrix, self._numpy.zeros_like(self._matrix)])
            self._users = self._numpy.concatenate([self._users, self._numpy.zeros_like(self._users)])
        self._matrix[self._count : end] = rows
        self._users[self._count : end] = [int(user[5:]) for user in users]
        self._count = end

    def fill(self, size: int, owners: int) -> None:
        """Fill a store in the order in which memories come: owners mixed."""
        for start in range(0, size, 10_000):
            self.add_many(list(range(start, min(start + 10_000, size))), owners)

    def search(self, query: str, user: str | None) -> list[int]:
        """Return the ten nearest memories of an owner, by vectors alone."""
        vector = self._embedder.one(query)
        count = self._count
        if user is None:
            scores, rows = self._matrix[:count] @ vector, None
        else:
            rows = self._numpy.flatnonzero(self._users[:count] == int(user[5:]))
            scores = self._matrix[rows] @ vector
        best = self._numpy.argpartition(scores, -10)[-10:]
        best = best[self._numpy.argsort(-scores[best])]
        ids = [int(each) + 1 for each in (best if rows is None else rows[best])]
        marks = ",".join("?" * len(ids))
        found = dict(self._db.execute(f"SELECT id, payload FROM m WHERE id IN ({marks})", ids).fetchall())
        return [number_of(json.loads(found[each])["data"]) for each in ids]

    def close(self) -> None:
        """Free everything."""
        self._db.close()


def make(name: str, folder: Path, embedder: Embedder, **options: Any) -> Any:
    """Return a system on a folder; what it imports, it imports here."""
    folder.mkdir(parents=True, exist_ok=True)
    if name == "memkit":
        return Memkit(folder, embedder, **options)
    if name == "sqlite+numpy":
        return SqliteNumpy(folder, embedder)
    import peers

    return peers.PEERS[name](folder, embedder, **options)
