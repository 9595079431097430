"""memkit as tools: definitions for every tool-calling agent, and one place that answers their calls.

Everything public is imported at first use, so that `import memkit_tools` stays light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .answers import ToolResult
    from .chat import with_memory
    from .toolbox import Toolbox

_HOME = {
    "ToolResult": "answers",
    "Toolbox": "toolbox",
    "with_memory": "chat",
}

__all__ = ["ToolResult", "Toolbox", "with_memory"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'memkit_tools' has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
