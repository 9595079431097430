"""LangChain messages as turns of the ledger, and back again, whole."""

from __future__ import annotations

import base64
import json
import logging
import math
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final, cast

from langchain_core.messages import (
    BaseMessage,
    MessageLikeRepresentation,
    convert_to_messages,
    message_chunk_to_message,
    messages_from_dict,
)
from pydantic import BaseModel

from memkit import Message
from memkit.errors import InvalidInputError

log: Final = logging.getLogger("langchain_memkit")

_KEY: Final = "langchain"
"""Where a turn's payload holds the message; turns that others keep in the same run have none."""
_TAG: Final = "__memkit__"
"""Marks a value that JSON has no word for."""
_DEEPEST: Final = 200
_KNOWN: Final = frozenset({"human", "ai", "system", "chat", "function", "tool", "remove"})
_ROLES: Final = {"human": "user", "ai": "assistant", "function": "tool", "tool": "tool"}
_CHAT_ROLES: Final = {
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "ai": "assistant",
    "model": "assistant",
    "system": "system",
    "developer": "system",
}
_DEFAULTS: Final[Mapping[str, object]] = {
    "additional_kwargs": {},
    "artifact": None,
    "example": False,
    "id": None,
    "invalid_tool_calls": [],
    "name": None,
    "response_metadata": {},
    "tool_calls": [],
    "usage_metadata": None,
}
"""What LangChain's own classes have where nothing was said; it is not kept."""


def as_messages(
    messages: Sequence[MessageLikeRepresentation] | MessageLikeRepresentation,
) -> list[BaseMessage]:
    """Return whatever LangChain takes for messages as a list of them, chunks as the messages that they are part of.

    Raises:
        InvalidInputError: Something is no message.
    """
    one = isinstance(messages, str | Mapping | BaseMessage)
    try:
        found = convert_to_messages(cast("Any", [messages] if one else list(cast("Any", messages))))
    except (KeyError, NotImplementedError, TypeError, ValueError) as error:
        raise InvalidInputError(
            f"Not messages that LangChain knows: {error} Give HumanMessage, AIMessage and so on.",
            field="messages",
        ) from error
    return [message_chunk_to_message(message) for message in found]


def as_turn(message: BaseMessage) -> dict[str, Any]:
    """Return a message as a turn for `Memory.keep`: role and words for everybody, in the payload what else it has.

    The message's own id stays in the payload. As the turn's id it would make one turn of two messages that share it,
    and a history is a list.
    """
    fields = {name: value for name, value in vars(message).items() if _is_said(name, value)}
    fields |= message.__pydantic_extra__ or {}
    content, kind = fields.pop("content"), fields.pop("type")
    if kind not in _KNOWN:
        kind, fields = "chat", {"role": kind, **fields}
    kept = _readable(content)
    if kept is None:
        kept, fields = _storable(str(message.text)), {"content": content, **fields}
    turn = {
        "role": _role(kind, fields),
        "content": kept,
        "payload": {_KEY: {"type": kind, "data": _encoded(fields)}},
    }
    name = message.name
    return {**turn, "name": name} if name and name.strip() and _storable(name) == name else turn


def is_own(turn: Message) -> bool:
    """Return whether `as_turn` made it."""
    return isinstance((turn.payload or {}).get(_KEY), dict)


def as_message(turn: Message) -> BaseMessage:
    """Return the message that `as_turn` made a turn of."""
    whole: dict[str, Any] = (turn.payload or {})[_KEY]
    data = {"content": turn.content, **_decoded(whole["data"])}
    return messages_from_dict([{"type": whole["type"], "data": data}])[0]


def _is_said(name: str, value: object) -> bool:
    return name not in _DEFAULTS or type(value) is not type(_DEFAULTS[name]) or bool(value)


def _role(kind: str, fields: Mapping[str, Any]) -> str:
    if kind == "chat":
        return _CHAT_ROLES.get(str(fields.get("role")).lower(), "user")
    return _ROLES.get(kind, "system")


def _readable(content: object) -> str | list[Any] | None:
    """Return content that the ledger keeps exactly as it is, or None."""
    if isinstance(content, str):
        return content if _storable(content) == content else None
    blocks = cast("list[Any]", content)
    if not blocks or not all(isinstance(block, dict) and _is_block(cast("Any", block)) for block in blocks):
        return None
    try:
        text = json.dumps(blocks, allow_nan=False, ensure_ascii=False)
        text.encode()
    except (RecursionError, TypeError, ValueError):
        return None
    return blocks if json.loads(text) == blocks else None


def _is_block(block: Mapping[str, Any]) -> bool:
    kind = block.get("type")
    texts = ("text", "input_text", "output_text")
    return isinstance(kind, str) and (kind not in texts or isinstance(block.get("text"), str))


def _storable(text: str) -> str:
    """Return a text without lone surrogates, which no database takes."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


# JSON and back. What is no data, such as an open connection in a tool's artifact, comes back as None.


def _encoded(value: object, depth: int = 0) -> Any:
    if depth > _DEEPEST:
        return None
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        plain = str(value)
        return (
            plain
            if _storable(plain) == plain
            else _tagged("text", _base64(plain.encode("utf-8", "surrogatepass")))
        )
    if isinstance(value, float):
        return value if math.isfinite(value) else _tagged("float", str(value))
    if isinstance(value, dict):
        return _encoded_dict(cast("dict[object, object]", value), depth)
    if isinstance(value, list):
        return [_encoded(item, depth + 1) for item in cast("list[object]", value)]
    return _encoded_rare(value, depth)


def _encoded_dict(value: dict[object, object], depth: int) -> Any:
    if _TAG not in value and all(isinstance(key, str) and _storable(key) == key for key in value):
        return {str(key): _encoded(item, depth + 1) for key, item in value.items()}
    pairs = [[_encoded(key, depth + 1), _encoded(item, depth + 1)] for key, item in value.items()]
    return _tagged("dict", pairs)


def _encoded_rare(value: object, depth: int) -> Any:
    if isinstance(value, bytes | bytearray):
        return _tagged("bytes", _base64(bytes(value)))
    if isinstance(value, tuple | set | frozenset):
        items = [_encoded(item, depth + 1) for item in cast("Sequence[object]", value)]
        return _tagged("tuple" if isinstance(value, tuple) else "set", items)
    if isinstance(value, datetime | date):
        return _tagged("datetime" if isinstance(value, datetime) else "date", value.isoformat())
    if isinstance(value, BaseModel):
        return _encoded({name: getattr(value, name) for name in type(value).model_fields}, depth + 1)
    log.debug("memkit: a %s in a message is no data and is not kept.", type(value).__name__)
    return None


def _tagged(kind: str, value: object) -> dict[str, object]:
    return {_TAG: kind, "value": value}


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _decoded(value: object) -> Any:
    if isinstance(value, list):
        return [_decoded(item) for item in cast("list[object]", value)]
    if not isinstance(value, dict):
        return value
    given = cast("dict[str, Any]", value)
    if _TAG in given:
        return _untagged(given[_TAG], given["value"])
    return {key: _decoded(item) for key, item in given.items()}


def _untagged(kind: str, value: Any) -> Any:
    match kind:
        case "text":
            return base64.b64decode(value).decode("utf-8", "surrogatepass")
        case "bytes":
            return base64.b64decode(value)
        case "float":
            return float(value)
        case "datetime":
            return datetime.fromisoformat(value)
        case "date":
            return date.fromisoformat(value)
        case "dict":
            return {_decoded(key): _decoded(item) for key, item in value}
        case _:
            items = map(_decoded, value)
            return tuple(items) if kind == "tuple" else set(items)
