from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memkit.ranking.candidates import rank_candidates
from memkit.ranking.index import Entry, OwnerIndex, RankQuery
from memkit.ranking.weights import EMBEDDED, KEYLESS, OTHER, Weights, weights_for
from tests.ranking.corpus import (
    ANSWERS,
    DAY,
    EMBEDDER,
    FACTS,
    NOW,
    START,
    ask,
    entry,
    fact,
    filler,
    index_of,
    query,
)


def order(index: OwnerIndex, text: str, **changes: Any) -> list[int]:
    return ask(index, text, **changes).rids().tolist()


def test_an_empty_index_ranks_nothing() -> None:
    ranking = ask(index_of([]), "anything")
    assert len(ranking) == 0
    assert list(ranking) == []
    assert ranking.answerable is None


@pytest.mark.parametrize("weights", [KEYLESS, EMBEDDED])
def test_the_answer_is_first_among_three_hundred(weights: Weights) -> None:
    turns = [entry(n, memory, session=f"own-{n}") for n, (memory, _) in enumerate(ANSWERS, 1)]
    index = index_of([*filler(300), *turns], weights)
    assert [order(index, question)[0] for _, question in ANSWERS] == [turn.rid for turn in turns]


def test_facts_without_speaker_session_or_date_rank_by_vector_and_words() -> None:
    facts = [fact(n, memory) for n, (memory, _) in enumerate(FACTS, 1)]
    index = index_of(facts + filler(200, speaker=None, session=None, kind="fact", dated=False))
    assert [order(index, question)[0] for _, question in FACTS] == [f.rid for f in facts]
    signals = ask(index, FACTS[0][1]).explain(1)["contributions"]
    assert set(signals) == {"dense", "bm25"}  # type: ignore[arg-type]  # the nested dict of floats


def test_a_ranking_holds_every_row_once_with_falling_scores() -> None:
    entries = filler(500)
    ranking = ask(index_of(entries), "Who repaired the kettle in the garage?")
    hits = list(ranking)
    assert sorted(rid for rid, _ in hits) == [e.rid for e in entries]
    scores = [score for _, score in hits]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= s <= 1 for s in scores)


def test_reading_further_changes_nothing_read_before() -> None:
    index = index_of(filler(1_000))
    whole = ask(index, "Who repaired the kettle?").hits()
    stepwise = ask(index, "Who repaired the kettle?")
    assert stepwise.hits(0, 3) + stepwise.hits(3, 10) + stepwise.hits(10, 400) + stepwise.hits(400) == whole


def test_equal_memories_come_newest_first() -> None:
    index = index_of([fact(n, "Ann likes tea.", created_at=START + (n % 3)) for n in range(1, 7)])
    assert order(index, "What does Ann like?") == [5, 2, 4, 1, 6, 3]


def test_a_neighbour_lends_its_words_to_the_turn_beside_it() -> None:
    talk = [
        entry(1, "Did you hear about the flood in Porto?", speaker="Bob"),
        entry(2, "Yes, we lost the whole cellar."),
        entry(3, "We lost the whole match.", session="other"),
    ]
    ranking = order(index_of(talk + filler(50)), "What was lost in the Porto flood?")
    assert ranking.index(2) < ranking.index(3)


def test_a_long_neighbour_lends_nothing() -> None:
    long = entry(1, "flood in Porto " + "and then some more words " * 20, speaker="Bob")
    short = entry(2, "Yes, we lost the whole cellar.")
    with_long = ask(index_of([long, short, *filler(30)]), "flood in Porto").explain(2)
    assert with_long["window"] == 0


def test_turns_of_the_person_and_the_month_that_a_query_names_are_preferred() -> None:
    both = [entry(1, "I went to a concert.", speaker="Ann"), entry(2, "I went to a concert.", speaker="Bob")]
    assert order(index_of(both), "Which concert did Bob go to?")[0] == 2
    dated = [fact(n, "A concert.", dated=True, created_at=START + n * 40 * DAY) for n in (1, 2, 3)]
    assert order(index_of(dated), "Which concert was in February 2024?")[0] == 2


