"""Scopes too large to be ranked as a whole: candidates by words and vectors, a fixed sample for the statistics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from ..ledger.base import RowTest
from ..ranking.cache import entries
from ..ranking.candidates import CANDIDATES, NEIGHBOURS, SAMPLE, rank_candidates
from ..ranking.index import Entry, RankQuery
from ..ranking.result import Ranking
from ..ranking.text import other_stems, tokens
from ..ranking.weights import weights_for
from ..scope import ReadScope
from .core import Engine

Hits = list[tuple[int, float]]

_ANY: Final = RowTest(frozenset(), lambda _row: True)


class Candidates:
    """What may answer a query in one owner's memories: first of all of them, then of those that may be returned.

    Args:
        owner: The owner's number.
        size: How many memories it has.
        embedder: Identity and dimension of its vectors.
        near: What an index over the vectors found, by memory id; None where the ledger is to find them.
        wanted: How many memories are to be returned.
    """

    def __init__(
        self,
        engine: Engine,
        query: RankQuery,
        owner: int | None,
        size: int,
        embedder: tuple[str, int],
        near: Sequence[str] | None,
        wanted: int,
    ) -> None:
        self._engine, self._query, self._embedder = engine, query, embedder
        self._owners = None if owner is None else [owner]
        self._size, self._near = size, near
        self._count = max(CANDIDATES, wanted)
        words = tokens(query.text)
        self._words = words + [o for others in other_stems(query.text, words).values() for o in others]

    def of_all(self) -> tuple[Hits, Ranking]:
        """Rank what is found among all of the owner's memories, whoever may see them."""
        ledger = self._engine.ledger
        found = set(ledger.keyword_candidates(self._owners, self._words, self._count))
        closest, sample = self._scan(None)
        if self._near is None:
            found.update(closest)
        else:
            found.update(record.rid for record in ledger.records(self._near))
        return self._ranked(found, sample)

    def of_these(self, scope: ReadScope, test: RowTest | None) -> tuple[Hits, Ranking]:
        """Rank what is found among the memories that may be returned, by what they are and by when they hold."""
        may = self._passing(scope, test)
        if len(may) <= 2 * self._count:
            found, sample = set(may.tolist()), self._scan(None)[1]
        else:
            words = self._engine.ledger.keyword_candidates(self._owners, self._words, self._size)
            wanted = np.isin(np.array(words, np.int64), may)
            found = {rid for rid, is_one in zip(words, wanted.tolist(), strict=True) if is_one}
            found = set([rid for rid in words if rid in found][: self._count])
            closest, sample = self._scan(may)
            found.update(closest)
        if scope.agents is not None or scope.runs is not None:
            inside = may if test is None else self._passing(scope, None)
            sample = set(inside[:: max(1, len(inside) // SAMPLE)].tolist())
        return self._ranked(found, sample)

    def _passing(self, scope: ReadScope, test: RowTest | None) -> np.ndarray:
        at, now = self._query.at, self._query.now
        found = self._engine.ledger.passing(
            scope, _ANY if test is None else test, at=at, present=at == now, include_closed=False
        )
        return np.sort(np.array(found, np.int64))

    def _scan(self, may: np.ndarray | None) -> tuple[list[int], set[int]]:
        """Return the rows closest to the query's vector, and every n-th of all as a sample."""
        ledger, vector = self._engine.ledger, self._query.vector
        every = max(1, self._size // SAMPLE)
        if vector is not None and may is None:
            near = ledger.closest(self._owners, vector, self._count, every)
            if near is not None:
                return list(near[0]), set(near[1])
        best: list[tuple[float, int]] = []
        sample: set[int] = set()
        seen = 0
        for rids, matrix in ledger.vectors(self._owners):
            sample.update(rids[-seen % every :: every])
            seen += len(rids)
            if vector is None:
                continue
            cosines = matrix @ vector
            rows = np.arange(len(rids)) if may is None else np.flatnonzero(np.isin(rids, may))
            top = rows[np.argsort(-cosines[rows])[: self._count]]
            best += [(float(cosines[n]), rids[n]) for n in top.tolist()]
            best = sorted(best, reverse=True)[: self._count]
        return [rid for _, rid in best], sample

    def _ranked(self, found: set[int], sample: set[int]) -> tuple[Hits, Ranking]:
        ledger = self._engine.ledger
        beside = set(ledger.neighbours(sorted(found), NEIGHBOURS)) - found

        def load(rids: set[int]) -> list[Entry]:
            return entries(*ledger.with_vectors(sorted(rids)))

        identity, dim = self._embedder
        weights = weights_for(identity)
        return rank_candidates(self._query, load(found), load(beside), load(sample), dim=dim, weights=weights)
