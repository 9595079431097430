"""Every way of saying what a memory is made of; and what saying it wrong is answered with."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from memkit import AsyncMemory, Memory
from memkit.config import (
    EmbedderConfig,
    GraphStoreConfig,
    LlmConfig,
    MemoryConfig,
    RerankerConfig,
    VectorStoreConfig,
)
from memkit.embedders.hash import HashEmbedder
from memkit.errors import (
    ConfigurationError,
    ProviderNotAvailableError,
    UnknownArgumentError,
    UnknownProviderError,
)
from memkit.llms.fake import FakeLLM
from memkit.vector_stores.memory import MemoryStore
from tests.engine.faces import AxisEmbedder


def label(value: object) -> str:
    """A test's name must not hold an address: the workers of xdist compare them."""
    return str(value).partition(" object at ")[0]


FACES = [Memory, AsyncMemory]


def works(memory: Memory) -> Memory:
    with memory:
        memory.add("I live in Oslo.", user_id="u", infer=False)
        assert [i.memory for i in memory.search("Oslo", user_id="u").results] == ["I live in Oslo."]
        return memory


# ------------------------------------------------------------------------------------- forms


@pytest.mark.parametrize(
    "store",
    ["auto", "sqlite", "memory", {"provider": "memory"}, {"provider": "memory", "config": {}}, {"provider": "memory", "config": None},
     {"provider": "memory", "config": {"collection_name": "mine", "embedding_model_dims": 1536}}, VectorStoreConfig(provider="memory"),
     VectorStoreConfig(provider="memory", config={"collection_name": "mine"}), MemoryStore.Settings(collection_name="mine"), MemoryStore(), None,
     VectorStoreConfig(provider="memory", config=MemoryStore.Settings())],
    ids=label,
)  # fmt: skip
def test_a_vector_store_is_a_name_a_dict_settings_or_an_instance(tmp_path: Path, store: Any) -> None:
    works(Memory(tmp_path, vector_store=store, embedder="hash", llm=None))


@pytest.mark.parametrize(
    "embedder",
    [
        "auto",
        "hash",
        {"provider": "hash"},
        {"provider": "hash", "config": {}},
        EmbedderConfig(provider="hash"),
        HashEmbedder(),
        AxisEmbedder(),
    ],
    ids=label,
)
def test_an_embedder_is_a_name_a_dict_or_any_object_with_three_things(tmp_path: Path, embedder: Any) -> None:
    works(Memory(tmp_path, embedder=embedder, llm=None))


@pytest.mark.parametrize(
    "llm", ["auto", None, "fake", {"provider": "fake"}, LlmConfig(provider="fake"), FakeLLM()], ids=label
)
def test_a_model_is_a_name_a_dict_nothing_or_any_object_with_generate(tmp_path: Path, llm: Any) -> None:
    works(Memory(tmp_path, llm=llm))


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"vector_store": "chrome"}, UnknownProviderError, "'chroma'"),
        ({"vector_store": "weaviate"}, ProviderNotAvailableError, "chroma, langchain"),
        ({"llm": "opnai"}, UnknownProviderError, "'openai'"),
        ({"llm": "gpt-5-mini"}, UnknownProviderError, "'PROVIDER:gpt-5-mini'"),
        ({"embedder": "hsh"}, UnknownProviderError, "'hash'"),
        ({"graph_store": "memgraph"}, ProviderNotAvailableError, "not built yet"),
        ({"graph_store": "neo5j"}, UnknownProviderError, "'neo4j'"),
        ({"reranker": "cohere"}, ProviderNotAvailableError, "not built yet"),
        ({"vector_store": {"provder": "chroma"}}, ConfigurationError, "'provider'"),
        (
            {"vector_store": {"provider": "memory", "config": {"colection_name": "x"}}},
            ConfigurationError,
            "'collection_name'",
        ),
        ({"llm": {"provider": "openai", "config": {"modle": "x"}}}, ConfigurationError, "'model'"),
        ({"vector_store": 5}, ConfigurationError, "int"),
        ({"llm": 5}, ConfigurationError, "generate"),
        ({"embedder": object()}, ConfigurationError, "identity"),
        ({"embedder": None}, ConfigurationError, "hash"),
        ({"vector_store": EmbedderConfig(provider="hash")}, ConfigurationError, "EmbedderConfig"),
        ({"ledger": {"provider": "postgresql", "config": {"urll": "x"}}}, ConfigurationError, "'url'"),
        ({"ledger": "postgresql://a:s3cr%ZZ@x/y"}, ConfigurationError, "percent-encoded"),
        ({"ledger": "mysql://x"}, ConfigurationError, "mysql"),
        ({"ledger": 5}, ConfigurationError, "int"),
        ({"instructions": 5}, ConfigurationError, "instructions"),
        ({"path": 5}, ConfigurationError, "int"),
        ({"path": " "}, ConfigurationError, "blank"),
        ({"path": "a\0b"}, ConfigurationError, "null"),
        ({"path": "postgresql://a:s3cret@x/y"}, ConfigurationError, "is the ledger"),
        ({"path": "~nobody-of-this-name/x"}, ConfigurationError, "home"),
        ({"ledger": {"config": {"path": 5}}}, ConfigurationError, "`path`: Input should be a valid string"),
        ({"path": {"lmm": "x"}}, ConfigurationError, "'llm'"),
        ({"path": {"llm": "fake"}, "llm": None}, ConfigurationError, "one place"),
        ({"path": {"llm": "fake"}, "embedder": "hash"}, ConfigurationError, "one place"),
        ({"path": {"version": "v9"}}, ConfigurationError, "version"),
        ({"path": {"custom_update_memory_prompt": "x"}}, ConfigurationError, "instructions"),
        ({"path": {"enable_graph": True}}, ConfigurationError, "graph_store"),
        (
            {"path": {"custom_fact_extraction_prompt": "x", "instructions": "y"}},
            ConfigurationError,
            "same thing",
        ),
    ],
    ids=lambda value: label(value)[:50],
)
def test_what_is_wrong_is_said_with_what_to_type_next(
    tmp_path: Path, face: Any, given: dict[str, Any], error: type[Exception], words: str
) -> None:
    def use() -> None:
        memory = face(**{"path": tmp_path / "s", **given})
        sync = memory.to_sync()
        sync.add("x", user_id="u")

    with pytest.raises(error, match=words) as raised:
        use()
    assert isinstance(raised.value, ConfigurationError)
    assert not (tmp_path / "s").exists(), "before anything is written"


