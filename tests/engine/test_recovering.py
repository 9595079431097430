"""A ledger that was lost, or that knows less than an index: `repair(from_index=True)` takes what the index holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel

from memkit.errors import ConfigurationError, EmbedderMismatchError, LedgerMismatchError, ScopeError
from memkit.vector_stores.memory import MemoryStore
from tests.engine.faces import AxisEmbedder, CountingEmbedder, Face, World
from tests.engine.test_indexes import ShakyStore, in_step


class Pet(BaseModel):
    """A pet of the user."""

    memkit_key: ClassVar[tuple[str, ...]] = ("name",)

    name: str
    food: str | None = None


def _filled(world: World, points: dict[str, Any], **given: Any) -> Face:
    memory = world.open(vector_store=ShakyStore(points), **given)
    memory.add(
        [{"role": "user", "content": "I live in Oslo.", "created_at": "2026-03-01T10:00:00+01:00"}],
        user_id="ada",
        run_id="r1",
        metadata={"topic": "home", "deep": {"list": [1, None]}},
    )
    memory.add("Tea, not coffee.", user_id="ada", kind="preference", infer=False, expires_at="2999-01-01")
    memory.add("The build is red.", agent_id="bot", infer=False)
    old = memory.add("The office is in Rome.", user_id="bob", infer=False).results[0].id
    memory.update(old, "The office is in Bern.")
    gone = memory.add("Not for long.", user_id="bob", infer=False).results[0].id
    memory.delete(gone)
    return memory


def _everything(memory: Face) -> dict[str, dict[str, Any]]:
    found = memory.get_all(allow_global=True, include_closed=True, limit=1000).results
    return {item.id: item.model_dump(exclude={"version"}) for item in found}


def test_a_lost_ledger_is_filled_from_its_index_with_ids_times_and_vectors(
    world: World, tmp_path: Path
) -> None:
    points: dict[str, Any] = {}
    first = _filled(world, points)
    expected = _everything(first)
    embedder = CountingEmbedder()
    store = ShakyStore(points)
    memory = world.open(tmp_path / "new", vector_store=store, embedder=embedder)
    told: list[tuple[int, int]] = []
    report = memory.repair(from_index=True, progress=lambda done, total: told.append((done, total)))
    assert (report.recovered.found, report.recovered.imported, report.recovered.skipped) == (4, 4, {})
    assert report.pending == [] and told[-1] == (4, 4)
    assert embedder.requests == [], "the vectors are the index's"
    assert _everything(memory) == expected
    assert store.upserts == [], "the index has them already"
    (event,) = memory.history(next(iter(expected)))
    assert event.event == "ADD" and "recovered from the index 'shaky'" in event.reason
    assert memory.found("Where do I live?", user_id="ada")[0] == "I live in Oslo."
    in_step(memory, store)


def test_what_the_ledger_knows_is_left_alone_and_a_second_time_adds_nothing(
    world: World, tmp_path: Path
) -> None:
    points: dict[str, Any] = {}
    first = _filled(world, points)
    first.close()
    other = world.open(tmp_path / "new")
    other.add("Mine.", user_id="ada", infer=False)
    other.close()
    memory = world.open(tmp_path / "new", vector_store=ShakyStore(points))
    assert memory.repair(from_index=True).recovered.imported == 4
    events = memory.stats().events
    again = memory.repair(from_index=True).recovered
    assert (again.imported, again.found, again.present) == (0, 5, 5)
    assert memory.stats().events == events
    assert memory.texts(user_id="ada") == ["Mine.", "Tea, not coffee.", "I live in Oslo."]


def test_an_index_that_holds_more_than_the_ledger_is_refused_with_both_counts_and_what_helps(
    world: World, tmp_path: Path
) -> None:
    points: dict[str, Any] = {}
    first = _filled(world, points)
    first.close()
    other = world.open(tmp_path / "other")
    mine = other.add("Mine.", user_id="ada", infer=False).results[0].id
    other.close()
    memory = world.open(tmp_path / "other", vector_store=ShakyStore(points))
    with pytest.raises(LedgerMismatchError) as caught:
        memory.add("x", user_id="ada", infer=False)
    assert (caught.value.in_index, caught.value.in_ledger) == (4, 1)
    for word in ("memkit repair --from-index", "memkit rebuild", "path=", "ledger=", "4", "1"):
        assert word in str(caught.value)
    assert memory.get(mine).memory == "Mine."
    health = memory.health()
    assert not health.ok and "from-index" in health.problems["vector_store"]
    memory.repair(from_index=True)
    assert memory.health().ok
    memory.add("x", user_id="ada", infer=False)
    assert memory.count(user_id="ada") == 4


def test_the_first_search_of_a_machine_without_the_ledger_says_so(world: World, tmp_path: Path) -> None:
    points: dict[str, Any] = {}
    _filled(world, points).close()
    memory = world.open(tmp_path / "other", vector_store=ShakyStore(points))
    for look in (memory.search, memory.context):
        with pytest.raises(LedgerMismatchError) as caught:
            look("tea", user_id="ada")
        assert (caught.value.in_index, caught.value.in_ledger) == (4, 0)
    assert not (tmp_path / "other").exists(), "a search makes no ledger"
    store = ShakyStore()
    fresh = world.open(tmp_path / "fresh", vector_store=store)
    assert fresh.search("tea", user_id="ada").warnings == []
    store.error = ConnectionRefusedError("refused")
    (warning,) = fresh.search("tea", user_id="ada").warnings
    assert "shaky" in warning and "down" in warning


def test_deleted_records_that_wait_for_the_index_are_no_surplus(world: World) -> None:
    store = ShakyStore()
    memory = world.open(vector_store=store)
    ids = [memory.add(f"note {n}", user_id="u", infer=False).results[0].id for n in range(3)]
    store.error = ConnectionRefusedError("refused")
    memory.delete(ids[0])
    store.error = None
    assert memory.repair().pending == []
    in_step(memory, store)


def test_records_with_an_incomplete_payload_are_told_and_not_invented(world: World, tmp_path: Path) -> None:
    points: dict[str, Any] = {}
    _filled(world, points).close()
    store = MemoryStore(client=points)
    half, strange = store.list(limit=2).records
    half.payload.pop("created_at")
    strange.payload["origin"] = "mars"
    store.upsert([half, strange])
    memory = world.open(tmp_path / "new", vector_store=ShakyStore(points))
    report = memory.repair(from_index=True)
    assert report.recovered.imported == 2
    assert "created_at" in report.recovered.skipped[half.id]
    assert "origin" in report.recovered.skipped[strange.id]
    assert report.pending == ["shaky"], "two records are still nobody's"
    with pytest.raises(LedgerMismatchError):
        memory.add("x", user_id="u", infer=False)
    memory.rebuild()
    memory.add("x", user_id="u", infer=False)


def test_a_typed_record_keeps_its_fields_and_its_place(world: World, tmp_path: Path) -> None:
    points: dict[str, Any] = {}
    memory = world.open(vector_store=ShakyStore(points), schemas=[Pet])
    memory.add(Pet(name="Rex", food="fish"), user_id="u")
    new = world.open(tmp_path / "new", vector_store=ShakyStore(points), schemas=[Pet])
    new.repair(from_index=True)
    (item,) = new.get_all(user_id="u").results
    assert item.data == {"name": "Rex", "food": "fish"} and item.metadata == {}
    new.add(Pet(name="Rex", food="rice"), user_id="u")
    (now,) = new.get_all(user_id="u").results
    assert now.data == {"name": "Rex", "food": "rice"}


def test_a_closed_record_and_its_successor_both_come_back(world: World, tmp_path: Path) -> None:
    points: dict[str, Any] = {}
    memory = world.open(vector_store=ShakyStore(points), schemas=[Pet])
    for food in ("fish", "rice"):
        memory.add(Pet(name="Rex", food=food), user_id="u")
    expected = _everything(memory)
    assert len(expected) == 2
    new = world.open(tmp_path / "new", vector_store=ShakyStore(points), schemas=[Pet])
    assert new.repair(from_index=True).recovered.conflicts == []
    assert _everything(new) == expected


def test_it_is_an_operators_call_and_needs_an_index_of_this_embedder(world: World, tmp_path: Path) -> None:
    points: dict[str, Any] = {}
    _filled(world, points)
    plain = world.open(tmp_path / "plain")
    with pytest.raises(ConfigurationError, match="vector_store="):
        plain.repair(from_index=True)
    memory = world.open(tmp_path / "new", vector_store=ShakyStore(points), embedder=AxisEmbedder())
    with pytest.raises(EmbedderMismatchError):
        memory.repair(from_index=True)
    with pytest.raises(ScopeError):
        plain.bind(user_id="ada").repair(from_index=True)
