"""The bench: systems in processes of their own, filled stores that are used again, and figures in rounds."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

HERE: Final = Path(__file__).parent
WORKER: Final = HERE / "worker" / "__main__.py"
PACKAGES: Final[Mapping[str, Sequence[str]]] = {
    "mem0": ("mem0ai>=2,<3", "chromadb>=1.5,<2", "numpy", "openai"),
    "langgraph-sqlite": (
        "langgraph>=1.1.6,<2",
        "langgraph-checkpoint-sqlite>=3,<4",
        "numpy",
        "pysqlite3-binary; sys_platform == 'linux'",
    ),
}
"""Of each environment; the other systems run in this one."""

SYSTEMS: Final = ("memkit", "mem0", "langgraph-sqlite", "sqlite+numpy")
PEERS: Final = SYSTEMS[1:]

Key = tuple[str, str, int, str]
"""Scenario, system, memories in the store (0 where it makes no difference), what was measured."""


class WorkerError(RuntimeError):
    """A worker could not do what it was asked."""


class Worker:
    """One system in a process of its own."""

    def __init__(
        self,
        system: str,
        python: str,
        *,
        wrap: Sequence[str] = (),
        script: Path = WORKER,
        scratch: Path | None = None,
    ) -> None:
        """Start it.

        Args:
            scratch: Where its temporary files go; the system's place for them where None.
        """
        self.system = system
        scratched = {} if scratch is None else dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(scratch))
        self._process = subprocess.Popen(
            [*wrap, python, str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **_ENVIRONMENT, **scratched},
        )
        self._read()

    def ask(self, op: str, **arguments: Any) -> dict[str, Any]:
        """Return what an operation gave."""
        self.send(op, **arguments)
        return self.answer()

    def send(self, op: str, **arguments: Any) -> None:
        """Start an operation; `answer` waits for it."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"op": op, **arguments}) + "\n")
        self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """Return what the operation that was started gave."""
        found = self._read()
        if "error" in found:
            raise WorkerError(f"{self.system}: {found['error']}")
        result: dict[str, Any] = found["result"]
        return result

    def open(self, folder: Path, **options: Any) -> dict[str, Any]:
        """Open the system's store."""
        return self.ask("open_store", name=self.system, folder=str(folder), options=options)

    def kill(self) -> None:
        """End the process at once, as a crash would."""
        self._process.send_signal(signal.SIGKILL)
        self._wait()

    def quit(self) -> None:
        """End the process after what it does."""
        assert self._process.stdin is not None
        if not self._process.stdin.closed:
            self._process.stdin.close()
        self._wait()

    def _wait(self) -> None:
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None and not pipe.closed:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise WorkerError(f"{self.system}: the process ended with {self._process.wait()}")
        return json.loads(line)


# One thread for matrix products: more would measure what else the machine does.
_ENVIRONMENT: Final = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "MEM0_TELEMETRY": "False",
    "ANONYMIZED_TELEMETRY": "False",
    "OPENAI_API_KEY": "stub",
}


