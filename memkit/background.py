"""Work after the answer: one thread that finishes what waits in the durable queue."""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING, Final

from .clock import now_us
from .errors import BackendTimeoutError, MemkitError
from .runtime import Deadline, SyncRuntime, run_inline

if TYPE_CHECKING:
    from .engine.core import Engine
    from .parts import Parts

log: Final = logging.getLogger("memkit")


class Background:
    """Runs unfinished extractions in a thread of its own, started when there is something to do.

    The queue is in the ledger: what is not done when the process dies is done by the next one.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._engine_made: Engine | None = None
        self._condition = threading.Condition()
        self._thread: threading.Thread | None = None
        self._pid = 0
        self._wanted = False
        self._recover = False
        self._early = False
        self._due: int | None = None
        self._busy = False
        self._failed: dict[str, str] = {}

    @property
    def _engine(self) -> Engine:
        if self._engine_made is None:
            from .engine.core import Engine

            self._engine_made = Engine(self._parts, SyncRuntime())
        return self._engine_made

    def wake(self, *, recover: bool = False, early: bool = False) -> None:
        """Say that something waits; `recover` also takes up what failed or was abandoned, `early` what is not due."""
        with self._condition:
            self._wanted = True
            self._recover = self._recover or recover
            self._early = self._early or early
            if self._thread is None or not self._thread.is_alive() or self._pid != os.getpid():
                self._pid = os.getpid()
                self._thread = threading.Thread(target=self._run, name="memkit-background", daemon=True)
                self._thread.start()
            self._condition.notify_all()

    def flush(self, timeout: float | None) -> None:
        """Wait until the queue is empty and indexes have followed.

        Raises:
            BackendTimeoutError: It took longer.
            MemkitError: Background work failed; the error says which operations. It stays in the queue.
        """
        from .engine.operate import settle

        deadline = Deadline(timeout)
        if self._has_waiting():
            self.wake(early=True)
        self._wait(deadline)
        run_inline(settle(self._engine, deadline))
        with self._condition:
            failed, self._failed = self._failed, {}
        if failed:
            raise MemkitError(
                f"{len(failed)} background extraction(s) failed: {next(iter(failed.values()))} The turns are kept; "
                "`repair()` tries again.",
                failed=failed,
                operation_id=next(iter(failed)),
            )

    def close(self) -> None:
        """Finish what was started or waits for its time; what fails stays in the queue for the next open."""
        self.settle()
        if self._pid == os.getpid() and self._due is not None:
            self.wake(early=True)
            self.settle()

    def settle(self) -> None:
        """Wait until nothing is in hand; what waits in the queue is not looked at."""
        if self._pid == os.getpid():
            self._wait(Deadline(None))

    def _has_waiting(self) -> bool:
        from .engine.operate import waiting

        return run_inline(waiting(self._engine))

    def _wait(self, deadline: Deadline) -> None:
        with self._condition:
            while self._wanted or self._busy:
                left = deadline.left()
                if left == 0:
                    raise BackendTimeoutError(
                        "Background work is not done yet. Flush again with a larger `timeout`."
                    )
                self._condition.wait(left if left is not None else 1.0)

    def _run(self) -> None:
        from .engine.jobs import next_due, run_pending

        while True:
            with self._condition:
                if not self._wait_for_work():
                    self._thread = None
                    return
                recover, early = self._recover, self._early
                self._wanted, self._recover, self._early, self._busy = False, False, False, True
            failed: dict[str, str] = {}
            due: int | None = None
            try:
                _, failed = run_inline(run_pending(self._engine, retry_failed=recover, early=early))
                due = run_inline(next_due(self._engine))
            except MemkitError as error:
                failed = {"": f"{type(error).__name__}: {error.message}"}
            finally:
                for operation, reason in failed.items():
                    # By its kind alone: the words of somebody else's error may hold a key; `flush()` has them.
                    log.warning("memkit: background work %s failed (%s)", operation, reason.partition(":")[0])
                with self._condition:
                    self._failed.update(failed)
                    self._due = due
                    self._busy = False
                    self._condition.notify_all()

    def _wait_for_work(self) -> bool:
        """Wait while work is only due later; return whether there is any."""
        while not self._wanted:
            if self._due is None:
                return False
            seconds = (self._due - now_us()) / 1e6
            if seconds <= 0:
                return True
            self._condition.wait(seconds)
        return True
