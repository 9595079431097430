"""Our chat stores under agents: contexts that are used again, other processes, and many who share one store."""

from __future__ import annotations

import asyncio
import json
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage, ImageBlock, MessageRole
from llama_index.core.memory import BaseMemory, ChatMemoryBuffer
from llama_index.core.memory import Memory as NativeMemory
from llama_index.core.storage.chat_store import SimpleChatStore
from llama_index.core.storage.chat_store.base_db import MessageStatus
from llama_index.core.workflow import Context

from llama_index.storage.chat_store.memkit import MemkitChatStore, MemkitDBChatStore
from memkit import Memory, Message
from memkit.errors import ConfigurationError, ScopeError

from .contract_chat_store import PNG, words
from .scripted_agents import QUIET, Speaking, call

pytestmark = QUIET


def weather(city: str) -> str:
    """Tell the weather."""
    return f"rain in {city}"


def agent(*lines: ChatMessage | str, **more: Any) -> Any:
    return FunctionAgent(tools=[weather], llm=Speaking(*lines), system_prompt="Be brief.", **more)


def over(kind: str, memory: Memory, key: str, user_id: str | None = None) -> BaseMemory:
    if kind == "native":
        store = MemkitDBChatStore(memory=memory, user_id=user_id)
        return NativeMemory.from_defaults(session_id=key, chat_store=store)
    buffer = MemkitChatStore(memory=memory, user_id=user_id)
    return ChatMemoryBuffer.from_defaults(chat_store=buffer, chat_store_key=key)


kinds = pytest.mark.parametrize("kind", ["native", "buffer"])


@kinds
async def test_an_agents_turn_is_kept_whole(kind: str, tmp_path: Path) -> None:
    with Memory(tmp_path / "store") as memory:
        await agent(call("weather", city="Oslo"), "It rains.").run(
            user_msg="Weather?", memory=over(kind, memory, "k")
        )
        kept = MemkitChatStore(memory=memory).get_messages("k")
    assert [message.role.value for message in kept] == ["user", "assistant", "tool", "assistant"]
    assert kept[1].blocks[-1].tool_kwargs == {"city": "Oslo"}  # type: ignore[union-attr]
    assert kept[2].additional_kwargs["tool_call_id"] == "call-1"
    assert kept[2].content == "rain in Oslo"


@kinds
async def test_the_state_of_an_agent_does_not_overwrite_what_the_user_said(kind: str, tmp_path: Path) -> None:
    with Memory(tmp_path / "store") as memory:
        await agent("Fine.", initial_state={"mood": "calm"}).run(
            "How are you?", memory=over(kind, memory, "k")
        )
        assert words(MemkitChatStore(memory=memory).get_messages("k")) == ["How are you?", "Fine."]


async def test_the_state_of_an_agent_overwrites_it_in_the_stock_store() -> None:
    store = SimpleChatStore()
    buffer = ChatMemoryBuffer.from_defaults(chat_store=store, chat_store_key="k")
    await agent("Fine.", initial_state={"mood": "calm"}).run(user_msg="How are you?", memory=buffer)
    assert "Current state" in str(store.get_messages("k")[0].content)


async def test_a_context_used_again_goes_on_with_the_conversation(tmp_path: Path) -> None:
    with Memory(tmp_path / "store") as memory:
        speaker = agent("Hello.", "You said hi.", "And more.")
        context = Context(speaker)
        await speaker.run(user_msg="Hi.", memory=over("buffer", memory, "k"), ctx=context)
        await speaker.run(user_msg="What did I say?", ctx=context)
        context = Context.from_dict(speaker, json.loads(json.dumps(context.to_dict())))
        await speaker.run(user_msg="And?", ctx=context)
        kept = words(MemkitChatStore(memory=memory).get_messages("k"))
    assert kept == ["Hi.", "Hello.", "What did I say?", "You said hi.", "And?", "And more."]


@kinds
async def test_users_and_sessions_of_agents_that_run_at_once_do_not_mix(kind: str, tmp_path: Path) -> None:
    with Memory(tmp_path / "store") as memory:

        async def talk(user: str | None, key: str) -> None:
            kept = over(kind, memory, key, user)
            for number in range(3):
                await agent(call("weather", city=key), f"{user} {key} {number}").run(
                    user_msg=f"I am {user} in {key}, {number}", memory=kept
                )

        places = [(user, key) for user in ("ada", "bob", None) for key in ("a", "b")]
        await asyncio.gather(*[talk(user, key) for user, key in places])
        for user, key in places:
            store = MemkitChatStore(memory=memory, user_id=user)
            texts = [text for text in words(store.get_messages(key)) if text]
            assert texts == [
                text
                for number in range(3)
                for text in (f"I am {user} in {key}, {number}", f"rain in {key}", f"{user} {key} {number}")
            ]
            assert store.get_keys() == ["a", "b"]


