"""Fits the calibrated scores on all sets together and prints the lines of `memkit/ranking/constants.py`.

Logistic regressions: of memories (does this one answer?) and of queries (does any?). What is printed beside the
constants is cross-validated: each conversation is judged by constants that were fitted without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks._retrieval import calibrate, data
from benchmarks._retrieval.calibrate import ALL, WHOLE, Sample
from benchmarks._retrieval.metrics import auroc, ece
from memkit.embedders.base import CodeEmbedder, Embedder
from memkit.ranking.calibration import isotonic, logit
from memkit.ranking.weights import OTHER, Weights, weights_for

FOLDS: Final = 5
ROWS: Final = 20_000
"""How many rows the samples are worth against the penalty of one on each squared coefficient."""

_ABOUT: Final = ("speaker", "other_speaker", "other_date", "length", "margin", "place")
MEMORY: Final[dict[str, tuple[str, ...]]] = {
    "keyless": ("strong", "cosine_matched", "matched", "cosine_share", "own", *_ABOUT),
    "embedded": ("cosine", "strong", "matched", "own_meant", *_ABOUT),
    "other": ("cosine", "strong", "matched", "own_shared", *_ABOUT),
    "late": ("cosine", "late", "strong", "matched", "own_meant", *_ABOUT),
}
"""Level -> the features of a memory."""
QUERY: Final[dict[str, tuple[str, ...]]] = {
    "found": ("window", "margin", "contrast", "fall", "best_matched", "kind", "hers", "few"),
    "told": ("matched", "lead", "contrast", "fall", "best", "around", "nearest", "unknown", "few"),
    "premise": ("lead", "contrast", "kind", "tells", "other_speaker", "cosine_share", "unknown"),
}
"""What must hold where a query is answerable -> the features that tell it."""
UPWARDS: Final = {
    "cosine", "share", "strong", "matched", "cosine_matched", "cosine_share", "late", "speaker", "own", "own_meant",
    "own_shared", "margin", "place",
}  # fmt: skip
"""They may not speak against a memory: one that would is left out."""
DOWNWARDS: Final = {"other_speaker", "other_date"}

_WORTH: Final[dict[tuple[str, int], float]] = {
    ("real", WHOLE): 2.4, ("real", 1): 0.25, ("real", 10): 0.25, ("real", 100): 0.4, ("real", ALL): 0.6,
    ("known", WHOLE): 0.25, ("known", 1): 0.25, ("known", 10): 0.25,
    ("paraphrase", 1): 0.1, ("paraphrase", 10): 0.1, ("paraphrase", 40): 0.1,
    ("general", WHOLE): 3.6, ("general", 1): 0.6, ("general", 10): 1.0, ("general", ALL): 3.0,
    ("foreign", WHOLE): 0.2, ("foreign", 1): 0.03, ("foreign", 10): 0.06, ("foreign", 100): 0.03,
    ("adversarial", WHOLE): 0.05, ("request", 1): 2.0, ("request", 10): 2.0, ("request", 40): 2.0,
}  # fmt: skip
"""What all rows of a kind in scopes of a size weigh together."""
_LESS: Final = {("other", "request"): 0.15}
"""Level and kind -> of that. Where vectors tell little, many requests would leave no score to what is rightly found."""
_NEGATIVE_ROWS: Final = 10
"""Of a query that nothing answers, the best rows; of one that is asked word for word, the best three."""
_TASKS: Final[dict[str, dict[str, float]]] = {
    "found": {"found": 1.0, "small": 0.1},
    "told": {"foreign": 1.0, "general": 0.15, "requests": 0.3, "pieces": 0.15},
    "premise": {"false premise": 1.0},
}
"""What the samples of a task weigh together, in the fit of each curve of queries."""
_PENALTY: Final = 100.0
"""Of the curves of queries, that have fewer samples than those of memories."""
_MOVED: Final = {"found": (1.0, 0.25), "told": (1.7, 2.7), "premise": (1.0, 1.6)}
"""By what the logits of each curve are multiplied, and what is added to them, so that the three serve together.

