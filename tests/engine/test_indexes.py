"""External indexes follow the ledger: one that fails never fails a write, and any can be thrown away."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from memkit.errors import (
    BackendResponseError,
    BackendTimeoutError,
    BackendUnavailableError,
    EmbedderMismatchError,
    LedgerMismatchError,
)
from memkit.vector_stores.base import StoreRecord
from memkit.vector_stores.memory import MemoryStore
from tests.engine.faces import AxisEmbedder, CountingEmbedder, Face, World


class ShakyStore(MemoryStore):
    """The in-memory index; the named methods fail while an error is set."""

    name = "shaky"

    def __init__(
        self,
        points: dict[str, Any] | None = None,
        error: Exception | None = None,
        methods: str = "open info upsert delete search drop health",
    ) -> None:
        super().__init__(client={} if points is None else points)
        self.error = error
        self.methods = methods.split()
        self.upserts: list[list[str]] = []

    def _may_fail(self, method: str) -> None:
        if self.error is not None and method in self.methods:
            raise self.error

    def open(self, *, dim: int, embedder: str) -> None:
        self._may_fail("open")
        super().open(dim=dim, embedder=embedder)

    def info(self) -> Any:
        self._may_fail("info")
        return super().info()

    def upsert(self, records: Sequence[StoreRecord]) -> None:
        self._may_fail("upsert")
        self.upserts.append([record.id for record in records])
        super().upsert(records)

    def delete(self, ids: Sequence[str]) -> None:
        self._may_fail("delete")
        super().delete(ids)

    def search(self, vector: Any, limit: int, filter: Any = None) -> Any:
        self._may_fail("search")
        return super().search(vector, limit, filter)

    def drop(self) -> None:
        self._may_fail("drop")
        super().drop()

    def health(self) -> None:
        self._may_fail("health")


class PickyStore(ShakyStore):
    """It refuses a request with a memory that says more than it takes."""

    def upsert(self, records: Sequence[StoreRecord]) -> None:
        self.upserts.append([record.payload["memory"] for record in records])
        if any("too much" in record.payload["memory"] for record in records):
            raise BackendResponseError("Payload too large.", backend="shaky")
        MemoryStore.upsert(self, records)


ERRORS = [
    BackendUnavailableError("It is down.", backend="shaky"), BackendTimeoutError("Too slow.", backend="shaky"),
    ConnectionRefusedError("refused"), TimeoutError("slow"), RuntimeError("a bug of the vendor"),
]  # fmt: skip


def in_step(memory: Face, store: MemoryStore) -> None:
    """The index holds the ledger's live records and nothing else, with complete payloads."""
    items = {i.id: i for i in memory.get_all(allow_global=True, include_closed=True, limit=10_000).results}
    points = {point.id: point.payload for point in store.list(limit=10_000).records}
    assert set(points) == set(items)
    for id, payload in points.items():
        assert (payload["memory"], payload["user_id"], payload["metadata"]) == (
            items[id].memory,
            items[id].user_id,
            items[id].metadata,
        )


# ------------------------------------------------------------------------------------- following


def test_the_index_follows_every_change(world: World) -> None:
    store = ShakyStore()
    memory = world.open(vector_store=store)
    result = memory.add_many([f"note {n}" for n in range(20)], user_id="u")
    assert result.pending == []
    in_step(memory, store)
    ids = [o.id for o in result.results]
    changed = memory.update(ids[0], "corrected", metadata={"a": 1})
    assert changed.pending == []
    in_step(memory, store)
    deleted = memory.delete(ids[1])
    in_step(memory, store)
    memory.undo(deleted.operation_id)
    in_step(memory, store)
    memory.forget(memory_id=ids[2])
    in_step(memory, store)
    memory.delete_all(user_id="u")
    in_step(memory, store)
    assert store.count() == 0 and memory.stats().pending == {}


def test_searches_go_through_the_index_and_are_checked_against_the_ledger(world: World) -> None:
    store = ShakyStore()
    memory = world.open(vector_store=store)
    id = memory.add("I live in Oslo.", user_id="u", infer=False).results[0].id
    memory.add("Bob lives in Rome.", user_id="v", infer=False)
    (point,) = [p for p in store.list().records if p.id == id]
    forged = {**point.payload, "memory": "FORGED", "user_id": "v"}
    store.upsert(
        [
            StoreRecord(id=id, vector=point.vector, payload=forged),
            StoreRecord(id="ghost", vector=point.vector, payload=forged),
        ]
    )
    assert memory.found("Oslo", user_id="v") in ([], ["Bob lives in Rome."])
    assert memory.found("Oslo", user_id="u") == ["I live in Oslo."]


