"""An agent with a memory streams what its own model says, and not a token of the memory's."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver  # pyright: ignore[reportMissingTypeStubs]

from memkit import Memory

from .agents import Agent, of, texts, turns
from .scripted import ScriptedChatModel, calls

LEARNED = (
    '{"memories": [{"text": "User plays the oboe.", "kind": "fact", "action": "add", "message": 1, '
    '"quote": "I play the oboe."}], "relations": []}'
)
ASKED = {"messages": [("user", "I play the oboe.")]}


@pytest.fixture(params=[True, False], ids=["background", "inline"])
def agent(request: pytest.FixtureRequest) -> Generator[Agent]:
    """Its memory extracts with a LangChain model, inside the agent's own run or beside it."""
    with Memory(":memory:", llm=ScriptedChatModel(LEARNED), embedder="hash") as memory:
        memory.add("Ada likes music.", user_id="ada", infer=False)
        made = Agent(memory, calls("weather", city="Oslo"), "It rains there.", background=request.param)
        yield made
        made.memory.flush()
        assert texts(memory) == ["Ada likes music.", "User plays the oboe."]
        assert turns(memory) == ["user: I play the oboe.", "assistant: It rains there."]
        assert made.memory.failures == {}


def clean(seen: object) -> bool:
    return "memories" not in str(seen) and "User plays" not in str(seen)


async def test_no_token_of_ours_is_in_the_stream_of_messages(agent: Agent, mode: str) -> None:
    if mode == "sync":
        parts = list(agent.graph.stream(ASKED, of("ada"), stream_mode="messages"))
    else:
        parts = [part async for part in agent.graph.astream(ASKED, of("ada"), stream_mode="messages")]
    said = "".join(chunk.text for chunk, _ in parts if chunk.type == "AIMessageChunk")
    assert said == "It rains there."
    assert clean(parts)


async def test_no_event_of_ours_is_in_the_stream_of_events(agent: Agent) -> None:
    events = [event async for event in agent.graph.astream_events(ASKED, of("ada"), version="v2")]
    assert sum(event["event"] == "on_chat_model_start" for event in events) == 2
    assert clean([event for event in events if event["event"].startswith("on_chat_model")])
    assert clean(events)


@pytest.mark.filterwarnings("ignore:The v3 streaming protocol")
async def test_no_message_of_ours_is_in_the_third_version_of_the_stream(agent: Agent, mode: str) -> None:
    if not hasattr(agent.graph, "stream_events"):
        await agent.run(ASKED, of("ada"))
        pytest.skip("this LangGraph has no third version")
    said: list[str] = []
    if mode == "sync":
        run = agent.graph.stream_events(ASKED, of("ada"), version="v3")
        said = [str(message.text) for message in run.messages]
    else:
        run = await agent.graph.astream_events(ASKED, of("ada"), version="v3")
        said = [str(await message.text) async for message in run.messages]
    assert [text for text in said if text] == ["It rains there."]


@pytest.mark.parametrize("kind", ["updates", "values"])
async def test_updates_and_values_end_with_the_answer(agent: Agent, mode: str, kind: str) -> None:
    if mode == "sync":
        parts = list(agent.graph.stream(ASKED, of("ada"), stream_mode=kind))
    else:
        parts = [part async for part in agent.graph.astream(ASKED, of("ada"), stream_mode=kind)]
    assert "It rains there." in str(parts)
    assert clean(parts)


async def test_a_stream_that_is_resumed_stores_its_turn_once(mode: str) -> None:
    with Memory(":memory:", llm=None, embedder="hash") as memory:
        agent = Agent(memory, RuntimeError("down"), "Hello.", checkpointer=InMemorySaver())
        for given in (ASKED, None):
            try:
                if mode == "sync":
                    list(agent.graph.stream(given, of("ada")))
                else:
                    _: Any = [part async for part in agent.graph.astream(given, of("ada"))]
            except RuntimeError:
                assert given is not None
        assert turns(memory) == ["user: I play the oboe.", "assistant: Hello."]
