"""Erasure: rows, words, vectors, history, jobs and results go, and no byte of them stays in the file."""

from __future__ import annotations

from collections.abc import Sequence

from ..scope import ReadScope
from .base import ForgetCounts
from .sqlite_base import SqliteBase


class SqliteForgetting(SqliteBase):
    """The part of a ledger that erases."""

    def forget(
        self, operation_id: str, at: int, *, scope: ReadScope | None = None, ids: Sequence[str] | None = None
    ) -> ForgetCounts:
        """Erase."""
        raise NotImplementedError

    def reset(self) -> None:
        """Erase everything, the remembered embedder too."""
        raise NotImplementedError

    def _finish_erasure(self, *, wait_s: float) -> None:
        _ = wait_s
