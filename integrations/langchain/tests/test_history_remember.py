"""A history that is told to remember makes memories of what is said in it, once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from memkit import Memory
from memkit.llms.fake import FakeLLM
from memkit.testing import FakeEmbedder

from .histories import CALL, history, talk

pytestmark = pytest.mark.filterwarnings("error")


def says(*facts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "memories": [{"kind": "fact", "action": "add", "entities": [], **fact} for fact in facts],
        "relations": [],
    }


def lives(text: str, message: int = 1) -> dict[str, Any]:
    return says({"text": text, "message": message, "quote": text.replace("User lives", "I live")})


def test_a_history_makes_no_memories_unless_it_is_told_to(memory: Memory) -> None:
    before = memory.count(user_id="ada")
    history(memory).add_messages(talk(4))
    assert memory.count(user_id="ada") == before


def test_remember_learns_once_from_each_adding_by_the_turns_that_are_kept() -> None:
    model = FakeLLM([lives("User lives in Paris.", 1), says()])
    with Memory(":memory:", llm=model, embedder=FakeEmbedder()) as memory:
        chat = history(memory, remember=True)
        said = [
            SystemMessage("Be brief."),
            HumanMessage("I live in Paris.", id="h1"),
            AIMessage("Let me look.", tool_calls=[CALL]),
            ToolMessage("18 °C", tool_call_id="call-1"),
            AIMessage("Noted.", id="a1"),
        ]
        chat.add_messages(said)
        memory.flush()
        assert len(model.calls) == 1
        asked = str(model.calls[0].messages)
        assert "I live in Paris." in asked and "Noted." in asked
        assert "Be brief." not in asked and "18 °C" not in asked and "Let me look." not in asked
        (known,) = memory.get_all(user_id="ada").results
        turns = memory.messages(user_id="ada", run_id="r1")
        assert known.memory == "User lives in Paris."
        assert [source.message_id for source in known.sources] == [turns[1].id]
        assert chat.messages == said
        chat.add_messages([ToolMessage("18 °C", tool_call_id="call-1"), SystemMessage("Be brief.")])
        memory.flush()
        assert len(model.calls) == 1


async def test_remember_supersedes_what_another_conversation_said() -> None:
    moved = {
        "action": "supersede",
        "replaces": "m1",
        "text": "User lives in Berlin.",
        "quote": "I live in Berlin",
    }
    model = FakeLLM([lives("User lives in Paris."), says({**moved, "message": 1})])
    with Memory(":memory:", llm=model, embedder=FakeEmbedder()) as memory:
        await history(memory, "r1", remember=True).aadd_messages([HumanMessage("I live in Paris.")])
        memory.flush()
        await history(memory, "r2", remember=True).aadd_messages([HumanMessage("I live in Berlin now.")])
        memory.flush()
        assert [item.memory for item in memory.get_all(user_id="ada").results] == ["User lives in Berlin."]
        everything = memory.get_all(user_id="ada", include_closed=True).results
        assert sorted(item.memory for item in everything) == ["User lives in Berlin.", "User lives in Paris."]
        assert len(model.calls) == 2


def test_without_a_model_remember_makes_memories_of_the_turns() -> None:
    with Memory(":memory:", llm=None) as memory:
        chat = history(memory, remember=True)
        chat.add_messages(
            [HumanMessage("I live in Paris."), AIMessage("Noted, Paris it is."), HumanMessage(" ")]
        )
        found = {item.memory for item in memory.get_all(user_id="ada").results}
        assert found == {"I live in Paris.", "Noted, Paris it is."}
        assert len(chat.messages) == len(memory.messages(user_id="ada", run_id="r1")) == 3


async def test_messages_that_cannot_be_learned_from_are_kept_all_the_same(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken:
        def before_add(self, messages: Any, scope: Any) -> Any:
            raise RuntimeError("no")

    with Memory(":memory:", llm=None, hooks=[Broken()]) as memory:
        chat = history(memory, remember=True)
        chat.add_messages(talk(2))
        await chat.aadd_messages(talk(2))
        assert chat.messages == [*talk(2), *talk(2)]
        assert chat.failures == 2
    assert "kept and not learned from (RuntimeError)" in caplog.text
