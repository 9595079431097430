"""The Cypher of the Neo4j store: fixed texts of Neo4j 5's own, and the parameters that go with them.

A memory is a node `MemkitMemory`, an entity a node `MemkitEntity`; `MEMKIT_MENTIONS` leads from the one to the other,
and `MEMKIT_RELATION` from entity to entity, once for each memory that says it. What people say is never a label or a
type: those cannot be parameters, so that a name could end the statement it stands in, and a database never frees one.
A relation's name is the property `relation`. Whatever is looked up by an index is a digest, as an index takes no long
texts, and ids of two graphs in one database never meet.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import Any, Final, LiteralString

from memkit.graph_stores.base import (
    GraphCount,
    GraphEdge,
    GraphEntity,
    GraphNode,
    GraphPage,
    GraphRecord,
    Span,
    digest,
    entity_id,
    fold_name,
)
from memkit.graph_stores.support import dump_record, edges_of, entity_of, load_record, owners_of
from memkit.graph_stores.walk import Step
from memkit.scope import SCOPE_FIELDS, Owner, ReadScope, Scope

Statement = tuple[LiteralString, Mapping[str, Any]]
"""Cypher of ours, and its parameters: no text of a user is ever part of the first."""
Rows = list[dict[str, Any]]

SCHEMA: Final[Sequence[LiteralString]] = (
    "CREATE CONSTRAINT memkit_memory IF NOT EXISTS FOR (m:MemkitMemory) REQUIRE m.id IS UNIQUE",
    "CREATE CONSTRAINT memkit_entity IF NOT EXISTS FOR (e:MemkitEntity) REQUIRE e.id IS UNIQUE",
    "CREATE INDEX memkit_owner IF NOT EXISTS FOR (m:MemkitMemory) ON (m.owner)",
    "CREATE INDEX memkit_graph IF NOT EXISTS FOR (m:MemkitMemory) ON (m.graph)",
    "CREATE INDEX memkit_entity_graph IF NOT EXISTS FOR (e:MemkitEntity) ON (e.graph)",
    "CREATE INDEX memkit_name IF NOT EXISTS FOR ()-[r:MEMKIT_MENTIONS]-() ON (r.name_id)",
    "CREATE INDEX memkit_owned_name IF NOT EXISTS FOR ()-[r:MEMKIT_MENTIONS]-() ON (r.owned_name_id)",
)

# A write locks first, in the order of ids, and looks then: two that meet wait for each other, and never both see
# something that the other is about to delete. Only a change of a property is sure to lock a node.
_LOCK_MEMORIES: Final = """
UNWIND $ids AS id
MATCH (m:MemkitMemory {id: id})
SET m.touched = $touch
RETURN m.record AS record
"""
_MAKE_MEMORIES: Final = """
UNWIND $ids AS id
MERGE (m:MemkitMemory {id: id})
SET m.touched = $touch
RETURN m.record AS record
"""
_PUT_MEMORIES: Final = """
UNWIND $rows AS row
MATCH (m:MemkitMemory {id: row.id})
SET m = row.memory
"""
_LOCK_ENTITIES: Final = """
UNWIND $ids AS id
MATCH (e:MemkitEntity {id: id})
SET e.touched = $touch
"""
_TAKE_RELATIONS: Final = """
UNWIND $rows AS row
MATCH (s:MemkitEntity {id: row.source})
MATCH (t:MemkitEntity {id: row.target})
MATCH (s)-[r:MEMKIT_RELATION {said_by: row.memory}]->(t)
WITH collect(DISTINCT r) AS gone
FOREACH (r IN gone | DELETE r)
"""
_TAKE_MENTIONS: Final = """
UNWIND $ids AS id
MATCH (:MemkitMemory {id: id})-[r:MEMKIT_MENTIONS]->()
WITH collect(DISTINCT r) AS gone
FOREACH (r IN gone | DELETE r)
"""
_TAKE_MEMORIES: Final = """
UNWIND $ids AS id
MATCH (m:MemkitMemory {id: id})
DETACH DELETE m
"""
_ON_ENTITY: Final = """ {id: row.id})
ON CREATE SET e.graph = $graph, e.name = row.name, e.kind = row.kind
SET e.touched = $touch
"""
_PUT_ENTITIES: Final[LiteralString] = "UNWIND $rows AS row MERGE (e:MemkitEntity" + _ON_ENTITY
_PUT_LABELLED: Final[LiteralString] = "UNWIND $rows AS row MERGE (e:MemkitEntity:__Entity__" + _ON_ENTITY
# For entities of a time when the label was not wanted: the merge asks for both labels, and would make them again.
_LABEL: Final = """
UNWIND $rows AS row
MATCH (e:MemkitEntity {id: row.id})
WHERE NOT e:__Entity__
SET e:__Entity__
"""
_PUT_MENTIONS: Final = """
UNWIND $rows AS row
MATCH (m:MemkitMemory {id: row.memory})
MATCH (e:MemkitEntity {id: row.entity})
CREATE (m)-[r:MEMKIT_MENTIONS]->(e)
SET r = row.mention
"""
_PUT_RELATIONS: Final = """
UNWIND $rows AS row
MATCH (s:MemkitEntity {id: row.source})
MATCH (t:MemkitEntity {id: row.target})
CREATE (s)-[r:MEMKIT_RELATION]->(t)
SET r = row.said
"""
_TAKE_ORPHANS: Final = """
UNWIND $ids AS id
MATCH (e:MemkitEntity {id: id})
WHERE NOT EXISTS { (e)<-[:MEMKIT_MENTIONS]-() }
DETACH DELETE e
"""
_NAME_AGAIN: Final = """
UNWIND $ids AS id
MATCH (e:MemkitEntity {id: id})<-[r:MEMKIT_MENTIONS]-()
WITH e, min(r.name) AS name, min(r.kind) AS kind
SET e.name = name, e.kind = kind
"""


class Names:
    """The ids that a graph of some name has in its database."""

    def __init__(self, graph: str) -> None:
        self.graph = graph
        self._prefix = digest(graph)

    def memory(self, memory_id: str) -> str:
        """Return the id of a memory's node."""
        return self._prefix + digest(memory_id)

    def entity(self, id: str) -> str:
        """Return the id of an entity's node; they lie in the order of the entities' ids."""
        return self._prefix + id

    def owner(self, owner: Owner) -> str:
        """Return what all memories of an owner carry."""
        return digest(self.graph, owner.kind, owner.id)

    def name(self, folded: str, owner: Owner | None = None) -> str:
        """Return what mentions of a name carry, of one owner or of anyone."""
        return digest(self.graph, "name", folded, *(owner or ()))


