"""Configuration: mem0's shape (`{"vector_store": {"provider", "config"}, ...}`), checked when it is built."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .errors import ConfigurationError, did_you_mean
from .registry import ProviderKind, adapter_of, check_name, provider_class
from .schemas import schemas_of

PATH_VARIABLE: Final = "MEMKIT_PATH"
_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
GRAPH_PREFIX: Final = "GRAPH_STORE_"
LEDGER_FILE: Final = "memory.db"


class ProviderConfig(BaseModel):
    """A provider by name, with its settings; or a ready-made one."""

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid", defer_build=True)
    kind: ClassVar[ProviderKind]

    provider: str = "auto"
    config: Any = Field(default=None, repr=False)
    """A dict of the provider's settings, its settings object, or None; never shown, as it may hold a key."""

    def __init__(self, **data: Any) -> None:
        _known_keys(
            type(self).__name__, data, {"provider", "config", *_EXTRA_KEYS.get(type(self).__name__, ())}
        )
        try:
            super().__init__(**data)
        except ValidationError as error:
            raise _unusable(type(self).__name__, error) from None
        # Not in a validator, which would turn our errors into its own.
        if self.provider not in ("auto", "instance"):
            check_name(self.kind, self.provider)


_EXTRA_KEYS: Final = {"GraphStoreConfig": ("llm", "custom_prompt", "threshold")}


class VectorStoreConfig(ProviderConfig):
    """Which index of vectors, and its settings."""

    kind: ClassVar[ProviderKind] = "vector_store"


class LlmConfig(ProviderConfig):
    """Which language model, and its settings."""

    kind: ClassVar[ProviderKind] = "llm"


class EmbedderConfig(ProviderConfig):
    """Which embedder, and its settings."""

    kind: ClassVar[ProviderKind] = "embedder"


class RerankerConfig(ProviderConfig):
    """Which reranker, and its settings."""

    kind: ClassVar[ProviderKind] = "reranker"


class GraphStoreConfig(ProviderConfig):
    """Which graph store, and its settings, which may also stand beside `provider` without a `config`."""

    kind: ClassVar[ProviderKind] = "graph_store"
    llm: LlmConfig | None = None
    """Taken as mem0 has it, and not called: entities and relations come out of the one call that extracts facts."""
    custom_prompt: str | None = None
    """What to say of entities and relations, and what not, for the extraction."""
    threshold: float = Field(default=0.7, ge=0, le=1)
    """Taken as mem0 has it; names are resolved exactly, as a false merge is worse than a duplicate."""

    def __init__(self, **data: Any) -> None:
        own = {"provider", "config", *_EXTRA_KEYS["GraphStoreConfig"]}
        flat = {key: value for key, value in data.items() if key not in own}
        if "config" not in data and flat and not any(did_you_mean(key, own) for key in flat):
            data = {**{key: value for key, value in data.items() if key in own}, "config": flat}
        super().__init__(**data)

    @classmethod
    def from_environment(cls, env_prefix: str = GRAPH_PREFIX) -> GraphStoreConfig:
        """Return what variables say: `GRAPH_STORE_PROVIDER`, and one for each setting, such as `GRAPH_STORE_URL`.

        Raises:
            ConfigurationError: No provider is named, or it is not there.
        """
        given = {
            key.removeprefix(env_prefix).lower(): value
            for key, value in os.environ.items()
            if key.startswith(env_prefix) and value
        }
        name = given.pop("provider", None)
        if name is None:
            raise ConfigurationError(
                f"No graph store is named: set `{env_prefix}PROVIDER`, for example to sqlite."
            )
        check_name(cls.kind, name)
        settings = getattr(provider_class(cls.kind, name), "Settings", None)
        fields: Mapping[str, Any] = {} if settings is None else settings.model_fields
        if "url" in fields and "uri" in given:
            given.setdefault("url", given.pop("uri"))
        own = {key: given.pop(key) for key in ("custom_prompt", "threshold") if key in given}
        config = {key: value for key, value in given.items() if key in fields}
        return cls(provider=name, config=config or None, **own)


_REPLACED: Final = {
    "custom_update_memory_prompt": "facts are extracted and reconciled in one call; say what matters in `instructions`",
    "enable_graph": "pass `graph_store=` to turn the graph on",
}
_ALIASES: Final = {
    "custom_fact_extraction_prompt": "instructions",
    "custom_instructions": "instructions",
    "history_db_path": "path",
}


