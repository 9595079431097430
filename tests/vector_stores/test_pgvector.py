"""What is PostgreSQL's own about its store: addresses and secrets, extensions, the graph, pools, a server that goes."""

from __future__ import annotations

import traceback
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from memkit import Memory
from memkit.errors import (
    AuthenticationError,
    BackendTimeoutError,
    BackendUnavailableError,
    ConfigurationError,
    InvalidInputError,
    MemkitError,
)
from memkit.filters import Compare, parse_filter
from memkit.parts import Parts
from memkit.postgres.address import address_of
from memkit.testing.store_data import DIM, EMBEDDER, payload, records, vectors
from memkit.vector_stores.base import StoreRecord, unit_rows
from memkit.vector_stores.pgvector import PgvectorStore
from tests.postgres import PASSWORD, QUOTED, PostgresServer

MEM0: dict[str, Any] = {
    "dbname": "d", "collection_name": "mem0", "embedding_model_dims": 1536, "user": "u", "password": "s3cret",
    "host": "127.0.0.1", "port": 5432, "diskann": True, "hnsw": False, "minconn": 1, "maxconn": 5,
    "sslmode": "require",
}  # fmt: skip
pytest.importorskip("psycopg")


def made(url: str, **more: Any) -> PgvectorStore:
    return PgvectorStore(PgvectorStore.Settings(url=url, **more))


@pytest.fixture
def store(fresh_postgres: str) -> Generator[PgvectorStore]:
    made_ = made(fresh_postgres, timeout_s=10)
    made_.open(dim=DIM, embedder=EMBEDDER)
    yield made_
    made_.close()


# Settings, which need no server.


def test_all_fields_of_mem0_are_taken_and_the_nearest_is_named() -> None:
    settings = PgvectorStore.Settings(**MEM0)
    assert settings.collection_name == "mem0" and settings.diskann and not settings.hnsw
    assert PgvectorStore.Settings(connection_string="postgresql://u@h/d").elsewhere
    with pytest.raises(ConfigurationError, match="'connection_string'"):
        PgvectorStore.Settings(connection_strin="x")
    with pytest.raises(ConfigurationError, match="keep `url`"):
        PgvectorStore.Settings(url="postgresql://a/b", connection_string="postgresql://c/d")
    for name in ("x" * 64, "ü" * 32, "a%b", ""):
        with pytest.raises(ConfigurationError):
            PgvectorStore.Settings(collection_name=name)


def test_no_secret_is_in_a_text() -> None:
    store = PgvectorStore(PgvectorStore.Settings(**MEM0, url="postgresql://u:pa55@127.0.0.1/d"))
    shown = f"{store._settings!r} {store._settings} {store._pools.terms!r}"  # pyright: ignore[reportPrivateUsage]
    assert "s3cret" not in shown and "pa55" not in shown
    secret = "s3 cret"
    wrong = f"postgresql://u:{secret}@@h:x/d"
    with pytest.raises(ConfigurationError) as caught:
        made(wrong).health()
    assert secret not in "".join(traceback.format_exception(caught.value))


def test_a_store_that_names_no_server_is_the_ledgers_own() -> None:
    store = PgvectorStore()
    assert store.in_ledger and store.capabilities == {"in_ledger"}
    with pytest.raises(ConfigurationError, match=r"Give `url=`.*PostgreSQL ledger"):
        store.open(dim=3, embedder="x")
    assert not PgvectorStore(PgvectorStore.Settings(host="127.0.0.1")).in_ledger


