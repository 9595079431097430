"""memkit as an MCP server.

`offer` says what there is and `surface` answers what needs the memory, in plain dicts. `stdio` speaks them over
standard input and output without the MCP SDK, whose import alone would take longer than a client should wait; `server`
and `app` bind them to the SDK, of either major version, for streamable HTTP and for servers of your own.

Everything public is imported at first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .app import build_app
    from .server import build_server

_HOME = {"build_app": "app", "build_server": "server"}

__all__ = ["build_app", "build_server"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'memkit_tools.mcp' has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
