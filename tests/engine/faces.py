"""One memory behind one set of plain calls, so that every law is tested once and holds in both modes."""

from __future__ import annotations

import asyncio
import json
import threading
import zlib
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np

from memkit import AsyncMemory, Memory
from memkit.embedders.hash import HashEmbedder
from memkit.errors import BackendUnavailableError

Mode = Literal["sync", "async"]
Outcome = Any
_KEEP = {"bind", "chosen", "scope", "to_async", "to_sync"}


class Face:
    """A `Memory`, or an `AsyncMemory` whose calls are awaited in one real event loop."""

    def __init__(self, memory: Memory | AsyncMemory, runner: asyncio.Runner | None) -> None:
        self.raw: Any = memory
        self.runner = runner

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.raw, name)
        if name in _KEEP or self.runner is None or not callable(found):
            return found
        runner = self.runner
        return lambda *args, **kwargs: runner.run(found(*args, **kwargs))

    def bind(self, **scope: Any) -> Face:
        """A handle with the scope fixed."""
        return Face(self.raw.bind(**scope), self.runner)

    def texts(self, **scope: Any) -> list[str]:
        """What is current in a scope, newest first."""
        return [item.memory for item in self.get_all(**scope).results]

    def found(self, query: str, **scope: Any) -> list[str]:
        """What a search finds, best first."""
        return [item.memory for item in self.search(query, **scope).results]

    def together(self, calls: Sequence[tuple[str, Mapping[str, Any]]]) -> list[Outcome]:
        """Make calls at once, in as many threads or tasks; an error is returned in its place."""
        if self.runner is not None:
            return self.runner.run(self._gather(calls))
        barrier = threading.Barrier(len(calls))

        def one(call: tuple[str, Mapping[str, Any]]) -> Outcome:
            barrier.wait()
            try:
                return getattr(self.raw, call[0])(**call[1])
            except Exception as error:
                return error

        with ThreadPoolExecutor(len(calls)) as pool:
            return list(pool.map(one, calls))

    async def _gather(self, calls: Sequence[tuple[str, Mapping[str, Any]]]) -> list[Outcome]:
        jobs: list[Coroutine[Any, Any, Any]] = [getattr(self.raw, name)(**kwargs) for name, kwargs in calls]
        return list(await asyncio.gather(*jobs, return_exceptions=True))


class World:
    """Makes memories in one folder and closes them at the end."""

    def __init__(self, folder: Path, mode: Mode, *, database: str | None = None) -> None:
        self.folder = folder
        self.mode: Mode = mode
        self.path = folder / "store"
        self._database = database
        """The URL of a PostgreSQL that holds the memories, each path's in a schema of its own; None: SQLite."""
        self._runner = asyncio.Runner() if mode == "async" else None
        self._made: list[Face] = []

    def open(self, path: object = None, **given: Any) -> Face:
        """A memory at the world's path, keyless and without a model unless something else is given."""
        given = {"llm": None, "embedder": "hash", **given}
        if self._database is not None and not isinstance(path, Mapping):
            schema = f"at_{zlib.crc32(str(path or self.path).encode()):08x}"
            settings = {"url": self._database, "schema_name": schema}
            given = {"ledger": {"provider": "postgresql", "config": settings}, **given}
        face = Memory if self.mode == "sync" else AsyncMemory
        made = Face(face(path or self.path, **given), self._runner)  # pyright: ignore[reportArgumentType]
        self._made.append(made)
        return made

    def close(self) -> None:
        """Close what was opened."""
        for made in reversed(self._made):
            made.close()
        if self._runner is not None:
            self._runner.close()


# ------------------------------------------------------------------------------------- scripted extraction


def fact(text: str, message: int = 1, **more: Any) -> dict[str, Any]:
    """A memory as a model returns it, resting on the whole of its text unless a quote is given."""
    return {"text": text, "kind": "fact", "action": "add", "message": message, "quote": text, **more}


def answer(*memories: Mapping[str, Any], relations: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """The answer of a model that extracted these."""
    return {"memories": list(memories), "relations": list(relations)}


def prompt_of(call: Any) -> str:
    """Everything a model was shown in one call, as text."""
    return json.dumps([dict(message) for message in call.messages], ensure_ascii=False)


# ------------------------------------------------------------------------------------- providers of our own


class CountingEmbedder(HashEmbedder):
    """The keyless embedder; it counts its requests, and fails while it is told to."""

    def __init__(self, error: Exception | None = None) -> None:
        self.requests: list[tuple[str, int]] = []
        self.error = error

    def embed(self, texts: Sequence[str], *, purpose: Any = "document") -> Any:
        self.requests.append((purpose, len(texts)))
        if self.error is not None:
            raise self.error
        return super().embed(texts, purpose=purpose)


class AxisEmbedder:
    """A caller's own embedder: any object with `identity`, `dim` and `embed`."""

    def __init__(self, identity: str = "mine/v1", dim: int = 16) -> None:
        self.identity, self.dim = identity, dim

    def embed(self, texts: Sequence[str], *, purpose: str = "document") -> Any:
        rows = np.zeros((len(texts), self.dim), np.float32)
        for row, text in zip(rows, texts, strict=True):
            for letter in text.lower():
                row[ord(letter) % self.dim] += 1
        return rows


def down(what: str = "stub") -> BackendUnavailableError:
    """The error of a backend that is down."""
    return BackendUnavailableError(f"The {what} is down.", backend=what)


def ids_of(results: Iterator[Any] | Sequence[Any]) -> list[str]:
    """The ids of results."""
    return [item.id for item in results]


Check = Callable[[Face], None]