@pytest.mark.parametrize(
    ("url", "given", "mode"),
    [
        ("postgresql://u:p@db.example.com/d", {}, "verify-full"),
        ("host=db.example.com user=u", {}, "verify-full"),
        ("postgresql://u:p@127.0.0.1,db.example.com/d", {}, "verify-full"),
        (None, {"host": "10.0.0.7"}, "verify-full"),
        ("postgresql://u:p@db.example.com/d?sslmode=require", {}, "require"),
        ("postgresql://u:p@db.example.com/d", {"sslmode": "disable"}, "disable"),
        ("postgresql://u:p@127.0.0.1/d", {}, None),
        ("postgresql://u:p@[::1]/d", {}, None),
        ("postgresql://u:p@localhost/d", {}, None),
        ("postgresql://u:p@/d?host=/run/postgresql", {}, None),
    ],
)
def test_tls_is_verified_unless_the_server_is_here_or_somebody_says_otherwise(
    url: str | None, given: dict[str, Any], mode: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from psycopg.conninfo import conninfo_to_dict

    monkeypatch.delenv("PGSSLMODE", raising=False)
    parts = conninfo_to_dict(address_of(url, given).conninfo)
    assert parts.get("sslmode") == mode
    assert ("sslrootcert" in parts) == (mode == "verify-full")


# A real server.

engine = pytest.mark.engine


@engine
def test_what_the_server_refuses_is_named_and_the_password_is_not(
    postgres: PostgresServer, fresh_postgres: str
) -> None:
    name = fresh_postgres.rpartition("/")[2]
    cases: list[tuple[str, type[MemkitError], str]] = [
        (postgres.url(name, password="wr0ng"), AuthenticationError, "password"),
        (postgres.url(name, user="nobody", password="wr0ng"), AuthenticationError, "nobody"),
        (postgres.url("nowhere"), ConfigurationError, "CREATE DATABASE"),
        (f"postgresql://u:wr0ng@127.0.0.1:1/{name}", BackendUnavailableError, "127.0.0.1:1"),
    ]
    for url, kind, says in cases:
        store = made(url)
        with pytest.raises(kind, match=says) as caught:
            store.open(dim=DIM, embedder=EMBEDDER)
        told = "".join(traceback.format_exception(caught.value))
        assert not any(secret in told for secret in ("wr0ng", PASSWORD, QUOTED))
        store.close()


@engine
def test_a_missing_extension_is_made_or_the_command_is_told(postgres: PostgresServer) -> None:
    with postgres.database(vector=False) as url:
        postgres.sql("CREATE ROLE plain LOGIN PASSWORD 'pw'")
        poor = made(postgres.url(url.rpartition("/")[2], user="plain", password="pw"))
        with pytest.raises(ConfigurationError, match="CREATE EXTENSION vector"):
            poor.open(dim=DIM, embedder=EMBEDDER)
        poor.close()
        postgres.sql("DROP ROLE plain")
        rich = made(url)
        rich.open(dim=DIM, embedder=EMBEDDER)
        rich.upsert(records([payload("x")]))
        assert rich.search(vectors(1)[0], 1)[0].id == "p000"
        rich.close()


@engine
def test_a_table_of_somebody_else_is_neither_used_nor_dropped(
    store: PgvectorStore, postgres: PostgresServer, fresh_postgres: str
) -> None:
    name = fresh_postgres.rpartition("/")[2]
    postgres.sql("CREATE TABLE theirs (id int); COMMENT ON TABLE theirs IS 'not JSON'", database=name)
    other = made(fresh_postgres, collection_name="theirs")
    with pytest.raises(ConfigurationError, match="did not make"):
        other.open(dim=DIM, embedder=EMBEDDER)
    other.drop()
    assert other.count() == 0 and store.collections() == ["memkit"]
    assert postgres.sql("SELECT count(*) FROM theirs", database=name) == [(0,)]
    other.close()


@engine
def test_a_point_can_be_read_with_sql_alone(
    store: PgvectorStore, postgres: PostgresServer, fresh_postgres: str
) -> None:
    store.upsert(records([payload("likes tea", user_id="ann", mood="calm")]))
    rows = postgres.sql(
        "SELECT user_id, payload->>'memory', payload->'metadata'->>'mood', vector_dims(vector) FROM memkit",
        database=fresh_postgres.rpartition("/")[2],
    )
    assert rows == [("ann", "likes tea", "calm", DIM)]


@engine
@pytest.mark.parametrize(
    ("dim", "more", "index"),
    [
        (DIM, {}, "hnsw (vector vector_cosine_ops)"),
        (2001, {}, "hnsw (((vector)::halfvec(2001)) halfvec_cosine_ops)"),
        (4001, {}, ""),
        (DIM, {"hnsw": False}, ""),
        (DIM, {"diskann": True}, "USING diskann (vector"),
    ],
    ids=["hnsw", "halfvec", "too long for an index", "none", "diskann"],
)
def test_each_kind_of_index_finds_what_a_scan_finds(
    postgres: PostgresServer, fresh_postgres: str, dim: int, more: dict[str, Any], index: str
) -> None:
    store = made(fresh_postgres, exact_rows=10, **more)
    store.open(dim=dim, embedder=EMBEDDER)
    rows = vectors(60, dim=dim)
    store.upsert(
        [StoreRecord(id=f"i{at:02}", vector=row, payload=payload(at=at)) for at, row in enumerate(rows)]
    )
    definitions = postgres.sql(
        "SELECT indexdef FROM pg_indexes WHERE tablename = 'memkit'",
        database=fresh_postgres.rpartition("/")[2],
    )
    assert not index or any(index in row[0] for row in definitions)
    assert index or not any("hnsw" in row[0] or "diskann" in row[0] for row in definitions)
    query = unit_rows(rows[:1] + 0.5 * vectors(1, seed=3, dim=dim))[0]
    order = np.argsort(-(rows @ query))[:5].tolist()
    hits = store.search(query, 5)
    assert [hit.id for hit in hits] == [f"i{at:02}" for at in order]
    assert hits[0].score == pytest.approx((1 + rows[order[0]] @ query) / 2, abs=1e-4)
    assert store.get(["i07"])[0].vector.tolist() == rows[7].tolist()
    store.close()


@engine
def test_a_zero_vector_is_unrelated_to_everything(store: PgvectorStore) -> None:
    zero = np.zeros(DIM, np.float32)
    row = vectors(1)[0]
    points = [("zero", zero), ("same", row), ("opposite", -row)]
    store.upsert([StoreRecord(id=id, vector=vector, payload=payload()) for id, vector in points])
    assert [(hit.id, round(hit.score, 3)) for hit in store.search(row, 3)] == [
        ("same", 1.0), ("zero", 0.5), ("opposite", 0.0),
    ]  # fmt: skip
    assert [(hit.id, hit.score) for hit in store.search(zero, 2)] == [("opposite", 0.5), ("same", 0.5)]


@engine
def test_scope_ids_of_any_kind_are_told_apart(store: PgvectorStore) -> None:
    ids: list[Any] = [
        "a",
        "A",
        "a ",
        "",
        "\x00",
        "\x01",
        "x" * 161,
        "x" * 162,
        "x" * 600,
        "é",
        "e\u0301",
        None,
    ]
    rows = vectors(len(ids))
    store.upsert(
        [StoreRecord(id=f"i{at}", vector=rows[at], payload=payload(user_id=id)) for at, id in enumerate(ids)]
    )
    for at, id in enumerate(ids):
        same = Compare("user_id", "exists", False) if id is None else Compare("user_id", "eq", id)
        assert [point.id for point in store.list(same).records] == [f"i{at}"], ascii(id)
        assert [hit.id for hit in store.search(rows[0], 20, same)] == [f"i{at}"], ascii(id)
    assert store.count(Compare("user_id", "in", ("a", "\x00", "x" * 162))) == 3
    assert store.count(Compare("user_id", "nin", ("a", "\x00"))) == len(ids) - 2


@engine
def test_an_id_that_is_too_long_for_an_index_is_an_error_of_input(store: PgvectorStore) -> None:
    long = "".join(chr(0x4E00 + at) for at in range(4000))
    with pytest.raises(InvalidInputError, match="too long"):
        store.upsert([StoreRecord(id=long, vector=vectors(1)[0], payload=payload())])
    assert store.count() == 0


@engine
def test_a_given_pool_is_used_and_stays_open(fresh_postgres: str) -> None:
    from psycopg_pool import ConnectionPool

    with ConnectionPool(fresh_postgres, min_size=1, max_size=2, open=True) as pool:
        for store in (
            PgvectorStore(PgvectorStore.Settings(connection_pool=pool)),
            PgvectorStore(client=pool),
        ):
            store.open(dim=DIM, embedder=EMBEDDER)
            store.upsert([StoreRecord(id="a\x00b", vector=vectors(1)[0], payload=payload(user_id="\x00"))])
            assert store.search(vectors(1)[0], 1, Compare("user_id", "eq", "\x00"))[0].id == "a\x00b"
            with pytest.raises(ConfigurationError):
                store.upsert([StoreRecord(id="x", vector=np.ones(3, np.float32), payload={})])
            store.close()
        with pool.connection() as conn:
            assert conn.execute("SELECT count(*) FROM memkit").fetchone() == (1,)
        own = made(fresh_postgres)
        assert own.get(["a\x00b"])[0].payload["user_id"] == "\x00"
        own.close()
    with pytest.raises(ConfigurationError, match="ConnectionPool"):
        PgvectorStore.Settings(connection_pool=object())


@engine
def test_the_socket_of_the_machine_serves_as_well(postgres: PostgresServer, fresh_postgres: str) -> None:
    store = made(postgres.socket_url(fresh_postgres.rpartition("/")[2]))
    store.open(dim=DIM, embedder=EMBEDDER)
    assert store.count() == 0
    store.close()


@engine
def test_a_table_dropped_or_made_anew_by_others_is_noticed(store: PgvectorStore, fresh_postgres: str) -> None:
    store.upsert(records([payload("x")]))
    other = made(fresh_postgres)
    other.drop()
    assert store.search(vectors(1)[0], 1) == [] and store.get(["p000"]) == [] and store.count() == 0
    with pytest.raises(ConfigurationError, match="open"):
        store.upsert(records([payload("x")]))
    store.open(dim=DIM, embedder=EMBEDDER)
    store.upsert(records([payload("x")]))
    other.drop()
    other.open(dim=DIM + 1, embedder="another")
    with pytest.raises(ConfigurationError, match="dimensions"):
        store.upsert(records([payload("x")]))
    with pytest.raises(ConfigurationError, match="dimensions"):
        store.search(vectors(1)[0], 1)
    other.close()


@engine
def test_a_scope_is_filled_whichever_way_it_is_searched(fresh_postgres: str) -> None:
    rows, near = vectors(3000, seed=4), vectors(1, seed=4)[0]
    points = [
        StoreRecord(id=f"i{at:04}", vector=row, payload=payload(user_id=f"u{at % 3}", rare=at % 500 == 0))
        for at, row in enumerate(rows)
    ]
    found: list[list[str]] = []
    for exact_rows in (10_000, 100):
        store = made(fresh_postgres, exact_rows=exact_rows)
        store.open(dim=DIM, embedder=EMBEDDER)
        if not found:
            store.upsert(points)
        hits = store.search(near, 6, parse_filter({"rare": True}))
        assert [hit.id for hit in hits] == sorted(
            (hit.id for hit in hits), key=lambda id: -rows[int(id[1:])] @ near
        )
        assert len(hits) == 6
        found.append([hit.id for hit in store.search(near, 10, Compare("user_id", "eq", "u1"))])
        store.close()
    assert len({*found[0]} & {*found[1]}) >= 9 and len(found[1]) == 10


@engine
def test_a_server_that_restarts_or_hangs_costs_an_error_of_ours_at_most(own_postgres: PostgresServer) -> None:
    store = made(own_postgres.url(), timeout_s=1)
    store.open(dim=DIM, embedder=EMBEDDER)
    store.upsert(records([payload("x")]))
    own_postgres.kill()
    with pytest.raises(BackendUnavailableError):
        store.count()
    own_postgres.start()
    assert store.count() == 1, "the next call connects again"
    own_postgres.stop()
    own_postgres.start()
    assert store.get(["p000"])[0].payload["memory"] == "x", (
        "and one whose connection was cut needs no next call"
    )
    own_postgres.pause()
    with pytest.raises(BackendTimeoutError):
        store.count()
    own_postgres.resume()
    assert store.count() == 1
    store.close()


def test_configuration_finds_the_store_by_name() -> None:
    from memkit.config import MemoryConfig

    parts = Parts(MemoryConfig(vector_store={"provider": "pgvector", "config": MEM0}, path=":memory:"))
    built = parts.make_store(parts.config.vector_store)
    assert isinstance(built, PgvectorStore) and not built.in_ledger


@engine
@pytest.mark.parametrize("names_its_server", [False, True], ids=["nothing said", "the ledger's own URL"])
def test_on_a_postgresql_ledger_it_is_a_part_of_it(
    postgres: PostgresServer, fresh_postgres: str, names_its_server: bool
) -> None:
    store: Any = (
        {"provider": "pgvector", "config": {"url": fresh_postgres}} if names_its_server else "pgvector"
    )
    with Memory(ledger=fresh_postgres, vector_store=store, embedder="hash", llm=None) as memory:
        made = memory.add_many(["I like green tea", "I live in Oslo"], user_id="u")
        assert made.pending == []
        assert memory.search("tea", user_id="u").results[0].memory == "I like green tea"
    name = fresh_postgres.rpartition("/")[2]
    assert postgres.sql("SELECT count(*) FROM memkit.vec", database=name) == [(2,)]
    assert postgres.sql("SELECT count(*) FROM memkit.outbox", database=name) == [(0,)]
    assert postgres.sql("SELECT to_regclass('public.memkit')", database=name) == [(None,)]


@engine
def test_beside_another_ledger_it_is_an_index_of_its_own(tmp_path: Path, fresh_postgres: str) -> None:
    with Memory(
        tmp_path,
        vector_store={"provider": "pgvector", "config": {"url": fresh_postgres}},
        embedder="hash",
        llm=None,
    ) as memory:
        assert memory.add("I like green tea", user_id="u", infer=False).pending == []
    store = made(fresh_postgres)
    assert store.count() == 1
    store.close()
    with (
        Memory(tmp_path / "b", vector_store="pgvector", embedder="hash", llm=None) as memory,
        pytest.raises(ConfigurationError, match="names no server"),
    ):
        memory.add("x", user_id="u", infer=False)


def test_every_connection_sends_values_of_the_wire_whoever_made_the_first_one() -> None:
    from psycopg import adapters
    from psycopg.adapt import AdaptersMap, PyFormat

    from memkit.postgres.session import coded
    from memkit.postgres.wire import Wire, WireDumper

    assert coded(AdaptersMap(adapters)).get_dumper(Wire, PyFormat.BINARY) is WireDumper
