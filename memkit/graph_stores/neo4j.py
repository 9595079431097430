"""Neo4j 5.7 or newer, and what speaks Bolt and Cypher like it: https://neo4j.com. Needs the extra `neo4j`."""

from __future__ import annotations

import logging
from collections.abc import Coroutine, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar
from uuid import uuid4

from memkit.errors import AuthenticationError, BackendResponseError
from memkit.graph_stores import neo4j_cypher as cypher
from memkit.graph_stores import walk
from memkit.graph_stores.base import (
    GraphCount,
    GraphEdge,
    GraphEntity,
    GraphInfo,
    GraphPage,
    GraphPath,
    GraphRecord,
    GraphStore,
    Span,
    fold_name,
)
from memkit.graph_stores.neo4j_sessions import Neo4jSessions, Neo4jSettings, Work, is_forbidden
from memkit.graph_stores.support import check_limit, check_records, storable
from memkit.scope import ReadScope

if TYPE_CHECKING:
    from neo4j import Driver

T = TypeVar("T")

log: Final = logging.getLogger("memkit")
_BATCH: Final = 500
"""Memories in one transaction."""
_EVERYTHING: Final = ReadScope(everyone=True)
_TWINS: Final = (
    "aopen", "aupsert", "aremove", "afind_entities", "aneighbours", "apaths", "acount", "aexport", "adrop", "ainfo",
    "ahealth",
)  # fmt: skip


