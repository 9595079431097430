"""Late interaction: the best of a ranking, compared with the query token by token.

    late   = sum over the query's tokens of idf(token)/sum(idf) * max over the memory's tokens of their cosine
    around = the same with the tokens of its neighbours, where those are better by more than 1/20
    score  = (1 - a - b) z(first) + a z(late) + b z(around), over the best 64 of the first stage; `Weights.late` is a,
             and `Weights.around` is b

A vector of a whole memory blurs which word stands by which; its tokens keep it. On chats, facts and short documents it
finds two to six more of a hundred pieces of evidence. Long messages to assistants offer more tokens to match, whatever
they say: there it is left out, and so are single memories that are long.
"""

from __future__ import annotations

import math
import re
import unicodedata
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from memkit.ranking.signals import Fused, first_rows
from memkit.ranking.text import MAX_WORD, stems_by_word, surface
from memkit.ranking.view import Array, Ints, Mask, View
from memkit.ranking.weights import PRIOR_WEIGHT

if TYPE_CHECKING:
    from memkit.embedders.base import TokenCodes

Codes = npt.NDArray[np.int8]
Floats = npt.NDArray[np.float32]

BEST: Final = 64
"""Rows of the first stage that are compared; 100 find as much among the first twenty, for half as much again."""
LONGEST: Final = 127
"""Tokens of a memory up to which they are kept: as many of 64 numbers as a page of the ledger holds."""
_FIRST_STD: Final = 0.85
"""Deviation of the first stage's scores that is expected among the best rows."""
_LATE_STD: Final = 0.09
"""Likewise of the matches."""
_ASKED: Final = 32
"""Tokens of a query that are compared, those that tell most first: questions have a dozen, prompts hundreds."""
_LENT: Final = 0.95
"""What a neighbour's token counts of its match."""
_STOP: Final = 0.5
"""What a stop word of a query counts, where a word that half of the memories hold counts 0.7."""
_SIGN: Final = 0.25
_SQUARE: Final = 127.0**2
_TAG: Final = 2
"""Bytes before the codes that stand for what they were made with."""
_HELD_BYTES: Final = 32 * 1024 * 1024
"""Of the tokens that are held for one owner: those of some 16,000 turns."""
_ENTRY: Final = 140
"""Bytes that a row takes there beside its tokens."""
_ONE_THREAD: Final = 2**18
"""Multiplications that a BLAS does without waking its threads."""
_AT_ONCE: Final = 4
"""Rows that a BLAS multiplies at once."""
_WORD: Final = re.compile(r"\w+")


def pack(codes: Codes, identity: str) -> bytes | None:
    """Return the tokens of a memory as the ledger keeps them; None for one that is long, or has none.

    Args:
        codes: int8 [tokens, width].
        identity: Of what made the codes; others are not compared with them.
    """
    return _tag(identity) + codes.tobytes() if 0 < len(codes) <= LONGEST else None


def without_signs(text: str, tokens: TokenCodes) -> TokenCodes:
    """Return the tokens of a text that are of words: every text has full stops, and all of them are alike.

    A fifth of the tokens of talk are signs. A text of nothing else keeps them.
    """
    begins = tokens.spans[:, 0].tolist()
    kept = [n for n, at in enumerate(begins) if unicodedata.category(text[at : at + 1] or "a")[0] not in "PS"]
    if not kept or len(kept) == len(begins):
        return tokens
    return replace(tokens, codes=tokens.codes[kept], spans=tokens.spans[kept])


def _tag(identity: str) -> bytes:
    return zlib.crc32(identity.encode()).to_bytes(4, "little")[:_TAG]


