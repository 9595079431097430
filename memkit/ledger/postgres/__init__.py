"""The ledger in PostgreSQL, a part of it in each module; `PostgresLedger` itself is loaded at first use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .ledger import PostgresLedger

__all__ = ["PostgresLedger"]


def __getattr__(name: str) -> Any:
    if name != "PostgresLedger":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .ledger import PostgresLedger

    return PostgresLedger
