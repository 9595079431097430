"""Group commit: whoever gets the lock commits everything that waits, with one fsync for all.

A lone writer runs its work in its own thread with no hop. Work that arrives meanwhile queues up and is committed
together, a savepoint each, so that one that fails harms no other. Async callers await a future; a thread of the
ledger's own writes for them, so that no event loop ever waits for the disk.

A thread may be interrupted (Ctrl-C) at any call and at any turn of a loop: whoever leads then still hands the lead
over, and tells those whose work is done. What has to happen together stands in lines without a call.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast

from ...lane import give_way
from .connections import Database, rollback

if TYPE_CHECKING:
    import asyncio

R = TypeVar("R")
Work = Callable[[sqlite3.Connection], R]

_MAX_GROUP: Final = 256


class _Ticket(Generic[R]):
    """One piece of work, and the thread that waits for it."""

    __slots__ = ("done", "error", "gate", "gone", "group", "value", "work")

    def __init__(self, work: Work[R]) -> None:
        self.work = work
        self.gate: threading.Lock | None = None
        """What its thread waits for; None for one that leads, and one that was told."""
        self.group: Sequence[_Ticket[Any]] = ()
        """What is committed with it, while it leads."""
        self.value: R | None = None
        self.error: BaseException | None = None
        self.done = False
        self.gone = False
        """Whether nobody waits for it any more."""

    def cancelled(self) -> bool:
        return self.gone

    def result(self) -> R:
        if self.error is not None:
            raise self.error
        return cast("R", self.value)


class _AsyncTicket(_Ticket[R]):
    """A ticket whose caller awaits a future."""

    __slots__ = ("future", "loop")

    def __init__(self, work: Work[R], loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(work)
        self.loop = loop
        self.future: asyncio.Future[R] = loop.create_future()

    def cancelled(self) -> bool:
        return self.gone or self.future.cancelled()

    def deliver(self) -> None:
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(cast("R", self.value))


def _tell(done: Sequence[_Ticket[Any]]) -> None:
    """Tell all who wait; those of one event loop together, as each call of it costs it a turn."""
    of_loops: dict[asyncio.AbstractEventLoop, list[_AsyncTicket[Any]]] = {}
    for ticket in done:
        if isinstance(ticket, _AsyncTicket):
            of_loops.setdefault(ticket.loop, []).append(ticket)
            continue
        gate, ticket.gate = ticket.gate, None
        if gate is not None:
            gate.release()
    for loop, tickets in of_loops.items():
        try:
            loop.call_soon_threadsafe(_deliver, tickets)
        except RuntimeError:
            continue  # The loop is closed: nobody waits any more.


def _deliver(tickets: Sequence[_AsyncTicket[Any]]) -> None:
    for ticket in tickets:
        ticket.deliver()


class Committer:
    """Runs work on the writing connection, each piece whole or not at all."""

    def __init__(self, database: Database, *, on_step: Callable[[str], None]) -> None:
        self._database = database
        self._on_step = on_step
        self.restart()

    def restart(self) -> None:
        """Begin with an empty queue: at the start and in a forked child."""
        self._mutex = threading.Lock()
        self._pending: list[_Ticket[Any]] = []
        self._leader: _Ticket[Any] | None = None
        self._thread: ThreadPoolExecutor | None = None
        self.undone = 0
        """How often something was taken back: what its work remembers of the file holds no more."""

    def close(self) -> None:
        """Let the writing thread end when it has done what waits."""
        with self._mutex:
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.shutdown(wait=True)

    def run(self, work: Work[R]) -> R:
        """Run work in a durable transaction and return its value; nothing of it stays when it raises."""
        ticket = _Ticket(work)
        gate: threading.Lock | None = None
        try:
            with self._mutex:
                if self._leader is None:
                    self._leader = ticket
                else:
                    gate = threading.Lock()
                    gate.acquire()
                    ticket.gate = gate
                    self._pending.append(ticket)
            if gate is not None:
                gate.acquire()
            if self._leader is ticket:
                self._lead(ticket)
        except BaseException:
            self._leave(ticket)
            raise
        return ticket.result()

    async def arun(self, work: Work[R]) -> R:
        """Run work like `run`, without ever blocking the event loop."""
        import asyncio

        ticket = _AsyncTicket(work, asyncio.get_running_loop())
        try:
            with self._mutex:
                if self._leader is None:
                    self._writing_thread().submit(self._lead, ticket)
                    self._leader = ticket
                else:
                    self._pending.append(ticket)
        except BaseException:
            self._leave(ticket)
            raise
        return await ticket.future

    def _leave(self, ticket: _Ticket[Any]) -> None:
        """Leave the queue of one that was interrupted, or pass on the lead that it has."""
        while True:
            try:
                ticket.gone = True
                self._hand_over(ticket)
            except KeyboardInterrupt:
                continue  # The first one is on its way to the caller.
            return

    def _writing_thread(self) -> ThreadPoolExecutor:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="memkit-writer")
        return self._thread

    def _lead(self, first: _Ticket[Any]) -> None:
        """Commit the first ticket and all that wait, then hand the lead over."""
        try:
            with self._mutex:
                if self._leader is not first:
                    return
                first.group = [first, *self._pending[: _MAX_GROUP - 1]]
                del self._pending[: _MAX_GROUP - 1]
            with self._database.alone():
                self._commit([ticket for ticket in first.group if not ticket.cancelled()])
        except BaseException as error:
            first.error = first.error or error
            first.done = True
            if not isinstance(error, Exception):
                raise
        finally:
            self._hand_over(first)

    def _hand_over(self, first: _Ticket[Any]) -> None:
        """Let the next lead, if this one does, and tell those of its group that are done; may be repeated."""
        with self._mutex:
            if self._leader is first:
                # Whoever was in the group and is not done goes back to the head of the queue.
                both = (*first.group, *self._pending)
                waiting = [each for each in both if not each.done and not each.cancelled()]
                following = waiting[0] if waiting else None
                if isinstance(following, _AsyncTicket):
                    self._writing_thread().submit(self._lead, following)
                done = [each for each in first.group if each.done]
                # From here to the release nothing is called, so that nothing can come between.
                self._pending = waiting[1:]
                self._leader, first.group = following, done
                if following is not None and following.gate is not None:
                    gate, following.gate = following.gate, None
                    gate.release()
        _tell(first.group)

    def _commit(self, group: Sequence[_Ticket[Any]]) -> None:
        if len(group) == 1:
            self._alone(group[0])
        elif group and not self._together(group):
            # The whole transaction failed: find out whose fault it was, one by one.
            for ticket in group:
                self._alone(ticket)

    def _alone(self, ticket: _Ticket[Any]) -> None:
        ending = False
        try:
            conn = self._database.writer()
            try:
                self._database.begin(conn)
                self._on_step("begin")
                ticket.value = ticket.work(conn)
                self._on_step("commit")
                ending = True
                conn.execute("COMMIT")
                ticket.done = True
                self._on_step("committed")
            except BaseException as error:
                ticket.done = ending and _is_written(conn, error)
                self._undo(conn)
                raise
        except Exception as error:  # noqa: BLE001 - raised again where the ticket's caller waits
            ticket.error = error
            ticket.done = True

    def _together(self, group: Sequence[_Ticket[Any]]) -> bool:
        """Commit all in one transaction; False when the transaction itself failed and nothing was written."""
        conn = self._database.writer()
        ending = False
        outcomes: list[tuple[Any, Exception | None]] = []
        try:
            self._database.begin(conn)
            self._on_step("begin")
            outcomes = [self._within(conn, ticket) for ticket in group]
            self._on_step("commit")
            ending = True
            conn.execute("COMMIT")
            _mark(group, outcomes)
            self._on_step("committed")
        except sqlite3.Error:
            self._undo(conn)
            return False
        except BaseException as error:
            if ending and _is_written(conn, error):
                _mark(group, outcomes)
            self._undo(conn)
            raise
        return True

    def _within(self, conn: sqlite3.Connection, ticket: _Ticket[Any]) -> tuple[Any, Exception | None]:
        if isinstance(ticket, _AsyncTicket):
            give_way()
        conn.execute("SAVEPOINT one")
        try:
            value = ticket.work(conn)
        except sqlite3.Error:
            raise
        except Exception as error:  # noqa: BLE001 - raised again where the ticket's caller waits
            self.undone += 1
            conn.execute("ROLLBACK TO one")
            conn.execute("RELEASE one")
            return None, error
        conn.execute("RELEASE one")
        return value, None

    def _undo(self, conn: sqlite3.Connection) -> None:
        self.undone += 1
        rollback(conn)


def _is_written(conn: sqlite3.Connection, error: BaseException) -> bool:
    """Return whether a transaction whose COMMIT was asked for is in the file, in spite of an interruption."""
    return not conn.in_transaction and not isinstance(error, sqlite3.Error)


def _mark(group: Sequence[_Ticket[Any]], outcomes: Sequence[tuple[Any, Exception | None]]) -> None:
    for ticket, (value, error) in zip(group, outcomes, strict=True):
        ticket.value, ticket.error, ticket.done = value, error, True
