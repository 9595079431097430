"""The memories of one owner, ready to be ranked: built once, extended by each change's own size."""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from memkit.ranking import scoring
from memkit.ranking.postings import Postings, Vocabulary
from memkit.ranking.result import Ranking
from memkit.ranking.text import day_of, keyword_form, surface
from memkit.ranking.vectors import ColumnTable, Floats, RowTable, VectorTable, grown_capacity
from memkit.ranking.view import FOREVER, QUESTION, ROW, USER, Ints, Mask, View, make_view
from memkit.ranking.weights import Weights

_VIEWS = 8
_FEW = 64

Ids = frozenset[str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One record as ranking sees it.

    Attributes:
        rid: The ledger's row number; unique.
        order: (created_at in microseconds, rid): its place inside a session.
        text: The memory.
        speaker: Who said it, if a person is known; not a role.
        role: user, assistant, system, tool, or None.
        session: The run it belongs to.
        agent: The agent it belongs to.
        user: The user it belongs to.
        created_at: Microseconds UTC.
        dated: The date was given, so that its month and year are words to be found by.
        kind: fact, preference, instruction, event, procedure, message or summary; only a message is a turn of talk.
        valid_from: Microseconds UTC.
        valid_until: Microseconds UTC, exclusive; None while it holds.
        expires_at: Microseconds UTC, exclusive; None for never.
        vector: float32 [dim], unit length; None where there is none (yet).
    """

    rid: int
    order: tuple[int, int]
    text: str
    speaker: str | None
    role: str | None
    session: str | None
    agent: str | None
    user: str | None
    created_at: int
    dated: bool
    kind: str
    valid_from: int
    valid_until: int | None
    expires_at: int | None
    vector: Floats | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RankQuery:
    """What is asked, and what may be seen.

    Attributes:
        text: The query, already sanitised.
        vector: float32 [dim], unit length; None ranks by words alone.
        at: The instant at which memories must be valid, microseconds UTC.
        now: The instant of asking: what has expired by then is invisible, and "yesterday" is relative to it.
        agents: Agents in view (None in the set: stored without one); None for any.
        runs: Runs in view, likewise.
        users: Users in view, likewise.
        include_closed: Memories whose validity is over, or has not begun, are in view too.
    """

    text: str
    vector: Floats | None
    at: int
    now: int
    agents: Ids | None = None
    runs: Ids | None = None
    users: Ids | None = None
    include_closed: bool = False


class _Codes(dict[object, int]):
    """Gives each new key the next number."""

    def __missing__(self, key: object) -> int:
        number = self[key] = len(self)
        return number


@dataclass(slots=True)
class _Cached:
    view: View
    at: tuple[int, int]
    now: tuple[int, int]


class OwnerIndex:
    """Ranks the memories of one owner exactly, whichever part of them is in view.

    A hidden row (another agent's, another run's, closed, expired) changes nothing about the order and the scores of
    those in view: not by its words, nor its vector, nor as a neighbour. An index that grew row by row ranks like one
    that was built at once. Not safe for a write beside other calls; callers hold a lock.

    Args:
        dim: Columns of a vector.
        weights: `weights_for(embedder.identity)`.
    """

    def __init__(self, dim: int, *, weights: Weights) -> None:
        self._dim = dim
        self._weights = weights
        self._vectors: VectorTable = ColumnTable(dim) if weights.hashed else RowTable(dim)
        self._postings = Postings()
        self._vocabulary = Vocabulary()
        self._rows: npt.NDArray[np.void] = np.zeros(0, ROW)
        self._size = 0
        self._slot_of: dict[int, int] = {}
        self._order: Ints = np.empty(0, np.int64)
        self._talks, self._runs, self._agents, self._users = _Codes(), _Codes(), _Codes(), _Codes()
        self._names = scoring.Names()
        self._views: OrderedDict[tuple[object, ...], _Cached] = OrderedDict()

    def __len__(self) -> int:
        return len(self._slot_of)

    @property
    def nbytes(self) -> int:
        """Bytes held, roughly; for a budget over several indexes."""
        views = sum(cached.view.nbytes for cached in self._views.values())
        words = 130 * (len(self._vocabulary) + len(self._vocabulary.terms))
        tables = self._rows.nbytes + self._order.nbytes + self._vectors.nbytes + self._postings.nbytes
        return tables + views + words + 100 * len(self._slot_of)

    def upsert(self, entries: Sequence[Entry]) -> None:
        """Add entries; one whose rid is known replaces the old one. Costs what the entries cost, not the index."""
        latest = {entry.rid: entry for entry in entries}
        self.remove([rid for rid in latest if rid in self._slot_of])
        self._append(list(latest.values()))

    def remove(self, rids: Sequence[int]) -> None:
        """Take entries out; unknown rids are passed over."""
        slots = [slot for rid in rids if (slot := self._slot_of.pop(rid, None)) is not None]
        if not slots:
            return
        self._rows["alive"][slots] = False
        self._views.clear()
        if self._size > 256 and 2 * len(self._slot_of) < self._size:
            self._compact()

    def rank(self, query: RankQuery) -> Ranking:
        """Return every row in view, best first."""
        view = self._view(query)
        terms, postings, repeats = scoring.look_up(query.text, self._vocabulary, self._postings)
        cosines = None if query.vector is None else self._vectors.cosines(query.vector, view.slots)
        return scoring.rank(
            view,
            self._names,
            query.text,
            query.now,
            scoring.Words(terms, postings, repeats),
            cosines,
        )

    # ------------------------------------------------------------------------------------------- writing

    def _append(self, entries: list[Entry]) -> None:
        if not entries:
            return
        first, end = self._size, self._size + len(entries)
        if end > len(self._rows):
            grown = np.zeros(grown_capacity(len(self._rows), end), ROW)
            grown[: self._size] = self._rows[: self._size]
            self._rows = grown
        slots: list[npt.NDArray[np.int64]] = []
        terms: list[npt.NDArray[np.int64]] = []
        for slot, entry in enumerate(entries, first):
            keywords = keyword_form(entry.text, entry.speaker, entry.created_at if entry.dated else None)
            found = np.array([self._vocabulary[word] for word in surface(keywords)], np.int64)
            found = found[found >= 0]
            self._rows[slot] = self._record(entry, len(found), len(keywords.split()))
            slots.append(np.full(len(found), slot, np.int64))
            terms.append(found)
            self._slot_of[entry.rid] = slot
        self._postings.add(np.concatenate(slots), np.concatenate(terms))
        self._vectors.put(first, [entry.vector for entry in entries])
        self._size = end
        self._place(np.arange(first, end))
        self._views.clear()

    def _record(self, entry: Entry, length: int, words: int) -> tuple[object, ...]:
        talk = entry.kind == "message" and entry.session is not None
        day = day_of(entry.created_at) if entry.dated else None
        asks = talk and entry.text.rstrip().endswith(("?", "？", "؟"))
        return (
            entry.rid, entry.created_at, *entry.order,
            entry.valid_from, FOREVER if entry.valid_until is None else entry.valid_until,
            FOREVER if entry.expires_at is None else entry.expires_at,
            self._talks[(entry.user, entry.session)] if talk else -1,
            self._runs[entry.session], self._agents[entry.agent], self._users[entry.user],
            self._names.number(entry.speaker), -1 if day is None else day.year * 12 + day.month - 1,
            length, words, USER * (entry.role == "user") + QUESTION * asks, True,
        )  # fmt: skip

    def _place(self, slots: Ints) -> None:
        """Put new slots where they belong in the order of sessions and turns."""
        talk, first, second = self._rows["talk"], self._rows["order0"], self._rows["order1"]

        def key(slot: int) -> tuple[int, int, int]:
            return int(talk[slot]), int(first[slot]), int(second[slot])

        if len(slots) > _FEW:
            every = np.concatenate([self._order, slots])
            self._order = every[np.lexsort((second[every], first[every], talk[every]))]
            return
        added = sorted(slots.tolist(), key=key)
        places = [bisect_right(self._order, key(slot), key=key) for slot in added]
        self._order = np.insert(self._order, places, added)

    def _compact(self) -> None:
        """Drop removed rows and renumber the others."""
        alive = np.flatnonzero(self._rows["alive"][: self._size])
        renumbered = np.full(self._size, -1, np.int64)
        renumbered[alive] = np.arange(len(alive))
        self._postings.keep(renumbered)
        self._vectors.keep(alive)
        self._rows, self._size = self._rows[alive], len(alive)
        kept = renumbered[self._order]
        self._order = kept[kept >= 0]
        self._slot_of = {int(rid): slot for slot, rid in enumerate(self._rows["rid"])}

    # ----------------------------------------------------------------------------------------- the view

    def _view(self, query: RankQuery) -> View:
        key = (query.agents, query.runs, query.users, query.include_closed)
        cached = self._views.get(key)
        if cached and cached.at[0] <= query.at < cached.at[1] and cached.now[0] <= query.now < cached.now[1]:
            self._views.move_to_end(key)
            return cached.view
        cached = self._make_view(query)
        self._views[key] = cached
        self._views.move_to_end(key)
        while len(self._views) > _VIEWS:
            self._views.popitem(last=False)
        return cached.view

    def _make_view(self, query: RankQuery) -> _Cached:
        rows = self._rows
        keep = rows["alive"][self._order]
        for ids, codes, column in (
            (query.agents, self._agents, "agent"),
            (query.runs, self._runs, "run"),
            (query.users, self._users, "user"),
        ):
            if ids is not None:
                keep &= np.isin(rows[column][self._order], [codes[i] for i in ids if i in codes])
        slots = self._order[keep]
        expires = rows["expires"][slots]
        now_span = _span([expires], query.now)
        slots = slots[expires > query.now]
        at_span = (-FOREVER, FOREVER)
        if not query.include_closed:
            since, until = rows["valid_from"][slots], rows["valid_until"][slots]
            at_span = _span([since, until], query.at)
            slots = slots[(since <= query.at) & (query.at < until)]
        return _Cached(make_view(rows, slots, self._weights), at_span, now_span)


def _span(edges: Iterable[Ints], instant: int) -> tuple[int, int]:
    """Return the longest span around an instant in which no edge is crossed."""
    low, high = -FOREVER, FOREVER
    for edge in edges:
        passed: Mask = edge <= instant
        low = max(low, int(edge[passed].max(initial=low)))
        high = min(high, int(edge[~passed].min(initial=high)))
    return low, high
