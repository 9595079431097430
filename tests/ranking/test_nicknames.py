"""A query may name a speaker as others call her; who is only talked about is nobody else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from memkit.ranking.index import Entry, OwnerIndex, RankQuery
from memkit.ranking.weights import EMBEDDED, KEYLESS, Weights
from tests.ranking.corpus import NOW, ask, entry, fact, index_of

QUESTION = "What does Lou paint?"


def _talks(*turns: tuple[str, str], talks: int = 5, first: int = 1, **changes: object) -> list[Entry]:
    """The same turns in several talks."""
    said = [(n, *turn) for n in range(talks) for turn in turns]
    return [
        entry(first + at, text, speaker=who, session=f"talk-{n}", **changes)
        for at, (n, who, text) in enumerate(said)
    ]


SHORT = [("Ann", "Hey Lou! How are you?"), ("Louisa", "Fine, busy as ever."), ("Ann", "Good to hear, Lou.")]
HELLO = [*SHORT, ("Louisa", "Sun today.")]
BOATS = [
    entry(900, "I paint boats", speaker="Louisa", session="talk-0"),
    entry(901, "I paint fences", speaker="Ann", session="talk-0"),
]


def _asked(entries: Sequence[Entry], text: str = QUESTION, weights: Weights = EMBEDDED) -> str:
    return index_of(entries, weights).embedded(RankQuery(text=text, vector=None, at=NOW, now=NOW))


def _best(index: OwnerIndex, text: str = QUESTION) -> int:
    return int(ask(index, text).rids(0, 1)[0])


def test_who_is_called_something_is_named_by_it() -> None:
    told = [fact(990, "Lou is tall."), entry(991, "Lou called.", speaker=None)]
    entries = [*_talks(*HELLO), *BOATS, *told]
    assert _best(index_of(entries)) == 900
    assert _asked(entries) == "What does you paint?"
    assert _asked(entries, weights=KEYLESS) == "What does Louisa paint?"
    assert _asked(entries, "Is that Lou's boat, Lou?", KEYLESS) == "Is that Louisa's boat, Louisa?"


def test_the_part_can_be_switched_off() -> None:
    assert KEYLESS.chat is not None
    off = replace(KEYLESS, chat=replace(KEYLESS.chat, nickname=False))
    assert _asked(_talks(*HELLO), weights=off) == QUESTION


@pytest.mark.parametrize(
    ("why", "entries"),
    [
        ("she is asked after", _talks(*HELLO, ("Louisa", "And how is Lou?"))),
        ("she is named in few talks", _talks(*HELLO, talks=3)),
        ("she is named in few turns", _talks(*HELLO[:2], HELLO[3], talks=5)),
        ("of many talks she is named in few", [*_talks(*HELLO), *(
            entry(500 + 2 * n + m, "All is well.", speaker=who, session=f"other-{n}")
            for n in range(20) for m, who in enumerate(("Ann", "Louisa")))]),
        ("two may be meant", _talks(*HELLO, ("Bob", "I am here, too."), ("Bob", "And there."), ("Louisa", "Yes."))),
        ("the other says next to nothing", _talks(*SHORT)),
        ("somebody bears the name", [*_talks(*HELLO), entry(999, "Hi", speaker="Lou")]),
        ("nobody says it", _talks(("Ann", "Hey!"), ("Louisa", "Hello!"))),
    ],
)  # fmt: skip
def test_where_it_is_not_clear_who_is_called_so_a_query_stays_as_it_is(
    why: str, entries: list[Entry]
) -> None:
    assert _asked(entries, weights=KEYLESS) == QUESTION, why


def test_a_name_of_a_thing_is_not_looked_for() -> None:
    entries = _talks(
        ("Ann", "I saw it on Netflix"), ("Louisa", "Nice."), ("Louisa", "Good."), ("Ann", "Netflix!")
    )
    assert _asked(entries, "What did Ann see on Netflix?", KEYLESS) == "What did Ann see on Netflix?"


def test_talks_out_of_view_call_nobody_anything() -> None:
    theirs = _talks(*HELLO, agent="theirs")
    ours = [replace(each, agent="ours", session="ours") for each in BOATS]
    seen = frozenset[str | None]({"ours"})
    asked = RankQuery(text=QUESTION, vector=None, at=NOW, now=NOW, agents=seen)
    both = index_of([*theirs, *ours])
    assert both.embedded(asked) == QUESTION
    assert both.rank(asked).hits() == index_of(ours).rank(asked).hits()
    bearer = entry(999, "Hi", speaker="Lou", agent="others")
    named = replace(asked, agents=frozenset[str | None]({"theirs"}))
    assert index_of([*theirs, bearer]).embedded(named) == index_of(theirs).embedded(named) != QUESTION


def test_nicknames_are_looked_for_once_a_search_and_again_when_something_was_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks = list[str]()

    def looked(view: object, query: str, *rest: object) -> str:
        looks.append(query)
        return query

    monkeypatch.setattr("memkit.ranking.index.renamed", looked)
    index = index_of(_talks(*HELLO))
    asked = RankQuery(text=QUESTION, vector=None, at=NOW, now=NOW)
    index.embedded(asked)
    index.rank(asked)
    assert looks == [QUESTION]
    index.upsert([entry(999, "Lou!", speaker="Ann", session="talk-0")])
    index.rank(asked)
    index.rank(replace(asked, text="And Lou?"))
    assert looks == [QUESTION, QUESTION, "And Lou?"]


def test_what_is_asked_word_for_word_comes_first_as_it_was_typed() -> None:
    typed = "Lou's boat sank in the harbour"
    entries = [*_talks(*HELLO), *BOATS]
    entries += [entry(n, "Louisa's boat sank in the harbour", speaker="Louisa") for n in (902, 904)]
    entries.insert(-1, entry(903, typed, speaker="Ann", session="talk-1"))
    assert _best(index_of(entries), typed) == 903