class Neo4jStore(GraphStore):
    """A graph in a Neo4j database, beside whatever else is in it.

    Everything is read where it is written (at the leader of a cluster), so that each process sees what others wrote.
    """

    name = "neo4j"
    Settings = Neo4jSettings
    capabilities = frozenset({"native_async", "persistent", "multi_process", "server"})

    def __init__(self, settings: Neo4jSettings | None = None, *, client: Driver | None = None) -> None:
        self._settings = settings or Neo4jSettings()
        self.patience_s = self._settings.patience_s
        self._sessions = Neo4jSessions(self.name, self._settings, client)
        self._names = cypher.Names(self._settings.collection_name)
        self._run, self._arun = self._sessions.run, self._sessions.arun
        if client is not None:
            # A driver without an event loop: its calls run in threads.
            self.capabilities = self.capabilities - {"native_async"}
            for twin in _TWINS:
                setattr(self, twin, None)

    # The graph.

    def open(self) -> None:
        """Make the constraints and indexes, where the server takes them and the user may."""
        for text in cypher.SCHEMA:
            try:
                self._run(lambda text=text: cypher.statement(text))
            except (AuthenticationError, BackendResponseError) as error:
                _go_on_without(text, error)

    async def aopen(self) -> None:
        """Like `open`, awaited."""
        for text in cypher.SCHEMA:
            try:
                await self._arun(lambda text=text: cypher.statement(text))
            except (AuthenticationError, BackendResponseError) as error:
                _go_on_without(text, error)

    def upsert(self, records: Sequence[GraphRecord]) -> None:
        """Replace what these memories said, some hundreds in a transaction; the last of equal ids wins."""
        for batch in _batches(check_records(records)):
            self._run(lambda batch=batch: self._upsert(batch), alone=True)

    async def aupsert(self, records: Sequence[GraphRecord]) -> None:
        """Like `upsert`, awaited."""
        for batch in _batches(check_records(records)):
            await self._arun(lambda batch=batch: self._upsert(batch), alone=True)

    def _upsert(self, batch: Sequence[GraphRecord]) -> Work[None]:
        return cypher.upsert(self._names, batch, str(uuid4()), base_label=self._settings.base_label)

    def remove(self, memory_ids: Sequence[str]) -> None:
        """Take back what these memories said, with the entities that no memory names any more."""
        for batch in _batches(storable(memory_ids)):
            self._run(lambda batch=batch: cypher.remove(self._names, batch, str(uuid4())), alone=True)

    async def aremove(self, memory_ids: Sequence[str]) -> None:
        """Like `remove`, awaited."""
        for batch in _batches(storable(memory_ids)):
            await self._arun(lambda batch=batch: cypher.remove(self._names, batch, str(uuid4())), alone=True)

    def drop(self, scope: ReadScope | None = None) -> None:
        """Take back what the memories of the scope said; None: of every memory of this graph."""
        within = scope or _EVERYTHING
        while ids := self._run(lambda: cypher.memory_ids(self._names, within, _BATCH)):
            self.remove(ids)

    async def adrop(self, scope: ReadScope | None = None) -> None:
        """Like `drop`, awaited."""
        within = scope or _EVERYTHING
        while ids := await self._arun(lambda: cypher.memory_ids(self._names, within, _BATCH)):
            await self.aremove(ids)

    # Reading.

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
        return self._run(lambda: self._find(names, scope, during, limit, after))

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
        return await self._arun(lambda: self._find(names, scope, during, limit, after))

    def _find(
        self,
        names: Sequence[str] | None,
        scope: ReadScope,
        during: Span | None,
        limit: int,
        after: str | None,
    ) -> Work[list[GraphEntity]]:
        folded = None if names is None else storable([fold_name(name) for name in names])
        return cypher.find_entities(self._names, folded, scope, during, limit, after)

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
        return self._walk(walk.neighbours(storable(entity_ids), depth=depth, limit=limit), scope, during)

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
        return await self._awalk(
            walk.neighbours(storable(entity_ids), depth=depth, limit=limit), scope, during
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
        ways = walk.paths(storable(a), storable(b), max_hops=max_hops, limit=limit)
        return self._walk(ways, scope, during)

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
        ways = walk.paths(storable(a), storable(b), max_hops=max_hops, limit=limit)
        return await self._awalk(ways, scope, during)

    def _walk(self, way: walk.Walk[T], scope: ReadScope, during: Span | None) -> T:
        def edges(step: walk.Step) -> list[GraphEdge]:
            return self._run(lambda: cypher.edges(self._names, step, scope, during))

        return walk.drive(way, edges)

    def _awalk(self, way: walk.Walk[T], scope: ReadScope, during: Span | None) -> Coroutine[Any, Any, T]:
        def edges(step: walk.Step) -> Coroutine[Any, Any, list[GraphEdge]]:
            return self._arun(lambda: cypher.edges(self._names, step, scope, during))

        return walk.adrive(way, edges)

    def count(self, scope: ReadScope) -> GraphCount:
        """Return how much of the scope there is."""
        return self._run(lambda: cypher.count(self._names, scope))

    async def acount(self, scope: ReadScope) -> GraphCount:
        """Like `count`, awaited."""
        return await self._arun(lambda: cypher.count(self._names, scope))

    def export(self, scope: ReadScope, *, limit: int = 1000, cursor: str | None = None) -> GraphPage:
        """Return what the memories of the scope say, by the ids of their nodes."""
        check_limit(limit)
        return self._run(lambda: cypher.export(self._names, scope, limit, cursor))

    async def aexport(self, scope: ReadScope, *, limit: int = 1000, cursor: str | None = None) -> GraphPage:
        """Like `export`, awaited."""
        check_limit(limit)
        return await self._arun(lambda: cypher.export(self._names, scope, limit, cursor))

    def info(self) -> GraphInfo:
        """Return what the graph says of itself."""
        return GraphInfo(name=self._settings.collection_name, count=self.count(_EVERYTHING))

    async def ainfo(self) -> GraphInfo:
        """Like `info`, awaited."""
        return GraphInfo(name=self._settings.collection_name, count=await self.acount(_EVERYTHING))

    def health(self) -> None:
        """Return if the database answers."""
        self._run(lambda: cypher.statement("RETURN 1 AS one"))

    async def ahealth(self) -> None:
        """Like `health`, awaited."""
        await self._arun(lambda: cypher.statement("RETURN 1 AS one"))

    def close(self) -> None:
        """Close the drivers that this store opened."""
        self._sessions.close()

    async def aclose(self) -> None:
        """Close the driver of this event loop."""
        await self._sessions.aclose()


def _batches(things: Sequence[T]) -> Iterator[Sequence[T]]:
    return (things[start : start + _BATCH] for start in range(0, len(things), _BATCH))


def _go_on_without(text: str, error: AuthenticationError | BackendResponseError) -> None:
    """Go on without an index that may not be made; what refuses the login is raised again."""
    if isinstance(error, AuthenticationError) and not is_forbidden(error):
        raise error
    log.warning(
        "The graph works without this, but slower, and two writers may make one entity twice: %s", text
    )
