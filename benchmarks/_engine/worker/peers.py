"""The peers, each in its own environment: mem0 on Chroma, LangGraph's SQLite store, and Chroma itself."""

from __future__ import annotations

import json
import os
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from workload import AGENT, DIM, Embedder, extracted, number_of, owner, text, vectors

_AT = "2026-01-01T00:00:00+00:00"


def _payload(number: int, owners: int) -> dict[str, str]:
    """Return what mem0 keeps beside a vector."""
    return {
        "data": text(number),
        "user_id": owner(number, owners),
        "agent_id": AGENT,
        "role": "user",
        "hash": f"{number:032x}",
        "created_at": _AT,
        "updated_at": _AT,
        "text_lemmatized": text(number),
    }


def _projected(key: str, number: int, owners: int) -> dict[str, Any]:
    """Return the metadata that memkit gives Chroma with a vector, key by key."""
    payload = {
        "id": key,
        "memory": text(number),
        "kind": "fact",
        "user_id": owner(number, owners),
        **dict.fromkeys(("agent_id", "run_id", "valid_until", "expires_at", "actor_id", "role")),
        "metadata": {},
        "version": 1,
        **dict.fromkeys(("created_at", "updated_at", "valid_from"), _AT),
        "origin": "user",
        "sources": [],
        "entities": [],
        "pinned": False,
    }
    return {
        "payload": json.dumps(payload, separators=(",", ":")),
        "kind": "fact",
        "origin": "user",
        "user_id": owner(number, owners),
        **dict.fromkeys(("no:agent_id", "no:run_id", "no:valid_until", "no:expires_at"), True),
        **dict.fromkeys(("at:created_at", "at:valid_from"), 1767225600000000.0),
    }


def _parts(size: int, at_once: int = 2000) -> list[list[int]]:
    return [list(range(start, min(start + at_once, size))) for start in range(0, size, at_once)]


class _Mem0Embedder:
    """The stub in mem0's shape."""

    config = SimpleNamespace(embedding_dims=DIM)

    def __init__(self, stub: Embedder) -> None:
        self._stub = stub

    def embed(self, content: str, memory_action: str | None = None) -> Any:
        """Return one vector."""
        return _plain(self._stub.one(content))

    def embed_batch(self, contents: list[str], memory_action: str | None = None) -> list[Any]:
        """Return one vector per text."""
        return [_plain(row) for row in self._stub.rows(contents)]


class _Mem0Model:
    """A model that answers at once, in mem0's shape."""

    config = SimpleNamespace(model="stub")

    def __init__(self) -> None:
        self.calls = 0
        self.chars = 0

    def generate_response(self, messages: list[dict[str, str]], **_: Any) -> str:
        """Return the facts of the conversation that was asked about."""
        prompt = "\n".join(str(message["content"]) for message in messages)
        self.calls += 1
        self.chars += len(prompt)
        return json.dumps({"memory": extracted(prompt)["memory"]})


class Mem0:
    """mem0 2.x on embedded Chroma; without a server, embedder and model are stubs in the process."""

    module = "mem0"

    def __init__(self, folder: Path, embedder: Embedder, server: str = "") -> None:
        os.environ |= {"MEM0_DIR": str(folder / "home"), "MEM0_TELEMETRY": "False", "OPENAI_API_KEY": "stub"}
        import mem0

        url = {"openai_base_url": server} if server else {}
        self.memory: Any = mem0.Memory.from_config(
            {
                "vector_store": {
                    "provider": "chroma",
                    "config": {"collection_name": "bench", "path": str(folder / "c")},
                },
                "embedder": {
                    "provider": "openai",
                    "config": {"api_key": "stub", "embedding_dims": DIM, **url},
                },
                "llm": {"provider": "openai", "config": {"api_key": "stub", **url}},
                "history_db_path": str(folder / "history.db"),
            }
        )
        self._embedder = embedder
        self.model = _Mem0Model()
        if not server:
            self.memory.embedding_model, self.memory.llm = _Mem0Embedder(embedder), self.model

    def add(self, number: int, owners: int) -> str:
        """Store one memory."""
        done = self.memory.add(text(number), user_id=owner(number, owners), agent_id=AGENT, infer=False)
        return str(done["results"][0]["id"])

    def add_many(self, numbers: list[int], owners: int) -> None:
        """Store memories of one owner: a list of messages is its only bulk call."""
        messages = [{"role": "user", "content": text(number)} for number in numbers]
        self.memory.add(messages, user_id=owner(numbers[0], owners), agent_id=AGENT, infer=False)

    def fill(self, size: int, owners: int) -> None:
        """Fill a large store past its public API, which would take hours; same payload, bulk inserts."""
        for part in _parts(size):
            self.memory.vector_store.insert(
                vectors=vectors([text(number) for number in part]).tolist(),
                payloads=[_payload(number, owners) for number in part],
                ids=[str(uuid.uuid4()) for _ in part],
            )

    def search(self, query: str, user: str | None) -> list[int]:
        """Return the ten best memories of an owner."""
        scope = {"agent_id": AGENT} if user is None else {"user_id": user}
        found = self.memory.search(query, filters=scope, top_k=10, threshold=0.0)
        return [number_of(item["memory"]) for item in found["results"]]

    def learn(self, messages: list[dict[str, str]], user: str) -> int:
        """Add a conversation with the model; return how many memories came of it."""
        return len(self.memory.add(messages, user_id=user)["results"])

    def close(self) -> None:
        """Free everything."""
        self.memory.close()


