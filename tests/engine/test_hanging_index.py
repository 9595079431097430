"""An index that hangs holds up no write for good: it follows when it answers again."""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from typing import Any

import pytest

from memkit.vector_stores.base import StoreRecord
from memkit.vector_stores.memory import MemoryStore
from tests.engine.faces import World


class HangingStore(MemoryStore):
    """The in-memory index; while it is told to, what it is asked to do waits for the gate."""

    name = "hanging"

    def __init__(self, hangs_in: str = "") -> None:
        super().__init__(client={})
        self.patience_s = 0.05
        self.hangs_in = hangs_in
        self.gate = threading.Event()
        self.asked: list[str] = []

    def _pass(self, method: str) -> None:
        self.asked.append(method)
        if method == self.hangs_in:
            self.gate.wait(30)

    def open(self, *, dim: int, embedder: str) -> None:
        self._pass("open")
        super().open(dim=dim, embedder=embedder)

    def upsert(self, records: Sequence[StoreRecord]) -> None:
        self._pass("upsert")
        super().upsert(records)

    def delete(self, ids: Sequence[str]) -> None:
        self._pass("delete")
        super().delete(ids)


@pytest.fixture
def stores() -> Generator[list[HangingStore]]:
    made: list[HangingStore] = []
    yield made
    for store in made:
        store.gate.set()


@pytest.mark.parametrize("method", ["open", "upsert"])
def test_a_write_is_kept_and_says_that_the_index_lags_behind(
    world: World, stores: list[HangingStore], method: str
) -> None:
    store = HangingStore(method)
    stores.append(store)
    memory = world.open(vector_store=store)
    result = memory.add("I live in Oslo.", user_id="u", infer=False)
    assert [o.event for o in result.results] == ["ADD"] and result.pending == ["hanging"]
    asked = list(store.asked)
    later = memory.add("Bob lives in Rome.", user_id="u", infer=False)
    assert later.pending == ["hanging"] and store.asked == asked, "nobody asks again while it hangs"
    found = memory.search("Oslo", user_id="u")
    assert found.results[0].memory == "I live in Oslo." and "does not answer" in found.warnings[0]
    assert memory.stats().pending == {"hanging": 2}

    store.hangs_in = ""
    store.gate.set()
    assert memory.repair().pending == []
    assert {point.payload["memory"] for point in store.list().records} == {
        "I live in Oslo.",
        "Bob lives in Rome.",
    }
    assert memory.search("Oslo", user_id="u").warnings == []


def test_a_memory_closes_beside_an_index_that_hangs(world: World, stores: list[HangingStore]) -> None:
    store = HangingStore("upsert")
    stores.append(store)
    memory = world.open(vector_store=store)
    assert memory.add("I live in Oslo.", user_id="u", infer=False).pending == ["hanging"]
    memory.close()
    healthy = HangingStore()
    again = world.open(vector_store=healthy)
    assert again.found("Oslo", user_id="u") == ["I live in Oslo."]
    assert healthy.count() == 1, "what waited was written by the next one"


def test_the_last_state_wins_however_many_write_at_once(world: World, stores: list[HangingStore]) -> None:
    store = HangingStore()
    stores.append(store)
    store.patience_s = 30.0
    memory = world.open(vector_store=store)
    ids = [o.id for o in memory.add_many([f"note {n}" for n in range(8)], user_id="u").results]
    calls: list[tuple[str, dict[str, Any]]] = [
        call
        for n, id in enumerate(ids)
        for call in (
            ("update", {"memory_id": id, "text": f"changed {n}"}),
            ("add", {"messages": f"new {n}", "user_id": "u", "infer": False}),
        )
    ]
    results = memory.together(calls)
    assert [r.pending for r in results] == [[]] * len(calls), results
    points = {point.id: point.payload["memory"] for point in store.list(limit=100).records}
    items = {item.id: item.memory for item in memory.get_all(user_id="u").results}
    assert points == items and {f"changed {n}" for n in range(8)} <= set(points.values())


def test_the_patience_is_a_setting_of_every_store(world: World) -> None:
    store: Any = {"provider": "memory", "config": {"patience_s": 7.5}}
    memory = world.open(vector_store=store)
    memory.add("x", user_id="u", infer=False)
    assert memory.raw._parts.store().patience_s == 7.5
    assert MemoryStore(client={}).patience_s == 30.0
