"""Changing the embedder: whatever happens meanwhile, nothing is lost, and nothing is embedded twice."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from memkit import Memory
from memkit.errors import BackendUnavailableError, ConflictError, EmbedderMismatchError
from memkit.item_types import PutItem, SearchItems
from tests.engine.faces import AxisEmbedder, Face, World
from tests.faults.victim import ROOT

MANY = 1200


class Watched(AxisEmbedder):
    """Counts what it embeds; before each request it does what it is told."""

    def __init__(self, meanwhile: Callable[[int], None] | None = None) -> None:
        super().__init__()
        self.requests: list[int] = []
        self.meanwhile = meanwhile

    def embed(self, texts: Sequence[str], *, purpose: str = "document") -> Any:
        self.requests.append(len(texts))
        if self.meanwhile is not None:
            self.meanwhile(len(self.requests))
        return super().embed(texts, purpose=purpose)


def filled(world: World, count: int = MANY) -> Face:
    memory = world.open()
    memory.add_many([f"note {n} about {n % 7} things" for n in range(count)], user_id="u")
    return memory


def in_step(memory: Face) -> None:
    """Every live record has the vector of its text, and no other."""
    ledger = memory.raw._engine.ledger
    records = ledger.unembedded(10)
    assert not records, records
    checked = 0
    for rids, matrix in ledger.vectors(None):
        found, _ = ledger.with_vectors(list(rids))
        rows = AxisEmbedder().embed([record.text for record in found])
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        assert np.allclose(np.asarray(matrix), rows, atol=2e-3)
        checked += len(found)
    assert checked == ledger.size(None)


def test_a_rebuild_that_ended_early_goes_on_where_it_was(world: World) -> None:
    memory = filled(world)

    def break_at_third(request: int) -> None:
        if request == 3:
            raise ConnectionError("gone")

    first = Watched(break_at_third)
    with pytest.raises(BackendUnavailableError):
        memory.rebuild(embedder=first)
    assert memory.stats().embedder == "hash/1024/v1" and memory.found("note 17", user_id="u")
    memory.add("one more", user_id="u", infer=False)
    memory.close()
    again, told = world.open(), list[tuple[int, int]]()
    second = Watched()
    again.rebuild(embedder=second, progress=lambda done, total: told.append((done, total)))
    assert sum(first.requests[:2]) + sum(second.requests) == MANY + 1, "nothing twice"
    assert told[0] == (sum(first.requests[:2]), MANY + 1) and told[-1] == (MANY + 1, MANY + 1)
    in_step(again)
    assert again.stats().embedder == "mine/v1" and again.found("note 17", user_id="u")


def test_what_is_written_meanwhile_is_in_the_new_index_too(world: World) -> None:
    memory = filled(world)
    ids = [item.id for item in memory.get_all(user_id="u", limit=MANY).results]

    def meanwhile(request: int) -> None:
        with Memory(world.path, llm=None, embedder="hash") as other:
            if request == 1:
                other.add_many([f"added {n}" for n in range(30)], user_id="v")
            elif request == 2:
                for n, id in enumerate([ids[0], ids[-1], ids[MANY // 2]]):
                    other.update(id, f"changed {n}")
                other.delete(ids[1])
                deleted = other.delete(ids[-2])
                other.undo(deleted.operation_id)
                assert other.search("note 3", user_id="u").results, "the old vectors serve"
            elif request == 3:
                other.forget(memory_id=ids[-3])
                other.forget(user_id="v")
                other.add("said in between", user_id="w", infer=False)

    memory.rebuild(embedder=Watched(meanwhile))
    in_step(memory)
    assert memory.count(user_id="u") == MANY - 2 and memory.texts(user_id="w") == ["said in between"]
    assert memory.get(ids[0]).memory == "changed 0" and memory.get(ids[1]) is None


def test_collected_vectors_are_forgotten_with_their_memory(world: World) -> None:
    memory = filled(world, 600)
    id = memory.add("zzzzzzzz qqqq", user_id="secret", infer=False).results[0].id

    def break_at_third(request: int) -> None:
        if request == 3:
            raise ConnectionError("gone")

    memory.add_many([f"later {n}" for n in range(600)], user_id="z")
    with pytest.raises(BackendUnavailableError):
        memory.rebuild(embedder=Watched(break_at_third))
    row = AxisEmbedder().embed(["zzzzzzzz qqqq"])[0]
    blob = (row / np.linalg.norm(row)).astype(np.float16).tobytes()
    assert any(blob in path.read_bytes() for path in world.path.iterdir())
    memory.forget(memory_id=id)
    assert not any(blob in path.read_bytes() for path in world.path.iterdir())
    memory.forget(allow_global=True)
    memory.reset()
    memory.rebuild(embedder=Watched())
    assert memory.stats().embedder == "mine/v1"


def test_what_was_deleted_before_is_found_by_meaning_when_it_comes_back(world: World) -> None:
    memory = filled(world, 20)
    id = memory.add("quixotic zebra", user_id="u", infer=False).results[0].id
    operation = memory.delete(id).operation_id
    memory.rebuild(embedder=AxisEmbedder())
    memory.undo(operation)
    in_step(memory)
    assert memory.found("orbez citoxiuqa", user_id="u")[0] == "quixotic zebra"


def test_vectors_that_were_lost_are_made_anew_without_another_embedder(world: World) -> None:
    memory = world.open(embedder=AxisEmbedder())
    memory.add_many(["quixotic zebra", "plain bread"], user_id="u")
    memory.close()
    conn = sqlite3.connect(world.path / "memory.db")
    conn.execute("DELETE FROM vec")
    conn.commit()
    conn.close()
    memory = world.open(embedder=AxisEmbedder())
    memory.rebuild()
    in_step(memory)
    assert memory.found("orbez citoxiuqa", user_id="u")[0] == "quixotic zebra"


def test_writers_that_never_rest_do_not_hold_it_up(world: World) -> None:
    memory = filled(world, 30)

    def meanwhile(request: int) -> None:
        try:
            with Memory(world.path, llm=None, embedder="hash") as other:
                other.add(f"again {request}", user_id="u", infer=False)
        except EmbedderMismatchError:
            return

    embedder = Watched(meanwhile)
    memory.rebuild(embedder=embedder)
    assert len(embedder.requests) < 20
    in_step(memory)


def test_one_rebuild_at_a_time(world: World) -> None:
    memory = filled(world, 30)
    raised: list[Exception] = []

    def meanwhile(_: int) -> None:
        with Memory(world.path, llm=None, embedder="hash") as other:
            try:
                other.rebuild(embedder=AxisEmbedder("third/v1", 8))
            except ConflictError as error:
                raised.append(error)

    memory.rebuild(embedder=Watched(meanwhile))
    assert len(raised) == 1 and "Another process" in str(raised[0])
    assert memory.stats().embedder == "mine/v1"


def test_others_that_have_the_store_open_are_told_or_follow(world: World) -> None:
    memory = filled(world, 30)
    given, chosen = world.open(embedder="hash"), world.open(embedder="auto")
    assert given.found("note 3", user_id="u") and chosen.found("note 3", user_id="u")
    memory.rebuild(embedder="hash")
    assert given.found("note 3", user_id="u"), "the same one: nothing changes for others"
    memory.rebuild(embedder=AxisEmbedder())
    for call in (
        lambda: given.search("note 3", user_id="u"),
        lambda: given.add("x", user_id="u", infer=False),
    ):
        with pytest.raises(EmbedderMismatchError, match="rebuild"):
            call()
    assert given.count(user_id="u") == 30
    memory.rebuild(embedder="hash")
    assert given.found("note 3", user_id="u") and chosen.found("note 3", user_id="u")


def test_searches_go_on_while_it_lasts(world: World) -> None:
    memory, other = filled(world), world.open()
    stop, begun, found, failed = threading.Event(), threading.Event(), list[int](), list[BaseException]()

    def ask() -> None:
        while not stop.is_set():
            try:
                found.append(len(other.raw.search("note 17", user_id="u", limit=5).results))
                begun.set()
            except EmbedderMismatchError:
                return
            except BaseException as error:
                failed.append(error)

    if world.mode == "async":
        pytest.skip("a thread cannot share the loop")
    thread = threading.Thread(target=ask)
    thread.start()
    begun.wait(30)
    memory.rebuild(embedder=Watched())
    stop.set()
    thread.join(30)
    if failed:
        raise failed[0]
    assert set(found) == {5}


CHILD = """
import os, signal, sys
from memkit import Memory
from memkit.item_types import PutItem, SearchItems
from tests.engine.test_rebuilding import Watched
step, nth = sys.argv[2], int(sys.argv[3])
memory = Memory(sys.argv[1], llm=None, embedder="hash")
seen = 0
def on_step(name):
    global seen
    seen += name == step
    if name == step and seen == nth:
        os.kill(os.getpid(), signal.SIGKILL)
