"""Nodes and edges as rows, written with the record that says them; and what was merged by hand."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from ...graph_stores.base import GraphRecord
from ...scope import Owner, ReadScope, Scope
from ..graph import Alias, AliasEvent, projected
from ..graph_rows import edge_rows, node_rows
from ..records import AliasChange, Record
from ..rows import RECORD_SELECT, column, pack_id, record_of, unpack_id
from .owners import Owners
from .scope import owner_numbers

_MANY: Final = 500
_PLACES: Final = {"node": "(?,?,?,?,?,?,?,?,?)", "edge": "(?,?,?,?,?,?,?,?,?,?,?)"}
OwnerOf = Callable[[sqlite3.Connection, int], Owner]
"""Tells an owner by its number."""


# ------------------------------------------------------------------------------------------- writing


def put_graph(conn: sqlite3.Connection, records: Sequence[tuple[int, Record]]) -> None:
    """Write what records say now in the place of what they said before; the last of equal ones counts."""
    latest = dict(records)
    put_rows(conn, [(rid, projected(record)) for rid, record in latest.items()])


def put_rows(conn: sqlite3.Connection, records: Sequence[tuple[int, GraphRecord]]) -> None:
    """Write nodes and edges of records by rid, in the place of those that are there."""
    drop_rows(conn, [rid for rid, _ in records])
    for rid, said in records:
        for table, rows in (("node", node_rows(rid, said)), ("edge", edge_rows(rid, said))):
            conn.executemany(f"INSERT INTO {table} VALUES {_PLACES[table]}", rows)


def put_aliases(conn: sqlite3.Connection, op: int, changes: Sequence[AliasChange], owners: Owners) -> None:
    """Write what was merged or parted by hand."""
    conn.executemany(
        "INSERT INTO alias (op, owner, agent, run, key, root) VALUES (?,?,?,?,?,?)",
        [
            (op, owners.of_scope(one.scope).no, one.scope.agent_id, one.scope.run_id, one.key, one.root)
            for one in changes
        ],
    )


def drop_rows(conn: sqlite3.Connection, rids: Sequence[int]) -> None:
    """Take nodes and edges of records away."""
    for table in ("node", "edge"):
        conn.executemany(f"DELETE FROM {table} WHERE rid = ?", [(rid,) for rid in rids])


def drop_names(conn: sqlite3.Connection, owners: Iterable[int]) -> None:
    """Take merges away that hold a name which no record of the owner says any more."""
    for number in owners:
        conn.execute(
            "DELETE FROM alias WHERE owner = ? AND (NOT EXISTS"
            " (SELECT 1 FROM node WHERE node.owner = alias.owner AND node.key = alias.key)"
            " OR root IS NOT NULL AND NOT EXISTS"
            " (SELECT 1 FROM node WHERE node.owner = alias.owner AND node.key = alias.root))",
            (number,),
        )


def refill_graph(conn: sqlite3.Connection) -> None:
    """Write the nodes and edges of all records anew, from what the records hold."""
    conn.execute("DELETE FROM node")
    conn.execute("DELETE FROM edge")
    owners = {row[0]: Owner(row[1], row[2]) for row in conn.execute("SELECT no, kind, id FROM owner")}
    after = -1
    while True:
        rows = conn.execute(
            RECORD_SELECT
            + "WHERE record.rid > ? AND (record.entities IS NOT NULL OR record.relations IS NOT NULL)"
            " ORDER BY record.rid LIMIT ?",
            (after, _MANY),
        ).fetchall()
        put_graph(conn, [(row[0], record_of(row, owners[column(row, "owner")], 0)) for row in rows])
        if len(rows) < _MANY:
            return
        after = rows[-1][0]


# ------------------------------------------------------------------------------------------- merged by hand


USER_ALIASES: Final = (
    "SELECT agent, run, key, root FROM alias WHERE no IN (SELECT max(no) FROM alias WHERE owner ="
    " (SELECT no FROM owner WHERE kind = 'user' AND id = ?) GROUP BY agent, run, key) ORDER BY no"
)
"""What holds of merged entities of one user."""


def aliases(conn: sqlite3.Connection, owner_of: OwnerOf, scope: ReadScope) -> list[Alias]:
    """Return what holds of merged entities of the owners in a scope, in the order it was said."""
    numbers = owner_numbers(conn, scope)
    latest = "SELECT max(no) FROM alias GROUP BY owner, agent, run, key"
    sql = f"SELECT owner, agent, run, key, root FROM alias WHERE no IN ({latest}) ORDER BY no"
    return [
        Alias(scope=_scope(owner_of(conn, row[0]), row[1], row[2]), key=row[3], root=row[4])
        for row in conn.execute(sql).fetchall()
        if numbers is None or row[0] in numbers
    ]


def alias_events(conn: sqlite3.Connection, owner_of: OwnerOf, operation_id: str) -> list[AliasEvent]:
    """Return what an operation merged or parted, with what was there before, and what changed it later."""
    same = "a.owner = alias.owner AND a.agent IS alias.agent AND a.run IS alias.run AND a.key = alias.key"
    sql = (
        "SELECT owner, agent, run, key, root,"
        f" (SELECT a.root FROM alias a WHERE {same} AND a.no < alias.no ORDER BY a.no DESC LIMIT 1),"
        " (SELECT o.id FROM alias a JOIN operation o ON o.no = a.op"
        f" WHERE {same} AND a.no > alias.no AND a.op != alias.op ORDER BY a.no LIMIT 1)"
        " FROM alias WHERE op = (SELECT no FROM operation WHERE id = ?) ORDER BY no"
    )
    return [
        AliasEvent(
            AliasChange(scope=_scope(owner_of(conn, row[0]), row[1], row[2]), key=row[3], root=row[4]),
            row[5],
            None if row[6] is None else unpack_id(row[6]),
        )
        for row in conn.execute(sql, (pack_id(operation_id),)).fetchall()
    ]


def _scope(owner: Owner, agent: str | None, run: str | None) -> Scope:
    return Scope(user_id=owner.id if owner.kind == "user" else None, agent_id=agent, run_id=run)
