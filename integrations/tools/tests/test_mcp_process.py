"""The server as a process: it starts fast, keeps standard output clean, and loses nothing when it ends or is killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mcp")

from integrations.tools.tests.mcp_client import arguments, environment, http_server, over_http, over_stdio
from memkit import Memory
from memkit_tools.mcp.stdio import HANDSHAKES, MODERN

Json = dict[str, Any]
ENVELOPE = {"_meta": {"io.modelcontextprotocol/protocolVersion": MODERN}}


class Raw:
    """A client that writes lines itself."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self._number = 0

    def line(self, line: bytes) -> Any:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def ask(self, method: str, **params: Any) -> Json:
        self._number += 1
        message = {"jsonrpc": "2.0", "id": self._number, "method": method, "params": params}
        answer = self.line(json.dumps(message).encode())
        assert answer["id"] == self._number
        return answer

    def add(self, text: str) -> Json:
        return self.ask("tools/call", name="add_memory", arguments={"text": text})["result"]


@contextmanager
def started(path: Path, *more: str) -> Generator[Raw]:
    command = [sys.executable, *arguments(path, *more)]
    with subprocess.Popen(
        command, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            yield Raw(process)
        finally:
            process.kill()


def texts(path: Path) -> set[str]:
    with Memory(str(path), llm=None, embedder="hash") as memory:
        return {item.memory for item in memory.get_all(user_id="ada", limit=1000).results}


def test_the_first_list_of_tools_needs_neither_the_sdk_nor_the_engine(tmp_path: Path) -> None:
    """The law behind the second in which it has to come; the time itself is what `python -m benchmarks mcp` prints."""
    program = (
        "import sys; from memkit_tools.mcp.stdio import Peer\n"
        "peer = Peer('read_write', lambda: sys.exit('opened'))\n"
        'ask = lambda method: peer.receive(b\'{"jsonrpc": "2.0", "id": 1, "method": "%s"}\' % method)\n'
        "assert b'add_memory' in ask(b'tools/list') and b'serverInfo' in ask(b'initialize')\n"
        "heavy = {'mcp', 'mcp_types', 'pydantic', 'numpy', 'sqlite3', 'asyncio', 'memkit.engine', 'memkit.config'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_first_list_of_tools_comes_within_a_second(tmp_path: Path) -> None:
    """Of this process's own time, whatever else the machine has to do."""
    with started(tmp_path / "store") as client:
        client.ask("initialize", protocolVersion=HANDSHAKES[-1], capabilities={}, clientInfo={})
        assert len(client.ask("tools/list")["result"]["tools"]) == 4
        client.process.stdin.close()  # type: ignore[union-attr]  # it is a pipe
        _, status, used = os.wait4(client.process.pid, 0)
        client.process.returncode = os.waitstatus_to_exitcode(status)
    assert used.ru_utime + used.ru_stime < 1
    assert not (tmp_path / "store").exists(), "the memory is opened at the first call of a tool"


@pytest.mark.parametrize("how", ["end of input", "SIGTERM", "SIGINT"])
def test_it_ends_cleanly_and_keeps_what_it_acknowledged(how: str, tmp_path: Path) -> None:
    with started(tmp_path) as client:
        assert not client.add("Ada sails.")["isError"]
        if how == "end of input":
            client.process.stdin.close()  # type: ignore[union-attr]  # it is a pipe
        else:
            client.process.send_signal(getattr(signal, how))
        assert client.process.wait(timeout=20) == 0
        assert client.process.stderr.read() == b""  # type: ignore[union-attr]  # it is a pipe
    assert texts(tmp_path) == {"Ada sails."}


def test_a_killed_server_loses_nothing_acknowledged(tmp_path: Path) -> None:
    with started(tmp_path) as client:
        for number in range(20):
            client.add(f"Fact number {number}.")
        client.process.kill()
        client.process.wait()
    assert texts(tmp_path) == {f"Fact number {number}." for number in range(20)}


async def test_two_clients_on_one_path_write_and_read_at_once(tmp_path: Path) -> None:
    async def talk(name: str) -> None:
        async with over_stdio(arguments(tmp_path)) as client:
            for number in range(15):
                assert not (await client.call("add_memory", text=f"{name} saw ship {number}."))["isError"]
                assert not (await client.call("search_memories", query=f"ship {number}"))["isError"]

    await asyncio.gather(talk("Bo"), talk("Cy"))
    assert texts(tmp_path) == {f"{name} saw ship {number}." for name in ("Bo", "Cy") for number in range(15)}


def test_hostile_lines_are_answered_and_do_not_end_it(tmp_path: Path) -> None:
    with started(tmp_path) as client:
        assert client.line(b"nonsense")["error"]["code"] == -32700
        assert client.line(b"[" * 100_000)["error"]["code"] == -32700
        assert client.line(b"\xff\xfe{}")["error"]["code"] == -32700
        assert client.line(b'{"id": NaN, "method": "ping"}')["error"]["code"] == -32700
        # Whoever waits for an answer gets one.
        for odd in (b"7", b"[]", b"{}", b'{"id": 3}', b'{"id": 3, "method": 5}', b'{"id": {}, "method": "ping"}',
                    b'{"id": true, "method": "ping"}', b'{"id": 1e400, "method": "ping"}'):  # fmt: skip
            assert client.line(odd)["error"]["code"] == -32600, odd
        assert client.line(b'{"id": 3, "method": "ping", "params": [1]}')["error"]["code"] == -32602
        assert client.ask("resources/subscribe", uri="memory://memories")["error"]["code"] == -32601
        assert client.ask("tools/call")["result"]["isError"]
        assert client.ask("tools/call", name=["x"], arguments=7)["result"]["isError"]
        assert client.ask("tools/call", name="add_memory", arguments=7)["result"]["isError"]
        assert client.ask("prompts/get", name="recall", arguments=[1])["error"]["code"] == -32602
        batch = client.line(b'[{"id": 1, "method": "ping"}, {"method": "notifications/initialized"}]')
        assert batch == [{"jsonrpc": "2.0", "id": 1, "result": {}}]
        assert client.add("a \ud800 b")["isError"]
        assert not client.add("Ada sails.")["isError"]


def test_what_is_printed_meanwhile_never_reaches_standard_output() -> None:
    program = (
        "import os\n"
        "from memkit import Memory\n"
        "from memkit_tools.mcp.stdio import run_stdio\n"
        "def opened():\n"
        "    print('noise', flush=True)\n"
        "    os.system('echo noise')\n"
        "    return Memory(':memory:', llm=None, embedder='hash').bind(user_id='ada')\n"
        "run_stdio('read_write', opened)\n"
        "print('after')"
    )
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call"}
    call["params"] = {"name": "search_memories", "arguments": {"query": "x"}}  # type: ignore[assignment]  # nested
    done = subprocess.run(
        [sys.executable, "-c", program], input=json.dumps(call), capture_output=True, text=True, check=True
    )
    answer, after = done.stdout.splitlines()
    assert (json.loads(answer)["id"], after) == (1, "after")
    assert done.stderr.count("noise") == 2


def test_versions_are_negotiated_by_handshake_or_by_envelope(tmp_path: Path) -> None:
    with started(tmp_path) as client:
        for version in HANDSHAKES:
            assert client.ask("initialize", protocolVersion=version)["result"]["protocolVersion"] == version
        assert (
            client.ask("initialize", protocolVersion="1999-01-01")["result"]["protocolVersion"]
            == HANDSHAKES[-1]
        )
        assert client.ask("server/discover")["error"]["code"] == -32601
        found = client.ask("server/discover", **ENVELOPE)["result"]
        assert (found["supportedVersions"], found["resultType"]) == ([MODERN], "complete")
        listed = client.ask("tools/list", **ENVELOPE)["result"]
        assert (listed["ttlMs"], listed["cacheScope"]) == (0, "private")
        unknown = {"_meta": {"io.modelcontextprotocol/protocolVersion": "2099-01-01"}}
        refused = client.ask("tools/list", **unknown)["error"]
        assert refused["code"] == -32022
        assert MODERN in refused["data"]["supported"]


async def test_a_client_of_the_sdk_speaks_its_newest_version(tmp_path: Path) -> None:
    mcp = pytest.importorskip("mcp.client.client", reason="2.x of the SDK")
    from mcp import StdioServerParameters

    server = StdioServerParameters(command=sys.executable, args=arguments(tmp_path), env=environment())
    async with mcp.Client(server) as client:
        assert client.protocol_version == MODERN
        assert client.server_info.name == "memkit"
        result = await client.call_tool("add_memory", {"text": "Ada sails."})
        assert result.structured_content["status"] == "added"
        assert "Ada sails." in (await client.read_resource("memory://memories")).contents[0].text
        assert (
            "Ada sails." in (await client.get_prompt("recall", {"topic": "sails"})).messages[0].content.text
        )


def test_what_cannot_be_stored_is_an_answer(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a database", "utf-8")
    with started(tmp_path / "file" / "inside") as client:
        refused = client.add("Ada sails.")
        assert refused["isError"]
        assert refused["structuredContent"]["error"] == "unavailable"
        assert client.ask("resources/read", uri="memory://memories")["error"]["code"] == -32603


async def test_over_http_it_says_where_and_ends_cleanly(tmp_path: Path) -> None:
    with http_server(tmp_path) as (url, process):
        async with over_http(url) as client:
            assert not (await client.call("add_memory", text="Ada sails."))["isError"]
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=20)
        assert (process.returncode, out or b"", err) == (0, b"", b"")
    assert texts(tmp_path) == {"Ada sails."}


@pytest.mark.parametrize(
    ("more", "code", "hint"),
    [
        ([], 2, "--user"),
        (["--user", " "], 2, "--user"),
        (["--user", "ada", "--mode", "write"], 2, "read_only, read_write, full"),
        (["--user", "ada", "--transport", "sse"], 2, "stdio, streamable-http"),
        (["--user", "ada", "--transport", "streamable-http", "--host", "0.0.0.0"], 1, "token_verifier"),
        (["--user", "ada", "--transport", "streamable-http", "--host", "192.0.2.1"], 1, "token_verifier"),
    ],
)
def test_what_cannot_be_served_says_so_on_standard_error(
    more: list[str], code: int, hint: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "memkit", "mcp", "--path", str(tmp_path), *more]
    done = subprocess.run(command, env=environment(), input="", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (code, "")
    assert hint in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken_is_named_with_what_to_type(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = ["mcp", "--user", "ada", "--transport", "streamable-http", "--port", str(port)]
        done = subprocess.run(
            [sys.executable, "-m", "memkit", *command],
            capture_output=True,
            text=True,
            timeout=60,
            cwd=tmp_path,
        )
    assert done.returncode == 1
    assert f"127.0.0.1:{port} cannot be bound" in done.stderr and "--port" in done.stderr


def test_without_memkit_tools_the_command_names_what_to_install(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['memkit_tools'] = None\n"
        "sys.argv = ['memkit', 'mcp', '--user', 'ada']\n"
        "from memkit.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], input="", capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert 'pip install "memkit-tools[mcp]"' in done.stderr
