"""Writes memkit/embedders/minilm_axes.npy: the 64 main axes of the token vectors of all-MiniLM-L6-v2.

python scripts/minilm_axes.py [FOLDER]

The texts are the whole words of the model's own vocabulary, in an order that is drawn once, twenty at a time; so the
axes come from the model alone. FOLDER holds `model.safetensors`; without one, the embedder's own places are searched.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from memkit.embedders import minilm_weights
from memkit.embedders.minilm import MiniLMEmbedder
from memkit.embedders.projection import AXES, WIDTH

WORDS_OF_A_TEXT, SEED = 20, 7


def texts(vocabulary: dict[str, int], most: int | None = None) -> list[str]:
    """Return the words of the vocabulary as texts; `most` keeps so many words."""
    words = sorted(word for word in vocabulary if len(word) > 2 and word.isascii() and word.isalpha())
    order: list[int] = np.random.default_rng(SEED).permutation(len(words)).tolist()
    drawn = [words[at] for at in order[:most]]
    return [" ".join(drawn[at : at + WORDS_OF_A_TEXT]) for at in range(0, len(drawn), WORDS_OF_A_TEXT)]


def fit(embedder: MiniLMEmbedder, given: list[str]) -> npt.NDArray[np.float16]:
    """Return the main axes of the token vectors of the texts, uncentred, as columns, the strongest first."""
    vectors = np.concatenate([found.vectors for found in embedder.embed_tokens(given)[1]]).astype(np.float64)
    _, axes = np.linalg.eigh(vectors.T @ vectors)
    axes = axes[:, ::-1][:, :WIDTH]
    # An axis has no direction of its own: its largest part points up.
    signs = np.sign(np.take_along_axis(axes, np.abs(axes).argmax(axis=0)[None], axis=0))
    return (axes * signs).astype(np.float16)


def main() -> int:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    embedder = MiniLMEmbedder(MiniLMEmbedder.Settings(path=folder))
    vocabulary = minilm_weights.vocabulary(embedder.weights.vocabulary)
    np.save(AXES, fit(embedder, texts(vocabulary)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
