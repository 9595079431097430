"""The memories of one owner, ready to be ranked: built once, extended by each change's own size."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from memkit.ledger.records import RankRow
from memkit.ranking import scoring
from memkit.ranking.asked import QUESTION, TELLS, TIME, TIME_ELSEWHERE, USER, WISH
from memkit.ranking.days import names_a_date, told
from memkit.ranking.intake import read_words
from memkit.ranking.late import HeldTokens, Tokens
from memkit.ranking.nicknames import renamed
from memkit.ranking.ordered import middle
from memkit.ranking.postings import Postings, Vocabulary
from memkit.ranking.result import Ranking
from memkit.ranking.subject import is_of_another
from memkit.ranking.text import fingerprint, month_of
from memkit.ranking.vectors import ColumnTable, Floats, RowTable, VectorTable
from memkit.ranking.view import FOREVER, Array, Ints, Mask, Rows, View, make_view
from memkit.ranking.weights import Weights

_VIEWS = 8
_MINUTE = 60_000_000
_FEW = 64
"""New rows are put in their places one by one up to so many, and removed ones stay up to so many."""

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
        updated_at: Microseconds UTC, by the clock of whoever wrote it last.
        offset_minutes: Of the zone in which it was said: "yesterday" is counted from the day that it was there.
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
    updated_at: int = 0
    offset_minutes: int = 0
    vector: Floats | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RankQuery:
    """What is asked, and what may be seen.

    Attributes:
        text: The query, already sanitised.
        vector: float32 [dim], unit length; None ranks by words alone.
        at: The instant at which memories must be valid, microseconds UTC. Where it is `now`, the present is meant,
            which is not before a memory was last changed, even if the clock was set back since.
        now: The instant of asking: what has expired by then is invisible, and "yesterday" is relative to it.
        agents: Agents in view (None in the set: stored without one); None for any.
        runs: Runs in view, likewise.
        users: Users in view, likewise.
        include_closed: Memories whose validity is over, or has not begun, are in view too.
        tokens: Of the query, where memories have theirs; None ranks by the first stage alone.
    """

    text: str
    vector: Floats | None
    at: int
    now: int
    agents: Ids | None = None
    runs: Ids | None = None
    users: Ids | None = None
    include_closed: bool = False
    tokens: Tokens | None = None


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
    meant: tuple[str, str] = "", ""
    """The last query, and as it is with the names of speakers for their nicknames: it is embedded, then ranked."""


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
        self._words = array("i")
        """Terms of the slots that the postings do not have yet: in one piece, as many small ones leave holes."""
        self._indexed = 0
        """Slots that they have."""
        self._rows = Rows()
        self._alive = 0
        self._last = -1
        """The highest rid there ever was: a higher one is new."""
        self._order: Ints = np.empty(0, np.int64)
        self._in_order = True
        """The order is that of the slots."""
        self._holds = (-FOREVER, FOREVER)
        """From when to when every row is valid; at other instants some may be, too."""
        self._expires = FOREVER
        """Before this instant no row expires."""
        self._talks, self._runs, self._agents, self._users = _Codes(), _Codes(), _Codes(), _Codes()
        self._names = scoring.Names()
        self._views: OrderedDict[tuple[object, ...], _Cached] = OrderedDict()
        self.tokens = HeldTokens()
        """Of rows that were compared token by token; a search may add to them."""

    def __len__(self) -> int:
        return self._alive

    @property
    def nbytes(self) -> int:
        """Bytes held, roughly; for a budget over several indexes."""
        views = sum(cached.view.nbytes for cached in self._views.values())
        words = 130 * len(self._vocabulary)
        tables = self._rows.nbytes + self._order.nbytes + self._vectors.nbytes + self._postings.nbytes
        return tables + views + words + self.tokens.nbytes

    def upsert(self, entries: Sequence[Entry]) -> None:
        """Add entries; one whose rid is known replaces the old one. Costs what the entries cost, not the index."""
        latest = {entry.rid: entry for entry in entries}
        self.remove([rid for rid in latest if rid <= self._last])
        self._append(list(latest.values()), [entry.vector for entry in latest.values()])

    def reserve(self, rows: int) -> None:
        """Make room for so many rows at once."""
        self._rows.reserve(rows)
        self._vectors.reserve(rows)

    def extend(self, rows: Sequence[RankRow], vectors: Floats) -> None:
        """Add rows that are new, with a vector each."""
        self._append(rows, vectors)

    def stand(self, rids: Sequence[int]) -> None:
        """Note which rows hold a standing wish; of those that are no user's, and of unknown rids, nothing is noted."""
        if not rids:
            return
        flags = self._rows["flags"]
        flags[np.isin(self._rows["rid"], rids) & (flags & USER > 0)] |= WISH
        self._views.clear()

    def remove(self, rids: Sequence[int]) -> None:
        """Take entries out; unknown rids are passed over."""
        if not rids:
            return
        self.tokens.drop(rids)
        held = np.isin(self._rows["rid"], rids) & self._rows["alive"]
        gone = int(np.count_nonzero(held))
        if not gone:
            return
        self._rows["alive"][held] = False
        self._alive -= gone
        self._views.clear()
        if len(self._rows) > _FEW and 2 * self._alive < len(self._rows):
            self._compact()

    def embedded(self, query: RankQuery) -> str:
        """Return what of a query is to be embedded for the rows in view; its vector is not looked at."""
        cached = self._cached(query)
        return scoring.embedded(cached.view, self._names, self._renamed(cached, query.text))

    def rank(self, query: RankQuery) -> Ranking:
        """Return every row in view, best first."""
        cached = self._cached(query)
        view, text = cached.view, self._renamed(cached, query.text)
        words = scoring.look_up(text, self._vocabulary, self._postings, frame=view.weights.frame)
        cosines = None if query.vector is None else self._vectors.cosines(query.vector, view.slots)
        return scoring.rank(
            view, self._names, text, query.now, words, cosines, query.tokens, self.tokens,
            near=None if cosines is None else lambda rows: self._nearness(view.slots, rows), typed=query.text,
        )  # fmt: skip

    def _renamed(self, cached: _Cached, query: str) -> str:
        """Return a query with the names of speakers in the place of what others in view call them."""
        self._index_words()
        if not cached.view.weights.nickname:
            return query
        typed, meant = cached.meant
        if typed != query:
            meant = renamed(cached.view, query, self._names, self._vocabulary, self._postings)
            cached.meant = query, meant
        return meant

    def _nearness(self, slots: Ints | None, rows: Ints) -> Array:
        """Return how near the vectors of some slots are to the middle of some of them."""
        some = rows if slots is None else slots[rows]
        towards = middle(self._vectors.middle(some), self._vectors.middle(slots))
        return self._vectors.cosines(towards, slots)

    # ------------------------------------------------------------------------------------------- writing

    def _append(self, entries: Sequence[Entry | RankRow], vectors: Floats | Sequence[Floats | None]) -> None:
        if not entries:
            return
        first = len(self._rows)
        read = read_words(entries, self._vocabulary)
        slots = np.arange(first, first + len(entries))
        columns = self._columns(entries, read.cues.tolist())
        self._rows.append({**columns, "length": read.lengths, "words": read.words}, len(entries))
        self._alive += len(entries)
        self._last = max(self._last, int(self._rows["rid"][first:].max()))
        self._words.frombytes(read.terms.tobytes())
        self._vectors.put(first, vectors)
        self._place(slots)
        self._limit(slots)
        self._views.clear()

    def _index_words(self) -> None:
        """Take the words of new rows into the postings."""
        if self._words:
            terms = np.frombuffer(self._words, np.intc)
            self._words = array("i")
            slots = np.arange(self._indexed, len(self._rows), dtype=np.int32)
            self._postings.add(np.repeat(slots, self._rows["length"][self._indexed :]), terms)
            self._indexed = len(self._rows)

    def _columns(self, entries: Sequence[Entry | RankRow], kinds: list[int]) -> dict[str, Sequence[int]]:
        """Return what the rows of entries hold besides their words, by column."""
        talks = [entry.kind == "message" and entry.session is not None for entry in entries]
        number, talk_of = self._names.number, self._talks
        runs, agents, users = self._runs, self._agents, self._users
        told_of = [
            (
                told(
                    entry.text,
                    entry.created_at + entry.offset_minutes * _MINUTE,
                    elsewhere=kind & TIME_ELSEWHERE > 0,
                )
                if kind & (TIME | TIME_ELSEWHERE) or names_a_date(entry.text)
                else None
            )
            or (0, 0)
            for entry, kind in zip(entries, kinds, strict=True)
        ]
        return {
            "rid": [entry.rid for entry in entries],
            "created": [entry.created_at for entry in entries],
            "order": [entry.order[0] for entry in entries],
            "valid_from": [entry.valid_from for entry in entries],
            "valid_until": [FOREVER if entry.valid_until is None else entry.valid_until for entry in entries],
            "expires": [FOREVER if entry.expires_at is None else entry.expires_at for entry in entries],
            "updated": [entry.updated_at for entry in entries],
            "talk": [
                talk_of[(entry.user, entry.session)] if talk else -1
                for entry, talk in zip(entries, talks, strict=True)
            ],
            "run": [runs[entry.session] for entry in entries],
            "agent": [agents[entry.agent] for entry in entries],
            "user": [users[entry.user] for entry in entries],
            "speaker": [-1 if entry.speaker is None else number(entry.speaker) for entry in entries],
            "month": [month_of(entry.created_at) if entry.dated else -1 for entry in entries],
            "told_from": [start for start, _ in told_of],
            "told_until": [end for _, end in told_of],
            "text": [fingerprint(entry.text) for entry in entries],
            "flags": [
                USER * (entry.role == "user" and (talk or not is_of_another(entry.text)))
                | (QUESTION * _asks(entry.text) if talk else TELLS)
                | kind
                for entry, talk, kind in zip(entries, talks, kinds, strict=True)
            ],
        }

    def _place(self, slots: Ints) -> None:
        """Put new slots where they belong in the order of sessions and turns."""
        talk, first, second = self._rows["talk"], self._rows["order"], self._rows["rid"]

        def key(slot: int) -> tuple[int, int, int]:
            return int(talk[slot]), int(first[slot]), int(second[slot])

        added = slots[np.lexsort((second[slots], first[slots], talk[slots]))]
        if len(self._order) == 0 or key(self._order[-1]) <= key(added[0]):
            self._in_order = self._in_order and bool((added == slots).all())
            self._order = np.concatenate([self._order, added])
            return
        self._in_order = False
        if len(added) > _FEW:
            every = np.concatenate([self._order, added])
            self._order = every[np.lexsort((second[every], first[every], talk[every]))]
        else:
            places = [bisect_right(self._order, key(slot), key=key) for slot in added.tolist()]
            self._order = np.insert(self._order, places, added)

    def _limit(self, slots: Ints) -> None:
        """Note from when to when every row is valid, whoever asks, with some slots that are new."""
        rows, (since, until) = self._rows, self._holds
        since = int(np.maximum(rows["valid_from"][slots], rows["updated"][slots]).max(initial=since))
        until = int(rows["valid_until"][slots].min(initial=until))
        self._holds = since, until
        self._expires = int(rows["expires"][slots].min(initial=self._expires))

    def _compact(self) -> None:
        """Drop removed rows and renumber the others."""
        self._index_words()
        size = len(self._rows)
        alive = np.flatnonzero(self._rows["alive"])
        renumbered = np.full(size, -1, np.int64)
        renumbered[alive] = np.arange(len(alive))
        self._postings.keep(renumbered)
        self._vectors.keep(alive)
        self._rows.keep(alive)
        self._indexed = len(alive)
        kept = renumbered[self._order]
        self._order = kept[kept >= 0]
        self._holds, self._expires = (-FOREVER, FOREVER), FOREVER
        self._limit(np.arange(len(alive)))

    # ----------------------------------------------------------------------------------------- the view

    def _cached(self, query: RankQuery) -> _Cached:
        key = (query.agents, query.runs, query.users, query.include_closed, query.at == query.now)
        cached = self._views.get(key)
        if cached and cached.at[0] <= query.at < cached.at[1] and cached.now[0] <= query.now < cached.now[1]:
            self._views.move_to_end(key)
            return cached
        cached = self._make_view(query)
        self._views[key] = cached
        self._views.move_to_end(key)
        while len(self._views) > _VIEWS:
            self._views.popitem(last=False)
        return cached

    def _make_view(self, query: RankQuery) -> _Cached:
        rows = self._rows
        slots = self._order
        if self._alive < len(rows):
            slots = slots[rows["alive"][slots]]
        for ids, codes, column in (
            (query.agents, self._agents, "agent"),
            (query.runs, self._runs, "run"),
            (query.users, self._users, "user"),
        ):
            if ids is not None and not codes.keys() <= ids:
                slots = slots[np.isin(rows[column][slots], [codes[i] for i in ids if i in codes])]
        now_span = (-FOREVER, self._expires)
        if query.now >= self._expires:
            expires = rows["expires"][slots]
            now_span = _span([expires], query.now)
            slots = slots[expires > query.now]
        at_span = (-FOREVER, FOREVER) if query.include_closed else self._holds
        if not at_span[0] <= query.at < at_span[1]:
            since, until = rows["valid_from"][slots], rows["valid_until"][slots]
            if query.at == query.now:
                told = rows["updated"][slots]
                since, until = (np.where(edge <= told, -FOREVER, edge) for edge in (since, until))
            at_span = _span([since, until], query.at)
            slots = slots[(since <= query.at) & (query.at < until)]
        whole = self._in_order and len(slots) == len(rows)
        return _Cached(make_view(rows, None if whole else slots, self._weights), at_span, now_span)


def _asks(text: str) -> bool:
    return text.rstrip().endswith(("?", "？", "؟"))


def _span(edges: Iterable[Ints], instant: int) -> tuple[int, int]:
    """Return the longest span around an instant in which no edge is crossed."""
    low, high = -FOREVER, FOREVER
    for edge in edges:
        passed: Mask = edge <= instant
        low = max(low, int(edge[passed].max(initial=low)))
        high = min(high, int(edge[~passed].min(initial=high)))
    return low, high