# ------------------------------------------------------------------------------------------------ writing


def upsert(
    names: Names, records: Sequence[GraphRecord], touch: str, *, base_label: bool
) -> Generator[Statement, Rows, None]:
    """Replace what memories said."""
    records = sorted(records, key=lambda record: names.memory(record.memory_id))
    ids = [names.memory(record.memory_id) for record in records]
    mentions = [mention for record in records for mention in _mentions(names, record)]
    nodes = {row["entity"]: row["mention"] for row in mentions}
    entities = [{"id": id, "name": nodes[id]["name"], "kind": nodes[id]["kind"]} for id in sorted(nodes)]

    rows = yield _MAKE_MEMORIES, {"ids": ids, "touch": touch}
    before = yield from _take(names, [load_record(row["record"]) for row in rows if row["record"]], touch)
    yield _PUT_MEMORIES, {"rows": [_memory(names, record) for record in records]}
    if base_label:
        yield _LABEL, {"rows": entities}
    put = _PUT_LABELLED if base_label else _PUT_ENTITIES
    yield put, {"rows": entities, "graph": names.graph, "touch": touch}
    yield _PUT_MENTIONS, {"rows": mentions}
    yield _PUT_RELATIONS, {"rows": [row for record in records for row in _relations(names, record)]}
    if before:
        yield _TAKE_ORPHANS, {"ids": before}
        yield _NAME_AGAIN, {"ids": before}


def remove(names: Names, memory_ids: Iterable[str], touch: str) -> Generator[Statement, Rows, None]:
    """Take back what memories said."""
    ids = sorted(names.memory(id) for id in memory_ids)
    rows = yield _LOCK_MEMORIES, {"ids": ids, "touch": touch}
    before = yield from _take(names, [load_record(row["record"]) for row in rows], touch)
    yield _TAKE_MEMORIES, {"ids": ids}
    if before:
        yield _TAKE_ORPHANS, {"ids": before}
        yield _NAME_AGAIN, {"ids": before}


def _take(names: Names, records: Sequence[GraphRecord], touch: str) -> Generator[Statement, Rows, list[str]]:
    """Take away what memories that are locked said; return the entities they named, which are locked as well."""
    entities = sorted({mention["entity"] for record in records for mention in _mentions(names, record)})
    if not entities:
        return []
    pairs = {
        (names.memory(edge.memory_id), names.entity(edge.source_id), names.entity(edge.target_id))
        for record in records
        for edge in edges_of(record)
    }
    yield _LOCK_ENTITIES, {"ids": entities, "touch": touch}
    rows = [
        {"memory": memory, "source": source, "target": target} for memory, source, target in sorted(pairs)
    ]
    yield _TAKE_RELATIONS, {"rows": rows}
    yield _TAKE_MENTIONS, {"ids": [names.memory(record.memory_id) for record in records]}
    return entities


