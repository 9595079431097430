"""Connections to one SQLite file: one that writes, some that read, and what happens after a fork.

A writer never waits in SQLite's own busy handler: it sleeps up to 100 ms a try and starves one of two processes. It
tries again after 0.2 to 2 ms instead, which keeps two processes at half of the commits each.
"""

from __future__ import annotations

import ctypes
import os
import random
import sqlite3
import stat
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Final, Literal, NoReturn, Protocol, TypeVar

from ...errors import BackendUnavailableError, CorruptLedgerError, MemkitError
from .residue import wipe
from .schema import MIGRATIONS, PAGE_SIZE, migrate, schema_version

Synchronous = Literal["FULL", "NORMAL"]
R = TypeVar("R")

_MAX_READERS: Final = 16
"""Idle read connections kept; more are opened when more threads read at once, and closed afterwards."""
_CHECKPOINT_PAGES: Final = 5_000
"""Pages of 8192 bytes in the write-ahead log before it is copied back: about 40 MB."""
_STATEMENTS: Final = 256
_LOG: Final = "-wal"
_SUFFIXES: Final = ("", _LOG, "-shm")
"""Of the file, its log, and the index of the log."""
_VACUUM_IN_MEMORY: Final = 256 << 20
"""Larger files are written anew by way of a temporary file instead of memory."""

# Primary result codes (the low byte), https://www.sqlite.org/rescode.html
_BUSY, _LOCKED, _READONLY, _IOERR, _CORRUPT, _FULL, _CANTOPEN, _NOTADB = 5, 6, 8, 10, 11, 13, 14, 26
_ADVICE: Final = {
    _BUSY: "another process has held the write lock for too long; close it, or try again",
    _LOCKED: "another process has held the write lock for too long; close it, or try again",
    _READONLY: "the file or its folder cannot be written; check its permissions, or give another `path=`",
    _IOERR: "the disk reported an error; check that the volume is mounted and healthy",
    _FULL: "the disk is full; free some space, and try again",
    _CANTOPEN: "the file cannot be opened; check that its folder exists and that you may write there",
}


