"""A PostgreSQL ledger that is killed, cut off, slow, or refused: our errors, and nothing acknowledged is lost."""

from __future__ import annotations

import itertools
import os
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from memkit import Memory
from memkit.errors import (
    AuthenticationError,
    BackendError,
    BackendTimeoutError,
    BackendUnavailableError,
    ConfigurationError,
    MemkitError,
)
from tests.postgres import PASSWORD, QUOTED, PostgresServer

pytestmark = pytest.mark.engine

ROOT = Path(__file__).resolve().parents[2]
STEPS = ("begin", "messages", "records", "commit", "committed")
_PATIENCE_S = 90.0
_numbers = itertools.count()


def opened(folder: Path, url: str, **settings: Any) -> Memory:
    """A keyless memory of a home of its own."""
    ledger = {"provider": "postgresql", "config": {"url": url, **settings}}
    return Memory(folder, llm=None, embedder="hash", ledger=ledger)


def texts(memory: Memory, user: str) -> list[str]:
    """Everything that a user's memories say."""
    return [item.memory for item in memory.get_all(user_id=user, limit=100_000).results]


def assert_whole(server: PostgresServer, url: str) -> None:
    """What belongs together is there together."""
    database = url.rpartition("/")[2]
    sums = server.sql(
        "SELECT (SELECT count(*) FROM memkit.record), (SELECT count(*) FROM memkit.vec),"
        " (SELECT count(*) FROM memkit.event WHERE code = 1), (SELECT sum(memories) FROM memkit.owner),"
        " (SELECT count(DISTINCT rid) FROM memkit.posting), (SELECT count(*) FROM memkit.operation)",
        database=database,
    )[0]
    assert len(set(sums)) == 1, sums


def said(error: BaseException) -> str:
    """Everything that somebody can see of an error."""
    return "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error))


def assert_no_secret(error: BaseException) -> None:
    shown = said(error)
    for secret in (PASSWORD, QUOTED, "p@ss", "wrong-secret"):
        assert secret not in shown


class Child:
    """A writing process, and what was acknowledged to it."""

    def __init__(self, folder: Path, url: str, user: str, step: str = "-", nth: int = 1) -> None:
        self._lines = folder / f"{next(_numbers)}.txt"
        environment = {**os.environ, "CHILD_FOLDER": str(folder), "OPENBLAS_NUM_THREADS": "1"}
        with self._lines.open("w") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.postgres_child", url, user, step, str(nth)],
                cwd=ROOT,
                env=environment,
                stdout=out,
            )

    def acknowledged(self) -> list[str]:
        """The texts of the memories that it was told are written."""
        return [line[:-1] for line in self._lines.read_text().splitlines(keepends=True) if line[-1] == "\n"]

    def wait(self) -> int:
        """Its exit code, when it has ended."""
        return self._process.wait(_PATIENCE_S)

    def wait_for_some(self) -> None:
        """Return when something was acknowledged."""
        end = time.monotonic() + _PATIENCE_S
        while not self.acknowledged():
            assert self._process.poll() is None and time.monotonic() < end
            time.sleep(0.02)

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.wait(_PATIENCE_S)


# ------------------------------------------------------------------------------------- killed


@pytest.mark.parametrize("step", STEPS)
def test_a_writer_killed_at_any_step_leaves_all_or_nothing(
    step: str, postgres: PostgresServer, fresh_postgres: str, tmp_path: Path
) -> None:
    with opened(tmp_path / "home", fresh_postgres) as memory:
        memory.add("The first of all", user_id="ana")
        # Opening takes no step of these: the schema is there.
        process = Child(tmp_path, fresh_postgres, "ana", step, 3)
        assert process.wait() == -9
        lines = process.acknowledged()
        assert len(lines) == 2
        kept = texts(memory, "ana")
        assert set(lines) <= set(kept)
        assert len(kept) == len(set(kept)) == (4 if step == "committed" else 3)
        # What the dead one had locked is free.
        memory.add("The last of all", user_id="ana")
        assert_whole(postgres, fresh_postgres)


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_server_that_restarts_in_the_middle_loses_and_doubles_nothing(
    how: str, own_postgres: PostgresServer, tmp_path: Path
) -> None:
    url = own_postgres.url(own_postgres.create(vector=False))
    acknowledged: list[str] = []
    failed: list[BaseException] = []
    over = threading.Event()

    def write(memory: Memory, user: str) -> None:
        number = 0
        while not over.is_set():
            text = f"{user} knows fact {number}"
            try:
                memory.add(text, user_id=user)
                acknowledged.append(text)
            except Exception as error:
                failed.append(error)
            number += 1

    with opened(tmp_path, url) as memory:
        memory.add("The first of all", user_id="u0")
        threads = [threading.Thread(target=write, args=(memory, f"u{n}")) for n in range(3)]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        getattr(own_postgres, how)()
        before = len(acknowledged)
        time.sleep(0.3)
        own_postgres.start()
        time.sleep(2.0)
        over.set()
        for thread in threads:
            thread.join()
        assert len(acknowledged) > before, "it goes on by itself"
        assert all(isinstance(error, BackendError) for error in failed), failed
        kept = [text for n in range(3) for text in texts(memory, f"u{n}")]
        assert set(acknowledged) <= set(kept)
        assert len(kept) == len(set(kept))
        assert_whole(own_postgres, url)


