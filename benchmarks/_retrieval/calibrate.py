"""Fits the calibrated score: which features say that a memory answers, over scopes of 1 to 10,000.

Every question is asked in scopes of five sizes cut out of its conversation around its evidence (filled up with other
people's turns where the conversation is too short). Negatives are the turns that are no evidence, questions of other
people, questions that no conversation answers, and questions of general knowledge. Known texts asked word for word
are positives.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

import numpy as np

from benchmarks._retrieval.data import Conversation
from benchmarks._retrieval.metrics import auroc, ece
from memkit.embedders.base import Embedder
from memkit.ranking.calibration import isotonic, of_scores
from memkit.ranking.index import Entry, OwnerIndex, RankQuery
from memkit.ranking.result import Ranking
from memkit.ranking.weights import Weights

SIZES = (1, 10, 100, 1_000, 10_000)
DEPTH = 15
# What a positive or negative of each kind weighs against a real question's.
WEIGHT = {"real": 1.0, "foreign": 1.0, "general": 3.0, "unanswerable": 0.5, "known": 1.5}

GENERAL = (
    """
What is the capital of Mongolia?|How does photosynthesis work?|Who won the world cup in 1998?|How do I reset my router?
What is the boiling point of ethanol?|Explain the theory of relativity|Which planet has the most moons?
How do I remove rust from cast iron?|When was the Magna Carta signed?|What is the exchange rate of the yen?
Who painted the ceiling of the Sistine Chapel?|How many bones does a shark have?|What is a monad?
When does the next train to Zurich leave?|What is the tallest mountain in Africa?|Who discovered penicillin?
What is the password of the staging server?|Where are the spare keys of the boat?|What blood type does Igor have?
Which tyres does the tractor need?|What is my passport number?|When is the dentist appointment?
What did the surgeon say about the knee?|How much did we pay for the violin?|Which visa do I need for Brazil?
Is the goldfish still alive?|What allergy does the landlord have?|Who repaired the chimney?
What is the name of the parrot?|Which brand of skis did Olga buy?|How old is the volcano?
What does the contract with the brewery say?|When was the piano tuned?|Which vaccine did the horse get?
What is the recipe for sauerkraut?|Who is the prime minister of Norway?|How far is the moon?
What causes earthquakes?|Translate good morning into Finnish|How long do I boil an ostrich egg?
""".strip()
    .replace("\n", "|")
    .split("|")
)


@dataclass(frozen=True, slots=True)
class Sample:
    features: np.ndarray  # [rows, features]
    labels: np.ndarray
    weights: np.ndarray
    size: int
    kind: str
    query: dict[str, float]  # features of the query as a whole


@dataclass(slots=True)
class Pool:
    """Everything that scopes are cut from."""

    conversations: list[Conversation]
    embedder: Embedder
    weights: Weights
    random: random.Random

    def scope(self, conversation: Conversation, size: int, around: int | None) -> list[Entry]:
        """Cut `size` turns in one piece, holding the turn `around` if given; fill up with other people's."""
        entries = conversation.entries
        if size >= len(entries):
            others = [e for c in self.conversations if c.id != conversation.id for e in c.entries]
            return [*entries, *others[: size - len(entries)]]
        if around is None:
            first = self.random.randrange(len(entries) - size + 1)
        else:
            at = next(i for i, e in enumerate(entries) if e.rid == around)
            first = min(max(0, at - self.random.randrange(size)), len(entries) - size)
        return list(entries[first : first + size])

    def index(self, entries: list[Entry]) -> OwnerIndex:
        index = OwnerIndex(self.embedder.dim, weights=self.weights)
        index.upsert([replace(e, session=f"{e.user}/{e.session}") for e in entries])
        return index


def samples(pool: Pool, every: int = 2) -> tuple[list[str], list[Sample]]:
    """Return the feature names and the labelled rows of all scopes."""
    names: list[str] = []
    out: list[Sample] = []
    for conversation in pool.conversations:
        for size in SIZES:
            for found in _of_size(pool, conversation, size, every):
                names = found[0]
                out.append(found[1])
    return names, out