Negatives are rarer among the questions of users than among the samples: of those nine in ten find their evidence, of
the samples of "foreign" half are somebody else's. One probability cannot be right for both; these are where evidence
that is found and false premises are off by 0.05, and what is foreign by as little as that allows.
"""
_MORE: Final = {("other", "found"): 0.17}
"""Level and curve -> what is added besides: where vectors tell less, evidence is found oftener than it seems."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """A logistic curve."""

    intercept: float
    coefficients: dict[str, float]

    def of(self, columns: dict[str, np.ndarray]) -> np.ndarray:
        """Return the probability of each row."""
        logit = self.intercept + sum(weight * columns[name] for name, weight in self.coefficients.items())
        return 1 / (1 + np.exp(-np.clip(logit, -40, 40)))


Answers = dict[str, Fitted]
"""What must hold -> its curve."""


def fit(folder: Path, embedder: Embedder, split: str = "dev") -> None:
    """Fit the level of an embedder and print its constants; with a model's also those for embedders unknown."""
    compares = isinstance(embedder, CodeEmbedder) and embedder.token_identity is not None
    level = "late" if compares else weights_for(embedder.identity).name
    _fit_level(level, weights_for(embedder.identity), folder, embedder, split)
    if level == "embedded":
        _fit_level("other", OTHER, folder, embedder, split)


def _fit_level(level: str, weights: Weights, folder: Path, embedder: Embedder, split: str) -> None:
    names, found = _samples(folder, embedder, weights, split)
    found = [s for s in found if s.level == level and (s.kind != "paraphrase" or _is_told(level, s.scope))]
    memory = memories(names, found, MEMORY[level])
    query = queries([scored(s, names, memory) for s in found], level)
    print(f"CALIBRATIONS\n{_literal(level, memory)}\nANSWERABLE\n{_literals(level, query)}\n")
    print(report(*held_out(names, found, level)))


def _is_told(level: str, scope: int) -> bool:
    """Return whether a level can tell what is meant in other words, in a scope of this size."""
    return level in ("embedded", "late") or (level == "other" and scope > 1)


def _samples(
    folder: Path, embedder: Embedder, weights: Weights, split: str
) -> tuple[list[str], list[Sample]]:
    conversations: list[data.Conversation] = []
    sets: list[str] = []
    for number, name in enumerate(data.names(folder, split), 1):
        loaded = list(data.with_vectors(data.load(folder, name, split), embedder))
        conversations += _shifted(loaded, number * 100_000_000)
        sets += [name] * len(loaded)
    pool = calibrate.Pool(conversations, sets, embedder, weights)
    found = calibrate.samples(pool)
    return pool.names, found


# ------------------------------------------------------------------------------------------- the fits


def memories(names: Sequence[str], found: Sequence[Sample], use: Sequence[str]) -> Fitted:
    """Return the curve of memories; each kind in scopes of each size weighs what `_WORTH` says."""
    rows = [_rows(sample) for sample in found]
    x = np.concatenate([s.features[:n] for s, n in zip(found, rows, strict=True)])
    y = np.concatenate([s.labels[:n] for s, n in zip(found, rows, strict=True)])
    counts: dict[tuple[str, int], int] = {}
    for sample, n in zip(found, rows, strict=True):
        counts[_kind(sample)] = counts.get(_kind(sample), 0) + n
    each = [
        _WORTH.get(_kind(s), 0.0) * _LESS.get((s.level, s.kind), 1.0) / max(1, counts[_kind(s)])
        for s in found
    ]
    return _fit({name: x[:, list(names).index(name)] for name in use}, y, np.repeat(each, rows))


def _kind(sample: Sample) -> tuple[str, int]:
    return sample.kind, sample.scope


def _rows(sample: Sample) -> int:
    most = {"real": calibrate.DEPTH, "known": 3, "paraphrase": 3}.get(sample.kind, _NEGATIVE_ROWS)
    return min(most, len(sample.labels))


def queries(found: Sequence[Sample], level: str) -> Answers:
    """Return the curves of queries: each is fitted on tasks of its own, then all are moved to serve together."""
    known = tasks(found)
    curves: Answers = {}
    for curve, of in _TASKS.items():
        chosen = [
            (s, label, worth / len(known[task])) for task, worth in of.items() for s, label in known[task]
        ]
        if curve == "premise":
            chosen = [each for each in chosen if each[0].query["named"]]
        columns = _columns([s for s, *_ in chosen], QUERY[curve])
        labels, weights = (np.array([each[n] for each in chosen]) for n in (1, 2))
        # Without samples a thing is taken to hold.
        curves[curve] = _fit(columns, labels, weights, penalty=_PENALTY) if chosen else Fitted(40.0, {})
    return {
        name: Fitted(
            by * curve.intercept + more + _MORE.get((level, name), 0.0),
            {of: by * value for of, value in curve.coefficients.items()},
        )
        for (name, curve), (by, more) in zip(curves.items(), _MOVED.values(), strict=True)
    }


def answerable(curves: Answers, found: Sequence[Sample]) -> np.ndarray:
    """Return the probability of each query, as `memkit.ranking.calibration.Answerable` has it."""
    named = np.array([s.query["named"] for s in found])
    each = {name: curve.of(_columns(found, curve.coefficients)) for name, curve in curves.items()}
    return each["found"] * each["told"] * np.where(named > 0, each["premise"], 1.0)


