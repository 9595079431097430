"""Settings of providers: precedence, unknown keys, secrets."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from memkit.errors import ConfigurationError
from memkit.settings import ProviderSettings, SecretStr, env
from memkit.vector_stores.base import StoreSettings
from memkit.vector_stores.chroma import ChromaStore
from memkit.vector_stores.memory import MemoryStore
from memkit.vector_stores.sqlite import SqliteStore


class Example(ProviderSettings):
    provider_name = "example"
    api_key: SecretStr | None = env("EXAMPLE_API_KEY")
    timeout_s: float = env("EXAMPLE_TIMEOUT_S", 3.0, gt=0)
    path: Path | None = None


def test_arguments_win_over_the_environment_and_that_over_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert Example().timeout_s == 3.0
    monkeypatch.setenv("EXAMPLE_TIMEOUT_S", "7.5")
    assert Example().timeout_s == 7.5
    assert Example(timeout_s=1).timeout_s == 1
    monkeypatch.setenv("EXAMPLE_TIMEOUT_S", "")
    assert Example().timeout_s == 3.0
    assert Example.variables() == {"api_key": "EXAMPLE_API_KEY", "timeout_s": "EXAMPLE_TIMEOUT_S"}


@pytest.mark.parametrize(
    ("cls", "key", "says"),
    [
        (Example, "timeout", r"Unknown key 'timeout'.*'example'.*'timeout_s'"),
        (SqliteStore.Settings, "colection_name", "'collection_name'"),
        (ChromaStore.Settings, "hots", "'host'"),
    ],
)
def test_an_unknown_key_names_the_nearest(cls: type[ProviderSettings], key: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        cls(**{key: "x"})


def test_a_wrong_value_is_named_without_showing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXAMPLE_TIMEOUT_S", "s3cret")
    with pytest.raises(ConfigurationError, match="EXAMPLE_TIMEOUT_S") as caught:
        Example()
    assert "s3cret" not in str(caught.value)
    with pytest.raises(ConfigurationError, match="api_key"):
        Example(api_key=object(), timeout_s=1)


def test_secrets_stay_out_of_texts_and_settings_cannot_change() -> None:
    example = Example(api_key="s3cret", timeout_s=1)
    assert "s3cret" not in f"{example!r} {example}"
    assert example.api_key is not None and example.api_key.get_secret_value() == "s3cret"
    with pytest.raises(ValueError, match="frozen"):
        example.timeout_s = 2
    assert pickle.loads(pickle.dumps(example)) == example


@pytest.mark.parametrize("cls", [MemoryStore, SqliteStore, ChromaStore])
def test_keys_of_mem0_are_accepted(cls: type[MemoryStore] | type[SqliteStore] | type[ChromaStore]) -> None:
    assert issubclass(cls.Settings, StoreSettings)
    assert cls.Settings(collection_name="mem0", embedding_model_dims=1536).collection_name == "mem0"
    store = cls(cls.Settings(collection_name="mem0"))
    assert store.name == cls.Settings.provider_name


def test_a_sqlite_store_without_a_path_is_the_ledgers_own() -> None:
    store = SqliteStore()
    assert store.in_ledger and store.capabilities == {"in_ledger"}
    with pytest.raises(ConfigurationError, match="path"):
        store.open(dim=3, embedder="x")
    assert not SqliteStore(SqliteStore.Settings(path=Path("x.db"))).in_ledger
    assert not MemoryStore().in_ledger
