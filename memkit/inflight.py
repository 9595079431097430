"""A bound on the requests that one event loop has under way."""

from __future__ import annotations

import asyncio
from weakref import WeakKeyDictionary


class InFlight:
    """At most so many requests of an event loop are under way; the others wait for their turn, without a limit.

    A task for each of a thousand writes would otherwise open a thousand sockets at once, which servers and their
    kernels answer with resets. The wait is before the request, so that no timeout of the client runs meanwhile.

    Args:
        most: Requests under way in each event loop.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()

    def turn(self) -> asyncio.Semaphore:
        """Return what to enter with `async with`, of the running event loop."""
        loop = asyncio.get_running_loop()
        found = self._turns.get(loop)
        return self._turns.setdefault(loop, asyncio.Semaphore(self._most)) if found is None else found
