"""Every goal of the engine beside its peers and the limits of the machine, in one run.

    python -m benchmarks engine [--quick] [--scenarios search,adds] [--sizes 1000,10000,100000] [--systems memkit,mem0]

mem0 and LangGraph live in environments of their own, made at the first run. Read the ratios: peers, limits and memkit
take turns, so that whatever else the machine does hits all of them.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from benchmarks._engine import concurrent, faces, learning, report, searches, start, writes
from benchmarks._engine.bench import SYSTEMS, Bench, WorkerError

RESULTS: Final = Path(__file__).parent / "results"
SCENARIOS: Final[Mapping[str, Callable[[Bench], None]]] = {
    "limits": writes.limits,
    "import": start.imports,
    "install": start.installed,
    "cold": start.cold,
    "adds": writes.adds,
    "cpu": writes.cpu,
    "fsync": writes.fsyncs,
    "disk": writes.disk,
    "search": searches.scoped,
    "everything": searches.everything,
    "first-search": searches.first_searches,
    "memory": searches.memory,
    "learn": learning.learning,
    "learn-remote": learning.learning_remotely,
    "threads": concurrent.threads,
    "tasks": concurrent.tasks,
    "two-processes": concurrent.two_processes,
    "kill": concurrent.kills,
    "adapters": faces.adapters,
    "chroma": faces.chroma,
    "million": searches.million,
}


def main(argv: list[str] | None = None) -> None:
    """Measure, then write `engine.json`, `engine.md` and the pictures."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks engine",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--scenarios", default=",".join(SCENARIOS), help="some of the default, comma-separated"
    )
    parser.add_argument("--sizes", help="memories in the store, comma-separated")
    parser.add_argument("--systems", default=",".join(SYSTEMS), help="some of the default, comma-separated")
    parser.add_argument("--runs", type=int, help="rounds; the median is reported")
    parser.add_argument(
        "--quick", action="store_true", help="small sizes, few rounds, into a folder of its own"
    )
    parser.add_argument("--out", type=Path, help="where the results go")
    parser.add_argument(
        "--environments", type=Path, default=RESULTS, help="where the peers' environments are"
    )
    parser.add_argument("--disk", type=Path, help="a folder on the disk to measure (default: a new one)")
    parser.add_argument("--no-plots", action="store_true")
    asked = parser.parse_args(argv)
    sizes = asked.sizes or ("1000,3000" if asked.quick else "1000,10000,100000")
    disk = Path(tempfile.mkdtemp(prefix="memkit-bench-", dir=asked.disk))
    bench = Bench(
        disk=disk,
        environments=asked.environments,
        systems=_some(parser, "--systems", asked.systems, SYSTEMS),
        sizes=sorted(int(size) for size in sizes.split(",")),
        runs=asked.runs or (2 if asked.quick else 5),
        quick=asked.quick,
    )
    out: Path = asked.out or (Path(tempfile.gettempdir()) / "memkit-bench-quick" if asked.quick else RESULTS)
    command = "python -m benchmarks engine" + "".join(f" {word}" for word in argv or ())
    began, failed = time.monotonic(), False
    try:
        bench.prepare()
        for name in _some(parser, "--scenarios", asked.scenarios, tuple(SCENARIOS)):
            started = time.monotonic()
            try:
                SCENARIOS[name](bench)
                print(f"-------- {name}: {time.monotonic() - started:.0f} s", flush=True)
            except (WorkerError, subprocess.CalledProcessError) as error:
                failed = True
                bench.leave_out(f"{name} failed: {error}")
    finally:
        shutil.rmtree(disk, ignore_errors=True)
        if bench.samples:
            print(report.write(bench, out, command=command, plots=not asked.no_plots))
            print(f"{time.monotonic() - began:.0f} s; results in {out}")
    if failed:
        raise SystemExit("Some scenarios failed; see above.")


def _some(parser: argparse.ArgumentParser, option: str, given: str, known: tuple[str, ...]) -> list[str]:
    """Return the names that were asked for, in the order of the known ones."""
    names = given.split(",")
    for name in names:
        if name not in known:
            parser.error(f"{option}: unknown {name!r}. Known: {', '.join(known)}.")
    return [name for name in known if name in names]


if __name__ == "__main__":
    main()
