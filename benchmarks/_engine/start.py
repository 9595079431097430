"""A new process: import, open, first search; what has to be installed for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from benchmarks._engine.bench import Bench, install, spread
from benchmarks._engine.worker import workload

ROOT: Final = Path(__file__).parents[2]
HEAVY: Final = (
    "numpy", "sqlalchemy", "httpx", "openai", "chromadb", "requests", "urllib3", "langchain_core",
    "llama_index", "mem0", "qdrant_client", "posthog", "onnxruntime",
)  # fmt: skip
"""What an import must not bring along."""
MODULES: Final = {"memkit": "memkit", "mem0": "mem0", "langgraph-sqlite": "langgraph.store.base"}
_IMPORT: Final = (
    "import json, sys, time; before = set(sys.modules); busy = time.process_time(); import {module}; "
    "busy = time.process_time() - busy; new = set(sys.modules) - before; "
    "print(json.dumps([1e3 * busy, len(new), len(new & set({heavy}))]))"
)


def imports(bench: Bench) -> None:
    """Import each package in fresh processes."""
    systems = [system for system in bench.systems if system in MODULES]
    for number, system in bench.rounds(systems, bench.runs + 3):
        code = _IMPORT.format(module=MODULES[system], heavy=list(HEAVY))
        done = subprocess.run(
            [bench.python(system), "-c", code],
            capture_output=True,
            text=True,
            check=True,
            cwd=bench.disk,
            env={**os.environ, "MEM0_DIR": str(bench.disk / "home"), "MEM0_TELEMETRY": "False"},
        )
        busy, modules, heavy = json.loads(done.stdout.splitlines()[-1])
        if number:  # the first warms the disk's cache
            bench.note("import", system, 0, cpu_ms=busy, modules=modules, heavy=heavy)


def cold(bench: Bench) -> None:
    """Open a store in a fresh process and search one owner."""
    size = bench.middle
    systems = list(bench.systems)
    stores = {system: bench.store(system, size, spread(size)) for system in systems}
    for number, system in bench.rounds(systems, bench.runs + 1):
        asked = 17 * number + 5
        query = workload.query(asked)
        with bench.worker(system) as worker:
            found = worker.ask(
                "cold",
                name=system,
                folder=str(stores[system]),
                query=query,
                vector=workload.vector(query).tolist(),
                user=workload.owner(asked, spread(size)),
                options={},
            )
            worker.ask("close")
        if number:
            bench.note("cold", system, size, **found)


def installed(bench: Bench) -> None:
    """Install memkit and mem0 alone into clean environments and weigh them."""
    wanted = {"memkit": str(ROOT)}
    if "mem0" in bench.systems:
        wanted["mem0"] = "mem0ai>=2,<3"
    for system, package in wanted.items():
        with tempfile.TemporaryDirectory(dir=bench.disk) as folder:
            install(Path(folder) / "venv", [package])
            pattern = "Lib/site-packages" if sys.platform == "win32" else "lib/python*/site-packages"
            place = next((Path(folder) / "venv").glob(pattern))
            files = [path for path in place.rglob("*") if path.is_file()]
            bench.note(
                "install",
                system,
                0,
                distributions=len(list(place.glob("*.dist-info"))),
                megabytes=sum(path.stat().st_size for path in files) / 1e6,
            )
