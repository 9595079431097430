"""`MemkitToolkit`: memory tools for an agent, whose user the application names and the model never does.

Annotations are evaluated: pydantic reads those of the fields, LangChain the signature of the private methods.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, Final, Literal, cast

from langchain_core.callbacks import AsyncCallbackManagerForToolRun, CallbackManagerForToolRun
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool, BaseToolkit, ToolException
from pydantic import ConfigDict, Field
from typing_extensions import override

from memkit import AsyncMemory, Memory
from memkit.errors import ScopeError
from memkit.scope import SCOPE_FIELDS, IdLike
from memkit_tools.answers import ToolResult
from memkit_tools.spec import MAX_RESULTS, Mode, ToolSpec, arun, offered, problem, run

from .scope import resolve_scope

_MISSING: Final = (
    'No user_id: whose memories? The application has to pin it, MemkitToolkit(memory=memory, user_id="alice"), or pass '
    'it with the call: {"configurable": {"user_id": "alice"}}, in a LangGraph graph context={"user_id": "alice"}.'
)

Artifact = list[dict[str, Any]]
"""The memories that an answer is about, whole, as plain JSON: a checkpointer keeps messages, artifacts included."""


class MemkitTool(BaseTool):
    """One memory tool; `MemkitToolkit` makes them.

    A wrong call, a missing user and a memory that is down are answers with `status="error"`, never a crash; nothing
    was changed then. Arguments that a tool does not have are ignored, ids among them.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid", use_attribute_docstrings=True)

    spec: ToolSpec = Field(exclude=True, repr=False)
    """What it is called, takes and does."""
    memory: Memory | AsyncMemory = Field(exclude=True, repr=False)
    """Where to look; of either kind, sync and async calls both work with it."""
    ids: Mapping[str, IdLike | None] = Field(
        default_factory=dict[str, IdLike | None], exclude=True, repr=False
    )
    """`user_id`, `agent_id` and `run_id` as they are pinned."""
    prefix: str = ""
    """What stands before the names of the tools."""
    max_results: int = MAX_RESULTS
    """A search never returns more."""
    response_format: Literal["content", "content_and_artifact"] = "content_and_artifact"
    """The text for the model, and the whole memories for the program."""

    @override
    def _run(
        self,
        *,
        config: RunnableConfig,
        run_manager: CallbackManagerForToolRun | None = None,
        **arguments: Any,
    ) -> tuple[str, Artifact]:
        handle = self.memory.to_sync().bind(**self._whose(config))
        return _answer(run(self.spec, handle, arguments, prefix=self.prefix, max_results=self.max_results))

    @override
    async def _arun(
        self,
        *,
        config: RunnableConfig,
        run_manager: AsyncCallbackManagerForToolRun | None = None,
        **arguments: Any,
    ) -> tuple[str, Artifact]:
        handle = self.memory.to_async().bind(**self._whose(config))
        result = await arun(self.spec, handle, arguments, prefix=self.prefix, max_results=self.max_results)
        return _answer(result)

    def _whose(self, config: RunnableConfig | None) -> dict[str, Any]:
        """Return the ids that this call works for.

        Raises:
            ToolException: Nobody said whose memories, or an id cannot be one.
        """
        try:
            scope = resolve_scope(self.ids, self.memory.scope, config)
            if scope.user_id is None and not scope.bound:
                raise ToolException(_MISSING)
            ids = scope.as_arguments()
            self.memory.bind(**ids)
        except ScopeError as error:
            raise ToolException(error.message) from error
        return ids


class MemkitToolkit(BaseToolkit):
    """The memory tools of an agent: search, add, update and delete, and with `mode="full"` list, get and history.

    Whose memories is said by the toolkit or by the call, in the order of `MemkitRetriever`: the scope of a bound
    memory, the toolkit's ids, `runtime.context` of a LangGraph graph, `config["configurable"]`. What is pinned no call
    can change, and nothing that a model writes is ever taken for an id of somebody.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid", use_attribute_docstrings=True)

    memory: Memory | AsyncMemory = Field(exclude=True, repr=False)
    """Of either kind, bound or not."""
    user_id: IdLike | None = Field(default=None, repr=False)
    """Pins whose memories."""
    agent_id: IdLike | None = Field(default=None, repr=False)
    """Pins the agent."""
    run_id: IdLike | None = Field(default=None, repr=False)
    """Pins the conversation."""
    mode: Mode = "read_write"
    """`read_only` searches; `read_write` also adds, updates and deletes; `full` also lists and shows history."""
    prefix: str = ""
    """Put before every tool's name, for agents with several memories."""
    descriptions: Mapping[str, str] = Field(default_factory=dict[str, str])
    """Other descriptions, by the tool's own name."""
    allow_bulk_delete: bool = False
    """Also offer `delete_all_memories`."""
    max_results: int = Field(default=MAX_RESULTS, ge=1)
    """A search never returns more, whatever limit the model asks for."""

    @override
    def get_tools(self) -> list[BaseTool]:
        """Return the tools of the mode, in a fixed order.

        Raises:
            ConfigurationError: A description names no tool, or the prefix cannot begin a tool's name.
        """
        specs = offered(
            self.mode,
            prefix=self.prefix,
            descriptions=self.descriptions,
            allow_bulk_delete=self.allow_bulk_delete,
        )
        ids = {name: getattr(self, name) for name in SCOPE_FIELDS}
        return [
            MemkitTool(
                name=spec.name,
                description=spec.description,
                args_schema=spec.arguments,
                handle_tool_error=True,
                handle_validation_error=cast("Any", partial(problem, spec)),  # never pydantic.v1's error
                spec=spec,
                memory=self.memory,
                ids=ids,
                prefix=self.prefix,
                max_results=self.max_results,
            )
            for spec in specs
        ]


def _answer(result: ToolResult) -> tuple[str, Artifact]:
    """Return the text and the whole memories.

    Raises:
        ToolException: The call was refused; LangChain makes a tool message of it.
    """
    if result.is_error:
        raise ToolException(result.text)
    return result.text, [item.model_dump(mode="json") for item in result.memories]
