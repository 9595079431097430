"""Collections as mem0 writes them, made with the vendors' own clients, are imported and never written to."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import chromadb
import numpy as np
import psycopg
import psycopg.sql
import pytest
from chromadb.config import Settings
from qdrant_client import QdrantClient, models

from memkit import AsyncMemory, Memory
from memkit.embedders.hash import HashEmbedder
from memkit.errors import ConfigurationError, ScopeError
from memkit.types import ImportResult
from tests.qdrant_server import QdrantServer

DIM = HashEmbedder().dim
A, B, C, D, E = (f"{n}0000000-0000-4000-8000-00000000000{n}" for n in range(1, 6))


def payload(text: str, **more: Any) -> dict[str, Any]:
    """A payload of mem0 1.x: everything side by side."""
    return {
        "data": text,
        "hash": hashlib.md5(text.encode()).hexdigest(),
        "created_at": "2025-08-01T10:00:00-07:00",
        **more,
    }


POINTS: dict[str, dict[str, Any]] = {
    A: payload("Name is Ada", user_id="ada", category="person", stars=4),
    B: payload(
        "Loves hiking in\nthe Alps", user_id="ada", agent_id="guide", run_id="r1",
        updated_at="2025-08-03T09:30:00+00:00",
    ),
    # 2.x: UTC times, lemmas for its keyword search, who said it, and a last day.
    C: payload(
        "The bot recommended a tent", user_id="ada", created_at="2026-05-01T08:00:00+00:00",
        updated_at="2026-05-01T08:00:00+00:00", text_lemmatized="bot recommend tent", attributed_to="assistant",
        expiration_date="2999-12-31",
    ),
    # `infer=False`: a turn as it was said.
    D: payload("I am back home.", user_id="bob", role="user", actor_id="Bob"),
    E: payload("1. Open the door. 2. Walk in.", agent_id="robot", memory_type="procedural_memory"),
}  # fmt: skip
BROKEN: dict[str, dict[str, Any]] = {
    "60000000-0000-4000-8000-000000000006": {"user_id": "ada", "hash": "x"},
    "70000000-0000-4000-8000-000000000007": payload("Whose is this?"),
}
ALL = {**POINTS, **BROKEN}


def rows(texts: Sequence[str], embedder: Any = None) -> list[list[float]]:
    """Vectors as mem0 gets them from its embedder: line breaks are spaces."""
    found = (embedder or HashEmbedder()).embed(
        [text.replace("\n", " ") for text in texts], purpose="document"
    )
    return [[3 * float(value) for value in row] for row in found]


VECTORS = rows([point.get("data", "") for point in ALL.values()])


class Make(Protocol):
    """Makes a database as mem0 does, and returns what `import_mem0` is given."""

    def __call__(self, vectors: list[list[float]]) -> Any: ...


@pytest.fixture
def qdrant(tmp_path: Path) -> Make:
    def make(vectors: list[list[float]]) -> str:
        client = QdrantClient(path=str(tmp_path / "qdrant"))
        # 2.x keeps a sparse vector beside the unnamed one.
        client.create_collection(
            "mem0",
            vectors_config=models.VectorParams(size=len(vectors[0]), distance=models.Distance.COSINE),
            sparse_vectors_config={"bm25": models.SparseVectorParams(modifier=models.Modifier.IDF)},
        )
        sparse = models.SparseVector(indices=[1, 7], values=[0.5, 1.0])
        points = [
            models.PointStruct(
                id=id, vector={"": vector, "bm25": sparse} if id == C else vector, payload=stored
            )
            for (id, stored), vector in zip(ALL.items(), vectors, strict=True)
        ]
        client.upsert("mem0", points)
        client.close()
        return str(tmp_path / "qdrant")

    return make


@pytest.fixture
def chroma(tmp_path: Path) -> Make:
    def make(vectors: list[list[float]]) -> str:
        client: Any = chromadb.PersistentClient(
            str(tmp_path / "chroma"), settings=Settings(anonymized_telemetry=False)
        )
        collection = client.get_or_create_collection("mem0", embedding_function=None)
        collection.add(ids=list(ALL), embeddings=np.array(vectors, np.float32), metadatas=list(ALL.values()))
        client.close()
        return str(tmp_path / "chroma")

    return make


@pytest.fixture
def pgvector(fresh_postgres: str) -> Make:
    def make(vectors: list[list[float]]) -> str:
        with psycopg.connect(fresh_postgres) as connection:
            connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
            table = "CREATE TABLE mem0 (id UUID PRIMARY KEY, vector vector({}), payload JSONB)"
            connection.execute(psycopg.sql.SQL(table).format(len(vectors[0])))
            for (id, stored), vector in zip(ALL.items(), vectors, strict=True):
                connection.execute(
                    "INSERT INTO mem0 (id, vector, payload) VALUES (%s, %s::vector, %s)",
                    (id, str(vector), json.dumps(stored)),
                )
        return fresh_postgres

    return make


@pytest.fixture(
    params=["qdrant", "chroma", pytest.param("pgvector", marks=pytest.mark.engine)],
)
def make(request: pytest.FixtureRequest) -> Make:
    return request.getfixturevalue(request.param)


class Counting(HashEmbedder):
    """The keyless embedder; it counts the texts."""

    def __init__(self) -> None:
        self.texts = 0

    def embed(self, texts: Sequence[str], *, purpose: Any = "document") -> Any:
        self.texts += len(texts)
        return super().embed(texts, purpose=purpose)


@pytest.fixture
def memory(tmp_path: Path) -> Generator[Memory]:
    with Memory(tmp_path / "store", llm=None, embedder=Counting()) as made:
        yield made


def embedded(memory: Memory) -> int:
    """How many texts were embedded so far."""
    embedder: Any = memory._engine.parts.embedder()  # pyright: ignore[reportPrivateUsage]  the counting one
    return embedder.texts


def test_memories_keep_ids_texts_scopes_times_metadata_and_vectors(memory: Memory, make: Make) -> None:
    source = make(VECTORS)
    result = memory.import_mem0(source)
    assert (result.found, result.imported, result.present, result.vectors) == (7, 5, 0, "kept")
    assert "data" in result.skipped[next(iter(BROKEN))] and len(result.skipped) == 2
    assert embedded(memory) == 5, "a few texts to compare, and none to store"
    ada = {item.id: item for item in memory.get_all(user_id="ada", include_closed=True).results}
    assert {id: item.memory for id, item in ada.items()} == {id: POINTS[id]["data"] for id in (A, B, C)}
    assert ada[A].metadata == {"category": "person", "stars": 4}
    assert ada[A].created_at == datetime(2025, 8, 1, 17, tzinfo=UTC) == ada[A].valid_from
    assert (ada[B].agent_id, ada[B].run_id, ada[B].metadata) == ("guide", "r1", {})
    assert ada[B].updated_at == datetime(2025, 8, 3, 9, 30, tzinfo=UTC)
    assert (ada[C].origin, ada[C].expires_at) == ("assistant", datetime(3000, 1, 1, tzinfo=UTC))
    (bob,) = memory.get_all(user_id="bob").results
    assert (bob.kind, bob.role, bob.actor_id) == ("message", "user", "Bob")
    assert memory.get_all(agent_id="robot").results[0].kind == "procedure"
    (event,) = memory.history(A)
    assert event.event == "ADD" and event.reason == "imported from mem0"
    assert memory.search("hiking in the Alps", user_id="ada").results[0].id == B


def test_a_second_import_adds_nothing_and_one_that_ended_early_goes_on(memory: Memory, qdrant: Make) -> None:
    source = qdrant(VECTORS)
    told: list[int] = []

    def stop(done: int, total: int) -> None:
        told.append(done)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        memory.import_mem0(source, progress=stop)
    assert told == [7]
    events = memory.stats().events
    again = memory.import_mem0(source)
    assert (again.imported, again.present, memory.stats().events) == (0, 5, events)
    memory.undo(memory.history(D)[0].operation_id)
    assert memory.import_mem0(source).imported == 0, "what was taken back stays away"


def test_nothing_of_mem0s_database_changes(memory: Memory, make: Make, tmp_path: Path) -> None:
    source = make(VECTORS)
    before = _state(source)
    memory.import_mem0(source, dry_run=True)
    memory.import_mem0(source)
    assert _state(source) == before


def _state(source: str) -> Any:
    if source.startswith("postgresql"):
        with psycopg.connect(source) as connection:
            return connection.execute(
                "SELECT id, vector::text, payload, xmin::text FROM mem0 ORDER BY id"
            ).fetchall()
    files = sorted(path for path in Path(source).rglob("*") if path.is_file())
    return {path.name: path.read_bytes() for path in files if path.name != ".lock"}


ODD: dict[str, dict[str, Any]] = {
    "a number for a user": {"user_id": 7},
    "shown for ever": {"user_id": "eve", "expiration_date": "9999-12-31"},
    "times left empty": {"user_id": "eve", "created_at": "", "updated_at": ""},
    "before the first year": {"user_id": "eve", "created_at": "0001-01-01T00:00:00+14:00"},
    "two users": {"user_id": ["eve", "bob"]},
    "a day that is none": {"user_id": "eve", "expiration_date": "never"},
}


def test_one_odd_payload_is_told_and_costs_no_other(memory: Memory, tmp_path: Path) -> None:
    client = QdrantClient(path=str(tmp_path / "odd"))
    client.create_collection(
        "mem0", vectors_config=models.VectorParams(size=DIM, distance=models.Distance.COSINE)
    )
    points = [
        models.PointStruct(id=number, vector=vector, payload=payload(text, **more))
        for number, ((text, more), vector) in enumerate(zip(ODD.items(), rows(list(ODD)), strict=True))
    ]
    client.upsert("mem0", points)
    client.close()
    result = memory.import_mem0(str(tmp_path / "odd"))
    assert {id: why.split(":")[0] for id, why in result.skipped.items()} == {
        "3": "`created_at`", "4": "`user_id` must be one id, not list", "5": "`expiration_date` is no date",
    }  # fmt: skip
    assert [item.memory for item in memory.get_all(user_id=7).results] == ["a number for a user"]
    eve = {item.memory: item.expires_at for item in memory.get_all(user_id="eve").results}
    assert eve == {"shown for ever": None, "times left empty": None}


@pytest.mark.engine
def test_rows_without_a_vector_or_a_payload_are_not_passed_over(memory: Memory, pgvector: Make) -> None:
    source = pgvector(VECTORS)
    with psycopg.connect(source) as connection:
        connection.execute("UPDATE mem0 SET vector = NULL WHERE id = %s", (A,))
        connection.execute("UPDATE mem0 SET payload = '[1]' WHERE id = %s", (B,))
        connection.execute("UPDATE mem0 SET payload = NULL WHERE id = %s", (D,))
    result = memory.import_mem0(source)
    assert (result.found, result.imported, set(result.skipped)) == (7, 3, {B, D, *BROKEN})
    assert memory.search("What is her name?", user_id="ada", limit=1).results[0].id == A


@pytest.mark.engine
def test_a_table_of_something_else_is_said_to_be_none(memory: Memory, pgvector: Make) -> None:
    source = pgvector(VECTORS)
    with psycopg.connect(source) as connection:
        connection.execute("CREATE TABLE notes (id int, body text)")
    with pytest.raises(ConfigurationError, match=r"'notes' has no column 'payload'.*'mem0'"):
        memory.import_mem0(source, collection="notes")


@pytest.mark.parametrize("change", ["dimension", "embedder"])
def test_vectors_of_another_embedder_are_made_anew(memory: Memory, qdrant: Make, change: str) -> None:
    if change == "dimension":
        source = qdrant([row[:16] for row in VECTORS])
    else:
        source = qdrant(np.random.default_rng(0).standard_normal((len(ALL), DIM)).tolist())
    result = memory.import_mem0(source)
    assert (result.imported, result.vectors) == (5, "new")
    assert memory.search("hiking in the Alps", user_id="ada").results[0].id == B


def test_mem0s_own_configuration_says_where_and_its_history_is_taken_too(
    memory: Memory, qdrant: Make, tmp_path: Path
) -> None:
    path = qdrant(VECTORS)
    log = tmp_path / "history.db"
    with closing(sqlite3.connect(log)) as connection:
        connection.execute(
            "CREATE TABLE history (id TEXT PRIMARY KEY, memory_id TEXT, old_memory TEXT, new_memory TEXT, event TEXT, "
            "created_at DATETIME, updated_at DATETIME, is_deleted INTEGER, actor_id TEXT, role TEXT)"
        )
        text = POINTS[B]["data"]
        for row in (
            ("h1", B, None, "Likes hiking", "ADD", "2025-08-01T10:00:00-07:00", None),
            (
                "h2",
                B,
                "Likes hiking",
                text,
                "UPDATE",
                "2025-08-01T10:00:00-07:00",
                "2025-08-03T09:30:00+00:00",
            ),
            ("h3", A, None, "Something else", "ADD", "2025-08-01T10:00:00-07:00", None),
        ):
            connection.execute("INSERT INTO history VALUES (?, ?, ?, ?, ?, ?, ?, 0, NULL, NULL)", row)
        connection.commit()
    config = {
        "vector_store": {
            "provider": "qdrant",
            "config": {"path": path, "collection_name": "mem0", "embedding_model_dims": DIM, "on_disk": True},
        },
        "history_db_path": str(log),
        "version": "v1.1",
    }
    assert memory.import_mem0(config).imported == 5
    added, changed = memory.history(B)
    assert added.after is not None and added.after.memory == "Likes hiking"
    assert (changed.event, changed.at) == ("UPDATE", datetime(2025, 8, 3, 9, 30, tzinfo=UTC))
    assert changed.after is not None and changed.after.memory == text
    assert len(memory.history(A)) == 1, "a history that does not lead to the text is left out"
    file = tmp_path / "mem0.json"
    file.write_text(json.dumps(config))
    assert memory.import_mem0(file).present == 5


def test_a_server_of_qdrant_is_read_over_http(memory: Memory) -> None:
    with QdrantServer() as server:
        server.engine.create_collection(
            "memories", models.VectorParams(size=DIM, distance=models.Distance.COSINE)
        )
        points = [
            models.PointStruct(id=id, vector=vector, payload=stored)
            for (id, stored), vector in zip(ALL.items(), VECTORS, strict=True)
        ]
        server.engine.upsert("memories", points)
        assert memory.import_mem0(server.url, collection="memories").imported == 5
        assert {line.partition(" ")[0] for line in server.requests} == {"POST"}
        assert all(line.endswith("/scroll") for line in server.requests)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (lambda folder: folder / "nowhere", "no folder"),
        (lambda folder: folder, "neither"),
        (lambda folder: {"provider": "qdrant", "config": {"path": str(folder / "none")}}, "no such folder"),
        (lambda folder: {"provider": "qdrant", "config": {"pth": "x"}}, "Did you mean 'path'"),
        (lambda folder: {"provider": "sqlite", "config": {}}, "ledger"),
    ],
    ids=["nothing", "another folder", "no database", "a wrong key", "not mem0's"],
)
def test_a_place_that_is_none_of_mem0s_is_an_error_that_says_why(
    memory: Memory, tmp_path: Path, source: Callable[[Path], Any], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        memory.import_mem0(source(tmp_path))


@pytest.mark.parametrize("scheme", ["postgresql+psycopg", "mysql", "redis"])
def test_a_url_that_is_not_understood_is_not_shown(memory: Memory, scheme: str) -> None:
    with pytest.raises(ConfigurationError, match=scheme.partition("+")[0]) as caught:
        memory.import_mem0(f"{scheme}://mem0:hidden@db/app")
    assert "hidden" not in str(caught.value)


def test_a_collection_that_is_not_there_names_those_that_are(memory: Memory, make: Make) -> None:
    with pytest.raises(ConfigurationError, match="'mem0'") as caught:
        memory.import_mem0(make(VECTORS), collection="mem")
    assert "Did you mean 'mem0'?" in str(caught.value)


async def test_the_async_face_imports_the_same_and_a_bound_handle_does_not(
    tmp_path: Path, chroma: Make
) -> None:
    source = chroma(VECTORS)
    async with AsyncMemory(tmp_path / "store", llm=None, embedder="hash") as memory:
        result = await memory.import_mem0(source)
        assert isinstance(result, ImportResult) and result.imported == 5
        with pytest.raises(ScopeError):
            await memory.bind(user_id="ada").import_mem0(source)
