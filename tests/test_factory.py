"""Graph stores by name: every shape of a configuration, and what is said of a wrong one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from memkit import GraphStoreConfig, MemoryConfig
from memkit.errors import ConfigurationError, ProviderNotAvailableError, UnknownProviderError
from memkit.factory import GraphStoreFactory
from memkit.graph_stores.networkx import NetworkxStore
from memkit.scope import ReadScope
from memkit.testing.graph_data import ALICE, memory

NEO4J = {
    "url": "neo4j+s://graph.example:7687",
    "username": "neo4j",
    "password": "a-secret",
    "database": "memories",
}


@pytest.mark.parametrize("shape", ["dict", "provider", "whole", "config", "memory_config", "settings"])
def test_a_graph_store_is_made_from_any_shape_of_its_settings(tmp_path: Path, shape: str) -> None:
    plain = {"path": tmp_path / "graph.lines", "collection_name": "mine"}
    provider: dict[str, Any] = {"provider": "networkx", "config": plain}
    shapes: dict[str, Any] = {
        "dict": plain,
        "provider": provider,
        "whole": {"graph_store": provider, "llm": None, "version": "v1.1"},
        "config": GraphStoreConfig(**provider),
        "memory_config": MemoryConfig(graph_store=provider),
        "settings": NetworkxStore.Settings(**plain),
    }
    store = GraphStoreFactory.create("networkx", shapes[shape])
    store.upsert([memory("m1", "Ann likes Bob")])
    assert store.info().name == "mine" and store.count(ALICE).edges == 1
    assert (tmp_path / "graph.lines").exists()
    store.close()


def test_mem0s_place_and_default_name_are_known() -> None:
    pytest.importorskip("neo4j")
    from memkit.graph_stores.neo4j import Neo4jStore
    from memkit.utils.factory import GraphStoreFactory as there

    assert there is GraphStoreFactory
    store = there.create("default", {**NEO4J, "base_label": True})
    assert isinstance(store, Neo4jStore) and "a-secret" not in repr(store)
    assert there.provider_to_class["neo4j"] == "memkit.graph_stores.neo4j.Neo4jStore"
    store.close()


def test_without_settings_a_store_has_its_own_defaults() -> None:
    store = GraphStoreFactory.create("networkx")
    assert store.count(ReadScope(everyone=True)).memories == 0


@pytest.mark.parametrize(
    "name", ["memgraph", "neptune", "neptunedb", "kuzu", "apache_age", "mongodb", "redis"]
)
def test_what_is_not_built_yet_says_so_and_names_what_works(name: str) -> None:
    with pytest.raises(ProviderNotAvailableError, match="neo4j, networkx"):
        GraphStoreFactory.create(name, {"endpoint": "x"})


@pytest.mark.parametrize(
    ("name", "config", "error", "said"),
    [
        ("neo5j", None, UnknownProviderError, "'neo4j'"),
        ("neo4j", {**NEO4J, "usernam": "x"}, ConfigurationError, "'username'"),
        ("neo4j", None, ConfigurationError, "NEO4J_URI"),
        ("neo4j", {**NEO4J, "url": "http://graph.example"}, ConfigurationError, "bolt"),
        ("neo4j", {**NEO4J, "url": "bolt+x://graph.example"}, ConfigurationError, "'bolt"),
        ("neo4j", {**NEO4J, "url": "bolt://"}, ConfigurationError, "no host"),
        ("neo4j", {**NEO4J, "url": "bolt://u:p4ss@graph.example"}, ConfigurationError, "`username`"),
        ("neo4j", {**NEO4J, "timeout_s": "soon"}, ConfigurationError, "timeout_s"),
        ("networkx", 7, ConfigurationError, "int"),
    ],
)
def test_what_is_wrong_is_named_and_no_secret_is(
    name: str, config: Any, error: type[Exception], said: str
) -> None:
    if name == "neo4j":
        pytest.importorskip("neo4j")
    with pytest.raises(error, match=said) as caught:
        GraphStoreFactory.create(name, config)
    assert "a-secret" not in str(caught.value) and "p4ss" not in str(caught.value)


@pytest.mark.parametrize("variable", ["NEO4J_URI", "NEO4J_URL"])
def test_neo4j_is_found_in_the_environment(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    pytest.importorskip("neo4j")
    from memkit.graph_stores.neo4j import Neo4jStore

    for name, value in {
        variable: NEO4J["url"],
        "NEO4J_USERNAME": "ann",
        "NEO4J_PASSWORD": "a-secret",
    }.items():
        monkeypatch.setenv(name, value)
    settings = Neo4jStore.Settings()
    assert (settings.url, settings.username) == (NEO4J["url"], "ann")
    assert settings.password is not None and "a-secret" not in repr(settings)
