"""Clients that others wrote: the TypeScript SDK's, OpenAI Agents' and LlamaIndex's."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mcp")

from integrations.tools.tests.mcp_client import arguments, environment, http_server
from memkit import Memory

pytestmark = pytest.mark.engine

SCRIPT = Path(__file__).with_name("mcp_client.cjs")
PACKAGE = "@modelcontextprotocol/sdk"
TOOLS = ["search_memories", "add_memory", "update_memory", "delete_memory"]


@pytest.fixture(scope="module")
def node() -> dict[str, str]:
    """The environment in which node finds the TypeScript SDK."""
    npm = shutil.which("npm")
    if shutil.which("node") is None or npm is None:
        pytest.skip("needs node")
    listed = subprocess.run(
        [npm, "root", "--global"], capture_output=True, text=True, check=False
    ).stdout.strip()
    paths = os.pathsep.join(path for path in (os.environ.get("NODE_PATH"), listed) if path)
    env = {"PATH": os.environ["PATH"], "NODE_PATH": paths}
    found = subprocess.run(
        ["node", "-e", f"require.resolve('{PACKAGE}/client/index.js')"],
        env=env,
        capture_output=True,
        check=False,
    )
    if found.returncode:
        pytest.skip(f"needs {PACKAGE} where node looks: npm install --global {PACKAGE}, or NODE_PATH")
    return env


def check(seen: dict[str, Any]) -> None:
    assert (seen["server"], seen["tools"]) == ("memkit", TOOLS)
    assert seen["added"]["structuredContent"]["status"] == "added"
    assert [row["memory"] for row in seen["found"]["structuredContent"]["results"]] == ["Ada sails."]
    assert seen["refused"]["isError"] and seen["unknown"]["isError"]
    assert (seen["resources"], seen["templates"]) == (["memory://memories"], ["memory://memories/{id}"])
    assert "Ada sails." in seen["read"]
    assert seen["prompts"] == ["recall"]
    assert "Ada sails." in seen["prompt"]


def run(given: str, env: dict[str, str]) -> dict[str, Any]:
    done = subprocess.run(
        ["node", str(SCRIPT), given], env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_typescript_client_over_stdio(node: dict[str, str], tmp_path: Path) -> None:
    server = {"command": sys.executable, "args": arguments(tmp_path), "env": environment()}
    check(run(json.dumps(server), node))


def test_the_typescript_client_over_http(node: dict[str, str], tmp_path: Path) -> None:
    with http_server(tmp_path) as (url, _):
        check(run(url, node))


async def test_an_agent_of_openai_agents_uses_it(tmp_path: Path) -> None:
    pytest.importorskip("agents")
    from agents import Agent, RunConfig, Runner
    from agents.mcp import MCPServerStdio
    from agents.testing import ScriptedModel, assistant_message, function_call

    model = ScriptedModel(
        [
            [function_call("add_memory", {"text": "Ada sails."}, call_id="1")],
            [function_call("search_memories", {"query": "Who sails?", "limit": None}, call_id="2")],
            [assistant_message("You sail.")],
        ]
    )
    params = {"command": sys.executable, "args": arguments(tmp_path), "env": environment()}
    async with MCPServerStdio(params=params, client_session_timeout_seconds=30) as server:  # type: ignore[arg-type]  # a TypedDict
        assert [tool.name for tool in await server.list_tools()] == TOOLS
        agent = Agent(name="Sailor", model=model, mcp_servers=[server])
        done = await Runner.run(agent, "Do I sail?", run_config=RunConfig(tracing_disabled=True))
    assert done.final_output == "You sail."
    outputs = [str(item.output) for item in done.new_items if item.type == "tool_call_output_item"]
    assert "Saved [" in outputs[0]
    assert "Ada sails." in outputs[1]


async def test_an_agent_of_openai_agents_uses_it_over_http(tmp_path: Path) -> None:
    pytest.importorskip("agents")
    from agents.mcp import MCPServerStreamableHttp

    with http_server(tmp_path) as (url, _):
        async with MCPServerStreamableHttp(params={"url": url}, client_session_timeout_seconds=30) as server:
            assert [tool.name for tool in await server.list_tools()] == TOOLS
            done = await server.call_tool("add_memory", {"text": "Ada sails."})
            assert "Saved [" in done.content[0].text  # type: ignore[union-attr]  # it is text


async def test_llama_index_keeps_what_it_wrote_though_it_starts_a_server_for_each_call(
    tmp_path: Path,
) -> None:
    mcp = pytest.importorskip("llama_index.tools.mcp")

    client = mcp.BasicMCPClient(sys.executable, args=arguments(tmp_path), env=environment(), timeout=60)
    tools = {tool.metadata.name: tool for tool in await mcp.McpToolSpec(client).to_tool_list_async()}
    assert list(tools) == TOOLS
    await tools["add_memory"].acall(text="Ada sails.")
    assert "Ada sails." in str(await tools["search_memories"].acall(query="Who sails?"))
    await asyncio.sleep(0)
    with Memory(str(tmp_path), llm=None, embedder="hash") as memory:
        assert memory.count(user_id="ada") == 1
