"""What an `AsyncDBChatStore` of LlamaIndex must do, alone and behind the native `Memory`, as cases for any store."""

from __future__ import annotations

import asyncio
from io import BytesIO
from pathlib import Path
from typing import Any

from llama_index.core.base.llms.types import ChatMessage, ImageBlock, MessageRole
from llama_index.core.memory import Memory
from llama_index.core.storage.chat_store.base_db import MessageStatus

from .contract_chat_store import (
    ODD_KEYS,
    PNG,
    TOOL_TURN,
    Contract,
    every_block,
    said,
    turns,
    words,
)

ARCHIVED = MessageStatus.ARCHIVED


class Vendor:
    """An object of a model's SDK, which no JSON encoder knows."""

    def __init__(self, tokens: int) -> None:
        self.tokens = tokens

    def __str__(self) -> str:
        return f"Vendor({self.tokens})"


class DBChatStoreContract(Contract):
    """A subclass has a fixture `store`."""

    def test_it_has_a_name_of_its_own(self, store: Any) -> None:
        assert "AsyncDBChatStore" in [kind.__name__ for kind in type(store).__mro__]
        assert store.class_name() == type(store).__name__

    async def test_messages_come_back_in_order_by_key(self, store: Any) -> None:
        await store.add_message("one", said("m0"))
        await store.add_messages("one", turns(4)[1:])
        await store.add_message("two", said("other"))
        assert words(await store.get_messages("one")) == ["m0", "m1", "m2", "m3"]
        assert words(await store.get_messages("two")) == ["other"]
        assert await store.get_messages("none") == []
        assert sorted(await store.get_keys()) == ["one", "two"]

    async def test_an_empty_batch_is_fine(self, store: Any) -> None:
        await store.add_messages("k", [])
        assert await store.get_messages("k") == []
        await store.set_messages("k", [])
        await store.add_messages("k", [], status=ARCHIVED)
        assert await store.count_messages("k", status=None) == 0

    async def test_messages_are_counted_by_status(self, store: Any) -> None:
        await store.add_messages("k", turns(3))
        await store.add_messages("k", turns(2), status=ARCHIVED)
        assert await store.count_messages("k") == 3
        assert await store.count_messages("k", status=ARCHIVED) == 2
        assert await store.count_messages("k", status=None) == 5
        assert await store.count_messages("none") == 0

    async def test_each_status_is_read_alone_or_together(self, store: Any) -> None:
        await store.add_message("k", said("old"), status=ARCHIVED)
        await store.add_message("k", said("new"))
        assert words(await store.get_messages("k")) == ["new"]
        assert words(await store.get_messages("k", status=ARCHIVED)) == ["old"]
        assert words(await store.get_messages("k", status=None)) == ["old", "new"]

    async def test_set_replaces_what_was_there(self, store: Any) -> None:
        await store.add_messages("k", turns(3))
        await store.set_messages("k", [said("new"), said("newer")])
        assert words(await store.get_messages("k")) == ["new", "newer"]
        await store.set_messages("k", [])
        assert await store.get_messages("k") == []

    async def test_set_twice_and_with_one_more_keeps_the_order(self, store: Any) -> None:
        for count in (2, 2, 5, 3, 4):
            await store.set_messages("k", turns(count))
            assert words(await store.get_messages("k")) == words(turns(count))

    async def test_set_leaves_archived_messages(self, store: Any) -> None:
        await store.add_messages("k", turns(3))
        await store.archive_oldest_messages("k", 2)
        await store.set_messages("k", [said("new")])
        assert words(await store.get_messages("k", status=ARCHIVED)) == ["m0", "m1"]
        assert words(await store.get_messages("k")) == ["new"]

    async def test_messages_can_be_set_as_archived(self, store: Any) -> None:
        await store.set_messages("k", turns(2), status=ARCHIVED)
        assert words(await store.get_messages("k", status=ARCHIVED)) == ["m0", "m1"]
        assert await store.get_messages("k") == []

    async def test_a_limit_gives_the_newest_in_order(self, store: Any) -> None:
        await store.add_messages("k", turns(5))
        assert words(await store.get_messages("k", limit=2)) == ["m3", "m4"]
        assert words(await store.get_messages("k", limit=99)) == words(turns(5))

    async def test_an_offset_skips_from_the_newest(self, store: Any) -> None:
        await store.add_messages("k", turns(5))
        assert words(await store.get_messages("k", offset=1)) == ["m0", "m1", "m2", "m3"]
        assert words(await store.get_messages("k", limit=2, offset=1)) == ["m2", "m3"]
        assert await store.get_messages("k", offset=9) == []

    async def test_a_limit_of_0_gives_nothing(self, store: Any) -> None:
        await store.add_messages("k", turns(2))
        assert await store.get_messages("k", limit=0) == []

    async def test_a_message_is_deleted_by_its_place_among_the_active(self, store: Any) -> None:
        await store.add_messages("other", turns(3))
        await store.add_messages("k", turns(4))
        await store.archive_oldest_messages("k", 1)
        deleted = await store.delete_message("k", 0)
        assert deleted is not None and deleted.content == "m1"
        assert words(await store.get_messages("k", status=None)) == ["m0", "m2", "m3"]
        assert words(await store.get_messages("other")) == ["m0", "m1", "m2"]

    async def test_a_place_that_is_not_there_is_none(self, store: Any) -> None:
        await store.add_messages("k", turns(2))
        for place in (-1, -3, 2, 99):
            assert await store.delete_message("k", place) is None
        assert await store.delete_message("none", 0) is None
        assert await store.count_messages("k") == 2

    async def test_a_conversation_is_deleted_whole_or_by_status(self, store: Any) -> None:
        await store.add_messages("k", turns(4))
        await store.archive_oldest_messages("k", 2)
        await store.delete_messages("k", status=ARCHIVED)
        assert words(await store.get_messages("k", status=None)) == ["m2", "m3"]
        await store.archive_oldest_messages("k", 1)
        await store.delete_messages("k")
        assert await store.count_messages("k", status=None) == 0
        assert await store.get_keys() == []

    async def test_the_oldest_are_deleted(self, store: Any) -> None:
        await store.add_messages("k", turns(4))
        assert words(await store.delete_oldest_messages("k", 2)) == ["m0", "m1"]
        assert words(await store.get_messages("k", status=None)) == ["m2", "m3"]
        assert words(await store.delete_oldest_messages("k", 9)) == ["m2", "m3"]
        assert await store.delete_oldest_messages("k", 1) == []

    async def test_the_oldest_are_archived(self, store: Any) -> None:
        await store.add_messages("k", turns(4))
        assert words(await store.archive_oldest_messages("k", 1)) == ["m0"]
        assert words(await store.archive_oldest_messages("k", 2)) == ["m1", "m2"]
        assert words(await store.get_messages("k")) == ["m3"]
        assert words(await store.get_messages("k", status=ARCHIVED)) == ["m0", "m1", "m2"]
        assert await store.archive_oldest_messages("none", 1) == []
        assert await store.archive_oldest_messages("k", 0) == []

    async def test_what_was_read_before_does_not_change_what_is_oldest(self, store: Any) -> None:
        await store.add_messages("k", turns(3))
        await store.get_messages("k")
        await store.delete_message("k", 0)
        await store.add_message("k", said("m3"))
        assert words(await store.archive_oldest_messages("k", 3)) == ["m1", "m2", "m3"]

    async def test_what_is_changed_outside_stays_as_it_was(self, store: Any) -> None:
        message = ChatMessage(role=MessageRole.USER, content="as said", additional_kwargs={"tags": ["a"]})
        await store.add_message("k", message)
        message.additional_kwargs["tags"].append("b")
        got = await store.get_messages("k")
        got[0].blocks[0].text = "changed"
        got.append(said("more"))
        again = await store.get_messages("k")
        assert words(again) == ["as said"]
        assert again[0].additional_kwargs == {"tags": ["a"]}

    async def test_every_kind_of_block_comes_back_whole(self, store: Any, tmp_path: Path) -> None:
        messages = [every_block(tmp_path), *TOOL_TURN, ChatMessage(role=MessageRole.ASSISTANT), said("")]
        await store.add_messages("k", messages)
        assert await store.get_messages("k") == messages

    async def test_an_image_whose_file_is_gone_costs_no_message(self, store: Any, tmp_path: Path) -> None:
        message = every_block(tmp_path)
        await store.add_messages("k", [said("before"), message])
        (tmp_path / "picture.png").unlink()
        got = await store.get_messages("k")
        assert got[0].content == "before"
        assert got[1].blocks[2].path == tmp_path / "picture.png"
        assert got == [said("before"), message]

    async def test_an_image_in_a_stream_is_kept(self, store: Any) -> None:
        await store.add_message(
            "k", ChatMessage(role=MessageRole.USER, blocks=[ImageBlock(image=BytesIO(PNG))])
        )
        assert (await store.get_messages("k"))[0].blocks[0].resolve_image().read() == PNG

    async def test_objects_of_vendors_are_kept_as_text(self, store: Any) -> None:
        message = said("hi")
        message.additional_kwargs = {"usage": Vendor(7), "raw": b"\xff", "nested": {"u": [Vendor(8)]}}
        await store.add_message("k", message)
        extra = (await store.get_messages("k"))[0].additional_kwargs
        assert extra == {"usage": "Vendor(7)", "raw": "/w==", "nested": {"u": ["Vendor(8)"]}}

    async def test_odd_keys_are_keys(self, store: Any) -> None:
        for key in ODD_KEYS:
            await store.add_message(key, said(f"in {key}"))
        assert sorted(await store.get_keys()) == sorted(ODD_KEYS)
        for key in ODD_KEYS:
            assert words(await store.get_messages(key)) == [f"in {key}"]

    async def test_many_may_be_the_first_to_use_it(self, store: Any) -> None:
        assert await asyncio.gather(*[store.get_messages(f"k{n}") for n in range(8)]) == [[]] * 8
        await asyncio.gather(*[store.add_message("k", said(f"m{number}")) for number in range(8)])
        assert sorted(words(await store.get_messages("k"))) == sorted(f"m{number}" for number in range(8))

    async def test_each_message_is_taken_once_by_those_who_take_at_once(self, store: Any) -> None:
        await store.add_messages("k", turns(6))
        taken = await asyncio.gather(*[store.delete_oldest_messages("k", 1) for _ in range(6)])
        assert sorted(words([one for some in taken for one in some])) == sorted(words(turns(6)))
        await store.add_messages("k", turns(6))
        taken = await asyncio.gather(*[store.archive_oldest_messages("k", 2) for _ in range(3)])
        assert sorted(words([one for some in taken for one in some])) == sorted(words(turns(6)))

    # Behind the native `Memory`.

    async def test_memory_works_over_it(self, store: Any) -> None:
        memory = Memory.from_defaults(session_id="k", chat_store=store)
        await memory.aput(said("hello"))
        await memory.aput_messages(TOOL_TURN)
        assert words(await memory.aget())[0] == "hello"
        assert await memory.aget_all() == [said("hello"), *TOOL_TURN]
        await memory.aset([said("anew")])
        assert words(await memory.aget_all()) == ["anew"]
        await memory.areset()
        assert await memory.aget_all() == []

    async def test_memory_takes_an_empty_batch(self, store: Any) -> None:
        memory = Memory.from_defaults(session_id="k", chat_store=store)
        await memory.aput_messages([])
        assert await memory.aget() == []

    def test_memory_is_seeded_with_a_history(self, store: Any) -> None:
        memory = Memory.from_defaults(session_id="k", chat_store=store, chat_history=turns(2))
        assert words(memory.get()) == ["m0", "m1"]

    async def test_what_leaves_the_queue_of_memory_is_archived(self, store: Any) -> None:
        memory = Memory(
            token_limit=1000,
            token_flush_size=700,
            chat_history_token_ratio=0.9,
            session_id="k",
            sql_store=store,
        )
        parts = (("user", "x"), ("assistant", "y"), ("user", "z"))
        await memory.aput_messages([said(f"{letter} " * 500, role) for role, letter in parts])
        assert [str(message.content)[:1] for message in await memory.aget()] == ["z"]
        archived = await store.get_messages("k", status=ARCHIVED)
        assert [message.content[:1] for message in archived] == ["x", "y"]

    async def test_two_puts_at_once_archive_what_two_in_turn_do(self, store: Any) -> None:
        def memory(key: str) -> Memory:
            return Memory(
                token_limit=80,
                token_flush_size=20,
                chat_history_token_ratio=1.0,
                session_id=key,
                sql_store=store,
            )

        new = [said(f"new{letter} " + "word " * 12) for letter in "AB"]
        for key in ("turn", "once"):
            await store.add_messages(key, [said(f"old{number} " + "word " * 12) for number in range(6)])
        one = memory("turn")
        for message in new:
            await one.aput(message)
        other = memory("once")
        await asyncio.gather(*[other.aput(message) for message in new])
        expected = sorted(words(await store.get_messages("turn")))
        assert 2 < len(expected) < 8, "the queue must run over without running empty"
        assert sorted(words(await store.get_messages("once"))) == expected
        assert await store.count_messages("once", status=None) == 8

    def test_memory_puts_from_one_event_loop_after_another(self, store: Any) -> None:
        memory = Memory(token_limit=1000, session_id="k", sql_store=store)
        for text in ("one", "two", "three"):
            asyncio.run(memory.aput(said(text)))
        assert words(asyncio.run(memory.aget_all())) == ["one", "two", "three"]

    async def test_memory_puts_synchronously_inside_a_running_loop(self, store: Any) -> None:
        memory = Memory(token_limit=1000, session_id="k", sql_store=store)
        memory.put(said("one"))
        await memory.aput(said("two"))
        memory.put_messages([said("three")])
        assert words(memory.get_all()) == ["one", "two", "three"]
