"""I gave my LlamaIndex agent `Mem0Memory`: what changes?

The constructor. `context={"user_id": ...}` becomes `user_id=...`, and the session has a name, so that its history is
there in the next process. A turn with tools costs one search and one add, in place of three and two.
"""

# `run` has its arguments in an overload that LlamaIndex marks as deprecated.
# pyright: reportDeprecated=false
from __future__ import annotations

import asyncio
import warnings
from collections.abc import Sequence

from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.llms.mock import MockFunctionCallingLLM

from llama_index.memory.memkit import MemkitMemory
from memkit import Memory

warnings.filterwarnings("ignore", category=DeprecationWarning)  # LlamaIndex's own

# was: from llama_index.memory.mem0 import Mem0Memory
# was: memory = Mem0Memory.from_config(context={"user_id": "ada"}, config=config, search_msg_limit=4)
config = {"vector_store": {"provider": "sqlite"}, "path": "agent"}  # mem0's dictionary
store = Memory.from_config(config)
memory = MemkitMemory.from_defaults(memory=store, user_id="ada", session_id="chat-1", k=4)


def answer(messages: Sequence[ChatMessage], **_: object) -> ChatMessage:
    return ChatMessage(role="assistant", content="In Ghent." if "Ghent" in str(messages) else "Noted.")


async def main() -> None:
    agent = FunctionAgent(
        llm=MockFunctionCallingLLM(response_generator=answer), system_prompt="You help."
    )  # as before
    print(await agent.run(user_msg="I live in Antwerp.", memory=memory))
    # > Noted.
    moved = store.search("Where do I live?", user_id="ada").results[0]
    store.update(moved.id, "I live in Ghent.")
    print(await agent.run(user_msg="Where do I live?", memory=memory))
    # > In Ghent.

    # `reset()` empties the history; `reset(long_term=True)` also what was learned, and `undo` brings that back.
    await memory.areset()
    print(len(await memory.aget_all()), store.count(user_id="ada"))
    # > 0 4


asyncio.run(main())
store.close()
