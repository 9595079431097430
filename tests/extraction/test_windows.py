"""Long input is split at turns; nothing is lost, nothing is read twice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from memkit.extraction.messages import InputMessage, normalise
from memkit.extraction.windows import extractable, split, windows


def talk(*lengths: int) -> list[InputMessage]:
    return normalise(
        [{"role": "user", "content": f"{n} ".ljust(length, "x")} for n, length in enumerate(lengths)]
    )


def test_what_fits_is_one_window() -> None:
    assert len(windows(extractable(talk(100, 100), now=0), limit=1_000)) == 1


@given(st.lists(st.integers(3, 900), min_size=1, max_size=30))
def test_every_turn_is_numbered_once_in_order(lengths: list[int]) -> None:
    parts = extractable(talk(*lengths), now=0)
    made = windows(parts, limit=1_000, overlap=200)
    assert [part for window in made for part in window.parts] == parts
    for window in made:
        assert sum(len(part.turn.text) for part in window.parts) <= 1_000
        assert sum(len(turn.text) for turn in window.earlier) <= 200


def test_a_turn_longer_than_a_window_is_split_between_words() -> None:
    text = " ".join(f"w{n}" for n in range(2_000))
    parts = extractable(normalise(text), now=0)
    made = windows(parts, limit=1_000)
    assert len(made) > 5 and {part.index for window in made for part in window.parts} == {0}
    words = [word for window in made for part in window.parts for word in part.turn.text.split()]
    assert words == text.split()


@given(st.text(max_size=300), st.integers(1, 40))
def test_splitting_loses_nothing(text: str, limit: int) -> None:
    pieces = split(text, limit)
    assert all(len(piece) <= limit for piece in pieces)
    assert "".join("".join(pieces).split()) == "".join(text.split())


def test_system_prompts_tools_and_recalled_text_are_not_read() -> None:
    messages = normalise(
        [
            {"role": "system", "content": "You are kind."},
            {"role": "user", "content": "Hi <memkit:recalled>old</memkit:recalled>"},
            {"role": "tool", "content": "42"},
            {"role": "user", "content": "<memkit:recalled>only that"},
        ]
    )
    assert [(part.index, part.turn.text) for part in extractable(messages, now=0)] == [(1, "Hi")]
    assert [part.index for part in extractable(messages, now=0, tool_turns=True)] == [1, 2]
