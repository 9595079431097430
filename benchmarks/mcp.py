"""One `search_memories` through the MCP server, over the engine's own search, layer by layer; and how fast it starts.

    python -m benchmarks mcp [--size 1000] [--rounds 300] [--out FOLDER]

Each line holds the one above it and one layer more, so that the differences say where the time goes.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from memkit import Memory
from memkit_tools import Toolbox
from memkit_tools.mcp.stdio import Peer

_HERE = Path(__file__).parent
QUERY = "Which instrument does Ada play?"
CALL: dict[str, Any] = {"name": "search_memories", "arguments": {"query": QUERY, "limit": 5}}
LINE = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": CALL}).encode() + b"\n"
HEADERS = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}


def main(argv: list[str] | None = None) -> None:
    """Measure, then write `mcp.json` and `mcp.md`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks mcp", description=__doc__)
    parser.add_argument("--size", type=int, default=1000, help="memories of the user")
    parser.add_argument("--rounds", type=int, default=300, help="searches of each line")
    parser.add_argument("--out", type=Path, default=_HERE / "results")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="memkit-bench-") as folder:
        path = Path(folder) / "store"
        with Memory(str(path), llm=None, embedder="hash") as memory:
            memory.add_many(
                [f"Note {n}: Ada played piece {n} of {n % 97}." for n in range(args.size)], user_id="ada"
            )
            figures = _inside(memory, args.rounds)
        figures |= _over_stdio(path, args.rounds) | _over_http(path, args.rounds)
        figures |= asyncio.run(_by_sdk(path, args.rounds))
        starts = _starts(path)
    args.out.mkdir(parents=True, exist_ok=True)
    result = {"size": args.size, "milliseconds": figures, "start_seconds": starts}
    (args.out / "mcp.json").write_text(json.dumps(result, indent=1) + "\n")
    table = _table(args.size, figures, starts)
    (args.out / "mcp.md").write_text(table)
    print(table)


