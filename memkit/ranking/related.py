"""English words that mean nearly the same: where no embedder tells, "pet" finds the dog, and "trip" who travelled.

The table beside this file holds, for each stem, the stems that are nearest to it by the word vectors of
all-MiniLM-L6-v2, of the model's own vocabulary (`scripts/related_words.py`). It is read at the first search that has a
use for it, and no model is needed for that.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from memkit.ranking.postings import Postings, Vocabulary
from memkit.ranking.signals import Found, idf, locate, saturated
from memkit.ranking.view import Array, View

TABLE: Final = Path(__file__).with_name("related.npz")


def related_words(
    view: View,
    found: Found,
    terms: Sequence[str],
    names: Collection[str],
    vocabulary: Vocabulary,
    postings: Postings,
) -> Array | None:
    """Return BM25 of the words that are related to those of a query; None where no memory has any.

    One is worth as much as the query's own word, by its nearness, but no more than it would be worth itself.

    Args:
        terms: The stems of the query.
        names: Those that name people: they have no relatives.
    """
    numbers: list[int] = []
    nearness: list[float] = []
    places: list[int] = []
    get, own = vocabulary.get, set(terms)
    for place, term in enumerate(terms):
        if term not in names:
            for other, near in relatives(term):
                number = get(other)
                if number is not None and other not in own:
                    numbers.append(number)
                    nearness.append(near)
                    places.append(place)
    if not numbers:
        return None
    others = locate(view, postings.find(numbers), nearness)
    asked = idf(found.frequency, len(view))[places]
    return saturated(view, others, others.repeats * np.minimum(asked, idf(others.frequency, len(view))))


@lru_cache(maxsize=4_096)
def relatives(stem: str) -> tuple[tuple[str, float], ...]:
    """Return the stems that are related to one, the nearest first, and how near each is, from 0 to 1."""
    if not stem.isascii():
        return ()
    stems, starts, others, nearness = _table()
    sought = stem.encode()
    at = int(np.searchsorted(stems, sought))
    if at == len(stems) or stems[at] != sought:
        return ()
    span = slice(int(starts[at]), int(starts[at + 1]))
    names: list[bytes] = stems[others[span]].tolist()
    return tuple(
        (name.decode(), near / 100) for name, near in zip(names, nearness[span].tolist(), strict=True)
    )


_Numbers = npt.NDArray[np.integer]


@cache
def _table() -> tuple[npt.NDArray[np.bytes_], _Numbers, _Numbers, _Numbers]:
    """Return the stems in order, where the relatives of each begin, their numbers and their nearness in hundredths."""
    with np.load(TABLE) as kept:
        counts = kept["counts"]
        starts = np.zeros(len(counts) + 1, np.int64)
        np.cumsum(counts, out=starts[1:])
        return kept["stems"], starts, kept["others"], kept["nearness"]
