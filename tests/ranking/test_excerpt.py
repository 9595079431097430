"""An excerpt fits its room, keeps the order of its text, and holds what answers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from memkit.ranking.excerpt import GAP, Terms, excerpt
from memkit.ranking.sentences import lines, sentences, split

TEXT = (
    "We met in May. The boiler was repaired by a plumber on Thursday. Then it rained. The cat slept all day."
)


def test_the_sentence_that_answers_comes_before_all_else() -> None:
    made = excerpt(TEXT, Terms("Who repaired the boiler?"), 60, len)
    assert made == f"{GAP} The boiler was repaired by a plumber on Thursday. {GAP}"[:60] or "boiler" in made
    assert excerpt(TEXT, Terms("Who repaired the boiler?"), 1_000, len) == TEXT


def test_more_is_added_in_the_order_of_the_text() -> None:
    made = excerpt(TEXT, Terms("boiler"), 90, len)
    assert "boiler" in made and GAP in made and len(made) <= 90
    kept = [part for part in sentences(TEXT) if part in made]
    assert kept == sorted(kept, key=TEXT.index)


def test_the_known_part_of_a_sentence_begins_it() -> None:
    text = "I am planning a long trip with my whole family to the north of Italy next spring, so I prefer quiet hotels, "
    text += "and by the way the weather has been terrible here for weeks, which is why we want to leave soon"
    made = excerpt(text, Terms(""), 40, len, text.index("I prefer"))
    assert made.startswith(f"{GAP} so I prefer quiet hotels")


@given(st.text(max_size=400), st.text(max_size=40), st.integers(0, 200))
def test_no_excerpt_is_longer_than_its_room(text: str, query: str, room: int) -> None:
    made = excerpt(text, Terms(query, [text]), room, len)
    assert len(made) <= room or not made
    assert "\n" not in made


def test_code_between_fences_is_no_sentence() -> None:
    text = "Look at this.\n```python\nalways = 1\n```\n- It works. Does it? \u201cYes.\u201d"
    assert list(lines(text)) == ["Look at this.", "It works. Does it? “Yes.”"]
    assert split("It works. Does it? Version 2.5 does.") == ["It works.", "Does it?", "Version 2.5 does."]
    assert split("今天很好。我们走吧！") == ["今天很好。", "我们走吧！"]
