"""memkit: a long-term memory for AI agents, through the abstractions their framework already has.

Everything public is imported at first use, so that `import memkit` stays light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .aio import AsyncMemory
    from .config import (
        EmbedderConfig,
        GraphStoreConfig,
        LlmConfig,
        MemoryConfig,
        RerankerConfig,
        VectorStoreConfig,
    )
    from .errors import MemkitError
    from .item_types import DeleteItem, GetItem, ListNamespaces, PutItem, SearchItems, StoreItem
    from .memory import Memory
    from .types import AddResult, Context, HistoryEvent, MemoryItem, Message, Page, SearchResult

__version__ = "0.1.0"

_HOME = {
    "AddResult": "types",
    "AsyncMemory": "aio",
    "Context": "types",
    "DeleteItem": "item_types",
    "EmbedderConfig": "config",
    "GetItem": "item_types",
    "GraphStoreConfig": "config",
    "HistoryEvent": "types",
    "ListNamespaces": "item_types",
    "LlmConfig": "config",
    "MemkitError": "errors",
    "Memory": "memory",
    "MemoryConfig": "config",
    "MemoryItem": "types",
    "Message": "types",
    "Page": "types",
    "PutItem": "item_types",
    "RerankerConfig": "config",
    "SearchItems": "item_types",
    "SearchResult": "types",
    "StoreItem": "item_types",
    "VectorStoreConfig": "config",
}

__all__ = [
    "AddResult",
    "AsyncMemory",
    "Context",
    "DeleteItem",
    "EmbedderConfig",
    "GetItem",
    "GraphStoreConfig",
    "HistoryEvent",
    "ListNamespaces",
    "LlmConfig",
    "MemkitError",
    "Memory",
    "MemoryConfig",
    "MemoryItem",
    "Message",
    "Page",
    "PutItem",
    "RerankerConfig",
    "SearchItems",
    "SearchResult",
    "StoreItem",
    "VectorStoreConfig",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'memkit' has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
