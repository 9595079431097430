"""What must hold of a memory whose index is a database of its own: it goes, hangs, refuses, or its writers are killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from memkit import Memory
from memkit.errors import AuthenticationError, BackendError, EmbedderMismatchError
from memkit.vector_stores.base import VectorStore
from tests.faults.victim import ROOT, sound

STEPS = [("after upsert", 2), ("before upsert", 4), ("after delete", 1)]
WAIT_S = 60.0
"""How long an index may take to be brought after; a loaded machine takes its time."""


class Index:
    """Where an index is; a subclass says how it is reached."""

    target: str
    """`module:Class` of the store."""

    def settings(self, **more: Any) -> dict[str, Any]:
        """What reaches the index."""
        raise NotImplementedError

    def make(self, **settings: Any) -> VectorStore:
        module, _, name = self.target.partition(":")
        cls = getattr(__import__(module, fromlist=[name]), name)
        return cls(cls.Settings(**(settings or self.settings())))

    def open(self, path: Path, **settings: Any) -> Memory:
        return Memory(path, vector_store=self.make(**settings), embedder="hash", llm=None)

    def whole(self, memory: Memory) -> None:
        """Index and ledger hold the same, and the ledger is sound."""
        until = time.monotonic() + WAIT_S
        while memory.repair().pending:
            assert time.monotonic() < until, "it is not brought after"
            time.sleep(0.1)
        store = self.make()
        kept = {item.id: item.memory for item in memory.get_all(user_id="u", limit=1000).results}
        points = {point.id: point.payload["memory"] for point in store.list(limit=1000).records}
        assert points == kept
        assert memory.search("number 1", user_id="u").warnings == []
        sound(memory)
        store.close()


class IndexWriters(Index):
    """The laws of an index that several processes write, of which one is killed."""

    def test_two_writers_leave_one_whole_index(self, tmp_path: Path) -> None:
        running = [self.victim(tmp_path, "", 1, who) for who in ("a", "b")]
        told = [process.communicate(timeout=120)[0].split() for process in running]
        assert [process.returncode for process in running] == [0, 0]
        assert [len(lines) for lines in told] == [9, 9]
        with self.open(tmp_path) as memory:
            assert len(memory.get_all(user_id="u", limit=100).results) == 12
            self.whole(memory)

    @pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
    @pytest.mark.parametrize(("step", "nth"), STEPS)
    def test_a_kill_at_a_step_of_the_index_loses_nothing(self, tmp_path: Path, step: str, nth: int) -> None:
        process = self.victim(tmp_path, step, nth)
        told, said = process.communicate(timeout=120)
        assert process.returncode == -signal.SIGKILL, said
        with self.open(tmp_path) as memory:
            texts = {item.memory for item in memory.get_all(user_id="u").results}
            acknowledged = [int(line) for line in told.split()]
            assert {f"number {n}" for n in acknowledged if n % 3 != 2} <= texts
            assert not {f"number {n}" for n in acknowledged if n % 3 == 2} & texts
            self.whole(memory)

    def victim(self, path: Path, step: str, nth: int, who: str = "") -> subprocess.Popen[str]:
        """Start a process that writes nine times, and is killed at a step."""
        order = {
            "path": str(path), "store": self.target, "settings": self.settings(), "step": step, "nth": nth,
            "writes": 9, "who": who,
        }  # fmt: skip
        return subprocess.Popen(
            [sys.executable, "-m", "tests.faults.index_victim", json.dumps(order)],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ),
        )  # fmt: skip


class IndexFaults(Index):
    """The laws of a server; a subclass says how it is stopped, started and made to hang."""

    def wrong_password(self) -> dict[str, Any]:
        """What the server refuses; the secret in it is `wr0ng`."""
        raise NotImplementedError

    def stop(self) -> None:
        """End the server as a crash does."""
        raise NotImplementedError

    def start(self) -> None:
        """Start it again with what it had, if it is not there."""
        raise NotImplementedError

    def pause(self) -> None:
        """Have it answer nothing."""
        raise NotImplementedError

    def resume(self) -> None:
        """Have it go on."""
        raise NotImplementedError

    @pytest.fixture(autouse=True)
    def _emptied(self) -> Generator[None]:
        yield
        self.start()
        store = self.make()
        store.drop()
        store.close()

    def test_a_server_that_is_gone_at_the_start_is_brought_after(self, tmp_path: Path) -> None:
        self.stop()
        with self.open(tmp_path) as memory:
            assert memory.add("number 1", user_id="u", infer=False).pending == [self.make().name]
            found = memory.search("number 1", user_id="u")
            assert [item.memory for item in found.results] == ["number 1"] and found.warnings
            self.start()
            self.whole(memory)

    def test_a_server_that_goes_in_the_middle_is_brought_after(self, tmp_path: Path) -> None:
        with self.open(tmp_path) as memory:
            first = memory.add("number 1", user_id="u", infer=False)
            assert first.pending == []
            self.stop()
            gone = memory.add("number 2", user_id="u", infer=False)
            assert gone.pending and memory.delete(first.results[0].id).pending
            assert [item.memory for item in memory.search("number", user_id="u").results] == ["number 2"]
            self.start()
            self.whole(memory)

    def test_a_server_that_hangs_is_not_waited_for_long(self, tmp_path: Path) -> None:
        with self.open(tmp_path, **self.settings(patience_s=1)) as memory:
            memory.add("number 1", user_id="u", infer=False)
            self.pause()
            try:
                assert memory.add("number 2", user_id="u", infer=False).pending
                found = memory.search("number 2", user_id="u")
                assert "number 2" in [item.memory for item in found.results] and found.warnings
            finally:
                self.resume()
            self.whole(memory)

    def test_a_refused_password_costs_a_warning_and_is_told_without_it(self, tmp_path: Path) -> None:
        with self.open(tmp_path, **self.wrong_password()) as memory:
            assert memory.add("number 1", user_id="u", infer=False).pending
            found = memory.search("number 1", user_id="u")
            assert [item.memory for item in found.results] == ["number 1"]
            told = f"{found.warnings} {memory.health()!r}"
            assert found.warnings and "wr0ng" not in told
            store = self.make(**self.wrong_password())
            with pytest.raises(AuthenticationError) as caught:
                store.health()
            assert not caught.value.retryable
            assert "wr0ng" not in f"{caught.value} {store!r} {memory!r}"
            store.close()
        with self.open(tmp_path) as memory:
            self.whole(memory)

    def replace_collection(self) -> None:
        """Put a collection of another embedder where ours was."""
        store = self.make()
        store.drop()
        store.open(dim=3, embedder="another/3")
        store.close()

    def test_a_collection_of_another_dimension_is_refused_before_anything_is_written(
        self, tmp_path: Path
    ) -> None:
        self.replace_collection()
        with self.open(tmp_path) as memory:
            with pytest.raises(EmbedderMismatchError, match=r"another/3.*rebuild"):
                memory.add("number 1", user_id="u", infer=False)
            assert memory.get_all(user_id="u").results == []
            memory.rebuild(vector_store=self.make())
            memory.add("number 1", user_id="u", infer=False)
            self.whole(memory)

    def test_a_collection_that_others_made_anew_is_named_and_rebuilt(self, tmp_path: Path) -> None:
        with self.open(tmp_path) as memory:
            memory.add("number 1", user_id="u", infer=False)
            self.replace_collection()
            assert memory.add("number 2", user_id="u", infer=False).pending
            with pytest.raises(EmbedderMismatchError, match=r"another/3.*rebuild"):
                memory.search("number 1", user_id="u")
            memory.rebuild(vector_store=self.make())
            self.whole(memory)

    def test_a_collection_that_is_deleted_under_us_is_made_again(self, tmp_path: Path) -> None:
        with self.open(tmp_path) as memory:
            memory.add("number 1", user_id="u", infer=False)
            other = self.make()
            other.drop()
            other.close()
            assert [item.memory for item in memory.search("number 1", user_id="u").results] == ["number 1"]
            memory.add("number 2", user_id="u", infer=False)
            self.whole(memory)

    def test_every_call_on_a_dead_server_raises_an_error_of_ours(self, tmp_path: Path) -> None:
        store = self.make()
        store.open(dim=4, embedder="x")
        self.stop()
        try:
            for call in (store.health, store.count, store.info, store.collections, store.drop):
                with pytest.raises(BackendError):
                    call()
        finally:
            self.start()
            store.close()
