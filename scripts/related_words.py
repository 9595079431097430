"""Writes memkit/ranking/related.npz: which English words mean nearly the same, by the vectors of all-MiniLM-L6-v2.

python scripts/related_words.py [FOLDER]

The words are the whole ones of the model's own vocabulary, each embedded by itself; a stem is at the middle of the
words that have it, and what all words share is taken off before. So the table comes from the model alone. FOLDER holds
`model.safetensors`; without one, the embedder's own places are searched.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from memkit.embedders import minilm_weights
from memkit.embedders.minilm import MiniLMEmbedder
from memkit.ranking.related import TABLE
from memkit.ranking.text import english_stems

NEAREST, MOST = 0.45, 16
"""The least cosine of two relatives, and how many a stem has at most."""
_ROWS = 1_000


def words(vocabulary: dict[str, int]) -> list[str]:
    """Return the whole words of the vocabulary, in order."""
    return sorted(word for word in vocabulary if len(word) > 1 and word.isascii() and word.isalpha())


def of_stems(given: list[str], vectors: npt.NDArray[np.float32]) -> tuple[list[str], npt.NDArray[np.float32]]:
    """Return the stems of words in order, and a unit row for each."""
    rows = _unit(vectors - vectors.mean(axis=0))
    members: dict[str, list[int]] = {}
    for at, stem in enumerate(english_stems(given)):
        if stem:
            members.setdefault(stem, []).append(at)
    stems = sorted(members)
    return stems, _unit(np.stack([rows[members[stem]].mean(axis=0) for stem in stems]))


def table(
    stems: list[str], rows: npt.NDArray[np.float32], nearest: float = NEAREST, most: int = MOST
) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of the table: for each stem how many relatives it has, then which and how near they are."""
    counts: list[int] = []
    others: list[int] = []
    nearness: list[int] = []
    for first in range(0, len(stems), _ROWS):
        for place, cosines in enumerate(rows[first : first + _ROWS] @ rows.T, first):
            cosines[place] = -1
            best = np.argsort(-cosines, kind="stable")[:most]
            best = best[cosines[best] >= nearest]
            counts.append(len(best))
            others += best.tolist()
            nearness += np.rint(100 * cosines[best]).astype(int).tolist()
    return {
        "stems": np.array([stem.encode("ascii") for stem in stems]),
        "counts": np.array(counts, np.uint8),
        "others": np.array(others, np.uint16),
        "nearness": np.array(nearness, np.uint8),
    }


def _unit(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def main() -> int:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    embedder = MiniLMEmbedder(MiniLMEmbedder.Settings(path=folder))
    given = words(minilm_weights.vocabulary(embedder.weights.vocabulary))
    made = table(*of_stems(given, embedder.embed(given)))
    np.savez_compressed(
        TABLE, stems=made["stems"], counts=made["counts"], others=made["others"], nearness=made["nearness"]
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
