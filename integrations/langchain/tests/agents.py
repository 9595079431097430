"""Agents with a memory, run in either mode, and models that extract what they are told to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from langchain.agents import create_agent
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool

from langchain_memkit import LongTermMemoryMiddleware
from memkit import AsyncMemory, Memory
from memkit.llms.base import ChatMessage
from memkit.testing import FakeLLM, extraction, fact

from .scripted import Line, ScriptedChatModel


@tool
def weather(city: str) -> str:
    """Return the weather of a city."""
    return f"It rains in {city}."


class Agent:
    """An agent, its model and its middleware; `mode` says how it is called."""

    def __init__(
        self,
        memory: Memory | AsyncMemory | None,
        *lines: Line,
        mode: str = "sync",
        middleware: Sequence[Any] | None = None,
        beside: Sequence[Any] = (),
        prompt: str | None = "Be kind.",
        context_schema: type | None = None,
        checkpointer: Any = None,
        others: Sequence[Any] = (weather,),
        **options: Any,
    ) -> None:
        self.mode = mode
        self.model = ScriptedChatModel(*lines)
        if middleware is None:
            assert memory is not None
            middleware = [LongTermMemoryMiddleware(memory, **options)]
        self.memories = list(middleware)
        self.graph: Any = create_agent(
            self.model,
            others,
            system_prompt=prompt,
            middleware=[*middleware, *beside],
            context_schema=context_schema,
            checkpointer=checkpointer,
        )

    @property
    def memory(self) -> LongTermMemoryMiddleware:
        """Its first middleware."""
        return self.memories[0]

    async def run(self, given: Any, config: Any = None, **options: Any) -> dict[str, Any]:
        """Invoke it with what a graph takes."""
        if self.mode == "sync":
            return self.graph.invoke(given, config, **options)
        return await self.graph.ainvoke(given, config, **options)

    async def say(
        self, *texts: str, user: Any = "ada", thread: str | None = "t", id: str | None = None, **options: Any
    ) -> str:
        """Send one message or several; return the answer."""
        said = [HumanMessage(text, id=id) for text in texts]
        done = await self.run({"messages": said}, of(user, thread), **options)
        return done["messages"][-1].text


def of(user: Any, thread: str | None = "t") -> dict[str, Any]:
    """Return the config of a call."""
    return {"configurable": {"user_id": user, **({} if thread is None else {"thread_id": thread})}}


def turns(memory: Memory, user: str = "ada", **scope: Any) -> list[str]:
    """Return the stored turns, oldest first."""
    return [f"{turn.role}: {turn.text}" for turn in memory.messages(user_id=user, **scope)]


def texts(memory: Memory, user: str = "ada") -> list[str]:
    """Return the current memories, oldest first."""
    return [item.memory for item in memory.get_all(user_id=user).results][::-1]


def moving() -> FakeLLM:
    """Return a model that learns where the user lives, and supersedes what it was shown."""

    def reply(messages: Sequence[ChatMessage]) -> Any:
        prompt = str(messages[-1]["content"])
        turns = re.findall(r"^\[(\d+)\] user \([^)]*\): (.*)$", prompt, flags=re.M)
        place = next((turn for turn in reversed(turns) if re.match("I (live|moved)", turn[1])), None)
        if place is None:
            return extraction()
        number, said = int(place[0]), place[1]
        city = said.split()[-1].rstrip(".")
        known = re.search(r"^(m\d+): .*lives in", prompt, flags=re.M)
        change = {"action": "supersede", "replaces": known.group(1)} if known else {}
        return extraction(fact(f"User lives in {city}.", said, message=number, **change))

    return FakeLLM(reply)
