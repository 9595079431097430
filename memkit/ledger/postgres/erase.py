"""The rows of an erasure in PostgreSQL: what goes, what is scrubbed, and the text-free trace that stays."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

from ...postgres.session import Session
from ...scope import Owner, ReadScope
from ..base import OWNER_SHIFT, ForgetCounts
from ..rows import FORGET, RECORD_SELECT, Row, column, dump, live_text, sources_left, stored_id, unpack_id
from .base import Book
from .graph import drop_names
from .rebuild import drop_staged
from .scope import owners_select, scope_where
from .words import drop_words

_OF_OWNER: Final = "FROM job j JOIN operation o ON o.no = j.op WHERE o.owner = ANY(%s)"


async def doomed(s: Session, scope: ReadScope | None, ids: Sequence[str] | None) -> list[Row]:
    """Return the `RECORD_SELECT` rows to erase, deleted ones too, in rid order; their owners are locked from now on."""
    clauses, args = scope_where(scope, "record") if scope is not None else ([], [])
    if ids is not None:
        clauses, args = [*clauses, "record.id = ANY(%s)"], [*args, [stored_id(one) for one in ids]]
        owners, of = "SELECT owner FROM record WHERE id = ANY(%s)", [args[-1]]
    else:
        found = owners_select(scope or ReadScope())
        owners, of = ("SELECT no FROM owner", list[Any]()) if found is None else found
    where = "WHERE " + " AND ".join(clauses) if clauses else ""
    _, rows = await s.together([
        (f"SELECT no FROM owner WHERE no IN ({owners}) ORDER BY no FOR UPDATE", of),
        (f"{RECORD_SELECT}{where} ORDER BY record.rid", args),
    ])  # fmt: skip
    return list(rows)


class Erasure:
    """Erases inside a write transaction that its caller begins and ends."""

    def __init__(self, s: Session, book: Book, operation_id: str, at: int, records: Sequence[Row]) -> None:
        self._s, self._book, self._operation_id, self._at = s, book, operation_id, at
        self._records = records
        self._rids = [row[0] for row in records]
        self._events = self._jobs = self._results = 0

    async def by_scope(self, scope: ReadScope) -> ForgetCounts:
        """Erase the records, and all messages and jobs of the scope."""
        clauses, args = scope_where(scope, "message")
        where = " WHERE " + " AND ".join(clauses) if clauses else ""
        found = owners_select(scope)
        owners, of = ("SELECT no FROM owner", list[Any]()) if found is None else found
        messages, numbers = await self._s.together([
            (f"SELECT rid FROM message{where}", args), (owners, of)
        ])  # fmt: skip
        everyone = {row[0] for row in numbers} | _owners(self._records)
        jobs = await self._jobs_in(scope, sorted(everyone))
        return await self._erase([row[0] for row in messages], jobs, everyone)

    async def by_id(self) -> ForgetCounts:
        """Erase the records, the messages that only they rest on, and jobs that name these or hold the text."""
        numbers = _owners(self._records)
        messages: set[int] = set()
        for number in sorted(numbers):
            messages |= await self._only_under(number)
        words = {live_text(row) for row in self._records}
        jobs = await self._jobs_naming(sorted(numbers), words, messages)
        return await self._erase(sorted(messages), jobs, numbers)

    async def _erase(self, messages: Sequence[int], jobs: Sequence[int], numbers: set[int]) -> ForgetCounts:
        if self._records or messages or jobs:
            op: int = await self._s.one("SELECT nextval('operation_no')")
            await self._erase_jobs(jobs)
            await self._scrub_operations(sorted(numbers), op)
            await self._keep_words_of_others(messages)
            await self._drop_quotes(messages)
            await self._erase_records()
            await self._s.later(("DELETE FROM message WHERE rid = ANY(%s)", (list(messages),)))
            await drop_names(self._s, sorted(numbers))
            await self._leave_events(op, numbers)
            await self._close_owners(sorted(numbers))
            await self._s.later((
                "INSERT INTO meta (key, value) VALUES ('erasure', '1') ON CONFLICT (key) DO NOTHING", ()
            ))  # fmt: skip
        return ForgetCounts(
            memory_ids=[unpack_id(row[1]) for row in self._records],
            messages=len(messages),
            events=self._events,
            jobs=self._jobs,
            results=self._results,
        )

    # ------------------------------------------------------------------------------------- what goes

    async def _only_under(self, number: int) -> set[int]:
        """Return messages of an owner that these records rest on and no other does."""
        rows = await self._s.rows(
            "SELECT rid, message, sources FROM record"
            " WHERE owner = %s AND (message IS NOT NULL OR sources IS NOT NULL)",
            (number,),
        )
        given = sorted({name for row in rows for name in _named(row[2])})
        known: dict[str, list[int]] = {}
        if given:
            found = await self._s.rows(
                "SELECT id, rid FROM message WHERE owner = %s AND id = ANY(%s)", (number, given)
            )
            for name, rid in found:
                known.setdefault(name, []).append(rid)
        mine: set[int] = set()
        others: set[int] = set()
        doomed_rids = set(self._rids)
        for rid, message, sources in rows:
            (mine if rid in doomed_rids else others).update(_rests_on(message, sources, known))
        return mine - others

    async def _jobs_in(self, scope: ReadScope, numbers: Sequence[int]) -> list[int]:
        """Return jobs of the scope; a job that does not say whose words it holds is of the whole owner."""
        rows = await self._s.rows(
            f"SELECT j.op, j.scoped, j.agent, j.run, o.owner {_OF_OWNER}", (list(numbers),)
        )
        await self._book.learn(self._s, [row[4] for row in rows])
        found: list[int] = []
        for op, scoped, agent, run, number in rows:
            owner: Owner = self._book.owners[number]
            user = owner.id if owner.kind == "user" else None
            if not scoped or scope.allows(user, agent, run):
                found.append(op)
        return found

    async def _jobs_naming(
        self, numbers: Sequence[int], words: Iterable[str], messages: set[int]
    ) -> list[int]:
        """Return jobs that work on one of the messages, or that hold one of the texts themselves."""
        rows = await self._s.rows(f"SELECT j.op, j.payload {_OF_OWNER}", (list(numbers),))
        needles = [json.dumps(text, ensure_ascii=False)[1:-1] for text in words if text]
        return [
            op
            for op, payload in rows
            if messages.intersection(json.loads(payload)["messages"])
            or any(needle in payload for needle in needles)
        ]

    async def _erase_jobs(self, jobs: Sequence[int]) -> None:
        """Erase jobs with their operations: what a worker still finishes finds none and writes nothing."""
        if jobs:
            self._jobs = await self._s.run("DELETE FROM job WHERE op = ANY(%s)", (list(jobs),))
            await self._s.later(
                ("DELETE FROM operation WHERE no = ANY(%s) AND first IS NULL", (list(jobs),)),
                ("UPDATE operation SET state = 'done' WHERE no = ANY(%s)", (list(jobs),)),
            )

    async def _scrub_operations(self, numbers: Sequence[int], op: int) -> None:
        """Take results, keys and digests out of operations that hold, or may hold, the erased words."""
        rows = await self._s.rows(
            "SELECT op FROM event WHERE (rid = ANY(%s) AND code != 1) OR seq = ANY(%s)"
            " UNION SELECT no FROM operation WHERE owner = ANY(%s) AND first IS NULL AND state = 'done'",
            (self._rids, [column(row, "seq") for row in self._records], list(numbers)),
        )
        touched = [row[0] for row in rows if row[0] != op]
        self._results = await self._s.run(
            "UPDATE operation SET result = NULL WHERE result IS NOT NULL AND (owner = ANY(%s) OR no = ANY(%s))",
            (list(numbers), touched),
        )
        await self._s.later(("UPDATE operation SET key = NULL, digest = NULL WHERE no = ANY(%s)", (touched,)))

    async def _keep_words_of_others(self, messages: Sequence[int]) -> None:
        """Give records outside the scope that point at an erased message their own text."""
        await self._s.later((
            "UPDATE record SET text = message.text, sources = coalesce(record.sources, '[]') FROM message"
            " WHERE message.rid = record.message AND record.message = ANY(%s) AND record.text IS NULL"
            " AND record.rid != ALL(%s) AND record.owner = ANY(%s)",
            (list(messages), self._rids, sorted({rid >> OWNER_SHIFT for rid in messages})),
        ))  # fmt: skip

    async def _drop_quotes(self, messages: Sequence[int]) -> None:
        """Take erased messages out of the sources of records that stay, as they are and as they were."""
        if not messages:
            return
        numbers = sorted({rid >> OWNER_SHIFT for rid in messages})
        names, records, events = await self._s.together([
            ("SELECT id FROM message WHERE rid = ANY(%s) AND id IS NOT NULL", (list(messages),)),
            (
                "SELECT rid, sources FROM record WHERE owner = ANY(%s) AND sources IS NOT NULL AND rid != ALL(%s)",
                (numbers, self._rids),
            ),
            (
                "SELECT seq, delta FROM event WHERE owner = ANY(%s) AND code != 1 AND strpos(delta, '\"sources\"') > 0",
                (numbers,),
            ),
        ])  # fmt: skip
        gone: set[int | str] = {*messages, *(row[0] for row in names)}
        for rid, sources in records:
            left = sources_left(sources, gone)
            if left != sources:
                await self._s.later(("UPDATE record SET sources = %s WHERE rid = %s", (left, rid)))
        for seq, text in events:
            delta = json.loads(text)
            left = sources_left(delta.get("sources"), gone)
            if left != delta.get("sources"):
                delta["sources"] = left
                await self._s.later(("UPDATE event SET delta = %s WHERE seq = %s", (dump(delta), seq)))

    async def _erase_records(self) -> None:
        s, book = self._s, self._book
        if not self._records:
            return
        live = [row for row in self._records if not column(row, "deleted")]
        await drop_words(s, [(row[0], book.words(column(row, "actor"), live_text(row))) for row in live])
        self._events = await s.run(
            "DELETE FROM event WHERE (rid = ANY(%s) AND code != 1) OR seq = ANY(%s)",
            (self._rids, [column(row, "seq") for row in self._records]),
        )
        await drop_staged(s, self._rids)
        for table in ("vec", "vec_gone", "tokens", "node", "edge", "record"):
            await s.later((f"DELETE FROM {table} WHERE rid = ANY(%s)", (self._rids,)))

    # ------------------------------------------------------------------------------------- what stays

    async def _leave_events(self, op: int, numbers: set[int]) -> None:
        s = self._s
        count = max(len(self._records), 1)
        indexes, given = await s.together([
            ("SELECT substr(key, 7) FROM meta WHERE key LIKE 'index:%%' ORDER BY key", ()),
            ("SELECT nextval('event_seq') FROM generate_series(1, %s)", (count,)),
        ])  # fmt: skip
        seqs = [row[0] for row in given]
        self._last = seqs[-1]
        events = [
            (seq, op, row[2], row[0], FORGET, self._at, row[1])
            for seq, row in zip(seqs, self._records, strict=False)
        ]
        await s.insert("event", ("seq", "op", "owner", "rid", "code", "at", "memory"), events)
        outbox = [(name, row[0], row[1]) for (name,) in indexes for row in self._records]
        await s.insert("outbox", ("name", "rid", "id"), outbox)
        owner = next(iter(numbers)) if len(numbers) == 1 else None
        first, last = (seqs[0], seqs[-1]) if self._records else (None, None)
        columns = ("no", "id", "kind", "owner", "at", "state", "first", "last", "events")
        row = (
            op, stored_id(self._operation_id), "forget", owner, self._at, "done", first, last, len(events),
        )  # fmt: skip
        await s.insert("operation", columns, [row])

    async def _close_owners(self, numbers: Sequence[int]) -> None:
        """Count again what owners have; one that has nothing left is gone."""
        s = self._s
        args = (list(numbers),)
        rows = await s.rows(
            "SELECT no, event, (SELECT count(*) FROM record WHERE record.owner = no),"
            " (SELECT count(*) FROM record WHERE record.owner = no AND deleted = 0),"
            " (SELECT count(*) FROM message WHERE message.owner = no),"
            f" EXISTS (SELECT 1 {_OF_OWNER.replace('= ANY(%s)', '= owner.no')}) FROM owner WHERE no = ANY(%s)",
            args,
        )
        gone = [row for row in rows if not (row[2] or row[4] or row[5])]
        # A mark of the whole ledger is a sum: what owners that go have added to it stays in it.
        await s.later((
            "UPDATE state SET event = event + %s, reset = reset + 1 WHERE id = 1",
            (sum(row[1] for row in gone) + 1,),
        ))  # fmt: skip
        for no, _event, records, live, messages, jobs in rows:
            if records or messages or jobs:
                await s.later((
                    "UPDATE owner SET memories = %s, messages = %s, event = %s, reset = %s, changed = %s WHERE no = %s",
                    (live, messages, self._last, self._last, self._at, no),
                ))  # fmt: skip
        await s.later(
            ("DELETE FROM owner WHERE no = ANY(%s)", ([row[0] for row in gone],)),
            (
                "DELETE FROM agent_run WHERE owner = ANY(%s)"
                " AND NOT EXISTS (SELECT 1 FROM record r WHERE r.owner = agent_run.owner AND r.run = agent_run.run)"
                " AND NOT EXISTS (SELECT 1 FROM message m WHERE m.owner = agent_run.owner AND m.run = agent_run.run)",
                args,
            ),
        )


def _named(sources: str | None) -> list[str]:
    """Return the ids of messages in stored sources that the ledger did not make."""
    return [pair[0] for pair in json.loads(sources) if isinstance(pair[0], str)] if sources else []


def _rests_on(message: int | None, sources: str | None, known: dict[str, list[int]]) -> set[int]:
    found: set[int] = set() if message is None else {message}
    for pair in json.loads(sources) if sources else ():
        found.update([pair[0]] if isinstance(pair[0], int) else known.get(pair[0], ()))
    return found


def _owners(records: Sequence[Row]) -> set[int]:
    return {row[2] for row in records}
