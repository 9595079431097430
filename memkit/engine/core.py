"""The engine: the parts a memory is made of, and the runtime that drives them."""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from random import Random
from typing import Any, Final, ParamSpec, TypeVar

from ..embedders.base import Embedder
from ..errors import BackendError, BackendUnavailableError, MemkitError
from ..ledger.base import Applied, Batch, Ledger
from ..llms.base import LLM
from ..parts import Parts
from ..rerankers.base import Reranker
from ..runtime import Runtime
from ..types import Usage, unchecked

_random: Final = Random()
# Not the system's own numbers for each id: asking for them lets go of the interpreter, and an event loop that does so
# beside busy threads waits milliseconds to have it back.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_random.seed)

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Engine:
    """One runtime over shared parts. Everything here may run in several threads and loops at once."""

    parts: Parts
    rt: Runtime

    @property
    def ledger(self) -> Ledger:
        """The system of record."""
        return self.parts.ledger

    async def call(self, method: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a method of the ledger: its async twin (`a` + name) in async mode, where there is one."""
        twin = _twin(method)
        if twin is None:
            return await self.rt.work(method, *args, **kwargs)
        return await self.rt.call(method, twin, *args, **kwargs)

    async def ask(self, name: str, method: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a provider that may be the caller's own; whatever it raises becomes one of our errors, chained.

        Raises:
            BackendUnavailableError: It raised an `OSError`, as a lost connection does.
            BackendError: It raised anything else that is not ours.
        """
        return await _translated(name, self.rt.call(method, _twin(method), *args, **kwargs))

    async def ask_within(
        self, name: str, seconds: float | None, method: Callable[P, R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Call a provider like `ask`, and wait for so many seconds; None waits as long as it takes.

        Raises:
            BackendTimeoutError: It took longer, or an earlier call of it still does.
        """
        if seconds is None:
            return await self.ask(name, method, *args, **kwargs)
        return await _translated(name, self.rt.within(name, seconds, method, _twin(method), *args, **kwargs))

    async def llm(self) -> LLM | None:
        """Return the language model; it is built beside the event loop."""
        return self.parts.llm() if self.parts.llm_built else await self.rt.work(self.parts.llm)

    async def reranker(self) -> Reranker | None:
        """Return the reranker, or None when there is none; it is built beside the event loop."""
        return None if self.parts.config.reranker is None else await self.rt.work(self.parts.reranker)

    async def embedder(self, *, checked: bool = True) -> Embedder:
        """Return the embedder, built and compared with the ledger's beside the event loop; see `Parts.embedder`."""
        if self.parts.embedder_built and not checked:
            return self.parts.embedder(checked=False)
        return await self.rt.work(self.parts.embedder, checked=checked)

    async def apply(self, batch: Batch) -> Applied:
        """Write one transaction.

        One that brings vectors names the embedder that made them (`Meter.embedder`). The ledger remembers the first
        inside the transaction and refuses another: somebody may have rebuilt or reset it since.
        """
        return await self.call(self.ledger.apply, batch)


async def _translated(name: str, call: Coroutine[Any, Any, R]) -> R:
    try:
        return await call
    except MemkitError:
        raise
    except OSError as error:
        raise BackendUnavailableError(
            f"{name!r} cannot be reached ({type(error).__name__}: {error}).", backend=name
        ) from error
    except Exception as error:
        raise BackendError(f"{name!r} failed ({type(error).__name__}: {error}).", backend=name) from error


def _twin(method: Callable[P, R]) -> Callable[P, Coroutine[Any, Any, R]] | None:
    """Return the awaited form of a backend's method, where it has one."""
    owner = getattr(method, "__self__", None)
    return None if owner is None else getattr(owner, f"a{method.__name__}", None)


@dataclass(slots=True)
class Meter:
    """Counts what one operation costs."""

    llm_calls: int = 0
    embedding_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    embedder: tuple[str, int] | None = None
    """Identity and dimension of the embedder that made the vectors of this operation."""

    def count(self, used: Usage) -> None:
        """Add what calls of a model cost."""
        self.llm_calls += used.llm_calls
        self.input_tokens += used.input_tokens
        self.output_tokens += used.output_tokens
        self.cache_read_tokens += used.cache_read_tokens
        self.cache_write_tokens += used.cache_write_tokens

    def usage(self) -> Usage:
        """Return the counts."""
        return unchecked(
            Usage,
            {
                "llm_calls": self.llm_calls,
                "embedding_calls": self.embedding_calls,
                "input_tokens": self.input_tokens,
                "output_tokens": self.output_tokens,
                "cache_read_tokens": self.cache_read_tokens,
                "cache_write_tokens": self.cache_write_tokens,
                "embedding_tokens": 0,
            },
        )


def new_id() -> str:
    """Return a fresh UUID of version 4: random from its first character on, so that a few of them tell it apart."""
    bits = _random.getrandbits(128) & ~(0xF000 << 64) & ~(0xC000 << 48) | 0x4000 << 64 | 0x8000 << 48
    text = f"{bits:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
