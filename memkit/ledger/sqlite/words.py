"""What a file's rows are made with: the tokenizer of its keyword index, the embedder of its vectors, its owners."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ...errors import BackendUnavailableError
from ...scope import Owner
from ..packing import Packer, State
from ..rows import RECORD_SELECT, column, live_text
from .rows import one

if TYPE_CHECKING:
    from ..base import Vector

_OWNERS_KEPT: Final = 100_000
_WORDS_WAIT: Final = 256
"""Rows of words that wait in a table before they go into the keyword index together. FTS5 writes a segment of several
pages for each commit that touches it, which would be a third of what a single add costs."""
_CHUNK: Final = 2_000

# FTS5's `ascii` tokenizer splits at ASCII that is no letter or digit. Such characters inside a token are moved to the
# private use area, so that our tokens are its tokens.
_KEEP_WHOLE: Final = {code: 0xE000 + code for code in range(128) if not chr(code).isalnum()}
_KEEP_WHOLE_BUT_BLANKS: Final = {code: other for code, other in _KEEP_WHOLE.items() if code != ord(" ")}


@dataclass(slots=True)
class Book:
    """What every part of a ledger has to know of its file."""

    tokenize: Callable[[str], Sequence[str]]
    tokenizer_version: str
    salt: int = 0
    owners: dict[int, Owner] = field(default_factory=dict[int, Owner])

    def read(self, conn: sqlite3.Connection) -> None:
        """Learn what the file says of itself."""
        self.owners = {}
        self.salt = int(one(conn, "SELECT value FROM meta WHERE key = 'salt'"))

    def words(self, actor: str | None, text: str) -> str:
        """Return what the keyword index is fed for a record."""
        words = " ".join(self.tokenize(text if actor is None else f"{actor}: {text}"))
        return words if words.replace(" ", "").isalnum() else words.translate(_KEEP_WHOLE_BUT_BLANKS)

    def owner(self, conn: sqlite3.Connection, number: int) -> Owner:
        """Return an owner by number; numbers are never used again, so what was read once holds."""
        known = self.owners.get(number)
        if known is None:
            row = conn.execute("SELECT kind, id FROM owner WHERE no = ?", (number,)).fetchone()
            known = Owner(kind=row[0], id=row[1])
            if len(self.owners) >= _OWNERS_KEPT:
                self.owners.clear()
            self.owners[number] = known
        return known


def quoted(token: str) -> str:
    """Return a token as an FTS5 string."""
    return '"' + token.translate(_KEEP_WHOLE) + '"'


# ------------------------------------------------------------------------------------------- state


LAST_EVENT: Final = "max(event, ifnull((SELECT seq FROM event ORDER BY seq DESC LIMIT 1), 0))"
"""The last event number given out, as a column of `state`."""
_STATE: Final = f"SELECT {LAST_EVENT}, reset, gen, dim, packing, tokenizer FROM state"


def read_state(conn: sqlite3.Connection, book: Book | None = None) -> State:
    """Return the state; with `book`, make sure that the keyword index is still of its tokenizer.

    Raises:
        BackendUnavailableError: Another process rebuilt the keyword index with another tokenizer.
    """
    row = conn.execute(_STATE).fetchone()
    if book is not None:
        _check_tokenizer(row[5], book)
    return State(event=row[0], reset=row[1], gen=row[2], dim=row[3], packing=row[4])


_HEAD: Final = f"""
SELECT {LAST_EVENT}, reset, gen, dim, packing, tokenizer,
       (SELECT value FROM meta WHERE key = 'embedder'), ifnull((SELECT max(no) FROM operation), 0),
       (SELECT count(*) FROM words), EXISTS (SELECT 1 FROM job)
