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
    from .memory import Memory
    from .types import AddResult, Context, HistoryEvent, MemoryItem, Message, Page, SearchResult

__version__ = "0.1.0"

_HOME = {
    "AddResult": "types",
    "AsyncMemory": "aio",
    "Context": "types",
    "EmbedderConfig": "config",
    "GraphStoreConfig": "config",
    "HistoryEvent": "types",
    "LlmConfig": "config",
    "MemkitError": "errors",
    "Memory": "memory",
    "MemoryConfig": "config",
    "MemoryItem": "types",
    "Message": "types",
    "Page": "types",
    "RerankerConfig": "config",
    "SearchResult": "types",
    "VectorStoreConfig": "config",
}

__all__ = [
    "AddResult",
    "AsyncMemory",
    "Context",
    "EmbedderConfig",
    "GraphStoreConfig",
    "HistoryEvent",
    "LlmConfig",
    "MemkitError",
    "Memory",
    "MemoryConfig",
    "MemoryItem",
    "Message",
    "Page",
    "RerankerConfig",
    "SearchResult",
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
