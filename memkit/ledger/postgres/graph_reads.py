"""Reading nodes and edges from PostgreSQL: one statement each, joined with their records for scope and time."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
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
)
from ...graph_stores.support import check_hops, check_limit, entity_of, nearest_first, storable
from ...postgres.session import Session
from ...scope import Owner, ReadScope
from ..rows import Row, unpack_id
from .graph import looked_up
from .scope import Condition, owners_select, scope_where

R = TypeVar("R")
Work = Callable[[Session], Awaitable[R]]
"""A read, given the connection to read on."""

_SNAPSHOT: Final = "ISOLATION LEVEL REPEATABLE READ READ ONLY"
_SINCE: Final = "coalesce(record.valid_from, record.created_at)"
_ID: Final = (
    "CASE octet_length(record.id) WHEN 16 THEN convert_to(encode(record.id, 'hex')::uuid::text, 'UTF8')"
    " ELSE btrim(record.id, '\\xff'::bytea) END"
)
"""A memory's id as the bytes of its text, to order by."""
_RECORD: Final = (
    "record.id, record.agent, record.run, record.kind, record.whose, record.created_at,"
    f" {_SINCE}, record.valid_until, record.expires_at"
)
_SOURCE: Final = "edge.source_key, edge.source_name, edge.source_kind"
_TARGET: Final = "edge.target_key, edge.target_name, edge.target_kind"
# `OFFSET 0`: each row is found by its number, whatever the statistics make of it.
_SAYS: Final = f"""CROSS JOIN LATERAL (
    SELECT {_SINCE} AS since FROM record WHERE record.rid = {{row}}.rid AND {{living}} OFFSET 0
) says"""
"""Leaves the rows of records that may be read."""
_WHOLE: Final = """CROSS JOIN LATERAL (
    SELECT record.id, agent, run, owner.kind, owner.id AS whose, created_at, valid_from, valid_until, expires_at
    FROM record JOIN owner ON owner.no = record.owner WHERE record.rid = {row}.rid OFFSET 0
) record"""
"""The record of a row, with its owner."""
_EDGES: Final = """e{hop} AS MATERIALIZED (
    SELECT edge.*, says.since FROM n{before} CROSS JOIN LATERAL (
        SELECT rid, place, source, target FROM edge WHERE source = n{before}.id
        UNION ALL
        SELECT rid, place, source, target FROM edge WHERE target = n{before}.id AND source != n{before}.id
    ) edge {says}{enough}
)"""
"""What is said of entities that are so many steps away."""
_NODES: Final = """n{hop} (id) AS MATERIALIZED (
    (SELECT source FROM e{hop} UNION SELECT target FROM e{hop}) EXCEPT ({known})
)"""
"""Entities that are one step further."""
_NEAREST: Final = """met AS (
    SELECT rid, place, min(hop) AS hop, min(since) AS since FROM ({every}) every GROUP BY rid, place
), nearest AS (
    SELECT * FROM met ORDER BY hop, since DESC{most}
)"""
_EVERYONE: Final = ReadScope(everyone=True)


