"""Tokens from end to end: made with each memory, compared in each search, and gone with what they are of."""

from __future__ import annotations

import json
import re
import sqlite3
import zlib
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from memkit import AsyncMemory, Memory
from memkit.embedders.base import Purpose, TokenCodes
from memkit.transfer.archive import export_lines, import_archive, read_archive

PAIRS = [("fox", "hen"), ("cat", "mouse"), ("lion", "zebra"), ("owl", "vole"), ("wolf", "sheep")]
WORDS = re.compile(r"\w+")
PIECES = re.compile(r"\w+|[^\w\s]")


def direction(name: str, width: int) -> npt.NDArray[np.float64]:
    row = np.random.default_rng(zlib.crc32(name.encode())).normal(size=width)
    return row / np.linalg.norm(row)


class WordsInPlace:
    """Vectors of the words of a text, whatever their order; tokens know what word stands before them."""

    identity = "test/words-in-place"
    dim = 64
    symmetric = True

    def __init__(self, tokens: bool = True) -> None:
        self.token_identity = "test-axes/1" if tokens else None
        self.asked: list[str] = []

    def embed(self, texts: Sequence[str], *, purpose: Purpose = "document") -> npt.NDArray[np.float32]:
        self.asked += texts
        rows = [sum((direction(w, 64) for w in WORDS.findall(text.lower())), np.zeros(64)) for text in texts]
        table = np.array(rows, np.float64).reshape(len(texts), 64) + 1e-9
        return (table / np.linalg.norm(table, axis=1, keepdims=True)).astype(np.float32)

    def embed_codes(
        self, texts: Sequence[str], *, purpose: Purpose = "document"
    ) -> tuple[npt.NDArray[np.float32], list[TokenCodes]]:
        return self.embed(texts, purpose=purpose), [self._codes(text) for text in texts]

    def _codes(self, text: str) -> TokenCodes:
        found = list(PIECES.finditer(text.lower()))
        before = ["", *(match[0] for match in found)]
        rows = [
            direction(m[0], 32) + direction(f"{b}>{m[0]}", 32) for b, m in zip(before, found, strict=False)
        ]
        table = np.array(rows).reshape(-1, 32)
        table /= np.linalg.norm(table, axis=1, keepdims=True)
        spans = np.array([match.span() for match in found], np.int32).reshape(-1, 2)
        return TokenCodes(np.rint(127 * table).astype(np.int8), spans)


def memory_at(path: Path | str, embedder: Any = None) -> Memory:
    return Memory(path, llm=None, embedder=WordsInPlace() if embedder is None else embedder)


def fill(memory: Memory, user: str = "ann") -> None:
    """Who chases whom, both ways round: one text holds the words of the other."""
    for one, other in PAIRS:
        memory.add(f"The {one} chases the {other} at night.", user_id=user, infer=False)
        memory.add(f"The {other} chases the {one} at night.", user_id=user, infer=False)


def right(memory: Memory, user: str = "ann") -> int:
    """How many of the questions find the one that is meant first."""
    asked = [pair for one, other in PAIRS for pair in ((one, other), (other, one))]
    found = [memory.search(f"the {a} chases the {b}", user_id=user, limit=1).results for a, b in asked]
    return sum(
        hits[0].memory.startswith(f"The {a} chases the {b}")
        for (a, b), hits in zip(asked, found, strict=True)
    )


def tokens_in(path: Path) -> int:
    with closing(sqlite3.connect(path / "memory.db")) as conn:
        return int(conn.execute("SELECT count(*) FROM tokens").fetchone()[0])


def test_what_only_the_order_of_words_tells_is_found(tmp_path: Path) -> None:
    with memory_at(tmp_path / "a") as memory, memory_at(tmp_path / "b", WordsInPlace(False)) as plain:
        fill(memory)
        fill(plain)
        assert right(memory) == 2 * len(PAIRS)
        assert right(plain) == len(PAIRS), "without tokens the two are the same, and the newer one is first"
    assert (tokens_in(tmp_path / "a"), tokens_in(tmp_path / "b")) == (10, 0)


def test_tokens_of_signs_are_not_kept(tmp_path: Path) -> None:
    with memory_at(tmp_path) as memory:
        memory.add("Well: the cat, again!", user_id="ann", infer=False)
        with closing(sqlite3.connect(tmp_path / "memory.db")) as conn:
            ((size,),) = conn.execute("SELECT length(e) FROM tokens").fetchall()
    assert size == 2 + 4 * 32