FROM state"""


@dataclass(slots=True, kw_only=True)
class Head(State):
    """Where the file stands when a batch begins; a batch brings it after what it writes."""

    embedder: str | None
    operation: int
    """The last number given out."""
    waiting: int
    """Rows of words that wait for the keyword index."""
    has_jobs: bool
    owners: dict[Owner, tuple[int, int, int]] = field(default_factory=dict[Owner, tuple[int, int, int]])
    """Number, next record and next message of owners, as far as they were asked for."""


def read_head(conn: sqlite3.Connection, book: Book) -> Head:
    """Return where the file stands; only for whoever has the write lock.

    Raises:
        BackendUnavailableError: Another process rebuilt the keyword index with another tokenizer.
    """
    row = conn.execute(_HEAD).fetchone()
    _check_tokenizer(row[5], book)
    return Head(
        event=row[0],
        reset=row[1],
        gen=row[2],
        dim=row[3],
        packing=row[4],
        embedder=row[6],
        operation=row[7],
        waiting=row[8],
        has_jobs=bool(row[9]),
    )


def _check_tokenizer(version: str | None, book: Book) -> None:
    if version != book.tokenizer_version:
        raise BackendUnavailableError(
            f"Another process with tokenizer {version!r} has rebuilt the keyword index (this one has "
            f"{book.tokenizer_version!r}). Run the same version of memkit in both, and open the ledger again.",
            backend="sqlite",
            retryable=False,
        )


# ------------------------------------------------------------------------------------------- vectors


class Embeddings(Packer):
    """Vectors as the file holds them, and how they get there."""

    def insert(
        self, conn: sqlite3.Connection, pairs: Sequence[tuple[int, Vector]], table: str = "vec"
    ) -> None:
        """Write (rid, vector) pairs, replacing what was there."""
        blobs = self.blobs([vector for _, vector in pairs])
        conn.executemany(
            f"INSERT OR REPLACE INTO {table} (rid, gen, e) VALUES (?, ?, ?)",
            [(rid, self.gen, bytearray(blob)) for (rid, _), blob in zip(pairs, blobs, strict=True)],
        )


# ------------------------------------------------------------------------------------------- keywords


def put_words(conn: sqlite3.Connection, rows: Sequence[tuple[int, str]], waiting: int) -> int:
    """Give records, sorted by rid, their words; return how many rows wait, where `waiting` did before."""
    if len(rows) >= _WORDS_WAIT:
        conn.executemany("INSERT INTO fts (rowid, t) VALUES (?, ?)", rows)
        return waiting
    conn.executemany("INSERT INTO words (rid, t) VALUES (?, ?)", rows)
    if waiting + len(rows) < _WORDS_WAIT:
        return waiting + len(rows)
    settle_words(conn)
    return 0


def drop_words(conn: sqlite3.Connection, rows: Sequence[tuple[int, str]]) -> None:
    """Take their words from live records, given as they were put."""
    if len(rows) < _WORDS_WAIT:
        rows = [row for row in rows if not conn.execute("DELETE FROM words WHERE rid = ?", row[:1]).rowcount]
    else:
        settle_words(conn)
    conn.executemany("INSERT INTO fts (fts, rowid, t) VALUES ('delete', ?, ?)", rows)


def settle_words(conn: sqlite3.Connection) -> None:
    """Bring the words that wait into the keyword index."""
    conn.execute("INSERT INTO fts (rowid, t) SELECT rid, t FROM words ORDER BY rid")
    conn.execute("DELETE FROM words")


def holders(conn: sqlite3.Connection, token: str, low: int, high: int) -> list[int]:
    """Return the rids from `low` to `high` that hold a token, ascending."""
    indexed = "SELECT rowid FROM fts WHERE fts MATCH ? AND rowid BETWEEN ? AND ?"
    waiting = "SELECT rid FROM words WHERE rid BETWEEN ? AND ? AND instr(lower(' ' || t || ' '), lower(?))"
    rids = [row[0] for row in conn.execute(indexed, (quoted(token), low, high))]
    word = f" {token.translate(_KEEP_WHOLE)} "
    return sorted(rids + [row[0] for row in conn.execute(waiting, (low, high, word))])


def rebuild_words(conn: sqlite3.Connection, book: Book) -> None:
    """Fill the keyword index anew from every live record."""
    conn.execute("INSERT INTO fts (fts) VALUES ('delete-all')")
    conn.execute("DELETE FROM words")
    last = -1
    while rows := conn.execute(
        RECORD_SELECT + "WHERE record.rid > ? AND record.deleted = 0 ORDER BY record.rid LIMIT ?",
        (last, _CHUNK),
    ).fetchall():
        last = rows[-1][0]
        conn.executemany(
            "INSERT INTO fts (rowid, t) VALUES (?, ?)",
            [(row[0], book.words(column(row, "actor"), live_text(row))) for row in rows],
        )
    conn.execute("UPDATE state SET tokenizer = ? WHERE id = 1", (book.tokenizer_version,))
