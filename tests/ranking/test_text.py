from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memkit.ranking.text import dense_form, keyword_form, query_terms, surface, tokens


def test_shapes_of_one_word_are_one_token() -> None:
    assert tokens("went going goes gone") == ["go"] * 4
    assert tokens("Children, a child, KIDS") == ["child"] * 3
    assert tokens("She bought bikes.") == ["buy", "bicycl"]


def test_stop_words_and_single_letters_are_no_tokens() -> None:
    assert tokens("I don't know what it is, do you? x 5") == ["know"]


def test_accents_and_full_width_letters_are_folded() -> None:
    assert tokens("Zoë's café") == tokens("Zoe's cafe")
    assert tokens("ＡＢＣ １２３") == ["abc", "123"]


@pytest.mark.parametrize(
    ("memory", "query"),
    [
        ("我昨天在北京买了一只白猫", "北京的猫"),
        ("昨日は東京で寿司を食べました", "寿司"),
        ("어제 부산에서 바다를 봤어요", "부산"),
        ("เมื่อวานฉันกินต้มยำกุ้งที่กรุงเทพ", "ต้มยำกุ้ง"),
        ("मैंने कल दिल्ली में किताब खरीदी", "दिल्ली"),
        ("Вчера я купил собаку в Москве", "Москве"),
        ("اشتريت كتابا من القاهرة", "القاهرة"),
        ("Ich habe einen Hund in München gekauft", "München"),
        ("Είδα μια γάτα στην Αθήνα", "Αθήνα"),
    ],
)
def test_a_word_of_any_script_is_found_in_a_text_of_that_script(memory: str, query: str) -> None:
    assert set(query_terms(query)) & set(tokens(memory))


def test_an_indic_word_is_not_cut_at_its_vowel_signs() -> None:
    assert surface("किताब खरीदी।") == ["किताब", "खरीदी"]


def test_hostile_texts_have_tokens_or_none_but_never_raise() -> None:
    assert tokens("") == tokens(" \n\t") == tokens("🎉🎉") == tokens("\ud800\udfff") == []
    assert tokens("\x00\x01\x02 binary \x7f") == ["binari"]
    assert [len(t) for t in tokens("A" * 1_000_000)] == [64]
    assert len(tokens("alpha beta " * 50_000)) == 100_000


@given(st.text(alphabet=st.characters(codec=None), max_size=200))
def test_any_text_can_be_split(text: str) -> None:
    assert all(found == found.lower() or found for found in tokens(text))


def test_query_terms_count_repetitions_in_order() -> None:
    assert query_terms("cat dog cat") == {"cat": 2, "dog": 1}


def test_the_forms_of_a_memory_name_speaker_and_day() -> None:
    may_8 = 1_683_554_160_000_000
    assert dense_form("hi", "Ann") == 'Ann said, "hi"'
    assert dense_form("hi", None) == "hi"
    assert keyword_form("hi", "Ann", may_8) == "Ann: hi 08 May 2023"
    assert keyword_form("hi", None, None) == "hi"
    assert keyword_form("hi", None, 10**20) == "hi"
