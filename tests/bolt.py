"""A database that speaks Bolt and Cypher, for tests of the Neo4j store: ArcadeDB, in a process of its own.

Its fixtures are there for every test: `bolt` (the server) and `fresh_bolt` (a database of the test's own on it).
`python -m tests.bolt FOLDER BOLT_PORT HTTP_PORT` is the server itself; it ends with its standard input.
"""

from __future__ import annotations

import base64
import importlib.util
import itertools
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, cast

import pytest

USER: Final = "root"
PASSWORD: Final = "a secret: p@ss/word#1"
_START_S: Final = 90.0
_THERE: Final = "the server is there\n"
_JVM: Final = (
    "-Xmx512m -XX:MaxDirectMemorySize=256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:-UseCompactObjectHeaders "
    "-XX:CICompilerCount=1 -XX:ReservedCodeCacheSize=128m"
)
"""Small, and quick to start: what runs for a minute is not worth the best code."""
_numbers = itertools.count(1)


class BoltServer:
    """One server of its own folder and ports; it ends with the process that made it."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="memkit-bolt-"))
        self.port, self._http_port = free_port(), free_port()
        self._process: subprocess.Popen[str] | None = None
        self.start()

    @property
    def url(self) -> str:
        """Its address."""
        return f"bolt://127.0.0.1:{self.port}"

    def settings(self, database: str) -> dict[str, Any]:
        """How the Neo4j store reaches a database of it."""
        return {"url": self.url, "username": USER, "password": PASSWORD, "database": database}

    def cypher(self, database: str, text: str, **parameters: Any) -> list[dict[str, Any]]:
        """The rows of one statement."""
        from neo4j import GraphDatabase

        with GraphDatabase.driver(self.url, auth=(USER, PASSWORD)) as driver:
            rows = cast("Any", driver).execute_query(text, parameters, database_=database).records
            return [row.data() for row in rows]

    # Databases.

    def create(self) -> str:
        """Make a fresh database and return its name."""
        name = f"memkit{os.getpid()}x{next(_numbers)}"
        self.make(name)
        return name

    def make(self, name: str) -> None:
        """Make a database of a name."""
        self._command(f"create database {name}")

    def drop(self, name: str) -> None:
        """Remove a database."""
        self._command(f"drop database {name}")

    def _command(self, command: str) -> None:
        credentials = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._http_port}/api/v1/server",
            json.dumps({"command": command}).encode(),
            {"Authorization": f"Basic {credentials}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60):
            return

    @contextmanager
    def database(self) -> Generator[str]:
        """Give the name of a fresh database, which is removed at the end."""
        name = self.create()
        try:
            yield name
        finally:
            self.drop(name)

    # Its life.

    def start(self) -> None:
        """Start it and wait until it answers."""
        command = [sys.executable, "-m", "tests.bolt", str(self.folder), str(self.port), str(self._http_port)]
        environment = {
            **os.environ,
            "ARCADEDB_JVM_ARGS": _JVM,
            "ARCADEDB_JVM_ERROR_FILE": str(self.folder / "jvm.log"),
            "PYTHONPATH": str(Path(__file__).parents[1]),
        }
        with (self.folder / "log.txt").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=self.folder,
                env=environment,
                text=True,
            )
        self._wait()

    def stop(self) -> None:
        """Shut it down: its clients are disconnected."""
        process = self._process
        if process is None:
            return
        self._process = None
        assert process.stdin is not None and process.stdout is not None
        process.stdin.close()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(30)
        process.stdout.close()

    def kill(self) -> None:
        """End it as a crash would."""
        if self._process is not None:
            self._process.kill()
            self.stop()

    def pause(self) -> None:
        """Keep every connection open and answer nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Go on after `pause`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End it and remove its folder."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _wait(self) -> None:
        """Wait until it says that it is there."""
        assert self._process is not None and self._process.stdout is not None
        if (
            select.select([self._process.stdout], [], [], _START_S)[0]
            and self._process.stdout.readline() == _THERE
        ):
            return
        raise AssertionError(f"the server says nothing: {(self.folder / 'log.txt').read_text()[-2000:]}")


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def missing() -> str | None:
    """What is not installed here, if anything."""
    names = ("arcadedb_embedded", "neo4j")
    return next((name for name in names if importlib.util.find_spec(name) is None), None)


@pytest.fixture(scope="session")
def bolt() -> Generator[BoltServer]:
    """A server that speaks Bolt."""
    if lacking := missing():
        pytest.skip(f"{lacking} is not installed")
    server = BoltServer()
    yield server
    server.close()


@pytest.fixture
def fresh_bolt(bolt: BoltServer) -> Generator[dict[str, Any]]:
    """The settings of a database of the test's own."""
    with bolt.database() as name:
        yield bolt.settings(name)


def _serve(folder: str, bolt_port: str, http_port: str) -> None:
    import arcadedb_embedded  # pyright: ignore[reportMissingTypeStubs]  the vendor ships none

    config = {
        "server_plugins": "Bolt:com.arcadedb.bolt.BoltProtocolPlugin",
        "bolt_port": int(bolt_port),
        "bolt_host": "127.0.0.1",
        "http_port": int(http_port),
    }
    server = arcadedb_embedded.create_server(root_path=folder, root_password=PASSWORD, config=config)
    server.start()
    print(_THERE, end="", flush=True)
    sys.stdin.read()
    server.stop()


if __name__ == "__main__":
    _serve(*sys.argv[1:])
