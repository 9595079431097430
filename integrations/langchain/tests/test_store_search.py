"""`MemkitStore`: filters, meaning and time to live; sync and async."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from datetime import timedelta
from itertools import chain
from typing import Any

import pytest
from langgraph.store.base import (  # pyright: ignore[reportMissingTypeStubs]  (langgraph ships none)
    GetOp,
    PutOp,
    SearchOp,
)

from integrations.langchain.tests.store_calls import Calls, Mode, opened
from langchain_memkit import MemkitStore
from memkit import Memory
from memkit.embedders.hash import HashEmbedder
from memkit.errors import ConfigurationError, FilterError, InvalidInputError

NS = ("docs",)


@pytest.fixture
def store(mode: Mode) -> Generator[Calls]:
    with opened(mode) as made:
        yield made


class Counting(HashEmbedder):
    """The keyless embedder; it keeps what it was asked."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def embed(self, texts: Sequence[str], *, purpose: Any = "document") -> Any:
        self.texts += texts
        return super().embed(texts, purpose=purpose)


# ------------------------------------------------------------------------------------------- filters

ITEMS: dict[str, dict[str, Any]] = {
    "one": {
        "n": 1,
        "on": True,
        "day": "2024-01-31",
        "color": "red",
        "user": {"name": "Ann", "level-2": {"x": 1}},
    },
    "two": {
        "n": 2.5,
        "on": False,
        "day": "2024-02-01T10:00:00+02:00",
        "color": "Red",
        "tags": ["a", {"b": 1}],
    },
    "bare": {"other": None, "user.access-level": "admin", "2nd": 2, "user": {"name": "Bob"}},
    "text": {"n": "10", "on": 1, "day": "soon", "color": None},
}


@pytest.mark.parametrize(
    ("wanted", "keys"),
    [
        ({"color": "red"}, "one"),
        ({"color": {"$eq": "Red"}}, "two"),
        ({"color": {"$ne": "red"}}, "bare text two"),
        ({"color": None}, "bare text"),
        ({"color": {"$ne": None}}, "one two"),
        ({"n": 1.0}, "one"),
        ({"n": {"$gt": 1}}, "two"),
        ({"n": {"$gte": 1}}, "one two"),
        ({"n": {"$lt": 2.5}}, "one"),
        ({"n": {"$lte": 2.5}}, "one two"),
        ({"n": {"$gt": 0, "$lt": 2}}, "one"),
        ({"n": {"$gte": "1"}}, "text"),
        ({"n": {"$ne": 1}}, "bare text two"),
        ({"on": True}, "one"),
        ({"on": {"$eq": False}}, "two"),
        ({"on": 1}, "text"),
        ({"on": {"$gt": 0}}, "text"),
        ({"day": {"$lt": "2024-02-01"}}, "one"),
        ({"day": {"$gte": "2024-02-01T08:00:00Z"}}, "text two"),
        ({"day": {"$gt": "2024-02-01T08:00:00+00:00", "$lt": "2025"}}, ""),
        ({"user.name": "Ann"}, "one"),
        ({"user": {"name": {"$eq": "Bob"}}}, "bare"),
        ({"user": {"name": {"$ne": "Bob"}}}, "one"),
        ({"user.level-2.x": {"$gte": 1}}, "one"),
        ({"user.level-2": {"x": 1}}, "one"),
        ({"user.access-level": "admin"}, "bare"),
        ({"2nd": 2}, "bare"),
        ({"2nd": {"$lte": 2}}, "bare"),
        ({"tags": ["a", {"b": 1}]}, "two"),
        ({"tags": ("a", {"b": 1})}, "two"),
        ({"tags": ["a"]}, ""),
        ({"missing": {"$gt": 1}}, ""),
        ({"missing": {"$lte": ""}}, ""),
        ({"missing": {"$ne": 1}}, "bare one text two"),
        ({"missing.deeper": 1}, ""),
        ({"n": 1, "color": "red", "on": True}, "one"),
        ({"n": 1, "color": "Red"}, ""),
        ({"color": "red' OR '1'='1"}, ""),
        ({"color') OR 1=1 --": "red"}, ""),
        ({}, "bare one text two"),
    ],
)
def test_a_filter_means_what_it_says(store: Calls, wanted: dict[str, Any], keys: str) -> None:
    store.batch([PutOp(NS, key, value) for key, value in ITEMS.items()])
    assert sorted(store.keys(NS, filter=wanted)) == keys.split()
    assert sorted(store.keys(NS, filter=wanted, query="anything")) == keys.split()


