"""A vector store in a process of its own, driven over its standard input: `python -m memkit.testing.store_process`.

Arguments are `module:Class` and the settings as JSON. Each line of input is JSON, `[method, ...]`, each line of
output `{"value": ...}` or `{"error": "..."}`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import Any, ClassVar

import numpy as np

from memkit.errors import MemkitError
from memkit.vector_stores.base import StoreRecord, VectorStore


class StoreProcess:
    """A store in another process."""

    module: ClassVar[str] = __name__
    """What is run there."""

    def __init__(self, target: str, settings: dict[str, Any]) -> None:
        command = [sys.executable, "-m", self.module, target, json.dumps(settings)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def call(self, method: str, *args: Any) -> Any:
        """Run one command there and return its value.

        Raises:
            AssertionError: It failed there.
        """
        self.send(method, *args)
        return self.receive()

    def send(self, method: str, *args: Any) -> None:
        """Start one command."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([method, *args]) + "\n")
        self._process.stdin.flush()

    def receive(self) -> Any:
        """Wait for the value of the command that was started."""
        assert self._process.stdout is not None
        answer = json.loads(self._process.stdout.readline() or '{"error": "the process died"}')
        assert "error" not in answer, answer["error"]
        return answer["value"]

    def kill(self) -> None:
        """End the process at once, whatever it does."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.kill()
        self._process.wait(30)
        self._process.stdout.close()
        with suppress(BrokenPipeError):
            self._process.stdin.close()

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()


def _run(store: VectorStore, method: str, args: list[Any]) -> object:
    if method == "upsert":
        records = [
            StoreRecord(id=id, vector=np.array(vector, np.float32), payload=payload)
            for id, vector, payload in args[0]
        ]
        return store.upsert(records)
    if method == "search":
        return [hit.id for hit in store.search(np.array(args[0], np.float32), args[1])]
    if method == "open":
        return store.open(dim=args[0], embedder=args[1])
    return {"count": store.count, "delete": store.delete, "close": store.close}[method](*args)


def serve(run: Callable[[Any, str, list[Any]], object]) -> None:
    """Make the store that the arguments name, and run commands on it until the input ends."""
    module, _, name = sys.argv[1].partition(":")
    cls = getattr(import_module(module), name)
    store = cls(cls.Settings(**json.loads(sys.argv[2])))
    for line in sys.stdin:
        method, *args = json.loads(line)
        try:
            answer = {"value": run(store, method, args)}
        except MemkitError as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    store.close()


if __name__ == "__main__":
    serve(_run)
