"""One thread that brings an index after the ledger, pass after pass; who asks while one runs shares the next."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final

_IDLE_S: Final = 5.0
"""Seconds after which a thread with nothing to do ends."""

Pass = Callable[[], list[str]]
"""Brings everything after that waits when it begins; returns the indexes that still lag behind."""


class Projector:
    """Runs passes in a daemon thread, so that an index that hangs holds up neither a write nor the end of a process."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._changed = threading.Condition()
        self._next: tuple[Future[list[str]], Pass] | None = None
        self._thread: threading.Thread | None = None
        self._busy = False
        self._moved = 0.0

    def ask(self, work: Pass) -> Future[list[str]]:
        """Return what the next pass to begin will return; `work` is that pass unless somebody asked before."""
        if self._pid != os.getpid():
            # A forked child has none of its parent's threads.
            self._begin()
        with self._changed:
            if self._next is None:
                self._next = Future(), work
            if self._thread is not None and self._thread.is_alive():
                self._changed.notify_all()
            else:
                self._thread = threading.Thread(target=self._run, name="memkit-index", daemon=True)
                self._thread.start()
            return self._next[0]

    def moved(self) -> None:
        """Say that the running pass got on."""
        self._moved = time.monotonic()

    def stuck_s(self) -> float:
        """Return the seconds since the running pass last got on, 0 where none runs."""
        return time.monotonic() - self._moved if self._busy else 0.0

    def settle(self, patience_s: float) -> None:
        """Wait until nothing runs, unless it is stuck."""
        if self._pid != os.getpid():
            return
        with self._changed:
            while (self._busy or self._next is not None) and self.stuck_s() < patience_s:
                self._changed.wait(0.05)

    def _run(self) -> None:
        while True:
            with self._changed:
                while self._next is None:
                    if not self._changed.wait(_IDLE_S) and self._next is None:
                        self._thread = None
                        return
                future, work = self._next
                self._next = None
                self.moved()
                self._busy = True
            try:
                future.set_result(work())
            except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
                future.set_exception(error)
            finally:
                with self._changed:
                    self._busy = False
                    self._changed.notify_all()
