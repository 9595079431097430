"""The one filter language: a typed tree, a parser for what users write, and the reference evaluator.

```text
{"category": "food"}                      equal               {"category": ["food", "drink"]}   one of
{"stars": {"gte": 3, "lt": 5}}            several operators   {"tags": {"contains": "spicy"}}   has it
{"OR": [{"pinned": True}, {"stars": 5}]}  any                 {"NOT": [{"a": 1}, {"b": 2}]}     none holds
{"created_at": {"lt": "2026-03-01"}}      before that day     {"category": "*"}                 there is one
```

Logic is two-valued: a comparison with a missing key is false, except `ne` and `nin`, which are the negations
of `eq` and `in`. A key whose value is None is missing. Numbers compare as numbers and a bool is not one; a
range over values of different types is false. An operand written as a date (`2026-03-01`, ISO 8601, a
`datetime`) compares as one, and a bare date stands for its whole day. The ids, the role and the text of a
memory are only text.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final, cast

from .comparison import OPERATORS, Op, as_list, as_mapping, day_of, value_test
from .errors import FilterError, did_you_mean
from .scope import SCOPE_FIELDS, ReadScope

OWN_FIELDS: Final = (
    "id", "memory", "kind", "role", "origin", "actor_id", "pinned", "version",
    "created_at", "updated_at", "valid_from", "valid_until", "expires_at",
)  # fmt: skip
"""Fields of a memory itself; they win over metadata keys of the same name."""
TEXT_FIELDS: Final = frozenset({"id", "memory", "kind", "role", "origin", "actor_id", *SCOPE_FIELDS})
"""Fields that are compared as text even where it looks like a date, because an id must match exactly."""
TIME_FIELDS: Final = ("created_at", "updated_at", "valid_from", "valid_until", "expires_at")
"""Fields that hold an instant."""
MAX_DEPTH: Final = 32
"""Levels of nesting that a filter may have."""
MAX_NODES: Final = 10_000
"""Comparisons and listed values that a filter may have."""
MAX_TEXT: Final = 100_000
"""Characters that one text in a filter may have."""


@dataclass(frozen=True, slots=True)
class Compare:
    """One field against one value."""

    field: str
    op: Op
    value: Any


@dataclass(frozen=True, slots=True)
class And:
    """True when all parts are; empty is true."""

    parts: Sequence[Filter]


@dataclass(frozen=True, slots=True)
class Or:
    """True when any part is; empty is false."""

    parts: Sequence[Filter]


@dataclass(frozen=True, slots=True)
class Not:
    """True when no part is."""

    parts: Sequence[Filter]


Filter = Compare | And | Or | Not
Predicate = Callable[[Mapping[str, Any]], bool]
"""Says whether a payload passes."""


def all_of(*filters: Filter | None) -> Filter | None:
    """Return the conjunction of the filters that are given, or None for none."""
    given = tuple(part for part in filters if part is not None)
    return given[0] if len(given) == 1 else And(given) if given else None


def scope_filter(scope: ReadScope) -> Filter | None:
    """Return the predicate of a read scope, or None when it narrows nothing."""
    user = None if scope.everyone else _one_of_ids("user_id", frozenset((scope.user_id,)))
    agents = None if scope.agents is None else _one_of_ids("agent_id", scope.agents)
    runs = None if scope.runs is None else _one_of_ids("run_id", scope.runs)
    return all_of(user, agents, runs)


def _one_of_ids(field: str, ids: frozenset[str | None]) -> Filter:
    named = tuple(sorted(id for id in ids if id is not None))
    parts: list[Filter] = [Compare(field, "exists", False)] if None in ids else []
    if named:
        parts.append(Compare(field, "eq", named[0]) if len(named) == 1 else Compare(field, "in", named))
    return parts[0] if len(parts) == 1 else Or(tuple(parts))


def comparisons(filter: Filter | None) -> Iterator[Compare]:
    """Yield every comparison of a filter, in the order written."""
    if isinstance(filter, Compare):
        yield filter
    elif filter is not None:
        for part in filter.parts:
            yield from comparisons(part)


def fields_of(filter: Filter | None) -> frozenset[str]:
    """Return the fields of a payload that a filter looks at; `metadata` is one of them."""
    return frozenset(
        "metadata" if metadata_name(compare.field) is not None else compare.field
        for compare in comparisons(filter)
    )


# ------------------------------------------------------------------------------------------- parsing


def parse_filter(filters: Mapping[str, Any] | None) -> Filter | None:
    """Return the tree of what a user wrote, or None for no filter.

    In the tree a list is a tuple, and a date or datetime is its ISO 8601 text (naive is UTC).

    Raises:
        FilterError: An unknown operator, a scope id, or a value that no filter can have, with its path.
    """
    if filters is None:
        return None
    tree = _Parser().conditions(filters, "filters", 1)
    return None if isinstance(tree, And) and not tree.parts else tree


def memory_filter(filters: Mapping[str, Any] | None) -> Filter | None:
    """Return the tree of what a user asks of memories, whose own times are compared with instants alone.

    Raises:
        FilterError: As `parse_filter`, and a time that does not exist in the calendar.
    """
    tree = parse_filter(filters)
    for compare in comparisons(tree):
        if compare.field in TIME_FIELDS and compare.op not in ("exists", "contains", "icontains"):
            for value in as_list(compare.value) or [compare.value]:
                if value is not None and day_of(value) is None:
                    raise _error(
                        f"filters.{compare.field}",
                        f"holds an instant, which {_show(value)} is not. Give a datetime, a date, or ISO 8601 text "
                        "such as '2026-03-01' or '2026-03-01T09:30:00+01:00'.",
                    )
    return tree


class _Parser:
    """Walks what a user wrote once, counting as it goes."""

    def __init__(self) -> None:
        self._nodes = 0

    def conditions(self, written: object, path: str, depth: int) -> Filter:
        conditions = as_mapping(written)
        if conditions is None:
            raise _error(path, f"needs a dict of conditions, not {_show(written)}. Write {{'field': value}}.")
        self._count(path, depth)
        parts = [self._condition(key, value, path, depth) for key, value in conditions.items()]
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _condition(self, key: object, value: object, path: str, depth: int) -> Filter:
        if not isinstance(key, str) or not key.strip():
            raise _error(path, f"has a key that is not a field name: {key!r}.")
        here = f"{path}.{key}"
        _check_text(key, path)
        if key in ("AND", "OR", "NOT"):
            return self._logic(key, value, here, depth)
        if key.startswith("$"):
            raise _error(here, f"is not an operator.{_right_spelling(key)}")
        if key.upper() in ("AND", "OR", "NOT") and _holds_mappings(value):
            raise _error(here, f"is not an operator. Did you mean {key.upper()!r}?")
        if key in SCOPE_FIELDS:
            raise _error(
                here, f"is not a field: a filter cannot choose the scope. Pass `{key}=...` to the method."
            )
        return self._field(key, value, here, depth)

    def _logic(self, key: str, value: object, path: str, depth: int) -> Filter:
        if key == "NOT" and isinstance(value, Mapping):
            return Not((self.conditions(cast(object, value), path, depth + 1),))
        items = as_list(value)
        if items is None:
            raise _error(
                path,
                f"needs a list of conditions, not {_show(value)}. Write {{{key!r}: [{{...}}, {{...}}]}}.",
            )
        parts = tuple(
            self.conditions(item, f"{path}[{index}]", depth + 1) for index, item in enumerate(items)
        )
        return And(parts) if key == "AND" else Or(parts) if key == "OR" else Not(parts)

    def _field(self, field: str, value: object, path: str, depth: int) -> Filter:
        operators = as_mapping(value)
        if operators is None:
            if isinstance(value, str) and value == "*":
                return Compare(field, "exists", True)
            return Compare(field, "eq" if as_list(value) is None else "in", self._value(value, path, depth))
        if not operators:
            raise _error(path, f"needs an operator. Known: {', '.join(OPERATORS)}.")
        parts = [self._comparison(field, op, operand, path, depth) for op, operand in operators.items()]
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _comparison(self, field: str, op: object, operand: object, path: str, depth: int) -> Compare:
        here = f"{path}.{op}"
        if op not in OPERATORS:
            hint = f" For a metadata key write 'metadata.{op}'." if field == "metadata" else ""
            raise _error(
                here, f"is not an operator.{hint or _right_spelling(op)} Known: {', '.join(OPERATORS)}."
            )
        _check_operand(op, operand, here)
        return Compare(field, op, self._value(operand, here, depth + 1))

    def _value(self, value: object, path: str, depth: int) -> object:
        self._count(path, depth)
        items, mapping = as_list(value), as_mapping(value)
        if items is not None:
            return tuple(self._value(item, f"{path}[{index}]", depth + 1) for index, item in enumerate(items))
        if mapping is not None:
            return {
                _name(key, path): self._value(item, f"{path}.{key}", depth + 1)
                for key, item in mapping.items()
            }
        return _scalar(value, path)

    def _count(self, path: str, depth: int) -> None:
        self._nodes += 1
        if depth > MAX_DEPTH:
            raise _error(path, f"is nested deeper than {MAX_DEPTH} levels.")
        if self._nodes > MAX_NODES:
            raise _error(path, f"is too large: a filter may have {MAX_NODES:,} comparisons and values.")


def _check_operand(op: Op, operand: object, path: str) -> None:
    if op in ("in", "nin"):
        if as_list(operand) is None:
            raise _error(path, f"needs a list, not {_show(operand)}. Write {{{op!r}: [value, ...]}}.")
    elif op == "exists":
        if not isinstance(operand, bool):
            raise _error(path, f"needs True or False, not {_show(operand)}.")
    elif op == "icontains":
        if not isinstance(operand, str):
            raise _error(path, f"needs a text, not {_show(operand)}.")
    elif op not in ("eq", "ne") and (operand is None or _is_container(operand)):
        raise _error(path, f"needs one value, not {_show(operand)}. For several use 'AND' or 'OR'.")


def _scalar(value: object, path: str) -> object:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        _check_text(value, path)
        return str.__str__(value)
    if isinstance(value, int):
        if value.bit_length() > 1024:
            raise _error(path, "is a number too large to compare.")
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise _error(path, f"is not a number that can be compared: {value!r}.")
        return float(value)
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    raise _error(
        path, f"is of type {type(value).__name__}. Give a text, number, bool, date, None or a list of them."
    )


def _check_text(text: str, path: str) -> None:
    if len(text) > MAX_TEXT:
        raise _error(path, f"is too large: {len(text):,} characters, where {MAX_TEXT:,} are allowed.")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise _error(path, f"holds a lone surrogate, which no text can: {text[:80]!r}.") from error


def _name(key: object, path: str) -> str:
    if not isinstance(key, str):
        raise _error(path, f"has a key that is not text: {key!r}.")
    _check_text(key, path)
    return key


def _holds_mappings(value: object) -> bool:
    return isinstance(value, Mapping) or any(isinstance(item, Mapping) for item in as_list(value) or ())


def _right_spelling(op: object) -> str:
    bare = str(op).removeprefix("$")
    if bare.upper() in ("AND", "OR", "NOT"):
        return f" Did you mean {bare.upper()!r}?"
    return did_you_mean(bare.lower(), OPERATORS)


def _is_container(value: object) -> bool:
    return as_list(value) is not None or as_mapping(value) is not None


def _show(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"a {type(value).__name__}"


def _error(path: str, problem: str) -> FilterError:
    return FilterError(f"`{path if len(path) <= 300 else path[:300] + '...'}` {problem}", path=path)


# ---------------------------------------------------------------------------------------- evaluating


def matches(filter: Filter | None, payload: Mapping[str, Any]) -> bool:
    """Return whether a payload passes: the reference that every backend must agree with."""
    return compile_filter(filter)(payload)


def compile_filter(filter: Filter | None) -> Predicate:
    """Return a function that says whether a payload passes; use it where many payloads meet one filter."""
    if filter is None:
        return _always
    if isinstance(filter, Compare):
        return _compile_compare(filter)
    if isinstance(filter, Or) and (one_field := _words_in_one_field(filter)) is not None:
        return _compile_compare(one_field)
    parts = [compile_filter(part) for part in filter.parts]
    if isinstance(filter, And):
        return parts[0] if len(parts) == 1 else lambda payload: _all(parts, payload)
    if isinstance(filter, Or):
        return lambda payload: _any(parts, payload)
    return lambda payload: not _any(parts, payload)


def _words_in_one_field(filter: Or) -> Compare | None:
    """Return several texts looked for in one field as one comparison, which folds the field once for all of them."""
    parts = [part for part in filter.parts if isinstance(part, Compare) and part.op == "icontains"]
    if len(parts) < 2 or len(parts) < len(filter.parts) or len({part.field for part in parts}) > 1:
        return None
    return Compare(parts[0].field, "icontains", tuple(part.value for part in parts))


def _always(payload: Mapping[str, Any]) -> bool:  # noqa: ARG001 (a predicate like any other)
    return True


def _all(parts: Sequence[Predicate], payload: Mapping[str, Any]) -> bool:
    for part in parts:  # noqa: SIM110 (twice as fast as all() over a generator)
        if not part(payload):
            return False
    return True


def _any(parts: Sequence[Predicate], payload: Mapping[str, Any]) -> bool:
    for part in parts:  # noqa: SIM110 (see above)
        if part(payload):
            return True
    return False


def _compile_compare(compare: Compare) -> Predicate:
    field = compare.field
    test = value_test(compare.op, compare.value, dates=field not in TEXT_FIELDS)
    name = metadata_name(field)
    if name is None:
        return lambda payload: test(payload.get(field))
    if "." not in name:
        return lambda payload: test((payload.get("metadata") or _EMPTY).get(name))
    return lambda payload: test(value_at(payload.get("metadata"), name))


_EMPTY: Mapping[str, Any] = {}


def metadata_name(field: str) -> str | None:
    """Return the name inside `metadata` that a field means, or None for a field of the memory itself."""
    if field in OWN_FIELDS or field in SCOPE_FIELDS:
        return None
    return field.removeprefix("metadata.") if len(field) > len("metadata.") else field


def value_at(node: object, path: str) -> object:
    """Return the value at a dotted path; a key that has the dots itself comes first."""
    mapping = as_mapping(node)
    if mapping is None:
        return None
    if path in mapping:
        return mapping[path]
    head, dot, rest = path.partition(".")
    return value_at(mapping.get(head), rest) if dot else None
