"""Whatever a caller calls messages, as one shape: texts, dicts, LangChain and LlamaIndex messages."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, cast

from memkit.clock import Instant, offset_minutes, to_us
from memkit.errors import InvalidInputError, ScopeError, did_you_mean
from memkit.scope import SCOPE_FIELDS, one_id

Role = Literal["user", "assistant", "system", "tool"]
Block = dict[str, Any]
"""One content block in the shape of the chat API it came from, kept whole."""

MAX_TEXT_BYTES: Final = 4 * 1024 * 1024
"""Longest text of one message, in bytes of UTF-8."""

ROLES: Final[Mapping[str, Role]] = {
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "ai": "assistant",
    "model": "assistant",
    "chatbot": "assistant",
    "system": "system",
    "developer": "system",
    "tool": "tool",
    "function": "tool",
}
"""Every role of the chat APIs, and which of memkit's four it is."""

KEYS: Final = ("role", "content", "name", "created_at", "metadata", "run_id", "id")
# Keys that chat APIs put beside them. The calls of tools are kept as blocks, the rest says nothing to remember.
_VENDOR_KEYS: Final = frozenset(
    {
        "tool_calls",
        "tool_call_id",
        "function_call",
        "refusal",
        "audio",
        "annotations",
        "reasoning_content",
        "type",
    }
    | {
        "reasoning",
        "additional_kwargs",
        "response_metadata",
        "usage_metadata",
        "example",
        "status",
        "artifact",
    }
)
_RENAMED: Final = {
    "actor_id": "name",
    "date": "created_at",
    "session_id": "run_id",
    "text": "content",
    "time": "created_at",
    "timestamp": "created_at",
}
_TEXT_BLOCKS: Final = frozenset({"text", "input_text", "output_text"})
IMAGE_BLOCKS: Final = frozenset({"image", "image_url", "input_image"})
_BLANK: Final = "\u200b\u200c\u200d\u2060\ufeff"


@dataclass(frozen=True, slots=True, kw_only=True)
class InputMessage:
    """One message as the engine sees it."""

    role: Role | None
    """None for a bare text, which nobody said."""
    content: str | list[Block]
    """As it came: a text, or blocks kept whole."""
    text: str
    """The words alone; empty where there is only an image or a file."""
    name: str | None = None
    created_at: int | None = None
    """When it was said, microseconds since 1970 in UTC; None where the caller did not say."""
    offset_minutes: int = 0
    """The zone that `created_at` was given in, minutes east of UTC."""
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])
    run_id: str | None = None
    id: str | None = None
    has_images: bool = False
    payload: dict[str, Any] | None = None
    """What an adapter needs to give the turn back as it was; only turns that are kept as turns have one."""


def normalise(messages: object, *, keeping: bool = False) -> list[InputMessage]:
    """Return what was given as a list of messages, in order; nothing given is changed.

    Args:
        messages: A text, a message, or a list of them. A message is a dict with `role`, `content` and optionally
            `name, created_at, metadata, run_id, id`, or a message object of LangChain, LlamaIndex or OpenAI.
        keeping: They are kept as turns and nothing is made of them: one may be blank, and a dict have a `payload`.

    Raises:
        InvalidInputError: Something has the wrong shape; it names the index, from 0, and the key.
        ScopeError: An id of the scope stands where it must not.
    """
    if isinstance(messages, list | tuple):
        items = cast("Sequence[object]", messages)
        if not items:
            raise InvalidInputError("`messages` is an empty list. Give a text, a message, or a list of them.")
        return [_one(item, f"messages[{index}]", index, keeping) for index, item in enumerate(items)]
    return [_one(messages, "messages", 0, keeping)]


def _one(item: object, where: str, index: int, keeping: bool) -> InputMessage:
    if isinstance(item, InputMessage):
        return item
    if isinstance(item, str):
        return InputMessage(role=None, content=item, text=_checked_text(item, where, index, None))
    if isinstance(item, Mapping):
        given = cast("Mapping[object, object]", item)
        return _from_fields(_dict_fields(given, where, index, keeping), where, index, keeping)
    fields = _object_fields(item)
    if fields is None:
        raise _wrong(
            f"{where} is of type {type(item).__name__}; a message is a text, a dict with `role` and `content`, "
            f"or a message object of LangChain or LlamaIndex.{_hint_of_schema(item)}",
            index,
        )
    return _from_fields(fields, where, index, keeping)


