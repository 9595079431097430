"""`memory.graph`: what memories say of entities and relations, walked; and entities merged by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .arguments import checks_arguments
from .clock import Instant
from .facade import Facade
from .runtime import run_inline
from .scope import IdLike, ReadIds
from .types import ChangeResult, GraphEntity, GraphEntityPage, Relation

if TYPE_CHECKING:
    from .engine.core import Engine
    from .graph_requests import GraphRequests


class _Face:
    """A graph in the scope of one handle."""

    def __init__(self, memory: Facade) -> None:
        self._memory = memory

    @property
    def _engine(self) -> Engine:
        return self._memory._engine  # pyright: ignore[reportPrivateUsage]

    @property
    def _checked(self) -> GraphRequests:
        from .graph_requests import GraphRequests

        return GraphRequests(self._memory._bound)  # pyright: ignore[reportPrivateUsage]

    def __repr__(self) -> str:
        """Return whose graph it is."""
        return f"<{type(self).__name__} of {self._memory!r}>"


@checks_arguments
class Graph(_Face):
    """What memories say of entities: everything is read from memories of the scope that hold at the time asked for.

    An entity is given by name, or as a `GraphEntity`, which is of one kind. Names are compared without case, blanks,
    articles and marks around them; the speaker is "User", or "I". Without a graph every call raises
    `ConfigurationError`.
    """

    def entity(
        self,
        name: str | GraphEntity,
        *,
        user_id: ReadIds = None,
        agent_id: ReadIds = None,
        run_id: ReadIds = None,
        kind: str | None = None,
        allow_global: bool = False,
    ) -> GraphEntity:
        """Return what is known of an entity now; an empty one, which is false, where no memory names it.

        Args:
            kind: Which of several entities of this name; default the one that most memories name.
            allow_global: Across all users.
        """
        from .engine.graph import entity

        asked = self._checked.name("name", name, kind)
        request = self._checked.read(user_id, agent_id, run_id, allow_global=allow_global)
        return run_inline(entity(self._engine, request, *asked))

    def entities(
        self,
        *,
        user_id: ReadIds = None,
        agent_id: ReadIds = None,
        run_id: ReadIds = None,
        limit: int = 100,
        cursor: str | None = None,
        allow_global: bool = False,
    ) -> GraphEntityPage:
        """Return a page of the entities that memories name now, in a fixed order.

        Args:
            limit: At most so many on the page.
            cursor: The `next_cursor` of the page before.
            allow_global: Across all users.
        """
        from .engine.graph import entities

        request = self._checked.read(user_id, agent_id, run_id, limit=limit, allow_global=allow_global)
        return run_inline(entities(self._engine, request, self._checked.cursor(cursor)))

    def find(
        self,
        text: str,
        *,
        limit: int = 10,
        user_id: ReadIds = None,
        agent_id: ReadIds = None,
        run_id: ReadIds = None,
        allow_global: bool = False,
    ) -> list[GraphEntity]:
        """Return the entities that a text may mean, the likeliest first: a name, a part of one, or a sentence.

        Those that it names come first, then those that share words with it, then those that are spelled alike.

        Args:
            limit: At most so many.
            allow_global: Across all users.
        """
        from .engine.graph_find import find

        asked, _ = self._checked.name("text", text)
        request = self._checked.read(user_id, agent_id, run_id, limit=limit, allow_global=allow_global)
        return run_inline(find(self._engine, request, asked))

    def neighbours(
        self,
        entity: str | GraphEntity,
        *,
        depth: int = 1,
        as_of: Instant | None = None,
        limit: int = 100,
        user_id: ReadIds = None,
        agent_id: ReadIds = None,
        run_id: ReadIds = None,
        allow_global: bool = False,
    ) -> list[Relation]:
        """Return the relations within so many steps of an entity, nearest first, then the latest.

        Args:
            depth: Steps, from 1 to 10; relations lead both ways.
            as_of: What was true then, by what is known now.
            limit: At most so many.
            allow_global: Across all users.

        Returns:
            One relation for all memories that say the same; empty for an unknown entity.

        Raises:
            InvalidInputError: A blank name, or a depth or limit out of range.
        """
        from .engine.graph import neighbours

        name, kind = self._checked.name("entity", entity)
        hops = self._checked.hops("depth", depth)
        request = self._checked.read(
            user_id, agent_id, run_id, as_of=as_of, limit=limit, allow_global=allow_global
        )
        return run_inline(neighbours(self._engine, request, name, kind, hops))

    def paths(
        self,
        a: str | GraphEntity,
        b: str | GraphEntity,
        *,
        max_hops: int = 3,
        as_of: Instant | None = None,
        limit: int = 10,
        user_id: ReadIds = None,
        agent_id: ReadIds = None,
        run_id: ReadIds = None,
        allow_global: bool = False,
    ) -> list[list[str]]:
        """Return the ways from one entity to another as lists of names, both ends included, shortest first.

        Args:
            max_hops: Steps, from 1 to 10; relations lead both ways, and no way visits an entity twice.
            as_of: By what was true then.
            limit: At most so many.
            allow_global: Across all users.
        """
        from .engine.graph import paths

        ends = self._checked.name("a", a), self._checked.name("b", b)
        hops = self._checked.hops("max_hops", max_hops)
        request = self._checked.read(
            user_id, agent_id, run_id, as_of=as_of, limit=limit, allow_global=allow_global
        )
        return run_inline(paths(self._engine, request, *ends, hops))

    def relations(
        self,
        filters: Mapping[str, Any] | None = None,
        *,
        between: Sequence[Instant] | None = None,
        as_of: Instant | None = None,
        limit: int = 100,
        user_id: ReadIds = None,
        agent_id: ReadIds = None,
        run_id: ReadIds = None,
        allow_global: bool = False,
    ) -> list[Relation]:
        """Return the relations of a scope, the latest first; those that hold now unless a time is given.

        Args:
            filters: Over `source`, `relation`, `target`, `source_kind`, `target_kind`, `valid_from`, `valid_until` and
                the metadata of the memories.
            between: Two instants: what was true at any moment from the first to the second.
            as_of: What was true then.
            limit: At most so many.
            allow_global: Across all users.
        """
        from .engine.graph import relations

        filter = self._checked.filter(filters)
        request = self._checked.read(
            user_id, agent_id, run_id, as_of=as_of, between=between, limit=limit, allow_global=allow_global
        )
        return run_inline(relations(self._engine, request, filter))

    def merge(
        self,
        name: str | GraphEntity,
        into: str | GraphEntity,
        *,
        user_id: IdLike | None = None,
        agent_id: IdLike | None = None,
        run_id: IdLike | None = None,
    ) -> ChangeResult:
        """Let an entity be another one from now on, in reads inside the scope; `split` and `undo` take it back.

        No memory is changed.

        Raises:
            InvalidInputError: No memory of the scope names one of them.
        """
        from .engine.graph_change import merge

        asked = self._checked.name("name", name), self._checked.name("into", into)
        return run_inline(merge(self._engine, self._checked.write(user_id, agent_id, run_id), *asked))

    def split(
        self,
        name: str | GraphEntity,
        *,
        user_id: IdLike | None = None,
        agent_id: IdLike | None = None,
        run_id: IdLike | None = None,
    ) -> ChangeResult:
        """Part an entity from the one it was merged into.

        Raises:
            InvalidInputError: No memory of the scope names it.
        """
        from .engine.graph_change import split

        asked, _ = self._checked.name("name", name)
        return run_inline(split(self._engine, self._checked.write(user_id, agent_id, run_id), asked))


@checks_arguments
class AsyncGraph(_Face):
    """Async version of `Graph`: same names, same arguments, awaited."""

    async def entity(
        self,
        name: str | GraphEntity,
        *,
        user_id: ReadIds = None,
        agent_id: ReadIds = None,
        run_id: ReadIds = None,
        kind: str | None = None,
        allow_global: bool = False,
    ) -> GraphEntity:
        """Async version of `Graph.entity`."""
        from .engine.graph import entity

        asked = self._checked.name("name", name, kind)
        request = self._checked.read(user_id, agent_id, run_id, allow_global=allow_global)
        return await entity(self._engine, request, *asked)

    async def entities(
        self,
        *,
        user_id: ReadIds = None,
        agent_id: ReadIds = None,
        run_id: ReadIds = None,
        limit: int = 100,
        cursor: str | None = None,
        allow_global: bool = False,
    ) -> GraphEntityPage:
        """Async version of `Graph.entities`."""
        from .engine.graph import entities

        request = self._checked.read(user_id, agent_id, run_id, limit=limit, allow_global=allow_global)
        return await entities(self._engine, request, self._checked.cursor(cursor))

    async def find(
        self,
        text: str,
        *,
        limit: int = 10,
        user_id: ReadIds = None,
        agent_id: ReadIds = None,
        run_id: ReadIds = None,
        allow_global: bool = False,
    ) -> list[GraphEntity]:
        """Async version of `Graph.find`."""
        from .engine.graph_find import find

        asked, _ = self._checked.name("text", text)
        request = self._checked.read(user_id, agent_id, run_id, limit=limit, allow_global=allow_global)
        return await find(self._engine, request, asked)

    async def neighbours(
        self,
        entity: str | GraphEntity,
        *,
        depth: int = 1,
        as_of: Instant | None = None,
        limit: int = 100,
        user_id: ReadIds = None,
        agent_id: ReadIds = None,
        run_id: ReadIds = None,
        allow_global: bool = False,
    ) -> list[Relation]:
        """Async version of `Graph.neighbours`."""
        from .engine.graph import neighbours

        name, kind = self._checked.name("entity", entity)
        hops = self._checked.hops("depth", depth)
        request = self._checked.read(
            user_id, agent_id, run_id, as_of=as_of, limit=limit, allow_global=allow_global
        )
        return await neighbours(self._engine, request, name, kind, hops)

    async def paths(
        self,
        a: str | GraphEntity,
        b: str | GraphEntity,
        *,
        max_hops: int = 3,
        as_of: Instant | None = None,
        limit: int = 10,
        user_id: ReadIds = None,
        agent_id: ReadIds = None,
        run_id: ReadIds = None,
        allow_global: bool = False,
    ) -> list[list[str]]:
        """Async version of `Graph.paths`."""
        from .engine.graph import paths

        ends = self._checked.name("a", a), self._checked.name("b", b)
        hops = self._checked.hops("max_hops", max_hops)
        request = self._checked.read(
            user_id, agent_id, run_id, as_of=as_of, limit=limit, allow_global=allow_global
        )
        return await paths(self._engine, request, *ends, hops)

    async def relations(
        self,
        filters: Mapping[str, Any] | None = None,
        *,
        between: Sequence[Instant] | None = None,
        as_of: Instant | None = None,
        limit: int = 100,
        user_id: ReadIds = None,
        agent_id: ReadIds = None,
        run_id: ReadIds = None,
        allow_global: bool = False,
    ) -> list[Relation]:
        """Async version of `Graph.relations`."""
        from .engine.graph import relations

        filter = self._checked.filter(filters)
        request = self._checked.read(
            user_id, agent_id, run_id, as_of=as_of, between=between, limit=limit, allow_global=allow_global
        )
        return await relations(self._engine, request, filter)

    async def merge(
        self,
        name: str | GraphEntity,
        into: str | GraphEntity,
        *,
        user_id: IdLike | None = None,
        agent_id: IdLike | None = None,
        run_id: IdLike | None = None,
    ) -> ChangeResult:
        """Async version of `Graph.merge`."""
        from .engine.graph_change import merge

        asked = self._checked.name("name", name), self._checked.name("into", into)
        return await merge(self._engine, self._checked.write(user_id, agent_id, run_id), *asked)

    async def split(
        self,
        name: str | GraphEntity,
        *,
        user_id: IdLike | None = None,
        agent_id: IdLike | None = None,
        run_id: IdLike | None = None,
    ) -> ChangeResult:
        """Async version of `Graph.split`."""
        from .engine.graph_change import split

        asked, _ = self._checked.name("name", name)
        return await split(self._engine, self._checked.write(user_id, agent_id, run_id), asked)


class WithGraph(Facade):
    """The part of [`Memory`][memkit.Memory] that has the graph."""

    @property
    def graph(self) -> Graph:
        """What memories say of entities and relations; in the scope of the handle, where it is bound."""
        return Graph(self)


class AsyncWithGraph(Facade):
    """The part of [`AsyncMemory`][memkit.AsyncMemory] that has the graph."""

    @property
    def graph(self) -> AsyncGraph:
        """Async version of `Memory.graph`."""
        return AsyncGraph(self)
