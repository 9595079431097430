"""`RunnableWithMessageHistory` over memkit: one key and two, sync and async, streamed and in batches."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    ToolMessage,
)
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables import ConfigurableFieldSpec, Runnable, RunnableLambda
from langchain_core.runnables.history import RunnableWithMessageHistory

from langchain_memkit import MemkitChatMessageHistory
from memkit import Memory
from memkit.errors import BackendError

from .histories import CALL, history, talk, texts
from .scripted import ScriptedChatModel

pytestmark = pytest.mark.filterwarnings("error")


def with_history(
    runnable: Runnable[Any, Any], factory: Callable[..., Any], **more: Any
) -> Runnable[Any, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # LangChain's, for it is deprecated
        return RunnableWithMessageHistory(runnable, factory, **more)


PROMPT = ChatPromptTemplate.from_messages(
    [("system", "Be brief."), MessagesPlaceholder("past"), ("human", "{input}")]
)
KEYS = {"input_messages_key": "input", "history_messages_key": "past"}
TWO = [
    ConfigurableFieldSpec(id="user_id", annotation=str),
    ConfigurableFieldSpec(id="thread_id", annotation=str),
]


def echo(messages: Sequence[BaseMessage]) -> str:
    return f"{len(messages)} messages, the last is {messages[-1].text}"


def session(run: str) -> Any:
    return {"configurable": {"session_id": run}}


def by_run(
    memory: Memory, made: type[MemkitChatMessageHistory] = MemkitChatMessageHistory, **more: Any
) -> Callable[[str], MemkitChatMessageHistory]:
    def factory(run: str) -> MemkitChatMessageHistory:
        return made(memory, run_id=run, **more)

    return factory


async def call(chain: Runnable[Any, Any], mode: str, given: Any, config: Any) -> str:
    if mode == "invoke":
        return str(chain.invoke(given, config).text)
    if mode == "ainvoke":
        return str((await chain.ainvoke(given, config)).text)
    if mode == "stream":
        return "".join(str(chunk.text) for chunk in chain.stream(given, config))
    if mode == "astream":
        return "".join([str(chunk.text) async for chunk in chain.astream(given, config)])
    if mode == "batch":
        return str(chain.batch([given], [config])[0].text)
    return str((await chain.abatch([given], [config]))[0].text)


MODES = ["invoke", "ainvoke", "stream", "astream", "batch", "abatch"]


@pytest.mark.parametrize("mode", MODES)
async def test_a_chain_with_one_key_goes_on_with_its_session(memory: Memory, mode: str) -> None:
    chain = with_history(PROMPT | ScriptedChatModel(echo), by_run(memory), **KEYS)
    said = [await call(chain, mode, {"input": text}, session("s1")) for text in ("one", "two")]
    assert said == ["2 messages, the last is one", "4 messages, the last is two"]
    assert await call(chain, mode, {"input": "three"}, session("s2")) == "2 messages, the last is three"
    found = MemkitChatMessageHistory(memory, run_id="s1").messages
    assert texts(found) == ["one", said[0], "two", said[1]]
    assert [type(message) for message in found] == [HumanMessage, AIMessage] * 2


@pytest.mark.parametrize("mode", MODES)
async def test_a_chain_with_two_keys_never_mixes_users(memory: Memory, mode: str) -> None:
    def by_both(user_id: str, thread_id: str) -> MemkitChatMessageHistory:
        return MemkitChatMessageHistory(memory, user_id=user_id, run_id=thread_id)

    chain = with_history(
        PROMPT | ScriptedChatModel(echo),
        by_both,
        history_factory_config=TWO,
        **KEYS,
    )
    configs = [
        {"configurable": {"user_id": user, "thread_id": "t"}} for user in ("ann@example.com", 7, "bob:x")
    ]
    for number, config in enumerate(configs):
        assert (
            await call(chain, mode, {"input": f"i{number}"}, config) == f"2 messages, the last is i{number}"
        )
    for number, config in enumerate(configs):
        assert await call(chain, mode, {"input": "again"}, config) == "4 messages, the last is again"
        found = MemkitChatMessageHistory(
            memory, user_id=config["configurable"]["user_id"], run_id="t"
        ).messages
        assert texts(found)[::2] == [f"i{number}", "again"]


def test_two_users_in_one_batch_never_mix(memory: Memory) -> None:
    chain = with_history(PROMPT | ScriptedChatModel(echo), by_run(memory), **KEYS)
    runs = [f"s{number}" for number in range(8)]
    for text in ("one", "two"):
        chain.batch([{"input": f"{text} of {run}"} for run in runs], [session(run) for run in runs])
    for run in runs:
        assert texts(MemkitChatMessageHistory(memory, run_id=run).messages)[::2] == [
            f"one of {run}",
            f"two of {run}",
        ]


@pytest.mark.parametrize("limit", [None, 3])
@pytest.mark.parametrize("mode", MODES)
async def test_without_a_key_for_the_past_no_message_is_kept_twice(
    memory: Memory, mode: str, limit: int | None
) -> None:
    chain = with_history(ScriptedChatModel(echo), by_run(memory, limit=limit))
    for text in ("one", "two", "three"):
        await call(chain, mode, [HumanMessage(text)], session("s1"))
    seen = 3 if limit else 5
    found = texts(MemkitChatMessageHistory(memory, run_id="s1").messages)
    assert found[::2] == ["one", "two", "three"]
    assert found[-1] == f"{seen} messages, the last is three"


@pytest.mark.parametrize("mode", ["invoke", "ainvoke"])
async def test_tool_calls_and_results_that_a_chain_returns_are_kept(memory: Memory, mode: str) -> None:
    answer = [
        AIMessage("", tool_calls=[CALL]),
        ToolMessage("18 °C", tool_call_id="call-1"),
        AIMessage("Mild."),
    ]
    chain = with_history(
        RunnableLambda(lambda _: {"output": answer}),
        by_run(memory),
        input_messages_key="input", history_messages_key="past", output_messages_key="output",
    )  # fmt: skip
    given: Any = {"input": "How is the weather?"}
    _ = chain.invoke(given, session("s")) if mode == "invoke" else await chain.ainvoke(given, session("s"))
    assert MemkitChatMessageHistory(memory, run_id="s").messages == [
        HumanMessage("How is the weather?"),
        *answer,
    ]


def broken(folder: Path) -> Memory:
    """A memory whose ledger is a file of junk."""
    (folder / "broken.db").write_bytes(b"junk " * 2000)
    return Memory(folder / "broken.db")


def test_a_memory_that_is_down_says_so_in_words(tmp_path: Path) -> None:
    with broken(tmp_path) as memory:
        with pytest.raises(BackendError, match=r"broken\.db"):
            history(memory).add_messages(talk(2))
        with pytest.raises(BackendError, match=r"broken\.db"):
            _ = history(memory).messages


class WriteOnly(MemkitChatMessageHistory):
    """Reads nothing, so that only the saving meets the memory that is down."""

    @property
    def messages(self) -> list[BaseMessage]:
        return []


def test_a_chain_whose_turn_cannot_be_kept_still_answers_and_the_error_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with broken(tmp_path) as memory, caplog.at_level(logging.WARNING):
        chain = with_history(PROMPT | ScriptedChatModel("Hello."), by_run(memory, WriteOnly), **KEYS)
        assert chain.invoke({"input": "hi"}, session("s")).text == "Hello."
    assert "CorruptLedgerError" in caplog.text and "broken.db" in caplog.text
