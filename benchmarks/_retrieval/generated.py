"""The ranking alone, on generated rows: what a search, a write and a row cost as a scope grows."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np

from benchmarks._retrieval.cached import Cached
from benchmarks._retrieval.run import Run
from memkit.ranking.index import Entry, OwnerIndex, RankQuery
from memkit.ranking.weights import weights_for

SIZES: Final = (600, 10_000, 100_000)


def growth(run: Run) -> None:
    """Rows of about 25 words from a long-tailed vocabulary, in sessions of 20 turns, keyless."""
    sizes = SIZES[:1] if run.quick else SIZES
    for size, figures in measure(run.embedder("keyless"), sizes).items():
        run.note("growth", "keyless", f"{size:,} rows", "all", **figures)
        shown = "  ".join(f"{name} {value:,.3g}" for name, value in figures.items())
        print(f"  growth {size:,} rows: {shown}", flush=True)


def measure(embedder: Cached, sizes: tuple[int, ...]) -> dict[int, dict[str, float]]:
    """Return CPU milliseconds of building, searching, adding one and searching after it, and bytes a row."""
    rng = np.random.default_rng(0)
    words = rng.zipf(1.25, size=(max(sizes), 25)) % 30_000
    texts = [" ".join(f"w{w}x" for w in row) for row in words]
    # The vectors of 2,000 rows, over and over: embedding is not what is timed.
    some = embedder.embed(texts[:2_000])
    questions = [" ".join(f"w{w}x" for w in rng.zipf(1.25, size=8) % 30_000) for _ in range(20)]
    asked = embedder.embed(questions, purpose="query")
    queries = [RankQuery(text=q, vector=v, at=1, now=1) for q, v in zip(questions, asked, strict=True)]
    entries = [_entry(n, text, some[n % len(some)]) for n, text in enumerate(texts)]
    out: dict[int, dict[str, float]] = {}
    for size in sizes:
        index = OwnerIndex(embedder.dim, weights=weights_for(embedder.identity))
        build = _timed(lambda index=index, size=size: index.upsert(entries[:size]))
        index.rank(queries[0]).hits(0, 10)
        query = [_timed(lambda q=q, index=index: index.rank(q).hits(0, 10)) for q in queries * 2]
        extra = replace(entries[0], rid=max(sizes), order=(max(sizes), max(sizes)))
        out[size] = {
            "build_ms": build,
            "query_ms": statistics.median(query),
            "add_ms": _timed(lambda index=index, extra=extra: index.upsert([extra])),
            "after_ms": _timed(lambda index=index: index.rank(queries[0]).hits(0, 10)),
            "bytes_a_row": index.nbytes / size,
        }
    return out


def _entry(number: int, text: str, vector: np.ndarray) -> Entry:
    return Entry(
        rid=number, order=(number, number), text=text, speaker=("Ann", "Bob")[number % 2], role="user",
        session=f"s{number // 20}", agent=None, user="u", created_at=0, dated=False, kind="message",
        valid_from=0, valid_until=None, expires_at=None, vector=vector,
    )  # fmt: skip


def _timed(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return 1e3 * (time.process_time() - started)
