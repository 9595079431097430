"""Public tools for testing memkit, your backend for it, and your application on top of it.

Suites (one class per protocol; subclass it and say how to make a fresh backend), fakes, and the network
brake. Nothing is imported before its name is used; the suites need pytest and hypothesis.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .network import NetworkBlockedError, block_network

__all__ = ["NetworkBlockedError", "block_network"]

_HOMES = {
    "NetworkBlockedError": "network",
    "block_network": "network",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)
