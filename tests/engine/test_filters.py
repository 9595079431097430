"""Filters in search, get_all and count: one language, exact everywhere, complete however few match."""

from __future__ import annotations

from typing import Any

import pytest

from memkit.errors import FilterError, InvalidInputError
from memkit.vector_stores.memory import MemoryStore
from tests.engine.faces import Face, World

ROWS: list[dict[str, Any]] = [
    {"n": 1, "topic": "food", "tags": ["a", "b"], "day": "2024-05-01", "deep": {"er": {"x": 1}}},
    {"n": 2, "topic": "Food", "tags": ["b"], "day": "2024-05-01T18:00:00Z", "flag": True},
    {"n": 3.5, "topic": "travel", "tags": [], "day": "2024-05-02", "flag": False},
    {"n": "4", "topic": None, "odd key.$": "x", "day": "2024-06-01"},
    {},
]
CASES: list[tuple[dict[str, Any], set[int]]] = [
    ({"topic": "food"}, {0}),
    ({"topic": {"ne": "food"}}, {1, 2, 3, 4}),
    ({"n": {"gt": 1}}, {1, 2}),
    ({"n": {"gte": 1, "lt": 3.5}}, {0, 1}),
    ({"n": {"in": [1, "4"]}}, {0, 3}),
    ({"n": {"nin": [1, "4"]}}, {1, 2, 4}),
    ({"topic": ["food", "travel"]}, {0, 2}),
    ({"tags": {"contains": "a"}}, {0}),
    ({"topic": {"contains": "oo"}}, {0, 1}),
    ({"topic": {"icontains": "FOO"}}, {0, 1}),
    ({"topic": {"exists": True}}, {0, 1, 2}),
    ({"topic": {"exists": False}}, {3, 4}),
    ({"flag": True}, {1}),
    ({"flag": {"ne": True}}, {0, 2, 3, 4}),
    ({"AND": [{"topic": {"icontains": "food"}}, {"n": {"gt": 1}}]}, {1}),
    ({"OR": [{"topic": "travel"}, {"n": 1}]}, {0, 2}),
    ({"NOT": [{"topic": "food"}, {"topic": "travel"}]}, {1, 3, 4}),
    ({"AND": [{"OR": [{"n": 1}, {"n": 2}]}, {"NOT": [{"flag": True}]}]}, {0}),
    ({"day": "2024-05-01"}, {0, 1}),
    ({"day": {"lte": "2024-05-01"}}, {0, 1}),
    ({"day": {"gt": "2024-05-01"}}, {2, 3}),
    ({"day": {"lt": "2024-05-02"}}, {0, 1}),
    ({"metadata.deep.er.x": 1}, {0}),
    ({"nothing": "here"}, set()),
]


@pytest.fixture(params=["sqlite", "memory", "chroma"])
def stocked(world: World, request: pytest.FixtureRequest) -> Face:
    store: Any = (
        {"provider": "chroma", "config": {"path": str(world.folder / "chroma")}}
        if request.param == "chroma"
        else request.param
    )
    memory = world.open(vector_store=store)
    memory.add_many(
        [{"role": "user", "content": f"row number {n}", "metadata": row} for n, row in enumerate(ROWS)],
        user_id="u",
    )
    memory.add_many(
        [{"role": "user", "content": f"row number {n}", "metadata": row} for n, row in enumerate(ROWS)],
        user_id="v",
    )
    return memory


def test_a_filter_means_the_same_in_search_get_all_and_count(stocked: Face) -> None:
    for filters, rows in CASES:
        wanted = {f"row number {n}" for n in rows}
        assert set(stocked.found("row number", user_id="u", filters=filters)) == wanted, filters
        assert set(stocked.texts(user_id="u", filters=filters)) == wanted, filters
        assert stocked.count(user_id="u", filters=filters) == len(rows), filters
        assert {i.user_id for i in stocked.search("row", user_id="u", filters=filters).results} <= {"u"}