@pytest.mark.parametrize("error", ERRORS, ids=lambda e: type(e).__name__)
def test_an_index_that_fails_never_fails_a_write_and_repair_heals_it(world: World, error: Exception) -> None:
    store = ShakyStore(error=error)
    memory = world.open(vector_store=store)
    result = memory.add("I live in Oslo.", user_id="u", infer=False)
    assert [o.event for o in result.results] == ["ADD"] and result.pending == ["shaky"]
    updated = memory.update(result.results[0].id, "I live in Bergen.")
    assert updated.pending == ["shaky"]
    found = memory.search("Bergen", user_id="u")
    assert [i.memory for i in found.results] == ["I live in Bergen."], "the ledger's own vectors serve"
    assert found.warnings and "shaky" in found.warnings[0]
    assert memory.stats().pending["shaky"] >= 1
    health = memory.health()
    assert not health.ok and "vector_store" in health.problems
    assert memory.repair().pending == ["shaky"]
    receipt = memory.forget(user_id="u")
    assert receipt.indexes["shaky"] == "pending"
    memory.add("Back again.", user_id="u", infer=False)
    store.error = None
    assert memory.repair().pending == []
    in_step(memory, store)
    assert memory.search("Back again", user_id="u").warnings == [] and memory.health().ok


@pytest.mark.parametrize("methods", ["upsert", "delete", "search", "info", "open"])
def test_an_index_that_fails_in_the_middle_loses_nothing(world: World, methods: str) -> None:
    store = ShakyStore(methods=methods)
    memory = world.open(vector_store=store)
    first = memory.add("first", user_id="u", infer=False).results[0].id
    store.error = ConnectionResetError("reset")
    memory.add("second", user_id="u", infer=False)
    memory.delete(first)
    assert memory.found("second", user_id="u") == ["second"]
    memory.close()
    store.error = None
    again = world.open(vector_store=store)
    assert again.found("second", user_id="u") == ["second"], "drained on open"
    in_step(again, store)


def test_the_next_write_brings_an_index_up_to_date(world: World) -> None:
    store = ShakyStore(error=ConnectionResetError("reset"))
    memory = world.open(vector_store=store)
    assert memory.add("one", user_id="u", infer=False).pending == ["shaky"]
    store.error = None
    assert memory.add("two", user_id="u", infer=False).pending == []
    in_step(memory, store)


def test_a_memory_that_the_index_refuses_holds_up_no_other_and_is_named(world: World) -> None:
    store = PickyStore()
    memory = world.open(vector_store=store)
    bad = memory.add("This is too much", user_id="u", infer=False)
    assert bad.pending == ["shaky"]
    texts = [f"Note {n}" for n in range(20)]
    for text in texts:
        memory.add(text, user_id="u", infer=False)
    assert sorted(point.payload["memory"] for point in store.list().records) == sorted(texts)
    assert sum("This is too much" in asked for asked in store.upserts) <= 4, "it is not sent with each write"
    refused = bad.results[0].id
    health = memory.health()
    assert not health.ok and refused in health.problems["vector_store"]
    assert "Payload too large" in health.problems["vector_store"]
    assert memory.repair().pending == ["shaky"]
    assert "This is too much" in {item.memory for item in memory.get_all(user_id="u").results}
    memory.update(refused, "This is enough")
    assert memory.health().ok and memory.repair().pending == []
    assert store.count() == 21


def test_a_rebuild_of_an_index_that_refuses_a_memory_writes_all_others_and_names_it(world: World) -> None:
    memory = world.open()
    ids = [
        memory.add(text, user_id="u", infer=False).results[0].id
        for text in ("One", "This is too much", "Two")
    ]
    store = PickyStore()
    with pytest.raises(BackendResponseError, match=f"refuses 1 memory, such as {ids[1]}: Payload too large"):
        memory.rebuild(vector_store=store)
    assert sorted(point.payload["memory"] for point in store.list().records) == ["One", "Two"]
    memory.delete(ids[1])
    assert memory.repair().pending == [] and memory.health().ok


def test_an_index_that_refuses_everything_is_not_asked_for_each_memory(world: World) -> None:
    memory = world.open()
    for n in range(50):
        memory.add(f"This is too much {n}", user_id="u", infer=False)
    store = PickyStore()
    with pytest.raises(BackendResponseError, match="Payload too large"):
        memory.rebuild(vector_store=store)
    assert len(store.upserts) < 30


