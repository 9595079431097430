"""kill -9, several processes, forks, exits, bad files: nothing acknowledged is lost and nothing is left half-done."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from memkit import Memory
from memkit.errors import BackendUnavailableError, CorruptLedgerError
from tests.engine.faces import Face, World, down
from tests.faults.victim import Killer, index, script

ROOT = Path(__file__).resolve().parents[2]
posix = pytest.mark.skipif(sys.platform == "win32", reason="signals and forks of POSIX")


def run(
    module_or_code: str, *args: str, check: bool = True, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        *(("-m", module_or_code) if module_or_code.startswith("tests.") else ("-c", module_or_code)),
        *args,
    ]
    environment = {**os.environ, **(env or {})}
    return subprocess.run(
        command, cwd=ROOT, check=check, capture_output=True, text=True, timeout=90, env=environment
    )


def sound(memory: Memory | Face) -> None:
    """Each live record has its events, and the ledger's own check passes."""
    for item in memory.get_all(allow_global=True, include_closed=True, limit=10_000).results:
        events = memory.history(item.id)
        assert events[0].event == "ADD" and events[-1].after.memory == item.memory
        assert len(events) == item.version
        kept = {m.id for m in memory.messages(user_id=item.user_id)}
        assert all(source.message_id in kept for source in item.sources)
    assert memory.health().problems == {}


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


# ------------------------------------------------------------------------------------- bad files


