"""`mcp`: memories for any program that speaks the Model Context Protocol."""

from __future__ import annotations

from importlib import import_module
from typing import Annotated, Any

import typer

from .session import USER_VARIABLE, AgentOption, Session, command, one_of, usage_error

_MODES = ("read_only", "read_write", "full")
_TRANSPORTS = ("stdio", "streamable-http")


def _distribution(name: str) -> Any:
    """Return a module of memkit-tools, which the core does not depend on."""
    from ..errors import ConfigurationError

    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] == "memkit":
            raise
        raise ConfigurationError(
            '`memkit mcp` needs memkit-tools. Type: pip install "memkit-tools[mcp]"', module=error.name
        ) from error


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""

    @command(
        app,
        "mcp",
        "memkit mcp --path ./memories --user ada",
        "memkit mcp --path ./memories --user ada --mode read_only",
        "memkit mcp --path ./memories --user ada --transport streamable-http --port 8000",
    )
    def mcp(  # pyright: ignore[reportUnusedFunction]
        session: Session,
        agent: AgentOption = None,
        mode: Annotated[
            str, typer.Option("--mode", metavar="MODE", help=f"Which tools: {', '.join(_MODES)}.")
        ] = "read_write",
        transport: Annotated[
            str, typer.Option("--transport", metavar="NAME", help=f"How: {' or '.join(_TRANSPORTS)}.")
        ] = "stdio",
        host: Annotated[
            str, typer.Option("--host", metavar="ADDRESS", help="Over HTTP: a loopback address.")
        ] = "127.0.0.1",
        port: Annotated[
            int, typer.Option("--port", min=0, max=65535, help="Over HTTP; 0 takes a free one.")
        ] = 8000,
    ) -> None:
        """Serve one user's memories to agents over the Model Context Protocol.

        Over standard input and output, for programs that start it themselves, or over HTTP at /mcp.
        """
        one_of(mode, _MODES, "--mode")
        one_of(transport, _TRANSPORTS, "--transport")
        if not (session.user or "").strip():
            usage_error(f"Whose memories? Add --user ID or set {USER_VARIABLE}, such as --user ada.")
        serve = _distribution("memkit_tools.mcp.command")
        if transport == "stdio":
            serve.over_stdio(session.config, session.user, agent, mode)
        else:
            serve.over_http(session.config, session.user, agent, mode, host, port)