class PostgresGraphReads(GraphStore):
    """The reads of a graph whose nodes and edges are rows beside the records that say them."""

    name = "postgres"
    saying: ClassVar[str] = ""
    """A further condition on the records that are part of the graph."""

    @abstractmethod
    def _look(self, work: Work[R], empty: Callable[[], R]) -> R:
        """Run a read; return what `empty` gives while there are no tables."""

    @abstractmethod
    async def _alook(self, work: Work[R], empty: Callable[[], R]) -> R:
        """Run a read like `_look`, on a connection of the event loop."""

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
        return self._look(lambda s: _entities(s, names, scope, during, limit, after), list[GraphEntity])

    async def afind_entities(
        self,
        names: Sequence[str] | None,
        *,
        scope: ReadScope,
        during: Span | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> list[GraphEntity]:
        """Like `find_entities`, awaited."""
        check_limit(limit)
        return await self._alook(
            lambda s: _entities(s, names, scope, during, limit, after), list[GraphEntity]
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
        return self._look(lambda s: _neighbours(s, entity_ids, scope, depth, during, limit), list[GraphEdge])

    async def aneighbours(
        self,
        entity_ids: Sequence[str],
        *,
        scope: ReadScope,
        depth: int = 1,
        during: Span | None = None,
        limit: int = 100,
    ) -> list[GraphEdge]:
        """Like `neighbours`, awaited."""
        check_hops(depth, "depth")
        check_limit(limit)
        return await self._alook(
            lambda s: _neighbours(s, entity_ids, scope, depth, during, limit), list[GraphEdge]
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
        check_hops(max_hops, "max_hops")
        check_limit(limit)
        return self._look(lambda s: _paths(s, a, b, scope, max_hops, during, limit), list[GraphPath])

    async def apaths(
        self,
        a: Sequence[str],
        b: Sequence[str],
        *,
        scope: ReadScope,
        max_hops: int = 3,
        during: Span | None = None,
        limit: int = 10,
    ) -> list[GraphPath]:
        """Like `paths`, awaited."""
        check_hops(max_hops, "max_hops")
        check_limit(limit)
        return await self._alook(lambda s: _paths(s, a, b, scope, max_hops, during, limit), list[GraphPath])

    def count(self, scope: ReadScope) -> GraphCount:
        """Return how much of the scope there is."""
        return self._look(lambda s: _count(s, scope, self.saying), GraphCount)

    async def acount(self, scope: ReadScope) -> GraphCount:
        """Like `count`, awaited."""
        return await self._alook(lambda s: _count(s, scope, self.saying), GraphCount)

    def export(self, scope: ReadScope, *, limit: int = 1000, cursor: str | None = None) -> GraphPage:
        """Return what the memories of the scope say, ordered by memory id."""
        check_limit(limit)
        return self._look(lambda s: _export(s, scope, limit, cursor, self.saying), _no_page)

    async def aexport(self, scope: ReadScope, *, limit: int = 1000, cursor: str | None = None) -> GraphPage:
        """Like `export`, awaited."""
        check_limit(limit)
        return await self._alook(lambda s: _export(s, scope, limit, cursor, self.saying), _no_page)

    def info(self) -> GraphInfo:
        """Return what the graph says of itself."""
        return GraphInfo(name=self.name, count=self.count(_EVERYONE))

    async def ainfo(self) -> GraphInfo:
        """Like `info`, awaited."""
        return GraphInfo(name=self.name, count=await self.acount(_EVERYONE))


def _no_page() -> GraphPage:
    return GraphPage(records=())


# ------------------------------------------------------------------------------------------ conditions


def _living(scope: ReadScope, during: Span | None) -> Condition:
    """Return the condition that a record is live, in scope and true at some instant."""
    clauses, parameters = scope_where(scope, "record")
    clauses = ["record.deleted = 0", *clauses]
    if during is not None:
        clauses.append(f"{_SINCE} <= %s")
        parameters = [*parameters, during.last]
        for end in ("valid_until", "expires_at"):
            clauses.append(f"(record.{end} IS NULL OR (record.{end} > %s AND record.{end} > {_SINCE}))")
            parameters.append(during.first)
    return " AND ".join(clauses), parameters


def _raw(ids: Iterable[str]) -> list[bytes]:
    """Return ids as they are stored, without those that are none of ours."""
    found: list[bytes] = []
    for one in dict.fromkeys(ids):
        try:
            found.append(bytes.fromhex(one))
        except ValueError:
            continue
    return found


# ------------------------------------------------------------------------------------------ entities


async def _entities(
    s: Session,
    names: Sequence[str] | None,
    scope: ReadScope,
    during: Span | None,
    limit: int,
    after: str | None,
) -> list[GraphEntity]:
    if names is not None and not (names := storable(names)):
        return []
    living, scoped = _living(scope, during)
    wanted, asked = ["node.listed < 2"], list[Any]()
    owners = owners_select(scope)
    if owners is not None:
        wanted.append(f"node.owner IN ({owners[0]})")
        asked += owners[1]
    if names is not None:
        wanted.append("node.folded = ANY(%s)")
        asked.append(sorted({looked_up(name) for name in names}))
    if after is not None:
        wanted.append("encode(node.id, 'hex') COLLATE \"C\" > %s")
        asked.append(after)
    says = _SAYS.format(row="node", living=living)
    sql = (
        f"WITH found AS (SELECT DISTINCT node.id FROM node {says}"
        f" WHERE {' AND '.join(wanted)} ORDER BY node.id LIMIT %s)"
        " SELECT found.id, record.kind, record.whose, record.id, node.key, node.name, node.kind"
        " FROM found CROSS JOIN LATERAL (SELECT * FROM node WHERE node.id = found.id AND listed < 2 OFFSET 0) node"
        f" {says} {_WHOLE.format(row='node')} ORDER BY found.id"
    )
    mentions: dict[bytes, list[Row]] = {}
    for row in await s.rows(sql, (*scoped, *asked, limit, *scoped)):
        mentions.setdefault(row[0], []).append(row)
    return [
        entity_of(raw.hex(), Owner(*rows[0][1:3]), ((unpack_id(row[3]), GraphNode(*row[4:])) for row in rows))
        for raw, rows in mentions.items()
    ]


# ------------------------------------------------------------------------------------------ edges


async def _neighbours(
    s: Session,
    ids: Sequence[str],
    scope: ReadScope,
    depth: int,
    during: Span | None,
    limit: int | None,
) -> list[GraphEdge]:
    """Return the edges that a walk meets, each once: nearest first, then the latest, then by memory and place."""
    starts = _raw(ids)
    if not starts:
        return []
    living, scoped = _living(scope, during)
    sql, asked = _walk(living, scoped, depth, limit)
    edges = [_edge(row) for row in await s.rows(sql, (starts, *asked))]
    # Those of one time came in any order, and all of them: their memories' ids decide.
    return sorted(edges, key=nearest_first)[:limit]


def _walk(living: str, scoped: Sequence[Any], depth: int, limit: int | None) -> tuple[str, list[Any]]:
    """Return a walk as one statement, a step after the other, and its arguments after those it begins at.

    Each entity is gone on from once, and no step is taken where enough is nearer.
    """
    says = _SAYS.format(row="edge", living=living)
    parts, asked = ["n0 (id) AS (SELECT unnest(%s::bytea[]))"], list[Any]()
    every, known, nodes = list[str](), list[str](), ["SELECT id FROM n0"]
    for hop in range(1, depth + 1):
        asked += scoped
        enough = ""
        if known and limit is not None:
            enough = f" WHERE (SELECT count(*) FROM ({' UNION '.join(known)}) known) < %s"
            asked.append(limit)
        parts.append(_EDGES.format(hop=hop, before=hop - 1, says=says, enough=enough))
        if hop < depth:
            parts.append(_NODES.format(hop=hop, known=" UNION ALL ".join(nodes)))
        every.append(f"SELECT rid, place, {hop} AS hop, since FROM e{hop}")
        known.append(f"SELECT rid, place FROM e{hop}")
        nodes.append(f"SELECT id FROM n{hop}")
    most = ""
    if limit is not None:
        most = " FETCH FIRST (%s) ROWS WITH TIES"
        asked.append(limit)
    parts.append(_NEAREST.format(every=" UNION ALL ".join(every), most=most))
    return (
        f"WITH {', '.join(parts)}"
        f" SELECT {_RECORD}, edge.place, edge.source, {_SOURCE}, edge.relation, edge.target, {_TARGET}, nearest.hop"
        " FROM nearest CROSS JOIN LATERAL ("
        "SELECT * FROM edge WHERE edge.rid = nearest.rid AND edge.place = nearest.place OFFSET 0) edge"
        f" {_WHOLE.format(row='nearest')}"
    ), asked


def _edge(row: Row) -> GraphEdge:
    raw, agent, run, kind, owner, _created, since, until, expires, place, source, *rest = row
    source_node, (relation, target), target_node, hop = rest[:3], rest[3:5], rest[5:8], rest[8]
    return GraphEdge(
        memory_id=unpack_id(raw),
        position=place,
        source=GraphNode(*source_node),
        relation=relation,
        target=GraphNode(*target_node),
        source_id=source.hex(),
        target_id=target.hex(),
        user_id=owner if kind == "user" else None,
        agent_id=agent,
        run_id=run,
        valid_from=since,
        valid_until=until,
        expires_at=expires,
        hop=hop,
    )


async def _paths(
    s: Session,
    a: Sequence[str],
    b: Sequence[str],
    scope: ReadScope,
    max_hops: int,
    during: Span | None,
    limit: int,
) -> list[GraphPath]:
    async def edges(step: walk.Step) -> list[GraphEdge]:
        return await _neighbours(s, step.entity_ids, scope, 1, during, step.limit)

    await s.begin(_SNAPSHOT)
    found = await walk.adrive(walk.paths(a, b, max_hops=max_hops, limit=limit), edges)
    await s.commit()
    return found


# ------------------------------------------------------------------------------------------ everything


async def _count(s: Session, scope: ReadScope, saying: str) -> GraphCount:
    living, scoped = _living(scope, None)
    said = f"JOIN record ON record.rid = {{table}}.rid WHERE {living}"
    row = await s.row(
        f"SELECT (SELECT count(*) FROM record WHERE {living}{saying}),"
        f" (SELECT count(DISTINCT node.id) FROM node {said.format(table='node')}),"
        f" (SELECT count(*) FROM edge {said.format(table='edge')})",
        (*scoped, *scoped, *scoped),
    )
    assert row is not None, "a statement of counts has a row"
    return GraphCount(memories=row[0], entities=row[1], edges=row[2])


async def _export(s: Session, scope: ReadScope, limit: int, cursor: str | None, saying: str) -> GraphPage:
    where, asked = _living(scope, None)
    if cursor is not None:
        where, asked = f"{where} AND {_ID} > %s", [*asked, cursor.encode()]
    await s.begin(_SNAPSHOT)
    rows = await s.rows(
        f"WITH page AS (SELECT rid FROM record WHERE {where}{saying} ORDER BY {_ID} LIMIT %s)"
        f" SELECT page.rid, {_RECORD} FROM page {_WHOLE.format(row='page')} ORDER BY {_ID}",
        (*asked, limit + 1),
    )
    rids = [row[0] for row in rows[:limit]]
    named, told = await s.together([
        ("SELECT rid, key, name, kind FROM node WHERE rid = ANY(%s) AND listed > 0 ORDER BY rid, place", (rids,)),
        (f"SELECT rid, {_SOURCE}, relation, {_TARGET} FROM edge WHERE rid = ANY(%s) ORDER BY rid, place", (rids,)),
    ])  # fmt: skip
    await s.commit()
    nodes, triples = dict[int, list[GraphNode]](), dict[int, list[GraphTriple]]()
    for rid, *node in named:
        nodes.setdefault(rid, []).append(GraphNode(*node))
    for rid, *edge in told:
        triple = GraphTriple(GraphNode(*edge[:3]), edge[3], GraphNode(*edge[4:]))
        triples.setdefault(rid, []).append(triple)
    records = [_said(row, nodes, triples) for row in rows[:limit]]
    return GraphPage(records=records, cursor=records[-1].memory_id if len(rows) > limit else None)


def _said(
    row: Row, nodes: Mapping[int, Sequence[GraphNode]], triples: Mapping[int, Sequence[GraphTriple]]
) -> GraphRecord:
    rid, raw, agent, run, kind, owner, created, since, until, expires = row
    return GraphRecord(
        memory_id=unpack_id(raw),
        user_id=owner if kind == "user" else None,
        agent_id=agent,
        run_id=run,
        entities=tuple(nodes.get(rid, ())),
        edges=tuple(triples.get(rid, ())),
        created_at=created,
        valid_from=since,
        valid_until=until,
        expires_at=expires,
    )
