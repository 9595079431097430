"""The ledger in PostgreSQL, through psycopg 3: many processes and machines share one memory.

Writers of one owner follow one another, those of different owners do not wait; a batch takes two round trips.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

from psycopg.errors import UniqueViolation

from ...errors import BackendError, ConflictError, CorruptLedgerError, MemkitError
from ...postgres.pool import Shelf
from ...postgres.session import Session
from ...runtime import run_inline
from ...scope import ReadScope
from ..base import Applied, Batch, ForgetCounts
from ..changes import Refused
from ..rows import stored_id
from .archive import PostgresArchive
from .base import NAME, reading, twin, writing
from .erase import Erasure, doomed
from .graphing import PostgresGraphing
from .items import PostgresItems
from .jobs import PostgresWork
from .messages import PostgresMessages
from .nearest import PostgresNearest
from .read import PostgresReading
from .rebuild import reset_caches
from .words import PostgresCandidates
from .write import BatchWriter, OvertakenError

__all__ = ["PostgresLedger"]

_TRIES: Final = 10
_ERASED_FROM: Final = (
    "record", "vec", "vec_gone", "tokens", "posting", "message", "event", "operation", "job", "outbox", "staged",
    "node", "edge", "alias", "owner", "agent_run", "item", "item_vec",
)  # fmt: skip
_CONTENT: Final = (*_ERASED_FROM, "worker", "lease")


class PostgresLedger(
    PostgresArchive,
    PostgresMessages,
    PostgresReading,
    PostgresCandidates,
    PostgresNearest,
    PostgresItems,
    PostgresWork,
    PostgresGraphing,
):
    """The ledger in one schema of a PostgreSQL database; see `PostgresBase` for its arguments."""

    # ------------------------------------------------------------------------------------- life

    def close(self) -> None:
        """Free everything; may be called twice; the next call of any method opens again."""
        workers, self._workers = self._mine(), set()
        if workers and self._ready:
            # Whoever finds the process gone may claim its jobs as well.
            with suppress(BackendError):
                self._leave(sorted(workers))
        self._pools.clear()
        self._ready = False

    # ------------------------------------------------------------------------------------- writing

    def apply(self, batch: Batch) -> Applied:
        """Write a batch as one durable transaction, or nothing of it.

        Raises:
            IdempotencyError: The key was used with another digest.
            ConflictError: A memory or operation of the same id exists.
        """
        self._mine()
        if self._unreleased:
            self._give_back()
        return run_inline(self._apply(self._pools.blocking(), batch))

    async def aapply(self, batch: Batch) -> Applied:
        """Write a batch like `apply` without blocking the event loop."""
        self._mine()
        if self._unreleased:
            await twin(self._give_back)()
        return await self._apply(self._pools.awaited(), batch)

    async def _apply(self, shelf: Shelf, batch: Batch) -> Applied:
        await self._open(shelf, create=True)
        if self._nearest_is_due():
            await self._transact(shelf, self._prepare_nearest, again=True, exclusive=True, long=True)
        if batch.worker is not None and batch.job is not None:
            self._workers.add(batch.worker)
        tried: list[tuple[int | None, Applied]] = []

        async def write(s: Session) -> Applied:
            if tried and (known := await self._committed(s, batch, tried)) is not None:
                return known
            writer = BatchWriter(s, self._book, batch, self._packing_for, self._step, self._half)
            applied = await writer.run()
            tried.append((writer.first, applied))
            self._written += len(applied.changes)
            return applied

        for left in range(_TRIES, -1, -1):
            try:
                return await self._transact(shelf, write, again=True)
            except Refused as refused:
                return refused.applied
            except OvertakenError:
                if not left:
                    raise
            except BackendError as error:
                cause = error.__cause__
                if not isinstance(cause, UniqueViolation):
                    raise
                # A key that somebody has used meanwhile, or an earlier try of this batch that was committed after all.
                name = cause.diag.constraint_name
                again = name == "operation_key" or (name == "operation_id" and len(tried) > 1)
                if not again or not left:
                    raise _conflict(cause, batch) from cause
                tried.pop()
        raise AssertionError("the last try returns or raises")

    async def _committed(
        self, s: Session, batch: Batch, tried: Sequence[tuple[int | None, Applied]]
    ) -> Applied | None:
        """Return the outcome of the earlier try that was committed after all, though no answer came; None of none."""
        name = batch.finishes or batch.operation_id
        row = await s.row("SELECT state, at, first FROM operation WHERE id = %s", (stored_id(name),))
        if row is None or (batch.finishes is not None and (row[0], row[1]) != ("done", batch.at)):
            return None
        return next((applied for first, applied in tried if first == row[2]), tried[-1][1])

    # ------------------------------------------------------------------------------------- erasing

    def forget(
        self, operation_id: str, at: int, *, scope: ReadScope | None = None, ids: Sequence[str] | None = None
    ) -> ForgetCounts:
        """Erase records with their history, messages, jobs, results, hashes and vectors.

        With `ids`, messages that only these memories rest on go too. Leaves one text-free FORGET event a memory.
        External indexes get outbox rows for the ids. The rows are gone with the transaction, and their space is freed
        by a VACUUM after it; the server's write-ahead log and backups keep what they keep.
        """
        counts = self._forget(operation_id, at, scope, ids)
        return replace(counts, complete=self.finish_erasure())

    async def aforget(
        self, operation_id: str, at: int, *, scope: ReadScope | None = None, ids: Sequence[str] | None = None
    ) -> ForgetCounts:
        """Erase like `forget` without blocking the event loop."""
        counts = await twin(self._forget)(operation_id, at, scope, ids)
        return replace(counts, complete=await self.afinish_erasure())

    @writing(long=True, empty=lambda: ForgetCounts(memory_ids=(), messages=0, events=0, jobs=0, results=0))
    async def _forget(
        self, s: Session, operation_id: str, at: int, scope: ReadScope | None, ids: Sequence[str] | None
    ) -> ForgetCounts:
        records = await doomed(s, scope, ids)
        erasure = Erasure(s, self._book, operation_id, at, records)
        counts = await (erasure.by_id() if ids is not None else erasure.by_scope(scope or ReadScope()))
        self._book.owners = {}
        self._step("erased")
        return counts

    @writing(exclusive=True, again=True, empty=lambda: None)
    async def reset(self, s: Session) -> None:
        """Erase everything, the remembered embedder too; caches in other processes start anew."""
        await reset_caches(s, None)
        await s.later(
            (
                "UPDATE state SET event = event + 1 + (SELECT coalesce(sum(event), 0) FROM owner), gen = gen + 1,"
                " dim = NULL, packing = NULL WHERE id = 1",
                (),
            ),
            (f"TRUNCATE {', '.join(_CONTENT)}", ()),
            ("DELETE FROM meta WHERE key IN ('embedder', 'staging', 'erasure') OR key LIKE 'index:%%'", ()),
        )
        self._book.owners = {}

    def finish_erasure(self) -> bool:
        """Free the space of erased rows, if there are any; return whether that is done."""
        if not self._is_erasing():
            return True
        try:
            self._pools.run(self._vacuum)
        except BackendError:
            return False
        self._erased()
        self._step("scrubbed")
        return True

    async def afinish_erasure(self) -> bool:
        """Free the space of erased rows like `finish_erasure`, without blocking the event loop."""
        if not await twin(self._is_erasing)():
            return True
        try:
            await self._pools.arun(self._vacuum)
        except BackendError:
            return False
        await twin(self._erased)()
        self._step("scrubbed")
        return True

    @reading(lambda: False)
    async def _is_erasing(self, s: Session) -> bool:
        return bool(await s.one("SELECT count(*) FROM meta WHERE key = 'erasure'"))

    @writing(again=True)
    async def _erased(self, s: Session) -> None:
        await s.later(("DELETE FROM meta WHERE key = 'erasure'", ()))

    async def _vacuum(self, s: Session) -> None:
        s.patience(self._settings.busy_timeout_s * 20)
        await s.rows("SET statement_timeout = 0")
        try:
            await s.rows(f"VACUUM (INDEX_CLEANUP ON) {', '.join(_ERASED_FROM)}")
        finally:
            await s.rows("SELECT set_config('statement_timeout', %s, false)", (self._timeout_text,))

    # ------------------------------------------------------------------------------------- housekeeping

    @writing(again=True, empty=lambda: None)
    async def check(self, s: Session) -> None:
        """Return when the store is whole and writable.

        Raises:
            CorruptLedgerError: Rows that belong together are not there.
            BackendUnavailableError: It cannot be written.
        """
        broken = await s.one(
            "SELECT (SELECT count(*) FROM record WHERE NOT EXISTS (SELECT 1 FROM owner WHERE no = record.owner))"
            " + (SELECT count(*) FROM record WHERE text IS NULL"
            " AND NOT EXISTS (SELECT 1 FROM message WHERE rid = record.message))"
        )
        if broken:
            raise CorruptLedgerError(
                f"The ledger {self.location} is damaged: {broken} records lack their owner or their text. Restore a "
                "backup of the database.",
                backend=NAME,
            )
        await s.later(("UPDATE state SET event = event WHERE id = 1", ()))


def _conflict(cause: UniqueViolation, batch: Batch) -> MemkitError:
    if cause.diag.constraint_name == "operation_id":
        return ConflictError(
            f"The operation {batch.operation_id!r} exists already. Use a new id for each operation."
        )
    return ConflictError("A memory of the same id exists already. Use a new id.")
