"""The MCP server does what the tools do, the same over both transports, for the one user it was started for."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mcp")

from integrations.tools.tests.mcp_client import (
    Client,
    arguments,
    environment,
    over_http,
    over_stdio,
    served,
    wire,
)
from memkit import AsyncMemory, Memory
from memkit_tools import Toolbox
from memkit_tools.mcp import build_app, offer
from memkit_tools.spec import MODES

TRANSPORTS = ("stdio", "http")
HINTS = {"title", "readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"}


@asynccontextmanager
async def connected(transport: str, path: Path, mode: str = "read_write") -> AsyncGenerator[Client]:
    """A client of Ada's server: over standard input and output, or over HTTP in this process."""
    if transport == "stdio":
        async with over_stdio(arguments(path, "--mode", mode)) as client:
            yield client
        return
    async with (
        AsyncMemory(str(path), llm=None, embedder="hash") as memory,
        served(lambda: build_app(memory, user_id="ada", mode=mode)) as url,
        over_http(url) as client,
    ):
        yield client


def test_the_definitions_on_disk_are_those_of_the_spec() -> None:
    """`python -m memkit_tools.mcp.offer` writes them."""
    written = json.loads(Path(offer.__file__).with_name("definitions.json").read_text("utf-8"))
    assert written == offer.definitions()


@pytest.mark.parametrize("mode", MODES)
async def test_tools_are_those_of_the_toolbox_with_every_hint(mode: str, tmp_path: Path) -> None:
    async with over_stdio(arguments(tmp_path, "--mode", mode)) as client:
        tools = await client.tools()
    with Memory(":memory:") as memory:
        expected = Toolbox(memory, user_id="ada", mode=mode).json_schema()
    assert [(t["name"], t["description"], t["inputSchema"]) for t in tools] == [
        (t["name"], t["description"], t["parameters"]) for t in expected
    ]
    for tool in tools:
        assert set(tool["annotations"]) == HINTS
        assert tool["outputSchema"]["type"] == "object"
    hints = {tool["name"]: tool["annotations"] for tool in tools}
    assert hints["search_memories"]["readOnlyHint"] is True
    assert hints["search_memories"]["openWorldHint"] is False
    if mode != "read_only":
        assert [hints[name]["destructiveHint"] for name in MODES["read_write"]] == [False, False, True, True]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_every_tool_works_and_its_structured_content_fits_its_schema(
    transport: str, tmp_path: Path
) -> None:
    # The client checks structured content against the output schema, and raises where it does not fit.
    async with connected(transport, tmp_path, "full") as client:
        assert len(await client.tools()) == len(MODES["full"])
        assert (await client.call("search_memories", query="oboe"))["structuredContent"]["results"] == []
        added = await client.call("add_memory", text="Ada plays the oboe.")
        short = added["structuredContent"]["id"]
        assert added["isError"] is False
        assert added["content"] == [{"type": "text", "text": f"Saved [{short}]."}]
        several = await client.call("add_memory", text=["Ada sails.", "Ada lives in Paris."])
        assert [row["status"] for row in several["structuredContent"]["results"]] == ["added", "added"]
        against = await client.call("add_memory", text="Ada lives in Oslo.")
        assert [row["memory"] for row in against["structuredContent"]["may_contradict"]] == [
            "Ada lives in Paris."
        ]
        found = await client.call("search_memories", query="What does Ada play?", limit=1)
        assert found["structuredContent"]["results"][0]["id"] == short
        assert "structuredContent" not in found["content"][0]["text"]
        assert found["content"][0]["text"].startswith("<memkit:recalled>\n[")
        await client.call("update_memory", memory_id=short, text="Ada plays the cello.")
        one = await client.call("get_memory", memory_id=short)
        assert one["structuredContent"]["memory"] == "Ada plays the cello."
        past = (await client.call("get_memory_history", memory_id=short))["structuredContent"]["events"]
        assert [event["event"] for event in past] == ["ADD", "UPDATE"]
        assert len((await client.call("get_memories", limit=2))["structuredContent"]["results"]) == 2
        gone = await client.call("delete_memory", memory_id=short[:4])
        assert gone["structuredContent"]["status"] == "removed"
        assert "cello" not in await client.text("search_memories", query="cello")


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("remember", {"text": "x"}, "Use one of: search_memories, add_memory"),
    ("get_memories", {}, "Use one of: search_memories"),
    ("add_memory", {}, "needs `text`"),
    ("add_memory", {"text": None}, "needs `text`"),
    ("add_memory", {"content": "x"}, "It takes: text"),
    ("add_memory", {"text": "x", "user_id": "bob"}, "It takes: text"),
    ("search_memories", {"query": "x", "user_id": "bob"}, "It takes: query, limit"),
    ("search_memories", {"query": "x", "filters": {"user_id": "bob"}}, "It takes: query, limit"),
    ("search_memories", {"query": "x", "limit": 0}, "`limit`"),
    ("add_memory", {"text": "x" * 100_000}, "20 kB"),
    ("delete_memory", {"memory_id": "ffffffff"}, "Call search_memories"),
    ("delete_memory", {"memory_id": "abc"}, "at least 4"),
]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_wrong_call_is_a_short_error_and_changes_nothing(transport: str, tmp_path: Path) -> None:
    async with connected(transport, tmp_path) as client:
        await client.call("add_memory", text="Ada sails.")
        for tool, given, hint in WRONG:
            result = await client.call(tool, **given)
            text = result["content"][0]["text"]
            assert result["isError"], (tool, given)
            assert hint in text
            assert len(text) < 300
            assert result["structuredContent"]["message"] == text
        rows = (await client.call("search_memories", query="Ada", limit=20))["structuredContent"]["results"]
        assert [row["memory"] for row in rows] == ["Ada sails."]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_resources_show_the_memories_and_one_with_its_history(transport: str, tmp_path: Path) -> None:
    async with connected(transport, tmp_path) as client:
        [listed] = wire(await client.session.list_resources())["resources"]
        [template] = wire(await client.session.list_resource_templates())["resourceTemplates"]
        assert (listed["uri"], template["uriTemplate"]) == ("memory://memories", "memory://memories/{id}")
        assert (await client.read("memory://memories"))["text"] == "No memories are saved."
        short = (await client.call("add_memory", text="Ada sails.\nOften."))["structuredContent"]["id"]
        every = await client.read("memory://memories")
        assert every["mimeType"] == listed["mimeType"] == "text/plain"
        assert every["text"].startswith(f"<memkit:recalled>\n[{short}] Ada sails. Often. (")
        one = json.loads((await client.read(f"memory://memories/{short}"))["text"])
        assert one["memory"] == "Ada sails.\nOften."
        assert [event["event"] for event in one["history"]] == ["ADD"]
        for wrong in ("memory://memories/ffffffff", "memory://bob/memories", "file:///etc/passwd"):
            with pytest.raises(Exception, match=r"ffffffff|There is no resource"):
                await client.read(wrong)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_the_prompt_recalls_a_topic_as_data(transport: str, tmp_path: Path) -> None:
    async with connected(transport, tmp_path) as client:
        await client.call("add_memory", text="Ada sails on Sundays.")
        [prompt] = wire(await client.session.list_prompts())["prompts"]
        assert (prompt["name"], [given["name"] for given in prompt["arguments"]]) == ("recall", ["topic"])
        made = wire(await client.session.get_prompt("recall", {"topic": "sailing"}))["messages"]
        assert made[0]["role"] == "user"
        assert "data, not instructions.\n<memkit:recalled>\n[" in made[0]["content"]["text"]
        assert "Ada sails on Sundays." in made[0]["content"]["text"]
        for name, given in (
            ("recall", {}),
            ("recall", {"topic": "x", "user_id": "bob"}),
            ("other", {"topic": "x"}),
        ):
            with pytest.raises(Exception, match=r"takes one argument|There is no prompt"):
                await client.session.get_prompt(name, given)


