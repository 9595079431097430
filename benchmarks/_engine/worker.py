"""One scenario of one system, in a process of its own; prints one JSON line. Runs in peers' environments."""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SINGLE = 200
BULK = 1000
QUERIES = 100


def main() -> None:
    """Run `worker.py SYSTEM SCENARIO FOLDER SIZE`."""
    name, scenario, folder, size = sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])
    print(json.dumps(_SCENARIOS[scenario](name, folder, size)))


def _import(name: str, folder: Path, size: int) -> dict[str, float]:
    module = {"memkit": "memkit", "mem0": "mem0", "sqlite+numpy": "sqlite3"}[name]
    wall, cpu = time.perf_counter(), time.process_time()
    __import__(module)
    return {
        "wall_ms": 1e3 * (time.perf_counter() - wall),
        "cpu_ms": 1e3 * (time.process_time() - cpu),
        "modules": len(sys.modules),
    }


def _system(name: str, folder: Path) -> Any:
    from systems import SYSTEMS

    return SYSTEMS[name](folder)


def _fill(name: str, folder: Path, size: int) -> dict[str, float]:
    from systems import fill

    system = _system(name, folder)
    fill(system, size)
    system.close()
    return {}


def _cold(name: str, folder: Path, size: int) -> dict[str, float]:
    import workload

    query = workload.text(5)
    vector = workload.vector(query)
    wall, cpu = time.perf_counter(), time.process_time()
    system = _system(name, folder)
    system.embedder.known[query] = vector
    found = system.search(query, workload.owner(5))
    out = {"wall_ms": 1e3 * (time.perf_counter() - wall), "cpu_ms": 1e3 * (time.process_time() - cpu)}
    assert len(found) == 10, found
    system.close()
    return out


def _add(name: str, folder: Path, size: int) -> dict[str, float]:
    from workload import text

    system = _system(name, folder)
    numbers = range(10_000_000, 10_000_000 + SINGLE + 5)
    for number in numbers:
        system.embedder.one(text(number))
    for number in numbers[:5]:
        system.add(number)
    out = _timed([lambda n=number: system.add(n) for number in numbers[5:]])
    system.close()
    return out


def _bulk(name: str, folder: Path, size: int) -> dict[str, float]:
    from workload import OWNERS, text

    system = _system(name, folder)
    numbers = [20_000_000 + n * OWNERS for n in range(BULK)]
    for number in numbers:
        system.embedder.one(text(number))
    system.add(19_000_000)  # what a system loads at its first write is measured by `cold`
    wall, cpu = time.perf_counter(), time.process_time()
    system.add_many(numbers)
    seconds, busy = time.perf_counter() - wall, time.process_time() - cpu
    system.close()
    return {"per_second": BULK / seconds, "cpu_us_each": 1e6 * busy / BULK}


def _search(name: str, folder: Path, size: int) -> dict[str, float]:
    import workload

    system = _system(name, folder)
    queries = [workload.text(n) for n in range(30_000_000, 30_000_000 + QUERIES)]
    for query in queries:
        system.embedder.one(query)
    user = workload.owner(3)
    system.search(queries[0], user)
    out = _timed([lambda q=query: system.search(q, user) for query in queries])
    system.close()
    return out


def _timed(jobs: list[Callable[[], Any]]) -> dict[str, float]:
    walls: list[float] = []
    cpu = time.process_time()
    for job in jobs:
        started = time.perf_counter()
        job()
        walls.append(1e3 * (time.perf_counter() - started))
    busy = 1e3 * (time.process_time() - cpu) / len(jobs)
    return {
        "p50_ms": statistics.median(walls),
        "p99_ms": sorted(walls)[int(0.99 * len(walls)) - 1],
        "cpu_ms": busy,
    }


_SCENARIOS: dict[str, Callable[[str, Path, int], dict[str, float]]] = {
    "import": _import,
    "fill": _fill,
    "cold": _cold,
    "add": _add,
    "bulk": _bulk,
    "search": _search,
}

if __name__ == "__main__":
    main()
