"""What memkit's own models say inside an agent stays out of every stream that the agent's user can watch."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.cross_encoders import BaseCrossEncoder
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.tools import StructuredTool
from langgraph.graph import (  # pyright: ignore[reportMissingTypeStubs]  (langgraph ships none)
    START,
    MessagesState,
    StateGraph,
)
from langgraph.pregel import Pregel  # pyright: ignore[reportMissingTypeStubs]

from memkit import Memory

from .scripted import ScriptedChatModel, calls

SECRET = "zanzibar"
SAID = (
    f'{{"memories": [{{"text": "User plays the oboe ({SECRET}).", "kind": "fact", "action": "add", "message": 1, '
    '"quote": "I play the oboe"}]}'
)
ASKED: dict[str, Any] = {"messages": [("user", "I play the oboe.")]}
HAS_V3 = hasattr(Pregel, "stream_events")  # the oldest LangGraph has no third version
WATCHED = ("stream", "astream", "v2", *(("v3", "v3 messages") if HAS_V3 else ()))

pytestmark = pytest.mark.filterwarnings("ignore:The v3 streaming protocol")


def speak() -> str:
    """Ask a model without a word about callbacks, as somebody's class may do."""
    return FakeListChatModel(responses=[f"{SECRET} words"]).invoke("x").text


class Talking(Embeddings):
    """Embeddings that ask a chat model first."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        speak()
        return DeterministicFakeEmbedding(size=8).embed_documents(texts)

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]


class Compressing(BaseDocumentCompressor):
    """A reranker that asks a chat model and forgets the callbacks it was given."""

    def compress_documents(self, documents: Sequence[Document], query: str, callbacks: Any = None) -> Any:
        speak()
        return documents


class Scoring(BaseCrossEncoder):
    """The same as a cross encoder."""

    def score(self, text_pairs: list[tuple[str, str]]) -> list[float]:
        speak()
        return [0.5 for _ in text_pairs]


@pytest.fixture(params=[Compressing, Scoring])
def memory(request: pytest.FixtureRequest) -> Generator[Memory]:
    model = FakeListChatModel(responses=[SAID])
    with Memory(":memory:", llm=model, embedder=Talking(), reranker=request.param()) as made:
        yield made


def together(parts: list[tuple[str, Any]]) -> str:
    """Return the tokens of a stream in one piece, and everything else after them."""
    return "".join(part[0].text for mode, part in parts if mode == "messages") + str(parts)


async def watch(agent: Any, how: str) -> str:
    """Run an agent and return all that is seen of it, as text."""
    match how:
        case "stream":
            return together(list(agent.stream(ASKED, stream_mode=["messages", "updates", "debug"])))
        case "astream":
            return together(
                [part async for part in agent.astream(ASKED, stream_mode=["messages", "updates"])]
            )
        case "v2":
            return str([event async for event in agent.astream_events(ASKED, version="v2")])
        case "v3":
            return str([event async for event in await agent.astream_events(ASKED, version="v3")])
        case _:
            run = await agent.astream_events(ASKED, version="v3")
            return str([await message.text async for message in run.messages])


def in_a_node(memory: Memory) -> Any:
    model = FakeListChatModel(responses=["Noted"])

    def answer(state: MessagesState, config: RunnableConfig) -> Any:
        memory.add(list(state["messages"]), user_id="ada")
        memory.search("instrument", user_id="ada")
        return {"messages": [model.invoke(state["messages"], config)]}

    async def aanswer(state: MessagesState, config: RunnableConfig) -> Any:
        await memory.to_async().add(list(state["messages"]), user_id="ada")
        await memory.to_async().search("instrument", user_id="ada")
        return {"messages": [await model.ainvoke(state["messages"], config)]}

    graph: Any = StateGraph(MessagesState)
    graph.add_node("answer", RunnableLambda(answer, afunc=aanswer))
    graph.add_edge(START, "answer")
    return graph.compile()


def in_a_tool(memory: Memory) -> Any:
    def remember(text: str) -> str:
        """Remember."""
        memory.add([{"role": "user", "content": text}], user_id="ada")
        memory.search("instrument", user_id="ada")
        return "kept"

    async def aremember(text: str) -> str:
        """Remember."""
        await memory.to_async().add([{"role": "user", "content": text}], user_id="ada")
        await memory.to_async().search("instrument", user_id="ada")
        return "kept"

    both = StructuredTool.from_function(name="remember", func=remember, coroutine=aremember)
    asks = calls("remember", text="I play the oboe.")
    return create_agent(ScriptedChatModel(asks, "Noted"), tools=[both])


@pytest.mark.parametrize("how", WATCHED)
@pytest.mark.parametrize("agent", [in_a_node, in_a_tool])
async def test_no_word_of_ours_is_seen(memory: Memory, agent: Any, how: str) -> None:
    seen = await watch(agent(memory), how)
    assert "Noted" in seen
    assert SECRET not in seen
    assert [item.memory for item in memory.get_all(user_id="ada").results] == [
        f"User plays the oboe ({SECRET})."
    ]


@pytest.mark.parametrize("how", WATCHED)
async def test_a_word_that_leaks_would_be_seen(how: str) -> None:
    def answer(state: MessagesState, config: RunnableConfig) -> Any:
        speak()
        return {"messages": [AIMessage("Noted")]}

    graph: Any = StateGraph(MessagesState)
    graph.add_node("answer", answer)
    graph.add_edge(START, "answer")
    assert SECRET in await watch(graph.compile(), how)
