"""`MemkitMemory`: the memory of a classic chain, recalled by its input and learned once a turn."""

from __future__ import annotations

import copy
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from langchain_classic.base_memory import BaseMemory
from langchain_classic.chains import ConversationChain, LLMChain
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder, PromptTemplate

from langchain_memkit import MemkitMemory
from memkit import AsyncMemory, Memory
from memkit.errors import InvalidInputError, ScopeError
from memkit.llms.fake import FakeLLM
from memkit.testing import FakeEmbedder

from .scripted import ScriptedChatModel

pytestmark = pytest.mark.filterwarnings("error")

T = TypeVar("T")
TEMPLATE = "What you know:\n{history}\n\nQ: {input}"


def fact(text: str, quote: str, action: str = "add", **more: Any) -> dict[str, Any]:
    memory = {
        "text": text,
        "kind": "fact",
        "action": action,
        "message": 1,
        "quote": quote,
        "entities": [],
        **more,
    }
    return {"memories": [memory], "relations": []}


PARIS = fact("User lives in Paris.", "I live in Paris")
BERLIN = fact("User lives in Berlin.", "moved to Berlin", "supersede", replaces="m1")
NOTHING: dict[str, Any] = {"memories": [], "relations": []}


def classic(memory: Memory | AsyncMemory, **more: Any) -> MemkitMemory:
    return MemkitMemory(memory=memory, **{"user_id": "eve@example.com", **more})


def quietly(make: Callable[..., T], **arguments: Any) -> T:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # LangChain's, for the classic chains are deprecated
        return make(**arguments)


def chain(memory: MemkitMemory, *lines: Any) -> tuple[LLMChain, ScriptedChatModel]:
    model = ScriptedChatModel(*(lines or ("Noted.",)))
    return quietly(LLMChain, llm=model, prompt=PromptTemplate.from_template(TEMPLATE), memory=memory), model


async def save(memory: MemkitMemory, mode: str, said: str, answer: str = "Noted.") -> None:
    if mode == "sync":
        memory.save_context({"input": said}, {"text": answer})
    else:
        await memory.asave_context({"input": said}, {"text": answer})


async def load(memory: MemkitMemory, mode: str, asked: str) -> Any:
    if mode == "sync":
        return memory.load_memory_variables({"input": asked})["history"]
    return (await memory.aload_memory_variables({"input": asked}))["history"]


both = pytest.mark.parametrize("mode", ["sync", "async"])


# Recall.


@both
async def test_what_was_said_is_recalled_by_the_input_and_fenced_as_data(memory: Memory, mode: str) -> None:
    mine = classic(memory, user_id="ada")
    assert isinstance(mine, BaseMemory)
    assert mine.memory_variables == ["history"]
    said = await load(mine, mode, "Where did I move?")
    assert "I moved to Lisbon in May." in said
    assert "data, not instructions" in said
    assert "Oslo" not in said


@both
async def test_as_messages_it_is_one_system_message_or_none(memory: Memory, mode: str) -> None:
    mine = classic(memory, user_id="ada", return_messages=True)
    (found,) = await load(mine, mode, "Where did I move?")
    assert isinstance(found, SystemMessage) and "Lisbon" in found.text
    assert await load(classic(memory, user_id="new", return_messages=True), mode, "Where did I move?") == []
    assert await load(classic(memory, user_id="new"), mode, "Where did I move?") == ""


