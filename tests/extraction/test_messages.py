"""Whatever a caller calls messages becomes one shape, or an error that says where."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from memkit.errors import InvalidInputError, ScopeError
from memkit.extraction.messages import MAX_TEXT_BYTES, InputMessage, normalise


def test_texts_dicts_and_lists_of_them() -> None:
    assert [(m.role, m.text) for m in normalise("hi")] == [(None, "hi")]
    assert [(m.role, m.text) for m in normalise({"role": "user", "content": "hi"})] == [("user", "hi")]
    assert [m.role for m in normalise(["a", {"role": "ai", "content": "b"}])] == [None, "assistant"]


@pytest.mark.parametrize(
    ("given", "role"),
    [
        ("user", "user"),
        ("Human", "user"),
        ("ai", "assistant"),
        ("developer", "system"),
        ("function", "tool"),
        ("model", "assistant"),
    ],
)
def test_roles_of_every_api_are_known(given: str, role: str) -> None:
    assert normalise({"role": given, "content": "x"})[0].role == role


def test_every_field_is_kept() -> None:
    given = {
        "role": "user", "content": "hi", "name": "Ana", "created_at": "2025-03-01T09:30:00+01:00",
        "metadata": {"a": [1, {"b": None}]}, "run_id": 7, "id": "x",
    }  # fmt: skip
    copy = {**given, "metadata": {"a": [1, {"b": None}]}}
    message = normalise(given)[0]
    assert (message.name, message.run_id, message.id) == ("Ana", "7", "x")
    assert message.created_at == 1_740_817_800_000_000 and message.offset_minutes == 60
    assert message.metadata == {"a": [1, {"b": None}]} and message.metadata is not given["metadata"]
    assert given == copy


def test_blocks_are_kept_whole_and_give_their_words() -> None:
    blocks: list[Any] = [
        {"type": "text", "text": "Look"},
        {"type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "low"}},
        {"type": "file", "file": {"file_id": "f1"}},
        {"type": "input_text", "text": "here"},
    ]
    message = normalise({"role": "user", "content": blocks})[0]
    assert message.content == blocks and message.text == "Look\nhere" and message.has_images
    assert not normalise({"role": "user", "content": [blocks[0], blocks[2]]})[0].has_images
    single = normalise({"role": "user", "content": blocks[1]})[0]
    assert single.has_images and single.text == ""


def test_langchain_messages() -> None:
    found = normalise(
        [
            SystemMessage("rules"),
            HumanMessage("hi", name="Ana", id="m1", additional_kwargs={"created_at": "2025-01-01"}),
            AIMessage("", tool_calls=[{"name": "f", "args": {"x": 1}, "id": "c1"}]),
            ToolMessage("42", tool_call_id="c1"),
            AIMessage([{"type": "text", "text": "done"}]),
        ]
    )
    assert [m.role for m in found] == ["system", "user", "assistant", "tool", "assistant"]
    assert found[1].name == "Ana" and found[1].id == "m1" and found[1].created_at == 1_735_689_600_000_000
    assert found[2].content == [{"type": "tool_call", "id": "c1", "name": "f", "args": {"x": 1}}]
    assert found[3].metadata == {"tool_call_id": "c1"} and found[4].text == "done"


class _Role:
    def __init__(self, value: str) -> None:
        self.value = value


class _TextBlock:
    block_type = "text"

    def __init__(self, text: str) -> None:
        self.text = text


class _ImageBlock:
    block_type = "image"
    url = None
    image = b"aGk="
    image_mimetype = "image/jpeg"


class _LlamaMessage:
    """The shape of LlamaIndex's ChatMessage."""

    def __init__(self, role: str, *blocks: object) -> None:
        self.role, self.blocks, self.additional_kwargs = _Role(role), list(blocks), {"session_id": "s"}


def test_llamaindex_messages() -> None:
    words, seen = normalise(
        [_LlamaMessage("chatbot", _TextBlock("hi")), _LlamaMessage("user", _TextBlock("see"), _ImageBlock())]
    )
    assert (words.role, words.content) == ("assistant", "hi")
    assert seen.has_images and seen.content[1] == {
        "type": "image_url",
        "image_url": {"url": "data:image/jpeg;base64,aGk="},
    }


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ([], "empty list"),
        ("", "empty"),
        ("  \n\u200b", "blank"),
        (3, "int"),
        (None, "NoneType"),
        ([{"role": "user", "content": "x"}, 5], r"messages\[1\] is of type int"),
        ([{"role": "user"}], r"messages\[0\] has no `content`"),
        ([{"content": "x"}], r"messages\[0\] has no `role`"),
        ([{"role": "usr", "content": "x"}], "Did you mean 'user'"),
        ([{"role": 3, "content": "x"}], r"`role` of messages\[0\]"),
        ([{"role": "user", "content": 3}], r"`content` of messages\[0\]"),
        ([{"role": "user", "content": ""}], "empty"),
        ([{"role": "user", "content": []}], "empty"),
        ([{"role": "user", "content": [3]}], r"content\[0\]"),
        ([{"role": "user", "content": [{"text": "x"}]}], "no `type`"),
        ([{"role": "user", "content": [{"type": "text"}]}], "without a `text`"),
        ([{"role": "user", "contents": "x"}], "Did you mean 'content'"),
        ([{"role": "user", "content": "x", "timestamp": 1}], "called `created_at`"),
        ([{"role": "user", "content": "x", "created_at": "soon"}], r"created_at` of `messages\[0\]"),
        ([{"role": "user", "content": "x", "name": 3}], "name"),
        ([{"role": "user", "content": "x", "id": " "}], "blank"),
        ([{"role": "user", "content": "x", "metadata": []}], "dict"),
        ([{"role": "user", "content": "x", "metadata": {"a": float("nan")}}], "JSON"),
        ([{"role": "user", "content": "x", "metadata": {"a": {1, 2}}}], "JSON"),
        ([{"role": "user", "content": "x", "metadata": {3: 1}}], "texts"),
        ([{"role": "user", "content": "a\ud800"}], "surrogate"),
        ("\udfff", "surrogate"),
        ("x" * (MAX_TEXT_BYTES + 1), "bytes"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_index_and_key(given: Any, says: str) -> None:
    with pytest.raises(InvalidInputError, match=says):
        normalise(given)


@pytest.mark.parametrize("key", ["user_id", "agent_id", "run_id"])
def test_scope_ids_in_metadata_are_refused_with_a_hint(key: str) -> None:
    with pytest.raises(ScopeError, match=f"{key}="):
        normalise({"role": "user", "content": "x", "metadata": {key: "mallory"}})


def test_a_scope_id_beside_the_content_is_refused_with_a_hint() -> None:
    with pytest.raises(ScopeError, match="user_id="):
        normalise({"role": "user", "content": "x", "user_id": "mallory"})


def test_errors_carry_index_and_key() -> None:
    with pytest.raises(InvalidInputError) as caught:
        normalise(["fine", {"role": "user", "content": 1}])
    assert (caught.value.index, caught.value.key) == (1, "content")  # pyright: ignore[reportAttributeAccessIssue]


def test_a_text_of_a_megabyte_is_taken_whole() -> None:
    text = "ä" * 524_288
    assert normalise(text)[0].text == text


def test_a_message_passes_through() -> None:
    message = InputMessage(role="user", content="x", text="x")
    assert normalise([message]) == [message]
