"""The engine: the parts a memory is made of, and the runtime that drives them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec, TypeVar
from uuid import uuid4

from ..errors import BackendError, BackendUnavailableError, MemkitError
from ..ledger.base import Applied, Batch, Ledger
from ..parts import Parts
from ..runtime import Runtime
from ..types import Usage

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
        """Call a backend's method: its async twin (`a` + name) in async mode, where there is one."""
        owner = getattr(method, "__self__", None)
        twin = getattr(owner, f"a{method.__name__}", None) if owner is not None else None
        return await self.rt.call(method, twin, *args, **kwargs)

    async def ask(self, name: str, method: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a provider that may be the caller's own; whatever it raises becomes one of our errors, chained.

        Raises:
            BackendUnavailableError: It raised an `OSError`, as a lost connection does.
            BackendError: It raised anything else that is not ours.
        """
        try:
            return await self.call(method, *args, **kwargs)
        except MemkitError:
            raise
        except OSError as error:
            raise BackendUnavailableError(
                f"{name!r} cannot be reached ({type(error).__name__}: {error}).", backend=name
            ) from error
        except Exception as error:
            raise BackendError(f"{name!r} failed ({type(error).__name__}: {error}).", backend=name) from error

    async def apply(self, batch: Batch) -> Applied:
        """Write one transaction.

        One that brings vectors names the embedder that made them (`Meter.embedder`). The ledger remembers the first
        inside the transaction and refuses another: somebody may have rebuilt or reset it since.
        """
        return await self.call(self.ledger.apply, batch)


@dataclass(slots=True)
class Meter:
    """Counts what one operation costs."""

    llm_calls: int = 0
    embedding_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    embedder: tuple[str, int] | None = None
    """Identity and dimension of the embedder that made the vectors of this operation."""

    def usage(self) -> Usage:
        """Return the counts."""
        return Usage(
            llm_calls=self.llm_calls,
            embedding_calls=self.embedding_calls,
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
        )


def new_id() -> str:
    """Return a fresh UUID4 as text."""
    return str(uuid4())
