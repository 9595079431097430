"""Reading nodes and edges: recursive queries, joined with the records that say them for scope and time."""

from __future__ import annotations

import sqlite3
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Final, TypeVar

from ...graph_stores import walk
from ...graph_stores.base import (
    GraphCount,
    GraphEdge,
    GraphEntity,
    GraphInfo,
    GraphNode,
    GraphPage,
    GraphPath,
    GraphRecord,
    GraphStore,
    GraphTriple,
    Span,
    fold_name,
)
from ...graph_stores.support import check_hops, check_limit, entity_of, storable
from ...scope import Owner, ReadScope, Scope
from ..graph import Alias, AliasEvent, GraphLedger, OwnGraph, Related
from ..records import OWNER_SHIFT, Record
from ..rows import RECORD_SELECT, dump, unpack_id
from .base import SqliteBase
from .graph import USER_ALIASES, OwnerOf, alias_events, aliases, put_graph
from .rebuild import renew_caches
from .scope import scope_where

R = TypeVar("R")

_MANY: Final = 500
_ALL: Final = -1
_ID: Final = (
    "CASE typeof(record.id) WHEN 'blob' THEN lower(substr(hex(record.id), 1, 8) || '-' ||"
    " substr(hex(record.id), 9, 4) || '-' || substr(hex(record.id), 13, 4) || '-' ||"
    " substr(hex(record.id), 17, 4) || '-' || substr(hex(record.id), 21)) ELSE record.id END"
)
"""A memory's id as text, to order by."""
_SINCE: Final = "ifnull(record.valid_from, record.created_at)"
_TIMES: Final = f"record.created_at, {_SINCE}, record.valid_until, record.expires_at"
_EDGE: Final = (
    "edge.rid, edge.place, edge.relation, edge.source, edge.source_key, edge.source_name, edge.source_kind,"
    " edge.target, edge.target_key, edge.target_name, edge.target_kind"
)
_ID_BYTES: Final = 16
_STARTS: Final = (
    f"given (ids) AS (VALUES (?)), start (id, next) AS (SELECT substr(ids, 1, {_ID_BYTES}), {_ID_BYTES + 1} FROM given"
    f" UNION ALL SELECT substr(ids, next, {_ID_BYTES}), next + {_ID_BYTES} FROM start, given WHERE next <= length(ids))"
)
"""Ids that come one behind the other as a single value: a statement takes no more than some thousand."""
_RECORD: Final = f"record.id, record.agent, record.run, record.owner, {_TIMES}"