def _shared(names: Names, record: GraphRecord) -> dict[str, Any]:
    """Return what a memory's node and all that it says carry, to be tested by themselves."""
    return {
        "graph": names.graph,
        "owner": names.owner(record.owner),
        "memory_id": record.memory_id,
        "user_id": record.user_id,
        "agent_id": record.agent_id,
        "run_id": record.run_id,
        "valid_from": record.valid_from,
        "valid_until": record.valid_until,
        "expires_at": record.expires_at,
    }


def _memory(names: Names, record: GraphRecord) -> dict[str, Any]:
    id = names.memory(record.memory_id)
    text = dump_record(record)
    return {
        "id": id,
        "memory": {**_shared(names, record), "id": id, "edges": len(record.edges), "record": text},
    }


def _mentions(names: Names, record: GraphRecord) -> list[dict[str, Any]]:
    owner, memory = record.owner, names.memory(record.memory_id)
    rows: list[dict[str, Any]] = []
    for node in record.mentions():
        folded = fold_name(node.name)
        mention = {
            "key": node.key,
            "name": node.name,
            "kind": node.kind,
            "name_id": names.name(folded),
            "owned_name_id": names.name(folded, owner),
        }
        entity = names.entity(entity_id(owner, node.key))
        rows.append({"memory": memory, "entity": entity, "mention": mention})
    return rows


def _relations(names: Names, record: GraphRecord) -> list[dict[str, Any]]:
    shared, said_by = _shared(names, record), names.memory(record.memory_id)
    return [
        {
            "source": names.entity(edge.source_id),
            "target": names.entity(edge.target_id),
            "said": {
                **shared,
                "said_by": said_by,
                "position": edge.position,
                "relation": edge.relation,
                **_ends(edge),
            },
        }
        for edge in edges_of(record)
    ]


def _ends(edge: GraphEdge) -> dict[str, str]:
    return {
        f"{end}_{field}": getattr(node, field)
        for end, node in (("source", edge.source), ("target", edge.target))
        for field in ("key", "name", "kind")
    }


# ------------------------------------------------------------------------------------------------ reading


def seen(
    names: Names, scope: ReadScope, during: Span | None, what: LiteralString
) -> tuple[LiteralString, dict[str, Any]]:
    """Return the condition that a memory, or a relation, is in a scope and true during a span."""
    tests: list[LiteralString] = [what + ".graph = $graph"]
    values: dict[str, Any] = {"graph": names.graph}
    owners = owners_of(scope)
    if owners is not None:
        tests.append(what + ".owner IN $owners")
        values["owners"] = [names.owner(owner) for owner in owners]
    if not scope.everyone:
        tests.append(what + ".user_id IS NULL" if scope.user_id is None else what + ".user_id = $user")
        values["user"] = scope.user_id
    sets: Sequence[tuple[frozenset[str | None] | None, LiteralString, LiteralString]] = (
        (scope.agents, ".agent_id", "agents"),
        (scope.runs, ".run_id", "runs"),
    )
    for ids, field, parameter in sets:
        if ids is not None:
            listed: LiteralString = what + field + " IN $" + parameter
            tests.append("(" + listed + " OR " + what + field + " IS NULL)" if None in ids else listed)
            values[parameter] = sorted(id for id in ids if id is not None)
    if during is not None:
        tests.append(what + ".valid_from <= $last")
        ends: Sequence[LiteralString] = (".valid_until", ".expires_at")
        for end in ends:
            ended: LiteralString = what + end
            later: LiteralString = ended + " > $first AND " + ended + " > " + what + ".valid_from"
            tests.append("(" + ended + " IS NULL OR (" + later + "))")
        values["first"], values["last"] = during.first, during.last
    return " AND ".join(tests), values


def find_entities(
    names: Names,
    wanted: Sequence[str] | None,
    scope: ReadScope,
    during: Span | None,
    limit: int,
    after: str | None,
) -> Generator[Statement, Rows, list[GraphEntity]]:
    """Return entities that a memory calls by one of these folded names, or all, by id."""
    condition, values = seen(names, scope, during, "m")
    values = {**values, "limit": limit, "after": names.entity(after or "")}
    by: LiteralString = ""
    if wanted is not None:
        owners = owners_of(scope)
        by = "r.name_id IN $names AND " if owners is None else "r.owned_name_id IN $names AND "
        values["names"] = [names.name(name, owner) for name in wanted for owner in owners or (None,)]
    rows = yield (
        "MATCH (m:MemkitMemory)-[r:MEMKIT_MENTIONS]->(e:MemkitEntity) WHERE " + by + condition
        + " AND e.id > $after WITH DISTINCT e ORDER BY e.id LIMIT $limit "
        + "MATCH (m:MemkitMemory)-[r:MEMKIT_MENTIONS]->(e) WHERE " + condition
        + " RETURN m.memory_id AS memory_id, m.user_id AS user_id, m.agent_id AS agent_id, m.run_id AS run_id, "
        + "r.key AS key, r.name AS name, r.kind AS kind",
        values,
    )  # fmt: skip
    mentions: dict[tuple[Owner, str], list[tuple[str, GraphNode]]] = {}
    for row in rows:
        owner = Scope(user_id=row["user_id"], agent_id=row["agent_id"], run_id=row["run_id"]).owner
        node = GraphNode(row["key"], row["name"], row["kind"])
        mentions.setdefault((owner, node.key), []).append((row["memory_id"], node))
    found = [entity_of(entity_id(owner, key), owner, named) for (owner, key), named in mentions.items()]
    return sorted(found, key=lambda entity: entity.id)