@dataclass(kw_only=True)
class Bench:
    """What a run shares: its options, its stores and its figures."""

    disk: Path
    """A folder on the disk that is measured."""
    environments: Path
    """Where the peers' environments are made."""
    systems: Sequence[str]
    sizes: Sequence[int]
    runs: int
    quick: bool
    samples: dict[Key, list[float]] = field(default_factory=dict[Key, list[float]])
    notes: list[str] = field(default_factory=list[str])
    """What could not be measured, and why."""
    _stores: dict[str, Path] = field(default_factory=dict[str, Path])

    @property
    def largest(self) -> int:
        """The largest store but that of the millions."""
        return max(self.sizes)

    @property
    def tenth(self) -> int:
        """The store a tenth of the largest, or what is next to it."""
        return min(self.sizes, key=lambda size: abs(10 * size - self.largest))

    @property
    def middle(self) -> int:
        """The store that a cold start opens."""
        return sorted(self.sizes)[len(self.sizes) // 2]

    # Figures.

    def note(self, scenario: str, system: str, size: int, **figures: float) -> None:
        """Keep figures; the median of all that are kept under one name is reported."""
        for what, value in figures.items():
            self.samples.setdefault((scenario, system, size, what), []).append(float(value))
        shown = "  ".join(f"{what} {value:,.4g}" for what, value in figures.items())
        print(f"{time.strftime('%H:%M:%S')} {scenario:12} {system:17} {size or '':>8}  {shown}", flush=True)

    def leave_out(self, why: str) -> None:
        """Keep why something was not measured."""
        self.notes.append(why)
        print(f"{time.strftime('%H:%M:%S')} left out: {why}", flush=True)

    def figure(self, scenario: str, system: str, size: int, what: str) -> float | None:
        """Return a median, None where nothing was measured."""
        found = self.samples.get((scenario, system, size, what))
        return median(found) if found else None

    # Systems.

    def prepare(self) -> None:
        """Make the environments that are missing; a system whose environment cannot be made is left out."""
        for system in self.systems:
            try:
                self.python(system)
            except subprocess.CalledProcessError as error:
                self.systems = [each for each in self.systems if each != system]
                self.leave_out(f"{system}: its environment cannot be made: {error}")

    def python(self, system: str) -> str:
        """Return the interpreter of a system; a peer's environment is made when it is missing."""
        if system not in PACKAGES:
            return sys.executable
        folder = (self.environments / f".venv-{system}").resolve()
        python = folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"
        if not python.exists():
            print(f"making an environment for {system} in {folder.name} ...", flush=True)
            install(folder, PACKAGES[system])
        return str(python)

    @contextmanager
    def worker(self, system: str, *, wrap: Sequence[str] = ()) -> Generator[Worker]:
        """Give a process of a system and end it."""
        worker = Worker(system, self.python(system), wrap=wrap)
        try:
            yield worker
        finally:
            worker.quit()

    @contextmanager
    def workers(self, folders: Mapping[str, Path], **options: Any) -> Generator[dict[str, Worker]]:
        """Give a process of each system with its store open, and end them."""
        found: dict[str, Worker] = {}
        try:
            for system, folder in folders.items():
                found[system] = Worker(system, self.python(system))
                found[system].open(folder, **options)
            yield found
            for worker in found.values():
                worker.ask("close")
        finally:
            for worker in found.values():
                worker.quit()

    def rounds(self, systems: Sequence[str], runs: int | None = None) -> Iterator[tuple[int, str]]:
        """Give every system once a round, in another order each time, so that other load hits all alike."""
        for number in range(self.runs if runs is None else runs):
            order = list(systems)
            random.Random(number).shuffle(order)
            for system in order:
                yield number, system

    # Stores.

    def store(self, system: str, size: int, owners: int, **options: Any) -> Path:
        """Return a filled store, to be read only; it is filled once a run."""
        name = "-".join([system.replace("+", "-"), str(size), str(owners), *map(str, options.values())])
        if name not in self._stores:
            folder = self.disk / name
            with self.worker(system) as worker:
                worker.open(folder, **options)
                done = worker.ask("fill", size=size, owners=owners)
                worker.ask("close")
            self.note("fill", system + _suffix(options), size, per_second=size / done["seconds"])
            self._stores[name] = folder
        return self._stores[name]

    @contextmanager
    def copy(self, store: Path, *, base: Path | None = None) -> Generator[Path]:
        """Give a copy of a store that may be written to, and remove it."""
        folder = (base or self.disk) / f"copy-{store.name}-{time.monotonic_ns()}"
        shutil.copytree(store, folder)
        os.sync()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def empty(self, name: str, *, base: Path | None = None) -> Generator[Path]:
        """Give an empty folder, and remove it."""
        folder = (base or self.disk) / f"{name.replace('+', '-')}-{time.monotonic_ns()}"
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def drop(self, store: Path) -> None:
        """Remove a filled store that no scenario needs any more."""
        shutil.rmtree(store, ignore_errors=True)
        self._stores = {name: path for name, path in self._stores.items() if path != store}


def _suffix(options: Mapping[str, Any]) -> str:
    return f" ({', '.join(map(str, options.values()))})" if options else ""


def install(folder: Path, packages: Sequence[str]) -> None:
    """Make an environment with some packages."""
    uv = [sys.executable, "-m", "uv"]
    python = folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    try:
        subprocess.run([*uv, "venv", "-q", "--python", sys.executable, str(folder)], check=True)
        subprocess.run([*uv, "pip", "install", "-q", "--python", str(python), *packages], check=True)
    except subprocess.CalledProcessError:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def spread(size: int) -> int:
    """Return how many owners share a store so that each has a thousand, or all."""
    return max(1, size // 1000)


def fast(disk: Path) -> Path:
    """Return a folder without a disk under it, where CPU time is not the file system's; else the disk."""
    memory = Path("/dev/shm")
    return memory if memory.is_dir() and os.access(memory, os.W_OK) else disk
