"""What all conformance suites share: both modes, capabilities, and the law that no law is dropped."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from pathlib import Path
from typing import Any, Literal, TypeVar

import pytest

from memkit.runtime import AsyncRuntime

Mode = Literal["sync", "async"]
Law = TypeVar("Law", bound=Callable[..., None])


def needs(*capabilities: str) -> Callable[[Law], Law]:
    """Skip a law where the backend lacks one of these capabilities."""

    # No mark of pytest's: whoever runs the suites would have to register it.
    def on(law: Law) -> Law:
        setattr(law, _NEEDS, frozenset(capabilities))
        return law

    return on


_NEEDS = "memkit_needs"


class Driver:
    """Calls a backend's methods by name, in one of the two modes.

    In async mode a call goes the way of `AsyncMemory`: the async twin where the backend has one, else the sync
    method in a worker thread; all calls of a test share one event loop.
    """

    def __init__(self, backend: object, mode: Mode) -> None:
        self.backend, self.mode = backend, mode
        self._runner = asyncio.Runner() if mode == "async" else None
        self._runtime = AsyncRuntime()

    def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method and return its value."""
        if self._runner is None:
            return getattr(self.backend, method)(*args, **kwargs)
        return self._runner.run(self._acall(method, args, kwargs))

    def beside(self, backend: object) -> Driver:
        """Return a driver of another backend in the same mode and event loop, which this one closes."""
        other = copy(self)
        other.backend = backend
        return other

    def together(self, calls: Sequence[tuple[str, tuple[Any, ...]]]) -> list[Any]:
        """Make calls side by side, in 8 threads or as tasks, and return their values in order."""
        if self._runner is not None:
            return self._runner.run(self._gather(calls))
        with ThreadPoolExecutor(8) as pool:
            futures = [pool.submit(getattr(self.backend, method), *args) for method, args in calls]
            return [future.result() for future in futures]

    async def _acall(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        sync: Callable[..., Any] = getattr(self.backend, method)
        return await self._runtime.call(sync, getattr(self.backend, f"a{method}", None), *args, **kwargs)

    async def _gather(self, calls: Sequence[tuple[str, tuple[Any, ...]]]) -> list[Any]:
        return list(await asyncio.gather(*(self._acall(method, args, {}) for method, args in calls)))

    def close(self) -> None:
        """End the event loop and the worker threads."""
        if self._runner is not None:
            self._runner.close()
        self._runtime.close()


class Laws:
    """The base of every suite. A subclass adds no `__init__` and overrides no law.

    A law that a backend cannot keep yet is overridden with `@pytest.mark.xfail(strict=True, reason=...)`.
    Laws with `@needs(capability)` are skipped, and counted as skips, where the backend lacks the capability.
    """

    @pytest.fixture(params=["sync", "async"])
    def mode(self, request: pytest.FixtureRequest) -> Mode:
        """The way of calling: every law runs in both."""
        return request.param

    def capabilities(self, tmp_path: Path) -> frozenset[str]:
        """Return the capabilities that the backend under test has."""
        del tmp_path
        return frozenset()

    @pytest.fixture(autouse=True)
    def capability_gate(self, request: pytest.FixtureRequest, tmp_path: Path) -> None:
        """Skip a law that needs what the backend lacks."""
        needed: frozenset[str] = getattr(request.function, _NEEDS, frozenset())
        if needed and (missing := needed - self.capabilities(tmp_path)):
            pytest.skip(f"{type(self).__name__} lacks the capability {', '.join(sorted(missing))}")

    def test_no_law_is_dropped(self) -> None:
        """A suite keeps every law of its base; one it cannot keep yet is a strict xfail with a reason.

        Troubleshooting: give the overriding test `@pytest.mark.xfail(strict=True, reason="...")`, or delete it.
        """
        for base in type(self).__mro__[1:]:
            if base.__module__.startswith("memkit.testing"):
                for name, law in vars(base).items():
                    if name.startswith("test_"):
                        mine = getattr(type(self), name, None)
                        assert mine is law or _is_excused(mine), f"{type(self).__name__} drops {name}"


def _is_excused(law: Any) -> bool:
    return any(mark.name == "xfail" and mark.kwargs.get("reason") for mark in getattr(law, "pytestmark", ()))