def _columns(found: Sequence[Sample], use: Iterable[str]) -> dict[str, np.ndarray]:
    return {name: np.array([s.query[name] for s in found]) for name in use}


def tasks(found: Sequence[Sample]) -> dict[str, list[tuple[Sample, float]]]:
    """Return labelled queries: evidence in the top ten or not; real or with a false premise; own or foreign."""
    whole = [s for s in found if s.scope == WHOLE]
    real = [s for s in whole if s.kind == "real"]
    false = [s for s in whole if s.kind == "adversarial"]
    pieces = [s for s in found if s.scope != WHOLE and s.kind in ("real", "foreign", "paraphrase")]
    beside = {s.set for s in false}
    return {
        "found": [(s, float(s.labels[:10].any())) for s in real],
        "small": [(s, float(s.labels[:10].any())) for s in pieces if s.kind != "foreign"],
        "false premise": [(s, 1.0) for s in real if s.set in beside] + [(s, 0.0) for s in false],
        "foreign": [(s, 1.0) for s in real] + [(s, 0.0) for s in whole if s.kind == "foreign"],
        "general": [(s, 0.0) for s in found if s.kind == "general"],
        "requests": [(s, 0.0) for s in found if s.kind == "request"],
        "pieces": [(s, float(s.labels.any())) for s in pieces],
    }


def _fit(
    columns: dict[str, np.ndarray], y: np.ndarray, w: np.ndarray, *, penalty: float | None = None
) -> Fitted:
    """Return a curve.

    Args:
        penalty: On the square of what a deviation of a column makes; without one, 1 on that of what its unit makes, and
            signs are as `UPWARDS` and `DOWNWARDS` have them.
    """
    w = w * (ROWS / w.sum())
    chosen = dict(columns)
    while True:
        penalties = [1.0 if penalty is None else penalty * values.var() for values in chosen.values()]
        x = np.column_stack([np.ones(len(y)), *chosen.values()])
        beta = _newton(x, y, w, np.array([0.0, *penalties]))
        signs = {
            n: b if n in UPWARDS else -b if n in DOWNWARDS else 0.0
            for n, b in zip(chosen, beta[1:], strict=True)
        }
        wrong = [(value, name) for name, value in signs.items() if value < 0]
        if not wrong or penalty is not None:
            return Fitted(float(beta[0]), dict(zip(chosen, map(float, beta[1:]), strict=True)))
        del chosen[min(wrong)[1]]


def _newton(x: np.ndarray, y: np.ndarray, w: np.ndarray, penalties: np.ndarray) -> np.ndarray:
    beta = np.zeros(x.shape[1])
    penalty = np.diag(penalties)
    for _ in range(40):
        p = 1 / (1 + np.exp(-np.clip(x @ beta, -30, 30)))
        gradient = x.T @ (w * (y - p)) - penalty @ beta
        step = np.linalg.solve((x * (w * p * (1 - p))[:, None]).T @ x + penalty, gradient)
        beta += step
        if np.abs(step).max() < 1e-8:
            break
    return beta


# ------------------------------------------------------------------------------------- how well it fits


def held_out(names: Sequence[str], found: Sequence[Sample], level: str) -> tuple[list[Sample], int]:
    """Return the samples with the scores that constants fitted without their conversation give, and the folds."""
    place: dict[str, list[int]] = {}
    for sample in found:
        of_set = place.setdefault(sample.set, [])
        if sample.conversation not in of_set:
            of_set.append(sample.conversation)
    fold = {number: n % FOLDS for of_set in place.values() for n, number in enumerate(of_set)}
    out: list[Sample] = []
    for judged in range(FOLDS):
        others = [s for s in found if s.conversation < 0 or fold[s.conversation] != judged]
        memory = memories(names, others, MEMORY[level])
        query = queries([scored(s, names, memory) for s in others], level)
        of_fold = [scored(s, names, memory) for s in found if fold[s.conversation] == judged]
        whole = answerable(query, of_fold)
        out += [
            replace(s, answerable=float(p), scores=np.minimum(s.scores, p))
            for s, p in zip(of_fold, whole, strict=True)
        ]
    return out, FOLDS


def scored(sample: Sample, names: Sequence[str], memory: Fitted) -> Sample:
    """Return a sample with the scores that a newly fitted curve gives its memories."""
    scores = isotonic(memory.of(dict(zip(names, sample.features.T, strict=True))))
    best = {"best": logit(float(scores[0]))} if len(scores) else {}
    return replace(sample, scores=scores, query={**sample.query, **best})