class LangGraphSqlite:
    """LangGraph's SQLite store with its vector index, as its documentation sets it up."""

    module = "langgraph.store.sqlite"

    def __init__(self, folder: Path, embedder: Embedder) -> None:
        import sqlite3

        if not hasattr(
            sqlite3.Connection, "enable_load_extension"
        ):  # Python was built without; its peer brings it
            import pysqlite3

            sys.modules["sqlite3"] = sqlite3 = pysqlite3
        from langgraph.store.sqlite import SqliteStore

        def embed(contents: list[str]) -> list[Any]:
            return [_plain(row) for row in embedder.rows(list(contents))]

        self._connection: Any = sqlite3.connect(
            str(folder / "langgraph.db"), check_same_thread=False, isolation_level=None
        )
        index: Any = {"dims": DIM, "embed": embed, "fields": ["text"]}
        self._store: Any = SqliteStore(self._connection, index=index)
        self._store.setup()

    def add(self, number: int, owners: int) -> str:
        """Store one memory."""
        key = str(uuid.uuid4())
        self._store.put(("memories", owner(number, owners)), key, self._value(number))
        return key

    def add_many(self, numbers: list[int], owners: int) -> None:
        """Store memories with one batch."""
        from langgraph.store.base import PutOp

        self._store.batch(
            [
                PutOp(("memories", owner(number, owners)), str(uuid.uuid4()), self._value(number))
                for number in numbers
            ]
        )

    def fill(self, size: int, owners: int) -> None:
        """Fill a store in the order in which memories come."""
        for part in _parts(size):
            self.add_many(part, owners)

    def search(self, query: str, user: str | None) -> list[int]:
        """Return the ten nearest memories under a namespace."""
        place = ("memories",) if user is None else ("memories", user)
        return [number_of(item.value["text"]) for item in self._store.search(place, query=query, limit=10)]

    @staticmethod
    def _value(number: int) -> dict[str, str]:
        return {"text": text(number), "agent_id": AGENT, "hash": f"{number:032x}", "created_at": _AT}

    def close(self) -> None:
        """Free everything."""
        self._connection.close()


class Chroma:
    """The client of Chroma itself, with the records that memkit would give it."""

    module = "chromadb"

    def __init__(self, folder: Path, embedder: Embedder) -> None:
        import chromadb
        from chromadb.config import Settings

        client: Any = chromadb.PersistentClient(str(folder), settings=Settings(anonymized_telemetry=False))
        self._embedder = embedder
        self._collection: Any = client.get_or_create_collection(
            "bench", embedding_function=None, configuration={"hnsw": {"space": "cosine"}}
        )

    def add(self, number: int, owners: int) -> str:
        """Store one memory."""
        return self.add_many([number], owners)[0]

    def add_many(self, numbers: list[int], owners: int) -> list[str]:
        """Store memories with one call."""
        keys = [str(uuid.uuid4()) for _ in numbers]
        self._collection.add(
            ids=keys,
            embeddings=self._embedder.embed([text(number) for number in numbers]),
            metadatas=[_projected(key, number, owners) for key, number in zip(keys, numbers, strict=True)],
        )
        return keys

    def fill(self, size: int, owners: int) -> None:
        """Fill a store in the order in which memories come."""
        for part in _parts(size):
            self.add_many(part, owners)

    def search(self, query: str, user: str | None) -> list[int]:
        """Return the ten nearest memories of an owner."""
        found = self._collection.query(
            query_embeddings=[self._embedder.one(query)],
            n_results=10,
            where=None if user is None else {"user_id": user},
            include=["metadatas", "distances"],
        )
        return [number_of(json.loads(kept["payload"])["memory"]) for kept in found["metadatas"][0]]

    def close(self) -> None:
        """Nothing is open but the client, which ends with the process."""


def _plain(row: Any) -> Any:
    return row if isinstance(row, list) else row.tolist()


PEERS: dict[str, Callable[..., Any]] = {
    "mem0": Mem0,
    "langgraph-sqlite": LangGraphSqlite,
    "chroma": Chroma,
}
