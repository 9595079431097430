"""Embedders and indexes that fail, lie or hang: an error of ours or a warning, and the ledger is what it was."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from memkit.errors import BackendError, BackendResponseError, BackendUnavailableError, MemkitError
from memkit.vector_stores.sqlite import SqliteStore
from tests.engine.faces import AxisEmbedder, Face, World
from tests.faults.audit import broken_laws


class Moody(AxisEmbedder):
    """Answers what it is told to, once it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.answer: Callable[[Any], Any] | None = None

    def embed(self, texts: Sequence[str], *, purpose: str = "document") -> Any:
        rows = super().embed(texts, purpose=purpose)
        return rows if self.answer is None else self.answer(rows)


def _raise(error: Exception) -> Callable[[Any], Any]:
    def answer(rows: Any) -> Any:
        raise error

    return answer


def _with(value: float) -> Callable[[Any], Any]:
    def answer(rows: Any) -> Any:
        rows[-1, 0] = value
        return rows

    return answer


LIES: dict[str, tuple[Callable[[Any], Any], type[MemkitError]]] = {
    "NaN": (_with(float("nan")), BackendResponseError),
    "infinity": (_with(float("inf")), BackendResponseError),
    "too few columns": (lambda rows: rows[:, :-1], BackendResponseError),
    "too few rows": (lambda rows: rows[:-1], BackendResponseError),
    "too many rows": (lambda rows: np.vstack([rows, rows]), BackendResponseError),
    "one flat row": (lambda rows: rows.ravel(), BackendResponseError),
    "nothing": (lambda rows: None, BackendError),
    "words": (lambda rows: [["a"] * 16] * len(rows), BackendError),
    "an error of its own": (_raise(RuntimeError("out of tune")), BackendError),
    "a lost connection": (_raise(ConnectionResetError("gone")), BackendUnavailableError),
    "a timeout": (_raise(TimeoutError("slow")), BackendUnavailableError),
}


@pytest.mark.parametrize("lie", LIES)
def test_an_embedder_that_fails_or_lies_changes_nothing_and_is_named(world: World, lie: str) -> None:
    embedder = Moody()
    memory = world.open(embedder=embedder)
    made = memory.add_many(["one text", "another text"], user_id="u").results
    answer, error = LIES[lie]
    calls: dict[str, Callable[[], Any]] = {
        "add": lambda: memory.add("a new text", user_id="u", infer=False),
        "add_many": lambda: memory.add_many(["a", "b", "c"], user_id="u"),
        "update": lambda: memory.update(made[0].id, "a third text"),
    }
    before = memory.stats().memories
    for name, call in calls.items():
        embedder.answer = answer
        with pytest.raises(error) as caught:
            call()
        assert "mine/v1" in str(caught.value), name
        embedder.answer = None
        assert memory.stats().memories == before and memory.texts(user_id="u") == ["another text", "one text"]
        assert len(memory.history(made[0].id)) == 1
    for call in calls.values():
        call()
    assert memory.stats().unfinished == 0
    memory.close()
    assert broken_laws(world.path / "memory.db") == []


def test_a_turn_whose_embedder_fails_is_kept_and_remembered_later(world: World) -> None:
    embedder = Moody()
    memory = world.open(embedder=embedder)
    memory.add("first", user_id="u", infer=False)
    embedder.answer = _raise(ConnectionResetError("gone"))
    with pytest.raises(BackendUnavailableError) as caught:
        memory.add([{"role": "user", "content": "do not lose me"}], user_id="u")
    assert caught.value.operation_id
    assert [m.content for m in memory.messages(user_id="u")] == ["do not lose me"]
    embedder.answer = None
    memory.repair()
    assert memory.texts(user_id="u")[0] == "do not lose me" and memory.stats().unfinished == 0
    assert len(memory.messages(user_id="u")) == 1


class Failing(SqliteStore):
    """An index in a file that fails at chosen calls."""

    name = "failing"
    fails: set[str]

    def _may(self, what: str) -> None:
        if what in self.fails:
            raise BackendUnavailableError("The index is down.", backend=self.name)

    def open(self, *, dim: int, embedder: str) -> None:
        self._may("open")
        super().open(dim=dim, embedder=embedder)

    def upsert(self, records: Any) -> None:
        self._may("upsert")
        super().upsert(records)

    def search(self, *args: Any, **kwargs: Any) -> Any:
        self._may("search")
        return super().search(*args, **kwargs)

    def delete(self, ids: Any) -> None:
        self._may("delete")
        super().delete(ids)


@pytest.mark.parametrize("what", ["open", "upsert", "search", "delete"])
def test_an_index_that_fails_at_any_call_loses_nothing_and_is_brought_after(
    world: World, tmp_path: Path, what: str
) -> None:
    store = Failing(Failing.Settings(path=str(tmp_path / "index.db")))
    store.fails = {what}
    memory: Face = world.open(vector_store=store)
    made = memory.add_many([f"text {n}" for n in range(5)], user_id="u")
    gone = memory.delete(made.results[0].id)
    memory.update(made.results[1].id, "another text")
    behind = {*made.pending, *gone.pending}
    assert behind == (set() if what == "search" else {"failing"}), "the result says which index lags"
    for text in ("another text", "text 2"):
        assert text in memory.found(text, user_id="u")
    store.fails = set()
    assert memory.repair().pending == []
    ids = {item.id for item in memory.get_all(user_id="u").results}
    assert {point.id for point in store.list(limit=100).records} == ids and len(ids) == 4
    assert memory.search("text 2", user_id="u").warnings == []
