"""Which columns a test of rows looks at, and how they become the payload that it is run on."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from ..clock import to_iso
from .records import RowTest
from .rows import unpack_id

_COLUMNS: Final[Mapping[str, tuple[str, Callable[[Any], Any] | None]]] = {
    "id": ("record.id", unpack_id),
    "memory": ("coalesce(record.text, message.text, '')", None),
    "kind": ("record.kind", None),
    "role": ("record.role", None),
    "origin": ("record.origin", None),
    "actor_id": ("record.actor", None),
    "pinned": ("record.pinned", bool),
    "version": ("record.version", None),
    "created_at": ("record.created_at", to_iso),
    "updated_at": ("record.updated_at", to_iso),
    "valid_from": ("coalesce(record.valid_from, record.created_at)", to_iso),
    "valid_until": ("record.valid_until", lambda at: None if at is None else to_iso(at)),
    "expires_at": ("record.expires_at", lambda at: None if at is None else to_iso(at)),
}
"""Fields of a payload, the column each comes from, and how it is read; `metadata` comes from two."""
_METADATA: Final = "metadata"
_SHARED: Final = frozenset({"kind", "role", "origin", "actor_id", "pinned", _METADATA})
"""Fields that many memories have alike."""


def scan_select(test: RowTest) -> str:
    """Return the statement, up to its conditions, that gives rid, `created_at`, and what a test looks at."""
    names = sorted(test.fields - {_METADATA})
    columns = [_COLUMNS[name][0] for name in names]
    join = "LEFT JOIN message ON message.rid = record.message " if "memory" in names else ""
    if _METADATA in test.fields:
        columns += ["record.metadata", "record.data"]
    return f"SELECT {', '.join(['record.rid', 'record.created_at', *columns])} FROM record {join}"


def acceptor(test: RowTest) -> Callable[[Sequence[Any]], bool]:
    """Return the test of rows of `scan_select`."""
    names = sorted(test.fields - {_METADATA})
    accepts = _reader(names, test, meta=_METADATA in test.fields)
    return _verdicts(accepts) if test.fields <= _SHARED else accepts


def _verdicts(accepts: Callable[[Sequence[Any]], bool]) -> Callable[[Sequence[Any]], bool]:
    """Return a test of rows that many memories have alike: one answer serves them all."""
    known: dict[tuple[Any, ...], bool] = {}

    def verdict(row: Sequence[Any]) -> bool:
        looked_at = tuple(row[2:])
        found = known.get(looked_at)
        if found is None:
            found = known[looked_at] = accepts(row)
        return found

    return verdict


def _reader(names: Sequence[str], test: RowTest, *, meta: bool) -> Callable[[Sequence[Any]], bool]:
    reads = [(place, name, _COLUMNS[name][1]) for place, name in enumerate(names, 2)]

    def accepts(row: Sequence[Any]) -> bool:
        payload: dict[str, Any] = {
            name: row[place] if read is None else read(row[place]) for place, name, read in reads
        }
        if meta:
            payload[_METADATA] = _metadata(row[-2], row[-1])
        return test.accepts(payload)

    return accepts


def _metadata(text: str | None, data: str | None) -> dict[str, Any]:
    metadata: dict[str, Any] = json.loads(text) if text else {}
    return metadata if data is None else {"data": json.loads(data), **metadata}