def test_unknown_arguments_are_errors() -> None:
    with pytest.raises(TypeError, match="vectorstore"):
        Memory(vectorstore="chroma")  # pyright: ignore[reportCallIssue]


def test_an_address_in_the_environment_is_no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMKIT_PATH", "postgresql://a:s3cret@x/y")
    with pytest.raises(ConfigurationError, match="MEMKIT_PATH is a folder or a file, and no URL") as raised:
        Memory()
    assert "s3cret" not in str(raised.value)


# ------------------------------------------------------------------------------------- mem0's shape


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("top_k", "'top_k'. Here: `limit=`. Known: "),
        ("version", "Here: results have one form; leave it out."),
    ],
)
def test_an_argument_of_mem0_is_refused_with_its_place_here(argument: str, said: str) -> None:
    with Memory(":memory:") as memory, pytest.raises(UnknownArgumentError) as raised:
        memory.search("milk", user_id="ada", **{argument: 3})
    assert said in str(raised.value)


def test_a_configuration_by_mem0s_name_is_refused_with_how_to_give_it() -> None:
    with pytest.raises(UnknownArgumentError, match=r"Here: `Memory\(config\)`, or `Memory\.from_config"):
        Memory(config={"path": ":memory:"})  # pyright: ignore[reportCallIssue]


def test_a_key_of_mem0_that_a_result_lacks_is_refused_with_those_it_has() -> None:
    with Memory(":memory:") as memory:
        made = memory.add("I drink tea.", user_id="ada")
        (event,) = memory.history(made["results"][0]["id"])
    with pytest.raises(KeyError, match=r"'created_at' is no field of HistoryEvent.*\bat\b.*old_memory"):
        event["created_at"]


MONGO = {
    "provider": "mongodb",
    "config": {
        "db_name": "prod",
        "collection_name": "memories",
        "embedding_model_dims": 1536,
        "mongo_uri": None,
    },
}
POSTGRES = {"provider": "pgvector", "config": {"dbname": "mem0", "collection_name": "memories", "user": None, "password": None, "host": None,
            "port": 5432, "embedding_model_dims": 1536, "hnsw": True, "minconn": 2, "maxconn": 10}}  # fmt: skip
