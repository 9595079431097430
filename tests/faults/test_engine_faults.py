"""kill -9, several processes, forks, exits, many at once: nothing acknowledged is lost, nothing is left half-done."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from memkit import Memory
from tests.engine.faces import Face, World
from tests.faults.victim import ROOT, Killer, index, run, script, sound

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals and forks of POSIX")


# ------------------------------------------------------------------------------------- kill -9

VERBATIM = [("begin", 1), ("messages", 1), ("records", 1), ("commit", 1), ("committed", 1)]
EXTRACT = [
    *((step, nth) for nth in (1, 2) for step in ("begin", "messages", "commit", "committed")),
    ("model", 1),
]
INDEX = [
    ("begin", 1),
    ("committed", 1),
    ("before upsert", 1),
    ("after upsert", 1),
    ("committed", 2),
    ("committed", 3),
    ("begin", 4),
]
KILLS = [
    *(("verbatim", *k) for k in VERBATIM),
    *(("extract", *k) for k in EXTRACT),
    *(("index", *k) for k in INDEX),
]
QUICK = {
    ("verbatim", "commit", 1),
    ("extract", "model", 1),
    ("extract", "commit", 2),
    ("index", "after upsert", 1),
}
CASES = [pytest.param(*kill, marks=() if kill in QUICK else pytest.mark.engine) for kill in KILLS]


@posix
@pytest.mark.parametrize(("how", "step", "nth"), CASES)
def test_a_kill_at_any_step_loses_nothing_acknowledged_and_leaves_nothing_half_done(
    tmp_path: Path, how: str, step: str, nth: int
) -> None:
    path = tmp_path / "s"
    order = json.dumps({"path": str(path), "how": how, "step": step, "nth": nth})
    died = run("tests.faults.victim", order, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr
    acknowledged = [int(line) for line in died.stdout.split()]
    assert acknowledged == [0, 1, 2]
    store: Any = "auto"
    if how == "index":
        store = index(path)
        store.killer = Killer("", 0)
    with Memory(
        path, vector_store=store, embedder="hash", llm=script() if how == "extract" else None
    ) as memory:
        told = [m.content for m in memory.messages(user_id="u")]
        whole = len(told) // 2
        assert len(told) % 2 == 0 and whole in (3, 4), "a batch is there whole or not at all"
        memory.repair()
        memory.flush(timeout=30)
        facts = {item.memory for item in memory.get_all(user_id="u").results}
        if how == "extract":
            assert facts == {f"The user's number is {n}." for n in range(whole)}
        else:
            assert facts == {text for n in range(whole) for text in (f"My number is {n}.", f"I see, {n}.")}
        assert memory.stats().unfinished == 0 and memory.stats().pending == {}
        for n in range(whole):
            assert any(
                f" {n}." in text
                for text in [i.memory for i in memory.search(f"number {n}", user_id="u").results]
            )
        if how == "index":
            ids = {item.id for item in memory.get_all(user_id="u").results}
            assert {point.id for point in store.list(limit=100).records} == ids, "index = ledger after repair"
        sound(memory)
        again = memory.add(
            [
                {"role": "user", "content": f"My number is {whole - 1}."},
                {"role": "assistant", "content": f"I see, {whole - 1}."},
            ],
            user_id="u",
        )
        assert {o.event for o in again.results} == {"NONE"}, "the same call again makes nothing twice"


# ------------------------------------------------------------------------------------- processes

WRITER = """
import sys
from memkit import Memory
path, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
with Memory(path, llm=None, embedder="hash") as memory:
    for n in range(count):
        result = memory.add(f"{name} wrote note {n}", user_id="u", infer=False)
        found = [i.memory for i in memory.search(f"{name} wrote note {n}", user_id="u", limit=50).results]
        assert f"{name} wrote note {n}" in found, (n, found)
        print(result.results[0].id, flush=True)
"""


def test_two_processes_on_one_path_lose_nothing_and_see_each_other(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with Memory(path, llm=None, embedder="hash") as memory:
        memory.add("the parent is here", user_id="u", infer=False)
        assert memory.search("note", user_id="u").results is not None
        writers = [
            subprocess.Popen([sys.executable, "-c", WRITER, str(path), name, "12"], cwd=ROOT, stdout=subprocess.PIPE, text=True)
            for name in ("ann", "ben")
        ]  # fmt: skip
        ids: list[str] = []
        for writer in writers:
            assert writer.stdout is not None
            for line in writer.stdout:
                ids.append(line.strip())
                assert memory.get(ids[-1]) is not None
                assert ids[-1] in {
                    i.id for i in memory.search("wrote note", user_id="u", limit=50).results
                }, "seen at once"
            writer.stdout.close()
            assert writer.wait(60) == 0
        assert memory.count(user_id="u") == 25 and len(set(ids)) == 24
        sound(memory)


DRAINER = """
import sys
from pathlib import Path
from memkit import Memory
from tests.faults.victim import Killer, index
path = Path(sys.argv[1])
store = index(path)
store.killer = Killer("", 0)
with Memory(path, llm=None, embedder="hash", vector_store=store) as memory:
    for n in range(6):
        memory.add_many([f"{sys.argv[2]} {n} {k}" for k in range(3)], user_id="u")
"""


def test_one_process_at_a_time_drains_the_outbox(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.mkdir()
    drainers = [
        subprocess.Popen([sys.executable, "-c", DRAINER, str(path), name], cwd=ROOT)
        for name in ("ann", "ben")
    ]
    assert [drainer.wait(90) for drainer in drainers] == [0, 0]
    store = index(path)
    store.killer = Killer("", 0)
    with Memory(path, llm=None, embedder="hash", vector_store=store) as memory:
        assert memory.repair().pending == []
        ids = {i.id for i in memory.get_all(user_id="u", limit=100).results}
        assert len(ids) == 36 and {p.id for p in store.list(limit=100).records} == ids


EXIT = """
import sys, time
from memkit import Memory
from tests.faults.victim import script
memory = Memory(sys.argv[1], llm=script(), embedder="hash")
for n in range(3):
    memory.add(f"My number is {n}.", user_id="u", background=True)