class HeldTokens:
    """Tokens of memories that were compared before, so that a search reads only those of rows that are new to it.

    They are those of the rows as they are: whoever changes a row drops its own.
    """

    def __init__(self) -> None:
        self._codes: dict[int, bytes] = {}
        self._identity: str = ""
        self.nbytes = 0

    def codes(self, rids: Sequence[int], tokens: Tokens) -> list[bytes]:
        """Return the codes of each memory; nothing for one without tokens, or with those of another identity."""
        if tokens.identity != self._identity or self.nbytes > _HELD_BYTES:
            self._codes, self._identity, self.nbytes = {}, tokens.identity, 0
        held = self._codes
        if not held.keys() >= set(rids):
            new = [rid for rid in rids if rid not in held]
            found, tag = tokens.stored(new), _tag(tokens.identity)
            for rid in new:
                packed = found.get(rid, b"")
                held[rid] = codes = packed[_TAG:] if packed[:_TAG] == tag else b""
                self.nbytes += len(codes) + _ENTRY
        return [held[rid] for rid in rids]

    def drop(self, rids: Sequence[int]) -> None:
        """Forget the tokens of some rows."""
        for rid in rids:
            codes = self._codes.pop(rid, None)
            if codes is not None:
                self.nbytes -= len(codes) + _ENTRY


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tokens:
    """The tokens of a query, and where those of memories are.

    Attributes:
        text: The query, as it was embedded.
        asked: Its tokens.
        identity: Of what made them.
        stored: Gives the packed tokens of memories by rid, without those that have none.
    """

    text: str
    asked: TokenCodes
    identity: str
    stored: Callable[[Sequence[int]], Mapping[int, bytes]]

    def best(self, rids: Sequence[int], weight: Array, held: HeldTokens) -> Matches:
        """Return how near each token of the query is to the nearest one of each memory.

        Args:
            rids: The memories.
            weight: What each token of the query counts; those that count most are compared.
            held: Where the tokens of memories are kept.
        """
        codes = held.codes(rids, self)
        sizes = np.fromiter(map(len, codes), np.intp, len(codes)) // self.asked.codes.shape[1]
        known = sizes.nonzero()[0]
        asked = np.arange(len(weight))
        if len(asked) > _ASKED:
            asked = np.argsort(-weight, kind="stable")[:_ASKED]
        if not len(known) or not len(asked):
            return Matches(known[:0], asked, np.empty((0, len(asked))), len(rids))
        starts = np.cumsum(sizes)[known] - sizes[known]
        products = _products(self.asked.codes[asked], codes)
        best = np.maximum.reduceat(products, starts, axis=1)
        return Matches(known, asked, best.T.astype(np.float64, order="C"), len(rids))


