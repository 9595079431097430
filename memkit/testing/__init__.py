"""Public tools for testing memkit, your backend for it, and your application on top of it.

Suites (one class per protocol; subclass it and say how to make a fresh backend), fakes, and the network
brake. Nothing is imported before its name is used; the suites need the extra `testing`.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memkit.errors import MissingDependencyError

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
    from .reranker import RerankerSuite
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
    "RerankerSuite": "reranker",
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
    "RerankerSuite",
    "VectorStoreSuite",
    "block_network",
    "extraction",
    "fact",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
    try:
        return getattr(import_module(f".{_HOME[name]}", __name__), name)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("memkit"):
            raise
        raise MissingDependencyError(f"`memkit.testing.{name}`", "testing", error.name) from error


def __dir__() -> list[str]:
    return __all__


if "pytest" in sys.modules:
    # A law that fails says what it compared, as the tests of whoever runs it do.
    sys.modules["pytest"].register_assert_rewrite(
        *(f"{__name__}.{path.stem}" for path in Path(__file__).parent.glob("*.py"))
    )
