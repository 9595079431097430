"""LangChain's own suites for tools, unmodified, over every tool."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.tools import BaseTool
from langchain_tests.integration_tests import ToolsIntegrationTests
from langchain_tests.unit_tests import ToolsUnitTests

from langchain_memkit import MemkitToolkit
from memkit import Memory


class _Tool:
    name = ""

    @pytest.fixture(autouse=True)
    def _memory(self) -> Any:
        with Memory(":memory:", llm=None, embedder="hash") as memory:
            memory.add_many(["Ada plays the oboe.", "Ada drinks oat milk."], user_id="ada")
            toolkit = MemkitToolkit(memory=memory, user_id="ada", mode="full", allow_bulk_delete=True)
            self.made = {tool.name: tool for tool in toolkit.get_tools()}
            self.known = memory.get_all(user_id="ada").results[0].id
            yield

    @property
    def tool_constructor(self) -> BaseTool:
        return self.made[self.name]

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return {}


class _OneOf(_Tool):
    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return {"memory_id": self.known[:8]}


class _Search(_Tool):
    name = "search_memories"

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return {"query": "What does Ada play?"}


class _Add(_Tool):
    name = "add_memory"

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return {"text": "Ada sails."}


class _Update(_OneOf):
    name = "update_memory"

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return {"memory_id": self.known[:8], "text": "Ada sails."}


class _Delete(_OneOf):
    name = "delete_memory"


class _List(_Tool):
    name = "get_memories"


class _Get(_OneOf):
    name = "get_memory"


class _History(_OneOf):
    name = "get_memory_history"


class _DeleteAll(_Tool):
    name = "delete_all_memories"


class TestSearchUnit(_Search, ToolsUnitTests): ...


class TestSearch(_Search, ToolsIntegrationTests): ...


class TestAddUnit(_Add, ToolsUnitTests): ...


class TestAdd(_Add, ToolsIntegrationTests): ...


class TestUpdateUnit(_Update, ToolsUnitTests): ...


class TestUpdate(_Update, ToolsIntegrationTests): ...


class TestDeleteUnit(_Delete, ToolsUnitTests): ...


class TestDelete(_Delete, ToolsIntegrationTests): ...


class TestListUnit(_List, ToolsUnitTests): ...


class TestList(_List, ToolsIntegrationTests): ...


class TestGetUnit(_Get, ToolsUnitTests): ...


class TestGet(_Get, ToolsIntegrationTests): ...


class TestHistoryUnit(_History, ToolsUnitTests): ...


class TestHistory(_History, ToolsIntegrationTests): ...


class TestDeleteAllUnit(_DeleteAll, ToolsUnitTests): ...


class TestDeleteAll(_DeleteAll, ToolsIntegrationTests): ...
