"""Reading history, operations, owners and counts from PostgreSQL."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from ...scope import Owner
from ..base import Event, LedgerInfo, Operation, OwnerRow
from ..rows import OPERATION_SELECT, Row, operation_of, stored_id
from ..states import EVENT_SELECT, States, event_of, in_effect, walk_back
from .base import PostgresBase, Session, reading, twin
from .rows import RECORDS
from .schema import NEWEST

_OPERATION: Final = OPERATION_SELECT + "WHERE id = %s"
_OPERATION_AND_COUNT: Final = _OPERATION.replace(" FROM ", ", coalesce(events, 0) FROM ", 1)


class PostgresHistory(PostgresBase):
    """The reads of a ledger that are about history, operations and owners."""

    @reading(list[Event], snapshot=True)
    async def history(self, s: Session, memory_id: str) -> Sequence[Event]:
        """Return all events of a memory, oldest first; survives its deletion."""
        rows = await s.rows(_EVENTS_OF_MEMORY, (stored_id(memory_id),) * 3)
        # What was forgotten has no state any more.
        states = await self._states(s, sorted({row[2] for row in rows if row[8] is None}))
        return [event_of(row, states) for row in rows]

    @reading(lambda: None, snapshot=True)
    async def operation(self, s: Session, operation_id: str) -> tuple[Operation, Sequence[Event]] | None:
        """Return an operation with its events, oldest first."""
        row = await s.row(_OPERATION_AND_COUNT, (stored_id(operation_id),))
        if row is None:
            return None
        *row, written = row
        rows = await _events_of(s, row)
        states = await self._states(s, sorted({event[2] for event in rows}))
        return replace(operation_of(row), erased=written - len(rows)), [event_of(e, states) for e in rows]

    @reading(lambda: None)
    async def operation_by_key(self, s: Session, owner: Owner, key: str) -> Operation | None:
        """Return the operation that used an idempotency key, None while it is free."""
        row = await s.row(
            OPERATION_SELECT + "WHERE coalesce(operation.owner, 0) ="
            " (SELECT no FROM owner WHERE kind = %s AND id = %s) AND key = %s",
            (owner.kind, owner.id, key),
        )
        return None if row is None else operation_of(row)

    @reading(list[str], snapshot=True)
    async def later_operations(self, s: Session, operation_id: str) -> Sequence[str]:
        """Return operations that changed the same records after it and are still in effect, oldest first."""
        row = await s.row(_OPERATION, (stored_id(operation_id),))
        if row is None or row[11] is None:
            return []
        rids = sorted({event[2] for event in await _events_of(s, row)})
        later = await s.rows(_LATER, (rids, row[11], row[0]))
        return in_effect({found[0]: found for found in later}, row[1])

    async def _states(self, s: Session, rids: Sequence[int]) -> States:
        """Return the states around every event of some records."""
        if not rids:
            return {}
        given = list(rids)
        events, rows = await s.together(
            [(_EDITS, (given,)), (RECORDS + "WHERE record.rid = ANY(%s)", (given,))]
        )
        edits: dict[int, list[Row]] = defaultdict(list)
        for event in events:
            edits[event[0]].append(event)
        states: States = {}
        for kind, owner_id, *row in rows:
            walk_back(row, Owner(kind=kind, id=owner_id), self._book.salt, edits[row[0]], states)
        return states

    # ------------------------------------------------------------------------------------- owners

    @reading(list[OwnerRow])
    async def owners(
        self,
        s: Session,
        *,
        kind: str = "user",
        prefix: str | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> Sequence[OwnerRow]:
        """Return owners of a kind ordered by id, after a given id."""
        clauses, parameters = ["kind = %s"], list[Any]([kind])
        if prefix:
            clauses.append("id >= %s AND starts_with(id, %s)")
            parameters += [prefix, prefix]
        if after is not None:
            clauses.append("id > %s")
            parameters.append(after)
        rows = await s.rows(
            f"SELECT no, id, memories, messages, changed FROM owner WHERE {' AND '.join(clauses)} ORDER BY id LIMIT %s",
            (*parameters, limit),
        )
        return [
            OwnerRow(
                number=no,
                owner=Owner(kind=kind, id=one),
                memories=memories,
                messages=messages,
                last_change=at,
            )
            for no, one, memories, messages, at in rows
        ]

    # ------------------------------------------------------------------------------------- counts

    def info(self) -> LedgerInfo:
        """Return what the ledger says of itself."""
        return self._info_of(*self._counts())

    async def ainfo(self) -> LedgerInfo:
        """Return what `info` does without blocking the event loop."""
        return self._info_of(*await twin(self._counts)())

    def _info_of(self, counts: Row, outbox: Sequence[Row]) -> LedgerInfo:
        memories, messages, owners, events, jobs, items, size, identity, dim = counts
        return LedgerInfo(
            name=self.name,
            location=self.location,
            schema_version=NEWEST,
            memories=memories,
            messages=messages,
            owners=owners,
            events=events,
            jobs=jobs,
            outbox={name: size for name, size in outbox},  # noqa: C416  rows have no type
            bytes=size,
            embedder=identity,
            dim=dim if identity is not None else None,
            items=items,
        )

    @reading(lambda: ((0, 0, 0, 0, 0, 0, None, None, None), []))
    async def _counts(self, s: Session) -> tuple[Row, Sequence[Row]]:
        (counts,), outbox = await s.together(
            [
                (_COUNTS, (self._schema,)),
                ("SELECT name, count(*) FROM outbox GROUP BY name ORDER BY name", ()),
            ]
        )
        return counts, outbox


_EVENTS_OF_MEMORY: Final = (
    f"{EVENT_SELECT}WHERE e.memory = %s"
    f" UNION ALL {EVENT_SELECT}WHERE e.seq = (SELECT seq FROM record WHERE id = %s)"
    f" UNION ALL {EVENT_SELECT}WHERE e.rid = (SELECT rid FROM record WHERE id = %s) AND e.code != 1 ORDER BY seq"
)
_EDITS: Final = "SELECT rid, seq, delta FROM event WHERE rid = ANY(%s) AND code != 1"
_LATER: Final = """
SELECT no, id, undoes FROM operation WHERE no IN (
    SELECT op FROM event WHERE rid = ANY(%s) AND code != 1 AND seq > %s AND op != %s
)"""
_COUNTS: Final = """
SELECT coalesce(sum(memories), 0)::bigint, coalesce(sum(messages), 0)::bigint, count(*),
    (SELECT count(*) FROM event), (SELECT count(*) FROM job), (SELECT count(*) FROM item),
    (SELECT sum(pg_total_relation_size(oid))::bigint FROM pg_class
     WHERE relkind = 'r' AND relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = %s)),
    (SELECT value FROM meta WHERE key = 'embedder'), (SELECT dim FROM state)
FROM owner"""


async def _events_of(s: Session, operation: Row) -> list[Row]:
    """Return the event rows of an `OPERATION_SELECT` row, oldest first."""
    if operation[10] is None:
        return []
    sql = EVENT_SELECT + "WHERE e.seq BETWEEN %s AND %s AND e.op = %s ORDER BY e.seq"
    return list(await s.rows(sql, (operation[10], operation[11], operation[0])))