def report(found: Sequence[Sample], folds: int) -> str:
    """Return Markdown: AUROC and calibration error of each task, and the best score of a query by kind and scope."""
    lines = [
        f"Cross-validated by conversation, {folds} folds. AUROC / calibration error in ten equal bins.\n",
        "| task | all | " + " | ".join(_sets(found)) + " |",
        "|" + " --- |" * (2 + len(_sets(found))),
    ]
    for name, task in tasks(found).items():
        if {label for _, label in task} == {0.0, 1.0}:
            lines.append(f"| {name} | " + " | ".join(_cells(found, task, lambda s: [s.answerable])) + " |")
    real = [(s, 0.0) for s in found if s.kind == "real" and s.scope == WHOLE]
    lines.append("| per memory | " + " | ".join(_cells(found, real, lambda s: s.scores, rows=True)) + " |")
    return "\n".join([*lines, "", *_best_scores(found), "", *_bins(found)])


def _sets(found: Sequence[Sample]) -> list[str]:
    return sorted({s.set for s in found if s.set})


def _cells(
    found: Sequence[Sample],
    task: Sequence[tuple[Sample, float]],
    score: Callable[[Sample], Sequence[float] | np.ndarray],
    rows: bool = False,
) -> Iterator[str]:
    for name in ("", *_sets(found)):
        chosen = [(s, label) for s, label in task if name in ("", s.set)]
        p = np.concatenate([score(s) for s, _ in chosen] or [np.empty(0)])
        y = np.concatenate([s.labels if rows else [label] for s, label in chosen] or [np.empty(0)])
        both = 0 < y.sum() < len(y)
        yield f"{auroc(p, y):.3f} / {ece(p, y):.3f}" if both else ""


def _best_scores(found: Sequence[Sample]) -> Iterator[str]:
    scopes = sorted({s.scope for s in found}, key=lambda n: n or ALL // 2)
    yield (
        "| best score: median (10th, 90th percentile) | "
        + " | ".join(f"{n:,}" if n else "whole" for n in scopes)
        + " |"
    )
    yield "|" + " --- |" * (1 + len(scopes))
    for kind in dict.fromkeys(s.kind for s in found):
        cells: list[str] = []
        for scope in scopes:
            best = [
                float(s.scores[0])
                for s in found
                if (s.kind, s.scope) == (kind, scope)
                and (kind not in ("real", "known", "paraphrase") or s.labels.any())
            ]
            middle = np.quantile(best, [0.5, 0.1, 0.9]) if best else []
            cells.append("{:.2f} ({:.2f}, {:.2f})".format(*middle) if best else "")
        yield f"| {kind} | {' | '.join(cells)} |"


def _bins(found: Sequence[Sample]) -> Iterator[str]:
    real = [s for s in found if s.kind == "real" and s.scope == WHOLE]
    p, y = np.concatenate([s.scores for s in real]), np.concatenate([s.labels for s in real])
    yield "| score between | mean | share that is evidence | memories |\n| --- | --- | --- | --- |"
    edges = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.01)
    for low, high in pairwise(edges):
        inside = (p >= low) & (p < high)
        if inside.any():
            yield f"| {low}-{min(high, 1)} | {p[inside].mean():.3f} | {y[inside].mean():.3f} | {inside.sum()} |"


def _shifted(conversations: list[data.Conversation], by: int) -> list[data.Conversation]:
    """Give the rows of each set numbers of their own."""
    return [
        data.Conversation(
            c.id,
            tuple(replace(e, rid=e.rid + by, order=(e.order[0], e.rid + by)) for e in c.entries),
            tuple(replace(q, evidence=frozenset(r + by for r in q.evidence)) for q in c.questions),
        )
        for c in conversations
    ]


def _literal(level: str, fitted: Fitted) -> str:
    """Return a level's lines of `memkit/ranking/constants.py`."""
    return f'    "{level}": {_curve(fitted, 4)},'


def _literals(level: str, curves: Answers) -> str:
    inner = "".join(f"        {name}={_curve(fitted, 8)},\n" for name, fitted in curves.items())
    return f'    "{level}": Answerable(\n{inner}    ),'


def _curve(fitted: Fitted, indent: int) -> str:
    pad = " " * indent
    inner = "".join(f'{pad}        "{name}": {value:.2f},\n' for name, value in fitted.coefficients.items())
    return (
        f"Calibration(\n{pad}    intercept={fitted.intercept:.2f},\n"
        f"{pad}    coefficients={{\n{inner}{pad}    }},\n{pad})"
    )
