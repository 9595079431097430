"""A process that writes to a ledger until it is stopped: `ledger_child.py PATH MODE [ARGUMENT ...]`.

It prints a line for each thing acknowledged, so that the test knows what must not be lost.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import uuid
from pathlib import Path

import numpy as np

from memkit.ledger.base import AddRecord, Batch, NewJob, NewMessage
from memkit.ledger.sqlite import SqliteLedger
from memkit.scope import ReadScope, Scope

DIM, EMBEDDER = 16, "test/embedder"


def tokens(text: str) -> list[str]:
    return text.lower().split()


def say(*words: object) -> None:
    print(*words, flush=True)


def batch(scope: Scope, *words: str, job: bool = False) -> Batch:
    """Turns with their verbatim memories."""
    now = time.time_ns() // 1000
    return Batch(
        operation_id=str(uuid.uuid4()),
        kind="add",
        owner=scope.owner,
        at=now,
        messages=[NewMessage(scope=scope, role="user", content=w, text=w, created_at=now) for w in words],
        changes=[
            AddRecord(
                id=str(uuid.uuid4()),
                scope=scope,
                text=w,
                kind="message",
                vector=np.full(DIM, n + 1, np.float32),
                message=n,
                created_at=now,
            )
            for n, w in enumerate(words)
        ],
        indexes=["index"],
        job=NewJob(kind="extract", payload={"words": words}, running=True) if job else None,
        worker="child" if job else None,
    )


def kill_at(step: str, after: int):
    """Stop this process without warning when a step is reached for the n-th time."""
    seen = 0

    def on_step(name: str) -> None:
        nonlocal seen
        seen += name == step
        if name == step and seen > after:
            os.kill(os.getpid(), signal.SIGKILL)

    return on_step


def main(path: Path, mode: str, *arguments: str) -> None:
    scope = Scope(user_id="alice", run_id="r")
    step = arguments[0] if mode in ("kill", "forget") else ""
    after = int(arguments[1]) if mode == "kill" else 0
    watcher = kill_at(step, after) if step else None
    ledger = SqliteLedger(path, tokenize=tokens, tokenizer_version="1", on_step=watcher)
    ledger.open()
    ledger.set_embedder(EMBEDDER, DIM)
    if mode == "kill":
        for n in range(100):
            ledger.apply(batch(scope, f"text{n}", f"more{n}", job=n == 0))
            say(f"text{n}")
    elif mode == "write":
        name, count = arguments[0], int(arguments[1])
        waits = 0.0
        for n in range(count):
            begin = time.perf_counter()
            ledger.apply(batch(scope, f"{name}-{n}"))
            waits = max(waits, time.perf_counter() - begin)
            say(f"{name}-{n}")
        say("slowest", waits)
    elif mode == "forget":
        ledger.apply(batch(scope, "secretword one", "other"))
        ledger.forget(str(uuid.uuid4()), 1, scope=ReadScope(user_id="alice"))
    elif mode == "hold":
        ledger.apply(batch(scope, "held", job=True))
        say("holding")
        sys.stdin.readline()
    ledger.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