def _hint_of_schema(item: object) -> str:
    if not hasattr(type(item), "model_fields"):
        return ""
    name = type(item).__name__
    return f" A typed record needs its schema: Memory(..., schemas=[{name}])."


def _dict_fields(item: Mapping[object, object], where: str, index: int, keeping: bool) -> dict[str, object]:
    for key in item:
        if key in KEYS or key in _VENDOR_KEYS or (keeping and key == "payload"):
            continue
        if key in SCOPE_FIELDS:
            raise ScopeError(
                f"{where} has the key {key!r}. A scope is an argument of the call, not part of a message: "
                f"pass `{key}=` to `add`.",
                index=index,
                key=key,
            )
        hint = (
            f" It is called `{_RENAMED[key]}` here." if key in _RENAMED else did_you_mean(str(key), KEYS)  # pyright: ignore[reportArgumentType]
        )
        raise _wrong(f"{where} has the unknown key {key!r}.{hint} Known: {', '.join(KEYS)}.", index, str(key))
    for key in ("role", "content"):
        if key not in item and not (key == "content" and item.get("tool_calls")):
            raise _wrong(
                f"{where} has no `{key}`. A message is {{'role': 'user', 'content': 'I live in Oslo.'}}.",
                index,
                key,
            )
    return {str(key): value for key, value in item.items()}


def _object_fields(item: object) -> dict[str, object] | None:
    """Return the fields of a message object of another library, or None where it is none."""
    role: object = getattr(item, "role", None) or getattr(item, "type", None)
    role = getattr(role, "value", role)
    has_content = hasattr(item, "content") or hasattr(item, "blocks")
    if not isinstance(role, str) or not has_content:
        return None
    blocks: object = getattr(item, "blocks", None)
    content = (
        _llama_blocks(cast("list[object]", blocks))
        if isinstance(blocks, list)
        else getattr(item, "content", None)
    )
    extra: object = getattr(item, "additional_kwargs", None)
    known = cast("dict[str, object]", extra) if isinstance(extra, dict) else {}
    fields: dict[str, object] = {"role": role.removesuffix("MessageChunk").lower(), "content": content}
    for key in ("name", "created_at", "metadata", "run_id", "id"):
        value = getattr(item, key, None)
        if value is None:
            value = known.get(key)
        if value is not None:
            fields[key] = value
    for key in ("tool_calls", "tool_call_id"):
        value = getattr(item, key, None) or known.get(key)
        if value:
            fields[key] = value
    return fields


def _llama_blocks(blocks: list[object]) -> str | list[object]:
    """Return LlamaIndex blocks as a text, where there is only text, or as blocks of the OpenAI shape."""
    out = [_llama_block(block) for block in blocks]
    if len(out) == 1 and out[0].get("type") == "text":
        return str(out[0]["text"])
    return cast("list[object]", out) or ""


def _llama_block(block: object) -> Block:
    kind = getattr(block, "block_type", None)
    if kind == "text":
        return {"type": "text", "text": getattr(block, "text", "")}
    if kind == "image":
        url = getattr(block, "url", None)
        raw = getattr(block, "image", None)
        if url is None and isinstance(raw, bytes):
            mime = getattr(block, "image_mimetype", None) or "image/png"
            url = f"data:{mime};base64,{raw.decode('ascii', 'replace')}"
        if url is not None:
            return {"type": "image_url", "image_url": {"url": str(url)}}
    if kind == "tool_call":
        return {
            "type": "tool_call",
            "id": getattr(block, "tool_call_id", None),
            "name": getattr(block, "tool_name", None),
            "args": getattr(block, "tool_kwargs", None),
        }
    dump = getattr(block, "model_dump", None)
    data = cast("Block", dump(mode="json", exclude_none=True)) if callable(dump) else {"value": str(block)}
    return {**data, "type": str(kind or type(block).__name__)}


