"""The key-value store: values under namespaces, kept whole, found by key and by meaning, outside of users."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from memkit import AsyncMemory, DeleteItem, GetItem, ListNamespaces, Memory, PutItem, SearchItems
from memkit.errors import (
    BackendUnavailableError,
    ConfigurationError,
    EmbedderMismatchError,
    InvalidInputError,
    ScopeError,
)
from tests.engine.faces import AxisEmbedder, CountingEmbedder, Face, World, down

NS = ("memories", "ann@example.com")


def put(key: str, value: object, *texts: str, ns: tuple[str, ...] = NS, ttl: float | None = None) -> PutItem:
    return PutItem(namespace=ns, key=key, value=value, texts=texts, ttl=ttl)


def get(memory: Face, key: str, ns: tuple[str, ...] = NS) -> Any:
    return memory.items([GetItem(namespace=ns, key=key)])[0]


def found(memory: Face, query: str | None = None, **how: Any) -> list[str]:
    return [item.key for item in memory.items([SearchItems(query=query, **how)])[0]]


def test_a_store_that_was_never_written_answers_and_makes_no_file(world: World) -> None:
    memory = world.open()
    operations = [
        GetItem(namespace=NS, key="k"),
        SearchItems(query="tea"),
        ListNamespaces(),
        DeleteItem(namespace=NS, key="k"),
    ]
    assert memory.items(operations) == [None, [], [], False]
    assert not world.path.exists()


def test_results_come_in_the_order_of_the_operations(memory: Face) -> None:
    memory.items([put("old", 1, "green tea")])
    results = memory.items(
        [
            ListNamespaces(),
            put("new", 2, ns=("other",)),
            GetItem(namespace=NS, key="old"),
            SearchItems(prefix=("memories",), query="tea"),
            DeleteItem(namespace=NS, key="nothing"),
            GetItem(namespace=NS, key="nothing"),
        ]
    )
    assert results[0] == [NS] and results[4:] == [False, None]
    assert (results[1].key, results[1].version, results[1].value) == ("new", 1, 2)
    assert results[2].value == 1 and [item.key for item in results[3]] == ["old"]


def test_reads_see_the_store_as_it_was_before_the_batch(memory: Face) -> None:
    memory.items([put("k", "before", "tea")])
    results = memory.items(
        [
            put("k", "after", "tea"),
            GetItem(namespace=NS, key="k"),
            SearchItems(query="tea"),
            put("fresh", 1, ns=("fresh",)),
            ListNamespaces(),
            put("k", "last", "tea"),
        ]
    )
    assert results[1].value == "before" and results[2][0].value == "before" and results[4] == [NS]
    assert get(memory, "k").value == "last" and get(memory, "k").version == 3


def test_a_batch_is_written_as_a_whole_or_not_at_all(world: World) -> None:
    embedder = CountingEmbedder()
    memory = world.open(embedder=embedder)
    memory.items([put("kept", 1)])
    embedder.error = down("embedder")
    with pytest.raises(BackendUnavailableError):
        memory.items([put("kept", 2), DeleteItem(namespace=NS, key="kept"), put("new", 3, "tea")])
    assert get(memory, "kept").value == 1 and get(memory, "new") is None


@pytest.mark.parametrize(
    "value",
    [
        {"z": 1, "a": {"y": [1, 2.5, None, True, "\u65e5\u672c \U0001f4a1"], "b": {}}},
        [],
        "text\nwith lines\0and more",
        None,
        -0.0,
        2**200,
        {"": "", "lone \ud800": "\udfff"},
    ],
)
def test_a_value_comes_back_as_it_was(memory: Face, value: object) -> None:
    memory.items([put("k", value)])
    assert json.dumps(get(memory, "k").value) == json.dumps(value)


def test_nobody_else_holds_on_to_a_value(memory: Face) -> None:
    value = {"list": [1], "tuple": (1, 2)}
    operation = put("k", value)
    value["list"].append(2)  # pyright: ignore[reportAttributeAccessIssue]
    returned = memory.items([operation])[0]
    returned.value["list"].append(3)
    get(memory, "k").value["list"].append(4)
    assert get(memory, "k").value == {"list": [1], "tuple": [1, 2]}


def _endless() -> dict[str, object]:
    value: dict[str, object] = {}
    value["self"] = value
    return value


@pytest.mark.parametrize(
    "wrong",
    [
        {"value": float("nan")},
        {"value": {"deep": [{1: "x"}]}},
        {"value": object()},
        {"value": _endless()},
        {"key": 7},
        {"key": "\ud800"},
        {"namespace": ()},
        {"namespace": "text"},
        {"namespace": ("a", "")},
        {"namespace": ("a", 1)},
        {"namespace": ("a\0b",)},
        {"texts": "one"},
        {"texts": [1]},
        {"ttl": -1},
        {"ttl": float("inf")},
        {"ttl": "1"},
        {"ttl": True},
    ],
)
def test_what_cannot_be_kept_is_refused_by_name(wrong: dict[str, Any]) -> None:
    (name,) = wrong
    with pytest.raises(InvalidInputError, match=name):
        PutItem(**{"namespace": NS, "key": "k", "value": 1, **wrong})


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (SearchItems, {"limit": -1}),
        (SearchItems, {"offset": True}),
        (SearchItems, {"prefix": "text"}),
        (SearchItems, {"query": 3}),
        (ListNamespaces, {"max_depth": 0}),
        (ListNamespaces, {"limit": 1.5}),
    ],
)
def test_a_wrong_question_is_refused_by_name(kind: Any, wrong: dict[str, Any]) -> None:
    (name,) = wrong
    with pytest.raises(InvalidInputError, match=name):
        kind(**wrong)


def test_only_operations_can_be_done(memory: Face) -> None:
    with pytest.raises(InvalidInputError, match="Operation 1"):
        memory.items([put("k", 1), "get"])
    with pytest.raises(InvalidInputError, match="list of operations"):
        memory.items(put("k", 1))
    assert get(memory, "k") is None
    assert memory.items([]) == [] and memory.items(iter([put("k", 1)]))[0].value == 1


def test_a_bound_handle_has_no_items(memory: Face) -> None:
    with pytest.raises(ScopeError, match="items"):
        memory.bind(user_id="ann").items([GetItem(namespace=NS, key="k")])


def test_items_and_memories_never_mix(memory: Face) -> None:
    memory.items([put("k", {"x": 1}, "ann likes green tea", ns=("ann",))])
    memory.add("I like green tea", user_id="ann", infer=False)
    assert memory.found("green tea", user_id="ann") == ["I like green tea"]
    assert memory.count(allow_global=True) == 1 and memory.stats().stored_items == 1
    assert found(memory, "green tea") == ["k"]
    memory.forget(user_id="ann")
    memory.delete_all(allow_global=True)
    assert found(memory, "green tea") == ["k"]
    memory.reset()
    assert found(memory) == [] and memory.stats().stored_items == 0


# ------------------------------------------------------------------------------------------- meaning


def test_shared_words_find_an_item_without_a_model(memory: Face) -> None:
    texts = ("Ann likes green tea", "Bob plays the drums", "The harbour of Oslo")
    memory.items([put(str(n), n, text) for n, text in enumerate(texts)])
    best, *others = memory.items([SearchItems(query="who plays drums?")])[0]
    assert best.key == "1" and all(0 <= item.score <= 1 for item in (best, *others))
    assert best.score > 2 * others[0].score
    exact = memory.items([SearchItems(query="Bob plays the drums", limit=1)])[0][0]
    assert exact.score == pytest.approx(1.0, abs=1e-3)


def test_a_text_is_embedded_once_while_its_item_has_it(world: World) -> None:
    embedder = CountingEmbedder()
    memory = world.open(embedder=embedder)
    memory.items([put("a", 1, "tea", "milk"), put("b", 2, "tea"), put("plain", 3)])
    assert embedder.requests == [("document", 2)]
    memory.items([put("a", 2, "milk", "tea"), put("a", 3, "tea"), GetItem(namespace=NS, key="a")])
    assert len(embedder.requests) == 1
    memory.items([put("a", 4, "tea", "jam")])
    assert embedder.requests[1:] == [("document", 1)]
    memory.items([SearchItems(query="bread"), SearchItems(query="bread", limit=1), SearchItems(query="  ")])
    assert embedder.requests[2:] == [("query", 1)]
    assert found(memory, "milk")[0] != "plain"


def test_a_search_where_nothing_was_ever_embedded_asks_no_embedder(world: World) -> None:
    embedder = CountingEmbedder(error=down("embedder"))
    memory = world.open(embedder=embedder)
    memory.items([put("a", 1), put("b", 2, "   ")])
    assert found(memory, "tea") == ["b", "a"] and embedder.requests == []


def test_another_embedder_is_refused_until_a_rebuild(world: World) -> None:
    world.open().items([put("a", 1, "green tea"), put("b", 2, "harbour")])
    other = world.open(embedder=AxisEmbedder())
    with pytest.raises(EmbedderMismatchError):
        other.items([put("c", 3, "milk")])
    with pytest.raises(EmbedderMismatchError):
        other.items([SearchItems(query="tea")])
    assert get(other, "c") is None and get(other, "a").value == 1


def test_a_rebuild_embeds_items_again(world: World) -> None:
    memory = world.open()
    memory.add("a memory too", user_id="ann", infer=False)
    memory.items([put("a", 1, "zzz"), put("b", 2, "aaa", "zzz"), put("c", 3)])
    memory.rebuild(embedder=AxisEmbedder())
    pairs = [(item.key, item.score) for item in memory.items([SearchItems(query="a")])[0]]
    assert pairs == [("b", 1.0), ("a", 0.0), ("c", None)]
    assert memory.stats().embedder == "mine/v1"


def test_items_whose_rebuild_was_cut_short_are_finished_by_a_repair(world: World) -> None:
    memory = world.open()
    memory.items([put("a", 1, "tea")])
    ledger = memory.raw._engine.ledger
    embedder = AxisEmbedder()
    # Where a rebuild stands when it is cut short: the embedder is changed, and items wait.
    ledger.replace_embeddings(embedder.identity, embedder.dim, [], embedder.embed([]))
    fresh = world.open(embedder=embedder)
    assert [(i.key, i.score) for i in fresh.items([SearchItems(query="tea")])[0]] == [("a", None)]
    fresh.repair()
    assert fresh.items([SearchItems(query="tea")])[0][0].score == pytest.approx(1.0, abs=1e-3)


# ------------------------------------------------------------------------------------------- time to live


def test_an_item_expires_and_its_use_prolongs_it(memory: Face) -> None:
    day = 86_400.0
    first = memory.items([put("k", 1, "tea", ttl=day), put("over", 2, ttl=0), put("stays", 3)])[0]
    assert first.expires_at - first.updated_at == timedelta(seconds=day)
    assert get(memory, "over") is None and get(memory, "stays").expires_at is None
    assert get(memory, "k").expires_at == first.expires_at
    used = memory.items([GetItem(namespace=NS, key="k", refresh=True)])[0]
    assert used.expires_at > first.expires_at and get(memory, "k").expires_at == used.expires_at
    assert (used.version, used.updated_at) == (1, first.updated_at)
    again = memory.items([SearchItems(query="tea", limit=1, refresh=True)])[0][0]
    assert again.expires_at > used.expires_at
    assert memory.items([put("k", 2)])[0].expires_at is None


def test_a_repair_sweeps_what_has_expired(world: World) -> None:
    memory = world.open()
    memory.items([put(str(n), n, ttl=0) for n in range(1200)])
    assert found(memory) == [] and memory.stats().stored_items > 0
    memory.repair()
    assert memory.stats().stored_items == 0


# ------------------------------------------------------------------------------------------- namespaces


def test_namespaces_are_listed_whole_cut_and_by_pages(memory: Face) -> None:
    spaces = [("a", "b", "c"), ("a", "b", "d", "e"), ("a", "b", "d", "i"), ("a", "c"), ("b",)]
    memory.items([put("k", 1, ns=ns) for ns in spaces])

    def listed(**how: Any) -> Any:
        return memory.items([ListNamespaces(**how)])[0]

    assert listed() == spaces
    assert listed(prefix=("a", "b"), max_depth=3) == [("a", "b", "c"), ("a", "b", "d")]
    assert listed(max_depth=1) == [("a",), ("b",)]
    assert [listed(max_depth=2, limit=1, offset=n) for n in range(4)] == [
        [("a", "b")],
        [("a", "c")],
        [("b",)],
        [],
    ]
    assert listed(where=lambda ns: ns[-1] == "i") == [("a", "b", "d", "i")]
    memory.items([DeleteItem(namespace=("b",), key="k")])
    assert ("b",) not in listed()


# ------------------------------------------------------------------------------------------- durability


CHILD = """
import os, signal, sys
from memkit import Memory, PutItem
memory = Memory(sys.argv[1], llm=None, embedder="hash")
for n in range(20):
    memory.items([PutItem(namespace=("a.b",), key=f"{n}-{m}", value={"n": n}, texts=["green tea"]) for m in range(3)])
    print(n, flush=True)
    if n == 12:
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_loses_no_batch_that_it_was_told_of(tmp_path: Path) -> None:
    path = tmp_path / "store"
    with Memory(path, llm=None, embedder="hash") as memory:
        memory.items([put("before", 1)])
        done = subprocess.run(
            [sys.executable, "-c", CHILD, str(path)], capture_output=True, text=True, timeout=90, check=False
        )
        assert done.returncode == -9 and done.stdout.split()[-1] == "12"
        # The other process's items are seen at once, by an object that was open all the time.
        (items,) = memory.items([SearchItems(prefix=("a.b",), query="tea", limit=99)])
        assert isinstance(items, list)
        assert {item.key for item in items if not isinstance(item, tuple)} == {
            f"{n}-{m}" for n in range(13) for m in range(3)
        }


