"""`with_memory`: a client of OpenAI's or Anthropic's SDK that knows what its users said before."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from types import TracebackType
from typing import Any, Final, Literal, Protocol, Self, cast, overload

from memkit import AsyncMemory, Memory
from memkit.errors import ConfigurationError
from memkit.runtime import run_inline
from memkit.scope import IdLike

from .anthropic_api import Messages
from .calls import AsyncCalls, Calls
from .memory import Keeper
from .openai_api import ChatCompletions, Responses
from .turns import Shape

__all__ = ["AsyncChatClient", "ChatClient", "with_memory"]

Tree = Mapping[str, "Shape | Tree"]

_APIS: Final[Tree] = {
    "chat": {"completions": ChatCompletions()},
    "responses": Responses(),
    "messages": Messages(),
}
_TREE: Final[Tree] = {**_APIS, "beta": _APIS}
_SEPARATORS: Final = 2
"""Tokens between the parts of the system prompt."""


class SyncClient(Protocol):
    """An `OpenAI()`, an `Anthropic()`, or another client made like them."""

    def __enter__(self) -> Any:
        """Enter the client."""
        ...


class AsyncClient(Protocol):
    """An `AsyncOpenAI()`, an `AsyncAnthropic()`, or another client made like them."""

    async def __aenter__(self) -> Any:
        """Enter the client."""
        ...


@overload
def with_memory(
    client: SyncClient,
    memory: Memory | AsyncMemory,
    *,
    user_id: IdLike | None = None,
    agent_id: IdLike | None = None,
    run_id: IdLike | None = None,
    k: int = 5,
    max_tokens: int = 1000,
    threshold: float | None = None,
    infer: bool | Literal["auto"] = "auto",
    background: bool = True,
    after_seconds: float | None = None,
) -> ChatClient: ...


@overload
def with_memory(
    client: AsyncClient,
    memory: Memory | AsyncMemory,
    *,
    user_id: IdLike | None = None,
    agent_id: IdLike | None = None,
    run_id: IdLike | None = None,
    k: int = 5,
    max_tokens: int = 1000,
    threshold: float | None = None,
    infer: bool | Literal["auto"] = "auto",
    background: bool = True,
    after_seconds: float | None = None,
) -> AsyncChatClient: ...


def with_memory(
    client: SyncClient | AsyncClient,
    memory: Memory | AsyncMemory,
    *,
    user_id: IdLike | None = None,
    agent_id: IdLike | None = None,
    run_id: IdLike | None = None,
    k: int = 5,
    max_tokens: int = 1000,
    threshold: float | None = None,
    infer: bool | Literal["auto"] = "auto",
    background: bool = True,
    after_seconds: float | None = None,
) -> ChatClient | AsyncChatClient:
    """Return the client with a memory: it recalls before each request and remembers each turn once.

    `chat.completions` and `responses` of OpenAI's SDK and `messages` of Anthropic's take part with `create`, `parse`
    and `stream`, streaming included, sync and async as the client is; all else is the client's own, the requests sent
    through `with_streaming_response` too. Each of these calls also takes `user_id=`, `agent_id=` and `run_id=`, which
    go before those given here and are never sent.

    Before a request, what the user said since the last answer is kept and what is known about it put behind the system
    prompt: standing instructions and preferences first, the same bytes from turn to turn, then what the question found;
    the request given is left as it is. When the final answer has come, whole, and before the call or the stream gives
    it out, the user's words and the answer are stored verbatim, and then learned from. While the model calls tools,
    the requests of the turn share one recall. An answer that breaks off is not remembered; what the user said then is
    learned with the next turn.

    The conversation that a request repeats is not stored again. A turn is known by its words and by the conversation
    that the request brings before them, or by `previous_response_id`: sent again, also by another process, it is
    stored once. In a request that brings neither, the user's words are sent again where nothing else has been said in
    the run since, and are a new turn where something has.

    A memory that fails never costs the answer: the error is logged and counted in `client.memory_failures`, and what
    could not be stored waits for the next turn or for `client.flush()`.

    Args:
        client: `OpenAI()`, `AsyncOpenAI()`, `Anthropic()`, `AsyncAnthropic()`, or one made like them.
        memory: Of either kind, bound or not; sync and async clients both work with it.
        user_id: Whose memories, for the calls that do not say.
        agent_id: The agent; recall then sees the memories of this agent alone.
        run_id: The conversation that turns are stored under; recall looks through all of the user's.
        k: At most so many memories that the question finds; standing instructions and preferences come on top.
        max_tokens: Of all that is put into the prompt.
        threshold: Leave out found memories under this score.
        infer: `"auto"` extracts facts where the memory has a model, and otherwise makes the turns memories; False
            always makes the turns memories.
        background: Extract after the answer; `client.flush()` waits for it. False extracts before the call returns.
        after_seconds: Let a background extraction wait so long for the run's next turn, to learn from both at once.

    Raises:
        ConfigurationError: An argument cannot be used as given.
        ScopeError: An id is blank, or outside of the bound memory; on a call, also where nobody said whose memories.
    """
    learns = bool(infer) and background
    _check(
        isinstance(cast("object", memory), Memory | AsyncMemory),
        "memory",
        memory,
        "a Memory or an AsyncMemory",
    )
    _check(infer in (True, False, "auto"), "infer", infer, 'True, False or "auto"')
    _check(k >= 1, "k", k, "a whole number of at least 1")
    _check(max_tokens > _SEPARATORS, "max_tokens", max_tokens, f"more than {_SEPARATORS}")
    _check(threshold is None or 0 <= threshold <= 1, "threshold", threshold, "a number from 0 to 1")
    _check(
        after_seconds is None or after_seconds >= 0,
        "after_seconds",
        after_seconds,
        "a number of seconds from 0",
    )
    _check(
        not after_seconds or learns,
        "after_seconds",
        after_seconds,
        "None or 0 without a background extraction",
    )
    ids = {"user_id": user_id, "agent_id": agent_id, "run_id": run_id}
    if any(value is not None for value in ids.values()):
        memory.bind(**ids)
    awaits = _awaits(client)
    keeper = Keeper(
        memory,
        inline=not awaits,
        ids=ids,
        recall={"limit": k, "threshold": threshold, "max_tokens": max_tokens - _SEPARATORS},
        learn={
            "infer": bool(infer), "background": learns, "after_seconds": after_seconds if after_seconds else None,
        },
    )  # fmt: skip
    return AsyncChatClient(client, keeper) if awaits else ChatClient(client, keeper)


class _Client:
    """What the clients of both kinds share."""

    _calls: type[Calls] = Calls

    def __init__(self, client: Any, keeper: Keeper) -> None:
        object.__setattr__(self, "_client", client)
        object.__setattr__(self, "_keeper", keeper)

    @property
    def memory_failures(self) -> dict[str, int]:
        """How often `keep`, `recall` and `remember` have failed; empty while none has."""
        return self._keeper.failures.counts

    @property
    def last_memory_error(self) -> Exception | None:
        """The error of the last failure."""
        return self._keeper.failures.last

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # a copy or a pickle in the making has no client yet
            raise AttributeError(name)
        found = getattr(self._client, name)
        if name in ("with_options", "copy"):
            return partial(self._copied, found)
        return _part(found, _TREE.get(name), self._calls, self._keeper)

    def _copied(self, method: Callable[..., Any], *args: Any, **options: Any) -> Self:
        return type(self)(method(*args, **options), self._keeper)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._client, name, value)

    def __dir__(self) -> list[str]:
        return sorted({*dir(self._client), *super().__dir__()})

    def __repr__(self) -> str:
        """Return what client it is; no key and no ids."""
        return f"<{type(self._client).__name__} with memory>"


class ChatClient(_Client):
    """A sync client with a memory, made by `with_memory`; its other attributes are the client's own."""

    def flush(self, timeout: float | None = None) -> None:
        """Add what could not be added before, and wait until everything is learned.

        Args:
            timeout: Seconds to wait for the extractions; None waits as long as it takes.

        Raises:
            MemkitError: The memory still fails, or an extraction did; nothing is lost by it.
        """
        run_inline(self._keeper.flush())
        self._keeper.memory.to_sync().flush(timeout)

    def __enter__(self) -> Self:
        self._client.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.__exit__(kind, error, trace)