class MemoryConfig(BaseModel):
    """Everything a `Memory` is made of. Every field may be left out."""

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid", defer_build=True)

    path: Any = None
    """A folder, a ledger file (with a suffix), `":memory:"`, or None for the default."""
    vector_store: Any = "auto"
    llm: Any = "auto"
    embedder: Any = "auto"
    graph_store: Any = None
    reranker: Any = None
    ledger: Any = Field(default=None, repr=False)
    """A file, a URL, a dict of provider and settings, or a ledger; never shown, as a URL may hold a password."""
    instructions: str | None = None
    """What to remember and what not, in plain words, for the extraction."""
    hooks: Sequence[Any] = ()
    schemas: Any = ()
    """Pydantic models of which typed records are kept, or their import paths: `"my_app.memories:Pet"`."""

    def __init__(self, **data: Any) -> None:
        values = _modern(data)
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise _unusable("the configuration", error) from None
        self.vector_store = as_provider(self.vector_store, VectorStoreConfig)
        self.llm = as_provider(self.llm, LlmConfig)
        self.embedder = as_provider(self.embedder, EmbedderConfig)
        self.graph_store = as_provider(self.graph_store, GraphStoreConfig)
        self.reranker = as_provider(self.reranker, RerankerConfig)
        self.schemas = schemas_of(self.schemas)


def as_provider(given: Any, kind: type[ProviderConfig]) -> ProviderConfig | None:
    """Return what a caller gave for a provider as a config: None, a name, `{"provider", "config"}`, or an instance."""
    if given is None:
        return None
    if isinstance(given, ProviderConfig):
        if not isinstance(given, kind):
            raise ConfigurationError(f"A {type(given).__name__} cannot be used as {kind.kind}.")
        return given
    if isinstance(given, str):
        name, _, model = given.partition(":")
        return kind(provider=name, config={"model": model} if model else None)
    if isinstance(given, Mapping):
        return kind(**dict(cast("Mapping[str, Any]", given)))
    if isinstance(given, type):
        raise ConfigurationError(
            f"`{kind.kind}` is the class {given.__name__} itself. Pass an object of it: {given.__name__}(...)."
        )
    settings_of = getattr(cast("object", given), "provider_name", None)
    if isinstance(settings_of, str):
        return kind(provider=settings_of, config=given)
    adapter = adapter_of(kind.kind, cast("object", given))
    if adapter is not None:
        return kind(provider=adapter, config={"client" if kind is VectorStoreConfig else "model": given})
    return kind(provider="instance", config=given)


def load_config(source: Any) -> MemoryConfig:
    """Return the configuration that a dict, a JSON or TOML file, or a `MemoryConfig` holds.

    Raises:
        ConfigurationError: A key is unknown or replaced, or the file cannot be read.
    """
    if isinstance(source, MemoryConfig):
        return source
    if isinstance(source, Mapping):
        return MemoryConfig(**dict(cast("Mapping[str, Any]", source)))
    if isinstance(source, str | os.PathLike):
        return MemoryConfig(**_read(Path(cast("str", source))))
    raise ConfigurationError(
        f"A configuration is a dict, a path or a MemoryConfig, not {type(source).__name__}. "
        'Example: Memory.from_config({"vector_store": {"provider": "chroma"}})'
    )


def env_config() -> MemoryConfig:
    """Return the configuration of the environment: `MEMKIT_PATH`, `MEMKIT_VECTOR_STORE`, `MEMKIT_LLM`, and so on.

    A value is a provider's name, `name:model`, or a JSON object `{"provider", "config"}`; `none` turns one off.
    `MEMKIT_CONFIG` may name a JSON or TOML file that the others override. `GRAPH_STORE_PROVIDER` and the variables
    beside it are read where nothing else says which graph store.
    """
    data: dict[str, Any] = {}
    if source := os.environ.get("MEMKIT_CONFIG"):
        data = _read(Path(source))
    for field in (
        "path",
        "vector_store",
        "llm",
        "embedder",
        "graph_store",
        "reranker",
        "ledger",
        "instructions",
        "schemas",
    ):
        value = os.environ.get(f"MEMKIT_{field.upper()}")
        if not value:
            continue
        if field in ("path", "instructions"):
            data[field] = value
        elif field == "schemas":
            data[field] = [path.strip() for path in value.split(",") if path.strip()]
        elif value.lower() == "none":
            data[field] = None
        else:
            data[field] = _json(value, f"MEMKIT_{field.upper()}") if value.lstrip().startswith("{") else value
    if "graph_store" not in data and os.environ.get(f"{GRAPH_PREFIX}PROVIDER"):
        data["graph_store"] = GraphStoreConfig.from_environment()
    return MemoryConfig(**data)


