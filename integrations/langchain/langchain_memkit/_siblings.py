"""Names for instances that stand side by side in one agent, the same in every process that makes them alike."""

from __future__ import annotations

import re
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Final

_PLAIN: Final = ""


class Sibling:
    """What tells one instance from those made beside it."""

    def __init__(self, name: str, prefix: str | None, *, settled: bool = False) -> None:
        self.name = name
        """What the instance is called; unlike its siblings."""
        self.prefix = prefix
        """What its tools begin with; None where it has no tools."""
        self.settled = settled
        """It has become part of an agent: what is made from now on stands beside others."""


class _Nursery(threading.local):
    """The instances of this thread that are not part of an agent yet; an agent is put together in one thread."""

    def __init__(self) -> None:
        self.made: list[weakref.ref[Sibling]] = []

    def living(self) -> Sequence[Sibling]:
        """Return them in the order in which they were made, and forget the others."""
        found = [sibling for ref in self.made if (sibling := ref()) is not None and not sibling.settled]
        self.made = [weakref.ref(sibling) for sibling in found]
        return found


_nursery: Final = _Nursery()


def sibling(kind: str, *, name: str | None, prefix: str | None, tools: bool) -> Sibling:
    """Return a new instance's name, and the prefix of its tools.

    Args:
        kind: What the first one without a name of its own is called; the others are numbered.
        name: Its own name.
        prefix: Its own prefix.
        tools: Whether it has any.
    """
    others = _nursery.living()
    names = {other.name for other in others}
    prefixes = {other.prefix for other in others}
    chosen = name or _first_free(lambda n: kind if n == 1 else f"{kind}_{n}", names)
    if tools and prefix is None:
        own = _PLAIN if name is None else re.sub(r"\W", "_", f"{name}_")
        numbered = _first_free(lambda n: _PLAIN if n == 1 else f"memory_{n}_", prefixes)
        prefix = _PLAIN if _PLAIN not in prefixes else own if own not in prefixes else numbered
    made = Sibling(chosen, prefix if tools else None)
    _nursery.made.append(weakref.ref(made))
    return made


def _first_free(of: Callable[[int], str], taken: set[str] | set[str | None]) -> str:
    number = 1
    while of(number) in taken:
        number += 1
    return of(number)
