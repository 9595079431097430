"""`python -m benchmarks soak --turns N`: a long life of one memory, and whether it stays as small as it was.

Each turn a user says something, asks something, and now and then corrects or deletes; users take turns in sessions, as
they do in a service. Resident memory, open files, threads and the size of the file are read along the way. Flat means:
after a warm-up (a fifth of the turns, and 10,000 where there are twice as many: SQLite's page caches fill so long),
resident memory never exceeds what it was then by more than 5 %.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any

from memkit import Memory

_WORDS = [
    a + b
    for a in "ba de fi go ku la me no pi ra su ta".split()
    for b in "lor mint dan fex gil rop sun tek".split()
]
_SESSION = 20
_GROWTH = 0.05
_WARM_UP = 10_000


def main(arguments: list[str]) -> None:
    """Run it and print, and with `--json` write, what was seen; the exit code is 1 when memory was not flat."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks soak", description=__doc__)
    parser.add_argument("--turns", type=int, default=100_000)
    parser.add_argument("--users", type=int, default=200)
    parser.add_argument("--keep", type=int, default=40, help="live memories a user has at most")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--path", type=Path, default=None, help="default: a temporary folder")
    parser.add_argument("--json", type=Path, default=None)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(dir=given.path) as folder:
        report = soak(Path(folder), given.turns, given.users, given.keep, given.seed)
    text = json.dumps(report, indent=2)
    print(text)
    if given.json is not None:
        given.json.write_text(text + "\n")
    sys.exit(0 if report["flat"] else 1)


def soak(folder: Path, turns: int, users: int, keep: int, seed: int) -> dict[str, Any]:
    """Return what was seen, as JSON values."""
    rng = random.Random(seed)
    live: list[deque[str]] = [deque() for _ in range(users)]
    seen: list[dict[str, Any]] = []
    counts = {"adds": 0, "searches": 0, "updates": 0, "deletes": 0, "found": 0}
    begin, cpu = time.perf_counter(), time.process_time()
    every = max(1, turns // 20)
    with Memory(folder, llm=None, embedder="hash") as memory:
        user = 0
        for turn in range(turns):
            if turn % _SESSION == 0:
                user = rng.randrange(users)
            _turn(memory, rng, f"user{user}", live[user], keep, counts)
            if (turn + 1) % every == 0:
                seen.append({"turn": turn + 1, **_measured(folder)})
                print(seen[-1], file=sys.stderr, flush=True)
        sizes = memory.stats()
    warm_up = max(turns // 5, min(_WARM_UP, turns // 2))
    warm = [row for row in seen if row["turn"] >= warm_up]
    growth = max(row["rss_mb"] for row in warm) / warm[0]["rss_mb"] - 1
    return {
        "turns": turns,
        "users": users,
        "seed": seed,
        **counts,
        "memories": sizes.memories,
        "seconds": round(time.perf_counter() - begin, 1),
        "cpu_ms_per_turn": round(1000 * (time.process_time() - cpu) / turns, 3),
        "rss_growth_after_warm_up": round(growth, 4),
        "flat": growth <= _GROWTH
        and warm[-1]["files"] == warm[0]["files"]
        and warm[-1]["threads"] == warm[0]["threads"],
        "bytes_after_close": sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()),
        "seen": seen,
    }


def _turn(
    memory: Memory, rng: random.Random, user: str, live: deque[str], keep: int, counts: dict[str, int]
) -> None:
    text = " ".join(rng.choices(_WORDS, k=16))
    made = memory.add(text, user_id=user, infer=False).results[0].id
    assert made is not None
    live.append(made)
    counts["adds"] += 1
    found = memory.search(" ".join(text.split()[:5]), user_id=user).results
    counts["searches"] += 1
    counts["found"] += made in {item.id for item in found}
    if rng.random() < 0.1:
        memory.update(rng.choice(live), " ".join(rng.choices(_WORDS, k=16)))
        counts["updates"] += 1
    if len(live) > keep:
        memory.delete(live.popleft())
        counts["deletes"] += 1


def _measured(folder: Path) -> dict[str, Any]:
    return {
        "rss_mb": round(_resident_mb(), 1),
        "files": len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0,
        "threads": threading.active_count(),
        "mb_on_disk": round(
            sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6, 1
        ),
    }


def _resident_mb() -> float:
    """Return the resident memory now where the platform tells it, else the most there was."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    except OSError:
        import resource

        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most / 1e6 if sys.platform == "darwin" else most / 1e3
