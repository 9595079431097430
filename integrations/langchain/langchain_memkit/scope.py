"""Whose memories a call may see: said by the application, never by the query and never by a model."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from langchain_core.runnables import RunnableConfig, ensure_config

from memkit import AsyncMemory, Memory
from memkit.errors import ConfigurationError, ScopeError
from memkit.scope import SCOPE_FIELDS, ReadIds, Scope

_MISSING: Final = (
    'No user_id: whose memories? Pin it, MemkitRetriever(memory=memory, user_id="alice"), or pass it with the call, '
    'retriever.invoke(query, {"configurable": {"user_id": "alice"}}). In a LangGraph graph '
    '`context={"user_id": "alice"}` does it too. For the memories of an agent alone, give a bound memory: '
    'MemkitRetriever(memory=memory.bind(agent_id="bot")).'
)


# An agent server writes one of these beside the `run_id` of its own, which names one request and no conversation.
_OF_A_SERVER: Final = frozenset({"assistant_id", "graph_id", "langgraph_auth_user", "langgraph_auth_user_id"})


@dataclass(frozen=True, slots=True, kw_only=True)
class CallScope:
    """The ids that one call reads with; memkit checks and compares them."""

    user_id: ReadIds = None
    agent_id: ReadIds = None
    run_id: ReadIds = None
    bound: bool = False
    """Whether the memory itself is bound to a scope."""

    def checked(self) -> CallScope:
        """Return itself.

        Raises:
            ScopeError: Nobody said whose memories; there is no shared default.
        """
        if self.user_id is None and not self.bound:
            raise ScopeError(_MISSING, field="user_id")
        return self

    def as_arguments(self) -> dict[str, ReadIds]:
        """Return the ids as arguments of `Memory.search`."""
        return {name: getattr(self, name) for name in SCOPE_FIELDS}


def resolve_scope(
    pinned: Mapping[str, ReadIds],
    bound: Scope | None = None,
    config: RunnableConfig | None = None,
    *,
    context: object = None,
) -> CallScope:
    """Return the scope of one call: for each id, what is fixed, else what the call says.

    The order is: the scope that `memory.bind` fixed, the argument of the constructor, `runtime.context` of a LangGraph
    graph, `config["configurable"]`. What is fixed cannot be overridden by a call, nor be widened by one.

    Args:
        pinned: The ids given to the constructor.
        bound: The scope of a bound memory.
        config: The config of the call; without one the config of the surrounding runnable.
        context: `runtime.context`, where the caller has it; None looks for that of the running graph.
    """
    context = _graph_context() if context is None else context
    configurable = dict(cast("Mapping[str, Any]", ensure_config(config).get("configurable") or {}))
    if not _OF_A_SERVER.isdisjoint(configurable):
        configurable.pop("run_id", None)
    found: dict[str, ReadIds] = {}
    for name in SCOPE_FIELDS:
        fixed = _fixed(name, pinned, bound)
        if fixed is None and not (bound is not None and name == "user_id"):
            fixed = _given(context, name)
            if fixed is None:
                fixed = _given(configurable, name)
        found[name] = fixed
    return CallScope(**found, bound=bound is not None)


def check_memory(memory: object) -> None:
    """Refuse what is no memory, before it fails somewhere else.

    Raises:
        ConfigurationError: It is a path, say.
    """
    if not hasattr(memory, "bind"):
        raise ConfigurationError(
            f"`memory` must be a Memory or an AsyncMemory, not {memory!r:.80}. Make one: memkit.Memory(path).",
            field="memory",
        )


def across_runs(memory: Memory | AsyncMemory, scope: Scope) -> Memory | AsyncMemory:
    """Return the memory of a user or an agent in all runs; a turn of one is learned against what is known from any.

    It is that of the run alone where the scope has no other id, or the memory is bound to the run.
    """
    ids = scope.as_dict()
    run = ids.pop("run_id", None)
    return memory.bind(**ids) if ids else memory.bind(run_id=run)


def _fixed(name: str, pinned: Mapping[str, ReadIds], bound: Scope | None) -> ReadIds:
    """Return what no call can change; where both say something, memkit checks that they agree."""
    own = pinned.get(name)
    return own if own is not None or bound is None else cast("ReadIds", getattr(bound, name))


def _graph_context() -> object:
    """Return the context of the running LangGraph graph, or None outside of one.

    A graph runs only where langgraph is loaded, so it is looked up and never imported.
    """
    module = sys.modules.get("langgraph.runtime")
    if module is None:
        return None
    try:
        return module.get_runtime().context
    except (AttributeError, KeyError, RuntimeError):  # outside of a graph; langgraph has no way to ask
        return None


def _given(source: object, name: str) -> ReadIds:
    """Return an id of a dict or an object as text; lists, which narrow to several ids, as lists of texts."""
    value: object = (
        cast("Mapping[str, object]", source).get(name)
        if isinstance(source, Mapping)
        else getattr(source, name, None)
    )
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list | tuple):
        return [None if item is None else str(item) for item in cast("Sequence[object]", value)]
    return cast("ReadIds", value)
