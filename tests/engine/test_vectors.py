"""`Memory.vectors`: what memories are compared by, without embedding anything again."""

from __future__ import annotations

import numpy as np
import pytest

from memkit import AsyncMemory, Memory
from memkit.errors import InvalidInputError
from memkit.testing import FakeEmbedder


def ids_of(memory: Memory, user_id: str) -> list[str]:
    return [item.id for item in memory.get_all(user_id=user_id).results]


def test_each_memory_has_its_unit_vector_in_the_order_asked() -> None:
    with Memory(":memory:", llm=None) as memory:
        memory.add_many(["I drink tea.", "I drink tea!", "My sister plays the oboe."], user_id="ada")
        ids = ids_of(memory, "ada")
        found = memory.vectors([*ids, ids[0], "unknown"])
        assert list(found) == ids
        rows = np.array(list(found.values()))
        assert np.linalg.norm(rows, axis=1) == pytest.approx(np.ones(3), abs=1e-5)
        oboe, *teas = rows
        assert teas[0] @ teas[1] > oboe @ teas[0]
        assert memory.vectors([]) == {}


def test_what_is_gone_or_somebody_elses_is_left_out() -> None:
    with Memory(":memory:", llm=None) as memory:
        memory.add_many(["I drink tea.", "I smoke."], user_id="ada")
        memory.add("I live in Oslo.", user_id="bob")
        kept, gone = ids_of(memory, "ada")
        memory.delete(gone)
        everything = [kept, gone, *ids_of(memory, "bob")]
        assert list(memory.bind(user_id="ada").vectors(everything)) == [kept]
        assert list(memory.vectors(everything)) == [kept, everything[2]]


def test_nothing_is_embedded_and_an_empty_store_has_none() -> None:
    embedder = FakeEmbedder()
    with Memory(":memory:", llm=None, embedder=embedder) as memory:
        assert memory.vectors(["x"]) == {}
        memory.add("I drink tea.", user_id="ada")
        calls = list(embedder.calls)
        assert len(memory.vectors(ids_of(memory, "ada"))) == 1
        assert embedder.calls == calls


async def test_awaited_it_gives_the_same() -> None:
    async with AsyncMemory(":memory:", llm=None) as memory:
        await memory.add_many(["I drink tea.", "I smoke."], user_id="ada")
        ids = ids_of(memory.to_sync(), "ada")
        assert await memory.vectors(ids) == memory.to_sync().vectors(ids)


@pytest.mark.parametrize("wrong", ["m1", None, 7, [None], [" "], [["m1"]]])
def test_what_is_no_list_of_ids_is_refused(wrong: object) -> None:
    with Memory(":memory:", llm=None) as memory, pytest.raises(InvalidInputError):
        memory.vectors(wrong)  # pyright: ignore[reportArgumentType]
