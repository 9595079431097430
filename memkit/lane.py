"""Worker threads that take turns, so that an event loop beside them gets the interpreter when it wants it.

The interpreter runs one thread at a time and lets it go on for 5 ms while others wait. An event loop that wakes up
beside sixteen busy threads may wait sixteen times that; beside one that stops between two pieces of work, it waits for
one piece.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast

if TYPE_CHECKING:
    import asyncio

R = TypeVar("R")

_PATIENCE_S: Final = 0.02
"""A piece of work that takes longer, as it waits for a lock or reads a large scope, no longer holds up the others."""
_PAUSE_S: Final = 0.000_05
"""Long enough for a loop that waits to be the next."""


def give_way() -> None:
    """Let a thread that waits for the interpreter have it; called between two pieces of work."""
    time.sleep(_PAUSE_S)


class _Job(Generic[R]):
    """One piece of work, and the future that its task awaits."""

    __slots__ = ("error", "future", "loop", "started", "value", "work")

    def __init__(self, work: Callable[[], R], loop: asyncio.AbstractEventLoop) -> None:
        self.work = work
        self.loop = loop
        self.future: asyncio.Future[R] = loop.create_future()
        self.started: float | None = None
        self.value: R | None = None
        self.error: BaseException | None = None

    def run(self) -> None:
        """Do the work and tell the loop."""
        try:
            self.value = self.work()
        except BaseException as error:  # noqa: BLE001 - raised again where the task awaits
            self.error = error
        try:
            self.loop.call_soon_threadsafe(self._deliver)
        except RuntimeError:
            return  # The loop is closed: nobody waits any more.

    def _deliver(self) -> None:
        if self.future.cancelled():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(cast("R", self.value))


class Lane:
    """Runs work in the threads of an executor, one piece at a time; a slow one lets the next begin beside it."""

    def __init__(self, executor: Callable[[], Executor]) -> None:
        self._executor = executor
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._waiting: deque[_Job[Any]] = deque()
        self._running: set[_Job[Any]] = set()
        self._watchers: weakref.WeakSet[asyncio.AbstractEventLoop] = weakref.WeakSet()

    async def run(self, work: Callable[[], R]) -> R:
        """Return what the work returns, when those that came before it have had their turn."""
        if self._pid != os.getpid():
            # A forked child has none of its parent's threads.
            self._begin()
        import asyncio

        job = _Job(work, asyncio.get_running_loop())
        with self._lock:
            free = self._is_free()
            if free:
                self._start(job)
            else:
                self._waiting.append(job)
                self._watch(job.loop)
        return await job.future

    def _is_free(self) -> bool:
        """Return whether all that runs has used up the patience of the others."""
        late = time.monotonic() - _PATIENCE_S
        return all(job.started is not None and job.started < late for job in self._running)

    def _start(self, job: _Job[Any]) -> None:
        self._executor().submit(self._go, job)
        self._running.add(job)

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        if loop not in self._watchers:
            self._watchers.add(loop)
            loop.call_later(_PATIENCE_S, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let the next begin where the running one takes too long; look again while work of this loop waits."""
        with self._lock:
            self._watchers.discard(loop)
            if self._waiting and self._is_free():
                self._start(self._waiting.popleft())
            if any(job.loop is loop for job in self._waiting):
                self._watch(loop)

    def _go(self, job: _Job[Any] | None) -> None:
        while job is not None:
            job.started = time.monotonic()
            if not job.future.cancelled():
                job.run()
            job = self._next(job)

    def _next(self, done: _Job[Any]) -> _Job[Any] | None:
        with self._lock:
            self._running.discard(done)
            if not self._waiting or not self._is_free():
                return None
            job = self._waiting.popleft()
            self._running.add(job)
        give_way()
        return job
