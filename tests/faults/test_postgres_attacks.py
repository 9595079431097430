"""What can be done to a PostgreSQL ledger by its surroundings: too many callers, other tables, rights, forks, loops."""

from __future__ import annotations

import asyncio
import os
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from memkit import AsyncMemory, Memory
from memkit.errors import (
    AuthenticationError,
    BackendError,
    BackendTimeoutError,
    BackendUnavailableError,
    ConfigurationError,
    EmbedderMismatchError,
)
from memkit.ledger.postgres.schema import NEWEST, store_lock
from memkit.testing import FakeEmbedder
from tests.postgres import PASSWORD, QUOTED, PostgresServer

pytestmark = pytest.mark.engine


def settings(folder: Path, url: str, **more: Any) -> dict[str, Any]:
    ledger = {"provider": "postgresql", "config": {"url": url, **more}}
    return {"path": folder, "llm": None, "embedder": "hash", "ledger": ledger}


def opened(folder: Path, url: str, **more: Any) -> Memory:
    return Memory(**settings(folder, url, **more))


def texts(memory: Memory, user: str) -> list[str]:
    return [item.memory for item in memory.get_all(user_id=user, limit=100_000).results]


def name_of(url: str) -> str:
    return url.rpartition("/")[2]


# ------------------------------------------------------------------------------------- many callers


def test_a_hundred_threads_share_two_connections(fresh_postgres: str, tmp_path: Path) -> None:
    with opened(tmp_path, fresh_postgres, maxconn=2, statement_timeout_s=60) as memory:

        def work(number: int) -> bool:
            text = f"Note {number} of a thread"
            memory.add(text, user_id=f"u{number % 7}")
            return text in [item.memory for item in memory.search(text, user_id=f"u{number % 7}").results]

        with ThreadPoolExecutor(100) as pool:
            assert all(pool.map(work, range(100)))
        assert sum(len(texts(memory, f"u{n}")) for n in range(7)) == 100


async def test_two_hundred_tasks_share_two_connections(fresh_postgres: str, tmp_path: Path) -> None:
    async with AsyncMemory(**settings(tmp_path, fresh_postgres, maxconn=2, statement_timeout_s=60)) as memory:
        await asyncio.gather(*(memory.add(f"Note {n} of a task", user_id=f"u{n % 7}") for n in range(200)))
        counts = [len((await memory.get_all(user_id=f"u{n}", limit=500)).results) for n in range(7)]
        assert sum(counts) == 200


def test_who_waits_too_long_for_a_connection_is_told_what_to_raise(
    postgres: PostgresServer, fresh_postgres: str, tmp_path: Path
) -> None:
    with opened(tmp_path, fresh_postgres, maxconn=1, statement_timeout_s=0.5, busy_timeout_s=60) as memory:
        memory.add("Ana keeps bees", user_id="ana")
        started = threading.Event()
        with postgres.connect(name_of(fresh_postgres)) as other, other.transaction():
            other.execute("LOCK TABLE memkit.owner IN ACCESS EXCLUSIVE MODE")

            def wait() -> None:
                started.set()
                with suppress(BackendError):
                    memory.get_all(user_id="ana")

            threads = [threading.Thread(target=wait) for _ in range(3)]
            for thread in threads:
                thread.start()
            with pytest.raises(BackendTimeoutError) as caught:
                memory.get_all(user_id="ana")
            for thread in threads:
                thread.join()
        assert caught.value.backend == "postgresql"
        assert texts(memory, "ana") == ["Ana keeps bees"]


