"""The goals: each a row of the table, met or not, with its figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from benchmarks._engine.bench import Bench
from benchmarks._engine.concurrent import MANY, SIZE
from benchmarks._engine.learning import EMBED_MS, LLM_MS
from benchmarks._engine.searches import million_sizes

Size = int | Literal["smallest", "middle", "largest", "ten", "million", "before"]


@dataclass(frozen=True, slots=True)
class Figure:
    """A median of the run; `constant` is a figure that nothing has to measure."""

    scenario: str
    system: str
    size: Size
    what: str
    constant: float | None = None


@dataclass(frozen=True, slots=True)
class Goal:
    """A bound on a figure, or on its ratio to another figure of the same run.

    An `absolute` bound is on the figure itself; the other one is only shown beside it.
    """

    group: str
    text: str
    own: Figure
    bound: float
    against: Figure | None = None
    at_least: bool = False
    unit: str = ""
    absolute: bool = True


@dataclass(frozen=True, slots=True)
class Row:
    """A goal and what was measured; what was not is None."""

    group: str
    text: str
    unit: str
    own: float | None
    against: float | None
    against_name: str
    ratio: float | None
    cpu_ratio: float | None
    """The same ratio by CPU time, where that was measured: other load does not change it."""
    bound: float
    at_least: bool
    absolute: bool
    met: bool | None


MEM0: Final = "mem0"
LANGGRAPH: Final = "langgraph-sqlite"
BARE: Final = "sqlite+numpy"


def _of(
    group: str,
    text: str,
    scenario: str,
    what: str,
    size: Size,
    bound: float,
    *,
    system: str = "memkit",
    against: str | Figure | None = None,
    at_least: bool = False,
    beside: str | None = None,
    unit: str = "",
) -> Goal:
    """Return a goal; `against` is a system with the same figure, or another figure, `beside` one only to look at."""
    if beside is not None:
        shown = Figure(scenario, beside, size, what)
        return Goal(group, text, Figure(scenario, system, size, what), bound, shown, at_least, unit)
    other = Figure(scenario, against, size, what) if isinstance(against, str) else against
    return Goal(
        group, text, Figure(scenario, system, size, what), bound, other, at_least, unit, other is None
    )


_ENDS: Final[tuple[Size, Size]] = ("smallest", "largest")
_UPPER: Final[tuple[Size, Size]] = ("ten", "largest")
_LOWER: Final[tuple[Size, Size]] = ("smallest", "middle")


def _fixed(value: float) -> Figure:
    return Figure("", "", 0, "", value)


def _start() -> list[Goal]:
    group = "start"
    return [
        _of(group, "import, CPU", "import", "cpu_ms", 0, 0.10, against=MEM0, unit="ms"),
        _of(group, "import: heavy modules loaded", "import", "heavy", 0, 0),
        _of(group, "install: distributions", "install", "distributions", 0, 18, beside=MEM0),
        _of(group, "install: size", "install", "megabytes", 0, 130, beside=MEM0, unit="MB"),
        _of(group, "new process: open, first search", "cold", "total_ms", "middle", 0.20, against=MEM0, unit="ms"),
        _of(group, "new process: open, first search", "cold", "total_ms", "middle", 1.0, against=LANGGRAPH, unit="ms"),
        _of(group, "new process: resident memory", "cold", "rss_mb", "middle", 0.35, against=MEM0, unit="MB"),
    ]  # fmt: skip


def _writes() -> list[Goal]:
    group = "writes"
    single = ("add", "per_second")
    rate = "durable single add, rate"
    return [
        _of(group, "fsyncs per single add", "fsync", "per_add", 0, 1.05),
        *(
            _of(group, rate, *single, size, bound, against="limit", at_least=True, unit="/s")
            for size, bound in zip(_ENDS, (0.5, 0.4), strict=True)
        ),
        *(
            _of(group, rate, *single, size, bound, against=peer, at_least=True, unit="/s")
            for size in _LOWER
            for peer, bound in ((MEM0, 10), (LANGGRAPH, 2))
        ),
        _of(group, "single add, engine's CPU in an empty store", "add-cpu", "cpu_ms", 0, 0.3, unit="ms"),
        _of(group, "single add, engine's CPU in a full store", "add-cpu", "cpu_ms", "largest", 0.3, unit="ms"),
        _of(group, "… full over empty", "add-cpu", "cpu_ms", "largest", 1.5,
            against=Figure("add-cpu", "memkit", 0, "cpu_ms"), unit="ms"),
        _of(group, "fsyncs per bulk add of 1,000", "fsync", "per_bulk", 0, 2),
        _of(group, "embedder's calls per bulk add of 1,000", "bulk", "embed_calls", "smallest", 1),
        _of(group, "bulk add of 1,000, rate", "bulk", "per_second", "smallest", 5000, at_least=True, unit="/s"),
        _of(group, "bulk add of 1,000, rate", "bulk", "per_second", "largest", 5000, at_least=True, unit="/s"),
        _of(group, "bulk add of 1,000, rate", "bulk", "per_second", "smallest", 80, against=MEM0,
            at_least=True, unit="/s"),
        *(
            _of(group, "bulk add of 1,000, rate", "bulk", "per_second", size, 1.0, against=LANGGRAPH,
                at_least=True, unit="/s")
            for size in _ENDS
        ),
        _of(group, "disk, float32, of text and vector", "disk", "of_raw", "middle", 1.7, system="memkit float32",
            beside=BARE),
        _of(group, "disk, float16, of text and vector", "disk", "of_raw", "middle", 1.0, system="memkit float16"),
    ]  # fmt: skip


def _searches() -> list[Goal]:
    group = "search"
    scoped = "search of 1,000 of all, ten hydrated, p50"
    return [
        *(
            _of(group, scoped, "search", "p50_ms", "largest", bound, against=peer, unit="ms")
            for peer, bound in ((BARE, 1.0), (LANGGRAPH, 0.15), (MEM0, 0.01))
        ),
        _of(group, "… over its own among a tenth as many", "search", "p50_ms", "largest", 1.5,
            against=Figure("search", "memkit", "ten", "p50_ms"), unit="ms"),
        _of(group, "recall@10 of its vectors, one owner", "search", "recall", "largest", 0.999, at_least=True),
        _of(group, "recall@10 of its vectors, everything", "all-vectors", "recall", "largest", 0.999,
            at_least=True),
        _of(group, "first search of a scope, in the system's cache", "first-search", "cached_ms", "largest", 10,
            unit="ms"),
        _of(group, "first search of a scope, page cache dropped", "first-search", "dropped_ms", "largest", 60,
            unit="ms"),
        *(
            _of(group, "search of everything, vectors alone, p50", "all-vectors", "p50_ms", size, 1.3,
                against="limit", unit="ms")
            for size in _UPPER
        ),
        *(
            _of(group, "search of everything, hybrid, p50", "all-hybrid", "p50_ms", size, bound,
                against="limit", unit="ms")
            for size, bound in zip(_UPPER, (2.0, 1.4), strict=True)
        ),
        _of(group, "search of everything, hybrid, p50", "all-hybrid", "p50_ms", "largest", 0.05, against=MEM0,
            unit="ms"),
        _of(group, "search of 100 of a million over 100 of a tenth, p50", "million", "p50_ms", "million", 1.2,
            against=Figure("million", "memkit", "before", "p50_ms"), unit="ms"),
        _of(group, "a million: open and first search, imports done", "million", "open_ms", "million", 200, unit="ms"),
        _of(group, "resident memory, searches of a few owners", "memory", "scoped_mb", "largest", 40, unit="MB"),
        _of(group, "resident memory, all cached, of the matrix", "memory", "whole_of_matrix", "largest", 1.3),
    ]  # fmt: skip


def _learning() -> list[Goal]:
    group = "add with a model"
    return [
        _of(group, "calls of the model", "learn", "llm_calls", SIZE, 1),
        _of(group, "calls of the embedder", "learn", "embed_calls", SIZE, 2),
        _of(group, "transactions (fsyncs)", "fsync", "per_learn", 0, 2.05),
        _of(group, "fixed part of the prompt, characters", "learn", "fixed_prompt_chars", SIZE, 8000),
        _of(group, "overhead, p50", "learn", "p50_ms", SIZE, 0.3, against=MEM0, unit="ms"),
        _of(group, f"whole at {LLM_MS} and {EMBED_MS} ms, p50", "learn-remote", "total_ms", 0, 1.03,
            against=_fixed(LLM_MS + 2 * EMBED_MS), unit="ms"),
        _of(group, "… over the same calls without an engine, p50", "learn-remote", "total_ms", 0, 1.03,
            against="limit", unit="ms"),
    ]  # fmt: skip


def _together() -> list[Goal]:
    group = "together"
    threads, tasks = f"memkit x{MANY['threads']}", f"memkit x{MANY['tasks']}"
    zeros = [
        _of(group, f"{name}: {what}", scenario, key, SIZE, 0, system=threads)
        for scenario, name in (("threads-mixed", "16 threads, mixed"), ("threads-adds", "16 threads, adds"))
        for key, what in (("errors", "errors"), ("lost", "lost"), ("twice", "stored twice"))
    ]
    return [
        _of(group, "16 threads over one, adds and searches", "threads-mixed", "per_second", SIZE, 0.9,
            system=threads, against="memkit x1", at_least=True, unit="/s"),
        _of(group, "16 threads over one, adds alone", "threads-adds", "per_second", SIZE, 1.8,
            system=threads, against="memkit x1", at_least=True, unit="/s"),
        *zeros,
        _of(group, "64 tasks over one", "tasks", "per_second", SIZE, 1.0, system=tasks, against="memkit x1",
            at_least=True, unit="/s"),
        _late("64 tasks", "tasks", SIZE, tasks),
        _late("64 tasks with a slow model", "tasks-learn", 0, tasks),
        _of(group, "64 tasks: errors", "tasks", "errors", SIZE, 0, system=tasks),
        _of(group, "64 adds with a model, of the ideal", "tasks-learn", "of_ideal", 0, 0.8, system=tasks,
            at_least=True),
        _of(group, "64 adds with a model: errors", "tasks-learn", "errors", 0, 0, system=tasks),
        *(
            _of(group, f"two processes: {text}", "two-processes", what, SIZE, bound, at_least=at_least, unit=unit)
            for text, what, bound, at_least, unit in (
                ("lost", "lost", 0, False, ""),
                ("errors", "errors", 0, False, ""),
                ("the other's writes seen at once, of 20", "seen_of_20", 20, True, ""),
                ("longest wait", "longest_ms", 250, False, "ms"),
                ("slower one's part of its share", "share", 0.8, True, ""),
            )
        ),
        *(
            _of(group, f"killed in {name}: {text}", scenario, what, 0, bound, unit=unit)
            for scenario, name in (("kill-single", "single adds"), ("kill-bulk", "bulk adds"))
            for text, what, bound, unit in (
                ("acknowledged but lost", "lost", 0, ""),
                ("batches half there", "half", 0, ""),
                ("stored twice", "twice", 0, ""),
                ("records without event", "without_event", 0, ""),
                ("not found by search", "unfound", 0, ""),
                ("open again", "reopen_ms", 1000, "ms"),
            )
        ),
    ]  # fmt: skip


def _late(name: str, scenario: str, size: Size, system: str) -> Goal:
    """Return the goal of an event loop's lag, beside what it was with nothing to do: what else runs holds it up too."""
    own, idle = (Figure(scenario, system, size, what) for what in ("lag_p99_ms", "idle_lag_p99_ms"))
    return Goal("together", f"{name}: loop late by, p99", own, 10, idle, unit="ms")


