"""Import, cold start, writes, scoped search and fsyncs of memkit, mem0 and bare SQLite + numpy, in one run.

    python -m benchmarks engine [--sizes 1000,10000,100000] [--out FOLDER] [--systems memkit,mem0,sqlite+numpy]

mem0 lives in an environment of its own that is made beside the results at the first run.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from statistics import median
from typing import Any

_HERE = Path(__file__).parent
_WORKER = _HERE / "_engine" / "worker.py"
_MEM0 = ("mem0ai>=2,<3", "chromadb", "numpy")


def main(argv: list[str] | None = None) -> None:
    """Measure, then write `engine.json` and `engine.md`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks engine", description=__doc__)
    parser.add_argument("--sizes", default="1000,10000,100000", help="memories in the store, comma-separated")
    parser.add_argument("--systems", default="memkit,mem0,sqlite+numpy")
    parser.add_argument(
        "--runs", type=int, default=3, help="runs of the short scenarios; the median is reported"
    )
    parser.add_argument("--out", type=Path, default=_HERE / "results")
    parser.add_argument(
        "--disk", type=Path, default=None, help="a folder on the disk to measure (default: a new one)"
    )
    args = parser.parse_args(argv)
    systems = args.systems.split(",")
    pythons = {name: _python(name, args.out) for name in systems}
    sizes = [int(size) for size in args.sizes.split(",")]
    disk = Path(tempfile.mkdtemp(prefix="memkit-bench-", dir=args.disk))
    try:
        results = [row for name in systems for row in _measure(name, pythons[name], sizes, args.runs, disk)]
    finally:
        shutil.rmtree(disk, ignore_errors=True)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "engine.json").write_text(json.dumps(results, indent=1) + "\n")
    table = _table(results, systems)
    (args.out / "engine.md").write_text(table)
    print(table)


def _measure(name: str, python: str, sizes: list[int], runs: int, disk: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []

    def note(scenario: str, size: int, figures: dict[str, float]) -> None:
        rows.append({"system": name, "scenario": scenario, "size": size, **figures})
        print(
            f"  {name:14} {scenario:8} {size:>7}  " + "  ".join(f"{k} {v:.3g}" for k, v in figures.items()),
            flush=True,
        )

    note("import", 0, _medians([_run(python, name, "import", disk, 0) for _ in range(runs + 2)]))
    for size in sizes:
        store = disk / f"{re.sub(r'[^a-z0-9]', '-', name)}-{size}"
        _run(python, name, "fill", store, size)
        note("cold", size, _medians([_run(python, name, "cold", store, size) for _ in range(runs)]))
        note("search", size, _medians([_run(python, name, "search", store, size) for _ in range(runs)]))
        note("add", size, _run(python, name, "add", store, size))
        note("bulk", size, _run(python, name, "bulk", store, size))
        if size == sizes[0]:
            fsyncs = _fsyncs(python, name, store, size)
            if fsyncs is not None:
                note("fsync", size, {"per_add": fsyncs})
        shutil.rmtree(store, ignore_errors=True)
    return rows


def _run(python: str, name: str, scenario: str, folder: Path, size: int) -> dict[str, float]:
    folder.mkdir(parents=True, exist_ok=True)
    command = [python, str(_WORKER), name, scenario, str(folder), str(size)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name} {scenario} failed:\n{done.stderr[-2000:]}")
    figures: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return figures


def _fsyncs(python: str, name: str, folder: Path, size: int) -> float | None:
    """Return fsync and fdatasync calls per single add, by strace; None where there is no strace."""
    if shutil.which("strace") is None:
        return None
    with tempfile.NamedTemporaryFile("r", suffix=".strace") as log:
        command = [
            "strace",
            "-f",
            "-e",
            "trace=fsync,fdatasync",
            "-o",
            log.name,
            python,
            str(_WORKER),
            name,
            "add",
        ]
        done = subprocess.run([*command, str(folder), str(size)], capture_output=True, text=True, check=False)
        if done.returncode:
            return None
        calls = sum(1 for line in log if "sync(" in line and "unfinished" not in line)
    return calls / 205


def _medians(rows: list[dict[str, float]]) -> dict[str, float]:
    return {key: median(row[key] for row in rows) for key in rows[0]}


def _python(name: str, out: Path) -> str:
    """Return the interpreter of a system; mem0's environment is made when it is missing."""
    if name != "mem0":
        return sys.executable
    folder = out / ".venv-mem0"
    python = folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    if not python.exists():
        print(f"making an environment for mem0 in {folder.name} ...", flush=True)
        venv.create(folder, with_pip=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", *_MEM0], check=True)
    return str(python)


_FIGURES = (
    ("import", "cpu_ms", "import, CPU ms"),
    ("import", "modules", "import, modules"),
    ("cold", "wall_ms", "new process: open + first search, ms"),
    ("search", "p50_ms", "search of one owner (1 %), p50 ms"),
    ("search", "cpu_ms", "… CPU ms"),
    ("add", "p50_ms", "durable single add, p50 ms"),
    ("add", "cpu_ms", "… CPU ms"),
    ("bulk", "per_second", "bulk add of 1,000, memories/s"),
    ("fsync", "per_add", "fsyncs per single add"),
)


def _table(results: list[dict[str, Any]], systems: list[str]) -> str:
    """Return the figures as Markdown, with the ratio of memkit to each peer."""
    peers = [name for name in systems if name != "memkit"]
    lines = [
        "| | memories | " + " | ".join(systems) + " | " + " | ".join(f"memkit ÷ {p}" for p in peers) + " |",
        "|---|---:|" + "---:|" * (len(systems) + len(peers)),
    ]
    for scenario, figure, label in _FIGURES:
        for size in dict.fromkeys(row["size"] for row in results if row["scenario"] == scenario):
            value = {
                row["system"]: row[figure]
                for row in results
                if row["scenario"] == scenario and row["size"] == size
            }
            own = value.get("memkit")
            cells = [f"{value[name]:,.3g}" if name in value else "–" for name in systems]
            ratios = [f"{own / value[p]:.3g}" if own and value.get(p) else "–" for p in peers]
            lines.append(f"| {label} | {size or '–'} | " + " | ".join([*cells, *ratios]) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