def default_folder() -> Path:
    """Return where memories live when nobody says: `MEMKIT_PATH`, else `memkit` in the user's data directory."""
    given = os.environ.get(PATH_VARIABLE)
    if given:
        return Path(given).expanduser()
    from platformdirs import user_data_path

    return user_data_path("memkit", appauthor=False)


def place(path: Any) -> tuple[Path | None, Path | None]:
    """Return (ledger file, folder for the rest); both None for `":memory:"`."""
    said, given = ("`path`", path) if path is not None else (PATH_VARIABLE, os.environ.get(PATH_VARIABLE))
    if isinstance(given, str) and _URL.match(given):
        raise ConfigurationError(
            f"{said} is a folder or a file, and no URL. A database is the ledger: "
            'Memory(ledger="postgresql://..."), or MEMKIT_LEDGER.'
        )
    if path is None:
        path = default_folder()
    if isinstance(path, str) and path == ":memory:":
        return None, None
    if not isinstance(path, str | os.PathLike):
        raise ConfigurationError(
            f"`path` is a folder, a file or ':memory:', not {type(path).__name__}: {path!r}"
        )
    if not str(cast("str", path)).strip():
        raise ConfigurationError(
            "`path` is blank. Give a folder, a file such as 'memory.db', or leave it out."
        )
    if "\0" in str(cast("str", path)):
        raise ConfigurationError(f"`path` holds a null character, which no file can have: {path!r}")
    try:
        # It stays there when the process goes to another folder.
        place = Path(cast("str", path)).expanduser().absolute()
    except RuntimeError as error:
        raise ConfigurationError(
            f"`path` names a home that is not here: {str(cast('str', path))!r}"
        ) from error
    except OSError as error:
        raise ConfigurationError(
            f"`path` is in the current folder, which is gone: {str(cast('str', path))!r}. Give a whole path."
        ) from error
    # Not `Path.is_dir`, which raises for a name that is too long.
    if place.suffix and not os.path.isdir(place):
        return place, place.parent
    return place / LEDGER_FILE, place


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.expanduser().read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(
            f"The configuration file {str(path)!r} cannot be read: {error.strerror}."
        ) from error
    if path.suffix == ".toml":
        import tomllib

        try:
            return tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ConfigurationError(f"{str(path)!r} is not TOML: {error}") from error
    return _json(text, str(path))


def _json(text: str, name: str) -> dict[str, Any]:
    try:
        data: object = json.loads(text)
    except ValueError as error:
        raise ConfigurationError(f"{name!r} is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise ConfigurationError(f"{name!r} must hold a JSON object.")
    return cast("dict[str, Any]", data)


def _modern(data: Mapping[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in data.items():
        if key in _REPLACED and value is not None:
            raise ConfigurationError(f"`{key}` is gone: {_REPLACED[key]}.", field=key)
        if key in _REPLACED:
            continue
        if key == "version":
            if value not in ("v1.1", "v1.0", None):
                raise ConfigurationError(
                    f"`version` {value!r} is unknown; leave it out, results have one form."
                )
            continue
        target = _ALIASES.get(key, key)
        if target in out and value is not None and out[target] is not None:
            raise ConfigurationError(
                f"`{key}` and `{target}` say the same thing; keep `{target}`.", field=key
            )
        if value is not None or target not in out:
            out[target] = value
    _known_keys("the configuration", out, set(MemoryConfig.model_fields))
    return out


def _unusable(owner: str, error: ValidationError) -> ConfigurationError:
    """Return what is wrong without the values, of which some are secrets."""
    problems = [
        f"`{'.'.join(str(part) for part in problem['loc'])}`: {problem['msg'].rstrip('.')}"
        for problem in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    return ConfigurationError(f"{owner[0].upper()}{owner[1:]} cannot be used: {'; '.join(problems)}.")


def _known_keys(owner: str, data: Mapping[str, Any], known: set[str]) -> None:
    for key in data:
        if key not in known:
            raise ConfigurationError(
                f"Unknown key {key!r} in {owner}.{did_you_mean(key, known)} Known: {', '.join(sorted(known))}.",
                field=key,
            )
