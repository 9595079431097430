"""Arguments of public calls: one that is left out, and one that a call does not have."""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
from collections.abc import Callable, Iterable
from typing import Any, Final, ParamSpec, TypeVar

from .errors import UnknownArgumentError, did_you_mean

P = ParamSpec("P")
C = TypeVar("C", bound=type)


class Unset:
    """The type of `UNSET`: an argument that was left out, where None means "clear"."""

    def __repr__(self) -> str:
        """Return `UNSET`."""
        return "UNSET"


UNSET: Final = Unset()

_MOVED: Final = {
    "async_mode": "`background=True` returns once the turns are kept",
    "config": "`Memory(config)`, or `Memory.from_config(config)`",
    "custom_instructions": "`Memory(instructions=...)`, or `prompt=` for one call",
    "enable_graph": "`Memory(graph_store=...)` turns the graph on",
    "expiration_date": "`expires_at='2026-12-31'`",
    "id": "`memory_id=`",
    "includes": "`memory.bind(...)`, `prompt=` or `Memory(instructions=...)` say what to keep",
    "keyword_search": "search is always by meaning and by words",
    "output_format": "results have one form: `result['results'][0]['memory']`",
    "page": "`cursor=page.next_cursor`",
    "page_size": "`limit=`",
    "reference_date": "`as_of='2026-03-01'` is what was true then",
    "show_expired": "expired memories are gone; `include_closed=True` lists facts that no longer hold",
    "timestamp": "`created_at` of a message: {'role': 'user', 'content': '...', 'created_at': '2026-03-01'}",
    "top_k": "`limit=`",
    "version": "results have one form; leave it out",
}
"""Arguments of mem0 that have another name or place here."""


def checks_arguments(cls: C) -> C:
    """Make every public method of a class refuse arguments it does not have, before it does anything."""
    for name, member in list(vars(cls).items()):
        if inspect.isfunction(member) and (name == "__init__" or not name.startswith("_")):
            setattr(cls, name, _checked(member, cls.__name__ if name == "__init__" else name))
    return cls


def _checked(method: Callable[P, Any], name: str) -> Callable[P, Any]:
    known = frozenset(inspect.signature(method).parameters) - {"self"}

    @functools.wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> Any:
        if not known.issuperset(kwargs):
            raise _unknown(name, kwargs, known)
        return method(*args, **kwargs)

    @functools.wraps(method)
    async def acall(*args: P.args, **kwargs: P.kwargs) -> Any:
        if not known.issuperset(kwargs):
            raise _unknown(name, kwargs, known)
        if "memkit.engine.search" not in sys.modules:
            import asyncio

            await asyncio.to_thread(_import_engine)
        return await method(*args, **kwargs)

    # Frameworks ask whether a method is a coroutine function before they await it.
    return acall if inspect.iscoroutinefunction(method) else call


_FIRST: Final = (
    *("embedders.hash", "extraction.relations", "ledger.sqlite.ledger"),
    *(f"engine.{name}" for name in ("add", "change", "context", "conversations", "erase", "items", "jobs")),
    *(f"engine.{name}" for name in ("graph_search", "learn", "operate", "read", "search", "undo")),
)


def _import_engine() -> None:
    """Import what a first call needs, in a thread beside the event loop, which the imports would hold up."""
    for module in _FIRST:
        importlib.import_module(f"memkit.{module}")


def _unknown(method: str, kwargs: Iterable[str], known: frozenset[str]) -> UnknownArgumentError:
    given = next(name for name in kwargs if name not in known)
    hint = f" Here: {_MOVED[given]}." if given in _MOVED else did_you_mean(given, known)
    arguments: Any = ", ".join(sorted(known)) or "none"
    return UnknownArgumentError(
        f"`{method}` has no argument {given!r}.{hint} Known: {arguments}.", method=method, argument=given
    )
