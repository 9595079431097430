"""What `memkit mcp` runs; nothing of the engine is imported before the first call of a tool."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from memkit import Memory, MemoryConfig

    from ..spec import Mode


def over_stdio(config: Callable[[], MemoryConfig], user: str, agent: str | None, mode: Mode) -> None:
    """Serve one scope to the program that started this one, until it closes our input.

    Args:
        config: Gives the configuration, when it is needed.
        user: Whose memories.
        agent: The agent they belong to.
        mode: Which tools are offered.
    """
    from .stdio import run_stdio

    opened: list[Memory] = []

    def memory() -> Memory:
        from memkit import Memory

        opened.append(Memory(config()))
        return opened[0].bind(user_id=user, agent_id=agent)

    try:
        run_stdio(mode, memory)
    finally:
        for one in opened:
            one.close()


def over_http(
    config: Callable[[], MemoryConfig], user: str, agent: str | None, mode: Mode, host: str, port: int
) -> None:
    """Serve one scope over streamable HTTP, until the process is told to end.

    Args:
        config: Gives the configuration.
        user: Whose memories.
        agent: The agent they belong to.
        mode: Which tools are offered.
        host: A loopback address.
        port: 0 takes a free one.

    Raises:
        ConfigurationError: The address is no loopback one, or the MCP SDK is not installed.
    """
    from memkit import AsyncMemory

    from .app import check_address, run_http

    check_address(host, verified=False)
    run_http(AsyncMemory(config()), user_id=user, agent_id=agent, mode=mode, host=host, port=port)
