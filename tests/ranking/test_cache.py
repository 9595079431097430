"""What is kept of owners: as of now, extended by what was written, within its bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np
import pytest

from memkit.embedders.hash import HashEmbedder
from memkit.engine.current import Reading
from memkit.ledger.base import AddRecord, Batch, EditRecord, Fetched, Mark, RankRow
from memkit.ledger.sqlite import SqliteLedger
from memkit.ranking.cache import Held, IndexCache, entries
from memkit.ranking.index import OwnerIndex, RankQuery
from memkit.ranking.text import TOKENIZER_VERSION, tokens
from memkit.ranking.weights import weights_for
from memkit.scope import Scope

if TYPE_CHECKING:
    from memkit.ledger.base import Matrix

EMBEDDER = HashEmbedder()
MADE = (EMBEDDER.identity, EMBEDDER.dim)
T0 = 1_700_000_000_000_000


class CountedLedger(SqliteLedger):
    """A ledger that counts how often an owner was read as a whole, and notes which rows were."""

    loads = 0

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fetched: list[int] = []

    def fetch(self, rids: Sequence[int]) -> Fetched:
        self.fetched += rids
        return super().fetch(rids)

    def load(self, owner: int | None, take: Callable[[Sequence[RankRow], Matrix], None]) -> Mark:
        self.loads += 1
        return super().load(owner, take)


@pytest.fixture
def ledger() -> Iterator[CountedLedger]:
    ledger = CountedLedger(None, tokenize=tokens, tokenizer_version=TOKENIZER_VERSION)
    ledger.open(create=True)
    ledger.set_embedder(*MADE)
    yield ledger
    ledger.close()


def add(ledger: SqliteLedger, user: str, *texts: str) -> list[str]:
    ids = [str(uuid4()) for _ in texts]
    rows = EMBEDDER.embed(list(texts))
    changes = [
        AddRecord(
            id=ids[n],
            scope=Scope(user_id=user, agent_id=None, run_id=f"r{n % 3}"),
            text=text,
            kind="message" if n % 2 else "fact",
            vector=rows[n],
            created_at=T0 + n,
        )
        for n, text in enumerate(texts)
    ]
    ledger.apply(Batch(operation_id=str(uuid4()), kind="add", owner=None, at=T0, changes=changes))
    return ids


def number(ledger: SqliteLedger, user: str) -> int:
    found = ledger.owner_number(Scope(user_id=user, agent_id=None, run_id=None).owner)
    assert found is not None
    return found


def asked(text: str) -> RankQuery:
    return RankQuery(text=text, vector=EMBEDDER.embed([text])[0], at=T0 + 10**9, now=T0 + 10**9)


def test_an_owner_is_read_as_a_whole_once_and_then_by_what_was_written(ledger: CountedLedger) -> None:
    ids = add(ledger, "ann", *[f"note {n} about the garden and word{n}" for n in range(300)])
    cache, owner = IndexCache(ledger), number(ledger, "ann")
    with cache.index(owner, MADE) as (index, *_):
        assert len(index) == 300
    add(ledger, "ann", "a kettle on the stove")
    edit = EditRecord(id=ids[0], expected_version=1, event="DELETE", set={"deleted": True})
    ledger.apply(Batch(operation_id=str(uuid4()), kind="delete", owner=None, at=T0, changes=[edit]))
    with cache.index(owner, MADE) as (index, mark, _):
        found = index.rank(asked("kettle"))
        assert len(found) == 300
        best = ledger.fetch(found.rids(0, 1).tolist()).records[0]
        assert best.text == "a kettle on the stove"
    with cache.index(owner, MADE, mark.event) as (index, again, _):
        assert again == mark
    assert ledger.loads == 1


def test_an_owner_read_as_a_whole_ranks_like_one_that_grew(ledger: CountedLedger) -> None:
    cache = IndexCache(ledger)
    add(ledger, "ann", "the first tea", "coffee in Lisbon?")
    owner = number(ledger, "ann")
    with cache.index(owner, MADE):
        pass
    for n in range(40):
        add(ledger, "ann", *[f"turn {n} {m} tea kettle garden word{m}"[: 12 + m] for m in range(n % 4 + 1)])
        with cache.index(owner, MADE) as (grown, *_):
            assert len(grown) == ledger.size(owner)
    whole = OwnerIndex(EMBEDDER.dim, weights=weights_for(EMBEDDER.identity))
    whole.reserve(10)
    ledger.load(owner, whole.extend)
    parts = OwnerIndex(EMBEDDER.dim, weights=weights_for(EMBEDDER.identity))
    delta = ledger.changes(owner, None)
    parts.upsert(entries(delta.records, delta.vectors))
    with cache.index(owner, MADE) as (grown, *_):
        for text in ("tea in the garden", "kettle", "word3 Lisbon", "nothing of it"):
            hits = [index.rank(asked(text)).hits() for index in (grown, whole, parts)]
            assert [rid for rid, _ in hits[0]] == [rid for rid, _ in hits[1]] == [rid for rid, _ in hits[2]]
            assert np.allclose([s for _, s in hits[0]], [s for _, s in hits[1]], atol=1e-6)
            assert np.allclose([s for _, s in hits[0]], [s for _, s in hits[2]], atol=1e-6)


def test_the_owner_searched_longest_ago_is_dropped_when_all_take_too_much(ledger: CountedLedger) -> None:
    users = ["ann", "bob", "cat", "dan"]
    for user in users:
        add(ledger, user, *[f"{user} wrote note {n}" for n in range(50)])
    with IndexCache(ledger).index(number(ledger, "ann"), MADE) as (index, *_):
        index.rank(asked("note"))
        size = index.nbytes
    ledger.loads = 0
    cache = IndexCache(ledger, budget=round(2.5 * size))

    def search(user: str) -> int:
        before = ledger.loads
        with cache.index(number(ledger, user), MADE) as (index, *_):
            index.rank(asked("note"))
        return ledger.loads - before

    assert [search(user) for user in ("ann", "bob", "ann", "cat")] == [1, 1, 0, 1]
    assert [search("ann"), search("cat"), search("bob")] == [0, 0, 1]
    small = IndexCache(ledger, budget=1)
    for user in ("ann", "ann", "bob"):
        with small.index(number(ledger, user), MADE) as (index, *_):
            assert len(index) == 50


def test_of_records_that_are_held_only_their_owners_mark_is_read_again(ledger: CountedLedger) -> None:
    notes = [f"note {n} about the garden" for n in range(6)]
    ids = add(ledger, "ann", *notes)
    cache, owner = IndexCache(ledger), number(ledger, "ann")
    rids = [record.rid for record in ledger.records(ids)]

    def change(version: int, **values: object) -> None:
        edit = EditRecord(id=ids[0], expected_version=version, event="UPDATE", set=values)
        ledger.apply(Batch(operation_id=str(uuid4()), kind="update", owner=None, at=T0, changes=[edit]))

    def read(count: int, meanwhile: Callable[[], None] = lambda: None) -> tuple[list[str], list[int], bool]:
        ledger.fetched.clear()
        with cache.index(owner, MADE) as (_, mark, held):
            reading = Reading(ledger, owner, mark, held)
            meanwhile()
            rows = reading.rows(rids[:count])
            return [rows[rid].text for rid in rids[:count] if rid in rows], ledger.fetched, reading.moved

    assert read(2) == (notes[:2], rids[:2], False)
    assert read(3) == (notes[:3], rids[2:3], False)
    assert read(3) == (notes[:3], [], False)
    change(1, kind="event")
    assert read(3) == (notes[:3], rids[:1], False)
    # What is written between the ranking and the reading is seen, whether all rows were held or not.
    notes[0] = "a kettle"
    assert read(3, lambda: change(2, text="a kettle")) == (notes[:3], rids[:3], True)
    assert read(3) == (notes[:3], rids[:1], False)
    notes[0] = "a stove"
    assert read(4, lambda: change(3, text="a stove")) == (notes[:4], [*rids[3:4], *rids[:4]], True)


def test_records_are_held_within_their_bytes(ledger: CountedLedger) -> None:
    held = Held()
    ids = add(ledger, "ann", *[str(n) * 1_000_000 for n in range(8)])
    records = ledger.records(ids)
    held.keep(records)
    kept = list(held.records)
    assert kept == [record.rid for record in records][-len(kept) :] and 2 <= len(kept) <= 4
    for record in records:
        held.drop(record.rid)
    assert held.nbytes == 0 == len(held.records)
    add(ledger, "ann", "tea")
    cache, owner = IndexCache(ledger), number(ledger, "ann")
    with cache.index(owner, MADE) as (_, mark, lent):
        Reading(ledger, owner, mark, lent).rows([records[0].rid])
        before = lent.nbytes
    with cache.index(owner, MADE) as (_, _, lent):
        assert lent.nbytes == before > 1_000_000
