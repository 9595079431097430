"""The same 25 memories in eight languages, each with a plain and a harder question: what is found, beside English."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any, Final

from benchmarks._retrieval import measured
from benchmarks._retrieval.metrics import of_places
from benchmarks._retrieval.run import MEMKIT, Run

PAIRS: Final[dict[str, list[tuple[str, str, str]]]] = json.loads(
    Path(__file__).with_suffix(".json").read_text("utf-8")
)
"""Language -> memories, each with a question in its own words and one that shares few, in other forms.

The same number is the same matter in every language.
"""


def measure(embedder: Any = "hash") -> dict[str, dict[str, float]]:
    """Return the metrics of each language: its memories are one user's, among each other."""
    out: dict[str, dict[str, float]] = {}
    with measured.memory(embedder) as opened:
        for name, pairs in PAIRS.items():
            opened.add_many([memory for memory, *_ in pairs], user_id=name)
        for name, pairs in PAIRS.items():
            rows: list[dict[str, float]] = []
            for memory, *questions in pairs:
                for question in questions:
                    found = opened.search(question, user_id=name, limit=measured.DEPTH)
                    places = [at for at, item in enumerate(found.results, 1) if item.memory == memory]
                    rows.append(of_places(places, 1))
            out[name] = {what: statistics.fmean(row[what] for row in rows) for what in rows[0]}
    return out


def languages(run: Run) -> None:
    """Measure every language at every level."""
    for level in run.levels:
        found = run.kept(lambda n=level: measure(run.embedder(n)), "languages", level, by=(*MEMKIT, _OWN))
        for name, metrics in found.items():
            run.note("languages", level, name, "all", **metrics)
        shown = "  ".join(
            f"{name} {metrics['R@1']:.2f}/{metrics['MRR']:.2f}" for name, metrics in found.items()
        )
        print(f"  languages {level}, R@1/MRR: {shown}", flush=True)


_OWN: Final = "benchmarks/_retrieval/languages.py"