def error_code(error: sqlite3.Error) -> int:
    """Return the primary result code of a driver error, 0 when it carries none."""
    return int(getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF


def translated(error: sqlite3.Error | OSError, location: str) -> MemkitError | None:
    """Return our error for one of the driver or the system; None when it is a mistake of our own."""
    if isinstance(error, OSError):
        return BackendUnavailableError(
            f"The ledger {location} cannot be reached: {error.strerror or error}. Check the path and its permissions.",
            backend="sqlite",
            retryable=False,
        )
    code = error_code(error)
    if code in (_CORRUPT, _NOTADB):
        return CorruptLedgerError(
            f"The ledger {location} is damaged ({error}). Restore a backup of it, or save what is left with "
            f"`sqlite3 {location} .recover`.",
            backend="sqlite",
        )
    if code in _ADVICE:
        return BackendUnavailableError(
            f"The ledger {location} could not be used ({error}): {_ADVICE[code]}.",
            backend="sqlite",
            retryable=code in (_BUSY, _LOCKED, _FULL),
        )
    return None


def raise_translated(error: sqlite3.Error | OSError, location: str) -> NoReturn:
    """Raise our error for one of the driver or the system, chained to it."""
    ours = translated(error, location)
    if ours is None:
        raise error
    raise ours from error


class OpeningWork(Protocol):
    """What has to be done to a file before it is used."""

    def wanted(self, conn: sqlite3.Connection) -> bool:
        """Return whether a file of the newest schema needs it."""
        ...

    def run(self, conn: sqlite3.Connection) -> None:
        """Do it, inside the write transaction that opens the file."""
        ...


class Database:
    """The connections of one ledger. Everything here may be called from any thread."""

    def __init__(
        self, path: Path | None, *, synchronous: Synchronous, busy_timeout_s: float, opening: OpeningWork
    ) -> None:
        self.path = path
        self.location = ":memory:" if path is None else str(path)
        self._synchronous = synchronous
        self._timeout = busy_timeout_s
        self._work = opening
        self.restart()

    def restart(self) -> None:
        """Begin without connections: at the start, and in a forked child, which must not touch its parent's."""
        self.pid = os.getpid()
        self.opening = threading.RLock()
        self.memory_lock = threading.RLock()
        self.fork_gate = threading.Lock()
        """Held while the file is written: SQLite counts a process's locks in memory, so a child that is forked
        meanwhile would find the write lock held by a connection that nobody has, for ever."""
        self._readers: deque[sqlite3.Connection] = deque()
        self._lent: set[sqlite3.Connection] = set()
        self._writer: sqlite3.Connection | None = None
        self._ready = False
        self._immutable = False
        self._files: Sequence[tuple[int, int]] = ()
        self._generation = 0

    def abandon(self) -> None:
        """Leave a parent's connections alone in a forked child, for ever.

        Closing them would act on the parent's locks and log, so they are never finalised either.
        """
        for conn in (*self._readers, *self._lent, *([self._writer] if self._writer else [])):
            if self.path is not None:
                ctypes.pythonapi.Py_IncRef(ctypes.py_object(conn))
        writer = self._writer
        self.restart()
        if self.path is None and writer is not None:
            self._writer, self._ready = writer, True

    # ------------------------------------------------------------------------------------- opening

    @property
    def ready(self) -> bool:
        """Whether the file has been opened and has the newest schema."""
        return self._ready

    @property
    def writable(self) -> bool:
        """Whether there is a connection that may write."""
        return self._writer is not None

    def open(self, *, create: bool) -> bool:
        """Open and migrate; return whether a ledger is there. Nothing is made unless `create`."""
        if self._ready:
            return True
        with self.opening:
            if self._ready:
                return True
            if self.path is not None and not self._there(self.path):
                if not create:
                    return False
                _make_file(self.path)
            return self._open_writer(create=create)

    def _there(self, path: Path) -> bool:
        try:
            found = path.stat()
        except FileNotFoundError:
            return False
        if not stat.S_ISREG(found.st_mode):
            raise BackendUnavailableError(
                f"The ledger {path} is not a file. Give `path=` a folder, or a file with a suffix such as memory.db.",
                backend="sqlite",
                retryable=False,
            )
        return found.st_size > 0

    def _open_writer(self, *, create: bool) -> bool:
        conn = self._connect(timeout=0.0)
        try:
            # While another process makes the file, even a read may find it locked.
            version = self.retried(lambda: schema_version(conn, self.location))
            if version == 0 and not create:
                conn.close()
                return False
            if version < len(MIGRATIONS) or self.retried(lambda: self._work.wanted(conn)):
                self._prepare(conn, version)
        except sqlite3.Error as error:
            conn.close()
            if not create and error_code(error) in (_READONLY, _CANTOPEN):
                self._open_readonly()
                return True
            raise
        except BaseException:
            conn.close()
            raise
        conn.execute(f"PRAGMA synchronous = {self._synchronous}")
        conn.execute("PRAGMA cache_size = -16000")
        conn.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        conn.execute("PRAGMA secure_delete = ON")
        self._writer = conn
        self._files = () if self.path is None else self._identities()
        self._ready = True
        return True

    def _prepare(self, conn: sqlite3.Connection, version: int) -> None:
        if version == 0:
            conn.execute(f"PRAGMA page_size = {PAGE_SIZE}")
            self.retried(lambda: conn.execute("PRAGMA journal_mode = WAL").fetchone())
        conn.execute("PRAGMA synchronous = FULL")
        conn.execute("PRAGMA secure_delete = ON")
        self.begin(conn)
        try:
            # Another process may have been first: ask again under the lock.
            migrate(conn, schema_version(conn, self.location))
            self._work.run(conn)
            conn.execute("COMMIT")
        except BaseException:
            rollback(conn)
            raise

    def _open_readonly(self) -> None:
        """Serve reads from a file that cannot be written; without a log beside it, it cannot change either."""
        self._immutable = not _size(self._log)
        conn = self._connect_reader()
        try:
            schema_version(conn, self.location)
            self._work.wanted(conn)
        finally:
            self._give_back(conn, self._generation)
        self._ready = True

    def _connect(self, *, timeout: float) -> sqlite3.Connection:
        conn = sqlite3.connect(
            self.location if self.path is None else str(self.path),
            timeout=timeout,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=_STATEMENTS,
        )
        conn.execute("PRAGMA temp_store = MEMORY")
        return conn

    def _connect_reader(self) -> sqlite3.Connection:
        assert self.path is not None
        mode = "?immutable=1" if self._immutable else "?mode=rw"
        conn = sqlite3.connect(
            self.path.absolute().as_uri() + mode,
            uri=True,
            timeout=self._timeout,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=_STATEMENTS,
        )
        conn.execute("PRAGMA temp_store = MEMORY")
        conn.execute("PRAGMA cache_size = -4000")
        conn.execute("PRAGMA query_only = ON")
        return conn

    # ------------------------------------------------------------------------------------- reading

    def alone(self) -> AbstractContextManager[object]:
        """Keep forks off while something is written, and readers too where a ledger in memory has one connection."""
        return self.memory_lock if self.path is None else self.fork_gate

    @contextmanager
    def reader(self) -> Generator[sqlite3.Connection]:
        """Lend a connection to read with; in memory it is the only one, under its lock."""
        if self.path is None:
            with self.memory_lock:
                yield self.writer()
            return
        generation = self._generation
        try:
            conn = self._readers.pop()
        except IndexError:
            conn = self._connect_reader()
        try:
            self._lent.add(conn)
            yield conn
        finally:
            self._lent.discard(conn)
            self._give_back(conn, generation)

    def _give_back(self, conn: sqlite3.Connection, generation: int) -> None:
        if generation == self._generation and len(self._readers) < _MAX_READERS:
            self._readers.append(conn)
        else:
            conn.close()

    # ------------------------------------------------------------------------------------- writing

    def writer(self) -> sqlite3.Connection:
        """Return the one connection that writes; only the holder of `alone()` may use it.

        A ledger that was closed since the write was asked for opens again.

        Raises:
            BackendUnavailableError: The file could be opened for reading only.
        """
        if self._writer is None:
            self.open(create=True)
        if self._writer is None:
            raise BackendUnavailableError(
                f"The ledger {self.location} could not be used (it was opened for reading only): "
                f"{_ADVICE[_READONLY]}.",
                backend="sqlite",
                retryable=False,
            )
        return self._writer

    def begin(self, conn: sqlite3.Connection) -> None:
        """Take the write lock, waiting fairly for other processes.

        Raises:
            BackendUnavailableError: The file or its log was deleted or replaced meanwhile: nobody would find what is
                written now.
        """
        if self._files and conn is self._writer and (now := self._identities()) != self._files:
            name = next(s for s, a, b in zip(_SUFFIXES, now, self._files, strict=True) if a != b)
            raise BackendUnavailableError(
                f"The ledger {self.location}{name} was deleted, moved or replaced while it was open; nothing was "
                "written. Put it back, or close this memory and open it again.",
                backend="sqlite",
                retryable=False,
            )
        try:
            conn.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            self.retried(lambda: conn.execute("BEGIN IMMEDIATE"))

    @property
    def _log(self) -> Path:
        return Path(self.location + _LOG)

    def _identities(self) -> Sequence[tuple[int, int]]:
        """Return what tells the file, its log and the log's index from any others."""
        return [_identity(self.location + suffix) for suffix in _SUFFIXES]

    def retried(self, work: Callable[[], R], *, deadline: float | None = None) -> R:
        """Do something that may find the file locked, again and again until the timeout."""
        deadline = time.monotonic() + self._timeout if deadline is None else deadline
        while True:
            try:
                return work()
            except sqlite3.OperationalError as error:
                if error_code(error) not in (_BUSY, _LOCKED) or time.monotonic() >= deadline:
                    raise
                time.sleep(random.uniform(0.0002, 0.002))

    # ------------------------------------------------------------------------------------- scrubbing

    def scrub(self, wait_s: float, finish: Callable[[sqlite3.Connection], object]) -> bool:
        """Zero what rows left on their pages, empty the log, and let `finish` write that it is done.

        Returns False when others kept the file in use for `wait_s` seconds. Other processes wait no longer than it
        takes to read the file once.
        """
        deadline = time.monotonic() + wait_s
        conn = self._connect(timeout=0.0)
        try:
            conn.execute("PRAGMA secure_delete = ON")
            if not self._begin_on_empty_log(conn, deadline):
                return False
            assert self.path is not None
            if not _mostly_free(conn) and wipe(self.path):
                # The pages that others hold in memory are of no use to them after this commit.
                finish(conn)
                conn.execute("COMMIT")
                return True
            conn.execute("ROLLBACK")
            return self._vacuum(conn, deadline, finish)
        except sqlite3.OperationalError as error:
            if error_code(error) in (_BUSY, _LOCKED):
                return False
            raise
        finally:
            rollback(conn)
            conn.close()

    def _begin_on_empty_log(self, conn: sqlite3.Connection, deadline: float) -> bool:
        """Take the write lock at a moment when the log is empty; False when it is in use until the deadline."""
        while True:
            if self._emptied_log(conn, deadline):
                self.retried(lambda: conn.execute("BEGIN IMMEDIATE"), deadline=deadline)
                if not _size(self._log):
                    return True
                conn.execute("ROLLBACK")
            if time.monotonic() >= deadline:
                return False

    def _emptied_log(self, conn: sqlite3.Connection, deadline: float) -> bool:
        while conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
            if time.monotonic() >= deadline:
                return False
            time.sleep(random.uniform(0.0002, 0.002))
        return True

    def _vacuum(
        self, conn: sqlite3.Connection, deadline: float, finish: Callable[[sqlite3.Connection], object]
    ) -> bool:
        """Write every page anew: slower, but the file gets smaller, and nothing is needed of the system below."""
        assert self.path is not None
        if self.path.stat().st_size > _VACUUM_IN_MEMORY:
            conn.execute("PRAGMA temp_store = FILE")
        self.retried(lambda: conn.execute("VACUUM"), deadline=deadline)
        if not self._emptied_log(conn, deadline):
            return False
        self.retried(lambda: finish(conn), deadline=deadline)
        return True

    # ------------------------------------------------------------------------------------- closing

    def close(self) -> None:
        """Close every connection; one that reads closes when it is given back, the writing one after its commit."""
        with self.alone(), self.opening:
            self._generation += 1
            self._ready = False
            with suppress(IndexError):
                while True:
                    self._readers.pop().close()
            if self._writer is not None:
                self._writer.close()
                self._writer = None

    def file_size(self) -> int | None:
        """Return the bytes of the file and its log, None in memory."""
        return None if self.path is None else _size(self.path) + _size(self._log)


def rollback(conn: sqlite3.Connection) -> None:
    """End the open transaction, if there is one, without its changes."""
    if conn.in_transaction:
        conn.execute("ROLLBACK")


def _size(path: Path) -> int:
    """Return the bytes of a file, 0 where there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _identity(path: str) -> tuple[int, int]:
    """Return what tells the file at a path from any other, zeros where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return (0, 0)
    return (found.st_dev, found.st_ino)


def _mostly_free(conn: sqlite3.Connection) -> bool:
    free, pages = (conn.execute(f"PRAGMA {name}").fetchone()[0] for name in ("freelist_count", "page_count"))
    return 2 * free > pages


def _make_file(path: Path) -> None:
    """Make an empty file only its owner may read, in folders likewise (where the platform has modes)."""
    missing: list[Path] = []
    folder = path.parent
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for folder in reversed(missing):
        folder.mkdir(mode=0o700, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