def test_yesterday_is_relative_to_now() -> None:
    days = [fact(n, "We had soup.", dated=True, created_at=NOW - n * DAY) for n in range(1, 9)]
    assert order(index_of(days), "What did we eat three days ago?")[0] == 3


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("What did we eat today?", [0, 1]),
        ("What did we eat yesterday?", [1, 0, 2]),
        ("Was haben wir vorgestern gegessen?", [2, 1, 3]),
        ("What did we eat three days ago?", [3, 2, 4]),
    ],
)
def test_what_is_of_a_day_in_all_zones_comes_before_what_is_of_it_in_some(
    query: str, first: list[int]
) -> None:
    noon = NOW - NOW % DAY + DAY // 2
    index = index_of([fact(n + 1, "We had soup.", created_at=noon - n * DAY) for n in range(6)])
    found = order(index, query, now=noon)
    assert [rid - 1 for rid in found[: len(first)]] == first


def test_a_time_is_that_of_the_saying_or_that_of_the_truth() -> None:
    said, true = NOW - DAY, NOW - 40 * DAY
    told = [fact(n, "Ann visited the museum.", created_at=said, valid_from=said) for n in (1, 2)]
    told.append(fact(3, "Ann visited the museum.", created_at=said, valid_from=true))
    assert order(index_of(told), "What did Ann visit last month?")[0] == 3
    told.append(fact(4, "Ann visited the museum.", created_at=true, valid_from=true))
    assert set(order(index_of(told), "What did Ann visit last month?")[:2]) == {3, 4}
    assert order(index_of(told), "What did Ann visit yesterday?")[-1] == 4


def test_what_is_said_is_said_at_its_time_though_that_was_not_given() -> None:
    turns = [
        entry(n, "I had soup.", created_at=NOW - n * DAY, dated=False, session=f"s{n}") for n in (5, 1, 9)
    ]
    assert order(index_of(turns), "What did I have yesterday?")[0] == 1
    assert order(index_of(turns), "Was hatte ich gestern?")[0] == 1


def test_a_speaker_whose_name_is_a_word_is_named_with_a_capital_only() -> None:
    index = index_of([entry(1, "Hello there.", speaker="Will"), entry(2, "Hello there.", speaker="Ann")])
    assert "speaker" in ask(index, "What did Will say?").explain(1)["contributions"]  # type: ignore[operator]
    assert "speaker" not in ask(index, "what will be said?").explain(1)["contributions"]  # type: ignore[operator]


def test_a_row_without_a_vector_is_ranked_by_its_words() -> None:
    index = index_of([fact(1, "Ann likes tea.", vector=None), fact(2, "Nothing.", vector=None), *filler(50)])
    assert order(index, "Who likes tea?")[0] == 1
    assert "dense" not in ask(index, "tea").explain(1)
    assert order(index, "Who likes tea?", vector=None)[0] == 1


# ---------------------------------------------------------------------------------------------- masks


def private(text: str) -> list[Entry]:
    """Rows of two agents and two runs, the second of which must stay unseen."""
    seen = [replace(e, agent="a", session=f"a-{e.session}") for e in filler(60)]
    other = [
        replace(
            e, rid=e.rid + 500, order=(e.order[0], e.rid + 500), agent="b", session=seen[0].session, text=text
        )
        for e in filler(60)
    ]
    return seen + other


def same(one: OwnerIndex, two: OwnerIndex, asked: RankQuery, other: RankQuery | None = None) -> None:
    left, right = one.rank(asked), two.rank(other or asked)
    assert left.rids().tolist() == right.rids().tolist()
    assert np.allclose(left.scores(), right.scores(), atol=1e-6)
    assert left.answerable == pytest.approx(right.answerable, abs=1e-6)


@pytest.mark.parametrize("weights", [KEYLESS, EMBEDDED])
def test_a_masked_index_ranks_as_if_the_hidden_rows_did_not_exist(weights: Weights) -> None:
    entries = private("the kettle in the garage was repaired by my neighbour")
    alone = index_of([e for e in entries if e.agent == "a"], weights)
    together = index_of(entries, weights)
    asked = query("Who repaired the kettle in the garage?")
    same(together, alone, replace(asked, agents=frozenset({"a"})), asked)
    same(together, alone, replace(asked, agents=frozenset({"a", None, "zzz"})), asked)
    assert len(together.rank(replace(asked, agents=frozenset({"zzz"})))) == 0
    assert len(together.rank(replace(asked, agents=frozenset()))) == 0


