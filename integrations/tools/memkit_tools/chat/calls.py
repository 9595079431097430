"""The methods of a chat API with a memory around them."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import isawaitable
from typing import Any

from memkit.runtime import run_inline

from .memory import Keeper
from .streams import AsyncStream, AsyncStreamManager, RawStream, Stream, StreamManager
from .turns import Answer, Shape, Turn

Method = Callable[..., Any]


class Calls:
    """A resource of a sync client: `create`, `parse` and `stream` recall and remember; the rest is its own."""

    def __init__(self, inner: Any, shape: Shape, keeper: Keeper, *, raw: bool = False) -> None:
        self._inner = inner
        self._shape = shape
        self._keeper = keeper
        self._raw = raw

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name in ("create", "parse"):
            return self._call(found)
        if name == "stream":
            return self._stream(found)
        if name == "with_raw_response":
            return type(self)(found, self._shape, self._keeper, raw=True)
        return found

    def _call(self, method: Method) -> Method:
        @wraps(method)
        def call(**request: Any) -> Any:
            ids = self._keeper.take_ids(request)
            turn, request = run_inline(self._keeper.begin(self._shape, ids, request))
            try:
                response = method(**request)
            except BaseException:
                self._keeper.leave(turn)
                raise
            if request.get("stream") is True:
                return self._streaming(Stream, response, turn)
            run_inline(self._keeper.end(turn, lambda: self._answer(response)))
            return response

        return call

    def _stream(self, method: Method) -> Method:
        @wraps(method)
        def stream(**request: Any) -> StreamManager:
            return StreamManager(method, self._shape, self._keeper, self._keeper.take_ids(request), request)

        return stream

    def _streaming(self, kind: type[Stream | AsyncStream], response: Any, turn: Turn | None) -> Any:
        def wrap(inner: Any) -> Stream | AsyncStream:
            return kind(inner, self._shape, self._keeper, turn)

        return RawStream(response, wrap) if self._raw else wrap(response)

    def _answer(self, response: Any) -> Answer:
        return self._shape.answer(response.parse() if self._raw else response)


class AsyncCalls(Calls):
    """Async version of `Calls`."""

    def _call(self, method: Method) -> Method:
        @wraps(method)
        async def call(**request: Any) -> Any:
            ids = self._keeper.take_ids(request)
            turn, request = await self._keeper.begin(self._shape, ids, request)
            try:
                response = await method(**request)
            except BaseException:
                self._keeper.leave(turn)
                raise
            if request.get("stream") is True:
                return self._streaming(AsyncStream, response, turn)
            await self._keeper.end(turn, lambda: self._answer_of(response))
            return response

        return call

    async def _answer_of(self, response: Any) -> Answer:
        if not self._raw:
            return self._shape.answer(response)
        parsed = response.parse()
        return self._shape.answer(await parsed if isawaitable(parsed) else parsed)

    def _stream(self, method: Method) -> Method:
        @wraps(method)
        def stream(**request: Any) -> AsyncStreamManager:
            return AsyncStreamManager(
                method, self._shape, self._keeper, self._keeper.take_ids(request), request
            )

        return stream
