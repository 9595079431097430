"""Messages as turns and back, where LlamaIndex itself has no answer: unknown blocks, vendors' objects, odd values."""

from __future__ import annotations

import base64
import math
from enum import Enum
from io import BytesIO
from typing import Any, Literal

import pytest
from llama_index.core.base.llms.types import (
    BaseContentBlock,
    ChatMessage,
    CitableBlock,
    DocumentBlock,
    ImageBlock,
    MessageRole,
    TextBlock,
    ToolCallBlock,
)
from llama_index.core.schema import ImageDocument
from pydantic import BaseModel

from llama_index.storage.chat_store.memkit.messages import as_message, as_turn, from_json
from memkit import Memory

from .contract_chat_store import PNG


def kept(message: ChatMessage) -> ChatMessage:
    with Memory(":memory:") as memory:
        return as_message(memory.keep(as_turn(message), run_id="k")[0])


class Hologram(BaseContentBlock):
    """A kind of block that LlamaIndex's messages do not know."""

    block_type: Literal["hologram"] = "hologram"
    depth: int


class Usage(BaseModel):
    tokens: int
    raw: bytes


class Protocol:
    """A message as protocol buffers make them: what can be said of it is said by its class."""

    @classmethod
    def to_dict(cls, message: Protocol) -> dict[str, Any]:
        return {"kind": "protocol"}


class Failing:
    def model_dump(self) -> dict[str, Any]:
        raise RuntimeError("not now")


class Colour(Enum):
    RED = "red"


def test_a_kind_of_block_that_is_known_here_comes_back_as_itself() -> None:
    message = ChatMessage(content="look")
    message.blocks.append(Hologram(depth=3))  # type: ignore[arg-type]
    assert kept(message).blocks == [TextBlock(text="look"), Hologram(depth=3)]


def test_a_kind_of_block_that_nobody_knows_costs_no_message() -> None:
    message = from_json(
        {
            "role": "assistant",
            "blocks": [
                {"block_type": "text", "text": "one"},
                {"block_type": "smell", "of": "roses"},
                {"block_type": "caption", "text": "two"},
                {"block_type": "tool_call", "tool_name": ["no", "name"]},
            ],
        }
    )
    assert message.role == MessageRole.ASSISTANT
    assert [type(block) for block in message.blocks] == [TextBlock] * 4
    assert [block.text for block in message.blocks[:3]] == [  # type: ignore[union-attr]
        "one",
        '{"block_type": "smell", "of": "roses"}',
        "two",
    ]


def test_a_role_that_nobody_knows_is_the_users() -> None:
    assert from_json({"role": "oracle", "blocks": []}).role == MessageRole.USER


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (Usage(tokens=7, raw=b"\xff"), {"tokens": 7, "raw": "/w=="}),
        (Protocol(), {"kind": "protocol"}),
        (Colour.RED, "red"),
        ({Colour.RED: 1, 2: (3, 4)}, {"red": 1, "2": [3, 4]}),
        (b"\x00\xff", "AP8="),
        (math.nan, None),
        ("half of a pair \ud83d", "half of a pair ?"),
        (
            ChatMessage(content="inner"),
            {"role": "user", "additional_kwargs": {}, "blocks": [{"block_type": "text", "text": "inner"}]},
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_json_cannot_hold_is_kept_as_what_it_can(given: object, expected: object) -> None:
    message = ChatMessage(content="hi", blocks=[TextBlock(text="hi")])
    message.additional_kwargs = {"given": given}
    message.blocks.append(ToolCallBlock(tool_name="f", tool_kwargs={"given": given}))
    got = kept(message)
    assert got.additional_kwargs == {"given": expected}
    assert got.blocks[1].tool_kwargs == {"given": expected}  # type: ignore[union-attr]
    assert ChatMessage.model_validate_json(got.model_dump_json()) == got


def test_an_object_that_fails_to_say_what_it_is_costs_no_message() -> None:
    message = ChatMessage(content="hi", additional_kwargs={"raw": Failing()})
    assert kept(message).additional_kwargs["raw"].endswith("Failing>")


def test_an_object_that_holds_itself_costs_no_message() -> None:
    circle: dict[str, Any] = {}
    circle["self"] = circle
    assert kept(ChatMessage(content="hi", additional_kwargs={"circle": circle})).content == "hi"


def test_images_given_the_old_way_are_kept_once() -> None:
    document = ImageDocument(image=base64.b64encode(PNG).decode())
    message = ChatMessage(content="look", additional_kwargs={"images": [document]})
    assert len(message.blocks) == 2
    got = kept(message)
    assert got.blocks == message.blocks
    assert kept(got) == got
    assert ChatMessage.model_validate_json(got.model_dump_json()) == got


def test_streams_are_read_and_left_where_they_stood() -> None:
    stream = BytesIO(PNG)
    stream.seek(5)
    message = ChatMessage(
        blocks=[
            ImageBlock(image=stream),
            DocumentBlock(data=BytesIO(b"plain words"), title="note"),
            CitableBlock(title="t", source="s", content=[ImageBlock(image=BytesIO(PNG))]),
        ]
    )
    got = kept(message)
    assert stream.tell() == 5
    assert got.blocks[0].resolve_image().read() == PNG  # type: ignore[union-attr]
    assert got.blocks[1].resolve_document().read() == b"plain words"  # type: ignore[union-attr]
    assert got.blocks[2].content[0].resolve_image().read() == PNG  # type: ignore[union-attr]


def test_arguments_that_look_like_a_block_stay_arguments() -> None:
    call = ToolCallBlock(tool_name="f", tool_kwargs={"block": {"block_type": "text", "text": "x"}})
    message = ChatMessage(role=MessageRole.ASSISTANT, blocks=[call])
    assert kept(message) == message


def test_a_very_long_message_comes_back_whole() -> None:
    message = ChatMessage(content="ü" * 1_200_000)
    assert kept(message) == message


def test_the_words_of_a_message_are_those_of_the_turn() -> None:
    turn = as_turn(ChatMessage(blocks=[TextBlock(text="one"), ImageBlock(image=PNG), TextBlock(text="two")]))
    assert (turn["role"], turn["content"]) == ("user", "one\ntwo")
    assert as_turn(ChatMessage(role=MessageRole.ASSISTANT))["content"] == ""
