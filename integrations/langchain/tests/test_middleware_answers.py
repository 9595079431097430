"""What counts as the answer of a turn that no plain message of the model ends."""

from __future__ import annotations

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import ToolStrategy
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import BaseModel

from langchain_memkit import LongTermMemoryMiddleware
from memkit import Memory
from memkit.errors import BackendUnavailableError
from memkit.testing import FakeEmbedder

from .agents import Agent, of, texts, turns
from .scripted import ScriptedChatModel, calls


class Rain(BaseModel):
    falls: bool


@tool(return_direct=True)
def forecast(city: str) -> str:
    """Return the forecast of a city."""
    return f"Rain in {city}."


def empty() -> Memory:
    return Memory(":memory:", embedder="hash", llm=None)


@pytest.mark.parametrize("kept", [True, False])
async def test_what_a_tool_returns_directly_is_the_answer(mode: str, kept: bool) -> None:
    with empty() as memory:
        saver = InMemorySaver() if kept else None
        lines = calls("forecast", "c1", city="Oslo"), calls("forecast", "c2", city="Bonn")
        agent = Agent(memory, *lines, mode=mode, others=[forecast], checkpointer=saver)
        await agent.say("Oslo?")
        await agent.say("Bonn?")
        assert turns(memory) == [
            "user: Oslo?", "assistant: Rain in Oslo.", "user: Bonn?", "assistant: Rain in Bonn.",
        ]  # fmt: skip


async def test_a_history_sent_along_ends_at_a_structured_answer_too(mode: str) -> None:
    with empty() as memory:
        model = ScriptedChatModel(calls("Rain", "c1", falls=True), calls("Rain", "c2", falls=False))
        made = LongTermMemoryMiddleware(memory)
        agent = Agent(memory, middleware=[made], mode=mode)
        agent.graph = create_agent(model, middleware=[made], response_format=ToolStrategy(Rain))
        done = await agent.run({"messages": [{"role": "user", "content": "Rain?"}]}, of("ada"))
        history: list[Any] = [{"role": "user", "content": "Rain?"}, *done["messages"][1:]]
        await agent.run({"messages": [*history, {"role": "user", "content": "Still?"}]}, of("ada"))
        assert turns(memory) == [
            "user: Rain?", 'assistant: {"falls": true}', "user: Still?", 'assistant: {"falls": false}',
        ]  # fmt: skip


async def test_a_direct_answer_that_could_not_be_stored_comes_with_the_next_turn(mode: str) -> None:
    embedder = FakeEmbedder()
    with Memory(":memory:", embedder=embedder, llm=None) as memory:
        saver, lines = InMemorySaver(), [calls("forecast", city="Oslo"), "You are welcome."]
        embedder.errors.extend([BackendUnavailableError("It is down.", backend="fake")] * 4)
        agent = Agent(memory, *lines, mode=mode, others=[forecast], checkpointer=saver)
        await agent.say("Oslo?")
        assert agent.memory.failures == {"remember": 1}
        embedder.errors.clear()
        # As another process would: what waits is in the thread alone.
        again = Agent(
            memory, *lines[1:], mode=mode, others=[forecast], checkpointer=saver, name=agent.memory.name
        )
        await again.say("Thanks!")
        said = ["Oslo?", "Rain in Oslo.", "Thanks!", "You are welcome."]
        assert [turn.partition(": ")[2] for turn in turns(memory)] == said
        assert sorted(texts(memory)) == sorted(said)


async def test_answers_to_a_user_without_words_are_stored_each(mode: str) -> None:
    with empty() as memory:
        agent = Agent(memory, "Hello?", "Still there?", "Bye.", mode=mode, checkpointer=InMemorySaver())
        for nothing in ("", "  ", "\n"):
            await agent.say(nothing)
        answers = [turn for turn in turns(memory) if turn.startswith("assistant")]
        assert answers == ["assistant: Hello?", "assistant: Still there?", "assistant: Bye."]
        assert agent.memory.failures == {}
