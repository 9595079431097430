"""LangChain's own suite for retrievers, unmodified."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.retrievers import BaseRetriever
from langchain_tests.integration_tests import RetrieversIntegrationTests

from langchain_memkit import MemkitRetriever
from memkit import AsyncMemory, Memory

FACTS = [
    f"Fact {number}: the {colour} one." for number, colour in enumerate(["red", "green", "blue", "grey"])
]


class _Suite(RetrieversIntegrationTests):
    @property
    def retriever_constructor(self) -> type[BaseRetriever]:
        return MemkitRetriever

    @property
    def retriever_query_example(self) -> str:
        return "fact"


class TestOverMemory(_Suite):
    @pytest.fixture(autouse=True)
    def _memory(self) -> Any:
        with Memory(":memory:") as self.memory:
            self.memory.add_many(FACTS, user_id="ada")
            yield

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return {"memory": self.memory, "user_id": "ada"}


class TestOverAsyncMemory(_Suite):
    @pytest.fixture(autouse=True)
    async def _memory(self) -> Any:
        async with AsyncMemory(":memory:") as self.memory:
            await self.memory.add_many(FACTS, user_id="ada")
            yield

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return {"memory": self.memory, "user_id": "ada"}