def _timed(call: Callable[[], object], rounds: int) -> float:
    """Return milliseconds of a call, after a tenth more rounds that do not count."""
    taken: list[float] = []
    for _ in range(rounds + rounds // 10):
        before = time.perf_counter()
        call()
        taken.append(time.perf_counter() - before)
    return _fast(taken[rounds // 10 :])


def _inside(memory: Memory, rounds: int) -> dict[str, float]:
    bound = memory.bind(user_id="ada")
    box, peer = Toolbox(memory, user_id="ada"), Peer("read_write", lambda: bound)
    return {
        "engine": _timed(lambda: bound.search(QUERY, limit=5), rounds),
        "tool": _timed(lambda: box.call(CALL["name"], CALL["arguments"]), rounds),
        "protocol": _timed(lambda: peer.receive(LINE), rounds),
    }


def _command(path: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "memkit", "mcp", "--path", str(path), "--user", "ada", *more]


def _environment() -> dict[str, str]:
    return {**os.environ, "MEMKIT_EMBEDDER": "hash"}


def _over_stdio(path: Path, rounds: int) -> dict[str, float]:
    with subprocess.Popen(
        _command(path), env=_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as server:
        source, sink = server.stdout, server.stdin
        assert source is not None and sink is not None

        def call() -> bytes:
            sink.write(LINE)
            sink.flush()
            return source.readline()

        assert b'"isError":false' in call()
        figures = {"stdio": _timed(call, rounds)}
        sink.close()
        server.wait(timeout=20)
    return figures


@contextmanager
def _http_server(path: Path) -> Generator[tuple[str, int]]:
    command = _command(path, "--transport", "streamable-http", "--port", "0")
    with subprocess.Popen(command, env=_environment(), stderr=subprocess.PIPE) as server:
        assert server.stderr is not None
        try:
            found = re.search(rb"http://([\d.]+):(\d+)/mcp", server.stderr.readline())
            assert found is not None, "the server did not start"
            yield found[1].decode(), int(found[2])
        finally:
            server.terminate()
            server.wait(timeout=20)


def _over_http(path: Path, rounds: int) -> dict[str, float]:
    with _http_server(path) as (host, port):
        client = http.client.HTTPConnection(host, port)

        def call() -> bytes:
            client.request("POST", "/mcp", body=LINE, headers=HEADERS)
            return client.getresponse().read()

        assert b'"isError":false' in call()
        figures = {"http": _timed(call, rounds)}
        client.close()
    return figures


async def _by_sdk(path: Path, rounds: int) -> dict[str, float]:
    from mcp.client.session import ClientSession
    from mcp.client.stdio import StdioServerParameters, stdio_client
    from mcp.client.streamable_http import streamable_http_client

    async def measured(streams: Any) -> float:
        async with ClientSession(streams[0], streams[1]) as session:
            await session.initialize()
            return await _atimed(lambda: session.call_tool(CALL["name"], CALL["arguments"]), rounds)

    command = _command(path)
    server = StdioServerParameters(command=command[0], args=command[1:], env=_environment())
    async with stdio_client(server) as streams:
        figures = {"stdio_sdk": await measured(streams)}
    with _http_server(path) as (host, port):
        async with streamable_http_client(f"http://{host}:{port}/mcp") as streams:
            figures["http_sdk"] = await measured(streams)
    return figures


def _fast(taken: list[float]) -> float:
    """Return milliseconds that the fastest tenth stays under: other work of the machine counts little there."""
    return 1000 * quantiles(taken, n=10)[0]


async def _atimed(call: Callable[[], Awaitable[object]], rounds: int) -> float:
    taken: list[float] = []
    for _ in range(rounds + rounds // 10):
        before = time.perf_counter()
        await call()
        taken.append(time.perf_counter() - before)
    return _fast(taken[rounds // 10 :])


def _starts(path: Path) -> dict[str, float]:
    """Return seconds from the start of the process to its answers; medians of five."""
    greeting = {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "b", "version": "1"},
    }
    asked = [("initialize", greeting), ("tools/list", {}), ("tools/call", CALL)]
    rows: list[list[float]] = []
    for _ in range(5):
        before = time.perf_counter()
        row: list[float] = []
        with subprocess.Popen(
            _command(path), env=_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as server:
            assert server.stdout is not None and server.stdin is not None
            for number, (method, params) in enumerate(asked):
                message = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
                server.stdin.write(json.dumps(message).encode() + b"\n")
                server.stdin.flush()
                server.stdout.readline()
                row.append(time.perf_counter() - before)
            server.stdin.close()
        rows.append(row)
    imported = [_seconds([sys.executable, "-c", "import mcp.server.stdio"]) for _ in range(5)]
    listed, answered = (median(row[place] for row in rows) for place in (1, 2))
    return {"first_tools_list": listed, "first_search": answered, "import_of_the_sdk": median(imported)}


def _seconds(command: list[str]) -> float:
    before = time.perf_counter()
    subprocess.run(command, check=True)
    return time.perf_counter() - before


def _table(size: int, figures: dict[str, float], starts: dict[str, float]) -> str:
    lines = (
        ("engine", "the engine's own search", ""),
        ("tool", "`Toolbox.call`", "arguments checked, result rendered"),
        ("protocol", "a line in, a line out", "JSON-RPC, in the same process"),
        ("stdio", "stdio, from another process", "two pipes and a switch of processes"),
        ("stdio_sdk", "stdio, by the SDK's client", "its models, streams and checks"),
        ("http", "streamable HTTP, from another process", "uvicorn, the SDK's server, worker threads"),
        ("http_sdk", "streamable HTTP, by the SDK's client", "its models, streams and HTTP client"),
    )
    rows = [
        f"| {name} | {figures[key]:.2f} | {figures[key] / figures['engine']:.1f} | {what} |"
        for key, name, what in lines
    ]
    told = f"{size} memories of one user; warm calls, the slowest of their fastest tenth."
    head = f"# One `search_memories` through MCP\n\n{told}\n"
    start = (
        f"From the start of `memkit mcp` to its first list of tools: {starts['first_tools_list']:.2f} s; to its first "
        f"search: {starts['first_search']:.2f} s. Importing the MCP SDK alone: {starts['import_of_the_sdk']:.2f} s."
    )
    table = "\n".join(
        ["| through | ms | times the engine | what is added |", "| --- | ---: | ---: | --- |", *rows]
    )
    return f"{head}\n{table}\n\n{start}\n"
