"""The rows one search may see, in the order of talk, with everything about them that no query changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from memkit.ranking.asked import QUESTION, TELLS, USER
from memkit.ranking.vectors import grown_capacity
from memkit.ranking.weights import K1, SHORT_WORDS, WINDOW, WINDOW_B, Weights

Ints = npt.NDArray[np.int64]
Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

FOREVER: Final = 2**63 - 1

COLUMNS: Final = (
    ("rid", np.int64), ("created", np.int64), ("order", np.int64),
    ("valid_from", np.int64), ("valid_until", np.int64), ("expires", np.int64), ("updated", np.int64),
    ("talk", np.int32),  # number of the session, -1 where the entry is no turn of talk
    ("run", np.int32), ("agent", np.int32), ("user", np.int32), ("speaker", np.int32),
    ("month", np.int32),  # year * 12 + month - 1, -1 where no date was given
    ("length", np.int32),  # words that count, stop words left out
    ("words", np.int32),  # words between blanks
    ("told_from", np.int64), ("told_until", np.int64),  # when that was which it tells of; from 0 to 0 for nothing
    ("text", np.uint32),  # the fingerprint of the memory
    ("flags", np.uint8), ("alive", np.bool_),
)  # fmt: skip


class Rows:
    """What no query changes, by slot: one array a column, grown together."""

    def __init__(self) -> None:
        self._columns: dict[str, npt.NDArray[Any]] = {name: np.zeros(0, kind) for name, kind in COLUMNS}
        self._size = self._capacity = 0

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        """Return a column; a view on it stays as it is while slots are appended."""
        return self._columns[name][: self._size]

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return sum(column.nbytes for column in self._columns.values())

    def append(self, columns: Mapping[str, Sequence[int] | npt.NDArray[np.integer]], count: int) -> None:
        """Append so many live slots, given by column."""
        first, end = self._size, self._size + count
        self.reserve(grown_capacity(self._capacity, end))
        for name, values in columns.items():
            self._columns[name][first:end] = values
        self._columns["alive"][first:end] = True
        self._size = end

    def reserve(self, capacity: int) -> None:
        """Make room for so many slots in all."""
        if capacity <= self._capacity:
            return
        for name, column in self._columns.items():
            grown = np.zeros(capacity, column.dtype)
            grown[: self._size] = column[: self._size]
            self._columns[name] = grown
        self._capacity = capacity

    def keep(self, slots: Ints) -> None:
        """Keep only these slots, renumbered in their order."""
        self._columns = {name: column[slots] for name, column in self._columns.items()}
        self._size = self._capacity = len(slots)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class View:
    """Rows by position: sessions one after the other, turns in order.

    Attributes:
        slots: Slot of each position; None where position n is slot n and every slot is in view.
        position: Position of each slot, -1 where the slot is out of view; None likewise.
        since: From when on each row is true; mostly when it was made.
        near: `near[d - 1][i]`: positions i and i + d are turns of one session; False for the last d.
        short: The row may lend its words to its neighbours' windows.
        flags: What kinds of answer each row may hold, as `memkit.ranking.asked` has them.
        text: The fingerprint of each row's memory.
        told: From when to when that was which each row tells of; from 0 to 0 where it says no such time.
        talk_from: First position that is a turn of talk; before it are facts, documents and the like.
        starts: First position of each session, from `talk_from` on.
        weights: Those that fit the talk in view.
        session: Index into `starts` of each position from `talk_from` on.
        own_norm: What BM25 divides by for each row's own text.
        window_norm: The same for its window; empty without talk.
        prior: What the length of a memory, somebody speaking of herself in it, and a question mark at its end add to
            its place in the order; None where that is nothing for every row.
        lead: How much of its base score each row lends to the next turn; empty without talk.
        length_z: Empty where the weights have no use for it.
        speakers: Numbers of those who say anything.
    """

    slots: Ints | None
    position: Ints | None
    rid: Ints
    created: Ints
    since: Ints
    month: Ints
    speaker: Ints
    length: Ints
    user: Mask
    question: Mask
    flags: npt.NDArray[np.uint8]
    text: npt.NDArray[np.uint32]
    told: tuple[Ints, Ints]
    near: tuple[Mask, ...]
    short: Mask
    talk_from: int
    starts: Ints
    session: Ints
    weights: Weights
    own_norm: Array
    window_norm: Array
    prior: Array | None
    lead: Array
    length_z: Array
    speakers: frozenset[int]

    def __len__(self) -> int:
        return len(self.rid)

    @property
    def nbytes(self) -> int:
        """Bytes held, roughly, besides the rows' own."""
        return (34 if self.slots is None else 97) * len(self.rid) + 8 * _size(self.position)


