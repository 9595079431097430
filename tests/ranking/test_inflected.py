"""Without a key a question finds what was said in other forms of its words, in languages that inflect them richly."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from memkit import Memory
from memkit.ranking.languages import language_of_latin
from memkit.ranking.stemmers import stemmer
from memkit.ranking.text import surface
from memkit.ranking.when import relative_days
from memkit.ranking.words import STOP_WORDS as ENGLISH

SAID: Final[dict[str, list[list[str]]]] = json.loads(
    Path(__file__).with_name("inflected.json").read_text("utf-8")
)
"""Language -> memories, most of them with a question as one would ask it: in another tense, number or case."""


@cache
def _found(language: str) -> tuple[float, float]:
    """Return the share of questions that have their memory first, and among the first five."""
    asked = [row for row in SAID[language] if len(row) > 1]
    first = five = 0
    with Memory(":memory:", llm=None, embedder="hash") as memory:
        memory.add_many([text for text, *_ in SAID[language]], user_id="ann")
        for text, question in asked:
            found = [item.memory for item in memory.search(question, user_id="ann", limit=5).results]
            first += found[0] == text
            five += text in found
    return first / len(asked), five / len(asked)


@pytest.mark.parametrize("language", [name for name in SAID if name != "en"])
def test_questions_in_other_forms_are_answered_nearly_as_often_as_in_english(language: str) -> None:
    (first, five), (english_first, english_five) = _found(language), _found("en")
    assert first >= 0.85 * english_first
    assert five >= 0.95 * english_five


SHORT = {
    "hungarian": ["Kinél van a pótkulcsunk?", "Két kiscicát fogadtunk örökbe.", "A konyha falait sárgára festettük."],
    "turkish": ["Eski arabamı bir arkadaşıma sattım.", "Yedek anahtarımız kimde?", "Mutfağın duvarlarını boyadık."],
    "finnish": ["Pomoni kutsui meidät perjantaina.", "Kenelle myin sen pyörän?", "Lapset pelkäävät ukkosta."],
    "polish": ["Złamałem lewą nogę na nartach.", "Gdzie kupiłam rower?", "Stara stodoła spłonęła."],
    "czech": ["Děda chová za stodolou včely.", "Jak piji čaj?", "Celý týden pršelo."],
    "romanian": ["Câinele vecinului este bătrân.", "Am vopsit pereții bucătăriei.", "Școala este închisă luni."],
    "vietnamese": ["Bọn trẻ sợ giông bão.", "Tôi bán xe hơi cho ai?", "An ăn cơm ở nhà mẹ."],
    "english": ["Café Noir, gate 7", "José Ibáñez", "Zürich hotel booked", "Her fiancé hiked near Malmö.", "jalapeño recipe"],
}  # fmt: skip


@pytest.mark.parametrize("language", SHORT)
def test_a_short_sentence_is_known_by_its_letters(language: str) -> None:
    # In most of them no function word stands, and they were stemmed as English.
    for text in SHORT[language]:
        assert language_of_latin(surface(text), len(ENGLISH.intersection(surface(text))), text) == language, (
            text
        )


@pytest.mark.parametrize(
    ("text", "without"),
    [
        ("Ağrı dağına çıktım.", "Agri dagina ciktim."),
        ("żółty ołówek", "zolty olowek"),
        ("søster på øen", "soster pa oen"),
        ("đường phố", "duong pho"),
    ],
)
def test_letters_that_are_often_written_plain_are_found_either_way(text: str, without: str) -> None:
    assert surface(text) == surface(without)


@pytest.mark.parametrize(
    ("language", "forms"),
    [
        ("turkish", "mutfak mutfagin mutfaklarimizda mutfakta"),
        ("turkish", "kitap kitabi kitaplar kitaplarimiz"),
        ("turkish", "okuyorum okudum okumus okumak"),
        ("turkish", "gunumde gunler gunu"),
        ("persian", "دختر دخترم دخترمان دخترشان"),
        ("vietnamese", "sing"),
    ],
)
def test_endings_that_are_put_behind_each_other_come_off(language: str, forms: str) -> None:
    assert len({stemmer(language).stemWord(form) for form in forms.split()}) == 1


def test_a_name_is_no_day_in_turkish() -> None:
    now = 1_700_000_000_000_000
    assert relative_days("What does Sali like?", now) == relative_days("Which host family?", now) == []
    assert relative_days("salı günü ne yaptım?", now)
