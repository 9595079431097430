"""What makes two names one, and the ids of entities."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memkit.graph_stores.base import GraphRecord, Span, digest, entity_id, fold_name
from memkit.graph_stores.support import dump_record, load_record, owners_of
from memkit.scope import Owner, ReadScope
from memkit.testing.graph_data import RECORDS, SCOPES


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Bob", "  bob!"),
        ("The Beatles", "beatles"),
        ("“Ann  Lee”", "ann\tlee"),
        ("STRASSE", "straße"),
        ("ﬁn", "(fin)"),
    ],
)
def test_names_that_only_look_different_are_one(one: str, other: str) -> None:
    assert fold_name(one) == fold_name(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("An Nguyen", "Nguyen"), ("C", "C#"), ("C", "C++"), ("5", "5%"), ("Ann", "Anna"), ("é", "e")],
)
def test_names_of_different_things_stay_apart(one: str, other: str) -> None:
    assert fold_name(one) != fold_name(other)


@given(st.text())
def test_a_folded_name_stays_as_it_is_and_never_vanishes(name: str) -> None:
    folded = fold_name(name)
    assert fold_name(folded) == folded
    assert bool(folded) == bool(name.split())


def test_an_id_tells_owners_apart_and_cannot_be_read() -> None:
    ids = {
        entity_id(Owner(kind, id), key)
        for kind in ("user", "agent")
        for id in ("a", "ab")
        for key in ("bob", "b", "bbob")
    }
    assert len(ids) == 12
    assert digest("a", "bc") != digest("ab", "c") != digest("abc")
    assert all(len(id) == 32 and "bob" not in id for id in ids)


@given(SCOPES, RECORDS)
def test_the_owners_of_a_scope_are_all_it_may_hold(scope: ReadScope, record: GraphRecord) -> None:
    owners = owners_of(scope)
    if owners is not None and scope.allows(record.user_id, record.agent_id, record.run_id):
        assert record.owner in owners


@given(RECORDS)
def test_a_record_survives_its_text(record: GraphRecord) -> None:
    assert load_record(dump_record(record)) == record


@given(
    st.integers(0, 9),
    st.integers(0, 9),
    st.integers(0, 9),
    st.none() | st.integers(0, 9),
    st.none() | st.integers(0, 9),
)
def test_a_span_meets_what_is_true_at_some_instant_of_it(
    first: int, more: int, begin: int, until: int | None, expires: int | None
) -> None:
    ends = [end for end in (until, expires) if end is not None]
    true = any(begin <= at and all(at < end for end in ends) for at in range(first, first + more + 1))
    assert Span(first, first + more).meets(begin, until, expires) == true
