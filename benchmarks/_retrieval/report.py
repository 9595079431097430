"""What a run leaves: JSON, Markdown and pictures; figures alone, no text of the conversations."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks._retrieval.goals import SETS, Goal, goals
from benchmarks._retrieval.run import Run

_SHOWN: Final = ("R@1", "R@5", "R@10", "R@20", "R@50", "hit@10", "MRR", "nDCG@10")
_TITLES: Final = {
    "turns": "Every conversation in a store of its own",
    "isolation": "All conversations of a set in one store, searches of one user",
    "large": "All conversations of a set under one user",
}


def write(run: Run, out: Path, *, command: str, plots: bool) -> str:
    """Write `retrieval.json`, `retrieval.md` and the pictures; return the table of goals."""
    out.mkdir(parents=True, exist_ok=True)
    found = goals(run)
    pictures = _pictures(run, out) if plots else []
    (out / "retrieval.json").write_text(json.dumps(_json(run, found, command), indent=1) + "\n", "utf-8")
    table = goal_table(found)
    met, missed = sum(goal.met is True for goal in found), sum(goal.met is False for goal in found)
    parts = [
        "# Finding it again: memkit beside peers",
        f"Written by `{command}` on {_machine()}. Recall is the share of a question's evidence turns among the first "
        f"k, in percent, averaged over questions; conversations: `*-{run.split}.json`. The constants of the order were "
        "chosen on the development halves, so figures on those say how well the recipe is carried out, not how well it "
        "transfers.",
        f"## Goals\n\n{met} met, {missed} not met, {len(found) - met - missed} not measured in this run.\n\n{table}",
        *(f"![]({name})" for name in pictures),
        *_sections(run),
        *([_notes(run)] if run.notes else []),
    ]
    (out / "retrieval.md").write_text("\n\n".join(parts) + "\n", "utf-8")
    return table


def _json(run: Run, found: Sequence[Goal], command: str) -> dict[str, Any]:
    return {
        "command": command,
        "machine": _machine(),
        "split": run.split,
        "figures": [
            {"task": task, "system": system, "of": of, "kind": kind, **figures}
            for (task, system, of, kind), figures in sorted(run.figures.items())
        ],
        "goals": [
            {
                "text": goal.text,
                "own": goal.own,
                "bound": goal.bound,
                "at_least": goal.at_least,
                "met": goal.met,
            }
            for goal in found
        ],
        "left_out": run.notes,
    }


def _machine() -> str:
    import os

    return (
        f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, {os.cpu_count()} CPUs"
    )


def goal_table(found: Iterable[Goal]) -> str:
    """Return the goals that were measured as Markdown."""
    lines = ["| goal | memkit | bound | floor | |", "|---|---:|---:|---:|---|"]
    for goal in found:
        if goal.own is None:
            continue
        sign = "≥" if goal.at_least else "≤"
        floor = "" if goal.floor is None else _value(goal.floor, goal.unit)
        verdict = (
            "met" if goal.met else "above the floor" if goal.floor and goal.own >= goal.floor else "not met"
        )
        lines.append(
            f"| {goal.text} | {_value(goal.own, goal.unit)} | {sign} {_value(goal.bound, goal.unit)} | {floor} "
            f"| {verdict} |"
        )
    return "\n".join(lines)


def _value(value: float, unit: str) -> str:
    return f"{100 * value:.1f} %" if unit == "%" else f"{value:.3g} {unit}".strip()


def _sections(run: Run) -> Iterable[str]:
    for task, title in _TITLES.items():
        lines = _recall_lines(run, task)
        if lines:
            yield f"## {title}\n\n" + "\n".join(lines)
    for name in SETS:
        lines = _kind_lines(run, name)
        if lines:
            yield f"## R@10 by kind of question, {name}\n\n" + "\n".join(lines)
    lines = _ablation_lines(run)
    if lines:
        yield "## The ranking without one of its parts: R@10, and what is lost\n\n" + "\n".join(lines)
    titles = {
        "answerable": "How well probabilities tell",
        "context": "A context of 1,000 tokens",
        "facts": "Facts that change",
        "languages": "The same memories in eight languages",
        "speed": "CPU of a search, its vector given, 50 results",
        "ingest": "CPU of keeping a turn, the model included",
    }
    for task, title in titles.items():
        lines = _plain_lines(run, task)
        if lines:
            yield f"## {title}\n\n" + "\n".join(lines)


def _recall_lines(run: Run, task: str) -> list[str]:
    rows = [(of, system) for t, system, of, kind in run.figures if t == task and kind == "all"]
    if not rows:
        return []
    head = ["set", "system", "questions", *_SHOWN, "CPU ms", "leaks"]
    lines = ["| " + " | ".join(head) + " |", "|---|---|" + "---:|" * (len(head) - 2)]
    best = sorted(rows, key=lambda row: (row[0], -(run.figure(task, row[1], row[0], "all", "R@10") or 0)))
    for of, system in best:
        figures = run.figures[(task, system, of, "all")]
        cells = [
            of,
            system,
            f"{figures['questions']:.0f}",
            *(f"{100 * figures[name]:.1f}" for name in _SHOWN),
        ]
        lines.append(
            "| " + " | ".join([*cells, f"{figures['cpu_ms']:.2f}", f"{figures['leaks']:.0f}"]) + " |"
        )
    return lines


def _kind_lines(run: Run, name: str) -> list[str]:
    kinds = sorted({kind for task, _, of, kind in run.figures if (task, of) == ("turns", name)} - {"all"})
    systems = list(
        dict.fromkeys(system for task, system, of, _ in run.figures if (task, of) == ("turns", name))
    )
    if not kinds:
        return []
    lines = ["| system | " + " | ".join(kinds) + " |", "|---|" + "---:|" * len(kinds)]
    for system in systems:
        values = [run.figure("turns", system, name, kind, "R@10") for kind in kinds]
        lines.append(
            f"| {system} | " + " | ".join("" if v is None else f"{100 * v:.1f}" for v in values) + " |"
        )
    return lines


def _ablation_lines(run: Run) -> list[str]:
    labels = list(dict.fromkeys(system for task, system, _, _ in run.figures if task == "ablation"))
    sets = [name for name in SETS if any((t, of) == ("ablation", name) for t, _, of, _ in run.figures)]
    if not labels:
        return []
    lines = ["| | " + " | ".join(sets) + " |", "|---|" + "---:|" * len(sets)]
    for label in labels:
        cells: list[str] = []
        for name in sets:
            own = run.figure("ablation", label, name, "all", "R@10")
            whole = run.figure("ablation", f"{label.partition(':')[0]}: whole", name, "all", "R@10")
            shown = "" if own is None else f"{100 * own:.1f}"
            if own is not None and whole is not None and not label.endswith(": whole"):
                shown += f" ({100 * (own - whole):+.1f})"
            cells.append(shown)
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return lines


def _plain_lines(run: Run, task: str) -> list[str]:
    rows = [(system, of, kind) for t, system, of, kind in run.figures if t == task]
    names = list(dict.fromkeys(name for row in rows for name in run.figures[(task, *row)]))
    if not rows:
        return []
    lines = ["| | | | " + " | ".join(name.replace("_", " ") for name in names) + " |",
             "|---|---|---|" + "---:|" * len(names)]  # fmt: skip
    for system, of, kind in rows:
        figures = run.figures[(task, system, of, kind)]
        cells = [f"{figures[name]:.4g}" if name in figures else "" for name in names]
        lines.append(f"| {system} | {of} | {'' if kind == 'all' else kind} | " + " | ".join(cells) + " |")
    return lines


def _notes(run: Run) -> str:
    return "## Left out\n\n" + "\n".join(f"- {' '.join(note.split())}" for note in run.notes)


# ---------------------------------------------------------------------------------------- pictures


def _pictures(run: Run, out: Path) -> list[str]:
    try:
        import matplotlib
    except ImportError:
        run.leave_out("pictures: matplotlib is not installed")
        return []
    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "memkit"
    drawn = [*(_curves(run, out, name) for name in SETS), _bars(run, out)]
    return [name for name in drawn if name]


def _curves(run: Run, out: Path, name: str) -> str:
    """Draw recall by depth."""
    from matplotlib.figure import Figure

    systems = [s for task, s, of, kind in run.figures if (task, of, kind) == ("turns", name, "all")]
    if not systems:
        return ""
    figure = Figure(figsize=(6, 3.8), layout="constrained")
    axes = figure.add_subplot()
    depths = (1, 5, 10, 20, 50)
    for system in systems:
        found = run.figures[("turns", system, name, "all")]
        own = system in run.levels
        axes.plot(
            depths, [100 * found[f"R@{k}"] for k in depths], marker="o", markersize=3,
            linewidth=2.4 if own else 1.1, linestyle="-" if own else "--",
            label=f"memkit, {system}" if own else system,
        )  # fmt: skip
    axes.set(xscale="log", xlabel="results", ylabel="recall, %", title=name)
    axes.set_xticks(depths, [str(k) for k in depths])
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7)
    path = out / f"retrieval-{name}.svg"
    figure.savefig(path, metadata={"Date": None})
    return path.name


def _bars(run: Run, out: Path) -> str:
    """Draw the CPU of a search beside its recall, LoCoMo's."""
    from matplotlib.figure import Figure

    rows = [
        (system, found["cpu_ms"], 100 * found["R@10"])
        for (task, system, of, kind), found in run.figures.items()
        if (task, of, kind) == ("isolation", "locomo", "all")
    ]
    if not rows:
        return ""
    figure = Figure(figsize=(6, 3.8), layout="constrained")
    axes = figure.add_subplot()
    for system, ms, recall in rows:
        own = system in run.levels
        axes.scatter([ms], [recall], color="tab:blue" if own else "tab:gray")
        axes.annotate(system, (ms, recall), fontsize=8, xytext=(4, 4), textcoords="offset points")
    axes.set(
        xscale="log", xlabel="CPU of a search, ms", ylabel="R@10, %", title="all users in one store, locomo"
    )
    axes.grid(alpha=0.3)
    path = out / "retrieval-cost.svg"
    figure.savefig(path, metadata={"Date": None})
    return path.name
