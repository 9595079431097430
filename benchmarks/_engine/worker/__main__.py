"""One system in a process of its own: commands as JSON lines on standard input, answers on standard output.

Runs in the peers' environments too: nothing but the standard library and, late, numpy.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

_ANSWERS = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)  # what a library prints is no answer


def main() -> None:
    """Answer commands until there are no more."""
    import plain

    state = plain.State()
    _ANSWERS.write("{}\n")
    for line in sys.stdin:
        command = json.loads(line)
        try:
            answer = {"result": _operation(command.pop("op"))(state, **command)}
        except BaseException:  # noqa: BLE001 - the bench raises it again
            answer = {"error": traceback.format_exc()}
        _ANSWERS.write(json.dumps(answer) + "\n")
    os._exit(0)  # a peer's threads may hold it


def _operation(name: str) -> Callable[..., Any]:
    """Return an operation; modules are imported late, so that little is there when a system starts."""
    for module in ("plain", "machine", "load"):
        found = getattr(importlib.import_module(module), name, None)
        if found is not None:
            return found
    raise LookupError(f"No operation {name!r}")


if __name__ == "__main__":
    main()
