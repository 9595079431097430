"""`MemkitMemoryBlock` beside the native `Memory`: recall, what a flush teaches it, truncation and failures."""

# `run` has its arguments in an overload that is marked as deprecated.
# pyright: reportDeprecated=false
from __future__ import annotations

import asyncio
import copy
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.memory import Memory as StockMemory
from llama_index.core.utils import get_tokenizer
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from llama_index.memory.memkit import MemkitMemoryBlock
from llama_index.storage.chat_store.memkit import MemkitDBChatStore
from memkit import Memory
from memkit.errors import BackendUnavailableError, ConfigurationError, FilterError, ScopeError
from memkit.testing import FakeEmbedder, FakeLLM, extraction, fact

from .scripted_agents import QUIET, Speaking, assistant, call, result, said, system, user

pytestmark = QUIET


@pytest.fixture
def store(tmp_path: Path) -> Generator[Memory]:
    with Memory(tmp_path / "store") as memory:
        memory.add("I only drink oat milk.", user_id="ada", metadata={"topic": "food"})
        memory.add("My milk tooth is lost.", user_id="ada", metadata={"topic": "health"})
        memory.add("I only drink goat milk.", user_id="bob")
        yield memory


@pytest.fixture
async def engine(tmp_path: Path) -> Any:
    made = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'chat.db'}")
    yield made
    await made.dispose()


def native(
    engine: AsyncEngine | None, *blocks: MemkitMemoryBlock, session: str = "chat", **options: Any
) -> StockMemory:
    kept = {"async_engine": engine} if "chat_store" not in options else {}
    return StockMemory.from_defaults(session_id=session, memory_blocks=list(blocks), **kept, **options)


def texts(store: Memory, **ids: Any) -> list[str]:
    return sorted(item.memory for item in store.get_all(**ids).results)


SMALL: dict[str, Any] = {"token_limit": 300, "chat_history_token_ratio": 0.2, "token_flush_size": 20}
QUESTION = [user("Which milk do I drink?")]


async def test_the_native_memory_shows_what_is_known_about_the_last_question(
    store: Memory, engine: AsyncEngine
) -> None:
    model = Speaking("Oat milk.")
    memory = native(engine, MemkitMemoryBlock(memory=store, user_id="ada"))
    await FunctionAgent(llm=model).run("Which milk do I drink?", memory=memory)
    head = str(model.asked[0][0].content)
    assert "<memkit>" in head
    assert "oat milk" in head
    assert "goat" not in head
    assert said(await memory.aget_all()) == [("user", "Which milk do I drink?"), ("assistant", "Oat milk.")]


async def test_nothing_to_ask_and_nothing_known_is_an_empty_text(store: Memory) -> None:
    block = MemkitMemoryBlock(memory=store, user_id="ada")
    assert await block.aget() == ""
    assert await block.aget([]) == ""
    assert await block.aget([assistant("Hello.")]) == ""
    assert await MemkitMemoryBlock(memory=store, user_id="eve").aget(QUESTION) == ""


async def test_filters_of_the_block_and_of_a_call_both_hold(store: Memory) -> None:
    block = MemkitMemoryBlock(memory=store, user_id="ada")
    assert "tooth" not in await block.aget(QUESTION, filters={"topic": "food"})
    assert "tooth" in await block.aget(QUESTION)
    narrow = MemkitMemoryBlock(memory=store, user_id="ada", filters={"topic": "food"})
    assert "tooth" not in await narrow.aget(QUESTION)
    assert await narrow.aget(QUESTION, filters={"topic": "health"}) == ""
    assert "oat" in await narrow.aget(QUESTION)


async def test_one_block_in_two_sessions_at_once_keeps_them_apart(store: Memory, engine: AsyncEngine) -> None:
    """The stock vector block filters by the first session for ever."""
    block = MemkitMemoryBlock(memory=store, user_id="ada")

    async def chat(name: str) -> str:
        other = create_async_engine("sqlite+aiosqlite:///:memory:")
        memory = native(other, block, session=name, **SMALL)
        for n in range(6):
            await memory.aput_messages(
                [user(f"In {name} I count cups: {n}, {n} and {n}."), assistant(f"{n}!")]
            )
        await memory.aput(user(f"Which cups did I count in {name}?"))
        shown = str((await memory.aget())[0].content)
        await other.dispose()
        return shown

    shown = await asyncio.gather(*(chat(name) for name in ("one", "two")))
    assert "In one I count" in shown[0]
    assert "In two I count" in shown[1]
    for name in ("one", "two"):
        kept = [message.text for message in store.messages(user_id="ada", run_id=name)]
        assert kept
        assert all(f"In {name} " in text for text in kept if text.startswith("In"))


