"""memkit for LlamaIndex: memory, a memory block and a retriever.

Everything public is imported at first use, so that one of them does not load the others.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .block import MemkitMemoryBlock
    from .memory import MemkitMemory
    from .retriever import MemkitRetriever

_HOME = {
    "MemkitMemory": "memory",
    "MemkitMemoryBlock": "block",
    "MemkitRetriever": "retriever",
}

__all__ = ["MemkitMemory", "MemkitMemoryBlock", "MemkitRetriever"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
