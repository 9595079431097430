"""The repository's own files and projects, for the tests of this folder."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
_NOT_OURS = {"build", "dist", "htmlcov", "node_modules"}
_TEXT = {
    ".py",
    ".md",
    ".toml",
    ".txt",
    ".sh",
    ".json",
    ".jsonl",
    ".ipynb",
    ".yml",
    ".yaml",
    ".cfg",
    ".sql",
    "",
}


@cache
def files(*suffixes: str) -> tuple[Path, ...]:
    """Every file of the repository with one of the suffixes, or every text file; nothing made by a tool."""
    wanted = set(suffixes) or _TEXT
    found: list[Path] = []
    pending = [ROOT]
    while pending:
        for path in sorted(pending.pop().iterdir()):
            if path.is_dir():
                hidden = path.name.startswith(".") and path.name != ".ci"
                if not hidden and path.name not in _NOT_OURS and not path.name.startswith("__"):
                    pending.append(path)
            elif path.suffix in wanted:
                found.append(path)
    return tuple(found)


def name(path: Path) -> str:
    """The path as the repository writes it."""
    return path.relative_to(ROOT).as_posix()


def module(path: Path) -> str:
    """The dotted name of a file of the core."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def projects() -> dict[Path, dict[str, Any]]:
    """The `pyproject.toml` of each of our distributions, the core first."""
    paths = [ROOT / "pyproject.toml", *sorted(ROOT.glob("integrations/*/pyproject.toml"))]
    return {path.parent: tomllib.loads(path.read_text("utf-8")) for path in paths}
