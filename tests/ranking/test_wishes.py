"""What a user said that holds whatever is asked: which queries it bears on, and that it comes before talk of the like."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from uuid import uuid4

import pytest

from memkit.ledger.base import AddRecord, Batch
from memkit.ledger.sqlite import SqliteLedger
from memkit.ranking.asked import asked, for_help
from memkit.ranking.cache import IndexCache
from memkit.ranking.index import Entry, OwnerIndex
from memkit.ranking.standing import indexed, wishes
from memkit.ranking.text import TOKENIZER_VERSION
from memkit.ranking.weights import EMBEDDED, KEYLESS, OTHER
from memkit.scope import Scope
from tests.ranking.corpus import EMBEDDER, entry, index_of, query

WISH = "Always name the soil when I ask how to look after plants."
HELP = "How should I look after my roses this spring?"
RECALL = "Which roses did I buy this spring?"
MADE = (EMBEDDER.identity, EMBEDDER.dim)
T0 = 1_700_000_000_000_000


@pytest.mark.parametrize(
    "text",
    [
        HELP,
        "Can you show me a stew that takes half an hour?",
        "I'm about to repot a fern. What soil would you take?",
        "Which bus should we take to the sea?",
        "What are some good names for a boat?",
        "Please plan my week.",
        "How do I sharpen a knife?",
        "Can you walk me through how to sharpen a knife?",
        "What can I do in order to sleep better?",
    ],
)
def test_the_wording_tells_that_help_is_asked_for(text: str) -> None:
    assert for_help(text)


@pytest.mark.parametrize(
    "text",
    [
        RECALL,
        "How did you say I should prune them?",
        "What are the roses I've mentioned so far?",
        "Can you remind me which knife I have?",
        "Do you know where I live?",
        "Can you summarize how my garden can do better?",
        "Can you list the order in which I asked about plants?",
        "Where does Ann live?",
        "roses",
        "Wie soll ich meine Rosen pflegen?",
        "",
    ],
)
def test_other_queries_ask_for_what_is_known(text: str) -> None:
    assert not for_help(text)


@pytest.mark.parametrize(
    "text",
    [
        "What can I do in order to sleep better?",
        "How can I best sequence my tasks?",
        "Walk me through how to knit.",
    ],
)
def test_a_purpose_is_no_order(text: str) -> None:
    assert not asked(text).ordered


@pytest.mark.parametrize(
    "text", ["In what sequence did I ask?", "Walk me through how we met", "In which order was it?"]
)
def test_an_order_stays_one(text: str) -> None:
    assert asked(text).ordered


def _said(rid: int, text: str, **changes: object) -> Entry:
    return entry(rid, text, **({"session": "a", "speaker": None, "role": "user"} | changes))


def _talk(words: int = 80) -> list[Entry]:
    """A wish among long turns on what is asked, and one like it of the assistant."""
    more = " ".join(f"word{n}" for n in range(words))
    return [
        _said(1, f"{WISH} {more}"),
        _said(2, f"{WISH} {more}", role="assistant"),
        *(_said(n, f"My roses look poor, how should they be, spring {n}? {more}") for n in range(3, 9)),
        *(_said(n, f"Something else, note {n}: {more}") for n in range(9, 30)),
    ]


def _place(index: OwnerIndex, text: str, rid: int) -> int:
    return index.rank(query(text)).rids().tolist().index(rid)


def _wished(index: OwnerIndex, text: str) -> list[int]:
    """Return the memories to which being a wish adds something."""
    ranking = index.rank(replace(query(text), at=T0 + 10**9, now=T0 + 10**9))
    found: list[int] = []
    for rid in sorted(ranking.rids().tolist()):
        added = ranking.explain(rid)["contributions"]
        assert isinstance(added, dict)
        found += [rid] if added.get("wish") else []
    return found


def test_a_wish_comes_forward_where_help_is_asked_for() -> None:
    index = index_of(_talk())
    without = index_of(_talk(), replace(KEYLESS, long=replace(KEYLESS.long or KEYLESS, wish=0.0)))
    assert _place(index, HELP, 1) < _place(without, HELP, 1)
    assert _place(index, RECALL, 1) == _place(without, RECALL, 1)
    assert (_wished(index, HELP), _wished(index, RECALL), _wished(without, HELP)) == ([1], [], [])


def test_what_an_assistant_says_is_no_wish() -> None:
    assert wishes(_talk()) == [1]
    index = OwnerIndex(EMBEDDER.dim, weights=KEYLESS)
    index.upsert(_talk())
    index.stand([2, 99])
    assert _wished(index, HELP) == []


def test_in_chats_a_wish_is_a_turn_like_others() -> None:
    assert _wished(index_of(_talk(words=5)), HELP) == []
    assert all(each.wish == 0 and each.long and each.long.wish for each in (KEYLESS, EMBEDDED, OTHER))


def test_a_turn_that_is_said_anew_without_a_wish_has_none() -> None:
    index = index_of(_talk())
    index.upsert([_said(1, "I bought seven roses.")])
    assert _wished(index, HELP) == []


@pytest.fixture
def ledger() -> Iterator[SqliteLedger]:
    ledger = SqliteLedger(None, tokenize=indexed, tokenizer_version=TOKENIZER_VERSION)
    ledger.open(create=True)
    ledger.set_embedder(*MADE)
    yield ledger
    ledger.close()


def _add(ledger: SqliteLedger, user: str, turns: list[Entry]) -> None:
    rows = EMBEDDER.embed([turn.text for turn in turns])
    changes = [
        AddRecord(
            id=str(uuid4()), scope=Scope(user_id=user, agent_id=None, run_id="a"), text=turn.text, kind="message",
            role=turn.role, actor_id=turn.speaker, vector=row, created_at=T0 + turn.rid,
        )
        for turn, row in zip(turns, rows, strict=True)
    ]  # fmt: skip
    ledger.apply(Batch(operation_id=str(uuid4()), kind="add", owner=None, at=T0, changes=changes))


def test_an_owner_read_as_a_whole_has_the_wishes_of_one_that_grew(ledger: SqliteLedger) -> None:
    grown = IndexCache(ledger)
    turns = [*_talk(), _said(40, "From now on, use metric units.", speaker="Ann"), _said(41, "I met Ann.")]
    _add(ledger, "ann", turns[:3])
    _add(ledger, "bob", _talk()[:1])
    number = ledger.owner_number(Scope(user_id="ann", agent_id=None, run_id=None).owner)
    with grown.index(number, MADE):
        pass
    for turn in turns[3:]:
        _add(ledger, "ann", [turn])
        with grown.index(number, MADE):
            pass
    for owner, wished in ((number, 2), (None, 3)):
        with grown.index(owner, MADE) as (one, *_), IndexCache(ledger).index(owner, MADE) as (other, *_):
            assert len(_wished(one, HELP)) == wished
            assert _wished(one, HELP) == _wished(other, HELP)
            hits = [index.rank(query(HELP, at=T0 + 10**9)).hits() for index in (one, other)]
            assert hits[0] == hits[1]
