"""memkit for the OpenAI Agents SDK: sessions keep every item, tools know whose, recall comes before each model call."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Any

import pytest
from agents import Agent, RunConfig, RunContextWrapper, Runner, Session, SessionSettings
from agents.models.openai_chatcompletions import OpenAIChatCompletionsModel
from agents.models.openai_responses import OpenAIResponsesModel
from agents.strict_schema import ensure_strict_json_schema
from agents.testing import ScriptedModel, assistant_message, function_call
from openai import AsyncOpenAI

from integrations.tools.tests.chat_apis import memories, turns
from integrations.tools.tests.chat_server import ChatServer
from integrations.tools.tests.conftest import Searches
from memkit import AsyncMemory, Memory
from memkit.errors import ConfigurationError, InvalidInputError, ScopeError
from memkit.testing import FakeLLM, extraction, fact
from memkit_tools import Toolbox
from memkit_tools.agents import MemkitSession, memory_tools, recall_filter
from memkit_tools.chat.turns import get


@dataclass
class User:
    user_id: str


def config(memory: Memory | None = None, **options: Any) -> RunConfig:
    given = {} if memory is None else {"call_model_input_filter": recall_filter(memory, **options)}
    return RunConfig(tracing_disabled=True, **given)


ITEMS: list[Any] = [
    {"role": "user", "content": "What is an oboe?"},
    {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [{"type": "summary_text", "text": "Hm."}],
        "encrypted_content": "x",
    },
    {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "look", "arguments": '{"q": "oboe"}'},
    {
        "type": "function_call_output",
        "call_id": "c1",
        "output": [{"type": "input_text", "text": "A woodwind."}],
    },
    {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": "A woodwind.", "annotations": [], "logprobs": []}],
    },
    {"role": "user", "content": [{"type": "input_image", "image_url": "data:,x", "detail": "auto"}]},
]


# Sessions.


async def test_a_session_keeps_every_item_whole_and_in_order(memory: Memory) -> None:
    session = MemkitSession(memory, "s1", "ada")
    assert isinstance(session, Session)
    for at in range(0, len(ITEMS), 2):
        await session.add_items(ITEMS[at : at + 2])
    await session.add_items([])
    assert await session.get_items() == ITEMS
    assert await MemkitSession(memory, "s1", "ada").get_items() == ITEMS  # as another process would
    assert await session.get_items(limit=2) == ITEMS[-2:]
    assert await session.get_items(limit=99) == ITEMS
    assert await session.get_items(limit=0) == []
    assert await MemkitSession(memory, "s2", "ada").get_items() == []
    assert await MemkitSession(memory, "s1", "bob").get_items() == []
    assert await MemkitSession(memory, "s1").get_items() == []


async def test_equal_items_stay_several(memory: Memory) -> None:
    session = MemkitSession(memory, "s1", "ada")
    await session.add_items([ITEMS[0], ITEMS[0], ITEMS[4], ITEMS[4]])
    assert len(await session.get_items()) == 4


async def test_popped_items_are_gone_newest_first(memory: Memory) -> None:
    session = MemkitSession(memory, "s1", "ada")
    await session.add_items(ITEMS)
    assert [await session.pop_item() for _ in range(2)] == [ITEMS[-1], ITEMS[-2]]
    assert await session.get_items() == ITEMS[:-2]
    await session.add_items([ITEMS[-1]])
    assert await session.get_items() == [*ITEMS[:-2], ITEMS[-1]]
    await session.clear_session()
    assert await session.get_items() == []
    assert await session.pop_item() is None


async def test_no_item_is_popped_twice(memory: Memory) -> None:
    session = MemkitSession(memory, "run", "ada")
    items: Any = [{"role": "user", "content": f"Note {n}."} for n in range(8)]
    await session.add_items(items)
    popped: Any = await asyncio.gather(*(session.pop_item() for _ in range(5)))
    assert sorted(item["content"] for item in popped) == [f"Note {n}." for n in range(3, 8)]
    assert await session.get_items() == items[:3]


def test_what_is_no_memory_is_refused_with_the_call_that_was_meant(memory: Memory) -> None:
    swapped: Any = ("session-1", memory)
    with pytest.raises(ConfigurationError, match=r"not str. Type: MemkitSession\(memory, "):
        MemkitSession(*swapped)
    for make in (memory_tools, recall_filter):
        with pytest.raises(ConfigurationError, match="`memory` is a Memory or an AsyncMemory"):
            make(swapped[0])


async def test_a_session_leaves_the_turns_of_others_alone(memory: Memory) -> None:
    memory.keep([{"role": "user", "content": "Not an item."}], user_id="ada", run_id="s1")
    session = MemkitSession(memory, "s1", "ada")
    await session.add_items(ITEMS[:1])
    memory.keep([{"role": "user", "content": "Not an item."}], user_id="ada", run_id="s1")
    assert await session.get_items(limit=1) == ITEMS[:1]
    await session.clear_session()
    assert [text for _, text in turns(memory)] == ["Not an item.", "Not an item."]


async def test_the_limit_of_the_settings_holds_where_a_call_gives_none(memory: Memory) -> None:
    session = MemkitSession(memory, "s1", "ada", session_settings=SessionSettings(limit=2))
    await session.add_items(ITEMS)
    assert await session.get_items() == ITEMS[-2:]
    assert await session.get_items(limit=3) == ITEMS[-3:]


async def test_what_is_no_json_is_refused_whole(memory: Memory) -> None:
    session = MemkitSession(memory, "s1", "ada")
    with pytest.raises(InvalidInputError):
        await session.add_items([ITEMS[0], {"role": "user", "content": object()}])
    assert await session.get_items() == []


async def test_a_turn_is_learned_once_and_calls_of_tools_never(memory: Memory) -> None:
    session = MemkitSession(memory, "s1", "ada")
    await session.add_items(ITEMS[:1])
    assert memories(memory) == []
    await session.add_items(ITEMS[1:4])
    assert memories(memory) == []
    await session.add_items(ITEMS[4:5])
    assert memories(memory) == ["A woodwind.", "What is an oboe?"]
    await session.add_items([{"role": "user", "content": "Thanks."}])
    await session.add_items([{"role": "assistant", "content": "Any time."}])
    assert memories(memory) == ["A woodwind.", "Any time.", "Thanks.", "What is an oboe?"]
    assert session.failures == 0


async def test_a_session_learns_with_the_model_once_a_turn() -> None:
    llm = FakeLLM([extraction(fact("Ada sails.", quote="I sail", message=0))])
    with Memory(":memory:", llm=llm, embedder="hash") as memory:
        session = MemkitSession(memory, "s1", "ada")
        await session.add_items([{"role": "user", "content": "I sail."}])
        await session.add_items([{"role": "assistant", "content": "Nice."}])
        memory.flush()
        assert memories(memory) == ["Ada sails."]
        assert len(llm.calls) == 1
        assert [run.run_id for run in memory.messages(user_id="ada")] == ["s1", "s1"]


async def test_a_session_can_keep_without_learning(memory: Memory) -> None:
    session = MemkitSession(memory, "s1", "ada", remember=False)
    await session.add_items(ITEMS)
    assert memories(memory) == []


async def test_a_session_that_cannot_learn_keeps_its_items(
    memory: Memory, hook: Searches, caplog: pytest.LogCaptureFixture
) -> None:
    session = MemkitSession(memory, "s1", "ada")
    hook.broken = {"recall", "remember"}
    await session.add_items(ITEMS[:5])
    assert await session.get_items() == ITEMS[:5]
    assert session.failures == 1
    assert "not learned from" in caplog.text


async def test_one_session_object_serves_every_user_by_the_runs_context(memory: Memory) -> None:
    session = MemkitSession(memory, "s1")
    for context in (User("ada"), {"user_id": "bob"}):
        model = ScriptedModel([[assistant_message("Hello.")]])
        agent = Agent(name="a", model=model)
        await Runner.run(agent, f"I am {context}.", context=context, session=session, run_config=config())
    for user_id in ("ada", "bob"):
        items = await session.get_items(wrapper=RunContextWrapper({"user_id": user_id}))
        assert [get(item, "role") for item in items] == ["user", "assistant"]
        assert user_id in str(items[0])
    assert await session.get_items() == []


async def test_a_pinned_user_goes_before_the_context(memory: Memory) -> None:
    session = MemkitSession(memory, "s1", "ada")
    await session.add_items(ITEMS[:1], wrapper=RunContextWrapper(User("bob")))
    assert await session.get_items() == ITEMS[:1]


async def test_a_bound_memory_cannot_be_left(memory: Memory) -> None:
    bound = memory.bind(user_id="ada")
    session = MemkitSession(bound, "s1")
    await session.add_items(ITEMS[:1], wrapper=RunContextWrapper(User("bob")))
    assert turns(memory) == [("user", "What is an oboe?")]
    with pytest.raises(ScopeError):
        MemkitSession(bound, "s1", "bob")
    with pytest.raises(ConfigurationError):
        MemkitSession(memory, "s1", "ada", background=False, after_seconds=3)


async def test_a_conversation_goes_on_in_another_process(memory: Memory) -> None:
    model = ScriptedModel([[assistant_message("Nice.")], [assistant_message("You sail.")]])
    agent = Agent(name="a", model=model)
    for text in ("I sail.", "What do I do?"):
        await Runner.run(agent, text, session=MemkitSession(memory, "s1", "ada"), run_config=config())
    second = model.calls[1].input
    assert [item["role"] for item in second] == ["user", "assistant", "user"]


async def test_a_streamed_run_is_kept_and_learned_once(memory: Memory) -> None:
    model = ScriptedModel([[function_call("search_memories", {"query": "x", "limit": None}, call_id="c1")]])
    model.enqueue([assistant_message("Nothing.")])
    session = MemkitSession(memory, "s1", "ada")
    agent = Agent(name="a", model=model, tools=memory_tools(memory, user_id="ada"))
    run = Runner.run_streamed(
        agent, "What do I do?", session=session, run_config=config(memory, user_id="ada")
    )
    async for _ in run.stream_events():
        pass
    items = await session.get_items()
    assert [item.get("type", item.get("role")) for item in items] == [
        "user", "function_call", "function_call_output", "message",
    ]  # fmt: skip
    assert memories(memory) == ["Nothing.", "What do I do?"]


# Tools.


def test_the_schemas_are_strict_by_the_sdks_own_rules(memory: Memory) -> None:
    tools = memory_tools(memory, user_id="ada", mode="full", allow_bulk_delete=True, prefix="team_")
    assert [tool.name for tool in tools] == Toolbox(
        memory, user_id="ada", mode="full", allow_bulk_delete=True, prefix="team_"
    ).names
    for tool in tools:
        assert tool.strict_json_schema
        assert ensure_strict_json_schema(tool.params_json_schema) == tool.params_json_schema
        assert not {"user_id", "agent_id", "run_id"} & set(tool.params_json_schema["properties"])


@pytest.mark.parametrize("context", [User("ada"), {"user_id": "ada"}])
async def test_tools_work_for_whoever_the_run_is_for(memory: Memory, context: Any) -> None:
    memory.add("Bob lives in Oslo.", user_id="bob", infer=False)
    model = ScriptedModel(
        [
            [function_call("add_memory", {"text": "Ada sails."}, call_id="c1")],
            [
                function_call(
                    "search_memories", {"query": "Who sails, who lives in Oslo?", "limit": None}, call_id="c2"
                )
            ],
            [assistant_message("Done.")],
        ]
    )
    agent = Agent(name="a", model=model, tools=memory_tools(memory))
    result = await Runner.run(agent, "Remember that I sail.", context=context, run_config=config())
    assert result.final_output == "Done."
    outputs = [item["output"] for item in model.calls[2].input if item.get("type") == "function_call_output"]
    assert outputs[0].startswith("Saved")
    assert "Ada sails." in outputs[1]
    assert "Oslo" not in outputs[1]
    assert memories(memory) == ["Ada sails."]


async def test_a_wrong_call_is_answered_and_changes_nothing(memory: Memory) -> None:
    calls = [("delete_memory", {"memory_id": "ffffffff"}), ("add_memory", {"text": "x", "user_id": "bob"})]
    model = ScriptedModel([[function_call(name, given, call_id=name)] for name, given in calls])
    model.enqueue([assistant_message("Sorry.")])
    agent = Agent(name="a", model=model, tools=memory_tools(memory, user_id="ada"))
    before = memory.stats().events
    await Runner.run(agent, "Do it.", run_config=config())
    outputs = [item["output"] for item in model.calls[2].input if item.get("type") == "function_call_output"]
    assert "search_memories" in outputs[0]
    assert "has no argument 'user_id'" in outputs[1]
    assert memory.stats().events == before


async def test_tools_of_nobody_fail_the_run(memory: Memory) -> None:
    model = ScriptedModel([[function_call("add_memory", {"text": "Ada sails."}, call_id="c1")]])
    agent = Agent(name="a", model=model, tools=memory_tools(memory))
    with pytest.raises(Exception, match="user_id") as caught:
        await Runner.run(agent, "Remember that I sail.", run_config=config())
    assert isinstance(caught.value, ScopeError) or isinstance(caught.value.__cause__, ScopeError)
    with pytest.raises(ScopeError):
        memory_tools(memory, user_id=" ")
    with pytest.raises(ConfigurationError, match="mode"):
        memory_tools(memory, mode="write")  # type: ignore[arg-type]  # what a test is for


# Recall.


async def test_recall_comes_before_each_model_call_and_is_searched_once(
    memory: Memory, hook: Searches
) -> None:
    memory.add("Ada plays the oboe.", user_id="ada", infer=False)
    memory.add("Always answer Ada in French.", user_id="ada", infer=False, kind="instruction")
    model = ScriptedModel(
        [
            [function_call("add_memory", {"text": "Ada sails."}, call_id="c1")],
            [assistant_message("A woodwind.")],
            [assistant_message("Since May.")],
        ]
    )
    agent = Agent(name="a", instructions="Be brief.", model=model, tools=memory_tools(memory))
    session, run = MemkitSession(memory, "s1"), config(memory)
    await Runner.run(agent, "What is the oboe?", context=User("ada"), session=session, run_config=run)
    assert hook.queries == ["What is the oboe?"]
    first, second = (call.system_instructions or "" for call in model.calls)
    assert first == second
    assert first.startswith("Be brief.\n")
    assert first.index("in French") < first.index("plays the oboe")
    await Runner.run(agent, "And since when?", context=User("ada"), session=session, run_config=run)
    assert hook.queries[1:] == ["And since when?"]
    items = await session.get_items(wrapper=RunContextWrapper(User("ada")))
    assert "system" not in [get(item, "role") for item in items]
    assert "in French" not in str([item for item in items if item.get("type") != "function_call_output"])


async def test_a_session_and_recall_make_an_agent_that_knows_its_user(memory: Memory) -> None:
    run = config(memory)
    for user, text in (
        ("ada", "My favourite tea is sencha."),
        ("ada", "Which tea do I like?"),
        ("bob", "Which tea?"),
    ):
        model = ScriptedModel([[assistant_message("Fine.")]])
        session = MemkitSession(memory, text)
        await Runner.run(
            Agent(name="a", model=model), text, context=User(user), session=session, run_config=run
        )
        seen = model.calls[0].system_instructions or ""
        assert ("sencha" in seen) == (text == "Which tea do I like?")


async def test_recall_that_fails_costs_no_answer(memory: Memory, hook: Searches, caplog: Any) -> None:
    hook.broken = {"recall", "remember"}
    model = ScriptedModel([[assistant_message("Fine.")]])
    run = config(memory, user_id="ada")
    result = await Runner.run(Agent(name="a", model=model), "Who am I?", run_config=run)
    assert result.final_output == "Fine."
    assert run.call_model_input_filter.failures == 1  # type: ignore[union-attr]  # what `recall_filter` returned
    assert "recall failed (BackendUnavailableError)" in caplog.text


async def test_recall_of_nobody_is_an_error_before_any_request(memory: Memory) -> None:
    model = ScriptedModel([[assistant_message("Fine.")]])
    with pytest.raises(ScopeError, match="user_id"):
        await Runner.run(Agent(name="a", model=model), "Who am I?", run_config=config(memory))
    assert model.remaining_steps == 1
    with pytest.raises(ConfigurationError):
        recall_filter(memory, k=0)


async def test_an_async_memory_serves_as_well(memory: Memory) -> None:
    other: AsyncMemory = memory.to_async()
    model = ScriptedModel([[function_call("add_memory", {"text": "Ada sails."}, call_id="c1")]])
    model.enqueue([assistant_message("Fine.")])
    agent = Agent(name="a", model=model, tools=memory_tools(other))
    session = MemkitSession(other, "s1")
    await Runner.run(agent, "I sail.", context=User("ada"), session=session, run_config=config(memory))
    assert memories(memory) == ["Ada sails.", "Fine.", "I sail."]


# Over the wire.


@pytest.mark.parametrize("name", ["chat", "responses"])
async def test_an_agent_over_a_real_client(
    name: str, memory: Memory, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    memory.add("Ada plays the oboe.", user_id="ada", infer=False)
    with ChatServer({"calls": [("add_memory", {"text": "Ada sails."})]}, "Noted.") as server:
        client = AsyncOpenAI(api_key="k", base_url=f"{server.url}/v1", max_retries=0)
        kind = OpenAIChatCompletionsModel if name == "chat" else OpenAIResponsesModel
        agent = Agent(
            name="a",
            instructions="Be brief.",
            model=kind(model="m", openai_client=client),
            tools=memory_tools(memory),
        )
        session = MemkitSession(memory, "s1")
        result = await Runner.run(
            agent,
            "I sail and play the oboe.",
            context=User("ada"),
            session=session,
            run_config=config(memory),
        )
        await client.close()
    assert result.final_output == "Noted."
    for body in server.bodies:
        system = body.get("instructions") or body["messages"][0]["content"]
        assert "plays the oboe" in str(system)
    assert memories(memory) == ["Ada plays the oboe.", "Ada sails.", "I sail and play the oboe.", "Noted."]
    assert caplog.text == ""
