"""The keyword index in PostgreSQL, a row for each token of a live record; and what finds candidates in large scopes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

import numpy as np

from ...ranking.vectors import decode_many
from ..base import Record
from ..candidates import best
from ..rows import owner_range
from .base import Book, PostgresBase, Session, reading
from .read import LAST_RID
from .rows import OWNER_SPAN, RECORDS, owned_records

if TYPE_CHECKING:
    from ..base import Matrix

_CHUNK: Final = 2_000
_LONGEST: Final = 256
"""Bytes of a token that an index takes as it is; of a longer one it has a digest."""


class PostgresCandidates(PostgresBase):
    """The reads of a ledger that find records by words, by vectors, and by what is next to them."""

    @reading(list[int])
    async def keyword_candidates(
        self, s: Session, owners: Sequence[int] | None, tokens: Sequence[str], limit: int
    ) -> Sequence[int]:
        """Return rids that hold most of the tokens, best first.

        A token counts by its inverse document frequency among the owners asked, so that words everybody uses do not
        push out the telling ones; equal sums go by the highest rid.
        """
        wanted = list(dict.fromkeys(indexed(token) for token in tokens))
        if limit <= 0 or not wanted:
            return []
        if owners is None:
            rows = await s.rows(_HOLDERS, (wanted,))
        else:
            rows = await s.rows(_HOLDERS_OF, (list(owners), list(owners), wanted))
        held = {token: np.array(rids, np.int64) for token, rids, _size in rows}
        return best([held[token] for token in wanted if token in held], rows[0][2], limit) if rows else []

    def vectors(
        self, owners: Sequence[int] | None, chunk: int = 8192
    ) -> Iterator[tuple[Sequence[int], Matrix]]:
        """Yield (rids, matrix) of live records that have a vector, in chunks, in rid order."""
        ranges = [(0, LAST_RID)] if owners is None else [owner_range(number) for number in sorted(owners)]
        for low, high in ranges:
            while (part := self._vector_chunk(low, high, chunk)) is not None:
                yield part
                low = part[0][-1] + 1

    @reading(lambda: None)
    async def _vector_chunk(
        self, s: Session, low: int, high: int, chunk: int
    ) -> tuple[Sequence[int], Matrix] | None:
        rows = await s.rows(
            "SELECT vec.rid, vec.e, state.dim FROM state JOIN vec ON vec.gen = state.gen"
            " WHERE vec.rid BETWEEN %s AND %s ORDER BY vec.rid LIMIT %s",
            (low, high, chunk),
        )
        if not rows or rows[0][2] is None:
            return None
        return [row[0] for row in rows], decode_many([row[1] for row in rows], rows[0][2])

    @reading(list[int])
    async def neighbours(self, s: Session, rids: Sequence[int], distance: int) -> Sequence[int]:
        """Return rids of live records of the same owner and run next to these in time, ascending, without these."""
        rows = await s.rows(_NEIGHBOURS, (distance, distance, list(rids)))
        return sorted({row[0] for row in rows}.difference(rids))


_HOLDERS: Final = """
SELECT token, array_agg(rid), (SELECT coalesce(sum(memories), 0)::bigint FROM owner)
FROM posting WHERE token = ANY(%s) GROUP BY token"""
_HOLDERS_OF: Final = f"""
SELECT token, array_agg(rid), (SELECT coalesce(sum(memories), 0)::bigint FROM owner WHERE no = ANY(%s))
FROM unnest(%s::bigint[]) AS asked (no) JOIN posting ON posting.rid {OWNER_SPAN.format(no="asked.no")}
WHERE token = ANY(%s) GROUP BY token"""
_BESIDE: Final = (
    "(SELECT rid FROM record WHERE owner = known.owner AND deleted = 0 AND run IS NOT DISTINCT FROM known.run"
    " AND (created_at, rid) {compare} (known.created_at, known.rid)"
    " ORDER BY created_at {order}, rid {order} LIMIT %s)"
)
_NEIGHBOURS: Final = (
    "SELECT beside.rid FROM record known CROSS JOIN LATERAL ("
    + _BESIDE.format(compare="<", order="DESC")
    + " UNION ALL "
    + _BESIDE.format(compare=">", order="ASC")
    + ") beside WHERE known.rid = ANY(%s)"
)


# ------------------------------------------------------------------------------------------- writing


def indexed(token: str) -> str:
    """Return a token as the keyword index has it: PostgreSQL takes no long keys."""
    raw = token.encode("utf-8", "surrogatepass")
    return token if len(raw) <= _LONGEST else blake2b(raw, digest_size=16).hexdigest()


async def put_words(s: Session, rows: Sequence[tuple[int, Sequence[str]]]) -> None:
    """Give records their words, each once."""
    pairs = sorted({(indexed(token), rid) for rid, words in rows for token in words})
    await s.insert("posting", ("token", "rid"), pairs)


async def drop_words(s: Session, rows: Sequence[tuple[int, Sequence[str]]]) -> None:
    """Take their words from records, given as they were put."""
    pairs = [(indexed(token), rid) for rid, words in rows for token in words]
    if pairs:
        sql = (
            "DELETE FROM posting USING unnest(%s::text[], %s::bigint[]) AS gone (token, rid)"
            " WHERE posting.token = gone.token AND posting.rid = gone.rid"
        )
        await s.later((sql, ([token for token, _ in pairs], [rid for _, rid in pairs])))


async def rebuild_words(s: Session, book: Book) -> None:
    """Fill the keyword index anew from every live record."""
    await s.rows("TRUNCATE posting")
    last = -1
    select = RECORDS + "WHERE record.rid > %s AND record.deleted = 0 ORDER BY record.rid LIMIT %s"
    while rows := await s.rows(select, (last, _CHUNK)):
        records: list[Record] = owned_records(rows, book.salt)
        await put_words(s, [(record.rid, book.words(record.actor_id, record.text)) for record in records])
        last = records[-1].rid
    await s.rows("UPDATE state SET tokenizer = %s WHERE id = 1", (book.tokenizer_version,))
