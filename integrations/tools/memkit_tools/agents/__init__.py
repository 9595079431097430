"""memkit for the OpenAI Agents SDK: memory tools, recall before each model call, and sessions."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

try:
    from agents import FunctionTool
    from agents.run import CallModelData, ModelInputData
    from agents.tool_context import ToolContext
except ImportError as error:
    raise ImportError(
        'memkit_tools.agents needs the OpenAI Agents SDK. Type: pip install "memkit-tools[agents]"',
        name=error.name,
    ) from error

from memkit import AsyncMemory, Memory
from memkit.errors import ConfigurationError
from memkit.scope import IdLike

from ..chat.openai_api import Responses
from ..chat.turns import digest, words
from ..render import schema
from ..spec import MAX_RESULTS, Mode, ToolSpec, offered
from ..toolbox import Toolbox
from .scope import check_memory, scope_of
from .session import MemkitSession

__all__ = ["MemkitSession", "RecallFilter", "memory_tools", "recall_filter"]

log: Final = logging.getLogger("memkit_tools")

_OPEN: Final = 256
"""So many turns are known by what was recalled for them; more than run at once."""


def memory_tools(
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
) -> list[FunctionTool]:
    """Return the memory tools for `Agent(tools=...)`, with strict schemas.

    Whose memories is said here, by a bound memory, or by the context of the run, `context.user_id` or
    `context["user_id"]`; the same for `agent_id`. No argument of a tool names anybody. A run that nobody said it for
    fails with `ScopeError`. The other arguments are those of `Toolbox`.

    Raises:
        ScopeError: An id is blank, or outside of the bound memory.
        ConfigurationError: The mode, the prefix or a description cannot be used.
    """
    check_memory(memory, 'memory_tools(memory, user_id="alice")')
    pinned = {"user_id": user_id, "agent_id": agent_id}
    options: dict[str, Any] = {
        "mode": mode, "prefix": prefix, "descriptions": descriptions, "allow_bulk_delete": allow_bulk_delete,
        "max_results": max_results,
    }  # fmt: skip
    if memory.scope is not None or user_id is not None:
        Toolbox(memory, **pinned, run_id=run_id, **options)

    def tool(spec: ToolSpec) -> FunctionTool:
        async def invoke(context: ToolContext[Any], arguments: str) -> str:
            ids = scope_of(memory, pinned, context.context, made="memory_tools")
            box = Toolbox(memory, **ids, run_id=run_id, **options)
            return (await box.acall(spec.name, arguments)).text

        return FunctionTool(
            name=spec.name,
            description=spec.description,
            params_json_schema=schema(spec.arguments, strict=True),
            on_invoke_tool=invoke,
            strict_json_schema=True,
        )

    found = offered(mode, prefix=prefix, descriptions=descriptions, allow_bulk_delete=allow_bulk_delete)
    return [tool(spec) for spec in found]


def recall_filter(
    memory: Memory | AsyncMemory,
    *,
    user_id: IdLike | None = None,
    agent_id: IdLike | None = None,
    k: int = 5,
    max_tokens: int = 1000,
    threshold: float | None = None,
) -> RecallFilter:
    """Return a `call_model_input_filter` for `RunConfig` that puts what helps behind the agent's instructions.

    It recalls once a turn, for the last words of the user; all model calls of the turn, of every agent that takes part,
    see the same. Standing instructions and preferences come first, the same bytes from turn to turn, then what the
    question found. Nothing of it becomes an item of the session. A memory that fails never costs the answer.

    Whose memories is said as for `memory_tools`.

    Args:
        memory: Of either kind, bound or not.
        user_id: Pins whose memories.
        agent_id: Pins the agent; recall then sees the memories of this agent alone.
        k: At most so many memories that the question finds; standing instructions and preferences come on top.
        max_tokens: Of all that is put into the prompt.
        threshold: Leave out found memories under this score.

    Raises:
        ConfigurationError: An argument cannot be used as given.
        ScopeError: An id is blank, or outside of the bound memory; in a run, also where nobody said whose memories.
    """
    return RecallFilter(
        memory, user_id=user_id, agent_id=agent_id, k=k, max_tokens=max_tokens, threshold=threshold
    )


class RecallFilter:
    """What `recall_filter` returns; see there."""

    def __init__(
        self,
        memory: Memory | AsyncMemory,
        *,
        user_id: IdLike | None = None,
        agent_id: IdLike | None = None,
        k: int = 5,
        max_tokens: int = 1000,
        threshold: float | None = None,
    ) -> None:
        check_memory(memory, 'recall_filter(memory, user_id="alice")')
        if k < 1 or max_tokens < 1:
            raise ConfigurationError("`k` and `max_tokens` must be whole numbers of at least 1.", field="k")
        self.failures = 0
        """How often recall has failed."""
        self._memory = memory
        self._pinned = {"user_id": user_id, "agent_id": agent_id}
        self._recall: dict[str, Any] = {"limit": k, "max_tokens": max_tokens, "threshold": threshold}
        self._lock = threading.Lock()
        self._turns: OrderedDict[str, str] = OrderedDict()
        if any(value is not None for value in self._pinned.values()):
            memory.bind(**self._pinned)

    async def __call__(self, data: CallModelData[Any]) -> ModelInputData:
        """Return the model's input with what was recalled in its instructions."""
        ids = scope_of(self._memory, self._pinned, data.context, made="recall_filter")
        recalled = await self._recalled(ids, data.model_data)
        if not recalled:
            return data.model_data
        instructions = "\n\n".join(filter(None, [data.model_data.instructions, recalled]))
        return ModelInputData(input=data.model_data.input, instructions=instructions)

    async def _recalled(self, ids: Mapping[str, Any], given: ModelInputData) -> str:
        asked = Responses().asked({"input": given.input})
        whose = digest([[name, str(value)] for name, value in ids.items()])
        # Where the provider keeps the conversation, the calls after a tool's result bring no words of the user's.
        key = digest([whose, asked.before, asked.unanswered]) if asked.unanswered else whose
        with self._lock:
            if (asked.continues or not asked.unanswered) and key in self._turns:
                return self._turns[key]
        question = next((text for one in reversed(asked.unanswered) if (text := words(one)).strip()), None)
        if question is None:
            return ""
        found = await self._search(ids, question)
        with self._lock:
            for name in (key, whose):
                self._turns[name] = found
                self._turns.move_to_end(name)
            while len(self._turns) > 2 * _OPEN:
                self._turns.popitem(last=False)
        return found

    async def _search(self, ids: Mapping[str, Any], question: str) -> str:
        try:
            found = await self._memory.bind(**ids).to_async().context(question, **self._recall)
        except Exception as error:  # noqa: BLE001  (embedders and hooks are the caller's: they raise anything)
            self.failures += 1
            log.error("memkit: recall failed (%s)", type(error).__name__)
            return ""
        for warning in found.warnings:
            log.warning("memkit: %s", warning)
        return str(found)
