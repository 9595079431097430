"""memkit behind an adapter and on Chroma: what each layer adds."""

from __future__ import annotations

from benchmarks._engine.bench import Bench, spread


def adapters(bench: Bench) -> None:
    """Measure what a retriever and a tool add to a search."""
    if "memkit" not in bench.systems:
        return
    size = bench.middle
    store = bench.store("memkit", size, spread(size))
    with bench.workers({"memkit": store}) as workers:
        for _ in range(bench.runs):
            found = workers["memkit"].ask(
                "adapters", rounds=3 if bench.quick else 7, size=size, owners=spread(size)
            )
            bench.note("adapters", "memkit", size, **found)


def chroma(bench: Bench) -> None:
    """Add to and search memkit on Chroma beside Chroma's own client: same records, same vectors."""
    if "memkit" not in bench.systems:
        return
    size = bench.middle
    owners = spread(size)
    folders = {
        "chroma": bench.store("chroma", size, owners),
        "memkit": bench.store("memkit", size, owners, store="chroma"),
    }
    with (
        bench.copy(folders["chroma"]) as raw,
        bench.copy(folders["memkit"]) as own,
        bench.worker("chroma") as client,
        bench.worker("memkit") as engine,
    ):
        client.open(raw)
        engine.open(own, store="chroma")
        workers = {"chroma": client, "memkit": engine}
        for worker in workers.values():
            worker.ask("search", start=900_000, count=10, size=size, owners=owners)
        for number, system in bench.rounds(list(workers)):
            found = workers[system].ask(
                "search", start=number * 1000, count=20 if bench.quick else 50, size=size, owners=owners
            )
            bench.note("chroma-search", system, size, p50_ms=found["p50_ms"], cpu_ms=found["cpu_ms"])
        for worker in workers.values():
            worker.ask("bulk", start=70_000_000, count=10, owners=owners)
        for number, system in bench.rounds(list(workers)):
            done = workers[system].ask(
                "bulk", start=80_000_000 + number * 1000 * owners, count=1000, owners=owners
            )
            bench.note("chroma-bulk", system, size, ms=1e6 / done["per_second"], cpu_us=done["cpu_us"])
        for worker in workers.values():
            worker.ask("close")
