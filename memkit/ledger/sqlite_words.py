"""What a file's rows are made with: the tokenizer of its keyword index, the embedder of its vectors, its owners."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from ..errors import BackendUnavailableError, ConfigurationError, InvalidInputError
from ..ranking.vectors import decode_many, encode_many
from ..scope import Owner
from .sqlite_rows import RECORD_SELECT, column, live_text, one

if TYPE_CHECKING:
    from .base import Matrix, Vector

Packing = Literal["f32", "f16", "i8"]

_OWNERS_KEPT: Final = 100_000
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
        tokens = self.tokenize(text if actor is None else f"{actor}: {text}")
        return " ".join(tokens).translate(_KEEP_WHOLE_BUT_BLANKS)

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


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The row that says how far the file has come."""

    event: int
    reset: int
    gen: int
    dim: int | None
    packing: Packing | None


def read_state(conn: sqlite3.Connection, book: Book | None = None) -> State:
    """Return the state; with `book`, make sure that the keyword index is still of its tokenizer.

    Raises:
        BackendUnavailableError: Another process rebuilt the keyword index with another tokenizer.
    """
    row = conn.execute(_STATE).fetchone()
    if book is not None and row[5] != book.tokenizer_version:
        raise BackendUnavailableError(
            f"Another process with tokenizer {row[5]!r} has rebuilt the keyword index (this one has "
            f"{book.tokenizer_version!r}). Run the same version of memkit in both, and open the ledger again.",
            backend="sqlite",
            retryable=False,
        )
    return State(event=row[0], reset=row[1], gen=row[2], dim=row[3], packing=row[4])


# ------------------------------------------------------------------------------------------- vectors


class Embeddings:
    """Vectors as the file holds them: of one embedder, one dimension and one packing."""

    def __init__(self, state: State, operation_id: str | None = None) -> None:
        if state.dim is None or state.packing is None:
            raise ConfigurationError(
                "A vector was given before the embedder was. Call set_embedder(identity, dim) first.",
                operation_id=operation_id,
            )
        self._gen, self._dim = state.gen, state.dim
        self._packing: Packing = state.packing

    def blobs(self, vectors: Sequence[Vector]) -> list[bytes]:
        """Return vectors packed for the file.

        Raises:
            InvalidInputError: One has another dimension, or is not finite.
        """
        for vector in vectors:
            if vector.shape != (self._dim,):
                raise InvalidInputError(
                    f"A vector has shape {vector.shape}; this ledger's embedder makes ({self._dim},). Nothing was "
                    "written. Check the embedder, or change it with rebuild(embedder=...)."
                )
        rows = vectors[0][None, :] if len(vectors) == 1 else np.stack(vectors)
        return encode_many(rows.astype(np.float32, copy=False), self._packing)

    def insert(self, conn: sqlite3.Connection, pairs: Sequence[tuple[int, Vector]]) -> None:
        """Write (rid, vector) pairs, replacing what was there."""
        blobs = self.blobs([vector for _, vector in pairs])
        conn.executemany(
            "INSERT OR REPLACE INTO vec (rid, gen, e) VALUES (?, ?, ?)",
            [(rid, self._gen, blob) for (rid, _), blob in zip(pairs, blobs, strict=True)],
        )


def put_vector(conn: sqlite3.Connection, state: State, rid: int, vector: Vector, *, live: bool) -> None:
    """Write one record's vector where its state wants it."""
    blob = Embeddings(state).blobs([vector])[0]
    table = "vec" if live else "vec_gone"
    conn.execute(f"INSERT OR REPLACE INTO {table} (rid, gen, e) VALUES (?, ?, ?)", (rid, state.gen, blob))


def matrix_of(state: State, rids: Sequence[int], found: dict[int, bytes]) -> Matrix | None:
    """Return one row per rid; a zero row where there is no vector of the present embedder."""
    if not rids:
        return None
    matrix = np.zeros((len(rids), state.dim or 0), np.float32)
    places = [place for place, rid in enumerate(rids) if rid in found]
    if places and state.dim:
        matrix[places] = decode_many([found[rids[place]] for place in places], state.dim)
    return matrix


# ------------------------------------------------------------------------------------------- keywords


def rebuild_words(conn: sqlite3.Connection, book: Book) -> None:
    """Fill the keyword index anew from every live record."""
    conn.execute("INSERT INTO fts (fts) VALUES ('delete-all')")
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