def make_view(rows: Rows, slots: Ints | None, weights: Weights) -> View:
    """Build the view of some slots, given in the order of session and turn; None for all, in the order of slots."""
    taken = slice(None) if slots is None else slots
    position: Ints | None = None
    if slots is not None:
        position = np.full(len(rows), -1, np.int64)
        position[slots] = np.arange(len(slots))
    talk = rows["talk"][taken]
    length, words = rows["length"][taken], rows["words"][taken]
    talk_from = int(np.searchsorted(talk, 0))
    has_talk = talk_from < len(talk)
    talkative = 2 * (len(talk) - talk_from) > len(talk)
    weights = weights.of_talk(float(np.median(words[talk_from:])) if talkative else None)
    none = np.empty(0, np.int64)
    starts = session = none
    near: tuple[Mask, ...] = ()
    short = words <= SHORT_WORDS if has_talk else np.empty(0, np.bool_)
    window_norm = np.empty(0)
    if has_talk:
        near = tuple(_same_session(talk, distance) for distance in range(1, WINDOW + 1))
        opens = np.ones(len(talk) - talk_from, np.bool_)
        opens[1:] = talk[talk_from + 1 :] != talk[talk_from:-1]
        starts, session = talk_from + np.flatnonzero(opens), np.cumsum(opens, dtype=np.int64) - 1
        own = length.astype(np.float64)
        window_norm = norm(_spread(own, np.where(short, own, 0.0), near), WINDOW_B)
    flags = rows["flags"][taken]
    question = (flags & QUESTION) > 0
    length_z = _length_z(words, weights.longest) if weights.length else np.empty(0)
    speaker = rows["speaker"][taken]
    return View(
        slots=slots,
        position=position,
        rid=rows["rid"][taken],
        created=rows["created"][taken],
        since=rows["valid_from"][taken],
        month=rows["month"][taken],
        speaker=speaker,
        length=length,
        user=(flags & USER) > 0,
        question=question,
        flags=flags,
        text=rows["text"][taken],
        told=(rows["told_from"][taken], rows["told_until"][taken]),
        near=near,
        short=short,
        talk_from=talk_from,
        starts=starts,
        session=session,
        weights=weights,
        own_norm=norm(length, weights.b),
        window_norm=window_norm,
        prior=_prior(weights, length_z, (flags & TELLS) > 0, question),
        lead=weights.previous + weights.answers * question.astype(np.float64) if has_talk else np.empty(0),
        length_z=length_z,
        speakers=frozenset((np.flatnonzero(np.bincount(speaker + 1)) - 1).tolist()) - {-1},
    )


def total(at: Ints, amounts: Array, size: int) -> Array:
    """Return, for each number below `size`, the sum of the amounts at it."""
    return np.bincount(at, weights=amounts, minlength=size).astype(np.float64, copy=False)


def _spread(own: Array, lent: Array, near: tuple[Mask, ...]) -> Array:
    """Add to each row what its neighbours of the same session lend it."""
    out = own.copy()
    for distance, same in enumerate(near, 1):
        pairs = same[:-distance]
        out[distance:] += np.where(pairs, lent[:-distance], 0.0)
        out[:-distance] += np.where(pairs, lent[distance:], 0.0)
    return out


def _same_session(talk: Ints, distance: int) -> Mask:
    same = np.zeros(len(talk), np.bool_)
    if distance < len(talk):
        same[:-distance] = (talk[distance:] == talk[:-distance]) & (talk[distance:] >= 0)
    return same


def norm(length: Array | Ints, b: float) -> Array:
    """Return what BM25 divides by for rows of these lengths, all that are in view."""
    mean = float(length.mean()) if len(length) else 0.0
    return K1 * (1 - b + (b / (mean or 1.0)) * length.astype(np.float64, copy=False))


def _prior(weights: Weights, length_z: Array, tells: Mask, question: Mask) -> Array | None:
    if not weights.length and not weights.tells and not (weights.question and question.any()):
        return None
    prior = weights.tells * tells.astype(np.float64)
    if weights.length:
        prior += weights.length * length_z
    prior -= weights.question * question
    return prior


def _length_z(words: Ints, longest: int) -> Array:
    logs = np.log1p(np.minimum(words, longest))
    return (logs - logs.mean()) / (logs.std() + 1e-9) if len(logs) else logs


def _size(array: Ints | None) -> int:
    return 0 if array is None else len(array)
