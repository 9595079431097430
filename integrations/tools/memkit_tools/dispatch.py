"""The tool calls in a vendor's message, and the messages that answer them, as plain dicts: no SDK is imported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast

from memkit.errors import InvalidInputError

from .answers import ToolResult

Shape = Literal["openai", "openai_responses", "anthropic", "gemini"]
Json = Mapping[str, Any]
Message: TypeAlias = Any
"""A message as a plain dict, untyped: every SDK types the same dict as a class of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedCall:
    """One tool call of a model."""

    id: str | None
    name: str
    arguments: Any


def calls_of(response: object) -> tuple[Shape, list[AskedCall]]:
    """Return whose message it is, and its tool calls in order.

    Args:
        response: A message or a whole completion of OpenAI's Chat Completions, of Responses, of Anthropic or of Gemini,
            or the list of its calls, output, blocks or parts; a dict or an object of the SDK.

    Raises:
        InvalidInputError: It is none of these.
    """
    given = _plain(response)
    if isinstance(given, list):
        return _listed(cast("list[object]", given))
    if isinstance(given, Mapping):
        found = _message(cast("Json", given))
        if "output" in found:
            return "openai_responses", _responses(_items(found["output"]))
        if "parts" in found:
            return "gemini", _gemini(_items(found["parts"]))
        if _is_anthropic(found):
            return "anthropic", _anthropic(_items(found["content"]))
        if "tool_calls" in found or "role" in found:
            return "openai", _chat(_items(found.get("tool_calls")))
        if not found or found.get("type") in ("function_call", "tool_use"):
            return _listed([found])
    raise InvalidInputError(
        f"`handle` takes a message or a completion of OpenAI, Anthropic or Gemini, not {type(response).__name__}."
    )


def messages_of(shape: Shape, answered: Sequence[tuple[AskedCall, ToolResult]]) -> list[Message]:
    """Return the messages that answer the calls, in order, to be appended after the model's own message."""
    if not answered:
        return []
    if shape == "openai":
        return [
            {"role": "tool", "tool_call_id": call.id, "content": result.text} for call, result in answered
        ]
    if shape == "openai_responses":
        return [
            {"type": "function_call_output", "call_id": call.id, "output": result.text}
            for call, result in answered
        ]
    if shape == "anthropic":
        blocks = [
            {
                "type": "tool_result",
                "tool_use_id": call.id,
                "content": result.text,
                "is_error": result.is_error,
            }
            for call, result in answered
        ]
        return [{"role": "user", "content": blocks}]
    parts = [
        {
            "function_response": {
                **({} if call.id is None else {"id": call.id}),
                "name": call.name,
                "response": {"error" if result.is_error else "result": result.text},
            }
        }
        for call, result in answered
    ]
    return [{"role": "user", "parts": parts}]


def _message(response: Json) -> Json:
    """Return the message of a completion, or of one of its choices or candidates; else what was given."""
    if "choices" in response:
        return _first(response["choices"], "message")
    if "candidates" in response:
        return _first(response["candidates"], "content")
    for field in ("message", "content"):
        if isinstance(response.get(field), Mapping):
            return cast("Json", response[field])
    return response


def _listed(items: Sequence[object]) -> tuple[Shape, list[AskedCall]]:
    """Return the calls of a bare list: the output of Responses, or the calls, blocks or parts of a message."""
    blocks = _blocks(items)
    if any(block.get("type") == "tool_use" for block in blocks):
        return "anthropic", _anthropic(blocks)
    if any(isinstance(block.get("function"), Mapping) for block in blocks):
        return "openai", _chat(blocks)
    if any(block.get("function_call") or block.get("functionCall") for block in blocks):
        return "gemini", _gemini(blocks)
    return "openai_responses", _responses(blocks)


def _plain(value: object) -> object:
    """Return an object of an SDK as dicts and lists; those all have pydantic's `model_dump`."""
    dump = getattr(value, "model_dump", None)
    if dump is not None:
        return dump()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in cast("Sequence[object]", value)]
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in cast("Mapping[object, object]", value).items()}
    return value


def _items(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []


def _first(choices: object, field: str) -> Json:
    """Return the message of the first choice; a refused answer may have none."""
    first = next(iter(_items(choices)), None)
    inner: object = cast("Json", first).get(field) if isinstance(first, Mapping) else None
    return cast("Json", inner) if isinstance(inner, Mapping) else {}


def _is_anthropic(message: Json) -> bool:
    """Return whether a message has blocks of Anthropic's; a chat message's own calls lie beside its content."""
    if "tool_calls" in message or not isinstance(message.get("content"), list):
        return False
    blocks = _blocks(_items(message["content"]))
    return message.get("type") == "message" or any(block.get("type") == "tool_use" for block in blocks)


def _blocks(items: Sequence[object]) -> list[Json]:
    return [cast("Json", item) for item in items if isinstance(item, Mapping)]


def _chat(calls: Sequence[object]) -> list[AskedCall]:
    return [
        AskedCall(
            id=call.get("id"),
            name=str(call["function"].get("name")),
            arguments=call["function"].get("arguments"),
        )
        for call in _blocks(calls)
        if isinstance(call.get("function"), Mapping)
    ]


def _responses(items: Sequence[object]) -> list[AskedCall]:
    return [
        AskedCall(id=item.get("call_id"), name=str(item.get("name")), arguments=item.get("arguments"))
        for item in _blocks(items)
        if item.get("type") == "function_call"
    ]


def _anthropic(blocks: Sequence[object]) -> list[AskedCall]:
    return [
        AskedCall(id=block.get("id"), name=str(block.get("name")), arguments=block.get("input"))
        for block in _blocks(blocks)
        if block.get("type") == "tool_use"
    ]


def _gemini(parts: Sequence[object]) -> list[AskedCall]:
    found = [part.get("function_call") or part.get("functionCall") for part in _blocks(parts)]
    return [
        AskedCall(id=call.get("id"), name=str(call.get("name")), arguments=call.get("args"))
        for call in _blocks(found)
    ]
