"""Configurations in mem0's shapes: what is built is built from them, and what is not yet says so by its name."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from memkit import AsyncMemory, Memory, MemoryConfig
from memkit.config import (
    EmbedderConfig,
    GraphStoreConfig,
    LlmConfig,
    ProviderConfig,
    RerankerConfig,
    VectorStoreConfig,
)
from memkit.errors import ConfigurationError, ProviderNotAvailableError
from memkit.registry import PLANNED, PROVIDERS, ProviderKind, names

KINDS: dict[ProviderKind, type[ProviderConfig]] = {
    "vector_store": VectorStoreConfig,
    "llm": LlmConfig,
    "embedder": EmbedderConfig,
    "graph_store": GraphStoreConfig,
    "reranker": RerankerConfig,
}
POSTGRES = {
    "dbname": "mem0", "collection_name": "memories", "user": None, "password": None, "host": None, "port": 5432,
    "embedding_model_dims": 1536, "hnsw": True, "minconn": 2, "maxconn": 10,
}  # fmt: skip
MONGO = {
    "db_name": "production",
    "collection_name": "memories",
    "embedding_model_dims": 1536,
    "mongo_uri": None,
}
TITAN = {"model": "amazon.titan-embed-text-v2:0", "embedding_dims": 1024}
CLAUDE = {"model": "anthropic.claude-3-sonnet-20241022-v1:0", "temperature": 0.1, "max_tokens": 2000}
NEO4J = {
    "url": "neo4j+s://graph.invalid",
    "username": "neo4j",
    "password": "p",
    "database": "neo4j",
    "base_label": True,
}
OPENAI = {
    "model": "gpt-4o-mini", "temperature": 0.1, "max_tokens": 2000, "top_p": 0.1, "top_k": 1, "enable_vision": True,
    "vision_details": "high", "api_key": "k", "openai_base_url": "http://127.0.0.1:9/v1",
}  # fmt: skip

# One part at a time: (kind, provider, config).
PARTS: list[tuple[ProviderKind, str, dict[str, Any]]] = [
    ("embedder", "aws_bedrock", TITAN),
    ("embedder", "openai", {"model": "text-embedding-3-small", "embedding_dims": 1536}),
    ("graph_store", "kuzu", {"db": ":memory:"}),
    ("graph_store", "memgraph", {"url": "bolt://graph.invalid:7687", "username": "memgraph", "password": "p"}),
    ("graph_store", "mongodb", {"mongo_uri": "mongodb://user:secret@host:1"}),
    ("graph_store", "mongodb", MONGO),
    ("graph_store", "neo4j", NEO4J),
    ("graph_store", "neo4j", {"url": "neo4j://graph.invalid", "username": "neo4j", "password": "p"}),
    ("graph_store", "neptune", {"endpoint": "neptune-graph://g-1", "collection_name": "mem0", "app_id": "Mem0"}),
    ("graph_store", "neptunedb", {"endpoint": "neptune-db://host", "base_label": True, "collection_name": "c"}),
    ("graph_store", "pgvector", POSTGRES),
    ("graph_store", "redis", {"redis_url": "redis://u:p@host:1", "collection_name": "mem0", "embedding_model_dims": 1536}),
    ("graph_store", "supabase", {"connection_string": "postgresql://u:p@host:1/db", "collection_name": "mem0",
                                 "embedding_model_dims": 1536, "index_method": "auto", "index_measure": "cosine_distance"}),
    ("llm", "anthropic", {"model": "claude-sonnet-4-6", "temperature": 0.1, "max_tokens": 2000, "top_p": 0.1, "api_key": "k"}),
    ("llm", "aws_bedrock", CLAUDE),
    ("llm", "openai", OPENAI),
    ("reranker", "cohere", {"model": "rerank-english-v3.0"}),
    ("vector_store", "chroma", {"collection_name": "mem0", "path": "chromadb"}),
    ("vector_store", "chroma", {"collection_name": "mem0", "host": "localhost", "port": 8000}),
    ("vector_store", "chroma", {"collection_name": "mem0", "api_key": "k", "tenant": "t"}),
    ("vector_store", "mongodb", MONGO),
    ("vector_store", "neptune", {"endpoint": "neptune-graph://g-1"}),
    ("vector_store", "pgvector", POSTGRES),
    ("vector_store", "pgvector", {"collection_name": "mem0", "embedding_model_dims": 1536, "dbname": "postgres",
                                  "user": "postgres", "password": "secret", "host": "localhost", "port": 5432}),
    ("vector_store", "pgvector", {"dbname": "postgres", "collection_name": "mem0", "user": "username",
                                  "password": "secret", "host": "localhost", "port": 5432, "embedding_model_dims": 1536,
                                  "diskann": False, "hnsw": True, "minconn": 1, "maxconn": 5}),
    ("vector_store", "pgvector", {"connection_string": "postgresql://u:p@localhost:5432/db"}),
    ("vector_store", "pinecone", {"collection_name": "mem0", "embedding_model_dims": 1536, "api_key": "k",
                                  "serverless_config": {"cloud": "aws", "region": "us-east-1"}}),
    ("vector_store", "qdrant", {"collection_name": "mem0", "embedding_model_dims": 1536, "path": "qdrant"}),
    ("vector_store", "qdrant", {"collection_name": "my_memories", "embedding_model_dims": 1536, "host": "localhost", "port": 6333}),
    ("vector_store", "qdrant", {"collection_name": "my_memories", "url": "http://localhost:6333", "api_key": "k"}),
    ("vector_store", "qdrant", {"url": "http://localhost:6333", "api_key": "k", "on_disk": False}),
    ("vector_store", "redis", {"redis_url": "redis://host:1", "collection_name": "mem0", "embedding_model_dims": 1536}),
    ("vector_store", "supabase", {"connection_string": "postgresql://u:p@host:1/db", "collection_name": "mem0"}),
]  # fmt: skip
SHAPES = [
    pytest.param(kind, {"provider": provider, "config": config}, id=f"{kind}-{provider}-{number}")
    for number, (kind, provider, config) in enumerate(PARTS)
]
NEPTUNE = {"provider": "neptune", "config": {"endpoint": "neptune-graph://g-1"}}
EMBEDDER = {"provider": "openai", "config": {"model": "text-embedding-3-small", "embedding_dims": 1536}}
# The whole configurations: the same database for vectors and graph.
WHOLE: dict[str, dict[str, Any]] = {
    "neptune": {
        "embedder": {"provider": "aws_bedrock", "config": TITAN},
        "llm": {"provider": "aws_bedrock", "config": CLAUDE},
        "vector_store": NEPTUNE,
        "graph_store": NEPTUNE,
    },
    "mongodb": {
        "embedder": EMBEDDER,
        "vector_store": {"provider": "mongodb", "config": MONGO},
        "graph_store": {"provider": "mongodb", "config": MONGO},
    },
    "pgvector": {
        "embedder": EMBEDDER,
        "vector_store": {"provider": "pgvector", "config": POSTGRES},
        "graph_store": {"provider": "pgvector", "config": POSTGRES},
    },
    "anthropic and neo4j": {
        "llm": {"provider": "anthropic", "config": {"model": "claude-sonnet-4-6", "api_key": "k"}},
        "embedder": EMBEDDER,
        "vector_store": {"provider": "qdrant", "config": {"collection_name": "mem0", "path": "qdrant"}},
        "graph_store": {
            "provider": "neo4j",
            "config": NEO4J,
            "llm": {"provider": "openai"},
            "threshold": 0.8,
        },
        "history_db_path": "history.db",
        "version": "v1.1",
    },
}


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    return tmp_path


def missing(data: dict[str, Any]) -> list[tuple[str, str]]:
    """The providers of a configuration that are not built yet."""
    parts = ((kind, data[kind]["provider"]) for kind in KINDS if kind in data)
    return [(kind, provider) for kind, provider in parts if provider in PLANNED[kind]]


def check(data: dict[str, Any], place: Path) -> None:
    """A configuration builds in all forms, or each form says which provider is not there and which are."""
    classes = (
        {kind: cls(**data[kind]) for kind, cls in KINDS.items() if kind in data} if not missing(data) else {}
    )
    forms: list[Any] = [
        lambda: Memory.from_config(config_dict=data),
        lambda: AsyncMemory.from_config(data),
        lambda: Memory(data),
        lambda: Memory(MemoryConfig(**data)),
        lambda: Memory(MemoryConfig(**{**data, **classes})),
        lambda: Memory.from_config(json.loads(json.dumps(data))),
    ]
    made: list[MemoryConfig] = []
    for form in forms:
        if not missing(data):
            made.append(form()._config)
            continue
        with pytest.raises(ProviderNotAvailableError) as raised:
            form()
        assert (raised.value.kind, raised.value.name) in missing(data)  # pyright: ignore[reportAttributeAccessIssue]
        works = names(raised.value.kind)  # pyright: ignore[reportAttributeAccessIssue]
        assert f"These work now: {', '.join(works) or 'none'}." in str(raised.value)
    assert all(config == made[0] for config in made), "different forms, one meaning"
    assert list(place.iterdir()) == [], "constructing touches no disk"


@pytest.mark.parametrize(("kind", "part"), SHAPES)
def test_a_part_builds_or_says_that_it_is_not_there_yet(kind: str, part: dict[str, Any], place: Path) -> None:
    check({kind: part}, place)


@pytest.mark.parametrize("example", list(WHOLE))
def test_a_whole_configuration_builds_or_says_what_is_not_there_yet(example: str, place: Path) -> None:
    check(WHOLE[example], place)


@pytest.mark.parametrize(
    ("kind", "provider"),
    [(kind, name) for kind in KINDS for name in itertools.chain(PROVIDERS[kind], PLANNED[kind])],
)
def test_every_name_is_known_as_a_class_of_its_kind(kind: ProviderKind, provider: str) -> None:
    if provider in PROVIDERS[kind]:
        assert KINDS[kind](provider=provider).provider == provider
        return
    with pytest.raises(ProviderNotAvailableError, match=provider):
        KINDS[kind](provider=provider)


def test_names_of_the_guides_are_all_known() -> None:
    known = {kind: {*PROVIDERS[kind], *PLANNED[kind]} for kind in KINDS}
    assert {
        "apache_age", "kuzu", "memgraph", "mongodb", "neo4j", "neptune", "neptunedb", "pgvector", "redis", "supabase"
    } <= known["graph_store"]  # fmt: skip
    assert {
        "qdrant", "chroma", "pgvector", "pinecone", "mongodb", "milvus", "baidu", "cassandra", "neptune", "upstash_vector",
        "azure_ai_search", "azure_mysql", "redis", "valkey", "databricks", "elasticsearch", "vertex_ai_vector_search",
        "opensearch", "supabase", "weaviate", "faiss", "langchain", "s3_vectors",
    } <= known["vector_store"]  # fmt: skip


# The graph's own shapes.

BUILT = [name for name in ("sqlite", "networkx", "neo4j") if name in PROVIDERS["graph_store"]]


@pytest.mark.parametrize("provider", BUILT)
def test_a_graph_takes_mem0s_fields_beside_its_settings(provider: str) -> None:
    llm = {"provider": "openai", "config": {"model": "gpt-4o-mini"}}
    made = GraphStoreConfig(provider=provider, llm=llm, custom_prompt="Only people.", threshold=0.8)  # pyright: ignore[reportArgumentType]
    assert made.llm is not None and made.llm.provider == "openai"
    assert (made.custom_prompt, made.threshold) == ("Only people.", 0.8)
    with pytest.raises(ConfigurationError, match="threshold"):
        GraphStoreConfig(provider=provider, threshold=1.5)
    with pytest.raises(ConfigurationError, match="Did you mean 'threshold'"):
        GraphStoreConfig(provider=provider, treshold=0.5)


@pytest.mark.skipif("neo4j" not in BUILT, reason="there is no graph store with settings of a server")
def test_settings_may_stand_beside_the_provider() -> None:
    flat = GraphStoreConfig(provider="neo4j", url="neo4j://graph.invalid", password="p", threshold=0.8)
    assert flat.config == {"url": "neo4j://graph.invalid", "password": "p"} and flat.threshold == 0.8
    Memory(
        graph_store={"provider": "neo4j", "url": "neo4j://graph.invalid", "username": "u", "password": "p"}
    )
    with pytest.raises(ConfigurationError, match="Did you mean 'username'"):
        Memory(graph_store={"provider": "neo4j", "usernam": "u"})


def test_settings_beside_a_provider_that_is_not_there_name_the_provider() -> None:
    for flat in (
        {"provider": "neptune", "endpoint": "e"},
        {"provider": "mongodb", "mongo_uri": "m", "db_name": "d"},
    ):
        with pytest.raises(ProviderNotAvailableError, match=flat["provider"]):
            Memory(graph_store=flat)


def test_variables_name_a_graph_store(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="GRAPH_STORE_PROVIDER"):
        GraphStoreConfig.from_environment()
    monkeypatch.setenv("GRAPH_STORE_PROVIDER", "neptune")
    monkeypatch.setenv("GRAPH_STORE_ENDPOINT", "neptune-graph://g-1")
    with pytest.raises(ProviderNotAvailableError, match="neptune"):
        GraphStoreConfig.from_environment()
    with pytest.raises(ProviderNotAvailableError, match="neptune"):
        Memory.from_env()
    monkeypatch.setenv("MEMKIT_GRAPH_STORE", "none")
    assert Memory.from_env()._config.graph_store is None, "what is ours goes first"


@pytest.mark.skipif("neo4j" not in BUILT, reason="there is no graph store with settings of a server")
def test_variables_carry_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "PROVIDER": "neo4j", "URI": "neo4j://graph.invalid", "USERNAME": "ada", "PASSWORD": "very-secret",
        "THRESHOLD": "0.8", "CUSTOM_PROMPT": "Only people.", "COLLECTION_NAME": "mem0", "ENDPOINT": "of another store",
    }.items():  # fmt: skip
        monkeypatch.setenv(f"GRAPH_STORE_{name}", value)
    made = GraphStoreConfig.from_environment()
    assert made.config["url"] == "neo4j://graph.invalid" and made.config["username"] == "ada"
    assert (made.threshold, made.custom_prompt) == (0.8, "Only people.") and "endpoint" not in made.config
    memory = Memory.from_env()
    assert memory._config.graph_store == made
    assert "very-secret" not in f"{made!r} {made} {memory!r}"
    monkeypatch.setenv("MY_PROVIDER", "sqlite")
    assert GraphStoreConfig.from_environment(env_prefix="MY_").provider == "sqlite"