@kinds
async def test_sessions_of_one_store_that_agents_share_do_not_mix(kind: str, tmp_path: Path) -> None:
    with Memory(tmp_path / "store") as memory:
        shared: Any = (
            MemkitDBChatStore(memory=memory, user_id="ada")
            if kind == "native"
            else MemkitChatStore(memory=memory, user_id="ada")
        )

        async def talk(key: str) -> None:
            kept: BaseMemory = (
                NativeMemory.from_defaults(session_id=key, chat_store=shared)
                if kind == "native"
                else ChatMemoryBuffer.from_defaults(chat_store=shared, chat_store_key=key)
            )
            speaker = agent(f"answer {key}")
            for number in range(3):
                await speaker.run(user_msg=f"{key} {number}", memory=kept)
                assert {str(m.content)[-1] for m in speaker.llm.asked[-1][1:-1]} <= {key, *"012"}

        await asyncio.gather(*[talk(key) for key in "xyz"])
        for key in "xyz":
            assert words(MemkitChatStore(memory=memory, user_id="ada").get_messages(key)) == [
                text for number in range(3) for text in (f"{key} {number}", f"answer {key}")
            ]


def test_an_agent_id_keeps_conversations_apart() -> None:
    with Memory(":memory:") as memory:
        cook, guide = (
            MemkitChatStore(memory=memory, user_id="ada", agent_id=name) for name in ("cook", "guide")
        )
        cook.add_message("k", ChatMessage(content="soup"))
        guide.add_message("k", ChatMessage(content="museum"))
        guide.set_messages("k", [ChatMessage(content="park")])
        assert words(cook.get_messages("k")) == ["soup"]
        assert words(guide.get_messages("k")) == ["park"]


def test_conversations_of_users_are_hidden_from_a_store_without_one() -> None:
    with Memory(":memory:") as memory:
        MemkitChatStore(memory=memory, user_id="ada").add_message("k", ChatMessage(content="secret"))
        nobody = MemkitChatStore(memory=memory)
        assert nobody.get_keys() == []
        assert nobody.get_messages("k") == []
        assert nobody.delete_messages("k") is None
        assert MemkitChatStore(memory=memory, user_id="ada").get_keys() == ["k"]


# Processes.

READ = """
import asyncio, json, sys
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.storage.chat_store.memkit import MemkitChatStore, MemkitDBChatStore
buffer, store = json.loads(sys.argv[1])
restored = ChatMemoryBuffer.from_dict(buffer)
texts = [message.content for message in restored.get_all()]
other = MemkitDBChatStore.model_validate(store)
texts += [message.content for message in asyncio.run(other.get_messages("k", status=None))]
print(json.dumps(texts))
"""

WRITE = """
import asyncio, sys
from llama_index.core.llms import ChatMessage
from llama_index.storage.chat_store.memkit import MemkitDBChatStore
from memkit import Memory, Message

async def main():
    store = MemkitDBChatStore(memory=Memory(sys.argv[1]), user_id="ada")
    for number in range(10_000):
        await store.add_message("k", ChatMessage(content=f"m{number}"))
        print(number, flush=True)

asyncio.run(main())
"""


