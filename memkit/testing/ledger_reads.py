"""Laws of what a ledger answers: changes since a mark, scopes, order, keywords, neighbours, history."""

from __future__ import annotations

import numpy as np
import pytest

from memkit.errors import InvalidInputError
from memkit.ledger.base import Ledger, Mark
from memkit.scope import ReadScope, Scope
from memkit.testing.laws import Driver
from memkit.testing.ledger_data import (
    ALICE,
    ALICE_BOT,
    BOB,
    BOT,
    BOT_R1,
    DAY,
    DIM,
    EVERYTHING,
    LATE,
    RUN_R1,
    SCOPES,
    T0,
    LedgerLaws,
    Vector,
    add,
    added,
    batch,
    close_to,
    edit,
    message,
    new_id,
    read,
    texts,
    vector,
    write,
)


class LedgerReads(LedgerLaws):
    """The laws of the reads."""

    def test_changes_since_a_mark(self, ledger: Driver) -> None:
        """The first answer is everything; then what was added or edited with its vector, and what is gone.

        Troubleshooting: keep the owner's last event number with the owner; an equal number is an empty answer.
        """
        rows = [vector(n) for n in range(3)]
        one, two, three = added(ledger, *[add(text=f"t{n}", vector=rows[n]) for n in range(3)])
        number = ledger.call("owner_number", ALICE.owner)
        assert number == one.owner
        whole = ledger.call("changes", number, None)
        assert whole.reset and list(whole.records) == [one, two, three]
        assert close_to(whole.vectors, np.stack(rows))
        same = ledger.call("changes", number, whole.mark)
        assert (list(same.records), list(same.removed), same.reset, same.mark) == ([], [], False, whole.mark)
        added(ledger, add(BOB, "bob's"))
        assert ledger.call("changes", number, whole.mark).mark == whole.mark
        changed = write(ledger, edit(one, set_={"text": "new"}, vector=rows[1])).changes[0].record
        write(ledger, edit(two, set_={"deleted": True}))
        four = added(ledger, add(text="t4", vector=None))[0]
        delta = ledger.call("changes", number, whole.mark)
        assert (list(delta.records), list(delta.removed), delta.reset) == ([changed, four], [two.rid], False)
        assert close_to(delta.vectors, np.stack([rows[1], np.zeros(DIM, np.float32)]))
        everyone = ledger.call("changes", None, Mark(event=whole.mark.event))
        assert [r.text for r in everyone.records] == ["new", "t4", "bob's"]
        assert ledger.call("changes", number, Mark(event=10**9)).reset
        assert ledger.call("changes", 10**6, Mark(event=3)).reset

    def test_fetch_names_the_event_it_is_current_at(self, ledger: Driver) -> None:
        """`fetch` returns live records in the order asked, with each owner's last event number of the same instant.

        Troubleshooting: read records and event numbers in one read transaction.
        """
        one, two = added(ledger, add(text="1"), add(BOB, "2"))
        gone = added(ledger, add(text="3"))[0]
        write(ledger, edit(gone, set_={"deleted": True}))
        fetched = ledger.call("fetch", [two.rid, gone.rid, 5, one.rid])
        assert list(fetched.records) == [two, one]
        assert fetched.marks[one.owner] == ledger.call("changes", one.owner, None).mark.event
        assert fetched.marks[two.owner] == ledger.call("changes", two.owner, None).mark.event
        records, matrix = ledger.call("with_vectors", [two.rid, gone.rid, one.rid])
        assert list(records) == [two, one] and matrix.shape == (2, DIM)
        assert texts(ledger.call("records", [gone.id, new_id(), one.id, one.id])) == ["3", "1", "1"]

    @pytest.mark.parametrize(
        ("scope", "expected"),
        [
            (ReadScope(user_id="alice"), {0, 1}),
            (ReadScope(user_id="alice", agents=frozenset(("bot", None))), {0, 1}),
            (ReadScope(user_id="alice", agents=frozenset(("bot",))), {1}),
            (ReadScope(user_id="alice", runs=frozenset((None,))), {0}),
            (ReadScope(user_id="alice", runs=frozenset(("r2",))), set[int]()),
            (ReadScope(user_id="Alice"), set[int]()),
            (ReadScope(agents=frozenset(("bot",))), {3, 4}),
            (ReadScope(agents=frozenset(("bot",)), runs=frozenset((None,))), {3}),
            (ReadScope(runs=frozenset(("r1",))), {4, 5}),
            (ReadScope(agents=frozenset((None,)), runs=frozenset(("r1",))), {5}),
            (ReadScope(agents=frozenset((None, "bot")), runs=frozenset(("r1",))), {4, 5}),
            (ReadScope(runs=frozenset(("r1", None))), {3, 4, 5}),
            (ReadScope(), {3, 4, 5}),
            (ReadScope(everyone=True), {0, 1, 2, 3, 4, 5}),
            (ReadScope(everyone=True, runs=frozenset(("r1",))), {1, 2, 4, 5}),
        ],
    )
    def test_a_scope_sees_its_own_and_no_more(
        self, ledger: Driver, scope: ReadScope, expected: set[int]
    ) -> None:
        """Listing, count, messages and owners of a scope are those whose stored ids it allows.

        Troubleshooting: a scope without a user covers rows stored without one only.
        """
        for n, stored in enumerate(SCOPES):
            write(ledger, add(stored, str(n)), messages=[message(stored, str(n))])
        found = ledger.call("listing", scope, at=LATE, limit=50)
        assert {int(r.text) for r in found} == expected
        assert all(scope.allows(r.user_id, r.agent_id, r.run_id) for r in found)
        assert ledger.call("count", scope, at=LATE) == len(expected)
        assert {int(m.text) for m in ledger.call("messages", scope, limit=None)} == expected
        owners = ledger.call("owners_in", scope)
        assert owners is None or {r.owner for r in found} <= set(owners)
        assert (owners is None) == scope.everyone

    def test_the_listing_is_newest_first_and_pages(self, ledger: Driver) -> None:
        """Newest `created_at` first, then the latest added; `after` goes on without gap or repeat.

        Troubleshooting: order by (created_at, rid), both descending, and compare the pair.
        """
        changes = [add(text=str(n), created_at=T0 + (n % 3) * DAY) for n in range(9)]
        added(ledger, *changes)
        whole = ledger.call("listing", read(ALICE), at=LATE, limit=50)
        assert texts(whole) == ["8", "5", "2", "7", "4", "1", "6", "3", "0"]
        pages: list[str] = []
        after = None
        while page := ledger.call("listing", read(ALICE), at=LATE, limit=2, after=after):
            pages += texts(page)
            after = (page[-1].created_at, page[-1].rid)
        assert pages == texts(whole)

    def test_a_listing_holds_what_is_current(self, ledger: Driver) -> None:
        """Valid from its instant until just before its end, unexpired, not deleted; closed ones only on request.

        Troubleshooting: `valid_from <= at < valid_until`; `expires_at <= at` is expired, closed ones included or not.
        """
        at = T0 + 10
        added(
            ledger,
            add(text="now", valid_from=at),
            add(text="later", valid_from=at + 1),
            add(text="until now", valid_until=at),
            add(text="until later", valid_until=at + 1),
            add(text="expired", expires_at=at),
            add(text="expires", expires_at=at + 1),
        )
        gone = added(ledger, add(text="gone"))[0]
        write(ledger, edit(gone, set_={"deleted": True}))
        current = {"now", "until later", "expires"}
        assert set(texts(ledger.call("listing", read(ALICE), at=at, limit=50))) == current
        closed = ledger.call("listing", read(ALICE), at=at, limit=50, include_closed=True)
        assert set(texts(closed)) == current | {"later", "until now"}
        assert ledger.call("count", read(ALICE), at=at) == 3
        assert ledger.call("count", read(ALICE), at=at, include_closed=True) == 5
        assert ledger.call("size", gone.owner) == 6

    def test_at_present_nothing_is_older_than_its_last_change(self, ledger: Driver) -> None:
        """With `present`, validity is judged at the later of `at` and `updated_at`, which never goes back.

        Troubleshooting: the clock of whoever asks, or corrects, may be behind that of whoever wrote.
        """
        at = T0 - 10
        told = added(ledger, add(text="told", valid_from=T0), add(text="later", valid_from=T0 + 1))[0]
        added(ledger, add(text="over", valid_from=T0 - 50, valid_until=T0))
        assert texts(ledger.call("listing", read(ALICE), at=at, limit=9)) == ["over"]
        assert texts(ledger.call("listing", read(ALICE), at=at, limit=9, present=True)) == ["told"]
        assert ledger.call("count", read(ALICE), at=at, present=True) == 1
        ledger.call("apply", batch(edit(told, set_={"pinned": True}), at=at))
        assert texts(ledger.call("standing", read(ALICE), at=at, limit=9)) == ["told"]

    def test_standing_records(self, ledger: Driver) -> None:
        """Current instructions, preferences and pinned records of the scope, by rid.

        Troubleshooting: a partial index; the same conditions as the listing.
        """
        records = added(
            ledger,
            add(text="a fact"),
            add(text="an instruction", kind="instruction"),
            add(text="pinned", pinned=True),
            add(text="a closed preference", kind="preference", valid_until=T0),
            add(BOB, "bob's", pinned=True),
        )
        assert texts(ledger.call("standing", read(ALICE), at=LATE, limit=9)) == ["an instruction", "pinned"]
        write(ledger, edit(records[0], set_={"pinned": True}), edit(records[2], set_={"pinned": False}))
        assert texts(ledger.call("standing", read(ALICE), at=LATE, limit=9)) == ["a fact", "an instruction"]

    def test_expired_records_are_named_until_their_event(self, ledger: Driver) -> None:
        """Live records whose `expires_at` has passed, oldest first, until an EXPIRE event or a later `expires_at`.

        Troubleshooting: remember the EXPIRE event with the record, and forget it when `expires_at` is set.
        """
        later, first, _ = added(
            ledger,
            add(text="b", expires_at=T0 + 2),
            add(text="a", expires_at=T0 + 1),
            add(text="c", expires_at=LATE),
        )
        assert texts(ledger.call("expired", T0 + 2, 10)) == ["a", "b"]
        assert texts(ledger.call("expired", T0 + 1, 10)) == ["a"]
        write(ledger, edit(first, "EXPIRE"), edit(later, set_={"expires_at": T0 + 50}))
        assert texts(ledger.call("expired", T0 + 2, 10)) == []
        assert texts(ledger.call("expired", T0 + 50, 10)) == ["b"]

    def test_keywords_find_live_records_of_the_owner(self, ledger: Driver) -> None:
        """Records with the most telling tokens first, by actor and text, edited ones by their present words only.

        Troubleshooting: remove the old words with the old text before adding the new ones.
        """
        one, two, three = added(
            ledger,
            add(text="green tea with milk", actor_id="Ann"),
            add(text="black coffee with milk"),
            add(text="milk it's c++ 東京"),
        )
        added(ledger, add(BOB, "green tea"))
        number = one.owner

        def found(*words: str, limit: int = 10) -> list[int]:
            return list(ledger.call("keyword_candidates", [number], list(words), limit))

        assert found("green", "milk") == [one.rid, three.rid, two.rid]
        assert found("ann:") == [one.rid]
        assert found("it's") == found("c++") == found("東京") == [three.rid]
        assert found("nothing") == found() == found("milk", limit=0) == []
        assert found("milk", "coffee", limit=1) == [two.rid]
        assert len(ledger.call("keyword_candidates", None, ["green"], 10)) == 2
        changed = write(ledger, edit(one, set_={"text": "red wine"}, vector=vector(1))).changes[0].record
        assert changed is not None and found("green") == [] and found("wine") == [one.rid] == found("ann:")
        write(ledger, edit(changed, set_={"deleted": True}))
        assert found("wine") == []
        write(ledger, edit(changed, expected_version=None, set_={"deleted": False}))
        assert found("wine") == [one.rid]

    def test_vectors_come_in_rid_order(self, ledger: Driver) -> None:
        """Chunks of (rids, matrix) over live records that have a vector, a restored one with its own.

        Troubleshooting: keep a deleted record's vector for its undo, out of the way of scans.
        """
        rows = [vector(n) for n in range(5)]
        records = added(
            ledger, *[add(text=str(n), vector=rows[n]) for n in range(5)], add(text="x", vector=None)
        )
        other = added(ledger, add(BOB, "y", vector=rows[0]))[0]
        write(ledger, edit(records[1], set_={"deleted": True}))

        def whole(owners: list[int] | None) -> tuple[list[int], Vector]:
            assert isinstance(ledger.backend, Ledger)
            parts = list(ledger.backend.vectors(owners, 2))
            assert all(len(rids) <= 2 for rids, _ in parts)
            return [rid for rids, _ in parts for rid in rids], np.concatenate([matrix for _, matrix in parts])

        kept = [0, 2, 3, 4]
        rids, matrix = whole([records[0].owner])
        assert rids == [records[n].rid for n in kept] and close_to(matrix, np.stack([rows[n] for n in kept]))
        assert whole(None)[0] == [*rids, other.rid]
        write(ledger, edit(records[1], expected_version=2, set_={"deleted": False}))
        assert close_to(whole([other.owner, records[0].owner])[1][:5], np.stack(rows))

    def test_neighbours_are_next_in_time_within_the_run(self, ledger: Driver) -> None:
        """Up to `distance` live records before and after in `created_at`, then insertion, of the same owner and run.

        Troubleshooting: compare (created_at, rid) pairs; a record without a run has neighbours without one.
        """
        run = [add(ALICE_BOT, str(n), created_at=T0 + (5 - n)) for n in range(6)]
        records = added(
            ledger, *run, add(ALICE, "no run"), add(BOB, "bob"), add(ALICE_BOT, "tie", created_at=T0 + 2)
        )
        by = {record.text: record.rid for record in records}

        def near(distance: int, *names: str) -> list[str]:
            rids = ledger.call("neighbours", [by[name] for name in names], distance)
            assert list(rids) == sorted(rids)
            return sorted(name for name, rid in by.items() if rid in rids)

        assert near(1, "3") == ["4", "tie"]
        assert near(2, "3") == ["2", "4", "5", "tie"]
        assert near(1, "0", "1") == ["2"]
        assert near(3, "no run") == []

    # Messages.

    def test_messages_come_newest_last(self, ledger: Driver) -> None:
        """The newest `limit` before an id or an instant, oldest first, by `created_at`, then insertion.

        Troubleshooting: take the newest by (created_at, rid) descending, then turn them round.
        """
        run1, run2 = Scope(user_id="alice", run_id="1"), Scope(user_id="alice", run_id="2")
        turns = [
            message(run1 if n % 2 else run2, str(n), created_at=T0 + (n // 2) * 10, id=f"id{n}")
            for n in range(6)
        ]
        turns.append(message(run1, "old", created_at=T0 - 5))
        write(ledger, messages=turns)

        def found(scope: Scope = ALICE, limit: int | None = None, **more: object) -> list[str]:
            return [m.text for m in ledger.call("messages", read(scope), limit=limit, **more)]

        assert found() == ["old", "0", "1", "2", "3", "4", "5"]
        assert found(limit=2) == ["4", "5"]
        assert found(run1) == ["old", "1", "3", "5"]
        assert found(run1, limit=2, before="id5") == ["1", "3"]
        assert found(before="id1") == ["old", "0"]
        assert found(before=T0 + 10) == ["old", "0", "1"]
        with pytest.raises(InvalidInputError):
            found(BOB, before="id1")
        assert [m.text for m in ledger.call("messages_by_id", ["id3", "id0"], read(run1))] == ["3"]

    # History.

    def test_history_is_complete_and_survives_deletion(self, ledger: Driver) -> None:
        """Every event has the states around it: before, after, why, who, when, of which operation.

        Troubleshooting: keep what each edit replaced, and walk back from the present row.
        """
        record = added(ledger, add(text="one", reason="said so", actor="ann"), at=T0 + 1)[0]
        edits = [
            ("UPDATE", {"text": "two", "metadata": {"n": 2}}),
            ("SUPERSEDE", {"valid_until": T0 + 50, "kind": "event", "entities": [("A", "b")]}),
            ("DELETE", {"deleted": True}),
            ("RESTORE", {"deleted": False, "valid_until": None, "pinned": True, "expires_at": LATE}),
        ]
        states = [record]
        for at, (event, values) in enumerate(edits, 2):
            applied = write(
                ledger, edit(states[-1], event, set_=values, reason=event, actor="bob"), at=T0 + at
            )
            assert applied.changes[0].record is not None
            states.append(applied.changes[0].record)
        events = ledger.call("history", record.id)
        assert [e.event for e in events] == ["ADD", "UPDATE", "SUPERSEDE", "DELETE", "RESTORE"]
        assert [e.reason for e in events] == ["said so", "UPDATE", "SUPERSEDE", "DELETE", "RESTORE"]
        assert [(e.actor, e.at) for e in events[:2]] == [("ann", T0 + 1), ("bob", T0 + 2)]
        assert all(e.memory_id == record.id for e in events)
        assert [e.before for e in events] == [None, states[0], states[1], states[2], None]
        assert [e.after for e in events] == [states[0], states[1], states[2], None, states[4]]
        assert [e.seq for e in events] == sorted({e.seq for e in events})
        assert list(ledger.call("history", new_id())) == []

    def test_an_operation_has_its_events(self, ledger: Driver) -> None:
        """`operation` gives one call with its events in order and their states; None when there is none.

        Troubleshooting: other operations may lie between the events of a job and of its end.
        """
        old = added(ledger, add(text="old"))[0]
        both = batch(
            add(text="new"),
            edit(old, "SUPERSEDE", set_={"valid_until": T0 + 9}),
            owner=ALICE.owner,
            undoes="x",
        )
        ledger.call("apply", both)
        write(ledger, edit(old, expected_version=None, set_={"text": "later"}))
        operation, events = ledger.call("operation", both.operation_id)
        assert (operation.kind, operation.state, operation.owner, operation.undoes) == (
            "add",
            "done",
            old.owner,
            "x",
        )
        assert [(e.event, e.operation_id) for e in events] == [
            ("ADD", both.operation_id),
            ("SUPERSEDE", both.operation_id),
        ]
        assert (
            events[1].before == old
            and events[1].after.valid_until == T0 + 9
            and events[1].after.text == "old"
        )
        assert ledger.call("operation", new_id()) is None

    def test_later_operations_leave_out_what_was_undone(self, ledger: Driver) -> None:
        """Operations on the same records afterwards, oldest first; one and the undo of it cancel out.

        Troubleshooting: go from the newest to the oldest, and strike each undo with what it undid.
        """
        first = batch(add(text="a"), add(text="b"))
        record = ledger.call("apply", first).changes[0].record

        def change(text: str, undoes: str | None = None) -> str:
            one = batch(edit(record, expected_version=None, set_={"text": text}), undoes=undoes)
            ledger.call("apply", one)
            return one.operation_id

        def later(operation_id: str) -> list[str]:
            return list(ledger.call("later_operations", operation_id))

        two, three = change("2"), change("3")
        assert later(first.operation_id) == [two, three] and later(two) == [three] and later(three) == []
        undo_three = change("2", undoes=three)
        assert later(first.operation_id) == [two] and later(three) == []
        redo = change("3", undoes=undo_three)
        assert later(first.operation_id) == [two, three] and later(two) == [three] and later(undo_three) == []
        change("2", undoes=redo)
        assert later(two) == []

    def test_owners_are_listed_with_counts(self, ledger: Driver) -> None:
        """Owners of a kind in the order of their ids, by prefix, paged by the last id.

        Troubleshooting: counts are of live records and of kept messages; a prefix is no pattern.
        """
        for n, name in enumerate(["b%", "a1", "a2", "ba"]):
            write(
                ledger, add(Scope(user_id=name), "x"), messages=[message(Scope(user_id=name))] * n, at=T0 + n
            )
        added(ledger, add(BOT), add(RUN_R1), add(BOT_R1))
        rows = ledger.call("owners")
        assert [(r.owner.id, r.memories, r.messages, r.last_change) for r in rows] == [
            ("a1", 1, 1, T0 + 1), ("a2", 1, 2, T0 + 2), ("b%", 1, 0, T0), ("ba", 1, 3, T0 + 3),
        ]  # fmt: skip
        assert [r.owner.id for r in ledger.call("owners", prefix="b%")] == ["b%"]
        assert [r.owner.id for r in ledger.call("owners", limit=2, after="a1")] == ["a2", "b%"]
        assert [(r.owner.id, r.memories) for r in ledger.call("owners", kind="agent")] == [("bot", 2)]
        assert ledger.call("size", None) == 7
        assert len(ledger.call("listing", EVERYTHING, at=LATE, limit=50)) == 7
