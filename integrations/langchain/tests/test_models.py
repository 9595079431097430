"""A LangChain model inside memkit says nothing to the user of the agent that memkit is called from."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest
from langchain_core.language_models import FakeListChatModel
from langchain_core.runnables import RunnableConfig
from langgraph.graph import (  # pyright: ignore[reportMissingTypeStubs]  (langgraph ships none)
    START,
    MessagesState,
    StateGraph,
)

from memkit import Memory

SAID = (
    '{"memories": [{"text": "User plays the oboe.", "kind": "fact", "action": "add", "message": 1, '
    '"quote": "I play the oboe"}]}'
)
ASKED = {"messages": [("user", "I play the oboe.")]}


@pytest.fixture
def memory() -> Generator[Memory]:
    with Memory(":memory:", llm=FakeListChatModel(responses=[SAID]), embedder="hash") as made:
        yield made


def agent(memory: Memory) -> Any:
    model = FakeListChatModel(responses=["Noted"])

    async def answer(state: MessagesState, config: RunnableConfig) -> Any:
        await memory.to_async().add(list(state["messages"]), user_id="ada")
        return {"messages": [await model.ainvoke(state["messages"], config)]}

    made: Any = StateGraph(MessagesState)
    made.add_node("answer", answer)
    made.add_edge(START, "answer")
    return made.compile()


async def test_no_token_of_ours_is_in_the_stream_of_messages(memory: Memory) -> None:
    parts = [part.text async for part, _ in agent(memory).astream(ASKED, stream_mode="messages")]
    assert "".join(parts) == "Noted"
    assert [item.memory for item in memory.get_all(user_id="ada").results] == ["User plays the oboe."]


async def test_no_event_of_ours_is_in_the_stream_of_events(memory: Memory) -> None:
    events = [event async for event in agent(memory).astream_events(ASKED, version="v2")]
    starts = [event for event in events if event["event"] == "on_chat_model_start"]
    assert len(starts) == 1
    assert 'oboe"' not in str([event for event in events if event["event"] == "on_chat_model_stream"])
    assert memory.count(user_id="ada") == 1
