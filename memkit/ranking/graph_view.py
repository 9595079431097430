"""What one owner's memories say, held in memory beside their ranking: a ledger's graph without its queries."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from memkit.graph_stores.base import GraphEdge, GraphEntity, GraphNode, entity_id
from memkit.graph_stores.support import edges_of, entity_of, nearest_first
from memkit.ledger.base import Record
from memkit.ledger.graph import folded_of, projected
from memkit.ranking.text import tokens
from memkit.scope import Owner, ReadScope

_RECORD_BYTES: Final = 900
_EDGE_BYTES: Final = 700
_WORD_BYTES: Final = 70
"""About what these take, to count in a budget."""


@dataclass(frozen=True, slots=True)
class HeldEdge:
    """An edge, the record that says it, without its words, and the stems of these words."""

    edge: GraphEdge
    record: Record
    words: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Said:
    record: Record
    owner: Owner
    nodes: Sequence[tuple[str, GraphNode]]
    """What it names, by id."""
    edges: Sequence[HeldEdge]


class OwnerGraph:
    """The entities and relations of live records, by record, by end and by name."""

    def __init__(self) -> None:
        self._said: dict[int, _Said] = {}
        self._rids: dict[str, int] = {}
        self._near: dict[str, list[HeldEdge]] = {}
        self._in_order: set[str] = set()
        """Ends whose edges are in order."""
        self._mentions: dict[str, dict[int, GraphNode]] = {}
        self._named: dict[str, dict[str, Owner]] = {}
        self._entities: dict[str, GraphEntity] = {}
        """Entities as all memories name them, as far as they were asked for."""
        self.derived: dict[object, object] = {}
        """What readers made of it; void with every change."""
        self.nbytes = 0
        """About how many bytes it takes."""

    def __bool__(self) -> bool:
        """Return whether any record says anything."""
        return bool(self._said)

    # Following the ledger.

    def upsert(self, records: Iterable[Record]) -> None:
        """Take what live records say now in the place of what they said before."""
        self.derived.clear()
        for record in records:
            self._take_back(record.rid)
            if record.entities or record.relations:
                self._put(record)

    def remove(self, rids: Iterable[int]) -> None:
        """Take back what records said that are gone."""
        self.derived.clear()
        for rid in rids:
            self._take_back(rid)

    def _put(self, record: Record) -> None:
        projection = projected(record)
        owner = projection.owner
        bare = replace(record, text="", metadata={}, sources=(), entities=(), relations=(), data=None)
        edges = edges_of(projection)
        words = words_of(record.text, [edge.relation for edge in edges])
        said = _Said(
            bare,
            owner,
            [(entity_id(owner, node.key), node) for node in projection.mentions()],
            [HeldEdge(edge, bare, said) for edge, said in zip(edges, words, strict=True)],
        )
        self._said[record.rid] = said
        self._rids[record.id] = record.rid
        self.nbytes += _size(said)
        for id, node in said.nodes:
            self._mentions.setdefault(id, {})[record.rid] = node
            self._named.setdefault(folded_of(node.key), {})[id] = owner
            self._entities.pop(id, None)
        for held in said.edges:
            for end in {held.edge.source_id, held.edge.target_id}:
                self._near.setdefault(end, []).append(held)
                self._in_order.discard(end)

    def _take_back(self, rid: int) -> None:
        said = self._said.pop(rid, None)
        if said is None:
            return
        del self._rids[said.record.id]
        self.nbytes -= _size(said)
        for end in {end for held in said.edges for end in (held.edge.source_id, held.edge.target_id)}:
            left = [held for held in self._near[end] if held.record is not said.record]
            if left:
                self._near[end] = left
            else:
                del self._near[end]
                self._in_order.discard(end)
        for id, node in said.nodes:
            self._entities.pop(id, None)
            del self._mentions[id][rid]
            if not self._mentions[id]:
                del self._mentions[id]
                folded = folded_of(node.key)
                del self._named[folded][id]
                if not self._named[folded]:
                    del self._named[folded]

    # Reading.

    def said(self, memory_id: str) -> Sequence[HeldEdge]:
        """Return the edges that a record says, by position."""
        rid = self._rids.get(memory_id)
        return () if rid is None else self._said[rid].edges

    def near(self, entity_id: str) -> Sequence[HeldEdge]:
        """Return the edges that touch an entity, the latest first, then by memory and position."""
        edges = self._near.get(entity_id)
        if edges is None:
            return ()
        if entity_id not in self._in_order:
            edges.sort(key=lambda held: nearest_first(held.edge))
            self._in_order.add(entity_id)
        return edges

    def called(self, folded: str, scope: ReadScope) -> list[GraphEntity]:
        """Return the entities that memories of a scope call by a folded name; their memories are not listed."""
        found = self._named.get(folded, {}).items()
        if scope.agents is None and scope.runs is None:
            return [self._entities.get(id) or self._whole(id, owner) for id, owner in found]
        seen: list[GraphEntity] = []
        for id, owner in found:
            nodes = [
                node
                for rid, node in self._mentions[id].items()
                if scope.allows((record := self._said[rid].record).user_id, record.agent_id, record.run_id)
            ]
            if nodes:
                seen.append(_entity(id, owner, nodes))
        return seen

    def _whole(self, id: str, owner: Owner) -> GraphEntity:
        entity = self._entities[id] = _entity(id, owner, self._mentions[id].values())
        return entity


def words_of(text: str, relations: Sequence[str]) -> list[frozenset[str]]:
    """Return the stems that a question can follow each relation of a text by: its own and the text's."""
    words = frozenset(tokens(text)) if relations else frozenset[str]()
    return [words | _stems(relation) for relation in relations]


@lru_cache(maxsize=1024)
def _stems(relation: str) -> frozenset[str]:
    return frozenset(tokens(relation.replace("_", " ")))


def _entity(id: str, owner: Owner, nodes: Iterable[GraphNode]) -> GraphEntity:
    return replace(entity_of(id, owner, (("", node) for node in nodes)), memory_ids=())


def _size(said: _Said) -> int:
    words = len(said.edges[0].words) if said.edges else 0
    return _RECORD_BYTES + len(said.edges) * (_EDGE_BYTES + words * _WORD_BYTES)