def _from_fields(fields: Mapping[str, object], where: str, index: int, keeping: bool) -> InputMessage:
    role = _role(fields.get("role"), where, index)
    name = fields.get("name")
    if name is not None and not isinstance(name, str):
        raise _wrong(f"`name` of {where} must be a text, not {type(name).__name__}: {name!r}.", index, "name")
    calls = _tool_calls(fields.get("tool_calls"))
    content, text, has_images = _content(fields.get("content"), calls, where, index, blank=keeping)
    metadata = check_metadata(fields.get("metadata"), f"`metadata` of {where}", index)
    if fields.get("tool_call_id"):
        metadata = {"tool_call_id": str(fields["tool_call_id"]), **metadata}
    created = cast("Instant | None", fields.get("created_at"))
    return InputMessage(
        role=role,
        content=content,
        text=text,
        name=_storable(name, f"`name` of {where}", index, "name") if name and name.strip() else None,
        created_at=None if created is None else _instant(created, where, index),
        offset_minutes=offset_minutes(created),
        metadata=metadata,
        run_id=one_id(fields.get("run_id"), f"run_id` of `{where}"),
        id=one_id(fields.get("id"), f"id` of `{where}"),
        has_images=has_images,
        payload=_payload(fields.get("payload"), where, index) if keeping else None,
    )


def _payload(value: object, where: str, index: int) -> dict[str, Any] | None:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise _wrong(
            f"`payload` of {where} must be a dict, not {type(value).__name__}: {value!r:.80}.",
            index,
            "payload",
        )
    plain = _plain_json(dict(cast("Mapping[str, Any]", value)), f"`payload` of {where}", index, "payload")
    return cast("dict[str, Any]", plain)


def _role(value: object, where: str, index: int) -> Role:
    value = getattr(value, "value", value)
    if not isinstance(value, str):
        raise _wrong(
            f"`role` of {where} must be a text, not {type(value).__name__}: {value!r}.", index, "role"
        )
    role = ROLES.get(value.strip().lower())
    if role is None:
        raise _wrong(
            f"`role` of {where} is {value!r}, which is no role.{did_you_mean(value, ROLES)} "
            f"Roles: {', '.join(ROLES)}.",
            index,
            "role",
        )
    return role


def _instant(value: Instant, where: str, index: int) -> int:
    try:
        return to_us(value, field=f"created_at` of `{where}")
    except InvalidInputError as error:
        raise _wrong(error.message, index, "created_at") from error


def _content(
    value: object, calls: list[Block], where: str, index: int, *, blank: bool
) -> tuple[str | list[Block], str, bool]:
    if isinstance(value, Mapping):
        value = [cast("Block", value)]
    if value is None and calls:
        return calls, "", False
    if isinstance(value, str):
        if calls:
            text = _checked_text(value, f"`content` of {where}", index, "content", blank=True)
            return ([{"type": "text", "text": value}, *calls] if text.strip() else calls), text, False
        return value, _checked_text(value, f"`content` of {where}", index, "content", blank=blank), False
    if not isinstance(value, list | tuple):
        raise _wrong(
            f"`content` of {where} must be a text or a list of blocks, not {type(value).__name__}: {value!r:.80}.",
            index,
            "content",
        )
    blocks = [
        _block(block, f"content[{at}]` of `{where}", index)
        for at, block in enumerate(cast("list[object]", value))
    ]
    words = [block["text"] for block in blocks if block["type"] in _TEXT_BLOCKS]
    others = [block for block in blocks if block["type"] not in _TEXT_BLOCKS]
    text = "\n".join(cast("list[str]", words))
    _checked_text(text, f"`content` of {where}", index, "content", blank=blank or bool(others or calls))
    has_images = any(block["type"] in IMAGE_BLOCKS for block in others)
    known = {str(block["id"]) for block in others if block.get("id")}
    return [*blocks, *(call for call in calls if str(call["id"]) not in known)], text, has_images


