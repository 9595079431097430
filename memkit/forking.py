"""What begins anew in a forked child: a thread of the parent may have held its lock, and is not there to let go."""

from __future__ import annotations

import os
import weakref
from typing import Final, Protocol


class Forked(Protocol):
    """Something with locks of its own."""

    def forked(self) -> None:
        """Begin with fresh locks and without whatever a thread may have been changing."""
        ...


_told: Final[weakref.WeakSet[Forked]] = weakref.WeakSet()


def tell_of_forks(one: Forked) -> None:
    """Have `forked` called in every child of this process, for as long as the object lives."""
    _told.add(one)


def _in_child() -> None:
    for one in list(_told):
        one.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
