"""Memory tools for an agent: the application says whose memories, the model never does; failures are messages."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool, ToolException
from langchain_core.utils.function_calling import convert_to_openai_tool
from langgraph.graph import (  # pyright: ignore[reportMissingTypeStubs]  (langgraph ships none)
    START,
    MessagesState,
    StateGraph,
)
from langgraph.prebuilt import ToolNode

from langchain_memkit import MemkitToolkit
from memkit import AsyncMemory, Memory
from memkit.errors import ConfigurationError

QUESTION = {"query": "What do I drink?"}
FORGED = {
    "user_id": "bob",
    "agent_id": "bob",
    "run_id": "bob",
    "config": {"configurable": {"user_id": "bob"}},
    "runtime": {"context": {"user_id": "bob"}},
    "ids": {"user_id": "bob"},
    "memory": "bob",
}


def tools_of(memory: Memory | AsyncMemory, **options: Any) -> dict[str, BaseTool]:
    return {tool.name: tool for tool in MemkitToolkit(memory=memory, **options).get_tools()}


def of(user: Any) -> RunnableConfig:
    return {"configurable": {"user_id": user}}


def call(name: str, arguments: dict[str, Any], id: str = "1") -> dict[str, Any]:
    return {"type": "tool_call", "id": id, "name": name, "args": arguments}


def graph(tools: dict[str, BaseTool], context: type | None = None) -> Any:
    made = StateGraph(MessagesState, context_schema=context)
    made.add_node("tools", ToolNode(list(tools.values())))
    made.add_edge(START, "tools")
    return made.compile()


def turn(*calls: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [AIMessage(content="", tool_calls=list(calls))]}


async def bare(tool: BaseTool, arguments: dict[str, Any], config: RunnableConfig) -> str:
    return tool.invoke(arguments, config)


async def tool_call(tool: BaseTool, arguments: dict[str, Any], config: RunnableConfig) -> str:
    return tool.invoke(call(tool.name, arguments), config).content


async def awaited(tool: BaseTool, arguments: dict[str, Any], config: RunnableConfig) -> str:
    return await tool.ainvoke(arguments, config)


async def node(tool: BaseTool, arguments: dict[str, Any], config: RunnableConfig) -> str:
    return graph({tool.name: tool}).invoke(turn(call(tool.name, arguments)), config)["messages"][-1].content


async def awaited_node(tool: BaseTool, arguments: dict[str, Any], config: RunnableConfig) -> str:
    done = await graph({tool.name: tool}).ainvoke(turn(call(tool.name, arguments)), config)
    return done["messages"][-1].content


STYLES = [bare, tool_call, awaited, node, awaited_node]


@pytest.mark.parametrize("style", STYLES)
async def test_forged_ids_are_ignored(memory: Memory, style: Callable[..., Any]) -> None:
    tools = tools_of(memory)
    found = await style(tools["search_memories"], {**QUESTION, **FORGED}, of("ada"))
    assert "oat milk" in found
    assert "all day" not in found
    await style(tools["add_memory"], {"text": "I drink cocoa at night.", **FORGED}, of("ada"))
    assert memory.count(user_id="bob") == 3
    assert memory.count(user_id="ada") == 5


@pytest.mark.parametrize("style", STYLES)
async def test_a_pinned_user_cannot_be_overridden_by_a_call(
    memory: Memory, style: Callable[..., Any]
) -> None:
    found = await style(tools_of(memory, user_id="ada")["search_memories"], QUESTION, of("bob"))
    assert "oat milk" in found
    assert "all day" not in found


def test_the_context_of_a_graph_says_whose(memory: Memory) -> None:
    app = graph(tools_of(memory), dict)
    done = app.invoke(turn(call("search_memories", QUESTION)), of("ada"), context={"user_id": "bob"})
    assert "all day" in done["messages"][-1].content


def test_a_bound_memory_says_whose(memory: Memory) -> None:
    found = tools_of(memory.bind(user_id="ada"))["search_memories"].invoke(QUESTION, of("bob"))
    assert "oat milk" in found


@pytest.mark.parametrize("user", ["ann@example.com", 42, "名前", "a:b:c", "x.y/z"])
def test_ids_of_any_kind_are_users(memory: Memory, user: Any) -> None:
    for tools, config in ((tools_of(memory), of(user)), (tools_of(memory, user_id=user), None)):
        tools["add_memory"].invoke({"text": "The one who asks plays the oboe."}, config)
        assert "oboe" in tools["search_memories"].invoke({"query": "oboe"}, config)
    assert memory.count(user_id=str(user)) == 1


@pytest.mark.parametrize(
    "config", [None, {}, {"configurable": {"agent_id": "bot"}}, of(" "), of(["ada", "bob"])]
)
def test_no_user_is_an_answer_that_names_user_id(memory: Memory, config: RunnableConfig | None) -> None:
    tool = tools_of(memory)["search_memories"]
    message = tool.invoke(call("search_memories", QUESTION), config)
    assert message.status == "error"
    assert "user_id" in message.content
    tool.handle_tool_error = False
    with pytest.raises(ToolException, match="user_id"):
        tool.invoke(QUESTION, config)


def test_two_users_in_one_batch_never_mix(memory: Memory) -> None:
    tools = tools_of(memory)
    users = ["ada", "bob"] * 8
    found = tools["search_memories"].batch([QUESTION] * 16, [of(user) for user in users])
    for user, text in zip(users, found, strict=True):
        assert ("oat milk" in text, "all day" in text) == (user == "ada", user == "bob")
    tools["add_memory"].batch(
        [{"text": f"Note {n} of {user}."} for n, user in enumerate(users)], [of(user) for user in users]
    )
    for user in ("ada", "bob"):
        notes = [m.memory for m in memory.get_all(user_id=user).results if m.memory.startswith("Note")]
        assert len(notes) == 8
        assert all(note.endswith(f"{user}.") for note in notes)


async def test_two_users_in_one_awaited_batch_never_mix(memory: Memory) -> None:
    users = ["ada", "bob"] * 8
    found = await tools_of(memory)["search_memories"].abatch([QUESTION] * 16, [of(user) for user in users])
    for user, text in zip(users, found, strict=True):
        assert ("oat milk" in text, "all day" in text) == (user == "ada", user == "bob")


def test_a_search_shows_ids_that_work_for_update_and_delete(memory: Memory) -> None:
    tools = tools_of(memory, user_id="ada")
    found = tools["search_memories"].invoke(QUESTION)
    shown = dict(re.findall(r"^\[(\w+)\] (.+) \(\d+\)$", found, flags=re.M))
    short = next(id for id, text in shown.items() if "oat milk" in text)
    tools["update_memory"].invoke({"memory_id": short, "text": "I drink soy milk."})
    assert "soy milk" in tools["search_memories"].invoke(QUESTION)
    tools["delete_memory"].invoke({"memory_id": short})
    assert "soy milk" not in tools["search_memories"].invoke(QUESTION)


def test_adding_is_verbatim_and_points_out_a_contradiction(memory: Memory) -> None:
    tools = tools_of(memory, user_id="eve")
    first = tools["add_memory"].invoke(call("add_memory", {"text": "I live in Paris."}))
    second = tools["add_memory"].invoke(call("add_memory", {"text": "I moved to Berlin."}))
    short = first.artifact[0]["id"][:6]
    assert f"[{short}] I live in Paris." in second.content
    assert [item["memory"] for item in second.artifact] == ["I moved to Berlin."]


def test_the_artifact_is_the_whole_memories_as_plain_json(memory: Memory) -> None:
    tools = tools_of(memory, user_id="ada")
    message = tools["search_memories"].invoke(call("search_memories", QUESTION))
    assert json.loads(json.dumps(message.artifact)) == message.artifact
    assert memory.get(message.artifact[0]["id"]) is not None
    assert message.artifact[0]["user_id"] == "ada"
    empty = tools_of(memory, user_id="nobody")["search_memories"].invoke(call("search_memories", QUESTION))
    assert (empty.content, empty.artifact) == ("No saved memories match.", [])


@pytest.mark.parametrize(
    ("name", "arguments", "hint"),
    [
        ("search_memories", {}, "`query`"),
        ("search_memories", {"query": None}, "`query`"),
        ("search_memories", {"query": "x", "limit": 0}, "`limit`"),
        ("add_memory", {"content": "x"}, "`text`"),
        ("add_memory", {"text": "x" * 100_000}, "20 kB"),
        ("add_memory", {"text": ["x", ""]}, "blank"),
        ("update_memory", {"memory_id": "ffffffff", "text": "x"}, "search_memories"),
        ("delete_memory", {"memory_id": "ffffffff"}, "search_memories"),
    ],
)
async def test_a_wrong_call_is_a_message_and_changes_nothing(
    memory: Memory, mode: str, name: str, arguments: dict[str, Any], hint: str
) -> None:
    app, before = graph(tools_of(memory)), memory.stats().events
    state = turn(call(name, arguments))
    done = await app.ainvoke(state, of("ada")) if mode == "async" else app.invoke(state, of("ada"))
    message: ToolMessage = done["messages"][-1]
    assert (message.status, message.tool_call_id) == ("error", "1")
    assert hint in message.content
    assert len(message.text) < 260
    assert memory.stats().events == before


def test_ids_of_another_user_are_unknown(memory: Memory) -> None:
    [foreign, *_] = memory.get_all(user_id="bob").results
    for given in (foreign.id, foreign.id[:8]):
        message = tools_of(memory)["delete_memory"].invoke(
            call("delete_memory", {"memory_id": given}), of("ada")
        )
        assert message.status == "error"
    assert memory.count(user_id="bob") == 3


def test_no_id_of_anybody_is_in_what_the_model_sees(memory: Memory) -> None:
    for tool in tools_of(memory, user_id="ada", mode="full", allow_bulk_delete=True).values():
        text = json.dumps(convert_to_openai_tool(tool))
        assert not any(word in text for word in ("user_id", "agent_id", "run_id", "config", "ada"))


def test_modes_and_prefixes(memory: Memory) -> None:
    assert list(tools_of(memory, mode="read_only")) == ["search_memories"]
    assert list(tools_of(memory)) == ["search_memories", "add_memory", "update_memory", "delete_memory"]
    assert list(tools_of(memory, mode="full"))[4:] == ["get_memories", "get_memory", "get_memory_history"]
    assert list(tools_of(memory, mode="read_only", prefix="team_")) == ["team_search_memories"]
    tool = tools_of(memory, mode="read_only", descriptions={"search_memories": "Look."})["search_memories"]
    assert tool.description == "Look."
    with pytest.raises(ConfigurationError):
        tools_of(memory, descriptions={"search": "Look."})


async def test_an_async_memory_serves_both_kinds_of_call() -> None:
    async with AsyncMemory(":memory:", llm=None, embedder="hash") as memory:
        tools = tools_of(memory, user_id="ada")
        await tools["add_memory"].ainvoke({"text": "I only drink oat milk."})
        assert "oat milk" in tools["search_memories"].invoke(QUESTION)
        assert "oat milk" in await tools["search_memories"].ainvoke(QUESTION)


def test_copies_share_the_memory_and_a_repr_tells_nobody(memory: Memory) -> None:
    tool = tools_of(memory, user_id="ada")["search_memories"]
    for other in (copy.deepcopy(tool), tool.model_copy(deep=True)):
        assert "oat milk" in other.invoke(QUESTION)
    assert "ada" not in repr(tool)
    assert "ada" not in repr(MemkitToolkit(memory=memory, user_id="ada"))
