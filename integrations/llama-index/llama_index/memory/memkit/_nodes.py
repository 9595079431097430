"""Memories as LlamaIndex nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from llama_index.core.schema import NodeWithScore, TextNode

from memkit import MemoryItem

_IDS: Final = ("user_id", "agent_id", "run_id", "actor_id", "role")
_TIMES: Final = ("created_at", "updated_at", "valid_from", "valid_until", "expires_at")


def as_nodes(memories: Sequence[MemoryItem]) -> list[NodeWithScore]:
    """Return a node for each memory with its score, in the same order."""
    return [NodeWithScore(node=as_node(memory), score=memory.score) for memory in memories]


def as_node(memory: MemoryItem) -> TextNode:
    """Return a memory as a node: its id, its text, and everything else as plain JSON in `metadata`.

    The caller's own metadata lies beside memkit's keys; a key of both is memkit's, and the caller's value is then
    under `metadata["metadata"]`. Times are ISO 8601 in UTC. What is None is left out. The score is the hit's and not
    the node's, so that the same memory found by two queries is the same node.
    """
    own = _facts(memory)
    hidden = {key: value for key, value in memory.metadata.items() if key in own}
    if hidden:
        own["metadata"] = hidden
    metadata = {**memory.metadata, **own}
    # LlamaIndex prints metadata into prompts and embeddings unless told not to.
    return TextNode(
        id_=memory.id,
        text=memory.memory,
        metadata=metadata,
        excluded_llm_metadata_keys=list(metadata),
        excluded_embed_metadata_keys=list(metadata),
    )


def _facts(memory: MemoryItem) -> dict[str, Any]:
    facts: dict[str, Any] = {"kind": memory.kind, "origin": memory.origin}
    facts |= {name: getattr(memory, name) for name in _IDS}
    facts |= {name: value.isoformat() for name in _TIMES if (value := getattr(memory, name)) is not None}
    facts["sources"] = [source.model_dump(exclude_none=True) for source in memory.sources]
    return {name: value for name, value in facts.items() if value is not None}
