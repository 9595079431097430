"""`MemkitMemory` in the agents, workflows and chat engines of LlamaIndex."""

# `run` has its arguments in an overload that is marked as deprecated.
# pyright: reportDeprecated=false
from __future__ import annotations

import asyncio
import inspect
import json
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.agent.workflow import AgentWorkflow, CodeActAgent, FunctionAgent, ReActAgent
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.chat_engine import (
    CondensePlusContextChatEngine,
    CondenseQuestionChatEngine,
    ContextChatEngine,
    SimpleChatEngine,
)
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
from llama_index.core.workflow import Context, JsonSerializer

from llama_index.memory.memkit import MemkitMemory
from memkit import Memory
from memkit.testing import FakeEmbedder, FakeLLM, extraction, fact

from .scripted_agents import QUIET, Reasoning, Speaking, Watching, call, said, session

pytestmark = QUIET
CHILD = Path(__file__).parent / "agent_child.py"


@pytest.fixture
def watch() -> Watching:
    return Watching()


@pytest.fixture
def embedder() -> FakeEmbedder:
    return FakeEmbedder()


@pytest.fixture
def store(tmp_path: Path, watch: Watching, embedder: FakeEmbedder) -> Generator[Memory]:
    with Memory(tmp_path / "store", hooks=[watch], embedder=embedder) as memory:
        memory.add("I only drink oat milk.", user_id="ada")
        embedder.calls.clear()
        yield memory


def look(x: str) -> str:
    """Look something up."""
    return f"found {x}"


def shown(messages: list[ChatMessage]) -> str:
    return "\n".join(str(message.content) for message in messages)


QUESTION = "Which milk do I drink?"
TURN = [[("user", QUESTION), ("assistant", "Oat milk.")]]


@pytest.mark.parametrize("rounds", [0, 1, 3])
@pytest.mark.parametrize("streaming", [True, False])
async def test_a_function_agent_costs_one_search_one_add_and_two_embeddings_a_turn(
    store: Memory, watch: Watching, embedder: FakeEmbedder, rounds: int, streaming: bool
) -> None:
    model = Speaking(*(call("look", f"c{n}", x="milk") for n in range(rounds)), "Oat milk.")
    agent = FunctionAgent(tools=[look], llm=model, system_prompt="Be brief.", streaming=streaming)
    memory = session(store)
    answer = await agent.run(QUESTION, memory=memory)
    assert str(answer) == "Oat milk."
    assert len(model.asked) == rounds + 1
    assert all("oat milk" in shown(asked) for asked in model.asked)
    assert all([m.role for m in asked].count("system") == 2 for asked in model.asked)
    assert watch.queries == [QUESTION]
    assert watch.added == TURN
    assert embedder.calls == [(QUESTION,), ("Oat milk.",)]  # the question is not embedded twice
    roles = [message.role.value for message in memory.get_all()]
    assert roles == ["user", *["assistant", "tool"] * rounds, "assistant"]


async def test_with_insert_method_user_there_is_one_system_message_the_agents(store: Memory) -> None:
    model = Speaking("Oat milk.")
    agent = FunctionAgent(llm=model, system_prompt="Be brief.")
    await agent.run(QUESTION, memory=session(store, insert_method="user"))
    assert [m.role for m in model.asked[0]] == ["system", "user"]
    assert "oat milk" in str(model.asked[0][1].content)


REACT = (
    "Thought: I need a tool.\nAction: look\nAction Input: {'x': 'milk'}",
    "Thought: I can answer.\nAnswer: Oat milk.",
)


@pytest.mark.parametrize(
    ("prompt", "method"), [("Be brief.", "system"), (None, "user"), ("Be brief.", "user")]
)
async def test_a_react_agent_is_shown_memories_and_its_answer_is_learned(
    store: Memory, watch: Watching, prompt: str | None, method: Any
) -> None:
    model = Reasoning(*REACT)
    agent = ReActAgent(tools=[look], llm=model, system_prompt=prompt)
    memory = session(store, insert_method=method)
    answer = await agent.run(QUESTION, memory=memory)
    assert str(answer) == "Oat milk."
    assert all("- [" in asked and "I only drink oat milk." in asked for asked in model.asked)
    assert watch.queries == [QUESTION]
    assert watch.added == TURN
    assert "Observation: found milk" in str(memory.get_all()[-1].content)


