"""`MemkitToolSpec`: memory tools for an agent, whose user the application names and the model never does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llama_index.core.tools import FunctionTool, ToolMetadata, ToolOutput
from llama_index.core.tools.tool_spec.base import SPEC_FUNCTION_TYPE, BaseToolSpec
from typing_extensions import override

from memkit import AsyncMemory, Memory
from memkit.errors import ConfigurationError, did_you_mean
from memkit.scope import IdLike
from memkit_tools import Toolbox, ToolResult
from memkit_tools.spec import MAX_RESULTS, Mode


class MemkitToolSpec(BaseToolSpec):
    """The memory tools of one scope: search, add, update and delete, and with `mode="full"` list, get and history.

    The scope is fixed here, and nothing that a model sends can change it: an id of somebody among its arguments is
    refused like any unknown one. A call that is wrong, or a memory that is down, gets a short answer with
    `is_error=True`; nothing was changed then.

    Args:
        memory: Of either kind, bound or not; sync and async calls both work with it.
        user_id: Whose memories; at least one id is needed unless the memory is bound.
        agent_id: The agent they belong to.
        run_id: The conversation.
        mode: `read_only` searches; `read_write` also adds, updates and deletes one at a time; `full` also lists and
            shows history.
        prefix: Put before every tool's name, for agents with several memories.
        descriptions: Other descriptions, by the tool's own name.
        allow_bulk_delete: Also offer `delete_all_memories`.
        max_results: A search never returns more, whatever limit the model asks for.

    Raises:
        ScopeError: No scope, a blank id, or one outside a bound memory's.
        ConfigurationError: The mode, the prefix, a description or the memory cannot be used.
    """

    def __init__(
        self,
        memory: Memory | AsyncMemory,
        user_id: IdLike | None = None,
        agent_id: IdLike | None = None,
        run_id: IdLike | None = None,
        mode: Mode = "read_write",
        prefix: str = "",
        descriptions: Mapping[str, str] | None = None,
        allow_bulk_delete: bool = False,
        max_results: int = MAX_RESULTS,
    ) -> None:
        self._tools = Toolbox(
            memory,
            user_id=user_id,
            agent_id=agent_id,
            run_id=run_id,
            mode=mode,
            prefix=prefix,
            descriptions=descriptions,
            allow_bulk_delete=allow_bulk_delete,
            max_results=max_results,
        )
        self._prefix = prefix
        self.spec_functions: list[SPEC_FUNCTION_TYPE] = [
            (spec.tool, f"a{spec.tool}") for spec in self._tools.tools
        ]
        """The sync and the async method of each tool of the mode, in order."""

    @override
    def to_tool_list(
        self,
        spec_functions: list[SPEC_FUNCTION_TYPE] | None = None,
        func_to_metadata_mapping: dict[str, ToolMetadata] | None = None,
    ) -> list[FunctionTool]:
        """Return the tools of the mode, in a fixed order, with their shared names, descriptions and schemas.

        Args:
            spec_functions: Only these, each by its sync method's name or as a pair.
            func_to_metadata_mapping: Other metadata, by the sync method's name.

        Raises:
            ConfigurationError: A function is none of this mode.
        """
        own = func_to_metadata_mapping or {}
        return [
            self._tool(name, own.get(name)) for name in self._chosen(spec_functions or self.spec_functions)
        ]

    def _chosen(self, functions: Sequence[SPEC_FUNCTION_TYPE]) -> list[str]:
        known = [spec.tool for spec in self._tools.tools]
        names = [given if isinstance(given, str) else given[0] for given in functions]
        for at, name in enumerate(names):
            if name not in known and name.removeprefix("a") in known:
                names[at] = name.removeprefix("a")
            elif name not in known:
                raise ConfigurationError(
                    f"This mode has no tool {name!r}.{did_you_mean(name, known)} It has: {', '.join(known)}."
                )
        return names

    def _tool(self, name: str, metadata: ToolMetadata | None) -> FunctionTool:
        spec = next(spec for spec in self._tools.tools if spec.tool == name)
        shared = ToolMetadata(name=spec.name, description=spec.description, fn_schema=spec.arguments)
        # The callbacks are LlamaIndex's way to let a function give the whole output, `is_error` included.
        return FunctionTool.from_defaults(
            fn=getattr(self, name),
            async_fn=getattr(self, f"a{name}"),
            tool_metadata=metadata or shared,
            callback=_as_it_is,
            async_callback=_aas_it_is,
        )

    def _call(self, tool: str, arguments: dict[str, Any]) -> ToolOutput:
        name = self._prefix + tool
        return _output(name, arguments, self._tools.call(name, arguments))

    async def _acall(self, tool: str, arguments: dict[str, Any]) -> ToolOutput:
        name = self._prefix + tool
        return _output(name, arguments, await self._tools.acall(name, arguments))

    # The tools. `others` takes what a model makes up, which is then refused with a message.

    def search_memories(
        self, query: str | None = None, limit: int | None = None, **others: Any
    ) -> ToolOutput:
        """Find memories about one topic."""
        return self._call("search_memories", {"query": query, "limit": limit, **others})

    async def asearch_memories(
        self, query: str | None = None, limit: int | None = None, **others: Any
    ) -> ToolOutput:
        """Async version of `search_memories`."""
        return await self._acall("search_memories", {"query": query, "limit": limit, **others})

    def add_memory(self, text: str | list[str] | None = None, **others: Any) -> ToolOutput:
        """Save one durable fact, or several."""
        return self._call("add_memory", {"text": text, **others})

    async def aadd_memory(self, text: str | list[str] | None = None, **others: Any) -> ToolOutput:
        """Async version of `add_memory`."""
        return await self._acall("add_memory", {"text": text, **others})

    def update_memory(
        self, memory_id: str | None = None, text: str | None = None, **others: Any
    ) -> ToolOutput:
        """Correct one memory."""
        return self._call("update_memory", {"memory_id": memory_id, "text": text, **others})

    async def aupdate_memory(
        self, memory_id: str | None = None, text: str | None = None, **others: Any
    ) -> ToolOutput:
        """Async version of `update_memory`."""
        return await self._acall("update_memory", {"memory_id": memory_id, "text": text, **others})

    def delete_memory(self, memory_id: str | None = None, **others: Any) -> ToolOutput:
        """Remove one memory from recall."""
        return self._call("delete_memory", {"memory_id": memory_id, **others})

    async def adelete_memory(self, memory_id: str | None = None, **others: Any) -> ToolOutput:
        """Async version of `delete_memory`."""
        return await self._acall("delete_memory", {"memory_id": memory_id, **others})

    def get_memories(self, limit: int | None = None, cursor: str | None = None, **others: Any) -> ToolOutput:
        """List memories page by page, newest first."""
        return self._call("get_memories", {"limit": limit, "cursor": cursor, **others})

    async def aget_memories(
        self, limit: int | None = None, cursor: str | None = None, **others: Any
    ) -> ToolOutput:
        """Async version of `get_memories`."""
        return await self._acall("get_memories", {"limit": limit, "cursor": cursor, **others})

    def get_memory(self, memory_id: str | None = None, **others: Any) -> ToolOutput:
        """Return one memory."""
        return self._call("get_memory", {"memory_id": memory_id, **others})

    async def aget_memory(self, memory_id: str | None = None, **others: Any) -> ToolOutput:
        """Async version of `get_memory`."""
        return await self._acall("get_memory", {"memory_id": memory_id, **others})

    def get_memory_history(self, memory_id: str | None = None, **others: Any) -> ToolOutput:
        """Return every change of one memory, oldest first."""
        return self._call("get_memory_history", {"memory_id": memory_id, **others})

    async def aget_memory_history(self, memory_id: str | None = None, **others: Any) -> ToolOutput:
        """Async version of `get_memory_history`."""
        return await self._acall("get_memory_history", {"memory_id": memory_id, **others})

    def delete_all_memories(self, **others: Any) -> ToolOutput:
        """Remove all memories of the scope from recall."""
        return self._call("delete_all_memories", others)

    async def adelete_all_memories(self, **others: Any) -> ToolOutput:
        """Async version of `delete_all_memories`."""
        return await self._acall("delete_all_memories", others)


def _output(name: str, arguments: Mapping[str, Any], result: ToolResult) -> ToolOutput:
    given = {key: value for key, value in arguments.items() if value is not None}
    return ToolOutput(
        tool_name=name,
        content=result.text,
        raw_input={"args": (), "kwargs": given},
        raw_output=result.data,
        is_error=result.is_error,
    )


def _as_it_is(output: ToolOutput) -> ToolOutput:
    return output


async def _aas_it_is(output: ToolOutput) -> ToolOutput:
    return output
