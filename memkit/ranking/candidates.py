"""Scopes too large to hold: rank what an outside index found, with statistics from a sample of the scope."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Final

from memkit.ranking.index import Entry, OwnerIndex, RankQuery
from memkit.ranking.result import Ranking
from memkit.ranking.weights import Weights

SAMPLE: Final = 1_000
"""Rows of the scope that statistics need: with 1,000, a mean is within 3% of a standard deviation of the scope's.

Take them once, spread over the whole scope (every n-th rowid), and keep them; a sample drawn anew for each query would
make scores flicker. A scope of fewer rows than this needs no candidates: rank it whole.
"""
CANDIDATES: Final = 50
"""Rows to ask of each index; more of them gains nothing that was measured, fewer loses recall."""
NEIGHBOURS: Final = 2
"""Turns on each side of a candidate, in its session, that belong with it: they are its window."""


def rank_candidates(
    query: RankQuery, candidates: Sequence[Entry], neighbours: Sequence[Entry], sample: Sequence[Entry], *,
    dim: int, weights: Weights,
) -> tuple[list[tuple[int, float]], Ranking]:  # fmt: skip
    """Rank candidates as a whole scope would, means, deviations and word frequencies taken from the sample.

    Sampled and neighbouring rows lend their statistics and their words, but only candidates and neighbours are
    returned. Rows given twice count once.

    Args:
        query: Scope and validity are applied to every row given, as in `OwnerIndex`.
        candidates: What the vector index and the keyword index found, `CANDIDATES` of each.
        neighbours: The turns beside them, `NEIGHBOURS` on each side.
        sample: `SAMPLE` rows of the scope; the same ones for every query.
        dim: Columns of a vector.
        weights: As the scope's index would have.

    Returns:
        (rid, score), best first, and the ranking that they are of.
    """
    index = OwnerIndex(dim, weights=weights)
    index.upsert([*sample, *neighbours, *candidates])
    wanted = {entry.rid for entry in candidates} | {entry.rid for entry in neighbours}
    ranking = index.rank(query)
    return list(islice(((rid, score) for rid, score in ranking if rid in wanted), len(wanted))), ranking