@pytest.mark.parametrize(("prompt", "method"), [("Be brief.", "system"), (None, "user")])
async def test_a_code_act_agents_code_is_not_learned(
    store: Memory, watch: Watching, prompt: str | None, method: Any
) -> None:
    model = Speaking("<execute>print('oat')</execute>", "Oat milk.")
    agent = CodeActAgent(code_execute_fn=lambda code: "oat", llm=model, system_prompt=prompt)
    memory = session(store, insert_method=method)
    await agent.run(QUESTION, memory=memory)
    assert all("I only drink oat milk." in shown(asked) for asked in model.asked)
    assert watch.queries == [QUESTION]
    assert watch.added == TURN
    assert len(memory.get_all()) == 4


async def test_a_workflow_of_agents_that_hand_over_is_one_turn(store: Memory, watch: Watching) -> None:
    first = FunctionAgent(
        name="first",
        description="Asks.",
        llm=Speaking(call("handoff", to_agent="second", reason="knows")),
        can_handoff_to=["second"],
    )
    model = Speaking(call("look", "c2", x="milk"), "Oat milk.")
    second = FunctionAgent(name="second", description="Knows.", llm=model, tools=[look])
    memory = session(store)
    workflow = AgentWorkflow(agents=[first, second], root_agent="first")
    answer = await workflow.run(QUESTION, memory=memory)
    assert str(answer) == "Oat milk."
    assert "oat milk" in shown(model.asked[0])
    assert watch.queries == [QUESTION]
    assert watch.added == TURN


async def test_a_tool_that_answers_directly_ends_the_turn(store: Memory, watch: Watching) -> None:
    from llama_index.core.tools import FunctionTool

    tool = FunctionTool.from_defaults(look, return_direct=True)
    agent = FunctionAgent(tools=[tool], llm=Speaking(call("look", x="milk")))
    await agent.run(QUESTION, memory=session(store))
    assert watch.added == [[("user", QUESTION), ("assistant", "found milk")]]
    assert [item.metadata for item in store.get_all(user_id="ada").results] == [{}, {}, {}]


# Context.


async def test_a_memory_passed_once_stays_with_the_context(store: Memory, watch: Watching) -> None:
    model = Speaking("Oat milk.", "And tea.")
    agent = FunctionAgent(llm=model)
    context = Context(agent)
    await agent.run(QUESTION, memory=session(store), ctx=context)
    await agent.run("What else?", ctx=context)
    restored = Context.from_dict(agent, json.loads(json.dumps(context.to_dict())))
    await agent.run("Once more?", ctx=restored)
    own = [text for role, text in said(model.asked[-1]) if role != "system"]
    assert own == [QUESTION, "Oat milk.", "What else?", "And tea.", "Once more?"]
    assert len(watch.queries) == len(watch.added) == 3


@pytest.mark.skipif(
    "allowed_types" not in inspect.signature(JsonSerializer.__init__).parameters,
    reason="this version restores whatever it is given",
)
async def test_a_server_that_allows_it_by_name_restores_it(store: Memory) -> None:
    model = Speaking("Oat milk.", "And tea.")
    agent = FunctionAgent(llm=model)
    context = Context(agent)
    await agent.run(QUESTION, memory=session(store), ctx=context)
    serializer = JsonSerializer(allowed_types=[MemkitMemory])
    data = json.loads(json.dumps(context.to_dict(serializer=serializer)))
    await agent.run("What else?", ctx=Context.from_dict(agent, data, serializer=serializer))
    assert [text for role, text in said(model.asked[-1]) if role != "system"] == [
        QUESTION,
        "Oat milk.",
        "What else?",
    ]