memory.count(user_id="u")
ledger = memory._engine.ledger
ledger._step = ledger._committer._on_step = on_step
memory.rebuild(embedder=Watched(lambda n: print(n, flush=True)))
"""


@pytest.mark.engine
@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize(
    ("step", "nth"), [("commit", 3), ("committed", 4), ("committed", 6), ("switched", 1), ("committed", 9)]
)
def test_a_kill_at_any_step_loses_nothing_and_nothing_is_embedded_twice(
    tmp_path: Path, step: str, nth: int
) -> None:
    world = World(tmp_path, "sync")
    filled(world).close()
    died = subprocess.run(
        [sys.executable, "-c", CHILD, str(world.path), step, str(nth)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert died.returncode in (0, -signal.SIGKILL), died.stderr
    asked = len(died.stdout.split())
    with Memory(world.path, llm=None) as memory:
        assert memory.count(user_id="u") == MANY
        if memory.stats().embedder != "mine/v1":
            assert memory.search("note 17", user_id="u").results
            embedder = Watched()
            memory.rebuild(embedder=embedder)
            assert len(embedder.requests) + asked <= 4, (
                "at most the slice that was not kept is embedded again"
            )
        assert memory.stats().embedder == "mine/v1"
    again = world.open(embedder=AxisEmbedder())
    in_step(again)
    assert again.health().ok
    world.close()


DIES_AT_ITEMS = """
import os, signal, sys
from memkit import Memory
from tests.engine.test_rebuilding import Watched
memory = Memory(sys.argv[1], llm=None, embedder="hash")
memory.rebuild(embedder=Watched(lambda n: n == 2 and os.kill(os.getpid(), signal.SIGKILL)))
"""


@pytest.mark.engine
@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("heal", ["repair", "rebuild"])
def test_items_that_a_killed_rebuild_did_not_reach_are_found_again(tmp_path: Path, heal: str) -> None:
    world = World(tmp_path, "sync")
    memory = filled(world, 5)
    texts = [f"note {n} about {n} things" for n in range(4)]
    notes = [PutItem(namespace=["n"], key=str(n), value=text, texts=[text]) for n, text in enumerate(texts)]
    memory.items(notes)
    memory.close()
    died = subprocess.run(
        [sys.executable, "-c", DIES_AT_ITEMS, str(world.path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert died.returncode == -signal.SIGKILL, died.stderr
    again = world.open(embedder=AxisEmbedder())
    asked = SearchItems(prefix=["n"], query=texts[2], limit=1)
    getattr(again, heal)()
    [found] = again.items([asked])
    assert found[0].key == "2"
    assert found[0].score is not None
    in_step(again)
    world.close()
