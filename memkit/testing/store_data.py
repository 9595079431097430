"""Points, filters and strategies that the vector store laws are tried on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from memkit.vector_stores.base import StoreRecord, unit_rows

DIM: Final = 16
EMBEDDER: Final = "laws/16/v1"


def vectors(count: int, *, seed: int = 0, dim: int = DIM) -> npt.NDArray[np.float32]:
    """Return random unit rows, the same for the same arguments."""
    rows = np.random.default_rng(seed).standard_normal((count, dim)).astype(np.float32)
    return unit_rows(rows)


def payload(text: str = "a memory", /, **fields: Any) -> dict[str, Any]:
    """Return a complete payload; names that are no fields of a memory become metadata."""
    own: dict[str, Any] = {
        "memory": text,
        "kind": "fact",
        "role": None,
        "origin": "user",
        "actor_id": None,
        "pinned": False,
        "version": 1,
        "created_at": "2026-03-01T12:00:00+00:00",
        "updated_at": "2026-03-01T12:00:00+00:00",
        "valid_from": "2026-03-01T12:00:00+00:00",
        "valid_until": None,
        "expires_at": None,
        "user_id": "alice",
        "agent_id": None,
        "run_id": None,
    }
    metadata = {name: value for name, value in fields.items() if name not in own}
    return {**own, **{name: value for name, value in fields.items() if name in own}, "metadata": metadata}


PAYLOADS: Final[Sequence[dict[str, Any]]] = (
    payload("plain"),
    payload("Food", category="food", stars=4, open=True, tags=["spicy", "hot", 3]),
    payload("drink", category="drink", stars=5.5, open=False, tags=[], user_id="bob"),
    payload("no category", stars="4", open=1, category=None, agent_id="bot", run_id="r1"),
    payload("nested", place={"city": "Kyoto", "geo": {"lat": 35.0}}, stars=-1, kind="event"),
    payload("dotted", **{"place.city": "Oslo", "place": {"city": "Kyoto"}}, pinned=True, version=3),
    payload("dated", when="2026-03-05", created_at="2026-03-05T00:00:00+00:00", role="user"),
    payload("instant", when="2026-03-05T23:30:00-02:00", created_at="2026-03-04T23:59:59.999999+00:00"),
    payload("closed", valid_until="2026-04-01T00:00:00+00:00", expires_at="2026-05-01T00:00:00+00:00"),
    payload("shadow", metadata={"a": 1}, other="x", actor_id="2026-03-05"),
    payload("huge", stars=2**70, category="x" * 2000, when="9999-12-31"),
    payload("odd", category="é \"' \\ \n%_*[]{}$", tags=["É", "\u0000"], user_id=None, agent_id="bot"),
    {"memory": "bare", "metadata": {}},
    {"memory": "none"},
    payload("text", category="2026-03-05T10:00:00Z", stars=0, open=None, zero=0.0, tags=[["nested"]]),
)
"""Payloads with missing keys, several types under one key, dates, nesting and traps."""

FILTERS: Final[Sequence[dict[str, Any]]] = (
    {"category": "food"},
    {"category": {"ne": "food"}},
    {"category": ["food", "drink"]},
    {"category": {"in": ["food", None]}},
    {"category": {"nin": ["food", "drink"]}},
    {"category": {"nin": ["food", None]}},
    {"category": []},
    {"category": {"nin": []}},
    {"category": None},
    {"category": {"ne": None}},
    {"category": "*"},
    {"category": {"exists": False}},
    {"category": "x" * 2000},
    {"category": "é \"' \\ \n%_*[]{}$"},
    {"category": {"gte": "drink", "lt": "food"}},
    {"category": {"gte": "2026-03-05"}},
    {"category": {"contains": "oo"}},
    {"category": {"icontains": "FOOD"}},
    {"stars": 4},
    {"stars": 4.0},
    {"stars": "4"},
    {"stars": {"ne": 4}},
    {"stars": {"gt": 4}},
    {"stars": {"gte": 4, "lt": 5.5}},
    {"stars": {"lte": -1}},
    {"stars": {"lt": 1e300}},
    {"stars": {"gte": 2**70}},
    {"stars": {"eq": 2**70 + 1}},
    {"stars": [4, 5.5, "4"]},
    {"stars": {"nin": [4, 0]}},
    {"zero": -0.0},
    {"zero": False},
    {"open": True},
    {"open": 1},
    {"open": {"ne": False}},
    {"open": {"gt": 0}},
    {"open": {"gt": False}},
    {"tags": {"contains": "spicy"}},
    {"tags": {"contains": 3}},
    {"tags": {"contains": "spi"}},
    {"tags": {"icontains": "é"}},
    {"tags": {"eq": []}},
    {"tags": {"eq": ["spicy", "hot", 3]}},
    {"tags": {"ne": []}},
    {"tags": "*"},
    {"place.city": "Kyoto"},
    {"place.city": "Oslo"},
    {"place.geo.lat": {"gt": 30}},
    {"metadata.place.city": {"ne": "Kyoto"}},
    {"place": {"eq": {"city": "Kyoto"}}},
    {"metadata.metadata": {"exists": True}},
    {"when": "2026-03-05"},
    {"when": {"ne": "2026-03-05"}},
    {"when": {"gt": "2026-03-05"}},
    {"when": {"lte": "2026-03-05"}},
    {"when": ["2026-03-05", "2026-03-06"]},
    {"when": {"nin": ["2026-03-06"]}},
    {"when": {"lt": "9999-12-31"}},
    {"created_at": {"lt": "2026-03-05"}},
    {"created_at": {"lte": "2026-03-05"}},
    {"created_at": {"gte": "2026-03-05"}},
    {"created_at": {"gt": "2026-03-04"}},
    {"created_at": "2026-03-01T13:00:00+01:00"},
    {"created_at": {"ne": "2026-03-01"}},
    {"created_at": {"gt": "soon"}},
    {"valid_until": None},
    {"valid_until": {"exists": True}},
    {"OR": [{"valid_until": None}, {"valid_until": {"gt": "2026-03-15"}}]},
    {"NOT": [{"expires_at": {"lte": "2026-05-01T00:00:00Z"}}]},
    {"actor_id": "2026-03-05"},
    {"actor_id": "2026-03-05T00:00:00Z"},
    {"kind": "event"},
    {"kind": {"nin": ["event", "summary"]}},
    {"role": {"ne": "user"}},
    {"pinned": True},
    {"version": {"gte": 2}},
    {"memory": {"icontains": "food"}},
    {"id": {"in": ["p001", "p004"]}},
    {"AND": []},
    {"OR": []},
    {"NOT": []},
    {"AND": [{"kind": "fact"}, {"OR": [{"stars": {"gte": 4}}, {"open": False}]}]},
    {"NOT": [{"category": "food"}, {"kind": "event"}]},
    {"NOT": [{"NOT": [{"category": "food"}, {"stars": {"lt": 0}}]}]},
    {"NOT": {"OR": [{"category": "food"}, {"NOT": {"kind": "fact"}}]}},
    {"NOT": {"AND": [{"kind": "fact"}, {"stars": {"gt": 1}}]}, "open": {"ne": True}},
)
"""Every operator over present, missing and mistyped keys, dates, nesting, and what few databases can say."""

HOSTILE_IDS: Final[Sequence[str]] = (
    "a", "A", " ", "\t", "a b", "é", "e\u0301", "日本語", "👩\u200d👩\u200d👧", "'", '"', "`", "\\", "/", "../x",
    "%", "_", "*", "?", "#", "a,b;--", "null", "None", "0", "-1", "[x]", "{x}", "$ne", "\u0000", "a\u0000b", "\n",
    "\u202e", "\ufffd", "x" * 500, "<script>", "2026-03-01", "00000000-0000-0000-0000-000000000000",
)  # fmt: skip
"""Ids that some database somewhere trims, folds, escapes or refuses."""

HOSTILE_PAYLOADS: Final[Sequence[dict[str, Any]]] = (
    payload(
        "",
        empty="",
        none=None,
        list=[],
        mixed=[1, "a", None, [], {}],
        dict={},
        deep={"a": {"b": {"c": [None]}}},
    ),
    payload("\u0000 null", zero="\u0000"),
    payload(
        "quotes ' \" ` \\ ; --",
        **{"key 'with\" quotes": 1, "$ne": 2, "a.b.": 3, "": 4, " ": 5, "#document": 6},
    ),
    payload("lone \ud800 surrogate", lone="\udfff"),
    payload(
        "numbers", big=2**100, small=-(2**63), tiny=5e-324, large=1.7e308, negative=-0.0, flag=True, one=1
    ),
    payload("emoji 👩\u200d👩\u200d👧 \u202e rtl \u2028 line", x="é e\u0301"),
    payload("long " * 200_000, text="y" * 100_000),
    payload("reserved", payload="mine", id="other", chroma="x", embedding=[1.0], vector="v", score=3),
    {"memory": "bare"},
    {},
)
"""Payloads that must come back exactly as they went in."""


def _random_payload(metadata: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    return payload("random", **own) | {"metadata": metadata}


IDS: Final = st.sampled_from([f"p{at}" for at in range(8)])
_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2),
    st.sampled_from([0.0, 0.5, 1.0, -1.5, 2.0**60]),
    st.sampled_from(["", "a", "A", "ab", "2026-03-01", "2026-03-01T12:00:00+00:00", "2026-03-02T00:00:00Z"]),
)
_STORED = st.one_of(
    _VALUES, st.lists(_VALUES, max_size=2), st.dictionaries(st.sampled_from("ab"), _VALUES, max_size=2)
)
_FIELDS = st.sampled_from(["x", "y", "x.a", "metadata.y", "created_at", "valid_until", "kind", "role"])
RANDOM_PAYLOADS: Final[st.SearchStrategy[dict[str, Any]]] = st.builds(
    _random_payload,
    st.dictionaries(st.sampled_from(["x", "y", "x.a"]), _STORED, max_size=3),
    st.fixed_dictionaries(
        {}, optional={"valid_until": _VALUES, "kind": _VALUES, "role": _VALUES, "user_id": IDS}
    ),
)
_RANGES = st.one_of(
    st.integers(-2, 2), st.sampled_from([0.5, 2.0**60, "a", "2026-03-01", "2026-03-01T12:00:00Z", True])
)
_CONDITIONS = st.one_of(
    _VALUES,
    st.lists(_VALUES, max_size=3),
    *(st.fixed_dictionaries({op: _VALUES}) for op in ("eq", "ne")),
    *(st.fixed_dictionaries({op: st.lists(_VALUES, max_size=3)}) for op in ("in", "nin")),
    st.dictionaries(st.sampled_from(["gt", "gte", "lt", "lte"]), _RANGES, min_size=1, max_size=2),
    st.fixed_dictionaries({"contains": _RANGES}),
    st.fixed_dictionaries({"icontains": st.sampled_from(["a", "AB", ""])}),
    st.fixed_dictionaries({"exists": st.booleans()}),
)
RANDOM_FILTERS: Final[st.SearchStrategy[dict[str, Any]]] = st.recursive(
    st.dictionaries(_FIELDS, _CONDITIONS, max_size=2),
    lambda inner: st.dictionaries(
        st.sampled_from(["AND", "OR", "NOT"]), st.lists(inner, max_size=2), max_size=2
    ),
    max_leaves=4,
)
"""Filters as users write them."""
_UPSERTS: Final[st.SearchStrategy[Any]] = st.lists(st.tuples(IDS, RANDOM_PAYLOADS), max_size=3)
OPERATIONS: Final[st.SearchStrategy[list[tuple[str, Any]]]] = st.lists(
    st.one_of(
        st.tuples(st.just("upsert"), _UPSERTS),
        st.tuples(st.just("delete"), st.lists(IDS, max_size=3)),
        st.tuples(st.just("ask"), RANDOM_FILTERS),
    ),
    max_size=8,
)
"""What may happen to a collection, one after the other."""


def records(payloads: Sequence[dict[str, Any]], *, prefix: str = "p", seed: int = 0) -> list[StoreRecord]:
    """Return one point per payload, with ids `p000`, `p001`, ... and random vectors."""
    rows = vectors(len(payloads), seed=seed)
    return [
        StoreRecord(id=f"{prefix}{at:03}", vector=rows[at], payload=dict(payload))
        for at, payload in enumerate(payloads)
    ]