@pytest.mark.parametrize(
    ("bad", "words"),
    [({"topic": {"regex": "x"}}, "regex"), ({"topic": {"eqq": "x"}}, "eq"), ({"AND": {"a": 1}}, "AND"), ([], "filter"), ("x", "filter"),
     ({"n": {"in": 3}}, "in"), ({"user_id": "v"}, "user_id"), ({"topic": {}}, "topic")],
)  # fmt: skip
def test_what_is_no_filter_is_an_error_before_anything_is_asked(memory: Face, bad: Any, words: str) -> None:
    for call in (
        lambda: memory.search("x", user_id="u", filters=bad),
        lambda: memory.get_all(user_id="u", filters=bad),
        lambda: memory.count(user_id="u", filters=bad),
    ):
        with pytest.raises((FilterError, InvalidInputError), match=words):
            call()


@pytest.mark.parametrize("kind", ["sqlite", "memory"])
def test_a_small_tenant_in_a_huge_collection_gets_its_full_top_k(world: World, kind: str) -> None:
    memory = world.open(vector_store=kind if kind == "sqlite" else MemoryStore())
    memory.add_many([f"the answer is note {n}" for n in range(1500)], user_id="big")
    memory.add_many([f"something else {n}" for n in range(12)], user_id="small")
    assert len(memory.search("the answer is note", user_id="small", limit=10).results) == 10
    assert len(memory.search("the answer is note", user_id="small", limit=50).results) == 12


def test_a_filter_with_few_matches_finds_them_all(world: World) -> None:
    for store in ("sqlite", MemoryStore()):
        memory = world.open(world.folder / str(id(store)), vector_store=store)
        rows = [
            {"role": "user", "content": f"the answer is note {n}", "metadata": {"rare": n % 250 == 0}}
            for n in range(1000)
        ]
        memory.add_many(rows, user_id="u")
        found = memory.search("something unrelated", user_id="u", filters={"rare": True}, limit=10)
        assert len(found.results) == 4
        assert len(memory.search("the answer", user_id="u", limit=10, filters={"rare": False}).results) == 10


def test_kinds_and_threshold_narrow(memory: Face) -> None:
    memory.add("Always be brief.", user_id="u", infer=False, kind="instruction")
    memory.add("The cat is called Ada.", user_id="u", infer=False)
    assert memory.found("cat", user_id="u", kinds="instruction") == ["Always be brief."]
    assert set(memory.found("cat", user_id="u", kinds=["instruction", "fact"])) == {
        "Always be brief.",
        "The cat is called Ada.",
    }
    scores = [i.score for i in memory.search("What is the cat called?", user_id="u").results]
    assert scores == sorted(scores, reverse=True) and all(0 <= s <= 1 for s in scores)
    assert (
        memory.search("What is the cat called?", user_id="u", threshold=1.0).results == [] or scores[0] == 1.0
    )
    kept = memory.search("What is the cat called?", user_id="u", threshold=scores[0]).results
    assert [i.memory for i in kept] == ["The cat is called Ada."]
    for bad in (
        {"kinds": []},
        {"kinds": "nothing"},
        {"threshold": 2},
        {"threshold": "x"},
        {"threshold": True},
        {"rerank": "yes"},
        {"explain": 1},
    ):
        with pytest.raises(InvalidInputError):
            memory.search("x", user_id="u", **bad)
    for query in ("", " ", None, 5, "\ud800"):
        with pytest.raises(InvalidInputError, match="query"):
            memory.search(query, user_id="u")


def test_explain_shows_every_signal_of_every_result(memory: Face) -> None:
    memory.add_many(["The cat is called Ada.", "The dog is called Rex."], user_id="u")
    found = memory.search("What is the cat called?", user_id="u", explain=True)
    assert [row["id"] for row in found.explain] == [i.id for i in found.results]
    assert all(len(row) > 3 for row in found.explain)
    assert memory.search("x", user_id="u").explain is None
