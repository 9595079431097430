"""What `Memory` and `AsyncMemory` share: parts, the scope of a handle, hooks, and the end of a process."""

from __future__ import annotations

import atexit
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from . import requests
from .config import MemoryConfig, load_config
from .errors import ConfigurationError
from .requests import Bound
from .runtime import AsyncRuntime, SyncRuntime
from .scope import ReadScope, Scope
from .types import AddResult, SearchResult

if TYPE_CHECKING:
    from .aio import AsyncMemory
    from .background import Background
    from .engine.core import Engine
    from .engine.search import SearchRequest
    from .memory import Memory
    from .parts import Parts

F = TypeVar("F", bound="Facade")

_open: weakref.WeakValueDictionary[int, Facade] = weakref.WeakValueDictionary()


class Facade:
    """The part of a memory that is the same with and without `await`."""

    _requests: ClassVar[Any] = requests
    _runtime_class: ClassVar[type[SyncRuntime | AsyncRuntime]] = SyncRuntime

    _root: Facade
    _parts_made: Parts | None
    _engines_made: dict[type[SyncRuntime | AsyncRuntime], Engine]
    _background_made: Background | None

    def _setup(self, path: object, given: dict[str, Any]) -> None:
        if isinstance(path, Mapping | MemoryConfig):
            extra = [name for name, value in given.items() if not _is_default(name, value)]
            if extra:
                raise ConfigurationError(
                    f"A configuration was given, and {', '.join(extra)} beside it. Put everything in one place."
                )
            self._config = load_config(path)
        else:
            self._config = MemoryConfig(path=path, **given)
        self._root = self
        self._engines_made = {}
        self._background_made = None
        from .parts import Parts

        self._parts_made = Parts(self._config)
        self._bound = Bound(None, self._parts_made.schemas)
        self._parts_made.wake = self._wake
        self._parts_made.recover = self._recover
        _open[id(self)] = self

    @property
    def _parts(self) -> Parts:
        parts = self._root._parts_made
        assert parts is not None
        return parts

    @property
    def _engine(self) -> Engine:
        engines = self._root._engines_made
        made = engines.get(self._runtime_class)
        if made is None:
            from .engine.core import Engine

            # Of two threads that come at once, one makes the engine that both use.
            made = engines.setdefault(self._runtime_class, Engine(self._parts, self._runtime_class()))
        return made

    @property
    def _background(self) -> Background:
        root = self._root
        if root._background_made is None:
            from .background import Background

            root._background_made = Background(self._parts)
        return root._background_made

    def _wake(self) -> None:
        self._background.wake()

    def _recover(self) -> None:
        self._background.wake(recover=True)

    def _settle(self) -> None:
        """Wait for what this memory's own worker has in hand."""
        if self._root._background_made is not None:
            self._root._background_made.settle()

    def _flush(self, timeout: float | None) -> None:
        self._background.flush(timeout)

    def _close(self) -> None:
        """Finish background work and free everything; a handle does nothing."""
        if self._root is not self:
            return
        _open.pop(id(self), None)
        if self._background_made is not None:
            self._background_made.close()
        for engine in list(self._engines_made.values()):
            if isinstance(engine.rt, SyncRuntime | AsyncRuntime):
                engine.rt.close()
        self._parts.close()

    async def _aclose(self) -> None:
        """Do the same without blocking the loop, then close async clients."""
        if self._root is not self:
            return
        await self._parts.aclose_clients()
        import asyncio

        await asyncio.to_thread(self._close)

    def _bind(self, scope: Scope) -> Self:
        return self._handle(type(self), Bound(scope, self._bound.schemas))

    def _handle(self, face: type[F], bound: Bound) -> F:
        """Return another handle on the same parts, engine and background worker."""
        handle = object.__new__(face)
        if face is type(self):
            # What the constructor of a subclass has set; a method put on one object is that object's alone.
            own = {name: value for name, value in vars(self).items() if not hasattr(face, name)}
            handle.__dict__.update(own)
        handle._config = self._config
        handle._bound = bound
        handle._root = self._root
        handle._parts_made = None
        handle._engines_made = {}
        handle._background_made = None
        return handle

    # The other face.

    def to_async(self) -> AsyncMemory:
        """Return the same memory to be awaited; it shares ledger, caches, models, background work and scope.

        Closing the handle leaves the memory open; an `AsyncMemory` returns itself.
        """
        from .aio import AsyncMemory

        return self if isinstance(self, AsyncMemory) else self._handle(AsyncMemory, self._bound)

    def to_sync(self) -> Memory:
        """Return the same memory to be called without `await`; it shares ledger, caches, models and scope.

        Closing the handle leaves the memory open; a `Memory` returns itself.
        """
        from .memory import Memory

        return self if isinstance(self, Memory) else self._handle(Memory, self._bound)

    @property
    def scope(self) -> Scope | None:
        """The scope that `bind` fixed; None on a memory that is not bound."""
        return self._bound.scope

    @property
    def chosen(self) -> dict[str, str]:
        """For each part built so far, what was chosen and why; reading it builds nothing."""
        return dict(self._parts.choices)

    # Copies.

    def __copy__(self) -> Self:
        """Return the memory itself: two objects over one set of parts would close them twice."""
        return self

    def __deepcopy__(self, _memo: object) -> Self:
        """Return the memory itself: frameworks copy what holds it, and a database has no copy."""
        return self

    def __reduce__(self) -> tuple[object, ...]:
        """Let another process open the same store with the same configuration and scope.

        Raises:
            ConfigurationError: The memory is kept in this process alone.
        """
        file = self._parts.file
        if file is None:
            raise ConfigurationError(
                "A memory kept in ':memory:' cannot be sent to another process. Give it a `path`."
            )
        config = self._config.model_copy(update={"path": str(file.absolute())})
        return (_reopen, (type(self), config, self._bound.scope))

    def __repr__(self) -> str:
        """Return where it is and what it is bound to; no secrets."""
        where = self._parts.location
        scope = "" if self._bound.scope is None else f", {self._bound.scope.as_dict()}"
        return f"<{type(self).__name__} {where!r}{scope}>"

    # Hooks.

    def _hooks(self, name: str) -> Sequence[Any]:
        hooks = self._config.hooks
        if not hooks:
            return ()
        return [method for hook in hooks if (method := getattr(hook, name, None)) is not None]

    def _before_add(self, messages: Any, user_id: object, agent_id: object, run_id: object) -> Any:
        hooks = self._hooks("before_add")
        if hooks:
            scope = self._bound.write(user_id, agent_id, run_id)
            for hook in hooks:
                changed = hook(messages, scope)
                messages = messages if changed is None else changed
        return messages

    def _after_add(self, result: AddResult, scope: Scope) -> AddResult:
        for hook in self._hooks("after_add"):
            changed = hook(result, scope)
            result = result if changed is None else changed
        return result

    def _before_search(self, request: SearchRequest) -> SearchRequest:
        query = request.query
        for hook in self._hooks("before_search"):
            changed = hook(query, request.scope)
            query = query if changed is None else changed
        return request if query == request.query else replace(request, query=query)

    def _after_search(self, result: SearchResult, scope: ReadScope) -> SearchResult:
        for hook in self._hooks("after_search"):
            changed = hook(result, scope)
            result = result if changed is None else changed
        return result


def _is_default(name: str, value: object) -> bool:
    if name in ("vector_store", "llm", "embedder"):
        return isinstance(value, str) and value == "auto"
    return value is None or (name in ("hooks", "schemas") and isinstance(value, tuple) and not value)


def _reopen(face: Callable[[MemoryConfig], Facade], config: MemoryConfig, scope: Scope | None) -> Facade:
    memory = face(config)
    return memory if scope is None else memory._bind(scope)  # pyright: ignore[reportPrivateUsage]


def open_memories() -> list[Facade]:
    """Return the memories of this process that are not closed; handles are none."""
    # The list of references is made at once, while other threads open and close memories.
    return [memory for reference in _open.valuerefs() if (memory := reference()) is not None]


@atexit.register
def _close_all() -> None:
    for memory in open_memories():
        memory._close()  # pyright: ignore[reportPrivateUsage]