def child(step: str, path: Path) -> str:
    """What a process prints until it dies."""
    done = subprocess.run(
        [sys.executable, str(CHILD), step, str(path)],
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 9, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Where an agent was killed, and the context of a turn that it had finished."""
    path = tmp_path_factory.mktemp("killed") / "store"
    return path, child("tool", path)


async def test_a_context_is_restored_in_another_process(killed: tuple[Path, str]) -> None:
    path, written = killed
    model = Speaking("Tea.")
    agent = FunctionAgent(llm=model)
    await agent.run("What do I like?", ctx=Context.from_dict(agent, json.loads(written)))
    own = [text for role, text in said(model.asked[0]) if role in ("user", "assistant") and text]
    assert own == ["I like tea.", "Noted.", "What do I like?"]
    assert model.asked[0][0].role == "system"
    assert "I like tea." in str(model.asked[0][0].content)
    with Memory(path) as store:
        assert len(store.messages(user_id="ada", run_id="first")) == 6


async def test_an_agent_killed_in_a_turn_goes_on_with_its_history_whole(killed: tuple[Path, str]) -> None:
    with Memory(killed[0]) as store:
        memory = session(store, "second")
        assert said(await memory.aget_all()) == [("user", "I live in Ghent.")]
        model = Speaking("In Ghent.")
        await FunctionAgent(llm=model).run("Where do I live?", memory=memory)
        assert said(model.asked[0])[-2:] == [("user", "I live in Ghent."), ("user", "Where do I live?")]
        learned = {item.memory for item in store.get_all(user_id="ada", run_id="second").results}
        assert learned == {"I live in Ghent.", "Where do I live?", "In Ghent."}


def test_an_agent_killed_while_it_learned_has_learned_when_it_is_back(tmp_path: Path) -> None:
    child("learning", tmp_path / "store")
    model = FakeLLM([extraction(fact("Likes tea.", "I like tea"))])
    with Memory(tmp_path / "store", llm=model) as store:
        memory = session(store, "first")
        assert len(memory.get_all()) == 4
        store.repair()
        assert [item.memory for item in store.get_all(user_id="ada").results] == ["Likes tea."]
        assert len(model.calls) == 1


# Concurrency.


async def test_agents_that_run_at_once_on_one_store_do_not_mix(store: Memory) -> None:
    users = [f"user-{n}" for n in range(4)]
    for user_id in users:
        store.add(f"The secret of {user_id} is {user_id}-blue.", user_id=user_id)

    async def chat(user_id: str) -> list[list[ChatMessage]]:
        model = Speaking(call("look", x=user_id), f"Answer to {user_id}.")
        agent = FunctionAgent(tools=[look], llm=model)
        memory = session(store, "same-session", user_id)
        for _ in range(2):
            await agent.run("What is my secret?", memory=memory)
        return model.asked

    for user_id, asked in zip(users, await asyncio.gather(*map(chat, users)), strict=True):
        for others in users:
            assert (f"{others}-blue" in "\n".join(map(shown, asked))) == (others == user_id)
        texts = {item.memory for item in store.get_all(user_id=user_id).results}
        assert texts == {
            f"The secret of {user_id} is {user_id}-blue.",
            "What is my secret?",
            f"Answer to {user_id}.",
        }


async def test_two_agents_on_one_memory_object_lose_nothing(store: Memory) -> None:
    memory = session(store)

    async def chat(n: int) -> None:
        await FunctionAgent(llm=Speaking(f"Answer {n}.")).run(f"Question {n}?", memory=memory)

    await asyncio.gather(*map(chat, range(4)))
    history = [text for _, text in said(memory.get_all())]
    assert sorted(map(str, history)) == sorted(
        text for n in range(4) for text in (f"Question {n}?", f"Answer {n}.")
    )
    learned = [
        item.memory for item in store.get_all(user_id="ada", run_id="s").results if item.role == "user"
    ]
    assert sorted(learned) == [f"Question {n}?" for n in range(4)]


# Chat engines.


class Fixed(BaseRetriever):
    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return [NodeWithScore(node=TextNode(text="Milk is white."), score=1.0)]


def engine(kind: str, model: Reasoning, memory: MemkitMemory) -> Any:
    if kind == "simple":
        return SimpleChatEngine.from_defaults(llm=model, memory=memory, system_prompt="Be brief.")
    if kind == "context":
        return ContextChatEngine.from_defaults(Fixed(), llm=model, memory=memory)
    if kind == "condense-plus":
        return CondensePlusContextChatEngine.from_defaults(Fixed(), llm=model, memory=memory)
    query_engine = RetrieverQueryEngine.from_args(Fixed(), llm=model)
    return CondenseQuestionChatEngine.from_defaults(query_engine, llm=model, memory=memory)


async def chat(engine: Any, call: str, message: str) -> str:
    if call == "chat":
        return str(await asyncio.to_thread(engine.chat, message))
    if call == "stream":
        return await asyncio.to_thread(lambda: "".join(engine.stream_chat(message).response_gen))
    if call == "achat":
        return str(await engine.achat(message))
    answer = await engine.astream_chat(message)
    return "".join([token async for token in answer.async_response_gen()])


@pytest.mark.parametrize("kind", ["simple", "context", "condense-plus", "condense"])
@pytest.mark.parametrize("call", ["chat", "stream", "achat", "astream"])
async def test_a_chat_engine_costs_one_search_and_one_add_a_turn(
    store: Memory, watch: Watching, kind: str, call: str
) -> None:
    model = Reasoning("Oat milk.")
    memory = session(store)
    talk = engine(kind, model, memory)
    for turn in (1, 2):
        assert (await chat(talk, call, QUESTION)).strip() == "Oat milk."
        assert watch.queries == [QUESTION] * turn
        assert len(watch.added) == turn
    assert watch.added == TURN * 2
    assert [message.role.value for message in talk.chat_history] == ["user", "assistant"] * 2
    assert any("I only drink oat milk." in asked for asked in model.asked)
    talk.reset()
    assert memory.get_all() == []
    assert store.count(user_id="ada") > 1