def _of_size(pool: Pool, conversation: Conversation, size: int, every: int):
    end = conversation.end
    large = size >= 1_000
    whole = pool.index(pool.scope(conversation, size, None)) if large else None
    others = [c for c in pool.conversations if c.id != conversation.id]
    for question in conversation.questions[:: every * (2 if large else 1)]:
        kind = "real" if question.answerable else "unanswerable"
        around = pool.random.choice(sorted(question.evidence)) if question.evidence else None
        index = whole or pool.index(pool.scope(conversation, size, around))
        yield _rows(
            pool,
            index,
            question.text,
            end,
            question.evidence if question.answerable else frozenset(),
            kind,
            size,
        )
    for _ in range(0, len(conversation.questions), 2 * every):
        stranger = pool.random.choice(others)
        asked = pool.random.choice(stranger.questions)
        index = whole or pool.index(pool.scope(conversation, size, None))
        evidence = asked.evidence if size == SIZES[-1] and asked.answerable else frozenset()
        kind = "foreign" if not evidence else "real"
        yield _rows(pool, index, asked.text, end, evidence, kind, size)
        yield _rows(pool, index, pool.random.choice(GENERAL), end, frozenset(), "general", size)
        around = pool.random.choice(conversation.entries)
        known = whole or pool.index(pool.scope(conversation, size, around.rid))
        if len(around.text) > 30:
            same = frozenset(e.rid for e in conversation.entries if e.text == around.text)
            yield _rows(pool, known, around.text[:400], end, same, "known", size)


def _rows(
    pool: Pool, index: OwnerIndex, text: str, at: int, evidence: frozenset[int], kind: str, size: int
) -> tuple[list[str], Sample]:
    vector = pool.embedder.embed([text], purpose="query")[0]
    ranking = index.rank(RankQuery(text=text, vector=vector, at=at, now=at))
    return table(ranking, evidence, kind, size)


def table(ranking: Ranking, evidence: frozenset[int], kind: str, size: int) -> tuple[list[str], Sample]:
    """Return the features of the best rows of a ranking, labelled."""
    depth = 3 if kind == "known" else DEPTH
    names, features, rids = ranking.features(depth)
    labels = np.isin(rids, list(evidence)).astype(float)
    query = ranking.query_features()
    return names, Sample(features, labels, np.full(len(labels), WEIGHT[kind]), size, kind, query)


def fit(names: list[str], data: list[Sample], use: list[str], ridge: float = 1.0) -> dict[str, float]:
    """Return the intercept and coefficients of a weighted logistic regression; scopes of each size weigh the same.

    Features whose name is in `POSITIVE` may not speak against a memory: one that would is left out.
    """
    x = np.concatenate([d.features for d in data])
    y = np.concatenate([d.labels for d in data])
    sizes = np.concatenate([np.full(len(d.labels), d.size) for d in data])
    w = np.concatenate([d.weights for d in data])
    for size in np.unique(sizes):
        w[sizes == size] /= w[sizes == size].sum()
    w *= len(w) / w.sum()
    chosen = list(use)
    while True:
        beta = _newton(
            np.column_stack([np.ones(len(x)), x[:, [names.index(n) for n in chosen]]]), y, w, ridge
        )
        wrong = [(b, n) for n, b in zip(chosen, beta[1:], strict=True) if n in POSITIVE and b < 0]
        if not wrong:
            return {"intercept": float(beta[0]), **dict(zip(chosen, map(float, beta[1:]), strict=True))}
        chosen.remove(min(wrong)[1])


