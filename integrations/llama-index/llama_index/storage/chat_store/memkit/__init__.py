"""Chat stores of LlamaIndex on memkit's ledger: conversations that survive, whole.

Everything public is imported at first use, so that importing this stays light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .db import MemkitDBChatStore
    from .simple import MemkitChatStore

_HOME = {"MemkitChatStore": "simple", "MemkitDBChatStore": "db"}

__all__ = ["MemkitChatStore", "MemkitDBChatStore"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
