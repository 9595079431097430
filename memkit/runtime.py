"""How the engine, written once as `async def`, runs with and without an event loop.

In sync mode nothing ever suspends: `call` runs the sync method and returns, so one `send(None)` drives a whole
coroutine to its end (the technique of the EdgeDB client). It works inside Jupyter and inside a running loop,
because no loop is involved. In async mode the native async method is awaited where a backend has one, and the
sync one runs in memkit's own bounded threads where it has not.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import os
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, Protocol, TypeVar

from .errors import BackendTimeoutError

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

    async def gather(self, *jobs: Coroutine[Any, Any, R]) -> Sequence[R]:
        """Run jobs side by side and return their values in order; the first error is raised."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


_POOL_SIZE = 16


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

    async def call(
        self,
        sync: Callable[P, R],
        async_: Callable[P, Coroutine[Any, Any, R]] | None,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Call the sync twin."""
        return sync(*args, **kwargs)

    async def gather(self, *jobs: Coroutine[Any, Any, R]) -> Sequence[R]:
        """Run jobs in threads that see the caller's context variables; a single one runs in place."""
        if len(jobs) == 1:
            return [await jobs[0]]
        futures = [self._pool.get().submit(contextvars.copy_context().run, run_inline, job) for job in jobs]
        return [future.result() for future in futures]

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
        context = contextvars.copy_context()
        work = functools.partial(context.run, functools.partial(sync, *args, **kwargs))
        return await asyncio.get_running_loop().run_in_executor(self._pool.get(), work)

    async def gather(self, *jobs: Coroutine[Any, Any, R]) -> Sequence[R]:
        """Run jobs as tasks; when one fails the others are cancelled."""
        if len(jobs) == 1:
            return [await jobs[0]]
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(job) for job in jobs]
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from errors
        return [task.result() for task in tasks]

    async def sleep(self, seconds: float) -> None:
        """Let other tasks run meanwhile."""
        await asyncio.sleep(seconds)

    def close(self) -> None:
        """Let the threads end."""
        self._pool.close()


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
