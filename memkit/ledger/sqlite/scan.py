"""Rows that pass a test, found by reading only the columns that the test looks at."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

from ..records import RowTest
from ..scan import acceptor, scan_select


def passing(
    conn: sqlite3.Connection, test: RowTest, where: str, parameters: Sequence[Any], *, limit: int | None
) -> Iterator[int]:
    """Yield the rids of records that pass, newest `created_at` first, then highest rid."""
    cursor = conn.execute(
        f"{scan_select(test)}{where} ORDER BY record.created_at DESC, record.rid DESC", parameters
    )
    accepts, left = acceptor(test), limit
    for row in cursor:
        if left == 0:
            break
        if accepts(row):
            yield row[0]
            left = None if left is None else left - 1
    cursor.close()
