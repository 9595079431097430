from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memkit.ranking.text import dense_form, keyword_form, other_stems, plainly, query_terms, surface, tokens
from tests.ranking.corpus import ask, fact, index_of


def test_shapes_of_one_word_are_one_token() -> None:
    assert tokens("went going goes gone") == ["go"] * 4
    assert tokens("Children, a child, KIDS") == ["child"] * 3
    assert tokens("She bought bikes.") == ["buy", "bicycl"]


def test_stop_words_and_letters_that_stand_alone_for_nothing_are_no_tokens() -> None:
    assert tokens("I don't know what it is, do you? It's a cat, I'd say.") == ["know", "cat", "say"]
    assert tokens("L'eau est dans la maison, et c'est à nous.") == tokens("eau maison")
    assert tokens("И я был в доме") == tokens("Я был в доме")


def test_numbers_and_letters_of_one_character_are_tokens() -> None:
    assert tokens("gate 7, vitamin C") == ["gate", "7", "vitamin", "c"]
    assert tokens("“Gate 7”, café C") == ["gate", "7", "cafe", "c"]
    assert tokens("ビル 7 号") == [*tokens("ビル"), "7", *tokens("号")]
    assert tokens("दरवाज़ा ५")[-1] == "५"


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
    terms = query_terms(query)
    others = {other for found in other_stems(query, terms).values() for other in found}
    assert (set(terms) | others) & set(tokens(memory))


def test_an_indic_word_is_not_cut_at_its_vowel_signs() -> None:
    assert surface("किताब खरीदी।") == ["किताब", "खरीदी"]


@pytest.mark.parametrize("sign", ["—", "’", "“", "…", "😀", "👍🏽", "❤️", "€", "→", "，", "。"])
def test_signs_outside_ascii_are_of_no_word_and_cost_as_little_as_those_in_it(sign: str) -> None:
    assert plainly(f"a cat{sign} and {sign}it").isascii()
    assert surface(f"a cat{sign} and {sign}it{sign}s") == ["cat", "and", "it"]
    assert surface(f"東京{sign}café{sign}") == ["東京", "東", "京", "cafe"]


@pytest.mark.parametrize("text", ["™", "½", "é", "e\u0301", "・", "৳", "＿", "´", "\u00a0", "किताब"])
def test_what_is_of_words_or_blank_is_left_as_it_is(text: str) -> None:
    assert plainly(text) == text


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


@pytest.mark.parametrize(
    ("memory", "query"),
    [
        ("Ich habe zwei alte Fahrräder in der Garage.", "Welches Fahrrad gehört mir?"),
        (
            "Nos enfants travaillaient dans un jardin avec des chevaux.",
            "Où est-ce que le cheval a travaillé ?",
        ),
        ("Trabajaba en una escuela con mis hermanas.", "¿Dónde trabajó mi hermana?"),
        ("Ho comprato delle mele per la nonna.", "Quando hai comprato la mela?"),
        ("Моя сестра работала в школе.", "Где работает сестра?"),
        ("Mijn broers werken in de haven.", "Waar heeft mijn broer gewerkt, in welke haven?"),
        ("Çocuklarımız bu okulda keman çalıyor.", "Çocuk ne zaman keman çalar?"),
    ],
)
def test_a_word_is_found_in_its_other_forms(memory: str, query: str) -> None:
    shared = set(query_terms(query)) & set(tokens(memory))
    assert shared
    assert not shared & set(surface("ich der in le un dans je en una con mis la per hai mijn de bu ne в где"))


@pytest.mark.parametrize(
    "text",
    [
        "We had la casa special and the crème brûlée at El Toro.",
        "The die was cast in the war, she said.",
        "My friend Hans has a van in Den Haag.",
        "Per my last email, the man is on leave.",
        "Lives in Berlin since 2020.",
    ],
)
def test_an_english_text_stays_english_whatever_it_names(text: str) -> None:
    assert tokens(text) == [found for word in surface(text) for found in tokens(f"the {word}")]


def test_a_name_is_found_from_a_query_in_any_language() -> None:
    index = index_of(
        [fact(1, "Ich habe einen Hund in München gekauft."), fact(2, "Am Montag war ich beim Arzt.")]
    )
    for query in ("München", "When was I in München?", "Quand étais-je à München ?"):
        ranking = ask(index, query)
        assert ranking.rids(0, 1).tolist() == [1]
        assert [bool(ranking.explain(rid)["bm25"]) for rid in (1, 2)] == [True, False]
