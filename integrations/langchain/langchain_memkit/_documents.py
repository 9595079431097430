"""Memories as LangChain documents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.documents import Document

from memkit import MemoryItem

_IDS = ("user_id", "agent_id", "run_id", "actor_id", "role")
_TIMES = ("created_at", "updated_at", "valid_from", "valid_until", "expires_at")


def as_documents(memories: Sequence[MemoryItem]) -> list[Document]:
    """Return a document for each memory, in the same order."""
    return [as_document(memory) for memory in memories]


def as_document(memory: MemoryItem) -> Document:
    """Return a memory as a document: its text, its id, and everything else as plain JSON in `metadata`.

    The caller's own metadata lies beside memkit's keys; a key of both is memkit's, and the caller's value is then
    under `metadata["metadata"]`. Times are ISO 8601 in UTC. What is None is left out.
    """
    own = _facts(memory)
    hidden = {key: value for key, value in memory.metadata.items() if key in own}
    if hidden:
        own["metadata"] = hidden
    return Document(id=memory.id, page_content=memory.memory, metadata={**memory.metadata, **own})


def _facts(memory: MemoryItem) -> dict[str, Any]:
    facts: dict[str, Any] = {"score": memory.score, "kind": memory.kind, "origin": memory.origin}
    facts |= {name: getattr(memory, name) for name in _IDS}
    facts |= {name: value.isoformat() for name in _TIMES if (value := getattr(memory, name)) is not None}
    facts["sources"] = [source.model_dump(exclude_none=True) for source in memory.sources]
    return {name: value for name, value in facts.items() if value is not None}
