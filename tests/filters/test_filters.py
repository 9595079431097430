"""The filter language: what users may write, and what it means."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memkit.errors import FilterError
from memkit.filters import (
    MAX_DEPTH,
    OPERATORS,
    And,
    Compare,
    Not,
    Or,
    all_of,
    compile_filter,
    matches,
    parse_filter,
    scope_filter,
)
from memkit.scope import ReadScope, read_scope

PAYLOAD: dict[str, Any] = {
    "id": "m-1",
    "memory": "Alice likes Spicy ramen",
    "kind": "preference",
    "role": None,
    "origin": "user",
    "actor_id": "2026-03-01",
    "pinned": False,
    "version": 2,
    "created_at": "2026-03-01T12:00:00+00:00",
    "updated_at": "2026-03-02T00:00:00Z",
    "valid_from": "2026-03-01T12:00:00+00:00",
    "valid_until": None,
    "expires_at": None,
    "user_id": "alice",
    "agent_id": None,
    "run_id": "2026-03-01",
    "metadata": {
        "category": "food",
        "stars": 4,
        "price": 9.5,
        "open": True,
        "tags": ["spicy", "Noodles", 3],
        "nothing": None,
        "kind": "mine",
        "place": {"city": "Kyoto", "geo": {"lat": 35.0}},
        "a.b": 1,
        "when": "2026-03-05",
        "at": "2026-03-05T23:30:00+02:00",
        "empty": [],
    },
}


def passes(**filters: Any) -> bool:
    return matches(parse_filter(filters), PAYLOAD)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, True),
        ({"category": "food"}, True),
        ({"category": "Food"}, False),
        ({"category": ["drink", "food"]}, True),
        ({"category": []}, False),
        ({"category": {"eq": "food", "ne": "drink"}}, True),
        ({"category": "food", "stars": 5}, False),
        ({"stars": 4}, True),
        ({"stars": 4.0}, True),
        ({"stars": "4"}, False),
        ({"stars": True}, False),
        ({"open": True}, True),
        ({"open": 1}, False),
        ({"open": {"gte": 0}}, False),
        ({"stars": {"gt": 3, "lt": 5}}, True),
        ({"stars": {"gt": 4}}, False),
        ({"stars": {"gte": 4}}, True),
        ({"stars": {"lte": 4}}, True),
        ({"stars": {"lt": 3.99}}, False),
        ({"price": {"gt": 9}}, True),
        ({"category": {"gt": 3}}, False),
        ({"stars": {"lt": "5"}}, False),
        ({"stars": {"lt": True}}, False),
        ({"category": {"gte": "fa", "lt": "fz"}}, True),
        ({"category": {"in": ["food"]}}, True),
        ({"category": {"nin": ["food"]}}, False),
        ({"missing": {"in": ["food", None]}}, True),
        ({"missing": {"nin": ["food"]}}, True),
        ({"missing": {"nin": [None]}}, False),
        ({"missing": "x"}, False),
        ({"missing": {"ne": "x"}}, True),
        ({"missing": {"gt": 0}}, False),
        ({"missing": {"lt": 0}}, False),
        ({"missing": {"contains": "x"}}, False),
        ({"missing": {"icontains": "x"}}, False),
        ({"missing": None}, True),
        ({"missing": {"ne": None}}, False),
        ({"nothing": None}, True),
        ({"nothing": {"exists": False}}, True),
        ({"category": None}, False),
        ({"category": {"ne": None}}, True),
        ({"category": "*"}, True),
        ({"missing": "*"}, False),
        ({"category": {"eq": "*"}}, False),
        ({"category": {"exists": True}}, True),
        ({"empty": {"exists": True}}, True),
        ({"tags": {"contains": "spicy"}}, True),
        ({"tags": {"contains": "noodles"}}, False),
        ({"tags": {"contains": 3}}, True),
        ({"tags": {"contains": True}}, False),
        ({"tags": {"contains": "spi"}}, False),
        ({"tags": {"icontains": "NOODLES"}}, True),
        ({"tags": {"icontains": "nood"}}, False),
        ({"tags": {"eq": ["spicy", "Noodles", 3]}}, True),
        ({"tags": {"eq": ["spicy", "Noodles"]}}, False),
        ({"memory": {"contains": "Spicy"}}, True),
        ({"memory": {"contains": "spicy"}}, False),
        ({"memory": {"icontains": "SPICY RAMEN"}}, True),
        ({"stars": {"contains": "4"}}, False),
        ({"kind": "preference"}, True),
        ({"metadata.kind": "mine"}, True),
        ({"place.city": "Kyoto"}, True),
        ({"metadata.place.geo.lat": {"gt": 30}}, True),
        ({"place.city.x": {"exists": False}}, True),
        ({"place": {"eq": {"city": "Kyoto", "geo": {"lat": 35}}}}, True),
        ({"a.b": 1}, True),
        ({"role": None}, True),
        ({"version": {"gte": 2}}, True),
        ({"pinned": False}, True),
        ({"valid_until": None}, True),
        ({"id": "m-1"}, True),
    ],
)
def test_a_filter_means_what_the_language_says(filters: dict[str, Any], expected: bool) -> None:
    assert matches(parse_filter(filters), PAYLOAD) is expected


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"AND": [{"category": "food"}, {"stars": 4}]}, True),
        ({"AND": [{"category": "food"}, {"category": "drink"}]}, False),
        ({"AND": []}, True),
        ({"OR": [{"category": "drink"}, {"stars": 4}]}, True),
        ({"OR": [{"category": "drink"}]}, False),
        ({"OR": []}, False),
        ({"NOT": [{"category": "drink"}, {"stars": 5}]}, True),
        ({"NOT": [{"category": "drink"}, {"stars": 4}]}, False),
        ({"NOT": {"category": "food"}}, False),
        ({"NOT": [{"category": "food", "stars": 5}]}, True),
        ({"NOT": [{"missing": {"gt": 3}}]}, True),
        (
            {"AND": [{"OR": [{"stars": 1}, {"stars": 4}]}, {"NOT": [{"open": False}]}], "kind": "preference"},
            True,
        ),
    ],
)
def test_logic_is_two_valued_and_nests(filters: dict[str, Any], expected: bool) -> None:
    assert matches(parse_filter(filters), PAYLOAD) is expected


CET = timezone(timedelta(hours=1))


@pytest.mark.parametrize(
    ("field", "condition", "expected"),
    [
        # created_at is 12:00 on 1 March 2026, UTC
        ("created_at", {"lt": "2026-03-01"}, False),
        ("created_at", {"lte": "2026-03-01"}, True),
        ("created_at", {"gte": "2026-03-01"}, True),
        ("created_at", {"gt": "2026-03-01"}, False),
        ("created_at", {"gt": "2026-02-28"}, True),
        ("created_at", {"lt": "2026-03-02"}, True),
        ("created_at", "2026-03-01", True),
        ("created_at", {"ne": "2026-03-01"}, False),
        ("created_at", ["2026-02-01", "2026-03-01"], True),
        ("created_at", date(2026, 3, 1), True),
        ("created_at", {"gt": date(2026, 3, 1)}, False),
        ("created_at", "2026-03-01T13:00:00+01:00", True),
        ("created_at", "2026-03-01T12:00:00", True),
        ("created_at", "2026-03-01T12:00:00Z", True),
        ("created_at", datetime(2026, 3, 1, 12), True),
        ("created_at", datetime(2026, 3, 1, 13, tzinfo=CET), True),
        ("created_at", {"gte": datetime(2026, 3, 1, 12, tzinfo=UTC)}, True),
        ("created_at", {"gt": datetime(2026, 3, 1, 12, tzinfo=UTC)}, False),
        ("created_at", {"lt": "2026-03-01 12:00:01"}, True),
        # the first moment of a day is outside "after the day before it"
        ("updated_at", {"gt": "2026-03-01"}, True),
        ("updated_at", {"lt": "2026-03-02"}, False),
        ("updated_at", {"lte": "2026-03-01"}, False),
        ("created_at", {"lt": "9999-12-31"}, True),
        ("created_at", {"gt": "0001-01-01"}, True),
        ("created_at", {"lt": "0001-01-01T00:00:00+14:00"}, False),
        ("created_at", {"lt": "9999-12-31T23:59:59-14:00"}, True),
        ("created_at", {"gt": "2026-13-45"}, False),
        ("created_at", {"gt": "yesterday"}, False),
        ("created_at", {"gt": 5}, False),
        ("metadata.at", {"lt": "2026-03-06"}, True),
        ("metadata.at", "2026-03-05", True),
        ("at", {"gt": "2026-03-05T21:29:59Z"}, True),
        ("when", {"gte": "2026-03-05"}, True),
        ("when", {"gt": "2026-03-05"}, False),
        ("when", {"lt": "2026-03-05T00:00:01Z"}, True),
        ("category", {"gt": "2026-03-05"}, False),
        ("valid_until", {"gt": "2026-03-05"}, False),
    ],
)
def test_dates_compare_as_dates_and_a_bare_date_is_its_day(
    field: str, condition: Any, expected: bool
) -> None:
    assert matches(parse_filter({field: condition}), PAYLOAD) is expected


def test_payloads_may_hold_dates_of_python() -> None:
    payload = {"created_at": datetime(2026, 3, 1, 12), "metadata": {"day": date(2026, 3, 5)}}
    assert matches(
        parse_filter({"created_at": {"gte": "2026-03-01T12:00:00Z"}, "day": "2026-03-05"}), payload
    )


def test_ids_and_texts_are_never_read_as_dates() -> None:
    assert matches(Compare("run_id", "eq", "2026-03-01"), PAYLOAD)
    assert not matches(Compare("run_id", "eq", "2026-03-01"), {"run_id": "2026-03-01T10:00:00Z"})
    assert not matches(Compare("run_id", "in", ("2026-03-01", "x")), {"run_id": "2026-03-01T10:00:00Z"})
    assert not matches(parse_filter({"actor_id": "2026-03-01T00:00:00Z"}), PAYLOAD)


@pytest.mark.parametrize(
    ("filters", "says"),
    [
        ({"user_id": "bob"}, "user_id="),
        ({"AND": [{"agent_id": "x"}]}, "agent_id="),
        ({"NOT": {"run_id": "x"}}, "run_id="),
        ({"stars": {"gtt": 3}}, "'gt'"),
        ({"stars": {"$gte": 3}}, "'gte'"),
        ({"stars": {"regex": "x"}}, "Known: eq, ne"),
        ({"stars": {}}, "needs an operator"),
        ({"$and": [{"a": 1}]}, "'AND'"),
        ({"$or": [{"a": 1}]}, "'OR'"),
        ({"$not": [{"a": 1}]}, "'NOT'"),
        ({"and": [{"a": 1}]}, "'AND'"),
        ({"AND": {"a": 1}}, "needs a list"),
        ({"OR": "x"}, "needs a list"),
        ({"AND": ["x"]}, "filters.AND[0]"),
        ({"AND": [{"a": {"b": 1}}]}, "filters.AND[0].a.b"),
        ({"metadata": {"category": "x"}}, "metadata.category"),
        ({"stars": {"in": 3}}, "needs a list"),
        ({"stars": {"in": "abc"}}, "needs a list"),
        ({"stars": {"exists": "yes"}}, "True or False"),
        ({"stars": {"gt": None}}, "needs one value"),
        ({"stars": {"gt": [1]}}, "needs one value"),
        ({"stars": {"contains": ["a"]}}, "needs one value"),
        ({"stars": {"icontains": 3}}, "needs a text"),
        ({"stars": float("nan")}, "filters.stars"),
        ({"stars": float("inf")}, "inf"),
        ({"stars": 1 << 2000}, "too large"),
        ({"stars": b"x"}, "bytes"),
        ({"stars": object()}, "object"),
        ({"stars": {"in": [1, {2}, object()]}}, "filters.stars.in[2]"),
        ({"stars": {"eq": {1: 2}}}, "not text"),
        ({"stars": "\ud800"}, "surrogate"),
        ({"": 1}, "field name"),
        ({3: 1}, "field name"),
        ({"x" * 200_000: 1}, "too large"),
        ({"x": "y" * 200_000}, "too large"),
        ({"x": list(range(20_000))}, "too large"),
        ([("a", 1)], "dict of conditions"),
        ("a=1", "dict of conditions"),
    ],
)
def test_what_the_language_does_not_have_is_an_error_that_names_it(filters: Any, says: str) -> None:
    with pytest.raises(FilterError) as caught:
        parse_filter(filters)
    assert says in str(caught.value)
    assert len(str(caught.value)) < 700


def test_depth_is_bounded() -> None:
    def nested(levels: int) -> dict[str, Any]:
        filters: dict[str, Any] = {"a": 1}
        for _ in range(levels):
            filters = {"NOT": [filters]}
        return filters

    parse_filter(nested(MAX_DEPTH - 1))
    with pytest.raises(FilterError, match="deeper"):
        parse_filter(nested(MAX_DEPTH))
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(FilterError, match="deeper"):
        parse_filter({"a": endless})
    shared: dict[str, Any] = {"a": 1}
    for _ in range(30):
        shared = {"OR": [shared, shared]}
    with pytest.raises(FilterError, match="too large"):
        parse_filter(shared)


def test_no_filter_is_none() -> None:
    assert parse_filter(None) is None
    assert parse_filter({}) is None
    assert matches(None, {})


def test_the_tree_holds_json_values() -> None:
    assert parse_filter({"a": date(2026, 3, 1)}) == Compare("a", "eq", "2026-03-01")
    assert parse_filter({"a": datetime(2026, 3, 1)}) == Compare("a", "eq", "2026-03-01T00:00:00+00:00")
    assert parse_filter({"a": [1], "NOT": {"b": "*"}}) == And(
        (Compare("a", "in", (1,)), Not((Compare("b", "exists", True),)))
    )


@pytest.mark.parametrize(
    "scope",
    [
        read_scope("alice", None, None),
        read_scope("alice", ["bot", None], None),
        read_scope(None, "bot", None),
        read_scope(None, [None], ["r1", "r2"]),
        read_scope(None, None, None, allow_global=True),
        read_scope(None, ["bot"], None, allow_global=True),
        read_scope("2026-03-01", None, ["2026-03-01", None]),
    ],
)
def test_a_scope_filter_passes_exactly_what_the_scope_allows(scope: ReadScope) -> None:
    predicate = compile_filter(scope_filter(scope))
    users = (None, "alice", "bob", "2026-03-01", "2026-03-01T00:00:00Z")
    for user in users:
        for agent in (None, "bot", "Bot"):
            for run in (None, "r1", "2026-03-01", "2026-03-01T00:00:00Z"):
                ids = {"user_id": user, "agent_id": agent, "run_id": run}
                stored = {key: id for key, id in ids.items() if id is not None}
                assert predicate(ids) == predicate(stored) == scope.allows(user, agent, run)


def test_a_scope_without_limits_is_no_filter() -> None:
    assert scope_filter(read_scope(None, None, None, allow_global=True)) is None
    assert all_of(None, None) is None
    one = Compare("a", "eq", 1)
    assert all_of(None, one) is one
    assert all_of(one, one) == And((one, one))


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.floats(-3, 3),
    st.sampled_from(
        ["", "a", "A", "ab", "2026-03-01", "2026-03-01T10:00:00Z", "2026-02-28T23:59:59Z", "ß", "SS"]
    ),
)
METADATA = st.dictionaries(
    st.sampled_from("xyz"), st.one_of(SCALARS, st.lists(SCALARS, max_size=3)), max_size=3
)
CONDITIONS = st.one_of(
    SCALARS,
    st.lists(SCALARS, max_size=3),
    st.fixed_dictionaries({}, optional=dict.fromkeys(("eq", "ne", "gt", "gte", "lt", "lte"), SCALARS)),
    st.fixed_dictionaries({}, optional={op: st.lists(SCALARS, max_size=3) for op in ("in", "nin")}),
    st.fixed_dictionaries({"icontains": st.sampled_from(["a", "ss", ""]), "exists": st.booleans()}),
)
FIELDS = st.dictionaries(st.sampled_from("xyz"), CONDITIONS, max_size=2)
FILTERS = st.recursive(
    FIELDS,
    lambda inner: st.dictionaries(
        st.sampled_from(["AND", "OR", "NOT"]), st.lists(inner, max_size=3), max_size=2
    ),
    max_leaves=6,
)


@settings(deadline=None, max_examples=150)
@given(FILTERS, METADATA)
def test_evaluation_never_raises_and_obeys_boolean_algebra(
    filters: dict[str, Any], metadata: dict[str, Any]
) -> None:
    try:
        tree = parse_filter(filters)
    except FilterError:
        return
    payload = {"metadata": metadata}
    value = matches(tree, payload)
    part = tree or And(())
    assert value in (True, False)
    assert matches(Not((part,)), payload) is (not value)
    assert matches(Not((Not((part,)),)), payload) is value
    assert matches(Or((part, Not((part,)))), payload)
    assert matches(Not((part, part)), payload) is matches(And((Not((part,)), Not((part,)))), payload)


@settings(deadline=None, max_examples=100)
@given(METADATA, SCALARS)
def test_negated_operators_are_negations(metadata: dict[str, Any], value: Any) -> None:
    payload = {"metadata": metadata}
    assert matches(Compare("x", "ne", value), payload) is not matches(Compare("x", "eq", value), payload)
    assert matches(Compare("x", "nin", (value,)), payload) is not matches(
        Compare("x", "in", (value,)), payload
    )
    assert matches(Compare("x", "in", (value,)), payload) is matches(Compare("x", "eq", value), payload)


KEYS = st.one_of(st.text(max_size=3), st.sampled_from(["AND", "OR", "NOT", "user_id", *OPERATORS]))
JUNK = st.recursive(
    st.one_of(SCALARS, st.binary(max_size=2), st.floats()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=8,
)


@given(JUNK)
@settings(deadline=None, max_examples=200)
def test_any_input_is_a_tree_or_a_filter_error(written: Any) -> None:
    try:
        tree = parse_filter(written)
    except FilterError:
        return
    assert matches(tree, PAYLOAD) in (True, False)
