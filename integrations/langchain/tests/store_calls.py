"""A store behind one set of plain calls, so that every law is tested once and holds for both faces."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from langchain_memkit import MemkitStore
from memkit import Memory

Mode = Literal["sync", "async"]


class Calls:
    """A store's sync methods, or its async twins in one event loop."""

    def __init__(self, store: MemkitStore, runner: asyncio.Runner | None) -> None:
        self.store, self.runner = store, runner

    def __getattr__(self, name: str) -> Callable[..., Any]:
        runner = self.runner
        if runner is None:
            method: Callable[..., Any] = getattr(self.store, name)
            return method
        twin = getattr(self.store, f"a{name}")
        return lambda *args, **kwargs: runner.run(twin(*args, **kwargs))

    def keys(self, prefix: Sequence[str] = (), **how: Any) -> list[str]:
        """The keys of a search, in order."""
        return [item.key for item in self.search(prefix, **how)]


@contextmanager
def opened(mode: Mode, *, path: Any = ":memory:", embedder: Any = "hash", **options: Any) -> Generator[Calls]:
    """A store of its own."""
    runner = asyncio.Runner() if mode == "async" else None
    with Memory(path, llm=None, embedder=embedder) as memory:
        yield Calls(MemkitStore(memory, **options), runner)
    if runner is not None:
        runner.close()
