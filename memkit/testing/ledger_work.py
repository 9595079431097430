"""Laws of a ledger's queues and of its erasures: jobs, leases, outbox, forget, reset, reopening."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from memkit.ledger.base import Job, Ledger, NewJob
from memkit.scope import ReadScope, Scope
from memkit.testing.laws import Driver
from memkit.testing.ledger_data import (
    ALICE,
    ALICE_BOT,
    BOB,
    BOT_R1,
    DIM,
    EMBEDDER,
    EVERYTHING,
    LATE,
    T0,
    LedgerLaws,
    add,
    added,
    batch,
    constantly,
    edit,
    message,
    new_id,
    read,
    texts,
    write,
)


def job(
    ledger: Driver, *, running: bool, worker: str | None = "w1", digest: bytes = b"d", **fields: Any
) -> str:
    """Make a job and return its id."""
    given: dict[str, Any] = {"messages": [message(text="to extract")], "owner": ALICE.owner, **fields}
    new = NewJob(kind="extract", payload={"n": 1}, running=running, scope=given.pop("scope", None))
    one = batch(job=new, worker=worker, digest=digest, **given)
    ledger.call("apply", one)
    return one.operation_id


class LedgerWork(LedgerLaws):
    """The laws of jobs, of the outbox and of erasure."""

    # Jobs.

    def test_jobs_are_claimed_oldest_first_and_once(self, ledger: Driver) -> None:
        """A waiting or failed job is claimed by one worker; a running one of a live worker by none.

        Troubleshooting: claim inside the write transaction.
        """
        running, first, second = (
            job(ledger, running=True),
            job(ledger, running=False),
            job(ledger, running=False),
        )
        assert [j.id for j in ledger.call("jobs")] == [running, first, second]
        claimed = ledger.call("claim", "w2", limit=1)
        assert [(j.id, j.state, j.attempts) for j in claimed] == [(first, "running", 1)]
        assert [j.id for j in ledger.call("claim", "w3")] == [second]
        assert list(ledger.call("claim", "w2")) == []
        ledger.call("release", first, error="Timeout")
        failed = ledger.call("jobs", ("failed",))[0]
        assert (failed.id, failed.error, failed.attempts) == (first, "Timeout", 1)
        assert [j.attempts for j in ledger.call("claim", "w2", ids=[first])] == [2]
        ledger.call("release", first, error=None, waiting=True)
        assert [j.id for j in ledger.call("jobs", ("waiting",))] == [first]

    def test_racing_workers_claim_a_job_once(self, ledger: Driver) -> None:
        """Eight workers at once share out the jobs without taking one twice.

        Troubleshooting: select and mark in one write transaction.
        """
        ids = [job(ledger, running=False) for _ in range(5)]
        claims = ledger.together([("claim", (f"w{n}",)) for n in range(8)])
        assert sorted(j.id for claimed in claims for j in claimed) == sorted(ids)

    def test_only_failed_or_abandoned_work_is_resumed(self, ledger: Driver) -> None:
        """The same content finds its failed job; one that runs in a live process is no orphan.

        Troubleshooting: a running job is abandoned when its worker's process is gone, not when it takes long.
        """

        def gives_way(digest: bytes, scope: Scope = ALICE) -> Job | None:
            return write(ledger, add(scope=scope), owner=scope.owner, resumes=lambda: digest).unfinished

        one = job(ledger, running=True, digest=b"same")
        assert gives_way(b"same") is None
        ledger.call("release", one, error="down")
        assert gives_way(b"other") is None and gives_way(b"same", BOB) is None
        events = ledger.call("info").events
        found = gives_way(b"same")
        assert found is not None and found.id == one and ledger.call("info").events == events

    def test_a_closed_ledger_gives_its_jobs_back(self, ledger: Driver) -> None:
        """Closing a ledger leaves its running jobs to whoever comes next.

        Troubleshooting: forget the workers of a ledger when it closes.
        """
        assert isinstance(ledger.backend, Ledger)
        if not ledger.backend.persistent:
            return
        one = job(ledger, running=True)
        ledger.call("close")
        assert [j.id for j in ledger.call("claim", "w9")] == [one]

    # The outbox.

    def test_the_outbox_holds_every_change_in_order(self, ledger: Driver) -> None:
        """Each index of the batch gets a row per changed record; done ones go, up to a number.

        Troubleshooting: write the rows in the batch's transaction; duplicates of an add change nothing.
        """
        record = added(ledger, add(text="a", dedup=b"x"), add(text="b"), indexes=["one", "two"])[0]
        write(ledger, add(text="a", dedup=b"x"), indexes=["one"])
        write(ledger, edit(record, set_={"pinned": True}), indexes=["one"])
        assert ledger.call("outbox_size") == {"one": 3, "two": 2}
        entries = ledger.call("outbox", "one", 10)
        assert [e.memory_id for e in entries][::2] == [record.id, record.id]
        assert entries[0].rid == record.rid
        assert len(ledger.call("outbox", "one", 2)) == 2
        ledger.call("outbox_done", "one", entries[2].seq, [record.id])
        assert [e.seq for e in ledger.call("outbox", "one", 10)] == [entries[1].seq]
        ledger.call("outbox_done", "two", entries[2].seq + 99)
        assert ledger.call("outbox_size") == {"one": 1}
        assert ledger.call("enqueue_all", "two") == 2
        assert ledger.call("outbox_size") == {"one": 1, "two": 2}

    def test_one_holder_drains_an_index(self, ledger: Driver) -> None:
        """A lease is renewed by its holder, refused to others until it ends or is given back.

        Troubleshooting: compare with the clock inside the write transaction.
        """
        assert ledger.call("lease", "one", "a", 60.0) and ledger.call("lease", "one", "a", 60.0)
        assert not ledger.call("lease", "one", "b", 60.0) and ledger.call("lease", "two", "b", 60.0)
        ledger.call("release_lease", "one", "b")
        assert not ledger.call("lease", "one", "b", 60.0)
        ledger.call("release_lease", "one", "a")
        assert ledger.call("lease", "one", "b", -1.0) and ledger.call("lease", "one", "a", 60.0)

    # Erasure.

    def test_forgetting_a_memory_erases_it_and_its_message(self, ledger: Driver) -> None:
        """The record, its history and a message only it rests on go; a FORGET event with the id alone stays.

        Troubleshooting: a message that another record rests on stays.
        """
        kept_id = new_id()
        applied = write(
            ledger,
            add(text="hello", message=0, dedup=b"h"),
            add(text="shared", message=1),
            add(id=kept_id, text="also of shared", message=1),
            messages=[message(text="hello"), message(text="shared")],
            owner=ALICE.owner,
            key="k",
            digest=b"1",
            render=constantly('{"text": "hello"}'),
            indexes=["one"],
        )
        first, second, third = [o.record for o in applied.changes if o.record]
        mark = ledger.call("changes", first.owner, None).mark
        ledger.call("outbox_done", "one", 99)
        operation_id = new_id()
        counts = ledger.call("forget", operation_id, T0 + 5, ids=[first.id, second.id, new_id()])
        assert list(counts.memory_ids) == [first.id, second.id]
        assert (counts.messages, counts.events, counts.results, counts.complete) == (1, 2, 1, True)
        assert list(ledger.call("records", [first.id, second.id])) == []
        assert [m.text for m in ledger.call("messages", read(ALICE), limit=None)] == ["shared"]
        events = ledger.call("history", first.id)
        assert [(e.event, e.before, e.after, e.at) for e in events] == [("FORGET", None, None, T0 + 5)]
        operation, forgets = ledger.call("operation", operation_id)
        assert operation.kind == "forget" and [e.memory_id for e in forgets] == [first.id, second.id]
        delta = ledger.call("changes", first.owner, mark)
        assert delta.reset and list(delta.records) == [third]
        assert {e.memory_id for e in ledger.call("outbox", "one", 9)} == {first.id, second.id}
        assert list(ledger.call("keyword_candidates", None, ["hello"], 5)) == []
        assert ledger.call("operation_by_key", ALICE.owner, "k") is None
        assert write(ledger, add(text="hello", dedup=b"h")).changes[0].status == "applied"

    def test_forgetting_a_scope_erases_all_of_it_and_nothing_else(self, ledger: Driver) -> None:
        """Records, messages and jobs of the scope go; an owner with nothing left is gone; others keep all.

        Troubleshooting: jobs hold texts as well, and a worker that finishes a forgotten one must write nothing.
        """
        narrow = Scope(user_id="alice", agent_id="bot")
        for scope in (ALICE, ALICE_BOT, narrow, BOB, BOT_R1):
            write(ledger, add(scope, "of it"), messages=[message(scope)])
        gone = added(ledger, add(ALICE_BOT, "deleted before"))[0]
        write(ledger, edit(gone, set_={"deleted": True}))
        kept_job, lost_job = job(ledger, running=False, scope=ALICE), job(ledger, running=True, scope=narrow)
        counts = ledger.call("forget", new_id(), T0, scope=read(narrow))
        assert (len(counts.memory_ids), counts.messages, counts.jobs) == (3, 2, 1)
        assert gone.id in counts.memory_ids
        assert ledger.call("apply", batch(add(narrow), finishes=lost_job, owner=ALICE.owner)).refused
        assert [j.id for j in ledger.call("jobs")] == [kept_job]
        left = ledger.call("listing", EVERYTHING, at=LATE, limit=9)
        assert {(r.user_id, r.agent_id) for r in left} == {("alice", None), ("bob", None), (None, "bot")}
        ledger.call("forget", new_id(), T0, scope=ReadScope(user_id="alice"))
        assert ledger.call("owner_number", ALICE.owner) is None and list(ledger.call("jobs")) == []
        assert [r.owner.id for r in ledger.call("owners")] == ["bob"]
        number = ledger.call("owner_number", BOB.owner)
        assert ledger.call("changes", left[-1].owner, ledger.call("changes", None, None).mark).reset in (
            True,
            False,
        )
        ledger.call("forget", new_id(), T0, scope=read(BOT_R1))
        assert list(ledger.call("owners_in", read(BOT_R1))) == [] and ledger.call("size", number) == 1

    def test_a_reset_leaves_an_empty_ledger(self, ledger: Driver) -> None:
        """Everything goes, the embedder too; caches start anew, and it can be used at once.

        Troubleshooting: event numbers must not begin again.
        """
        record = added(ledger, add(), messages=[message()], indexes=["one"])[0]
        mark = ledger.call("changes", record.owner, None).mark
        job(ledger, running=False)
        ledger.call("reset")
        info = ledger.call("info")
        assert (info.memories, info.messages, info.owners, info.events, info.jobs, info.outbox) == (
            0,
            0,
            0,
            0,
            0,
            {},
        )
        assert ledger.call("embedder") is None and list(ledger.call("history", record.id)) == []
        assert ledger.call("changes", record.owner, mark).reset and ledger.call("changes", None, mark).reset
        ledger.call("set_embedder", "other", DIM)
        fresh = added(ledger, add())[0]
        assert ledger.call("changes", None, None).mark.event > mark.event and fresh.rid != record.rid

    # Life.

    def test_a_closed_ledger_opens_again(self, bare: Driver, tmp_path: Path) -> None:
        """After `close` the next call opens again, and a second ledger on the same path sees the same records.

        Troubleshooting: keep nothing of the truth in the object.
        """
        ledger = bare.backend
        assert isinstance(ledger, Ledger)
        assert bare.call("open")
        bare.call("set_embedder", EMBEDDER, DIM)
        record = added(bare, add())[0]
        bare.call("close")
        bare.call("close")
        if not ledger.persistent:
            return
        assert list(bare.call("records", [record.id])) == [record]
        other = self.make_ledger(tmp_path)
        assert other.open(create=False) and list(other.records([record.id])) == [record]
        mark = other.changes(record.owner, None).mark
        added(bare, add(text="while the other is open"))
        assert texts(other.changes(record.owner, mark).records) == ["while the other is open"]
        other.close()

    def test_info_and_check_of_a_sound_ledger(self, ledger: Driver) -> None:
        """`info` counts what is there; `check` of a sound ledger returns.

        Troubleshooting: counts are of live records, kept messages, events and unfinished jobs.
        """
        record = added(ledger, add(), add(BOB), messages=[message()])[0]
        write(ledger, edit(record, set_={"deleted": True}), indexes=["one"])
        info = ledger.call("info")
        assert (info.memories, info.messages, info.owners, info.events, info.jobs) == (1, 1, 2, 3, 0)
        assert (info.embedder, info.dim, info.outbox) == (EMBEDDER, DIM, {"one": 1})
        assert ledger.call("check") is None
