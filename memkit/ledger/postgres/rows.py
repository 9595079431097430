"""Rows of PostgreSQL with their owners beside them, so that one statement gives whole objects."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from ...scope import Owner
from ..base import OWNER_SHIFT, Record, StoredMessage
from ..rows import MESSAGE_COLUMNS, N_MASK, RECORD_COLUMNS, message_of, record_of

_OWNER: Final = "owner.kind, owner.id"
RECORD_FIELDS: Final = (
    f"{_OWNER}, {', '.join(f'record.{name}' for name in RECORD_COLUMNS)},"
    " message.text, message.id, message.zone"
)
"""The owner's kind and id, then a row as `record_of` takes it."""
RECORD_JOINS: Final = (
    "JOIN owner ON owner.no = record.owner LEFT JOIN message ON message.rid = record.message"
)
RECORDS: Final = f"SELECT {RECORD_FIELDS} FROM record {RECORD_JOINS} "
COLUMN_TYPES: Final = {
    **dict.fromkeys(("id", "dedup", "slot"), "bytea"),
    **dict.fromkeys(
        (
            "rid", "owner", "seq", "message", "version", "created_at", "updated_at", "valid_from", "valid_until",
            "expires_at", "dated", "pinned", "deleted", "expired",
        ),
        "bigint",
    ),
}  # fmt: skip
"""Types that values of a record's columns are sent as; those that are not here are texts."""
OWNER_SPAN: Final = f"BETWEEN {{no}} << {OWNER_SHIFT} AND {{no}} << {OWNER_SHIFT} | {N_MASK}"
"""The rids that an owner's number can have."""

MESSAGES: Final = (
    f"SELECT {_OWNER}, {', '.join(f'message.{name}' for name in MESSAGE_COLUMNS)}"
    " FROM message JOIN owner ON owner.no = message.owner "
)


def owned_record(row: Sequence[Any], salt: int) -> Record:
    """Return the record of a row of `RECORD_FIELDS`."""
    return record_of(row[2:], Owner(kind=row[0], id=row[1]), salt)


def owned_records(rows: Iterable[Sequence[Any]], salt: int) -> list[Record]:
    """Return the records of rows of `RECORDS`, in order."""
    return [owned_record(row, salt) for row in rows]


def owned_messages(rows: Iterable[Sequence[Any]], salt: int) -> list[StoredMessage]:
    """Return the messages of rows of `MESSAGES`, in order."""
    return [message_of(row[2:], Owner(kind=row[0], id=row[1]), salt) for row in rows]
