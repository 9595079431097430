"""Scopes too large to be ranked as a whole: a limit is a number of results there too, whatever narrows them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from memkit import AsyncMemory, Memory
from memkit.engine import search as searching
from tests.postgres import PostgresServer

COUNT = 1_500
RARE = COUNT // 300


@pytest.fixture(autouse=True)
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every scope for a large one: what is found must not depend on 200,000 rows."""
    monkeypatch.setattr(searching, "MAX_ROWS", 20)


@pytest.fixture(
    scope="module", params=["sqlite", "memory", pytest.param("pgvector", marks=pytest.mark.engine)]
)
def memory(request: pytest.FixtureRequest) -> Iterator[Memory]:
    """A user with many notes, a few of them in a run of their own, and another user with the same ones."""
    with ExitStack() as opening:
        place: dict[str, Any] = {"path": ":memory:", "vector_store": request.param}
        if request.param == "pgvector":
            server: PostgresServer = request.getfixturevalue("postgres")
            url = opening.enter_context(server.database())
            place = {"ledger": url, "vector_store": {"provider": "pgvector", "config": {"url": url}}}
        opened = opening.enter_context(Memory(llm=None, embedder="hash", **place))
        for user in ("ann", "bob"):
            for run, every in (("attic", 150), (None, 1)):
                opened.add_many(
                    [
                        {
                            "role": "user",
                            "content": f"note {n} on tea, kettles and gardens",
                            "metadata": {"tag": "rare" if n % 300 == 7 else "common", "n": n},
                        }
                        for n in range(0, COUNT, every)
                    ],
                    user_id=user,
                    run_id=run,
                    infer=False,
                )
            opened.add("The passport is in the blue suitcase.", user_id=user, infer=False)
        yield opened


def held(found: Any) -> list[str]:
    return [item.memory for item in found.results]


def test_what_is_asked_for_comes_first_and_is_the_users_own(memory: Memory) -> None:
    found = memory.search("Where is the passport?", user_id="ann")
    assert held(found)[0] == "The passport is in the blue suitcase."
    assert len(found.results) == 10
    assert {item.user_id for item in found.results} == {"ann"}


def test_a_limit_is_a_number_of_results(memory: Memory) -> None:
    for limit in (1, 60, 400):
        found = memory.search("tea in the garden", user_id="ann", limit=limit)
        assert len({item.id for item in found.results}) == limit
        scores = [item.score or 0.0 for item in found.results]
        assert scores == sorted(scores, reverse=True)


def test_a_filter_that_few_pass_finds_them_all(memory: Memory) -> None:
    found = memory.search("tea in the garden", user_id="ann", limit=50, filters={"tag": "rare"})
    assert sorted(item.metadata["n"] for item in found.results) == [7 + 300 * n for n in range(RARE)]
    assert not memory.search("tea in the garden", user_id="ann", filters={"tag": "nobody has it"}).results


def test_a_run_is_searched_among_its_own(memory: Memory) -> None:
    found = memory.search("tea in the garden", user_id="ann", run_id="attic", limit=50)
    assert {item.run_id for item in found.results} == {"attic"}
    assert len(found.results) == COUNT // 150
    assert all(0 <= (item.score or 0) <= 1 for item in found.results)


def test_every_signal_is_shown_and_how_sure_the_store_is(memory: Memory) -> None:
    found = memory.search("Where is the passport?", user_id="ann", explain=True, limit=3)
    assert found.explain is not None
    assert [signals["id"] for signals in found.explain] == [item.id for item in found.results]
    assert all({"contributions", "features", "order"} <= signals.keys() for signals in found.explain)
    unknown = memory.search("Which planet has the most moons?", user_id="ann")
    assert found.answerable is not None and unknown.answerable is not None
    assert unknown.answerable < 0.3 < found.answerable
    assert (found.results[0].score or 0) <= found.answerable


def test_what_does_not_hold_leaves_its_place_to_others() -> None:
    with Memory(":memory:", llm=None, embedder="hash") as memory:
        memory.add_many(
            [{"role": "user", "content": f"note {n} on tea", "created_at": "2020-01-01"} for n in range(300)],
            user_id="ann",
            infer=False,
        )
        notes = [item.id for item in memory.get_all(user_id="ann", limit=400).results]
        for id in notes[:200]:
            memory.delete(id)
        for id in notes[200:250]:
            memory.update(id, valid_until="2021-01-01")

        def found(**when: str) -> set[str]:
            return {item.id for item in memory.search("tea", user_id="ann", limit=150, **when).results}

        assert found() == set(notes[250:])
        assert found(as_of="2020-06-01") == set(notes[200:])
        assert found(as_of="2019-06-01") == set()


async def test_the_async_face_finds_the_same() -> None:
    async with AsyncMemory(":memory:", llm=None, embedder="hash") as other:
        await other.add_many(
            [
                {"role": "user", "content": f"note {n} on tea", "metadata": {"rare": n % 97 == 5}}
                for n in range(400)
            ],
            user_id="ann",
            infer=False,
        )
        found = await other.search("tea", user_id="ann", filters={"rare": True}, explain=True)
        assert sorted(item.memory for item in found.results) == [
            f"note {n} on tea" for n in (102, 199, 296, 393, 5)
        ]
        assert found.explain is not None and found.answerable is not None