def test_runs_and_users_mask_likewise() -> None:
    entries = [
        replace(e, user=("x", "y", None)[n % 3], session=("r", None)[n % 2]) for n, e in enumerate(filler(90))
    ]
    index, asked = index_of(entries), query("Who repaired the kettle?")
    for changes, keep in (
        ({"users": frozenset({"x"})}, lambda e: e.user == "x"),
        ({"users": frozenset({None})}, lambda e: e.user is None),
        ({"runs": frozenset({None})}, lambda e: e.session is None),
        ({"runs": frozenset({"r"}), "users": frozenset({"y"})}, lambda e: e.user == "y" and e.session == "r"),
    ):
        same(index, index_of([e for e in entries if keep(e)]), replace(asked, **changes), asked)


def test_one_run_id_of_two_users_is_two_sessions() -> None:
    ann = entry(1, "Did you hear about the flood in Porto?", user="x")
    bob = entry(2, "Yes, we lost the cellar.", user="y")
    assert ask(index_of([ann, bob]), "flood in Porto").explain(2)["window"] == 0


def test_closed_future_and_expired_rows_are_out_of_view() -> None:
    rows = [
        fact(1, "Ann lives in Porto.", valid_from=NOW - 10 * DAY, valid_until=NOW - DAY),
        fact(2, "Ann lives in Lisbon.", valid_from=NOW - DAY),
        fact(3, "Ann lives in Rome.", valid_from=NOW + DAY),
        fact(4, "Ann lives in Oslo.", expires_at=NOW),
    ]
    index = index_of(rows)
    for changes, seen in (
        ({}, {2}),
        ({"at": NOW - 5 * DAY}, {1}),
        ({"at": NOW - DAY}, {2}),
        ({"at": NOW + DAY}, {2, 3}),
        ({"include_closed": True}, {1, 2, 3}),
        ({"now": NOW - 1, "include_closed": True}, {1, 2, 3, 4}),
        ({"now": NOW - 1, "at": NOW - 1}, {2, 4}),
        ({}, {2}),
    ):
        assert set(order(index, "Where does Ann live?", **changes)) == seen


def test_a_hidden_row_changes_no_score_when_it_leaves_the_view() -> None:
    kept = filler(80)
    closed = [
        replace(e, rid=e.rid + 500, order=(e.order[0], e.rid + 500), valid_until=NOW - DAY)
        for e in filler(80)
    ]
    same(index_of(kept + closed), index_of(kept), query("Who repaired the kettle?"))


# ---------------------------------------------------------------------------------------------- growth


@st.composite
def changes(draw: Callable[..., Any]) -> list[tuple[str, list[int]]]:
    rids = st.lists(st.integers(0, 40), min_size=1, max_size=6)
    return draw(
        st.lists(st.tuples(st.sampled_from(["upsert", "upsert", "remove"]), rids), min_size=1, max_size=12)
    )


POOL = filler(60, first=0)
WORDS = (
    "Who repaired the kettle in the garage?",
    "How was the day of Zoe?",
    "What did Bob measure in November?",
)


@settings(max_examples=25, deadline=None)
@given(changes(), st.integers(0, 10**6), st.sampled_from([KEYLESS, EMBEDDED]))
def test_an_index_that_grew_ranks_like_one_built_at_once(
    steps: list[tuple[str, list[int]]], seed: int, weights: Weights
) -> None:
    rng, grown, known = random.Random(seed), OwnerIndex(EMBEDDER.dim, weights=weights), dict[int, Entry]()
    for kind, rids in steps:
        if kind == "remove":
            grown.remove(rids)
            known = {rid: e for rid, e in known.items() if rid not in rids}
        else:
            made = [replace(rng.choice(POOL), rid=rid, order=(START + rng.randrange(9), rid)) for rid in rids]
            grown.upsert(made)
            known |= {e.rid: e for e in made}
        ask(grown, WORDS[0])
    built = index_of(rng.sample(list(known.values()), len(known)), weights)
    assert len(grown) == len(built) == len(known)
    for text in WORDS:
        same(grown, built, query(text))


def test_an_index_shrinks_with_its_rows() -> None:
    entries = filler(2_000)
    index = index_of(entries)
    full = index.nbytes
    index.remove([e.rid for e in entries[:1_900]] + [-1])
    assert len(index) == 100
    assert index.nbytes < full / 4
    same(index, index_of(entries[1_900:]), query("Who repaired the kettle?"))
    index.upsert(entries[:50])
    same(index, index_of(entries[1_900:] + entries[:50]), query("Who repaired the kettle?"))