@posix
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_an_error_of_ours(world: World, tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    with pytest.raises(BackendUnavailableError):
        world.open(locked / "s").add("x", user_id="u", infer=False)


def test_a_place_that_is_no_folder_is_an_error_of_ours(world: World, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(BackendUnavailableError) as error:
        world.open(tmp_path / "file" / "deep").add("x", user_id="u", infer=False)
    assert not error.value.retryable or error.value.retryable


@pytest.mark.parametrize(
    "content",
    [b"this is no database, but it is long enough to be one" * 100, b"SQLite format 3\x00" + b"\xff" * 5000],
)
def test_a_file_that_is_no_ledger_is_an_error_of_ours(world: World, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "memory.db").write_bytes(content)
    memory = world.open(tmp_path / "memory.db")
    for call in (
        lambda: memory.add("x", user_id="u", infer=False),
        lambda: memory.get_all(user_id="u"),
        lambda: memory.search("x", user_id="u"),
    ):
        with pytest.raises(CorruptLedgerError, match=r"memory\.db"):
            call()
    health = memory.health()
    assert not health.ok and "ledger" in health.problems
    assert (tmp_path / "memory.db").read_bytes() == content


def test_a_ledger_damaged_in_the_middle_is_told_by_health(world: World, memory: Face) -> None:
    memory.add_many([f"note {n} " + "lorem ipsum " * 30 for n in range(300)], user_id="u")
    memory.close()
    file = world.path / "memory.db"
    data = bytearray(file.read_bytes())
    for page in range(4, len(data) // 4096 - 1):
        data[page * 4096 : page * 4096 + 64] = b"\xff" * 64
    file.write_bytes(bytes(data))
    again = world.open()
    health = again.health()
    assert not health.ok and "ledger" in health.problems
    with pytest.raises(CorruptLedgerError):
        for _ in range(3):
            again.get_all(user_id="u", limit=300)
            again.search("note", user_id="u")
            again.history("x")


def test_a_ledger_that_is_read_only_can_be_read(world: World, memory: Face) -> None:
    id = memory.add("I live in Oslo.", user_id="u", infer=False).results[0].id
    memory.close()
    code = """
import os, sys
os.setuid(65534) if os.geteuid() == 0 else None
from memkit import Memory
from memkit.errors import BackendUnavailableError
memory = Memory(sys.argv[1], llm=None, embedder="hash")
assert memory.get(sys.argv[2]).memory == "I live in Oslo."
assert [i.memory for i in memory.search("Oslo", user_id="u").results] == ["I live in Oslo."]
assert memory.count(user_id="u") == 1 and len(memory.history(sys.argv[2])) == 1
try:
    memory.add("x", user_id="u", infer=False)
except BackendUnavailableError as error:
    assert "read" in str(error).lower() or "write" in str(error).lower(), error
else:
    raise AssertionError("written")
try:
    memory.update(sys.argv[2], "x")
except BackendUnavailableError:
    pass
else:
    raise AssertionError("written")
memory.close()
"""
    if sys.platform == "win32" or not _visible_to_nobody(world.path):
        pytest.skip("needs a folder that another user may read")
    for file in world.path.iterdir():
        file.chmod(0o444)
    world.path.chmod(0o555)
    try:
        run(code, str(world.path), id)
    except subprocess.CalledProcessError as error:
        pytest.fail(error.stderr)
    finally:
        world.path.chmod(0o755)


def _visible_to_nobody(path: Path) -> bool:
    try:
        for parent in [path, *path.parents][:-1]:
            if parent.stat().st_mode & 0o005 != 0o005:
                parent.chmod(parent.stat().st_mode | 0o055)
    except OSError:
        return False
    code = f"import os; os.setuid(65534) if os.geteuid() == 0 else None; os.listdir({str(path)!r}); import memkit, numpy"
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True).returncode == 0


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX limits")
def test_a_full_disk_is_an_error_of_ours_and_nothing_is_lost(tmp_path: Path) -> None:
    code = """
import resource, signal, sys
from memkit import Memory
from memkit.errors import BackendUnavailableError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
memory = Memory(sys.argv[1], llm=None, embedder="hash")
memory.add("I live in Oslo.", user_id="u", infer=False)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
acknowledged = 1
try:
    for n in range(400):
        memory.add_many([f"note {n} {k} " + "lorem ipsum " * 100 for k in range(10)], user_id="u")
        acknowledged += 10
except BackendUnavailableError as error:
    print(acknowledged, error.retryable, flush=True)
else:
    raise AssertionError("it should have been full")
assert memory.count(user_id="u") == acknowledged
assert memory.search("Oslo", user_id="u").results
import os
os._exit(0)
"""
    done = run(code, str(tmp_path / "s"), check=False)
    assert done.returncode == 0, done.stderr
    with Memory(tmp_path / "s", llm=None, embedder="hash") as memory:
        assert memory.count(user_id="u") == int(done.stdout.split()[0])
        memory.add("room again", user_id="u", infer=False)
        sound(memory)


def test_a_ledger_locked_by_another_program_is_an_error_of_ours(tmp_path: Path) -> None:
    from memkit.ledger.sqlite import SqliteLedger
    from memkit.ranking.text import TOKENIZER_VERSION, tokens

    file = tmp_path / "memory.db"
    ledger = SqliteLedger(file, tokenize=tokens, tokenizer_version=TOKENIZER_VERSION, busy_timeout_s=0.3)
    with Memory(tmp_path, ledger=ledger, llm=None, embedder="hash") as memory:
        memory.add("one", user_id="u", infer=False)
        other = sqlite3.connect(file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(BackendUnavailableError) as error:
            memory.add("two", user_id="u", infer=False)
        assert error.value.retryable and error.value.operation_id
        assert [i.memory for i in memory.search("one", user_id="u").results] == ["one"], "reads go on"
        other.execute("ROLLBACK")
        other.close()
        memory.add("two", user_id="u", infer=False)
        assert memory.count(user_id="u") == 2


def test_a_model_that_is_down_leaves_the_ledger_sound(world: World) -> None:
    from memkit.llms.fake import FakeLLM

    memory = world.open(llm=FakeLLM(lambda _: down("model")))
    results = memory.together(
        [("add", {"messages": f"I live in town {n}.", "user_id": "u"}) for n in range(8)]
    )
    assert {type(r).__name__ for r in results} == {"BackendUnavailableError"}
    assert len(memory.messages(user_id="u")) == 8 and memory.stats().unfinished == 8
    sound(memory)
