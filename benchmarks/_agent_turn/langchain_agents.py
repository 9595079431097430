"""LangChain agents with memkit, langmem and mem0: the workers of `benchmarks/agent_turn.py`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks._agent_turn.player import EMBEDDING, SYSTEM, USER, Player, lookup_weather, play


def chat_model(base_url: str, name: str) -> Any:
    from langchain_openai import ChatOpenAI
    from pydantic import SecretStr

    return ChatOpenAI(model=name, base_url=base_url, api_key=SecretStr("local"), max_retries=0)


def memkit(base_url: str, folder: Path) -> Player:
    """The middleware: one line more than the agent alone."""
    from langchain.agents import create_agent

    from langchain_memkit import LongTermMemoryMiddleware
    from memkit import Memory

    openai = {"base_url": base_url, "api_key": "local"}
    memory = Memory(
        folder,
        llm={"provider": "openai", "config": {"model": "memory", **openai}},
        embedder={"provider": "openai", "config": {"model": EMBEDDING, **openai}},
    )
    middleware = LongTermMemoryMiddleware(memory, user_id=USER)
    agent: Any = create_agent(
        chat_model(base_url, "agent"), [lookup_weather], system_prompt=SYSTEM, middleware=[middleware]
    )
    return Player(turn=_turns_of(agent), flush=middleware.flush)


def langmem_tools(base_url: str, folder: Path) -> Player:
    """langmem's hot path: the model calls the tools that search and store."""
    from langchain.agents import create_agent
    from langmem import create_manage_memory_tool, create_search_memory_tool

    namespace = ("memories", "{user_id}")
    tools = [
        lookup_weather,
        create_manage_memory_tool(namespace=namespace),
        create_search_memory_tool(namespace=namespace),
    ]
    agent: Any = create_agent(
        chat_model(base_url, "agent"), tools, system_prompt=SYSTEM, store=_langgraph_store(base_url)
    )
    return Player(turn=_turns_of(agent))


def langmem_manager(base_url: str, folder: Path) -> Player:
    """langmem's background path: recall by a search before the agent, extraction by a store manager after it."""
    from langchain.agents import create_agent
    from langgraph.func import entrypoint
    from langmem import create_memory_store_manager

    store = _langgraph_store(base_url)
    manager = create_memory_store_manager(chat_model(base_url, "memory"), namespace=("memories", "{user_id}"))
    agent: Any = create_agent(chat_model(base_url, "agent"), [lookup_weather])

    @entrypoint(store=store)
    def turn(said: str) -> str:
        found = store.search(("memories", USER), query=said, limit=5)
        known = "\n".join(str(item.value) for item in found)
        messages = [{"role": "system", "content": f"{SYSTEM}\n{known}"}, {"role": "user", "content": said}]
        done = agent.invoke({"messages": messages})["messages"]
        manager.invoke({"messages": [{"role": "user", "content": said}, done[-1]]})
        return done[-1].text

    return Player(turn=lambda said, thread: str(turn.invoke(said, _config(thread))))


def mem0(base_url: str, folder: Path) -> Player:
    """mem0's recipe for LangGraph: search, a system message, the agent, add."""
    os.environ |= {"MEM0_DIR": str(folder / "home"), "MEM0_TELEMETRY": "False"}
    from langchain.agents import create_agent
    from mem0 import Memory

    openai = {"openai_base_url": base_url, "api_key": "local"}
    memory: Any = Memory.from_config(
        {
            "vector_store": {
                "provider": "chroma",
                "config": {"collection_name": "turns", "path": str(folder / "c")},
            },
            "llm": {"provider": "openai", "config": {"model": "memory", **openai}},
            "embedder": {"provider": "openai", "config": {"model": EMBEDDING, **openai}},
            "history_db_path": str(folder / "history.db"),
        }
    )
    agent: Any = create_agent(chat_model(base_url, "agent"), [lookup_weather])

    def turn(said: str, thread: str) -> str:
        found = memory.search(said, filters={"user_id": USER})["results"]
        known = "\n".join(f"- {item['memory']}" for item in found)
        messages = [{"role": "system", "content": f"{SYSTEM}\n{known}"}, {"role": "user", "content": said}]
        answer = agent.invoke({"messages": messages})["messages"][-1].text
        memory.add(
            [{"role": "user", "content": said}, {"role": "assistant", "content": answer}], user_id=USER
        )
        return answer

    return Player(turn=turn)


SYSTEMS = {"memkit": memkit, "langmem-tools": langmem_tools, "langmem-manager": langmem_manager, "mem0": mem0}


def _langgraph_store(base_url: str) -> Any:
    from langchain_openai import OpenAIEmbeddings
    from langgraph.store.memory import InMemoryStore
    from pydantic import SecretStr

    embed = OpenAIEmbeddings(
        model=EMBEDDING,
        base_url=base_url,
        api_key=SecretStr("local"),
        check_embedding_ctx_length=False,
    )
    return InMemoryStore(index={"dims": 256, "embed": embed})


def _turns_of(agent: Any) -> Callable[[str, str], str]:
    def turn(said: str, thread: str) -> str:
        state = agent.invoke({"messages": [{"role": "user", "content": said}]}, _config(thread))
        return state["messages"][-1].text

    return turn


def _config(thread: str) -> Any:
    return {"configurable": {"user_id": USER, "thread_id": thread}}


if __name__ == "__main__":
    play(SYSTEMS)
