"""Nodes and edges as rows beside the records that say them; the same for every SQL ledger, and for graphs like one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ..graph_stores.base import GraphNode, GraphRecord, entity_id, fold_name
from ..scope import Owner
from .records import OWNER_SHIFT

NODE_COLUMNS: Final = ("rid", "place", "owner", "id", "folded", "key", "name", "kind", "listed")
EDGE_COLUMNS: Final = (
    "rid", "place", "source", "target", "relation", "source_key", "source_name", "source_kind", "target_key",
    "target_name", "target_kind",
)  # fmt: skip
AN_END: Final = 0
LISTED: Final = 1
REPEATED: Final = 2
"""How a record names an entity: in its list for the first time, there again, or only as an end of an edge."""


def node_rows(rid: int, said: GraphRecord, folded: Callable[[str], str] = fold_name) -> list[tuple[Any, ...]]:
    """Return the rows of what a record names, in order; `folded` gives a name as it is looked up."""
    owner = said.owner
    return [
        (rid, place, rid >> OWNER_SHIFT, _blob(owner, node), folded(node.name), node.key, node.name, node.kind, how)
        for place, (node, how) in enumerate(_named(said))
    ]  # fmt: skip


def edge_rows(rid: int, said: GraphRecord) -> list[tuple[Any, ...]]:
    """Return the rows of what a record says of two of them, in order."""
    owner = said.owner
    return [
        (
            rid, place, _blob(owner, edge.source), _blob(owner, edge.target), edge.relation, edge.source.key,
            edge.source.name, edge.source.kind, edge.target.key, edge.target.name, edge.target.kind,
        )
        for place, edge in enumerate(said.edges)
    ]  # fmt: skip


def _named(said: GraphRecord) -> list[tuple[GraphNode, int]]:
    """Return what a memory names, and how: `LISTED` or `REPEATED` in its list, or `AN_END` of an edge alone."""
    named: list[tuple[GraphNode, int]] = []
    listed: set[str] = set()
    for node in said.entities:
        named.append((node, REPEATED if node.key in listed else LISTED))
        listed.add(node.key)
    return [*named, *((node, AN_END) for node in said.mentions() if node.key not in listed)]


def _blob(owner: Owner, node: GraphNode) -> bytes:
    return bytes.fromhex(entity_id(owner, node.key))
