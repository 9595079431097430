"""How well the ranking finds the turns that hold the evidence for a question. No LLM, no network.

    python -m benchmarks retrieval --data FOLDER                       # keyless
    python -m benchmarks retrieval --data FOLDER --embedder module:Class
    python -m benchmarks retrieval --data FOLDER --fit                 # fit the calibrated score anew
    python -m benchmarks retrieval --speed                             # generated rows, no data needed

FOLDER holds conversation sets as `<name>-dev.json`: conversations with turns (id, session, date, speaker, text) and
questions (question, category, evidence: turn ids). Every conversation is one owner. Prints a Markdown table and writes
JSON beside it. Recall is the share of a question's evidence among the first k, averaged over questions.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np

from benchmarks._retrieval import calibrate, data, metrics
from memkit.embedders.base import Embedder
from memkit.embedders.hash import HashEmbedder
from memkit.ranking.index import OwnerIndex, RankQuery
from memkit.ranking.weights import Part, Weights, weights_for

SHOWN = ("R@1", "R@5", "R@10", "R@20", "R@50", "nDCG@10", "MRR")


def main(argv: list[str] | None = None) -> None:
    args = _parser().parse_args(argv)
    embedder = _embedder(args.embedder)
    if args.speed:
        result: dict[str, object] = speed(embedder)
    elif args.data is None:
        raise SystemExit("Say where the conversation sets are: --data FOLDER")
    elif args.fit:
        result = fit(args.data, embedder)
    else:
        result = quality(args.data, embedder)
    args.out.write_text(json.dumps(result, indent=1))
    print(f"\nWritten to {args.out}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks retrieval",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, help="folder of <name>-dev.json")
    parser.add_argument(
        "--embedder", default="hash", help='"hash", or module:Class with identity, dim and embed'
    )
    parser.add_argument(
        "--fit", action="store_true", help="print fitted constants for memkit/ranking/constants.py"
    )
    parser.add_argument("--speed", action="store_true", help="milliseconds at 600, 10,000 and 100,000 rows")
    parser.add_argument("--out", type=Path, default=Path("retrieval-results.json"))
    return parser


def _embedder(name: str) -> Embedder:
    if name == "hash":
        return HashEmbedder()
    module, _, attribute = name.partition(":")
    return getattr(import_module(module), attribute)()


# ------------------------------------------------------------------------------------------- quality


def ladder(weights: Weights) -> dict[str, Weights]:
    """The full recipe, and what its parts reach alone."""
    alone = {"next": 0.0, "session": 0.0, "speaker": 0.0, "date": 0.0, "first": 0.0, "question": 0.0}

    def only(part: str) -> Weights:
        parts: dict[str, Part] = {
            p: replace(getattr(weights, p), weight=0.0) for p in ("dense", "words", "window")
        }
        return replace(
            weights, chat=None, long=None, **(alone | parts | {part: replace(parts[part], weight=1.0)})
        )

    return {"vectors alone": only("dense"), "BM25 alone": only("words"), f"recipe ({weights.name})": weights}


def quality(folder: Path, embedder: Embedder) -> dict[str, object]:
    rows: list[tuple[str, str, dict[str, float]]] = []
    for name in data.names(folder):
        conversations = list(data.with_vectors(data.load(folder, name), embedder))
        for label, weights in ladder(weights_for(embedder.identity)).items():
            rows.append((name, label, measure(conversations, embedder, weights)))
            print(f"measured {name}: {label}", flush=True)
    print(f"\n| set | ranking | {' | '.join(SHOWN)} | ms |\n|{' --- |' * (len(SHOWN) + 3)}")
    for name, label, found in rows:
        print(
            f"| {name} | {label} | {' | '.join(f'{100 * found[m]:.1f}' for m in SHOWN)} | {found['ms']:.2f} |"
        )
    return {"embedder": embedder.identity, "rows": [{"set": n, "ranking": r, **m} for n, r, m in rows]}


def measure(conversations: list[data.Conversation], embedder: Embedder, weights: Weights) -> dict[str, float]:
    found: list[dict[str, float]] = []
    times: list[float] = []
    for conversation in conversations:
        index = OwnerIndex(embedder.dim, weights=weights)
        index.upsert(conversation.entries)
        asked = [q for q in conversation.questions if q.answerable]
        vectors = embedder.embed([q.text for q in asked], purpose="query")
        for question, vector in zip(asked, vectors, strict=True):
            query = RankQuery(text=question.text, vector=vector, at=conversation.end, now=conversation.end)
            started = time.process_time()
            best = index.rank(query).rids(0, 50).tolist()
            times.append(1e3 * (time.process_time() - started))
            found.append(metrics.ranked(best, question.evidence))
    means = {name: statistics.fmean(f[name] for f in found) for name in SHOWN}
    return means | {"ms": statistics.median(times), "questions": float(len(found))}


# ----------------------------------------------------------------------------------------------- fit


def fit(folder: Path, embedder: Embedder) -> dict[str, object]:
    weights = weights_for(embedder.identity)
    conversations: list[data.Conversation] = []
    for number, name in enumerate(data.names(folder), 1):
        conversations += _shifted(
            list(data.with_vectors(data.load(folder, name), embedder)), number * 100_000_000
        )
    pool = calibrate.Pool(conversations, embedder, weights, random.Random(7))
    names, samples = calibrate.samples(pool)
    fitted = calibrate.fit(names, samples, names)
    samples = [calibrate.with_scores(names, s, fitted) for s in samples]
    answerable = calibrate.fit_answerable(samples)
    print(f'    "{weights.name}": {_literal(fitted)}\n    "{weights.name}": {_literal(answerable)}\n')
    table = calibrate.report(names, samples, fitted, answerable)
    print(table)
    return {"level": weights.name, "calibration": fitted, "answerable": answerable, "report": table}


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


def _literal(fitted: dict[str, float]) -> str:
    inner = ", ".join(f'"{name}": {value:.2f}' for name, value in fitted.items() if name != "intercept")
    return f"Calibration(intercept={fitted['intercept']:.2f}, coefficients={{{inner}}}),"


# --------------------------------------------------------------------------------------------- speed


def speed(embedder: Embedder, sizes: tuple[int, ...] = (600, 10_000, 100_000)) -> dict[str, object]:
    """Rows of about 25 words from a long-tailed vocabulary, in sessions of 20 turns."""
    rng = np.random.default_rng(0)
    words = rng.zipf(1.25, size=(max(sizes), 25)) % 30_000
    texts = [" ".join(f"w{w}x" for w in row) for row in words[: max(sizes)]]
    # The vectors of 2,000 rows, over and over: embedding is not what is timed.
    some = embedder.embed(texts[:2_000])
    questions = [" ".join(f"w{w}x" for w in rng.zipf(1.25, size=8) % 30_000) for _ in range(20)]
    asked = embedder.embed(questions, purpose="query")
    entries = [_generated(n, text, some[n % len(some)]) for n, text in enumerate(texts)]
    rows: list[dict[str, float]] = []
    print("| rows | build ms | query ms (p50 CPU) | add one ms | first query after it ms | bytes a row |")
    print("| --- | --- | --- | --- | --- | --- |")
    for size in sizes:
        index = OwnerIndex(embedder.dim, weights=weights_for(embedder.identity))
        build = _timed(lambda index=index, size=size: index.upsert(entries[:size]))
        queries = [RankQuery(text=q, vector=v, at=1, now=1) for q, v in zip(questions, asked, strict=True)]
        index.rank(queries[0]).hits(0, 10)
        query = statistics.median(
            _timed(lambda q=q, index=index: index.rank(q).hits(0, 10)) for q in queries * 2
        )
        extra = replace(entries[0], rid=-1, order=(0, -1))
        add = _timed(lambda index=index, extra=extra: index.upsert([extra]))
        after = _timed(lambda index=index, q=queries[0]: index.rank(q).hits(0, 10))
        row = {
            "rows": size,
            "build": build,
            "query": query,
            "add": add,
            "after": after,
            "bytes": index.nbytes / size,
        }
        rows.append(row)
        print(
            f"| {size:,} | {build:.0f} | {query:.2f} | {add:.2f} | {after:.2f} | {row['bytes']:,.0f} |",
            flush=True,
        )
    return {"embedder": embedder.identity, "rows": rows}


def _generated(number: int, text: str, vector: np.ndarray) -> data.Entry:
    return data.Entry(
        rid=number, order=(number, number), text=text, speaker=("Ann", "Bob")[number % 2], role="user",
        session=f"s{number // 20}", agent=None, user="u", created_at=0, dated=False, kind="message",
        valid_from=0, valid_until=None, expires_at=None, vector=vector,
    )  # fmt: skip


def _timed(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return 1e3 * (time.process_time() - started)


if __name__ == "__main__":
    main()
