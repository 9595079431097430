"""Connections to PostgreSQL that wait for their next use: one shelf of them for threads, one for each event loop."""

from __future__ import annotations

import asyncio
import os
import random
import threading
import time
import weakref
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import psycopg
from psycopg.pq import TransactionStatus

from ..errors import BackendTimeoutError, MemkitError
from ..runtime import run_inline
from .address import Address
from .errors import TooLateError, is_lost, is_passing, translated
from .session import AsyncConnection, Awaited, Blocking, Connection, Session, adapting

R = TypeVar("R")

_PAUSES_S: Final = (0.0, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Waits before the tries after the first, for a server that is just starting again."""
_GRACE_S: Final = 2.0
"""A server that works ends a statement that takes too long by itself; so long after it nobody waits any more."""
_IDLE_S: Final = 600.0
"""Connections beyond the least number that nobody used for so long are closed."""


# ---------------------------------------------------------------------------------------------- the shelf


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What connections are made with, and how many there may be."""

    address: Address
    backend: str
    """The name of the provider, for errors."""
    least: int = 1
    """Connections kept when nothing is going on."""
    most: int = 5
    """Connections at one time; whoever needs one more waits."""
    most_is: str = "maxconn"
    """The setting that `most` comes from, for errors."""
    timeout_s: float = 30.0
    """Seconds for one answer of the server, and for a free connection."""
    prepare: Callable[[Session], Awaitable[None]] | None = None
    """Run on each new connection."""
    pauses_s: Sequence[float] = _PAUSES_S
    """Waits before the tries after the first, where the connection was lost or others stood in the way."""


class Shelf(ABC):
    """Connections that wait for their next use, the last one used first."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self._idle: deque[tuple[float, Any]] = deque()
        self._lent: set[Any] = set()
        self._lock = threading.Lock()
        self._round = 0

    @abstractmethod
    async def take(self) -> tuple[int, Any]:
        """Return a connection and its round; wait while all are in use."""

    @abstractmethod
    def give(self, conn: Any, of_round: int) -> None:
        """Give one back."""

    @abstractmethod
    def session(self, conn: Any) -> Session:
        """Return what runs statements on it."""

    @abstractmethod
    async def sleep(self, seconds: float) -> None:
        """Wait before another try."""

    async def operate(self, work: Callable[[Session], Awaitable[R]]) -> R:
        """Run work that may be repeated, and repeat it where the connection was lost or others stood in the way.

        Raises:
            MemkitError: The driver's error as ours.
        """
        terms = self.terms
        for pause_s in (*terms.pauses_s, None):
            try:
                return await self._once(work)
            except MemkitError:
                # Some of them are `OSError` as well.
                raise
            except (psycopg.Error, TooLateError, OSError) as error:
                if is_lost(error):
                    self.clear()
                if pause_s is None or not is_passing(error):
                    raise translated(error, terms.address.where, terms.backend) from error
                # Not all at once: who stood in each other's way would again.
                await self.sleep(pause_s * random.uniform(0.7, 1.3))
        raise AssertionError("the last try returns or raises")

    async def _once(self, work: Callable[[Session], Awaitable[R]]) -> R:
        of_round, conn = await self.take()
        try:
            return await work(self.session(conn))
        except BaseException as error:
            if isinstance(error, psycopg.Error | TooLateError | OSError) or not isinstance(error, Exception):
                # What is under way cannot be told from what comes next, nor what is prepared from what was skipped.
                conn.pgconn.finish()
            elif conn.info.transaction_status == TransactionStatus.INTRANS:
                with suppress(psycopg.Error, TooLateError, OSError):
                    await self.session(conn).rows("ROLLBACK")
            raise
        finally:
            conn.patience_s = None
            self.give(conn, of_round)

    def clear(self) -> None:
        """Close what waits; what is in use is closed when it comes back."""
        with self._lock:
            self._round += 1
            while self._idle:
                self._idle.pop()[1].pgconn.finish()

    def disown(self) -> None:
        """Leave all connections alone for ever: they are a parent process's, whose sessions would end with them."""
        for conn in [*(conn for _, conn in self._idle), *self._lent]:
            _disowned.append(conn)
            with suppress(OSError, psycopg.Error):
                os.close(conn.pgconn.socket)

    def _taken(self) -> tuple[int, Any]:
        """Return the connection used last, and the number of the round it belongs to."""
        with self._lock:
            conn = self._idle.pop()[1] if self._idle else None
            if conn is not None:
                self._lent.add(conn)
            return self._round, conn

    def _made(self, conn: Any) -> None:
        conn.limit_s = self.terms.timeout_s + _GRACE_S
        with self._lock:
            self._lent.add(conn)

    def _put(self, conn: Any, of_round: int) -> None:
        """Keep a connection for the next, unless it is of no use any more."""
        whole = not conn.closed and conn.info.transaction_status == TransactionStatus.IDLE
        now = time.monotonic()
        with self._lock:
            self._lent.discard(conn)
            if whole and of_round == self._round:
                self._idle.append((now, conn))
                conn = None
            while len(self._idle) > self.terms.least and self._idle[0][0] < now - _IDLE_S:
                self._idle.popleft()[1].pgconn.finish()
        if conn is not None:
            conn.pgconn.finish()

    def _busy(self) -> BackendTimeoutError:
        """Return the error of somebody who waited too long."""
        terms = self.terms
        return BackendTimeoutError(
            f"All {terms.most} connections to PostgreSQL at {terms.address.where} were in use for "
            f"{terms.timeout_s:g} seconds. Raise `{terms.most_is}`.",
            backend=terms.backend,
        )


class _BlockingShelf(Shelf):
    def __init__(self, terms: Terms) -> None:
        super().__init__(terms)
        self._room = threading.BoundedSemaphore(terms.most)

    async def take(self) -> tuple[int, Any]:
        if not self._room.acquire(timeout=self.terms.timeout_s):
            raise self._busy()
        of_round, conn = self._taken()
        if conn is not None:
            return of_round, conn
        try:
            made = Connection.connect(self.terms.address.conninfo, autocommit=True, context=adapting())
            self._made(made)
            try:
                if self.terms.prepare is not None:
                    await self.terms.prepare(Blocking(made))
            except BaseException:
                self._lent.discard(made)
                made.pgconn.finish()
                raise
        except BaseException as error:
            self._room.release()
            # The driver's frames hold the password, and some reports show what is in a frame.
            error.__traceback__ = None
            raise
        return of_round, made

    def give(self, conn: Any, of_round: int) -> None:
        self._put(conn, of_round)
        self._room.release()

    def session(self, conn: Any) -> Session:
        return Blocking(conn)

    async def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class _AwaitedShelf(Shelf):
    def __init__(self, terms: Terms) -> None:
        super().__init__(terms)
        self._room = asyncio.BoundedSemaphore(terms.most)

    async def take(self) -> tuple[int, Any]:
        try:
            async with asyncio.timeout(self.terms.timeout_s):
                await self._room.acquire()
        except TimeoutError:
            raise self._busy() from None
        of_round, conn = self._taken()
        if conn is not None:
            return of_round, conn
        try:
            made = await AsyncConnection.connect(
                self.terms.address.conninfo, autocommit=True, context=adapting()
            )
            self._made(made)
            try:
                if self.terms.prepare is not None:
                    await self.terms.prepare(Awaited(made))
            except BaseException:
                self._lent.discard(made)
                made.pgconn.finish()
                raise
        except BaseException as error:
            self._room.release()
            # The driver's frames hold the password, and some reports show what is in a frame.
            error.__traceback__ = None
            raise
        return of_round, made

    def give(self, conn: Any, of_round: int) -> None:
        self._put(conn, of_round)
        self._room.release()

    def session(self, conn: Any) -> Session:
        return Awaited(conn)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Pools:
    """The connections of one provider: one shelf for threads, and one for each event loop.

    Made without a connection; a forked child makes its own.
    """

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self._begin()
        _pools.add(self)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._blocking: Shelf | None = None
        self._awaited: dict[asyncio.AbstractEventLoop, Shelf] = {}

    def blocking(self) -> Shelf:
        """Return the shelf for threads."""
        if self._blocking is None:
            with self._lock:
                self._blocking = self._blocking or _BlockingShelf(self.terms)
        return self._blocking

    def awaited(self) -> Shelf:
        """Return the shelf of the running event loop."""
        loop = asyncio.get_running_loop()
        shelf = self._awaited.get(loop)
        if shelf is None:
            with self._lock:
                for gone in [other for other in self._awaited if other.is_closed()]:
                    self._awaited.pop(gone).clear()
                shelf = self._awaited[loop] = _AwaitedShelf(self.terms)
        return shelf

    def run(self, work: Callable[[Session], Awaitable[R]]) -> R:
        """Run repeatable work on a blocking connection."""
        return run_inline(self.blocking().operate(work))

    async def arun(self, work: Callable[[Session], Awaitable[R]]) -> R:
        """Run repeatable work on a connection of this event loop."""
        return await self.awaited().operate(work)

    def clear(self) -> None:
        """Close every connection that is not in use, and those that are when they come back."""
        with self._lock:
            for shelf in (self._blocking, *self._awaited.values()):
                if shelf is not None:
                    shelf.clear()

    def forked(self) -> None:
        """Begin anew in a forked child, without touching what belongs to its parent."""
        for shelf in (self._blocking, *self._awaited.values()):
            if shelf is not None:
                shelf.disown()
        self._begin()


_pools: weakref.WeakSet[Pools] = weakref.WeakSet()
_disowned: list[Any] = []


def _after_fork() -> None:
    for pools in list(_pools):
        pools.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