def test_an_emptied_index_is_filled_again_at_open_and_by_repair(world: World) -> None:
    points: dict[str, Any] = {}
    store = ShakyStore(points)
    memory = world.open(vector_store=store)
    memory.add_many([f"note {n}" for n in range(5)], user_id="u")
    store.drop()
    memory.repair()
    in_step(memory, store)
    memory.close()
    store.drop()
    again = world.open(vector_store=ShakyStore(points))
    again.search("note", user_id="u")
    in_step(again, ShakyStore(points))


def test_an_index_given_later_is_filled(world: World, memory: Face) -> None:
    memory.add_many([f"note {n}" for n in range(5)], user_id="u")
    memory.close()
    store = ShakyStore()
    again = world.open(vector_store=store)
    assert len(again.search("note", user_id="u").results) == 5
    in_step(again, store)


# ------------------------------------------------------------------------------------- the wrong index


def test_an_index_of_another_ledger_is_refused_before_anything_is_written(
    world: World, tmp_path: Path
) -> None:
    points: dict[str, Any] = {}
    memory = world.open(vector_store=ShakyStore(points))
    memory.add_many(["a", "b", "c"], user_id="u")
    other = world.open(tmp_path / "other", vector_store=ShakyStore(points))
    for _ in range(2):
        with pytest.raises(LedgerMismatchError, match="3") as error:
            other.add("x", user_id="u", infer=False)
        assert (error.value.in_index, error.value.in_ledger) == (3, 0)
    assert other.count(user_id="u") == 0
    other.rebuild()
    other.add("x", user_id="u", infer=False)
    assert other.texts(user_id="u") == ["x"]


@pytest.mark.parametrize(
    "there", [AxisEmbedder("other/v1", 1024), AxisEmbedder("other/v1", 8)], ids=["embedder", "dimension"]
)
def test_an_index_of_another_embedder_is_refused_by_writes_and_searches_and_reads_go_on(
    world: World, memory: Face, there: AxisEmbedder
) -> None:
    id = memory.add("I live in Oslo.", user_id="u", infer=False).results[0].id
    memory.close()
    store = ShakyStore()
    store.open(dim=there.dim, embedder=there.identity)
    again = world.open(vector_store=store)
    assert again.get(id) is not None and again.count(user_id="u") == 1 and len(again.history(id)) == 1
    for _ in range(2):
        with pytest.raises(EmbedderMismatchError, match="rebuild"):
            again.add("x", user_id="u", infer=False)
        with pytest.raises(EmbedderMismatchError, match="rebuild"):
            again.search("Oslo", user_id="u")
    assert again.texts(user_id="u") == ["I live in Oslo."], "nothing was written"
    again.rebuild()
    again.add("x", user_id="u", infer=False)
    in_step(again, store)


# ------------------------------------------------------------------------------------- embedders


def test_another_embedder_is_refused_and_everything_but_search_goes_on(world: World, memory: Face) -> None:
    id = memory.add("I live in Oslo.", user_id="u", infer=False).results[0].id
    memory.close()
    again = world.open(embedder=AxisEmbedder())
    for call in (
        lambda: again.add("x", user_id="u", infer=False),
        lambda: again.search("Oslo", user_id="u"),
        lambda: again.update(id, "y"),
    ):
        with pytest.raises(EmbedderMismatchError, match=r"rebuild\(embedder=") as error:
            call()
        assert error.value.stored == "hash/1024/v1" and error.value.given == "mine/v1"
    assert again.get(id).memory == "I live in Oslo." and again.texts(user_id="u") == ["I live in Oslo."]
    assert again.count(user_id="u") == 1 and len(again.history(id)) == 1
    assert not again.health().ok and "embedder" in again.health().problems
    again.rebuild(embedder=AxisEmbedder())
    again.add("I have a cat.", user_id="u", infer=False)
    assert again.found("Oslo", user_id="u")
    again.close()
    assert world.open(embedder=AxisEmbedder()).found("Oslo", user_id="u")


def test_a_store_whose_embedder_cannot_be_made_still_reads(world: World) -> None:
    memory = world.open(embedder=AxisEmbedder("gone/v1"))
    id = memory.add("I live in Oslo.", user_id="u", infer=False).results[0].id
    memory.close()
    again = world.open(embedder="auto")
    assert again.get(id).memory == "I live in Oslo." and again.texts(user_id="u") == ["I live in Oslo."]
    assert again.count(user_id="u") == 1 and len(again.history(id)) == 1
    with pytest.raises(ValueError, match="gone/v1"):
        again.search("Oslo", user_id="u")
    again.close()
    indexed = world.open(embedder="auto", vector_store=ShakyStore())
    assert indexed.get(id) is not None and indexed.texts(user_id="u") and indexed.history(id)


