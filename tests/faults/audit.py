"""The invariants of a ledger file, asked of the file itself and not of the code that wrote it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from memkit.ledger.rows import RECORD_SELECT, column, live_text
from memkit.ledger.sqlite.words import Book
from memkit.ranking.text import TOKENIZER_VERSION, tokens

# Each selects what must not be there.
_NEVER = {
    "a live record without a vector": (
        "SELECT rid FROM record WHERE deleted = 0 AND rid NOT IN (SELECT rid FROM vec)"
    ),
    "a vector without a live record": (
        "SELECT rid FROM vec WHERE rid NOT IN (SELECT rid FROM record WHERE deleted = 0)"
    ),
    "a put-away vector without a deleted record": (
        "SELECT rid FROM vec_gone WHERE rid NOT IN (SELECT rid FROM record WHERE deleted = 1)"
    ),
    "a record without the event that made it": (
        "SELECT rid FROM record r WHERE NOT EXISTS (SELECT 1 FROM event e WHERE e.seq = r.seq AND e.rid = r.rid AND code = 1)"
    ),
    "a record whose events are not as many as its version": (
        "SELECT rid FROM record r WHERE version != 1 + (SELECT count(*) FROM event e WHERE e.rid = r.rid AND e.code != 1)"
    ),
    "an event without a record, and not of an erasure": (
        "SELECT seq FROM event WHERE memory IS NULL AND rid NOT IN (SELECT rid FROM record)"
    ),
    "an event without its operation": "SELECT seq FROM event WHERE op NOT IN (SELECT no FROM operation)",
    "a row in another owner's place": (
        "SELECT rid FROM record WHERE rid >> 32 != owner UNION ALL SELECT rid FROM message WHERE rid >> 32 != owner"
    ),
    "a row without its owner": (
        "SELECT rid FROM record WHERE owner NOT IN (SELECT no FROM owner)"
        " UNION ALL SELECT rid FROM message WHERE owner NOT IN (SELECT no FROM owner)"
    ),
    "a record that rests on no message": (
        "SELECT rid FROM record WHERE message IS NOT NULL AND message NOT IN (SELECT rid FROM message)"
    ),
    "a record without words": "SELECT rid FROM record WHERE text IS NULL AND message IS NULL",
    "an owner whose memories are counted wrongly": (
        "SELECT no FROM owner o WHERE memories != (SELECT count(*) FROM record WHERE owner = o.no AND deleted = 0)"
    ),
    "an owner whose messages are counted wrongly": (
        "SELECT no FROM owner o WHERE messages != (SELECT count(*) FROM message WHERE owner = o.no)"
    ),
    "an owner whose next number is taken": (
        "SELECT no FROM owner o WHERE next_n <= ifnull((SELECT max(rid & 0xFFFFFFFF) FROM record WHERE owner = o.no), 0)"
        " OR next_m <= ifnull((SELECT max(rid & 0xFFFFFFFF) FROM message WHERE owner = o.no), 0)"
    ),
    "an unfinished operation without a job": (
        "SELECT no FROM operation WHERE state != 'done' AND no NOT IN (SELECT op FROM job)"
    ),
    "a job of a finished operation": (
        "SELECT op FROM job WHERE op NOT IN (SELECT no FROM operation WHERE state != 'done')"
    ),
    "a text of no item": "SELECT item FROM item_vec WHERE item NOT IN (SELECT no FROM item)",
    "a node or an edge of no record": (
        "SELECT rid FROM node WHERE rid NOT IN (SELECT rid FROM record)"
        " UNION ALL SELECT rid FROM edge WHERE rid NOT IN (SELECT rid FROM record)"
    ),
    "a record whose entities or relations are no nodes or edges": (
        "SELECT rid FROM record WHERE entities IS NOT NULL AND rid NOT IN (SELECT rid FROM node)"
        " UNION ALL SELECT rid FROM record WHERE relations IS NOT NULL AND rid NOT IN (SELECT rid FROM edge)"
    ),
    "a merge of what nobody names": (
        "SELECT no FROM alias WHERE owner NOT IN (SELECT no FROM owner)"
        " OR NOT EXISTS (SELECT 1 FROM node WHERE node.owner = alias.owner AND node.key = alias.key)"
    ),
}


def broken_laws(path: Path) -> list[str]:
    """Return what is wrong with a ledger file; the file is as it was left, its log is read with it."""
    with closing(sqlite3.connect(path)) as conn:
        if conn.execute("PRAGMA user_version").fetchone() == (0,):
            return []  # No ledger yet.
        problems = [
            f"{law}: {rows}" for law, sql in _NEVER.items() if (rows := conn.execute(sql).fetchmany(3))
        ]
        integrity = conn.execute("PRAGMA integrity_check").fetchall()
        if integrity != [("ok",)]:
            problems.append(f"integrity_check: {integrity[:3]}")
        problems += _words(conn)
        return problems


def _words(conn: sqlite3.Connection) -> list[str]:
    """Return what the keyword index holds that the live records do not say, and the other way round."""
    conn.execute("INSERT INTO fts (fts) VALUES ('integrity-check')")
    conn.execute("CREATE VIRTUAL TABLE temp.said USING fts5vocab(main, fts, instance)")
    in_index = set(conn.execute("SELECT doc, term FROM temp.said"))
    waiting = {
        (rid, word) for rid, words in conn.execute("SELECT rid, t FROM words") for word in words.split()
    }
    if twice := {rid for rid, _ in in_index} & {rid for rid, _ in waiting}:
        return [f"words in the keyword index that wait for it still: {sorted(twice)[:3]}"]
    book = Book(tokenize=tokens, tokenizer_version=TOKENIZER_VERSION)
    wanted: set[tuple[int, Any]] = set()
    for row in conn.execute(RECORD_SELECT + "WHERE record.deleted = 0"):
        words = book.words(column(row, "actor"), live_text(row))
        wanted |= {(row[0], word) for word in words.split()}
    said = {(rid, word.lower()) for rid, word in in_index | waiting}
    if said == {(rid, word.lower()) for rid, word in wanted}:
        return []
    return [f"the keyword index differs: {sorted(said ^ wanted)[:3]}"]
