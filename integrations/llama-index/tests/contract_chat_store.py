"""What a `BaseChatStore` of LlamaIndex must do, as cases for any store: ours, and the stock ones for comparison.

A subclass gives the store and may name `defects`: cases that the store fails, with the reason. A defect that is gone
fails the suite; one that shows by chance stands in `races`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
from llama_index.core.base.llms.types import (
    AudioBlock,
    CacheControl,
    CachePoint,
    ChatMessage,
    CitableBlock,
    CitationBlock,
    DocumentBlock,
    ImageBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
    VideoBlock,
)
from llama_index.core.memory import ChatMemoryBuffer

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
ODD_KEYS = (
    "a:b::c",
    "ключ 鍵 🗝",
    "x" * 4000,
    " padded ",
    "it's; DROP TABLE message",
    "../up",
    "line\nbreak",
    "0",
)


def said(text: str, role: str = "user") -> ChatMessage:
    return ChatMessage(role=MessageRole(role), content=text)


def turns(count: int) -> list[ChatMessage]:
    return [said(f"m{number}", ("user", "assistant")[number % 2]) for number in range(count)]


def words(messages: list[ChatMessage]) -> list[str | None]:
    return [message.content for message in messages]


def every_block(folder: Path) -> ChatMessage:
    """A message with one block of each kind."""
    picture = folder / "picture.png"
    picture.write_bytes(PNG)
    return ChatMessage(
        role=MessageRole.ASSISTANT,
        blocks=[
            TextBlock(text="Überall 🌍"),
            ImageBlock(image=PNG, detail="low"),
            ImageBlock(path=picture),
            ImageBlock(url="https://example.org/a.png"),
            AudioBlock(audio=b"RIFF\x00\xff\x10WAVE", format="wav"),
            VideoBlock(video=b"\x00\x01\xfe\xff", video_mimetype="video/mp4"),
            DocumentBlock(data=b"%PDF-1.4 \xe4", title="Bill", document_mimetype="application/pdf"),
            CachePoint(cache_control=CacheControl(type="ephemeral")),
            CitableBlock(
                title="Atlas", source="shelf", content=[TextBlock(text="Oslo"), ImageBlock(image=PNG)]
            ),
            CitationBlock(
                cited_content=TextBlock(text="Oslo"),
                source="shelf",
                title="Atlas",
                additional_location_info={"page": 3},
            ),
            ThinkingBlock(content="Hm.", num_tokens=2, additional_information={"signature": "c2ln"}),
            ToolCallBlock(tool_call_id="c1", tool_name="look", tool_kwargs={"at": [1, {"deep": None}]}),
        ],
    )


TOOL_TURN = [
    said("What is the weather?"),
    ChatMessage(
        role=MessageRole.ASSISTANT,
        blocks=[ToolCallBlock(tool_call_id="c1", tool_name="weather", tool_kwargs={"city": "Oslo"})],
    ),
    ChatMessage(
        role=MessageRole.TOOL, content="rain", additional_kwargs={"tool_call_id": "c1", "name": "weather"}
    ),
    said("It rains.", "assistant"),
]


class Contract:
    defects: ClassVar[dict[str, str]] = {}
    races: ClassVar[dict[str, str]] = {}

    @pytest.fixture(autouse=True)
    def _mark_defects(self, request: pytest.FixtureRequest) -> None:
        case = request.function.__name__
        reason = self.defects.get(case) or self.races.get(case)
        if reason is not None:
            request.applymarker(pytest.mark.xfail(strict=case in self.defects, reason=reason))


class Face:
    """The sync or the async methods of a `BaseChatStore`, under one set of names."""

    _names: ClassVar[dict[str, str]] = {"add": "add_message", "get": "get_messages", "set": "set_messages"}
    _awaited: ClassVar[dict[str, str]] = {"add_message": "async_add_message"}

    def __init__(self, store: Any, *, awaited: bool) -> None:
        self.store, self._is_awaited = store, awaited

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = self._names.get(name, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            if self._is_awaited:
                return await getattr(self.store, self._awaited.get(method, f"a{method}"))(*args, **kwargs)
            return getattr(self.store, method)(*args, **kwargs)

        return call


class ChatStoreContract(Contract):
    """Cases for a `BaseChatStore`, each through the sync and the async methods. A subclass has a fixture `store`."""

    @pytest.fixture(params=["sync", "async"])
    def calls(self, store: Any, request: pytest.FixtureRequest) -> Face:
        return Face(store, awaited=request.param == "async")

    def test_it_is_a_base_chat_store_with_a_name_of_its_own(self, store: Any) -> None:
        assert "BaseChatStore" in [kind.__name__ for kind in type(store).__mro__]
        assert store.class_name() == type(store).__name__

    async def test_messages_come_back_in_order_by_key(self, calls: Face) -> None:
        for message in turns(4):
            await calls.add("one", message)
        await calls.add("two", said("other"))
        assert words(await calls.get("one")) == ["m0", "m1", "m2", "m3"]
        assert [message.role.value for message in await calls.get("one")] == ["user", "assistant"] * 2
        assert words(await calls.get("two")) == ["other"]
        assert await calls.get("none") == []
        assert sorted(await calls.get_keys()) == ["one", "two"]

    async def test_set_replaces_what_was_there(self, calls: Face) -> None:
        await calls.set("k", turns(3))
        await calls.set("k", [said("new"), *turns(1)])
        assert words(await calls.get("k")) == ["new", "m0"]
        await calls.set("k", [])
        assert await calls.get("k") == []

    async def test_set_twice_and_with_one_more_keeps_the_order(self, calls: Face) -> None:
        for count in (2, 2, 5, 3, 4):
            await calls.set("k", turns(count))
            assert words(await calls.get("k")) == words(turns(count))

    async def test_a_message_can_be_put_before_others(self, store: Any) -> None:
        store.set_messages("k", turns(2))
        store.add_message("k", said("first"), idx=0)
        store.add_message("k", said("third"), idx=2)
        store.add_message("k", said("last"), idx=99)
        assert words(store.get_messages("k")) == ["first", "m0", "third", "m1", "last"]
        store.add_message("k", said("end"))
        assert words(store.get_messages("k"))[-1] == "end"

    async def test_a_deleted_conversation_is_empty_and_has_no_key(self, calls: Face) -> None:
        await calls.set("k", turns(2))
        assert words(await calls.delete_messages("k")) == ["m0", "m1"]
        assert await calls.get("k") == []
        assert await calls.get_keys() == []
        assert not await calls.delete_messages("k")

    async def test_a_message_is_deleted_by_its_place_from_0(self, calls: Face) -> None:
        await calls.set("k", turns(4))
        deleted = await calls.delete_message("k", 1)
        assert deleted.content == "m1"
        assert words(await calls.get("k")) == ["m0", "m2", "m3"]
        assert (await calls.delete_message("k", 1)).content == "m2"

    async def test_a_place_beyond_the_end_is_none(self, calls: Face) -> None:
        await calls.set("k", turns(2))
        assert await calls.delete_message("k", 2) is None
        assert await calls.delete_message("none", 0) is None
        assert words(await calls.get("k")) == ["m0", "m1"]

    async def test_a_negative_place_is_none(self, calls: Face) -> None:
        await calls.set("k", turns(2))
        assert await calls.delete_message("k", -1) is None
        assert words(await calls.get("k")) == ["m0", "m1"]

    async def test_the_last_message_is_deleted(self, calls: Face) -> None:
        await calls.set("k", turns(3))
        assert (await calls.delete_last_message("k")).content == "m2"
        assert words(await calls.get("k")) == ["m0", "m1"]
        assert await calls.delete_last_message("none") is None

    async def test_the_last_message_of_an_empty_conversation_is_none(self, calls: Face) -> None:
        await calls.set("k", turns(1))
        await calls.delete_last_message("k")
        assert await calls.delete_last_message("k") is None

    async def test_what_is_changed_after_it_was_given_stays_as_it_was(self, calls: Face) -> None:
        message = ChatMessage(role=MessageRole.USER, content="as said", additional_kwargs={"tags": ["a"]})
        batch = [said("in a list")]
        await calls.add("k", message)
        await calls.set("list", batch)
        message.blocks[0].text = "changed"  # type: ignore[union-attr]
        message.additional_kwargs["tags"].append("b")
        batch.append(said("later"))
        assert words(await calls.get("k")) == ["as said"]
        assert (await calls.get("k"))[0].additional_kwargs == {"tags": ["a"]}
        assert words(await calls.get("list")) == ["in a list"]

    async def test_what_is_changed_after_it_was_got_stays_as_it_was(self, calls: Face) -> None:
        await calls.add("k", said("as said"))
        got = await calls.get("k")
        got[0].blocks[0].text = "changed"
        got.append(said("more"))
        assert words(await calls.get("k")) == ["as said"]

    async def test_every_kind_of_block_comes_back_whole(self, calls: Face, tmp_path: Path) -> None:
        message = every_block(tmp_path)
        await calls.add("k", message)
        assert await calls.get("k") == [message]

    async def test_a_tool_turn_comes_back_whole(self, calls: Face) -> None:
        await calls.set("k", TOOL_TURN)
        assert await calls.get("k") == TOOL_TURN

    async def test_messages_without_words_come_back_as_they_were(self, calls: Face) -> None:
        empty = [ChatMessage(role=MessageRole.ASSISTANT), said(""), said("  \n")]
        await calls.set("k", empty)
        assert await calls.get("k") == empty

    async def test_every_role_comes_back(self, calls: Face) -> None:
        messages = [said(role.value, role.value) for role in MessageRole]
        await calls.set("k", messages)
        assert await calls.get("k") == messages

    async def test_odd_keys_are_keys(self, calls: Face) -> None:
        for key in ODD_KEYS:
            await calls.add(key, said(f"in {key}"))
        assert sorted(await calls.get_keys()) == sorted(ODD_KEYS)
        for key in ODD_KEYS:
            assert words(await calls.get(key)) == [f"in {key}"]

    def test_a_file_has_words_as_they_are_and_is_read_back(self, store: Any, tmp_path: Path) -> None:
        store.set_messages("k", [said("Grüße 你好")])
        store.persist(str(tmp_path / "new" / "chat.json"))
        assert "Grüße 你好" in (tmp_path / "new" / "chat.json").read_text("utf-8")

    def test_written_as_json_and_validated_it_is_the_same_store(self, store: Any) -> None:
        store.set_messages("k", [said("Grüße"), *TOOL_TURN])
        again = type(store).model_validate_json(store.model_dump_json())
        assert again.get_messages("k") == store.get_messages("k")
        again = type(store).from_dict(json.loads(json.dumps(store.to_dict())))
        assert again.get_messages("k") == store.get_messages("k")

    def test_a_buffer_over_it_survives_a_round_trip_through_json(self, store: Any) -> None:
        buffer = ChatMemoryBuffer.from_defaults(chat_store=store, chat_store_key="k")
        buffer.put(said("Grüße"))
        again = ChatMemoryBuffer.from_dict(json.loads(json.dumps(buffer.to_dict())))
        assert words(again.get()) == ["Grüße"]
        assert words(ChatMemoryBuffer.from_string(buffer.to_string()).get_all()) == ["Grüße"]

    async def test_a_buffer_over_it_keeps_within_its_tokens(self, store: Any) -> None:
        buffer = ChatMemoryBuffer.from_defaults(chat_store=store, chat_store_key="k", token_limit=12)
        for number in range(5):
            await buffer.aput(said(f"message number {number} of the user"))
        assert len(await buffer.aget()) < 5
        assert len(await buffer.aget_all()) == 5
        buffer.reset()
        assert await buffer.aget_all() == []
