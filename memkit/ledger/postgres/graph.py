"""Nodes and edges in PostgreSQL, written by few statements in the transaction of their records; and merges."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from ...graph_stores.base import GraphRecord, fold_name
from ...postgres.session import Session
from ..graph import projected
from ..graph_rows import EDGE_COLUMNS, NODE_COLUMNS, edge_rows, node_rows
from ..records import AliasChange, Record
from .rows import RECORDS, owned_records
from .words import indexed

_MANY: Final = 2_000


def looked_up(name: str) -> str:
    """Return a name as its row is found by: folded, and no longer than an index takes."""
    return indexed(fold_name(name))


async def put_graph(
    s: Session, records: Iterable[tuple[int, Record]], new: frozenset[int] = frozenset()
) -> None:
    """Write what records say now in the place of what they said before; the last of equal ones counts.

    Args:
        new: The rids of those that said nothing before.
    """
    latest = dict(records)
    await put_rows(s, {rid: projected(record) for rid, record in latest.items()}, new)


async def put_rows(s: Session, said: Mapping[int, GraphRecord], new: frozenset[int] = frozenset()) -> None:
    """Write nodes and edges of records by rid, in the place of those that are there."""
    await drop_rows(s, [rid for rid in said if rid not in new])
    nodes = [row for rid, record in said.items() for row in node_rows(rid, record, looked_up)]
    edges = [row for rid, record in said.items() for row in edge_rows(rid, record)]
    await s.insert("node", NODE_COLUMNS, nodes)
    await s.insert("edge", EDGE_COLUMNS, edges)


async def drop_rows(s: Session, rids: Sequence[int]) -> None:
    """Take nodes and edges of records away."""
    if rids:
        for table in ("node", "edge"):
            await s.later((f"DELETE FROM {table} WHERE rid = ANY(%s)", (list(rids),)))


async def put_aliases(s: Session, op: int, rows: Sequence[tuple[int, AliasChange]]) -> None:
    """Write what was merged or parted by hand, each with the number of its owner."""
    columns = ("op", "owner", "agent", "run", "key", "root")
    # In order, which a copy keeps as well: the last one of a key holds.
    await s.insert(
        "alias",
        columns,
        [(op, no, one.scope.agent_id, one.scope.run_id, one.key, one.root) for no, one in rows],
    )


async def drop_names(s: Session, owners: Sequence[int]) -> None:
    """Take merges away that hold a name which no record of the owner says any more."""
    said = "EXISTS (SELECT 1 FROM node WHERE node.owner = alias.owner AND node.key = alias.{})"
    sql = (
        f"DELETE FROM alias WHERE owner = ANY(%s) AND (NOT {said.format('key')}"
        f" OR root IS NOT NULL AND NOT {said.format('root')})"
    )
    await s.later((sql, (list(owners),)))


async def refill_graph(s: Session) -> None:
    """Write the nodes and edges of all records anew, from what the records hold."""
    await s.later(("DELETE FROM node", ()), ("DELETE FROM edge", ()))
    after = -1
    select = (
        f"{RECORDS}WHERE record.rid > %s AND (record.entities IS NOT NULL OR record.relations IS NOT NULL)"
        " ORDER BY record.rid LIMIT %s"
    )
    while rows := await s.rows(select, (after, _MANY)):
        records = owned_records(rows, 0)
        await put_graph(s, [(one.rid, one) for one in records], frozenset(one.rid for one in records))
        after = records[-1].rid