def _products(asked: Codes, codes: Sequence[bytes]) -> Floats:
    """Return the product of each token of a query with each of memories, in the caller's thread: `vectors.products`."""
    some, width = asked.shape
    # A BLAS takes four rows at a time; with fewer in the last four it takes longer.
    left = np.zeros((some + -some % _AT_ONCE, width), np.float32)
    left[:some] = asked
    size = sum(map(len, codes)) // width
    step = min(size, max(1, _ONE_THREAD // left.size))
    pieces = -(-size // step)
    tokens = np.frombuffer(b"".join((*codes, bytes((pieces * step - size) * width))), np.int8)
    out = np.empty((len(left), pieces * step), np.float32)
    np.matmul(
        left,
        tokens.astype(np.float32).reshape(pieces, step, width).transpose(0, 2, 1),
        out=out.reshape(len(left), pieces, step).transpose(1, 0, 2),
    )
    return out[:some, :size]


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """The best cosine of tokens of a query in memories, times 127 squared: whole numbers, exact below 2**24.

    Attributes:
        known: Which of the memories have tokens.
        asked: Which tokens of the query were compared.
        best: [memories with tokens, tokens compared].
        count: Memories in all.
    """

    known: npt.NDArray[np.intp]
    asked: npt.NDArray[np.intp]
    best: Array
    count: int

    def __bool__(self) -> bool:
        return self.best.size > 0

    def weighted(self, weight: Array) -> Array:
        """Return how well each memory matches by a weighting of the query's tokens; NaN where it has no tokens."""
        if not self:
            return np.full(self.count, np.nan)
        counted = weight[self.asked]
        matched: Array = self.best @ (counted / (_SQUARE * (float(np.add.reduce(counted)) or 1.0)))
        if len(matched) == self.count:
            return matched
        out = np.full(self.count, np.nan)
        out[self.known] = matched
        return out

    def around(self, view: View, rows: Ints) -> Matches:
        """Return the matches in which each turn lends its tokens to its neighbours, for a little less than its own.

        Args:
            rows: Where the memories are in view.
        """
        at, count = rows[self.known], len(self.known)
        place = np.full(len(view) + len(view.near), -1, np.int16)
        place[at] = np.arange(count)
        beside = np.full((2 * len(view.near), count), count)
        for distance, near in enumerate(view.near, 1):
            other = place[at + distance]
            ahead = ((other >= 0) & near[at]).nonzero()[0]
            behind = other[ahead]
            beside[2 * distance - 2][ahead] = behind
            beside[2 * distance - 1][behind] = ahead
        lent = np.empty((count + 1, self.best.shape[1]))
        np.multiply(self.best, _LENT, out=lent[:-1])
        lent[-1] = -np.inf  # where there is no neighbour
        best = np.maximum.reduce(lent[beside], axis=0)
        return Matches(self.known, self.asked, np.maximum(best, self.best, out=best), self.count)


def token_terms(text: str, spans: npt.NDArray[np.int32]) -> list[str | None]:
    """Return the stem that each token of a query belongs to: empty for a stop word, None for a sign."""
    stems = stems_by_word(text)
    plain = text.isascii()  # Then a word is its own surface.
    words = [
        (*found.span(), [found[0].lower()[:MAX_WORD]] if plain and len(found[0]) > 1 else surface(found[0]))
        for found in _WORD.finditer(text)
    ]
    out: list[str | None] = []
    at = 0
    for begin, end in spans.tolist():
        while at < len(words) and words[at][1] <= begin:
            at += 1
        if at == len(words) or words[at][0] > begin:
            out.append(None)
            continue
        found = words[at][2]
        if len(found) != 1:  # one letter, or a script without blanks: the pair of characters that it begins
            found = surface(text[begin : end + 1])[:1]
        out.append(stems.get(found[0], "") if found else "")
    return out


def token_weights(terms: Sequence[str | None], idf: Mapping[str, float]) -> Array:
    """Return what each token of a query counts, by the idf of the query's stems."""
    return np.array([_SIGN if term is None else idf.get(term, _STOP) if term else _STOP for term in terms])


def compare(
    view: View,
    fused: Fused,
    tokens: Tokens,
    held: HeldTokens,
    idf: Mapping[str, float],
    told: Mapping[str, float],
) -> tuple[Ints, Array]:
    """Put the best rows of a first stage in the order of both; return them, and how well each one's tokens match.

    Args:
        fused: The first stage; its scores are changed.
        tokens: Those of the query.
        held: Where those of memories are kept.
        idf: What its stems count in the order.
        told: What they count in the matches that are returned; NaN for a row without tokens.
    """
    rows = first_rows(view, fused.score, BEST)
    terms = token_terms(tokens.text, tokens.asked.spans)
    weight = token_weights(terms, idf)
    matches = tokens.best(view.rid[rows].tolist(), weight, held)
    if matches:
        w = view.weights
        late = matches.weighted(weight)
        near = matches.around(view, rows).weighted(weight) if w.around and view.near else late
        first = fused.score[rows]
        both = second_stage(first, [(late, w.late), (near, w.around)])
        both += first.min() - both.min()  # none falls below the rows that were not compared
        added = np.zeros(len(view))
        added[rows] = both - first
        fused.score[rows] = both
        fused.added["late"] = (added, 1.0, 0.0)
    return rows, matches.weighted(token_weights(terms, told))


def second_stage(first: Array, matches: Sequence[tuple[Array, float]]) -> Array:
    """Return the scores of the best rows by both stages.

    A row without tokens is as good in the second stage as in the first.

    Args:
        first: What the first stage gave them.
        matches: How well their tokens match, NaN for none, each with its share; the first stage has the rest.
    """
    z = _standardised(first, _FIRST_STD)
    both = z.copy()
    for late, share in matches:
        known: Mask | slice = slice(None)
        if math.isnan(np.add.reduce(late)):
            known = ~np.isnan(late)
        of_first = z[known]
        if len(of_first):
            # Those with tokens are compared with each other: on the whole they are as good as the first stage says.
            middle = np.add.reduce(of_first) / len(of_first)
            both[known] += share * (middle + _standardised(late[known], _LATE_STD) - of_first)
    return both


def _standardised(values: Array, expected: float) -> Array:
    """Return values around their mean, by their deviation drawn towards what is expected where they are few."""
    if not len(values):
        return values
    apart = values - np.add.reduce(values) / len(values)
    variance = (float(apart @ apart) + PRIOR_WEIGHT * expected**2) / (len(values) + PRIOR_WEIGHT)
    return apart / math.sqrt(variance)
