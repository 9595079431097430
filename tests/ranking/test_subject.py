"""Facts that a user told of others are not what she asks for with "I"."""

from __future__ import annotations

import pytest

from memkit.ranking.subject import is_of_another
from tests.ranking.corpus import ask, fact, index_of

OF_OTHERS = (
    "Ines plays the oboe.",
    "Ben's car is red.",
    "Mary Jane Watson works at the Bugle.",
    "Jean-Luc is a captain.",
    "Lars is allergic to nuts.",
    "Tom still lives in Oslo.",
    "Chris’ sister moved to Rome.",
    "Ann is training for a race.",
)
OF_THE_USER = (
    "User plays the oboe.",
    "User's car is red.",
    "The user works at the Bugle.",
    "I live in Oslo.",
    "My sister Ines plays the oboe.",
    "Prefers tea to coffee.",
    "Works at Acme.",
    "Likes cats.",
    "Rent is 900 euros.",
    "She lives in Rome.",
    "always drinks tea",
    "",
)


@pytest.mark.parametrize("text", OF_OTHERS)
def test_a_name_at_the_head_makes_it_the_fact_of_another(text: str) -> None:
    assert is_of_another(text)


@pytest.mark.parametrize("text", OF_THE_USER)
def test_without_one_it_is_the_users_own(text: str) -> None:
    assert not is_of_another(text)


@pytest.mark.parametrize(
    ("asked", "own", "others"),
    [
        ("Which instrument do I play?", "User plays the clarinet in an orchestra.", "Arvid plays the cello."),
        ("Where do I live?", "User lives in the old town of Bergen.", "Mona lives in Turin."),
        (
            "What kind of car do I drive?",
            "User drives a green Skoda to work.",
            "Hugo's sister drives a Fiat.",
        ),
    ],
)
def test_what_i_do_comes_before_what_others_do(asked: str, own: str, others: str) -> None:
    facts = [fact(1, own), fact(2, others), fact(3, "User weighs 70 kg."), fact(4, "Greta bakes bread.")]
    assert ask(index_of(facts), asked).rids()[0] == 1


def test_a_name_asks_for_the_facts_of_its_bearer() -> None:
    facts = [fact(1, "Mona lives in Turin."), fact(2, "User lives in Oslo."), fact(3, "Hugo lives in Lyon.")]
    assert ask(index_of(facts), "Where does Mona live?").rids()[0] == 1


def test_words_that_mean_nearly_the_same_find_facts() -> None:
    facts = [fact(1, "User has a dog."), fact(2, "User has a car."), fact(3, "User has two flats.")]
    assert ask(index_of(facts), "What pet do I have?").rids()[0] == 1
