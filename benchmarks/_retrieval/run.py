"""A run: its options, the figures it has, and what it keeps so that it can be taken up again."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Final

from benchmarks._engine.bench import Worker, install
from benchmarks._retrieval import data
from benchmarks._retrieval.cached import Cached, Level, embedder
from memkit.progress import progress_bar

ROOT: Final = Path(__file__).parents[2]

_HERE: Final = "benchmarks/_retrieval"
MEMKIT: Final = ("memkit", f"{_HERE}/cached.py", f"{_HERE}/data.py", f"{_HERE}/measured.py")
PEERS: Final = (f"{_HERE}/worker", f"{_HERE}/data.py")

Key = tuple[str, str, str, str]
"""Task, system, set, and what of it: "all", or a kind of question."""


@dataclass(kw_only=True)
class Run:
    """What the tasks of a run share."""

    folder: Path | None
    """Where the conversation sets are."""
    split: str
    only: Sequence[str]
    """Sets to read; empty for all there are."""
    levels: Sequence[Level]
    peers: Sequence[str]
    cache: Path
    """Vectors, and what was measured of each conversation."""
    environments: Path
    quick: bool
    figures: dict[Key, dict[str, float]] = field(default_factory=dict[Key, dict[str, float]])
    notes: list[str] = field(default_factory=list[str])
    _embedders: dict[Level, Cached] = field(default_factory=dict[Level, Cached])

    @cached_property
    def sets(self) -> dict[str, list[data.Conversation]]:
        """The conversation sets by name; a quick run reads two conversations of each."""
        if self.folder is None:
            return {}
        names = data.names(self.folder, self.split)
        chosen = [name for name in names if not self.only or name in self.only]
        loaded = {name: data.load(self.folder, name, self.split) for name in chosen}
        return {name: found[:2] if self.quick else found for name, found in loaded.items()}

    def embedder(self, level: Level) -> Cached:
        """Return the embedder of a level; one for the whole run."""
        if level not in self._embedders:
            self._embedders[level] = embedder(level, self.cache)
        return self._embedders[level]

    def note(self, task: str, system: str, of: str, kind: str, **figures: float) -> None:
        """Keep figures."""
        self.figures.setdefault((task, system, of, kind), {}).update(figures)

    def leave_out(self, why: str) -> None:
        """Keep why something was not measured."""
        if why not in self.notes:
            self.notes.append(why)
            print(f"left out: {why}", flush=True)

    def figure(self, task: str, system: str, of: str, kind: str, what: str) -> float | None:
        """Return a figure, None where nothing was measured."""
        return self.figures.get((task, system, of, kind), {}).get(what)

    def kept(self, make: Callable[[], Any], *names: str, by: Sequence[str] = MEMKIT) -> Any:
        """Return what was measured under some names by this very code, else measure and keep it.

        Args:
            by: The files and folders that decide what comes out.
        """
        path = self.cache / "measured" / digest(tuple(by)) / ("-".join(names).replace("/", "_") + ".json")
        if path.exists():
            return json.loads(path.read_text("utf-8"))
        found = make()
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.write_text(json.dumps(found), "utf-8")
        part.rename(path)
        return found

    def bar(self, total: int, what: str) -> Any:
        """Return a progress bar as a context manager."""
        print(f"{time.strftime('%H:%M:%S')} {what}", flush=True)
        return progress_bar(total, what, enabled=True)

    def worker(self, system: str, packages: Sequence[str], environment: str, scratch: Path) -> Worker:
        """Return a process for a peer, in an environment that is made when it is missing.

        Args:
            scratch: Where its store and its other files go.
        """
        folder = (self.environments / f".venv-retrieval-{environment}").resolve()
        python = folder / "bin" / "python"
        if not python.exists():
            print(f"making an environment for {system} in {folder.name} ...", flush=True)
            install(folder, packages)
        return Worker(system, str(python), script=WORKER, scratch=scratch)


WORKER: Final = Path(__file__).parent / "worker" / "__main__.py"


@cache
def digest(names: tuple[str, ...]) -> str:
    """Return a digest of program files."""
    found = hashlib.sha256()
    for name in names:
        path = ROOT / name
        for each in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            found.update(each.read_bytes())
    return found.hexdigest()[:12]
