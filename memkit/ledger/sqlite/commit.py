"""Group commit: whoever gets the lock commits everything that waits, with one fsync for all.

A lone writer runs its work in its own thread with no hop. Work that arrives meanwhile queues up and is committed
together, a savepoint each, so that one that fails harms no other. Async callers await a future; a thread of the
ledger's own writes for them, so that no event loop ever waits for the disk.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import deque
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
    """One piece of work in the queue, and who waits for it."""

    __slots__ = ("done", "error", "leads", "value", "wake", "work")

    def __init__(self, work: Work[R], wake: Callable[[], None] | None) -> None:
        self.work = work
        self.wake = wake
        """How to tell the one who waits; None for the leader, who does not."""
        self.value: R | None = None
        self.error: BaseException | None = None
        self.done = False
        self.leads = False

    def cancelled(self) -> bool:
        return False

    def result(self) -> R:
        if self.error is not None:
            raise self.error
        return cast("R", self.value)


class _AsyncTicket(_Ticket[R]):
    """A ticket whose caller awaits a future."""

    __slots__ = ("future", "loop")

    def __init__(self, work: Work[R], loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(work, None)
        self.loop = loop
        self.future: asyncio.Future[R] = loop.create_future()

    def cancelled(self) -> bool:
        return self.future.cancelled()

    def deliver(self) -> None:
        if self.future.cancelled():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(cast("R", self.value))


def _wake(done: Sequence[_Ticket[Any]]) -> None:
    """Tell all who wait; those of one event loop together, as each call of it costs it a turn."""
    of_loops: dict[asyncio.AbstractEventLoop, list[_AsyncTicket[Any]]] = {}
    for ticket in done:
        if isinstance(ticket, _AsyncTicket):
            of_loops.setdefault(ticket.loop, []).append(ticket)
        elif ticket.wake is not None:
            ticket.wake()
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
        self._pending: deque[_Ticket[Any]] = deque()
        self._busy = False
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
        gate: threading.Lock | None = None
        with self._mutex:
            if not self._busy:
                self._busy = True
                ticket = _Ticket(work, None)
            else:
                gate = threading.Lock()
                gate.acquire()
                ticket = _Ticket(work, gate.release)
                self._pending.append(ticket)
        if gate is not None:
            self._wait(gate, ticket)
            if not ticket.leads:
                return ticket.result()
        self._lead(ticket)
        return ticket.result()

    async def arun(self, work: Work[R]) -> R:
        """Run work like `run`, without ever blocking the event loop."""
        import asyncio

        ticket = _AsyncTicket(work, asyncio.get_running_loop())
        with self._mutex:
            lead = not self._busy
            if lead:
                self._busy = True
                self._writing_thread().submit(self._lead, ticket)
            else:
                self._pending.append(ticket)
        return await ticket.future

    def _wait(self, gate: threading.Lock, ticket: _Ticket[Any]) -> None:
        try:
            gate.acquire()
        except BaseException:
            # Interrupted while waiting: leave the queue, or pass on the lead that was just given.
            with self._mutex:
                if ticket in self._pending:
                    self._pending.remove(ticket)
                    raise
            gate.acquire()
            if ticket.leads:
                self._hand_over()
            raise

    def _writing_thread(self) -> ThreadPoolExecutor:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="memkit-writer")
        return self._thread

    def _lead(self, first: _Ticket[Any]) -> None:
        """Commit the first ticket and all that wait, then hand the lead over."""
        group: list[_Ticket[Any]] = [first]
        try:
            with self._mutex:
                while self._pending and len(group) < _MAX_GROUP:
                    group.append(self._pending.popleft())
            with self._database.alone():
                self._commit([ticket for ticket in group if not ticket.cancelled()])
        except BaseException as error:
            first.error = first.error or error
            first.done = True
            if not isinstance(error, Exception):
                raise
        finally:
            # Whoever was in the group and is not done goes back to the head of the queue.
            self._hand_over([ticket for ticket in group if not ticket.done and not ticket.cancelled()])
            _wake([t for t in group if t.done and not (t is first and t.leads)])

    def _hand_over(self, left: Sequence[_Ticket[Any]] = ()) -> None:
        with self._mutex:
            self._pending.extendleft(reversed(left))
            if not self._pending:
                self._busy = False
                return
            following = self._pending.popleft()
            following.leads = True
            if isinstance(following, _AsyncTicket):
                following.leads = False
                self._writing_thread().submit(self._lead, following)
                return
        if following.wake is not None:
            following.wake()

    def _commit(self, group: Sequence[_Ticket[Any]]) -> None:
        if len(group) == 1:
            self._alone(group[0])
        elif group and not self._together(group):
            # The whole transaction failed: find out whose fault it was, one by one.
            for ticket in group:
                self._alone(ticket)

    def _alone(self, ticket: _Ticket[Any]) -> None:
        try:
            conn = self._database.writer()
            self._database.begin(conn)
            try:
                self._on_step("begin")
                ticket.value = ticket.work(conn)
                self._on_step("commit")
                conn.execute("COMMIT")
                self._on_step("committed")
            except BaseException:
                self._undo(conn)
                raise
        except Exception as error:  # noqa: BLE001 - raised again where the ticket's caller waits
            ticket.error = error
        ticket.done = True

    def _together(self, group: Sequence[_Ticket[Any]]) -> bool:
        """Commit all in one transaction; False when the transaction itself failed and nothing was written."""
        conn = self._database.writer()
        try:
            self._database.begin(conn)
            self._on_step("begin")
            outcomes = [self._within(conn, ticket) for ticket in group]
            self._on_step("commit")
            conn.execute("COMMIT")
            self._on_step("committed")
        except sqlite3.Error:
            self._undo(conn)
            return False
        except BaseException:
            self._undo(conn)
            raise
        for ticket, (value, error) in zip(group, outcomes, strict=True):
            ticket.value, ticket.error, ticket.done = value, error, True
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
