"""Embeddings in a column of pgvector in the ledger itself: one transaction, exact or by a graph, never stale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from memkit import Memory
from tests.engine.faces import AxisEmbedder
from tests.postgres import PostgresServer

pytestmark = pytest.mark.engine
pytest.importorskip("psycopg")


def opened(url: str, **config: Any) -> Memory:
    store: Any = {"provider": "pgvector", "config": {"url": url, **config}}
    return Memory(ledger=url, vector_store=store, embedder="hash", llm=None)


def plain(url: str) -> Memory:
    return Memory(ledger=url, embedder="hash", llm=None)


def ledger_of(memory: Memory) -> Any:
    return memory._engine.parts.ledger  # pyright: ignore[reportPrivateUsage]


def closest(memory: Memory, text: str, limit: int = 5) -> Sequence[int] | None:
    vector = memory._engine.parts.embedder().embed([text], purpose="query")[0]  # pyright: ignore[reportPrivateUsage]
    owner = ledger_of(memory).outlook(memory_scope(memory)).owners[0].number
    found = ledger_of(memory).closest([owner], np.asarray(vector, np.float32), limit, 2)
    return None if found is None else found[0]


def memory_scope(memory: Memory) -> Any:
    from memkit.scope import ReadScope

    return ReadScope(user_id="u")


def are_closest(memory: Memory, text: str, limit: int = 5) -> bool:
    """Whether the database found as near ones as a scan of the packed embeddings, but for their rounding."""
    vector = memory._engine.parts.embedder().embed([text], purpose="query")[0]  # pyright: ignore[reportPrivateUsage]
    near = {
        rid: float(row @ vector)
        for rids, matrix in ledger_of(memory).vectors(None)
        for rid, row in zip(rids, matrix, strict=True)
    }
    found = closest(memory, text, limit)
    assert found is not None and len({*found}) == limit
    best = sorted(near.values(), reverse=True)[:limit]
    return [near[rid] for rid in found] == pytest.approx(best, abs=0.02)


def fill(memory: Memory, first: int, count: int) -> None:
    words = ["tea", "coffee", "skiing", "chess", "Oslo", "violin", "garden"]
    texts = [f"note {n}: {words[n % 7]} and {words[n % 5]} on day {n}" for n in range(first, first + count)]
    assert memory.add_many(texts, user_id="u").pending == []


def columns(postgres: PostgresServer, url: str) -> tuple[int, int]:
    (row,) = postgres.sql("SELECT count(*), count(v) FROM memkit.vec", database=url.rpartition("/")[2])
    return row


def indexes(postgres: PostgresServer, url: str) -> list[str]:
    rows = postgres.sql(
        "SELECT indexname FROM pg_indexes WHERE tablename = 'vec'", database=url.rpartition("/")[2]
    )
    return [row[0] for row in rows if row[0].startswith("vec_nearest")]


@pytest.mark.parametrize("exact_rows", [10_000, 20], ids=["exact", "hnsw"])
def test_the_database_finds_what_a_scan_of_the_packed_embeddings_finds(
    postgres: PostgresServer, fresh_postgres: str, exact_rows: int
) -> None:
    with opened(fresh_postgres, exact_rows=exact_rows) as memory:
        fill(memory, 0, 40)
        fill(memory, 40, 40)
        fill(memory, 80, 1)
        assert columns(postgres, fresh_postgres) == (81, 81), "written in the transaction of the record"
        assert indexes(postgres, fresh_postgres) == (["vec_nearest_1024"] if exact_rows == 20 else [])
        for text in ("tea on day 14", "skiing and chess", "note 33"):
            assert are_closest(memory, text)
        assert memory.search("note 33", user_id="u").results[0].memory.startswith("note 33")


def test_rows_of_writers_without_the_column_are_found_and_never_stale(
    postgres: PostgresServer, fresh_postgres: str
) -> None:
    with opened(fresh_postgres) as memory, plain(fresh_postgres) as other:
        fill(memory, 0, 10)
        fill(memory, 10, 10)
        target = memory.search("note 3", user_id="u").results[0].id
        other.update(target, "a violin concert in Bergen")
        other.add("the garden of Versailles", user_id="u", infer=False)
        assert columns(postgres, fresh_postgres) == (21, 19)
        for text in ("violin concert in Bergen", "garden of Versailles"):
            assert are_closest(memory, text)
        gone = memory.delete(target)
        memory.undo(gone.operation_id)
        assert are_closest(memory, "violin concert in Bergen")
    with opened(fresh_postgres) as memory:
        fill(memory, 20, 1)
        assert columns(postgres, fresh_postgres) == (22, 22), "the next process fills what is missing"


def test_another_embedder_takes_the_column_over(postgres: PostgresServer, fresh_postgres: str) -> None:
    with opened(fresh_postgres, exact_rows=5) as memory:
        fill(memory, 0, 10)
        fill(memory, 10, 10)
        assert indexes(postgres, fresh_postgres) == ["vec_nearest_1024"]
        other = AxisEmbedder()
        memory.rebuild(embedder=other)
        fill(memory, 20, 10)
        fill(memory, 30, 10)
        assert are_closest(memory, "chess on day 12")
        assert indexes(postgres, fresh_postgres) == [f"vec_nearest_{other.dim}"]
        assert columns(postgres, fresh_postgres)[0] == 40


def test_the_extension_is_made_where_it_is_missing(postgres: PostgresServer) -> None:
    with postgres.database(vector=False) as url, opened(url) as memory:
        fill(memory, 0, 3)
        fill(memory, 3, 3)
        assert columns(postgres, url) == (6, 6)


def test_the_sample_is_every_nth_of_whoever_is_asked(fresh_postgres: str) -> None:
    with opened(fresh_postgres) as memory:
        fill(memory, 0, 30)
        memory.add_many([f"a garden {n}" for n in range(20)], user_id="w")
        ledger = ledger_of(memory)
        vector = next(iter(ledger.vectors(None)))[1][0]
        for owners in (None, [1], [2]):
            there = [rid for rids, _ in ledger.vectors(owners) for rid in rids]
            sample = ledger.closest(owners, vector, 3, 7)[1]
            assert sorted(sample) == [rid for rid in there if rid % 7 == 0] != []
