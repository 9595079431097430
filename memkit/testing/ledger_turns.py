"""Laws of turns that are only kept, and of work that waits for its time."""

from __future__ import annotations

from typing import Any

from memkit.ledger.base import NewJob
from memkit.scope import Scope
from memkit.testing.laws import Driver
from memkit.testing.ledger_data import ALICE, T0, LedgerLaws, batch, message, read, write

RUN = Scope(user_id="alice", run_id="r1")
OTHER_RUN = Scope(user_id="alice", run_id="r2")
NEVER = 2**62
"""An instant that does not come."""


def later(ledger: Driver, *turns: Any, due: int | None = NEVER, scope: Scope = RUN, option: int = 1) -> str:
    """Make a job that waits for its time and return its id."""
    new = NewJob(
        kind="extract",
        payload={"option": option},
        running=False,
        scope=scope,
        due=due,
        taken_in='{"taken": "in"}',
    )
    one = batch(job=new, messages=turns, owner=scope.owner)
    ledger.call("apply", one)
    return one.operation_id


class LedgerTurns(LedgerLaws):
    """The laws of kept turns and of jobs with a time."""

    def test_a_turn_that_is_only_kept_is_new_to_the_first_batch_that_learns_it(self, ledger: Driver) -> None:
        """`new_messages` is True once for a turn, however often it was kept before.

        Troubleshooting: flip `learned` inside the transaction.
        """
        kept = write(ledger, messages=[message(RUN, id="m", learned=False, payload={"a": [1, "ü"]})])
        assert (list(kept.new_messages), kept.messages[0].learned) == ([False], False)
        again = write(ledger, messages=[message(RUN, "other", id="m", learned=False)])
        assert (again.messages[0].text, again.messages[0].payload) == ("hello", {"a": [1, "ü"]})
        assert list(write(ledger, messages=[message(RUN, id="m")]).new_messages) == [True]
        last = write(ledger, messages=[message(RUN, id="m"), message(RUN, id="m", learned=False)])
        assert (list(last.new_messages), last.messages[0].learned) == ([False, False], True)
        assert ledger.call("info").messages == 1

    def test_a_deleted_turn_that_is_kept_again_is_active(self, ledger: Driver) -> None:
        """Statuses are set before turns are kept, so that a batch may put all aside and keep some of them again.

        Troubleshooting: a turn that is learned again stays deleted.
        """
        kept = write(ledger, messages=[message(RUN, id=f"m{n}", learned=False) for n in range(2)]).messages
        gone = [(m.rid, "deleted") for m in kept]
        write(ledger, statuses=gone, messages=[message(RUN, id="m1", learned=False)])
        assert [m.id for m in ledger.call("messages", read(RUN), limit=None)] == ["m1"]
        write(ledger, messages=[message(RUN, id="m0")])
        assert ledger.call("message_count", read(RUN), ("active",)) == 1

    def test_turns_are_counted_and_paged_from_the_newest_and_runs_are_listed(self, ledger: Driver) -> None:
        """`offset` leaves out the newest; deleted turns make no run.

        Troubleshooting: order by time, then by insertion.
        """
        turns = [message(RUN, str(n), created_at=T0 + n) for n in range(5)]
        kept = write(ledger, messages=[*turns, message(OTHER_RUN, "x"), message(ALICE, "y")]).messages
        found = ledger.call("messages", read(RUN), limit=2, offset=1)
        assert [m.text for m in found] == ["2", "3"]
        assert ledger.call("message_count", read(ALICE), ("active", "archived")) == 7
        assert ledger.call("message_count", read(ALICE), ()) == 0
        assert list(ledger.call("runs", read(ALICE), limit=None)) == ["r1", "r2"]
        assert list(ledger.call("runs", read(ALICE), limit=1, after="r1")) == ["r2"]
        write(ledger, statuses=[(kept[5].rid, "deleted")])
        assert list(ledger.call("runs", read(ALICE), limit=None)) == ["r1"]
        assert list(ledger.call("runs", read(Scope(user_id="bob")), limit=None)) == []

    def test_turns_that_nobody_dated_stay_in_the_order_they_were_said(self, ledger: Driver) -> None:
        """A clock that was set back does not turn a run round; a time that was given stays, other runs have their own.

        Troubleshooting: of a run's undated turns, give a new one no time before the last one's.
        """
        at = [T0 + 60, T0, T0 - 60]
        for n, now in enumerate(at):
            write(ledger, messages=[message(RUN, str(n), created_at=now, dated=False)])
        write(ledger, messages=[message(RUN, "dated", created_at=T0 - 30)])
        write(ledger, messages=[message(OTHER_RUN, "other", created_at=T0, dated=False)])
        found = ledger.call("messages", read(RUN), limit=None)
        assert [m.text for m in found] == ["dated", "0", "1", "2"]
        assert [m.created_at for m in ledger.call("messages", read(OTHER_RUN), limit=None)] == [T0]

    def test_a_job_that_is_not_due_is_claimed_only_by_its_id(self, ledger: Driver) -> None:
        """What waits for its time is left to it, unless somebody asks for it.

        Troubleshooting: compare with the clock in the claiming transaction.
        """
        late, now = later(ledger, message(RUN)), later(ledger, message(OTHER_RUN), scope=OTHER_RUN, due=T0)
        assert [j.id for j in ledger.call("claim", "w")] == [now]
        assert [(j.id, j.due) for j in ledger.call("jobs", ("waiting",))] == [(late, NEVER)]
        assert [j.id for j in ledger.call("claim", "w", ids=[late])] == [late]

    def test_a_job_takes_in_those_of_its_scope_and_options_that_wait(self, ledger: Driver) -> None:
        """Their turns are its own, in order, and their operations are done with the result it gives them.

        Troubleshooting: only jobs with a time, nobody is at, and with the same options.
        """
        first = later(ledger, message(RUN, "1", id="a"))
        others = [later(ledger, message(OTHER_RUN), scope=OTHER_RUN), later(ledger, message(RUN), option=2)]
        second = later(ledger, message(RUN, "2", id="b"), message(RUN, "1", id="a"))
        assert [j.id for j in ledger.call("jobs")] == [*others, second]
        (job,) = ledger.call("claim", "w", ids=[second])
        rids = job.payload["messages"]
        assert [m.text for m in ledger.call("messages_by_rid", rids)] == ["1", "2", "1"]
        assert job.payload["new"] == [True, True, False]
        operation, _ = ledger.call("operation", first)
        assert (operation.state, operation.result) == ("done", '{"taken": "in"}')
        third = later(ledger, message(RUN, "3"))
        assert [j.id for j in ledger.call("jobs", ("waiting",))] == [*others, third], (
            "one at work is left alone"
        )

    def test_a_job_that_has_grown_long_is_left_to_its_time(self, ledger: Driver) -> None:
        """A talk without a pause is not put off for ever.

        Troubleshooting: stop taking in at some number of turns.
        """
        for n in range(100):
            later(ledger, message(RUN, str(n)))
        jobs = ledger.call("jobs", ("waiting",))
        assert len(jobs) > 1
        assert sum(len(j.payload["messages"]) for j in jobs) == 100
