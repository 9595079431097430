"""memkit for LangChain: an agent's long-term memory through LangChain's own abstractions.

Everything public is imported at first use, so that `import langchain_memkit` stays light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .classic import MemkitMemory
    from .context import MemkitContext
    from .history import MemkitChatMessageHistory
    from .middleware import LongTermMemoryMiddleware
    from .reranker import MemkitReranker
    from .retriever import MemkitRetriever
    from .store import MemkitStore
    from .tools import MemkitToolkit

_HOME = {
    "LongTermMemoryMiddleware": "middleware",
    "MemkitChatMessageHistory": "history",
    "MemkitContext": "context",
    "MemkitMemory": "classic",
    "MemkitReranker": "reranker",
    "MemkitRetriever": "retriever",
    "MemkitStore": "store",
    "MemkitToolkit": "tools",
}

__all__ = [
    "LongTermMemoryMiddleware",
    "MemkitChatMessageHistory",
    "MemkitContext",
    "MemkitMemory",
    "MemkitReranker",
    "MemkitRetriever",
    "MemkitStore",
    "MemkitToolkit",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'langchain_memkit' has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
