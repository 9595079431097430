"""The rows of an erasure, in one transaction: what goes, what is scrubbed, and the text-free trace that stays."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, Final

from ...scope import ReadScope
from ..base import OWNER_SHIFT, ForgetCounts
from ..rows import FORGET, column, dump, live_text, owner_range, pack_id, sources_left, unpack_id
from .base import chunks
from .graph import drop_names
from .rebuild import drop_staged
from .rows import one
from .scope import owner_numbers, scope_where
from .words import Book, drop_words, read_state

ERASED: Final = 1
ITEMS: Final = 2


class Erasure:
    """Erases inside a write transaction that its caller begins and ends."""

    def __init__(self, conn: sqlite3.Connection, book: Book, operation_id: str, at: int) -> None:
        self._conn, self._book, self._operation_id, self._at = conn, book, operation_id, at
        self._seq = read_state(conn, book).event
        self._events = self._jobs = self._results = 0

    def by_scope(self, records: Sequence[Any], scope: ReadScope) -> ForgetCounts:
        """Erase records, and all messages and jobs of the scope."""
        conn = self._conn
        found = scope_where(conn, scope, "message")
        messages: list[int] = []
        if found is not None:
            where = "WHERE " + " AND ".join(found[0]) if found[0] else ""
            messages = [row[0] for row in conn.execute("SELECT rid FROM message " + where, found[1])]
        numbers = owner_numbers(conn, scope)
        if numbers is None:
            numbers = [row[0] for row in conn.execute("SELECT no FROM owner ORDER BY no")]
        jobs = self._jobs_in(scope, numbers)
        return self._erase(records, messages, jobs, {*numbers, *_owners(records)})

    def by_id(self, records: Sequence[Any]) -> ForgetCounts:
        """Erase records, the messages that only they rest on, and jobs that name these messages or hold the text."""
        rids = {row[0] for row in records}
        numbers = _owners(records)
        messages: set[int] = set()
        for number in sorted(numbers):
            messages |= self._only_under(number, [row for row in records if row[0] >> 32 == number], rids)
        words = {live_text(row) for row in records}
        jobs = self._jobs_naming(numbers, words, messages)
        return self._erase(records, sorted(messages), jobs, numbers)

    def _erase(
        self, records: Sequence[Any], messages: Sequence[int], jobs: Sequence[int], numbers: set[int]
    ) -> ForgetCounts:
        ids = [unpack_id(row[1]) for row in records]
        if records or messages or jobs:
            op = self._insert_operation(numbers)
            self._erase_jobs(jobs)
            self._scrub_operations(records, numbers, op)
            self._keep_words_of_others(messages, {row[0] for row in records})
            self._drop_quotes(messages, {row[0] for row in records})
            self._erase_records(records)
            self._leave_events(records, op)
            self._delete("message", "rid", messages)
            drop_names(self._conn, numbers)
            self._close_owners(numbers)
            self._conn.execute("INSERT INTO fts (fts) VALUES ('optimize')")
            mark_erasure(self._conn, ERASED)
        return ForgetCounts(
            memory_ids=ids,
            messages=len(messages),
            events=self._events,
            jobs=self._jobs,
            results=self._results,
        )

    # ------------------------------------------------------------------------------------- what goes

    def _only_under(self, number: int, records: Sequence[Any], rids: set[int]) -> set[int]:
        """Return messages of an owner that these records rest on and no other does."""
        mine = {
            rid
            for row in records
            for rid in self._rests_on(number, column(row, "message"), column(row, "sources"))
        }
        if not mine:
            return mine
        others = self._conn.execute(
            "SELECT rid, message, sources FROM record WHERE rid BETWEEN ? AND ?"
            " AND (message IS NOT NULL OR sources IS NOT NULL)",
            owner_range(number),
        )
        for rid, message, sources in others.fetchall():
            if rid not in rids:
                mine.difference_update(self._rests_on(number, message, sources))
        return mine

    def _rests_on(self, number: int, message: int | None, sources: str | None) -> set[int]:
        found: set[int] = set() if message is None else {message}
        for pair in json.loads(sources) if sources else ():
            if isinstance(pair[0], int):
                found.add(pair[0])
            else:
                sql = "SELECT rid FROM message WHERE id = ? AND owner = ?"
                found.update(row[0] for row in self._conn.execute(sql, (pair[0], number)))
        return found

    def _jobs_in(self, scope: ReadScope, numbers: Iterable[int]) -> list[int]:
        """Return jobs of the scope; a job that does not say whose words it holds is of the whole owner."""
        found: list[int] = []
        for number in numbers:
            owner = self._book.owner(self._conn, number)
            user = owner.id if owner.kind == "user" else None
            sql = "SELECT j.op, j.scoped, j.agent, j.run FROM job j JOIN operation o ON o.no = j.op WHERE o.owner = ?"
            for op, scoped, agent, run in self._conn.execute(sql, (number,)).fetchall():
                if not scoped or scope.allows(user, agent, run):
                    found.append(op)
        return found

    def _jobs_naming(self, numbers: Iterable[int], words: Iterable[str], messages: set[int]) -> list[int]:
        """Return jobs that work on one of the messages, or that hold one of the texts themselves."""
        found: list[int] = []
        needles = [json.dumps(text, ensure_ascii=False)[1:-1] for text in words if text]
        for number in numbers:
            sql = "SELECT j.op, j.payload FROM job j JOIN operation o ON o.no = j.op WHERE o.owner = ?"
            for op, payload in self._conn.execute(sql, (number,)).fetchall():
                named = messages.intersection(json.loads(payload)["messages"])
                if named or any(needle in payload for needle in needles):
                    found.append(op)
        return found

    def _delete(self, table: str, name: str, keys: Sequence[Any]) -> int:
        return sum(
            self._conn.execute(f"DELETE FROM {table} WHERE {name} IN ({marks})", part).rowcount
            for part, marks in chunks(keys)
        )

    def _erase_jobs(self, jobs: Sequence[int]) -> None:
        """Erase jobs with their operations: what a worker still finishes finds none and writes nothing."""
        self._jobs = self._delete("job", "op", jobs)
        for part, marks in chunks(jobs):
            self._conn.execute(f"DELETE FROM operation WHERE no IN ({marks}) AND first IS NULL", part)
            self._conn.execute(f"UPDATE operation SET state = 'done' WHERE no IN ({marks})", part)

    def _scrub_operations(self, records: Sequence[Any], numbers: Iterable[int], op: int) -> None:
        """Take results, keys and digests out of operations that hold, or may hold, the erased words."""
        conn = self._conn
        touched: set[int] = set()
        rids = [row[0] for row in records]
        for part, marks in chunks(rids):
            sql = f"SELECT op FROM event WHERE rid IN ({marks}) AND code != 1"
            touched.update(row[0] for row in conn.execute(sql, part))
        for part, marks in chunks([column(row, "seq") for row in records]):
            touched.update(
                row[0] for row in conn.execute(f"SELECT op FROM event WHERE seq IN ({marks})", part)
            )
        touched.discard(op)
        for number in numbers:
            sql = "UPDATE operation SET result = NULL WHERE owner = ? AND result IS NOT NULL"
            self._results += conn.execute(sql, (number,)).rowcount
            sql = "SELECT no FROM operation WHERE owner = ? AND first IS NULL AND state = 'done' AND no != ?"
            touched.update(row[0] for row in conn.execute(sql, (number, op)))
        for part, marks in chunks(sorted(touched)):
            sql = f"UPDATE operation SET result = NULL WHERE no IN ({marks}) AND result IS NOT NULL"
            self._results += conn.execute(sql, part).rowcount
            conn.execute(f"UPDATE operation SET key = NULL, digest = NULL WHERE no IN ({marks})", part)

    def _keep_words_of_others(self, messages: Sequence[int], rids: set[int]) -> None:
        """Give records outside the scope that point at an erased message their own text."""
        for part, marks in chunks(messages):
            sql = f"SELECT rid FROM record WHERE message IN ({marks}) AND text IS NULL"
            for (rid,) in self._conn.execute(sql, part).fetchall():
                if rid not in rids:
                    self._conn.execute(
                        "UPDATE record SET text = (SELECT text FROM message WHERE message.rid = record.message),"
                        " sources = ifnull(sources, '[]') WHERE rid = ?",
                        (rid,),
                    )

    def _drop_quotes(self, messages: Sequence[int], rids: set[int]) -> None:
        """Take erased messages out of the sources of records that stay, as they are and as they were."""
        conn = self._conn
        gone: set[int | str] = set(messages)
        for part, marks in chunks(messages):
            sql = f"SELECT id FROM message WHERE rid IN ({marks}) AND id IS NOT NULL"
            gone.update(row[0] for row in conn.execute(sql, part))
        for number in sorted({rid >> OWNER_SHIFT for rid in messages}):
            sql = "SELECT rid, sources FROM record WHERE rid BETWEEN ? AND ? AND sources IS NOT NULL"
            for rid, sources in conn.execute(sql, owner_range(number)).fetchall():
                left = sources_left(sources, gone)
                if rid not in rids and left != sources:
                    conn.execute("UPDATE record SET sources = ? WHERE rid = ?", (left, rid))
            sql = "SELECT seq, delta FROM event WHERE owner = ? AND code != 1 AND instr(delta, '\"sources\"')"
            for seq, text in conn.execute(sql, (number,)).fetchall():
                delta = json.loads(text)
                left = sources_left(delta.get("sources"), gone)
                if left != delta.get("sources"):
                    delta["sources"] = left
                    conn.execute("UPDATE event SET delta = ? WHERE seq = ?", (dump(delta), seq))

    def _erase_records(self, records: Sequence[Any]) -> None:
        conn, book = self._conn, self._book
        drop_words(
            conn,
            [
                (row[0], book.words(column(row, "actor"), live_text(row)))
                for row in records
                if not column(row, "deleted")
            ],
        )
        rids = [row[0] for row in records]
        for part, marks in chunks(rids):
            self._events += conn.execute(
                f"DELETE FROM event WHERE rid IN ({marks}) AND code != 1", part
            ).rowcount
        self._events += self._delete("event", "seq", [column(row, "seq") for row in records])
        drop_staged(conn, rids)
        for table in ("vec", "vec_gone", "tokens", "node", "edge", "record"):
            self._delete(table, "rid", rids)

    # ------------------------------------------------------------------------------------- what stays

    def _insert_operation(self, numbers: set[int]) -> int:
        owner = next(iter(numbers)) if len(numbers) == 1 else None
        cursor = self._conn.execute(
            "INSERT INTO operation (id, kind, owner, at, state) VALUES (?, 'forget', ?, ?, 'done')",
            (pack_id(self._operation_id), owner, self._at),
        )
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def _leave_events(self, records: Sequence[Any], op: int) -> None:
        conn, first = self._conn, self._seq + 1
        indexes = [
            row[0][6:] for row in conn.execute("SELECT key FROM meta WHERE key LIKE 'index:%' ORDER BY key")
        ]
        for row in records:
            self._seq += 1
            conn.execute(
                "INSERT INTO event (seq, op, owner, rid, code, at, memory) VALUES (?,?,?,?,?,?,?)",
                (self._seq, op, row[2], row[0], FORGET, self._at, row[1]),
            )
        conn.executemany(
            "INSERT INTO outbox (name, rid, id) VALUES (?,?,?)",
            [(name, row[0], row[1]) for name in indexes for row in records],
        )
        if records:
            conn.execute("UPDATE operation SET first = ?, last = ? WHERE no = ?", (first, self._seq, op))
        else:
            self._seq += 1
        conn.execute("UPDATE state SET event = ?, reset = ? WHERE id = 1", (self._seq, self._seq))

    def _close_owners(self, numbers: Iterable[int]) -> None:
        """Count again what owners have; one that has nothing left is gone."""
        conn = self._conn
        for number in numbers:
            span = owner_range(number)
            sql = "SELECT count(*), ifnull(sum(deleted = 0), 0) FROM record WHERE rid BETWEEN ? AND ?"
            records, live = conn.execute(sql, span).fetchone()
            messages = one(conn, "SELECT count(*) FROM message WHERE rid BETWEEN ? AND ?", span)
            jobs = one(
                conn,
                "SELECT count(*) FROM job j JOIN operation o ON o.no = j.op WHERE o.owner = ?",
                (number,),
            )
            if records or messages or jobs:
                conn.execute(
                    "UPDATE owner SET memories = ?, messages = ?, event = ?, reset = ?, changed = ? WHERE no = ?",
                    (live, messages, self._seq, self._seq, self._at, number),
                )
            else:
                conn.execute("DELETE FROM owner WHERE no = ?", (number,))
            conn.execute(
                "DELETE FROM agent_run WHERE owner = ?"
                " AND NOT EXISTS (SELECT 1 FROM record WHERE record.owner = ?1 AND record.run = agent_run.run)"
                " AND NOT EXISTS (SELECT 1 FROM message WHERE message.owner = ?1 AND message.run = agent_run.run)",
                (number,),
            )


def mark_erasure(conn: sqlite3.Connection, what: int) -> None:
    """Note that erased rows may have left bytes in the file: to go at once (`ERASED`), or later (`ITEMS`)."""
    kind = "REPLACE" if what == ERASED else "IGNORE"
    conn.execute(f"INSERT OR {kind} INTO meta (key, value) VALUES ('erasure', ?)", (what,))


def _owners(records: Sequence[Any]) -> set[int]:
    return {row[2] for row in records}
