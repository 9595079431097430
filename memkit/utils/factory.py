"""`GraphStoreFactory`, where mem0 has its own."""

from __future__ import annotations

from memkit.factory import GraphStoreFactory as GraphStoreFactory

__all__ = ["GraphStoreFactory"]
