"""Without a key a question in any language finds its memory nearly as well as it does in English."""

from __future__ import annotations

import json
import tomllib
from functools import cache
from pathlib import Path
from typing import Final

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from memkit import Memory
from memkit.ranking.languages import STOPS
from memkit.ranking.stemmers import stemmer
from memkit.ranking.text import other_stems, query_terms, tokens

WORLD: Final[dict[str, list[list[str]]]] = json.loads(
    Path(__file__).with_name("languages.json").read_text("utf-8")
)
"""Language -> the same thirty memories, fifteen of them with a question that others share words with."""


@pytest.mark.parametrize("language", [name for name in WORLD if name != "en"])
def test_questions_find_their_memory_first_nearly_as_often_as_in_english(language: str) -> None:
    (first, ten), (english_first, english_ten) = _found(language), _found("en")
    assert first >= 0.85 * english_first
    assert ten >= 0.95 * english_ten


@cache
def _found(language: str) -> tuple[int, int]:
    """Return how many questions have their memory first, and among the first ten."""
    first = ten = 0
    with Memory(":memory:", llm=None, embedder="hash") as memory:
        memory.add_many([text for text, *_ in WORLD[language]], user_id="ann")
        for text, *questions in WORLD[language]:
            for question in questions:
                found = [item.memory for item in memory.search(question, user_id="ann").results]
                first += found[0] == text
                ten += text in found
    return first, ten


@pytest.mark.parametrize(
    ("memory", "query"),
    [
        ("Я люблю полуницю.", "полуниці"),
        ("Оренда зросла.", "оренду"),
        ("Вона сидить на машині.", "машина"),
        ("המשקפיים נשארו ברכבת.", "רכבת"),
        ("סיסמת הרשת כתובה כאן.", "הסיסמה"),
        ("גרנו ליד האגם.", "אגם"),
        ("دو درخت گیلاس کاشتیم.", "درخت‌ها"),
        ("형은 자전거를 고친다.", "형"),
        ("자전거를 고칩니다.", "고치는"),
        ("농장에서 자랐다.", "자라는"),
    ],
)
def test_a_word_is_found_in_other_forms_where_snowball_has_no_rules(memory: str, query: str) -> None:
    terms = query_terms(query)
    others = {other for found in other_stems(query, terms).values() for other in found}
    assert (set(terms) | others) & set(tokens(memory))


def test_what_a_language_says_in_every_sentence_is_not_searched_for() -> None:
    assert tokens("איפה שלי את הוא") == tokens("کجا را می است") == tokens("де мій що чому") == []


@pytest.mark.parametrize(
    "text", ["ー", "가", "각", "힣힣", "ㄱㄴ", "한a국", "학교에서는", "\uac00\u11a8", "다", "ㅆ다"]
)
def test_any_korean_text_can_be_split(text: str) -> None:
    assert all(tokens(text)) or not tokens(text)


def test_the_oldest_stemmers_that_may_be_installed_know_every_language() -> None:
    # Polish, Czech and Persian came with 3.1; an older one would fail at the first text in them.
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))["project"]
    (wanted,) = [need for need in project["dependencies"] if need.startswith("PyStemmer")]
    (oldest,) = [spec.version for spec in Requirement(wanted).specifier if spec.operator == ">="]
    assert Version(oldest) >= Version("3.1")
    assert all(stemmer(language).stemWord("ab") for language in ("english", *STOPS))
