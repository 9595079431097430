"""A LlamaIndex message as a turn of memkit and back, without loss."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time
from enum import Enum
from io import IOBase
from pathlib import Path
from typing import Any, Final, cast

from llama_index.core.base.llms.types import BaseContentBlock, ChatMessage, MessageRole, TextBlock
from pydantic import BaseModel, ValidationError

from memkit.types import Message

_DEEPEST: Final = 60
_LONGEST: Final = 1_000_000
"""Characters of a turn's words; the payload has them all."""
_kinds: Final[dict[str, type[BaseContentBlock]]] = {}


def as_turn(message: ChatMessage) -> dict[str, Any]:
    """Return a message as `Memory.keep` takes it: its words as `content`, and all of it as `payload` in plain JSON."""
    extra = message.additional_kwargs
    role = _plain(message.role)
    payload = {
        "role": role,
        "additional_kwargs": {
            str(name): _plain(value)
            for name, value in extra.items()
            # What LlamaIndex made blocks of already, and would make blocks of again.
            if not (name == "images" and _are_documents(value))
        },
        "blocks": [_plain_field(block) for block in message.blocks],
    }
    words = _storable(message.content or "")[:_LONGEST]
    call = extra.get("tool_call_id")
    return {"role": role, "content": words, "payload": payload} | (
        {"tool_call_id": _storable(str(call))} if call else {}
    )


def as_message(turn: Message) -> ChatMessage:
    """Return a turn as the message it was; one that somebody else kept as its words."""
    if turn.payload is not None and isinstance(turn.payload.get("blocks"), list):
        return from_json({"role": turn.role, **turn.payload})
    call = turn.metadata.get("tool_call_id")
    extra: dict[str, Any] = {"tool_call_id": call} if call else {}
    return ChatMessage(role=_role(turn.role), content=turn.text, additional_kwargs=extra)


def from_json(data: Mapping[str, Any]) -> ChatMessage:
    """Return a message that was written as JSON, by us or by LlamaIndex."""
    blocks: object = data.get("blocks")
    if not isinstance(blocks, list):
        return ChatMessage.model_validate(dict(data))
    message = ChatMessage(role=_role(data.get("role")))
    # Not in the constructor: it refuses kinds of blocks that are not its own, and makes blocks of `images` again.
    message.blocks = [_block(one) for one in cast("list[Any]", blocks)]
    message.additional_kwargs = dict(data.get("additional_kwargs") or {})
    return message


# Writing.


def _plain_field(value: object) -> Any:
    """Return a block, or a value of a field of one."""
    if isinstance(value, BaseContentBlock):
        return {name: _plain_field(inner) for name, inner in value}
    if isinstance(value, IOBase):
        return _read(value)
    if isinstance(value, bytes) and value.isascii():
        return value.decode()  # LlamaIndex holds them as base64
    if isinstance(value, list):
        return [_plain_field(one) for one in cast("list[object]", value)]
    return _plain(value)


def _read(stream: IOBase) -> str:
    """Return what a stream holds as base64, and leave it where it stood."""
    place = stream.tell()
    stream.seek(0)
    content = cast("bytes | str", cast("Any", stream).read())
    stream.seek(place)
    return base64.b64encode(content.encode() if isinstance(content, str) else content).decode()


def _plain(value: object, depth: int = 0) -> Any:
    """Return a value as JSON has it: objects of vendors as dicts, bytes as base64, and what else there is as text."""
    if isinstance(value, Enum):
        value = cast("object", value.value)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return _storable(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(bytes(cast("bytes", value))).decode()
    if depth >= _DEEPEST:
        return _storable(str(value))
    if isinstance(value, Mapping):
        items = cast("Mapping[object, object]", value).items()
        return {_key(key): _plain(inner, depth + 1) for key, inner in items}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(inner, depth + 1) for inner in cast("Iterable[object]", value)]
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return _plain_object(value, depth)


def _plain_object(value: object, depth: int) -> Any:
    kind = type(value)
    dump = getattr(value, "model_dump", None)
    # Of the class: messages of protocol buffers have `to_dict` there alone.
    to_dict = getattr(kind, "to_dict", None)
    try:
        if callable(dump):
            return _plain(dump(), depth + 1)
        if callable(to_dict):
            return _plain(to_dict(value), depth + 1)
        return _storable(str(value))
    except Exception:  # noqa: BLE001 - code of a vendor must not cost the message
        return f"<{kind.__module__}.{kind.__qualname__}>"


def _key(key: object) -> str:
    return _storable(str(cast("object", key.value) if isinstance(key, Enum) else key))


def _storable(text: str) -> str:
    """Return a text without lone surrogates, which no database takes."""
    return str(text) if text.isascii() else text.encode("utf-8", "replace").decode()


def _are_documents(value: object) -> bool:
    return isinstance(value, list) and any(
        hasattr(one, "resolve_image") for one in cast("list[object]", value)
    )


# Reading.


def _role(given: object) -> MessageRole:
    try:
        return MessageRole(given)
    except ValueError:
        return MessageRole.USER


def _block(data: object) -> Any:
    """Return a block as it was; one of a kind that is not known here as text, so that it is not lost."""
    if not isinstance(data, Mapping):
        return TextBlock(text=str(data))
    fields = dict(cast("Mapping[str, Any]", data))
    kind = _kind(str(fields.get("block_type")))
    if kind is not None:
        try:
            return _validated(kind, fields)
        except ValidationError:
            pass
    text: object = fields.get("text")
    return TextBlock(text=text if isinstance(text, str) else json.dumps(fields, ensure_ascii=False))


def _validated(kind: type[BaseContentBlock], fields: dict[str, Any]) -> BaseContentBlock:
    nested = getattr(kind, "nested_blocks_field_name", None)
    if nested is not None:
        inner: Any = fields.get(nested())
        many = isinstance(inner, list)
        fields[nested()] = [_block(one) for one in cast("list[Any]", inner)] if many else _block(inner)
    path = fields.get("path")
    if path is None or Path(path).is_file():
        return kind.model_validate(fields)
    # The file is gone, which is no reason to lose the message.
    block = kind.model_validate({**fields, "path": None})
    cast("Any", block).path = Path(path)
    return block


def _kind(name: str) -> type[BaseContentBlock] | None:
    """Return the block class of a `block_type`, among those that this process has by now."""
    if name not in _kinds:
        waiting = list(BaseContentBlock.__subclasses__())
        for kind in waiting:
            waiting.extend(kind.__subclasses__())
            field = cast("type[BaseModel]", kind).model_fields.get("block_type")
            if field is not None and isinstance(field.default, str):
                _kinds.setdefault(field.default, kind)
    return _kinds.get(name)
