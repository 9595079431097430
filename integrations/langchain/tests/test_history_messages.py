"""Every message comes back from the history as it was: each type, each kind of block, each value."""

from __future__ import annotations

import copy
import threading
from datetime import UTC, date, datetime
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    HumanMessageChunk,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.messages.tool import invalid_tool_call, tool_call
from pydantic import BaseModel

from memkit import Memory
from memkit.errors import InvalidInputError

from .histories import CALL, found_in, history

pytestmark = pytest.mark.filterwarnings("error")

USAGE = {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10, "input_token_details": {"cache_read": 4}}
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

MESSAGES: dict[str, BaseMessage] = {
    "human": HumanMessage("I live in Paris.", id="h1", name="Ada"),
    "human that is empty": HumanMessage(""),
    "human of blanks": HumanMessage("  \n"),
    "human with an example": HumanMessage("2+2", example=True),
    "human with fields of its own": HumanMessage("hi", mood="glad", nothing=None, none=[]),
    "ai": AIMessage("Noted.", id="run-1", response_metadata={"model_name": "m", "logprobs": None}),
    "ai with usage": AIMessage("Noted.", usage_metadata=USAGE),
    "ai that calls a tool": AIMessage("", tool_calls=[CALL, tool_call(name="b", args={}, id=None)]),
    "ai that calls one with words": AIMessage([{"type": "text", "text": "Let me look."}], tool_calls=[CALL]),
    "ai that calls one wrongly": AIMessage(
        "",
        invalid_tool_calls=[invalid_tool_call(name="weather", args='{"city', id="call-2", error="no JSON")],
    ),
    "ai with additional kwargs": AIMessage(
        "x", additional_kwargs={"refusal": None, "audio": {"id": "a"}, "parsed": [1.5, True]}
    ),
    "ai that reasons": AIMessage(
        [
            {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
            {"type": "text", "text": "Yes.", "annotations": [{"url": "https://example.com"}]},
            {"type": "tool_use", "id": "call-1", "name": "weather", "input": {"city": "Zürich"}},
        ],
        tool_calls=[CALL],
    ),
    "ai of standard blocks": AIMessage(
        content_blocks=[{"type": "reasoning", "reasoning": "Hm."}, {"type": "text", "text": "Yes."}],
        response_metadata={"output_version": "v1"},
    ),
    "system": SystemMessage("Be brief.", additional_kwargs={"cache_control": {"type": "ephemeral"}}),
    "tool": ToolMessage("18 °C", tool_call_id="call-1", name="weather", status="error"),
    "tool with an artifact": ToolMessage(
        "2 found", tool_call_id="call-1", artifact=[{"id": "m1", "score": 0.5, "tags": []}]
    ),
    "tool with an empty artifact": ToolMessage("none found", tool_call_id="call-1", artifact=[]),
    "function": FunctionMessage(content="18 °C", name="weather"),
    "chat": ChatMessage(content="I disagree.", role="critic"),
    "remove": RemoveMessage(id="h1"),
    "an image": HumanMessage(
        [
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}", "detail": "low"}},
        ]
    ),
    "blocks of texts": HumanMessage(["What ", {"type": "text", "text": "is this?"}]),
    "no blocks": HumanMessage([]),
    "a block without a type": HumanMessage([{"text": "hi"}]),
    "bytes": HumanMessage([{"type": "media", "mime_type": "audio/wav", "data": b"RIFF\x00\xff"}]),
    "numbers that JSON lacks": AIMessage(
        "x", response_metadata={"logprob": float("-inf"), "top": [float("inf")]}
    ),
    "keys that JSON lacks": AIMessage("x", additional_kwargs={1: "one", "in": {(1, 2): "pair"}}),
    "values that JSON lacks": AIMessage(
        "x",
        additional_kwargs={
            "at": datetime(2026, 5, 1, 12, tzinfo=UTC),
            "day": date(2026, 5, 1),
            "pair": (1, ("a", b"b")),
            "set": {"a", "b"},
        },
    ),
    "a key of ours": AIMessage("x", additional_kwargs={"__memkit__": "bytes", "value": "AA=="}),
    "half an emoji": HumanMessage("half \ud83d", additional_kwargs={"\ud83d": "\ud83d"}, name="\ud83d"),
    "a null character": HumanMessage("a\x00b\r\n\u2028c", name="a\x00b"),
    "a long number": AIMessage("x", additional_kwargs={"n": 2**80}),
}


