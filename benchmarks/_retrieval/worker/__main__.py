"""One peer in a process of its own: commands as JSON lines on standard input, answers on standard output.

Runs in the peers' environments: nothing but the standard library, numpy and the peer.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

_ANSWERS = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)  # what a library prints is no answer


class Peer:
    """A system and the operations that it can be asked."""

    def __init__(self) -> None:
        self.system: Any = None

    def open(self, name: str, vectors: str, dim: int) -> dict[str, float]:
        """Open an empty store."""
        import systems

        self.system = systems.make(name, systems.Embedder(vectors, dim), Path(tempfile.mkdtemp()))
        return {}

    def needs(self, items: list[dict[str, Any]]) -> dict[str, list[str]]:
        """Return the texts whose vectors the system will ask for."""
        return {"texts": self.system.texts(items)}

    def add(self, items: list[dict[str, Any]]) -> dict[str, float]:
        """Keep items; their vectors are read first, so that no time holds embedding."""
        self.system.embedder.read(self.system.texts(items))
        busy = time.process_time()
        self.system.add(items)
        return {"cpu_s": time.process_time() - busy}

    def search(self, asked: list[tuple[str, str]], k: int) -> dict[str, list[Any]]:
        """Ask questions, each as a user."""
        self.system.embedder.read([query for query, _ in asked])
        ids: list[list[str]] = []
        times: list[float] = []
        for query, user in asked:
            busy = time.process_time()
            ids.append(self.system.search(query, user, k))
            times.append(1e3 * (time.process_time() - busy))
        return {"ids": ids, "ms": times}

    def close(self) -> dict[str, float]:
        """Close the store."""
        self.system.close()
        return {}


def main() -> None:
    """Answer commands until there are no more."""
    peer = Peer()
    _ANSWERS.write("{}\n")
    for line in sys.stdin:
        command = json.loads(line)
        try:
            answer = {"result": getattr(peer, command.pop("op"))(**command)}
        except BaseException:  # noqa: BLE001 - the run raises it again
            answer = {"error": traceback.format_exc()}
        _ANSWERS.write(json.dumps(answer) + "\n")
    os._exit(0)  # a peer's threads may hold it


if __name__ == "__main__":
    main()
