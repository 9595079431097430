"""What the PostgreSQL ledger writes by few statements is what one statement for each would have written."""

from __future__ import annotations

import random
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from memkit.ledger.base import EditRecord, Ledger, Record
from memkit.ledger.postgres.schema import NEWEST
from memkit.ledger.sqlite import SqliteLedger
from memkit.testing.ledger_data import (
    ALICE,
    BOB,
    DIM,
    EMBEDDER,
    EVERYTHING,
    LATE,
    T0,
    add,
    batch,
    new_id,
    tokens,
    vector,
)
from tests.postgres import PostgresServer

if TYPE_CHECKING:
    from memkit.ledger.postgres import PostgresLedger

pytestmark = pytest.mark.engine


def opened(url: str) -> PostgresLedger:
    from memkit.ledger.postgres import PostgresLedger
    from memkit.ledger.postgres.settings import PostgresSettings

    settings = PostgresSettings.model_validate({"url": url})
    ledger = PostgresLedger(settings, tokenize=tokens, tokenizer_version="1")
    ledger.open()
    ledger.set_embedder(EMBEDDER, DIM)
    return ledger


@pytest.fixture
def ledgers(fresh_postgres: str, tmp_path: Path) -> Generator[list[Ledger]]:
    """SQLite's, and PostgreSQL's."""
    sqlite = SqliteLedger(tmp_path / "memory.db", tokenize=tokens, tokenizer_version="1")
    sqlite.set_embedder(EMBEDDER, DIM)
    made: list[Ledger] = [sqlite, opened(fresh_postgres)]
    yield made
    for ledger in made:
        ledger.close()


def digest(text: str) -> bytes:
    return text.encode().ljust(16, b".")


@pytest.mark.parametrize("seed", range(6))
def test_batches_that_free_and_claim_the_same_texts_end_as_in_sqlite(
    ledgers: list[Ledger], seed: int
) -> None:
    chance, words, ids = random.Random(seed), ["tea", "milk", "rain", "sun"], list[str]()
    for number in range(25):
        changes: list[Any] = []
        for _ in range(chance.randint(1, 8)):
            pick, text = chance.random(), chance.choice(words)
            record = chance.choice(ids) if ids else ""
            if not ids or pick < 0.3:
                ids.append(new_id())
                scope = chance.choice((ALICE, BOB))
                changes.append(add(scope, text, id=ids[-1], dedup=digest(text), vector=vector(len(ids))))
            elif pick < 0.55:
                changes.append(change(record, {"text": text}, dedup=digest(text), vector=vector(number)))
            elif pick < 0.8:
                changes.append(change(record, {"deleted": True}, event="DELETE"))
            elif pick < 0.9:
                changes.append(change(record, {"valid_until": T0 + 5}, event="SUPERSEDE"))
            else:
                changes.append(change(record, {"deleted": False}, event="RESTORE"))
        said = batch(*changes, operation_id=f"op{number}", at=T0 + number)
        one, other = (outcome(ledger, said) for ledger in ledgers)
        assert one == other, (seed, number)
    one, other = (held(ledger, words) for ledger in ledgers)
    assert one == other


def change(id: str, values: dict[str, Any], *, event: str = "UPDATE", **fields: Any) -> EditRecord:
    return EditRecord(id=id, expected_version=None, event=event, set=values, **fields)


def outcome(ledger: Ledger, said: Any) -> Any:
    applied = ledger.apply(said)
    return (
        "refused"
        if applied.refused
        else [(change.status, plain(change.record)) for change in applied.changes]
    )


def plain(record: Record | None) -> Any:
    return None if record is None else replace(record, rid=0, sources=())


def held(ledger: Ledger, words: list[str]) -> Any:
    listed = ledger.listing(EVERYTHING, at=LATE, limit=999, include_closed=True)
    named = {record.rid: record.id for record in listed}
    records, matrix = ledger.with_vectors([record.rid for record in listed])
    return (
        sorted((record.id, record.text, record.version) for record in listed),
        sorted((record.id, row.round(3).tolist()) for record, row in zip(records, matrix, strict=True)),
        [sorted(named[rid] for rid in ledger.keyword_candidates(None, [word], 999)) for word in words],
        [
            sorted((e.event, e.at) for e in ledger.history(record.id))
            for record in sorted(listed, key=lambda r: r.id)
        ],
    )


def test_a_store_of_the_schema_before_is_brought_to_the_newest(
    postgres: PostgresServer, fresh_postgres: str
) -> None:
    database = fresh_postgres.rpartition("/")[2]
    ledger = opened(fresh_postgres)
    ledger.apply(batch(add(ALICE, "tea at four"), operation_id="op"))
    ledger.close()
    postgres.sql("DROP INDEX memkit.record_newest", database=database)
    postgres.sql("UPDATE memkit.meta SET value = '5' WHERE key = 'schema_version'", database=database)
    again = opened(fresh_postgres)
    assert [record.text for record in again.listing(EVERYTHING, at=LATE, limit=9)] == ["tea at four"]
    again.close()
    found = postgres.sql("SELECT value FROM memkit.meta WHERE key = 'schema_version'", database=database)
    assert found == [(str(NEWEST),)]
    assert postgres.sql("SELECT to_regclass('memkit.record_newest')::text", database=database) != [(None,)]