async def test_tasks_that_are_cancelled_leave_no_half_and_take_no_connection_with_them(
    fresh_postgres: str, tmp_path: Path
) -> None:
    async with AsyncMemory(**settings(tmp_path, fresh_postgres, maxconn=2)) as memory:
        await memory.add("The first of all", user_id="ana")
        told: list[str] = []

        async def write(number: int) -> None:
            batch = [f"Note {number} part {part}" for part in range(3)]
            await memory.add_many(batch, user_id="ana")
            told.extend(batch)

        for number in range(30):
            task = asyncio.create_task(write(number))
            await asyncio.sleep(0.001 * (number % 8))
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        there = {item.memory for item in (await memory.get_all(user_id="ana", limit=500)).results}
        assert set(told) <= there
        for number in range(30):
            parts = [f"Note {number} part {part}" in there for part in range(3)]
            assert len(set(parts)) == 1, "half a batch"
        await asyncio.gather(*(memory.add(f"Later note {n}", user_id="ana") for n in range(4)))


def test_first_opened_by_many_at_once_it_is_made_once(fresh_postgres: str, tmp_path: Path) -> None:
    memories = [opened(tmp_path / str(n), fresh_postgres) for n in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda pair: pair[1].add(f"From {pair[0]}", user_id="ana"), enumerate(memories)))
    assert sorted(texts(memories[0], "ana")) == sorted(f"From {n}" for n in range(8))
    for memory in memories:
        memory.close()


# ------------------------------------------------------------------------------------- lives


def test_another_event_loop_has_connections_of_its_own(fresh_postgres: str, tmp_path: Path) -> None:
    memory = AsyncMemory(**settings(tmp_path, fresh_postgres))

    async def once(number: int) -> int:
        await memory.add(f"Note {number}", user_id="ana")
        return len((await memory.search("note", user_id="ana")).results)

    assert [asyncio.run(once(number)) for number in range(3)] == [1, 2, 3]

    async def leave() -> None:
        await memory.close()
        await memory.close()

    asyncio.run(leave())


def test_it_may_be_closed_twice_and_used_again(fresh_postgres: str, tmp_path: Path) -> None:
    memory = opened(tmp_path, fresh_postgres)
    memory.add("Ana keeps bees", user_id="ana")
    memory.close()
    memory.close()
    again = opened(tmp_path, fresh_postgres)
    assert texts(again, "ana") == ["Ana keeps bees"]
    again.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_forked_beside_busy_threads_works_on(fresh_postgres: str, tmp_path: Path) -> None:
    with opened(tmp_path, fresh_postgres) as memory:
        memory.add("Said by the parent", user_id="ana")
        over = threading.Event()

        def write() -> None:
            number = 0
            while not over.is_set():
                memory.add(f"Thread note {number}", user_id="ben")
                number += 1

        thread = threading.Thread(target=write)
        thread.start()
        try:
            for _ in range(3):
                pid = os.fork()
                if pid == 0:
                    status = 1
                    with suppress(BaseException):
                        memory.add("Said by a child", user_id="cleo")
                        status = 0 if memory.search("child", user_id="cleo").results else 2
                    os._exit(status)
                assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        finally:
            over.set()
            thread.join()
        assert texts(memory, "ana") == ["Said by the parent"]


# ------------------------------------------------------------------------------------- surroundings


def test_tables_of_others_in_public_are_left_alone(
    postgres: PostgresServer, fresh_postgres: str, tmp_path: Path
) -> None:
    name = name_of(fresh_postgres)
    for table in ("meta", "record", "owner", "state", "event", "message", "vec"):
        postgres.sql(f"CREATE TABLE public.{table} (mine text)", database=name)
        postgres.sql(f"INSERT INTO public.{table} VALUES ('keep')", database=name)
    with opened(tmp_path, fresh_postgres) as memory:
        assert memory.search("bees", user_id="ana").results == []
        memory.add("Ana keeps bees", user_id="ana")
        memory.forget(user_id="ana")
        memory.reset()
        memory.add("Ana keeps hens", user_id="ana")
        assert texts(memory, "ana") == ["Ana keeps hens"]
    for table in ("meta", "record", "owner", "state", "event", "message", "vec"):
        assert postgres.sql(f"SELECT mine FROM public.{table}", database=name) == [("keep",)]


