"""Memory tools for an agent: the application says whose memories, the model never does; failures are messages."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.agent.workflow import AgentWorkflow, FunctionAgent, ReActAgent, ToolCallResult
from llama_index.core.tools import FunctionTool, ToolMetadata, ToolOutput
from llama_index.core.tools.calling import acall_tool, call_tool
from llama_index.core.tools.tool_spec.base import BaseToolSpec

from llama_index.tools.memkit import MemkitToolSpec
from memkit import AsyncMemory, Memory
from memkit.errors import ConfigurationError, ScopeError
from memkit_tools import Toolbox
from memkit_tools.spec import MODES, SPECS

from .scripted_agents import QUIET, Reasoning, Speaking, call

pytestmark = QUIET

QUESTION = {"query": "What do I drink?"}
ADA = ("I only drink oat milk in my coffee.", "My sister Ines plays the oboe.")
BOB = ("I drink black coffee all day.", "My brother Nils plays the drums.")


@pytest.fixture
def memory(tmp_path: Path) -> Generator[Memory]:
    with Memory(tmp_path / "store", llm=None, embedder="hash") as made:
        made.add_many(ADA, user_id="ada")
        made.add_many(BOB, user_id="bob")
        yield made


def tools_of(memory: Memory | AsyncMemory, user_id: Any = "ada", **options: Any) -> dict[str, FunctionTool]:
    tools = MemkitToolSpec(memory=memory, user_id=user_id, **options).to_tool_list()
    return {str(tool.metadata.name): tool for tool in tools}


async def run(tool: FunctionTool, mode: str, **arguments: Any) -> ToolOutput:
    return tool.call(**arguments) if mode == "sync" else await tool.acall(**arguments)


# What is offered.


def test_tools_are_the_shared_specs(memory: Memory) -> None:
    spec = MemkitToolSpec(memory=memory, user_id="ada", mode="full", allow_bulk_delete=True)
    assert isinstance(spec, BaseToolSpec)
    tools = spec.to_tool_list()
    assert [tool.metadata.name for tool in tools] == list(SPECS)
    for tool, shared in zip(tools, SPECS.values(), strict=True):
        assert type(tool) is FunctionTool
        assert tool.metadata.description == shared.description
        assert len(tool.metadata.description) <= 1024
        assert tool.metadata.fn_schema is shared.arguments
        offered = tool.metadata.to_openai_tool()["function"]
        whole = shared.arguments.model_json_schema()
        assert offered["parameters"]["properties"] == whole["properties"]
        assert offered["parameters"].get("required") == whole.get("required")


def test_no_id_of_anybody_is_in_what_the_model_sees(memory: Memory) -> None:
    for tool in tools_of(memory, mode="full", allow_bulk_delete=True).values():
        text = json.dumps(tool.metadata.to_openai_tool())
        assert not any(word in text for word in ("user_id", "agent_id", "run_id", "ada"))


def test_functions_come_as_pairs_of_sync_and_async(memory: Memory) -> None:
    for mode, names in MODES.items():
        spec = MemkitToolSpec(memory=memory, user_id="ada", mode=mode)
        assert [pair[0] for pair in spec.spec_functions] == list(names)
        for pair in spec.spec_functions:
            assert not inspect.iscoroutinefunction(getattr(spec, pair[0]))
            assert inspect.iscoroutinefunction(getattr(spec, pair[1]))


def test_modes_prefixes_and_descriptions(memory: Memory) -> None:
    assert list(tools_of(memory, mode="read_only")) == ["search_memories"]
    assert list(tools_of(memory)) == ["search_memories", "add_memory", "update_memory", "delete_memory"]
    assert list(tools_of(memory, mode="full"))[4:] == ["get_memories", "get_memory", "get_memory_history"]
    team = tools_of(memory, mode="read_write", prefix="team_")
    assert next(iter(team)) == "team_search_memories"
    assert "team_search_memories" in team["team_add_memory"].metadata.description
    assert "oat milk" in team["team_search_memories"].call(**QUESTION).content
    own = tools_of(memory, descriptions={"search_memories": "Look."})
    assert own["search_memories"].metadata.description == "Look."
    for wrong in ({"descriptions": {"search": "Look."}}, {"mode": "write"}, {"prefix": "a b"}):
        with pytest.raises(ConfigurationError):
            tools_of(memory, **wrong)


async def test_some_functions_or_other_metadata_can_be_chosen(memory: Memory) -> None:
    spec = MemkitToolSpec(memory=memory, user_id="ada")
    for given in ("add_memory", "aadd_memory", ("add_memory", "aadd_memory")):
        assert [tool.metadata.name for tool in spec.to_tool_list([given])] == ["add_memory"]
    assert len(await spec.to_tool_list_async()) == 4
    own = ToolMetadata(name="look", description="Look.", fn_schema=SPECS["search_memories"].arguments)
    [tool] = spec.to_tool_list(["search_memories"], {"search_memories": own})
    assert (tool.metadata.name, tool.metadata.description) == ("look", "Look.")
    assert "oat milk" in tool.call(**QUESTION).content
    with pytest.raises(ConfigurationError, match="delete_all_memories"):
        spec.to_tool_list(["delete_all_memories"])


# Answers.


async def test_answers_are_those_of_the_toolbox(memory: Memory, mode: str) -> None:
    output = await run(tools_of(memory)["search_memories"], mode, **QUESTION)
    shared = Toolbox(memory, user_id="ada").call("search_memories", QUESTION)
    assert (output.content, output.raw_output) == (shared.text, shared.data)
    assert (output.tool_name, output.is_error) == ("search_memories", False)
    assert output.raw_input == {"args": (), "kwargs": QUESTION}
    assert json.loads(output.model_dump_json())["raw_output"] == shared.data


async def test_memories_are_added_corrected_and_removed(memory: Memory, mode: str) -> None:
    tools = tools_of(memory, user_id="eve")
    await run(tools["add_memory"], mode, text="Eve lives in Paris.")
    [kept] = memory.get_all(user_id="eve").results
    await run(tools["update_memory"], mode, memory_id=kept.id[:8], text="Eve lives in Berlin.")
    assert [item.memory for item in memory.get_all(user_id="eve").results] == ["Eve lives in Berlin."]
    await run(tools["delete_memory"], mode, memory_id=kept.id[:8])
    assert memory.count(user_id="eve") == 0
    assert memory.count(user_id="ada") == 2


async def test_methods_can_be_called_by_hand(memory: Memory) -> None:
    spec = MemkitToolSpec(memory=memory, user_id="ada", mode="full", allow_bulk_delete=True)
    assert "oat milk" in str(spec.search_memories("What do I drink?"))
    assert "oat milk" in str(await spec.asearch_memories("What do I drink?", limit=1))
    [kept, _] = memory.get_all(user_id="ada").results
    for method in ("get_memory", "get_memory_history", "delete_memory"):
        assert not getattr(spec, method)(kept.id).is_error
    assert not (await spec.aget_memories(limit=1)).is_error
    assert not (await spec.adelete_all_memories()).is_error
    assert (memory.count(user_id="ada"), memory.count(user_id="bob")) == (0, 2)


@pytest.mark.parametrize(
    ("name", "arguments", "hint"),
    [
        ("search_memories", {}, "`query`"),
        ("search_memories", {"query": None}, "`query`"),
        ("search_memories", {"query": ["x"]}, "`query`"),
        ("search_memories", {"query": "x", "limit": 0}, "`limit`"),
        ("search_memories", {"query": "x", "limit": "many"}, "`limit`"),
        ("add_memory", {"text": "x" * 100_000}, "20 kB"),
        ("add_memory", {"text": ["x", ""]}, "blank"),
        ("update_memory", {"memory_id": "ffffffff", "text": "x"}, "search_memories"),
        ("delete_memory", {"memory_id": "ffffffff"}, "search_memories"),
        ("delete_memory", {"memory_id": 7}, "`memory_id`"),
    ],
)
async def test_a_wrong_call_is_a_short_error_and_changes_nothing(
    memory: Memory, mode: str, name: str, arguments: dict[str, Any], hint: str
) -> None:
    before = memory.stats().events
    output = await run(tools_of(memory)[name], mode, **arguments)
    assert output.is_error
    assert hint in output.content
    assert len(output.content) < 260
    assert memory.stats().events == before


async def test_llama_indexs_own_ways_of_calling_work(memory: Memory) -> None:
    tools = tools_of(memory, mode="full", allow_bulk_delete=True)
    for calling in (call_tool, acall_tool):
        for name, arguments in (
            ("search_memories", QUESTION),
            ("get_memories", {}),
            ("add_memory", {"text": "x y"}),
        ):
            output = calling(tools[name], arguments)
            output = await output if inspect.isawaitable(output) else output
            assert not output.is_error, output.content
        wrong = calling(tools["delete_memory"], {"nonsense": 1})
        wrong = await wrong if inspect.isawaitable(wrong) else wrong
        assert wrong.is_error and "memory_id" in wrong.content


# Whose memories.


@pytest.mark.parametrize(
    "forged", [{"user_id": "bob"}, {"agent_id": "bob"}, {"run_id": "x"}, {"scope": {"user_id": "bob"}}]
)
async def test_an_id_that_a_model_makes_up_is_refused_and_changes_nothing(
    memory: Memory, mode: str, forged: dict[str, Any]
) -> None:
    tools, before = tools_of(memory), memory.stats().events
    for name, arguments in (("search_memories", QUESTION), ("add_memory", {"text": "I drink cocoa."})):
        output = await run(tools[name], mode, **arguments, **forged)
        assert output.is_error and next(iter(forged)) in output.content
        assert len(output.content) < 260 and "all day" not in output.content
    assert memory.stats().events == before


async def test_ids_of_another_users_memories_are_unknown(memory: Memory, mode: str) -> None:
    [foreign, *_] = memory.get_all(user_id="bob").results
    tools = tools_of(memory, mode="full")
    for given in (foreign.id, foreign.id[:8]):
        for name in ("delete_memory", "get_memory", "get_memory_history", "update_memory"):
            arguments = {"memory_id": given} | ({"text": "x"} if name == "update_memory" else {})
            output = await run(tools[name], mode, **arguments)
            assert output.is_error and foreign.memory not in output.content
    assert memory.get(foreign.id).memory == foreign.memory  # type: ignore[union-attr]


@pytest.mark.parametrize("user", ["ann@example.com", 42, "名前", "a:b:c"])
async def test_ids_of_any_kind_are_users(memory: Memory, mode: str, user: Any) -> None:
    tools = tools_of(memory, user_id=user)
    await run(tools["add_memory"], mode, text="The one who asks plays the oboe.")
    assert "oboe" in (await run(tools["search_memories"], mode, query="oboe")).content
    assert memory.count(user_id=str(user)) == 1


def test_no_scope_or_a_foreign_one_is_an_error_at_once(memory: Memory) -> None:
    with pytest.raises(ScopeError, match="user_id"):
        MemkitToolSpec(memory=memory)
    with pytest.raises(ScopeError):
        MemkitToolSpec(memory=memory, user_id=" ")
    with pytest.raises(ScopeError):
        MemkitToolSpec(memory=memory.bind(user_id="ada"), user_id="bob")
    assert (
        "oat milk"
        in tools_of(memory.bind(user_id="ada"), user_id=None)["search_memories"].call(**QUESTION).content
    )


async def test_an_async_memory_serves_both_kinds_of_call() -> None:
    async with AsyncMemory(":memory:", llm=None, embedder="hash") as memory:
        tools = tools_of(memory)
        await tools["add_memory"].acall(text="I only drink oat milk.")
        assert "oat milk" in tools["search_memories"].call(**QUESTION).content
        assert "oat milk" in (await tools["search_memories"].acall(**QUESTION)).content


async def test_a_memory_that_is_down_is_an_answer(memory: Memory, mode: str) -> None:
    tools = tools_of(memory)
    memory.close()
    for name, arguments in (("search_memories", QUESTION), ("add_memory", {"text": "I drink cocoa."})):
        output = await run(tools[name], mode, **arguments)
        assert output.is_error
        assert output.content == "The memory does not answer now. Go on without it."


# In agents.


CALLS = (
    ("add_memory", {"text": "Ada drinks cocoa at night."}),
    ("search_memories", {"query": "cocoa", "user_id": "bob"}),
    ("delete_memory", {"memory_id": "ffffffff"}),
    ("search_memories", {"query": "What does Ada drink at night?"}),
)


def speaking(*calls: tuple[str, dict[str, Any]]) -> Speaking:
    """Make a model that calls tools one after the other, then says "Done."."""
    return Speaking(
        *[call(name, f"c{at}", **arguments) for at, (name, arguments) in enumerate(calls)], "Done."
    )


def check(outputs: list[ToolOutput], memory: Memory) -> None:
    assert [output.is_error for output in outputs] == [False, True, True, False]
    assert "cocoa" in outputs[3].content
    assert (memory.count(user_id="ada"), memory.count(user_id="bob")) == (3, 2)


async def test_a_function_agent_goes_on_after_a_refused_call(memory: Memory) -> None:
    agent: Any = FunctionAgent(tools=list(tools_of(memory).values()), llm=speaking(*CALLS))
    answer = await agent.run(user_msg="I drink cocoa at night.")
    assert str(answer) == "Done."
    check([one.tool_output for one in answer.tool_calls], memory)


async def test_a_react_agent_reads_and_calls_them(memory: Memory) -> None:
    lines = [
        f"Thought: I need to use a tool.\nAction: {name}\nAction Input: {json.dumps(arguments)}"
        for name, arguments in CALLS
    ]
    llm = Reasoning(*lines, "Thought: I can answer without using any more tools.\nAnswer: Done.")
    agent: Any = ReActAgent(tools=list(tools_of(memory).values()), llm=llm, streaming=False)
    answer = await agent.run(user_msg="I drink cocoa at night.")
    assert str(answer) == "Done."
    check([one.tool_output for one in answer.tool_calls], memory)


async def test_a_workflow_streams_their_results(memory: Memory) -> None:
    agent: Any = FunctionAgent(
        name="bot", description="Helps.", tools=list(tools_of(memory).values()), llm=speaking(*CALLS)
    )
    workflow: Any = AgentWorkflow(agents=[agent], root_agent="bot")
    handler = workflow.run(user_msg="I drink cocoa at night.")
    outputs = [
        event.tool_output async for event in handler.stream_events() if isinstance(event, ToolCallResult)
    ]
    assert str(await handler) == "Done."
    check(outputs, memory)


async def test_agents_of_two_users_run_side_by_side_without_a_leak(memory: Memory) -> None:
    async def answers(user: str) -> str:
        llm = speaking(("search_memories", {"query": "What do I drink, and who plays what?"}))
        agent: Any = FunctionAgent(tools=list(tools_of(memory, user_id=user).values()), llm=llm)
        return (await agent.run(user_msg="Hello")).tool_calls[0].tool_output.content

    ada, bob = await asyncio.gather(answers("ada"), answers("bob"))
    assert "oat milk" in ada and "all day" not in ada
    assert "all day" in bob and "oat milk" not in bob
