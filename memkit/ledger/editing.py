"""Edits of records: the new values, what they replaced, and what has to follow."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from .base import EditRecord
from .rows import CODES, EXPIRE, Row, column, dump, edited_columns, live_text, with_columns

if TYPE_CHECKING:
    from .base import Record, Vector

_NOT_DELTA: Final = frozenset(("version", "expired", "dedup"))


class Words(Protocol):
    """What has to be known of a store to write its rows."""

    salt: int

    def words(self, actor: str | None, text: str) -> object:
        """Return what the keyword index is fed for a record."""
        ...


@dataclass(slots=True)
class Edits:
    """What edits change, beside the words and vectors that live records get; a record is edited once."""

    rids: set[int] = field(default_factory=set[int])
    frees_digest: bool = False
    """Whether one takes a record out of those that stand for a digest."""
    updates: dict[tuple[str, ...], list[tuple[Any, ...]]] = field(
        default_factory=dict[tuple[str, ...], list[tuple[Any, ...]]]
    )
    """By the names of the columns: their values, then the rid."""
    dropped: list[tuple[int, Any]] = field(default_factory=list[tuple[int, Any]])
    """Words that go out of the keyword index."""
    deleted: list[int] = field(default_factory=list[int])
    restored: list[int] = field(default_factory=list[int])
    reworded: list[int] = field(default_factory=list[int])
    """Records whose tokens are of an earlier text."""
    unembedded: list[tuple[int]] = field(default_factory=list[tuple[int]])
    """Those of them that get no vector of the new one."""
    gone_vectors: list[tuple[int, Vector]] = field(default_factory=list[Any])
    """Vectors of deleted records, for an undo."""


class Pending(ABC):
    """Rows of one batch that are not written yet; each list is written by few statements."""

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []
        self.records: list[tuple[Any, ...]] = []
        self.words: list[tuple[int, Any]] = []
        """Of live records, as the ledger's `words` gives them."""
        self.vectors: list[tuple[int, Vector]] = []
        self.tokens: list[tuple[int, bytes]] = []
        self.graph: list[tuple[int, Record]] = []
        """Records whose entities or relations are new."""
        self._edits: Edits | None = None

    @property
    def edits(self) -> Edits:
        """What the edits of the batch change; most batches have none."""
        if self._edits is None:
            self._edits = Edits()
        return self._edits

    @abstractmethod
    def flush(self) -> None:
        """Let what is collected be written before what is collected from now on, but for the events."""


class RecordEditor:
    """Collects the edits of a batch.

    `taken` says whether a record already stands for an owner's digest.
    """

    def __init__(
        self, book: Words, pending: Pending, at: int, taken: Callable[[tuple[int, bytes]], bool]
    ) -> None:
        self._book, self._pending, self._at, self._taken = book, pending, at, taken
        self._claimed: set[tuple[int, bytes]] = set()
        """What edited records came to stand for."""

    def edit(self, edit: EditRecord, row: Row) -> tuple[Row, str | None]:
        """Change the record of a `RECORD_SELECT` row; return the new row, and what was replaced as JSON."""
        rid, before = column(row, "rid"), live_text(row)
        pending = self._pending
        if rid in pending.edits.rids:
            pending.flush()
        columns = edited_columns(edit.set, self._book.salt)
        text_changed = columns.get("text", before) != before
        if not text_changed:
            columns.pop("text", None)
        code = CODES[edit.event]
        columns["version"] = column(row, "version") + 1
        # The clock may have been set back; a change is not before the one before all the same.
        columns["updated_at"] = max(self._at, column(row, "updated_at")) if edit.at is None else edit.at
        if code == EXPIRE:
            columns["expired"] = 1
        elif "expires_at" in columns:
            columns["expired"] = 0
        if edit.dedup is not None or text_changed:
            columns["dedup"] = edit.dedup
        after = with_columns(row, columns)
        if self._digest_taken(row, after):
            columns["dedup"] = None
            after = with_columns(row, columns)
        delta = {
            name: column(row, name)
            for name, value in columns.items()
            if name not in _NOT_DELTA and column(row, name) != value
        }
        pending.edits.updates.setdefault(tuple(columns), []).append((*columns.values(), rid))
        pending.edits.rids.add(rid)
        self._reindex(edit, row, after, text_changed=text_changed)
        return after, dump(delta)

    def _digest_taken(self, before: Row, after: Row) -> bool:
        """Whether another live, current record of the owner already stands for the same digest."""
        pending, freed, place = self._pending, stands_for(before), stands_for(after)
        if freed is not None and freed != place:
            self._claimed.discard(freed)
            pending.edits.frees_digest = True
        if place is None or place == freed:
            return False
        if place in self._claimed:
            return True
        if self._taken(place):
            return True
        self._claimed.add(place)
        return False

    def _reindex(self, edit: EditRecord, before: Row, after: Row, *, text_changed: bool) -> None:
        """Bring keywords and embedding after an edit; those of a deleted record wait for an undo."""
        pending, rid, actor = self._pending, column(before, "rid"), column(before, "actor")
        was, now = not column(before, "deleted"), not column(after, "deleted")
        edits = pending.edits
        if was and (text_changed or not now):
            edits.dropped.append((rid, self._book.words(actor, live_text(before))))
        if now and (text_changed or not was):
            pending.words.append((rid, self._book.words(actor, live_text(after))))
        if was != now:
            (edits.restored if now else edits.deleted).append(rid)
        if text_changed:
            edits.reworded.append(rid)
        if edit.tokens is not None:
            pending.tokens.append((rid, edit.tokens))
        if edit.vector is not None:
            (pending.vectors if now else edits.gone_vectors).append((rid, edit.vector))
        elif text_changed:
            edits.unembedded.append((rid,))


def stands_for(row: Row) -> tuple[int, bytes] | None:
    """Return the owner and the digest that a `RECORD_SELECT` row is the one record of, None when it is of none."""
    digest = column(row, "dedup")
    if digest is None or column(row, "deleted") or column(row, "valid_until") is not None:
        return None
    return column(row, "owner"), digest
