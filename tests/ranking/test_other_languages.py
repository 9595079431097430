"""A model of English finds nothing by meaning in another language: there the words decide."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from memkit import Memory
from memkit.ranking.languages import may_be_english, mostly_latin
from memkit.ranking.text import surface
from memkit.ranking.weights import EMBEDDED, OTHER
from tests.embedders.minilm_forward import needs_weights
from tests.ranking.corpus import fact, index_of, query

ENGLISH = (
    "What does 奥拉 teach in Lublin?",
    "Who is José Ibáñez?",
    "Nguyễn?" + " Where does he live, and since when?",
    "Freya",
    "die hard",
    "12:30",
    "",
)
OTHERS = (
    "奥拉教什么？",
    "ओला क्या पढ़ाती है?",
    "ماذا تدرس أولا؟",
    "โอลาสอนวิชาอะไร",
    "올라는 무엇을 가르치나요?",
    "Что преподаёт Оля?",
    "Con chó sợ gì ở trong nhà của tôi?",
    "Wo hat meine Schwester die Schlüssel verloren?",
    "Gdzie zgubiłem klucze do biblioteki?",
)


@pytest.mark.parametrize("text", ENGLISH)
def test_names_and_signs_of_other_languages_leave_a_query_english(text: str) -> None:
    assert may_be_english(surface(text), text)


@pytest.mark.parametrize("text", OTHERS)
def test_a_query_in_another_language_is_not_english(text: str) -> None:
    assert not may_be_english(surface(text), text)


def test_european_languages_but_not_vietnamese_are_in_letters_that_english_has() -> None:
    assert [mostly_latin(text) for text in OTHERS] == [False] * 7 + [True] * 2


@pytest.mark.parametrize("weights", [EMBEDDED, OTHER], ids=["of English", "of any language"])
def test_only_a_model_that_reads_the_language_may_overrule_the_words(weights: object) -> None:
    asked, away = np.eye(1024, dtype=np.float32)[0], np.eye(1024, dtype=np.float32)[1]
    memories = [
        fact(1, "奥拉在卢布林教化学。", vector=away),
        fact(2, "狗害怕烟花。", vector=asked),
        *(fact(n, f"图书馆第{n}层关门。", vector=away) for n in range(3, 9)),
    ]
    index = index_of(memories, EMBEDDED if weights is EMBEDDED else OTHER)
    best = index.rank(replace(query("奥拉教什么？"), vector=asked)).rids(0, 1).tolist()
    assert best == ([1] if weights is EMBEDDED else [2])


PAIRS = {
    "zh": [("我对贝类过敏。", "我对什么过敏？"), ("狗害怕烟花。", "狗害怕什么？"), ("我喝咖啡不加糖。", "我怎么喝咖啡？")],
    "hi": [
        ("कुत्ता पटाखों से डरता है।", "कुत्ता किससे डरता है?"),
        ("दादी बालकनी में टमाटर उगाती हैं।", "दादी टमाटर कहाँ उगाती हैं?"),
        ("मेरी बहन ओला रसायन पढ़ाती है।", "ओला क्या पढ़ाती है?"),
    ],
    "ko": [
        ("나는 조개류에 알레르기가 있다.", "나는 무엇에 알레르기가 있나요?"),
        ("개는 불꽃놀이를 무서워한다.", "개는 무엇을 무서워하나요?"),
        ("나는 공원에서 열쇠를 잃어버렸다.", "나는 어디에서 열쇠를 잃어버렸나요?"),
    ],
    "ar": [
        ("جدتي تزرع الطماطم على الشرفة.", "أين تزرع جدتي الطماطم؟"),
        ("الكلب يخاف من الألعاب النارية.", "مما يخاف الكلب؟"),
        ("أضعت مفاتيحي في الحديقة.", "أين أضعت مفاتيحي؟"),
    ],
}  # fmt: skip
OFF_TOPIC = {
    "zh": "蒙古的首都是哪里？",
    "hi": "मंगोलिया की राजधानी क्या है?",
    "ko": "월드컵은 누가 이겼나요?",
    "ar": "من فاز بكأس العالم؟",
}


@needs_weights
@pytest.mark.parametrize("language", PAIRS)
def test_minilm_finds_what_is_said_in_other_scripts_and_nothing_off_topic(language: str) -> None:
    with Memory(":memory:", llm=None, embedder="minilm") as memory:
        memory.add_many([text for text, _ in PAIRS[language]], user_id="u")
        for text, question in PAIRS[language]:
            assert memory.search(question, user_id="u").results[0].memory == text
        nothing = memory.search(OFF_TOPIC[language], user_id="u")
        assert (nothing.results[0].score or 0) < 0.1
        assert (nothing.answerable or 0) < 0.3
