"""The contract of a memory, held by ours and by the stock ones; what these break is marked as expected."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import ClassVar

import pydantic
import pytest
from llama_index.core.memory import BaseMemory, ChatMemoryBuffer
from llama_index.core.memory import Memory as StockMemory
from sqlalchemy.ext.asyncio import create_async_engine

from llama_index.memory.memkit import MemkitMemory
from memkit import Memory

from .contract_memory import MemoryContract
from .scripted_agents import QUIET
from .stock import end_what_is_left

pytestmark = QUIET

NEW_PYDANTIC = tuple(map(int, pydantic.VERSION.split(".")[:2])) >= (2, 14)


@pytest.mark.parametrize("insert", ["system", "user"])
class TestOurs(MemoryContract):
    @pytest.fixture(autouse=True)
    def _store(self, tmp_path: Path, insert: str) -> Generator[None]:
        with Memory(tmp_path / "store") as self.store:
            self.insert = insert
            yield

    def make(self, token_limit: int = 3000) -> BaseMemory:
        # Nothing is recalled that the contract did not put there: its texts are compared.
        return MemkitMemory.from_defaults(
            memory=self.store,
            user_id="ada",
            session_id="s",
            token_limit=token_limit,
            insert_method=self.insert,
            filters={"topic": "none"} if self.insert == "user" else None,
        )


class TestStockMemory(MemoryContract):
    defects: ClassVar = {
        "test_an_empty_batch_is_nothing": "it inserts no rows, which the database refuses",
        "test_calls_of_tools_count": "calls of tools and thoughts count nothing",
        "test_the_system_message_survives_a_long_conversation": "it is flushed like any other",
        "test_its_dictionary_is_json_and_restores_it": "an enum is no JSON, and nothing restores it",
        "test_a_context_that_holds_it_can_be_written_down_and_restored": "it is left out with a warning",
    }
    races: ClassVar = {
        "test_first_uses_at_the_same_time_all_work": "the first reader makes the table, the others find none",
    }

    @pytest.fixture(autouse=True)
    async def _engine(self, tmp_path: Path) -> AsyncGenerator[None]:
        self.engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'chat.db'}")
        yield
        await end_what_is_left()
        await self.engine.dispose()

    def make(self, token_limit: int = 3000) -> BaseMemory:
        return StockMemory.from_defaults(
            session_id="s",
            token_limit=token_limit,
            token_flush_size=max(1, token_limit // 10),
            async_engine=self.engine,
        )


class TestChatMemoryBuffer(MemoryContract):
    defects: ClassVar = {
        "test_what_is_returned_is_a_copy": "it returns the stored messages themselves",
        "test_an_agents_state_does_not_get_into_the_history": "the agent writes into the stored message",
        "test_calls_of_tools_count": "calls of tools count nothing",
        "test_the_system_message_survives_a_long_conversation": "it is dropped like any other",
    } | (
        {
            "test_its_dictionary_is_json_and_restores_it": "its store cannot be written down",
            "test_a_context_that_holds_it_can_be_written_down_and_restored": "it is left out with a warning",
        }
        if NEW_PYDANTIC
        else {}
    )

    def make(self, token_limit: int = 3000) -> BaseMemory:
        return ChatMemoryBuffer.from_defaults(token_limit=token_limit)
