"""A connection to PostgreSQL that runs statements, blocking or awaited: few round trips, and waiting that has an end.

What runs on one is written once as `async def` over a `Session`. The session of a blocking connection never suspends,
so that `run_inline` drives it; that of an awaited one belongs to one event loop.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Generator, Sequence
from typing import Any, Final, TypeVar, cast

import psycopg
from psycopg.adapt import AdaptersMap
from psycopg.types.numeric import Int8BinaryDumper, Int8Dumper
from psycopg.types.string import StrBinaryDumper, StrDumper, StrDumperUnknown, TextBinaryLoader

from .errors import TooLateError
from .wire import Wire, WireDumper

R = TypeVar("R")
Row = tuple[Any, ...]
Statement = tuple[str, Sequence[Any]]

_COPIED: Final = 64
"""From so many rows on they are copied rather than inserted."""

# ------------------------------------------------------------------------------------------------- texts

_NUL: Final = "\x00"
_MARK: Final = "\x01"


def _coded(text: str) -> str:
    """Return a text without NUL, which PostgreSQL refuses: reversible, and as it sorts among others."""
    if _NUL in text or _MARK in text:
        return text.replace(_MARK, "\x01\x02").replace(_NUL, "\x01\x01")
    return text


class _Str(StrDumper):
    def dump(self, obj: str) -> Any:
        return super().dump(_coded(obj))


class _StrUnknown(StrDumperUnknown):
    def dump(self, obj: str) -> Any:
        return super().dump(_coded(obj))


class _StrBinary(StrBinaryDumper):
    def dump(self, obj: str) -> Any:
        return super().dump(_coded(obj))


class _TextBinary(TextBinaryLoader):
    def load(self, data: Any) -> Any:
        text = cast("str", super().load(data))
        return _decoded(text) if _MARK in text else text


class _Utf8Binary(TextBinaryLoader):
    """The same where the encoding is known, at less than half the time: reading is mostly reading texts."""

    def load(self, data: Any) -> Any:
        text = str(data, "utf-8")
        return _decoded(text) if _MARK in text else text


def _decoded(text: str) -> str:
    return text.replace("\x01\x01", _NUL).replace("\x01\x02", _MARK)


def coded(adapters: AdaptersMap, *, utf8: bool = False) -> AdaptersMap:
    """Have the driver write and read texts that may hold NUL, and return its ways of doing so.

    With `utf8` the connections are in that encoding.
    """
    # The last one is the first that is tried. Numbers are of one type, so that a statement is prepared once.
    for dumper in (_StrBinary, _Str, _StrUnknown):
        adapters.register_dumper(str, dumper)
    for number in (Int8Dumper, Int8BinaryDumper):
        adapters.register_dumper(int, number)
    adapters.register_loader("text", _Utf8Binary if utf8 else _TextBinary)
    # Here, not where it is used: connections copy what is registered when the first of them is made.
    adapters.register_dumper(Wire, WireDumper)
    return adapters


class _Context:
    """What the driver asks for the adapters of a new connection."""

    def __init__(self) -> None:
        self.adapters = coded(AdaptersMap(psycopg.adapters), utf8=True)
        self.connection = None


# ---------------------------------------------------------------------------------------------- sessions


class Session(ABC):
    """One connection, in autocommit, that answers in binary.

    In a transaction, statements without an answer wait for the next one that has one: few round trips.
    """

    _within = False
    _waiting: list[Statement]
    _nothing_yet = 0

    async def begin(self, how: str = "", *first: Statement) -> None:
        """Begin a transaction, and run these statements first in it."""
        self._within = True
        self._waiting = [(f"BEGIN {how}", ()), *first]
        self._nothing_yet = len(self._waiting)

    async def commit(self) -> None:
        """End the transaction; one in which nothing was run costs nothing."""
        if len(self._waiting) != self._nothing_yet:
            await self.together([("COMMIT", ())])
        self._within, self._waiting = False, []

    async def rows(self, sql: str, args: Sequence[Any] = ()) -> list[Row]:
        """Run one statement and return its rows."""
        if self._within and self._waiting:
            return (await self.together([(sql, args)]))[0]
        return await self._rows(sql, args)

    async def row(self, sql: str, args: Sequence[Any] = ()) -> Row | None:
        """Run one statement and return its first row."""
        rows = await self.rows(sql, args)
        return rows[0] if rows else None

    async def one(self, sql: str, args: Sequence[Any] = ()) -> Any:
        """Run one statement and return the first column of its first row, None when there is none."""
        row = await self.row(sql, args)
        return None if row is None else row[0]

    async def run(self, sql: str, args: Sequence[Any] = ()) -> int:
        """Run one statement and return how many rows it touched."""
        if self._within and self._waiting:
            await self.together([])
        return await self._run(sql, args)

    async def together(self, statements: Sequence[Statement]) -> list[list[Row]]:
        """Run statements in one round trip and return the rows of each."""
        if not self._within:
            return await self._together(statements)
        waiting, self._waiting, self._nothing_yet = self._waiting, [], -1
        return (await self._together([*waiting, *statements]))[len(waiting) :]

    async def later(self, *statements: Statement) -> None:
        """Run statements whose answers nobody needs."""
        if self._within:
            self._waiting += statements
        elif statements:
            await self._together(statements)

    async def many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run one statement once for each row of arguments."""
        await self.later(*((sql, row) for row in rows))

    async def insert(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Insert rows; many of them by a copy."""
        if len(rows) >= _COPIED:
            if self._within and self._waiting:
                await self.together([])
            await self._copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN", rows)
        elif rows:
            await self.later(insertion(table, columns, rows))

    @abstractmethod
    async def _rows(self, sql: str, args: Sequence[Any]) -> list[Row]: ...

    @abstractmethod
    async def _run(self, sql: str, args: Sequence[Any]) -> int: ...

    @abstractmethod
    async def _together(self, statements: Sequence[Statement]) -> list[list[Row]]: ...

    @abstractmethod
    async def _copy(self, sql: str, rows: Sequence[Sequence[Any]]) -> None: ...

    @abstractmethod
    def patience(self, seconds: float | None) -> None:
        """Wait so long for each answer; None: as long as for any other."""


def insertion(table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], more: str = "") -> Statement:
    """Return one statement that inserts rows; `more` comes after the values."""
    marks = "(" + ",".join(["%s"] * len(columns)) + ")"
    sql = f"INSERT INTO {table} ({', '.join(columns)}) VALUES {','.join([marks] * len(rows))}{more}"
    return sql, [value for row in rows for value in row]


class Blocking(Session):
    """The session of a blocking connection."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    def patience(self, seconds: float | None) -> None:
        """Wait so long for each answer."""
        self._conn.patience_s = seconds

    async def _rows(self, sql: str, args: Sequence[Any]) -> list[Row]:
        cursor = self._conn.execute(sql.encode(), args or None, binary=True)
        return cursor.fetchall() if cursor.description else []

    async def _run(self, sql: str, args: Sequence[Any]) -> int:
        return self._conn.execute(sql.encode(), args or None).rowcount

    async def _together(self, statements: Sequence[Statement]) -> list[list[Row]]:
        conn = self._conn
        with conn.pipeline():
            cursors = [conn.execute(sql.encode(), args or None, binary=True) for sql, args in statements]
        return [cursor.fetchall() if cursor.description else [] for cursor in cursors]

    async def _copy(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        with self._conn.cursor() as cursor, cursor.copy(sql.encode()) as copy:
            for row in rows:
                copy.write_row(row)


class Awaited(Session):
    """The session of an awaited connection."""

    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn

    def patience(self, seconds: float | None) -> None:
        """Wait so long for each answer."""
        self._conn.patience_s = seconds

    async def _rows(self, sql: str, args: Sequence[Any]) -> list[Row]:
        cursor = await self._conn.execute(sql.encode(), args or None, binary=True)
        return await cursor.fetchall() if cursor.description else []

    async def _run(self, sql: str, args: Sequence[Any]) -> int:
        return (await self._conn.execute(sql.encode(), args or None)).rowcount

    async def _together(self, statements: Sequence[Statement]) -> list[list[Row]]:
        conn = self._conn
        async with conn.pipeline():
            cursors = [
                await conn.execute(sql.encode(), args or None, binary=True) for sql, args in statements
            ]
        return [await cursor.fetchall() if cursor.description else [] for cursor in cursors]

    async def _copy(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        async with self._conn.cursor() as cursor, cursor.copy(sql.encode()) as copy:
            for row in rows:
                await copy.write_row(row)


def _limited(gen: Generator[Any, Any, R], limit_s: float) -> Generator[Any, Any, R]:
    """Drive a generator of the driver, which is told now and then that nothing came, until the time is over."""
    end, ready = time.monotonic() + limit_s, None
    while True:
        try:
            wanted = gen.send(ready)
        except StopIteration as done:
            return cast("R", done.value)
        ready = yield wanted
        if not ready and time.monotonic() > end:
            raise TooLateError(f"nothing came for {limit_s:g} seconds")


class Connection(psycopg.Connection[Row]):
    """A connection on which waiting has an end, even where the server hangs."""

    _pool = None  # so that the driver does not warn of what ends with the process
    limit_s: float = 60.0
    patience_s: float | None = None

    def wait(self, gen: Any, *args: Any, **kwargs: Any) -> Any:
        """Wait for the server, as long as anybody wants."""
        return super().wait(_limited(gen, self.patience_s or self.limit_s), *args, **kwargs)


class AsyncConnection(psycopg.AsyncConnection[Row]):
    """The same, awaited."""

    _pool = None
    limit_s: float = 60.0
    patience_s: float | None = None

    async def wait(self, gen: Any, *args: Any, **kwargs: Any) -> Any:
        """Wait for the server, as long as anybody wants."""
        return await super().wait(_limited(gen, self.patience_s or self.limit_s), *args, **kwargs)


_contexts: list[_Context] = []


def adapting() -> Any:
    """Return what the driver asks for the adapters of a new connection."""
    if not _contexts:
        _contexts.append(_Context())
    return _contexts[0]