async def test_the_async_way_compares_alike() -> None:
    async with AsyncMemory(":memory:", llm=None, embedder=WordsInPlace()) as memory:
        for text in ("The cat chases the mouse.", "The mouse chases the cat."):
            await memory.add(text, user_id="ann", infer=False)
        for text in ("The cat chases the mouse", "The mouse chases the cat"):
            found = await memory.search(text, user_id="ann", limit=1)
            assert found.results[0].memory == f"{text}."


def test_turns_of_talk_are_compared_with_their_speaker() -> None:
    with memory_at(":memory:") as memory:
        turns: list[dict[str, Any]] = [
            {"role": "user", "name": name, "content": text}
            for name, text in (("Bo", "cat chases mouse"), ("Bo", "mouse chases cat"), ("Al", "rain again"))
        ]
        memory.add(turns, user_id="ann", run_id="r", infer=False)
        for text in ("cat chases mouse", "mouse chases cat"):
            assert memory.search(text, user_id="ann").results[0].memory == text


def test_one_run_of_the_model_gives_vector_and_tokens() -> None:
    embedder = WordsInPlace()
    with memory_at(":memory:", embedder) as memory:
        memory.add("The cat chases the mouse.", user_id="ann", infer=False)
        memory.search("who chases the mouse?", user_id="ann")
        memory.search("who chases the mouse?", user_id="ann")
    assert embedder.asked == ["The cat chases the mouse.", "who chases the mouse?"]


def test_explain_shows_what_the_second_stage_added() -> None:
    with memory_at(":memory:") as memory:
        fill(memory)
        found = memory.search("the cat chases the mouse", user_id="ann", explain=True)
        assert found.explain is not None
        first, second = found.explain[:2]
        assert first["contributions"]["late"] > second["contributions"]["late"]
        assert first["features"]["late"] > second["features"]["late"] > 0
        for row in found.explain:
            assert sum(row["contributions"].values()) == pytest.approx(row["order"], abs=1e-4)


def test_a_corrected_memory_is_compared_by_its_new_words(tmp_path: Path) -> None:
    with memory_at(tmp_path) as memory:
        memory.add("The cat chases the mouse.", user_id="ann", infer=False)
        other = memory.add("A dog sleeps.", user_id="ann", infer=False).results[0].id
        assert other is not None
        changed = memory.update(other, text="The mouse chases the cat.")
        assert memory.search("the mouse chases the cat", user_id="ann").results[0].id == other
        memory.undo(changed.operation_id)
        assert memory.get(other).memory == "A dog sleeps."  # pyright: ignore[reportOptionalMemberAccess]
        assert memory.search("a dog sleeps", user_id="ann").results[0].id == other
    assert tokens_in(tmp_path) == 2


def test_tokens_that_a_search_has_read_are_not_those_of_earlier_words(tmp_path: Path) -> None:
    asked = "the mouse chases the cat"
    with memory_at(tmp_path) as memory, memory_at(tmp_path) as other:
        fill(memory)
        best = memory.search("the cat chases the mouse", user_id="ann", limit=1).results[0]

        def match(of: Memory) -> float:
            found = of.search(asked, user_id="ann", explain=True)
            assert found.explain is not None
            return next(row["features"]["late"] for row in found.explain if row["id"] == best.id)

        before = match(memory)
        assert match(other) == pytest.approx(before)
        memory.update(best.id, text="The mouse chases the cat at night.")
        assert match(memory) > before + 0.01
        assert match(other) == pytest.approx(match(memory))


def test_a_deleted_memory_that_comes_back_is_compared_again() -> None:
    with memory_at(":memory:") as memory:
        fill(memory)
        best = memory.search("the cat chases the mouse", user_id="ann", limit=1).results[0]
        gone = memory.delete(best.id)
        assert best.id not in [hit.id for hit in memory.search("cat chases mouse", user_id="ann").results]
        memory.undo(gone.operation_id)
        assert right(memory) == 2 * len(PAIRS)


