"""What every part of the SQLite ledger stands on: reads in a snapshot, writes through the commit queue."""

from __future__ import annotations

import os
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ..base import Ledger, Record
from ..packing import Packing, State, matrix_of
from ..rows import RECORD_SELECT, record_of
from .commit import Committer
from .connections import Database, Synchronous, raise_translated
from .schema import schema_version
from .words import Book, Head

if TYPE_CHECKING:
    from ..base import Matrix

R = TypeVar("R")
_CHUNK: Final = 512

LEDGERS: weakref.WeakSet[SqliteBase] = weakref.WeakSet()


class SqliteBase(Ledger):
    """Connections, the commit queue, and the two ways to use them."""

    name = "sqlite"

    def __init__(
        self,
        path: Path | None,
        *,
        tokenize: Callable[[str], Sequence[str]],
        tokenizer_version: str,
        vector_kind: Packing | None = None,
        synchronous: Synchronous = "FULL",
        busy_timeout_s: float = 30.0,
        on_step: Callable[[str], None] | None = None,
    ) -> None:
        self.persistent = path is not None
        self._packing: Packing | None = vector_kind
        self._book = Book(tokenize=tokenize, tokenizer_version=tokenizer_version)
        self._db = Database(path, synchronous=synchronous, busy_timeout_s=busy_timeout_s, opening=self)
        self._step: Callable[[str], None] = on_step or _no_step
        self._committer = Committer(self._db, on_step=self._step)
        self._head: tuple[object, Head] | None = None
        """Where the file stood after the last batch, and by what to know whether it still does."""
        self._workers: set[str] = set()
        self._unreleased: dict[str, tuple[str | None, bool]] = {}
        """Jobs to give back with their error, and whether they wait for anyone, once the file can be written."""
        LEDGERS.add(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._db.location!r})"

    # ------------------------------------------------------------------------------------- opening work

    def wanted(self, conn: sqlite3.Connection) -> bool:
        """Read what the file says of itself; return whether it wants more than that before it is used."""
        self._book.read(conn)
        return conn.execute("SELECT tokenizer FROM state").fetchone()[0] != self._book.tokenizer_version

    def run(self, conn: sqlite3.Connection) -> None:
        """Bring the keyword index to this tokenizer, inside the transaction that opens the file."""
        from .words import rebuild_words

        self._book.read(conn)
        if conn.execute("SELECT tokenizer FROM state").fetchone()[0] != self._book.tokenizer_version:
            rebuild_words(conn, self._book)

    @property
    def opened(self) -> bool:
        """Whether the file is open in this process."""
        return self._db.ready and self._db.pid == os.getpid()

    def open(self, *, create: bool = True) -> bool:
        """Open, migrate, and return whether a ledger is there; `create=False` never makes one."""
        if self._db.pid != os.getpid():
            self.forked()
        if self._db.ready:
            return True
        try:
            there = self._db.open(create=create)
        except (sqlite3.Error, OSError) as error:
            raise_translated(error, self._db.location)
        if there:
            self._opened()
        return there

    def _opened(self) -> None:
        """Finish what an earlier process left unfinished."""

    @property
    def fork_gate(self) -> threading.Lock:
        """Closed while this process writes to the file."""
        return self._db.fork_gate

    def forked(self) -> None:
        """Begin anew in a forked child, without touching what belongs to its parent."""
        if self._db.pid == os.getpid():
            return
        self._db.abandon()
        self._committer.restart()
        self._head = None
        self._workers = set()

    @property
    def file_in_use(self) -> Path | None:
        """The file, while there are connections to it."""
        return self._db.path if self._db.ready else None

    # ------------------------------------------------------------------------------------- access

    def _read(self, work: Callable[[sqlite3.Connection], R], empty: R) -> R:
        """Run work in one read transaction; return `empty` while there is no ledger."""
        if not self.open(create=False):
            return empty
        try:
            with self._db.reader() as conn:
                if conn.in_transaction:
                    return work(conn)
                try:
                    conn.execute("BEGIN")
                    return work(conn)
                finally:
                    # Interrupted or not: a snapshot that stays open would be old news to whoever reads next.
                    if conn.in_transaction:
                        conn.execute("COMMIT")
        except sqlite3.Error as error:
            raise_translated(error, self._db.location)

    def _read_one(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
        """Return the first row of one statement, which is a snapshot by itself; None without a ledger."""
        if not self.open(create=False):
            return None
        try:
            with self._db.reader() as conn:
                return conn.execute(sql, parameters).fetchone()
        except sqlite3.Error as error:
            raise_translated(error, self._db.location)

    def _read_all(self, sql: str, parameters: Sequence[Any]) -> list[Any]:
        """Return the rows of one statement, which is a snapshot by itself; none without a ledger."""
        if not self.open(create=False):
            return []
        try:
            with self._db.reader() as conn:
                return conn.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise_translated(error, self._db.location)

    def _write(self, work: Callable[[sqlite3.Connection], R]) -> R:
        """Run work in one durable write transaction."""
        self.open(create=True)
        try:
            return self._committer.run(lambda conn: work(self._known(conn)))
        except sqlite3.Error as error:
            raise_translated(error, self._db.location)

    def _known(self, conn: sqlite3.Connection) -> sqlite3.Connection:
        """Return the connection that writes, if the rows of its file are still those known here.

        Raises:
            ConfigurationError: A newer memkit gave the file a newer schema meanwhile.
        """
        schema_version(conn, self._db.location)
        return conn

    # ------------------------------------------------------------------------------------- shared reads

    def _records_of(self, conn: sqlite3.Connection, rows: Sequence[Any]) -> list[Record]:
        book, salt = self._book, self._book.salt
        return [record_of(row, book.owner(conn, row[2]), salt) for row in rows]

    def _rows_by(self, conn: sqlite3.Connection, name: str, keys: Sequence[Any]) -> list[Any]:
        """Return `RECORD_SELECT` rows whose column `name` is one of the keys, in no order."""
        rows: list[Any] = []
        for part, marks in chunks(keys):
            rows.extend(conn.execute(RECORD_SELECT + f"WHERE record.{name} IN ({marks})", part).fetchall())
        return rows

    def _vectors_of(self, conn: sqlite3.Connection, state: State, rids: Sequence[int]) -> Matrix | None:
        """Return the vectors of live records by rid, sorted ascending."""
        if not rids:
            return None
        count, low, high = len(rids), rids[0], rids[-1]
        if count > _CHUNK and high - low < 4 * count:
            rows = conn.execute(
                "SELECT rid, e FROM vec WHERE rid BETWEEN ? AND ? AND gen = ?", (low, high, state.gen)
            )
            return matrix_of(state, rids, dict(rows.fetchall()))
        found: dict[int, bytes] = {}
        for part, marks in chunks(rids):
            sql = f"SELECT rid, e FROM vec WHERE rid IN ({marks}) AND gen = ?"
            found.update(conn.execute(sql, (*part, state.gen)).fetchall())
        return matrix_of(state, rids, found)


def chunks(keys: Sequence[Any]) -> Iterator[tuple[Sequence[Any], str]]:
    """Yield keys with their question marks, padded to few lengths so that few statements are kept."""
    for start in range(0, len(keys), _CHUNK):
        part = list(keys[start : start + _CHUNK])
        size = 1
        while size < len(part):
            size *= 2
        part.extend(part[-1:] * (size - len(part)))
        yield part, ",".join("?" * size)


def _no_step(name: str) -> None:
    """Do nothing at a step of a write; tests stop a process here."""


_FORK_WAIT_S: Final = 10.0
_held: list[threading.Lock] = []
"""Gates that are closed while a fork is under way."""


def _before_fork() -> None:
    for ledger in list(LEDGERS):
        gate = ledger.fork_gate
        if gate.acquire(timeout=_FORK_WAIT_S):
            _held.append(gate)


def _after_fork_in_parent() -> None:
    while _held:
        _held.pop().release()


def _after_fork() -> None:
    _held.clear()
    for ledger in list(LEDGERS):
        ledger.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork
    )
