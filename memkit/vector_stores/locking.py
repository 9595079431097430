"""A lock that many readers or one writer hold, across threads and processes, on every platform."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from memkit.errors import BackendUnavailableError


class SharedLock:
    """A lock on a file: SQLite's own, so it ends with the process that holds it.

    It is not re-entrant. The file holds nothing and must not be deleted while in use.
    """

    def __init__(self, path: Path, *, backend: str, timeout_s: float = 60.0) -> None:
        self._backend = backend
        self._path, self._timeout_s = path, timeout_s
        self._guard = Lock()
        self._idle: list[sqlite3.Connection] = []
        self._left: list[sqlite3.Connection] = []
        self._pid = os.getpid()

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
        connection = None
        try:
            connection = self._take()
            for statement in statements:
                connection.execute(statement).fetchall()
        except (sqlite3.Error, OSError) as error:
            if connection is not None:
                connection.close()
            raise BackendUnavailableError(
                f"The lock {self._path} cannot be had: {error}.", backend=self._backend
            ) from error
        try:
            yield
        finally:
            if self._pid == os.getpid():
                connection.execute("ROLLBACK")
                with self._guard:
                    self._idle.append(connection)

    def _take(self) -> sqlite3.Connection:
        with self._guard:
            if self._pid != os.getpid():
                # A forked child must not touch its parent's connections, not even close them.
                self._left, self._idle, self._pid = self._idle, [], os.getpid()
            if self._idle:
                return self._idle.pop()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        return sqlite3.connect(
            self._path, timeout=self._timeout_s, isolation_level=None, check_same_thread=False
        )

    def close(self) -> None:
        """Close what is idle."""
        with self._guard:
            if self._pid == os.getpid():
                while self._idle:
                    self._idle.pop().close()
