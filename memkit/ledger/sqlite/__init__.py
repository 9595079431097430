"""The ledger in one SQLite file, a part of it in each module; `SqliteLedger` itself is loaded at first use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .ledger import SqliteLedger

__all__ = ["SqliteLedger"]


def __getattr__(name: str) -> Any:
    if name != "SqliteLedger":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .ledger import SqliteLedger

    return SqliteLedger
