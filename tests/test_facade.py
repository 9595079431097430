"""One memory, two faces, many handles: they share everything, and only the memory itself can be closed."""

from __future__ import annotations

import asyncio
import copy
import pickle
import threading
from pathlib import Path
from typing import Any

import pytest

from memkit import AsyncMemory, Memory
from memkit.errors import ConfigurationError, ScopeError
from memkit.llms.fake import FakeLLM


async def test_both_faces_see_what_the_other_wrote() -> None:
    with Memory(":memory:") as memory:
        twin = memory.to_async()
        assert isinstance(twin, AsyncMemory)
        memory.add("I drink tea.", user_id="ada")
        assert [item.memory for item in (await twin.search("tea", user_id="ada")).results] == ["I drink tea."]
        added = await twin.add("I drink cocoa.", user_id="ada")
        assert memory.search("cocoa", user_id="ada", limit=1).results[0].id == added.results[0].id


async def test_an_async_memory_has_a_sync_face() -> None:
    async with AsyncMemory(":memory:") as memory:
        await memory.add("I drink tea.", user_id="ada")
        assert memory.to_sync().count(user_id="ada") == 1
        assert await memory.to_sync().to_async().count(user_id="ada") == 1


async def test_the_face_that_is_asked_for_already_is_the_memory_itself() -> None:
    with Memory(":memory:") as memory:
        assert memory.to_sync() is memory
    async with AsyncMemory(":memory:") as other:
        assert other.to_async() is other


async def test_a_bound_scope_goes_along_to_the_other_face() -> None:
    with Memory(":memory:") as memory:
        memory.add("I drink tea.", user_id="ada")
        ada = memory.bind(user_id="ada").to_async()
        assert ada.scope is not None and ada.scope.user_id == "ada"
        assert memory.scope is None
        assert await ada.count() == 1
        with pytest.raises(ScopeError):
            await ada.count(user_id="bob")
        with pytest.raises(ScopeError):
            await ada.stats()


async def test_closing_the_other_face_leaves_the_memory_open() -> None:
    with Memory(":memory:") as memory:
        async with memory.to_async() as twin:
            await twin.add("I drink tea.", user_id="ada")
        assert memory.count(user_id="ada") == 1
        memory.to_async().to_sync().close()
        memory.bind(user_id="ada").close()
        assert memory.count(user_id="ada") == 1


async def test_background_work_of_one_face_is_awaited_by_the_other(tmp_path: Path) -> None:
    fact = {"text": "Drinks tea.", "kind": "fact", "action": "add", "message": 1, "quote": "I drink tea"}
    with Memory(tmp_path, llm=FakeLLM([{"memories": [fact]}])) as memory:
        await memory.to_async().add(
            {"role": "user", "content": "I drink tea."}, user_id="ada", background=True
        )
        await asyncio.to_thread(memory.flush, 30)
        assert [item.memory for item in memory.get_all(user_id="ada").results] == ["Drinks tea."]


def test_threads_that_come_at_once_share_one_engine() -> None:
    with Memory(":memory:") as memory:
        gate, engines = threading.Barrier(8), []

        def work() -> None:
            gate.wait()
            engines.append(memory._engine)

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len({id(engine) for engine in engines}) == 1


def test_a_copy_is_the_memory_itself() -> None:
    with Memory(":memory:") as memory:
        assert copy.copy(memory) is memory
        assert copy.deepcopy({"memory": [memory]})["memory"][0] is memory


def test_a_handle_of_a_subclass_has_what_its_constructor_set() -> None:
    class Counting(Memory):
        def __init__(self, path: str) -> None:
            super().__init__(path)
            self.asked: list[str] = []

        def count(self, *args: Any, **scope: Any) -> int:
            self.asked.append("count")
            return super().count(*args, **scope)

    with Counting(":memory:") as memory:
        bound = memory.bind(user_id="ada")
        assert bound.count() == 0
        bound.close()
        assert memory.count(user_id="ada") == 0
        assert memory.asked == ["count", "count"]


def test_a_pickled_memory_opens_the_same_store_with_the_same_scope(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with Memory("here") as memory:
        memory.add("I drink tea.", user_id="ada")
        data = pickle.dumps([memory, memory.bind(user_id="ada"), memory.to_async()])
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    plain, bound, awaited = pickle.loads(data)
    with plain:
        assert plain.count(user_id="ada") == 1
        assert bound.count() == 1
        assert isinstance(awaited, AsyncMemory)
        assert awaited.to_sync().count(user_id="ada") == 1
    bound._root.close()
    awaited._root._close()


def test_a_memory_that_keeps_nothing_cannot_be_pickled() -> None:
    with Memory(":memory:") as memory, pytest.raises(ConfigurationError, match="path"):
        pickle.dumps(memory)


def test_what_was_chosen_is_known_without_building_anything(tmp_path: Path) -> None:
    with Memory(tmp_path / "store") as memory:
        assert memory.chosen == {}
        assert not (tmp_path / "store").exists()
        memory.add("I drink tea.", user_id="ada")
        assert memory.chosen["embedder"].startswith("hash/")
