"""A lock that many readers or one writer hold, across threads and processes, on every platform.

SQLite gives a lock to whoever asks at the right moment: a process that takes it again as soon as it has given it back
keeps all others out for as long as it likes. So whoever wants it stands in a queue, which is a lock of its own: only
the first in it asks for the lock, and nobody leaves the queue without it.
"""

from __future__ import annotations

import os
import random
import sqlite3
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from memkit.errors import BackendUnavailableError


class SharedLock:
    """A lock on a file: SQLite's own, so it ends with the process that holds it.

    It is not re-entrant. The file, and that of the queue beside it, hold nothing and must not be deleted while in use.
    """

    def __init__(self, path: Path, *, backend: str, timeout_s: float = 60.0) -> None:
        self._path, self._backend, self._timeout_s = path, backend, timeout_s
        self._lock = _File(path)
        self._queue = _File(path.with_name(f"{path.name}.queue"))

    @contextmanager
    def shared(self) -> Generator[None]:
        """Hold the lock together with other readers."""
        with self._held("BEGIN", "SELECT count(*) FROM sqlite_master"):
            yield

    @contextmanager
    def exclusive(self) -> Generator[None]:
        """Hold the lock alone."""
        with self._held("BEGIN EXCLUSIVE"):
            yield

    @contextmanager
    def _held(self, *statements: str) -> Generator[None]:
        try:
            deadline = time.monotonic() + self._timeout_s
            place = self._queue.take(deadline, "BEGIN IMMEDIATE")
            try:
                connection = self._lock.take(deadline, *statements)
            finally:
                self._queue.give_back(place)
        except (sqlite3.Error, OSError) as error:
            raise BackendUnavailableError(
                f"The lock {self._path} cannot be had: {error}.", backend=self._backend
            ) from error
        try:
            yield
        finally:
            self._lock.give_back(connection)

    def close(self) -> None:
        """Close what is idle."""
        self._lock.close()
        self._queue.close()


class _File:
    """One file that is locked, with a connection for each thread that wants it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._guard = Lock()
        self._idle: list[sqlite3.Connection] = []
        self._left: list[sqlite3.Connection] = []
        self._pid = os.getpid()

    def take(self, deadline: float, *statements: str) -> sqlite3.Connection:
        """Return a connection that holds the lock which these statements take."""
        connection = self._connection()
        try:
            for statement in statements:
                while not _done(connection, statement, deadline):
                    # Not SQLite's own pauses: they grow to 100 ms, and it is another's turn meanwhile.
                    time.sleep(random.uniform(0.0002, 0.004))
        except BaseException:
            connection.close()
            raise
        return connection

    def give_back(self, connection: sqlite3.Connection) -> None:
        """End what a connection holds."""
        if self._pid == os.getpid():
            connection.execute("ROLLBACK")
            with self._guard:
                self._idle.append(connection)

    def _connection(self) -> sqlite3.Connection:
        with self._guard:
            if self._pid != os.getpid():
                # A forked child must not touch its parent's connections, not even close them.
                self._left, self._idle, self._pid = self._idle, [], os.getpid()
            if self._idle:
                return self._idle.pop()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        return sqlite3.connect(self._path, timeout=0, isolation_level=None, check_same_thread=False)

    def close(self) -> None:
        """Close what is idle."""
        with self._guard:
            if self._pid == os.getpid():
                while self._idle:
                    self._idle.pop().close()


def _done(connection: sqlite3.Connection, statement: str, deadline: float) -> bool:
    """Run a statement and return True; False where somebody else has the lock and there is time left."""
    try:
        connection.execute(statement).fetchall()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
            raise
        return False
    return True
