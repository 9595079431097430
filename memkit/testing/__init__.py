"""Public tools for testing memkit, your backend for it, and your application on top of it.

Suites (one class per protocol; subclass it and say how to make a fresh backend), fakes, and the network
brake. Nothing is imported before its name is used; the suites need pytest and hypothesis.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .anthropic_server import AnthropicServer
    from .embedder import EmbedderSuite
    from .fakes import FakeCall, FakeEmbedder, FakeLLM, extraction, fact
    from .graph_store import GraphStoreSuite
    from .ledger import LedgerSuite
    from .llm import LLMSuite
    from .local_server import Fault
    from .network import NetworkBlockedError, block_network
    from .openai_server import OpenAIServer
    from .vector_store import VectorStoreSuite

_HOME = {
    "AnthropicServer": "anthropic_server",
    "EmbedderSuite": "embedder",
    "FakeCall": "fakes",
    "FakeEmbedder": "fakes",
    "FakeLLM": "fakes",
    "Fault": "local_server",
    "GraphStoreSuite": "graph_store",
    "LLMSuite": "llm",
    "LedgerSuite": "ledger",
    "NetworkBlockedError": "network",
    "OpenAIServer": "openai_server",
    "VectorStoreSuite": "vector_store",
    "block_network": "network",
    "extraction": "fakes",
    "fact": "fakes",
}

__all__ = [
    "AnthropicServer",
    "EmbedderSuite",
    "FakeCall",
    "FakeEmbedder",
    "FakeLLM",
    "Fault",
    "GraphStoreSuite",
    "LLMSuite",
    "LedgerSuite",
    "NetworkBlockedError",
    "OpenAIServer",
    "VectorStoreSuite",
    "block_network",
    "extraction",
    "fact",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)


def __dir__() -> list[str]:
    return __all__