def edges(
    names: Names, step: Step, scope: ReadScope, during: Span | None
) -> Generator[Statement, Rows, list[GraphEdge]]:
    """Return the edges that touch some entities."""
    condition, values = seen(names, scope, during, "r")
    # A larger number is no limit, and not every server counts beyond 32 bits.
    limit: LiteralString = "" if step.limit is None or step.limit >= 1 << 31 else " LIMIT $limit"
    rows = yield (
        "UNWIND $ids AS id MATCH (:MemkitEntity {id: id})-[r:MEMKIT_RELATION]-() WHERE " + condition
        + " WITH DISTINCT r ORDER BY r.valid_from DESC, r.memory_id, r.position" + limit
        + " RETURN properties(r) AS said",
        {**values, "ids": [names.entity(id) for id in step.entity_ids], "limit": step.limit},
    )  # fmt: skip
    return [_edge(row["said"]) for row in rows]


def _edge(said: Mapping[str, Any]) -> GraphEdge:
    user_id, agent_id, run_id = (said.get(name) for name in SCOPE_FIELDS)
    owner = Scope(user_id=user_id, agent_id=agent_id, run_id=run_id).owner
    source, target = (
        GraphNode(said[f"{end}_key"], said[f"{end}_name"], said[f"{end}_kind"])
        for end in ("source", "target")
    )
    return GraphEdge(
        memory_id=said["memory_id"],
        position=said["position"],
        source=source,
        relation=said["relation"],
        target=target,
        source_id=entity_id(owner, source.key),
        target_id=entity_id(owner, target.key),
        user_id=user_id,
        agent_id=agent_id,
        run_id=run_id,
        valid_from=said["valid_from"],
        valid_until=said.get("valid_until"),
        expires_at=said.get("expires_at"),
    )


def count(names: Names, scope: ReadScope) -> Generator[Statement, Rows, GraphCount]:
    """Return how much of a scope there is."""
    condition, values = seen(names, scope, None, "m")
    (memories,) = yield (
        "MATCH (m:MemkitMemory) WHERE " + condition + " RETURN count(m) AS memories, sum(m.edges) AS edges",
        values,
    )
    (entities,) = yield (
        "MATCH (m:MemkitMemory)-[:MEMKIT_MENTIONS]->(e:MemkitEntity) WHERE " + condition
        + " RETURN count(DISTINCT e) AS entities",
        values,
    )  # fmt: skip
    return GraphCount(
        memories=memories["memories"], edges=memories["edges"] or 0, entities=entities["entities"]
    )


def export(
    names: Names, scope: ReadScope, limit: int, cursor: str | None
) -> Generator[Statement, Rows, GraphPage]:
    """Return what memories say, by the id of their nodes."""
    condition, values = seen(names, scope, None, "m")
    rows = yield (
        "MATCH (m:MemkitMemory) WHERE " + condition
        + " AND m.id > $after RETURN m.id AS id, m.record AS record ORDER BY m.id LIMIT $limit",
        {**values, "after": cursor or "", "limit": limit + 1},
    )  # fmt: skip
    page = rows[:limit]
    return GraphPage(
        records=[load_record(row["record"]) for row in page],
        cursor=page[-1]["id"] if len(rows) > limit else None,
    )


def memory_ids(names: Names, scope: ReadScope, limit: int) -> Generator[Statement, Rows, list[str]]:
    """Return some memories of a scope."""
    condition, values = seen(names, scope, None, "m")
    rows = yield (
        "MATCH (m:MemkitMemory) WHERE " + condition + " RETURN m.memory_id AS id LIMIT $limit",
        {**values, "limit": limit},
    )
    return [row["id"] for row in rows]


def statement(text: LiteralString) -> Generator[Statement, Rows, Rows]:
    """Run one statement without parameters."""
    return (yield text, {})
