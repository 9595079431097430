"""JSON out of what models really write: fences, thoughts, small talk around it, commas and quotes gone wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final, TypeVar, cast

from pydantic import BaseModel, ValidationError

M = TypeVar("M", bound=BaseModel)

_THOUGHT: Final = re.compile(
    r"<(think|thinking|reasoning|thought)\b[^>]*>.*?</\1\s*>", re.DOTALL | re.IGNORECASE
)
_END_OF_THOUGHT: Final = re.compile(r"</(?:think|thinking|reasoning|thought)\s*>", re.IGNORECASE)
_FENCE: Final = re.compile(r"```[\w+-]*[ \t]*\r?\n?(.*?)(?:```|\Z)", re.DOTALL)
_TRAILING_COMMA: Final = re.compile(r",(\s*[}\]])")
_MAX_STARTS: Final = 64


def parse_as(text: str, schema: type[M]) -> tuple[M | None, str]:
    """Return the first JSON value in a text that fits a schema, and else None with what is wrong.

    Of several values the first that fits counts, so braces in small talk do no harm.

    Returns:
        The model and an empty text, or None and one line for the next try.
    """
    problem = "there is no JSON object in it"
    if not text.strip():
        return None, "it is empty"
    for value in json_values(text):
        try:
            return schema.model_validate(value), ""
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            path = ".".join(str(part) for part in first["loc"]) or "the top level"
            problem = f"{path}: {first['msg']}"
    return None, problem


def json_values(text: str) -> Iterator[Any]:
    """Yield the JSON objects and arrays that a text may hold, the likeliest first."""
    plain = _without_thoughts(text)
    sources = [plain, *(match.group(1) for match in _FENCE.finditer(plain))]
    if plain != text:
        sources.append(text)
    seen: set[str] = set()
    for source in sources:
        whole = source.strip().lstrip("\ufeff")
        if whole in seen:
            continue
        seen.add(whole)
        value = _loads(whole)
        if isinstance(value, str):
            value = _loads(value)
        if isinstance(value, dict | list):
            yield cast("object", value)
    for source in sources:
        yield from _embedded(source)


def plain_text(text: str) -> str:
    """Return an answer without the model's thoughts, and without a fence around the whole of it."""
    plain = _without_thoughts(text).strip()
    fenced = re.fullmatch(r"```[\w+-]*[ \t]*\r?\n(.*?)\r?\n?```", plain, re.DOTALL)
    return fenced.group(1).strip() if fenced else plain


def _without_thoughts(text: str) -> str:
    plain = _THOUGHT.sub("", text)
    # Some servers cut the opening tag off.
    ends = list(_END_OF_THOUGHT.finditer(plain))
    return plain[ends[-1].end() :] if ends else plain


def _loads(text: str) -> object:
    for variant in (text, _TRAILING_COMMA.sub(r"\1", text)):
        try:
            # Not strict: small models write raw line breaks and tabs inside strings.
            return json.loads(variant, strict=False)
        except (ValueError, RecursionError):
            continue
    return None


def _embedded(text: str) -> Iterator[Any]:
    decoder = json.JSONDecoder(strict=False)
    for variant in dict.fromkeys((text, _TRAILING_COMMA.sub(r"\1", text))):
        position = 0
        for _ in range(_MAX_STARTS):
            match = re.compile(r"[{\[]").search(variant, position)
            if match is None:
                break
            try:
                value, position = decoder.raw_decode(variant, match.start())
            except (ValueError, RecursionError):
                position = match.start() + 1
                continue
            if value:
                yield value