OPENAI = {"provider": "openai", "config": {"model": "text-embedding-3-small", "embedding_dims": 1536}}
NEPTUNE = {"provider": "neptune", "config": {"endpoint": "neptune-graph://g-1"}}
EXAMPLES: dict[str, dict[str, Any]] = {
    "bedrock and neptune": {
        "embedder": {"provider": "aws_bedrock", "config": {"model": "amazon.titan-embed-text-v2:0", "embedding_dims": 1024}},
        "llm": {"provider": "aws_bedrock", "config": {"model": "anthropic.claude-3-sonnet-20241022-v1:0", "temperature": 0.1, "max_tokens": 2000}},
        "vector_store": NEPTUNE, "graph_store": NEPTUNE,
    },
    "mongodb": {"embedder": OPENAI, "vector_store": MONGO, "graph_store": MONGO},
    "pgvector": {"embedder": OPENAI, "vector_store": POSTGRES, "graph_store": POSTGRES},
    "graph in mongodb": {"graph_store": {"provider": "mongodb", "config": {"mongo_uri": "mongodb://user:pass@host:1"}}},
    "graph in neptunedb": {"graph_store": {"provider": "neptunedb", "config": {"endpoint": "neptune-db://x", "base_label": True, "collection_name": "c"}}},
    "graph in pgvector": {"graph_store": POSTGRES},
    "graph in supabase": {"graph_store": {"provider": "supabase", "config": {"connection_string": "postgresql://x", "index_method": "auto"}}},
    "graph in redis": {"graph_store": {"provider": "redis", "config": {"redis_url": "redis://x", "collection_name": "mem0"}}},
    "graph in neo4j": {"graph_store": {"provider": "neo4j", "config": {"url": "neo4j+s://x", "username": "neo4j", "password": "x"}}},
    "qdrant, embedded": {"vector_store": {"provider": "qdrant", "config": {"collection_name": "mem0", "embedding_model_dims": 1536, "path": "qdrant"}}},
    "qdrant, server": {"vector_store": {"provider": "qdrant", "config": {"collection_name": "my_memories", "embedding_model_dims": 1536, "host": "localhost", "port": 6333}}},
    "chroma": {"vector_store": {"provider": "chroma", "config": {"collection_name": "mem0", "path": "chromadb"}}},
    "chroma, server": {"vector_store": {"provider": "chroma", "config": {"collection_name": "mem0", "host": "localhost", "port": 8000}}},
    "chroma, cloud": {"vector_store": {"provider": "chroma", "config": {"collection_name": "mem0", "api_key": "k", "tenant": "t"}}},
    "pinecone": {"vector_store": {"provider": "pinecone", "config": {"api_key": "k", "serverless_config": {"cloud": "aws", "region": "us-east-1"}}}},
    "everything of version 1": {
        "llm": {"provider": "openai", "config": {"model": "gpt-4o-mini", "temperature": 0.1, "max_tokens": 2000, "top_p": 0.1, "top_k": 1,
                                                 "enable_vision": True, "vision_details": "high", "api_key": "sk-x", "openai_base_url": "http://localhost/v1"}},
        "embedder": {"provider": "openai", "config": {"model": "text-embedding-3-small", "embedding_dims": 1536, "api_key": "sk-x", "openai_base_url": "http://localhost/v1"}},
        "vector_store": {"provider": "chroma", "config": {"collection_name": "mem0", "path": "chromadb"}},
        "history_db_path": "history.db", "version": "v1.1", "custom_fact_extraction_prompt": "Remember food.", "custom_update_memory_prompt": None,
    },
}  # fmt: skip


