"""`MemkitChatMessageHistory`: a list of messages that is one conversation's, and outlives the process."""

from __future__ import annotations

import asyncio
import copy
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from langchain_memkit import MemkitChatMessageHistory
from memkit import Memory
from memkit.errors import ConfigurationError, ScopeError

from .histories import CALL, found_in, history, talk, texts

pytestmark = pytest.mark.filterwarnings("error")

# A list of messages.


def test_messages_are_in_the_order_of_their_adding(memory: Memory) -> None:
    chat, said = history(memory), talk(20)
    chat.add_message(said[0])
    chat.add_messages(said[1:7])
    chat.add_messages([])
    for message in said[7:]:
        chat.add_message(message)
    assert chat.messages == said
    chat.add_user_message("one more")
    chat.add_ai_message(AIMessage("and the answer"))
    assert texts(chat.messages[-2:]) == ["one more", "and the answer"]
    assert str(chat).endswith("Human: one more\nAI: and the answer")


async def test_the_async_methods_do_what_the_sync_ones_do(memory: Memory) -> None:
    chat = history(memory)
    await chat.aadd_messages(talk(3))
    await chat.aadd_messages(talk(1))
    assert await chat.aget_messages() == chat.messages == [*talk(3), *talk(1)]
    await chat.aclear()
    assert await chat.aget_messages() == chat.messages == []


def test_messages_share_nothing_with_the_history(memory: Memory) -> None:
    chat = history(memory)
    given: Any = HumanMessage([{"type": "text", "text": "hi"}])
    chat.add_message(given)
    given.content[0]["text"] = "changed"
    first = found_in(chat)
    first[0].content[0]["text"] = "changed"
    first.append(AIMessage("mine"))
    chat.add_message(AIMessage("theirs"))
    assert texts(first) == ["changed", "mine"]
    assert texts(chat.messages) == ["hi", "theirs"]


def test_equal_messages_stay_several_and_a_changed_one_is_one_more(memory: Memory) -> None:
    chat = history(memory)
    chat.add_messages([HumanMessage("yes", id="1"), HumanMessage("yes", id="1")])
    chat.add_message(HumanMessage("no", id="1"))
    assert texts(chat.messages) == ["yes", "yes", "no"]
    assert [message.id for message in chat.messages] == ["1"] * 3


def test_thousands_of_messages_are_one_transaction_and_one_read(memory: Memory) -> None:
    chat, said = history(memory), talk(3000)
    chat.add_messages(said)
    assert chat.messages == said
    chat.clear()
    assert chat.messages == []


# What others see of it, and it of others.


def test_a_message_is_a_turn_with_role_and_words(memory: Memory) -> None:
    history(memory).add_messages(
        [
            SystemMessage("Be brief."),
            HumanMessage("I live in Paris.", name="Ada"),
            AIMessage("", tool_calls=[CALL]),
            ToolMessage("18 °C", tool_call_id="call-1"),
            HumanMessage(["What ", {"type": "text", "text": "now?"}]),
            ChatMessage(content="I disagree.", role="critic"),
            ChatMessage(content="I agree.", role="Assistant"),
        ]
    )
    turns = memory.messages(user_id="ada", run_id="r1")
    assert [(turn.role, turn.name, turn.text) for turn in turns] == [
        ("system", None, "Be brief."),
        ("user", "Ada", "I live in Paris."),
        ("assistant", None, ""),
        ("tool", None, "18 °C"),
        ("user", None, "What now?"),
        ("user", None, "I disagree."),
        ("assistant", None, "I agree."),
    ]


def test_of_turns_that_others_keep_in_the_run_it_shows_and_clears_none(memory: Memory) -> None:
    chat = history(memory)
    chat.add_message(HumanMessage("mine"))
    memory.keep([{"role": "user", "content": "theirs", "payload": {"other": 1}}], user_id="ada", run_id="r1")
    memory.add([{"role": "user", "content": "learned"}], user_id="ada", run_id="r1")
    assert texts(chat.messages) == ["mine"]
    chat.clear()
    assert [turn.text for turn in memory.messages(user_id="ada", run_id="r1")] == ["theirs", "learned"]


