"""Rows that pass a test, found by reading only the columns that the test looks at."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Final

from ..records import RowTest
from ..scan import acceptor, scan_select

NEWEST_FIRST: Final = " ORDER BY record.created_at DESC, record.rid DESC"


def passing(
    conn: sqlite3.Connection, test: RowTest, where: str, parameters: Sequence[Any], *, limit: int | None
) -> Iterator[int]:
    """Yield the rids of records that pass: of a limited number the newest, in order; of all in any order."""
    order = "" if limit is None else NEWEST_FIRST
    cursor = conn.execute(f"{scan_select(test)}{where}{order}", parameters)
    accepts = acceptor(test)
    yield from islice((row[0] for row in cursor if accepts(row)), limit)
    cursor.close()