@pytest.mark.parametrize(
    ("wanted", "word"),
    [
        ({"n": {"$in": [1]}}, r"\$in.*Known: \$eq"),
        ({"n": {"$gt": 1, "lt": 2}}, "lt"),
        ({"n": {"deeper": {"$near": 1}}}, r"\$near"),
        ({"$or": [{"n": 1}]}, r"\$or"),
        ({"n": {"$gt": None}}, "number or a text"),
        ({"n": {"$lte": [1]}}, "number or a text"),
        ({"n": {"$lt": True}}, "number or a text"),
        ({3: 1}, "field"),
        (["n"], "dict"),
    ],
)
def test_a_filter_that_has_no_meaning_is_an_error_even_where_nothing_is(
    store: Calls, wanted: Any, word: str
) -> None:
    with pytest.raises(FilterError, match=word):
        store.search(NS, filter=wanted)


def test_a_filter_is_asked_before_a_page_is_cut(store: Calls) -> None:
    store.batch([PutOp(NS, str(n), {"n": n, "text": "green tea"}) for n in range(20)])
    even = {"n": {"$gte": 10}}
    for query in (None, "green tea"):
        pages = [store.keys(NS, filter=even, query=query, limit=4, offset=offset) for offset in (0, 4, 8, 12)]
        assert [len(page) for page in pages] == [4, 4, 2, 0]
        assert sorted(chain(*pages), key=int) == [str(n) for n in range(10, 20)]


# ------------------------------------------------------------------------------------------- meaning


def test_the_whole_value_is_found_by_default(store: Calls) -> None:
    store.put(NS, "tea", {"facts": [{"about": "Ann", "likes": "green\ntea"}], "n": 3})
    store.put(NS, "drums", {"facts": [{"about": "Bob", "plays": "the drums"}]})
    store.put(NS, "empty", {})
    found = store.search(NS, query="who likes tea?")
    assert [item.key for item in found] == ["tea", "drums", "empty"]
    assert 1 >= found[0].score > found[1].score >= 0 and found[2].score is None


def test_only_the_named_fields_are_found(mode: Mode) -> None:
    index = {"fields": ["text", "turns[*].said", "meta.title", "missing"]}
    with opened(mode, index=index) as store:
        store.put(NS, "text", {"text": "green tea", "other": "harbour"})
        store.put(
            NS, "turn", {"turns": [{"said": "hello"}, {"said": "the harbour of Oslo"}], "by": "green tea"}
        )
        store.put(NS, "meta", {"meta": {"title": "drums"}, "text": None})
        for query, best in (("green tea", "text"), ("harbour of Oslo", "turn"), ("drums", "meta")):
            first, *others = store.search(NS, query=query)
            assert first.key == best and first.score > 0.9
            assert all(item.score < 0.5 for item in others)


def test_each_text_of_an_item_counts_and_the_item_comes_once(mode: Mode) -> None:
    with opened(mode, index={"fields": ["parts[*]"]}) as store:
        store.put(NS, "many", {"parts": ["green tea", "drums", "green tea too"]})
        store.put(NS, "other", {"parts": ["harbour"]})
        assert store.keys(NS, query="green tea") == ["many", "other"]
        pages = [store.keys(NS, query="green tea", limit=1, offset=n) for n in range(3)]
        assert pages == [["many"], ["other"], []]


def test_a_put_says_what_it_is_found_by(store: Calls) -> None:
    value = {"a": "green tea", "b": "drums"}
    store.put(NS, "whole", value)
    store.put(NS, "only-b", value, index=["b"])
    store.put(NS, "none", value, index=False)
    store.put(NS, "nothing", value, index=[])
    found = {item.key: item.score for item in store.search(NS, query="drums")}
    assert found["only-b"] > 0.99 > found["whole"] > 0 and found["none"] is found["nothing"] is None
    assert store.get(NS, "none").value == value
    with pytest.raises(ConfigurationError, match="list of paths"):
        store.put(NS, "wrong", value, index="a")


def test_an_update_is_found_by_its_new_text_alone(store: Calls) -> None:
    store.put(NS, "k", {"text": "green tea"})
    store.put(NS, "other", {"text": "harbour"})
    store.put(NS, "k", {"text": "drums"})
    assert store.keys(NS, query="drums")[0] == "k"
    assert {item.key: item.score for item in store.search(NS, query="green tea")}["k"] < 0.3
    store.put(NS, "k", {"text": "drums"}, index=False)
    assert {item.key: item.score for item in store.search(NS, query="drums")}["k"] is None


def test_pages_of_a_search_follow_each_other(store: Calls) -> None:
    store.batch([PutOp(NS, str(n), {"text": f"green tea number {n}"}) for n in range(10, 20)])
    store.batch([PutOp(NS, f"plain{n}", {"text": "green tea"}, index=False) for n in range(3)])
    whole = store.search(NS, query="green tea number 13", limit=99)
    scores = [item.score for item in whole if item.score is not None]
    assert whole[0].key == "13" and scores == sorted(scores, reverse=True) and len(scores) == 10
    pages = [store.keys(NS, query="green tea number 13", limit=4, offset=offset) for offset in (0, 4, 8, 12)]
    assert [*chain(*pages)] == [item.key for item in whole] and len(whole) == 13


