"""Providers by name, made directly, for code that made mem0's with its factories."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

from .config import GraphStoreConfig, MemoryConfig, as_provider
from .errors import ConfigurationError
from .registry import PROVIDERS, check_name, provider_class

if TYPE_CHECKING:
    from .graph_stores.base import GraphStore

_ASIDE: Final = frozenset({"llm", "embedder", "vector_store", "graph_store", "reranker", "version"})
"""Keys that only a configuration of a whole memory has."""


class GraphStoreFactory:
    """Makes graph stores by name; `memkit.utils.factory` has it too, where mem0 has its own."""

    provider_to_class: ClassVar[dict[str, str]] = {
        name: entry.target.replace(":", ".") for name, entry in PROVIDERS["graph_store"].items()
    }
    """Where each graph store that works lives."""

    @classmethod
    def create(cls, provider_name: str, config: Any = None) -> GraphStore:
        """Return a graph store that is not open yet.

        Args:
            provider_name: `default` is `neo4j`, as it is in mem0.
            config: Its settings, as a dict or an object; or the configuration of a memory, of which `graph_store`
                is taken.

        Raises:
            UnknownProviderError: Nobody registered the name.
            ProviderNotAvailableError: It is known but not built yet.
            ConfigurationError: The settings are not its own.
        """
        name = "neo4j" if provider_name == "default" else provider_name
        check_name("graph_store", name)
        made: Any = provider_class("graph_store", name)
        settings = _settings_of(config)
        if settings is None:
            return made()
        if isinstance(settings, Mapping):
            return made(made.Settings(**dict(cast("Mapping[str, Any]", settings))))
        if isinstance(settings, made.Settings):
            return made(settings)
        raise ConfigurationError(
            f"The config of graph_store {name!r} must be a dict or its Settings, not {type(settings).__name__}."
        )


def _settings_of(config: Any) -> Any:
    """Return the settings of the graph store in whatever holds them."""
    if isinstance(config, MemoryConfig):
        config = config.graph_store
    elif isinstance(config, Mapping) and (_ASIDE & cast("Mapping[str, Any]", config).keys()):
        given = cast("Mapping[str, Any]", config).get("graph_store")
        config = as_provider(given, GraphStoreConfig)
    elif isinstance(config, Mapping) and "provider" in config:
        config = as_provider(config, GraphStoreConfig)
    return config.config if isinstance(config, GraphStoreConfig) else cast("Any", config)
