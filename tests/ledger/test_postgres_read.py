"""What the PostgreSQL ledger reads while others write: marks, moments, pages, words, and texts that sort as they should."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from memkit.errors import BackendUnavailableError
from memkit.ledger.base import Ledger, Mark, NewJob, RankRow, RowTest
from memkit.ledger.sqlite import SqliteLedger
from memkit.scope import ReadScope, Scope
from memkit.testing.ledger_data import (
    ALICE,
    ALICE_BOT,
    BOB,
    DIM,
    EMBEDDER,
    EVERYTHING,
    LATE,
    SCOPES,
    T0,
    add,
    batch,
    edit,
    message,
    new_id,
    read,
    texts,
    tokens,
    vector,
)
from tests.postgres import PostgresServer

if TYPE_CHECKING:
    from memkit.ledger.postgres import PostgresLedger

pytestmark = pytest.mark.engine
_numbers = itertools.count(1)

Opener = Callable[..., "PostgresLedger"]


@pytest.fixture(scope="module")
def database(postgres: PostgresServer) -> Generator[str]:
    with postgres.database() as url:
        yield url


@pytest.fixture
def opened(database: str) -> Generator[Opener]:
    """Open ledgers of one schema of the test's own, as processes would."""
    from memkit.ledger.postgres import PostgresLedger
    from memkit.ledger.postgres.settings import PostgresSettings

    schema, made = f"read_{next(_numbers)}", list[PostgresLedger]()

    def open_one(version: str = "1", on_step: Callable[[str], None] | None = None) -> PostgresLedger:
        settings = PostgresSettings.model_validate({"url": database, "schema_name": schema})
        made.append(PostgresLedger(settings, tokenize=tokens, tokenizer_version=version, on_step=on_step))
        made[-1].open()
        made[-1].set_embedder(EMBEDDER, DIM)
        return made[-1]

    yield open_one
    for ledger in made:
        ledger.close()


def put(ledger: Ledger, *changes: Any, **fields: Any) -> list[Any]:
    """Add records and return them."""
    return [outcome.record for outcome in ledger.apply(batch(*changes, **fields)).changes]


class _Halt:
    """Stops a writer before it commits."""

    def __init__(self) -> None:
        self.armed, self.there, self.go = False, threading.Event(), threading.Event()

    def __call__(self, step: str) -> None:
        if self.armed and step == "commit":
            self.there.set()
            assert self.go.wait(20)


def test_what_commits_later_with_a_lower_number_is_in_the_next_changes_of_everyone(opened: Opener) -> None:
    halt = _Halt()
    slow, reader = opened(on_step=halt), opened()
    put(slow, add(ALICE, "first"))
    halt.armed = True
    thread = threading.Thread(target=put, args=(slow, add(ALICE, "slow")))
    thread.start()
    assert halt.there.wait(20)
    put(reader, add(BOB, "quick"))
    seen = reader.changes(None, None)
    assert texts(seen.records) == ["first", "quick"]
    halt.go.set()
    thread.join()
    assert reader.outlook(EVERYTHING).owners[0].event != seen.mark.event
    delta = reader.changes(None, seen.mark)
    assert texts(delta.records) == ["slow"] and not delta.reset
    assert reader.changes(None, delta.mark).mark == delta.mark
    listed = reader.listing(EVERYTHING, at=LATE, limit=9)
    number = {record.text: reader.history(record.id)[0].seq for record in listed}
    assert number["slow"] < number["quick"], "the one that committed first had the lower number"


def test_a_store_wide_mark_that_nobody_remembers_begins_anew(opened: Opener) -> None:
    one, other = opened(), opened()
    record = put(one, add(text="a"))[0]
    mark = one.changes(None, None).mark
    put(one, add(BOB, "b"))
    assert not one.changes(None, mark).reset
    assert other.changes(None, mark).reset
    one.forget(new_id(), T0, ids=[record.id])
    after = one.changes(None, mark)
    assert after.reset and texts(after.records) == ["b"]


