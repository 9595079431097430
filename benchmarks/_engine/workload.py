"""Texts, owners and vectors: the same for every system, from seeds alone. Runs in peers' environments too."""

from __future__ import annotations

import hashlib
import random

import numpy as np

DIM = 384
OWNERS = 100

_SYLLABLES = [a + b for a in "bcdfglmnprstv" for b in ("a", "e", "i", "o", "u", "an", "or")]
_RANDOM = random.Random(7)
_WORDS = ["".join(_RANDOM.choices(_SYLLABLES, k=_RANDOM.choice((1, 2, 2, 3)))) for _ in range(4000)]


def text(number: int) -> str:
    """Return the text of a memory: about 110 characters."""
    rng = random.Random(number)
    return " ".join(rng.choices(_WORDS, k=18)) + f" #{number}"


def owner(number: int) -> str:
    """Return whose memory it is: a hundredth of all belong to each owner."""
    return f"user-{number % OWNERS}"


def vector(content: str) -> np.ndarray:
    """Return the unit vector of a text; a stub for an embedder, so that its cost is in no figure."""
    seed = int.from_bytes(hashlib.blake2b(content.encode(), digest_size=8).digest(), "little")
    row = np.random.default_rng(seed).standard_normal(DIM).astype(np.float32)
    return row / np.linalg.norm(row)


class Embedder:
    """The stub in memkit's shape; vectors are kept, so that a warm one costs a look-up."""

    identity = f"stub/{DIM}"
    dim = DIM

    def __init__(self) -> None:
        self.known: dict[str, np.ndarray] = {}

    def one(self, content: str) -> np.ndarray:
        """Return one vector."""
        if content not in self.known:
            self.known[content] = vector(content)
        return self.known[content]

    def embed(self, texts: list[str], *, purpose: str = "document") -> np.ndarray:
        """Return one row per text."""
        return np.stack([self.one(content) for content in texts])
