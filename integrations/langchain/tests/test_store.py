"""`MemkitStore`, the laws of a LangGraph store: items, namespaces, batches; sync and async."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from langgraph.store.base import (  # pyright: ignore[reportMissingTypeStubs]  (langgraph ships none)
    GetOp,
    InvalidNamespaceError,
    Item,
    ListNamespacesOp,
    MatchCondition,
    PutOp,
    SearchItem,
    SearchOp,
)

from integrations.langchain.tests.store_calls import Calls, Mode, opened
from langchain_memkit import MemkitStore
from memkit import AsyncMemory, Memory
from memkit.errors import BackendUnavailableError, ConfigurationError, InvalidInputError

ANN = ("memories", "ann@example.com")
LABELS = (
    "a.b",
    "100%",
    "snake_case",
    "*",
    "?",
    "[ab]",
    "UPPER",
    "upper",
    "line\n",
    " blank ",
    "\u65e5\u672c\u8a9e",
    "e\u0301",
    "\u00e9",
    "\U0001f4a1",
    "o'clock",
    "7",
    "memory:1/2\\3",
)


@pytest.fixture
def bare() -> Generator[Memory]:
    """A memory that holds nothing."""
    with Memory(":memory:", llm=None, embedder="hash") as made:
        yield made


@pytest.fixture
def store(mode: Mode) -> Generator[Calls]:
    with opened(mode) as made:
        yield made


# ------------------------------------------------------------------------------------------- items


def test_an_item_comes_back_under_the_namespace_as_written(store: Calls) -> None:
    value = {"z": 1, "a": {"n": [1.5, None, True], "t": "\u65e5\u672c\n"}}
    assert store.put(ANN, "k", value) is None
    item = store.get(ANN, "k")
    assert type(item) is Item and (item.namespace, item.key) == (ANN, "k")
    assert item.value == value and list(item.value) == ["z", "a"]
    assert item.created_at == item.updated_at and item.created_at.tzinfo is not None
    (listed,) = store.search(("memories",))
    assert type(listed) is SearchItem and listed.score is None and listed.value == value
    assert store.list_namespaces() == [ANN]
    assert store.get(ANN, "other") is None and store.get(("memories",), "k") is None


def test_an_update_keeps_created_at_and_moves_updated_at(store: Calls) -> None:
    store.put(ANN, "k", {"v": 1})
    first = store.get(ANN, "k")
    store.put(ANN, "k", {"v": 2})
    second = store.get(ANN, "k")
    assert second.created_at == first.created_at and second.updated_at > first.updated_at
    assert second.value == {"v": 2} and len(store.search(ANN)) == 1


def test_a_deleted_item_leaves_no_ghost(store: Calls) -> None:
    store.put(ANN, "k", {"text": "green tea"})
    assert store.delete(ANN, "k") is None
    assert store.get(ANN, "k") is None and store.search((), query="green tea") == []
    assert store.list_namespaces() == []
    store.delete(ANN, "k")
    store.batch([PutOp(ANN, "j", {"v": 1}), PutOp(ANN, "j", None)])
    assert store.search(()) == []


def test_reading_a_missing_namespace_makes_none(store: Calls) -> None:
    store.get(("nobody",), "k")
    store.search(("nobody",))
    store.delete(("nobody",), "k")
    assert store.list_namespaces() == []


def test_nothing_aliases_a_value_of_the_caller(store: Calls) -> None:
    value = {"nested": {"list": [1]}}
    store.put(ANN, "k", MappingProxyType(value))
    value["nested"]["list"].append(2)
    store.get(ANN, "k").value["nested"]["list"].append(3)
    store.search(ANN)[0].value["nested"]["list"].append(4)
    assert store.get(ANN, "k").value == {"nested": {"list": [1]}}


def test_a_key_is_used_as_text(store: Calls) -> None:
    store.put(ANN, 7, {"v": 1})
    assert store.get(ANN, "7").value == store.get(ANN, 7).value == {"v": 1}
    for key in ("", "a b", "%", "\n", "k" * 2000, "\u00e9"):
        store.put(ANN, key, {"key": key})
        assert store.get(ANN, key).value == {"key": key}


@pytest.mark.parametrize("value", [[1], "text", 3])
def test_a_value_is_a_dict(store: Calls, value: object) -> None:
    with pytest.raises(InvalidInputError, match="dict"):
        store.put(ANN, "k", value)


@pytest.mark.parametrize("value", [{"x": object()}, {"x": float("nan")}, {"x": {1: 2}}, {"x": {3}}])
def test_what_is_no_json_is_refused_and_nothing_of_its_batch_written(store: Calls, value: Any) -> None:
    with pytest.raises(InvalidInputError, match="JSON"):
        store.batch([PutOp(ANN, "fine", {"v": 1}), PutOp(ANN, "k", value, ["x"])])
    assert store.search(()) == []


# ------------------------------------------------------------------------------------------- namespaces


def test_no_label_is_a_pattern_a_separator_or_another_case(store: Calls) -> None:
    spaces = [("root", label) for label in LABELS]
    for n, space in enumerate(spaces):
        store.put(space, "k", {"n": n})
    for n, space in enumerate(spaces):
        assert store.get(space, "k").value == {"n": n}
        assert [(item.namespace, item.value["n"]) for item in store.search(space)] == [(space, n)]
    assert store.list_namespaces() == sorted(spaces)
    assert store.list_namespaces(prefix=("root", "a.b")) == [("root", "a.b")]
    assert store.search(("root", "a")) == [] and store.search(("a.b",)) == []


def test_a_prefix_ends_between_labels(store: Calls) -> None:
    for space in (("a",), ("a", "b"), ("a", "b", "c"), ("a", "bc"), ("ab",)):
        store.put(space, ".".join(space), {})
    assert sorted(store.keys(("a", "b"))) == ["a.b", "a.b.c"]
    assert sorted(store.keys(("a",))) == ["a", "a.b", "a.b.c", "a.bc"]
    assert len(store.keys(())) == 5


def test_a_namespace_may_be_a_list(store: Calls) -> None:
    store.put(list(ANN), "k", {"v": 1})
    assert store.get(list(ANN), "k").namespace == ANN
    assert store.keys(["memories"]) == ["k"] and store.keys([]) == ["k"]
    assert store.list_namespaces(prefix=["memories"], suffix=["ann@example.com"]) == [ANN]
    condition = MatchCondition("prefix", ["memories"])  # pyright: ignore[reportArgumentType]
    assert store.batch([ListNamespacesOp((condition,))]) == [[ANN]]


@pytest.mark.parametrize("namespace", [(), ("",), ("a", ""), ("a", None), (7,), "text", None, ("a\0b",)])
def test_a_namespace_that_cannot_be_one_is_refused(store: Calls, namespace: Any) -> None:
    for call in (
        lambda: store.put(namespace, "k", {}),
        lambda: store.get(namespace, "k"),
        lambda: store.delete(namespace, "k"),
        lambda: store.batch([PutOp(namespace, "k", {})]),
        lambda: store.batch([GetOp(namespace, "k")]),
    ):
        with pytest.raises(InvalidNamespaceError) as caught:
            call()
        assert isinstance(caught.value, InvalidInputError)
    if namespace != ():
        for call in (lambda: store.search(namespace), lambda: store.batch([SearchOp(namespace)])):
            with pytest.raises(InvalidNamespaceError):
                call()


def test_the_root_langgraph_is_its_own(store: Calls) -> None:
    with pytest.raises(InvalidNamespaceError, match="langgraph"):
        store.put(("langgraph", "x"), "k", {})
    store.put(("x", "langgraph"), "k", {})


def test_namespaces_are_matched_cut_and_paged(store: Calls) -> None:
    spaces = [
        ("a", "b", "c"),
        ("a", "b", "d", "e"),
        ("a", "b", "d", "i"),
        ("a", "b", "f"),
        ("a", "c", "f"),
        ("z",),
    ]
    for space in spaces:
        store.put(space, "k", {})
        store.put(space, "j", {})
    listed = store.list_namespaces
    assert listed() == spaces and listed(prefix=()) == spaces and listed(suffix=()) == spaces
    assert listed(prefix=("a", "b"), max_depth=3) == [("a", "b", "c"), ("a", "b", "d"), ("a", "b", "f")]
    assert listed(suffix=("f",)) == [("a", "b", "f"), ("a", "c", "f")]
    assert listed(prefix=("a", "*", "f")) == listed(suffix=("*", "f")) == [("a", "b", "f"), ("a", "c", "f")]
    assert listed(prefix=("*", "c")) == [("a", "c", "f")] and listed(prefix=("*",) * 5) == []
    assert listed(prefix=("a",), suffix=("d", "*")) == [("a", "b", "d", "e"), ("a", "b", "d", "i")]
    assert listed(suffix=("z",)) == listed(prefix=("z",)) == [("z",)]
    assert listed(max_depth=1) == [("a",), ("z",)]
    pages = [listed(limit=4, offset=offset) for offset in (0, 4, 8)]
    assert pages == [spaces[:4], spaces[4:], []] and listed(limit=0) == []
    both = (
        MatchCondition("prefix", ("a",)),
        MatchCondition("prefix", ("*", "b")),
        MatchCondition("suffix", ("f",)),
    )
    assert store.batch([ListNamespacesOp(both, 2)]) == [[("a", "b")]]


def test_an_unknown_match_is_refused(store: Calls) -> None:
    with pytest.raises(InvalidInputError, match="middle"):
        store.batch([ListNamespacesOp((MatchCondition("middle", ("a",)),))])  # pyright: ignore[reportArgumentType]


# ------------------------------------------------------------------------------------------- batches


def test_results_come_in_the_order_of_the_operations(store: Calls) -> None:
    store.put(("a",), "k", {"v": 1})
    results = store.batch(
        [
            GetOp(("a",), "nothing"),
            SearchOp(("a",), limit=1),
            PutOp(("b",), "new", {"v": 2}),
            ListNamespacesOp(),
            GetOp(("a",), "k"),
            PutOp(("a",), "gone", None),
        ]
    )
    assert results[0] is None and [item.key for item in results[1]] == ["k"] and results[2] is None
    assert results[3] == [("a",)] and results[4].value == {"v": 1} and results[5] is None
    assert store.get(("b",), "new").value == {"v": 2} and store.batch([]) == []


def test_a_batch_reads_what_was_there_before_it_and_the_last_put_stays(store: Calls) -> None:
    store.put(ANN, "k", {"v": 0})
    results = store.batch(
        [
            PutOp(ANN, "k", {"v": 1}),
            GetOp(ANN, "k"),
            SearchOp(ANN),
            PutOp(ANN, "k", {"v": 2}),
            GetOp(ANN, "new"),
        ]
    )
    assert results[1].value == {"v": 0} and [item.value for item in results[2]] == [{"v": 0}]
    assert store.get(ANN, "k").value == {"v": 2}
    store.batch([PutOp(ANN, "k", None), PutOp(ANN, "k", {"v": 3})])
    assert store.get(ANN, "k").value == {"v": 3}


def test_identical_texts_in_one_batch_are_two_items(store: Calls) -> None:
    store.batch([PutOp(ANN, key, {"text": "green tea"}) for key in ("one", "two")])
    assert sorted(item.key for item in store.search(ANN, query="green tea") if item.score > 0.5) == [
        "one",
        "two",
    ]


def test_a_batch_of_a_thousand_is_one_transaction(store: Calls) -> None:
    store.batch(PutOp(("bulk", str(n % 7)), str(n), {"text": f"thing {n}", "n": n}) for n in range(1000))
    results = store.batch([GetOp(("bulk", str(n % 7)), str(n)) for n in range(1000)])
    assert [item.value["n"] for item in results] == list(range(1000))
    assert len({item.created_at for item in results}) == 1
    assert len(store.list_namespaces(prefix=("bulk",))) == 7
    assert store.keys(("bulk",), query="thing 77", limit=1) == ["77"]


def test_something_else_is_no_operation(store: Calls) -> None:
    with pytest.raises(InvalidInputError, match="no operation"):
        store.batch([PutOp(ANN, "k", {}), ("get", "k")])
    assert store.search(()) == []


# ------------------------------------------------------------------------------------------- two faces


async def test_a_sync_call_inside_a_running_loop_works(bare: Memory) -> None:
    store = MemkitStore(bare)
    store.put(ANN, "k", {"text": "green tea"})
    assert [item.key for item in store.search(ANN, query="tea")] == ["k"]
    assert await store.aget(ANN, "k") == store.get(ANN, "k")


async def test_an_async_memory_serves_both_faces() -> None:
    async with AsyncMemory(":memory:", llm=None, embedder="hash") as memory:
        store = MemkitStore(memory)
        await store.aput(ANN, "k", {"v": 1})
        item = store.get(ANN, "k")
        assert item is not None and item.value == {"v": 1} and await store.alist_namespaces() == [ANN]
        await asyncio.gather(*(store.aput(ANN, str(n), {"n": n}) for n in range(50)))
        assert len(await store.asearch(ANN, limit=99)) == 51


async def test_a_cancelled_call_leaves_the_store_usable(tmp_path: Path) -> None:
    async with AsyncMemory(tmp_path / "store", llm=None, embedder="hash") as memory:
        store = MemkitStore(memory)
        for _ in range(5):
            tasks = [asyncio.create_task(store.aput(ANN, str(n), {"text": f"thing {n}"})) for n in range(8)]
            tasks.append(asyncio.create_task(store.asearch(ANN, query="thing")))  # pyright: ignore[reportArgumentType]
            await asyncio.sleep(0)
            for task in tasks[::2]:
                task.cancel()
            done = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(one is None or isinstance(one, asyncio.CancelledError) for one in done)
        await store.aput(ANN, "after", {"v": 1})
        assert await store.aget(ANN, "after") is not None
        assert {item.key for item in await store.asearch(ANN, limit=99)} >= {"1", "3", "5", "7", "after"}


def test_threads_may_share_a_store(bare: Memory) -> None:
    from concurrent.futures import ThreadPoolExecutor

    store = MemkitStore(bare)
    with ThreadPoolExecutor(8) as pool:
        done = [pool.submit(store.put, (f"user{n % 4}",), str(n), {"n": n}) for n in range(64)]
        assert [future.result() for future in done] == [None] * 64
    assert [len(store.search((f"user{n}",), limit=99)) for n in range(4)] == [16] * 4


# ------------------------------------------------------------------------------------------- making one


def test_a_bound_memory_is_refused(bare: Memory) -> None:
    with pytest.raises(ConfigurationError, match="bind"):
        MemkitStore(bare.bind(user_id="ann"))


@pytest.mark.parametrize(
    ("index", "word"),
    [
        ({"fields": ["text"], "embed": "openai:text-embedding-3-small"}, "embedder="),
        ({"dims": 1536}, "embedder="),
        ({"fields": "text"}, "list of paths"),
        ({"fields": [""]}, "list of paths"),
        (True, "False"),
        (["text"], "fields"),
    ],
)
def test_an_index_says_what_to_type_instead(bare: Memory, index: Any, word: str) -> None:
    with pytest.raises(ConfigurationError, match=word):
        MemkitStore(bare, index=index)


@pytest.mark.parametrize("ttl", ["1", True, {"minutes": 1}, [1]])
def test_a_time_to_live_is_minutes_or_langgraphs_own(bare: Memory, ttl: Any) -> None:
    with pytest.raises(ConfigurationError, match="default_ttl"):
        MemkitStore(bare, ttl=ttl)


def test_a_memory_that_is_down_is_an_error(tmp_path: Path, mode: Mode) -> None:
    folder = tmp_path / "store"
    with opened(mode, path=folder) as store:
        store.put(ANN, "k", {"v": 1})
    (folder / "memory.db").rename(tmp_path / "away")
    (folder / "memory.db").mkdir()
    with opened(mode, path=folder) as store, pytest.raises(BackendUnavailableError):
        store.get(ANN, "k")


def test_a_store_shows_where_it_is_and_no_secret(bare: Memory) -> None:
    assert repr(MemkitStore(bare)) == "<MemkitStore of <Memory ':memory:'>>"
