"""Owners while a batch changes them: made at their first row, counted once at the end."""

from __future__ import annotations

import sqlite3
from typing import Final

from ...scope import Owner, Scope
from ..owner_states import OwnerState
from .words import Book, Head

_KEPT: Final = 10_000


class Owners:
    """The owners of one batch."""

    def __init__(self, conn: sqlite3.Connection, book: Book, head: Head) -> None:
        self._conn, self._book, self._known = conn, book, head.owners
        self._by_owner: dict[Owner, OwnerState] = {}
        self._by_number: dict[int, OwnerState] = {}
        self._last: tuple[Scope | None, OwnerState | None] = (None, None)

    def get(self, owner: Owner, *, create: bool) -> OwnerState | None:
        """Return an owner's row; None when there is none and `create` is not set."""
        known = self._by_owner.get(owner)
        if known is not None:
            return known
        row = (
            self._known.get(owner)
            or self._conn.execute(
                "SELECT no, next_n, next_m FROM owner WHERE kind = ? AND id = ?", (owner.kind, owner.id)
            ).fetchone()
        )
        if row is None:
            if not create:
                return None
            cursor = self._conn.execute("INSERT INTO owner (kind, id) VALUES (?, ?)", (owner.kind, owner.id))
            assert cursor.lastrowid is not None
            row = (cursor.lastrowid, 1, 1)
        known = OwnerState(no=row[0], owner=owner, next_n=row[1], next_m=row[2])
        self._by_owner[owner] = self._by_number[known.no] = known
        return known

    def of_scope(self, scope: Scope) -> OwnerState:
        """Return the row of a scope's owner, made if need be."""
        last, known = self._last
        if scope is last and known is not None:
            return known
        found = self.get(scope.owner, create=True)
        assert found is not None
        if found.owner.kind == "agent" and scope.run_id is not None:
            found.runs.add(scope.run_id)
        self._last = (scope, found)
        return found

    def numbered(self, number: int) -> OwnerState:
        """Return the row of an owner that is known by its number."""
        known = self._by_number.get(number)
        if known is None:
            found = self.get(self._book.owner(self._conn, number), create=False)
            assert found is not None
            known = found
        return known

    def close(self, at: int) -> None:
        """Write what became of every owner of the batch."""
        if len(self._known) + len(self._by_owner) > _KEPT:
            self._known.clear()
        for state in self._by_number.values():
            self._known[state.owner] = (state.no, state.next_n, state.next_m)
            if not state.messages and not state.memories and state.event is None:
                continue
            self._conn.execute(
                "UPDATE owner SET next_n = ?, next_m = ?, event = ifnull(?, event), memories = memories + ?,"
                " messages = messages + ?, changed = ? WHERE no = ?",
                (state.next_n, state.next_m, state.event, state.memories, state.messages, at, state.no),
            )
            for run in state.runs:
                self._conn.execute(
                    "INSERT OR IGNORE INTO agent_run (run, owner) VALUES (?, ?)", (run, state.no)
                )
