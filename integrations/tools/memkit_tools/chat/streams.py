"""Streams of an SDK that remember their turn with the event that ends the answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from inspect import isawaitable
from types import TracebackType
from typing import Any, Self

from memkit.runtime import run_inline

from ..waiting import Ids
from .memory import Keeper
from .turns import Answer, Shape, Turn, get, kind


class _Reading:
    """What the streams of both kinds do with what they read."""

    def __init__(self, inner: Any, shape: Shape, keeper: Keeper, turn: Turn | None) -> None:
        self._inner = inner
        self._keeper = keeper
        self._turn = turn
        self._observer = shape.observer()

    def _seen(self, event: Any) -> Answer | None:
        """Return the answer with the event that ends it, once."""
        if self._turn is None:
            return None
        try:
            return self._observer.see(event)
        except (
            AttributeError,
            TypeError,
        ) as error:  # an event in a shape of its own is the caller's all the same
            self._keeper.failures.note("remember", error)
            return None

    def _leave(self) -> None:
        """Let go of a turn whose answer has not come whole."""
        self._keeper.leave(self._turn)
        self._turn = None


class Stream(_Reading):
    """A stream as the SDK returns it; the turn is remembered before the event that ends the answer is given out."""

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        try:
            event = next(self._inner)
        except BaseException:
            self._leave()
            raise
        if (answer := self._seen(event)) is not None:
            turn, self._turn = self._turn, None
            run_inline(self._keeper.end(turn, lambda: answer))
        return event

    def __enter__(self) -> Self:
        self._inner.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()
        self._inner.__exit__(kind, error, trace)

    def close(self) -> None:
        """Release the connection; what has not come of the answer does not come any more."""
        self._leave()
        self._inner.close()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name == "text_stream":
            return (get(event, "text") for event in self if kind(event) == "text")
        return self._read_first(found) if name.startswith("get_final") or name == "until_done" else found

    def _read_first(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def read() -> Any:
            for _ in self:
                pass
            found = method()
            return self if found is self._inner else found

        return read


class AsyncStream(_Reading):
    """Async version of `Stream`."""

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        try:
            event = await anext(self._inner)
        except BaseException:
            self._leave()
            raise
        if (answer := self._seen(event)) is not None:
            turn, self._turn = self._turn, None
            await self._keeper.end(turn, lambda: answer)
        return event

    async def __aenter__(self) -> Self:
        await self._inner.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()
        await self._inner.__aexit__(kind, error, trace)

    async def close(self) -> None:
        """Async version of `Stream.close`."""
        self._leave()
        await self._inner.close()

    async def aclose(self) -> None:
        """Do the same as `close`."""
        await self.close()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name == "text_stream":
            return (get(event, "text") async for event in self if kind(event) == "text")
        return self._read_first(found) if name.startswith("get_final") or name == "until_done" else found

    def _read_first(self, method: Callable[..., Any]) -> Callable[..., Any]:
        async def read() -> Any:
            async for _ in self:
                pass
            found = await method()
            return self if found is self._inner else found

        return read


class StreamManager:
    """What `stream()` of a sync client returns: the request is sent when it is entered."""

    def __init__(
        self, method: Callable[..., Any], shape: Shape, keeper: Keeper, ids: Ids, request: dict[str, Any]
    ) -> None:
        self._method, self._shape, self._keeper, self._ids, self._request = (
            method,
            shape,
            keeper,
            ids,
            request,
        )

    def __enter__(self) -> Stream:
        turn, request = run_inline(self._keeper.begin(self._shape, self._ids, self._request))
        try:
            self._manager = self._method(**request)
            inner = self._manager.__enter__()
        except BaseException:
            self._keeper.leave(turn)
            raise
        self._stream = Stream(inner, self._shape, self._keeper, turn)
        return self._stream

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()
        self._manager.__exit__(kind, error, trace)


class AsyncStreamManager:
    """Async version of `StreamManager`."""

    def __init__(
        self, method: Callable[..., Any], shape: Shape, keeper: Keeper, ids: Ids, request: dict[str, Any]
    ) -> None:
        self._method, self._shape, self._keeper, self._ids, self._request = (
            method,
            shape,
            keeper,
            ids,
            request,
        )

    async def __aenter__(self) -> AsyncStream:
        turn, request = await self._keeper.begin(self._shape, self._ids, self._request)
        try:
            self._manager = self._method(**request)
            inner = await self._manager.__aenter__()
        except BaseException:
            self._keeper.leave(turn)
            raise
        self._stream = AsyncStream(inner, self._shape, self._keeper, turn)
        return self._stream

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stream.close()
        await self._manager.__aexit__(kind, error, trace)


class RawStream:
    """A raw response whose `parse()` returns a stream that remembers."""

    def __init__(self, inner: Any, wrap: Callable[[Any], Any]) -> None:
        self._inner, self._wrap = inner, wrap

    def parse(self, **arguments: Any) -> Any:
        """Return the stream, to be awaited where the SDK's is."""
        found = self._inner.parse(**arguments)
        return self._later(found) if isawaitable(found) else self._wrap(found)

    async def _later(self, found: Awaitable[Any]) -> Any:
        return self._wrap(await found)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)
