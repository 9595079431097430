"""Laws of what a search asks of a ledger: the outlook, an owner as a whole, tokens, the rows that pass a test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from memkit.clock import to_iso
from memkit.ledger.base import Mark, RankRow, RowTest
from memkit.scope import ReadScope
from memkit.testing.laws import Driver
from memkit.testing.ledger_data import (
    ALICE_BOT,
    BOB,
    DIM,
    LATE,
    SCOPES,
    T0,
    LedgerLaws,
    Vector,
    add,
    added,
    close_to,
    edit,
    new_id,
    vector,
    write,
)


def _ignore(part: Sequence[RankRow], vectors: Vector) -> None:
    """Take rows that nobody looks at."""


class LedgerSearch(LedgerLaws):
    """The laws of the reads of a search."""

    def test_load_hands_over_every_live_row_of_one_moment(self, ledger: Driver) -> None:
        """`load` gives what the first `changes` gives: rows by rid with their vectors, and the mark they are at.

        Troubleshooting: read rows and the owner's event number in one read transaction; no vector is a zero row.
        """
        rows = [vector(n) for n in range(3)]
        kept = added(
            ledger, *[add(text=f"t{n}", vector=rows[n]) for n in range(3)], add(text="t3", vector=None)
        )
        others = added(ledger, add(BOB, "bob's", kind="preference"), add(ALICE_BOT, "bot's"))
        write(ledger, edit(kept[1], set_={"deleted": True}))
        number = kept[0].owner
        for owner, records in ((number, [kept[0], *kept[2:], others[1]]), (others[0].owner, others[:1])):
            found: list[RankRow] = []
            matrices: list[Vector] = []

            def take(
                part: Sequence[RankRow], vectors: Vector, found: Any = found, into: Any = matrices
            ) -> None:
                found.extend(part)
                into.extend(vectors)

            mark = ledger.call("load", owner, take)
            whole = ledger.call("changes", owner, None)
            assert mark == whole.mark
            assert [row.rid for row in found] == sorted(record.rid for record in records)
            assert close_to(np.stack(matrices), whole.vectors)
            for row, record in zip(found, whole.records, strict=True):
                ids = (record.user_id, record.agent_id, record.run_id)
                assert (row.user, row.agent, row.session) == ids
                assert (row.text, row.kind, row.dated) == (record.text, record.kind, record.dated)
                assert (row.speaker, row.role) == (record.actor_id, record.role)
                times = (record.created_at, record.valid_from, record.valid_until, record.expires_at)
                assert (row.created_at, row.valid_from, row.valid_until, row.expires_at) == times
        assert ledger.call("load", 10**6, _ignore) == Mark()

    @pytest.mark.parametrize(
        "scope",
        [ReadScope(user_id="alice"), ReadScope(user_id="nobody"), ReadScope(runs=frozenset(("r1",))),
         ReadScope(), ReadScope(everyone=True)],
    )  # fmt: skip
    def test_the_outlook_says_what_the_single_reads_say(self, ledger: Driver, scope: ReadScope) -> None:
        """`outlook` has the embedder, and size and event number of each owner in scope, as of one moment.

        Troubleshooting: a scope of everyone is one owner without a number.
        """
        assert not any(mark.event for mark in ledger.call("outlook", scope).owners)
        for n, stored in enumerate(SCOPES):
            added(ledger, add(stored, str(n), vector=vector(n)))
        outlook = ledger.call("outlook", scope)
        assert outlook.embedder == ledger.call("embedder")
        numbers = ledger.call("owners_in", scope)
        assert [mark.number for mark in outlook.owners] == ([None] if numbers is None else list(numbers))
        for mark in outlook.owners:
            assert mark.memories == ledger.call("size", mark.number)
            assert mark.event == ledger.call("changes", mark.number, None).mark.event

    def test_a_test_is_run_on_the_fields_it_names(self, ledger: Driver) -> None:
        """Listing, count and `passing` give the rows whose payload passes; pages are made of those alone.

        Troubleshooting: read the columns of the named fields only, and leave the order to the index by time.
        """
        changes = [
            add(text=f"t{n}", metadata={"n": n % 3} if n % 4 else {}, created_at=T0 + n) for n in range(12)
        ]
        records = added(ledger, *changes)
        added(ledger, add(BOB, "t1", metadata={"n": 1}))
        alice = ReadScope(user_id="alice")
        for test in (
            RowTest(frozenset({"metadata"}), lambda row: row["metadata"].get("n") == 1),
            RowTest(
                frozenset({"metadata", "memory"}),
                lambda row: row["memory"] in ("t1", "t7") and row["metadata"],
            ),
            RowTest(frozenset({"created_at"}), lambda row: row["created_at"] == to_iso(T0 + 5)),
            RowTest(frozenset({"id"}), lambda row: row["id"] == records[3].id),
            RowTest(frozenset(), lambda row: not row),
        ):
            payloads = [
                {
                    "metadata": dict(r.metadata),
                    "memory": r.text,
                    "created_at": to_iso(r.created_at),
                    "id": r.id,
                }
                for r in records
            ]
            good = [
                record
                for record, payload in zip(records, payloads, strict=True)
                if test.accepts({name: payload[name] for name in test.fields})
            ][::-1]
            assert list(ledger.call("listing", alice, at=LATE, limit=50, test=test)) == good
            assert ledger.call("count", alice, at=LATE, test=test) == len(good)
            assert sorted(ledger.call("passing", alice, test, at=LATE)) == sorted(r.rid for r in good)
            first = list(ledger.call("listing", alice, at=LATE, limit=1, test=test))
            after = (first[0].created_at, first[0].rid)
            assert (
                first + list(ledger.call("listing", alice, at=LATE, limit=50, after=after, test=test)) == good
            )

    def test_tokens_come_back_as_they_were_given_whatever_else_is_there(self, ledger: Driver) -> None:
        """`tokens` gives the bytes of each record by rid, without those that have none or never were.

        Troubleshooting: keep them beside the records, by rid; to the ledger they are bytes.
        """
        given = [bytes([n]) * (1 + 997 * n) for n in range(12)]
        few = added(ledger, *[add(text=f"t{n}", tokens=packed) for n, packed in enumerate(given)])
        bare = added(ledger, add(text="bare"), add(BOB, "bob's", tokens=b"his"))
        found = ledger.call("tokens", [record.rid for record in (*few, *bare)] + [10**12])
        assert found == {
            **{record.rid: packed for record, packed in zip(few, given, strict=True)},
            bare[1].rid: b"his",
        }
        assert ledger.call("tokens", []) == {}
        many = added(ledger, *[add(text=f"m{n}", tokens=b"%d" % n) for n in range(700)])
        found = ledger.call("tokens", [record.rid for record in many])
        assert [found[record.rid] for record in many] == [b"%d" % n for n in range(700)]

    def test_a_change_of_the_text_takes_the_tokens_of_the_old_one_away(self, ledger: Driver) -> None:
        """Tokens are of the text as it is: new words have the tokens given with them, or none; other edits keep them.

        Troubleshooting: whatever drops the embedding of an earlier text has to drop its tokens.
        """
        records = added(ledger, *[add(text=f"t{n}", tokens=b"old") for n in range(4)])
        write(
            ledger,
            edit(records[0], set_={"text": "new"}),
            edit(records[1], set_={"text": "newer"}, vector=vector(1), tokens=b"new"),
            edit(records[2], set_={"pinned": True, "text": "t2"}),
            edit(records[3], set_={}, vector=vector(2), tokens=b"again"),
        )
        found = ledger.call("tokens", [record.rid for record in records])
        assert found == {records[1].rid: b"new", records[2].rid: b"old", records[3].rid: b"again"}

    def test_tokens_come_back_with_a_deleted_record_and_go_with_a_forgotten_one(self, ledger: Driver) -> None:
        """A record that is deleted and brought back has its tokens; `forget` and `reset` leave none.

        Troubleshooting: erase them by rid with the record.
        """
        kept, gone, bob = added(
            ledger, add(text="k", tokens=b"k"), add(text="g", tokens=b"g"), add(BOB, "b", tokens=b"b")
        )
        write(ledger, edit(kept, "DELETE", set_={"deleted": True}))
        now = ledger.call("records", [kept.id])[0]
        write(ledger, edit(now, "RESTORE", set_={"deleted": False}))
        ledger.call("forget", new_id(), LATE, ids=[gone.id])
        rids = [kept.rid, gone.rid, bob.rid]
        assert ledger.call("tokens", rids) == {kept.rid: b"k", bob.rid: b"b"}
        ledger.call("forget", new_id(), LATE, scope=ReadScope(user_id="bob"))
        assert ledger.call("tokens", rids) == {kept.rid: b"k"}
        ledger.call("reset")
        assert ledger.call("tokens", rids) == {}

    def test_tokens_of_another_embedder_are_gone_once_the_embedder_has_changed(self, ledger: Driver) -> None:
        """`switch_embedder` puts the tokens that were staged in the place of all there were; until then those hold.

        Troubleshooting: change vectors and tokens in one transaction.
        """
        records = added(ledger, *[add(text=f"t{n}", tokens=b"old") for n in range(3)])
        rids = [record.rid for record in records]
        rows = np.stack([vector(n) for n in range(3)])
        ledger.call("begin_staging", "test/other")
        ledger.call("stage", "test/other", records, rows, [b"new", None, b"newer"])
        assert ledger.call("tokens", rids) == dict.fromkeys(rids, b"old")
        assert ledger.call("switch_embedder", "test/other", DIM) == 0
        assert ledger.call("tokens", rids) == {rids[0]: b"new", rids[2]: b"newer"}
        added_late = added(ledger, add(text="late", vector=None))
        given = [[*added_late, records[1]], rows[:2], [b"late", b"t1"]]
        ledger.call("give_vectors", ("test/other", DIM), *given)
        everything = {rids[0]: b"new", rids[1]: b"t1", rids[2]: b"newer", added_late[0].rid: b"late"}
        assert ledger.call("tokens", [*rids, added_late[0].rid]) == everything
        ledger.call("set_embedder", "test/third", DIM, replace=True)
        assert ledger.call("tokens", rids) == {}
