"""Facts that say the opposite: by another word, by a negation about something else, or by an ending."""

from __future__ import annotations

import pytest

from tests.extraction.proof import learned


@pytest.mark.parametrize(
    ("message", "true", "false"),
    [
        (
            "My nephew passed his piano exam.",
            "User's nephew passed his exam.",
            "User's nephew failed his exam.",
        ),
        ("The request was denied.", "The request was not approved.", "The request was approved."),
        ("My boss approved the leave.", "User's boss approved the leave.", "User's boss rejected the leave."),
        ("Ada and Olaf got divorced.", "Ada and Olaf got divorced.", "Ada and Olaf got married."),
        ("The bakery closed down in May.", "The bakery is no longer open.", "The bakery is still open."),
        ("I'm unhappy at my job.", "User is not happy at work.", "User is happy at their job."),
        ("I turned the offer from Kearn down.", "User did not accept the offer.", "User accepted the offer."),
        ("Wir sind geschieden.", "Der Nutzer ist nicht mehr verheiratet.", "Der Nutzer ist verheiratet."),
        ("La piscine est fermée.", "La piscine n'est pas ouverte.", "La piscine est ouverte."),
        ("Suspendí el examen.", "El usuario no aprobó el examen.", "El usuario aprobó el examen."),
        ("試験に落ちてしまった。", "ユーザーは試験に合格しなかった。", "ユーザーは試験に合格した。"),
    ],
)
def test_a_word_of_opposite_meaning_denies(message: str, true: str, false: str) -> None:
    assert (learned(message, true), learned(message, false)) == (True, False)


@pytest.mark.parametrize(
    ("message", "true", "false"),
    [
        ("Tobias isn't a vet, he's a dentist.", "Tobias is a dentist.", "Tobias is not a dentist."),
        ("It's not my bike, it's Hugo's.", "The bike belongs to Hugo.", "The bike does not belong to Hugo."),
        (
            "I like hiking but my wife doesn't.",
            "User's wife does not like hiking.",
            "User's wife likes hiking.",
        ),
        ("My roommate is vegan, I'm not.", "User is not vegan.", "User is vegan."),
        ("I'm learning Thai, not Lao.", "User is not learning Lao.", "User is not learning Thai."),
        ("I skipped breakfast again.", "User did not eat breakfast.", "User ate breakfast."),
        ("I've decided against buying the van.", "User will not buy the van.", "User will buy the van."),
        ("The kids are too young to fly.", "The kids cannot fly.", "The kids can fly."),
        (
            "I took the train since the car wouldn't start.",
            "User took the train.",
            "User's car started.",
        ),
        (
            "I bought the blue tent instead of the green one.",
            "User did not buy the green tent.",
            "User bought the green tent.",
        ),
        (
            "I can play the harp but I can't read music.",
            "User cannot read music.",
            "User cannot play the harp.",
        ),
        (
            "Anneliese ist keine Lehrerin, sie ist Ärztin.",
            "Anneliese ist Ärztin.",
            "Anneliese ist keine Ärztin.",
        ),
        ("Je vis à Metz, pas à Nancy.", "L'utilisateur vit à Metz.", "L'utilisateur ne vit pas à Metz."),
        ("Vivo en Vigo, no en Lugo.", "El usuario no vive en Lugo.", "El usuario vive en Lugo."),
        ("猫は好きですが、犬は苦手です。", "ユーザーは犬が好きではない。", "ユーザーは犬が好きだ。"),
        ("彼女は先生ではありません、医者です。", "彼女は医者である。", "彼女は医者ではない。"),
    ],
)
def test_a_negation_reaches_its_own_words_and_no_others(message: str, true: str, false: str) -> None:
    assert (learned(message, true), learned(message, false)) == (True, False)


@pytest.mark.parametrize(
    ("message", "fact"),
    [
        ("I know nothing about sailing.", "User does not know anything about sailing."),
        ("My brother votes, my sister doesn't bother.", "User's sister does not vote."),
        ("My son turned down Yale and accepted the place at Rice.", "User's son accepted the place at Rice."),
        ("The house had a garage, this one doesn't.", "User's house does not have a garage."),
    ],
)
def test_what_is_denied_of_another_or_in_other_words_is_no_contradiction(message: str, fact: str) -> None:
    assert learned(message, fact)


@pytest.mark.parametrize(
    ("message", "true", "false"),
    [
        (
            "When I studied in Lund I didn't own a bike.",
            "User studied in Lund.",
            "User owned a bike in Lund.",
        ),
        (
            "I don't eat pork except at Easter.",
            "User eats pork at Easter.",
            "User does not eat pork at Easter.",
        ),
        (
            "My uncle no longer farms, he opened a pub last year.",
            "User's uncle opened a pub last year.",
            "User's uncle did not open a pub last year.",
        ),
        (
            "Do I own a boat? No, just a canoe.",
            "User does not own a boat.",
            "User owns a boat.",
        ),
        (
            "I do eat cheese, I just don't eat butter.",
            "User does not eat butter.",
            "User does not eat cheese.",
        ),
        (
            "My aunt isn't on the phone much, so I always visit her cottage.",
            "User visits their aunt's cottage.",
            "User does not visit their aunt's cottage.",
        ),
        (
            "We took up fencing in May and we don't regret it.",
            "User does not regret taking up fencing.",
            "User regrets taking up fencing.",
        ),
        (
            "I never eat bread after six because otherwise I can't sleep.",
            "User does not eat bread after six.",
            "User eats bread after six.",
        ),
        (
            "Mein Onkel arbeitet nicht in Ulm, sondern in Jena.",
            "Der Onkel des Nutzers arbeitet in Jena.",
            "Der Onkel des Nutzers arbeitet nicht in Jena.",
        ),
        (
            "Je ne mange jamais de viande, sauf à Pâques.",
            "L'utilisateur mange de la viande à Pâques.",
            "L'utilisateur ne mange pas de viande à Pâques.",
        ),
        ("授業は火曜日ではなく金曜日です。", "授業は金曜日である。", "授業は金曜日ではない。"),
        (
            "前は肉を食べていましたが、今は食べていません。",
            "ユーザーは今肉を食べていない。",
            "ユーザーは今肉を食べている。",
        ),
    ],
)
def test_each_clause_speaks_for_itself(message: str, true: str, false: str) -> None:
    assert (learned(message, true), learned(message, false)) == (True, False)
