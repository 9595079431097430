"""Providers by name: one sorted table of strings per kind, imported late; third parties come by entry points."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Literal

from .errors import (
    ConfigurationError,
    MissingDependencyError,
    ProviderNotAvailableError,
    UnknownProviderError,
)

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

ProviderKind = Literal["vector_store", "graph_store", "llm", "embedder", "reranker"]


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a provider lives (`module:Class`), and the extra that brings what it imports."""

    target: str
    extra: str | None = None


PROVIDERS: Final[Mapping[ProviderKind, Mapping[str, Entry]]] = {
    "embedder": {
        "hash": Entry("memkit.embedders.hash:HashEmbedder"),
        "langchain": Entry("memkit.embedders.langchain:LangChainEmbedder", "langchain"),
        "llama_index": Entry("memkit.embedders.llama_index:LlamaIndexEmbedder", "llama-index"),
        "minilm": Entry("memkit.embedders.minilm:MiniLMEmbedder", "local"),
        "onnx": Entry("memkit.embedders.onnx:OnnxEmbedder", "local"),
        "openai": Entry("memkit.embedders.openai:OpenAIEmbedder", "openai"),
    },
    "graph_store": {
        "neo4j": Entry("memkit.graph_stores.neo4j:Neo4jStore", "neo4j"),
        "networkx": Entry("memkit.graph_stores.networkx:NetworkxStore", "networkx"),
        "postgres": Entry("memkit.graph_stores.postgres:PostgresGraph", "postgres"),
        "sqlite": Entry("memkit.graph_stores.sqlite:SqliteGraph"),
    },
    "llm": {
        "anthropic": Entry("memkit.llms.anthropic:AnthropicLLM", "anthropic"),
        "cerebras": Entry("memkit.llms.compatible:CerebrasLLM", "openai"),
        "deepseek": Entry("memkit.llms.compatible:DeepSeekLLM", "openai"),
        "fake": Entry("memkit.llms.fake:FakeLLM"),
        "fireworks": Entry("memkit.llms.compatible:FireworksLLM", "openai"),
        "groq": Entry("memkit.llms.compatible:GroqLLM", "openai"),
        "langchain": Entry("memkit.llms.langchain:LangChainLLM", "langchain"),
        "llama_index": Entry("memkit.llms.llama_index:LlamaIndexLLM", "llama-index"),
        "lmstudio": Entry("memkit.llms.compatible:LMStudioLLM", "openai"),
        "minimax": Entry("memkit.llms.compatible:MiniMaxLLM", "openai"),
        "mistral": Entry("memkit.llms.compatible:MistralLLM", "openai"),
        "moonshot": Entry("memkit.llms.compatible:MoonshotLLM", "openai"),
        "ollama": Entry("memkit.llms.compatible:OllamaLLM", "openai"),
        "openai": Entry("memkit.llms.openai:OpenAILLM", "openai"),
        "openrouter": Entry("memkit.llms.compatible:OpenRouterLLM", "openai"),
        "sarvam": Entry("memkit.llms.compatible:SarvamLLM", "openai"),
        "together": Entry("memkit.llms.compatible:TogetherLLM", "openai"),
        "vllm": Entry("memkit.llms.compatible:VLLMLLM", "openai"),
        "xai": Entry("memkit.llms.compatible:XAILLM", "openai"),
    },
    "reranker": {
        "langchain": Entry("memkit.rerankers.langchain:LangChainReranker", "langchain"),
        "llama_index": Entry("memkit.rerankers.llama_index:LlamaIndexReranker", "llama-index"),
    },
    "vector_store": {
        "chroma": Entry("memkit.vector_stores.chroma:ChromaStore", "chroma"),
        "langchain": Entry("memkit.vector_stores.langchain:LangChainStore", "langchain"),
        "llama_index": Entry("memkit.vector_stores.llama_index:LlamaIndexStore", "llama-index"),
        "memory": Entry("memkit.vector_stores.memory:MemoryStore"),
        "pgvector": Entry("memkit.vector_stores.pgvector:PgvectorStore", "postgres"),
        "qdrant": Entry("memkit.vector_stores.qdrant:QdrantStore", "qdrant"),
        "sqlite": Entry("memkit.vector_stores.sqlite:SqliteStore"),
    },
}
"""What works now."""

