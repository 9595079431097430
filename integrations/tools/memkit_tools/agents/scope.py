"""Whose memories a run of the OpenAI Agents SDK may see: said by the application, never by the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from memkit import AsyncMemory, Memory
from memkit.errors import ConfigurationError, ScopeError

_MISSING: Final = (
    "No user_id: whose memories? Give the run a context that has one, "
    'Runner.run(agent, text, context={{"user_id": "alice"}}), or pin it, {made}(memory, user_id="alice").'
)


def check_memory(memory: object, made: str) -> None:
    """Refuse what is no memory, such as the session id that other sessions take first.

    Args:
        made: The call that was meant, for the error.

    Raises:
        ConfigurationError: It is none.
    """
    if not isinstance(memory, Memory | AsyncMemory):
        raise ConfigurationError(
            f"`memory` is a Memory or an AsyncMemory, not {type(memory).__name__}. Type: {made}.",
            field="memory",
        )


def ids_of(memory: Memory | AsyncMemory, pinned: Mapping[str, Any], context: object) -> dict[str, Any]:
    """Return `user_id` and `agent_id`: what is pinned, else what the context of the run says, a dict or an object.

    Args:
        memory: A bound one says itself whose memories; no context changes what it says, and none adds a user to it.
        pinned: The ids given to what was made.
        context: The context object of the run.
    """
    fixed = memory.scope
    found = dict(pinned)
    if found["user_id"] is None and fixed is None:
        found["user_id"] = _given(context, "user_id")
    if found["agent_id"] is None and (fixed is None or fixed.agent_id is None):
        found["agent_id"] = _given(context, "agent_id")
    return found


def scope_of(
    memory: Memory | AsyncMemory, pinned: Mapping[str, Any], context: object, *, made: str
) -> dict[str, Any]:
    """Return the same, where somebody has to have said whose memories.

    Args:
        made: What was made, for the error.

    Raises:
        ScopeError: Nobody did.
    """
    found = ids_of(memory, pinned, context)
    if found["user_id"] is None and memory.scope is None:
        raise ScopeError(_MISSING.format(made=made), field="user_id")
    return found


def _given(context: object, name: str) -> Any:
    if isinstance(context, Mapping):
        return cast("Mapping[str, Any]", context).get(name)
    return getattr(context, name, None)
