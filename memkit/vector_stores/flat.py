"""Payloads as flat keys, and filters as `$eq`-style conditions on them, for stores that know scalars alone.

Keys are the field (`user_id`), `metadata.` and the path, `at:` and the key for microseconds since 1970 of what is
written as a date, and `no:` and the field where it has no value. Numbers are kept as doubles.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, cast

from memkit.comparison import Op, as_mapping, day_of, moment_of
from memkit.filters import TEXT_FIELDS, And, Compare, Filter, Or, metadata_name, value_at
from memkit.vector_stores.base import Payload

_TEXTS: Final = frozenset({"user_id", "agent_id", "run_id", "kind", "role", "origin", "actor_id"})
_TIMES: Final = {field: f"at:{field}" for field in ("created_at", "valid_from", "valid_until", "expires_at")}
_MARKED: Final = {
    field: f"no:{field}" for field in ("user_id", "agent_id", "run_id", "valid_until", "expires_at")
}
"""Fields whose absence is written too, since `exists: False` on them is a part of every search."""
_LONGEST: Final = 512
"""Texts longer than this have no flat key."""
_DEEPEST: Final = 16
"""Values nested deeper than this have no flat key."""
_EXACT: Final = float(2**53)
"""Doubles tell all integers below this apart."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Scalar = str | float | bool
Where = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Native:
    """What of a filter a store can run: it passes at least every point that the filter passes."""

    where: Where | bool
    """True is everything, False nothing."""
    exact: bool
    """Whether it passes no other point either."""


_EVERYTHING: Final = Native(True, True)
_NOTHING: Final = Native(False, True)
_UNKNOWN: Final = Native(True, False)


def flatten(payload: Payload) -> dict[str, Scalar]:
    """Return the flat keys of a payload."""
    flat: dict[str, Scalar] = {}
    for field in _TEXTS:
        if (value := payload.get(field)) is not None:
            _put(flat, field, value, dates=False)
    for field, key in _TIMES.items():
        if (value := payload.get(field)) is not None and (moment := moment_of(value)) is not None:
            flat[key] = _microseconds(moment)
    for field, key in _MARKED.items():
        if payload.get(field) is None:
            flat[key] = True
    if metadata := payload.get("metadata"):
        for path, value in _values(metadata):
            _put(flat, f"metadata.{path}", value, dates=True)
    return flat


def _values(metadata: object) -> Iterable[tuple[str, object]]:
    """Return each path and what a filter finds there."""
    found = list(_walk(metadata, _DEEPEST))
    if all(type(key) is str and "." not in key for key, _, _ in found):
        return [(path, value) for _, path, value in found]
    # As the payload is read again: names that are no texts have become some, and one with dots hides a path.
    read = json.loads(json.dumps(metadata))
    return [(path, value_at(read, path)) for _, path, _ in _walk(read, _DEEPEST)]


def _walk(node: object, levels: int) -> Iterator[tuple[object, str, object]]:
    """Yield each key with its path and value, of what is nested too."""
    for key, value in (as_mapping(node) or {}).items() if levels else ():
        yield key, str(key), value
        if isinstance(value, Mapping):
            for inner, path, deep in _walk(cast("object", value), levels - 1):
                yield inner, f"{key}.{path}", deep


def _put(flat: dict[str, Scalar], key: str, value: object, *, dates: bool) -> None:
    if not _is_plain(key):
        return
    if isinstance(value, bool):
        flat[key] = value
    elif isinstance(value, (int, float)):
        flat[key] = _double(value)
    elif dates and (moment := moment_of(value)) is not None:
        flat[f"at:{key}"] = _microseconds(moment)
    elif isinstance(value, str) and _is_plain(value):
        # The text alone, where it is a member of an enumeration.
        flat[key] = value[:]


def _is_plain(text: str) -> bool:
    if len(text) > _LONGEST:
        return False
    return text.isascii() or not any("\ud800" <= char <= "\udfff" for char in text)


def _double(number: float) -> float:
    try:
        return float(number)
    except OverflowError:
        return 1.7e308 if number > 0 else -1.7e308


