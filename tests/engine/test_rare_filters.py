"""Filters that few memories pass: the ledger says which may, and the ranking stays what it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from memkit import Memory
from memkit.engine.views import payload
from memkit.filters import matches, parse_filter

FILTERS: tuple[dict[str, Any], ...] = (
    {"tag": "rare"},
    {"tag": {"ne": "common"}},
    {"tag": "nobody has it"},
    {"OR": [{"memory": {"icontains": "NOTE 17 "}}, {"memory": {"icontains": "note 2"}}]},
    {"OR": [{"memory": {"icontains": "note 17 "}}, {"tag": "rare"}]},
    {"tags": {"icontains": "Blue"}, "n": {"gte": 250}},
    {"created_at": {"gte": "2020-01-01"}, "n": {"lt": 3}},
    {"pinned": True},
    {"NOT": [{"n": {"lt": 290}}]},
)


@pytest.fixture(scope="module")
def memory() -> Iterator[Memory]:
    with Memory(":memory:", llm=None, embedder="hash") as memory:
        for n in range(300):
            metadata: dict[str, Any] = {"n": n, "tags": ["blue", "red"] if n % 50 == 0 else ["red"]}
            if n % 3:
                metadata["tag"] = "rare" if n % 97 == 1 else "common"
            memory.add(
                f"note {n} on tea, kettles and gardens",
                user_id="ann",
                infer=False,
                metadata=metadata,
                kind="preference" if n % 100 == 7 else None,
            )
        yield memory


@pytest.mark.parametrize("filters", FILTERS, ids=str)
def test_a_filter_takes_rows_out_of_the_ranking_and_changes_nothing_else(
    memory: Memory, filters: dict[str, Any]
) -> None:
    ledger = memory._engine.ledger  # pyright: ignore[reportPrivateUsage]
    whole = memory.search("tea in the garden", user_id="ann", limit=400).results
    payloads = {record.id: payload(record) for record in ledger.records([item.id for item in whole])}
    expected = [item.id for item in whole if matches(parse_filter(filters), payloads[item.id])]
    found = memory.search("tea in the garden", user_id="ann", limit=400, filters=filters).results
    assert [item.id for item in found] == expected
    assert [item.id for item in memory.search("tea", user_id="ann", limit=5, filters=filters).results] == [
        item.id
        for item in memory.search("tea", user_id="ann", limit=400).results
        if matches(parse_filter(filters), payloads[item.id])
    ][:5]
    page = memory.get_all(user_id="ann", filters=filters, limit=400)
    assert {item.id for item in page.results} == set(expected)
    assert memory.count(user_id="ann", filters=filters) == len(expected)


def test_pages_of_a_filtered_listing_follow_each_other(memory: Memory) -> None:
    filters = {"tag": "common"}
    whole = [item.id for item in memory.get_all(user_id="ann", filters=filters, limit=400).results]
    found: list[str] = []
    cursor: str | None = None
    while True:
        page = memory.get_all(user_id="ann", filters=filters, limit=37, cursor=cursor)
        found += [item.id for item in page.results]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert found == whole and len(found) > 100


def test_a_kind_that_few_have_is_found_at_the_end_of_the_ranking(memory: Memory) -> None:
    kinds = {item.kind for item in memory.get_all(user_id="ann", limit=400).results}
    assert len(kinds) == 2
    for kind in sorted(kinds):
        found = memory.search("tea in the garden", user_id="ann", limit=400, kinds=[kind]).results
        assert {item.kind for item in found} == {kind}
        assert len(found) == memory.count(user_id="ann", filters={"kind": kind})


def test_rows_that_pass_a_filter_and_hold_no_more_leave_their_places_to_others(tmp_path: Path) -> None:
    with Memory(tmp_path, llm=None, embedder="hash") as memory:
        for first in (0, 1):
            memory.add_many(
                [
                    {
                        "role": "user",
                        "content": f"note {n} on tea",
                        "metadata": {"rare": n % 3 == 0},
                        "created_at": "2020-01-01",
                    }
                    for n in range(first, 240, 2)
                ],
                user_id="ann",
            )
        over = [item.id for item in memory.get_all(user_id="ann", limit=400).results][::2]
        for id in over:
            memory.update(id, valid_until="2021-01-01")
        whole = memory.search("tea", user_id="ann", limit=400).results
        assert len(whole) == 120 and not set(over) & {item.id for item in whole}
        expected = [item.id for item in whole if item.metadata["rare"]]
        for limit in (1, 7, 25, 400):
            found = memory.search("tea", user_id="ann", limit=limit, filters={"rare": True}, explain=True)
            assert [item.id for item in found.results] == expected[:limit]
            assert found.explain is not None
            assert [each["id"] for each in found.explain] == expected[:limit]
            assert all("probability" in each for each in found.explain)
