"""`MemkitStore` where LangGraph's users have it: in agents, tools and graphs, over processes and users.

Annotations are evaluated: LangChain reads those of the tools.
"""

import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import pytest
from langchain.agents import create_agent
from langchain.tools import ToolRuntime
from langchain_core.messages import BaseMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.config import get_store  # pyright: ignore[reportMissingTypeStubs]  (langgraph ships none)
from langgraph.graph import (  # pyright: ignore[reportMissingTypeStubs]  (langgraph ships none)
    START,
    MessagesState,
    StateGraph,
)
from langgraph.prebuilt import (  # pyright: ignore[reportMissingTypeStubs]  (langgraph ships none)
    InjectedStore,
    ToolNode,
)
from langgraph.runtime import Runtime  # pyright: ignore[reportMissingTypeStubs]  (langgraph ships none)
from langgraph.store.base import BaseStore  # pyright: ignore[reportMissingTypeStubs]  (langgraph ships none)
from typing_extensions import TypedDict

from integrations.langchain.tests.scripted import ScriptedChatModel, calls
from integrations.langchain.tests.store_calls import Mode
from langchain_memkit import MemkitStore
from memkit import Memory


class Whose(TypedDict):
    """The context of a call."""

    user_id: str


@tool
def remember(fact: str, runtime: ToolRuntime[Any, Any]) -> str:
    """Keep a fact about the user."""
    assert isinstance(runtime.store, MemkitStore)
    runtime.store.put(("memories", runtime.context["user_id"]), fact[:8], {"memory": fact})
    return "kept"


@tool
async def recall(question: str, runtime: ToolRuntime[Any, Any]) -> str:
    """Find what is known about the user."""
    assert isinstance(runtime.store, MemkitStore)
    found = await runtime.store.asearch(("memories", runtime.context["user_id"]), query=question, limit=2)
    return "; ".join(str(item.value["memory"]) for item in found)


@tool
def recall_now(question: str, store: Annotated[BaseStore, InjectedStore()]) -> str:
    """Find what is known about anybody."""
    return "; ".join(
        str(item.value["memory"]) for item in store.search(("memories",), query=question, limit=1)
    )


def answers(messages: list[BaseMessage]) -> list[str]:
    return [message.text for message in messages if isinstance(message, ToolMessage)]


ANN, BOB = Whose(user_id="ann@example.com"), Whose(user_id="bob.o'brien")


async def test_tools_of_an_agent_keep_and_find_what_is_of_their_user(tmp_path: Path) -> None:
    with Memory(tmp_path / "store", llm=None, embedder="hash") as memory:
        store = MemkitStore(memory)
        for context, fact in ((ANN, "Ann likes green tea"), (BOB, "Bob drinks tea with milk")):
            model = ScriptedChatModel(calls("remember", fact=fact), "Noted.")
            agent: Any = create_agent(model, tools=[remember, recall], store=store, context_schema=Whose)
            await agent.ainvoke({"messages": [("user", fact)]}, context=context)
        model = ScriptedChatModel(calls("recall", question="What tea?"), "Green tea.")
        agent = create_agent(model, tools=[remember, recall], store=store, context_schema=Whose)
        done = await agent.ainvoke({"messages": [("user", "What tea?")]}, context=ANN)
        assert answers(done["messages"]) == ["Ann likes green tea"]
        assert store.list_namespaces() == [("memories", user["user_id"]) for user in (ANN, BOB)]


def test_a_tool_node_injects_the_store(tmp_path: Path) -> None:
    with Memory(tmp_path / "store", llm=None, embedder="hash") as memory:
        store = MemkitStore(memory)
        store.put(("memories", "ann"), "k", {"memory": "Ann likes green tea"})
        graph: Any = (
            StateGraph(MessagesState).add_node("tools", ToolNode([recall_now])).add_edge(START, "tools")
        )
        done = graph.compile(store=store).invoke({"messages": [calls("recall_now", question="tea")]})
        assert answers(done["messages"]) == ["Ann likes green tea"]


@pytest.mark.parametrize("node", ["runtime", "get_store"])
async def test_a_node_of_a_graph_has_the_store(mode: Mode, node: str) -> None:
    def by_runtime(state: MessagesState, runtime: Runtime[Any]) -> dict[str, Any]:
        store = runtime.store
        assert store is not None
        store.put(("memories", "ann@example.com"), "k", {"memory": "tea"})
        return {"messages": [("ai", str(store.search((), query="tea")[0].value["memory"]))]}

    def by_config(state: MessagesState) -> dict[str, Any]:
        store = get_store()
        store.put(("memories", "ann@example.com"), "k", {"memory": "tea"})
        found = store.get(("memories", "ann@example.com"), "k")
        assert found is not None
        return {"messages": [("ai", str(found.value["memory"]))]}

    with Memory(":memory:", llm=None, embedder="hash") as memory:
        builder: Any = StateGraph(MessagesState)
        builder.add_node("node", by_runtime if node == "runtime" else by_config).add_edge(START, "node")
        graph = builder.compile(store=MemkitStore(memory))
        given = {"messages": [("user", "hello")]}
        done = graph.invoke(given) if mode == "sync" else await graph.ainvoke(given)
        assert done["messages"][-1].text == "tea"


# ------------------------------------------------------------------------------------------- processes

OTHER = """
import os, signal, sys
from langchain_memkit import MemkitStore
from memkit import Memory
store = MemkitStore(Memory(sys.argv[1], llm=None, embedder="hash"))
namespace = ("memories", "ann@example.com")
assert store.get(namespace, "first").value == {"memory": "Ann likes green tea"}
assert store.search(("memories",), query="tea")[0].key == "first"
store.put(namespace, "second", {"memory": "Ann plays the drums"})
store.put(namespace, "first", {"memory": "Ann likes black coffee"})
print("told", flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_and_this_one_share_what_they_were_told(tmp_path: Path) -> None:
    namespace = ("memories", "ann@example.com")
    with Memory(tmp_path / "store", llm=None, embedder="hash") as memory:
        store = MemkitStore(memory)
        store.put(namespace, "first", {"memory": "Ann likes green tea"})
        made = store.get(namespace, "first")
        done = subprocess.run(
            [sys.executable, "-c", OTHER, str(tmp_path / "store")],
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert (done.stdout, done.returncode) == ("told\n", -9), done.stderr
        assert store.search(namespace, query="drums")[0].key == "second"
        now = store.get(namespace, "first")
        assert made is not None and now is not None and now.value == {"memory": "Ann likes black coffee"}
        assert now.created_at == made.created_at < now.updated_at
    with Memory(tmp_path / "store", llm=None, embedder="hash") as memory:
        assert MemkitStore(memory).search(namespace, query="coffee")[0].key == "first"


def test_without_langgraph_the_error_says_what_to_install() -> None:
    code = """
import sys
sys.modules["langgraph"] = None
import langchain_memkit
try:
    langchain_memkit.MemkitStore
except ImportError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=90, check=True
    )
    assert done.stdout.strip() == 'MemkitStore needs langgraph. Type: pip install "langchain-memkit[agents]"'