def test_a_whole_owner_is_of_one_moment_whoever_writes_meanwhile(opened: Opener) -> None:
    ledger, other = opened(), opened()
    records = put(ledger, *[add(text=f"t{n}", vector=vector(n)) for n in range(1_500)])
    number = records[0].owner
    known = ledger.changes(number, None).mark
    parts: list[list[str]] = []

    def take(rows: Sequence[RankRow], vectors: Any) -> None:
        parts.append([row.text for row in rows])
        assert len(vectors) == len(rows)
        put(other, add(text=f"late {len(parts)}"))
        other.apply(batch(edit(records[-len(parts)], set_={"text": "other"})))

    assert ledger.load(number, take) == known
    assert len(parts) > 1 and [text for part in parts for text in part] == [f"t{n}" for n in range(1_500)]
    delta = ledger.changes(number, known)
    assert sorted(texts(delta.records)) == sorted(["late 1", "late 2", "other", "other"])


def test_rows_are_not_handed_over_twice_when_the_connection_is_lost(
    opened: Opener, postgres: PostgresServer
) -> None:
    ledger = opened()
    records = put(ledger, *[add(text=f"t{n}") for n in range(1_500)])
    taken: list[int] = []

    def take(rows: Sequence[RankRow], vectors: Any) -> None:
        del vectors
        taken.extend(row.rid for row in rows)
        postgres.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'memkit'"
        )

    with pytest.raises(BackendUnavailableError) as raised:
        ledger.load(records[0].owner, take)
    assert raised.value.retryable and len(set(taken)) == len(taken) < 1_500
    assert ledger.load(records[0].owner, lambda rows, vectors: None) != Mark()


def test_events_of_others_between_those_of_an_operation_are_not_taken_for_erased_ones(opened: Opener) -> None:
    ledger, name = opened(), new_id()
    job = NewJob(kind="extract", payload={}, running=True)
    first = put(ledger, add(text="a"), operation_id=name, job=job, worker="w", owner=ALICE.owner)[0]
    put(ledger, *[add(BOB, f"b{n}") for n in range(3)])
    put(ledger, add(text="c"), operation_id=new_id(), finishes=name, owner=ALICE.owner)
    found = ledger.operation(name)
    assert found is not None and (found[0].erased, len(found[1])) == (0, 2)
    ledger.forget(new_id(), T0, ids=[first.id])
    found = ledger.operation(name)
    assert found is not None and (found[0].erased, len(found[1])) == (1, 1)


def test_a_page_with_a_test_goes_on_until_it_is_full(opened: Opener) -> None:
    ledger = opened()
    put(ledger, *[add(text=f"t{n}", created_at=T0 + n, metadata={"n": n}) for n in range(900)])
    rare = RowTest(frozenset({"metadata"}), lambda row: row["metadata"]["n"] in (0, 1, 880))
    assert texts(ledger.listing(read(ALICE), at=LATE, limit=3, test=rare)) == ["t880", "t1", "t0"]
    first = ledger.listing(read(ALICE), at=LATE, limit=2, test=rare)
    after = (first[-1].created_at, first[-1].rid)
    assert texts(first) == ["t880", "t1"]
    assert texts(ledger.listing(read(ALICE), at=LATE, limit=2, after=after, test=rare)) == ["t0"]


def test_a_token_longer_than_any_key_may_be_is_found(opened: Opener) -> None:
    ledger = opened()
    long = "x" * 50_000
    one, other = put(ledger, add(text=f"tea {long}"), add(text=f"tea {long}y"))
    assert ledger.keyword_candidates([one.owner], [long], 9) == [one.rid]
    ledger.apply(batch(edit(one, set_={"text": "milk"})))
    assert ledger.keyword_candidates([one.owner], [long, f"{long}y"], 9) == [other.rid]


def test_another_tokenizer_version_rebuilds_the_keyword_index(opened: Opener) -> None:
    first = opened()
    one = put(first, add(text="green tea"))[0]
    first.forget(new_id(), T0, ids=[put(first, add(text="gone tea"))[0].id])
    second = opened(version="2")
    assert second.keyword_candidates(None, ["tea"], 9) == [one.rid]
    with pytest.raises(BackendUnavailableError, match="tokenizer"):
        put(first, add(text="black tea"))


