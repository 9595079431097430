"""Late interaction: the best of a ranking, compared with the query token by token.

    late   = sum over the query's tokens of idf(token)/sum(idf) * max over the memory's tokens of their cosine
    around = the same with the tokens of its neighbours, where those are better by more than 1/20
    score  = (1 - a - b) z(first) + a z(late) + b z(around), over the best 100 of the first stage; `Weights.late` is a,
             and `Weights.around` is b

A vector of a whole memory blurs which word stands by which; its tokens keep it. On chats, facts and short documents it
finds two to six more of a hundred pieces of evidence. Long messages to assistants offer more tokens to match, whatever
they say: there it is left out, and so are single memories that are long.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from memkit.ranking.signals import Fused, first_rows
from memkit.ranking.text import stems_by_word, surface
from memkit.ranking.view import Array, Ints, View
from memkit.ranking.weights import PRIOR_WEIGHT

if TYPE_CHECKING:
    from memkit.embedders.base import TokenCodes

Codes = npt.NDArray[np.int8]

BEST: Final = 100
"""Rows of the first stage that are compared; 50 or 200 of them find as much, within 0.7 of a hundred."""
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
_WORD: Final = re.compile(r"\w+")


def pack(codes: Codes, identity: str) -> bytes | None:
    """Return the tokens of a memory as the ledger keeps them; None for one that is long, or has none.

    Args:
        codes: int8 [tokens, width].
        identity: Of what made the codes; others are not compared with them.
    """
    return _tag(identity) + codes.tobytes() if 0 < len(codes) <= LONGEST else None


def _tag(identity: str) -> bytes:
    return zlib.crc32(identity.encode()).to_bytes(4, "little")[:_TAG]


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

    def best(self, rids: Sequence[int], weight: Array) -> Matches:
        """Return how near each token of the query is to the nearest one of each memory.

        Args:
            rids: The memories.
            weight: What each token of the query counts; those that count most are compared.
        """
        found = self.stored(rids)
        tag, width = _tag(self.identity), self.asked.codes.shape[1]
        blobs = [found.get(rid, b"") for rid in rids]
        known = [n for n, blob in enumerate(blobs) if blob[:_TAG] == tag and len(blob) > _TAG]
        asked = np.argsort(-weight, kind="stable")[:_ASKED]
        if not known or not len(asked):
            return Matches(np.empty(0, np.intp), asked, np.empty((len(asked), 0)), len(rids))
        joined = b"".join([blobs[n][_TAG:] for n in known])
        tokens = np.frombuffer(joined, np.int8).reshape(-1, width).astype(np.float32)
        starts = np.zeros(len(known), np.intp)
        np.cumsum([(len(blobs[n]) - _TAG) // width for n in known[:-1]], out=starts[1:])
        cosines = self.asked.codes[asked].astype(np.float32) @ tokens.T
        best = np.maximum.reduceat(cosines, starts, axis=1).astype(np.float64)
        return Matches(np.array(known, np.intp), asked, best, len(rids))


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """The best cosine of tokens of a query in memories, times 127 squared: whole numbers, exact below 2**24.

    Attributes:
        known: Which of the memories have tokens.
        asked: Which tokens of the query were compared.
        best: [tokens compared, memories with tokens].
        count: Memories in all.
    """

    known: npt.NDArray[np.intp]
    asked: npt.NDArray[np.intp]
    best: Array
    count: int

    def weighted(self, weight: Array) -> Array:
        """Return how well each memory matches by a weighting of the query's tokens; NaN where it has no tokens."""
        out = np.full(self.count, np.nan)
        if len(self.known) and len(self.asked):
            counted = weight[self.asked]
            out[self.known] = counted @ self.best / (_SQUARE * (counted.sum() or 1.0))
        return out

    def around(self, view: View, rows: Ints) -> Matches:
        """Return the matches in which each turn lends its tokens to its neighbours, for a little less than its own.

        Args:
            rows: Where the memories are in view.
        """
        order = np.argsort(rows[self.known])
        at = rows[self.known][order]
        best = lent = self.best[:, order]
        for distance, near in enumerate(view.near, 1):
            place = np.searchsorted(at, at + distance)
            ahead = np.flatnonzero((at[np.minimum(place, len(at) - 1)] == at + distance) & near[at])
            if len(ahead):
                best = best.copy() if best is lent else best
                other = place[ahead]
                best[:, ahead] = np.maximum(best[:, ahead], _LENT * lent[:, other])
                best[:, other] = np.maximum(best[:, other], _LENT * lent[:, ahead])
        if best is lent:
            return self
        back = np.empty_like(best)
        back[:, order] = best
        return Matches(self.known, self.asked, back, self.count)


def token_terms(text: str, spans: npt.NDArray[np.int32]) -> list[str | None]:
    """Return the stem that each token of a query belongs to: empty for a stop word, None for a sign."""
    stems = stems_by_word(text)
    words = [(found.start(), found.end(), surface(found[0])) for found in _WORD.finditer(text)]
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
    view: View, fused: Fused, tokens: Tokens, idf: Mapping[str, float], told: Mapping[str, float]
) -> tuple[Ints, Array]:
    """Put the best rows of a first stage in the order of both; return them, and how well each one's tokens match.

    Args:
        fused: The first stage; its scores are changed.
        tokens: Those of the query.
        idf: What its stems count in the order.
        told: What they count in the matches that are returned; NaN for a row without tokens.
    """
    rows = first_rows(view, fused.score, BEST)
    terms = token_terms(tokens.text, tokens.asked.spans)
    weight = token_weights(terms, idf)
    matches = tokens.best(view.rid[rows].tolist(), weight)
    late = matches.weighted(weight)
    if len(rows) and not np.isnan(late).all():
        w = view.weights
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
        known = ~np.isnan(late)
        if known.any():
            # Those with tokens are compared with each other: on the whole they are as good as the first stage says.
            matched = z[known].mean() + _standardised(late[known], _LATE_STD)
            both[known] += share * (matched - z[known])
    return both


def _standardised(values: Array, expected: float) -> Array:
    """Return values around their mean, by their deviation drawn towards what is expected where they are few."""
    if not len(values):
        return values
    apart = values - values.mean()
    variance = (float(apart @ apart) + PRIOR_WEIGHT * expected**2) / (len(values) + PRIOR_WEIGHT)
    return apart / math.sqrt(variance)
