"""Tool definitions in each vendor's shape, as plain dicts: no SDK is imported.

Strict schemas follow https://platform.openai.com/docs/guides/structured-outputs#supported-schemas: every property is
required, nullable where it is optional, nothing else is allowed, and there are no defaults.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias, cast

from pydantic import BaseModel

from .spec import ToolSpec

Definition: TypeAlias = Any
"""A tool as a plain dict, untyped: every SDK types the same dict as a class of its own."""
Schema = dict[str, Any]
"""A JSON Schema."""


def openai(tools: Iterable[ToolSpec], *, strict: bool = True) -> list[Definition]:
    """Return `tools=` of OpenAI's Chat Completions."""
    return [
        {
            "type": "function",
            "function": {
                "name": tool.name,
                "description": tool.description,
                "parameters": schema(tool.arguments, strict=strict),
                **({"strict": True} if strict else {}),
            },
        }
        for tool in tools
    ]


def openai_responses(tools: Iterable[ToolSpec], *, strict: bool = True) -> list[Definition]:
    """Return `tools=` of OpenAI's Responses."""
    return [
        {
            "type": "function",
            "name": tool.name,
            "description": tool.description,
            "parameters": schema(tool.arguments, strict=strict),
            "strict": strict,
        }
        for tool in tools
    ]


def anthropic(tools: Iterable[ToolSpec]) -> list[Definition]:
    """Return `tools=` of Anthropic's Messages."""
    return [
        {"name": tool.name, "description": tool.description, "input_schema": schema(tool.arguments)}
        for tool in tools
    ]


def gemini(tools: Iterable[ToolSpec]) -> list[Definition]:
    """Return the arguments of Gemini's `FunctionDeclaration`s."""
    return [
        {
            "name": tool.name,
            "description": tool.description,
            "parameters_json_schema": schema(tool.arguments),
        }
        for tool in tools
    ]


def json_schema(tools: Iterable[ToolSpec]) -> list[Definition]:
    """Return name, description and plain JSON Schema of each tool."""
    return [
        {"name": tool.name, "description": tool.description, "parameters": schema(tool.arguments)}
        for tool in tools
    ]


def schema(arguments: type[BaseModel], *, strict: bool = False) -> Schema:
    """Return the JSON Schema of a tool's arguments; an optional one is nullable in strict form, else left out."""
    made = arguments.model_json_schema()
    properties = {
        name: _property(cast("Mapping[str, Any]", given), strict=strict)
        for name, given in cast("Mapping[str, object]", made.get("properties", {})).items()
    }
    required = list(properties) if strict else list(cast("list[str]", made.get("required", [])))
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _property(given: Mapping[str, Any], *, strict: bool) -> Schema:
    kept = {key: value for key, value in given.items() if key not in ("title", "default")}
    options = cast("list[Schema] | None", kept.pop("anyOf", None))
    if options is None:
        return kept
    if strict:
        return {"anyOf": options, **kept}
    [plain] = [option for option in options if option.get("type") != "null"]
    return {**plain, **kept}
