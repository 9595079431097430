"""A memory of two users, as every test of this distribution needs it."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from memkit import Memory

ADA = (
    "I moved to Lisbon in May.",
    "I only drink oat milk in my coffee.",
    "My tea of choice is sencha, never coffee after noon.",
    "My sister Ines plays the oboe.",
)
BOB = (
    "I live in Oslo near the harbour.",
    "I drink black coffee all day.",
    "My brother Nils plays the drums.",
)


def fill(memory: Memory) -> Memory:
    memory.add_many(ADA, user_id="ada")
    memory.add_many(BOB, user_id="bob")
    return memory


@pytest.fixture
def memory(tmp_path: Path) -> Generator[Memory]:
    """On disk, with four memories of Ada and three of Bob."""
    with Memory(tmp_path / "store") as made:
        yield fill(made)