def _microseconds(moment: datetime) -> float:
    since = moment - _EPOCH
    return float((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds)


def native_where(filter: Filter | None) -> Native:
    """Return the part of a filter that can be run on flat keys."""
    return _EVERYTHING if filter is None else _compile(filter, negated=False)


def _compile(filter: Filter, *, negated: bool) -> Native:
    if isinstance(filter, Compare):
        return _negated(filter) if negated else _leaf(filter.field, filter.op, filter.value)
    if isinstance(filter, And | Or):
        parts = [_compile(part, negated=negated) for part in filter.parts]
        return _every(parts) if isinstance(filter, And) is not negated else _some(parts)
    # Not: none of the parts holds.
    parts = [_compile(part, negated=not negated) for part in filter.parts]
    return _some(parts) if negated else _every(parts)


_OPPOSITE: Final[Mapping[Op, Op]] = {"eq": "ne", "ne": "eq", "in": "nin", "nin": "in"}


def _negated(compare: Compare) -> Native:
    if compare.op == "exists":
        return _leaf(compare.field, "exists", not compare.value)
    if compare.op in _OPPOSITE:
        return _leaf(compare.field, _OPPOSITE[compare.op], compare.value)
    # The complement of a range holds every point without the key, which flat conditions cannot ask for.
    return _UNKNOWN


def _every(parts: Sequence[Native]) -> Native:
    if any(part.where is False for part in parts):
        return _NOTHING
    wheres = [part.where for part in parts if isinstance(part.where, dict)]
    return Native(_join("$and", wheres, True), all(part.exact for part in parts))


def _some(parts: Sequence[Native]) -> Native:
    if any(part.where is True for part in parts):
        return _EVERYTHING if _EVERYTHING in parts else _UNKNOWN
    wheres = [part.where for part in parts if isinstance(part.where, dict)]
    return Native(_join("$or", wheres, False), all(part.exact for part in parts))


def _join(operator: str, wheres: list[Where], empty: bool) -> Where | bool:
    if not wheres:
        return empty
    return wheres[0] if len(wheres) == 1 else {operator: wheres}


def _leaf(field: str, op: Op, value: Any) -> Native:
    if op == "exists":
        return _exists(field, there=bool(value))
    if op in ("in", "nin"):
        return _listed(field, op, value)
    if value is None:
        return _exists(field, there=op == "ne") if op in ("eq", "ne") else _UNKNOWN
    name = metadata_name(field)
    if name is None and field not in _TEXTS and field not in _TIMES:
        return _UNKNOWN
    key = field if name is None else f"metadata.{name}"
    if key.count(".") >= _DEEPEST or not _is_plain(key):
        return _UNKNOWN
    if field not in TEXT_FIELDS and (day := day_of(value)) is not None:
        return _in_time(f"at:{key}", op, _microseconds(day[0]), _microseconds(day[1]))
    if field in _TIMES or op in ("contains", "icontains"):
        return _UNKNOWN
    return _scalar(key, op, value)


def _exists(field: str, *, there: bool) -> Native:
    if field not in _MARKED:
        return _UNKNOWN
    return Native({f"no:{field}": {"$ne" if there else "$eq": True}}, True)


def _listed(field: str, op: Op, values: Sequence[Any]) -> Native:
    each: Op = "eq" if op == "in" else "ne"
    parts = [_leaf(field, each, value) for value in values]
    keys = {key for part in parts if isinstance(part.where, dict) for key in part.where}
    plain = all(part.exact and isinstance(part.where, dict) for part in parts)
    if plain and len(keys) == 1 and len(parts) > 1 and all(isinstance(value, str) for value in values):
        key = keys.pop()
        if not key.startswith(("at:", "no:", "$")):
            return Native({key: {f"${op}": list(values)}}, True)
    return _some(parts) if op == "in" else _every(parts)


def _in_time(key: str, op: Op, first: float, last: float) -> Native:
    if max(abs(first), abs(last)) >= _EXACT:
        return _UNKNOWN
    if op == "eq":
        whole_day: list[Where] = [{key: {"$gte": first}}, {key: {"$lte": last}}]
        return Native({"$and": whole_day}, True)
    if op in ("lt", "gte"):
        return Native({key: {f"${op}": first}}, True)
    return Native({key: {f"${op}": last}}, True) if op in ("gt", "lte") else _UNKNOWN


def _scalar(key: str, op: Op, value: object) -> Native:
    ordered = op not in ("eq", "ne")
    if isinstance(value, bool):
        return _NOTHING if ordered else Native({key: {f"${op}": value}}, True)
    if isinstance(value, int | float):
        exact = abs(cast("float", value)) < _EXACT
        return Native({key: {f"${op}": float(value)}}, True) if exact else _UNKNOWN
    if isinstance(value, str) and _is_plain(value) and not ordered:
        return Native({key: {f"${op}": value}}, True)
    return _UNKNOWN
