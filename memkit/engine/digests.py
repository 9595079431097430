"""What makes two things the same: a turn, a fact, a call made again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, Final

from ..extraction.messages import InputMessage
from ..scope import Scope


def turn_digest(item: InputMessage, scope: Scope) -> bytes:
    """Return what makes a turn memory the same: its id where given, else speaker, words and time where given."""
    ids = [scope.user_id, scope.agent_id, scope.run_id]
    if item.id is not None:
        return content_digest(["turn", ids, item.id])
    return content_digest(["turn", ids, item.role or "user", item.name, item.text, item.created_at])


def fact_digest(text: str, scope: Scope) -> bytes:
    """Return what makes a fact the same: scope and words, whatever their case and spacing."""
    ids = [scope.user_id, scope.agent_id, scope.run_id]
    return content_digest(["fact", ids, " ".join(text.casefold().split()).rstrip(".!")])


def slot_digest(kind: str, key: Sequence[Any]) -> bytes:
    """Return what makes a typed record the same one, whatever it says: kind and values of the key."""
    return content_digest(["record", kind, list(key)])


def record_digest(slot: bytes, scope: Scope) -> bytes:
    """Return what only one current typed record of a scope has."""
    return content_digest(["record", slot.hex(), [scope.user_id, scope.agent_id, scope.run_id]])


_encoded: Final = json.JSONEncoder(ensure_ascii=False, sort_keys=True, default=str).encode


def content_digest(value: object) -> bytes:
    """Return what recognises the same content: 16 bytes of its JSON."""
    data = _encoded(value)
    return blake2b(data.encode("utf-8", "surrogatepass"), digest_size=16).digest()
