"""What those who write a graph store share: checks, edges and entities out of records, records as text."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from memkit.errors import InvalidInputError
from memkit.graph_stores.base import (
    MAX_HOPS,
    UNKNOWN_KIND,
    GraphEdge,
    GraphEntity,
    GraphNode,
    GraphRecord,
    GraphTriple,
    entity_id,
)
from memkit.scope import Owner, ReadScope, write_scope


def check_limit(limit: int) -> None:
    """Return if a limit is at least 1.

    Raises:
        InvalidInputError: It is not.
    """
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:  # pyright: ignore[reportUnnecessaryIsInstance]  callers are not all typed
        raise InvalidInputError(f"`limit` must be at least 1, not {limit!r}.")


def check_hops(hops: int, field: str) -> None:
    """Return if a walk may go so far.

    Raises:
        InvalidInputError: It is less than 1 or more than `MAX_HOPS`.
    """
    if isinstance(hops, bool) or not isinstance(hops, int) or not 1 <= hops <= MAX_HOPS:  # pyright: ignore[reportUnnecessaryIsInstance]  callers are not all typed
        raise InvalidInputError(f"`{field}` must be a whole number from 1 to {MAX_HOPS}, not {hops!r}.")


def check_records(records: Iterable[GraphRecord]) -> list[GraphRecord]:
    """Return the records to write, the last of equal ids.

    Raises:
        InvalidInputError: An id, a name, a kind, a key or a relation is empty, no text, or a lone surrogate.
        ScopeError: A record has no owner.
    """
    checked: dict[str, GraphRecord] = {}
    for record in records:
        check_text(record.memory_id, "The id of a memory")
        write_scope(record.user_id, record.agent_id, record.run_id)
        for node in (*record.entities, *(end for edge in record.edges for end in (edge.source, edge.target))):
            check_text(node.key, f"The key of an entity of {record.memory_id!r}")
            check_text(node.name, f"The name of an entity of {record.memory_id!r}")
            check_text(node.kind, f"The kind of an entity of {record.memory_id!r}")
        for edge in record.edges:
            check_text(edge.relation, f"A relation of {record.memory_id!r}")
        checked.pop(record.memory_id, None)
        checked[record.memory_id] = record
    return list(checked.values())


def check_text(text: str, what: str) -> None:
    """Return if a text can be stored: any but an empty one or a lone surrogate.

    Raises:
        InvalidInputError: It cannot.
    """
    if not isinstance(text, str) or not text:  # pyright: ignore[reportUnnecessaryIsInstance]  callers are not all typed
        raise InvalidInputError(f"{what} must be a non-empty text, not {text!r}.")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidInputError(
            f"{what} holds a lone surrogate, which cannot be stored: {text!r}."
        ) from error


def storable(texts: Sequence[str]) -> list[str]:
    """Return the distinct texts that a store can hold at all, in order."""
    return [
        text
        for text in dict.fromkeys(texts)
        if text and not any("\ud800" <= char <= "\udfff" for char in text)
    ]


def owners_of(scope: ReadScope) -> list[Owner] | None:
    """Return the owners that the records of a scope may have, None where they cannot be listed."""
    if scope.everyone:
        return None
    if scope.user_id is not None:
        return [Owner("user", scope.user_id)]
    if scope.agents is None:
        return None
    owners = [Owner("agent", id) for id in sorted(id for id in scope.agents if id is not None)]
    if None not in scope.agents:
        return owners
    if scope.runs is None:
        return None
    return owners + [Owner("run", id) for id in sorted(id for id in scope.runs if id is not None)]


def edges_of(record: GraphRecord) -> list[GraphEdge]:
    """Return the edges that a memory says, with the ids of their ends."""
    owner = record.owner
    return [
        GraphEdge(
            memory_id=record.memory_id,
            position=position,
            source=edge.source,
            relation=edge.relation,
            target=edge.target,
            source_id=entity_id(owner, edge.source.key),
            target_id=entity_id(owner, edge.target.key),
            user_id=record.user_id,
            agent_id=record.agent_id,
            run_id=record.run_id,
            valid_from=record.valid_from,
            valid_until=record.valid_until,
            expires_at=record.expires_at,
        )
        for position, edge in enumerate(record.edges)
    ]


def entity_of(id: str, owner: Owner, mentions: Iterable[tuple[str, GraphNode]]) -> GraphEntity:
    """Return an entity out of the memories that name it, each with how it does."""
    named = sorted(mentions, key=lambda mention: mention[0])
    nodes = [node for _, node in named]
    return GraphEntity(
        id=id,
        owner=owner,
        key=nodes[0].key,
        name=_most_used([node.name for node in nodes]),
        kind=_most_used([node.kind for node in nodes if node.kind != UNKNOWN_KIND] or [UNKNOWN_KIND]),
        memory_ids=[memory_id for memory_id, _ in named],
    )


def _most_used(texts: Sequence[str]) -> str:
    uses = Counter(texts)
    return min(uses, key=lambda text: (-uses[text], text))


def nearest_first(edge: GraphEdge) -> tuple[int, int, str, int]:
    """Return what edges of a walk are ordered by."""
    return edge.hop, -edge.valid_from, edge.memory_id, edge.position


def dump_record(record: GraphRecord) -> str:
    """Return a record as one line of JSON in ASCII."""
    value: list[Any] = [
        record.memory_id,
        [record.user_id, record.agent_id, record.run_id],
        [record.created_at, record.valid_from, record.valid_until, record.expires_at],
        [_dump_node(node) for node in record.entities],
        [[_dump_node(edge.source), edge.relation, _dump_node(edge.target)] for edge in record.edges],
    ]
    return json.dumps(value, separators=(",", ":"))


def load_record(text: str) -> GraphRecord:
    """Return the record that `dump_record` wrote."""
    memory_id, scope, times, entities, edges = json.loads(text)
    return GraphRecord(
        memory_id=memory_id,
        user_id=scope[0],
        agent_id=scope[1],
        run_id=scope[2],
        created_at=times[0],
        valid_from=times[1],
        valid_until=times[2],
        expires_at=times[3],
        entities=tuple(GraphNode(*node) for node in entities),
        edges=tuple(
            GraphTriple(GraphNode(*source), relation, GraphNode(*target))
            for source, relation, target in edges
        ),
    )


def _dump_node(node: GraphNode) -> list[str]:
    return [node.key, node.name, node.kind]
