"""`AsyncMemory` leaves the event loop alone: no SQL, no embedding and no long work in its thread."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from memkit import AsyncMemory
from memkit.embedders.hash import HashEmbedder
from memkit.vector_stores.base import StoreRecord
from memkit.vector_stores.memory import MemoryStore
from tests.engine.faces import answer, fact


class Watched(HashEmbedder):
    """The keyless embedder; it notes in which threads it was asked."""

    def __init__(self) -> None:
        self.threads: set[int] = set()

    def embed(self, texts: Sequence[str], *, purpose: Any = "document") -> Any:
        self.threads.add(threading.get_ident())
        return super().embed(texts, purpose=purpose)


class WatchedStore(MemoryStore):
    """The in-memory index; likewise."""

    name = "watched"

    def __init__(self) -> None:
        super().__init__(client={})
        self.threads: set[int] = set()

    def open(self, *, dim: int, embedder: str) -> None:
        self.threads.add(threading.get_ident())
        super().open(dim=dim, embedder=embedder)

    def upsert(self, records: Sequence[StoreRecord]) -> None:
        self.threads.add(threading.get_ident())
        super().upsert(records)


class SqlSeen:
    """Notes every call of the SQLite driver in the thread that enters it."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def _see(self, frame: Any, event: str, called: Any) -> None:
        if event == "c_call" and isinstance(
            getattr(called, "__self__", None), sqlite3.Connection | sqlite3.Cursor
        ):
            self.calls.append(f"{frame.f_code.co_filename}:{frame.f_lineno} {called.__name__}")

    def __enter__(self) -> SqlSeen:
        self._before = sys.getprofile()
        sys.setprofile(self._see)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(self._before)


async def test_no_sql_runs_in_the_thread_of_the_loop(tmp_path: Path) -> None:
    embedder = Watched()
    with SqlSeen() as seen:
        async with AsyncMemory(tmp_path / "s", llm=None, embedder=embedder) as memory:
            added = await memory.add([{"role": "user", "content": "I live in Oslo."}], user_id="u")
            id = str(added.results[0].id)
            assert (await memory.search("Oslo", user_id="u")).results
            await memory.context("Oslo", user_id="u")
            await memory.add_many([f"note {n}" for n in range(100)], user_id="v")
            await memory.update(id, "I live in Bergen.")
            assert (await memory.get(id)) is not None and await memory.history(id)
            await memory.get_all(user_id="v")
            await memory.messages(user_id="u")
            await memory.delete(id)
            await memory.forget(user_id="v")
            await memory.stats()
            await memory.repair()
            await memory.flush()
    assert seen.calls == []
    assert embedder.threads and threading.get_ident() not in embedder.threads


async def test_an_index_is_opened_and_written_beside_the_loop(tmp_path: Path) -> None:
    store = WatchedStore()
    async with AsyncMemory(tmp_path / "s", llm=None, embedder="hash", vector_store=store) as memory:
        assert (await memory.add("I live in Oslo.", user_id="u", infer=False)).pending == []
    assert store.threads and threading.get_ident() not in store.threads


async def test_a_long_list_is_prepared_and_written_beside_the_loop(tmp_path: Path) -> None:
    """A profile of the loop's own thread sees a number of calls that does not grow with the list."""
    counts: list[int] = []

    def count(frame: Any, event: str, _: Any) -> None:
        if event == "call" and "memkit" in frame.f_code.co_filename:
            counts[-1] += 1

    async with AsyncMemory(tmp_path / "s", llm=None, embedder="hash") as memory:
        await memory.add("warm up", user_id="u", infer=False)
        for size in (100, 1500):
            counts.append(0)
            sys.setprofile(count)
            try:
                result = await memory.add_many([f"note {n} of {size}" for n in range(size)], user_id="u")
            finally:
                sys.setprofile(None)
            assert len(result.results) == size and result.operation_id
        assert await memory.count(user_id="u") == 1601
    assert counts[1] <= 2 * counts[0] + 200, counts


async def test_many_memories_are_changed_and_shown_beside_the_loop(tmp_path: Path) -> None:
    """A profile of the loop's own thread sees none of the work that grows with what is changed or shown."""
    seen: set[str] = set()

    def note(frame: Any, event: str, _: Any) -> None:
        if event == "call" and "memkit" in frame.f_code.co_filename:
            seen.add(frame.f_code.co_name)

    async with AsyncMemory(tmp_path / "s", llm=None, embedder="hash") as memory:
        await memory.add_many([f"note {n}" for n in range(300)], user_id="u")
        context = await memory.context("note", user_id="u", limit=300, max_tokens=100_000)
        sys.setprofile(note)
        try:
            page = await memory.get_all(user_id="u", limit=300)
            gone = await memory.delete_all(user_id="u")
            back = await memory.undo(gone.operation_id)
            assert seen.isdisjoint({"memory_item", "_deletion", "_restore"}) and "get_all" in seen
            await memory.context("note", user_id="u", limit=300, max_tokens=100_000)
            assert seen.isdisjoint({"weigh", "_line"}) and "context" in seen
        finally:
            sys.setprofile(None)
        assert len(page.results) == len(context.memories) == gone.count == back.count == 300


async def test_many_turns_of_one_call_are_prepared_beside_the_loop(tmp_path: Path) -> None:
    """A profile of the loop's own thread sees none of the work that grows with the turns given."""
    seen: set[str] = set()

    def note(frame: Any, event: str, _: Any) -> None:
        if event == "call" and "memkit" in frame.f_code.co_filename:
            seen.add(frame.f_code.co_name)

    turns = [{"role": "user", "content": f"note {n}"} for n in range(300)]
    for infer in (False, True):
        async with AsyncMemory(tmp_path / str(infer), llm="fake", embedder="hash") as memory:
            await memory.add("the first", user_id="u", infer=False)
            sys.setprofile(note)
            try:
                done = await memory.add(turns, user_id="u", infer=infer)
            finally:
                sys.setprofile(None)
            assert len(done.results) == (0 if infer else 300)
    assert {"write_plan", "learn"} <= seen
    assert seen.isdisjoint({"normalise", "new_message", "_memory", "as_inputs"})


async def test_a_model_is_awaited_and_others_go_on_meanwhile(tmp_path: Path) -> None:
    """Sixteen adds wait for one model at once; searches are answered before it says a word."""
    asked = asyncio.Semaphore(0)
    gate = asyncio.Event()

    class Model:
        name = "gated/model"

        def generate(self, messages: Any, **_: Any) -> Any:
            raise AssertionError("the awaited form is there")

        async def agenerate(self, messages: Any, *, schema: Any = None, tools: Any = None) -> Any:
            from memkit.llms.base import Completion

            asked.release()
            await gate.wait()
            said = str(messages[-1]["content"])
            number = said.rpartition("number is ")[2].partition(".")[0]
            parsed = schema.model_validate(answer(fact(f"My number is {number}.")))
            return Completion(text=parsed.model_dump_json(), parsed=parsed)

    async with AsyncMemory(tmp_path / "s", llm=Model(), embedder="hash") as memory:
        await memory.add("the sea is calm", user_id="x", infer=False)
        adds = [
            asyncio.create_task(memory.add(f"My number is {n}.", user_id=f"u{n}", idempotency_key=f"k{n}"))
            for n in range(16)
        ]
        for _ in adds:
            await asked.acquire()
        assert (await memory.search("sea", user_id="x")).results
        gate.set()
        results = await asyncio.gather(*adds)
        assert [[o.event for o in r.results] for r in results] == [["ADD"]] * 16, results[0]
