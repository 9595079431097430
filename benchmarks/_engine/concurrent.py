"""Many at once: threads and tasks on one object, two processes on one folder, and sudden ends."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any, Final

from benchmarks._engine.bench import Bench, Worker, WorkerError
from benchmarks._engine.learning import EMBED_MS, LLM_MS
from benchmarks._engine.worker import workload

SIZE: Final = 1000
OWNERS: Final = 5
MANY: Final = {"threads": 16, "tasks": 64}


def threads(bench: Bench) -> None:
    """Let one thread and sixteen add and search in turn, then add alone; look for losses in a new process."""
    if "memkit" not in bench.systems:
        return
    store = bench.store("memkit", SIZE, OWNERS)
    for searches in (True, False):
        scenario = "threads-mixed" if searches else "threads-adds"
        for number, many in bench.rounds(["1", str(MANY["threads"])]):
            with bench.copy(store) as folder:
                start = 1_000_000 * (number + 1)
                with bench.workers({"memkit": folder}) as workers:
                    _warm(workers["memkit"])
                    done = workers["memkit"].ask(
                        "threads",
                        count=int(many),
                        seconds=0.5 if bench.quick else 3,
                        start=start,
                        size=SIZE,
                        owners=OWNERS,
                        searches=searches,
                    )
                found = _audit(bench, folder)
            lost = set(done["stored"]) - set(found["numbers"])
            bench.note(
                scenario,
                f"memkit x{many}",
                SIZE,
                per_second=done["per_second"],
                errors=sum(done["errors"].values()),
                lost=len(lost),
                twice=found["twice"],
            )


def tasks(bench: Bench) -> None:
    """Let one task and sixty-four add and search, then learn with a slow model; measure how late the loop is."""
    if "memkit" not in bench.systems:
        return
    store = bench.store("memkit", SIZE, OWNERS)
    seconds = 1.0 if bench.quick else 4.0
    for number, many in bench.rounds(["1", str(MANY["tasks"])]):
        with bench.copy(store) as folder, bench.worker("memkit") as worker:
            done = worker.ask(
                "tasks",
                folder=str(folder),
                count=int(many),
                seconds=seconds,
                start=1_000_000 * (number + 1),
                size=SIZE,
                owners=OWNERS,
            )
        bench.note("tasks", f"memkit x{many}", SIZE, **_counted(done))
    for number in range(bench.runs):
        with bench.empty("learning") as folder, bench.worker("memkit") as worker:
            done = worker.ask(
                "learning_tasks",
                folder=str(folder),
                count=MANY["tasks"],
                seconds=seconds,
                start=1 + 100_000 * number,
                llm_ms=LLM_MS,
                embed_ms=EMBED_MS,
            )
        ideal = MANY["tasks"] / ((LLM_MS + 2 * EMBED_MS) / 1e3)
        bench.note(
            "tasks-learn",
            f"memkit x{MANY['tasks']}",
            0,
            **_counted(done),
            of_ideal=done["per_second"] / ideal,
        )
        with bench.empty("first") as folder, bench.worker("memkit") as worker:
            bench.note("tasks-first", "memkit", 0, **worker.ask("first_calls", folder=str(folder)))


def _counted(done: dict[str, Any]) -> dict[str, float]:
    return {**done, "errors": sum(done["errors"].values())}


def _warm(worker: Worker, start: int = 500_000) -> None:
    """Have behind us what a process does once."""
    worker.ask("add", start=start, count=OWNERS, owners=OWNERS)
    worker.ask("search", start=0, count=OWNERS, size=SIZE, owners=OWNERS)


def _audit(bench: Bench, folder: Path) -> dict[str, Any]:
    with bench.worker("memkit") as worker:
        worker.open(folder)
        found = worker.ask("audit")
        worker.ask("close")
    return found


def two_processes(bench: Bench) -> None:
    """Let two processes add to one folder at once; then let each look for what the other has just written."""
    if "memkit" not in bench.systems:
        return
    store = bench.store("memkit", SIZE, OWNERS)
    seconds = 1.0 if bench.quick else 4.0
    for _ in range(bench.runs):
        with bench.copy(store) as folder, bench.worker("memkit") as one, bench.worker("memkit") as other:
            both = (one, other)
            for at, worker in enumerate(both):
                worker.open(folder)
                _warm(worker, 500_000 + 10 * at)
            for at, worker in enumerate(both):
                worker.send("adds_for", seconds=seconds, start=1_000_000 * (at + 1), owners=OWNERS)
            done = [worker.answer() for worker in both]
            seen = 0
            for each in range(20):
                writer, reader = both[each % 2], both[1 - each % 2]
                writer.ask("add", start=5_000_000 + each, count=1, owners=OWNERS)
                seen += reader.ask("sees", numbers=[5_000_000 + each], owners=OWNERS)["hits"]
            for worker in both:
                worker.ask("close")
            stored = set(_audit(bench, folder)["numbers"])
        counts = [len(each["stored"]) for each in done]
        bench.note(
            "two-processes",
            "memkit",
            SIZE,
            lost=sum(len(set(each["stored"]) - stored) for each in done),
            errors=sum(sum(each["errors"].values()) for each in done),
            seen_of_20=seen,
            longest_ms=max(each["longest_ms"] for each in done),
            share=min(counts) / (sum(counts) / 2),
            per_second=sum(each["per_second"] for each in done),
        )


def kills(bench: Bench) -> None:
    """Kill a process in the middle of single and bulk adds, open its folder in another, and look at everything."""
    if "memkit" not in bench.systems:
        return
    rounds = 2 if bench.quick else 12
    for at_once in (1, 100):
        scenario = "kill-single" if at_once == 1 else "kill-bulk"
        with bench.empty(scenario) as folder:
            acked: set[int] = set()
            for number in range(rounds):
                acked |= _killed(bench, folder, number, at_once)
                _checked(bench, folder, scenario, acked, at_once)


def _killed(bench: Bench, folder: Path, number: int, at_once: int) -> set[int]:
    """Return the first number of every add that was acknowledged before the process was killed."""
    chance = random.Random(number * 1000 + at_once)
    file = folder / "acknowledged.txt"
    file.unlink(missing_ok=True)
    worker = Worker("memkit", bench.python("memkit"))
    worker.open(folder)
    # Number n belongs to owner n % OWNERS; every add of a round is the same owner's.
    start = (number + 1) * 10_000_000 + number % OWNERS
    worker.send("acknowledged", file=str(file), start=start, at_once=at_once, owners=OWNERS)
    wanted = chance.randint(5, 60) if at_once == 1 else chance.randint(1, 8)
    until = time.monotonic() + 60
    while not file.exists() or file.read_bytes().count(b"\n") < wanted:
        if time.monotonic() > until:
            worker.kill()
            raise WorkerError("memkit: nothing was acknowledged in a minute")
        time.sleep(0.001)
    time.sleep(chance.random() * 0.01)
    worker.kill()
    return {int(line) for line in file.read_text().split("\n")[:-1]}


def _checked(bench: Bench, folder: Path, scenario: str, acked: set[int], at_once: int) -> None:
    query = workload.query(min(acked))
    with bench.worker("memkit") as worker, bench.empty("warm") as small:
        worker.open(small)  # imports are no part of opening again
        worker.ask("add", start=0, count=1, owners=1)
        worker.ask("close")
        reopened = worker.ask(
            "cold",
            name="memkit",
            folder=str(folder),
            query=query,
            vector=workload.vector(query).tolist(),
            user=workload.owner(min(acked), OWNERS),
            options={},
            at_least=1,
        )
        found = worker.ask("audit")
        newest = sorted(acked)[-20:]
        seen = worker.ask("sees", numbers=newest, owners=OWNERS)
        worker.ask("close")
    stored = set(found["numbers"])
    members = {first: {first + OWNERS * at for at in range(at_once)} for first in acked}
    unacked = stored - set().union(*members.values())
    bench.note(
        scenario,
        "memkit",
        0,
        acknowledged=len(acked) * at_once,
        lost=sum(len(each - stored) for each in members.values()),
        half=1 if len(unacked) % at_once else 0,
        twice=found["twice"],
        without_event=found["without_event"],
        unfound=seen["of"] - seen["hits"],
        reopen_ms=reopened["total_ms"],
    )