def test_two_schemas_of_a_database_know_nothing_of_each_other(fresh_postgres: str, tmp_path: Path) -> None:
    with (
        opened(tmp_path / "one", fresh_postgres, schema_name="team_one") as one,
        opened(tmp_path / "two", f"{fresh_postgres}?schema_name=team_two") as two,
    ):
        one.add("One keeps bees", user_id="ana")
        two.add("Two keeps hens", user_id="ana")
        assert (texts(one, "ana"), texts(two, "ana")) == (["One keeps bees"], ["Two keeps hens"])
        one.reset()
        assert (texts(one, "ana"), texts(two, "ana")) == ([], ["Two keeps hens"])


def test_a_role_that_only_reads_finds_and_is_told_when_it_writes(
    postgres: PostgresServer, fresh_postgres: str, tmp_path: Path
) -> None:
    name = name_of(fresh_postgres)
    with opened(tmp_path / "one", fresh_postgres) as memory:
        memory.add("Ana keeps bees", user_id="ana")
    role = f"only_{name}"
    postgres.sql(f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'")
    postgres.sql(f"GRANT USAGE ON SCHEMA memkit TO {role}", database=name)
    postgres.sql(f"GRANT SELECT ON ALL TABLES IN SCHEMA memkit TO {role}", database=name)
    try:
        with opened(tmp_path / "two", postgres.url(name, user=role)) as reader:
            assert [item.memory for item in reader.search("bees", user_id="ana").results] == [
                "Ana keeps bees"
            ]
            assert texts(reader, "ana") == ["Ana keeps bees"]
            with pytest.raises(AuthenticationError, match="Grant"):
                reader.add("Ana keeps hens", user_id="ana")
    finally:
        postgres.sql(f"DROP OWNED BY {role}", database=name)
        postgres.sql(f"DROP ROLE {role}")


def test_a_server_that_only_reads_is_said_at_once(
    postgres: PostgresServer, fresh_postgres: str, tmp_path: Path
) -> None:
    with opened(tmp_path, fresh_postgres) as memory:
        memory.add("Ana keeps bees", user_id="ana")
    postgres.sql(f"ALTER DATABASE {name_of(fresh_postgres)} SET default_transaction_read_only = on")
    with opened(tmp_path, fresh_postgres) as memory:
        assert texts(memory, "ana") == ["Ana keeps bees"]
        with pytest.raises(BackendUnavailableError, match="only reads") as caught:
            memory.add("Ana keeps hens", user_id="ana")
        assert not caught.value.retryable


def test_a_database_with_habits_of_its_own_is_used_as_any(
    postgres: PostgresServer, fresh_postgres: str, tmp_path: Path
) -> None:
    name = name_of(fresh_postgres)
    for habit in (
        "default_transaction_isolation = 'serializable'", "bytea_output = 'escape'", "timezone = 'Asia/Tokyo'",
        "datestyle = 'German'", "search_path = 'pg_catalog'", "extra_float_digits = 0", "client_encoding = 'LATIN1'",
    ):  # fmt: skip
        postgres.sql(f"ALTER DATABASE {name} SET {habit}")
    with opened(tmp_path / "one", fresh_postgres) as one, opened(tmp_path / "two", fresh_postgres) as two:

        def write(memory: Memory) -> None:
            for number in range(8):
                memory.add(f"Żółw {number} 蜂 of {id(memory)}", user_id="ana")

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(write, (one, two)))
        assert len(texts(one, "ana")) == 16
        assert "蜂" in one.search("蜂", user_id="ana").results[0].memory


