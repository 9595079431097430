"""The contract of chat stores, over ours and over the stock ones, whose defects are expected to fail."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any, ClassVar

import pydantic
import pytest
from llama_index.core.storage.chat_store import SimpleChatStore
from llama_index.core.storage.chat_store.sql import SQLAlchemyChatStore

from llama_index.storage.chat_store.memkit import MemkitChatStore, MemkitDBChatStore
from memkit import AsyncMemory, Memory

from .contract_chat_store import ChatStoreContract
from .contract_db_chat_store import DBChatStoreContract
from .stock import end_what_is_left

KINDS = ("file", "memory", "awaited")


@pytest.fixture(params=KINDS)
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[dict[str, Any]]:
    """What our stores are made with: a memory alone, a memory and a user, or an awaited one that is bound to a user."""
    if request.param == "awaited":
        async with AsyncMemory(tmp_path / "store") as memory:
            yield {"memory": memory.bind(user_id="ada")}
    elif request.param == "memory":
        with Memory(":memory:") as memory:
            yield {"memory": memory, "user_id": "ada", "agent_id": "cook"}
    else:
        with Memory(tmp_path / "store") as memory:
            yield {"memory": memory}


class TestMemkitChatStore(ChatStoreContract):
    @pytest.fixture
    def store(self, place: dict[str, Any]) -> MemkitChatStore:
        return MemkitChatStore(**place)


class TestMemkitDBChatStore(DBChatStoreContract):
    @pytest.fixture
    def store(self, place: dict[str, Any]) -> MemkitDBChatStore:
        return MemkitDBChatStore(**place)


LIVE = "it holds the caller's own objects, and gives them out"
UNWRITTEN = "pydantic 2.14 calls its serializer with other arguments than it expects"


class TestSimpleChatStore(ChatStoreContract):
    defects: ClassVar[dict[str, str]] = {
        "test_a_negative_place_is_none": "it counts from the end",
        "test_the_last_message_of_an_empty_conversation_is_none": "IndexError: pop from empty list",
        "test_what_is_changed_after_it_was_given_stays_as_it_was": LIVE,
        "test_what_is_changed_after_it_was_got_stays_as_it_was": LIVE,
    } | (
        {
            "test_a_file_has_words_as_they_are_and_is_read_back": UNWRITTEN,
            "test_written_as_json_and_validated_it_is_the_same_store": UNWRITTEN,
            "test_a_buffer_over_it_survives_a_round_trip_through_json": UNWRITTEN,
        }
        if tuple(map(int, pydantic.VERSION.split(".")[:2])) >= (2, 14)
        else {}
    )

    @pytest.fixture
    def store(self) -> SimpleChatStore:
        return SimpleChatStore()


ROW_ID = "the place is the number of the row in the whole table"
OLDEST = "a limit and an offset count from the oldest"
EMPTY = "IntegrityError: an empty batch is written as a row without a key"


class TestSQLAlchemyChatStore(DBChatStoreContract):
    defects: ClassVar[dict[str, str]] = {
        "test_an_empty_batch_is_fine": EMPTY,
        "test_memory_takes_an_empty_batch": EMPTY,
        "test_set_leaves_archived_messages": "it deletes them",
        "test_a_limit_gives_the_newest_in_order": OLDEST,
        "test_an_offset_skips_from_the_newest": OLDEST,
        "test_a_message_is_deleted_by_its_place_among_the_active": ROW_ID,
        "test_a_place_that_is_not_there_is_none": ROW_ID,
        "test_what_was_read_before_does_not_change_what_is_oldest": ROW_ID,
        "test_an_image_whose_file_is_gone_costs_no_message": "no message of the conversation can be read",
        "test_an_image_in_a_stream_is_kept": "its bytes are taken for a text",
        "test_objects_of_vendors_are_kept_as_text": "they cannot be written as JSON",
    }
    races: ClassVar[dict[str, str]] = {
        "test_many_may_be_the_first_to_use_it": "OperationalError: no such table",
        "test_each_message_is_taken_once_by_those_who_take_at_once": "some are given to several",
        "test_two_puts_at_once_archive_what_two_in_turn_do": "each archives as many, of what the other has left",
    }

    @pytest.fixture(autouse=True)
    async def _nothing_left_open(self) -> AsyncGenerator[None]:
        yield
        await end_what_is_left()

    @pytest.fixture
    def store(self, tmp_path: Path) -> SQLAlchemyChatStore:
        pytest.importorskip("aiosqlite")
        pytest.importorskip("greenlet")
        from sqlalchemy.ext.asyncio import create_async_engine
        from sqlalchemy.pool import NullPool

        # A pool would hold connections of loops that have ended.
        engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'chat.db'}", poolclass=NullPool)
        return SQLAlchemyChatStore(table_name="messages", async_engine=engine)
