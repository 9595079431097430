"""Memory tools of memkit for LlamaIndex."""

from __future__ import annotations

from .tools import MemkitToolSpec

__all__ = ["MemkitToolSpec"]