def test_a_query_stays_under_its_prefix(store: Calls) -> None:
    for user in ("ann", "ann@example.com", "bob"):
        store.put(("memories", user), "k", {"text": f"{user} likes green tea"})
    found = store.search(("memories", "ann"), query="green tea")
    assert [item.namespace for item in found] == [("memories", "ann")]
    assert len(store.search(("memories",), query="green tea")) == 3


def test_an_empty_query_lists(store: Calls) -> None:
    store.put(NS, "a", {"text": "one"})
    store.put(NS, "b", {"text": "two"})
    for query in (None, "", "  "):
        assert [(item.key, item.score) for item in store.search(NS, query=query)] == [
            ("b", None),
            ("a", None),
        ]
    for query in ("word " * 3000, "!@#$%^&*()", "\u65e5\u672c", "\x00"):
        assert len(store.search(NS, query=query)) == 2


def test_a_store_without_an_index_embeds_nothing(mode: Mode) -> None:
    embedder = Counting()
    with opened(mode, embedder=embedder, index=False) as store:
        store.put(NS, "a", {"text": "green tea"}, index=["text"])
        assert [(item.key, item.score) for item in store.search(NS, query="tea")] == [("a", None)]
        assert embedder.texts == []


def test_an_unchanged_text_is_not_embedded_again(mode: Mode) -> None:
    embedder = Counting()
    with opened(mode, embedder=embedder, index={"fields": ["text"]}) as store:
        store.put(NS, "a", {"text": "green tea", "n": 1})
        store.put(NS, "a", {"text": "green tea", "n": 2})
        assert embedder.texts == ["green tea"]
        store.put(NS, "a", {"text": "drums"})
        assert embedder.texts == ["green tea", "drums"]


# ------------------------------------------------------------------------------------------- time to live


def expiry(store: Calls, key: str) -> Any:
    """When an item expires, as the memory itself says."""
    from memkit import GetItem, StoreItem

    memory: Memory = store.store._memory  # pyright: ignore[reportPrivateUsage]
    (item,) = memory.items([GetItem(namespace=NS, key=key)])
    assert isinstance(item, StoreItem)
    return item.expires_at


def test_an_item_lives_as_many_minutes_as_its_put_says(store: Calls) -> None:
    assert MemkitStore.supports_ttl
    store.put(NS, "day", {"text": "green tea"}, ttl=24 * 60)
    store.put(NS, "over", {"text": "green tea"}, ttl=0)
    store.put(("other",), "over", {}, ttl=0)
    store.put(NS, "stays", {"text": "green tea"})
    updated = store.get(NS, "day", refresh_ttl=False).updated_at
    assert expiry(store, "day") - updated == timedelta(days=1) and expiry(store, "stays") is None
    assert store.get(NS, "over") is None and sorted(store.keys(NS, query="tea")) == ["day", "stays"]
    assert store.list_namespaces() == [NS]
    store.put(NS, "day", {"text": "green tea"})
    assert expiry(store, "day") is None


def test_a_read_prolongs_a_life_unless_it_says_not_to(store: Calls) -> None:
    store.put(NS, "k", {"text": "green tea"}, ttl=60)
    seen = [expiry(store, "k")]

    def moved() -> bool:
        seen.append(expiry(store, "k"))
        return seen[-1] > seen[-2]

    store.get(NS, "k", refresh_ttl=False)
    store.search(NS, refresh_ttl=False)
    store.search(NS, limit=0)
    store.batch([GetOp(NS, "k", refresh_ttl=False), SearchOp(NS, refresh_ttl=False)])
    assert not moved()
    store.get(NS, "k")
    assert moved()
    store.search(NS, query="tea")
    assert moved()
    store.batch([GetOp(NS, "k"), GetOp(NS, "k")])
    assert moved()
    updated = store.get(NS, "k").updated_at
    assert store.get(NS, "k").updated_at == updated


def test_a_store_may_have_a_default_life(mode: Mode) -> None:
    for ttl in (
        60,
        {"default_ttl": 60, "refresh_on_read": True, "sweep_interval_minutes": 5, "omit_expired": True},
    ):
        with opened(mode, ttl=ttl) as store:
            store.put(NS, "default", {})
            store.put(NS, "own", {}, ttl=120)
            store.put(NS, "never", {}, ttl=None)
            assert expiry(store, "default") < expiry(store, "own") and expiry(store, "never") is None
    with opened(mode, ttl={"default_ttl": 60, "refresh_on_read": False}) as store:
        store.put(NS, "k", {})
        first = expiry(store, "k")
        store.get(NS, "k")
        store.search(NS)
        assert expiry(store, "k") == first
        store.get(NS, "k", refresh_ttl=True)
        assert expiry(store, "k") > first


@pytest.mark.parametrize("ttl", [-1, "5", True, float("nan"), float("inf")])
def test_a_life_is_minutes(store: Calls, ttl: Any) -> None:
    with pytest.raises(InvalidInputError, match=f"ttl.*minutes.*{ttl}"):
        store.put(NS, "k", {}, ttl=ttl)
    assert store.get(NS, "k") is None
