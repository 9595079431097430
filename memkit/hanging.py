"""Calls that may never come back, so that nobody waits for them for ever and no process stays for them."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

from .errors import BackendError, BackendTimeoutError

R = TypeVar("R")


class Running(Protocol):
    """A future or a task."""

    def done(self) -> bool:
        """Return whether it has ended."""
        ...


class Calls:
    """The calls of providers that are under way; while one of them is late, no other is begun."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._since: dict[str, list[tuple[Running, float]]] = {}

    def check(self, name: str, seconds: float) -> None:
        """Refuse to begin another call while an earlier one is late.

        Raises:
            BackendTimeoutError: It is.
        """
        if self._pid != os.getpid():
            # A forked child has none of its parent's threads: what they do never ends here.
            self._begin()
        late = time.monotonic() - seconds
        with self._lock:
            going = [one for one in self._since.get(name, ()) if not one[0].done()]
            self._since[name] = going
        if any(since <= late for _, since in going):
            raise BackendTimeoutError(
                f"It has not come back from an earlier call for more than {seconds:g} seconds.", backend=name
            )

    def note(self, name: str, call: Running) -> None:
        """Remember a call that has begun."""
        with self._lock:
            self._since.setdefault(name, []).append((call, time.monotonic()))

    def start(self, name: str, work: Callable[[], R]) -> Future[R]:
        """Begin a call in a daemon thread."""
        future: Future[R] = Future()
        self.note(name, future)
        threading.Thread(target=_run, args=(name, future, work), name="memkit-call", daemon=True).start()
        return future


def too_late(name: str, seconds: float) -> BackendTimeoutError:
    """Return the error for a call that took too long."""
    return BackendTimeoutError(f"It did not answer within {seconds:g} seconds.", backend=name)


def gave_up(name: str) -> BackendError:
    """Return the error for a call that says it was cancelled, though nobody cancelled it."""
    return BackendError("It was cancelled by itself.", backend=name)


def _run(name: str, future: Future[Any], work: Callable[[], Any]) -> None:
    try:
        value = work()
    except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
        from asyncio import CancelledError

        future.set_exception(gave_up(name) if isinstance(error, CancelledError) else error)
    else:
        future.set_result(value)
