"""Wishes that hold whatever is asked are told from talk by their form, in several languages."""

from __future__ import annotations

import pytest

from memkit.ranking.standing import MARK, _cues, indexed, same_matter, standing  # pyright: ignore[reportPrivateUsage]
from memkit.ranking.standing_forms import LATIN, OTHER, Forms
from memkit.ranking.text import tokens

ORDERS = [
    "Always include the units when I ask about measurements.",
    "Please remember to add a summary at the end.",
    "From now on, use British spelling.",
    "never suggest seafood, okay?",
    "Don't ever call me Bob.",
    "Whenever I ask for code, please add type hints.",
    "I'd like you to always double-check dates.",
    "Thanks! And please call me Sam.",
    "Immer auf Deutsch antworten, bitte antworte nie auf Englisch.",
    "Merk dir bitte: keine Tabellen.",
    "Réponds toujours en français.",
    "À partir de maintenant, utilise le tutoiement.",
    "Responde siempre en español.",
    "De ahora en adelante, usa ejemplos cortos.",
    "Rispondi sempre in italiano.",
    "A partir de agora, responda em português.",
    "Antwoord altijd in het Nederlands.",
    "Zawsze odpowiadaj po polsku.",
    "Всегда отвечай по-русски.",
    "以后请用中文回答我。",
    "これからは日本語で答えてください。",
    "항상 한국어로 답해 주세요.",
    "हमेशा हिंदी में जवाब दें।",
    "أجب دائمًا بالعربية.",
]
LIKES = [
    "I'm building an app, so I prefer small dependencies, can you help?",
    "Honestly I'd rather walk than drive.",
    "I like my tea without milk.",
    "I'm allergic to peanuts.",
    "I don't eat meat.",
    "Ich trinke lieber Kaffee, ich bevorzuge kurze Antworten.",
    "Je préfère les réponses courtes.",
    "Prefiero los trenes a los aviones.",
    "Preferisco il treno.",
    "Wolę herbatę.",
    "Я предпочитаю короткие ответы.",
    "我更喜欢喝茶。",
    "紅茶のほうが好きです。",
]
TALK = [
    "",
    "Never mind, it works now.",
    "I have never been to Rome.",
    "You always make me laugh!",
    "It has always been like that.",
    "Remember when we went to the lake?",
    "I'll call you tomorrow, or you call me back.",
    "Call me when you get home!",
    "I will go for it in the future.",
    "He prefers the old one.",
    "I love my job.",
    "Siempre me ha gustado el mar.",
    "Das war schon immer so.",
    "Toujours pas de nouvelles.",
    "我昨天买了一只猫。",
    "```\nalways use tabs\n```",
]


@pytest.mark.parametrize("text", ORDERS)
def test_an_order_to_keep_to_is_an_instruction(text: str) -> None:
    found = standing(text)
    assert found is not None and found.wish == "instruction" and 0 <= found.start < len(found.text)


@pytest.mark.parametrize("text", LIKES)
def test_what_somebody_likes_is_a_preference(text: str) -> None:
    found = standing(text)
    assert found is not None and found.wish == "preference" and 0 <= found.start < len(found.text)


@pytest.mark.parametrize("text", TALK)
def test_talk_is_no_wish(text: str) -> None:
    assert standing(text) is None


def test_the_sentence_that_says_it_is_given_and_an_order_goes_before_a_liking() -> None:
    found = standing("Nice weather. I prefer trains. Always answer briefly! Bye.")
    assert found is not None and (found.wish, found.text) == ("instruction", "Always answer briefly!")


def test_the_keyword_index_holds_the_stems_and_the_mark_of_a_wish() -> None:
    assert indexed("The cat sleeps.") == tokens("The cat sleeps.")
    text = "Always answer briefly."
    assert indexed(text) == [*tokens(text), MARK] and MARK not in tokens(f"{MARK} standing")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Always answer in French.", "From now on answer in Italian.", True),
        ("Always call me Ada.", "Please call me Sam.", True),
        ("Always add dates.", "Never add dates.", True),
        ("Always include dates in tables.", "Always include names in tables.", False),
        ("I prefer tea.", "I prefer long walks.", False),
        ("Use metric units when I ask about food, always.", "Answer in French.", False),
        (
            "Always use APA style when I ask for citations.",
            "Always use plain style when I ask for letters.",
            False,
        ),
    ],
)
def test_only_a_wish_that_excludes_another_takes_its_place(one: str, other: str, same: bool) -> None:
    first, second = standing(one), standing(other)
    if first is None or second is None:
        assert not same
    else:
        assert (
            same_matter(first.matter(), second.matter())
            is same
            is same_matter(second.matter(), first.matter())
        )


@pytest.mark.parametrize("forms", [*LATIN, *OTHER])
def test_a_text_is_looked_through_wherever_a_word_or_phrase_of_a_wish_stands_in_it(forms: Forms) -> None:
    every = _cues(latin=False)
    phrases = [phrase for phrase in forms.phrases.split("|") if phrase]
    for told in [*forms.words.split(), *(f"{word}," for word in forms.words.split()), *phrases]:
        for low in (told, f"zq {told} zq", f"zq {told}", f"{told} zq", f"zq\n{told}\tzq"):
            assert every.found(low, set(low.split())), low
    for phrase in phrases:
        low = f"zq{phrase}zq"  # A part of the text, not its words.
        assert every.found(low, set(low.split())), low


def test_a_text_with_the_words_of_a_phrase_but_not_the_phrase_is_not_looked_through() -> None:
    low = "in the answer, i ask when my mind was to end"
    assert not _cues(latin=True).found(low, set(low.split()))