IDS = ["ann@example.com", 7, "ünï☃", "a:b:c", "a/b\\c", "%", "Ann@example.com", "a b"]


def test_conversations_are_apart_whatever_their_ids(memory: Memory) -> None:
    scopes: list[dict[str, Any]] = [
        *({"user_id": one, "run_id": "r"} for one in IDS),
        *({"run_id": one} for one in IDS),
        *({"user_id": "u", "run_id": one} for one in IDS),
        {"user_id": "u", "agent_id": "a", "run_id": "a:b:c"},
        {"agent_id": "a", "run_id": "a:b:c"},
        {"user_id": "u"},
        {"agent_id": "a"},
    ]
    for number, scope in enumerate(scopes):
        MemkitChatMessageHistory(memory, **scope).add_message(HumanMessage(f"of {number}"))
    for number, scope in enumerate(scopes):
        assert texts(MemkitChatMessageHistory(memory, **scope).messages) == [f"of {number}"]
    MemkitChatMessageHistory(memory, user_id="u").clear()
    MemkitChatMessageHistory(memory, user_id="u", run_id="a:b:c").clear()
    left = [len(MemkitChatMessageHistory(memory, **scope).messages) for scope in scopes]
    assert left.count(0) == 2
    assert left[-2] == left[2 * len(IDS) + IDS.index("a:b:c")] == 0


def test_an_id_is_compared_as_its_text(memory: Memory) -> None:
    history(memory, 7, user_id=42).add_message(HumanMessage("hi"))
    assert texts(history(memory, "7", user_id="42").messages) == ["hi"]


def test_nobody_named_is_an_error_that_names_the_run(memory: Memory) -> None:
    with pytest.raises(ScopeError, match="run_id") as caught:
        MemkitChatMessageHistory(memory)
    assert vars(caught.value)["field"] == "run_id"
    with pytest.raises(ScopeError, match="blank"):
        history(memory, " ")
    with pytest.raises(ScopeError, match="one id"):
        history(memory, ["a", "b"])


def test_a_bound_memory_says_who_and_lets_nobody_out(memory: Memory) -> None:
    MemkitChatMessageHistory(memory.bind(user_id="ada"), run_id="r1").add_message(HumanMessage("hi"))
    assert texts(history(memory).messages) == ["hi"]
    assert texts(MemkitChatMessageHistory(memory.bind(user_id="ada", run_id="r1")).messages) == ["hi"]
    with pytest.raises(ScopeError, match="outside"):
        history(memory.bind(user_id="bob"))


# Clearing.


@pytest.mark.parametrize("mode", ["sync", "async"])
async def test_clear_hides_this_conversation_alone_and_erases_nothing(memory: Memory, mode: str) -> None:
    chat, other = history(memory, "r1"), history(memory, "r2")
    chat.add_messages(talk(4))
    other.add_messages(talk(2))
    if mode == "sync":
        chat.clear()
        chat.clear()
    else:
        await chat.aclear()
        await chat.aclear()
    assert chat.messages == []
    assert other.messages == talk(2)
    assert memory.messages(user_id="ada", run_id="r1") == []
    assert len(memory.messages(user_id="ada", run_id="r1", status="deleted")) == 4
    chat.add_messages(talk(2))
    assert chat.messages == talk(2)


def test_forget_erases(memory: Memory) -> None:
    chat = history(memory)
    chat.add_messages(talk(4))
    chat.clear()
    assert memory.forget(user_id="ada", run_id="r1").messages == 4
    assert memory.messages(user_id="ada", run_id="r1", status=None) == []


# A window.


def test_a_limit_shows_the_newest_from_a_human_message_on(memory: Memory) -> None:
    call, result = AIMessage("", tool_calls=[CALL]), ToolMessage("18 °C", tool_call_id="call-1")
    said = [HumanMessage("q1"), AIMessage("a1"), HumanMessage("q2"), call, result, AIMessage("a2")]
    history(memory).add_messages(said)
    windows = {limit: history(memory, limit=limit).messages for limit in range(1, 8)}
    assert windows == {1: [], 2: [], 3: [], 4: said[2:], 5: said[2:], 6: said, 7: said}
    history(memory).add_message(HumanMessage("q3"))
    assert texts(history(memory, limit=1).messages) == ["q3"]


