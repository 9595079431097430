"""Definitions in every vendor's shape: valid by its rules, without ids, and cheap."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any

import pytest
from openai import pydantic_function_tool

from memkit import Memory
from memkit.ranking.token_estimate import estimate_tokens
from memkit_tools import Toolbox
from memkit_tools.spec import SPECS

SHAPES = ("openai", "openai_responses", "anthropic", "gemini", "json_schema")


@pytest.fixture
def default(memory: Memory) -> Toolbox:
    return Toolbox(memory, user_id="ada")


def parameters(definition: dict[str, Any]) -> dict[str, Any]:
    inner = definition.get("function", definition)
    return next(
        inner[key] for key in ("parameters", "input_schema", "parameters_json_schema") if key in inner
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_there_is_one_plain_dict_per_tool(box: Toolbox, shape: str) -> None:
    made = getattr(box, shape)()
    assert json.loads(json.dumps(made)) == made
    assert [tool.get("function", tool)["name"] for tool in made] == box.names


@pytest.mark.parametrize("shape", SHAPES)
def test_the_default_set_costs_less_than_700_tokens(default: Toolbox, shape: str) -> None:
    assert estimate_tokens(json.dumps(getattr(default, shape)())) < 700


@pytest.mark.parametrize("shape", SHAPES)
def test_no_definition_has_an_id_of_somebody(box: Toolbox, shape: str) -> None:
    text = json.dumps(getattr(box, shape)())
    assert not any(word in text for word in ("user_id", "agent_id", "run_id", "ada", "filters"))


def test_openai_has_the_shape_of_chat_completions(default: Toolbox) -> None:
    assert default.openai()[3] == {
        "type": "function",
        "function": {
            "name": "delete_memory",
            "description": "Remove one memory from recall; an operator can undo it. Only when asked to or clearly wrong.",
            "parameters": {
                "type": "object",
                "properties": {"memory_id": {"type": "string", "description": "Id in brackets."}},
                "required": ["memory_id"],
                "additionalProperties": False,
            },
            "strict": True,
        },
    }
    assert "strict" not in default.openai(strict=False)[0]["function"]


def test_responses_are_flat_and_say_strict_either_way(default: Toolbox) -> None:
    tool = default.openai_responses()[0]
    assert set(tool) == {"type", "name", "description", "parameters", "strict"}
    assert default.openai_responses(strict=False)[0]["strict"] is False


@pytest.mark.parametrize("shape", ["openai", "openai_responses"])
def test_strict_schemas_keep_the_rules_of_strict_mode(box: Toolbox, shape: str) -> None:
    for tool in getattr(box, shape)():
        schema = parameters(tool)
        assert schema["required"] == list(schema["properties"])
        assert schema["additionalProperties"] is False
        assert not any(word in json.dumps(schema) for word in ('"default"', '"title"', '"$ref"', "minimum"))


def test_the_sdk_makes_the_same_strict_schema(box: Toolbox) -> None:
    for tool in box.openai():
        name = tool["function"]["name"]
        theirs: Any = pydantic_function_tool(SPECS[name].arguments)["function"].get("parameters")
        ours = parameters(tool)
        assert theirs["required"] == ours["required"]
        for field, given in theirs["properties"].items():
            assert {key: value for key, value in given.items() if key != "title"} == ours["properties"][field]


@pytest.mark.parametrize("shape", ["anthropic", "gemini", "json_schema"])
def test_plain_schemas_leave_optional_arguments_out_of_required(default: Toolbox, shape: str) -> None:
    schema = parameters(getattr(default, shape)()[0])
    assert schema["required"] == ["query"]
    assert schema["properties"]["limit"]["type"] == "integer"


def test_every_parameter_and_tool_is_described(box: Toolbox) -> None:
    for tool in box.json_schema():
        assert 20 < len(tool["description"]) < 1024
        assert all(given["description"] for given in tool["parameters"]["properties"].values())


def test_hints_say_what_a_tool_does() -> None:
    reads = {name for name, spec in SPECS.items() if spec.hints.read_only}
    assert reads == {"search_memories", "get_memories", "get_memory", "get_memory_history"}
    assert not SPECS["add_memory"].hints.destructive
    assert all(
        SPECS[name].hints.destructive for name in ("update_memory", "delete_memory", "delete_all_memories")
    )


def test_a_result_costs_at_most_15_tokens_beside_its_text(memory: Memory) -> None:
    """Of twenty, over which the fence and the luck of the ids' digits are spread."""
    memory.add_many([f"Ada keeps note {n} about the garden." for n in range(20)], user_id="ada")
    result = Toolbox(memory, user_id="ada").call("search_memories", {"query": "garden notes", "limit": 20})
    texts = [row["memory"] for row in result.data["results"]]
    assert len(texts) == 20
    assert (estimate_tokens(result.text) - sum(map(estimate_tokens, texts))) / 20 <= 15


def test_so_do_the_five_results_of_a_search_that_names_no_limit(memory: Memory) -> None:
    memory.add_many([f"Ada keeps note {n} about the garden." for n in range(5)], user_id="ada")
    result = Toolbox(memory, user_id="ada").call("search_memories", {"query": "garden notes"})
    texts = [row["memory"] for row in result.data["results"]]
    assert len(texts) == 5
    # How often digits and letters take turns in an id is luck, which makes it four tokens on average.
    usual = re.sub(r"(?m)^\[[0-9a-f]{6}\]", "[b0947a]", result.text)
    assert (estimate_tokens(usual) - sum(map(estimate_tokens, texts))) / 5 <= 15


def test_importing_loads_no_sdk() -> None:
    code = (
        "import sys, memkit_tools; memkit_tools.Toolbox; "
        "bad = {'openai', 'anthropic', 'google', 'mcp', 'httpx', 'langchain_core'} & set(sys.modules); "
        "assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
