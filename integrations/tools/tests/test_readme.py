"""The agent loops of the README are whole, short, and run over the official SDKs; a local server plays the model."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from integrations.tools.tests.chat_server import ChatServer

README = Path(__file__).parents[1] / "README.md"
LOOP = re.compile(r"^```python(?P<skip>[^\n]*)\n(?P<code>[^`]*toolbox\.handle\(.*?)^```", flags=re.M | re.S)


def loops() -> list[Any]:
    found = LOOP.finditer(README.read_text("utf-8"))
    apis = ("chat completions", "responses", "anthropic")
    return [pytest.param(loop["skip"], loop["code"], id=api) for api, loop in zip(apis, found, strict=True)]


@pytest.mark.parametrize(("_skip", "code"), loops())
def test_a_complete_agent_loop_is_under_20_lines(_skip: str, code: str) -> None:
    lines = [line for line in code.splitlines() if line.strip() and not line.startswith(("#>", "print"))]
    assert len(lines) < 20


@pytest.mark.parametrize(("skip", "code"), loops())
def test_it_runs_over_the_official_sdk(
    skip: str, code: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with ChatServer({"calls": [("add_memory", {"text": "The user sails."})]}, "Noted.") as server:
        for vendor, url in (("OPENAI", f"{server.url}/v1"), ("ANTHROPIC", server.url)):
            monkeypatch.setenv(f"{vendor}_BASE_URL", url)
            monkeypatch.setenv(f"{vendor}_API_KEY", "any")
        space: dict[str, Any] = {}
        exec(compile(code, str(README), "exec"), space)
        space["client"].close()
    assert capsys.readouterr().out.splitlines() == re.findall(r"^#> (.*)$", code, flags=re.M)
    assert "The user sails." in space["toolbox"].call("search_memories", {"query": "sailing"}).text
    if skip:  # the others bring a server of their own
        definitions = [tool["name"] for tool in server.bodies[0]["tools"]]
        assert definitions == space["toolbox"].names
        assert len(server.bodies) == 2
