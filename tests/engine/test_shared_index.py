"""Two processes that write to one index: neither waits for the other's last word, nor misses its own."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from memkit import Memory
from memkit.errors import BackendTimeoutError
from memkit.vector_stores.base import StoreRecord
from memkit.vector_stores.memory import MemoryStore


def test_a_write_does_not_wait_for_what_another_process_goes_on_to_write(tmp_path: Path) -> None:
    class BusyStore(MemoryStore):
        """While a point is written to it, another process adds the next memory, which is left to this one."""

        to_come = 0

        def upsert(self, records: Sequence[StoreRecord]) -> None:
            if any(record.payload["user_id"] == "theirs" for record in records):
                in_time.append(answered.wait(20))
            super().upsert(records)
            if self.to_come:
                self.to_come -= 1
                other.add(f"note {self.to_come}", user_id="theirs", infer=False)

    answered, in_time = Event(), list[bool]()
    points: dict[str, Any] = {}
    store = BusyStore(client=points)
    memory = Memory(tmp_path, llm=None, embedder="hash", vector_store=store)
    other = Memory(tmp_path, llm=None, embedder="hash", vector_store=MemoryStore(client=points))
    with memory, other:
        for each in (memory, other):
            each.add("The first opens the index.", user_id="mine", infer=False)
        store.to_come = 5
        assert memory.add("Mine", user_id="mine", infer=False).pending == []
        answered.set()
        while store.to_come:
            memory.flush()
        other.flush()
        memory.flush()
        assert in_time and all(in_time)
        assert store.count() == memory.count(allow_global=True) == 8


def test_a_flush_waits_for_the_process_that_writes_to_the_index(tmp_path: Path) -> None:
    class SlowStore(MemoryStore):
        def upsert(self, records: Sequence[StoreRecord]) -> None:
            begun.set()
            assert gate.wait(60)
            super().upsert(records)

    begun, gate = Event(), Event()
    points: dict[str, Any] = {}
    busy = Memory(tmp_path, llm=None, embedder="hash", vector_store=SlowStore(client=points))
    memory = Memory(tmp_path, llm=None, embedder="hash", vector_store=MemoryStore(client=points))
    with memory, busy, ThreadPoolExecutor(1) as pool:
        added = pool.submit(busy.add, "Theirs", user_id="u", infer=False)
        assert begun.wait(60)
        try:
            assert memory.add("Mine", user_id="u", infer=False).pending == ["memory"]
            with pytest.raises(BackendTimeoutError, match="larger `timeout`"):
                memory.flush(timeout=0.1)
        finally:
            gate.set()
        memory.flush()
        assert memory.stats().pending == {} and len(points) > 0
        assert added.result().pending == []


def test_a_rebuild_goes_on_when_another_process_empties_the_index_under_it(tmp_path: Path) -> None:
    """Two rebuild at once: the second drops the collection between the first one's look at it and its write."""

    class EmptiedStore(MemoryStore):
        emptied = 0

        def upsert(self, records: Sequence[StoreRecord]) -> None:
            if self.emptied:
                self.emptied -= 1
                MemoryStore(client=points).drop()
            super().upsert(records)

    points: dict[str, Any] = {}
    store = EmptiedStore(client=points)
    with Memory(tmp_path, llm=None, embedder="hash", vector_store=store) as memory:
        memory.add_many([f"note {n}" for n in range(5)], user_id="u", infer=False)
        store.emptied = 1
        assert memory.rebuild().count == 5
        assert store.count() == 5
        store.emptied = 1
        assert memory.add("one more", user_id="u", infer=False).pending == []
