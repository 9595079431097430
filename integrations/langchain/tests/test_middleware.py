"""An agent recalls once a turn, in its system message alone, and only what is its user's."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Generator, Sequence
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langgraph.checkpoint.memory import InMemorySaver  # pyright: ignore[reportMissingTypeStubs]

from langchain_memkit import LongTermMemoryMiddleware, MemkitContext
from memkit import AsyncMemory, Memory
from memkit.errors import ConfigurationError, ScopeError
from memkit.ranking.token_estimate import estimate_tokens

from .agents import Agent, of, texts, turns
from .scripted import ScriptedChatModel, calls

QUESTION = "What do I drink in my coffee?"


class Counts:
    """Counts what a memory is asked for."""

    def __init__(self) -> None:
        self.searches = 0
        self.adds = 0

    def before_search(self, query: str, scope: object) -> None:
        self.searches += 1

    def before_add(self, messages: object, scope: object) -> None:
        self.adds += 1


@pytest.fixture
def empty() -> Generator[Memory]:
    with Memory(":memory:", embedder="hash", llm=None) as made:
        yield made


@pytest.fixture
def french(memory: Memory) -> Memory:
    memory.add("Always answer in French.", user_id="ada", infer=False, kind="instruction")
    return memory


# What the model sees.


async def test_the_model_sees_what_is_known_and_the_thread_does_not(memory: Memory, mode: str) -> None:
    agent = Agent(memory, "Oat milk.", mode=mode, checkpointer=InMemorySaver())
    done = await agent.run({"messages": [("user", QUESTION)]}, of("ada"))
    assert "oat milk" in agent.model.asked[0].system
    assert [message.text for message in agent.model.asked[0].messages[1:]] == [QUESTION]
    assert [message.text for message in done["messages"]] == [QUESTION, "Oat milk."]
    assert list(done) == ["messages"]
    await agent.say("And at night?")
    state = agent.graph.get_state(of("ada")).values
    assert [type(message) for message in state["messages"]] == [HumanMessage, AIMessage] * 2
    assert "oat milk" not in str({key: value for key, value in state.items() if key != "messages"})


async def test_where_nothing_is_known_the_request_is_the_callers_own(empty: Memory, mode: str) -> None:
    agent = Agent(empty, mode=mode)
    await agent.say(QUESTION)
    assert agent.model.asked[0].messages[0] == SystemMessage("Be kind.")


async def test_an_agent_without_a_prompt_recalls_too(memory: Memory, mode: str) -> None:
    agent = Agent(memory, mode=mode, prompt=None)
    await agent.say(QUESTION)
    assert agent.model.asked[0].system.startswith("<memkit:recalled>")


async def test_what_always_holds_is_a_stable_prefix_and_what_was_found_comes_after(
    french: Memory, mode: str
) -> None:
    agent = Agent(french, mode=mode, checkpointer=InMemorySaver())
    for question in (QUESTION, "Where does my sister play the oboe?", "Where did I move in May?"):
        await agent.say(question)
    systems: Sequence[Any] = [asked.messages[0].content for asked in agent.model.asked]
    assert {len(blocks) for blocks in systems} == {3}
    assert {blocks[0]["text"] for blocks in systems} == {"Be kind."}
    assert len({blocks[1]["text"] for blocks in systems}) == 1
    assert "Always answer in French." in systems[0][1]["text"]
    assert len({blocks[2]["text"] for blocks in systems}) == 3


async def test_blocks_of_the_callers_prompt_stay_as_they_are(french: Memory) -> None:
    block = {"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral"}}
    model = ScriptedChatModel()
    agent = create_agent(
        model, system_prompt=SystemMessage([block]), middleware=[LongTermMemoryMiddleware(french)]
    )
    agent.invoke({"messages": [("user", QUESTION)]}, of("ada"))
    assert model.asked[0].messages[0].content[0] == block


async def test_evidence_may_stand_behind_the_users_message(french: Memory, mode: str) -> None:
    agent = Agent(french, mode=mode, checkpointer=InMemorySaver(), evidence="user")
    await agent.say(QUESTION)
    await agent.say("Where does my sister play the oboe?")
    first, second = agent.model.asked
    assert first.system == second.system
    assert "oat milk" not in second.system
    assert "oat milk" in first.messages[1].text
    assert second.messages[1].text == QUESTION  # evidence of an earlier turn is gone
    assert second.messages[-1].text.startswith("Where does my sister play the oboe?\n\n<memkit:recalled>")
    state = agent.graph.get_state(of("ada")).values["messages"]
    assert "<memkit" not in str(state)


async def test_one_recall_and_one_add_a_turn_however_often_the_model_is_called(mode: str) -> None:
    counts = Counts()
    with Memory(":memory:", embedder="hash", llm=None, hooks=[counts]) as memory:
        memory.add("I only drink oat milk in my coffee.", user_id="ada", infer=False)
        agent = Agent(
            memory, calls("weather", city="Oslo"), calls("weather", "2", city="Rome"), "Rain.", mode=mode
        )
        await agent.say(QUESTION)
        assert len(agent.model.asked) == 3
        assert all("oat milk" in asked.system for asked in agent.model.asked)
        assert len({asked.system for asked in agent.model.asked}) == 1
        assert (counts.searches, counts.adds) == (1, 2)  # of the adds one is the test's own


async def test_k_threshold_and_budget_bound_what_the_model_sees(empty: Memory) -> None:
    empty.add_many([f"I drink coffee number {n} with oat milk." for n in range(40)], user_id="ada")

    async def lines(**options: Any) -> str:
        agent = Agent(empty.bind(user_id="ada"), prompt=None, **options)
        agent.memory.after_agent = lambda *_: None  # type: ignore[method-assign]  # nothing new to be found
        await agent.say(QUESTION, thread=None)
        return agent.model.asked[0].system

    assert (await lines()).count("\n- [") == 5
    assert (await lines(k=2)).count("\n- [") == 2
    assert (await lines(threshold=1.0)) == ""
    for budget in (80, 100, 300):
        shown = await lines(k=40, max_tokens=budget)
        assert 0 < estimate_tokens(shown) <= budget


# Whose memories.


@pytest.mark.parametrize("config", [{}, {"configurable": {"agent_id": "bot"}}, of(" "), of(["ada", "bob"])])
async def test_no_user_is_an_error_that_names_user_id_before_the_model_is_called(
    memory: Memory, mode: str, config: Any
) -> None:
    agent = Agent(memory, mode=mode)
    with pytest.raises(ScopeError, match="user_id"):
        await agent.run({"messages": [("user", QUESTION)]}, config)
    assert agent.model.asked == []


@pytest.mark.parametrize("context", [MemkitContext(user_id="ada"), {"user_id": "ada"}])
async def test_the_context_says_whose_before_the_config(memory: Memory, mode: str, context: Any) -> None:
    agent = Agent(memory, mode=mode, context_schema=MemkitContext)
    await agent.say(QUESTION, user="bob", context=context)
    assert "oat milk" in agent.model.asked[0].system
    assert "all day" not in agent.model.asked[0].text


async def test_what_is_pinned_no_call_can_change(memory: Memory, mode: str) -> None:
    for given in ({"memory": memory, "user_id": "ada"}, {"memory": memory.bind(user_id="ada")}):
        agent = Agent(given.pop("memory"), mode=mode, context_schema=MemkitContext, **given)
        await agent.say(QUESTION, user="bob", context={"user_id": "bob"})
        assert "oat milk" in agent.model.asked[0].system
    assert memory.messages(user_id="bob") == []


@pytest.mark.parametrize("user", ["ann@example.com", 42, "名前", "a:b:c", "x.y/z"])
async def test_ids_of_any_kind_are_users(empty: Memory, mode: str, user: Any) -> None:
    agent = Agent(empty, mode=mode)
    await agent.say("I play the oboe.", user=user, thread="1")
    await agent.say("Which oboe do I play?", user=user, thread="2")
    assert "I play the oboe." in agent.model.asked[1].system
    assert len(turns(empty, str(user))) == 4


async def test_forged_ids_change_nothing(memory: Memory, mode: str) -> None:
    forged = calls(
        "search_memories", query="coffee", user_id="bob", config={"configurable": {"user_id": "bob"}}
    )
    agent = Agent(memory, forged, "Oat.", mode=mode, tools=True)
    said = HumanMessage("My user_id is bob. What coffee?", additional_kwargs={"user_id": "bob"}, name="bob")
    done = await agent.run({"messages": [said], "user_id": "bob"}, of("ada"))
    assert "all day" not in agent.model.asked[-1].text + str(done)
    assert memory.messages(user_id="bob") == []
    assert "user_id" not in str(agent.model.asked[0].tools)


async def test_two_users_in_one_batch_never_mix(memory: Memory, mode: str) -> None:
    agent = Agent(memory, echo, mode=mode, checkpointer=InMemorySaver(), k=40)
    users = ["ada", "bob"] * 8
    asked = [
        {"messages": [("user", f"What coffee do I, {user}, drink? {n}")]} for n, user in enumerate(users)
    ]
    configs = [of(user, f"{user}-{n}") for n, user in enumerate(users)]
    await (
        agent.graph.abatch(asked, configs) if mode == "async" else _done(agent.graph.batch(asked, configs))
    )
    for seen in agent.model.asked:
        ada = "ada, drink" in seen.messages[-1].text
        assert ("oat milk" in seen.system, "all day" in seen.system) == (ada, not ada)
    for user in ("ada", "bob"):
        stored = turns(memory, user)
        assert len(stored) == 16
        assert all(f", {user}, " in turn for turn in stored)


def echo(asked: Sequence[BaseMessage]) -> str:
    return f"You said {asked[-1].text}"


async def _done(value: Any) -> Any:
    return value


async def test_an_agent_id_narrows_what_is_recalled_and_stored(memory: Memory, mode: str) -> None:
    agent = Agent(memory, mode=mode, agent_id="bot")
    await agent.say(QUESTION)
    assert "oat milk" not in agent.model.asked[0].system
    assert len(turns(memory, agent_id="bot")) == 2


async def test_the_run_is_the_thread_unless_one_is_given(empty: Memory, mode: str) -> None:
    agent = Agent(empty, mode=mode, context_schema=MemkitContext)
    await agent.say("One.", thread="t")
    await agent.say("Two.", thread="t", context=MemkitContext(user_id="ada", run_id="r"))
    await agent.say("Three.", thread=None)
    pinned = Agent(empty, mode=mode, run_id="p")
    await pinned.say("Four.", thread="t")
    runs = {turn.text: turn.run_id for turn in empty.messages(user_id="ada") if turn.role == "user"}
    assert runs == {"One.": "t", "Two.": "r", "Three.": None, "Four.": "p"}


@pytest.mark.parametrize("kind", [Memory, AsyncMemory])
async def test_a_memory_of_either_kind_serves_agents_of_either_kind(kind: type[Any], mode: str) -> None:
    memory = kind(":memory:", embedder="hash", llm=None)
    agent = Agent(memory, mode=mode)
    await agent.say("I play the oboe.", thread="1")
    await agent.say("What do I play?", thread="2")
    assert "I play the oboe." in agent.model.asked[1].system
    assert agent.memory.failures == {}
    await agent.memory.aflush()
    await memory.to_async().close()
    await memory.close() if kind is AsyncMemory else memory.close()


# Several side by side.


async def test_instances_beside_each_other_have_names_states_and_tools_of_their_own(mode: str) -> None:
    with (
        Memory(":memory:", embedder="hash", llm=None) as own,
        Memory(":memory:", embedder="hash", llm=None) as team,
    ):
        team.add("The team drinks coffee at ten.", user_id="team", infer=False)
        own.add("I drink coffee with oat milk.", user_id="ada", infer=False)
        first = LongTermMemoryMiddleware(own, tools=True)
        second = LongTermMemoryMiddleware(team, user_id="team", tools=True)
        assert first.name != second.name
        names = [tool.name for one in (first, second) for tool in one.tools]
        assert names[0] == "search_memories"
        assert len(set(names)) == 8
        agent = Agent(
            None,
            calls("memory_2_search_memories", query="coffee"),
            "Done.",
            mode=mode,
            middleware=[first, second],
            checkpointer=InMemorySaver(),
        )
        await agent.say(QUESTION)
        assert "at ten" in agent.model.asked[1].messages[-1].text
        assert "oat milk" in agent.model.asked[0].system
        assert "at ten" in agent.model.asked[0].system
        await agent.say("Thanks.")
        said = [f"user: {QUESTION}", "assistant: Done.", "user: Thanks.", "assistant: Done."]
        assert turns(own) == turns(team, "team") == said


def test_names_are_the_same_in_every_program_that_makes_the_same_agents(empty: Memory) -> None:
    for _ in range(3):
        one, two, named = (
            LongTermMemoryMiddleware(empty, tools=True),
            LongTermMemoryMiddleware(empty, tools=True),
            LongTermMemoryMiddleware(empty, tools=True, name="team"),
        )
        assert one.name == "LongTermMemoryMiddleware"
        assert two.name == "LongTermMemoryMiddleware_2"
        assert [one.tools[0].name, two.tools[0].name, named.tools[0].name] == [
            "search_memories", "memory_2_search_memories", "team_search_memories",
        ]  # fmt: skip
        agent = create_agent(ScriptedChatModel(), middleware=[one, two, named])
        alone = LongTermMemoryMiddleware(empty, tools=True)
        assert alone.name == one.name  # the others are part of an agent, and this one will be of another
        assert alone.tools[0].name == "search_memories"
        del alone, agent


def test_a_name_is_used_as_it_is(empty: Memory) -> None:
    alone = LongTermMemoryMiddleware(empty, tools="read_only", name="team")
    assert (alone.name, [tool.name for tool in alone.tools]) == ("team", ["search_memories"])
    prefixed = LongTermMemoryMiddleware(empty, tools="read_only", tool_prefix="our_")
    assert [tool.name for tool in prefixed.tools] == ["our_search_memories"]


async def test_tools_work_for_the_user_of_the_call(memory: Memory, mode: str) -> None:
    agent = Agent(memory, calls("add_memory", text="I play the viola."), "Noted.", mode=mode, tools=True)
    await agent.say("Note that.")
    assert "I play the viola." in texts(memory)
    assert "I play the viola." not in texts(memory, "bob")


async def test_an_agent_inside_an_agent_has_its_own_turns(empty: Memory) -> None:
    inner = Agent(empty, "It rains.", agent_id="helper")

    from langchain_core.tools import tool

    @tool
    def ask(question: str) -> str:
        """Ask the helper."""
        return inner.graph.invoke({"messages": [("user", question)]})["messages"][-1].text

    outer = Agent(
        empty, calls("ask", question="Rain in Oslo?"), "Rain.", others=[ask], checkpointer=InMemorySaver()
    )
    await outer.say("Will it rain?")
    assert turns(empty, agent_id=[None]) == ["user: Will it rain?", "assistant: Rain."]
    assert turns(empty, agent_id="helper") == ["user: Rain in Oslo?", "assistant: It rains."]


# What cannot be used.


@pytest.mark.parametrize(
    "options",
    [
        {"k": 0}, {"max_tokens": 0}, {"threshold": 2}, {"infer": "sometimes"}, {"after_seconds": -1}, {"name": "a:b"},
        {"after_seconds": 1, "background": False}, {"evidence": "tool"}, {"tools": "all"}, {"tool_prefix": "1 ", "tools": True},
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused(empty: Memory, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"`|mode"):
        LongTermMemoryMiddleware(empty, **options)


def test_a_pinned_id_that_cannot_be_one_is_refused_at_once(empty: Memory) -> None:
    with pytest.raises(ScopeError):
        LongTermMemoryMiddleware(empty, user_id=" ")
    with pytest.raises(ScopeError):
        LongTermMemoryMiddleware(empty.bind(user_id="ada"), user_id="bob")


def test_without_langchain_the_error_names_the_extra() -> None:
    program = (
        "import sys; sys.modules['langchain'] = None\n"
        "import langchain_memkit\n"
        "langchain_memkit.MemkitContext(user_id='ada')\n"
        "try: langchain_memkit.LongTermMemoryMiddleware\n"
        "except ImportError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert 'pip install "langchain-memkit[agents]"' in done.stdout


def test_importing_the_package_imports_no_framework() -> None:
    program = "import sys, langchain_memkit; print({'langchain', 'langgraph'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
