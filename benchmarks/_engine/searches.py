"""Searches: one owner of a thousand, everything, a scope nobody has read yet, a million memories; resident memory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from benchmarks._engine.bench import Bench, Worker, spread
from benchmarks._engine.worker import workload


def scoped(bench: Bench) -> None:
    """Search owners of a thousand memories in stores of each size; ten results with their texts."""
    for size in bench.sizes:
        owners = spread(size)
        folders = {system: bench.store(system, size, owners) for system in bench.systems}
        with bench.workers(folders) as workers:
            _search(bench, "search", workers, size, owners, everything=False, words=True)
            if "memkit" in workers:
                found = workers["memkit"].ask(
                    "search", start=0, count=_count(bench), size=size, owners=owners, words=False
                )
                bench.note("search", "memkit", size, recall=recall(found, size, owners))


def everything(bench: Bench) -> None:
    """Search one owner who has all memories, by words and vectors and by vectors alone, beside a matrix product."""
    for size in dict.fromkeys((bench.tenth, bench.largest)):
        folders = {
            system: bench.store(system, size, 1 if system == "memkit" else spread(size))
            for system in bench.systems
            if system in ("memkit", "sqlite+numpy") or (system == "mem0" and size == bench.largest)
        }
        with bench.workers(folders) as workers, bench.worker("limit") as limit:
            both = {**workers, "limit": limit}
            _search(bench, "all-hybrid", both, size, 1, everything=True, words=True)
            alone = {system: worker for system, worker in both.items() if system in ("memkit", "limit")}
            _search(bench, "all-vectors", alone, size, 1, everything=True, words=False)
            if "memkit" in workers:
                found = workers["memkit"].ask("search", start=0, count=20, size=size, owners=1, words=False)
                bench.note("all-vectors", "memkit", size, recall=recall(found, size, 1))


def _count(bench: Bench) -> int:
    return 20 if bench.quick else 50


def _search(
    bench: Bench,
    scenario: str,
    workers: dict[str, Worker],
    size: int,
    owners: int,
    *,
    everything: bool,
    words: bool,
) -> None:
    def ask(system: str, start: int, count: int) -> dict[str, Any]:
        if system == "limit":
            return workers[system].ask("product", rows=size, count=count)
        # A peer's store has many owners; memkit's whole store is one owner's.
        of_everything = everything and system != "memkit"
        return workers[system].ask(
            "search",
            start=start,
            count=count,
            size=size,
            owners=owners,
            everything=of_everything,
            words=words,
        )

    for system in workers:
        ask(system, 900_000, 10)  # read once what is kept in memory
    for number, system in bench.rounds(list(workers)):
        slow = everything and system == "mem0"
        found = ask(system, number * 1000, 5 if slow else _count(bench))
        bench.note(
            scenario, system, size, p50_ms=found["p50_ms"], p99_ms=found["p99_ms"], cpu_ms=found["cpu_ms"]
        )


def recall(found: dict[str, Any], size: int, owners: int) -> float:
    """Return the share of the ten nearest, by exact comparison, that were found; equals count as found."""
    import numpy

    kept: dict[int, Any] = {}
    hits = total = 0
    for number, results in zip(found["numbers"], found["found"], strict=True):
        first = number % owners
        if first not in kept:
            kept[first] = workload.vectors([workload.text(each) for each in range(first, size, owners)])
        scores = kept[first] @ workload.vector(workload.query(number))
        tenth = numpy.partition(scores, -10)[-10]
        hits += sum(bool(scores[each // owners] >= tenth - 1e-6) for each in set(results))
        total += 10
    return hits / total


def first_searches(bench: Bench) -> None:
    """Search owners that this process has not read: pages in the system's cache, and dropped from it."""
    if "memkit" not in bench.systems:
        return
    size, owners = bench.largest, spread(bench.largest)
    store = bench.store("memkit", size, owners)
    with bench.copy(store) as folder, bench.workers({"memkit": folder}) as workers:
        workers["memkit"].ask("search", start=0, count=1, size=size, owners=owners)
        for number in range(1, min(12, owners)):
            dropped = number % 2 == 0
            if dropped:
                drop_pages(folder)
            else:
                read_pages(folder)
            found = workers["memkit"].ask("first", number=number, owners=owners)
            which = "dropped" if dropped else "cached"
            figures = {f"{which}_ms": found["ms"], f"{which}_cpu_ms": found["cpu_ms"]}
            bench.note("first-search", "memkit", size, **figures)


