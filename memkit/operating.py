"""The calls of operators, and the end of a memory: what is active, what lags behind, and putting it right."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Self

from .arguments import checks_arguments
from .graph import AsyncWithGraph, WithGraph
from .progress import Progress
from .runtime import run_inline
from .types import ChangeResult, Health, ImportResult, RepairReport, ScopePage, Stats


@checks_arguments
class Operating(WithGraph):
    """The part of [`Memory`][memkit.Memory] for whoever runs it; refused on a bound handle."""

    def scopes(
        self,
        *,
        kind: str = "user",
        prefix: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
        allow_global: bool = True,
    ) -> ScopePage:
        """Return a page of owners with counts and their last change, ordered by id.

        Args:
            kind: `user`, `agent` or `run`.
            prefix: Only ids that begin with it.
            limit: At most so many on the page.
            cursor: The `next_cursor` of the page before.
            allow_global: Must be True: this reads across users.
        """
        from .engine.read import scopes

        request = self._requests.scopes_request(self._bound, kind, prefix, limit, cursor, allow_global)
        return run_inline(scopes(self._engine, request))

    def stats(self) -> Stats:
        """Return counts and sizes."""
        from .engine.operate import stats

        self._bound.refuse("stats")
        return run_inline(stats(self._engine))

    def health(self) -> Health:
        """Return for every part what was chosen, why, and what is wrong with it."""
        from .engine.operate import health

        self._bound.refuse("health")
        return run_inline(health(self._engine))

    def repair(self, *, from_index: bool = False, progress: Progress = False) -> RepairReport:
        """Finish unfinished extractions, bring indexes up to date, and record what has expired.

        Args:
            from_index: True first takes the records of the vector store that this ledger does not know into it, with
                their ids, times and vectors; `recovered` says what became of them. It may be called again.
            progress: True shows a bar on standard error meanwhile; a function is told (done, total).

        Raises:
            ConfigurationError: `from_index` without an external vector store.
            BackendError: With `from_index`, the vector store cannot be reached.
        """
        from .engine.operate import repair

        self._bound.refuse("repair")
        self._settle()
        return run_inline(repair(self._engine, from_index=from_index, progress=progress))

    def rebuild(
        self,
        *,
        vector_store: Any = None,
        embedder: Any = None,
        graph_store: Any = None,
        progress: Progress = False,
    ) -> ChangeResult:
        """Project the ledger again, onto another index or with another embedder; no model is called.

        Searches see the old vectors until all new ones are there, and writes go on. A rebuild that ended early goes on
        where it was when it is called again.

        Args:
            vector_store: The index to fill and use from now on; None fills the current one.
            embedder: The embedder to use from now on; every memory is embedded again.
            graph_store: The graph to fill and use from now on.
            progress: True shows bars on standard error; a function is told (done, total).

        Raises:
            BackendError: The index or the embedder cannot be reached.
            ConflictError: Another process rebuilds this store now.
        """
        from .engine.rebuild import rebuild

        self._bound.refuse("rebuild")
        return run_inline(
            rebuild(
                self._engine,
                vector_store=vector_store,
                embedder=embedder,
                graph_store=graph_store,
                progress=progress,
            )
        )

    def import_mem0(
        self,
        source: Any,
        *,
        collection: str | None = None,
        history: str | Path | None = None,
        dry_run: bool = False,
        progress: Progress = False,
    ) -> ImportResult:
        """Take the memories of a collection that mem0 wrote, with their ids, times, scopes and metadata.

        Nothing is written to mem0's database, and no model is called. Vectors are taken over where they are those of
        this memory's embedder, which a few texts tell, and made anew elsewhere. What is there already is left alone, so
        it may be called again, and goes on where it ended.

        Args:
            source: mem0's configuration (a dict or a JSON or TOML file), a folder of Qdrant or Chroma, the URL of a
                Qdrant server or of a PostgreSQL database.
            collection: Its name; None is the configuration's, else `mem0`.
            history: mem0's `history.db`, for the versions before; None is the configuration's, where it is there.
            dry_run: True writes nothing and says what would be stored.
            progress: True shows a bar on standard error; a function is told (done, total).

        Raises:
            ConfigurationError: There is no such database or collection.
            BackendError: It cannot be reached or read.
        """
        from .transfer.mem0 import import_mem0

        self._bound.refuse("import_mem0")
        return run_inline(
            import_mem0(
                self._engine,
                source,
                collection=collection,
                history=history,
                dry_run=dry_run,
                progress=progress,
            )
        )

    def reset(self) -> None:
        """Erase everything in the store, for all users."""
        from .engine.operate import reset

        self._bound.refuse("reset")
        run_inline(reset(self._engine))

    def close(self) -> None:
        """Finish background work and free everything; may be called twice."""
        self._close()

    def __enter__(self) -> Self:
        """Return the memory itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()


@checks_arguments
class AsyncOperating(AsyncWithGraph):
    """Async version of `Operating`."""

    async def scopes(
        self,
        *,
        kind: str = "user",
        prefix: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
        allow_global: bool = True,
    ) -> ScopePage:
        """Async version of `Memory.scopes`."""
        from .engine.read import scopes

        request = self._requests.scopes_request(self._bound, kind, prefix, limit, cursor, allow_global)
        return await scopes(self._engine, request)

    async def stats(self) -> Stats:
        """Async version of `Memory.stats`."""
        from .engine.operate import stats

        self._bound.refuse("stats")
        return await stats(self._engine)

    async def health(self) -> Health:
        """Async version of `Memory.health`."""
        from .engine.operate import health

        self._bound.refuse("health")
        return await health(self._engine)

    async def repair(self, *, from_index: bool = False, progress: Progress = False) -> RepairReport:
        """Async version of `Memory.repair`."""
        from .engine.operate import repair

        self._bound.refuse("repair")
        await self._engine.rt.call(self._settle, None)
        return await repair(self._engine, from_index=from_index, progress=progress)

    async def rebuild(
        self,
        *,
        vector_store: Any = None,
        embedder: Any = None,
        graph_store: Any = None,
        progress: Progress = False,
    ) -> ChangeResult:
        """Async version of `Memory.rebuild`."""
        from .engine.rebuild import rebuild

        self._bound.refuse("rebuild")
        return await rebuild(
            self._engine,
            vector_store=vector_store,
            embedder=embedder,
            graph_store=graph_store,
            progress=progress,
        )

    async def import_mem0(
        self,
        source: Any,
        *,
        collection: str | None = None,
        history: str | Path | None = None,
        dry_run: bool = False,
        progress: Progress = False,
    ) -> ImportResult:
        """Async version of `Memory.import_mem0`."""
        from .transfer.mem0 import import_mem0

        self._bound.refuse("import_mem0")
        return await import_mem0(
            self._engine, source, collection=collection, history=history, dry_run=dry_run, progress=progress
        )

    async def reset(self) -> None:
        """Async version of `Memory.reset`."""
        from .engine.operate import reset

        self._bound.refuse("reset")
        await reset(self._engine)

    async def close(self) -> None:
        """Async version of `Memory.close`."""
        await self._aclose()

    async def __aenter__(self) -> Self:
        """Return the memory itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        await self.close()
