"""networkx, in memory or in a file: https://networkx.org. Needs the extra `networkx`.

Every other graph store is compared with it, so it walks by networkx's own algorithms.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from threading import RLock
from typing import Any, Final

import networkx  # pyright: ignore[reportMissingTypeStubs]  the vendor ships none

from memkit.errors import BackendResponseError
from memkit.graph_stores.base import (
    Capability,
    GraphCount,
    GraphEdge,
    GraphEntity,
    GraphInfo,
    GraphNode,
    GraphPage,
    GraphPath,
    GraphRecord,
    GraphStore,
    GraphStoreSettings,
    Span,
    entity_id,
    fold_name,
)
from memkit.graph_stores.lines import LinesFile, Place
from memkit.graph_stores.support import (
    check_hops,
    check_limit,
    check_records,
    dump_record,
    edges_of,
    entity_of,
    load_record,
    nearest_first,
)
from memkit.scope import ReadScope

nx: Any = networkx

_EVERYTHING: Final = ReadScope(everyone=True)
_TAKEN_BACK: Final = "-"
"""Begins what a line says of a memory that says nothing any more."""
_BLANK: Final = 1 << 16
"""Blank bytes that are not worth a new file."""
_SHARED: Final[frozenset[Capability]] = frozenset({"persistent", "multi_process"})


class NetworkxSettings(GraphStoreSettings):
    """Settings of the networkx graph."""

    provider_name = "networkx"

    path: Path | None = None
    """A file for the graph, shared by processes; None: the folder of the memory, or nothing but memory."""
    timeout_s: float = 60.0
    """Seconds to wait while another process writes the file."""


class NetworkxStore(GraphStore):
    """A `MultiDiGraph` with one edge for each memory that says it, in memory or in a file of lines.

    A file is appended to, and what was said before is blanked out in it, so nothing that was removed stays; it is
    written anew once most of it is blank.
    """

    name = "networkx"
    Settings = NetworkxSettings

    def __init__(self, settings: NetworkxSettings | None = None, *, client: Any = None) -> None:
        self._settings = settings or NetworkxSettings()
        self.patience_s = self._settings.patience_s
        self._lock = RLock()
        self._graph: Any = nx.MultiDiGraph() if client is None else client
        self._given = client is not None
        self._records: dict[str, GraphRecord] = {}
        self._named: dict[str, set[str]] = {}
        self._spans: dict[str, list[Place]] = {}
        """By memory: where the file says something of it."""
        self._file: LinesFile | None = None
        if self._settings.path is not None:
            self._keep_in(self._settings.path)

    def place(self, folder: Path) -> None:
        """Keep a graph without a file of its own in `graph.lines` in this folder."""
        if self._file is None and not self._given:
            self._keep_in(folder / "graph.lines")

    def _keep_in(self, path: Path) -> None:
        place = path.expanduser().absolute()
        self._file = LinesFile(place, backend=self.name, timeout_s=self._settings.timeout_s)
        self.capabilities = _SHARED

    @property
    def graph(self) -> Any:
        """The `networkx.MultiDiGraph` as it is now, for algorithms of your own: nodes by id, with `name` and `kind`."""
        with self._lock:
            self._refresh()
            return self._graph.copy()

    # Writing.

    def open(self) -> None:
        """Read the file, if there is one."""
        with self._lock:
            self._refresh()

    def upsert(self, records: Sequence[GraphRecord]) -> None:
        """Replace what these memories said; the last of equal ids wins."""
        self._change(check_records(records), lambda: ())

    def remove(self, memory_ids: Sequence[str]) -> None:
        """Take back what these memories said."""
        self._change((), lambda: [id for id in dict.fromkeys(memory_ids) if id in self._records])

    def drop(self, scope: ReadScope | None = None) -> None:
        """Take back what the memories of the scope said; None: of every one."""
        everything = scope or _EVERYTHING
        self._change((), lambda: [record.memory_id for record in self._in(everything)])

    def _change(self, put: Sequence[GraphRecord], gone_of: Callable[[], Collection[str]]) -> None:
        with self._lock:
            if self._file is None:
                self._apply(put, gone_of())
                return
            with self._file.alone():
                self._refresh()
                gone = gone_of()
                if put or gone:
                    self._write(self._file, put, gone)
                    self._apply(put, gone)

    def _write(self, file: LinesFile, put: Sequence[GraphRecord], gone: Collection[str]) -> None:
        mostly_blank = file.blank > max(_BLANK, file.size // 2)
        alive = len(self._records) > len(gone) or put
        spans = None if mostly_blank or not alive else file.append(self._lines(put, gone))
        if spans is None:
            left = {id: record for id, record in self._records.items() if id not in set(gone)}
            left.update((record.memory_id, record) for record in put)
            put, gone = list(left.values()), ()
            file.unread()
            others = [line for _, line in file.news()[1] if not self._is_mine(line) and not _takes_back(line)]
            spans = file.replace([*others, *self._lines(put, ())])[len(others) :]
            self._spans.clear()
        ids = [*(record.memory_id for record in put), *gone]
        old = [*file.torn, *(span for id in ids for span in self._spans.pop(id, ()))]
        if old:
            # Not before the new lines are there: a crash in between leaves both, and the last of them counts.
            file.blank_out(old)
            file.torn.clear()
        for id, span in zip(ids, spans, strict=True):
            self._spans[id] = [span]

    def _lines(self, put: Iterable[GraphRecord], gone: Iterable[str]) -> list[str]:
        mine = json.dumps(self._settings.collection_name)
        return [
            *(f"{mine}\t{dump_record(record)}" for record in put),
            *(f"{mine}\t{_TAKEN_BACK}{json.dumps(id)}" for id in gone),
        ]

    def _is_mine(self, line: str) -> bool:
        return line.startswith(f"{json.dumps(self._settings.collection_name)}\t")

    def _refresh(self) -> None:
        """Read what other processes wrote."""
        if self._file is None:
            return
        void, lines = self._file.news()
        if void:
            self._spans.clear()
            self._apply((), list(self._records))
        try:
            for span, line in lines:
                if self._is_mine(line):
                    self._read(span, line.partition("\t")[2])
        except (ValueError, TypeError, IndexError) as error:
            self._file.unread()
            raise BackendResponseError(
                f"The graph in {str(self._file.path)!r} is damaged. Delete the file; the ledger fills it again.",
                backend=self.name,
            ) from error

    def _read(self, span: Place, said: str) -> None:
        if said.startswith(_TAKEN_BACK):
            memory_id = json.loads(said.removeprefix(_TAKEN_BACK))
            self._apply((), [memory_id])
        else:
            record = load_record(said)
            memory_id = record.memory_id
            self._apply([record], ())
        self._spans.setdefault(memory_id, []).append(span)

    def _apply(self, put: Sequence[GraphRecord], gone: Collection[str]) -> None:
        for memory_id in gone:
            self._take(memory_id)
        for record in put:
            self._take(record.memory_id)
            self._put(record)

    def _put(self, record: GraphRecord) -> None:
        self._records[record.memory_id] = record
        owner = record.owner
        for node in record.mentions():
            id = entity_id(owner, node.key)
            if id not in self._graph:
                self._graph.add_node(id, name=node.name, kind=node.kind, owner=owner, mentions={})
            self._graph.nodes[id]["mentions"][record.memory_id] = node
            self._named.setdefault(fold_name(node.name), set()).add(id)
        for edge in edges_of(record):
            key = edge.memory_id, edge.position
            self._graph.add_edge(edge.source_id, edge.target_id, key, relation=edge.relation, said=edge)

    def _take(self, memory_id: str) -> None:
        record = self._records.pop(memory_id, None)
        if record is None:
            return
        for edge in edges_of(record):
            self._graph.remove_edge(edge.source_id, edge.target_id, (memory_id, edge.position))
        for node in record.mentions():
            id = entity_id(record.owner, node.key)
            mentions: dict[str, GraphNode] = self._graph.nodes[id]["mentions"]
            del mentions[memory_id]
            folded = fold_name(node.name)
            if not any(fold_name(other.name) == folded for other in mentions.values()):
                self._forget_name(folded, id)
            if not mentions:
                self._graph.remove_node(id)

    def _forget_name(self, folded: str, id: str) -> None:
        self._named[folded].discard(id)
        if not self._named[folded]:
            del self._named[folded]

    # Reading.

    def _in(self, scope: ReadScope) -> Iterator[GraphRecord]:
        return (
            record
            for record in self._records.values()
            if scope.allows(record.user_id, record.agent_id, record.run_id)
        )

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
        with self._lock:
            self._refresh()
            wanted = None if names is None else {fold_name(name) for name in names}
            ids = (
                self._graph if wanted is None else {id for name in wanted for id in self._named.get(name, ())}
            )
            found: list[GraphEntity] = []
            for id in sorted(id for id in ids if after is None or id > after):
                seen = self._seen_mentions(id, scope, during)
                if any(wanted is None or fold_name(node.name) in wanted for _, node in seen):
                    found.append(entity_of(id, self._graph.nodes[id]["owner"], seen))
                    if len(found) == limit:
                        break
            return found

    def _seen_mentions(self, id: str, scope: ReadScope, during: Span | None) -> list[tuple[str, GraphNode]]:
        mentions: dict[str, GraphNode] = self._graph.nodes[id]["mentions"]
        return [
            (memory_id, node)
            for memory_id, node in mentions.items()
            if _visible(self._records[memory_id], scope, during)
        ]

    def _view(self, scope: ReadScope, during: Span | None) -> Any:
        """Return the graph of the edges that may be seen."""

        def seen(source: str, target: str, key: tuple[str, int]) -> bool:
            return _visible(self._graph.edges[source, target, key]["said"], scope, during)

        return nx.subgraph_view(self._graph, filter_edge=seen)

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
        with self._lock:
            self._refresh()
            view = self._view(scope, during)
            starts = {id for id in entity_ids if id in view}
            away = _distances(view.to_undirected(as_view=True), starts, depth - 1)
            edges: list[GraphEdge] = []
            for near in away:
                for source, target, said in [
                    *view.out_edges(near, data="said"),
                    *view.in_edges(near, data="said"),
                ]:
                    edges.append(replace(said, hop=1 + min(away.get(source, depth), away.get(target, depth))))
        once = {(edge.memory_id, edge.position): edge for edge in edges}
        return sorted(once.values(), key=nearest_first)[:limit]

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
        with self._lock:
            self._refresh()
            view = self._view(scope, during)
            starts, goals = {id for id in a if id in view}, {id for id in b if id in view}
            lines = view.to_undirected(as_view=True)
            from_a, from_b = _distances(lines, starts, max_hops), _distances(lines, goals, max_hops)
            ways: list[tuple[str, ...]] = []
            for hops in range(1, max_hops + 1):
                if len(ways) >= limit:
                    break
                between = [id for id in from_a if id in from_b and from_a[id] + from_b[id] <= hops]
                ways += sorted(_ways(nx.Graph(lines.subgraph(between)), starts, goals, hops))
            return [
                GraphPath(way, [_between(view, one, other) for one, other in pairwise(way)])
                for way in ways[:limit]
            ]

    def count(self, scope: ReadScope) -> GraphCount:
        """Return how much of the scope there is."""
        with self._lock:
            self._refresh()
            records = list(self._in(scope))
        entities = {entity_id(record.owner, node.key) for record in records for node in record.mentions()}
        edges = sum(len(record.edges) for record in records)
        return GraphCount(memories=len(records), entities=len(entities), edges=edges)

    def export(self, scope: ReadScope, *, limit: int = 1000, cursor: str | None = None) -> GraphPage:
        """Return what the memories of the scope say, by memory id."""
        check_limit(limit)
        with self._lock:
            self._refresh()
            found = sorted(self._in(scope), key=lambda record: record.memory_id)
        left = [record for record in found if cursor is None or record.memory_id > cursor]
        page = left[:limit]
        return GraphPage(records=page, cursor=page[-1].memory_id if len(left) > limit else None)

    def info(self) -> GraphInfo:
        """Return what the graph says of itself."""
        return GraphInfo(name=self._settings.collection_name, count=self.count(_EVERYTHING))

    def health(self) -> None:
        """Return if the file can be read."""
        self.open()

    def close(self) -> None:
        """Free the file; what is only in memory stays as long as the object."""
        if self._file is not None:
            self._file.close()


def _takes_back(line: str) -> bool:
    return line.partition("\t")[2].startswith(_TAKEN_BACK)


def _visible(said: GraphRecord | GraphEdge, scope: ReadScope, during: Span | None) -> bool:
    return scope.allows(said.user_id, said.agent_id, said.run_id) and (
        during is None or during.meets(said.valid_from, said.valid_until, said.expires_at)
    )


def _distances(lines: Any, starts: Collection[str], most: int) -> dict[str, int]:
    """Return how many steps entities are away from the nearest start, up to a number."""
    if not starts:
        return {}
    # From all of them at once: a view counts its nodes anew for each search.
    return nx.multi_source_dijkstra_path_length(lines, set(starts), cutoff=most, weight=_one_step)


def _one_step(*_: Any) -> int:
    return 1


def _ways(lines: Any, starts: set[str], goals: set[str], hops: int) -> Iterator[tuple[str, ...]]:
    """Yield the ways of exactly so many steps that go through neither end."""
    ends = starts | goals
    for start in starts - goals:
        for goal in goals - starts:
            inner = lines.subgraph([id for id in lines if id not in ends or id in (start, goal)])
            if start in inner and goal in inner:
                for way in nx.all_simple_paths(inner, start, goal, cutoff=hops):
                    if len(way) == hops + 1:
                        yield tuple(way)


def _between(view: Any, one: str, other: str) -> list[GraphEdge]:
    """Return everything that connects two entities, in either direction."""
    edges: list[GraphEdge] = [
        said
        for source, target in ((one, other), (other, one))
        if view.has_edge(source, target)
        for said in (data["said"] for data in view[source][target].values())
    ]
    return sorted(edges, key=nearest_first)
