"""What every system can be asked. Runs in the peers' environments too."""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

OWNERS_ASKED = 5
"""Owners that searches go to, in turn: few enough to be in a cache."""


class State:
    """What a worker holds between commands."""

    def __init__(self) -> None:
        self.system: Any = None
        self.embedder: Any = None


def load_module(state: State, module: str, heavy: list[str]) -> dict[str, Any]:
    """Import a module in this fresh process."""
    before = set(sys.modules)
    busy = time.process_time()
    __import__(module)
    busy = time.process_time() - busy
    new = set(sys.modules) - before
    return {
        "cpu_ms": 1e3 * busy,
        "modules": len(new),
        "heavy": sorted(new & set(heavy)),
    }


def cold(
    state: State,
    name: str,
    folder: str,
    query: str,
    vector: list[float],
    user: str,
    options: dict[str, Any],
    at_least: int = 10,
) -> dict[str, Any]:
    """Open a store in this fresh process and search it once; all that a system imports is counted."""
    import systems
    import workload

    before, wall, busy = rss_mb(), time.perf_counter(), time.process_time()
    state.embedder = workload.Embedder()
    state.embedder.known[query] = vector
    state.system = systems.make(name, Path(folder), state.embedder, **options)
    opened = time.perf_counter()
    found = state.system.search(query, user)
    done = time.perf_counter()
    out = {
        "open_ms": 1e3 * (opened - wall),
        "search_ms": 1e3 * (done - opened),
        "total_ms": 1e3 * (done - wall),
        "cpu_ms": 1e3 * (time.process_time() - busy),
        "rss_mb": rss_mb() - before,
    }
    assert len(found) >= at_least, found
    return out


def open_store(state: State, name: str, folder: str, options: dict[str, Any]) -> dict[str, float]:
    """Open a store."""
    import systems
    import workload

    workload.table()
    state.embedder = workload.Embedder()
    wall = time.perf_counter()
    state.system = systems.make(name, Path(folder), state.embedder, **options)
    return {"open_ms": 1e3 * (time.perf_counter() - wall)}


def fill(state: State, size: int, owners: int) -> dict[str, float]:
    """Fill a store as fast as its system allows."""
    wall, busy = time.perf_counter(), time.process_time()
    state.system.fill(size, owners)
    seconds = time.perf_counter() - wall
    return {"seconds": seconds, "cpu_s": time.process_time() - busy}


def add(state: State, start: int, count: int, owners: int) -> dict[str, Any]:
    """Store memories one at a time."""
    import workload

    numbers = range(start, start + count)
    state.embedder.announce([workload.text(number) for number in numbers])
    return timed([lambda n=number: state.system.add(n, owners) for number in numbers])


def bulk(state: State, start: int, count: int, owners: int) -> dict[str, float]:
    """Store memories of one owner with the system's bulk call."""
    import workload

    numbers = [start + owners * at for at in range(count)]
    state.embedder.announce([workload.text(number) for number in numbers])
    calls = state.embedder.calls
    wall, busy = time.perf_counter(), time.process_time()
    state.system.add_many(numbers, owners)
    seconds, busy = time.perf_counter() - wall, time.process_time() - busy
    return {
        "per_second": count / seconds,
        "cpu_us": 1e6 * busy / count,
        "embed_calls": state.embedder.calls - calls,
    }


def search(
    state: State, start: int, count: int, size: int, owners: int, everything: bool = False, words: bool = True
) -> dict[str, Any]:
    """Search for one memory after another of a few owners; `words` False shares no word with any memory."""
    import workload

    asked: list[tuple[str, str | None]] = []
    numbers: list[int] = []
    for at in range(start, start + count):
        number = at % min(owners, OWNERS_ASKED) + owners * (at * 7919 % (size // owners))
        content = workload.query(number) if words else workload.wordless(at)
        state.embedder.known[content] = workload.vector(workload.query(number))
        asked.append((content, None if everything else workload.owner(number, owners)))
        numbers.append(number)
    found: list[list[int]] = []
    out = timed([lambda q=query, u=user: found.append(state.system.search(q, u)) for query, user in asked])
    return {**out, "numbers": numbers, "found": found}


def first(state: State, number: int, owners: int) -> dict[str, float]:
    """Search an owner for the first time in this process, which has searched another."""
    import workload

    query = workload.query(number)
    state.embedder.announce([query])
    wall, busy = time.perf_counter(), time.process_time()
    found = state.system.search(query, workload.owner(number, owners))
    wall, busy = time.perf_counter() - wall, time.process_time() - busy
    out = {"ms": 1e3 * wall, "cpu_ms": 1e3 * busy}
    assert len(found) == 10, found
    return out


def rss(state: State) -> dict[str, float]:
    """Return the resident memory of this process."""
    state.embedder.known.clear()
    gc.collect()
    return {"mb": rss_mb()}


def close(state: State) -> dict[str, float]:
    """Close the store."""
    state.system.close()
    state.system = None
    return {}


def rss_mb() -> float:
    """Return the resident memory of this process in megabytes."""
    with open("/proc/self/statm", encoding="ascii") as status:
        return int(status.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def timed(jobs: list[Callable[[], Any]]) -> dict[str, Any]:
    """Run jobs; return the milliseconds of each, their rate and their CPU time."""
    each: list[float] = []
    busy, wall = time.process_time(), time.perf_counter()
    for job in jobs:
        started = time.perf_counter()
        job()
        each.append(1e3 * (time.perf_counter() - started))
    wall, busy = time.perf_counter() - wall, time.process_time() - busy
    ordered = sorted(each)
    return {
        "p50_ms": ordered[len(each) // 2],
        "p99_ms": ordered[int(0.99 * len(each))],
        "per_second": len(jobs) / wall,
        "cpu_ms": 1e3 * busy / len(jobs),
    }
