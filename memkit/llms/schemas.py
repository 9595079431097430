"""A response model in the forms that servers take: strict JSON schema, or an example for those without one."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, cast

from pydantic import BaseModel

Json = dict[str, Any]


@lru_cache(maxsize=32)
def strict_schema(model: type[BaseModel]) -> Json:
    """Return a model's schema as OpenAI's strict mode wants it: every field required, nothing else allowed.

    It is made once for each model, and the same object every time: nobody changes it.

    Source: https://platform.openai.com/docs/guides/structured-outputs#supported-schemas
    """
    return cast("Json", _strict(model.model_json_schema()))


def _strict(node: object) -> object:
    if isinstance(node, list):
        return [_strict(item) for item in cast("list[object]", node)]
    if not isinstance(node, Mapping):
        return node
    out: Json = {}
    for key, value in cast("Mapping[str, object]", node).items():
        if key in ("properties", "$defs") and isinstance(value, Mapping):
            out[key] = {name: _strict(item) for name, item in cast("Mapping[str, object]", value).items()}
        elif key not in ("default", "title", "examples"):
            out[key] = _strict(value)
    if out.get("type") == "object" and "properties" in out:
        out["additionalProperties"] = False
        out["required"] = list(out["properties"])
    return out


@lru_cache(maxsize=32)
def example_of(model: type[BaseModel]) -> Json:
    """Return an object in the shape of a model, each value standing for what belongs there; made once, like a schema.

    Small models echo a JSON schema that they are shown; they fill in an example.
    """
    schema = model.model_json_schema()
    return cast("Json", _example(schema, cast("Json", schema.get("$defs", {})), depth=0))


def _example(node: Json, definitions: Json, depth: int) -> object:
    if "$ref" in node:
        name = str(node["$ref"]).rpartition("/")[2]
        return _example(cast("Json", definitions.get(name, {})), definitions, depth + 1) if depth < 8 else {}
    if "const" in node:
        return node["const"]
    if "enum" in node:
        return "|".join(map(str, cast("list[object]", node["enum"])))
    if options := cast("list[Json] | None", node.get("anyOf")):
        shown = _example(options[0], definitions, depth + 1)
        return f"{shown} or null" if isinstance(shown, str) and len(options) > 1 else shown
    kind = node.get("type")
    if kind == "object":
        properties = cast("Mapping[str, Json]", node.get("properties", {}))
        return {name: _example(spec, definitions, depth + 1) for name, spec in properties.items()}
    if kind == "array":
        items = cast("Json", node.get("items", {}))
        options = cast("list[Json]", items.get("anyOf", [items]))
        return [_example(one, definitions, depth + 1) for one in options if one.get("type") != "null"]
    return {"string": "text", "integer": 0, "number": 0.0, "boolean": True}.get(str(kind))
