"""The laws of a vector store that several callers, processes and failures meet in."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import pytest

from memkit.errors import BackendError
from memkit.filters import Compare
from memkit.testing.laws import Driver, Laws, Mode, needs
from memkit.testing.store_data import DIM, EMBEDDER, PAYLOADS, payload, records, vectors
from memkit.testing.store_process import StoreProcess
from memkit.vector_stores.base import StoreRecord, VectorStore


class StoreLaws(Laws):
    """What a suite of vector stores is told of the store, and the store it works on."""

    recall: float = 1.0
    capacity: int = 6000

    def make_store(self, tmp_path: Path) -> VectorStore:
        """Return a store that is not open yet; the same path means the same data."""
        raise NotImplementedError

    def make_down_store(self, tmp_path: Path) -> VectorStore | None:
        """Return a store whose database cannot be reached, or None where that cannot happen."""
        del tmp_path

    def process_target(self, tmp_path: Path) -> tuple[str, dict[str, Any]] | None:
        """Return `module:Class` and the JSON settings that `make_store` uses, for a second process."""
        del tmp_path

    def capabilities(self, tmp_path: Path) -> frozenset[str]:
        """Return what the store says of itself."""
        return frozenset(self.make_store(tmp_path).capabilities)

    @pytest.fixture
    def bare(self, mode: Mode, tmp_path: Path) -> Generator[Driver]:
        """A store whose collection does not exist yet."""
        driver = Driver(self.make_store(tmp_path), mode)
        yield driver
        driver.call("drop")
        driver.call("close")
        driver.close()

    @pytest.fixture
    def store(self, bare: Driver) -> Driver:
        """An open, empty store."""
        bare.call("open", dim=DIM, embedder=EMBEDDER)
        return bare


class SharedStoreLaws(StoreLaws):
    """Reopening, other processes, other threads, and a database that is down."""

    @needs("persistent")
    def test_what_was_written_is_there_after_reopening(self, store: Driver, tmp_path: Path) -> None:
        """A second store at the same place sees the points, before and after the first is closed.

        Troubleshooting: an upsert returns only when the points are stored.
        """
        points = records(PAYLOADS)
        store.call("upsert", points)
        other = self.make_store(tmp_path)
        other.open(dim=DIM, embedder=EMBEDDER)
        assert other.count() == len(points)
        store.call("close")
        assert other.get(["p000"])[0].payload == points[0].payload
        assert other.search(points[3].vector, 1)[0].id == "p003"
        other.close()

    @needs("multi_process")
    def test_two_processes_see_each_others_writes(self, store: Driver, tmp_path: Path) -> None:
        """What either process wrote or deleted is found by the other's next call, thousands of points later too.

        Troubleshooting: look for caches; compare a version or the files before each read.
        """
        target = self.process_target(tmp_path)
        if target is None:
            pytest.skip(f"{type(self).__name__} does not say how to build its store in another process")
        rows, batch = vectors(self.capacity), max(1, self.capacity // 5)
        other = StoreProcess(*target)
        try:
            other.call("open", DIM, EMBEDDER)
            for turn in range(4):
                mine = range(turn * batch, turn * batch + batch // 2)
                theirs = range(turn * batch + batch // 2, (turn + 1) * batch)
                other.send("upsert", [(f"i{at}", rows[at].tolist(), payload(turn=turn)) for at in theirs])
                store.call(
                    "upsert",
                    [StoreRecord(id=f"i{at}", vector=rows[at], payload=payload(turn=turn)) for at in mine],
                )
                other.receive()
                assert store.call("count") == other.call("count") == (turn + 1) * batch
                for at in (mine[0], mine[-1], theirs[0], theirs[-1], 0):
                    (hit,) = store.call("search", rows[at], 1, Compare("turn", "eq", at // batch))
                    assert [hit.id] == other.call("search", rows[at].tolist(), 1) == [f"i{at}"]
            other.call("delete", ["i1"])
            assert "i1" not in {hit.id for hit in store.call("search", rows[1], 5)}
            everything = store.call("get", [f"i{at}" for at in range(4 * batch)])
            assert len(everything) == 4 * batch - 1
        finally:
            other.close()

    def test_eight_callers_at_once_do_not_disturb_each_other(self, store: Driver) -> None:
        """Upserts, searches, gets and deletes from 8 threads or tasks all succeed and none is lost.

        Troubleshooting: one lock or one connection per thread, and clients built under a lock.
        """
        rows = vectors(240)
        writes: list[tuple[str, tuple[Any, ...]]] = [
            ("upsert", ([StoreRecord(id=f"i{at}", vector=rows[at], payload=payload(at=at))],))
            for at in range(240)
        ]
        reads: list[tuple[str, tuple[Any, ...]]] = [("search", (rows[at], 3)) for at in range(0, 240, 4)]
        store.together([call for pair in zip(writes, reads * 4, strict=True) for call in pair])
        assert store.call("count") == 240
        store.together([("delete", ([f"i{at}"],)) for at in range(0, 240, 2)])
        assert store.call("count") == 120
        for at in range(1, 240, 40):
            assert store.call("search", rows[at], 1)[0].id == f"i{at}"

    def test_what_is_returned_belongs_to_the_caller(self, store: Driver) -> None:
        """Changing a returned or a written payload or vector does not change the store.

        Troubleshooting: copy on the way in and on the way out.
        """
        row, stored = vectors(1)[0], payload("text", deep={"list": [1]})
        store.call("upsert", [StoreRecord(id="x", vector=row, payload=stored)])
        stored["metadata"]["deep"]["list"].append(2)
        for found in (store.call("get", ["x"])[0], store.call("search", vectors(1)[0], 1)[0]):
            found.payload["metadata"]["deep"]["list"].append(3)
        row[:] = 0
        (point,) = store.call("get", ["x"])
        assert point.payload["metadata"]["deep"]["list"] == [1]
        assert point.vector == pytest.approx(vectors(1)[0], abs=1e-5)

    def test_a_database_that_is_down_raises_our_errors(self, mode: Mode, tmp_path: Path) -> None:
        """Every call on an unreachable database raises a `BackendError`, which names the backend and its cause.

        Troubleshooting: translate the vendor's exceptions in one place, with the store's name and their cause:
        `raise BackendUnavailableError(text, backend=self.name) from error`.
        """
        down = self.make_down_store(tmp_path)
        if down is None:
            pytest.skip(f"{type(self).__name__} has no database that can be down")
        driver, row = Driver(down, mode), vectors(1)[0]
        calls: Sequence[tuple[str, Sequence[Any]]] = (
            ("health", ()), ("search", (row, 1)), ("count", ()), ("get", (["x"],)),
            ("upsert", ([StoreRecord(id="x", vector=row, payload=payload())],)),
        )  # fmt: skip
        try:
            for method, args in calls:
                with pytest.raises(BackendError) as caught:
                    driver.call(method, *args)
                assert caught.value.backend == down.name
                assert caught.value.__cause__ is not None
            driver.call("close")
        finally:
            driver.close()
