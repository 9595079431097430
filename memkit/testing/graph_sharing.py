"""The laws of a graph store that several callers, processes and failures meet in."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import pytest

from memkit.errors import AuthenticationError, BackendError, BackendTimeoutError
from memkit.graph_stores.base import GraphEdge, GraphPath, GraphRecord, GraphStore, Span
from memkit.graph_stores.networkx import NetworkxStore
from memkit.graph_stores.support import dump_record
from memkit.scope import ReadScope
from memkit.testing.graph_data import ALICE, EVERYONE, id_of, memory
from memkit.testing.graph_process import GraphProcess
from memkit.testing.laws import Driver, Laws, Mode, needs

SECRET = "pass: w@rd/1"
"""The wrong password that a refused store is given; no error may show it."""


class GraphLaws(Laws):
    """What a suite of graph stores is told of the store, and the store it works on.

    Set `capacity` to fewer memories where thousands take too long.
    """

    capacity: int = 3000

    def make_store(self, tmp_path: Path) -> GraphStore:
        """Return a store that is not open yet; the same path means the same data."""
        raise NotImplementedError

    def make_other_graph(self, tmp_path: Path) -> GraphStore | None:
        """Return a graph of another name in the same database, or None where there is no such thing."""
        del tmp_path

    def make_down_store(self, tmp_path: Path) -> GraphStore | None:
        """Return a store whose database cannot be reached, or None where that cannot happen."""
        del tmp_path

    def make_refused_store(self, tmp_path: Path) -> GraphStore | None:
        """Return a store with the password `SECRET`, which is wrong, or None where there are none."""
        del tmp_path

    def make_silent_store(self, tmp_path: Path) -> GraphStore | None:
        """Return a store that waits a second for a database that never answers, or None where that cannot happen."""
        del tmp_path

    def process_target(self, tmp_path: Path) -> tuple[str, dict[str, Any]] | None:
        """Return `module:Class` and the JSON settings that `make_store` uses, for a second process."""
        del tmp_path

    def capabilities(self, tmp_path: Path) -> frozenset[str]:
        """Return what the store says of itself."""
        return frozenset(self.make_store(tmp_path).capabilities)

    @pytest.fixture
    def bare(self, mode: Mode, tmp_path: Path) -> Generator[Driver]:
        """A store that is not open yet."""
        self._folder, backend = tmp_path, self.make_store(tmp_path)
        driver = Driver(backend, mode)
        yield driver
        driver.call("drop")
        driver.call("close")
        backend.close()
        driver.close()

    @pytest.fixture
    def store(self, bare: Driver) -> Driver:
        """An open, empty store."""
        bare.call("open")
        return bare

    def other_graph(self, store: Driver) -> GraphStore | None:
        """Return a graph of another name beside the store, with one memory in it."""
        del store
        other = self.make_other_graph(self._folder)
        if other is not None:
            other.open()
            other.upsert([memory("m1", "Ann likes Bob")])
        return other


class SharedGraphLaws(GraphLaws):
    """Reopening, other processes, other threads, and a database that is down."""

    @needs("persistent")
    def test_what_was_written_is_there_after_reopening(self, store: Driver, tmp_path: Path) -> None:
        """A second store at the same place sees the memories, before and after the first is closed.

        Troubleshooting: an upsert returns only when it is stored.
        """
        records = {f"m{n}": memory(f"m{n}", "Ann likes Bob", names=["Cid"]) for n in range(5)}
        store.call("upsert", list(records.values()))
        other = self.make_store(tmp_path)
        other.open()
        assert other.count(EVERYONE).memories == 5
        store.call("close")
        assert {record.memory_id: record for record in other.export(ALICE).records} == records
        other.remove(["m1"])
        other.close()
        assert sorted(everything(store)) == ["m0", "m2", "m3", "m4"]

    @needs("multi_process")
    def test_two_processes_see_each_others_writes(self, store: Driver, tmp_path: Path) -> None:
        """What either process wrote, replaced or removed is seen by the other's next call; nothing is lost.

        Troubleshooting: look for caches; write what belongs together in one transaction.
        """
        other = self._process(tmp_path)
        try:
            other.call("open")
            for turn in range(4):
                mine = [memory(f"mine{turn}-{n}", f"Ann likes N{n}") for n in range(20)]
                theirs = [memory(f"theirs{turn}-{n}", f"Ann likes N{n}") for n in range(20)]
                shared = [memory(f"shared{n}", f"Ann likes T{turn}") for n in range(5)]
                other.send("upsert", [dump_record(record) for record in [*theirs, *shared]])
                store.call("upsert", [*mine, *shared])
                other.receive()
                assert store.call("count", EVERYONE).memories == other.call("count") == 40 * (turn + 1) + 5
            other.call("remove", [f"mine{turn}-{n}" for turn in range(4) for n in range(20)])
            left = everything(store)
            assert len(left) == 85 and store.call("count", EVERYONE).edges == 85
            assert {
                edge.memory_id for edge in store.call("neighbours", [id_of("Ann")], scope=ALICE, limit=999)
            } == set(left)
            assert [entity.name for entity in store.call("find_entities", ["T2"], scope=ALICE)] == []
            check_consistent(store)
        finally:
            other.close()

    @needs("multi_process")
    def test_a_killed_process_leaves_nothing_half_done(self, store: Driver, tmp_path: Path) -> None:
        """After a kill in the middle of writing, what was acknowledged is there, and every memory is whole.

        Troubleshooting: one memory is one transaction at most, and what replaces a file takes its place at once.
        """
        size = max(20, self.capacity // 15)
        for turn in range(2):
            other = self._process(tmp_path)
            sure = [memory(f"sure{turn}-{n}", "Ann likes Bob", f"Bob likes S{n}") for n in range(10)]
            other.call("upsert", [dump_record(record) for record in sure])
            for batch in range(3):
                unsure = [memory(f"m{n}", f"Ann likes {turn}{batch}N{n}", names=["Bob"]) for n in range(size)]
                other.send("upsert", [dump_record(record) for record in unsure])
            time.sleep(0.1 * turn)
            other.kill()
            assert {record.memory_id for record in sure} <= set(everything(store))
            check_consistent(store)
        store.call("upsert", [memory(f"m{n}", "Ann likes Cid") for n in range(size)])
        assert store.call("count", ALICE).memories == 20 + size
        check_consistent(store)

    def _process(self, tmp_path: Path) -> GraphProcess:
        target = self.process_target(tmp_path)
        if target is None:
            pytest.skip(f"{type(self).__name__} does not say how to build its store in another process")
        return GraphProcess(*target)

    def test_eight_callers_at_once_do_not_disturb_each_other(self, store: Driver) -> None:
        """Upserts, walks and removals from 8 threads or tasks all succeed and none is lost.

        Troubleshooting: retry what the database calls transient, and build clients under a lock.
        """
        writes: list[tuple[str, tuple[Any, ...]]] = [
            ("upsert", ([memory(f"m{n}", f"Ann likes N{n % 7}", names=["Bob"])],)) for n in range(80)
        ]
        reads: list[tuple[str, tuple[Any, ...]]] = [("count", (ALICE,)), ("export", (ALICE,))] * 40
        store.together([call for pair in zip(writes, reads, strict=True) for call in pair])
        assert store.call("count", ALICE).memories == 80
        store.together([("remove", ([f"m{n}"],)) for n in range(0, 80, 2)])
        assert sorted(everything(store)) == sorted(f"m{n}" for n in range(1, 80, 2))
        check_consistent(store)

    def test_a_database_that_is_down_raises_our_errors(self, mode: Mode, tmp_path: Path) -> None:
        """Every call on an unreachable database raises a `BackendError`, which names the backend and its cause.

        Troubleshooting: translate the vendor's exceptions in one place.
        """
        self._check_error(self.make_down_store(tmp_path), mode, BackendError, "no database that can be down")

    def test_a_wrong_password_is_named_and_not_shown(self, mode: Mode, tmp_path: Path) -> None:
        """Wrong credentials raise an `AuthenticationError`, and no text of it holds the password.

        Troubleshooting: write the message yourself; do not print settings or addresses as they are.
        """
        store = self.make_refused_store(tmp_path)
        self._check_error(store, mode, AuthenticationError, "no password")

    def test_a_database_that_never_answers_is_given_up(self, mode: Mode, tmp_path: Path) -> None:
        """A call on a database that takes the connection and says nothing ends with a `BackendTimeoutError`.

        Troubleshooting: bound the whole call, not only the connection.
        """
        started = time.monotonic()
        self._check_error(
            self.make_silent_store(tmp_path), mode, BackendTimeoutError, "no database that can be silent"
        )
        assert time.monotonic() - started < 20

    def _check_error(
        self, store: GraphStore | None, mode: Mode, kind: type[BackendError], lacking: str
    ) -> None:
        if store is None:
            pytest.skip(f"{type(self).__name__} has {lacking}")
        driver = Driver(store, mode)
        calls: Sequence[tuple[str, Sequence[Any], dict[str, Any]]] = (
            ("health", (), {}), ("open", (), {}), ("count", (ALICE,), {}), ("neighbours", (["x"],), {"scope": ALICE}),
            ("upsert", ([memory("m1", "Ann likes Bob")],), {}), ("remove", (["m1"],), {}),
        )  # fmt: skip
        try:
            for method, args, named in calls:
                with pytest.raises(kind) as caught:
                    driver.call(method, *args, **named)
                assert caught.value.backend == store.name
                assert caught.value.__cause__ is not None
                texts = (str(caught.value), repr(caught.value), repr(caught.value.__cause__), repr(store))
                assert not any(SECRET in text for text in texts)
        finally:
            driver.call("close")
            driver.close()


# ------------------------------------------------------------------------------------------ comparing


def everything(store: Driver, scope: ReadScope = EVERYONE, limit: int = 1000) -> dict[str, GraphRecord]:
    """Return what a scope holds by memory id, page by page, each memory once."""
    found: dict[str, GraphRecord] = {}
    cursor: str | None = None
    while True:
        page = store.call("export", scope, limit=limit, cursor=cursor)
        assert len(page.records) <= limit
        for record in page.records:
            assert record.memory_id not in found
            found[record.memory_id] = record
        cursor = page.cursor
        if cursor is None:
            return found


def said(edges: Sequence[GraphEdge]) -> list[str]:
    """Return edges as texts, in order."""
    return [f"{edge.source.name} {edge.relation} {edge.target.name}" for edge in edges]


def check_consistent(store: Driver) -> None:
    """Compare what can be counted and walked with what the memories say."""
    oracle = NetworkxStore()
    oracle.upsert(list(everything(store).values()))
    check_like(store, oracle, EVERYONE, None, (["Ann"], ["Cid"]), 3)


def check_like(
    store: Driver,
    oracle: GraphStore,
    scope: ReadScope,
    span: Span | None,
    names: tuple[Sequence[str], Sequence[str]],
    hops: int,
) -> None:
    """Ask a store and the oracle everything and compare."""
    for asked in (None, *names):
        expected = oracle.find_entities(asked, scope=scope, during=span, limit=10**6)
        assert store.call("find_entities", asked, scope=scope, during=span, limit=10**6) == expected
    for limit in (3, 10**6):
        starts, goals = (
            [entity.id for entity in oracle.find_entities(asked, scope=scope)] for asked in names
        )
        walk = {"scope": scope, "during": span, "limit": limit}
        edges = store.call("neighbours", starts, depth=hops, **walk)
        expected_edges = oracle.neighbours(starts, depth=hops, **walk)  # pyright: ignore[reportArgumentType]  keywords of several types
        assert edges == expected_edges
        assert [edge.hop for edge in edges] == [edge.hop for edge in expected_edges]
        if limit == 3:
            ways = store.call("paths", starts, goals, max_hops=hops, **walk)
            assert _plain(ways) == _plain(oracle.paths(starts, goals, max_hops=hops, **walk))  # pyright: ignore[reportArgumentType]  keywords of several types
    assert store.call("count", scope) == oracle.count(scope)
    assert everything(store, scope) == {
        record.memory_id: record for record in oracle.export(scope, limit=10**6).records
    }


def _plain(ways: Sequence[GraphPath]) -> list[tuple[list[str], list[list[GraphEdge]]]]:
    return [(list(way.entities), [list(step) for step in way.edges]) for way in ways]
