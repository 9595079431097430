"""The graph of a memory, built late: in the ledger, or a store that follows it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from .errors import ConfigurationError
from .following import GRAPH, Following
from .graph_stores.base import GraphStore

if TYPE_CHECKING:
    from .config import MemoryConfig, ProviderConfig
    from .ledger.base import Ledger
    from .ledger.graph import GraphLedger
    from .parts import Parts

Build = Callable[[Any, str, Any], object]
"""Makes a provider of a kind, by name, from its settings."""


class GraphPart:
    """The graph, and how it stands where it is an external one."""

    def __init__(self, parts: Parts, config: MemoryConfig, build: Build) -> None:
        self._parts, self._config, self._build = parts, config, build
        self._lock = threading.RLock()
        self._store: GraphStore | None = None
        self._built = False
        self.state = Following()

    @property
    def on(self) -> bool:
        """Whether entities and relations are wanted."""
        return self._config.graph_store is not None

    @property
    def instructions(self) -> str | None:
        """What the caller says of entities and relations (mem0's `custom_prompt`)."""
        return getattr(self._config.graph_store, "custom_prompt", None)

    @property
    def built(self) -> GraphStore | None:
        """The external store, where one was built."""
        return self._store

    @property
    def index_name(self) -> str | None:
        """Under which name an external store follows the ledger."""
        store = self.store()
        return None if store is None else GRAPH + store.name

    def store(self) -> GraphStore | None:
        """Return the store that follows the ledger; None where the ledger keeps the graph, or there is none."""
        if self._built:
            return self._store
        with self._lock:
            if not self._built:
                self._store, self._built = self._make(), True
            return self._store

    def use(self, given: ProviderConfig) -> None:
        """Take another graph, in a rebuild."""
        with self._lock:
            old, self._config.graph_store = self._store, given
            self._store, self._built = self._make(), True
            self.state.error, self.state.ready = None, False
            if old is not None and old is not self._store:
                old.close()

    def settle(self) -> None:
        """Wait until nothing is written to it, unless it is stuck; a closed one is compared again when it opens."""
        if self._store is not None:
            self.state.projector.settle(self._store.patience_s)
        self.state.ready = False

    def _make(self) -> GraphStore | None:
        given = cast("ProviderConfig | None", self._config.graph_store)
        if given is None:
            return None
        parts = self._parts
        graph_ledger(parts.ledger)
        store = (
            checked_graph(given.config)
            if given.provider == "instance"
            else cast("GraphStore", self._build("graph_store", given.provider, given.config))
        )
        store.join(parts.ledger)
        if store.in_ledger:
            parts.choices["graph_store"] = f"{parts.ledger.name} (the ledger's own rows)"
            return None
        if parts.folder is not None:
            store.place(parts.folder)
        parts.choices["graph_store"] = f"{store.name} (given)"
        return store


def checked_graph(given: object) -> GraphStore:
    """Return a ready-made graph store.

    Raises:
        ConfigurationError: It is none.
    """
    if not isinstance(given, GraphStore):
        raise ConfigurationError(
            f"`graph_store` must be a name, a dict or a memkit GraphStore, not {type(given).__name__}."
        )
    return given


def graph_ledger(ledger: Ledger) -> GraphLedger:
    """Return the ledger as one that keeps entities and relations.

    Raises:
        ConfigurationError: It keeps none.
    """
    from .ledger.graph import GraphLedger

    if not isinstance(ledger, GraphLedger):
        raise ConfigurationError(
            f"The ledger {ledger.name!r} keeps no entities and relations yet. Leave `graph_store` out, or keep the "
            "ledger in SQLite."
        )
    return ledger
