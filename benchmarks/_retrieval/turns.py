"""Turns as memories: every conversation alone, all in one store, all under one user; other embedders."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np

from benchmarks._retrieval import measured
from benchmarks._retrieval.cached import PROXIES, Level
from benchmarks._retrieval.data import UNANSWERABLE, Conversation
from benchmarks._retrieval.metrics import at_base_rate, auroc, ece, means, of_places
from benchmarks._retrieval.run import Run

Asked = measured.Asked
NOT_REAL: Final = (*UNANSWERABLE, "foreign")


def turns(run: Run) -> None:
    """Every conversation in a store of its own; questions of strangers and of false premises are asked too."""
    for level in run.levels:
        _alone_everywhere(run, level)


def embedders(run: Run) -> None:
    """Two other embedders, made of the vectors of the first."""
    for level in PROXIES:
        _alone_everywhere(run, level)


def _alone_everywhere(run: Run, level: Level) -> None:
    everything: list[Asked] = []
    for name in run.sets:
        found = alone(run, level, name)
        describe(run, "turns", level, name, found)
        answerable(run, level, name, found)
        everything += [{**row, "of": name} for row in found]
    answerable(run, level, "all", everything)


def alone(run: Run, level: Level, name: str) -> list[Asked]:
    """Return the answers of every conversation of a set, each in a store of its own."""
    conversations = run.sets[name]
    out: list[Asked] = []
    with run.bar(len(conversations), f"turns {level} {name}") as bar:
        for conversation in conversations:
            out += run.kept(
                lambda c=conversation: _alone(run, level, c, conversations),
                "turns", level, name, conversation.id, str(len(conversations)),
            )  # fmt: skip
            bar.advance(1)
    return out


def _alone(run: Run, level: Level, conversation: Conversation, others: Sequence[Conversation]) -> list[Asked]:
    with measured.memory(run.embedder(level)) as opened:
        measured.fill(opened, [conversation])
        return [
            *measured.ask_all(opened, conversation),
            *(measured.ask_strangers(opened, conversation, others) if len(others) > 1 else []),
        ]


def isolation(run: Run) -> None:
    """All conversations of a set in one store, every search of one user."""
    for level in run.levels:
        for name, conversations in run.sets.items():
            found = run.kept(lambda c=conversations, n=level: _together(run, n, c, None), "isolation", level, name,
                             str(len(conversations)))  # fmt: skip
            describe(run, "isolation", level, name, found)


def large(run: Run) -> None:
    """All conversations of a set under one user."""
    for level in run.levels:
        for name, conversations in run.sets.items():
            found = run.kept(lambda c=conversations, n=level: _together(run, n, c, "everybody"), "large", level, name,
                             str(len(conversations)))  # fmt: skip
            describe(run, "large", level, name, found)


def _together(
    run: Run, level: Level, conversations: Sequence[Conversation], owner: str | None
) -> list[Asked]:
    everything = frozenset(entry.rid for c in conversations for entry in c.entries)
    out: list[Asked] = []
    with (
        measured.memory(run.embedder(level)) as opened,
        run.bar(len(conversations), f"one store {level}") as bar,
    ):
        measured.fill(opened, conversations, owner)
        for conversation in conversations:
            out += measured.ask_all(opened, conversation, owner, everything if owner else None)
            bar.advance(1)
    return out


def describe(run: Run, task: str, system: str, name: str, found: Iterable[Asked]) -> None:
    """Keep the metrics of answers, over all and by kind of question; those with a false premise are apart."""
    kinds: dict[str, list[dict[str, float]]] = {}
    rows = [row for row in found if row["kind"] != "foreign"]
    for row in rows:
        if row["evidence"]:
            metrics = of_places(row["places"], row["evidence"])
            kinds.setdefault(row["kind"], []).append(metrics)
            if row["kind"] not in UNANSWERABLE:
                kinds.setdefault("all", []).append(metrics)
    for kind, metrics in kinds.items():
        run.note(task, system, name, kind, questions=len(metrics), **means(metrics))
    times = sorted(row["ms"] for row in rows)
    run.note(
        task, system, name, "all", leaks=sum(row["leaks"] for row in rows), cpu_ms=statistics.median(times)
    )
    best = run.figure(task, system, name, "all", "R@10") or 0.0
    print(
        f"  {task} {system} {name}: R@10 {100 * best:.1f}, {statistics.median(times):.2f} ms CPU", flush=True
    )


def answerable(run: Run, system: str, name: str, rows: Sequence[Asked]) -> None:
    """Keep how well probabilities tell: evidence found or not, real or false premise, own or another user's."""
    real = [row for row in rows if row["kind"] not in NOT_REAL and row["evidence"]]
    t1 = [(row["answerable"], bool(row["places"]) and row["places"][0] <= 10) for row in real]
    tasks: dict[str, list[tuple[Any, bool]]] = {"T1 evidence in the top ten": t1}
    for label, kind in (("T2 false premise", "adversarial"), ("T3 of another user", "foreign")):
        others = [row for row in rows if row["kind"] == kind]
        # Some sets have no false premises: only the others' real questions are compared.
        sets = {row.get("of") for row in others}
        if others:
            tasks[label] = [(row["answerable"], True) for row in real if row.get("of") in sets]
            tasks[label] += [(row["answerable"], False) for row in others]
    for label, pairs in tasks.items():
        p = np.array([pair[0] or 0.0 for pair in pairs], np.float64)
        y = np.array([pair[1] for pair in pairs], np.float64)
        run.note(
            "answerable", system, name, label,
            AUROC=auroc(p, y), ECE=ece(p, y), ECE_at_base_rate=ece(at_base_rate(p, y), y), questions=len(y),
        )  # fmt: skip
    _per_memory(run, system, name, real)


def _per_memory(run: Run, system: str, name: str, real: Sequence[Asked]) -> None:
    scores = np.array([score for row in real for score in row["scores"]], np.float64)
    labels = np.array(
        [place in row["places"] for row in real for place in range(1, len(row["scores"]) + 1)], np.float64
    )
    if len(scores):
        run.note("answerable", system, name, "per memory", AUROC=auroc(scores, labels), ECE=ece(scores, labels),
                 questions=len(real))  # fmt: skip
