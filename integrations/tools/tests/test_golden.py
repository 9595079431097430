"""What each renderer gives, word for word, and valid by its vendor's own types and helpers.

python integrations/tools/tests/test_golden.py    writes the files anew; read the diff
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pydantic import TypeAdapter

from memkit import Memory
from memkit_tools import Toolbox
from memkit_tools.mcp.offer import definitions

GOLDEN = Path(__file__).with_name("golden")
RENDERERS: dict[str, Callable[[Toolbox], Any]] = {
    "openai": lambda box: box.openai(),
    "openai_not_strict": lambda box: box.openai(strict=False),
    "openai_responses": lambda box: box.openai_responses(),
    "openai_responses_not_strict": lambda box: box.openai_responses(strict=False),
    "anthropic": lambda box: box.anthropic(),
    "gemini": lambda box: box.gemini(),
    "json_schema": lambda box: box.json_schema(),
    "mcp": lambda box: list(definitions()["tools"].values()),
}
STRICT = ("openai", "openai_responses")


def rendered(name: str) -> str:
    with Memory(":memory:") as memory:
        box = Toolbox(memory, user_id="ada", mode="full", allow_bulk_delete=True)
        return json.dumps(RENDERERS[name](box), indent=1, ensure_ascii=False) + "\n"


def tools(name: str) -> list[Any]:
    return json.loads((GOLDEN / f"{name}.json").read_text("utf-8"))


def parameters(tool: dict[str, Any]) -> dict[str, Any]:
    inner = tool.get("function", tool)
    names = ("parameters", "input_schema", "parameters_json_schema", "inputSchema")
    return next(inner[name] for name in names if name in inner)


@pytest.mark.parametrize("name", RENDERERS)
def test_a_renderer_gives_what_its_golden_file_says(name: str) -> None:
    assert rendered(name) == (GOLDEN / f"{name}.json").read_text("utf-8"), f"python {Path(__file__).name}"


def test_there_is_a_golden_file_for_each_renderer_and_no_other() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == set(RENDERERS)


@pytest.mark.parametrize("name", RENDERERS)
def test_every_schema_is_json_schema(name: str) -> None:
    for tool in tools(name):
        jsonschema.Draft202012Validator.check_schema(parameters(tool))
        if "outputSchema" in tool:
            jsonschema.Draft202012Validator.check_schema(tool["outputSchema"])


@pytest.mark.parametrize("name", STRICT)
def test_strict_schemas_are_strict_by_openais_own_helpers(name: str) -> None:
    """Their helpers change what is not strict; ours come out as they went in."""
    strict = pytest.importorskip("agents.strict_schema")
    for tool in tools(name):
        assert strict.ensure_strict_json_schema(parameters(tool)) == parameters(tool)


@pytest.mark.parametrize("name", ["openai", "openai_not_strict"])
def test_openais_types_accept_the_chat_definitions(name: str) -> None:
    from openai.types.chat import ChatCompletionFunctionToolParam

    TypeAdapter(list[ChatCompletionFunctionToolParam]).validate_python(tools(name), strict=True)


@pytest.mark.parametrize("name", ["openai_responses", "openai_responses_not_strict"])
def test_openais_types_accept_the_responses_definitions(name: str) -> None:
    from openai.types.responses import FunctionTool

    for tool in tools(name):
        assert FunctionTool.model_validate(tool).to_dict() == tool


def test_anthropics_types_accept_the_definitions() -> None:
    types = pytest.importorskip("anthropic.types")
    adapter = TypeAdapter[Any](types.ToolParam)
    for tool in tools("anthropic"):
        assert adapter.validate_python(tool)["name"] == tool["name"]


def test_geminis_types_accept_the_definitions() -> None:
    types = pytest.importorskip("google.genai.types")
    for tool in tools("gemini"):
        made = types.FunctionDeclaration(**tool)
        assert made.parameters_json_schema == tool["parameters_json_schema"]


def test_mcps_types_accept_the_definitions() -> None:
    types = pytest.importorskip("mcp.types")
    for tool in tools("mcp"):
        made = types.Tool.model_validate(tool).model_dump(by_alias=True, mode="json", exclude_none=True)
        assert made == tool


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for renderer in RENDERERS:
        (GOLDEN / f"{renderer}.json").write_text(rendered(renderer), "utf-8")
