"""The ledger in one SQLite file, through the standard `sqlite3` module.

WAL, one fsync a write, fair writers among processes, group commit among threads and tasks, one rowid range an owner.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, cast

from ...clock import now_us
from ...errors import BackendUnavailableError, CorruptLedgerError
from ..base import Applied, Batch, Job, LedgerInfo, OutboxEntry
from ..changes import Refused
from ..packing import Packing, embedder_mismatch, packing_of
from ..rows import unpack_id
from .archive import SqliteArchive
from .connections import raise_translated
from .forget import SqliteForgetting
from .graph_reads import SqliteGraphing
from .items import SqliteItems
from .jobs import Workers, claim_jobs, leave, open_jobs, release_job, see_worker
from .read import SqliteReading
from .rebuild import SqliteRebuilding, change_embedder, put_vectors
from .rows import one
from .schema import MIGRATIONS
from .tokens import SqliteTokens
from .words import Embeddings, read_head, read_state
from .write import BatchWriter

if TYPE_CHECKING:
    from ..base import Matrix

__all__ = ["SqliteLedger"]

_UNFINISHED: Final = ("waiting", "running", "failed")
_LEAVE_S: Final = 1.0
_CHUNK: Final = 2_000


class SqliteLedger(
    SqliteForgetting,
    SqliteArchive,
    SqliteItems,
    SqliteReading,
    SqliteTokens,
    SqliteRebuilding,
    SqliteGraphing,
):
    """The ledger in one SQLite file, or in memory when `path` is None.

    Args:
        path: The file; its folders are made at the first write. None keeps everything in memory, nothing on disk.
        tokenize: Splits a record's `actor: text` into the words of the keyword index.
        tokenizer_version: Of `tokenize`; a file made with another one gets a new keyword index when it is opened.
        vector_kind: How embeddings are packed: 4, 2 or 1 bytes a number. None: "i8" for hashed embeddings, which
            lose nothing by it, else "f16", which keeps recall at ten at 1.000 (measured on all-MiniLM-L6-v2).
        synchronous: "FULL" survives a power loss; "NORMAL" may lose the last commits then (not at a kill), and
            commits 2 to 16 times faster. https://www.sqlite.org/pragma.html#pragma_synchronous
        busy_timeout_s: Seconds to wait for another process's write before `BackendUnavailableError`.
        on_step: Called at each step of a write with its name (`begin`, `messages`, `records`, `commit`, `committed`;
            an erasure adds `erased`, `scrubbed`); for tests that stop a process there.
    """

    # ------------------------------------------------------------------------------------- life

    def close(self) -> None:
        """Free everything; may be called twice; the next call of any method opens again."""
        if self._db.pid != os.getpid():
            self.forked()
        self._committer.close()
        if self._db.ready and self.persistent:
            self._leave()
            self._finish_erasure(wait_s=_LEAVE_S)
        self._db.close()
        self._head = None
        self._release_file()

    def _leave(self) -> None:
        """Let others have the jobs that this ledger's workers had claimed."""
        workers, self._workers = self._workers, set()
        if not workers:
            return
        try:
            self._committer.run(lambda conn: leave(conn, sorted(workers)))
        except (sqlite3.Error, BackendUnavailableError):
            return  # Whoever finds the process gone may claim them as well.

    # ------------------------------------------------------------------------------------- embedder

    def embedder(self) -> tuple[str, int] | None:
        """Return identity and dimension of the embedder the ledger was made with."""
        row = self._read_one("SELECT meta.value, state.dim FROM meta, state WHERE meta.key = 'embedder'")
        return None if row is None else (str(row[0]), int(row[1]))

    def set_embedder(self, identity: str, dim: int, *, replace: bool = False) -> None:
        """Remember the embedder, at the first write; `replace` only in a rebuild, and drops no vector by itself.

        Raises:
            EmbedderMismatchError: Another one is stored already.
        """
        if self.embedder() != (identity, dim):
            self._write(lambda conn: self._remember_embedder(conn, identity, dim, replace=replace))

    def _remember_embedder(
        self, conn: sqlite3.Connection, identity: str, dim: int, *, replace: bool = False
    ) -> None:
        stored = one(conn, "SELECT value FROM meta WHERE key = 'embedder'")
        if stored is not None:
            known = (str(stored), read_state(conn).dim)
            if known == (identity, dim):
                return
            if not replace:
                raise embedder_mismatch(known, (identity, dim))
        change_embedder(conn, identity, dim, self._packing_for(identity), first=stored is None)

    def _packing_for(self, identity: str) -> Packing:
        return self._packing or packing_of(identity)

    # ------------------------------------------------------------------------------------- writing

    def apply(self, batch: Batch) -> Applied:
        """Write a batch as one durable transaction, or nothing of it.

        Raises:
            IdempotencyError: The key was used with another digest.
            ConflictError: A memory or operation of the same id exists.
        """
        if not self._db.ready or self._db.pid != os.getpid():
            self.open(create=True)
        if self._unreleased:
            self._give_back()
        self._note_worker(batch)
        try:
            return self._committer.run(lambda conn: self._batch(conn, batch))
        except Refused as refused:
            return refused.applied
        except sqlite3.Error as error:
            raise_translated(error, self._db.location)

    async def aapply(self, batch: Batch) -> Applied:
        """Write a batch like `apply` without blocking the event loop."""
        if not self._db.ready or self._db.pid != os.getpid():
            self.open(create=True)
        if self._unreleased:
            import asyncio

            await asyncio.to_thread(self._give_back)
        self._note_worker(batch)
        try:
            return await self._committer.arun(lambda conn: self._batch(conn, batch))
        except Refused as refused:
            return refused.applied
        except sqlite3.Error as error:
            raise_translated(error, self._db.location)

    def _batch(self, conn: sqlite3.Connection, batch: Batch) -> Applied:
        # All that changes when anything is written by others, by this connection, or taken back.
        others = conn.execute("PRAGMA data_version").fetchone()[0]
        known, now = self._head, (conn, others, conn.total_changes, self._committer.undone)
        head = known[1] if known is not None and known[0] == now else read_head(self._known(conn), self._book)
        if batch.embedder is not None and batch.embedder != (head.embedder, head.dim):
            self._remember_embedder(conn, *batch.embedder)
            head = read_head(conn, self._book)
        applied = BatchWriter(conn, self._book, batch, head, self._step).run()
        self._head = ((conn, others, conn.total_changes, self._committer.undone), head)
        return applied

    def _note_worker(self, batch: Batch) -> None:
        if batch.worker is not None and batch.job is not None:
            self._workers.add(batch.worker)

    def set_vectors(self, rids: Sequence[int], vectors: Matrix) -> None:
        """Replace embeddings during a rebuild, as one transaction; caches of these owners see a new event number."""
        if not len(rids):
            return

        def write(conn: sqlite3.Connection) -> None:
            live: list[tuple[int, Any]] = []
            for place, rid in enumerate(rids):
                deleted = one(conn, "SELECT deleted FROM record WHERE rid = ?", (rid,))
                if deleted == 0:
                    live.append((rid, vectors[place]))
            put_vectors(conn, live)

        self._write(write)

    def replace_embeddings(
        self, identity: str, dim: int, rids: Sequence[int], vectors: Matrix
    ) -> Sequence[int]:
        """Change the embedder and every embedding in one transaction.

        Returns the rids of live records for which no vector was given, ascending; when there are any, nothing was
        written. Caches of all owners start again.
        """
        packing = self._packing_for(identity)

        def write(conn: sqlite3.Connection) -> list[int]:
            live = {row[0] for row in conn.execute("SELECT rid FROM record WHERE deleted = 0")}
            missing = live.difference(rids)
            if missing:
                return sorted(missing)
            known = one(conn, "SELECT 1 FROM meta WHERE key = 'embedder'")
            change_embedder(conn, identity, dim, packing, first=known is None)
            pairs = sorted((rid, place) for place, rid in enumerate(rids) if rid in live)
            state = read_state(conn)
            for start in range(0, len(pairs), _CHUNK):
                part = [(rid, vectors[place]) for rid, place in pairs[start : start + _CHUNK]]
                Embeddings(state).insert(conn, part)
            conn.execute("DELETE FROM vec_gone")
            return []

        return self._write(write)

    # ------------------------------------------------------------------------------------- jobs

    def claim(self, worker: str, *, ids: Sequence[str] | None = None, limit: int = 10) -> Sequence[Job]:
        """Claim jobs that wait, failed, or whose worker is gone, oldest first; one not due only by its id."""
        if self._unreleased:
            self._give_back()
        if not self.jobs():
            return []
        self._workers.add(worker)
        return self._write(lambda conn: claim_jobs(conn, worker, ids, limit))

    def release(self, job_id: str, *, error: str | None, waiting: bool = False) -> None:
        """Give a claimed job back: failed with a (text-free) reason, or waiting for anyone.

        While the file cannot be written, as on a full disk, it is given back before this ledger's next claim or batch.
        """
        self._unreleased[job_id] = (error, waiting)
        with suppress(BackendUnavailableError):
            self._give_back()

    def _give_back(self) -> None:
        """Give back the jobs that could not be given back at their time."""
        jobs, self._unreleased = self._unreleased, {}
        try:
            self._write(lambda conn: _release_all(conn, jobs))
        except BaseException:
            self._unreleased = {**jobs, **self._unreleased}
            raise

    def jobs(self, states: Sequence[str] = _UNFINISHED) -> Sequence[Job]:
        """Return unfinished jobs, oldest first."""
        return self._read(lambda conn: open_jobs(conn, states), list[Job]())

    # ------------------------------------------------------------------------------------- outbox

    def lease(self, index: str, holder: str, seconds: float) -> bool:
        """Take or renew the lease on an index's outbox; False while another live holder has it."""
        self._workers.add(holder)

        def write(conn: sqlite3.Connection) -> bool:
            now = now_us()
            row = conn.execute("SELECT holder, until FROM lease WHERE name = ?", (index,)).fetchone()
            if row is not None and row[0] != holder and row[1] > now and Workers(conn)(row[0]):
                return False
            see_worker(conn, holder, now)
            until = now + round(seconds * 1_000_000)
            conn.execute(
                "INSERT OR REPLACE INTO lease (name, holder, until) VALUES (?,?,?)", (index, holder, until)
            )
            return True

        return self._write(write)

    def release_lease(self, index: str, holder: str) -> None:
        """Give the lease back."""
        sql = "DELETE FROM lease WHERE name = ? AND holder = ?"
        self._write(lambda conn: conn.execute(sql, (index, holder)).rowcount)

    def outbox(self, index: str, limit: int) -> Sequence[OutboxEntry]:
        """Return the oldest entries, in order."""
        sql = "SELECT seq, id, rid FROM outbox WHERE name = ? ORDER BY seq LIMIT ?"

        def read(conn: sqlite3.Connection) -> list[OutboxEntry]:
            rows = conn.execute(sql, (index, limit)).fetchall()
            return [OutboxEntry(seq=row[0], memory_id=unpack_id(row[1]), rid=row[2]) for row in rows]

        return self._read(read, list[OutboxEntry]())

    def outbox_done(self, index: str, up_to: int, memory_ids: Sequence[str] | None = None) -> None:
        """Remove entries up to a sequence number (of these memories only, where given)."""
        from ..rows import pack_id

        def write(conn: sqlite3.Connection) -> None:
            sql = "DELETE FROM outbox WHERE name = ? AND seq <= ?"
            if memory_ids is None:
                conn.execute(sql, (index, up_to))
            else:
                rows = [(index, up_to, pack_id(memory_id)) for memory_id in memory_ids]
                conn.executemany(sql + " AND id = ?", rows)

        self._write(write)

    def outbox_size(self) -> Mapping[str, int]:
        """Return the number of waiting entries per index."""
        sql = "SELECT name, count(*) FROM outbox GROUP BY name ORDER BY name"
        return self._read(lambda conn: dict(cast("list[tuple[str, int]]", conn.execute(sql).fetchall())), {})

    def enqueue_all(self, index: str) -> int:
        """Put every live record into an index's outbox (for a rebuild) and return how many."""
        sql = (
            "INSERT INTO outbox (name, rid, id) SELECT ?, rid, id FROM record WHERE deleted = 0 ORDER BY rid"
        )

        def write(conn: sqlite3.Connection) -> int:
            conn.execute("INSERT OR IGNORE INTO meta (key, value) VALUES ('index:' || ?, 1)", (index,))
            return conn.execute(sql, (index,)).rowcount

        return self._write(write)

    # ------------------------------------------------------------------------------------- housekeeping

    def info(self) -> LedgerInfo:
        """Return what the ledger says of itself."""
        outbox, embedder = self.outbox_size(), self.embedder()

        def read(conn: sqlite3.Connection) -> LedgerInfo:
            memories, messages, owners = conn.execute(
                "SELECT ifnull(sum(memories), 0), ifnull(sum(messages), 0), count(*) FROM owner"
            ).fetchone()
            return LedgerInfo(
                name=self.name,
                location=self._db.location,
                schema_version=int(one(conn, "PRAGMA user_version")),
                memories=memories,
                messages=messages,
                owners=owners,
                events=int(one(conn, "SELECT count(*) FROM event")),
                jobs=int(one(conn, "SELECT count(*) FROM job")),
                outbox=outbox,
                bytes=self._db.file_size(),
                embedder=None if embedder is None else embedder[0],
                dim=None if embedder is None else embedder[1],
                items=int(one(conn, "SELECT count(*) FROM item")),
            )

        nothing = LedgerInfo(
            name=self.name,
            location=self._db.location,
            schema_version=len(MIGRATIONS),
            memories=0,
            messages=0,
            owners=0,
            events=0,
            jobs=0,
            outbox={},
            bytes=None,
            embedder=None,
            dim=None,
        )
        return self._read(read, nothing)

    def check(self) -> None:
        """Return when the file is sound and writable; reads the whole file.

        Raises:
            CorruptLedgerError: It is damaged.
            BackendUnavailableError: It cannot be written.
        """
        if not self.open(create=False):
            return

        def read(conn: sqlite3.Connection) -> str:
            conn.execute("SELECT count(*) FROM fts_data").fetchone()
            return str(one(conn, "PRAGMA quick_check(1)"))

        answer = self._read(read, "ok")
        if answer != "ok":
            raise CorruptLedgerError(
                f"The ledger {self._db.location} is damaged: {answer}. Restore a backup of it, or save what is left "
                f"with `sqlite3 {self._db.location} .recover`.",
                backend=self.name,
            )
        self._write(lambda conn: conn.execute("UPDATE state SET event = event WHERE id = 1").rowcount)


def _release_all(conn: sqlite3.Connection, jobs: Mapping[str, tuple[str | None, bool]]) -> None:
    for job_id, (error, waiting) in jobs.items():
        release_job(conn, job_id, error, waiting=waiting)
