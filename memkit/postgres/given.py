"""A pool of connections that somebody else made: used, and neither configured nor closed."""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from psycopg.pq import TransactionStatus

from .pool import Pools, Shelf, Terms
from .session import Row, Session, Statement, coded

if TYPE_CHECKING:
    import psycopg
    from psycopg_pool import ConnectionPool

R = TypeVar("R")


class _GivenSession(Session):
    """Statements on a connection whose texts are written as on ours."""

    def __init__(self, conn: psycopg.Connection[Any]) -> None:
        self._conn = conn

    def _cursor(self, sql: str, args: Sequence[Any]) -> psycopg.Cursor[Any]:
        cursor = self._conn.cursor(binary=True)
        coded(cursor.adapters)
        return cursor.execute(sql.encode(), args or None)

    async def _rows(self, sql: str, args: Sequence[Any]) -> list[Row]:
        with self._cursor(sql, args) as cursor:
            return cursor.fetchall() if cursor.description else []

    async def _run(self, sql: str, args: Sequence[Any]) -> int:
        with self._cursor(sql, args) as cursor:
            return cursor.rowcount

    async def _together(self, statements: Sequence[Statement]) -> list[list[Row]]:
        return [await self._rows(sql, args) for sql, args in statements]

    async def _copy(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        with self._conn.cursor() as cursor:
            coded(cursor.adapters)
            with cursor.copy(sql.encode()) as copy:
                for row in rows:
                    copy.write_row(row)

    def patience(self, seconds: float | None) -> None:
        """Leave it as it is: how long to wait is the owner's matter."""


class _GivenShelf(Shelf):
    def __init__(self, terms: Terms, pool: ConnectionPool[Any]) -> None:
        super().__init__(terms)
        self._pool = pool
        self._prepared: weakref.WeakSet[psycopg.Connection[Any]] = weakref.WeakSet()

    async def take(self) -> tuple[int, Any]:
        conn = self._pool.getconn(timeout=self.terms.timeout_s)
        try:
            if self.terms.prepare is not None and conn not in self._prepared:
                await self.terms.prepare(_GivenSession(conn))
                self._prepared.add(conn)
        except BaseException:
            self._pool.putconn(conn)
            raise
        return 0, conn

    def give(self, conn: Any, of_round: int) -> None:  # noqa: ARG002 (the pool's own connections have no rounds)
        try:
            if not conn.closed and conn.info.transaction_status == TransactionStatus.INTRANS:
                conn.commit()
        finally:
            self._pool.putconn(conn)

    def session(self, conn: Any) -> Session:
        return _GivenSession(conn)

    async def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class GivenPools(Pools):
    """The connections of a `psycopg_pool.ConnectionPool`; under an event loop they are used in threads."""

    def __init__(self, terms: Terms, pool: ConnectionPool[Any]) -> None:
        self._pool = pool
        super().__init__(terms)

    def blocking(self) -> Shelf:
        """Return the shelf that stands for the pool."""
        if self._blocking is None:
            self._blocking = _GivenShelf(self.terms, self._pool)
        return self._blocking

    async def arun(self, work: Callable[[Session], Awaitable[R]]) -> R:
        """Run repeatable work in a thread."""
        return await asyncio.to_thread(self.run, work)
