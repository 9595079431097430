"""Reading records from PostgreSQL: what changed since, by id, in a scope. One statement each, wherever one will do."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ...errors import BackendUnavailableError
from ...scope import Owner, ReadScope
from ..base import OWNER_SHIFT, Delta, Fetched, Mark, Outlook, OwnerMark, RankRow, Record, RowTest
from ..packing import vectors_of
from ..rows import Row, column, owner_range, stored_id
from ..scan import acceptor, scan_select
from .base import PostgresBase, Session, reading
from .rows import OWNER_SPAN, RECORD_FIELDS, RECORD_JOINS, RECORDS, owned_record, owned_records
from .scope import live_where, owners_select

if TYPE_CHECKING:
    from ..base import Matrix

LAST_RID: Final = (1 << 63) - 1
SNAPSHOT: Final = "ISOLATION LEVEL REPEATABLE READ READ ONLY"
_LOAD: Final = 1_024
_SCAN: Final = 256
"""Rows that a listing with a test reads first; each further piece is four times as long."""
_MARKS_KEPT: Final = 64
_STORE_WIDE: Final = 1 << 62
"""In every store-wide mark. Event numbers are in the order of commits within one owner only: what lies between two
store-wide marks is what lies between the event numbers of each owner that they stand for."""
_EVENTS: Final = "(state.event + coalesce((SELECT sum(event) FROM owner), 0))"
EVERY_EVENT: Final = f"(CASE {_EVENTS} WHEN 0 THEN 0 ELSE {_STORE_WIDE} + {_EVENTS} END)::bigint"
"""The store-wide mark, as a column of `state`: another number after every commit, 0 before the first."""

Known = tuple[int, Mapping[int, int]]
"""What a store-wide mark stands for: the number of resets, and the last event number of each owner."""


class PostgresReading(PostgresBase):
    """The reads of a ledger that are about records."""

    @cached_property
    def _store_marks(self) -> OrderedDict[int, Known]:
        """The store-wide marks given out last."""
        return OrderedDict()

    # ------------------------------------------------------------------------------------- owners

    @reading(lambda: None)
    async def owner_number(self, s: Session, owner: Owner) -> int | None:
        """Return the owner's number, None while nothing is stored for it."""
        return await s.one("SELECT no FROM owner WHERE kind = %s AND id = %s", (owner.kind, owner.id))

    @reading(list[int])
    async def owners_in(self, s: Session, scope: ReadScope) -> Sequence[int] | None:
        """Return the numbers of owners that may hold rows of the scope, ascending; None means all of them."""
        found = owners_select(scope)
        return (
            None if found is None else [row[0] for row in await s.rows(found[0] + " ORDER BY no", found[1])]
        )

    @reading(lambda: 0)
    async def size(self, s: Session, owner: int | None) -> int:
        """Return how many live records an owner (None: everyone) has, cheaply."""
        where, parameters = ("", ()) if owner is None else (" WHERE no = %s", (owner,))
        return await s.one(f"SELECT coalesce(sum(memories), 0)::bigint FROM owner{where}", parameters)

    @reading(lambda: Outlook(embedder=None, owners=()))
    async def outlook(self, s: Session, scope: ReadScope) -> Outlook:
        """Return the embedder and the owners of a scope as of one moment, in one statement."""
        found = owners_select(scope)
        if found is None:
            rows = await s.rows(_OUTLOOK_OF_ALL)
        else:
            rows = await s.rows(_OUTLOOK.format(owners=found[0]), found[1])
        identity, dim = rows[0][:2]
        return Outlook(
            embedder=None if identity is None else (identity, dim),
            owners=[
                OwnerMark(number=number, memories=memories, event=event)
                for _identity, _dim, number, memories, event in rows
                if event is not None
            ],
        )

    # ------------------------------------------------------------------------------------- changes

    @reading(lambda: Delta(mark=Mark(), records=(), vectors=None, removed=(), reset=True))
    async def changes(self, s: Session, owner: int | None, since: Mark | None) -> Delta:
        """Return what changed for an owner (None: for all) since the mark, by one statement for an owner."""
        if owner is None:
            return await self._store_changes(s, since)
        if since is None:
            return await self._everything(s, owner)
        event, reset, delta = await self._increment(s, {owner: since.event})
        if event == since.event:
            return Delta(mark=since, records=(), vectors=None, removed=())
        # What was forgotten meanwhile is not among the changes, but it has raised `reset`.
        return delta if reset <= since.event < event else await self._everything(s, owner)

    async def _store_changes(self, s: Session, since: Mark | None) -> Delta:
        if since is not None and since.event == await s.one(f"SELECT {EVERY_EVENT} FROM state"):
            return Delta(mark=since, records=(), vectors=None, removed=())
        await s.begin(SNAPSHOT)
        mark, resets, owners = await self._store_mark(s)
        known = None if since is None else self._known(since, resets, owners)
        if known is None:
            delta = await self._everything(s, None)
        else:
            moved = {no: known.get(no, 0) for no, event in owners.items() if event > known.get(no, 0)}
            delta = (await self._increment(s, moved))[2]
        await s.commit()
        return replace(delta, mark=mark)

    def _known(self, since: Mark, resets: int, owners: Mapping[int, int]) -> Mapping[int, int] | None:
        """Return the last event number that a store-wide mark knows of each owner; None to begin anew."""
        if since.event < _STORE_WIDE:
            return (
                dict.fromkeys(owners, since.event) if since.event <= max(owners.values(), default=0) else None
            )
        known = self._store_marks.get(since.event)
        return known[1] if known is not None and known[0] == resets else None

    async def _store_mark(self, s: Session) -> tuple[Mark, int, Mapping[int, int]]:
        """Return the store-wide mark, the number of resets, and each owner's last event number; remember them."""
        state, owners = await s.together(
            [(f"SELECT {EVERY_EVENT}, state.reset FROM state", ()), ("SELECT no, event FROM owner", ())]
        )
        number, resets = state[0]
        events: dict[int, int] = dict(owners)
        self._store_marks[number] = (resets, events)
        self._store_marks.move_to_end(number)
        while len(self._store_marks) > _MARKS_KEPT:
            self._store_marks.popitem(last=False)
        return Mark(event=number), resets, events

    async def _increment(self, s: Session, since: Mapping[int, int]) -> tuple[int, int, Delta]:
        """Return the last event and reset of some owners, and what changed since an event number of each."""
        rows = await s.rows(_INCREMENT, (list(since), list(since.values())))
        event, reset = rows[0][:2]
        changed = [row for row in rows if row[2] is not None]
        live = [row for row in changed if row[7] is not None and not column(row[7:], "deleted")]
        removed = sorted({row[2] for row in changed}.difference(row[2] for row in live))
        return event, reset, self._delta(Mark(event=event), live, removed)

    async def _everything(self, s: Session, owner: int | None) -> Delta:
        """Return all live records of an owner (None: of all), at a mark of theirs."""
        low, high = (0, LAST_RID) if owner is None else owner_range(owner)
        rows = await s.rows(_EVERYTHING, (owner, low, high, low, high))
        live = [row for row in rows if row[7] is not None]
        return replace(self._delta(Mark(event=rows[0][0]), live, []), reset=True)

    def _delta(self, mark: Mark, rows: Sequence[Row], removed: Sequence[int]) -> Delta:
        """Return live rows, each behind (event, reset, rid, dimension, vector)."""
        return Delta(
            mark=mark,
            records=owned_records((row[5:] for row in rows), self._book.salt),
            vectors=vectors_of([row[4] for row in rows], rows[0][3] or 0) if rows else None,
            removed=removed,
        )

    def load(self, owner: int | None, take: Callable[[Sequence[RankRow], Matrix], None]) -> Mark:
        """Hand over all live records of an owner (None: of all) with their vectors, some at a time by rid.

        Raises:
            BackendUnavailableError: The connection was lost after some were handed over.
        """
        return self._load(owner, _Once(take, self.location))

    @reading(Mark)
    async def _load(self, s: Session, owner: int | None, take: _Once) -> Mark:
        take.begin()
        await s.begin(SNAPSHOT)
        low, high = (0, LAST_RID) if owner is None else owner_range(owner)
        gen, dim = (await s.rows("SELECT gen, dim FROM state"))[0]
        if owner is None:
            mark = (await self._store_mark(s))[0]
        else:
            mark = Mark(event=await s.one("SELECT event FROM owner WHERE no = %s", (owner,)) or 0)
        while rows := await s.rows(_RANK_ROWS, (gen, low, high, low, high, _LOAD)):
            take([RankRow._make(row[:-1]) for row in rows], vectors_of([row[-1] for row in rows], dim or 0))
            low = rows[-1][0] + 1
        await s.commit()
        return mark

    # ------------------------------------------------------------------------------------- by id

    @reading(lambda: Fetched(records=(), marks={}))
    async def fetch(self, s: Session, rids: Sequence[int]) -> Fetched:
        """Return live records with the event numbers they are current at, in one statement."""
        if not rids:
            return Fetched(records=(), marks={})
        rows, salt = await s.rows(_FETCH, (list(rids),)), self._book.salt
        found = {row[4]: owned_record(row[2:], salt) for row in rows if row[4] is not None}
        marks = {rid >> OWNER_SHIFT: 0 for rid in rids}
        marks.update({row[0]: row[1] for row in rows})
        return Fetched(records=[found[rid] for rid in rids if rid in found], marks=marks)

    @reading(lambda: ([], np.zeros((0, 0), np.float32)))
    async def with_vectors(self, s: Session, rids: Sequence[int]) -> tuple[Sequence[Record], Matrix]:
        """Return live records in the order asked, with one vector row each (zeros where there is none)."""
        rows = {row[4]: row for row in await s.rows(_WITH_VECTORS, (list(rids),))}
        asked = [rows[rid] for rid in rids if rid in rows]
        dim = asked[0][0] if asked else await s.one("SELECT dim FROM state")
        records = owned_records((row[2:] for row in asked), self._book.salt)
        return records, vectors_of([row[1] for row in asked], dim or 0)

    @reading(dict[int, bytes])
    async def tokens(self, s: Session, rids: Sequence[int]) -> Mapping[int, bytes]:
        """Return the tokens of records by rid, without those that have none."""
        return dict(await s.rows("SELECT rid, e FROM tokens WHERE rid = ANY(%s)", (list(rids),)))

    @reading(list[Record])
    async def records(self, s: Session, ids: Sequence[str]) -> Sequence[Record]:
        """Return records by memory id, deleted ones too, in the order asked, without those that never were."""
        rows = await s.rows(RECORDS + "WHERE record.id = ANY(%s)", ([stored_id(one) for one in ids],))
        found = {record.id: record for record in owned_records(rows, self._book.salt)}
        return [found[one] for one in ids if one in found]

    @reading(list[Record])
    async def in_slots(self, s: Session, owner: Owner, slots: Sequence[bytes]) -> Sequence[Record]:
        """Return live records of an owner that stand in these slots and are not closed, by rid."""
        rows = await s.rows(
            RECORDS + "WHERE record.owner = (SELECT no FROM owner WHERE kind = %s AND id = %s)"
            " AND record.slot = ANY(%s) AND record.deleted = 0 AND record.valid_until IS NULL ORDER BY record.rid",
            (owner.kind, owner.id, list(slots)),
        )
        return owned_records(rows, self._book.salt)

    # ------------------------------------------------------------------------------------- in a scope

    @reading(list[Record])
    async def listing(
        self,
        s: Session,
        scope: ReadScope,
        *,
        at: int,
        present: bool = False,
        include_closed: bool = False,
        limit: int,
        after: tuple[int, int] | None = None,
        test: RowTest | None = None,
    ) -> Sequence[Record]:
        """Return live records of the scope that pass, newest `created_at` first, then highest rid."""
        where, parameters = live_where(scope, at, present=present, include_closed=include_closed)
        if test is None:
            rows = await s.rows(*_page(RECORDS, where, parameters, after, limit))
            return owned_records(rows, self._book.salt)
        await s.begin(SNAPSHOT)
        rids = await _passing(s, test, where, parameters, after, limit)
        rows = await s.rows(RECORDS + "WHERE record.rid = ANY(%s)", (rids,))
        await s.commit()
        found = {record.rid: record for record in owned_records(rows, self._book.salt)}
        return [found[rid] for rid in rids]

    @reading(list[int])
    async def passing(
        self,
        s: Session,
        scope: ReadScope,
        test: RowTest,
        *,
        at: int,
        present: bool = True,
        include_closed: bool = True,
    ) -> Sequence[int]:
        """Return the rids that `listing` would give of all records that pass a test, in any order."""
        where, parameters = live_where(scope, at, present=present, include_closed=include_closed)
        accepts = acceptor(test)
        return [
            row[0] for row in await s.rows(f"{scan_select(test)}WHERE {where}", parameters) if accepts(row)
        ]

    @reading(list[Record])
    async def standing(self, s: Session, scope: ReadScope, *, at: int, limit: int) -> Sequence[Record]:
        """Return current records that hold whatever is asked: instructions, preferences and pinned ones, by rid."""
        where, parameters = live_where(scope, at, present=True, include_closed=False)
        standing = " AND (record.pinned = 1 OR record.kind IN ('instruction', 'preference'))"
        rows = await s.rows(
            f"{RECORDS}WHERE {where}{standing} ORDER BY record.rid LIMIT %s", (*parameters, limit)
        )
        return owned_records(rows, self._book.salt)

    @reading(lambda: 0)
    async def count(
        self,
        s: Session,
        scope: ReadScope,
        *,
        at: int,
        present: bool = False,
        include_closed: bool = False,
        test: RowTest | None = None,
    ) -> int:
        """Return how many `listing` would give."""
        where, parameters = live_where(scope, at, present=present, include_closed=include_closed)
        if test is None:
            return await s.one(f"SELECT count(*) FROM record WHERE {where}", parameters)
        accepts = acceptor(test)
        rows = await s.rows(f"{scan_select(test)}WHERE {where}", parameters)
        return sum(1 for row in rows if accepts(row))

    @reading(list[Record])
    async def expired(self, s: Session, now: int, limit: int) -> Sequence[Record]:
        """Return live records whose `expires_at` has passed and that have no EXPIRE event yet, oldest first."""
        rows = await s.rows(
            RECORDS + "WHERE record.expires_at <= %s AND record.deleted = 0 AND record.expired = 0"
            " AND record.expires_at IS NOT NULL ORDER BY record.expires_at, record.rid LIMIT %s",
            (now, limit),
        )
        return owned_records(rows, self._book.salt)


