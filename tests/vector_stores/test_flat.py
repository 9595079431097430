"""Flat keys and native conditions pass at least what the filter passes, and exactly that where they say so."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings

from memkit.errors import FilterError
from memkit.filters import Compare, compile_filter, parse_filter
from memkit.testing.store_data import FILTERS, PAYLOADS, RANDOM_FILTERS, RANDOM_PAYLOADS
from memkit.vector_stores.flat import Native, flatten, native_where


def passes(where: dict[str, Any] | bool, flat: dict[str, Any]) -> bool:
    """Evaluate conditions as the databases do: by type, missing keys pass the negative ones."""
    if isinstance(where, bool):
        return where
    (key, condition), *rest = where.items()
    assert not rest
    if key in ("$and", "$or"):
        assert len(condition) >= 2
        return (all if key == "$and" else any)(passes(part, flat) for part in condition)
    (op, operand), *others = condition.items()
    assert not others
    found = flat.get(key)
    if op in ("$ne", "$nin"):
        return not passes({key: {{"$ne": "$eq", "$nin": "$in"}[op]: operand}}, flat)
    if found is None:
        return False
    if op == "$in":
        return any(passes({key: {"$eq": value}}, flat) for value in operand)
    if type(found) is not type(operand):
        return False
    return {
        "$eq": found == operand,
        "$gt": found > operand,
        "$gte": found >= operand,
        "$lt": found < operand,
        "$lte": found <= operand,
    }[op]


def check(written: dict[str, Any], payload: dict[str, Any]) -> None:
    try:
        tree = parse_filter(written)
    except FilterError:
        return
    native, truth = native_where(tree), compile_filter(tree)({**payload, "id": "p001"})
    found = passes(native.where, dict(flatten(payload)))
    assert found or not truth
    if native.exact:
        assert found is truth


@pytest.mark.parametrize("written", FILTERS, ids=str)
def test_native_conditions_pass_what_the_filter_passes(written: dict[str, Any]) -> None:
    for payload in PAYLOADS:
        check(written, payload)


@settings(max_examples=400, deadline=None)
@given(RANDOM_FILTERS, RANDOM_PAYLOADS)
def test_so_do_random_ones(written: dict[str, Any], payload: dict[str, Any]) -> None:
    check(written, payload)


def test_scope_kind_and_validity_run_natively() -> None:
    tree = parse_filter(
        {"kind": "fact", "OR": [{"valid_until": None}, {"valid_until": {"gt": "2026-03-01"}}]}
    )
    native = native_where(tree)
    assert native.exact
    assert native_where(Compare("user_id", "in", ("a", "b"))) == Native(
        {"user_id": {"$in": ["a", "b"]}}, True
    )
    assert native_where(Compare("agent_id", "exists", False)) == Native({"no:agent_id": {"$eq": True}}, True)
    assert native_where(Compare("user_id", "eq", "2026-03-01")) == Native(
        {"user_id": {"$eq": "2026-03-01"}}, True
    )


def test_deep_and_long_values_have_no_flat_key() -> None:
    deep: dict[str, Any] = {"x": 1}
    for _ in range(50):
        deep = {"x": deep}
    flat = flatten({"metadata": {"deep": deep, "long": "y" * 10_000, "k" * 10_000: 1}})
    assert all(len(key) < 600 and len(str(value)) < 600 for key, value in flat.items())
    check({"deep" + ".x" * 51: 1}, {"metadata": {"deep": deep}})
    check({"long": "y" * 10_000}, {"metadata": {"long": "y" * 10_000}})
