"""JSON out of what models really write."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from memkit.llms.parsing import parse_as, plain_text


class Answer(BaseModel):
    items: list[str]


GOOD = [
    '{"items": ["a"]}',
    '```json\n{"items": ["a"]}\n```',
    '```\n{"items": ["a"]}',
    'Here you are:\n\n{"items": ["a"]}\n\nAnything else?',
    '<think>Maybe {"items": ["wrong"]}?</think>{"items": ["a"]}',
    'so {"items": ["wrong"]} it is</think>\n{"items": ["a"]}',
    '<thinking>\n```json\n{}\n```\n</thinking>\n```json\n{"items": ["a"]}\n```',
    '{"items": ["a",],}',
    '\ufeff{"items": ["a"]}',
    'The format is {} and the answer {"items": ["a"]} as asked. {}',
    '"{\\"items\\": [\\"a\\"]}"',
    'Use {braces} like {"x": 1}. {"items": ["a"], "more": {"b": [1]}}',
    '[1] first, [2] second: {"items": ["a"]}',
]


@pytest.mark.parametrize("text", GOOD)
def test_the_object_is_found(text: str) -> None:
    assert parse_as(text, Answer) == (Answer(items=["a"]), "")


def test_raw_line_breaks_inside_strings_are_taken() -> None:
    assert parse_as('{"items": ["a\nb\tc"]}', Answer)[0] == Answer(items=["a\nb\tc"])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "empty"),
        ("I cannot do that.", "no JSON object"),
        ('{"items": ["a"', "no JSON object"),
        ('{"things": []}', "items"),
        ('{"items": "a"}', "items"),
        ("null", "no JSON object"),
    ],
)
def test_what_is_wrong_is_said(text: str, problem: str) -> None:
    parsed, said = parse_as(text, Answer)
    assert parsed is None and problem in said


def test_hostile_depth_and_length_end_soon() -> None:
    assert parse_as("[" * 100_000, Answer)[0] is None
    assert parse_as('{"a":' * 50_000, Answer)[0] is None
    assert parse_as("{ " * 200_000 + '{"items": ["a"]}', Answer)[0] is None


def test_plain_text_has_no_thoughts_and_no_fence() -> None:
    assert plain_text("<think>hm</think>\n```text\nStep 1\n```") == "Step 1"
    assert plain_text("Use `x`.\n```sh\nls\n```\ndone") == "Use `x`.\n```sh\nls\n```\ndone"
