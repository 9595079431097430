"""`MemkitContext`: whose memories, as the context of an agent or a graph."""

from dataclasses import dataclass


@dataclass(kw_only=True)
class MemkitContext:
    """The ids of a call, for `create_agent(..., context_schema=MemkitContext)` and any LangGraph graph.

    `agent.invoke(messages, context=MemkitContext(user_id="alice"))`; a dict with the same keys does too. Add fields of
    your own in a subclass, itself a dataclass.
    """

    user_id: str | int | None = None
    """Whose memories."""
    agent_id: str | int | None = None
    """The agent they belong to; None for those of any."""
    run_id: str | int | None = None
    """The conversation; None is the thread of the call."""