@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES)
def test_a_message_comes_back_equal_to_what_it_was(memory: Memory, message: BaseMessage) -> None:
    before = copy.deepcopy(message)
    history(memory).add_message(message)
    (found,) = history(memory).messages
    assert found == before
    assert type(found) is type(before)
    assert message == before


async def test_all_messages_come_back_in_order_through_either_face(memory: Memory) -> None:
    everything = list(MESSAGES.values())
    await history(memory.to_async()).aadd_messages(everything)
    assert history(memory).messages == everything
    assert await history(memory).aget_messages() == everything
    assert history(memory.to_async()).messages == everything


def test_a_chunk_is_kept_as_the_message_it_is_a_part_of(memory: Memory) -> None:
    chat = history(memory)
    calls = [
        {"name": "weather", "args": '{"city": "Oslo"}', "id": "c", "index": 0, "type": "tool_call_chunk"}
    ]
    parts = AIMessageChunk(content="Let me", id="run-1") + AIMessageChunk(
        content=" look.", tool_call_chunks=calls
    )
    chat.add_messages([parts, HumanMessageChunk(content="hi")])
    asked, said = found_in(chat)
    assert (type(asked), type(said)) == (AIMessage, HumanMessage)
    assert asked.tool_calls == [tool_call(name="weather", args={"city": "Oslo"}, id="c")]
    assert (asked.content, asked.id, said.content) == ("Let me look.", "run-1", "hi")


def test_whatever_langchain_takes_for_messages_is_taken(memory: Memory) -> None:
    chat = history(memory)
    chat.add_messages([("human", "a"), {"role": "assistant", "content": "b"}, "c"])
    chat.add_messages("one text")
    assert [(message.type, message.text) for message in chat.messages] == [
        ("human", "a"), ("ai", "b"), ("human", "c"), ("human", "one text"),
    ]  # fmt: skip


@pytest.mark.parametrize("wrong", [[HumanMessage("a"), 5], [("nobody", "a")], [{"content": "a"}], 5])
def test_what_is_no_message_is_refused_and_nothing_is_kept(memory: Memory, wrong: Any) -> None:
    chat = history(memory)
    with pytest.raises(InvalidInputError, match="HumanMessage"):
        chat.add_messages(wrong)
    assert chat.messages == []


class Forecast(BaseModel):
    city: str
    sources: list[Document]


def test_of_an_artifact_models_come_back_as_dicts_and_what_is_no_data_as_none(memory: Memory) -> None:
    circle: list[Any] = []
    circle.append(circle)
    artifact = {
        "forecast": Forecast(city="Oslo", sources=[]),
        "lock": threading.Lock(),
        "n": 3,
        "circle": circle,
    }
    chat = history(memory)
    chat.add_message(ToolMessage("18 °C", tool_call_id="c", artifact=artifact))
    chat.add_message(ToolMessage("18 °C", tool_call_id="c", artifact=threading.Lock()))
    first, second = found_in(chat)
    assert first.artifact["forecast"] == {"city": "Oslo", "sources": []}
    assert (first.artifact["lock"], first.artifact["n"], second.artifact) == (None, 3, None)


class Spoken(HumanMessage):
    mood: str | None = None


class Note(BaseMessage):
    type: str = "note"


def test_messages_of_classes_of_ones_own_come_back_as_langchains(memory: Memory) -> None:
    chat = history(memory)
    chat.add_messages([Spoken(content="hi", mood="glad"), Note(content="n")])
    spoken, note = found_in(chat)
    assert (type(spoken), spoken.mood) == (HumanMessage, "glad")
    assert (type(note), note.role, note.content) == (ChatMessage, "note", "n")
