"""Memories as LangChain documents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.documents import Document

from memkit import MemoryItem, Message
from memkit.types import Source

_PLAIN = ("score", "kind", "origin", "user_id", "agent_id", "run_id", "actor_id", "role")
_TIMES = ("updated_at", "valid_from", "valid_until", "expires_at")


def as_document(memory: MemoryItem, turns: Mapping[str, Message] | None = None) -> Document:
    """Return a memory as a document: its text, its id, and everything else as plain JSON in `metadata`.

    The caller's own metadata lies beside memkit's keys; a key of both is memkit's, and the caller's value is then
    under `metadata["metadata"]`. Times are ISO 8601 in UTC. What is None is left out.

    Args:
        memory: The memory.
        turns: Turns by id, of which those that the memory rests on are attached; None attaches none.
    """
    own = _facts(memory)
    if turns is not None:
        ids = dict.fromkeys(source.message_id for source in memory.sources)
        own["source_turns"] = [_turn(turns[id]) for id in ids if id in turns]
    if given := memory.metadata:
        if hidden := {key: value for key, value in given.items() if key in own}:
            own["metadata"] = hidden
        own = {**given, **own}
    return Document(id=memory.id, page_content=memory.memory, metadata=own)


def _turn(turn: Message) -> dict[str, Any]:
    facts = {"id": turn.id, "role": turn.role, "name": turn.name, "text": turn.text}
    facts["created_at"] = turn.created_at.isoformat()
    return {name: value for name, value in facts.items() if value is not None}


def _facts(memory: MemoryItem) -> dict[str, Any]:
    facts = {name: value for name in _PLAIN if (value := getattr(memory, name)) is not None}
    created = memory.created_at
    facts["created_at"] = written = created.isoformat()
    for name in _TIMES:
        time = getattr(memory, name)
        if time is not None:
            facts[name] = written if time is created else time.isoformat()
    facts["sources"] = [_source(source) for source in memory.sources]
    return facts


def _source(source: Source) -> dict[str, Any]:
    facts = {"message_id": source.message_id}
    return facts if source.quote is None else facts | {"quote": source.quote}
