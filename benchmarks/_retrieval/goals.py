"""What is to be reached, and whether it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from benchmarks._retrieval.cached import PROXIES
from benchmarks._retrieval.run import Run

SETS: Final = ("locomo", "realtalk", "beam100k")
_RECALL: Final = {
    "keyless": ((0.80, 0.585, 0.605), (0.775, 0.56, 0.575)),
    "minilm": ((0.825, 0.605, 0.63), (0.79, 0.58, 0.595)),
    "late": ((0.87, 0.64, 0.65), (0.825, 0.59, 0.595)),
}
"""Level -> goals and floors of R@10, by set; they are meant for conversations that no constant was chosen on."""
_ANSWERABLE: Final = {
    "T1 evidence in the top ten": (0.73, 0.80),
    "T2 false premise": (0.76, 0.80),
    "T3 of another user": (0.87, 0.90),
    "per memory": (0.87, 0.87),
}
"""Task -> AUROC, keyless and with a model."""


@dataclass(frozen=True, slots=True)
class Goal:
    """One figure beside its bound; `own` is None where it was not measured."""

    text: str
    own: float | None
    bound: float
    at_least: bool = True
    unit: str = "%"
    floor: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether it is reached, None where nothing was measured."""
        if self.own is None:
            return None
        return self.own >= self.bound if self.at_least else self.own <= self.bound


def goals(run: Run) -> list[Goal]:
    """Return every goal."""
    return [
        *_recall(run),
        *_scopes(run),
        *_answerable(run),
        *_others(run),
        *_context(run),
        *_facts(run),
        *_speed(run),
    ]


def _recall(run: Run) -> Iterator[Goal]:
    for level, (wanted, floors) in _RECALL.items():
        for name, bound, floor in zip(SETS, wanted, floors, strict=True):
            yield Goal(
                f"R@10 {level}, {name}", run.figure("turns", level, name, "all", "R@10"), bound, floor=floor
            )
    for name, kind, bound in (("locomo", "multi-hop", 0.68), ("beam100k", "event_ordering", 0.40)):
        yield Goal(f"R@10 late, {name} {kind}", run.figure("turns", "late", name, kind, "R@10"), bound)


def _scopes(run: Run) -> Iterator[Goal]:
    for level in run.levels:
        for name in SETS:
            alone = run.figure("turns", level, name, "all", "R@10")
            leaks = run.figure("isolation", level, name, "all", "leaks")
            yield Goal(f"leaks, {level}, {name}", leaks, 0, at_least=False, unit="")
            for task, bound in (("isolation", 0.0), ("large", 0.03)):
                found = run.figure(task, level, name, "all", "R@10")
                lost = None if alone is None or found is None else alone - found
                where = "one store for all" if task == "isolation" else "one user for all"
                yield Goal(f"points lost, {where}, {level}, {name}", lost, bound, at_least=False)


def _answerable(run: Run) -> Iterator[Goal]:
    for level in run.levels:
        for task, (keyless, model) in _ANSWERABLE.items():
            bound = keyless if level == "keyless" else model
            yield Goal(
                f"AUROC {task}, {level}",
                run.figure("answerable", level, "all", task, "AUROC"),
                bound,
                unit="",
            )
            error = run.figure("answerable", level, "all", task, "ECE")
            yield Goal(f"calibration error {task}, {level}", error, 0.05, at_least=False, unit="")


def _others(run: Run) -> Iterator[Goal]:
    for proxy in PROXIES:
        for name in SETS:
            own = run.figure("turns", "minilm", name, "all", "R@10")
            found = run.figure("turns", proxy, name, "all", "R@10")
            lost = None if own is None or found is None else own - found
            yield Goal(f"points lost, {proxy} embedder, {name}", lost, 0.01, at_least=False)
        error = run.figure("answerable", proxy, "all", "T1 evidence in the top ten", "ECE")
        yield Goal(f"calibration error T1, {proxy} embedder", error, 0.05, at_least=False, unit="")
    found = {name: run.figure("languages", "keyless", name, "all", "R@10") for name in _languages(run)}
    english = found.pop("en", None)
    for name, value in found.items():
        ratio = None if value is None or not english else value / english
        yield Goal(f"R@10 of English's, keyless, {name}", ratio, 0.85, unit="×")


def _languages(run: Run) -> list[str]:
    return [of for task, system, of, _ in run.figures if task == "languages" and system == "keyless"]


def _context(run: Run) -> Iterator[Goal]:
    for level in run.levels:
        for name in SETS:
            held = run.figure("context", level, name, "all", "holds_found")
            yield Goal(f"context holds what search finds at 20, {level}, {name}", held, 0.90)
        for kind in ("instruction_following", "preference_following"):
            held = run.figure("context", level, "beam100k", kind, "holds_some")
            yield Goal(f"context holds the evidence, {level}, {kind}", held, 0.75)
        stable = run.figure("context", level, "an agent", "session 0", "stable")
        yield Goal(f"stable part the same from turn to turn, {level}", stable, 0.90)


def _facts(run: Run) -> Iterator[Goal]:
    for level in run.levels:
        for what, text in (
            ("newest_first", "newest value first"),
            ("no_old_one", "no old value without as_of"),
            ("as_of_first", "old value first with as_of"),
        ):
            yield Goal(f"{text}, {level}", run.figure("facts", level, "world", "all", what), 0.98)
    for kind in ("true", "name", "number", "negation"):
        text = "true facts accepted" if kind == "true" else f"facts with a changed {kind} rejected"
        yield Goal(text, run.figure("facts", "memkit", "quotes", "all", kind), 0.95)


def _speed(run: Run) -> Iterator[Goal]:
    for level in run.levels:
        for scope, bound in (("600 turns", 3.0), ("10,000 turns", 2.5)):
            own = run.figure("speed", level, scope, "all", "cpu_ms")
            for peer, most in (("recipe", bound), ("mem0", 0.05)):
                other = run.figure("speed", peer, scope, "all", "cpu_ms")
                ratio = None if own is None or not other else own / other
                yield Goal(
                    f"CPU of a search over {peer}'s, {level}, {scope}", ratio, most, at_least=False, unit="×"
                )
    with_late = run.figure("speed", "late", "10,000 turns", "all", "cpu_ms")
    plain = run.figure("speed", "minilm", "10,000 turns", "all", "cpu_ms")
    added = None if with_late is None or plain is None else with_late - plain
    yield Goal("late interaction adds, 10,000 turns", added, 1.0, at_least=False, unit="ms")
    for name in SETS:
        share = run.figure("ingest", "late", name, "all", "added")
        yield Goal(f"late interaction adds to ingest, {name}", share, 0.02, at_least=False)
