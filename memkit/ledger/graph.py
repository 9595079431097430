"""What the records of a ledger say as a graph: how a record becomes nodes and edges, and what was merged by hand."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from ..errors import ConfigurationError
from ..graph_stores.base import UNKNOWN_KIND, GraphNode, GraphRecord, GraphStore, GraphTriple, fold_name
from ..scope import ReadScope, Scope
from .records import AliasChange, Record, Triple

SPEAKER: Final = "User"
"""Who speaks, where no name is known."""
PERSON: Final = "person"
SPEAKER_WORDS: Final = frozenset(("user", "i", "me", "myself", "speaker"))
_UNKNOWN_KINDS: Final = frozenset(("", UNKNOWN_KIND, "entity", "object", "other", "unknown", "misc"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Alias:
    """What holds of an entity that was merged by hand."""

    scope: Scope
    key: str
    root: str | None
    """The key of the entity that it is; None: it was parted again."""

    def covers(self, scope: ReadScope) -> bool:
        """Return whether a read stays inside the scope that it was made in."""
        agent, run = self.scope.agent_id, self.scope.run_id
        inside = agent is None or scope.agents == frozenset((agent,))
        return inside and (run is None or scope.runs == frozenset((run,)))


Related = tuple[Sequence[tuple[str, str]], Sequence[Triple]]
"""Entities as (name, kind), and relations, of one record."""


class AliasEvent(NamedTuple):
    """What one operation did to an entity, and what was there before and after it."""

    change: AliasChange
    before: str | None
    later: str | None
    """The next operation that changed the same, if there is one."""


class OwnGraph(GraphStore):
    """A graph that a ledger keeps in rows of its own: what a record says is written with it, and goes with it."""

    capabilities = frozenset({"in_ledger"})

    def open(self) -> None:
        """Do nothing: the ledger opens what it is kept in."""

    def upsert(self, records: Sequence[GraphRecord]) -> None:
        """Refuse: what a record says is written with it."""
        del records
        raise _read_only()

    def remove(self, memory_ids: Sequence[str]) -> None:
        """Refuse: what a record says goes with it."""
        del memory_ids
        raise _read_only()

    def drop(self, scope: ReadScope | None = None) -> None:
        """Refuse: what a record says goes with it."""
        del scope
        raise _read_only()

    def health(self) -> None:
        """Do nothing: it is as healthy as its ledger."""

    def close(self) -> None:
        """Do nothing: the ledger closes what it is kept in."""


def _read_only() -> ConfigurationError:
    return ConfigurationError(
        "The ledger's own graph follows its records. Add, change or delete memories instead."
    )


class GraphLedger(ABC):
    """The part of a ledger that is about entities and relations.

    Nodes and edges are made of the `entities` and `relations` of records, in the transaction that writes these.
    """

    @property
    @abstractmethod
    def graph(self) -> GraphStore:
        """What live records say, read from the ledger's own rows; it is written by `apply` alone."""

    @abstractmethod
    def aliases(self, scope: ReadScope) -> Sequence[Alias]:
        """Return what holds of merged entities of the owners in a scope, in the order it was said."""

    @abstractmethod
    def unrelated(self, limit: int, after: int = -1) -> Sequence[Record]:
        """Return live records with neither entities nor relations, by rid, after a rid."""

    @abstractmethod
    def relate(self, found: Sequence[tuple[Record, Related]]) -> None:
        """Give records that are still as they were read their entities and relations, as one transaction.

        No event tells it: like an embedding, it is read from the text.
        """

    @abstractmethod
    def alias_events(self, operation_id: str) -> Sequence[AliasEvent]:
        """Return what an operation merged or parted, in order."""


def is_speaker(name: str) -> bool:
    """Return whether a name stands for whoever speaks."""
    return fold_name(name) in SPEAKER_WORDS


def kind_of(kind: str | None) -> str:
    """Return a kind as kinds are compared; one that says nothing is `thing`."""
    folded = " ".join((kind or "").casefold().split())
    return UNKNOWN_KIND if folded in _UNKNOWN_KINDS else folded


def node_of(name: str, kind: str | None = None) -> GraphNode:
    """Return an entity as its name and kind make it: equal names of two known kinds are two entities."""
    known = kind_of(kind)
    return GraphNode(key_of(fold_name(name), known), name, known)


def key_of(folded: str, kind: str) -> str:
    """Return the key of an entity by its folded name and its kind as `kind_of` gives it."""
    return f"{folded}\n{'' if kind == UNKNOWN_KIND else kind}"


def folded_of(key: str) -> str:
    """Return the folded name in a key that `key_of` made."""
    return key.partition("\n")[0]


def kind_in(key: str) -> str:
    """Return the kind in a key that `key_of` made; blank for an unknown one."""
    return key.partition("\n")[2]


def speaker_node(actor_id: str | None) -> GraphNode:
    """Return the entity of whoever said something, by name where that is known."""
    named = actor_id if actor_id and actor_id.strip() and not is_speaker(actor_id) else SPEAKER
    return node_of(named, PERSON)


def projected(record: Record) -> GraphRecord:
    """Return what a record says as nodes and edges."""
    speaker = speaker_node(record.actor_id)
    own_name = fold_name(speaker.name)
    nodes: dict[str, GraphNode] = {}
    by_name: dict[str, GraphNode] = {}
    for name, kind in record.entities:
        if name.strip():
            node = speaker if is_speaker(name) or fold_name(name) == own_name else node_of(name, kind)
            nodes.setdefault(node.key, node)
            known = by_name.setdefault(fold_name(name), node)
            if known.kind == UNKNOWN_KIND:
                by_name[fold_name(name)] = node

    def end(name: str) -> GraphNode:
        if is_speaker(name) or fold_name(name) == own_name:
            return speaker
        known = by_name.get(fold_name(name))
        return node_of(name) if known is None else GraphNode(known.key, name, known.kind)

    return GraphRecord(
        memory_id=record.id,
        user_id=record.user_id,
        agent_id=record.agent_id,
        run_id=record.run_id,
        entities=tuple(nodes.values()),
        edges=tuple(
            GraphTriple(end(source), relation, end(target))
            for source, relation, target in dict.fromkeys(record.relations)
            if source.strip() and target.strip() and relation
        ),
        created_at=record.created_at,
        valid_from=record.valid_from,
        valid_until=record.valid_until,
        expires_at=record.expires_at,
    )
