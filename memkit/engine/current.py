"""The rows that a ranking names, as the ledger has them now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..ledger.base import Ledger, Mark, Record

if TYPE_CHECKING:
    from ..ranking.cache import Held


class Reading:
    """Reads rows of a ranking from the ledger; of those that are held only whether they still are as they were.

    Args:
        ledger: It says of every row, or of the owner of all of them, how far it has come.
        owner: Whose rows they are; None for anybody's, of which nothing is held.
        mark: What the ranking, and all that is held, is current at.
        held: Of the owner's records; lent for as long as this is used.
    """

    def __init__(
        self, ledger: Ledger, owner: int | None = None, mark: Mark | None = None, held: Held | None = None
    ) -> None:
        self._ledger, self._owner, self._mark = ledger, owner, mark
        self._held = None if owner is None else held
        self.moved = False
        """Whether the owner has come further than the mark."""

    def rows(self, rids: Sequence[int]) -> Mapping[int, Record]:
        """Return the live ones of some rows by rid, each as of now, in one round trip."""
        owner, mark, held = self._owner, self._mark, self._held
        if owner is None or mark is None or held is None or self.moved:
            return self._fetched(rids)
        known = held.records
        rows = {rid: known[rid] for rid in rids if rid in known}
        if len(rows) < len(rids):
            fetched = self._ledger.fetch([rid for rid in rids if rid not in known])
            self.moved = fetched.marks.get(owner, mark.event) != mark.event
            if not self.moved:
                held.keep(fetched.records)
                rows.update((record.rid, record) for record in fetched.records)
        else:
            self.moved = self._ledger.changes(owner, mark).mark != mark
        return self._fetched(rids) if self.moved else rows

    def _fetched(self, rids: Sequence[int]) -> Mapping[int, Record]:
        fetched = self._ledger.fetch(rids)
        return {record.rid: record for record in fetched.records}