def test_no_byte_of_the_tokens_of_a_forgotten_memory_stays(tmp_path: Path) -> None:
    with memory_at(tmp_path) as memory:
        fill(memory)
        fill(memory, "bob")
        text = "The heron forgives nobody in particular"
        memory.add(text, user_id="ann", infer=False)
        codes = WordsInPlace().embed_codes([text])[1][0].codes.tobytes()
        written = b"".join(path.read_bytes() for path in sorted(tmp_path.iterdir()))
        assert codes in written
        memory.forget(user_id="ann")
        left = b"".join(path.read_bytes() for path in sorted(tmp_path.iterdir()))
        assert not any(codes[n : n + 64] in left for n in range(0, len(codes) - 64, 32))
        assert right(memory, "bob") == 2 * len(PAIRS)
    assert tokens_in(tmp_path) == 2 * len(PAIRS)


def test_a_rebuild_makes_tokens_and_takes_them_away(tmp_path: Path) -> None:
    with memory_at(tmp_path) as memory:
        fill(memory)
        memory.rebuild(embedder="hash")
        assert tokens_in(tmp_path) == 0
        assert memory.search("the cat chases the mouse", user_id="ann").results
        memory.rebuild(embedder=WordsInPlace())
        assert tokens_in(tmp_path) == 2 * len(PAIRS)
        assert right(memory) == 2 * len(PAIRS)


def test_a_store_without_tokens_ranks_by_its_vectors_until_it_is_rebuilt(tmp_path: Path) -> None:
    with memory_at(tmp_path, WordsInPlace(False)) as memory:
        fill(memory)
        before = [hit.memory for hit in memory.search("the cat chases the mouse", user_id="ann").results]
    with memory_at(tmp_path) as memory:
        after = [hit.memory for hit in memory.search("the cat chases the mouse", user_id="ann").results]
        assert after == before
        memory.rebuild(embedder=WordsInPlace())
        assert right(memory) == 2 * len(PAIRS)


def test_tokens_of_other_axes_are_not_compared(tmp_path: Path) -> None:
    with memory_at(tmp_path) as memory:
        fill(memory)
    newer = WordsInPlace()
    newer.token_identity = "test-axes/2"
    with memory_at(tmp_path, newer) as memory:
        found = memory.search("the cat chases the mouse", user_id="ann", explain=True)
        assert found.explain is not None
        assert not any("late" in row["contributions"] for row in found.explain)
        memory.add("The mouse chases the cat, twice.", user_id="ann", infer=False)
        assert (
            memory.search("the mouse chases the cat, twice", user_id="ann")
            .results[0]
            .memory.endswith("twice.")
        )


def test_an_import_makes_the_tokens_of_what_was_exported(tmp_path: Path) -> None:
    with memory_at(tmp_path / "a") as memory, memory_at(tmp_path / "b") as other:
        fill(memory)
        lines = [json.loads(json.dumps(line)) for line in export_lines(memory, None)]
        import_archive(other, read_archive(lines, "export"))
        assert right(other) == 2 * len(PAIRS)
    assert tokens_in(tmp_path / "b") == 2 * len(PAIRS)


def test_what_another_writes_is_compared_at_once(tmp_path: Path) -> None:
    with memory_at(tmp_path) as memory, memory_at(tmp_path) as other:
        fill(memory)
        assert right(other) == 2 * len(PAIRS)
        best = other.search("the cat chases the mouse", user_id="ann", limit=1).results[0]
        memory.update(best.id, text="The mouse chases the cat in spring.")
        asked = "the mouse chases the cat in spring"
        assert other.search(asked, user_id="ann", limit=1).results[0].id == best.id


def test_a_long_memory_has_no_tokens_and_is_found_all_the_same(tmp_path: Path) -> None:
    with memory_at(tmp_path) as memory:
        fill(memory)
        memory.add("harbour " + "and then some " * 60, user_id="ann", infer=False)
        assert tokens_in(tmp_path) == 2 * len(PAIRS)
        assert memory.search("harbour and then", user_id="ann").results[0].memory.startswith("harbour")


class WrongCount(WordsInPlace):
    """Forgets the tokens of the last text."""

    def embed_codes(
        self, texts: Sequence[str], *, purpose: Purpose = "document"
    ) -> tuple[npt.NDArray[np.float32], list[TokenCodes]]:
        rows, codes = super().embed_codes(texts, purpose=purpose)
        return rows, codes[:-1]


def test_an_embedder_that_forgets_tokens_is_told_so() -> None:
    from memkit.errors import BackendResponseError

    with memory_at(":memory:", WrongCount()) as memory:
        with pytest.raises(BackendResponseError, match="tokens of 0 texts, not of 1"):
            memory.add("The cat sleeps.", user_id="ann", infer=False)
        assert memory.count(user_id="ann") == 0
