"""What a batch writes to PostgreSQL, collected: few statements for all rows of a kind."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ...postgres.session import Session, insertion
from ...postgres.wire import vectors_on_wire
from ..editing import Edits, Pending
from ..packing import Packer, State
from ..rows import RECORD_COLUMNS, Row
from .graph import put_graph
from .nearest import PUT
from .rows import COLUMN_TYPES
from .words import drop_words, put_words

if TYPE_CHECKING:
    from ..base import Vector

_EVENT_COLUMNS: Final = ("seq", "op", "owner", "rid", "code", "at", "delta", "reason", "actor")
_CHUNK: Final = 500
_FEW: Final = 4
"""So many records are updated by a statement each, which is prepared already."""
_MOST: Final = 5_000
_OVER_VECTOR: Final = " ON CONFLICT (rid) DO UPDATE SET gen = excluded.gen, e = excluded.e"
_OVER_TOKENS: Final = " ON CONFLICT (rid) DO UPDATE SET e = excluded.e"


class _Stage:
    """What was collected between two flushes."""

    def __init__(self, pending: Pending, edits: Edits | None) -> None:
        self.records, self.words, self.vectors = pending.records, pending.words, pending.vectors
        self.tokens, self.graph, self.edits = pending.tokens, pending.graph, edits


class PostgresPending(Pending):
    """Rows of one batch that are not written yet; a flush begins a new stage, and all are written in order."""

    def __init__(self, operation_id: str, half: tuple[int, int | None] | None) -> None:
        super().__init__()
        self._operation_id, self._half = operation_id, half
        self._stages: list[_Stage] = []
        self._new: set[int] = set()
        self.freed: set[tuple[int, bytes]] = set()
        """Owners and digests that nothing stands for any more since the last flush."""

    def flush(self) -> None:
        """Let what is collected be written before what is collected from now on, but for the events."""
        stage = _Stage(self, self._edits)
        self._stages.append(stage)
        self._new.update(row[0] for row in stage.records)
        self.records, self.words, self.vectors, self.tokens, self.graph = [], [], [], [], []
        self._edits = None
        self.freed.clear()

    def added(self, raw_id: bytes | str) -> Row | None:
        """Return the row of a record that the batch adds, None when it does not."""
        rows = [*self.records, *(row for stage in self._stages for row in stage.records)]
        return next((row for row in rows if row[1] == raw_id), None)

    async def write(self, s: Session, state: State) -> None:
        """Write everything."""
        self.flush()
        for stage in self._stages:
            new = {row[0] for row in stage.records}
            await s.insert("record", RECORD_COLUMNS, stage.records)
            if stage.edits is not None and stage.edits.rids:
                await self._update(s, stage.edits)
            if stage.words:
                await put_words(s, stage.words)
            await self._embed(s, state, stage.vectors, "vec", new)
            await _put(s, "tokens", ("rid", "e"), stage.tokens, _OVER_TOKENS, new)
            if stage.edits is not None:
                await self._embed(s, state, stage.edits.gone_vectors, "vec_gone", new)
        said = [one for stage in self._stages for one in stage.graph]
        if said:
            await put_graph(s, said, frozenset(self._new))
        await s.insert("event", _EVENT_COLUMNS, self.events)

    async def _update(self, s: Session, edits: Edits) -> None:
        for names, rows in edits.updates.items():
            await _set_columns(s, names, rows)
        if edits.dropped:
            await drop_words(s, edits.dropped)
        await _move(s, edits.deleted, "vec", "vec_gone")
        await _move(s, edits.restored, "vec_gone", "vec")
        if edits.reworded:
            await s.later(("DELETE FROM tokens WHERE rid = ANY(%s)", (edits.reworded,)))
        bare = [rid for (rid,) in edits.unembedded]
        if bare:
            await s.later(
                ("DELETE FROM vec WHERE rid = ANY(%s)", (bare,)),
                ("DELETE FROM vec_gone WHERE rid = ANY(%s)", (bare,)),
            )

    async def _embed(
        self, s: Session, state: State, pairs: Sequence[tuple[int, Vector]], table: str, new: Collection[int]
    ) -> None:
        if not pairs:
            return
        packer = Packer(state, self._operation_id)
        blobs = packer.blobs([vector for _, vector in pairs])
        rows = [(rid, packer.gen, blob) for (rid, _), blob in zip(pairs, blobs, strict=True)]
        await _put(s, table, ("rid", "gen", "e"), rows, _OVER_VECTOR, new)
        if table == "vec" and self._half is not None and self._half[1] == state.dim:
            vectors = np.stack([vector for _, vector in pairs])
            wire = vectors_on_wire(vectors, self._half[0], half=True)
            await s.later((PUT, ([rid for rid, _ in pairs], wire)))


async def _put(
    s: Session,
    table: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    over: str,
    new: Collection[int],
) -> None:
    """Write rows: those of new records as they are, others in the place of what may be there."""
    await s.insert(table, columns, [row for row in rows if row[0] in new])
    known = [row for row in rows if row[0] not in new]
    for start in range(0, len(known), _CHUNK):
        await s.later(insertion(table, columns, known[start : start + _CHUNK], over))


async def _set_columns(s: Session, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Update records, each row with its rid at the end; many of them by few statements."""
    if len(rows) < _FEW:
        assignments = ", ".join(f"{name} = %s" for name in names)
        await s.many(f"UPDATE record SET {assignments} WHERE rid = %s", rows)
        return
    assignments = ", ".join(f"{name} = given.{name}" for name in names)
    arrays = ", ".join(f"%s::{COLUMN_TYPES.get(name, 'text')}[]" for name in (*names, "rid"))
    sql = (
        f"UPDATE record SET {assignments} FROM unnest({arrays}) AS given ({', '.join(names)}, rid)"
        " WHERE record.rid = given.rid"
    )
    for start in range(0, len(rows), _MOST):
        columns = zip(*rows[start : start + _MOST], strict=True)
        await s.later((sql, [list(column) for column in columns]))


async def _move(s: Session, rids: Sequence[int], source: str, target: str) -> None:
    if rids:
        moved = f"INSERT INTO {target} (rid, gen, e) SELECT rid, gen, e FROM {source} WHERE rid = ANY(%s)"
        await s.later(
            (moved + _OVER_VECTOR, (list(rids),)),
            (f"DELETE FROM {source} WHERE rid = ANY(%s)", (list(rids),)),
        )
