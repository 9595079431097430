"""Reading records: what changed since, by id, in a scope, by words, by neighbourhood."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ...ranking.vectors import decode_many
from ...scope import Owner, ReadScope
from ..base import Delta, Fetched, Mark, Outlook, OwnerMark, RankRow, Record, RowTest
from ..candidates import best
from ..packing import vectors_of
from ..rows import RECORD_SELECT, column, owner_range, pack_id, record_of
from ..wheres import current_at
from .base import SqliteBase, chunks
from .rows import one
from .scan import NEWEST_FIRST, passing
from .scope import owner_numbers, scope_where
from .words import LAST_EVENT, holders, read_state

if TYPE_CHECKING:
    from ..base import Matrix

_IN_ONE_OWNER = "WHERE record.owner = ?"
_LAST_RID = (1 << 63) - 1
_FEW = 64
"""Rows up to so many are fetched by one statement."""


class SqliteReading(SqliteBase):
    """The reads of a ledger that are about records."""

    # ------------------------------------------------------------------------------------- owners

    def owner_number(self, owner: Owner) -> int | None:
        """Return the owner's number, None while nothing is stored for it."""
        row = self._read_one("SELECT no FROM owner WHERE kind = ? AND id = ?", (owner.kind, owner.id))
        return None if row is None else int(row[0])

    def owners_in(self, scope: ReadScope) -> Sequence[int] | None:
        """Return the numbers of owners that may hold rows of the scope, ascending; None means all of them."""
        empty: list[int] | None = None if scope.everyone else []
        return self._read(lambda conn: owner_numbers(conn, scope), empty)

    def size(self, owner: int | None) -> int:
        """Return how many live records an owner (None: everyone) has, cheaply."""
        if owner is None:
            row = self._read_one("SELECT ifnull(sum(memories), 0) FROM owner")
        else:
            row = self._read_one("SELECT memories FROM owner WHERE no = ?", (owner,))
        return 0 if row is None else int(row[0])

    def outlook(self, scope: ReadScope) -> Outlook:
        """Return the embedder and the owners of a scope as of one moment, in one statement for a user's scope."""
        if scope.user_id is not None and not scope.everyone:
            row = self._read_one(_OUTLOOK, (scope.user_id,))
            return Outlook(embedder=None, owners=()) if row is None else _outlook(row, [row[2:]])

        def read(conn: sqlite3.Connection) -> Outlook:
            numbers = owner_numbers(conn, scope)
            if numbers is None:
                marks = conn.execute(_EVERYONE).fetchall()
            else:
                marks = [conn.execute(_OWNER, (number,)).fetchone() for number in numbers]
            return _outlook(conn.execute(_EMBEDDER).fetchone(), marks)

        return self._read(read, Outlook(embedder=None, owners=()))

    # ------------------------------------------------------------------------------------- changes

    def changes(self, owner: int | None, since: Mark | None) -> Delta:
        """Return what changed for an owner (None: for all) since the mark; one statement when nothing did."""
        sql = (
            f"SELECT {LAST_EVENT}, reset FROM state"
            if owner is None
            else "SELECT event, reset FROM owner WHERE no = ?"
        )
        parameters = () if owner is None else (owner,)
        row = self._read_one(sql, parameters)
        if since is not None and since.event == (0 if row is None else row[0]):
            return Delta(mark=since, records=(), vectors=None, removed=())
        if row is None:
            return _nothing(reset=True)

        def read(conn: sqlite3.Connection) -> Delta:
            now = conn.execute(sql, parameters).fetchone()
            if now is None:
                return _nothing(reset=True)
            event, reset = now
            if since is None or since.event < reset or since.event > event:
                return self._everything(conn, owner, event)
            return self._increment(conn, owner, since.event, event)

        return self._read(read, _nothing(reset=True))

    def load(self, owner: int | None, take: Callable[[Sequence[RankRow], Matrix], None]) -> Mark:
        """Hand over all live records of an owner (None: of all) with their vectors, some at a time by rid."""
        event = _EVERYONE if owner is None else _OWNER

        def read(conn: sqlite3.Connection) -> Mark:
            found = conn.execute(event, () if owner is None else (owner,)).fetchone()
            if found is None:
                return Mark()
            state = read_state(conn)
            if owner is None:
                cursor = conn.execute(_ALL_RANK_ROWS, (state.gen, 0, _LAST_RID))
            else:
                user = self._book.owner(conn, owner)
                given = (user.id if user.kind == "user" else None, state.gen, *owner_range(owner))
                cursor = conn.execute(_RANK_ROWS, given)
            while rows := cursor.fetchmany(_LOAD):
                take(
                    [RankRow._make(row[:-1]) for row in rows],
                    vectors_of([row[-1] for row in rows], state.dim or 0),
                )
            return Mark(event=found[2])

        return self._read(read, Mark())

    def _everything(self, conn: sqlite3.Connection, owner: int | None, event: int) -> Delta:
        low, high = (0, _LAST_RID) if owner is None else owner_range(owner)
        state = read_state(conn)
        rows = conn.execute(
            RECORD_SELECT + "WHERE record.rid BETWEEN ? AND ? AND record.deleted = 0 ORDER BY record.rid",
            (low, high),
        ).fetchall()
        vectors = self._vectors_of(conn, state, [row[0] for row in rows])
        return Delta(
            mark=Mark(event=event),
            records=self._records_of(conn, rows),
            vectors=vectors,
            removed=(),
            reset=True,
        )

    def _increment(self, conn: sqlite3.Connection, owner: int | None, since: int, event: int) -> Delta:
        if owner is None:
            changed = {row[0] for row in conn.execute("SELECT rid FROM event WHERE seq > ?", (since,))}
            fresh: list[Any] = []
        else:
            sql = "SELECT rid FROM event WHERE code != 1 AND owner = ? AND seq > ?"
            changed = {row[0] for row in conn.execute(sql, (owner, since))}
            fresh = _added_since(conn, owner, since)
        changed -= {row[0] for row in fresh}
        rows = sorted([*fresh, *self._rows_by(conn, "rid", sorted(changed))], key=lambda row: row[0])
        live = [row for row in rows if not column(row, "deleted")]
        rids = [row[0] for row in live]
        gone = (changed | {row[0] for row in fresh}) - set(rids)
        vectors = self._vectors_of(conn, read_state(conn), rids)
        records = self._records_of(conn, live)
        return Delta(mark=Mark(event=event), records=records, vectors=vectors, removed=sorted(gone))

    # ------------------------------------------------------------------------------------- by id

    def fetch(self, rids: Sequence[int]) -> Fetched:
        """Return live records with the event numbers they are current at, in one read transaction."""

        def read(conn: sqlite3.Connection) -> Fetched:
            rows = {row[0]: row for row in self._rows_by(conn, "rid", rids) if not column(row, "deleted")}
            sql = "SELECT event FROM owner WHERE no = ?"
            marks = {number: one(conn, sql, (number,)) or 0 for number in {rid >> 32 for rid in rids}}
            records = self._records_of(conn, [rows[rid] for rid in rids if rid in rows])
            return Fetched(records=records, marks=marks)

        if 0 < len(rids) <= _FEW:
            found = {row[3]: row for row in self._read_all(_few(len(rids)), rids)}
            if len(found) == len(rids):  # Else a row is gone, and its owner's mark with it.
                return self._fetched([found[rid] for rid in rids])
        return self._read(read, Fetched(records=(), marks={}))

    def _fetched(self, rows: Sequence[Any]) -> Fetched:
        """Return what `_few` gave."""
        owners, salt = self._book.owners, self._book.salt
        marks: dict[int, int] = {}
        records: list[Record] = []
        for event, kind, owner_id, *row in rows:
            number = row[2]
            marks[number] = event
            if not column(row, "deleted"):
                owner = owners.get(number) or Owner(kind=kind, id=owner_id)
                records.append(record_of(row, owner, salt))
        return Fetched(records=records, marks=marks)

    def with_vectors(self, rids: Sequence[int]) -> tuple[Sequence[Record], Matrix]:
        """Return live records in the order asked, with one vector row each (zeros where there is none)."""
        nothing: tuple[Sequence[Record], Matrix] = ((), np.zeros((0, 0), np.float32))

        def read(conn: sqlite3.Connection) -> tuple[Sequence[Record], Matrix]:
            rows = {row[0]: row for row in self._rows_by(conn, "rid", rids) if not column(row, "deleted")}
            state = read_state(conn)
            ordered = sorted(rows)
            matrix = self._vectors_of(conn, state, ordered)
            if matrix is None:
                return (), np.zeros((0, state.dim or 0), np.float32)
            place = {rid: n for n, rid in enumerate(ordered)}
            asked = [rid for rid in rids if rid in rows]
            return self._records_of(conn, [rows[rid] for rid in asked]), matrix[[place[rid] for rid in asked]]

        return self._read(read, nothing)

    def records(self, ids: Sequence[str]) -> Sequence[Record]:
        """Return records by memory id, deleted ones too, in the order asked, without those that never were."""

        def read(conn: sqlite3.Connection) -> list[Record]:
            wanted = [pack_id(memory_id) for memory_id in ids]
            rows = {row[1]: row for row in self._rows_by(conn, "id", wanted)}
            return self._records_of(conn, [rows[raw] for raw in wanted if raw in rows])

        return self._read(read, list[Record]())

    def in_slots(self, owner: Owner, slots: Sequence[bytes]) -> Sequence[Record]:
        """Return live records of an owner that stand in these slots and are not closed, by rid."""

        def read(conn: sqlite3.Connection) -> list[Record]:
            number = one(conn, "SELECT no FROM owner WHERE kind = ? AND id = ?", (owner.kind, owner.id))
            rows: list[Any] = []
            for part, marks in chunks(slots):
                where = f"WHERE record.owner = ? AND record.slot IN ({marks})"
                current = " AND record.deleted = 0 AND record.valid_until IS NULL"
                rows.extend(conn.execute(RECORD_SELECT + where + current, (number, *part)).fetchall())
            return self._records_of(conn, sorted(rows, key=lambda row: row[0]))

        return self._read(read, list[Record]())

    # ------------------------------------------------------------------------------------- in a scope

    def listing(
        self,
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

        def read(conn: sqlite3.Connection) -> list[Record]:
            found = _live_where(conn, scope, at, present=present, include_closed=include_closed)
            if found is None:
                return []
            where, parameters = found
            if after is not None:
                where += " AND (record.created_at, record.rid) < (?, ?)"
                parameters += after
            if test is not None:
                rids = list(passing(conn, test, where, parameters, limit=limit))
                by_rid = {row[0]: row for row in self._rows_by(conn, "rid", rids)}
                return self._records_of(conn, [by_rid[rid] for rid in rids])
            newest = f"{where}{NEWEST_FIRST} LIMIT ?"
            if not where.startswith(_IN_ONE_OWNER):  # No index has their order; to sort numbers is cheaper.
                newest = f"WHERE record.rid IN (SELECT record.rid FROM record {newest}){NEWEST_FIRST}"
            rows = conn.execute(RECORD_SELECT + newest, (*parameters, limit))
            return self._records_of(conn, rows.fetchall())

        return self._read(read, list[Record]())

    def passing(
        self,
        scope: ReadScope,
        test: RowTest,
        *,
        at: int,
        present: bool = True,
        include_closed: bool = True,
    ) -> Sequence[int]:
        """Return the rids that `listing` would give of all records that pass a test, in any order."""

        def read(conn: sqlite3.Connection) -> list[int]:
            found = _live_where(conn, scope, at, present=present, include_closed=include_closed)
            return [] if found is None else list(passing(conn, test, *found, limit=None))

        return self._read(read, list[int]())

    def standing(self, scope: ReadScope, *, at: int, limit: int) -> Sequence[Record]:
        """Return current records that hold whatever is asked: instructions, preferences and pinned ones, by rid."""

        def read(conn: sqlite3.Connection) -> list[Record]:
            found = _live_where(conn, scope, at, present=True, include_closed=False)
            if found is None:
                return []
            standing = " AND (record.pinned = 1 OR record.kind IN ('instruction', 'preference'))"
            sql = RECORD_SELECT + found[0] + standing + " ORDER BY record.rid LIMIT ?"
            return self._records_of(conn, conn.execute(sql, (*found[1], limit)).fetchall())

        return self._read(read, list[Record]())

    def count(
        self,
        scope: ReadScope,
        *,
        at: int,
        present: bool = False,
        include_closed: bool = False,
        test: RowTest | None = None,
    ) -> int:
        """Return how many `listing` would give."""

        def read(conn: sqlite3.Connection) -> int:
            found = _live_where(conn, scope, at, present=present, include_closed=include_closed)
            if found is None:
                return 0
            if test is not None:
                return sum(1 for _ in passing(conn, test, *found, limit=None))
            return int(one(conn, "SELECT count(*) FROM record " + found[0], found[1]))

        return self._read(read, 0)

    def expired(self, now: int, limit: int) -> Sequence[Record]:
        """Return live records whose `expires_at` has passed and that have no EXPIRE event yet, oldest first."""

        def read(conn: sqlite3.Connection) -> list[Record]:
            rows = conn.execute(
                RECORD_SELECT + "WHERE record.expires_at <= ? AND record.deleted = 0 AND record.expired = 0"
                " AND record.expires_at IS NOT NULL ORDER BY record.expires_at, record.rid LIMIT ?",
                (now, limit),
            )
            return self._records_of(conn, rows.fetchall())

        return self._read(read, list[Record]())

    # ------------------------------------------------------------------------------------- candidates

    def keyword_candidates(
        self, owners: Sequence[int] | None, tokens: Sequence[str], limit: int
    ) -> Sequence[int]:
        """Return rids that hold most of the tokens, best first.

        A token counts by its inverse document frequency among the owners asked, so that words everybody uses do not
        push out the telling ones; equal sums go by the highest rid.
        """

        def read(conn: sqlite3.Connection) -> list[int]:
            ranges = [(0, _LAST_RID)] if owners is None else [owner_range(number) for number in owners]
            held = [_holders(conn, token, ranges) for token in dict.fromkeys(tokens)]
            held = [rids for rids in held if len(rids)]
            if not held:
                return []
            return best(held, _live_size(conn, owners), limit)

        return self._read(read, list[int]()) if limit > 0 else []

    def vectors(
        self, owners: Sequence[int] | None, chunk: int = 8192
    ) -> Iterator[tuple[Sequence[int], Matrix]]:
        """Yield (rids, matrix) of live records that have a vector, in chunks, in rid order."""
        ranges = [(0, _LAST_RID)] if owners is None else [owner_range(number) for number in sorted(owners)]
        for low, high in ranges:
            while True:
                part = self._read(_vector_chunk(low, high, chunk), None)
                if part is None:
                    break
                yield part
                low = part[0][-1] + 1

    def neighbours(self, rids: Sequence[int], distance: int) -> Sequence[int]:
        """Return rids of live records of the same owner and run next to these in time, ascending, without these."""

        def read(conn: sqlite3.Connection) -> list[int]:
            found: set[int] = set()
            for row in self._rows_by(conn, "rid", list(rids)):
                place = (
                    column(row, "owner"),
                    column(row, "run"),
                    column(row, "created_at"),
                    row[0],
                    distance,
                )
                for compare, order in (("<", "DESC"), (">", "ASC")):
                    sql = (
                        "SELECT rid FROM record WHERE owner = ? AND deleted = 0 AND run IS ?"
                        f" AND (created_at, rid) {compare} (?, ?) ORDER BY created_at {order}, rid {order} LIMIT ?"
                    )
                    found.update(r[0] for r in conn.execute(sql, place))
            return sorted(found - set(rids))

        return self._read(read, list[int]())


_LOAD = 1_024
"""Rows handed over at once: some megabytes, which the next ones reuse."""
_RANK_ROWS = (
    "SELECT record.rid, ifnull(ifnull(record.text, message.text), ''), record.actor, record.role, record.run,"
    " record.agent, ?, record.created_at,"
    " record.dated, record.kind, ifnull(record.valid_from, record.created_at),"
    " record.valid_until, record.expires_at, record.updated_at, ifnull(message.zone, 0), vec.e FROM record"
    " LEFT JOIN message ON message.rid = record.message"
    " LEFT JOIN vec ON vec.rid = record.rid AND vec.gen = ?"
    " WHERE record.rid BETWEEN ? AND ? AND record.deleted = 0 ORDER BY record.rid"
)
"""Of one owner, whose id is told rather than looked up for each row."""
_ALL_RANK_ROWS = _RANK_ROWS.replace(
    "?", "(SELECT id FROM owner WHERE no = record.owner AND kind = 'user')", 1
)
_EMBEDDER = "SELECT meta.value, state.dim FROM state LEFT JOIN meta ON meta.key = 'embedder'"
_OUTLOOK = (
    "SELECT meta.value, state.dim, owner.no, owner.memories, owner.event"
    " FROM state LEFT JOIN meta ON meta.key = 'embedder' LEFT JOIN owner ON owner.kind = 'user' AND owner.id = ?"
)
_OWNER = "SELECT no, memories, event FROM owner WHERE no = ?"
_EVERYONE = f"SELECT NULL, (SELECT ifnull(sum(memories), 0) FROM owner), {LAST_EVENT} FROM state"


def _outlook(embedder: Sequence[Any], marks: Sequence[Sequence[Any]]) -> Outlook:
    identity, dim, *_ = embedder
    return Outlook(
        embedder=None if identity is None else (str(identity), int(dim)),
        owners=[
            OwnerMark(number=number, memories=memories, event=event)
            for number, memories, event in marks
            if event is not None
        ],
    )


@lru_cache(_FEW)
def _few(count: int) -> str:
    """Return the statement that reads so many rows by rid, each behind its owner's event number, kind and id."""
    select = RECORD_SELECT.replace("SELECT ", "SELECT owner.event, owner.kind, owner.id, ", 1)
    marks = ",".join("?" * count)
    return f"{select} JOIN owner ON owner.no = record.owner WHERE record.rid IN ({marks})"


def _nothing(*, reset: bool) -> Delta:
    return Delta(mark=Mark(), records=(), vectors=None, removed=(), reset=reset)


def _added_since(conn: sqlite3.Connection, owner: int, since: int) -> list[Any]:
    """Return rows added after an event; within an owner both rids and event numbers only grow."""
    rows: list[Any] = []
    cursor = conn.execute(
        RECORD_SELECT + "WHERE record.rid BETWEEN ? AND ? ORDER BY record.rid DESC", owner_range(owner)
    )
    for row in cursor:
        if column(row, "seq") <= since:
            break
        rows.append(row)
    cursor.close()
    return rows


def _live_where(
    conn: sqlite3.Connection, scope: ReadScope, at: int, *, present: bool, include_closed: bool
) -> tuple[str, list[Any]] | None:
    found = scope_where(conn, scope, "record")
    if found is None:
        return None
    clauses, parameters = found
    current, more = current_at(at, present=present, include_closed=include_closed)
    return "WHERE " + " AND ".join([*clauses, "record.deleted = 0", current]), [*parameters, *more]


def _live_size(conn: sqlite3.Connection, owners: Sequence[int] | None) -> int:
    if owners is None:
        return int(one(conn, "SELECT ifnull(sum(memories), 0) FROM owner"))
    return sum(one(conn, "SELECT memories FROM owner WHERE no = ?", (number,)) or 0 for number in owners)


def _holders(conn: sqlite3.Connection, token: str, ranges: Sequence[tuple[int, int]]) -> np.ndarray[Any, Any]:
    """Return the rids that hold a token, ascending within each range."""
    rids: list[int] = []
    for low, high in ranges:
        rids.extend(holders(conn, token, low, high))
    return np.array(rids, np.int64)


def _vector_chunk(
    low: int, high: int, chunk: int
) -> Callable[[sqlite3.Connection], tuple[Sequence[int], Matrix] | None]:
    def read(conn: sqlite3.Connection) -> tuple[Sequence[int], Matrix] | None:
        state = read_state(conn)
        rows = conn.execute(
            "SELECT rid, e FROM vec WHERE rid BETWEEN ? AND ? AND gen = ? ORDER BY rid LIMIT ?",
            (low, high, state.gen, chunk),
        ).fetchall()
        if not rows or state.dim is None:
            return None
        return [row[0] for row in rows], decode_many([row[1] for row in rows], state.dim)

    return read
