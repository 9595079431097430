"""How the engine, written once as `async def`, runs with and without an event loop.

In sync mode nothing ever suspends: `call` runs the sync method and returns, so one `send(None)` drives a whole
coroutine to its end (the technique of the EdgeDB client). It works inside Jupyter and inside a running loop,
because no loop is involved. In async mode the native async method is awaited where a backend has one, and the
sync one runs in memkit's own bounded threads where it has not. What the engine computes and reads by itself runs in
threads that take turns, so that the loop is not one of many that want the interpreter.
"""

from __future__ import annotations

import contextvars
import functools
import os
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent import futures
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, Protocol, TypeVar

from .errors import BackendTimeoutError
from .hanging import Calls, gave_up, too_late
from .lane import Lane

P = ParamSpec("P")
R = TypeVar("R")


def run_inline(coro: Coroutine[Any, Any, R]) -> R:
    """Run a coroutine that never suspends, and return its value.

    Raises:
        RuntimeError: The coroutine awaited something real.
    """
    try:
        coro.send(None)
    except StopIteration as stop:
        value: R = stop.value
        return value
    else:
        raise RuntimeError("The engine awaited real async I/O in sync mode; use AsyncMemory.")
    finally:
        coro.close()


class Runtime(Protocol):
    """What the engine may ask of the world it runs in."""

    async def call(
        self,
        sync: Callable[P, R],
        async_: Callable[P, Coroutine[Any, Any, R]] | None,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Call a backend by whichever of its twins fits."""
        ...

    async def within(
        self,
        name: str,
        seconds: float,
        sync: Callable[P, R],
        async_: Callable[P, Coroutine[Any, Any, R]] | None,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Call a backend that may hang; its call goes on by itself when nobody waits for it any more.

        Raises:
            BackendTimeoutError: It did not answer in so many seconds, or an earlier call has not yet come back.
        """
        ...

    async def work(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Compute, or read what is near: work that keeps the interpreter busy and waits for nobody."""
        ...

    async def gather(self, *jobs: Coroutine[Any, Any, R]) -> Sequence[R]:
        """Run jobs side by side and return their values in order; the first error is raised."""
        ...

    async def wait(self, future: Future[R], stuck_s: Callable[[], float], patience_s: float) -> R:
        """Wait for work in another thread, which goes on, for as long as it gets on.

        Raises:
            BackendTimeoutError: It has not got on for `patience_s` seconds.
        """
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


_POOL_SIZE = 16
_LEAST_WAIT_S = 0.01


class _Pool:
    """Worker threads, made at first use and again after a fork."""

    def __init__(self, size: int, name: str) -> None:
        self._size, self._name = size, name
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._pid = 0

    def get(self) -> ThreadPoolExecutor:
        if self._pool is None or self._pid != os.getpid():
            with self._lock:
                if self._pool is None or self._pid != os.getpid():
                    self._pool = ThreadPoolExecutor(self._size, thread_name_prefix=self._name)
                    self._pid = os.getpid()
        return self._pool

    def close(self) -> None:
        with self._lock:
            if self._pool is not None and self._pid == os.getpid():
                self._pool.shutdown(wait=False, cancel_futures=False)
            self._pool = None


class SyncRuntime:
    """Runs sync twins at once, in the caller's thread."""

    def __init__(self) -> None:
        self._pool = _Pool(8, "memkit-gather")
        self._calls = Calls()

    async def call(
        self,
        sync: Callable[P, R],
        async_: Callable[P, Coroutine[Any, Any, R]] | None,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Call the sync twin."""
        return sync(*args, **kwargs)

    async def within(
        self,
        name: str,
        seconds: float,
        sync: Callable[P, R],
        async_: Callable[P, Coroutine[Any, Any, R]] | None,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Block the thread while another calls the sync twin."""
        self._calls.check(name, seconds)
        future = self._calls.start(name, _in_context(sync, *args, **kwargs))
        if not futures.wait([future], seconds).done:
            raise too_late(name, seconds)
        return future.result()

    async def work(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Do it here and now."""
        return function(*args, **kwargs)

    async def gather(self, *jobs: Coroutine[Any, Any, R]) -> Sequence[R]:
        """Run jobs in threads that see the caller's context variables; a single one runs in place."""
        if len(jobs) == 1:
            return [await jobs[0]]
        futures = [self._pool.get().submit(contextvars.copy_context().run, run_inline, job) for job in jobs]
        return [future.result() for future in futures]

    async def wait(self, future: Future[R], stuck_s: Callable[[], float], patience_s: float) -> R:
        """Block the thread."""
        while True:
            finished, _ = futures.wait([future], max(_LEAST_WAIT_S, patience_s - stuck_s()))
            if finished:
                return future.result()
            _check_stuck(stuck_s(), patience_s)

    async def sleep(self, seconds: float) -> None:
        """Block the thread."""
        time.sleep(seconds)

    def close(self) -> None:
        """Let the threads end."""
        self._pool.close()


class AsyncRuntime:
    """Awaits native async twins; others run in a bounded number of threads of our own."""

    def __init__(self, max_workers: int = _POOL_SIZE) -> None:
        self._pool = _Pool(max_workers, "memkit-worker")
        self._own = _Pool(max_workers, "memkit-engine")
        self._lane = Lane(self._own.get)
        from .inflight import InFlight

        self._calls = Calls()
        self._turns = InFlight(max_workers)

    async def call(
        self,
        sync: Callable[P, R],
        async_: Callable[P, Coroutine[Any, Any, R]] | None,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Await the async twin, or run the sync one in a worker thread."""
        if async_ is not None:
            return await async_(*args, **kwargs)
        work = _in_context(sync, *args, **kwargs)
        import asyncio

        return await asyncio.get_running_loop().run_in_executor(self._pool.get(), work)

    async def within(
        self,
        name: str,
        seconds: float,
        sync: Callable[P, R],
        async_: Callable[P, Coroutine[Any, Any, R]] | None,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Await the async twin in a task of its own, or the sync one in a thread of its own."""
        import asyncio

        if async_ is None:
            async with self._turns.turn():
                self._calls.check(name, seconds)
                begun = self._calls.start(name, _in_context(sync, *args, **kwargs))
                # Whoever stops waiting does not stop the thread.
                waited = asyncio.wrap_future(begun)
                if not (await asyncio.wait([waited], timeout=seconds))[0]:
                    raise too_late(name, seconds)
                return waited.result()
        self._calls.check(name, seconds)
        task = asyncio.ensure_future(async_(*args, **kwargs))
        self._calls.note(name, task)
        try:
            finished, _ = await asyncio.wait([task], timeout=seconds)
        except asyncio.CancelledError:
            task.cancel()
            raise
        if not finished:
            task.cancel()
            raise too_late(name, seconds)
        if task.cancelled():
            raise gave_up(name)
        return task.result()

    async def work(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Do it in a thread, one piece after the other."""
        return await self._lane.run(_in_context(function, *args, **kwargs))

    async def gather(self, *jobs: Coroutine[Any, Any, R]) -> Sequence[R]:
        """Run jobs as tasks; when one fails the others are cancelled."""
        if len(jobs) == 1:
            return [await jobs[0]]
        import asyncio

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(job) for job in jobs]
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from errors
        return [task.result() for task in tasks]

    async def wait(self, future: Future[R], stuck_s: Callable[[], float], patience_s: float) -> R:
        """Let other tasks run meanwhile."""
        import asyncio

        # Whoever stops waiting does not stop the work, for which others may wait too.
        waited = asyncio.wrap_future(future)
        while True:
            finished, _ = await asyncio.wait([waited], timeout=max(_LEAST_WAIT_S, patience_s - stuck_s()))
            if finished:
                return waited.result()
            _check_stuck(stuck_s(), patience_s)

    async def sleep(self, seconds: float) -> None:
        """Let other tasks run meanwhile."""
        import asyncio

        await asyncio.sleep(seconds)

    def close(self) -> None:
        """Let the threads end."""
        self._pool.close()
        self._own.close()


def _check_stuck(stuck_s: float, patience_s: float) -> None:
    if stuck_s >= patience_s:
        raise BackendTimeoutError(f"It did not get on for {patience_s:g} seconds.")


def _in_context(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Callable[[], R]:
    """Return a call that sees the caller's context variables in whichever thread it runs."""

    def work() -> R:
        try:
            return function(*args, **kwargs)
        except StopIteration as error:
            # As in a coroutine: a future takes none, and who awaits it would wait for ever.
            raise RuntimeError("StopIteration was raised.") from error

    return functools.partial(contextvars.copy_context().run, work)


class Deadline:
    """A point in time after which waiting ends."""

    def __init__(self, seconds: float | None) -> None:
        self._end = None if seconds is None else time.monotonic() + seconds

    def left(self) -> float | None:
        """Return the seconds left, None for no limit."""
        return None if self._end is None else max(0.0, self._end - time.monotonic())

    def check(self, what: str) -> None:
        """Raise `BackendTimeoutError` when the time is over."""
        if self._end is not None and time.monotonic() >= self._end:
            raise BackendTimeoutError(
                f"{what} did not finish in time. Call it again with a larger `timeout`."
            )
