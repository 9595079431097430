"""How do several LlamaIndex agents share one memory, and keep notes of their own?

The workflow's `MemkitMemory` is what all of them are shown; it belongs to `agent_id="team"`. Tools bound to an agent's
own id write notes that no other agent finds. All of it is one user's, and forgetting the user erases it.
"""

# `run` has its arguments in an overload that LlamaIndex marks as deprecated.
# pyright: reportDeprecated=false
from __future__ import annotations

import asyncio
import warnings
from collections.abc import Sequence

from llama_index.core.agent.workflow import AgentWorkflow, FunctionAgent
from llama_index.core.base.llms.types import ChatMessage, TextBlock, ToolCallBlock
from llama_index.core.llms.mock import MockFunctionCallingLLM

from llama_index.memory.memkit import MemkitMemory
from llama_index.tools.memkit import MemkitToolSpec
from memkit import Memory

warnings.filterwarnings("ignore", category=DeprecationWarning)  # LlamaIndex's own

memory = Memory("team")


def script(*lines: ToolCallBlock | str) -> MockFunctionCallingLLM:
    """Return a model that says its lines in order."""
    left = [TextBlock(text=line) if isinstance(line, str) else line for line in lines]

    def answer(_: Sequence[ChatMessage], **__: object) -> ChatMessage:
        return ChatMessage(role="assistant", blocks=[left.pop(0)])

    return MockFunctionCallingLLM(response_generator=answer)


def call(tool: str, **arguments: str) -> ToolCallBlock:
    return ToolCallBlock(tool_call_id=tool, tool_name=tool, tool_kwargs=arguments)


def agent(name: str, *lines: ToolCallBlock | str) -> FunctionAgent:
    notes = MemkitToolSpec(memory=memory, user_id="ada", agent_id=name)
    return FunctionAgent(name=name, description=name, llm=script(*lines), tools=notes.to_tool_list())


async def main() -> None:
    workflow = AgentWorkflow(
        agents=[
            agent(
                "planner",
                call("add_memory", text="Ada's budget for the trip seems to be 900 euros."),
                call("handoff", to_agent="booker", reason="The plan is made."),
            ),
            agent("booker", call("search_memories", query="budget of the trip"), "Rome in May is booked."),
        ],
        root_agent="planner",
    )
    team = MemkitMemory.from_defaults(memory=memory, user_id="ada", agent_id="team", session_id="trip")
    print(await workflow.run(user_msg="Book Rome for May, please.", memory=team))
    # > Rome in May is booked.

    for owner in ("team", "planner", "booker"):
        print(owner, sorted(item.memory for item in memory.get_all(user_id="ada", agent_id=owner).results))
    # > team ['Book Rome for May, please.', 'Rome in May is booked.']
    # > planner ["Ada's budget for the trip seems to be 900 euros."]
    # > booker []

    # What an agent noted is in no other session's prompts, what the team talked about is.
    later = MemkitMemory.from_defaults(memory=memory, user_id="ada", agent_id="team", session_id="later")
    shown = str(later.get("What did we book, within which budget?")[0].content)
    print("Rome" in shown, "900" in shown)
    # > True False


asyncio.run(main())
memory.close()