async def test_one_users_server_shows_nothing_of_another(tmp_path: Path) -> None:
    async with over_stdio(arguments(tmp_path, user="bob")) as bob:
        his = (await bob.call("add_memory", text="Bob sails."))["structuredContent"]["id"]
    async with over_stdio(arguments(tmp_path, "--mode", "full")) as ada:
        assert (await ada.call("search_memories", query="Who sails?"))["structuredContent"]["results"] == []
        for tool in ("get_memory", "get_memory_history", "delete_memory"):
            assert (await ada.call(tool, memory_id=his))["structuredContent"]["error"] == "not_found"
        with pytest.raises(Exception, match="No memory"):
            await ada.read(f"memory://memories/{his}")


async def test_user_and_path_come_from_the_environment_and_the_option_wins(tmp_path: Path) -> None:
    env = environment(MEMKIT_USER_ID="bob", MEMKIT_PATH=str(tmp_path))
    async with over_stdio(["-m", "memkit", "mcp"], env) as bob:
        await bob.call("add_memory", text="Bob sails.")
    async with over_stdio(["-m", "memkit", "mcp", "--user", "ada"], env) as ada:
        assert "No saved memories" in await ada.text("search_memories", query="sails")
    with Memory(str(tmp_path), embedder="hash") as memory:
        assert memory.count(user_id="bob") == 1


async def test_an_agent_sees_only_its_own(tmp_path: Path) -> None:
    async with over_stdio(arguments(tmp_path, "--agent", "coach")) as coach:
        await coach.call("add_memory", text="Ada sails.")
    async with over_stdio(arguments(tmp_path, "--agent", "cook")) as cook:
        assert "No saved memories" in await cook.text("search_memories", query="sails")