class SqliteGraphReads(GraphStore):
    """The reads of a graph whose nodes and edges are rows beside the records that say them."""

    name = "sqlite"
    saying: ClassVar[str] = ""
    """A further condition on the records that are part of the graph."""

    @abstractmethod
    def _rows(self, work: Callable[[sqlite3.Connection], R], empty: R) -> R:
        """Run work in one read transaction; return `empty` while there is no file."""

    @abstractmethod
    def _owner(self, conn: sqlite3.Connection, number: int) -> Owner:
        """Return an owner by number."""

    def find_entities(
        self,
        names: Sequence[str] | None,
        *,
        scope: ReadScope,
        during: Span | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> list[GraphEntity]:
        """Return entities that a memory of the scope calls by one of these names, by id, after an id."""
        check_limit(limit)
        wanted = None if names is None else storable(names)
        return self._rows(
            lambda conn: entities(conn, self._owner, wanted, scope, during, limit, after),
            list[GraphEntity](),
        )

    def neighbours(
        self,
        entity_ids: Sequence[str],
        *,
        scope: ReadScope,
        depth: int = 1,
        during: Span | None = None,
        limit: int = 100,
    ) -> list[GraphEdge]:
        """Return the edges that a walk of `depth` steps in either direction meets, each once."""
        check_hops(depth, "depth")
        check_limit(limit)
        return self._rows(
            lambda conn: neighbours(conn, self._owner, entity_ids, scope, depth, during, limit),
            list[GraphEdge](),
        )

    def paths(
        self,
        a: Sequence[str],
        b: Sequence[str],
        *,
        scope: ReadScope,
        max_hops: int = 3,
        during: Span | None = None,
        limit: int = 10,
    ) -> list[GraphPath]:
        """Return ways between any of `a` and any of `b` that visit no entity twice, shortest first, then by ids."""

        def read(conn: sqlite3.Connection) -> list[GraphPath]:
            def edges(step: walk.Step) -> list[GraphEdge]:
                most = _ALL if step.limit is None else step.limit
                return neighbours(conn, self._owner, step.entity_ids, scope, 1, during, most)

            return walk.drive(walk.paths(a, b, max_hops=max_hops, limit=limit), edges)

        check_hops(max_hops, "max_hops")
        check_limit(limit)
        return self._rows(read, list[GraphPath]())

    def count(self, scope: ReadScope) -> GraphCount:
        """Return how much of the scope there is."""
        return self._rows(lambda conn: count(conn, scope, self.saying), GraphCount())

    def export(self, scope: ReadScope, *, limit: int = 1000, cursor: str | None = None) -> GraphPage:
        """Return what the memories of the scope say, ordered by memory id."""
        check_limit(limit)
        return self._rows(
            lambda conn: export(conn, self._owner, scope, limit, cursor, self.saying), GraphPage(records=())
        )

    def info(self) -> GraphInfo:
        """Return what the graph says of itself."""
        return GraphInfo(name=self.name, count=self.count(ReadScope(everyone=True)))


class LedgerGraph(OwnGraph, SqliteGraphReads):
    """The graph that a ledger keeps in its own file; it is written by the ledger alone."""

    saying = " AND EXISTS (SELECT 1 FROM node WHERE node.rid = record.rid)"

    def __init__(self, ledger: SqliteGraphing) -> None:
        self._ledger = ledger

    def _rows(self, work: Callable[[sqlite3.Connection], R], empty: R) -> R:
        return self._ledger.read_graph(work, empty)

    def _owner(self, conn: sqlite3.Connection, number: int) -> Owner:
        return self._ledger.owner_of(conn, number)


class SqliteGraphing(SqliteBase, GraphLedger):
    """The part of a ledger that is about entities and relations."""

    @property
    def graph(self) -> GraphStore:
        """What live records say, read from the ledger's own rows."""
        return LedgerGraph(self)

    def aliases(self, scope: ReadScope) -> Sequence[Alias]:
        """Return what holds of merged entities of the owners in a scope, in the order it was said."""
        if scope.user_id is not None and not scope.everyone:
            return [
                Alias(scope=Scope(user_id=scope.user_id, agent_id=agent, run_id=run), key=key, root=root)
                for agent, run, key, root in self._read_all(USER_ALIASES, (scope.user_id,))
            ]
        return self._read(lambda conn: aliases(conn, self.owner_of, scope), list[Alias]())

    def alias_events(self, operation_id: str) -> Sequence[AliasEvent]:
        """Return what an operation merged or parted, in order."""
        return self._read(lambda conn: alias_events(conn, self.owner_of, operation_id), list[AliasEvent]())

    def unrelated(self, limit: int, after: int = -1) -> Sequence[Record]:
        """Return live records with neither entities nor relations, by rid, after a rid."""
        sql = (
            RECORD_SELECT + "WHERE record.rid > ? AND record.deleted = 0 AND record.entities IS NULL"
            " AND record.relations IS NULL ORDER BY record.rid LIMIT ?"
        )
        return self._read(
            lambda conn: self._records_of(conn, conn.execute(sql, (after, limit)).fetchall()), list[Record]()
        )

    def relate(self, found: Sequence[tuple[Record, Related]]) -> None:
        """Give records that are still as they were read their entities and relations, as one transaction."""

        def write(conn: sqlite3.Connection) -> None:
            sql = (
                "UPDATE record SET entities = ?, relations = ? WHERE rid = ? AND version = ? AND deleted = 0"
            )
            written: list[tuple[int, Record]] = []
            for record, (named, said) in found:
                if conn.execute(sql, (dump(named), dump(said), record.rid, record.version)).rowcount:
                    now = replace(record, entities=tuple(named), relations=tuple(said))
                    written.append((record.rid, now))
            put_graph(conn, written)
            if written:
                renew_caches(conn, {rid >> OWNER_SHIFT for rid, _ in written})

        if found:
            self._write(write)

    def read_graph(self, work: Callable[[sqlite3.Connection], R], empty: R) -> R:
        """Run work in one read transaction; return `empty` while there is no ledger."""
        return self._read(work, empty)

    def owner_of(self, conn: sqlite3.Connection, number: int) -> Owner:
        """Return an owner by number."""
        return self._book.owner(conn, number)


def _living(conn: sqlite3.Connection, scope: ReadScope, during: Span | None) -> tuple[str, list[Any]] | None:
    """Return the condition that a record is live, in scope and true at some instant; None where nothing can be."""
    found = scope_where(conn, scope, "record")
    if found is None:
        return None
    clauses, parameters = found
    clauses = ["record.deleted = 0", *clauses]
    if during is not None:
        clauses.append(f"{_SINCE} <= ?")
        parameters = [*parameters, during.last]
        for end in ("valid_until", "expires_at"):
            clauses.append(f"(record.{end} IS NULL OR (record.{end} > ? AND record.{end} > {_SINCE}))")
            parameters.append(during.first)
    return " AND ".join(clauses), parameters


def entities(
    conn: sqlite3.Connection,
    owner_of: OwnerOf,
    names: Sequence[str] | None,
    scope: ReadScope,
    during: Span | None,
    limit: int,
    after: str | None,
) -> list[GraphEntity]:
    """Return entities that live records of the scope name, by id, after an id."""
    living = _living(conn, scope, during)
    if living is None or (names is not None and not names):
        return []
    where, parameters = living
    joined = "FROM node JOIN record ON record.rid = node.rid WHERE node.listed < 2 AND "
    wanted: list[Any] = []
    if names is not None:
        folded = sorted({fold_name(name) for name in names})
        where = f"node.owner = record.owner AND node.folded IN ({','.join('?' * len(folded))}) AND {where}"
        wanted = list(folded)
    if after is not None:
        where = f"lower(hex(node.id)) > ? AND {where}"
        wanted = [after, *wanted]
    ids = [
        row[0]
        for row in conn.execute(
            f"SELECT DISTINCT node.id {joined}{where} ORDER BY node.id LIMIT ?",
            (*wanted, *parameters, limit),
        )
    ]
    found: dict[bytes, list[Any]] = {raw: [] for raw in ids}
    where, parameters = living
    for start in range(0, len(ids), _MANY):
        part = ids[start : start + _MANY]
        sql = (
            f"SELECT node.id, node.owner, node.key, node.name, node.kind, record.id {joined}"
            f"node.id IN ({','.join('?' * len(part))}) AND {where}"
        )
        for row in conn.execute(sql, (*part, *parameters)).fetchall():
            found[row[0]].append(row)
    return [_entity(conn, owner_of, rows) for rows in found.values() if rows]


def _entity(conn: sqlite3.Connection, owner_of: OwnerOf, rows: Sequence[Any]) -> GraphEntity:
    mentions = ((unpack_id(row[5]), GraphNode(*row[2:5])) for row in rows)
    return entity_of(rows[0][0].hex(), owner_of(conn, rows[0][1]), mentions)


def neighbours(
    conn: sqlite3.Connection,
    owner_of: OwnerOf,
    ids: Sequence[str],
    scope: ReadScope,
    depth: int,
    during: Span | None,
    limit: int,
) -> list[GraphEdge]:
    """Return the edges that a walk meets, each once: nearest first, then the latest, then by memory and place."""
    living = _living(conn, scope, during)
    starts = b"".join(raw for one in dict.fromkeys(ids) if len(raw := _raw(one)) == _ID_BYTES)
    if living is None or not starts:
        return []
    where, parameters = living
    step = (
        "SELECT edge.{there}, reach.hop + 1 FROM reach CROSS JOIN edge ON edge.{here} = reach.id"
        f" CROSS JOIN record ON record.rid = edge.rid WHERE reach.hop < ? AND {where}"
    )
    met = (
        f"SELECT {_EDGE}, {_RECORD}, near.hop + 1 AS hops, {_ID} AS memory FROM near"
        f" CROSS JOIN edge ON edge.{{here}} = near.id CROSS JOIN record ON record.rid = edge.rid WHERE {where}"
    )
    sql = (
        f"WITH RECURSIVE {_STARTS}, reach (id, hop) AS (SELECT id, 0 FROM start"
        f" UNION {step.format(here='source', there='target')}"
        f" UNION {step.format(here='target', there='source')}),"
        " near (id, hop) AS (SELECT id, min(hop) FROM reach GROUP BY id HAVING min(hop) < ?)"
        f" SELECT *, min(hops) FROM ({met.format(here='source')} UNION ALL {met.format(here='target')})"
        " GROUP BY rid, place ORDER BY min(hops), valid_from DESC, memory, place LIMIT ?"
    ).replace(f"{_SINCE}, record.valid_until", f"{_SINCE} AS valid_from, record.valid_until")
    # A walk of n steps begins at the edges of what is n - 1 steps away.
    steps = (depth - 1, *parameters)
    rows = conn.execute(sql, (starts, *steps, *steps, depth, *parameters, *parameters, limit)).fetchall()
    return [edge_of(conn, owner_of, row, hop=row[-1]) for row in rows]


def edge_of(conn: sqlite3.Connection, owner_of: OwnerOf, row: Sequence[Any], *, hop: int = 1) -> GraphEdge:
    """Return the edge of a row of `_EDGE` and `_RECORD`."""
    (
        _rid, place, relation, source, source_key, source_name, source_kind, target, target_key, target_name,
        target_kind, memory, agent, run, number, _created, since, until, expires, *_rest,
    ) = row  # fmt: skip
    owner = owner_of(conn, number)
    return GraphEdge(
        memory_id=unpack_id(memory),
        position=place,
        source=GraphNode(source_key, source_name, source_kind),
        relation=relation,
        target=GraphNode(target_key, target_name, target_kind),
        source_id=source.hex(),
        target_id=target.hex(),
        user_id=owner.id if owner.kind == "user" else None,
        agent_id=agent,
        run_id=run,
        valid_from=since,
        valid_until=until,
        expires_at=expires,
        hop=hop,
    )


def _raw(entity: str) -> bytes:
    """Return an id as it is stored; nothing for what is none of ours."""
    try:
        return bytes.fromhex(entity)
    except ValueError:
        return b""


def count(conn: sqlite3.Connection, scope: ReadScope, saying: str) -> GraphCount:
    """Return how much live records of the scope say."""
    living = _living(conn, scope, None)
    if living is None:
        return GraphCount()
    where, parameters = living

    def number(sql: str) -> int:
        return int(conn.execute(sql, parameters).fetchone()[0])

    said = f"JOIN record ON record.rid = {{table}}.rid WHERE {where}"
    return GraphCount(
        memories=number(f"SELECT count(*) FROM record WHERE {where}{saying}"),
        entities=number("SELECT count(DISTINCT node.id) FROM node " + said.format(table="node")),
        edges=number("SELECT count(*) FROM edge " + said.format(table="edge")),
    )


def export(
    conn: sqlite3.Connection, owner_of: OwnerOf, scope: ReadScope, limit: int, cursor: str | None, saying: str
) -> GraphPage:
    """Return what live records of the scope say, ordered by memory id."""
    living = _living(conn, scope, None)
    if living is None:
        return GraphPage(records=())
    where, parameters = living
    where += saying
    if cursor is not None:
        where, parameters = f"{where} AND {_ID} > ?", [*parameters, cursor]
    sql = f"SELECT record.rid, {_RECORD} FROM record WHERE {where} ORDER BY {_ID} LIMIT ?"
    rows = conn.execute(sql, (*parameters, limit + 1)).fetchall()
    records = [_said(conn, owner_of, row) for row in rows[:limit]]
    return GraphPage(records=records, cursor=records[-1].memory_id if len(rows) > limit else None)


def _said(conn: sqlite3.Connection, owner_of: OwnerOf, row: Sequence[Any]) -> GraphRecord:
    rid, raw, agent, run, number, created, since, until, expires = row
    owner = owner_of(conn, number)
    edges = [
        GraphTriple(GraphNode(*edge[1:4]), edge[0], GraphNode(*edge[4:7]))
        for edge in conn.execute(
            "SELECT relation, source_key, source_name, source_kind, target_key, target_name, target_kind FROM edge"
            " WHERE rid = ? ORDER BY place",
            (rid,),
        )
    ]
    nodes = [
        GraphNode(*node)
        for node in conn.execute(
            "SELECT key, name, kind FROM node WHERE rid = ? AND listed > 0 ORDER BY place", (rid,)
        )
    ]
    return GraphRecord(
        memory_id=unpack_id(raw),
        user_id=owner.id if owner.kind == "user" else None,
        agent_id=agent,
        run_id=run,
        entities=tuple(nodes),
        edges=tuple(edges),
        created_at=created,
        valid_from=since,
        valid_until=until,
        expires_at=expires,
    )