def fit_answerable(data: list[Sample]) -> dict[str, float]:
    """Return intercept and coefficients for whole queries: answered in scope, or not."""
    chosen = [
        d
        for d in data
        if d.kind != "known" and not (d.kind == "real" and d.size == SIZES[0] and not d.labels.any())
    ]
    names = list(chosen[0].query)
    x = np.array([[1.0, *d.query.values()] for d in chosen])
    y = np.array([float(d.kind == "real") for d in chosen])
    w = np.array([{"unanswerable": 1.0, "general": 0.5}.get(d.kind, 1.0) for d in chosen])
    beta = _newton(x, y, w, 1.0)
    return {"intercept": float(beta[0]), **dict(zip(names, map(float, beta[1:]), strict=True))}


POSITIVE = {
    "cosine", "share", "share_squared", "window_share", "window_squared", "cosine_share", "matched", "cosine_margin",
    "share_margin", "window_margin", "speaker", "date", "own",
}  # fmt: skip


def _newton(x: np.ndarray, y: np.ndarray, w: np.ndarray, ridge: float) -> np.ndarray:
    beta = np.zeros(x.shape[1])
    penalty = ridge * np.eye(len(beta))
    penalty[0, 0] = 0
    for _ in range(40):
        p = 1 / (1 + np.exp(-np.clip(x @ beta, -30, 30)))
        gradient = x.T @ (w * (y - p)) - penalty @ beta
        step = np.linalg.solve((x * (w * p * (1 - p))[:, None]).T @ x + penalty, gradient)
        beta += step
        if np.abs(step).max() < 1e-8:
            break
    return beta


def probability(names: list[str], features: np.ndarray, fitted: dict[str, float]) -> np.ndarray:
    logit = fitted["intercept"] + sum(
        b * features[:, names.index(n)] for n, b in fitted.items() if n != "intercept"
    )
    return 1 / (1 + np.exp(-logit))


def with_scores(names: list[str], sample: Sample, fitted: dict[str, float]) -> Sample:
    """Return a sample whose query features rest on the newly fitted score."""
    scores = isotonic(probability(names, sample.features, fitted)) if len(sample.features) else np.empty(0)
    return replace(sample, query=sample.query | of_scores(scores))


def report(
    names: list[str], data: list[Sample], fitted: dict[str, float], answerable: dict[str, float]
) -> str:
    """Return Markdown: the best score of a query by kind and size of scope; how well the two curves tell apart."""
    best: dict[tuple[str, int], list[float]] = {}
    for s in data:
        if len(s.features) and (s.kind not in ("real", "known") or s.labels.any()):
            best.setdefault((s.kind, s.size), []).append(float(probability(names, s.features, fitted).max()))
    lines = [
        "| best score, mean (90th percentile) | " + " | ".join(f"{n:,}" for n in SIZES) + " |",
        "|" + " --- |" * 6,
    ]
    for kind in WEIGHT:
        found = [best.get((kind, size), []) for size in SIZES]
        cells = [f"{np.mean(b):.2f} ({np.quantile(b, 0.9):.2f})" if b else "" for b in found]
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    real = [s for s in data if s.kind == "real"]
    rows = np.concatenate([probability(names, s.features, fitted) for s in real])
    labels = np.concatenate([s.labels for s in real])
    lines.append(f"\nPer memory: AUROC {auroc(rows, labels):.3f}")
    asked = [s for s in data if s.kind != "known"]
    p = np.array([_answerable(s.query, answerable) for s in asked])
    kinds = np.array([s.kind for s in asked])
    for other in ("foreign", "general", "unanswerable"):
        both = (kinds == "real") | (kinds == other)
        lines.append(
            f"Answerable, real against {other}: AUROC {auroc(p[both], (kinds == 'real')[both] * 1.0):.3f}"
        )
    lines.append(f"Answerable: ECE {ece(p, (kinds == 'real') * 1.0):.3f}")
    return "\n".join(lines)


def _answerable(query: dict[str, float], fitted: dict[str, float]) -> float:
    return float(
        1 / (1 + np.exp(-(fitted["intercept"] + sum(fitted[name] * v for name, v in query.items()))))
    )