async def test_two_users_blocks_in_agents_that_run_at_once_do_not_mix(store: Memory) -> None:
    async def chat(user_id: str) -> str:
        own = create_async_engine("sqlite+aiosqlite:///:memory:")
        model = Speaking("Yes.")
        memory = native(own, MemkitMemoryBlock(memory=store, user_id=user_id))
        await FunctionAgent(llm=model).run("Which milk do I drink?", memory=memory)
        await own.dispose()
        return str(model.asked[0][0].content)

    ada, bob = await asyncio.gather(chat("ada"), chat("bob"))
    assert " oat milk" in ada
    assert "goat" not in ada
    assert " goat milk" in bob
    assert " oat milk" not in bob


async def test_what_a_memory_flushes_is_learned_and_nothing_before(
    store: Memory, engine: AsyncEngine
) -> None:
    block = MemkitMemoryBlock(memory=store, user_id="eve")
    memory = native(engine, block, **SMALL)
    await memory.aput_messages([user("I live in Ghent."), call("look"), result("found"), assistant("Noted.")])
    assert texts(store, user_id="eve") == []
    for n in range(8):
        await memory.aput_messages([user(f"It rains again, for the {n}th time today."), assistant("Oh.")])
    learned = texts(store, user_id="eve", run_id="chat")
    assert {"I live in Ghent.", "Noted."} <= set(learned)
    assert not {"found", ""} & set(learned)
    await memory.aput(user("Where do I live?"))
    assert "Ghent" in str((await memory.aget())[0].content)
    assert all("session_id" not in message.additional_kwargs for message in await memory.aget_all())


async def test_a_fact_that_changes_is_superseded_by_one_extraction_a_flush(tmp_path: Path) -> None:
    model = FakeLLM(
        [
            extraction(fact("Lives in Paris.", "I live in Paris")),
            extraction(fact("Lives in Berlin.", "I moved to Berlin", action="supersede", replaces="m1")),
        ]
    )
    with Memory(tmp_path / "store", llm=model) as store:
        block = MemkitMemoryBlock(memory=store, user_id="ada")
        for n, words in enumerate(("I live in Paris.", "I moved to Berlin."), 1):
            turn = [user(words), call("look"), result("found"), assistant("Noted.")]
            await block.aput(turn, from_short_term_memory=True, session_id=f"chat-{n}")
            assert len(model.calls) == n
        assert texts(store, user_id="ada") == ["Lives in Berlin."]
        assert texts(store, user_id="ada", include_closed=True) == ["Lives in Berlin.", "Lives in Paris."]
        assert "Berlin" in await block.aget([user("Where do I live?")])


async def test_messages_are_not_changed_and_only_words_are_learned(store: Memory) -> None:
    given = [
        system("Be brief."),
        user("I live in Ghent."),
        call("look"),
        result("found"),
        assistant("Thought: Easy.\nAnswer: Noted."),
        assistant(""),
    ]
    before = copy.deepcopy(given)
    block = MemkitMemoryBlock(memory=store, user_id="eve")
    await block.aput(given, session_id="chat")
    assert given == before
    assert texts(store, user_id="eve", run_id="chat") == ["I live in Ghent.", "Noted."]


async def test_put_without_a_session_is_learned_without_a_run(store: Memory) -> None:
    block = MemkitMemoryBlock(memory=store, user_id="eve")
    await block.aput([user("I live in Ghent.")])
    await block.aput([ChatMessage(role="user", content="I like tea.", additional_kwargs={"session_id": "s"})])
    runs = {item.memory: item.run_id for item in store.get_all(user_id="eve").results}
    assert runs == {"I live in Ghent.": None, "I like tea.": "s"}


@pytest.mark.parametrize("options", [{"write": "never"}, {"accept_short_term_memory": False}])
async def test_it_can_be_told_not_to_learn(store: Memory, options: Any) -> None:
    block = MemkitMemoryBlock(memory=store, user_id="eve", **options)
    await block.aput([user("I live in Ghent.")], from_short_term_memory=True, session_id="s")
    assert texts(store, user_id="eve") == []


async def test_beside_our_chat_store_a_flushed_turn_is_kept_once(store: Memory) -> None:
    block = MemkitMemoryBlock(memory=store, user_id="eve")
    memory = native(None, block, chat_store=MemkitDBChatStore(memory=store, user_id="eve"), **SMALL)
    for n in range(8):
        await memory.aput_messages([user(f"It rains again, for the {n}th time today."), assistant("Oh.")])
    assert len(await memory.aget_all()) == 16
    learned = store.get_all(user_id="eve").results
    assert len(learned) >= 8
    kept = {message.id for message in store.messages(user_id="eve", run_id="chat", status="archived")}
    assert {source.message_id for item in learned for source in item.sources} == kept