def test_texts_with_nul_sort_and_begin_as_they_are(opened: Opener) -> None:
    ledger = opened()
    ids = ["a", "a\x00", "a\x00b", "a\x01", "a\x01\x01b", "a\x02", "ab", "é", "💡"]
    for one in random.Random(3).sample(ids, len(ids)):
        put(ledger, add(Scope(user_id=one, run_id=one), f"of {one}", metadata={one: one}), messages=[
            message(Scope(user_id=one, run_id=one), one)
        ])  # fmt: skip
    assert [row.owner.id for row in ledger.owners()] == sorted(ids, key=lambda one: one.encode())
    for prefix in ("a\x00", "a\x01", "a\x01\x01"):
        found = [row.owner.id for row in ledger.owners(prefix=prefix)]
        assert found == [one for one in ids if one.startswith(prefix)]
    assert ledger.runs(ReadScope(everyone=True), limit=None) == sorted(ids, key=lambda one: one.encode())
    for one in ids:
        record = ledger.listing(ReadScope(user_id=one), at=LATE, limit=9)[0]
        assert (record.text, record.metadata, record.run_id) == (f"of {one}", {one: one}, one)


@pytest.mark.parametrize("seed", range(2))
def test_it_reads_what_sqlite_reads(opened: Opener, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    sqlite = SqliteLedger(tmp_path / "memory.db", tokenize=tokens, tokenizer_version="1")
    sqlite.set_embedder(EMBEDDER, DIM)
    ledgers: list[Ledger] = [sqlite, opened()]
    words = ["tea", "milk", "rain", "book", "sun"]
    for n in range(30):
        scope, text = chance.choice(SCOPES), " ".join(chance.choices(words, k=3))
        at = T0 + chance.randrange(9)
        added = add(scope, f"{text} {n}", id=new_id(), created_at=at, pinned=n % 9 == 0, vector=vector(n),
                    expires_at=T0 + 50 if n % 7 == 0 else None, valid_until=T0 + 5 if n % 11 == 0 else None)  # fmt: skip
        said = message(scope, text, id=f"m{n}", created_at=at)
        for ledger in ledgers:
            ledger.apply(batch(added, messages=[said], operation_id=f"op{n}"))
    scopes = [
        *map(read, SCOPES), EVERYTHING, ReadScope(), ReadScope(runs=frozenset(("r1", None))), ReadScope(user_id="nobody")
    ]  # fmt: skip
    for scope in scopes:
        one, other = (_answers(ledger, scope, words) for ledger in ledgers)
        assert one == other, scope
    sqlite.close()


def _answers(ledger: Ledger, scope: ReadScope, words: Sequence[str]) -> dict[str, Any]:
    named = {
        record.rid: record.text for record in ledger.listing(EVERYTHING, at=0, limit=99, include_closed=True)
    }
    owners = ledger.owners_in(scope)
    listed = ledger.listing(scope, at=T0 + 60, limit=5, include_closed=True)
    marks = ledger.outlook(scope).owners
    return {
        "listed": texts(listed),
        "counted": [ledger.count(scope, at=T0 + n, present=bool(n % 2)) for n in range(0, 60, 7)],
        "standing": texts(ledger.standing(scope, at=T0 + 9, limit=9)),
        "words": [named[rid] for rid in ledger.keyword_candidates(owners, words[:2], 99)]
        if owners != []
        else [],
        "beside": sorted(named[rid] for rid in ledger.neighbours([record.rid for record in listed], 2)),
        "said": [m.text for m in ledger.messages(scope, limit=7, before=T0 + 6, offset=1)],
        "runs": list(ledger.runs(scope, limit=9)),
        "archive": [(record.text, len(events)) for record, events in ledger.archive_records(scope, -1, 99)]
        if owners is not None and len(owners) == 1
        else len(ledger.archive_records(scope, -1, 99)),
        "sizes": sorted((mark.number is None, mark.memories) for mark in marks),
    }


def test_an_agents_rows_are_not_a_users(opened: Opener) -> None:
    ledger = opened()
    put(ledger, add(ALICE_BOT, "hers"), add(Scope(agent_id="bot"), "its"))
    assert texts(ledger.listing(ReadScope(agents=frozenset(("bot",))), at=LATE, limit=9)) == ["its"]