@pytest.mark.parametrize("bad", ["columns", "rows", "nan", "none"])
def test_vectors_of_the_wrong_shape_are_refused_before_anything_is_written(world: World, bad: str) -> None:
    class Wrong(AxisEmbedder):
        def embed(self, texts: Sequence[str], *, purpose: str = "document") -> Any:
            rows = super().embed(texts, purpose=purpose)
            if bad == "columns":
                return rows[:, :-1]
            if bad == "rows":
                return rows[:-1]
            return None if bad == "none" else rows * float("nan")

    memory = world.open(embedder=Wrong())
    with pytest.raises(Exception, match="mine/v1") as error:
        memory.add(["a", "b"], user_id="u", infer=False)
    assert type(error.value).__name__ in ("BackendResponseError", "BackendError")
    assert memory.count(user_id="u") == 0


def test_vectors_need_not_be_of_unit_length(world: World) -> None:
    memory = world.open(embedder=AxisEmbedder())
    memory.add("I live in Oslo.", user_id="u", infer=False)
    (hit,) = memory.search("I live in Oslo.", user_id="u").results
    assert 0 < hit.score <= 1


# ------------------------------------------------------------------------------------- rebuild, reset


def test_rebuild_onto_another_index_and_back_calls_no_model_and_no_embedder(world: World) -> None:
    embedder = CountingEmbedder()
    memory = world.open(embedder=embedder)
    memory.add_many([f"note {n}" for n in range(10)], user_id="u")
    embedder.requests.clear()
    store = ShakyStore()
    assert memory.rebuild(vector_store=store).count == 10
    assert embedder.requests == []
    in_step(memory, store)
    memory.add("one more", user_id="u", infer=False)
    in_step(memory, store)
    memory.rebuild(vector_store="sqlite")
    assert memory.add("and more", user_id="u", infer=False).pending == []
    assert store.count() == 11 and len(memory.search("note", user_id="u", limit=50).results) == 12


def test_rebuild_with_another_embedder_goes_on_to_the_index(world: World) -> None:
    store = ShakyStore()
    memory = world.open(vector_store=store)
    memory.add_many([f"note {n}" for n in range(10)], user_id="u")
    memory.rebuild(embedder=AxisEmbedder())
    assert store.info().dim == 16
    in_step(memory, store)
    assert len(memory.search("note 1", user_id="u", limit=20).results) == 10
    assert "mine/v1" in memory.health().chosen["embedder"] and memory.stats().embedder == "mine/v1"


def test_a_rebuild_that_fails_leaves_what_was(world: World) -> None:
    memory = world.open()
    memory.add_many([f"note {n}" for n in range(10)], user_id="u")

    class Broken(AxisEmbedder):
        def embed(self, texts: Sequence[str], *, purpose: str = "document") -> Any:
            raise ConnectionError("gone")

    with pytest.raises(BackendUnavailableError):
        memory.rebuild(embedder=Broken())
    assert memory.stats().embedder == "hash/1024/v1"
    assert len(memory.search("note", user_id="u", limit=20).results) == 10
    with pytest.raises(BackendUnavailableError):
        memory.rebuild(vector_store=ShakyStore(error=ConnectionError("gone")))
    assert len(memory.search("note", user_id="u", limit=20).results) == 10


def test_reset_empties_ledger_and_index_and_the_next_embedder_is_free(world: World) -> None:
    store = ShakyStore()
    memory = world.open(vector_store=store)
    memory.add_many(["a", "b"], user_id="u")
    memory.reset()
    assert store.count() == 0 and memory.count(allow_global=True) == 0 and memory.messages(user_id="u") == []
    memory.add("c", user_id="u", infer=False)
    in_step(memory, store)
    memory.reset()
    memory.close()
    assert world.open(embedder=AxisEmbedder()).add("x", user_id="u", infer=False).results


def test_chroma_follows_the_ledger(world: World, tmp_path: Path) -> None:
    given = {"provider": "chroma", "config": {"path": str(tmp_path / "chroma"), "collection_name": "mine"}}
    memory = world.open(vector_store=given)
    result = memory.add_many([f"note {n}" for n in range(20)], user_id="u")
    assert result.pending == []
    memory.add("Bob's note", user_id="v", infer=False)
    memory.delete(result.results[3].id)
    assert len(memory.search("note", user_id="u", limit=50).results) == 19
    assert memory.search("note", user_id="u").warnings == []
    memory.rebuild(embedder=AxisEmbedder())
    assert len(memory.search("note", user_id="u", limit=50).results) == 19
    memory.close()
    again = world.open(vector_store=given, embedder=AxisEmbedder())
    assert len(again.search("note", user_id="u", limit=50).results) == 19
    again.reset()
    assert again.count(allow_global=True) == 0
