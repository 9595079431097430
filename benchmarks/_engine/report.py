"""What a run gives: the table of goals, every figure, as Markdown and JSON, and three pictures."""

from __future__ import annotations

import json
import platform
import sqlite3
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks._engine.bench import SYSTEMS, Bench
from benchmarks._engine.goals import Row, rows

_MET = {True: "met", False: "**not met**"}


def write(bench: Bench, out: Path, *, command: str, plots: bool) -> str:
    """Write `engine.json`, `engine.md` and the pictures; return the table of goals."""
    out.mkdir(parents=True, exist_ok=True)
    found = rows(bench)
    figures = [
        {
            "scenario": scenario,
            "system": system,
            "size": size,
            "what": what,
            "median": median(samples),
            "samples": samples,
        }
        for (scenario, system, size, what), samples in bench.samples.items()
    ]
    machine = _machine()
    data = {
        "command": command,
        "machine": machine,
        "goals": [asdict(row) for row in found],
        "figures": figures,
        "left_out": bench.notes,
    }
    (out / "engine.json").write_text(json.dumps(data, indent=1) + "\n", "utf-8")
    table = goal_table(found)
    pictures = _pictures(bench, found, out) if plots else []
    parts = [
        "# The engine beside its peers and the limits of the machine",
        f"Written by `{command}` on {machine['cpus']} cores, {machine['system']}, CPython {machine['python']}, SQLite "
        f"{machine['sqlite']}. Medians over interleaved rounds of one run, each system in a process of its own; the "
        "embedder is a stub with known vectors, so that its cost is in no figure. `limit` is what the machine does "
        "without an engine: a commit with WAL and synchronous FULL, an `executemany`, a matrix product of numpy, "
        "the requests of an add with a model made by the vendor's client alone. `idle` is how late the same event loop "
        "was with nothing to do, just before. "
        "The column `by CPU` is the same ratio by CPU time, which other load on the machine does not change. Where "
        "nothing may go wrong even once (lost, errors, longest wait), the worst of the run counts.",
        _summary(found),
        *(f"![{name}]({name})" for name in pictures),
        "## Goals",
        table,
        *_unmeasured(found),
        *(["## Left out", "\n".join(f"- {_short(note)}" for note in bench.notes)] if bench.notes else []),
        "## Every figure",
        figure_table(bench),
    ]
    (out / "engine.md").write_text("\n\n".join(part.strip() for part in parts) + "\n", "utf-8")
    return table


def _unmeasured(found: Sequence[Row]) -> list[str]:
    names = [row.text for row in found if row.met is None]
    return [f"Not measured in this run: {'; '.join(names)}."] if names else []


def _short(note: str) -> str:
    """Return the first and the last line: of a traceback, where and what."""
    lines = note.strip().splitlines()
    return lines[0] if len(lines) == 1 else f"{lines[0]} … {lines[-1]}"


def _summary(found: Sequence[Row]) -> str:
    met = sum(row.met is True for row in found)
    missed = sum(row.met is False for row in found)
    return f"{met} goals met, {missed} not met, {len(found) - met - missed} not measured in this run."


def goal_table(found: Sequence[Row]) -> str:
    """Return the goals as Markdown."""
    lines = [
        "| | goal | memkit | peer or limit | ratio | by CPU | bound | |",
        "|---|---|---:|---:|---:|---:|---:|---|",
    ]
    for row in (each for each in found if each.met is not None):
        sign = "≥" if row.at_least else "≤"
        other = (
            f"{_number(row.against)} {row.unit} ({row.against_name})".replace("  ", " ")
            if row.against_name
            else "–"
        )
        cells = [
            row.group,
            row.text,
            f"{_number(row.own)} {row.unit}".strip(),
            other,
            _number(row.ratio),
            _number(row.cpu_ratio),
            f"{sign} {row.bound:,g}" + (f" {row.unit}".rstrip() if row.absolute else " ×"),
            _MET[bool(row.met)],
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def figure_table(bench: Bench) -> str:
    """Return all medians as Markdown."""
    lines = ["| scenario | system | memories | figures |", "|---|---|---:|---|"]
    grouped: dict[tuple[str, str, int], list[str]] = {}
    for (scenario, system, size, what), samples in bench.samples.items():
        shown = f"{what.replace('_', ' ')} {_number(median(samples))}"
        grouped.setdefault((scenario, system, size), []).append(shown)
    for (scenario, system, size), shown in sorted(grouped.items()):
        lines.append(f"| {scenario} | {system} | {f'{size:,}' if size else '–'} | {' · '.join(shown)} |")
    return "\n".join(lines)


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _machine() -> dict[str, Any]:
    import os

    return {
        "system": f"{platform.system()} {platform.release().split('-')[0]} {platform.machine()}",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "cpus": os.cpu_count(),
    }


def _pictures(bench: Bench, found: Sequence[Row], out: Path) -> list[str]:
    """Draw searches and adds by size, and how far each ratio is from its bound."""
    try:
        import matplotlib
    except ImportError:
        bench.leave_out("pictures: matplotlib is not installed")
        return []
    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "memkit"
    drawn = [
        _lines(bench, out / "engine-search.svg", "search", "p50_ms", "search of one owner of 1,000, p50, ms"),
        _lines(bench, out / "engine-add.svg", "add", "per_second", "durable single adds a second"),
        _bars(found, out / "engine-goals.svg"),
    ]
    return [name for name in drawn if name]


def _lines(bench: Bench, path: Path, scenario: str, what: str, title: str) -> str:
    from matplotlib.figure import Figure

    curves: dict[str, list[tuple[int, float]]] = {}
    for system in (*SYSTEMS, "limit"):
        points = [
            (size, value)
            for size in sorted(bench.sizes)
            if (value := bench.figure(scenario, system, size, what)) is not None
        ]
        if points:
            curves[system] = points
    if not curves:
        return ""
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.add_subplot()
    for system, points in curves.items():
        axes.plot(
            [size for size, _ in points],
            [value for _, value in points],
            marker="o",
            linewidth=2.5 if system == "memkit" else 1.2,
            label=system,
        )
    axes.set(xscale="log", yscale="log", xlabel="memories in the store", title=title)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(path, metadata={"Date": None})
    return path.name


def _bars(found: Sequence[Row], path: Path) -> str:
    """Draw how much of its bound each ratio uses: under 1 is met."""
    from matplotlib.figure import Figure

    used: list[tuple[str, float, bool]] = []
    for row in found:
        value = row.own if row.absolute else row.ratio
        if value is None or not row.bound or row.met is None:
            continue
        share = row.bound / value if row.at_least and value else value / row.bound
        used.append((row.text if row.absolute else f"{row.text} ÷ {row.against_name}", share, row.met))
    if not used:
        return ""
    figure = Figure(figsize=(9, 0.24 * len(used) + 1), layout="constrained")
    axes = figure.add_subplot()
    places = range(len(used), 0, -1)
    axes.barh(
        list(places),
        [share for _, share, _ in used],
        color=["tab:green" if met else "tab:red" for _, _, met in used],
    )
    axes.axvline(1, color="black", linewidth=1)
    axes.set_yticks(list(places), [name for name, _, _ in used], fontsize=7)
    axes.set(xscale="log", title="measured, as a part of its bound (left of the line is met)")
    figure.savefig(path, metadata={"Date": None})
    return path.name
