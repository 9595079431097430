"""How does a LlamaIndex agent remember its users, in this session and in the next?

`MemkitMemory` is the agent's memory: the session's history on disk, what is known about the user recalled once a turn
and shown to the model, every turn learned once. A scripted model stands in for yours, so that no key is needed.
"""

# `run` has its arguments in an overload that LlamaIndex marks as deprecated.
# pyright: reportDeprecated=false
from __future__ import annotations

import asyncio
import json
import warnings
from collections.abc import Sequence
from typing import Any

from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage, ToolCallBlock
from llama_index.core.llms.mock import MockFunctionCallingLLM
from llama_index.core.workflow import Context

from llama_index.memory.memkit import MemkitMemory
from memkit import Memory

warnings.filterwarnings("ignore", category=DeprecationWarning)  # LlamaIndex's own

memory = Memory(
    "agent"
)  # a folder; `llm="openai"` extracts facts, without a model the turns are the memories


def weather(city: str) -> str:
    """Tell the weather."""
    return f"It rains in {city}."


def answer(messages: Sequence[ChatMessage], **_: Any) -> ChatMessage:
    """Call the tool for the weather of the city that is known, else say what is shown."""
    known = next(
        (str(m.content) for m in messages if m.role == "system" and "recalled" in str(m.content)), ""
    )
    if messages[-1].role == "tool":
        return ChatMessage(role="assistant", content=str(messages[-1].content))
    if "Ghent" in known:
        call = ToolCallBlock(tool_call_id="1", tool_name="weather", tool_kwargs={"city": "Ghent"})
        return ChatMessage(role="assistant", blocks=[call])
    return ChatMessage(role="assistant", content="Noted.")


async def main() -> None:
    agent = FunctionAgent(tools=[weather], llm=MockFunctionCallingLLM(response_generator=answer))

    monday = MemkitMemory.from_defaults(memory=memory, user_id="ada", session_id="monday")
    print(await agent.run(user_msg="I live in Ghent.", memory=monday))
    # > Noted.

    # Another session of hers: the history is its own, what was learned is shared.
    tuesday = MemkitMemory.from_defaults(memory=memory, user_id="ada", session_id="tuesday")
    context = Context(agent)
    print(await agent.run(user_msg="What is the weather where I live?", memory=tuesday, ctx=context))
    # > It rains in Ghent.
    print([message.role.value for message in tuesday.get_all()])
    # > ['user', 'assistant', 'tool', 'assistant']
    print([item.memory for item in memory.get_all(user_id="ada", run_id="tuesday").results])
    # > ['It rains in Ghent.', 'What is the weather where I live?']

    # A context is plain JSON, the memory in it too: another process goes on.
    restored = Context.from_dict(agent, json.loads(json.dumps(context.to_dict())))
    print(await agent.run(user_msg="And tomorrow?", ctx=restored))
    # > It rains in Ghent.
    print(len(tuesday.get_all()), tuesday.failures)
    # > 8 {}


asyncio.run(main())
memory.close()