@pytest.mark.parametrize("example", list(EXAMPLES))
@pytest.mark.parametrize("face", FACES)
def test_every_configuration_of_the_guides_builds_or_says_that_a_provider_is_not_built_yet(
    face: Any, example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    built: list[Any] = []
    for make in (
        lambda: face.from_config(config_dict=EXAMPLES[example]),
        lambda: face(EXAMPLES[example]),
        lambda: face(MemoryConfig(**EXAMPLES[example])),
    ):
        try:
            built.append(make())
        except ProviderNotAvailableError as error:
            built.append(str(error))
            assert "These work now" in str(error)
    assert len({repr(one) for one in built}) == 1, "three forms, one meaning"
    assert list(tmp_path.iterdir()) == [], "constructing touches no disk"


def test_a_config_a_dict_and_from_config_are_equal(tmp_path: Path) -> None:
    data = {
        "path": str(tmp_path / "s"),
        "llm": None,
        "embedder": {"provider": "hash"},
        "vector_store": {"provider": "memory"},
        "instructions": "x",
    }
    file = tmp_path / "config.json"
    file.write_text(json.dumps(data))
    toml = tmp_path / "config.toml"
    toml.write_text(
        f'path = "{(tmp_path / "s").as_posix()}"\ninstructions = "x"\n[embedder]\nprovider = "hash"\n[vector_store]\nprovider = "memory"\n'
    )
    made = [
        Memory(data),
        Memory(MemoryConfig(**data)),
        Memory.from_config(config_dict=data),
        Memory.from_config(MemoryConfig(**data)),
        Memory.from_config(file),
        Memory.from_config(str(file)),
        Memory.from_config(toml),
    ]
    shapes = {m._config.model_dump_json(exclude={"llm"}) for m in made}
    assert len(shapes) == 1
    assert MemoryConfig(**data) == made[0]._config
    assert AsyncMemory.from_config(config_dict=data)._config == made[0]._config


def test_mem0s_keys_have_their_meaning(tmp_path: Path) -> None:
    memory = Memory(
        {
            "history_db_path": str(tmp_path / "history.db"),
            "custom_fact_extraction_prompt": "Only food.",
            "version": "v1.1",
        }
    )
    assert memory._config.instructions == "Only food."
    works(memory)
    assert (tmp_path / "history.db").is_file()


def test_configs_of_all_kinds_are_exported(tmp_path: Path) -> None:
    config = MemoryConfig(
        path=tmp_path,
        vector_store=VectorStoreConfig(provider="memory"),
        llm=LlmConfig(provider="fake"),
        embedder=EmbedderConfig(provider="hash"),
    )
    works(Memory(config))
    with pytest.raises(ProviderNotAvailableError):
        GraphStoreConfig(provider="kuzu")
    with pytest.raises(ProviderNotAvailableError):
        RerankerConfig(provider="cohere")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.json", "{", "JSON"),
        ("a.json", "[]", "object"),
        ("a.toml", "=", "TOML"),
        ("missing.json", None, "cannot be read"),
    ],
)
def test_a_configuration_file_that_cannot_be_read_is_named(
    tmp_path: Path, name: str, text: str | None, words: str
) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(ConfigurationError, match=words):
        Memory.from_config(tmp_path / name)


# ------------------------------------------------------------------------------------- environment, places


def test_from_env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMKIT_PATH", str(tmp_path / "here"))
    monkeypatch.setenv("MEMKIT_VECTOR_STORE", '{"provider": "memory", "config": {"collection_name": "x"}}')
    monkeypatch.setenv("MEMKIT_EMBEDDER", "hash")
    monkeypatch.setenv("MEMKIT_LLM", "none")
    memory = Memory.from_env()
    works(memory)
    assert (tmp_path / "here" / "memory.db").is_file()
    assert memory._config.llm is None and memory._config.vector_store.provider == "memory"
    monkeypatch.setenv("MEMKIT_VECTOR_STORE", "{")
    with pytest.raises(ConfigurationError, match="MEMKIT_VECTOR_STORE"):
        Memory.from_env()
    monkeypatch.setenv("MEMKIT_VECTOR_STORE", "nope")
    with pytest.raises(UnknownProviderError):
        AsyncMemory.from_env()


@pytest.mark.parametrize(
    ("given", "file"),
    [("folder", "folder/memory.db"), ("deep/er/folder", "deep/er/folder/memory.db"), ("memory.db", "memory.db"), ("a/b.sqlite", "a/b.sqlite"),
     ("sp ace/ünï", "sp ace/ünï/memory.db")],
)  # fmt: skip
@pytest.mark.parametrize("form", [str, Path])
def test_a_path_is_a_folder_or_a_file(tmp_path: Path, given: str, file: str, form: Any) -> None:
    works(Memory(form(tmp_path / given), llm=None))
    assert (tmp_path / file).is_file()


def test_a_folder_with_a_suffix_that_exists_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "data.v2").mkdir()
    works(Memory(tmp_path / "data.v2", llm=None))
    assert (tmp_path / "data.v2" / "memory.db").is_file()


def test_without_a_path_it_is_memkit_path_else_the_users_data_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEMKIT_PATH", str(tmp_path / "given"))
    works(Memory(llm=None))
    assert (tmp_path / "given" / "memory.db").is_file()
    monkeypatch.delenv("MEMKIT_PATH")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert "memkit" in repr(Memory(llm=None))
    if sys.platform == "linux":
        assert str(tmp_path / "data" / "memkit" / "memory.db") in repr(Memory(llm=None))


def test_in_memory_keeps_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    works(Memory(":memory:", llm=None))
    works(Memory(":memory:", llm=None, vector_store="memory"))
    assert list(tmp_path.iterdir()) == []


