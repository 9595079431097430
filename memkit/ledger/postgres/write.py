"""One batch becomes rows of PostgreSQL, in one transaction of two round trips.

The first locks the rows of the batch's owners and reads, under the lock, everything that its changes may ask for. The
second writes and commits. What happens between them needs no connection.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from ...errors import BackendUnavailableError, MemkitError
from ...postgres.session import Session, Statement
from ...scope import Owner, Scope
from ..base import AddRecord, Applied, Batch, EditRecord, Job, Record, StoredMessage
from ..changes import ChangeWriter, brings, forgotten, replayed
from ..editing import stands_for
from ..owner_states import OwnerState
from ..packing import Packing, State
from ..rows import OPERATION_SELECT, RECORD_SELECT, Row, column, operation_of, record_of, stored_id
from .base import STATE, Book, state_of
from .graph import put_aliases
from .jobs import insert_job, note_index, unfinished_job
from .keeping import PostgresMessageKeeper, Turns
from .pending import PostgresPending
from .rebuild import remember_embedder

_OPERATION_COLUMNS: Final = (
    "no", "id", "kind", "owner", "at", "state", "key", "digest", "result", "undoes", "first", "last",
    "events",
)  # fmt: skip
_OWNERS: Final = "SELECT no, kind, id, next_n, next_m FROM owner "
_HEAD: Final = (
    f"SELECT {STATE}, (SELECT value FROM meta WHERE key = 'embedder'), EXISTS (SELECT 1 FROM job) FROM state"
)
_EVENT_NUMBERS: Final = "SELECT nextval('event_seq') FROM generate_series(1, %s)"
_OPERATION_NUMBER: Final = "SELECT nextval('operation_no')"


Take = Callable[[Sequence[Row]], None]
"""Takes the rows of a statement."""


@dataclass(slots=True, kw_only=True)
class Head(State):
    """How far the store has come when a batch begins."""

    embedder: str | None
    has_jobs: bool


class _Owners:
    """The owners of one batch, whose rows it has locked."""

    def __init__(self) -> None:
        self._by_owner: dict[Owner, OwnerState] = {}
        self._by_number: dict[int, OwnerState] = {}

    def learn(self, rows: Sequence[Sequence[Any]]) -> None:
        """Take rows of number, kind, id, next record and next message."""
        for no, kind, owner_id, next_n, next_m in rows:
            owner = Owner(kind=kind, id=owner_id)
            state = OwnerState(no=no, owner=owner, next_n=next_n, next_m=next_m)
            self._by_owner[owner] = self._by_number[no] = state

    def find(self, owner: Owner) -> OwnerState | None:
        """Return an owner's row, None where there is none."""
        return self._by_owner.get(owner)

    def of_scope(self, scope: Scope) -> OwnerState:
        """Return the row of a scope's owner."""
        found = self._by_owner[scope.owner]
        if found.owner.kind == "agent" and scope.run_id is not None:
            found.runs.add(scope.run_id)
        return found

    def numbered(self, number: int) -> OwnerState:
        """Return the row of an owner that is known by its number."""
        return self._by_number[number]

    def known(self, number: int) -> OwnerState | None:
        """Return the row of an owner by its number, None where it is not one of the batch."""
        return self._by_number.get(number)

    async def close(self, s: Session, at: int) -> None:
        """Write what became of every owner of the batch."""
        for state in self._by_number.values():
            if not state.messages and not state.memories and state.event is None:
                continue
            await s.later(
                (
                    "UPDATE owner SET next_n = %s, next_m = %s, event = coalesce(%s, event), memories = memories + %s,"
                    " messages = messages + %s, changed = %s WHERE no = %s",
                    (state.next_n, state.next_m, state.event, state.memories, state.messages, at, state.no),
                )
            )
            if state.runs:
                await s.later(
                    (
                        "INSERT INTO agent_run (run, owner) SELECT run, %s FROM unnest(%s::text[]) AS given (run)"
                        " ON CONFLICT DO NOTHING",
                        (state.no, sorted(state.runs)),
                    )
                )


