"""What this machine can do at most: appends, commits, batches, matrix products."""

from __future__ import annotations

import os
import sqlite3
import time
import uuid
from pathlib import Path
from typing import Any

from plain import State, timed
from workload import DIM

_PAYLOAD = "x" * 300
_EVENT = "x" * 100


def appends(state: State, folder: str, count: int) -> dict[str, Any]:
    """Append 2 KB and wait until they are on the disk, again and again."""
    path = Path(folder) / "appended"
    file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)

    def append() -> None:
        os.write(file, b"x" * 2048)
        os.fdatasync(file)

    try:
        return timed([append] * count)
    finally:
        os.close(file)
        path.unlink()


def commits(state: State, folder: str, count: int) -> dict[str, Any]:
    """Commit a memory with its vector and its event: WAL, synchronous FULL, two inserts."""
    connection = _limit_database(folder)
    number = connection.execute("SELECT count(*) FROM m").fetchone()[0]

    def commit() -> None:
        nonlocal number
        number += 1
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(
            "INSERT INTO m VALUES (?,?,?,?,?)", (number, _id(), "user", _PAYLOAD, bytes(4 * DIM))
        )
        connection.execute("INSERT INTO e VALUES (?,?,?)", (number, _id(), _EVENT))
        connection.execute("COMMIT")

    commit()
    out = timed([commit] * count)
    connection.close()
    return out


def batch(state: State, folder: str, count: int) -> dict[str, float]:
    """Commit a batch of memories, vectors and events: one transaction, `executemany`."""
    connection = _limit_database(folder)
    number = connection.execute("SELECT count(*) FROM m").fetchone()[0]
    numbers = range(number + 1, number + 1 + count)
    memories = [(each, _id(), "user", _PAYLOAD, bytes(4 * DIM)) for each in numbers]
    events = [(each, _id(), _EVENT) for each in numbers]
    wall, busy = time.perf_counter(), time.process_time()
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany("INSERT INTO m VALUES (?,?,?,?,?)", memories)
    connection.executemany("INSERT INTO e VALUES (?,?,?)", events)
    connection.execute("COMMIT")
    wall, busy = time.perf_counter() - wall, time.process_time() - busy
    connection.close()
    return {"per_second": count / wall, "cpu_us": 1e6 * busy / count}


def product(state: State, rows: int, count: int) -> dict[str, Any]:
    """Multiply a matrix of vectors with one vector, by numpy."""
    import numpy

    matrix = numpy.random.default_rng(0).standard_normal((rows, DIM), dtype=numpy.float32)
    vector = numpy.ones(DIM, numpy.float32)
    for _ in range(3):
        _ = matrix @ vector
    return timed([lambda: matrix @ vector] * count)


def _limit_database(folder: str) -> sqlite3.Connection:
    connection = sqlite3.connect(Path(folder) / "limit.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS m(n INTEGER PRIMARY KEY, id TEXT, user TEXT, payload TEXT, v BLOB)"
    )
    connection.execute("CREATE TABLE IF NOT EXISTS e(n INTEGER PRIMARY KEY, id TEXT, event TEXT)")
    return connection


def _id() -> str:
    return str(uuid.uuid4())
