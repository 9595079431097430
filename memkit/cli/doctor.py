"""`memkit stats` and `doctor`."""

from __future__ import annotations

import os
import platform
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args

import typer

from ..errors import MemkitError
from .output import plural
from .session import ERROR, USER_VARIABLE, Session, command

if TYPE_CHECKING:
    from ..memory import Memory

_VARIABLES: Final = (
    "MEMKIT_PATH", USER_VARIABLE, "MEMKIT_CONFIG", "MEMKIT_VECTOR_STORE", "MEMKIT_LLM", "MEMKIT_EMBEDDER",
    "MEMKIT_LOCAL_EMBEDDER", "MEMKIT_MODELS", "MEMKIT_GRAPH_STORE", "GRAPH_STORE_PROVIDER", "MEMKIT_RERANKER",
    "MEMKIT_LEDGER", "MEMKIT_INSTRUCTIONS", "OPENAI_API_KEY", "OPENAI_BASE_URL", "ANTHROPIC_API_KEY",
    "ANTHROPIC_BASE_URL",
)  # fmt: skip


def register(app: typer.Typer) -> None:
    """Put the commands on the command line."""
    command(app, "stats", "memkit stats", "memkit stats --json")(stats)
    command(app, "doctor", "memkit doctor", "memkit doctor --path ./memories")(doctor)


def stats(session: Session) -> None:
    """Show how much there is."""
    with session.memory() as memory:
        found = memory.stats()
    if session.json:
        session.out.document(found)
        return
    size = "" if found.bytes is None else f", {found.bytes / 1e6:.1f} MB"
    session.out.line(found.location)
    session.out.line(f"{plural(found.memories, 'memory')}, {plural(found.messages, 'message')}{size}")
    session.out.line(f"{plural(found.owners, 'owner')}, {plural(found.events, 'event')}")
    if found.embedder is not None:
        session.out.line(f"embedder {found.embedder}, {found.dim} dimensions")
    if found.unfinished:
        session.out.line(f"{plural(found.unfinished, 'extraction')} not finished: memkit repair")
    for index, waiting in found.pending.items():
        if waiting:
            session.out.line(f"{index} lags behind by {plural(waiting, 'change')}: memkit repair")


def doctor(session: Session) -> None:
    """Explain what is active and what is missing.

    For every part it says why it was chosen, and for what is missing what to type. No memory is written. The exit code
    is 1 when something is broken.
    """
    report = _report(session)
    if session.json:
        session.out.document(report)
    else:
        _show(session, report)
    if not report["ok"]:
        raise typer.Exit(ERROR)


def _report(session: Session) -> dict[str, Any]:
    import sqlite3

    from .. import __version__

    report: dict[str, Any] = {
        "ok": False,
        "memkit": __version__,
        "python": platform.python_version(),
        "platform": platform.system(),
        "sqlite": sqlite3.sqlite_version,
        "location": None,
        "exists": False,
        "chosen": {},
        "problems": {},
        "pending": {},
        "hints": [],
        "missing": _missing(),
        "environment": {name: _shown(name) for name in _VARIABLES if os.environ.get(name)},
        "stats": None,
    }
    try:
        with session.memory() as memory:
            _examine(memory, report)
    except MemkitError as error:
        report["problems"].setdefault("configuration", error.message)
    report["ok"] = not report["problems"]
    return report


def _examine(memory: Memory, report: dict[str, Any]) -> None:
    health = memory.health()
    report.update(health.model_dump(mode="json", exclude={"ok"}))
    is_server = "://" in health.location
    place = None if is_server or health.location == ":memory:" else Path(health.location)
    report["exists"] = place is not None and place.exists()
    if "ledger" in health.problems:
        return
    if is_server:
        report["exists"] = memory.stats().schema_version is not None
    if report["exists"]:
        report["stats"] = memory.stats().model_dump(mode="json")
    elif place is not None and (problem := _cannot_make(place)) is not None:
        report["problems"]["ledger"] = problem


_USER_INFO: Final = re.compile(r"//[^/?#]*@")
"""User and password of a URL."""


def _cannot_make(file: Path) -> str | None:
    """Return why the ledger's file could not be made; nothing is made to find out."""
    nearest = next(parent for parent in file.absolute().parents if parent.exists())
    if not nearest.is_dir():
        return f"{nearest} is a file, so {file} cannot be made. Give another --path."
    if not os.access(nearest, os.W_OK | os.X_OK):
        return (
            f"{nearest} cannot be written, so {file} cannot be made. Give another --path, or allow writing."
        )
    return None


def _missing() -> dict[str, str]:
    """Return the providers whose extra is not installed, and what to type."""
    from ..registry import PROVIDERS, ProviderKind, availability

    return {
        f"{kind} {name}": found.partition(": ")[2]
        for kind in get_args(ProviderKind)
        for name in PROVIDERS[kind]
        if (found := availability(kind, name)).startswith("missing: ")
    }


def _shown(name: str) -> str:
    value = os.environ[name]
    if name.endswith("KEY") or value.lstrip().startswith("{"):
        return "(set)"
    if name == "MEMKIT_LEDGER":
        from ..ledgers import ledger_shown

        return ledger_shown(value)
    return _USER_INFO.sub("//", value)


def _show(session: Session, report: dict[str, Any]) -> None:
    out = session.out
    out.line(
        f"memkit {report['memkit']}, Python {report['python']}, SQLite {report['sqlite']}, {report['platform']}"
    )
    if report["location"] is not None:
        made = (
            ""
            if report["exists"] or report["location"] == ":memory:"
            else " (not there yet; `memkit add` makes it)"
        )
        out.line(f"Memories: {report['location']}{made}")
    if report["stats"] is not None:
        held = report["stats"]
        counts = f"{plural(held['memories'], 'memory')} and {plural(held['messages'], 'message')}"
        out.line(f"It holds {counts} of {plural(held['owners'], 'owner')}.")
    for part, what in sorted(report["chosen"].items()):
        if part not in report["problems"]:
            out.line(f"ok       {part}: {what}")
    for part, what in sorted(report["problems"].items()):
        out.line(f"PROBLEM  {part}: {what}")
    for index, waiting in report["pending"].items():
        if waiting:
            out.line(f"behind   {index}: {plural(waiting, 'change')}. Type: memkit repair")
    for provider, what in report["missing"].items():
        out.line(f"missing  {provider}. Type: {what}")
    for hint in report["hints"]:
        out.line(f"hint     {hint}")
    for name, value in report["environment"].items():
        out.line(f"env      {name}={value}")
    out.line("All is well." if report["ok"] else "Something is broken: see PROBLEM above.")
    sys.stdout.flush()
