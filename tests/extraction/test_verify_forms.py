"""Forms of words that turn a sentence round, or name a number or a month, and what may be learned from them."""

from __future__ import annotations

import pytest

from tests.extraction.proof import learned


@pytest.mark.parametrize(
    ("message", "true", "false"),
    [
        ("I hardly ever eat meat.", "User hardly ever eats meat.", "User often eats meat."),
        ("I rarely drink.", "User rarely drinks.", "User drinks often."),
        ("Ich esse kaum noch Fleisch.", "User isst kaum noch Fleisch.", "User isst oft Fleisch."),
        ("I can hardly wait for Malta.", "User is looking forward to Malta.", "User is not going to Malta."),
        ("Tomasz failed to show up again.", "Tomasz did not show up again.", "Tomasz showed up again."),
        ("I was unable to attend the party.", "User could not attend the party.", "User attended the party."),
        ("She refused to sign the lease.", "She did not sign the lease.", "She signed the lease."),
        ("I can't say I don't enjoy the cold.", "User enjoys the cold.", "User does not enjoy the cold."),
        ("It's not that I don't like jazz.", "User likes jazz.", "User does not like jazz."),
        ("I can't deny I love karaoke.", "User loves karaoke.", "User does not love karaoke."),
        (
            "I don't mind cats but I'm allergic to dogs.",
            "User is allergic to dogs.",
            "User is not allergic to dogs.",
        ),
        (
            "I'm allergic to nuts but not to milk.",
            "User is not allergic to milk.",
            "User is not allergic to nuts.",
        ),
        (
            "She said she doesn't want kids, Larissa I mean.",
            "Larissa does not want kids.",
            "Larissa wants kids.",
        ),
        (
            "My car isn't electric and it's 12 years old.",
            "User's car is 12 years old.",
            "User's car is electric.",
        ),
        ("Evli değilim.", "Kullanıcı evli değil.", "Kullanıcı evli."),
        ("저는 술을 안 마셔요.", "사용자는 술을 마시지 않는다.", "사용자는 술을 마신다."),
        (
            "أعيش في حلب منذ عام 2010 ولا أشرب القهوة.",
            "يعيش المستخدم في حلب منذ عام 2010.",
            "يشرب المستخدم القهوة.",
        ),
    ],
)
def test_what_turns_a_sentence_round_is_understood(message: str, true: str, false: str) -> None:
    assert (learned(message, true), learned(message, false)) == (True, False)


@pytest.mark.parametrize(
    ("message", "true", "false"),
    [
        ("The baby is due in late June.", "The baby is due in late June.", "The baby is due in early May."),
        ("I'm in Ghent until April.", "User is in Ghent until April.", "User is in Ghent until May."),
        ("Wir wohnen seit Mai in Celle.", "User wohnt seit Mai in Celle.", "User wohnt seit Juni in Celle."),
        (
            "Trabajo aquí desde mayo.",
            "El usuario trabaja aquí desde mayo.",
            "El usuario trabaja aquí desde junio.",
        ),
        (
            "I've lived here for two years.",
            "User has lived here for 2 years.",
            "User has lived here for ten years.",
        ),
        ("We have four hens.", "User has four hens.", "User has six hens."),
        (
            "Tengo dos gatos en mi casa.",
            "El usuario tiene dos gatos.",
            "El usuario tiene tres gatos en su casa.",
        ),
        (
            "고양이 두 마리를 키워요.",
            "사용자는 고양이 두 마리를 키운다.",
            "사용자는 고양이 세 마리를 키운다.",
        ),
    ],
)
def test_a_month_or_a_number_that_was_not_said_is_rejected_in_any_form(
    message: str, true: str, false: str
) -> None:
    assert (learned(message, true), learned(message, false)) == (True, False)


def test_a_word_that_is_also_a_month_is_none_where_nothing_tells_of_time() -> None:
    assert learned("We might go to Riga.", "User may go to Riga.")
