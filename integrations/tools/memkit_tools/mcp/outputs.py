"""What each tool returns as structured content, as JSON Schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

Schema = dict[str, Any]

_TEXT: Final[Schema] = {"type": "string"}
_NULLABLE: Final[Schema] = {"type": ["string", "null"]}
_COUNT: Final[Schema] = {"type": "integer"}


def _object(required: Schema, optional: Schema | None = None) -> Schema:
    return {"type": "object", "properties": required | (optional or {}), "required": list(required)}


def _list(item: Schema) -> Schema:
    return {"type": "array", "items": item}


_ROW: Final = _object({"id": _TEXT, "memory": _TEXT, "date": _TEXT}, {"score": {"type": "number"}})
_STATUS: Final[Schema] = {"status": _TEXT, "id": _TEXT, "memory": _TEXT}
_EVENT: Final = _object({"event": _TEXT, "date": _TEXT, "before": _NULLABLE, "after": _NULLABLE})
_ERROR: Final = _object({"error": _TEXT, "message": _TEXT})

_ANSWERS: Final[Mapping[str, tuple[Schema, ...]]] = {
    "search_memories": (_object({"results": _list(_ROW)}, {"note": _TEXT}),),
    # One text, or several.
    "add_memory": (
        _object(_STATUS, {"may_contradict": _list(_ROW)}),
        _object({"results": _list(_object(_STATUS))}),
    ),
    "update_memory": (_object({**_STATUS, "previous": _TEXT}),),
    "delete_memory": (_object(_STATUS),),
    "get_memories": (_object({"results": _list(_ROW), "next_cursor": _NULLABLE}, {"note": _TEXT}),),
    "get_memory": (
        _object({**_ROW["properties"], "kind": _TEXT, "version": _COUNT}, {"valid_until": _TEXT})
        | {"required": ["id", "memory", "date", "kind", "version"]},
    ),
    "get_memory_history": (_object({"id": _TEXT, "events": _list(_EVENT)}),),
    "delete_all_memories": (_object({"status": _TEXT, "count": _COUNT}),),
}


def output_schema(tool: str) -> Schema:
    """Return the JSON Schema of a tool's structured content; a refused call has `error` and `message` instead."""
    return {"type": "object", "anyOf": [*_ANSWERS[tool], _ERROR]}