def test_the_ledger_may_lie_elsewhere(tmp_path: Path) -> None:
    works(Memory(tmp_path / "rest", ledger=tmp_path / "ledger" / "truth.db", llm=None))
    assert (tmp_path / "ledger" / "truth.db").is_file()
    for path in (tmp_path / "other" / "truth.db", str(tmp_path / "third" / "truth.db")):
        works(Memory(tmp_path / "rest", ledger={"provider": "sqlite", "config": {"path": path}}, llm=None))
        assert Path(path).is_file()


@pytest.mark.parametrize("face", FACES)
def test_a_closed_memory_says_so(tmp_path: Path, face: Any) -> None:
    memory = face(tmp_path, llm=None).to_sync()
    memory.add("x", user_id="u")
    root = memory._root
    root._close()
    root._close()
    with pytest.raises(ConfigurationError, match="closed"):
        memory.get_all(user_id="u")


# ------------------------------------------------------------------------------------- light, quiet, discreet


def test_secrets_are_in_no_text(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    secret = "sk-very-secret-0123456789"
    data = {
        "path": str(tmp_path),
        "llm": {"provider": "openai", "config": {"api_key": secret}},
        "embedder": {"provider": "openai", "config": {"api_key": secret}},
    }
    caplog.set_level("DEBUG")
    memory = Memory(data)
    config = MemoryConfig(**data)
    health = memory.health()
    texts = [
        repr(memory),
        str(memory),
        repr(config),
        str(config),
        repr(memory.chosen),
        repr(health),
        caplog.text,
        repr(config.llm),
        f"{config.llm}",
    ]
    with pytest.raises(ConfigurationError) as error:
        Memory({**data, "llm": {"provider": "openai", "config": {"api_key": secret, "modle": 1}}})
    texts.append(str(error.value))
    with pytest.raises(ConfigurationError) as error:
        Memory({**data, "llm": {"provider": "openai", "config": {"api_key": [secret]}}})
    texts.append(str(error.value))
    assert not [text for text in texts if secret in text]
    memory.close()


CHECK = """
import sys
from memkit import Memory, AsyncMemory
Memory({path!r}), AsyncMemory({path!r}), Memory({path!r}, vector_store="chroma", embedder="openai", llm="openai")
heavy = [m for m in ("numpy", "chromadb", "openai", "langchain_core", "llama_index", "httpx", "sqlite3") if m in sys.modules]
assert not heavy, heavy
import os
assert not os.path.exists({path!r})
"""


def test_importing_and_constructing_load_nothing_heavy_and_touch_nothing(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", CHECK.format(path=str(tmp_path / "s"))], check=True, timeout=60)


def test_health_says_what_was_chosen_and_why(tmp_path: Path) -> None:
    with Memory(tmp_path) as memory:
        memory.add("x", user_id="u")
        health = memory.health()
        assert health.ok and health.problems == {}
        assert "hash" in health.chosen["embedder"] and "OPENAI_API_KEY" in health.chosen["llm"]
        assert "sqlite" in health.chosen["vector_store"]
        assert any("OPENAI_API_KEY" in hint for hint in health.hints), "a better choice is a hint"


def test_a_key_found_later_never_changes_a_store_silently(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Memory(tmp_path, llm=None) as memory:
        memory.add("I live in Oslo.", user_id="u")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    with Memory(tmp_path, llm=None) as memory:
        assert memory.search("Oslo", user_id="u").results
        assert "hash" in memory.health().chosen["embedder"]


def test_an_embedder_that_auto_would_make_otherwise_is_asked_for(tmp_path: Path) -> None:
    works(Memory(tmp_path, llm=None, embedder=AxisEmbedder("hash/with settings of its own")))
    with (
        Memory(tmp_path, llm=None) as memory,
        pytest.raises(ConfigurationError, match="Pass it as `embedder=`"),
    ):
        memory.search("Oslo", user_id="u")


@pytest.mark.parametrize("kind", ["vector_store", "graph_store", "llm", "embedder", "reranker"])
def test_a_class_is_no_object_of_it(kind: str) -> None:
    with pytest.raises(
        ConfigurationError, match=rf"`{kind}` is the class MemoryStore .*MemoryStore\(\.\.\.\)"
    ):
        Memory(**{kind: MemoryStore})


def test_a_memory_can_be_sent_to_another_process(tmp_path: Path) -> None:
    with Memory(tmp_path, llm=None) as memory:
        memory.add("x", user_id="u")
        again = pickle.loads(pickle.dumps(memory.bind(user_id="u")))
        assert again.count() == 1
        again._root._close()