async def test_a_window_counts_its_own_messages_alone(memory: Memory) -> None:
    chat = history(memory, limit=3)
    for number in range(4):
        chat.add_messages([HumanMessage(f"q{number}")])
        memory.keep([{"role": "user", "content": "noise"}] * 5, user_id="ada", run_id="r1")
    assert texts(chat.messages) == texts(await chat.aget_messages()) == ["q1", "q2", "q3"]


@pytest.mark.parametrize("limit", [0, -1, True, "3", 2.5])
def test_a_limit_that_is_none_is_refused(memory: Memory, limit: Any) -> None:
    with pytest.raises(ConfigurationError, match="limit"):
        history(memory, limit=limit)


# Durable, and by many at once.

PROCESS = """
import sys
from langchain_core.messages import AIMessage, HumanMessage
from langchain_memkit import MemkitChatMessageHistory
from memkit import Memory

with Memory(sys.argv[1]) as memory:
    chat = MemkitChatMessageHistory(memory, user_id="ann@example.com", run_id="s1")
    print([message.content for message in chat.messages])
    chat.add_messages([HumanMessage(sys.argv[2]), AIMessage("Noted.", id="run-1")])
    if sys.argv[2] == "crash":
        import os
        os._exit(3)
"""


def process(store: Path, said: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", PROCESS, str(store), said],
        capture_output=True, text=True, timeout=120, check=False,
        env={name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")},
    )  # fmt: skip


def test_another_process_goes_on_where_one_was_killed(tmp_path: Path) -> None:
    first, second = process(tmp_path / "s", "crash"), process(tmp_path / "s", "I moved to Berlin.")
    assert (first.returncode, second.returncode) == (3, 0), first.stderr + second.stderr
    assert second.stdout.strip() == "['crash', 'Noted.']"
    with Memory(tmp_path / "s") as memory:
        found = history(memory, "s1", user_id="ann@example.com").messages
    assert found == [
        HumanMessage("crash"),
        AIMessage("Noted.", id="run-1"),
        HumanMessage("I moved to Berlin."),
        AIMessage("Noted.", id="run-1"),
    ]


def test_sixteen_threads_lose_nothing_and_part_no_turn(memory: Memory) -> None:
    together, failed = threading.Barrier(16), list[BaseException]()

    def say(thread: int) -> None:
        try:
            together.wait(30)
            chat = history(memory)
            for turn in range(5):
                chat.add_messages([HumanMessage(f"{thread}/{turn}/q"), AIMessage(f"{thread}/{turn}/a")])
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=say, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == []
    found = texts(history(memory).messages)
    assert len(found) == 160
    assert all(a == f"{q[:-1]}a" for q, a in zip(found[::2], found[1::2], strict=True))
    for number in range(16):
        mine = [text for text in found if text.startswith(f"{number}/")]
        assert mine == [f"{number}/{turn}/{who}" for turn in range(5) for who in "qa"]


async def test_many_tasks_lose_nothing(memory: Memory) -> None:
    chat = history(memory)
    await asyncio.gather(*(chat.aadd_messages([HumanMessage(f"{n}")]) for n in range(40)))
    assert sorted(texts(await chat.aget_messages()), key=int) == [f"{n}" for n in range(40)]


def test_a_history_may_be_copied_with_what_holds_it(memory: Memory) -> None:
    twin = copy.deepcopy(history(memory))
    twin.add_message(HumanMessage("hi"))
    assert texts(history(memory).messages) == ["hi"]
    assert "ada" in repr(twin)


def test_neither_importing_nor_using_it_warns(tmp_path: Path) -> None:
    done = process(tmp_path / "s", "hi")
    assert (done.returncode, done.stderr) == (0, "")
