"""Every turn is stored once and learned once, whatever happens to it on the way."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware, SummarizationMiddleware
from langchain.agents.structured_output import ToolStrategy
from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage
from langgraph.checkpoint.memory import InMemorySaver  # pyright: ignore[reportMissingTypeStubs]
from langgraph.types import Command  # pyright: ignore[reportMissingTypeStubs]
from pydantic import BaseModel

from langchain_memkit import LongTermMemoryMiddleware
from memkit import Memory
from memkit.errors import BackendUnavailableError, MemkitError
from memkit.testing import FakeEmbedder, FakeLLM, extraction, fact

from .agents import Agent, moving, of, texts, turns
from .scripted import ScriptedChatModel, calls


@pytest.fixture
def store(tmp_path: Path) -> Any:
    """Without a model: the turns are the memories."""
    with Memory(tmp_path / "store", embedder="hash", llm=None) as made:
        yield made


def down() -> BackendUnavailableError:
    return BackendUnavailableError("The embedder is down.", backend="fake")


# Exactly once.


async def test_a_turn_is_its_users_text_and_the_final_answer(store: Memory, mode: str) -> None:
    agent = Agent(store, calls("weather", city="Oslo"), "It rains.", mode=mode, checkpointer=InMemorySaver())
    done = await agent.run({"messages": [("user", "Rain?")]}, of("ada"))
    stored = store.messages(user_id="ada", run_id="t")
    assert turns(store) == ["user: Rain?", "assistant: It rains."]
    assert [turn.id for turn in stored] == [done["messages"][0].id, done["messages"][-1].id]
    assert sorted(texts(store)) == ["It rains.", "Rain?"]


async def test_twenty_turns_with_summaries_an_error_and_a_resume_are_each_stored_once(mode: str) -> None:
    llm = FakeLLM(lambda _: extraction())
    with Memory(":memory:", embedder="hash", llm=llm) as memory:
        summaries = SummarizationMiddleware(
            ScriptedChatModel("SUMMARY"), trigger=("messages", 6), keep=("messages", 2)
        )
        lines: list[Any] = []
        for n in range(20):
            if n in (7, 13):
                lines.append(RuntimeError("model down"))
            if n % 4 == 2:
                lines.append(calls("weather", f"call-{n}", city="Oslo"))
            lines.append(f"Answer {n}.")
        agent = Agent(
            memory, *lines, mode=mode, checkpointer=InMemorySaver(), beside=[summaries], background=False
        )
        for n in range(20):
            if n in (7, 13):
                with pytest.raises(RuntimeError, match="model down"):
                    await agent.say(f"Question {n}?")
                assert turns(memory)[-1] == f"user: Question {n}?"
                await agent.run(None, of("ada"))
            else:
                await agent.say(f"Question {n}?")
        said = [(f"user: Question {n}?", f"assistant: Answer {n}.") for n in range(20)]
        assert turns(memory) == [turn for pair in said for turn in pair]
        assert len(llm.calls) == 20
        state = agent.graph.get_state(of("ada")).values
        assert any("SUMMARY" in message.text for message in state["messages"])
        assert len(state["messages"]) < 12
        assert agent.memory.failures == {}


async def test_a_turn_whose_beginning_was_summarised_away_is_stored_whole(store: Memory, mode: str) -> None:
    summaries = SummarizationMiddleware(
        ScriptedChatModel("SUMMARY"), trigger=("messages", 4), keep=("messages", 1)
    )
    work = [calls("weather", f"call-{n}", city="Oslo") for n in range(4)]
    agent = Agent(store, *work, "Done.", mode=mode, checkpointer=InMemorySaver(), beside=[summaries])
    await agent.say("Look four times.")
    thread = agent.graph.get_state(of("ada")).values["messages"]
    assert "Look four times." not in [message.text for message in thread]
    assert turns(store) == ["user: Look four times.", "assistant: Done."]


@pytest.mark.parametrize("kept", [True, False])
async def test_a_message_sent_again_is_not_stored_again(store: Memory, mode: str, kept: bool) -> None:
    agent = Agent(
        store, "First.", "Second.", "Third.", mode=mode, checkpointer=InMemorySaver() if kept else None
    )
    await agent.say("Hello?", id="m1")
    await agent.say("Hello?", id="m1")
    again = Agent(store, "Fourth.", mode=mode)  # another process, without the thread
    await again.say("Hello?", id="m1")
    assert turns(store) == ["user: Hello?", "assistant: First."]
    assert sorted(texts(store)) == ["First.", "Hello?"]
    assert agent.memory.failures == again.memory.failures == {}


async def test_a_history_that_the_caller_sends_along_is_not_stored_again(store: Memory, mode: str) -> None:
    agent = Agent(store, "One.", "Two.", mode=mode)
    history: list[Any] = []
    for question in ("First?", "Second?"):
        history.append(("user", question))
        done = await agent.run({"messages": history}, of("ada"))
        history.append(("assistant", done["messages"][-1].text))
    assert turns(store) == ["user: First?", "assistant: One.", "user: Second?", "assistant: Two."]


async def test_several_messages_at_once_are_all_stored_in_order(store: Memory, mode: str) -> None:
    agent = Agent(store, "Noted.", mode=mode)
    await agent.say("I am Ada.", "I play the oboe.", "Remember that.")
    assert turns(store) == [
        "user: I am Ada.",
        "user: I play the oboe.",
        "user: Remember that.",
        "assistant: Noted.",
    ]


async def test_the_same_words_twice_are_two_turns(store: Memory, mode: str) -> None:
    agent = Agent(store, mode=mode, checkpointer=InMemorySaver())
    await agent.say("Yes.")
    await agent.say("Yes.")
    assert turns(store) == ["user: Yes.", "assistant: All right."] * 2


async def test_what_failed_and_was_never_finished_is_learned_with_the_next_turn(mode: str) -> None:
    llm = moving()
    with Memory(":memory:", embedder="hash", llm=llm) as memory:
        agent = Agent(memory, RuntimeError("down"), "Hello.", mode=mode, checkpointer=InMemorySaver())
        with pytest.raises(RuntimeError):
            await agent.say("I live in Paris.")
        assert turns(memory) == ["user: I live in Paris."]
        assert llm.calls == []
        await agent.say("Hello?")
        await agent.memory.aflush()
        assert turns(memory) == ["user: I live in Paris.", "user: Hello?", "assistant: Hello."]
        assert texts(memory) == ["User lives in Paris."]
        assert len(llm.calls) == 1


async def test_a_turn_that_a_person_interrupts_is_stored_when_it_is_done(store: Memory, mode: str) -> None:
    asks = HumanInTheLoopMiddleware(interrupt_on={"weather": True})
    agent = Agent(
        store,
        calls("weather", city="Oslo"),
        "It rains.",
        mode=mode,
        checkpointer=InMemorySaver(),
        beside=[asks],
    )
    await agent.run({"messages": [("user", "Rain?")]}, of("ada"))
    assert turns(store) == ["user: Rain?"]
    assert texts(store) == []
    await agent.run(Command(resume={"decisions": [{"type": "approve"}]}), of("ada"))
    assert turns(store) == ["user: Rain?", "assistant: It rains."]


async def test_a_resume_needs_no_user_id_and_takes_nobody_elses(store: Memory, mode: str) -> None:
    agent = Agent(store, RuntimeError("down"), "Hello.", mode=mode, checkpointer=InMemorySaver())
    with pytest.raises(RuntimeError):
        await agent.say("I am Ada.")
    await agent.run(None, {"configurable": {"thread_id": "t", "user_id": "bob"}})
    assert turns(store) == ["user: I am Ada.", "assistant: Hello."]
    assert turns(store, "bob") == []


async def test_a_turn_resumed_under_another_name_is_stored_once(store: Memory, mode: str) -> None:
    saver = InMemorySaver()
    first = Agent(store, RuntimeError("down"), mode=mode, checkpointer=saver, name="before")
    with pytest.raises(RuntimeError):
        await first.say("I am Ada.")
    second = Agent(store, "Hello.", mode=mode, checkpointer=saver, name="after")
    await second.run(None, of("ada"))
    assert turns(store) == ["user: I am Ada.", "assistant: Hello."]
    assert sorted(texts(store)) == ["Hello.", "I am Ada."]


async def test_a_thread_on_disk_is_taken_up_by_another_process(tmp_path: Path, mode: str) -> None:
    sqlite = pytest.importorskip("langgraph.checkpoint.sqlite")
    aio = pytest.importorskip("langgraph.checkpoint.sqlite.aio")

    async def once(run: Any) -> None:
        name = str(tmp_path / "threads.db")
        with Memory(tmp_path / "store", embedder="hash", llm=None) as memory:
            if mode == "sync":
                with sqlite.SqliteSaver.from_conn_string(name) as saver:
                    await run(memory, saver)
            else:
                async with aio.AsyncSqliteSaver.from_conn_string(name) as saver:
                    await run(memory, saver)

    async def first(memory: Memory, saver: Any) -> None:
        agent = Agent(memory, "One.", RuntimeError("down"), mode=mode, checkpointer=saver)
        await agent.say("First?")
        with pytest.raises(RuntimeError):
            await agent.say("Second?")

    async def second(memory: Memory, saver: Any) -> None:
        agent = Agent(memory, "Two.", mode=mode, checkpointer=saver)
        await agent.run(None, of("ada"))
        said = ["user: First?", "assistant: One.", "user: Second?", "assistant: Two."]
        assert turns(memory) == said
        assert sorted(texts(memory)) == ["First?", "One.", "Second?", "Two."]

    await once(first)
    await once(second)


async def test_a_thread_that_two_users_share_is_stored_for_each_of_them(store: Memory, mode: str) -> None:
    agent = Agent(store, RuntimeError("down"), "Hello.", mode=mode, checkpointer=InMemorySaver())
    with pytest.raises(RuntimeError):
        await agent.say("I am Ada.")
    await agent.say("I am Bob.", user="bob")
    assert turns(store) == ["user: I am Ada."]
    assert texts(store) == ["I am Ada."]
    assert turns(store, "bob") == ["user: I am Bob.", "assistant: Hello."]


# What is a turn.


async def test_images_stay_with_the_users_message(store: Memory, mode: str) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}
    agent = Agent(store, "A cat.", "Two cats.", mode=mode, checkpointer=InMemorySaver())
    await agent.run(
        {"messages": [HumanMessage([{"type": "text", "text": "What is this?"}, image])]}, of("ada")
    )
    await agent.run({"messages": [HumanMessage([image])]}, of("ada"))
    first, _, second, _ = store.messages(user_id="ada")
    assert first.content == [{"type": "text", "text": "What is this?"}, image]
    assert second.content == [image]
    assert sorted(texts(store)) == ["A cat.", "Two cats.", "What is this?"]
    state = agent.graph.get_state(of("ada")).values
    assert "base64" not in str({key: value for key, value in state.items() if key != "messages"})


async def test_only_the_words_of_an_answer_are_stored(store: Memory, mode: str) -> None:
    answer = AIMessage([{"type": "reasoning", "reasoning": "Hm."}, {"type": "text", "text": "It rains."}])
    agent = Agent(store, answer, mode=mode)
    await agent.say("Rain?")
    assert turns(store) == ["user: Rain?", "assistant: It rains."]


async def test_a_turn_that_ends_in_a_structured_answer_is_stored_once(mode: str) -> None:
    class Rain(BaseModel):
        falls: bool

    class Adds:
        """Notes how many messages each add was given."""

        def __init__(self) -> None:
            self.sizes: list[int] = []

        def before_add(self, messages: list[Any], scope: object) -> None:
            self.sizes.append(len(messages))

    adds = Adds()
    with Memory(":memory:", embedder="hash", llm=None, hooks=[adds]) as memory:
        made = LongTermMemoryMiddleware(memory)
        graph: Any = create_agent(
            ScriptedChatModel(calls("Rain", falls=True)),
            middleware=[made],
            response_format=ToolStrategy(Rain),
            checkpointer=InMemorySaver(),
        )
        for question in ("Rain?", "Still?", "Now?"):
            asked = {"messages": [("user", question)]}
            done = (
                await graph.ainvoke(asked, of("ada")) if mode == "async" else graph.invoke(asked, of("ada"))
            )
            assert done["structured_response"] == Rain(falls=True)
        given = 'assistant: {"falls": true}'
        assert turns(memory) == ["user: Rain?", given, "user: Still?", given, "user: Now?", given]
        assert adds.sizes == [2, 2, 2]


async def test_messages_that_a_caller_removes_do_not_bring_others_back(store: Memory, mode: str) -> None:
    agent = Agent(store, "One.", "Two.", mode=mode, checkpointer=InMemorySaver())
    done = await agent.run({"messages": [("user", "First?")]}, of("ada"))
    removed = RemoveMessage(id=done["messages"][-1].id)
    await agent.run({"messages": [removed, ("user", "Second?")]}, of("ada"))
    assert turns(store) == ["user: First?", "assistant: One.", "user: Second?", "assistant: Two."]


# Learning.


@pytest.mark.parametrize("background", [True, False])
async def test_what_was_true_before_is_superseded_in_whatever_thread_it_is_said(
    mode: str, background: bool
) -> None:
    llm = moving()
    with Memory(":memory:", embedder="hash", llm=llm) as memory:
        agent = Agent(memory, "Nice.", mode=mode, checkpointer=InMemorySaver(), background=background)
        await agent.say("I live in Paris.", thread="1")
        await agent.memory.aflush()
        await agent.say("I moved to Berlin.", thread="2")
        await agent.memory.aflush()
        assert texts(memory) == ["User lives in Berlin."]
        closed = memory.get_all(user_id="ada", include_closed=True).results
        assert {item.memory for item in closed} == {"User lives in Berlin.", "User lives in Paris."}
        assert len(llm.calls) == 2
        assert {item.run_id for item in closed} == {"1", "2"}


async def test_a_pause_is_waited_for_and_one_extraction_learns_from_both_turns(mode: str) -> None:
    llm = moving()
    with Memory(":memory:", embedder="hash", llm=llm) as memory:
        agent = Agent(memory, "Nice.", mode=mode, checkpointer=InMemorySaver(), after_seconds=3600)
        await agent.say("I live in Paris.")
        await agent.say("I like it.")
        await agent.say("I live in Rome.", thread="other")
        assert llm.calls == []
        assert len(turns(memory)) == 6
        await agent.memory.aflush()
        assert len(llm.calls) == 2
        assert len(turns(memory)) == 6
        asked = [str(call.messages[-1]["content"]) for call in llm.calls]
        assert sorted("I live in Rome." in prompt for prompt in asked) == [False, True]
        assert ["I live in Paris." in prompt and "I like it." in prompt for prompt in asked].count(True) == 1


async def test_without_inference_the_turns_are_the_memories_though_there_is_a_model(mode: str) -> None:
    llm = moving()
    with Memory(":memory:", embedder="hash", llm=llm) as memory:
        agent = Agent(memory, "Nice.", mode=mode, infer=False)
        await agent.say("I live in Paris.")
        assert sorted(texts(memory)) == ["I live in Paris.", "Nice."]
        assert llm.calls == []


async def test_what_was_recalled_is_never_stored(memory: Memory, mode: str) -> None:
    agent = Agent(memory, lambda asked: f"I see: {asked[0].text}", mode=mode, checkpointer=InMemorySaver())
    before = set(texts(memory))
    await agent.say("What do I drink in my coffee?")
    assert "oat milk" in agent.model.asked[0].system
    assert sum("oat milk" in text for text in texts(memory)) == sum("oat milk" in text for text in before)


# A memory that fails.


async def test_a_memory_that_is_down_costs_no_answer_and_loses_no_turn(
    tmp_path: Path, mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "store"
    path.write_text("no folder")
    with Memory(path, embedder="hash", llm=None) as memory:
        agent = Agent(memory, "One.", "Two.", "Three.", mode=mode, checkpointer=InMemorySaver())
        with caplog.at_level(logging.ERROR, logger="langchain_memkit"):
            assert await agent.say("First?") == "One."
            assert await agent.say("Second?") == "Two."
        assert agent.memory.failures == {"keep": 2, "recall": 2, "remember": 2}
        assert isinstance(agent.memory.last_error, MemkitError)
        logged = [record for record in caplog.records if record.name == "langchain_memkit"]
        assert len(logged) == 6
        assert type(agent.memory.last_error).__name__ in logged[-1].getMessage()
        with pytest.raises(MemkitError):
            agent.memory.flush()
        path.unlink()
        assert await agent.say("Third?") == "Three."
        said = ["user: First?", "assistant: One.", "user: Second?", "assistant: Two."]
        assert turns(memory) == [*said, "user: Third?", "assistant: Three."]
        assert agent.memory.failures == {"keep": 2, "recall": 2, "remember": 2}
        agent.memory.flush()
        assert len(texts(memory)) == len(turns(memory)) == 6


async def test_flush_stores_what_no_thread_brings_back(mode: str) -> None:
    with Memory(":memory:", embedder=FakeEmbedder(errors=[RuntimeError("down")]), llm=None) as memory:
        agent = Agent(memory, "One.", mode=mode)
        assert await agent.say("First?") == "One."
        assert agent.memory.failures == {"remember": 1}
        assert texts(memory) == []
        await agent.memory.aflush()
        assert sorted(texts(memory)) == ["First?", "One."]
        assert turns(memory) == ["user: First?", "assistant: One."]
        await agent.memory.aflush()
        assert len(texts(memory)) == 2


async def test_an_extraction_that_fails_is_made_up_for_with_the_next_turn(mode: str) -> None:
    learned = extraction(fact("User plays the oboe.", "I play the oboe.", message=1))
    llm = FakeLLM([ConnectionError("down"), learned, learned])
    with Memory(":memory:", embedder="hash", llm=llm) as memory:
        agent = Agent(memory, "Nice.", mode=mode, checkpointer=InMemorySaver(), background=False)
        assert await agent.say("I play the oboe.") == "Nice."
        assert agent.memory.failures == {"remember": 1}
        await agent.say("Hello?")
        await agent.memory.aflush()
        assert texts(memory) == ["User plays the oboe."]
        assert turns(memory) == [
            "user: I play the oboe.",
            "assistant: Nice.",
            "user: Hello?",
            "assistant: Nice.",
        ]


async def test_a_foreign_error_is_logged_by_its_type_alone(
    mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    class Hook:
        def before_search(self, query: str, scope: object) -> None:
            raise ZeroDivisionError("sk-secret")

    with Memory(":memory:", embedder="hash", llm=None, hooks=[Hook()]) as memory:
        agent = Agent(memory, "One.", mode=mode)
        assert await agent.say("First?") == "One."
    assert agent.memory.failures == {"recall": 1}
    assert isinstance(agent.memory.last_error, ZeroDivisionError)
    assert "ZeroDivisionError" in caplog.text
    assert "sk-secret" not in caplog.text