def _layers() -> list[Goal]:
    group = "layers"
    return [
        _of(group, "`MemkitRetriever.invoke` adds, CPU", "adapters", "retriever_adds_ms", "middle", 0.5, unit="ms"),
        _of(group, "a tool call adds, CPU", "adapters", "tool_adds_ms", "middle", 0.5, unit="ms"),
        _of(group, "on Chroma: bulk add of 1,000", "chroma-bulk", "ms", "middle", 1.3, against="chroma", unit="ms"),
        _of(group, "on Chroma: search, p50", "chroma-search", "p50_ms", "middle", 1.5, against="chroma", unit="ms"),
    ]  # fmt: skip


GROUPS: Final[tuple[Callable[[], list[Goal]], ...]] = (
    _start,
    _writes,
    _searches,
    _learning,
    _together,
    _layers,
)
WORST: Final = frozenset(
    {"lost", "errors", "twice", "half", "without_event", "unfound", "longest_ms", "heavy", "seen_of_20"}
)
"""What may not happen once: the worst of the run counts, not the median."""


def rows(bench: Bench) -> list[Row]:
    """Return every goal with the figures of a run."""
    return [_row(bench, goal) for group in GROUPS for goal in group()]


def _row(bench: Bench, goal: Goal) -> Row:
    own = _value(bench, goal.own, goal.at_least)
    against = None if goal.against is None else _value(bench, goal.against, False)
    ratio = own / against if own is not None and against else None
    compared = own if goal.absolute else ratio
    met = None if compared is None else compared >= goal.bound if goal.at_least else compared <= goal.bound
    return Row(
        group=goal.group,
        text=goal.text + _at(bench, goal.own),
        unit=goal.unit,
        own=own,
        against=against,
        against_name=_name(bench, goal),
        ratio=ratio,
        cpu_ratio=_cpu_ratio(bench, goal),
        bound=goal.bound,
        at_least=goal.at_least,
        absolute=goal.absolute,
        met=met,
    )