def drop_pages(folder: Path) -> None:
    """Drop the files of a folder from the system's page cache; works without privileges once they are on the disk."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb+") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def read_pages(folder: Path) -> None:
    """Read the files of a folder, so that they are in the system's page cache."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                while file.read(1 << 20):
                    continue


def million_sizes(*, quick: bool) -> tuple[int, int]:
    """Return the sizes of the two stores of many small owners."""
    return (5_000, 20_000) if quick else (100_000, 1_000_000)


def million(bench: Bench) -> None:
    """Search owners of a hundred memories among a million and among a hundred thousand; open the large store."""
    if "memkit" not in bench.systems:
        return
    small, large = million_sizes(quick=bench.quick)
    folders = {size: bench.store("memkit", size, size // 100) for size in (small, large)}
    opened: dict[int, Worker] = {}
    try:
        for size, folder in folders.items():
            opened[size] = Worker("memkit", bench.python("memkit"))
            opened[size].open(folder)
            opened[size].ask("search", start=900_000, count=10, size=size, owners=size // 100)
        for number, size in bench.rounds([str(size) for size in folders], bench.runs + 2):
            found = opened[int(size)].ask(
                "search", start=number * 1000, count=_count(bench), size=int(size), owners=int(size) // 100
            )
            bench.note("million", "memkit", int(size), p50_ms=found["p50_ms"], cpu_ms=found["cpu_ms"])
        for worker in opened.values():
            worker.ask("close")
    finally:
        for worker in opened.values():
            worker.quit()
    _reopen(bench, folders[large], large)
    bench.drop(folders[large])


def _reopen(bench: Bench, store: Path, size: int) -> None:
    """Open a store and search it once, in a process that has its imports behind it."""
    owners = size // 100
    for number in range(bench.runs):
        asked = workload.query(number)
        with bench.worker("memkit") as worker, bench.empty("small") as small:
            worker.open(small)
            worker.ask("add", start=0, count=1, owners=1)
            worker.ask("search", start=0, count=1, size=1, owners=1)
            worker.ask("close")
            found = worker.ask(
                "cold",
                name="memkit",
                folder=str(store),
                query=asked,
                vector=workload.vector(asked).tolist(),
                user=workload.owner(number, owners),
                options={},
            )
            worker.ask("close")
        bench.note("million", "memkit", size, open_ms=found["total_ms"])


def memory(bench: Bench) -> None:
    """Measure what a process grows by: when it searches a few owners of the largest store, and when it holds it all."""
    if "memkit" not in bench.systems:
        return
    size = bench.largest
    for number in range(bench.runs):
        for what, owners in (("scoped_mb", spread(size)), ("whole_mb", 1)):
            store = bench.store("memkit", size, owners)
            with bench.worker("memkit") as worker, bench.empty("small") as small:
                worker.open(small)
                worker.ask("add", start=0, count=20, owners=1)
                worker.ask("search", start=0, count=20, size=20, owners=1)
                before = worker.ask("rss")["mb"]
                worker.ask("close")
                worker.open(store)
                worker.ask("search", start=number, count=60, size=size, owners=owners)
                grown = worker.ask("rss")["mb"] - before
                worker.ask("close")
            figures = {what: grown}
            if owners == 1:
                figures["whole_of_matrix"] = grown * 1e6 / (size * 4 * workload.DIM)
            bench.note("memory", "memkit", size, **figures)
