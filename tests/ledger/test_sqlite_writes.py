"""What a write costs the SQLite ledger, and that what it remembers between writes is never wrong."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from memkit import Memory
from memkit.engine.embed import checked_rows
from memkit.errors import (
    BackendResponseError,
    ConfigurationError,
    ConflictError,
    UnknownProviderError,
)
from memkit.ledger.base import Batch, NewJob, NewMessage, Record
from memkit.ledger.sqlite import SqliteLedger
from memkit.scope import Scope
from memkit.testing.ledger_data import (
    ALICE,
    ALICE_BOT,
    BOB,
    BOT,
    DIM,
    EMBEDDER,
    LATE,
    add,
    batch,
    edit,
    message,
    new_id,
    read,
    texts,
    tokens,
)

WORDS = ["tea", "wine", "walks", "rain", "paris", "bread", "chess", "tennis", "boats", "music"]


def ledger_at(path: Path | None) -> SqliteLedger:
    ledger = SqliteLedger(path, tokenize=tokens, tokenizer_version="1")
    ledger.set_embedder(EMBEDDER, DIM)
    return ledger


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "memory.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[SqliteLedger]:
    made = ledger_at(path)
    yield made
    made.close()


def rows(path: Path, sql: str) -> list[tuple[object, ...]]:
    conn = sqlite3.connect(path)
    try:
        return conn.execute(sql).fetchall()
    finally:
        conn.close()


def some(count: int, seed: int = 0) -> list[str]:
    rng = random.Random(seed)
    return [" ".join(rng.sample(WORDS, 4)) for _ in range(count)]


def held(ledger: SqliteLedger, word: str) -> list[int]:
    owner = ledger.owner_number(ALICE.owner)
    assert owner is not None
    return sorted(ledger.keyword_candidates([owner], [word], 10_000))


def expected(ledger: SqliteLedger, word: str) -> list[int]:
    live = ledger.listing(read(ALICE), at=LATE, limit=10_000)
    return sorted(record.rid for record in live if word in record.text.split())


# Words: few wait in a table, many are in the index, and nobody can tell.


def test_words_of_single_adds_go_into_the_index_together(ledger: SqliteLedger, path: Path) -> None:
    for text in some(255):
        ledger.apply(batch(add(text=text)))
    assert rows(path, "SELECT count(*) FROM words") == [(255,)]
    assert held(ledger, "tea") == expected(ledger, "tea") != []
    ledger.apply(batch(add(text="tea alone")))
    assert rows(path, "SELECT count(*) FROM words") == [(0,)]
    assert held(ledger, "tea") == expected(ledger, "tea")


def test_words_of_a_bulk_add_do_not_wait(ledger: SqliteLedger, path: Path) -> None:
    ledger.apply(batch(*(add(text=text) for text in some(300))))
    assert rows(path, "SELECT count(*) FROM words") == [(0,)]
    assert held(ledger, "wine") == expected(ledger, "wine") != []


@pytest.mark.parametrize("seed", range(3))
def test_words_are_those_of_live_records_whatever_was_written(ledger: SqliteLedger, seed: int) -> None:
    rng = random.Random(seed)
    live: dict[str, Record] = {}
    gone: dict[str, Record] = {}
    for step in range(60):
        choice = rng.random()
        if choice < 0.4 or not live:
            added = batch(*(add(text=text) for text in some(rng.choice((1, 1, 5, 200, 300)), step)))
            written = ledger.apply(added)
        else:
            chosen = rng.sample(sorted(live), min(len(live), rng.choice((1, 3, 280))))
            lost = rng.sample(sorted(gone), min(len(gone), 2))
            if choice < 0.6:
                edits = [edit(live[i], set_={"text": some(1, step + n)[0]}) for n, i in enumerate(chosen)]
            else:
                edits = [edit(live[i], "DELETE", set_={"deleted": True}) for i in chosen]
            edits += [edit(gone[i], "RESTORE", set_={"deleted": False}) for i in lost]
            written = ledger.apply(batch(*edits))
        for outcome in written.changes:
            assert outcome.status == "applied" and outcome.record is not None
            record = outcome.record
            (gone if record.deleted else live)[record.id] = record
            (live if record.deleted else gone).pop(record.id, None)
    for word in WORDS:
        assert held(ledger, word) == expected(ledger, word), word
    ledger.forget(new_id(), LATE, ids=sorted(live)[::2])
    for word in WORDS:
        assert held(ledger, word) == expected(ledger, word), word


# Many edits are few statements.


def selects(ledger: SqliteLedger, changes: Sequence[object], messages: Sequence[NewMessage] = ()) -> int:
    seen: list[str] = []
    conn = ledger._db.writer()  # pyright: ignore[reportPrivateUsage]
    conn.set_trace_callback(seen.append)
    try:
        ledger.apply(batch(*changes, messages=messages, owner=ALICE.owner))  # type: ignore[arg-type]
    finally:
        conn.set_trace_callback(None)
    return sum(statement.lstrip().startswith("SELECT") for statement in seen)


def test_a_batch_of_edits_reads_its_records_at_once(ledger: SqliteLedger) -> None:
    ledger.apply(batch(*(add(text=text) for text in some(400))))
    found = ledger.listing(read(ALICE), at=LATE, limit=400)
    assert selects(ledger, [edit(record, "DELETE", set_={"deleted": True}) for record in found]) < 10
    assert ledger.size(None) == 0


def test_a_batch_of_turns_asks_at_once_which_it_has(ledger: SqliteLedger) -> None:
    turns = [add(text=text, dedup=bytes([n % 200, 1])) for n, text in enumerate(some(400))]
    assert selects(ledger, turns) < 10
    assert ledger.size(None) == 200


def test_a_batch_of_messages_asks_at_once_which_it_has(ledger: SqliteLedger) -> None:
    given = [message(text=text, id=f"id {n % 150}") for n, text in enumerate(some(300))]
    assert selects(ledger, [], given) < 10
    kept = ledger.messages(read(ALICE), limit=None)
    assert [m.text for m in kept] == some(300)[:150]
    again = [*given, message(text="again", id=kept[7].id), message(text="new", id="id 150")]
    assert selects(ledger, [], again) < 10
    assert len(ledger.messages(read(ALICE), limit=None)) == 151


def test_edits_of_one_record_build_on_each_other(ledger: SqliteLedger) -> None:
    first = ledger.apply(batch(add(text="tea"))).changes[0].record
    assert first is not None
    ledger.apply(
        batch(
            edit(first, set_={"text": "wine"}),
            edit(first, set_={"pinned": True, "text": "rain"}, expected_version=2),
            edit(first, "DELETE", set_={"deleted": True}, expected_version=3),
            edit(first, "RESTORE", set_={"deleted": False}, expected_version=4),
        )
    )
    now = ledger.records([first.id])[0]
    assert (now.text, now.pinned, now.version, now.deleted) == ("rain", True, 5, False)
    assert held(ledger, "rain") == [first.rid] and held(ledger, "tea") == held(ledger, "wine") == []
    assert [e.after.text if e.after else None for e in ledger.history(first.id)] == [
        "tea", "wine", "rain", None, "rain",
    ]  # fmt: skip


def test_a_digest_passes_from_one_record_to_another_in_one_batch(ledger: SqliteLedger) -> None:
    made = ledger.apply(batch(add(text="old", dedup=b"d"), add(text="new", dedup=b"e"))).changes
    old, new = (outcome.record for outcome in made)
    assert old is not None and new is not None
    ledger.apply(
        batch(edit(old, "SUPERSEDE", set_={"valid_until": LATE}), edit(new, set_={"text": "x"}, dedup=b"d"))
    )
    again = ledger.apply(batch(add(text="new", dedup=b"d"))).changes[0]
    assert again.status == "duplicate" and again.record is not None and again.record.id == new.id
    ledger.apply(batch(edit(old, "RESTORE", set_={"valid_until": None})))
    assert ledger.apply(batch(add(text="new", dedup=b"d"))).changes[0].record == again.record


# What is remembered between writes is asked again as soon as anything else was written.


def test_two_ledgers_of_one_file_number_their_records_apart(ledger: SqliteLedger, path: Path) -> None:
    other = ledger_at(path)
    for n in range(12):
        (ledger if n % 3 else other).apply(batch(add(text=f"text {n}"), add(BOB, f"other {n}")))
    other.close()
    assert rows(path, "SELECT count(*), count(DISTINCT seq), max(seq) FROM event") == [(24, 24, 24)]
    assert ledger.size(None) == 24


def test_a_write_that_was_taken_back_leaves_no_trace_in_the_next(ledger: SqliteLedger, path: Path) -> None:
    def fail(_done: object) -> str:
        raise RuntimeError("no result")

    kept = ledger.apply(batch(add(text="first"))).changes[0].record
    assert kept is not None
    with pytest.raises(RuntimeError):
        ledger.apply(batch(add(text="never"), add(BOB, "never"), render=fail))
    with pytest.raises(ConflictError):
        ledger.apply(batch(add(text="never", id=kept.id)))
    assert ledger.apply(batch(edit(kept, set_={"text": "x"}, expected_version=9), add(BOB, "never"))).refused
    ledger.apply(batch(add(text="second"), add(BOB, "third")))
    assert rows(path, "SELECT seq, rid & 255 FROM event ORDER BY seq") == [(1, 1), (2, 2), (3, 1)]
    assert rows(path, "SELECT id, memories FROM owner ORDER BY no") == [("alice", 2), ("bob", 1)]


def test_after_an_erasure_and_a_reset_writes_begin_where_the_file_does(ledger: SqliteLedger) -> None:
    for n in range(4):
        ledger.apply(batch(add(text=f"text {n}")))
    ledger.forget(new_id(), LATE, scope=read(ALICE))
    ledger.apply(batch(add(text="after the erasure")))
    assert texts(ledger.listing(read(ALICE), at=LATE, limit=9)) == ["after the erasure"]
    ledger.reset()
    ledger.set_embedder(EMBEDDER, DIM)
    ledger.apply(batch(add(text="after the reset")))
    assert texts(ledger.listing(read(ALICE), at=LATE, limit=9)) == ["after the reset"]
    assert held(ledger, "reset") == expected(ledger, "reset") != []


# What a single add writes.


def test_a_single_add_writes_few_pages(path: Path) -> None:
    memory = Memory(path, llm=None, embedder="hash")
    for n in range(40):
        memory.add(f"fact number {n} about tea", user_id="u", infer=False)
    log = path.with_name(path.name + "-wal")
    before = log.stat().st_size
    for n in range(100):
        memory.add(f"fact number {n} about wine", user_id="u", infer=False)
    pages = (log.stat().st_size - before) / (8192 + 24) / 100
    memory.close()
    assert pages < 12


def test_a_single_add_is_nine_statements_and_gives_the_driver_no_empty_value(ledger: SqliteLedger) -> None:
    for n in range(3):
        ledger.apply(batch(add(text=f"fact {n} about tea")))
    seen: list[str] = []
    conn = ledger._db.writer()  # pyright: ignore[reportPrivateUsage]
    conn.set_trace_callback(seen.append)
    try:
        ledger.apply(batch(add(text="a fact about wine")))
    finally:
        conn.set_trace_callback(None)
    assert len(seen) <= 9
    assert not [sql for sql in seen if sql.startswith("INSERT") and "NULL" in sql]


def test_what_an_add_returns_is_whole() -> None:
    with Memory(":memory:", llm=None, embedder="hash") as memory:
        result = memory.add_many(["tea", {"role": "system", "content": "be kind"}], user_id="u")
    for model in (result, result.usage, *result.results):
        assert list(vars(model)) == list(type(model).model_fields)
    assert type(result).model_validate_json(result.model_dump_json()) == result


# How the file is kept can be chosen.


@pytest.mark.parametrize(("vectors", "width"), [("float32", 4), ("float16", 2), ("int8", 1), ("auto", 1)])
def test_vectors_take_the_bytes_that_were_chosen(path: Path, vectors: str, width: int) -> None:
    settings = {"provider": "sqlite", "config": {"path": str(path), "vectors": vectors}}
    with Memory(path.parent, llm=None, embedder="hash", ledger=settings) as memory:
        memory.add("Ann drinks tea", user_id="u")
        assert memory.search("tea", user_id="u").results[0].memory == "Ann drinks tea"
    size = rows(path, "SELECT length(e) FROM vec")[0][0]
    assert isinstance(size, int) and width * 1024 < size <= width * 1024 + 5


@pytest.mark.parametrize(
    ("given", "error", "hint"),
    [
        ({"provider": "sqlit"}, UnknownProviderError, "Did you mean 'sqlite'"),
        ({"provider": "postgresql", "config": {"maxcon": 4}}, ConfigurationError, "'maxconn'"),
        ({"provider": "mysql"}, UnknownProviderError, "postgresql, sqlite"),
        ({"provider": "sqlite", "config": {"vector": "float16"}}, ConfigurationError, "'vectors'"),
        ({"provider": "sqlite", "config": {"vectors": "float64"}}, ConfigurationError, "'float16'"),
        ({"path": "memory.db"}, ConfigurationError, '"config"'),
    ],
)
def test_a_setting_that_is_none_ends_the_search(
    given: dict[str, object], error: type[Exception], hint: str
) -> None:
    with pytest.raises(error, match=hint):
        Memory(":memory:", ledger=given)


# What the engine is told is not read again.


def job_of(scope: Scope) -> Batch:
    return batch(
        messages=[message(scope)],
        owner=scope.owner,
        job=NewJob(kind="extract", payload={}, running=True),
        worker="w",
    )


def test_a_batch_that_makes_a_job_tells_what_a_search_of_its_user_has_to_know(path: Path) -> None:
    ledger = SqliteLedger(path, tokenize=tokens, tokenizer_version="1")
    for scope in (ALICE, ALICE_BOT, BOB):
        assert ledger.apply(job_of(scope)).outlook == ledger.outlook(read(scope))
    ledger.set_embedder(EMBEDDER, DIM)
    ledger.apply(batch(add(text="one"), add(BOB, "two"), add(text="three")))
    for scope in (ALICE, BOB):
        told = ledger.apply(job_of(scope)).outlook
        assert told == ledger.outlook(read(scope)) and told is not None and told.embedder == (EMBEDDER, DIM)
    assert ledger.apply(job_of(BOT)).outlook is None, "an agent's memories have several owners"
    assert ledger.apply(batch(add(text="four"))).outlook is None
    ledger.close()


# What comes from an embedder is made unit before it is written.


@pytest.mark.parametrize("scale", [1e-18, 1.0, 1e30])
def test_vectors_are_unit_whatever_their_length(scale: float) -> None:
    rows = checked_rows([[3 * scale, 4 * scale], [0.0, 0.0]], 2, "test", 2)
    assert rows.dtype == np.float32 and np.allclose(rows, [[0.6, 0.8], [0.0, 0.0]])


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_vector_that_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(BackendResponseError, match="not finite"):
        checked_rows([[value, 1.0]], 1, "test", 2)
