"""The MCP SDK's own client, of either major version, as the tests use it: answers are the dicts of the wire."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from mcp import ClientSession, StdioServerParameters, stdio_client

Json = dict[str, Any]
READY = re.compile(rb"http://\S+/mcp")


def arguments(path: Path, *more: str, user: str | None = "ada") -> list[str]:
    who = [] if user is None else ["--user", user]
    return ["-m", "memkit", "mcp", "--path", str(path), *who, *more]


def environment(**more: str) -> dict[str, str]:
    """The environment of a server: nothing it could find a model by."""
    return {"PATH": os.environ["PATH"], "MEMKIT_EMBEDDER": "hash", **more}


class Client:
    """A session whose answers are dicts."""

    def __init__(self, session: ClientSession) -> None:
        self.session = session

    async def call(self, tool: str, **given: Any) -> Json:
        return wire(await self.session.call_tool(tool, given))

    async def text(self, tool: str, **given: Any) -> str:
        return (await self.call(tool, **given))["content"][0]["text"]

    async def tools(self) -> list[Json]:
        return wire(await self.session.list_tools())["tools"]

    async def read(self, uri: str) -> Json:
        return wire(await self.session.read_resource(_uri(uri)))["contents"][0]


def wire(result: Any) -> Json:
    return result.model_dump(by_alias=True, mode="json", exclude_none=True)


def _uri(uri: str) -> Any:
    from mcp.types import ReadResourceRequestParams

    return ReadResourceRequestParams.model_validate({"uri": uri}).uri


@asynccontextmanager
async def over_stdio(command: list[str], env: Mapping[str, str] | None = None) -> AsyncGenerator[Client]:
    """A client that starts the server itself."""
    server = StdioServerParameters(command=sys.executable, args=command, env=dict(env or environment()))
    async with stdio_client(server) as streams, ClientSession(streams[0], streams[1]) as session:
        await session.initialize()
        yield Client(session)


@asynccontextmanager
async def over_http(url: str, token: str | None = None, **headers: str) -> AsyncGenerator[Client]:
    """A client of a running server."""
    from mcp.client import streamable_http

    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    async with (
        http_library().AsyncClient(headers=headers, timeout=120) as library,
        streamable_http.streamable_http_client(url, http_client=library) as streams,
        ClientSession(streams[0], streams[1]) as session,
    ):
        await session.initialize()
        yield Client(session)


def http_library() -> Any:
    """httpx2 with 2.x of the SDK, httpx with 1.x."""
    from mcp.client import streamable_http

    return vars(streamable_http).get("httpx2") or vars(streamable_http)["httpx"]


@contextmanager
def http_server(path: Path, *more: str, user: str = "ada") -> Generator[tuple[str, subprocess.Popen[bytes]]]:
    """`memkit mcp` as a process of its own, on a free port."""
    command = [
        sys.executable,
        *arguments(path, "--transport", "streamable-http", "--port", "0", *more, user=user),
    ]
    with subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        try:
            seen = b""
            while (found := READY.search(seen)) is None:
                line = process.stderr.readline()
                assert line, f"the server ended: {seen.decode()}"
                seen += line
            yield found.group().decode(), process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.communicate(timeout=20)


@asynccontextmanager
async def served(make: Callable[[], Any]) -> AsyncGenerator[str]:
    """An ASGI app on a free port of this process."""
    import uvicorn

    server = uvicorn.Server(
        uvicorn.Config(make(), port=0, log_config=None, ws="none", timeout_graceful_shutdown=1)
    )
    running = asyncio.create_task(server._serve())
    while not server.started:
        assert not running.done(), running.result()
        await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/mcp"
    finally:
        server.should_exit = True
        await running
