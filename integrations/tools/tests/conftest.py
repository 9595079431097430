"""A memory of two users, as every test of this distribution needs it."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from memkit import Memory
from memkit_tools import Toolbox


@pytest.fixture
def memory() -> Generator[Memory]:
    with Memory(":memory:", llm=None, embedder="hash") as made:
        made.add("I live in Oslo near the harbour.", user_id="bob", infer=False)
        yield made


@pytest.fixture
def box(memory: Memory) -> Toolbox:
    """Ada's tools, all of them, over an empty scope."""
    return Toolbox(memory, user_id="ada@example.com", mode="full", allow_bulk_delete=True)
