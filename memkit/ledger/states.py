"""Events with the states around them: earlier ones are walked back to from the present row."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from ..scope import Owner
from .records import Event, Record
from .rows import ADD, NAMES, Row, column, record_of, unpack_id, with_columns

EVENT_SELECT: Final = (
    "SELECT e.seq, o.id, e.rid, e.code, e.at, e.delta, e.reason, e.actor, e.memory, e.op"
    " FROM event e JOIN operation o ON o.no = e.op "
)

States = dict[int, tuple[str, Record | None, Record | None]]
"""By event number: the memory's id, and its states before and after."""


def event_of(row: Row, states: States) -> Event:
    """Return the event of an `EVENT_SELECT` row."""
    seq, operation_id, _rid, code, at, _delta, reason, actor, memory, _op = row
    memory_id, before, after = states.get(seq, ("" if memory is None else unpack_id(memory), None, None))
    return Event(
        seq=seq,
        operation_id=unpack_id(operation_id),
        memory_id=memory_id,
        event=NAMES[code],
        before=None if code == ADD else before,
        after=after,
        reason=reason,
        actor=actor,
        at=at,
    )


def walk_back(row: Row, owner: Owner, salt: int, edits: Sequence[Row], states: States) -> None:
    """Note the states around every event of a record, from its present `RECORD_SELECT` row back to its first.

    Args:
        row: The record as it is.
        owner: Its owner.
        salt: Of the ledger's message ids.
        edits: (rid, event number, delta) of every event of it but the first, in any order.
        states: Where the states go.
    """
    memory_id = unpack_id(row[1])

    def state(of: Any) -> Record | None:
        return None if column(of, "deleted") else record_of(of, owner, salt)

    after = state(row)
    for _rid, seq, delta in sorted(edits, key=lambda edit: edit[1], reverse=True):
        earlier: dict[str, Any] = json.loads(delta) if delta else {}
        row = with_columns(row, {**earlier, "version": column(row, "version") - 1})
        before = state(row)
        states[seq] = (memory_id, before, after)
        after = before
    states[column(row, "seq")] = (memory_id, None, after)


def in_effect(rows: Mapping[int, Row], of: bytes | str) -> list[str]:
    """Return the ids of operations that no later undo has cancelled, and of no undo of `of`, oldest first.

    Args:
        rows: (number, id, undoes) of operations, by number.
        of: The packed id of the operation that they come after.
    """
    known = {of, *(row[1] for row in rows.values())}
    cancelled: set[bytes | str] = set()
    kept: list[str] = []
    for number in sorted(rows, reverse=True):
        _no, raw_id, undoes = rows[number]
        if raw_id in cancelled:
            continue
        if undoes in known:
            # An undo that is in effect and what it undid are both left out, also when it undid `of` itself.
            cancelled.update((raw_id, undoes))
            continue
        kept.append(unpack_id(raw_id))
    return kept[::-1]