# ------------------------------------------------------------------------------------- a commit that nobody answered


class Proxy:
    """Passes bytes on, until it is told to cut the line at the next COMMIT: before it arrives, or after."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self.cut: str | None = None
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._server.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
                self._sockets += [near, far]
                threading.Thread(target=self._pass, args=(near, far, True), daemon=True).start()
                threading.Thread(target=self._pass, args=(far, near, False), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, up: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if up and self.cut is not None and b"COMMIT" in data:
                    how, self.cut = self.cut, None
                    if how == "after":
                        # The answer is lost: the line towards the client is cut first.
                        source.shutdown(socket.SHUT_RDWR)
                        target.sendall(data)
                        time.sleep(0.3)
                    break
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._server.close()
        for end in self._sockets:
            end.close()


@contextmanager
def proxied(server: PostgresServer) -> Generator[Proxy]:
    proxy = Proxy(server.port)
    try:
        yield proxy
    finally:
        proxy.close()


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_commit_without_an_answer_is_looked_up_and_happens_once(
    when: str, postgres: PostgresServer, fresh_postgres: str, tmp_path: Path
) -> None:
    with proxied(postgres) as proxy:
        url = fresh_postgres.replace(f":{postgres.port}/", f":{proxy.port}/")
        with opened(tmp_path, url) as memory:
            memory.add("The first of all", user_id="ana")
            proxy.cut = when
            added = memory.add("Ana keeps bees", user_id="ana").results[0]
            assert proxy.cut is None
            assert [item.memory for item in memory.get_all(user_id="ana").results] == [
                "Ana keeps bees",
                "The first of all",
            ]
            assert [event.event for event in memory.history(added.id)] == ["ADD"]
        assert_whole(postgres, fresh_postgres)


# ------------------------------------------------------------------------------------- refused, gone, slow


def test_a_server_that_is_not_there_is_said_without_the_password(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with (
        opened(tmp_path, f"postgresql://memkit:{QUOTED}@127.0.0.1:{port}/x") as memory,
        pytest.raises(BackendUnavailableError, match=f"127.0.0.1:{port}/x") as caught,
    ):
        memory.add("Ana keeps bees", user_id="ana")
    assert caught.value.retryable
    assert_no_secret(caught.value)
    health = memory_health(tmp_path, f"postgresql://memkit:{QUOTED}@127.0.0.1:{port}/x")
    assert f"127.0.0.1:{port}" in health
    assert PASSWORD not in health and QUOTED not in health


def memory_health(folder: Path, url: str) -> str:
    with opened(folder, url) as memory:
        return f"{memory.health()!r} {memory!r}"


@pytest.mark.parametrize(
    ("change", "kind", "hint"),
    [
        (lambda s, u: s.url("postgres", password="wrong-secret"), AuthenticationError, "user and password"),
        (lambda s, u: s.url("no_such_database"), ConfigurationError, "no_such_database"),
        (lambda s, u: s.url("postgres", user="nobody_at_all"), AuthenticationError, "user and password"),
        (
            lambda s, u: u.replace("postgresql://memkit:", "postgresql://reader:"),
            AuthenticationError,
            "right",
        ),
    ],
)
def test_what_a_server_refuses_ends_the_search(
    change: Callable[[PostgresServer, str], str], kind: type[MemkitError], hint: str,
    postgres: PostgresServer, fresh_postgres: str, tmp_path: Path,
) -> None:  # fmt: skip
    with suppress(Exception):
        postgres.sql(f"CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}'")
    with opened(tmp_path, change(postgres, fresh_postgres)) as memory:
        start = time.monotonic()
        with pytest.raises(kind, match=hint) as caught:
            memory.add("Ana keeps bees", user_id="ana")
        assert time.monotonic() - start < 5, "it is no use trying again"
        assert_no_secret(caught.value)


def test_an_owner_that_somebody_has_locked_is_waited_for_and_then_said(
    postgres: PostgresServer, fresh_postgres: str, tmp_path: Path
) -> None:
    with opened(tmp_path, fresh_postgres, busy_timeout_s=0.2) as memory:
        memory.add("Ana keeps bees", user_id="ana")
        with postgres.connect(fresh_postgres.rpartition("/")[2]) as other, other.transaction():
            other.execute("SELECT * FROM memkit.owner FOR UPDATE")
            with pytest.raises(BackendUnavailableError) as caught:
                memory.add("Ana keeps hens", user_id="ana")
            assert caught.value.retryable
            assert [item.memory for item in memory.search("bees", user_id="ana").results] == [
                "Ana keeps bees"
            ]
        memory.add("Ana keeps hens", user_id="ana")
        assert len(texts(memory, "ana")) == 2


def test_a_statement_that_takes_too_long_is_ended(
    postgres: PostgresServer, fresh_postgres: str, tmp_path: Path
) -> None:
    with opened(tmp_path, fresh_postgres, statement_timeout_s=0.3, busy_timeout_s=30) as memory:
        memory.add("Ana keeps bees", user_id="ana")
        with postgres.connect(fresh_postgres.rpartition("/")[2]) as other, other.transaction():
            other.execute("LOCK TABLE memkit.record IN ACCESS EXCLUSIVE MODE")
            with pytest.raises(BackendTimeoutError):
                memory.get_all(user_id="ana")
        assert texts(memory, "ana") == ["Ana keeps bees"]


def test_a_server_that_hangs_is_not_waited_for_for_ever(own_postgres: PostgresServer, tmp_path: Path) -> None:
    url = own_postgres.url(own_postgres.create(vector=False))
    with opened(tmp_path, url, statement_timeout_s=0.2, connect_timeout_s=2) as memory:
        memory.add("Ana keeps bees", user_id="ana")
        own_postgres.pause()
        try:
            with pytest.raises(BackendError):
                memory.search("bees", user_id="ana")
        finally:
            own_postgres.resume()
        assert texts(memory, "ana") == ["Ana keeps bees"]


def test_tables_that_are_gone_are_said(postgres: PostgresServer, fresh_postgres: str, tmp_path: Path) -> None:
    with opened(tmp_path, fresh_postgres) as memory:
        memory.add("Ana keeps bees", user_id="ana")
        postgres.sql("DROP SCHEMA memkit CASCADE", database=fresh_postgres.rpartition("/")[2])
        with pytest.raises(BackendUnavailableError, match="are gone"):
            memory.search("bees", user_id="ana")
        memory.add("Ana keeps hens", user_id="ana")
        assert texts(memory, "ana") == ["Ana keeps hens"]


# ------------------------------------------------------------------------------------- many


def test_two_homes_see_each_others_writes_at_once(fresh_postgres: str, tmp_path: Path) -> None:
    with opened(tmp_path / "one", fresh_postgres) as one, opened(tmp_path / "two", fresh_postgres) as two:
        for number in range(5):
            for writer, reader in ((one, two), (two, one)):
                text = f"Note {number} of {'one' if writer is one else 'two'} about zebras"
                reader.search("zebras", user_id="ana")
                writer.add(text, user_id="ana")
                assert text in [item.memory for item in reader.search(text, user_id="ana").results]
        assert len(texts(one, "ana")) == 10


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_has_connections_of_its_own(fresh_postgres: str, tmp_path: Path) -> None:
    with opened(tmp_path, fresh_postgres) as memory:
        memory.add("Said by the parent", user_id="ana")
        pid = os.fork()
        if pid == 0:
            status = 1
            with suppress(BaseException):
                memory.add("Said by the child", user_id="ana")
                status = 0 if len(texts(memory, "ana")) == 2 else 2
            os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        memory.add("Said by the parent again", user_id="ana")
        assert len(texts(memory, "ana")) == 3