def test_the_vector_extension_is_found_in_whatever_schema_it_is(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    with postgres.database(vector=False) as url:
        postgres.sql("CREATE SCHEMA extensions", database=name_of(url))
        postgres.sql("CREATE EXTENSION vector SCHEMA extensions", database=name_of(url))
        with Memory(tmp_path, llm=None, embedder="hash", ledger=url, vector_store="pgvector") as memory:
            memory.add("Ana keeps bees", user_id="ana")
            assert memory.search("bees", user_id="ana").results[0].memory == "Ana keeps bees"


# ------------------------------------------------------------------------------------- what is in it


def test_a_schema_of_the_future_is_not_touched(
    postgres: PostgresServer, fresh_postgres: str, tmp_path: Path
) -> None:
    with opened(tmp_path, fresh_postgres) as memory:
        memory.add("Ana keeps bees", user_id="ana")
    postgres.sql(
        f"UPDATE memkit.meta SET value = '{NEWEST + 1}' WHERE key = 'schema_version'",
        database=name_of(fresh_postgres),
    )
    with opened(tmp_path, fresh_postgres) as memory:
        for call in (lambda: memory.search("bees", user_id="ana"), lambda: memory.add("x", user_id="ana")):
            with pytest.raises(ConfigurationError, match="newer memkit"):
                call()
        assert not memory.health().ok


def test_vectors_of_another_length_are_refused(fresh_postgres: str, tmp_path: Path) -> None:
    with opened(tmp_path / "one", fresh_postgres) as memory:
        memory.add("Ana keeps bees", user_id="ana")
    ledger = {"provider": "postgresql", "config": {"url": fresh_postgres}}
    with Memory(tmp_path / "two", llm=None, embedder=FakeEmbedder(64), ledger=ledger) as other:
        for call in (
            lambda: other.add("Ana keeps hens", user_id="ana"),
            lambda: other.search("x", user_id="ana"),
        ):
            with pytest.raises(EmbedderMismatchError):
                call()
        assert texts(other, "ana") == ["Ana keeps bees"]


def test_a_lock_of_the_whole_store_is_waited_for_and_then_said(
    postgres: PostgresServer, fresh_postgres: str, tmp_path: Path
) -> None:
    with opened(tmp_path, fresh_postgres, busy_timeout_s=0.3) as memory:
        memory.add("Ana keeps bees", user_id="ana")
        with postgres.connect(name_of(fresh_postgres)) as other:
            other.execute("SELECT pg_advisory_lock(%s)", (store_lock("memkit"),))
            with pytest.raises(BackendUnavailableError) as caught:
                memory.add("Ana keeps hens", user_id="ana")
            assert caught.value.retryable
            assert texts(memory, "ana") == ["Ana keeps bees"]
        # Whoever held it is gone, and so is the lock.
        memory.add("Ana keeps hens", user_id="ana")


def test_texts_that_utf8_cannot_hold_are_refused_or_kept(fresh_postgres: str, tmp_path: Path) -> None:
    with opened(tmp_path, fresh_postgres) as memory:
        for text in ("a\x00b", "a\x01\x02b", "tab\tand\\N and \\.", "🐝" * 2000, "\u202e right to left"):
            memory.add(text, user_id="ana", infer=False)
            assert texts(memory, "ana")[0] == text


def test_no_error_of_a_connection_shows_the_password(postgres: PostgresServer, tmp_path: Path) -> None:
    secret = "hunter two"
    for url in (
        f"postgresql://memkit:{QUOTED}@127.0.0.1:1/x",
        f"postgresql://127.0.0.1:{postgres.port}/postgres?user=memkit&password=hunter%20two",
        f"host=127.0.0.1 port={postgres.port} dbname=postgres user=memkit password='{secret}'",
    ):
        with (
            opened(tmp_path, url, connect_timeout_s=2) as memory,
            pytest.raises((AuthenticationError, BackendUnavailableError)) as caught,
        ):
            memory.add("Ana keeps bees", user_id="ana")
        error: BaseException | None = caught.value
        while error is not None:
            shown = f"{error} {error!r} {vars(error)}"
            assert not any(one in shown for one in (secret, "hunter%20two", PASSWORD, QUOTED, "p@ss"))
            frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
            ours = [frame for frame in frames if frame.f_code.co_filename != __file__]
            held = repr([frame.f_locals for frame in ours])
            assert not any(one in held for one in ("hunter", "p@ss", QUOTED)), (
                "reports may show what frames hold"
            )
            error = error.__cause__ or error.__context__
