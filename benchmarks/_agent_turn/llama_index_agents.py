"""LlamaIndex agents with memkit, mem0 and the native memory: the workers of `benchmarks/llama_index_turn.py`."""

# `run` has its arguments in an overload that LlamaIndex marks as deprecated.
# pyright: reportDeprecated=false
from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks._agent_turn.player import EMBEDDING, SYSTEM, USER, Player, lookup_weather, play

AGENT = "gpt-4o-mini"
"""A name that LlamaIndex knows to call functions."""
_loop = asyncio.Runner()


def memkit(base_url: str, folder: Path) -> Player:
    """`MemkitMemory` as it comes."""
    from llama_index.memory.memkit import MemkitMemory
    from memkit import Memory

    counts: Counter[str] = Counter()

    class Counting:
        def before_search(self, query: str, scope: object) -> None:
            del query, scope
            counts["searches"] += 1

        def before_add(self, messages: object, scope: object) -> None:
            del messages, scope
            counts["adds"] += 1

    openai = {"base_url": base_url, "api_key": "local"}
    memory = Memory(
        folder,
        llm={"provider": "openai", "config": {"model": "memory", **openai}},
        embedder={"provider": "openai", "config": {"model": EMBEDDING, **openai}},
        hooks=[Counting()],
    )

    def session(name: str) -> MemkitMemory:
        return MemkitMemory.from_defaults(memory=memory, user_id=USER, session_id=name)

    return Player(turn=_turns_of(base_url, session), flush=memory.flush, counts=counts)


def mem0(base_url: str, folder: Path) -> Player:
    """`Mem0Memory` as it comes, one for each session, all on one client."""
    os.environ |= {"MEM0_DIR": str(folder / "home"), "MEM0_TELEMETRY": "False"}
    from llama_index.core.memory import Memory as Native
    from llama_index.memory.mem0 import Mem0Memory
    from mem0 import Memory

    counts: Counter[str] = Counter()

    class Counted(Memory):  # pyright: ignore[reportUntypedBaseClass]  not in this environment
        def search(self, *args: Any, **kwargs: Any) -> Any:
            counts["searches"] += 1
            return super().search(*args, **kwargs)

        def add(self, *args: Any, **kwargs: Any) -> Any:
            counts["adds"] += 1
            return super().add(*args, **kwargs)

    openai = {"openai_base_url": base_url, "api_key": "local"}
    chroma = {"collection_name": "turns", "path": str(folder / "c")}
    client: Any = Counted.from_config(
        {
            "vector_store": {"provider": "chroma", "config": chroma},
            "llm": {"provider": "openai", "config": {"model": "memory", **openai}},
            "embedder": {"provider": "openai", "config": {"model": EMBEDDING, **openai}},
            "history_db_path": str(folder / "history.db"),
        }
    )

    def session(name: str) -> Any:
        history: Any = Native.from_defaults(session_id=name)
        return Mem0Memory(context={"user_id": USER}, client=client, primary_memory=history)

    return Player(turn=_turns_of(base_url, session), counts=counts)


def block(base_url: str, folder: Path) -> Player:
    """The native `Memory` with a `VectorMemoryBlock`, in one session whose queue is flushed with every turn."""
    import chromadb
    from llama_index.core.memory import Memory, VectorMemoryBlock
    from llama_index.embeddings.openai import OpenAIEmbedding
    from llama_index.vector_stores.chroma import ChromaVectorStore

    counts: Counter[str] = Counter()

    class Counted(ChromaVectorStore):  # pyright: ignore[reportUntypedBaseClass]  the same
        async def aquery(self, query: Any, **kwargs: Any) -> Any:
            counts["searches"] += 1
            return await super().aquery(query, **kwargs)

        async def async_add(self, nodes: Any, **kwargs: Any) -> Any:
            counts["adds"] += 1
            return await super().async_add(nodes, **kwargs)

    collection = chromadb.PersistentClient(str(folder / "c")).create_collection("turns")
    memory: Any = Memory.from_defaults(
        session_id="one",
        token_limit=1000,
        chat_history_token_ratio=0.06,
        token_flush_size=10,
        memory_blocks=[
            VectorMemoryBlock(
                vector_store=Counted(chroma_collection=collection),
                embed_model=OpenAIEmbedding(model_name=EMBEDDING, api_base=base_url, api_key="local"),
            )
        ],
    )
    return Player(turn=_turns_of(base_url, lambda _: memory), counts=counts)


SYSTEMS = {"memkit": memkit, "mem0": mem0, "block": block}


def _turns_of(base_url: str, session: Callable[[str], Any]) -> Callable[[str, str], str]:
    from llama_index.core.agent.workflow import FunctionAgent
    from llama_index.llms.openai import OpenAI

    model = OpenAI(model=AGENT, api_base=base_url, api_key="local", max_retries=0)
    agent: Any = FunctionAgent(tools=[lookup_weather], llm=model, system_prompt=SYSTEM)

    async def turn(said: str, thread: str) -> str:
        return str(await agent.run(user_msg=said, memory=session(thread)))

    return lambda said, thread: _loop.run(turn(said, thread))


if __name__ == "__main__":
    play(SYSTEMS)
