"""Words that mean nearly the same: what they find without an embedder, and whom they leave alone."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from memkit.embedders.minilm import MiniLMEmbedder
from memkit.embedders.minilm_weights import vocabulary
from memkit.ranking.index import Entry, OwnerIndex
from memkit.ranking.related import relatives
from memkit.ranking.text import english_stems
from memkit.ranking.weights import EMBEDDED, KEYLESS, Weights
from tests.embedders.minilm_forward import needs_weights
from tests.ranking.corpus import entry, fact, index_of, query

PETS = "Which pet does Ann keep?"


def _talk() -> list[Entry]:
    return [
        entry(1, "our dog sleeps under the stairs", session="a"),
        *(
            entry(n, f"our {what} stands under the stairs", session=f"s{n}")
            for n, what in enumerate("ladder lantern kettle basket".split(), 10)
        ),
    ]


def _without() -> Weights:
    return replace(KEYLESS, chat=replace(KEYLESS.chat or KEYLESS, related=0.0))


def _related(index: OwnerIndex, text: str, **changes: object) -> dict[int, float | None]:
    ranking = index.rank(query(text, **changes))
    out: dict[int, float | None] = {}
    for rid in ranking.rids().tolist():
        added = ranking.explain(rid)["contributions"]
        assert isinstance(added, dict)
        out[rid] = added.get("related")
    return out


def test_a_keyless_chat_finds_what_is_called_by_a_related_word() -> None:
    assert index_of(_talk()).rank(query(PETS)).rids(0, 1).tolist() == [1]
    assert index_of(_talk(), _without()).rank(query(PETS)).rids(0, 1).tolist() != [1]
    added = _related(index_of(_talk()), PETS)
    assert added.pop(1)
    assert set(added.values()) == {0.0}


def test_the_word_itself_counts_more_than_one_that_is_related() -> None:
    named = entry(2, "our pet sleeps under the stairs", session="b")
    assert index_of([*_talk(), named]).rank(query(PETS)).rids(0, 2).tolist() == [2, 1]


def test_a_name_has_no_relatives() -> None:
    garden = [
        entry(1, "flowers in the garden", session="a", speaker="Bob"),
        entry(2, "tired today", session="b", speaker="Rose"),
    ]
    assert "flower" in dict(relatives("rose"))
    assert set(_related(index_of(garden), "Did Rose sleep?").values()) == {None}
    assert _related(index_of(garden), "Is there a rose?")[1]


def test_a_query_in_another_language_has_none() -> None:
    talk = [entry(1, "the prize was a book", session="a"), entry(2, "lunch was late", session="b")]
    assert "prize" in dict(relatives("gift"))
    assert set(_related(index_of(talk), "Welches Gift hat er im Haus gefunden?").values()) == {None}
    assert _related(index_of(talk), "Which gift did he find in the house?")[1]


def test_a_memory_out_of_view_changes_nothing() -> None:
    ours = [replace(each, agent="ours") for each in _talk()]
    theirs = [entry(n, "dog and cat", session="a", agent="theirs") for n in range(90, 95)]
    seen = {"agents": frozenset({"ours"})}
    assert _related(index_of(ours), PETS, **seen) == _related(index_of(ours + theirs), PETS, **seen)


def test_long_messages_and_stores_with_a_model_have_no_use_for_it() -> None:
    for weights in (KEYLESS.long, EMBEDDED, EMBEDDED.chat, EMBEDDED.long):
        assert weights is not None
        assert not weights.related
    long = [entry(n, "word " * 80 + text) for n, text in enumerate(("a dog", "a ladder"), 1)]
    assert set(_related(index_of(long), PETS).values()) == {None}


def test_facts_are_found_by_related_words() -> None:
    facts = [fact(1, "Ann has a dog."), fact(2, "Ann has a ladder.")]
    dog, ladder = (_related(index_of(facts), PETS)[rid] for rid in (1, 2))
    assert dog is not None and dog > 0 and not ladder


@pytest.mark.parametrize(
    ("word", "others"),
    [
        ("pet", "dog cat"),
        ("trip", "travel destination"),
        ("job", "work career"),
        ("wedding", "bride marriage"),
    ],
)
def test_the_table_tells_what_is_related_in_the_stems_of_this_tokenizer(word: str, others: str) -> None:
    (stem,) = english_stems([word])
    found = dict(relatives(stem))
    assert found.keys() >= set(english_stems(others.split()))
    assert stem not in found


@pytest.mark.parametrize("stem", ["", "zzz", "\u0433\u043e\u0440\u043e\u0434", "pe", "2023", "the"])
def test_what_is_no_english_stem_has_no_relatives(stem: str) -> None:
    assert relatives(stem) == ()


def test_the_nearest_come_first() -> None:
    for stem in english_stems("pet trip job wedding doctor kitchen".split()):
        near = [each for _, each in relatives(stem)]
        assert near and all(0.45 <= after <= before < 1 for before, after in pairwise(near))


@needs_weights
@pytest.mark.engine
def test_the_table_is_what_its_script_writes() -> None:
    """Up to what all words share, which a part of them tells nearly as well: a few hundred words are embedded anew."""
    from scripts.related_words import of_stems, table, words

    embedder = MiniLMEmbedder()
    known = words(vocabulary(embedder.weights.vocabulary))
    drawn = np.random.default_rng(7).permutation(len(known))[:300]
    asked = "dog cat travel vacation work career bride marriage pet trip job wedding".split()
    part = sorted({*asked, *(known[at] for at in drawn.tolist())})
    stems, rows = of_stems(part, embedder.embed(part))
    made = table(stems, rows)
    ends = np.cumsum(made["counts"].astype(int))
    for stem in english_stems(["pet", "trip", "job", "wedding"]):
        end = ends[stems.index(stem)]
        others = made["others"][end - int(made["counts"][stems.index(stem)]) : end].tolist()
        again = {stems[other] for other in others}
        kept = {other: near for other, near in relatives(stem) if other in stems}
        sure = {other for other, near in kept.items() if near > 0.55}
        assert sure and sure <= again