def test_a_deleted_value_leaves_no_bytes_where_it_lay(tmp_path: Path) -> None:
    path = tmp_path / "memory.db"
    with Memory(path, llm=None, embedder="hash") as memory:
        memory.items([put("k", "pelican-" * 40, "pelican text")])
        memory.items([put("other", "stays")])
    assert b"pelican" in path.read_bytes()
    with Memory(path, llm=None, embedder="hash") as memory:
        memory.items([DeleteItem(namespace=NS, key="k")])
    assert b"pelican" not in path.read_bytes() and b"stays" in path.read_bytes()


async def test_a_cancelled_batch_leaves_the_store_usable() -> None:
    async with AsyncMemory(":memory:", llm=None, embedder="hash") as memory:
        tasks = [asyncio.create_task(memory.items([put(str(n), n, f"text {n}")])) for n in range(20)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await memory.items([put("after", 1)])
        (listed,) = await memory.items([SearchItems(limit=99)])
        assert isinstance(listed, list)
        keys = {item.key for item in listed if not isinstance(item, tuple)}
        assert keys >= {"after", *(str(n) for n in range(1, 20, 2))}


def test_a_closed_memory_has_no_items(world: World) -> None:
    memory = world.open()
    memory.items([put("k", 1)])
    memory.close()
    with pytest.raises(ConfigurationError, match="closed"):
        memory.items([GetItem(namespace=NS, key="k")])
