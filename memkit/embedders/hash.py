"""The keyless embedder: hashed words and character n-grams, no model, no network, no state."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from memkit.embedders.base import Purpose
from memkit.ranking.text import words_and_stems

DIM = 1024
_NGRAMS = (3, 4, 5)


class HashEmbedder:
    """Maps equal texts to equal unit rows, and texts that share words or word parts to near ones.

    Features are each stem, and every 3-, 4- and 5-gram of `<stem>`. A feature's column is its CRC-32 modulo 1024, its
    sign the top bit, its value 1 + ln(count). Words and n-grams are each brought to unit length and summed. There is no
    idf, so a row never depends on other texts. A text without any word gets a row of its own, near to nothing.
    """

    symmetric = True
    identity = "hash/1024/v1"
    dim = DIM

    def embed(self, texts: Sequence[str], *, purpose: Purpose = "document") -> npt.NDArray[np.float32]:
        """Return one unit row per text, in order; `purpose` makes no difference.

        Returns:
            float32 array [len(texts), 1024].
        """
        del purpose
        rows = np.zeros((len(texts), DIM), np.float32)
        for row, text in zip(rows, texts, strict=True):
            stems = _stems(text)
            if not stems:
                row[zlib.crc32(b"r" + text.strip().encode("utf-8", "surrogatepass")) % DIM] = 1.0
                continue
            both = _unit(np.array([*map(_word, stems)], np.uint32))
            both += _unit(np.concatenate([*map(_parts, stems)]))
            np.divide(both, math.sqrt(float(both @ both)) or 1.0, out=row, casting="same_kind")
        return rows


def _stems(text: str) -> list[str]:
    """Return the stems of a text but for letters and digits that stand alone, which would be near to too much."""
    return [stem for word, stem in words_and_stems(text) if stem and (len(word) > 1 or not word.isascii())]


def _unit(features: npt.NDArray[np.uint32]) -> npt.NDArray[np.float64]:
    """Sum the signed values of the features, which are put in order, into one unit vector."""
    # What `np.unique` does takes half as long without its checks, of which an `add` of one text would feel each.
    features.sort()
    first = np.empty(len(features), np.bool_)
    first[0] = True
    np.not_equal(features[1:], features[:-1], out=first[1:])
    starts = first.nonzero()[0]
    distinct = features[starts]
    values = 1.0 - 2.0 * (distinct >> 31)
    if len(starts) < len(features):
        counts = np.empty(len(starts))
        counts[-1] = len(features) - starts[-1]
        np.subtract(starts[1:], starts[:-1], out=counts[:-1])
        values *= 1.0 + np.log(counts)
    row = np.bincount(distinct % DIM, weights=values, minlength=DIM).astype(np.float64, copy=False)
    length = math.sqrt(float(row @ row))
    if length:
        row /= length
    return row


_WORDS: dict[str, int] = {}
_PARTS: dict[str, npt.NDArray[np.uint32]] = {}
_LIMIT = 100_000


def _word(stem: str) -> int:
    found = _WORDS.get(stem)
    if found is None:
        if len(_WORDS) >= _LIMIT:
            _WORDS.clear()
        found = _WORDS[stem] = zlib.crc32(b"w" + stem.encode())
    return found


def _parts(stem: str) -> npt.NDArray[np.uint32]:
    found = _PARTS.get(stem)
    if found is None:
        if len(_PARTS) >= _LIMIT:
            _PARTS.clear()
        framed = f"<{stem}>"
        grams = [framed[i : i + n] for n in _NGRAMS for i in range(len(framed) - n + 1)]
        found = np.array([zlib.crc32(b"c" + gram.encode()) for gram in grams], np.uint32)
        _PARTS[stem] = found
    return found