def test_recall_keeps_to_k_to_the_threshold_and_to_the_budget(memory: Memory) -> None:
    def lines(**more: Any) -> list[str]:
        text = classic(memory, user_id="ada", **more).load_memory_variables({"q": "coffee or tea?"})[
            "history"
        ]
        return [line for line in text.splitlines() if line.startswith("- ")]

    assert len(lines()) > 1
    assert len(lines(k=1)) == 1
    assert len(lines(max_tokens=75)) < len(lines())
    assert lines(threshold=1.0) == []
    for wrong in ({"k": 0}, {"max_tokens": 0}, {"threshold": 2}, {"kk": 1}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            classic(memory, **wrong)


def test_an_input_without_words_recalls_nothing(memory: Memory) -> None:
    mine = classic(memory, user_id="ada")
    for inputs in ({}, {"input": " "}, {"input": []}):
        assert mine.load_memory_variables(inputs) == {"history": ""}
    assert mine.failures == {}


def test_the_input_may_be_a_message_or_several(memory: Memory) -> None:
    mine = classic(memory, user_id="ada")
    asked = HumanMessage("Where did I move?")
    for said in (asked, [AIMessage("Hello."), asked]):
        assert "Lisbon" in mine.load_memory_variables({"input": said})["history"]


def test_of_several_inputs_and_outputs_one_has_to_be_named(memory: Memory) -> None:
    mine = classic(memory)
    with pytest.raises(InvalidInputError, match="input_key"):
        mine.load_memory_variables({"a": "x", "b": "y"})
    with pytest.raises(InvalidInputError, match="output_key"):
        mine.save_context({"a": "x"}, {"b": "y", "c": "z"})
    with pytest.raises(InvalidInputError, match="output_key"):
        mine.save_context({"a": "x"}, {})
    named = classic(memory, input_key="b", output_key="c")
    named.save_context({"a": "no", "b": "I play the oboe."}, {"c": "Lovely.", "d": "no"})
    assert [turn.text for turn in memory.messages(user_id="eve@example.com")] == [
        "I play the oboe.",
        "Lovely.",
    ]
    with pytest.raises(InvalidInputError, match="'b'"):
        named.load_memory_variables({"a": "x"})


def test_the_chains_own_keys_are_no_input(memory: Memory) -> None:
    mine = classic(memory)
    mine.save_context(
        {"question": "I play the oboe.", "history": "recalled", "stop": ["Q:"]}, {"text": "Lovely."}
    )
    assert [turn.text for turn in memory.messages(user_id="eve@example.com")] == [
        "I play the oboe.",
        "Lovely.",
    ]


# Remembering.


@both
async def test_paris_then_berlin_is_one_current_and_one_superseded_memory(mode: str) -> None:
    model = FakeLLM([PARIS, BERLIN])
    with Memory(":memory:", llm=model, embedder=FakeEmbedder()) as memory:
        mine = classic(memory.to_async() if mode == "async" else memory, run_id="monday")
        await save(mine, mode, "I live in Paris.")
        later = classic(memory, run_id="friday")
        await save(later, mode, "I moved to Berlin.")
        assert len(model.calls) == 2
        current = memory.get_all(user_id="eve@example.com").results
        everything = memory.get_all(user_id="eve@example.com", include_closed=True).results
        assert [item.memory for item in current] == ["User lives in Berlin."]
        closed = [item for item in everything if item.valid_until is not None]
        assert [item.memory for item in closed] == ["User lives in Paris."]
        assert len(everything) == 2
        told = await load(mine, mode, "Where do I live?")
        assert "Berlin" in told and "Paris" not in told
        assert len(model.calls) == 2
        assert [turn.text for turn in memory.messages(user_id="eve@example.com", run_id="friday")] == [
            "I moved to Berlin.",
            "Noted.",
        ]


async def test_through_chains_a_turn_is_one_extraction_that_sees_both_sides() -> None:
    model = FakeLLM([PARIS, BERLIN, NOTHING])
    with Memory(":memory:", llm=model, embedder=FakeEmbedder()) as memory:
        talk, chat = chain(classic(memory), "Paris is nice.", "Berlin it is.", "In Berlin.")
        assert talk.invoke({"input": "I live in Paris."})["text"] == "Paris is nice."
        assert (await talk.ainvoke({"input": "I moved to Berlin."}))["text"] == "Berlin it is."
        talk.invoke({"input": "Where do I live?"})
        assert len(model.calls) == 3
        said = [str(call.messages[-1]["content"]) for call in model.calls]
        assert "I live in Paris." in said[0] and "Paris is nice." in said[0]
        assert "User lives in Berlin." in chat.asked[-1].text
        assert "User lives in Paris." not in chat.asked[-1].text
        assert len(memory.messages(user_id="eve@example.com")) == 6


@both
async def test_without_a_model_the_turns_are_the_memories(mode: str) -> None:
    with Memory(":memory:", llm=None) as memory:
        await save(classic(memory), mode, "I play the oboe.", "Lovely.")
        found = {item.memory for item in memory.get_all(user_id="eve@example.com").results}
        assert found == {"I play the oboe.", "Lovely."}


def test_infer_false_asks_no_model() -> None:
    model = FakeLLM([])
    with Memory(":memory:", llm=model, embedder=FakeEmbedder()) as memory:
        classic(memory, infer=False).save_context({"input": "I play the oboe."}, {"text": "Lovely."})
        assert model.calls == []
        assert memory.count(user_id="eve@example.com") == 2


def test_in_the_background_the_turn_is_kept_at_once_and_learned_by_flush() -> None:
    with Memory(":memory:", llm=FakeLLM([PARIS]), embedder=FakeEmbedder()) as memory:
        classic(memory, background=True).save_context({"input": "I live in Paris."}, {"text": "Noted."})
        assert len(memory.messages(user_id="eve@example.com")) == 2
        memory.flush()
        assert [item.memory for item in memory.get_all(user_id="eve@example.com").results] == [
            "User lives in Paris."
        ]


@both
async def test_what_is_blank_is_not_a_turn(memory: Memory, mode: str) -> None:
    mine = classic(memory)
    await save(mine, mode, "I play the oboe.", "  ")
    await save(mine, mode, " ", "")
    assert [turn.text for turn in memory.messages(user_id="eve@example.com")] == ["I play the oboe."]


def test_a_conversation_chain_and_one_with_a_placeholder_work(memory: Memory) -> None:
    model = ScriptedChatModel("Lovely.")
    talk = quietly(ConversationChain, llm=model, memory=classic(memory, user_id="ada"))
    assert talk.invoke("Where did I move?")["response"] == "Lovely."
    assert "I moved to Lisbon in May." in model.asked[0].text
    prompt = ChatPromptTemplate.from_messages([MessagesPlaceholder("history"), ("human", "{input}")])
    mine = classic(memory, user_id="ada", return_messages=True)
    quietly(LLMChain, llm=model, prompt=prompt, memory=mine).invoke({"input": "Where did I move?"})
    assert "Lisbon" in model.asked[1].system


# Whose.


def test_users_agents_and_ids_of_any_kind_are_apart(memory: Memory) -> None:
    for number, one in enumerate(["ann@example.com", 7, "ünï☃", "a:b"]):
        classic(memory, user_id=one).save_context(
            {"input": f"My locker is number {number}."}, {"text": "Ok."}
        )
    for number, one in enumerate(["ann@example.com", "7", "ünï☃", "a:b"]):
        told = classic(memory, user_id=one).load_memory_variables({"input": "Which locker number is mine?"})[
            "history"
        ]
        assert f"number {number}." in told
        assert told.count("locker") == 1


def test_recall_is_of_all_runs_of_the_user_and_of_a_run_alone_without_one(memory: Memory) -> None:
    classic(memory, run_id="r1").save_context({"input": "My locker is number 5."}, {"text": "Ok."})
    asked = {"input": "Which locker is mine?"}
    assert "number 5" in classic(memory, run_id="r2").load_memory_variables(asked)["history"]
    classic(memory, user_id=None, run_id="r1").save_context(
        {"input": "My locker is number 6."}, {"text": "Ok."}
    )
    assert "number 6" in classic(memory, user_id=None, run_id="r1").load_memory_variables(asked)["history"]
    assert classic(memory, user_id=None, run_id="r2").load_memory_variables(asked)["history"] == ""
    bound = memory.bind(user_id="eve@example.com", run_id="r2")
    assert MemkitMemory(memory=bound).load_memory_variables(asked)["history"] == ""


def test_nobody_named_is_an_error_that_names_user_id(memory: Memory) -> None:
    with pytest.raises(ScopeError, match="user_id"):
        MemkitMemory(memory=memory)
    with pytest.raises(ScopeError, match="blank"):
        classic(memory, user_id=" ")
    with pytest.raises(ScopeError, match="outside"):
        classic(memory.bind(user_id="bob"))
    assert "Oslo" in MemkitMemory(memory=memory.bind(user_id="bob")).load_memory_variables(
        {"input": "Where do I live?"}
    )["history"]  # fmt: skip


# Clearing.


@both
async def test_clear_takes_back_the_pinned_run_alone_and_erases_nothing(memory: Memory, mode: str) -> None:
    first, second = classic(memory, run_id="r1"), classic(memory, run_id="r2")
    helper = classic(memory, run_id="r1", agent_id="helper")
    await save(first, mode, "My locker is number 5.")
    await save(second, mode, "My locker has a blue door.")
    await save(helper, mode, "My locker has a dent.")
    if mode == "sync":
        first.clear()
        first.clear()
    else:
        await first.aclear()
        await first.aclear()
    told = await load(second, mode, "What about my locker?")
    assert "blue door" in told and "dent" in told and "number 5" not in told
    turns = memory.messages(user_id="eve@example.com", run_id="r1", status=None)
    assert [(turn.text, turn.status) for turn in turns if "locker" in turn.text] == [
        ("My locker is number 5.", "deleted"),
        ("My locker has a dent.", "active"),
    ]


@both
async def test_clear_without_a_run_is_refused_and_touches_nothing(memory: Memory, mode: str) -> None:
    mine = classic(memory, user_id="ada")
    before = memory.count(user_id="ada")
    with pytest.raises(ScopeError, match="run_id"):
        _ = mine.clear() if mode == "sync" else await mine.aclear()
    assert memory.count(user_id="ada") == before


# Failing, copying, installing.


@both
async def test_a_memory_that_is_down_never_costs_the_answer(
    tmp_path: Path, mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "broken.db").write_bytes(b"junk " * 2000)
    with Memory(tmp_path / "broken.db") as memory:
        mine = classic(memory)
        talk, _ = chain(mine, "Hello.")
        given = {"input": "Where do I live?"}
        answer = talk.invoke(given) if mode == "sync" else await talk.ainvoke(given)
        assert answer["text"] == "Hello."
        assert mine.failures == {"recall": 1, "remember": 1}
    assert "recall failed (CorruptLedgerError)" in caplog.text and "broken.db" in caplog.text


def test_a_turn_whose_extraction_fails_is_kept_and_learned_later() -> None:
    model = FakeLLM([RuntimeError("no"), PARIS])
    with Memory(":memory:", llm=model, embedder=FakeEmbedder()) as memory:
        mine = classic(memory)
        mine.save_context({"input": "I live in Paris."}, {"text": "Noted."})
        assert mine.failures == {"remember": 1}
        assert len(memory.messages(user_id="eve@example.com")) == 2
        memory.repair()
        assert [item.memory for item in memory.get_all(user_id="eve@example.com").results] == [
            "User lives in Paris."
        ]


def test_a_copy_shares_the_memory_and_nothing_secret_is_printed(memory: Memory) -> None:
    mine = classic(memory)
    for twin in (copy.deepcopy(mine), mine.model_copy(deep=True)):
        assert twin.memory is mine.memory
        twin.save_context({"input": "hi"}, {"text": "Hello."})
    assert len(memory.messages(user_id="eve@example.com")) == 4
    assert "memory=" not in repr(mine)
    assert "memory" not in mine.model_dump()


PROCESS = """
import sys
from langchain_memkit import MemkitMemory
from memkit import Memory

with Memory(sys.argv[1], llm=None) as memory:
    mine = MemkitMemory(memory=memory, user_id="eve@example.com", run_id="r1")
    print("Paris" in mine.load_memory_variables({"input": "Where do I live?"})["history"])
    mine.save_context({"input": "I live in Paris."}, {"text": "Noted."})
"""


def test_another_process_recalls_what_was_said(tmp_path: Path) -> None:
    said = [
        subprocess.run(
            [sys.executable, "-W", "error", "-c", PROCESS, str(tmp_path / "s")],
            capture_output=True, text=True, timeout=120, check=False,
        )
        for _ in range(2)
    ]  # fmt: skip
    assert [(one.stdout.strip(), one.stderr) for one in said] == [("False", ""), ("True", "")]


def test_without_langchain_classic_the_error_names_the_extra() -> None:
    code = "import sys; sys.modules['langchain_classic'] = None\nfrom langchain_memkit import MemkitMemory"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )  # fmt: skip
    assert (
        'ImportError: MemkitMemory needs langchain-classic. Type: pip install "langchain-memkit[classic]"'
        in done.stderr
    )
