"""How PostgreSQL finds and writes the turns of a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ...postgres.session import Session, Statement
from ..base import NewMessage
from ..changes import Owners
from ..keeping import MessageKeeper
from ..rows import MESSAGE_COLUMNS, MESSAGE_SELECT, Row, message_rid

_AT: Final = {name: place for place, name in enumerate(MESSAGE_COLUMNS)}
_LATEST: Final = (
    "SELECT created_at FROM message WHERE owner = ANY({owners}) AND {run} AND created_at > %s AND dated = 0"
    " ORDER BY created_at DESC LIMIT 1"
)


class Turns:
    """What is there already of the turns of a batch, read before it is known what their owners' numbers are."""

    def __init__(self, messages: Sequence[NewMessage], statuses: Mapping[int, str]) -> None:
        self._statuses = statuses
        self._ids = list(dict.fromkeys(m.id for m in messages if m.id is not None))
        self._given: list[Row] = []
        self._made: list[Row] = []
        # By kind and id of the owner, and by run: the earliest of the times that nobody dated.
        self._undated: dict[tuple[str, str, str | None], int] = {}
        for m in messages:
            if not m.dated:
                place = (m.scope.owner.kind, m.scope.owner.id, m.scope.run_id)
                self._undated[place] = min(m.created_at, self._undated.get(place, m.created_at))
        self._latest: dict[tuple[str, str, str | None], int] = {}

    def statements(self, salt: int) -> list[tuple[Statement, Any]]:
        """Return what to read, each with what takes its rows."""
        found: list[tuple[Statement, Any]] = []
        if self._ids:
            found.append(((MESSAGE_SELECT + "WHERE id = ANY(%s)", (self._ids,)), self._given.extend))
            rids = [rid for text in self._ids if (rid := message_rid(salt, text)) is not None]
            if rids:
                sql = MESSAGE_SELECT + "WHERE rid = ANY(%s) AND id IS NULL"
                found.append(((sql, (rids,)), self._made.extend))
        for place, earliest in self._undated.items():
            kind, owner, run = place
            sql = _LATEST.format(
                owners="ARRAY(SELECT no FROM owner WHERE kind = %s AND id = %s)",
                run="run IS NULL" if run is None else "run = %s",
            )
            args = [kind, owner, *([] if run is None else [run]), earliest]
            found.append(((sql, args), _Into(self._latest, place)))
        return found

    def rows(self, number: int, run: str | None, ids: Sequence[str]) -> list[Row]:
        """Return the rows of an owner's run under some ids: those that the ledger made first, then those given."""
        wanted = frozenset(ids)
        made = [row for row in self._made if row[_AT["owner"]] == number and row[_AT["run"]] == run]
        given = [
            row
            for row in self._given
            if row[_AT["id"]] in wanted and row[_AT["owner"]] == number and row[_AT["run"]] == run
        ]
        return [self._with_status(row) for row in (*made, *given)]

    def _with_status(self, row: Row) -> Row:
        """Return a row with the status that the batch has given it before it keeps its turns."""
        status = self._statuses.get(row[0])
        if status is None:
            return row
        return (*row[: _AT["status"]], status, *row[_AT["status"] + 1 :])

    def latest(self, kind: str, owner: str, run: str | None, now: int) -> int:
        """Return the time of the last undated turn of a run, if that is later than `now`, else `now`."""
        return max(now, self._latest.get((kind, owner, run), now))


class _Into:
    """Takes the one number of a statement into a place."""

    def __init__(self, target: dict[Any, int], place: Any) -> None:
        self._target, self._place = target, place

    def __call__(self, rows: Sequence[Row]) -> None:
        if rows:
            self._target[self._place] = rows[0][0]


class PostgresMessageKeeper(MessageKeeper):
    """Collects the messages of one batch."""

    def __init__(self, salt: int, owners: Owners, turns: Turns) -> None:
        super().__init__(salt, owners)
        self._turns = turns
        self._new: list[Sequence[Any]] = []
        self._now_learned: list[int] = []
        self._now_active: list[int] = []

    async def write(self, s: Session) -> None:
        """Write what was collected."""
        for name, value, rids in (("learned", 1, self._now_learned), ("status", "active", self._now_active)):
            if rids:
                await s.later((f"UPDATE message SET {name} = %s WHERE rid = ANY(%s)", (value, rids)))
        await s.insert("message", MESSAGE_COLUMNS, self._new)

    def _rows(self, number: int, run: str | None, ids: Sequence[str]) -> Sequence[Any]:
        return self._turns.rows(number, run, ids)

    def _latest(self, number: int, run: str | None, now: int) -> int:
        owner = self._owners.numbered(number).owner
        return self._turns.latest(owner.kind, owner.id, run, now)

    def _learned(self, rid: int) -> None:
        self._now_learned.append(rid)

    def _active(self, rid: int) -> None:
        self._now_active.append(rid)

    def _insert(self, rows: Sequence[Sequence[Any]]) -> None:
        self._new.extend(rows)