def _cpu_ratio(bench: Bench, goal: Goal) -> float | None:
    if goal.against is None or goal.own.what not in ("p50_ms", "total_ms"):
        return None
    own, other = (
        bench.figure(each.scenario, each.system, _size(bench, each.size), "cpu_ms")
        for each in (goal.own, goal.against)
    )
    return own / other if own is not None and other else None


def _value(bench: Bench, figure: Figure, at_least: bool) -> float | None:
    if figure.constant is not None:
        return figure.constant
    key = (figure.scenario, figure.system, _size(bench, figure.size), figure.what)
    found = bench.samples.get(key)
    if found and figure.what in WORST:
        return min(found) if at_least else max(found)
    return bench.figure(*key)


def _size(bench: Bench, size: Size) -> int:
    if isinstance(size, int):
        return size
    small, large = million_sizes(quick=bench.quick)
    return {
        "smallest": min(bench.sizes),
        "middle": bench.middle,
        "largest": bench.largest,
        "ten": bench.tenth,
        "million": large,
        "before": small,
    }[size]


def _at(bench: Bench, figure: Figure) -> str:
    return f" ({_size(bench, figure.size):,})" if isinstance(figure.size, str) else ""


def _name(bench: Bench, goal: Goal) -> str:
    other = goal.against
    if other is None:
        return ""
    if other.constant is not None:
        return "ideal"
    if other.what.startswith("idle_"):
        return "idle"
    if other.system == goal.own.system:
        return "its own" + _at(bench, other) if other.size else "its own, empty"
    return {"limit": "limit", "memkit x1": "one"}.get(other.system, other.system)