class AsyncChatClient(_Client):
    """Async version of `ChatClient`."""

    _calls = AsyncCalls

    async def flush(self, timeout: float | None = None) -> None:
        """Async version of `ChatClient.flush`."""
        await self._keeper.flush()
        await self._keeper.memory.to_async().flush(timeout)

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.__aexit__(kind, error, trace)


class _Branch:
    """A part of a client that has chat APIs among its own parts."""

    def __init__(self, inner: Any, tree: Tree, calls: type[Calls], keeper: Keeper) -> None:
        self._inner, self._tree, self._calls, self._keeper = inner, tree, calls, keeper

    def __getattr__(self, name: str) -> Any:
        return _part(getattr(self._inner, name), self._tree.get(name), self._calls, self._keeper)


def _part(found: Any, below: Shape | Tree | None, calls: type[Calls], keeper: Keeper) -> Any:
    """Return a part of a client, with a memory where it is a chat API or holds one."""
    if below is None:
        return found
    return _Branch(found, below, calls, keeper) if isinstance(below, Mapping) else calls(found, below, keeper)


def _awaits(client: object) -> bool:
    """Return whether a client's calls are awaited.

    Raises:
        ConfigurationError: It has no chat API.
    """
    for path in (("chat", "completions"), ("messages",), ("responses",)):
        api: Any = client
        for name in path:
            api = getattr(api, name, None)
        create = getattr(api, "create", None)
        if create is not None:
            return inspect.iscoroutinefunction(inspect.unwrap(create))
    raise ConfigurationError(
        f"`client` has no chat API: {type(client).__name__}. Pass OpenAI(), AsyncOpenAI(), Anthropic() or "
        "AsyncAnthropic().",
        field="client",
    )


def _check(good: bool, field: str, value: object, wanted: str) -> None:
    if not good:
        raise ConfigurationError(f"`{field}` must be {wanted}, not {value!r}.", field=field)
