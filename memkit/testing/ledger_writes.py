"""Laws of a ledger's one write: all or nothing, versions, duplicates, idempotency, messages."""

from __future__ import annotations

import pytest

from memkit.errors import ConflictError, EmbedderMismatchError, IdempotencyError, InvalidInputError
from memkit.ledger.base import Applied, Batch, Mark, NewJob
from memkit.scope import ReadScope
from memkit.testing.laws import Driver
from memkit.testing.ledger_data import (
    ALICE,
    ALICE_BOT,
    BOB,
    DIM,
    EMBEDDER,
    HOSTILE_IDS,
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
    statuses,
    texts,
    vector,
    write,
)


class LedgerWrites(LedgerLaws):
    """The laws of `apply` and of the embedder."""

    def test_reading_makes_no_ledger(self, bare: Driver) -> None:
        """`open(create=False)` and every read of a ledger that is not there answer "nothing" and make nothing.

        Troubleshooting: make files and tables in the first write only.
        """
        bare.call("open", create=False)
        assert bare.call("owner_number", ALICE.owner) is None
        assert list(bare.call("listing", ReadScope(user_id="alice"), at=LATE, limit=5)) == []
        assert bare.call("size", None) == 0
        assert list(bare.call("messages", ReadScope(user_id="alice"), limit=None)) == []
        assert bare.call("changes", None, None).mark == Mark()

    def test_an_added_record_reads_back_as_given(self, ledger: Driver) -> None:
        """What `apply` returns for a record is what every read gives, field by field.

        Troubleshooting: compare the column list with `Record`; `updated_at` is the batch's `at`, and `valid_from` is
        `created_at` unless given.
        """
        change = add(
            ALICE_BOT, "Ann moved to Oslo", metadata={"n": 1, "é": [None, True]}, expires_at=LATE + 5, dated=True,
            actor_id="Ann", role="user", origin="tool", entities=[("Ann", "person")], pinned=True, kind="event",
        )  # fmt: skip
        record = added(ledger, change, at=T0 + 9)[0]
        assert (record.id, record.text, record.version, record.updated_at) == (
            change.id,
            change.text,
            1,
            T0 + 9,
        )
        assert (record.valid_from, record.valid_until, record.deleted) == (T0, None, False)
        assert (record.user_id, record.agent_id, record.run_id) == ("alice", "bot", "r1")
        assert record.entities == (("Ann", "person"),)
        assert list(ledger.call("records", [change.id])) == [record]
        assert list(ledger.call("fetch", [record.rid]).records) == [record]
        assert list(ledger.call("listing", read(ALICE_BOT), at=LATE, limit=5)) == [record]
        assert list(ledger.call("changes", None, None).records) == [record]
        assert ledger.call("history", change.id)[0].after == record

    def test_hostile_ids_are_stored_exactly(self, ledger: Driver) -> None:
        """Ids with quotes, wildcards, NUL, blanks, other cases or compositions are different owners, none widened.

        Troubleshooting: bind every value, and compare bytes (no NOCASE, no LIKE, no normalisation).
        """
        for name in HOSTILE_IDS:
            added(ledger, add(ALICE.__class__(user_id=name, run_id=name), f"of {name}"))
        for name in HOSTILE_IDS:
            scope = ReadScope(user_id=name, runs=frozenset((name,)))
            assert texts(ledger.call("listing", scope, at=LATE, limit=50)) == [f"of {name}"]
        assert len(
            {ledger.call("owner_number", ALICE.__class__(user_id=n).owner) for n in HOSTILE_IDS}
        ) == len(HOSTILE_IDS)

    def test_a_refused_batch_writes_nothing(self, ledger: Driver) -> None:
        """An edit decided on another version refuses its whole batch, with the record as it is now.

        Troubleshooting: check versions inside the transaction, and roll back messages and adds too.
        """
        record = added(ledger, add(text="one"))[0]
        write(ledger, edit(record, set_={"text": "two"}, vector=vector(2)))
        before = ledger.call("info")
        applied = write(
            ledger,
            add(text="new"),
            edit(record, set_={"text": "three"}),
            edit(record, expected_version=None, set_={"pinned": True}),
            messages=[message()],
            owner=ALICE.owner,
        )
        assert applied.refused
        assert statuses(applied) == ["refused", "stale", "refused"]
        stale = applied.changes[1].record
        assert stale is not None and (stale.text, stale.version) == ("two", 2)
        after = ledger.call("info")
        assert (after.memories, after.messages, after.events) == (
            before.memories,
            before.messages,
            before.events,
        )

    def test_an_edit_outside_its_scope_or_of_nothing_is_refused(self, ledger: Driver) -> None:
        """`forbidden` for another's record, `missing` for an unknown or deleted one; nothing is written.

        Troubleshooting: re-check `EditRecord.scope` against the stored ids, inside the transaction.
        """
        record = added(ledger, add(BOB, "bob's"))[0]
        alien = edit(record, set_={"deleted": True}, scope=ReadScope(user_id="alice"))
        assert statuses(write(ledger, alien)) == ["forbidden"]
        write(ledger, edit(record, "DELETE", set_={"deleted": True}, scope=ReadScope(user_id="bob")))
        assert statuses(write(ledger, edit(record, expected_version=None, set_={"pinned": True}))) == [
            "missing"
        ]
        assert len(ledger.call("history", record.id)) == 2

    def test_a_duplicate_writes_nothing_and_names_the_first(self, ledger: Driver) -> None:
        """A digest that a live, current record of the owner has makes the second add a duplicate of it.

        Troubleshooting: check inside the transaction, also within one batch; other owners have digests of their own.
        """
        first, second, other = write(
            ledger,
            add(text="tea", dedup=b"x" * 16),
            add(text="tea", dedup=b"x" * 16),
            add(BOB, "tea", dedup=b"x" * 16),
        ).changes
        assert (first.status, second.status, other.status) == ("applied", "duplicate", "applied")
        assert second.record == first.record
        again = write(ledger, add(text="tea", dedup=b"x" * 16)).changes[0]
        assert (again.status, again.record) == ("duplicate", first.record)
        assert ledger.call("size", None) == 2

    def test_a_digest_is_free_once_its_record_is_not_current(self, ledger: Driver) -> None:
        """Deleting, closing or rewording a record frees its digest; restoring takes it back unless it is taken.

        Troubleshooting: make the unique index partial: not deleted, and `valid_until` not set.
        """
        digest = b"d" * 16
        record = added(ledger, add(text="tea", dedup=digest))[0]
        for values in ({"deleted": True}, {"valid_until": T0 + 1}, {"text": "coffee"}):
            write(ledger, edit(record, expected_version=None, set_=values))
            other = added(ledger, add(text="tea", dedup=digest))[0]
            write(ledger, edit(other, set_={"deleted": True}))
            back = {"deleted": False, "valid_until": None, "text": "tea"}
            applied = write(ledger, edit(record, expected_version=None, set_=back, dedup=digest))
            assert statuses(applied) == ["applied"]
            assert statuses(write(ledger, add(text="tea", dedup=digest))) == ["duplicate"]
        write(ledger, edit(record, expected_version=None, set_={"deleted": True}))
        added(ledger, add(text="tea", dedup=digest))
        assert statuses(write(ledger, edit(record, expected_version=None, set_={"deleted": False}))) == [
            "applied"
        ]

    def test_what_has_expired_makes_way_for_the_same_again(self, ledger: Driver) -> None:
        """A record whose time has passed is no duplicate: it gets its EXPIRE event, and the new one is added.

        Troubleshooting: compare `expires_at` with the batch's `at` inside the transaction, also within one batch.
        """
        first, early = added(
            ledger,
            add(text="tea", dedup=b"t" * 16, expires_at=T0 + 5),
            add(text="milk", dedup=b"m" * 16, expires_at=T0 + 1),
        )
        again = [add(text="tea", dedup=b"t" * 16), add(text="milk", dedup=b"m" * 16)]
        assert statuses(ledger.call("apply", batch(*again, at=T0 + 1))) == ["duplicate", "applied"]
        late = [add(text="tea", dedup=b"t" * 16) for _ in range(2)]
        applied = ledger.call("apply", batch(*late, at=T0 + 5))
        assert statuses(applied) == ["applied", "duplicate"]
        assert [event.event for event in ledger.call("history", first.id)] == ["ADD", "EXPIRE"]
        assert [event.event for event in ledger.call("history", early.id)] == ["ADD", "EXPIRE"]
        assert ledger.call("size", None) == 2

    def test_after_skips_what_rests_on_a_duplicate(self, ledger: Driver) -> None:
        """A change whose `after` was a duplicate, or skipped itself, is skipped; `after` must come before.

        Troubleshooting: decide in the order of the batch.
        """
        old = added(ledger, add(text="old"), add(text="same", dedup=b"s" * 16))[0]
        applied = write(
            ledger,
            add(text="same", dedup=b"s" * 16),
            edit(old, "SUPERSEDE", set_={"valid_until": T0 + 5}, after=0),
            add(text="leans on the edit", after=1),
            add(text="free"),
            add(text="leans on the free one", after=3),
        )
        assert statuses(applied) == ["duplicate", "skipped", "skipped", "applied", "applied"]
        with pytest.raises(InvalidInputError):
            write(ledger, add(after=0))

    def test_ids_are_unique(self, ledger: Driver) -> None:
        """A memory id or an operation id that exists raises `ConflictError` and writes nothing of its batch.

        Troubleshooting: translate the driver's unique violation.
        """
        change = add()
        operation = batch(change, messages=[message()])
        ledger.call("apply", operation)
        with pytest.raises(ConflictError):
            write(ledger, add(text="other"), add(id=change.id))
        with pytest.raises(ConflictError):
            ledger.call("apply", batch(add(text="third"), operation_id=operation.operation_id))
        assert (ledger.call("size", None), ledger.call("info").messages) == (1, 1)

    def test_a_key_is_used_once_per_owner(self, ledger: Driver) -> None:
        """The same key and digest return the first operation with its result; another digest raises.

        Troubleshooting: keep the key with the operation, unique per owner, in the same transaction.
        """

        def render(done: Applied) -> str:
            return f'{{"n": {len(done.changes)}}}'

        def keyed(digest: bytes) -> Batch:
            return batch(add(), owner=ALICE.owner, key="k1", digest=digest, render=render)

        first = keyed(b"1")
        assert ledger.call("apply", first).replay is None
        replay = ledger.call("apply", keyed(b"1")).replay
        assert (replay.id, replay.result, replay.state) == (first.operation_id, '{"n": 1}', "done")
        with pytest.raises(IdempotencyError):
            ledger.call("apply", keyed(b"2"))
        other = batch(add(BOB), owner=BOB.owner, key="k1", digest=b"2")
        assert ledger.call("apply", other).replay is None
        assert ledger.call("size", None) == 2
        assert ledger.call("operation_by_key", ALICE.owner, "k1").id == first.operation_id
        assert ledger.call("operation_by_key", ALICE.owner, "k2") is None

    def test_racing_writers_of_one_key_write_once(self, ledger: Driver) -> None:
        """Eight writers with one key at once: one writes, seven get its operation.

        Troubleshooting: look the key up after taking the write lock, not before.
        """
        batches = [batch(add(), owner=ALICE.owner, key="once", digest=b"d") for _ in range(8)]
        outcomes = ledger.together([("apply", (one,)) for one in batches])
        assert sum(outcome.replay is None for outcome in outcomes) == 1
        assert ledger.call("size", None) == 1

    def test_writers_at_once_lose_nothing(self, ledger: Driver) -> None:
        """Sixty-four batches at once, some of them refused: each has its own outcome and every applied one is there.

        Troubleshooting: a failing batch must be rolled back alone (a savepoint each).
        """
        record = added(ledger, add(text="target"))[0]
        batches = [
            batch(add(text=f"t{n}"), edit(record, expected_version=99, set_={"pinned": True}))
            if n % 4 == 0
            else batch(add(text=f"t{n}"))
            for n in range(64)
        ]
        outcomes = ledger.together([("apply", (one,)) for one in batches])
        assert [outcome.refused for outcome in outcomes] == [n % 4 == 0 for n in range(64)]
        found = {r.text for r in ledger.call("listing", read(ALICE), at=LATE, limit=100)}
        assert found == {"target"} | {f"t{n}" for n in range(64) if n % 4}

    def test_the_embedder_is_remembered(self, ledger: Driver) -> None:
        """The first embedder stays; another raises `EmbedderMismatchError`, and `replace` changes it.

        Troubleshooting: store identity and dimension together; vectors of the embedder before count as none.
        """
        record = added(ledger, add())[0]
        assert ledger.call("embedder") == (EMBEDDER, DIM)
        ledger.call("set_embedder", EMBEDDER, DIM)
        for identity, dim in (("other", DIM), (EMBEDDER, 8)):
            with pytest.raises(EmbedderMismatchError):
                ledger.call("set_embedder", identity, dim)
        with pytest.raises(InvalidInputError):
            write(ledger, add(vector=vector(1)[:3]))
        mark = ledger.call("changes", record.owner, None).mark
        ledger.call("set_embedder", "other", 8, replace=True)
        assert ledger.call("embedder") == ("other", 8)
        delta = ledger.call("changes", record.owner, mark)
        assert delta.reset and delta.vectors.shape == (1, 8) and not delta.vectors.any()
        ledger.call("set_vectors", [record.rid], [vector(3)[:8]])
        delta = ledger.call("changes", record.owner, delta.mark)
        assert delta.reset and delta.vectors.any()

    def test_replacing_every_embedding_is_all_or_nothing(self, ledger: Driver) -> None:
        """`replace_embeddings` returns the live records it was given no vector for and then writes nothing.

        Troubleshooting: compare with the live records inside the transaction.
        """
        first, second, gone = added(ledger, add(text="a"), add(text="b"), add(text="c"))
        write(ledger, edit(gone, set_={"deleted": True}))
        assert list(ledger.call("replace_embeddings", "new", 8, [first.rid], [vector(1)[:8]])) == [second.rid]
        assert ledger.call("embedder") == (EMBEDDER, DIM)
        rows = [vector(1)[:8], vector(2)[:8]]
        assert list(ledger.call("replace_embeddings", "new", 8, [second.rid, first.rid], rows)) == []
        assert ledger.call("embedder") == ("new", 8)
        matrix = ledger.call("with_vectors", [second.rid, first.rid])[1]
        assert abs(matrix - rows).max() < 2e-2

    # Messages.

    def test_a_given_message_id_is_kept_once_per_run(self, ledger: Driver) -> None:
        """A message id given twice in one run is one message with its first content; other runs have their own.

        Troubleshooting: unique per (owner, run, id); messages without an id are never the same.
        """
        run2 = ALICE_BOT.__class__(user_id="alice", run_id="r2")
        applied = write(
            ledger,
            messages=[
                message(ALICE_BOT, "first", id="m1"),
                message(ALICE_BOT, "second", id="m1"),
                message(run2, "third", id="m1"),
                message(ALICE_BOT, "same"),
                message(ALICE_BOT, "same"),
            ],
            owner=ALICE.owner,
        )
        assert [m.text for m in applied.messages] == ["first", "first", "third", "same", "same"]
        assert list(applied.new_messages) == [True, False, True, True, True]
        again = write(ledger, messages=[message(ALICE_BOT, "late", id="m1")])
        assert (again.messages[0].text, list(again.new_messages)) == ("first", [False])
        assert ledger.call("info").messages == 4
        made = applied.messages[3]
        assert write(ledger, messages=[message(ALICE_BOT, "x", id=made.id)]).messages[0] == made
        assert [m.text for m in ledger.call("messages_by_id", [made.id, "m1", "none"])] == [
            "same",
            "first",
            "third",
        ]

    def test_a_verbatim_memory_points_at_its_message(self, ledger: Driver) -> None:
        """A record made from a message of its batch has its text and names it as source, also after a rewording.

        Troubleshooting: store the text once; an edit of the record's text must leave the message alone.
        """
        applied = write(ledger, add(text="hello", message=0), messages=[message(text="hello")])
        record, kept = applied.changes[0].record, applied.messages[0]
        assert record is not None and [source.message_id for source in record.sources] == [kept.id]
        write(ledger, edit(record, set_={"text": "bye"}, vector=vector(4)))
        assert texts(ledger.call("records", [record.id])) == ["bye"]
        assert ledger.call("messages_by_rid", [kept.rid])[0].text == "hello"
        events = ledger.call("history", record.id)
        assert [event.after.text for event in events] == ["hello", "bye"]

    def test_content_and_status_of_messages_are_kept(self, ledger: Driver) -> None:
        """Blocks come back as they were; a status changes by rid and filters the listing.

        Troubleshooting: content may be text or a list of blocks; keep both forms.
        """
        blocks = [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": "data:,x"}}]
        kept = write(
            ledger,
            messages=[message(content=blocks, text="look", name="Ann", dated=True, offset_minutes=-90)],
        )
        stored = kept.messages[0]
        assert list(ledger.call("messages_by_rid", [stored.rid])) == [stored]
        assert stored.content == blocks and (stored.name, stored.offset_minutes, stored.dated) == (
            "Ann",
            -90,
            True,
        )
        write(ledger, statuses=[(stored.rid, "deleted")])
        assert list(ledger.call("messages", read(ALICE), limit=None)) == []
        assert len(ledger.call("messages", read(ALICE), limit=None, statuses=("deleted",))) == 1

    def test_a_job_is_finished_by_one_batch(self, ledger: Driver) -> None:
        """The batch that finishes a job becomes its operation; a second one is answered with the first.

        Troubleshooting: check the operation's state inside the transaction, and drop the job's payload with it.
        """
        start = batch(
            messages=[message()],
            owner=ALICE.owner,
            job=NewJob(kind="extract", payload={"a": 1}, running=True),
            worker="w",
        )
        job = ledger.call("apply", start).job
        assert (job.id, job.kind, job.state, job.payload["a"]) == (
            start.operation_id,
            "extract",
            "running",
            1,
        )
        assert (len(job.payload["messages"]), job.payload["new"]) == (1, [True])
        finish = batch(add(text="fact"), owner=ALICE.owner, finishes=job.id, render=constantly("{}"))
        assert statuses(ledger.call("apply", finish)) == ["applied"]
        operation, events = ledger.call("operation", job.id)
        assert (operation.state, operation.result, [e.event for e in events]) == ("done", "{}", ["ADD"])
        assert list(ledger.call("jobs")) == []
        late = ledger.call("apply", batch(add(text="again"), owner=ALICE.owner, finishes=job.id))
        assert late.replay is not None and late.replay.id == job.id
        assert ledger.call("apply", batch(add(), owner=ALICE.owner, finishes=new_id())).refused
        assert ledger.call("size", None) == 1
