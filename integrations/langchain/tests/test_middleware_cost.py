"""What a turn costs, counted at a server, and what is still known after the process is gone."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from memkit import AsyncMemory, Memory
from memkit.testing import OpenAIServer, extraction, fact

from .agents import Agent, texts
from .scripted import calls

ROOT = Path(__file__).parents[3]
FIRST = """
import os, signal
from integrations.langchain.tests.agents import Agent, of
from memkit import Memory

agent = Agent(Memory({path!r}, embedder="hash", llm=None), "Noted.")
print(agent.graph.invoke({{"messages": [("user", "I play the oboe.")]}}, of("ada", "first"))["messages"][-1].text, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
SECOND = """
from integrations.langchain.tests.agents import Agent, of
from memkit import Memory

agent = Agent(Memory({path!r}, embedder="hash", llm=None), lambda asked: asked[0].text)
print(agent.graph.invoke({{"messages": [("user", "Which oboe do I play?")]}}, of("ada", "second"))["messages"][-1].text)
"""


@pytest.fixture
def server() -> Generator[OpenAIServer]:
    with OpenAIServer() as made:
        yield made


@asynccontextmanager
async def memory_of(server: OpenAIServer, **options: Any) -> AsyncGenerator[Memory]:
    config = {"api_key": "sk-test", "base_url": server.base_url}
    parts = {
        "embedder": {"provider": "openai", "config": config},
        "llm": {"provider": "openai", "config": config},
    }
    async with AsyncMemory(":memory:", **{**parts, **options}) as memory:
        yield memory.to_sync()


async def test_without_a_model_a_turn_costs_one_embedding_to_recall_and_one_to_remember(
    server: OpenAIServer, mode: str
) -> None:
    async with memory_of(server, llm=None) as memory:
        memory.add("I like rain.", user_id="ada", infer=False)
        server.reset()
        agent = Agent(memory, calls("weather", city="Oslo"), "It rains.", mode=mode)
        await agent.say("Does it rain in Oslo?")
        assert len(agent.model.asked) == 2
        assert server.counts == {"/embeddings": 2}
        assert server.embedded == [
            ["Does it rain in Oslo?"],
            ["It rains."],
        ]  # the question is not embedded twice
        assert agent.memory.failures == {}


async def test_with_a_model_a_turn_costs_one_extraction_more(server: OpenAIServer, mode: str) -> None:
    async with memory_of(server) as memory:
        memory.add("I like rain.", user_id="ada", infer=False)
        server.reset()
        server.say(extraction(fact("User lives in Oslo.", "I live in Oslo.")))
        agent = Agent(memory, calls("weather", city="Oslo"), "It rains.", mode=mode)
        await agent.say("I live in Oslo.")
        await agent.memory.aflush()
        assert texts(memory) == ["I like rain.", "User lives in Oslo."]
        assert server.counts == {"/embeddings": 3, "/chat/completions": 1}
        every = [text for request in server.embedded for text in request]
        assert sorted(every) == ["I live in Oslo.", "It rains.", "User lives in Oslo."]
        assert agent.memory.failures == {}


def run(program: str, path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program.format(path=str(path))],
        capture_output=True, text=True, cwd=ROOT, check=False, timeout=120,
    )  # fmt: skip


def test_an_agent_that_is_killed_and_started_again_knows_what_it_was_told(tmp_path: Path) -> None:
    first = run(FIRST, tmp_path / "store")
    assert (first.returncode, first.stdout.strip()) == (-9, "Noted."), first.stderr
    second = run(SECOND, tmp_path / "store")
    assert second.returncode == 0, second.stderr
    assert "I play the oboe." in second.stdout
