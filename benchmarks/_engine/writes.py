"""Writes: one at a time and in bulk, beside the disk's and SQLite's own rates; fsyncs; bytes on the disk."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from benchmarks._engine.bench import Bench, Worker, fast, spread
from benchmarks._engine.worker import workload

NEW: Final = 10_000_000
"""Numbers of memories that are added to filled stores."""


def limits(bench: Bench) -> None:
    """Measure what the machine can do, for itself."""
    few = 50 if bench.quick else 300
    with bench.worker("limit") as worker, bench.empty("limits") as folder:
        for _ in range(bench.runs):
            bench.note(
                "limits",
                "limit",
                0,
                **_renamed("append", worker.ask("appends", folder=str(folder), count=few)),
            )
            bench.note(
                "limits",
                "limit",
                0,
                **_renamed("commit", worker.ask("commits", folder=str(folder), count=few)),
            )
            bench.note(
                "limits", "limit", 0, **_renamed("batch", worker.ask("batch", folder=str(folder), count=1000))
            )
            for rows in (1_000, 10_000, 100_000):
                done = worker.ask("product", rows=rows, count=max(20, 2_000_000 // rows))
                bench.note("limits", "limit", rows, product_ms=done["p50_ms"])


def _renamed(prefix: str, figures: dict[str, Any]) -> dict[str, float]:
    kept = ("p50_ms", "per_second", "cpu_us")
    return {f"{prefix}_{name}": value for name, value in figures.items() if name in kept}


def adds(bench: Bench) -> None:
    """Add durably, one memory at a time, and a thousand at once, to stores of each size."""
    for size in bench.sizes:
        owners = spread(size)
        stores = {system: bench.store(system, size, owners) for system in bench.systems}
        with ExitStack() as stack:
            folders = {system: stack.enter_context(bench.copy(store)) for system, store in stores.items()}
            workers = stack.enter_context(bench.workers(folders))
            limit = stack.enter_context(bench.worker("limit"))
            place = stack.enter_context(bench.empty("limit"))
            _single(bench, workers, limit, place, size, owners)
            _bulk(bench, workers, limit, place, size, owners)


def _single(
    bench: Bench, workers: dict[str, Worker], limit: Worker, place: Path, size: int, owners: int
) -> None:
    count = 40 if bench.quick else 150
    for worker in workers.values():  # what is loaded at the first write is measured by `cold`
        worker.ask("add", start=NEW - 5, count=5, owners=owners)
    for number, system in bench.rounds([*workers, "limit"]):
        if system == "limit":
            done = limit.ask("commits", folder=str(place), count=count)
        else:
            done = workers[system].ask("add", start=NEW + number * count, count=count, owners=owners)
        bench.note("add", system, size, **done)


def _bulk(
    bench: Bench, workers: dict[str, Worker], limit: Worker, place: Path, size: int, owners: int
) -> None:
    for number, system in bench.rounds([*workers, "limit"]):
        count = 200 if system == "mem0" else 1000
        if system == "limit":
            done = limit.ask("batch", folder=str(place), count=count)
        elif system == "mem0" and (number or size != bench.sizes[0]):
            continue  # minutes; its time does not shrink with the size of the store
        else:
            start = NEW * 2 + number * 1000 * owners
            done = workers[system].ask("bulk", start=start, count=count, owners=owners)
        bench.note("bulk", system, size, **done)


def cpu(bench: Bench) -> None:
    """Measure the engine's CPU time an add where no disk is in it, empty and full."""
    base = fast(bench.disk)
    count = 50 if bench.quick else 200
    if "memkit" not in bench.systems:
        return
    filled = bench.store("memkit", bench.largest, spread(bench.largest))
    with bench.empty("cpu", base=base) as empty, bench.copy(filled, base=base) as full:
        folders = {0: empty, bench.largest: full}
        for number in range(bench.runs):
            for size, folder in folders.items():
                with bench.worker("memkit") as worker:
                    worker.open(folder)
                    start = NEW * 3 + number * 10_000
                    worker.ask("add", start=start - 50, count=50, owners=100)
                    done = worker.ask("add", start=start, count=count, owners=100)
                    worker.ask("close")
                bench.note("add-cpu", "memkit", size, cpu_ms=done["cpu_ms"])


def fsyncs(bench: Bench) -> None:
    """Count fsync and fdatasync calls by strace: of single adds, of a bulk add, of an add with a model."""
    if shutil.which("strace") is None:
        bench.leave_out("fsyncs: there is no strace on this machine")
        return
    single, many = 100, 1000
    for system in bench.systems:
        with bench.empty(f"fsync-{system}") as folder:
            before = _traced(bench, system, folder / "a", [])
            after = _traced(
                bench, system, folder / "b", [("add", {"start": NEW, "count": single, "owners": 1})]
            )
            bench.note("fsync", system, 0, per_add=(after - before) / single)
            if system == "mem0":
                continue  # twelve thousand, one add at a time
            after = _traced(
                bench, system, folder / "c", [("bulk", {"start": NEW, "count": many, "owners": 1})]
            )
            bench.note("fsync", system, 0, per_bulk=after - before)
            if system == "memkit":
                learned = [("learn", {"start": 0, "count": 20})]
                before = _traced(
                    bench, system, folder / "d", [("learn", {"start": 30, "count": 1})], model=True
                )
                after = _traced(
                    bench, system, folder / "e", [("learn", {"start": 30, "count": 1}), *learned], model=True
                )
                bench.note("fsync", system, 0, per_learn=(after - before) / 20)


def _traced(
    bench: Bench, system: str, folder: Path, work: list[tuple[str, dict[str, int]]], **options: Any
) -> int:
    """Return how many times a fresh store was synced for three adds and then some work."""
    with tempfile.NamedTemporaryFile("r", suffix=".strace") as log:
        wrap = ["strace", "-f", "-e", "trace=fsync,fdatasync", "-o", log.name]
        with bench.worker(system, wrap=wrap) as worker:
            worker.open(folder, **options)
            worker.ask("add", start=0, count=3, owners=1)
            for op, arguments in work:
                worker.ask(op, **arguments)
            worker.ask("close")
        return sum(1 for line in log if "sync(" in line and "resumed" not in line)


def disk(bench: Bench) -> None:
    """Weigh the files of a store after it was closed, in both packings."""
    size = bench.middle
    raw = sum(len(workload.text(number).encode()) for number in range(size)) + size * 4 * workload.DIM
    for system in bench.systems:
        packings = ("float32", "float16") if system == "memkit" else ("",)
        for packing in packings:
            options = {"vectors": packing} if packing else {}
            store = bench.store(system, size, spread(size), **options)
            used = sum(path.stat().st_size for path in store.rglob("*") if path.is_file())
            name = f"{system} {packing}".strip()
            bench.note("disk", name, size, bytes_each=used / size, of_raw=used / raw)
            if packing:
                bench.drop(store)