async def test_truncation_drops_the_lowest_ranked_first(store: Memory) -> None:
    store.add("Keep answers short.", user_id="ada", kind="instruction", infer=False)
    block = MemkitMemoryBlock(memory=store, user_id="ada")
    whole = await block.aget(QUESTION)
    rows = [line for line in whole.splitlines() if line.startswith("- [")]
    assert len(rows) == 3
    count = lambda text: len(get_tokenizer()(text))  # noqa: E731
    one_less = await block.atruncate(whole, 1)
    assert one_less is not None
    assert [line for line in one_less.splitlines() if line.startswith("- [")] == rows[:2]
    only_standing = await block.atruncate(whole, count(whole) - count(one_less) + 30)
    assert only_standing is not None
    assert [line for line in only_standing.splitlines() if line.startswith("- [")] == rows[:1]
    assert only_standing.count("<memkit:recalled>") == only_standing.count("</memkit:recalled>") == 1
    assert await block.atruncate(whole, count(whole)) is None
    assert await block.atruncate(whole, 0) == whole
    for less in range(1, count(whole), 7):
        left = await block.atruncate(whole, less)
        assert left is None or count(left) <= count(whole) - less


async def test_the_native_memory_truncates_it_to_its_limit(store: Memory, engine: AsyncEngine) -> None:
    for n in range(20):
        store.add(f"Milk brand {n} is one that I drink on weekdays in the {n}th week.", user_id="ada")
    block = MemkitMemoryBlock(memory=store, user_id="ada", k=20)
    memory = native(engine, block, token_limit=300)
    await memory.aput(QUESTION[0])
    shown = await memory.aget()
    rows = str(shown[0].content).count("\n- [")
    assert 1 <= rows < 15


async def test_an_error_is_counted_and_costs_nothing_unless_asked_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    down = BackendUnavailableError("It is down.", backend="fake")
    embedder = FakeEmbedder()
    with Memory(tmp_path / "store", embedder=embedder) as store:
        store.add("I only drink oat milk.", user_id="ada")
        block = MemkitMemoryBlock(memory=store, user_id="ada")
        embedder.errors.extend([down, down])
        assert await block.aget(QUESTION) == ""
        await block.aput([user("I live in Ghent.")])
        assert block.failures == {"recall": 1, "remember": 1}
        assert "It is down." in caplog.text
        strict = MemkitMemoryBlock(memory=store, user_id="ada", on_error="raise")
        embedder.errors.extend([down, down])
        with pytest.raises(BackendUnavailableError):
            await strict.aget(QUESTION)
        with pytest.raises(BackendUnavailableError):
            await strict.aput([user("I like tea.")])


async def test_a_bound_memory_says_whose_it_is(store: Memory) -> None:
    block = MemkitMemoryBlock(memory=store.bind(user_id="ada"))
    assert "oat" in await block.aget(QUESTION)
    await block.aput([user("I live in Ghent.")], session_id="s")
    assert "I live in Ghent." in texts(store, user_id="ada", run_id="s")


async def test_a_reader_of_several_agents_sees_what_is_theirs(store: Memory) -> None:
    for agent in ("one", "two", None):
        store.add(f"The milk of {agent} is good.", user_id="ada", agent_id=agent)
    block = MemkitMemoryBlock(memory=store, user_id="ada", agent_id=["one", None], write="never", k=10)
    shown = await block.aget(QUESTION)
    assert "milk of one" in shown
    assert "milk of None" in shown
    assert "milk of two" not in shown


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({}, ScopeError),
        ({"user_id": ""}, ScopeError),
        ({"user_id": "ada", "agent_id": ["one", None]}, ScopeError),
        ({"user_id": "ada", "k": 0}, ConfigurationError),
        ({"user_id": "ada", "k": "5"}, ConfigurationError),
        ({"user_id": "ada", "k": 2.5}, ConfigurationError),
        ({"user_id": "ada", "infer": "yes"}, ConfigurationError),
        ({"user_id": "ada", "threshold": 1.5}, ConfigurationError),
        ({"user_id": "ada", "filters": "food"}, FilterError),
        ({"user_id": "ada", "filters": {"price": {"$about": 5}}}, FilterError),
        ({"user_id": "ada", "write": "always"}, ConfigurationError),
        ({"user_id": "ada", "on_error": "log"}, ConfigurationError),
        ({"user_id": "ada", "memory": None}, ConfigurationError),
    ],
)
def test_what_cannot_be_used_is_refused_at_once(store: Memory, options: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        MemkitMemoryBlock(**({"memory": store} | options))


def test_its_name_is_memkit_and_can_be_another(store: Memory) -> None:
    first = MemkitMemoryBlock(memory=store, user_id="ada")
    second = MemkitMemoryBlock(memory=store, user_id="ada", run_id="r", name="this-chat", priority=2)
    assert (first.name, second.name) == ("memkit", "this-chat")
    assert "ada" not in repr(first)
    StockMemory.from_defaults(memory_blocks=[first, second])
