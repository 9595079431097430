"""What the columns of a pgvector table hold, and filters as conditions of SQL on them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Final, cast

import numpy as np

from memkit.filters import And, Filter, all_of, fields_of
from memkit.postgres.wire import vector_off_wire, vectors_on_wire
from memkit.vector_stores.base import StoreRecord, storable_ids
from memkit.vector_stores.flat import Native, Where, flatten, native_where

Sql = tuple[str, list[Any]]

COLUMNS: Final = ("id", "user_id", "agent_id", "run_id", "payload", "flat", "vector")
_SCOPE: Final = COLUMNS[1:4]
_LONG: Final = 160
"""Characters of a scope id that an index holds; of longer ones it holds a digest."""


class Conditions:
    """A filter as conditions of SQL, those on the scope apart; they pass at least what the filter passes."""

    def __init__(self, filter: Filter | None) -> None:
        parts = _conjuncts(filter)
        narrow = native_where(all_of(*(part for part in parts if fields_of(part) <= {*_SCOPE})))
        other = native_where(all_of(*(part for part in parts if not fields_of(part) <= {*_SCOPE})))
        self.nothing = narrow.where is False or other.where is False
        self.exact = narrow.exact and other.exact
        self.scope = _condition(narrow)
        rest = _condition(other)
        self.every: Sql = f"{self.scope[0]} AND {rest[0]}", [*self.scope[1], *rest[1]]


def _conjuncts(filter: Filter | None) -> list[Filter]:
    if isinstance(filter, And):
        return [part for each in filter.parts for part in _conjuncts(each)]
    return [] if filter is None else [filter]


def _condition(native: Native) -> Sql:
    return _sql(native.where) if isinstance(native.where, dict) else ("TRUE", [])


def _sql(where: Where) -> Sql:
    ((key, value),) = where.items()
    if key in ("$and", "$or"):
        parts = [_sql(part) for part in value]
        joined = f" {key[1:].upper()} ".join(sql for sql, _ in parts)
        return f"({joined})", [arg for _, args in parts for arg in args]
    ((op, operand),) = value.items()
    if key.startswith("no:") and key[3:] in _SCOPE:
        return f"{key[3:]} IS {'' if op == '$eq' else 'NOT '}NULL", []
    if key in _SCOPE and isinstance(operand, str | list):
        return _on_column(key, op, operand)
    field = "(flat -> %s::text)"
    if op == "$eq":
        return "flat @> %s::jsonb", [_dumped({_in_json(key): operand})]
    if op == "$ne":
        return f"{field} IS DISTINCT FROM %s::jsonb", [key, _dumped(operand)]
    if op in ("$in", "$nin"):
        listed = f"({field} = ANY (%s::jsonb[])) IS {'' if op == '$in' else 'NOT '}TRUE"
        return listed, [key, [_dumped(each) for each in operand]]
    in_order = f"(jsonb_typeof{field} = 'number' AND {field} {_ORDERED[op]} %s::jsonb)"
    return in_order, [key, key, _dumped(operand)]


_ORDERED: Final = {"$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}


def _on_column(column: str, op: str, operand: Any) -> Sql:
    if op in ("$in", "$nin"):
        listed = f"({column} = ANY (%s::text[]))"
        return listed if op == "$in" else f"{listed} IS NOT TRUE", [[_column(each) for each in operand]]
    return f"{column} {'=' if op == '$eq' else 'IS DISTINCT FROM'} %s", [_column(operand)]


# What the columns hold.


def _in_json(text: str) -> str:
    """Return a text as it stands inside `jsonb`, which refuses the null character."""
    return text.replace("\1", "\1\2").replace("\0", "\1\1")


def _column(value: object) -> str | None:
    """Return what stands for a scope id in its column; a digest where it is no text that an index can hold."""
    if value is None:
        return None
    if isinstance(value, str) and len(value) <= _LONG and storable_ids([value or "x"]):
        return value
    return "\1#" + sha256(json.dumps(value).encode()).hexdigest()


def _dumped(value: object) -> str:
    """Return a flat value, or several by name, as JSON that `jsonb` takes."""
    if isinstance(value, dict):
        pairs = cast("dict[str, object]", value).items()
        value = {key: _in_json(each) if isinstance(each, str) else each for key, each in pairs}
    return json.dumps(_in_json(value) if isinstance(value, str) else value)


def ordered(checked: list[tuple[StoreRecord, str]]) -> list[tuple[StoreRecord, str]]:
    """Return records in the order of ids, in which every writer locks them."""
    return sorted(checked, key=lambda pair: pair[0].id)


def arguments(batch: Sequence[tuple[StoreRecord, str]], type: int) -> list[Any]:
    """Return the columns of some records, each as one array; `type` is the number of the type `vector`."""
    ids, payloads, flats = list[str](), list[str](), list[str]()
    scopes: list[list[str | None]] = [[], [], []]
    for record, payload in batch:
        own = json.loads(payload)
        flat = flatten(own)
        for column, field in zip(scopes, _SCOPE, strict=True):
            column.append(_column(own.get(field)))
            flat.pop(f"no:{field}", None)
            if isinstance(own.get(field), str):
                flat.pop(field, None)
        ids.append(record.id)
        payloads.append(payload)
        flats.append(_dumped({_in_json(key): value for key, value in flat.items()}))
    rows = np.stack([record.vector for record, _ in batch])
    return [ids, *scopes, payloads, flats, vectors_on_wire(rows, type)]


def record_of(row: Sequence[Any]) -> StoreRecord:
    """Return the record of a row of id, payload and vector."""
    return StoreRecord(id=row[0], vector=vector_off_wire(row[2]), payload=row[1])