class _Once:
    """Hands rows over, once: what was handed over cannot be taken back when the read begins again."""

    def __init__(self, take: Callable[[Sequence[RankRow], Matrix], None], location: str) -> None:
        self._take, self._location, self._taken = take, location, False

    def begin(self) -> None:
        """Begin to read.

        Raises:
            BackendUnavailableError: Some rows are handed over already.
        """
        if self._taken:
            raise BackendUnavailableError(
                f"The connection to {self._location} was lost while records were read from it. Try again.",
                backend="postgresql",
            )

    def __call__(self, rows: Sequence[RankRow], vectors: Matrix) -> None:
        self._taken = True
        self._take(rows, vectors)


_OUTLOOK: Final = """
SELECT meta.value, state.dim, owner.no, owner.memories, owner.event
FROM state LEFT JOIN meta ON meta.key = 'embedder' LEFT JOIN owner ON owner.no IN ({owners}) ORDER BY owner.no"""
_OUTLOOK_OF_ALL: Final = f"""
SELECT meta.value, state.dim, NULL, (SELECT coalesce(sum(memories), 0)::bigint FROM owner), {EVERY_EVENT}
FROM state LEFT JOIN meta ON meta.key = 'embedder'"""
_FETCH: Final = f"""
SELECT mark.no, mark.event, {RECORD_FIELDS}
FROM unnest(%s::bigint[]) AS asked (rid) JOIN owner mark ON mark.no = asked.rid >> {OWNER_SHIFT}
LEFT JOIN (record {RECORD_JOINS}) ON record.rid = asked.rid AND record.deleted = 0"""
_WITH_VECTORS: Final = f"""
SELECT state.dim, vec.e, {RECORD_FIELDS}
FROM state CROSS JOIN record {RECORD_JOINS} LEFT JOIN vec ON vec.rid = record.rid AND vec.gen = state.gen
WHERE record.rid = ANY(%s) AND record.deleted = 0"""
_EVERYTHING: Final = f"""
SELECT coalesce((SELECT event FROM owner WHERE no = %s), 0), 0, record.rid, state.dim, vec.e, {RECORD_FIELDS}
FROM state LEFT JOIN (record {RECORD_JOINS}) ON record.rid BETWEEN %s AND %s AND record.deleted = 0
    LEFT JOIN vec ON vec.rid = record.rid AND vec.gen = state.gen AND vec.rid BETWEEN %s AND %s
ORDER BY record.rid"""
# `OFFSET 0`: few rows, each found by its number, whatever the statistics make of it.
_INCREMENT: Final = f"""
WITH since (no, event) AS (SELECT * FROM unnest(%s::bigint[], %s::bigint[])), changed AS (
    SELECT event.rid FROM since JOIN event ON event.owner = since.no AND event.seq > since.event AND event.code != 1
    UNION
    SELECT record.rid FROM since CROSS JOIN LATERAL (
        SELECT coalesce((
            SELECT rid FROM record WHERE rid {OWNER_SPAN.format(no="since.no")} AND seq <= since.event
            ORDER BY rid DESC LIMIT 1
        ), since.no << {OWNER_SHIFT}) AS rid
    ) known JOIN record ON record.rid > known.rid AND record.rid {OWNER_SPAN.format(no="since.no")}
)
SELECT mark.event, mark.reset, changed.rid, state.dim, found.*
FROM state CROSS JOIN (
    SELECT coalesce(max(event), 0) AS event, coalesce(max(reset), 0) AS reset
    FROM owner WHERE no IN (SELECT no FROM since)
) mark LEFT JOIN changed ON true LEFT JOIN LATERAL (
    SELECT vec.e, {RECORD_FIELDS}
    FROM record {RECORD_JOINS} LEFT JOIN vec ON vec.rid = record.rid AND vec.gen = state.gen
    WHERE record.rid = changed.rid OFFSET 0
) found ON true ORDER BY changed.rid"""
# The bounds of the vectors say what follows from those of the records: a merge of both would begin at the first of all.
_RANK_ROWS: Final = f"""
SELECT record.rid, coalesce(record.text, message.text, ''), record.actor, record.role, record.run, record.agent,
    CASE WHEN owner.kind = 'user' THEN owner.id END, record.created_at, record.dated, record.kind,
    coalesce(record.valid_from, record.created_at), record.valid_until, record.expires_at, record.updated_at,
    coalesce(message.zone, 0), vec.e
FROM record {RECORD_JOINS} LEFT JOIN vec ON vec.rid = record.rid AND vec.gen = %s AND vec.rid BETWEEN %s AND %s
WHERE record.rid BETWEEN %s AND %s AND record.deleted = 0 ORDER BY record.rid LIMIT %s"""


def _page(
    select: str, where: str, parameters: Sequence[Any], after: tuple[int, int] | None, limit: int
) -> tuple[str, list[Any]]:
    """Return a statement with its parameters: rows newest first, after a place, and no more than some."""
    beyond, place = ("", ()) if after is None else (" AND (record.created_at, record.rid) < (%s, %s)", after)
    order = " ORDER BY record.created_at DESC, record.rid DESC LIMIT %s"
    return f"{select}WHERE {where}{beyond}{order}", [*parameters, *place, limit]


async def _passing(
    s: Session,
    test: RowTest,
    where: str,
    parameters: Sequence[Any],
    after: tuple[int, int] | None,
    limit: int,
) -> list[int]:
    """Return the rids of up to `limit` rows that pass, newest first, reading no more than it needs by much."""
    accepts, found, size = acceptor(test), list[int](), max(_SCAN, limit)
    select = scan_select(test)
    while len(found) < limit:
        rows = await s.rows(*_page(select, where, parameters, after, size))
        found += [row[0] for row in rows if accepts(row)]
        if len(rows) < size:
            break
        after, size = (rows[-1][1], rows[-1][0]), 4 * size
    return found[:limit]