def test_hostile_texts_are_ranked_with_the_others() -> None:
    texts = ["", " ", "\x00\x01", "\ud800", "🎉🎉🎉", "a " * 500_000, "A" * 1_000_000, "?" * 70, "猫は好き"]
    index = index_of([entry(n, t, session=None if n % 2 else "s") for n, t in enumerate(texts, 1)])
    for asked in ["kettle", "", "?", "\ud800", "猫", "a" * 10_000, "who " * 3_000]:
        assert sorted(order(index, asked)) == list(range(1, len(texts) + 1))


def test_candidates_with_a_sample_are_ordered_almost_as_in_the_whole_scope() -> None:
    turns = [entry(n, memory, session=f"own-{n}") for n, (memory, _) in enumerate(ANSWERS, 1)]
    scope = filler(3_000) + turns
    whole = index_of(scope)
    for _, question in ANSWERS[:4]:
        exact = whole.rank(query(question))
        best = exact.rids(0, 20).tolist()
        found, _ = rank_candidates(
            query(question),
            [e for e in scope if e.rid in best],
            [],
            scope[::3][:1_000],
            dim=EMBEDDER.dim,
            weights=KEYLESS,
        )
        assert len(found) == 20
        assert found[0][0] == best[0]
        assert found[0][1] == pytest.approx(exact.scores(0, 1)[0], abs=0.1)


def test_explain_of_a_row_out_of_view_raises() -> None:
    with pytest.raises(KeyError):
        ask(index_of(filler(3)), "kettle").explain(7)


def test_weights_follow_the_identity_of_the_embedder() -> None:
    assert weights_for("hash/1024/v1") is KEYLESS
    assert weights_for("openai/text-embedding-3-small/1536") is OTHER


@pytest.mark.parametrize("weights", [KEYLESS, EMBEDDED, OTHER], ids=lambda w: w.name)
@pytest.mark.parametrize("make", [fact, entry], ids=["facts", "turns"])
def test_a_memory_asked_word_for_word_comes_first_whatever_its_vector(
    weights: Weights, make: Callable[..., Entry]
) -> None:
    near, away = np.eye(2, 64, dtype=np.float32)
    others = ["Ann's cat Tom is Ann's cat.", "Ann's cat is Tom, and Tom is a cat.", "Bob paints the sea."]
    index = OwnerIndex(64, weights=weights)
    index.upsert([replace(make(n, text), vector=near) for n, text in enumerate(others, 3)])
    index.upsert([replace(make(n, "Ann's cat is Tom."), vector=away) for n in (1, 2, 9)])
    asked = RankQuery(text=" ann's CAT is Tom. ", vector=near, at=NOW, now=NOW)
    ranking = index.rank(asked)
    assert set(ranking.rids(0, 3).tolist()) == {1, 2, 9}
    assert list(ranking.scores()) == sorted(ranking.scores(), reverse=True)


def test_a_question_that_somebody_asked_is_not_its_own_answer() -> None:
    index = index_of([entry(1, "Where is my key?"), entry(2, "Your key is in the blue drawer.")])
    contributions = ask(index, "Where is my key?").explain(1)["contributions"]
    assert isinstance(contributions, dict)
    assert "exact" not in contributions


@pytest.mark.parametrize("weights", [KEYLESS, EMBEDDED, OTHER], ids=lambda w: w.name)
@pytest.mark.parametrize("asked", ["What happened on 8 May 2023?", "What happened on the 8th of May?"])
def test_a_day_that_is_named_finds_what_was_said_on_it_and_what_tells_of_it(
    weights: Weights, asked: str
) -> None:
    def at(day: int) -> int:
        return round(datetime(2023, 5, day, 18, tzinfo=UTC).timestamp() * 1e6)

    turns = [
        entry(n, f"Something happened in May: {what}", session=f"s{n}", created_at=at(day))
        for n, (day, what) in enumerate(
            [
                (8, "the oven broke."),
                (9, "the roof leaked yesterday."),
                (9, "the car was sold."),
                (7, "the cat ran away."),
                (28, "the lamp fell last week."),
            ],
            1,
        )
    ]
    index = index_of(turns, weights)
    assert set(order(index, asked)[:2]) == {1, 2}


def test_a_span_that_is_asked_for_finds_what_tells_of_it() -> None:
    said = NOW - 5 * DAY
    turns = [
        entry(1, "The roof was repaired.", session="a", created_at=said),
        entry(2, "The roof was repaired yesterday.", session="b", created_at=said),
        entry(3, "The roof was repaired last month.", session="c", created_at=said),
    ]
    assert order(index_of(turns), "What was repaired six days ago?")[0] == 2