def test_another_process_continues_from_json(tmp_path: Path) -> None:
    with Memory(tmp_path / "store") as memory:
        buffer = ChatMemoryBuffer.from_defaults(chat_store=MemkitChatStore(memory=memory), chat_store_key="k")
        buffer.put(ChatMessage(content="Grüße"))
        written = [buffer.to_dict(), MemkitDBChatStore(memory=memory).to_dict()]
    done = subprocess.run(
        [sys.executable, "-c", READ, json.dumps(written)], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == ["Grüße", "Grüße"]


async def test_a_killed_process_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    place = tmp_path / "store"
    with subprocess.Popen(
        [sys.executable, "-c", WRITE, str(place)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        for line in writer.stdout:
            if int(line) == 25:
                writer.send_signal(signal.SIGKILL)
                break
        acknowledged = 26 + len(writer.stdout.read().splitlines())
    with Memory(place) as memory:
        kept = words(await MemkitDBChatStore(memory=memory, user_id="ada").get_messages("k"))
    assert kept == [f"m{number}" for number in range(len(kept))]
    assert len(kept) >= acknowledged


# As objects.


@pytest.mark.parametrize("kind", [MemkitChatStore, MemkitDBChatStore])
def test_a_store_is_written_down_without_its_messages_or_secrets(kind: Any, tmp_path: Path) -> None:
    with Memory(tmp_path / "store") as memory:
        store = kind(memory=memory, user_id="ada", agent_id=7)
        MemkitChatStore(memory=memory, user_id="ada").add_message("k", ChatMessage(content="private"))
        assert "private" not in store.model_dump_json()
        assert "connection" not in repr(store)
        for again in (
            kind.model_validate_json(store.model_dump_json()),
            kind.from_dict(store.to_dict()),
            pickle.loads(pickle.dumps(store)),
            store.model_copy(deep=True),
        ):
            assert (again.user_id, again.agent_id) == ("ada", "7")
            assert again.to_dict() == store.to_dict()


@pytest.mark.parametrize("kind", [MemkitChatStore, MemkitDBChatStore])
def test_what_a_store_is_made_with_is_checked(kind: Any) -> None:
    with pytest.raises(ConfigurationError, match="Pass `memory="):
        kind()
    with Memory(":memory:") as memory, pytest.raises(ScopeError, match="blank"):
        kind(memory=memory, user_id=" ")


@pytest.mark.parametrize("key", ["", "  ", "\n"])
async def test_a_blank_key_is_an_error_that_names_it(key: str) -> None:
    with Memory(":memory:") as memory:
        with pytest.raises(ScopeError, match="`key` is blank"):
            MemkitChatStore(memory=memory).add_message(key, ChatMessage(content="x"))
        with pytest.raises(ScopeError, match="`key` is blank"):
            await MemkitDBChatStore(memory=memory).get_messages(key)


async def test_both_stores_see_one_history() -> None:
    with Memory(":memory:") as memory:
        old, new = MemkitChatStore(memory=memory), MemkitDBChatStore(memory=memory)
        old.add_message("k", ChatMessage(content="one"))
        await new.add_message("k", ChatMessage(content="two"))
        await new.archive_oldest_messages("k", 1)
        assert words(old.get_messages("k")) == ["two"]
        old.set_messages("k", [ChatMessage(content="three")])
        assert words(await new.get_messages("k", status=None)) == ["one", "three"]
        old.delete_messages("k")
        assert await new.get_messages("k", status=None) == []


async def test_turns_that_others_keep_are_messages_here() -> None:
    with Memory(":memory:") as memory:
        memory.add("I live in Oslo.", user_id="ada", run_id="k")
        memory.keep(
            [
                {"role": "assistant", "content": [{"type": "text", "text": "Nice."}, {"type": "image_url"}]},
                {"role": "tool", "content": "7", "tool_call_id": "c1"},
            ],
            user_id="ada",
            run_id="k",
        )
        store = MemkitChatStore(memory=memory, user_id="ada")
        got = store.get_messages("k")
        assert words(got) == ["I live in Oslo.", "Nice.", "7"]
        assert [message.role.value for message in got] == ["user", "assistant", "tool"]
        assert got[2].additional_kwargs == {"tool_call_id": "c1"}
        store.set_messages("k", [*got, ChatMessage(content="more")])
        assert [turn.payload is None for turn in memory.messages(user_id="ada", run_id="k")] == [True] * 3 + [
            False
        ]


def test_what_stays_when_messages_are_set_is_not_written_again() -> None:
    with Memory(":memory:") as memory:
        store = MemkitChatStore(memory=memory)
        store.set_messages("k", [ChatMessage(content=f"m{number}") for number in range(5)])
        before = [turn.id for turn in memory.messages(run_id="k")]
        store.set_messages("k", [ChatMessage(content=f"m{number}") for number in (0, 1, 2, 9)])
        after = [turn.id for turn in memory.messages(run_id="k")]
        assert after[:3] == before[:3]
        assert after[3] not in before
        assert memory.count_messages(run_id="k", status="deleted") == 2


async def test_the_order_holds_when_the_clock_stands_still(tmp_path: Path) -> None:
    with Memory(tmp_path / "store") as memory:
        store = MemkitDBChatStore(memory=memory)
        messages = [ChatMessage(content=f"m{number}") for number in range(40)]
        await store.add_messages("k", messages)
        assert len({turn.created_at for turn in memory.messages(run_id="k")}) == 1
        assert await store.get_messages("k") == messages
        assert await store.get_messages("k", limit=3, offset=5) == messages[32:35]


class Reading(Memory):
    """Counts the turns it reads; somebody else may write before it does."""

    def __init__(self, path: Any) -> None:
        super().__init__(path)
        self.read = 0
        self.meanwhile: Callable[[], object] | None = None

    def messages(self, *args: Any, **options: Any) -> list[Message]:
        if self.meanwhile is not None:
            write, self.meanwhile = self.meanwhile, None
            write()
        turns = super().messages(*args, **options)
        self.read += len(turns)
        return turns


def test_one_message_of_a_long_conversation_is_deleted_without_reading_the_others() -> None:
    with Reading(":memory:") as memory:
        store = MemkitChatStore(memory=memory)
        messages = [ChatMessage(content=f"m{number}") for number in range(200)]
        store.set_messages("k", messages)
        memory.read = 0
        deleted = [store.delete_message("k", idx) for idx in (0, 100, 197, 197, -1)]
        assert deleted == [messages[0], messages[101], messages[199], None, None]
        assert store.delete_last_message("k") == messages[198]
        assert memory.read < 10


def test_a_message_that_is_added_meanwhile_does_not_move_the_place_of_others() -> None:
    with Reading(":memory:") as memory:
        store = MemkitChatStore(memory=memory)
        messages = [ChatMessage(content=f"m{number}") for number in range(5)]
        store.set_messages("k", messages)
        memory.meanwhile = lambda: store.add_message("k", ChatMessage(content="new"))
        assert store.delete_message("k", 2) == messages[2]
        assert words(store.get_messages("k")) == ["m0", "m1", "m3", "m4", "new"]


# Files of `SimpleChatStore`.


def test_a_file_of_the_stock_store_is_taken_over(tmp_path: Path) -> None:
    image = ChatMessage(role=MessageRole.USER, blocks=[ImageBlock(image=PNG)])
    data = {
        "store": {
            "k": [ChatMessage(content="Grüße").model_dump(mode="json"), image.model_dump(mode="json")],
            "old": [{"role": "user", "content": "as older versions wrote it", "additional_kwargs": {}}],
        },
        "class_name": "SimpleChatStore",
    }
    file = tmp_path / "chat.json"
    with Memory(":memory:") as memory:
        for text in (json.dumps(data), json.dumps(json.dumps(data))):
            file.write_text(text, "utf-8")
            store = MemkitChatStore.from_persist_path(str(file), memory=memory, user_id="ada")
            assert store.get_messages("k") == [ChatMessage(content="Grüße"), image]
            assert words(store.get_messages("old")) == ["as older versions wrote it"]
        assert memory.count_messages(user_id="ada", status="deleted") == 0
        missing = MemkitChatStore.from_persist_path(str(tmp_path / "no.json"), memory=memory, user_id="bob")
        assert missing.get_keys() == []


def test_the_stock_store_reads_our_file(tmp_path: Path) -> None:
    image = ChatMessage(role=MessageRole.USER, blocks=[ImageBlock(image=PNG)])
    with Memory(":memory:") as memory:
        store = MemkitChatStore(memory=memory, user_id="ada")
        store.set_messages("k", [ChatMessage(content="Grüße"), image])
        MemkitChatStore(memory=memory, user_id="bob").add_message("other", ChatMessage(content="not ada's"))
        store.persist(str(tmp_path / "chat.json"))
    read = SimpleChatStore.from_persist_path(str(tmp_path / "chat.json"))
    assert read.get_messages("k") == [ChatMessage(content="Grüße"), image]
    assert read.get_keys() == ["k"]


async def test_a_store_in_the_middle_of_a_conversation_archives_and_goes_on(tmp_path: Path) -> None:
    with Memory(tmp_path / "store") as memory:
        store = MemkitDBChatStore(memory=memory)
        native = NativeMemory.from_defaults(
            session_id="k", chat_store=store, token_limit=300, token_flush_size=60
        )
        speaker = agent("word " * 30)
        for number in range(8):
            await speaker.run(user_msg=f"question {number} " + "word " * 10, memory=native)
        everything = await store.get_messages("k", status=None)
        archived = await store.get_messages("k", status=MessageStatus.ARCHIVED)
        active = await store.get_messages("k")
    assert len(everything) == 16
    assert archived and everything == [*archived, *active]
    assert active[0].role == MessageRole.USER