PLANNED: Final[Mapping[ProviderKind, tuple[str, ...]]] = {
    "embedder": (
        "aws_bedrock", "azure_openai", "fastembed", "gemini", "huggingface", "lmstudio", "ollama",
        "together", "vertexai",
    ),
    "graph_store": (
        "apache_age", "kuzu", "memgraph", "mongodb", "neptune", "neptunedb", "pgvector", "redis",
        "supabase",
    ),
    "llm": (
        "aws_bedrock", "azure_openai", "azure_openai_structured", "gemini", "litellm",
        "openai_structured",
    ),
    "reranker": ("cohere", "huggingface", "llm_reranker", "sentence_transformer", "zero_entropy"),
    "vector_store": (
        "azure_ai_search", "azure_mysql", "baidu", "cassandra", "databricks", "elasticsearch", "faiss",
        "milvus", "mongodb", "neptune", "opensearch", "oracledb", "pinecone", "redis",
        "s3_vectors", "supabase", "turbopuffer", "upstash_vector", "valkey", "vertex_ai_vector_search", "weaviate",
    ),
}  # fmt: skip
"""Known by name, not built yet."""


@cache
def _plugins(kind: ProviderKind) -> Mapping[str, EntryPoint]:
    from importlib.metadata import entry_points

    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=f"memkit.{kind}s"):
        if point.name in PROVIDERS[kind] or point.name in found:
            other = found[point.name].value if point.name in found else PROVIDERS[kind][point.name].target
            raise ConfigurationError(
                f"Two distributions provide the {kind.replace('_', ' ')} {point.name!r}: {point.value} and {other}. "
                "Uninstall one of them."
            )
        found[point.name] = point
    return found


def names(kind: ProviderKind) -> list[str]:
    """Return the names of the providers of a kind that work, sorted, plug-ins included."""
    return sorted({*PROVIDERS[kind], *_plugins(kind)})


def check_name(kind: ProviderKind, name: str) -> None:
    """Return if the provider can be had, without importing it.

    Raises:
        UnknownProviderError: Nobody registered the name.
        ProviderNotAvailableError: It is known but not built yet.
    """
    if name in PROVIDERS[kind] or name in _plugins(kind):
        return
    if name in PLANNED[kind]:
        raise ProviderNotAvailableError(kind, name, names(kind))
    raise UnknownProviderError(kind, name, {*names(kind), *PLANNED[kind]})


def provider_class(kind: ProviderKind, name: str) -> type[Any]:
    """Import and return a provider's class.

    Raises:
        MissingDependencyError: Its extra is not installed.
        UnknownProviderError: Nobody registered the name.
        ProviderNotAvailableError: It is known but not built yet.
    """
    check_name(kind, name)
    entry = PROVIDERS[kind].get(name)
    if entry is None:
        loaded: type[Any] = _plugins(kind)[name].load()
        return loaded
    module, _, attribute = entry.target.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        if entry.extra is None or (error.name or "").startswith("memkit"):
            raise
        raise MissingDependencyError(
            f"The {kind.replace('_', ' ')} {name!r}", entry.extra, error.name
        ) from error


ADAPTERS: Final[Mapping[ProviderKind, tuple[str, ...]]] = {
    "embedder": ("langchain", "llama_index"),
    "llm": ("langchain", "llama_index"),
    "reranker": ("langchain", "llama_index"),
    "vector_store": ("langchain", "llama_index"),
}
"""Providers that wrap objects of a framework; the class says with `adapts(given)` which."""


def adapter_of(kind: ProviderKind, given: object) -> str | None:
    """Return the provider that wraps an object of a framework, or None for an object of nobody we know."""
    for name in ADAPTERS.get(kind, ()):
        # Nobody has an object of a framework that was never imported; our own adapters take long to import.
        if _FRAMEWORKS[name] in sys.modules and provider_class(kind, name).adapts(given):
            return name
    return None


_FRAMEWORKS: Final = {"langchain": "langchain_core", "llama_index": "llama_index.core"}


def availability(kind: ProviderKind, name: str) -> str:
    """Return `installed`, `missing: <extra>` or `planned`, for `memkit doctor`."""
    if name in PLANNED[kind]:
        return "planned"
    entry = PROVIDERS[kind].get(name)
    if entry is None or entry.extra is None:
        return "installed"
    from importlib.util import find_spec

    packages = {
        "chroma": "chromadb",
        "langchain": "langchain_core",
        "llama-index": "llama_index.core",
        "local": "onnxruntime",
        "postgres": "psycopg",
        "qdrant": "qdrant_client",
    }
    try:
        found = find_spec(packages.get(entry.extra, entry.extra))
    except ModuleNotFoundError:  # not even the namespace it lies in
        found = None
    return "installed" if found else f"missing: pip install 'memkit-ai[{entry.extra}]'"
