"""The suites themselves: they catch a store that breaks a law, and a suite that drops one."""

from __future__ import annotations

from pathlib import Path

import pytest

from memkit.testing.laws import Driver
from memkit.testing.vector_store import VectorStoreSuite
from memkit.vector_stores.base import StoreHit, VectorStore
from memkit.vector_stores.memory import MemoryStore


class Dropped(VectorStoreSuite):
    def make_store(self, tmp_path: Path) -> VectorStore:
        return MemoryStore()

    def test_pages_are_complete_and_ordered_by_id(self, store: Driver) -> None:
        pass


class Deleted(Dropped):
    test_large_batches_are_split = None  # pyright: ignore[reportAssignmentType]


class Excused(VectorStoreSuite):
    @pytest.mark.xfail(strict=True, reason="not yet")
    def test_pages_are_complete_and_ordered_by_id(self, store: Driver) -> None:
        raise NotImplementedError


def test_a_dropped_law_is_noticed() -> None:
    with pytest.raises(AssertionError, match="Dropped drops test_pages"):
        Dropped().test_no_law_is_dropped()
    with pytest.raises(AssertionError, match="Deleted drops"):
        Deleted().test_no_law_is_dropped()
    Excused().test_no_law_is_dropped()


class Unclamped(MemoryStore):
    """Gives the cosine as the score."""

    def search(self, *args: object, **kwargs: object) -> list[StoreHit]:
        hits = super().search(*args, **kwargs)  # pyright: ignore[reportArgumentType]
        return [StoreHit(id=hit.id, score=2 * hit.score - 1, payload=hit.payload) for hit in hits]


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_wrong_score_is_noticed(mode: str) -> None:
    driver = Driver(Unclamped(), mode)  # pyright: ignore[reportArgumentType]
    driver.call("open", dim=16, embedder="x")
    with pytest.raises(AssertionError):
        Excused().test_scores_are_half_of_one_plus_cosine(driver)
    driver.close()
