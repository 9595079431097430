"""The rows one search may see, in the order of talk, with everything about them that no query changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from memkit.ranking.weights import K1, SHORT_WORDS, WINDOW, WINDOW_B, Weights

Ints = npt.NDArray[np.int64]
Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

FOREVER: Final = 2**63 - 1

USER, QUESTION = 1, 2

ROW = np.dtype(
    [
        ("rid", np.int64), ("created", np.int64), ("order0", np.int64), ("order1", np.int64),
        ("valid_from", np.int64), ("valid_until", np.int64), ("expires", np.int64),
        ("talk", np.int32),  # number of the session, -1 where the entry is no turn of talk
        ("run", np.int32), ("agent", np.int32), ("user", np.int32), ("speaker", np.int32),
        ("month", np.int32),  # year * 12 + month - 1, -1 where no date was given
        ("length", np.int32),  # words that count, stop words left out
        ("words", np.int32),  # words between blanks
        ("flags", np.uint8), ("alive", np.bool_),
    ]
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class View:
    """Rows by position: sessions one after the other, turns in order.

    Attributes:
        slots: Slot of each position.
        position: Position of each slot, -1 where the slot is out of view.
        near: `near[d - 1][i]`: positions i and i + d are turns of one session; False for the last d.
        short: The row may lend its words to its neighbours' windows.
        talk_from: First position that is a turn of talk; before it are facts, documents and the like.
        starts: First position of each session, from `talk_from` on.
        weights: Those that fit the talk in view.
        session: Index into `starts` of each position from `talk_from` on.
    """

    slots: Ints
    position: Ints
    rid: Ints
    created: Ints
    month: Ints
    speaker: Ints
    length: Array
    words: Array
    user: Mask
    question: Mask
    near: tuple[Mask, ...]
    short: Mask
    talk_from: int
    starts: Ints
    session: Ints
    weights: Weights
    own_norm: Array
    window_norm: Array
    length_z: Array

    def __len__(self) -> int:
        return len(self.slots)

    @property
    def nbytes(self) -> int:
        """Bytes held, roughly."""
        return 130 * len(self.slots) + self.position.nbytes


def make_view(rows: npt.NDArray[np.void], slots: Ints, weights: Weights) -> View:
    """Build the view of some slots, given in the order of session and turn."""
    position = np.full(len(rows), -1, np.int64)
    position[slots] = np.arange(len(slots))
    talk = rows["talk"][slots].astype(np.int64)
    near = tuple(_same_session(talk, distance) for distance in range(1, WINDOW + 1))
    talk_from = int(np.searchsorted(talk, 0))
    opens = np.ones(len(talk) - talk_from, np.bool_)
    opens[1:] = talk[talk_from + 1 :] != talk[talk_from:-1]
    starts = talk_from + np.flatnonzero(opens)
    words = rows["words"][slots].astype(np.float64)
    length = rows["length"][slots].astype(np.float64)
    short = words <= SHORT_WORDS
    talkative = 2 * (len(talk) - talk_from) > len(talk)
    weights = weights.of_talk(float(np.median(words[talk_from:])) if talkative else None)
    flags = rows["flags"][slots]
    return View(
        slots=slots,
        position=position,
        rid=rows["rid"][slots],
        created=rows["created"][slots],
        month=rows["month"][slots].astype(np.int64),
        speaker=rows["speaker"][slots].astype(np.int64),
        length=length,
        words=words,
        user=(flags & USER) > 0,
        question=(flags & QUESTION) > 0,
        near=near,
        short=short,
        talk_from=talk_from,
        starts=starts,
        session=np.cumsum(opens, dtype=np.int64) - 1,
        weights=weights,
        own_norm=_norm(length, weights.b),
        window_norm=_norm(spread(length, np.where(short, length, 0.0), near), WINDOW_B),
        length_z=_length_z(words) if weights.length else words,
    )


def spread(own: Array, lent: Array, near: tuple[Mask, ...]) -> Array:
    """Add to each row what its neighbours of the same session lend it."""
    out = own.copy()
    for distance, same in enumerate(near, 1):
        pairs = same[:-distance]
        out[distance:] += np.where(pairs, lent[:-distance], 0.0)
        out[:-distance] += np.where(pairs, lent[distance:], 0.0)
    return out


def total(at: Ints, amounts: Array, size: int) -> Array:
    """Return, for each number below `size`, the sum of the amounts at it."""
    return np.bincount(at, weights=amounts, minlength=size).astype(np.float64, copy=False)


def _same_session(talk: Ints, distance: int) -> Mask:
    same = np.zeros(len(talk), np.bool_)
    if distance < len(talk):
        same[:-distance] = (talk[distance:] == talk[:-distance]) & (talk[distance:] >= 0)
    return same


def _norm(length: Array, b: float) -> Array:
    mean = float(length.mean()) if len(length) else 0.0
    return K1 * (1 - b + b * length / (mean or 1.0))


def _length_z(words: Array) -> Array:
    logs = np.log1p(np.minimum(words, 30))
    return (logs - logs.mean()) / (logs.std() + 1e-9) if len(logs) else logs
