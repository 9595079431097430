"""What of a query is embedded: speakers that it names are spoken to, where their own turns are in scope."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from memkit import AsyncMemory, Memory
from memkit.embedders.base import Purpose

TALK = [
    {"role": "user", "name": "Ann", "content": "I paint boats."},
    {"role": "user", "name": "Bob", "content": "I bake bread."},
]


class Listening:
    """Some vector for each text; remembers which queries it was asked."""

    identity = "test/listening"
    dim = 16
    symmetric = False

    def __init__(self) -> None:
        self.queries: list[str] = []

    def embed(self, texts: Sequence[str], *, purpose: Purpose = "document") -> npt.NDArray[np.float32]:
        if purpose == "query":
            self.queries += texts
        rows = [np.random.default_rng(zlib.crc32(text.encode())).normal(size=16) for text in texts]
        return np.array(rows, np.float32).reshape(len(texts), 16)


def test_a_speaker_in_scope_is_spoken_to_and_nobody_else(tmp_path: Path) -> None:
    heard = Listening()
    with Memory(tmp_path, embedder=heard) as memory:
        memory.add(TALK, user_id="u", run_id="r", infer=False)
        memory.add("Ann paints boats.", user_id="other", infer=False)
        memory.search("What does Ann paint for Cleo?", user_id="u")
        memory.search("What does Ann paint for Cleo?", user_id="other")
        memory.search("What does Ann paint for Cleo?", user_id="u", run_id="elsewhere")
    assert heard.queries == ["What does you paint for Cleo?", "What does Ann paint for Cleo?"]


def test_the_speaker_still_comes_first_and_an_equal_query_is_embedded_once(tmp_path: Path) -> None:
    heard = Listening()
    with Memory(tmp_path, embedder=heard) as memory:
        memory.add(TALK, user_id="u", run_id="r", infer=False)
        found = [
            memory.search(f"What is {name}'s hobby?", user_id="u", explain=True) for name in ("Bob", "Ann")
        ]
    assert heard.queries == ["What is your hobby?"]
    assert [result.results[0].memory for result in found] == ["I bake bread.", "I paint boats."]
    assert found[0].explain is not None
    assert "speaker" in found[0].explain[0]["contributions"]


async def test_awaited_searches_ask_the_same(tmp_path: Path) -> None:
    heard = Listening()
    async with AsyncMemory(tmp_path, embedder=heard) as memory:
        await memory.add(TALK, user_id="u", run_id="r", infer=False)
        await memory.search("What does Ann paint?", user_id="u")
    assert heard.queries == ["What does you paint?"]
