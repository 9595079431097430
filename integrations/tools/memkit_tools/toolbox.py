"""`Toolbox`: the memory tools of one user, rendered for any vendor and answered in one place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from memkit import AsyncMemory, Memory
from memkit.errors import ConfigurationError
from memkit.scope import IdLike

from . import render
from .answers import ToolResult, clip, refusal
from .dispatch import Message, calls_of, messages_of
from .spec import MAX_RESULTS, Mode, ToolSpec, arun, offered, run


class Toolbox:
    """The memory tools of one scope, for any agent that calls tools.

    The scope is fixed here, and nothing that a model sends can change it; no definition shows an id of a user, an agent
    or a run. A call that is wrong gets a short answer that says what to do, and changes nothing.

    Args:
        memory: Of either kind, bound or not; `call` and `acall` work with both.
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
        *,
        user_id: IdLike | None = None,
        agent_id: IdLike | None = None,
        run_id: IdLike | None = None,
        mode: Mode = "read_write",
        prefix: str = "",
        descriptions: Mapping[str, str] | None = None,
        allow_bulk_delete: bool = False,
        max_results: int = MAX_RESULTS,
    ) -> None:
        if not isinstance(cast("object", memory), Memory | AsyncMemory):
            raise ConfigurationError(f"`memory` is a Memory or an AsyncMemory, not {type(memory).__name__}.")
        if max_results < 1:
            raise ConfigurationError(f"`max_results` must be at least 1, not {max_results!r}.")
        self.tools: tuple[ToolSpec, ...] = offered(
            mode, prefix=prefix, descriptions=descriptions, allow_bulk_delete=allow_bulk_delete
        )
        """What is offered, in order."""
        bound = memory.bind(user_id=user_id, agent_id=agent_id, run_id=run_id)
        self._sync, self._async = bound.to_sync(), bound.to_async()
        self._prefix, self._max_results = prefix, max_results
        self._by_name = {tool.name: tool for tool in self.tools}

    @property
    def names(self) -> list[str]:
        """The names of the tools, in order."""
        return list(self._by_name)

    # Answering.

    def call(self, name: str, arguments: Mapping[str, Any] | str | None = None) -> ToolResult:
        """Answer one tool call.

        Args:
            name: The tool, as the model named it.
            arguments: A dict, or the JSON text that the model sent.
        """
        tool = self._by_name.get(name)
        if tool is None:
            return self._unknown(name)
        return run(tool, self._sync, arguments, prefix=self._prefix, max_results=self._max_results)

    async def acall(self, name: str, arguments: Mapping[str, Any] | str | None = None) -> ToolResult:
        """Async version of `call`."""
        tool = self._by_name.get(name)
        if tool is None:
            return self._unknown(name)
        return await arun(tool, self._async, arguments, prefix=self._prefix, max_results=self._max_results)

    def handle(self, response: object) -> list[Message]:
        """Answer every tool call of a model's message; append what is returned after that message.

        Args:
            response: A message or a whole completion of OpenAI (Chat Completions or Responses), Anthropic or Gemini;
                a dict or an object of the SDK.

        Returns:
            The tool messages in the vendor's shape, in the order of the calls; empty where there are none.

        Raises:
            InvalidInputError: It is no such message.
        """
        shape, asked = calls_of(response)
        return messages_of(shape, [(one, self.call(one.name, one.arguments)) for one in asked])

    async def ahandle(self, response: object) -> list[Message]:
        """Async version of `handle`."""
        shape, asked = calls_of(response)
        return messages_of(shape, [(one, await self.acall(one.name, one.arguments)) for one in asked])

    def _unknown(self, name: object) -> ToolResult:
        return refusal(
            "unknown_tool", f"There is no tool {clip(name)!r}. Use one of: {', '.join(self.names)}."
        )

    # Definitions.

    def openai(self, *, strict: bool = True) -> list[render.Definition]:
        """Return `tools=` of OpenAI's Chat Completions, one dict per tool."""
        return render.openai(self.tools, strict=strict)

    def openai_responses(self, *, strict: bool = True) -> list[render.Definition]:
        """Return `tools=` of OpenAI's Responses, one dict per tool."""
        return render.openai_responses(self.tools, strict=strict)

    def anthropic(self) -> list[render.Definition]:
        """Return `tools=` of Anthropic's Messages, one dict per tool."""
        return render.anthropic(self.tools)

    def gemini(self) -> list[render.Definition]:
        """Return the arguments of Gemini's `types.FunctionDeclaration`, one dict per tool."""
        return render.gemini(self.tools)

    def json_schema(self) -> list[render.Definition]:
        """Return name, description and JSON Schema (`parameters`) of each tool."""
        return render.json_schema(self.tools)

    def __repr__(self) -> str:
        """Return the names of the tools; no ids."""
        return f"<Toolbox {', '.join(self.names)}>"