"""
EXIT_ASYNC = """
import asyncio, sys
from memkit import AsyncMemory
from tests.faults.victim import script
memory = AsyncMemory(sys.argv[1], llm=script(), embedder="hash")
async def main():
    for n in range(3):
        await memory.add(f"My number is {n}.", user_id="u", background=True)
asyncio.run(main())
"""


@pytest.mark.parametrize("code", [EXIT, EXIT_ASYNC], ids=["sync", "async"])
def test_an_open_memory_finishes_background_work_at_interpreter_exit(tmp_path: Path, code: str) -> None:
    done = run(code, str(tmp_path / "s"))
    assert done.stderr == "", done.stderr
    with Memory(tmp_path / "s", llm=None, embedder="hash") as memory:
        assert memory.count(user_id="u") == 3 and memory.stats().unfinished == 0


@posix
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_reopens_by_itself(tmp_path: Path) -> None:
    with Memory(tmp_path / "s", llm=None, embedder="hash") as memory:
        memory.add("parent", user_id="u", infer=False)
        memory.search("parent", user_id="u")
        child = os.fork()
        if child == 0:
            code = 1
            try:
                memory.add("child", user_id="u", infer=False)
                found = {i.memory for i in memory.search("child parent", user_id="u").results}
                code = 0 if {"child", "parent"} <= found else 2
            finally:
                os._exit(code)
        memory.add("parent again", user_id="u", infer=False)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert sorted(i.memory for i in memory.get_all(user_id="u").results) == [
            "child",
            "parent",
            "parent again",
        ]
        assert "child" in [i.memory for i in memory.search("child", user_id="u").results]
        sound(memory)


# ------------------------------------------------------------------------------------- threads and tasks


def test_many_at_once_lose_nothing(world: World) -> None:
    memory = world.open()
    width = 16 if world.mode == "sync" else 64
    calls = [
        ("add", {"messages": [f"note {n} of {k}" for k in range(2)], "user_id": f"u{n % 4}", "infer": False})
        for n in range(width)
    ]
    results = memory.together(calls)
    assert [type(r).__name__ for r in results] == ["AddResult"] * width, [
        r for r in results if isinstance(r, Exception)
    ][:3]
    assert memory.count(allow_global=True) == 2 * width
    mixed = [
        call
        for n in range(width // 4)
        for call in (
            ("search", {"query": f"note {n}", "user_id": f"u{n % 4}"}),
            ("update", {"memory_id": results[n].results[0].id, "text": f"changed {n}"}),
            ("delete", {"memory_id": results[n].results[1].id}),
            ("add", {"messages": [{"role": "user", "content": "the same turn"}], "user_id": "u0"}),
        )
    ]
    answers = memory.together(mixed)
    assert not [a for a in answers if isinstance(a, Exception)], [
        a for a in answers if isinstance(a, Exception)
    ][:3]
    assert memory.count(allow_global=True) == 2 * width - width // 4 + 1
    assert len(memory.messages(user_id="u0")) == width // 4
    sound(memory)


def test_updates_of_one_memory_at_once_are_all_in_its_history(memory: Face) -> None:
    id = memory.add("v0", user_id="u", infer=False).results[0].id
    results = memory.together([("update", {"memory_id": id, "metadata": {f"k{n}": n}}) for n in range(4)])
    done = [r for r in results if not isinstance(r, Exception)]
    assert len(done) == 4, results
    assert memory.get(id).metadata == {f"k{n}": n for n in range(4)}, "merged, none lost"
    assert [e.event for e in memory.history(id)] == ["ADD"] + ["UPDATE"] * 4


def test_one_memory_is_deleted_once(memory: Face) -> None:
    id = memory.add("x", user_id="u", infer=False).results[0].id
    results = memory.together([("delete", {"memory_id": id})] * 8)
    assert sum(not isinstance(r, Exception) for r in results) == 1
    assert {type(r).__name__ for r in results if isinstance(r, Exception)} == {"MemoryNotFoundError"}


def test_one_object_serves_threads_each_with_its_own_loop(tmp_path: Path) -> None:
    import asyncio

    from memkit import AsyncMemory

    memory = AsyncMemory(tmp_path / "s", llm=None, embedder="hash")
    errors: list[BaseException] = []

    def work(n: int) -> None:
        async def go() -> None:
            await asyncio.gather(*(memory.add(f"note {n} {k}", user_id="u", infer=False) for k in range(4)))
            assert (await memory.search(f"note {n}", user_id="u")).results

        try:
            asyncio.run(go())
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    assert asyncio.run(memory.count(user_id="u")) == 24
    asyncio.run(memory.close())


async def test_the_loop_is_never_blocked_by_a_slow_embedder(tmp_path: Path) -> None:
    import asyncio

    from memkit import AsyncMemory
    from tests.engine.faces import AxisEmbedder

    class Slow(AxisEmbedder):
        def embed(self, texts: Any, *, purpose: str = "document") -> Any:
            time.sleep(0.4)
            return super().embed(texts, purpose=purpose)

    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    async with AsyncMemory(tmp_path / "s", llm=None, embedder=Slow()) as memory:
        await memory.add("warm up", user_id="u", infer=False)
        ticker = asyncio.create_task(tick())
        await memory.add("x", user_id="u", infer=False)
        ticker.cancel()
    assert ticks >= 5