def _block(value: object, where: str, index: int) -> Block:
    if isinstance(value, str):
        return {"type": "text", "text": value}
    if not isinstance(value, Mapping):
        raise _wrong(
            f"`{where}` must be a text or a block, not {type(value).__name__}: {value!r:.80}.",
            index,
            "content",
        )
    block = _plain_json(
        cast("object", dict(cast("Mapping[str, object]", value))), f"`{where}`", index, "content"
    )
    kind = cast("Block", block).get("type")
    if not isinstance(kind, str):
        raise _wrong(
            f"`{where}` has no `type`. A block is {{'type': 'text', 'text': '...'}}.", index, "content"
        )
    if kind in _TEXT_BLOCKS and not isinstance(cast("Block", block).get("text"), str):
        raise _wrong(f"`{where}` is a {kind!r} block without a `text`.", index, "content")
    return cast("Block", block)


def _tool_calls(value: object) -> list[Block]:
    if not isinstance(value, list | tuple):
        return []
    calls: list[Block] = []
    for call in cast("Sequence[object]", value):
        dump = getattr(call, "model_dump", None)
        raw: object = cast("object", call) if isinstance(call, Mapping) else dump() if callable(dump) else {}
        data = cast("Mapping[str, Any]", raw)
        function = cast("Mapping[str, Any]", data.get("function") or data)
        arguments = function.get("args", function.get("arguments"))
        calls.append(
            {
                "type": "tool_call",
                "id": None if data.get("id") is None else str(data["id"]),
                "name": str(function.get("name") or ""),
                "args": arguments if isinstance(arguments, str | dict) else None,
            }
        )
    return calls


def check_metadata(value: object, where: str = "`metadata`", index: int | None = None) -> dict[str, Any]:
    """Return a copy of a metadata dict.

    Raises:
        InvalidInputError: It is no dict, or holds what JSON cannot (NaN included).
        ScopeError: It names an id of the scope.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise _wrong(f"{where} must be a dict, not {type(value).__name__}: {value!r:.80}.", index, "metadata")
    data = cast("Mapping[object, object]", value)
    for key in data:
        if not isinstance(key, str):
            raise _wrong(f"{where} has the key {key!r}; keys of metadata are texts.", index, "metadata")
        if key in SCOPE_FIELDS:
            hint = " or give it as the message's own `run_id`" if key == "run_id" else ""
            raise ScopeError(
                f"{where} names the scope id {key!r}, and metadata cannot change a scope. Pass `{key}=` to the "
                f"call instead{hint}.",
                index=index,
                key=key,
            )
    return cast("dict[str, Any]", _plain_json(dict(data), where, index, "metadata"))


def _plain_json(value: object, where: str, index: int | None, key: str) -> object:
    try:
        encoded = json.dumps(value, allow_nan=False, ensure_ascii=False)
        encoded.encode("utf-8")
    except UnicodeEncodeError as error:
        raise _wrong(f"{where} holds a lone surrogate, which cannot be stored.", index, key) from error
    except (TypeError, ValueError, RecursionError) as error:
        raise _wrong(f"{where} cannot be written as JSON: {error}.", index, key) from error
    return json.loads(encoded)


def _checked_text(text: str, where: str, index: int, key: str | None, *, blank: bool = False) -> str:
    _storable(text, where, index, key)
    if not blank and not text.strip().strip(_BLANK).strip():
        raise _wrong(f"{where} is {'blank' if text else 'empty'}. Give a text with words in it.", index, key)
    return text


def _storable(text: str, where: str, index: int, key: str | None) -> str:
    try:
        size = len(text) if text.isascii() else len(text.encode("utf-8"))
    except UnicodeEncodeError as error:
        raise _wrong(
            f"{where} holds a lone surrogate, which cannot be stored: {text!r:.80}.", index, key
        ) from error
    if size > MAX_TEXT_BYTES:
        raise _wrong(
            f"{where} is {size:,} bytes long; one message may have {MAX_TEXT_BYTES:,}. Split it into several.",
            index,
            key,
        )
    return text


def _wrong(message: str, index: int | None, key: str | None = None) -> InvalidInputError:
    return InvalidInputError(message, index=index, key=key)
