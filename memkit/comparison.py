"""What one operator of the filter language says of one value."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, Final, Literal, cast, get_args

Op = Literal["eq", "ne", "gt", "gte", "lt", "lte", "in", "nin", "contains", "icontains", "exists"]
OPERATORS: Final[tuple[Op, ...]] = get_args(Op)

_Test = Callable[[Any], bool]


def as_mapping(value: object) -> Mapping[object, object] | None:
    """Return the value if it is a mapping."""
    return cast("Mapping[object, object]", value) if isinstance(value, Mapping) else None


def as_list(value: object) -> Sequence[object] | None:
    """Return the value if it is a list, tuple or set."""
    if isinstance(value, list | tuple):
        return cast("Sequence[object]", value)
    return list(cast("frozenset[object]", value)) if isinstance(value, set | frozenset) else None


def value_test(op: Op, value: Any, *, dates: bool) -> Callable[[Any], bool]:
    """Return what an operator says of a field's value, where None is a missing one.

    With `dates`, an operand that is written as a date or an instant is compared as one.
    """
    if op == "exists":
        return (lambda found: found is not None) if value else (lambda found: found is None)
    if op in ("eq", "ne"):
        equal = _equal_to(value, dates)
        return equal if op == "eq" else lambda found: not equal(found)
    if op in ("in", "nin"):
        one_of = _one_of(value, dates)
        return one_of if op == "in" else lambda found: not one_of(found)
    if op == "contains":
        return _contains(value, dates)
    if op == "icontains":
        words = as_list(value)
        return _icontains([str(word).casefold() for word in ([value] if words is None else words)])
    return _in_range(op, value, dates)


def _equal_to(value: Any, dates: bool) -> _Test:
    if value is None or isinstance(value, bool):
        return lambda found: found is value
    day = day_of(value) if dates else None
    if day is not None:
        first, last = day
        return lambda found: (at := moment_of(found)) is not None and first <= at <= last
    if isinstance(value, str):
        return lambda found: found == value
    if isinstance(value, int | float):
        return lambda found: found == value and _is_number(found)
    return lambda found: _same(found, value)


def _one_of(values: Sequence[Any], dates: bool) -> _Test:
    if all(isinstance(value, str) and not (dates and day_of(value)) for value in values):
        known = frozenset(values)
        return lambda found: isinstance(found, str) and found in known
    tests = [_equal_to(value, dates) for value in values]
    return lambda found: any(test(found) for test in tests)


def _contains(value: Any, dates: bool) -> _Test:
    member = _equal_to(value, dates)
    text = value.isoformat() if isinstance(value, date) else value

    def test(found: Any) -> bool:
        if isinstance(found, str):
            return isinstance(text, str) and text in found
        return isinstance(found, list | tuple) and any(member(item) for item in cast("list[object]", found))

    return test


def _icontains(words: Sequence[str]) -> _Test:
    """Return whether a text holds any of some words, or a list any of them as an item."""

    def test(found: Any) -> bool:
        if isinstance(found, str):
            folded = found.casefold()
            for word in words:  # noqa: SIM110 (twice as fast as any() over a generator)
                if word in folded:
                    return True
            return False
        if not isinstance(found, list | tuple):
            return False
        return any(isinstance(item, str) and item.casefold() in words for item in cast("list[object]", found))

    return test


def _in_range(op: Op, value: Any, dates: bool) -> _Test:
    day = day_of(value) if dates else None
    if day is not None:
        first, last = day
        bound = first if op in ("lt", "gte") else last
        return _ordered(op, bound, moment_of)
    if isinstance(value, str):
        return _ordered(op, value, lambda found: found if isinstance(found, str) else None)
    if _is_number(value):
        return _ordered(op, value, lambda found: found if _is_number(found) else None)
    return lambda found: False  # noqa: ARG005 (a bool has no order)


def _ordered(op: Op, bound: Any, read: Callable[[Any], Any]) -> _Test:
    if op == "lt":
        return lambda found: (at := read(found)) is not None and at < bound
    if op == "lte":
        return lambda found: (at := read(found)) is not None and at <= bound
    if op == "gt":
        return lambda found: (at := read(found)) is not None and at > bound
    return lambda found: (at := read(found)) is not None and at >= bound


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _same(a: object, b: object) -> bool:
    """Whether two JSON values are equal, a bool never being a number."""
    list_a, list_b = as_list(a), as_list(b)
    if list_a is not None and list_b is not None:
        return len(list_a) == len(list_b) and all(map(_same, list_a, list_b))
    map_a, map_b = as_mapping(a), as_mapping(b)
    if map_a is not None and map_b is not None:
        return map_a.keys() == map_b.keys() and all(_same(map_a[key], map_b[key]) for key in map_a)
    return a == b and isinstance(a, bool) == isinstance(b, bool)


def moment_of(value: object) -> datetime | None:
    """Return the instant that a value is written as (of a bare date its first moment), else None."""
    try:
        if isinstance(value, str):
            if len(value) < 10 or value[4] != "-" or value[7] != "-":
                return None
            moment = datetime.fromisoformat(value)
        elif isinstance(value, datetime):
            moment = value
        elif isinstance(value, date):
            moment = datetime(value.year, value.month, value.day)
        else:
            return None
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def day_of(value: object) -> tuple[datetime, datetime] | None:
    """Return the first and last moment that a value stands for: of a bare date its day; None for no date."""
    first = moment_of(value)
    if first is None:
        return None
    bare = len(value) == 10 if isinstance(value, str) else not isinstance(value, datetime)
    last = first.replace(hour=23, minute=59, second=59, microsecond=999_999) if bare else first
    return first, last
