"""A process with an agent that dies in the middle of its work.

python agent_child.py tool PATH      finish a turn, print its context as JSON, and die in the tool of the next session's
python agent_child.py learning PATH  die while a turn is extracted
"""

# `run` has its arguments in an overload that is marked as deprecated.
# pyright: reportDeprecated=false
from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage, ToolCallBlock
from llama_index.core.llms.mock import MockFunctionCallingLLM
from llama_index.core.workflow import Context

from llama_index.memory.memkit import MemkitMemory
from memkit import Memory
from memkit.testing import FakeLLM

step, path = sys.argv[1:]


def look(x: str) -> str:
    """Look something up."""
    if x == "die":
        os._exit(9)
    return f"found {x}"


def script(messages: Sequence[ChatMessage], **_: Any) -> ChatMessage:
    if messages[-1].role == "user":
        block = ToolCallBlock(
            tool_call_id="c",
            tool_name="look",
            tool_kwargs={"x": "die" if "Ghent" in str(messages[-1].content) else "tea"},
        )
        return ChatMessage(role="assistant", blocks=[block])
    return ChatMessage(role="assistant", content="Noted.")


def dying(_: Any) -> str:
    os._exit(9)


async def main() -> None:
    agent = FunctionAgent(tools=[look], llm=MockFunctionCallingLLM(response_generator=script))
    store = Memory(path, llm=FakeLLM(dying) if step == "learning" else None)
    first = MemkitMemory.from_defaults(memory=store, user_id="ada", session_id="first")
    context = Context(agent)
    await agent.run("I like tea.", memory=first, ctx=context)
    print(json.dumps(context.to_dict()), flush=True)
    second = MemkitMemory.from_defaults(memory=store, user_id="ada", session_id="second")
    await agent.run("I live in Ghent.", memory=second)


asyncio.run(main())