class BatchWriter(ChangeWriter):
    """Writes one batch inside a transaction that its caller begins and ends."""

    def __init__(
        self,
        s: Session,
        book: Book,
        batch: Batch,
        packing: Callable[[str], Packing],
        step: Callable[[str], None],
        half: tuple[int, int | None] | None = None,
    ) -> None:
        self._s, self._packing_for, self._step = s, packing, step
        self._book: Book = book
        self._owners: _Owners = _Owners()
        self._pending: PostgresPending = PostgresPending(batch.operation_id, half)
        super().__init__(book, batch, self._owners, self._pending)
        self._numbers: list[int] = []
        self._tokenizer: str | None = None
        self._standing_rows: dict[tuple[int, bytes], Row] = {}
        self._kept: dict[int, StoredMessage] = {}
        self._head: Head
        self._turns: Turns
        self._earlier: Row | None = None
        self._finishes: Row | None = None

    @property
    def first(self) -> int | None:
        """The number of its first event, None while it has none."""
        return self._first

    async def run(self) -> Applied:
        """Write everything and return what became of it.

        Raises:
            Refused: An edit was decided on another version, or may not be made.
            IdempotencyError: The key was used with another digest.
        """
        batch = self._batch
        await self._read()
        if batch.key is not None and self._earlier is not None:
            earlier = replayed(self._earlier, batch, batch.key)
            if earlier is not None:
                return Applied(replay=earlier)
        if batch.finishes is not None:
            if self._finishes is None:
                return forgotten(batch)
            found = operation_of(self._finishes)
            if found.state == "done":
                return Applied(replay=found)
            self._op = self._finishes[0]
        if self._head.has_jobs and (job := await self._unfinished()) is not None:
            return Applied(unfinished=job)
        return await self._write()

    # ------------------------------------------------------------------------------------- reading

    async def _read(self) -> None:
        """Lock the batch's owners, and read what it will ask for."""
        batch, ids = self._batch, self._edited_ids()
        scopes = [m.scope.owner for m in batch.messages]
        scopes += [c.scope.owner for c in batch.changes if isinstance(c, AddRecord)]
        scopes += [alias.scope.owner for alias in batch.aliases]
        if batch.owner is not None:
            scopes.append(batch.owner)
        named: list[Owner] = list(dict.fromkeys(scopes))
        where, args = _owner_numbers(named, ids)
        self._turns = Turns(batch.messages, dict(batch.statuses))
        wanted: list[Statement] = [
            (f"{_OWNERS}WHERE no = ANY({where}) ORDER BY no FOR NO KEY UPDATE", args),
            (_HEAD, ()),
            (_OPERATION_NUMBER, ()),
        ]  # fmt: skip
        takers: list[Take] = [self._owners.learn, self._take_head, self._take_number]
        for statement, take in (
            *self._event_numbers(),
            *self._operations(),
            *self._records(ids, where, args),
            *self._turns.statements(self._book.salt),
        ):
            wanted.append(statement)
            takers.append(take)
        for rows, take in zip(await self._s.together(wanted), takers, strict=True):
            take(rows)
        missing = [owner for owner in named if self._owners.find(owner) is None]
        if missing and (brings(batch) or batch.aliases):
            await self._make_owners(missing)
        await self._check_head()

    def _edited_ids(self) -> list[bytes]:
        return [stored_id(change.id) for change in self._batch.changes if isinstance(change, EditRecord)]

    def _event_numbers(self) -> list[tuple[Statement, Take]]:
        # An addition may bring the end of one that has expired.
        most = sum(2 if isinstance(change, AddRecord) else 1 for change in self._batch.changes)
        return [((_EVENT_NUMBERS, (most,)), self._take_numbers)] if most else []

    def _operations(self) -> list[tuple[Statement, Take]]:
        batch = self._batch
        found: list[tuple[Statement, Take]] = []
        if batch.key is not None:
            owner = "0"
            args: list[Any] = []
            if batch.owner is not None:
                owner = "coalesce((SELECT no FROM owner WHERE kind = %s AND id = %s), -1)"
                args = [batch.owner.kind, batch.owner.id]
            sql = f"{OPERATION_SELECT}WHERE coalesce(owner, 0) = {owner} AND key = %s"
            found.append(((sql, [*args, batch.key]), self._take_earlier))
        if batch.finishes is not None:
            sql = OPERATION_SELECT + "WHERE id = %s FOR UPDATE"
            found.append(((sql, (stored_id(batch.finishes),)), self._take_finishes))
        return found

    def _records(self, ids: Sequence[bytes], where: str, args: Sequence[Any]) -> list[tuple[Statement, Take]]:
        found: list[tuple[Statement, Take]] = []
        digests = {change.dedup for change in self._batch.changes if change.dedup is not None}
        if digests or ids:
            theirs = " OR record.dedup IN (SELECT dedup FROM record WHERE id = ANY(%s))" if ids else ""
            sql = (
                f"{RECORD_SELECT}WHERE record.owner = ANY({where}) AND (record.dedup = ANY(%s){theirs})"
                " AND record.dedup IS NOT NULL AND record.deleted = 0 AND record.valid_until IS NULL"
            )
            more = [list(digests), *([list(ids)] if ids else [])]
            found.append(((sql, [*args, *more]), self._take_standing))
        if ids:
            sql = RECORD_SELECT + "WHERE record.id = ANY(%s)"
            found.append(((sql, (list(ids),)), self._take_edited))
        return found

    def _take_head(self, rows: Sequence[Row]) -> None:
        row = rows[0]
        state = state_of(row)
        self._tokenizer = row[5]
        self._head = Head(
            event=state.event, reset=state.reset, gen=state.gen, dim=state.dim, packing=state.packing,
            embedder=row[6], has_jobs=row[7],
        )  # fmt: skip

    def _take_number(self, rows: Sequence[Row]) -> None:
        self._op = rows[0][0]

    def _take_numbers(self, rows: Sequence[Row]) -> None:
        self._numbers = [row[0] for row in reversed(rows)]

    def _take_earlier(self, rows: Sequence[Row]) -> None:
        self._earlier = rows[0] if rows else None

    def _take_finishes(self, rows: Sequence[Row]) -> None:
        self._finishes = rows[0] if rows else None

    def _take_standing(self, rows: Sequence[Row]) -> None:
        for row in rows:
            self._stand(row)

    def _take_edited(self, rows: Sequence[Row]) -> None:
        for row in rows:
            self._owner_of(row)
            self._rows[row[1]] = row

    def _owner_of(self, row: Row) -> OwnerState:
        found = self._owners.known(column(row, "owner"))
        if found is None:
            # Made and committed by somebody else after this batch had locked what it knew: it begins again.
            raise OvertakenError("")
        return found

    async def _make_owners(self, missing: Sequence[Owner]) -> None:
        """Make the rows of owners that have none; whoever makes the same one meanwhile is waited for."""
        kinds, ids = zip(*sorted((owner.kind, owner.id) for owner in missing), strict=True)
        given = "SELECT * FROM unnest(%s::text[], %s::text[]) AS given (kind, id)"
        made, rows = await self._s.together([
            (f"INSERT INTO owner (kind, id) {given} ON CONFLICT DO NOTHING RETURNING no", (list(kinds), list(ids))),
            (
                f"{_OWNERS}WHERE (kind, id) IN ({given})"
                " ORDER BY no FOR NO KEY UPDATE",
                (list(kinds), list(ids)),
            ),
        ])  # fmt: skip
        if len(made) < len(missing):
            # Somebody else has made one, and perhaps written for it, after this batch had read: it begins again.
            raise OvertakenError("")
        self._owners.learn(rows)

    async def _check_head(self) -> None:
        if self._tokenizer != self._book.tokenizer_version:
            raise BackendUnavailableError(
                f"Another process with tokenizer {self._tokenizer!r} has rebuilt the keyword index (this one has "
                f"{self._book.tokenizer_version!r}). Run the same version of memkit in both, and open the ledger "
                "again.",
                backend="postgresql",
                retryable=False,
            )
        wanted = self._batch.embedder
        if wanted is not None and wanted != (self._head.embedder, self._head.dim):
            state = await remember_embedder(self._s, *wanted, self._packing_for(wanted[0]))
            self._head.gen, self._head.dim, self._head.packing = state.gen, state.dim, state.packing

    async def _unfinished(self) -> Job | None:
        """Return the unfinished job of the same content, where the batch asks for it."""
        batch = self._batch
        if batch.resumes is None or batch.owner is None:
            return None
        owner = self._owners.find(batch.owner)
        return None if owner is None else await unfinished_job(self._s, owner.no, batch.resumes())

    # ------------------------------------------------------------------------------------- writing

    async def _write(self) -> Applied:
        batch, s = self._batch, self._s
        owner = None if batch.owner is None else self._owners.find(batch.owner)
        await s.many(
            "UPDATE message SET status = %s WHERE rid = %s", [(status, rid) for rid, status in batch.statuses]
        )
        messages: list[StoredMessage] = []
        fresh: list[bool] = []
        if batch.messages:
            keeper = PostgresMessageKeeper(self._book.salt, self._owners, self._turns)
            messages, fresh = keeper.keep(batch.messages)
            self._kept = {message.rid: message for message in messages}
            await keeper.write(s)
        self._step("messages")
        changes = self._write_changes(messages)
        await self._pending.write(s, self._head)
        await put_aliases(s, self._op, [(self._owners.of_scope(one.scope).no, one) for one in batch.aliases])
        self._step("records")
        await self._fill_outbox()
        await self._owners.close(s, batch.at)
        applied = Applied(messages=messages, new_messages=fresh, changes=changes)
        if batch.job is not None:
            number = None if owner is None else owner.no
            applied = replace(applied, job=await insert_job(s, self._op, batch, batch.job, number, applied))
        if batch.finishes is None:
            await self._insert_operation(owner, applied)
        else:
            await self._finish_operation(applied)
        return applied

    async def _fill_outbox(self) -> None:
        for name in self._batch.indexes:
            await self._s.later(note_index(name))
            rows = [(name, rid, raw) for rid, raw in self._outbox]
            await self._s.insert("outbox", ("name", "rid", "id"), rows)

    async def _insert_operation(self, owner: OwnerState | None, applied: Applied) -> None:
        batch = self._batch
        state = "done" if batch.job is None else "running" if batch.job.running else "waiting"
        row = (
            self._op, stored_id(batch.operation_id), batch.kind, None if owner is None else owner.no, batch.at, state,
            batch.key, batch.digest, self._result(applied),
            None if batch.undoes is None else stored_id(batch.undoes), self._first, self._last,
            len(self._pending.events),
        )  # fmt: skip
        await self._s.insert("operation", _OPERATION_COLUMNS, [row])

    async def _finish_operation(self, applied: Applied) -> None:
        batch = self._batch
        await self._s.later(
            ("DELETE FROM job WHERE op = %s", (self._op,)),
            (
                "UPDATE operation SET state = 'done', at = %s, result = %s, first = coalesce(first, %s),"
                " last = coalesce(%s, last), key = coalesce(key, %s), events = coalesce(events, 0) + %s WHERE no = %s",
                (
                    batch.at,
                    self._result(applied),
                    self._first,
                    self._last,
                    batch.key,
                    len(self._pending.events),
                    self._op,
                ),
            ),
        )  # fmt: skip

    # ------------------------------------------------------------------------------------- what changes ask for

    def _raw_id(self, text: str) -> bytes | str:
        return stored_id(text)

    def _id_column(self, raw_id: bytes | str) -> object:
        return raw_id

    def _number(self) -> int:
        return self._numbers.pop()

    def _look_up(self) -> None:
        """Everything was read already."""

    def _duplicate(self, owner: OwnerState, dedup: bytes) -> Record | None:
        return self._standing_for((owner.no, dedup))

    def _taken(self, place: tuple[int, bytes]) -> bool:
        return self._standing_for(place) is not None

    def _standing_for(self, place: tuple[int, bytes]) -> Record | None:
        if place in self._pending.freed:
            # What comes to stand for it has to be written after what stood for it before.
            self._pending.flush()
        return self._dedup.get(place)

    def _edited(self, before: Row, after: Row) -> None:
        freed = stands_for(before)
        if freed is not None and freed != stands_for(after):
            self._dedup[freed] = None
            self._pending.freed.add(freed)
        self._stand(after)

    def _stand(self, row: Row) -> None:
        place = stands_for(row)
        if place is not None:
            owner = self._owner_of(row).owner
            self._dedup[place] = record_of(row, owner, self._book.salt)
            self._standing_rows[place] = row

    def _fetch_row(self, raw_id: bytes | str) -> None:
        row = self._pending.added(raw_id)
        if row is not None:
            # It is edited next: that has to be written after it.
            self._pending.flush()
            message = self._kept.get(column(row, "message"))
            row = (
                (*row, None, None, None)
                if message is None
                else (*row, message.text, message.id, message.offset_minutes)
            )
        else:
            row = next((row for row in self._standing_rows.values() if row[1] == raw_id), None)
        if row is not None:
            self._rows[raw_id] = row


def _owner_numbers(named: Sequence[Owner], ids: Sequence[bytes]) -> tuple[str, list[Any]]:
    """Return an array of the numbers of some owners, and of those of some records, as SQL."""
    given = "ARRAY(SELECT no FROM owner WHERE (kind, id) IN (SELECT * FROM unnest(%s::text[], %s::text[])))"
    args: list[Any] = [[owner.kind for owner in named], [owner.id for owner in named]]
    if not ids:
        return given, args
    return f"({given} || ARRAY(SELECT owner FROM record WHERE id = ANY(%s)))", [*args, list(ids)]


class OvertakenError(MemkitError):
    """Another transaction has made an owner between the two round trips of this one."""
